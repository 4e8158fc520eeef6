"""The home page's drawings: whether they are the shipped model's, and show what the record says."""

import base64
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from helpers.tiny import dataset, recipe
from PIL import Image

from studies import example as study
from vitlit import records, studies
from vitlit.classifier import load
from vitlit.figures import chelsea
from vitlit.train import classifier_for
from website import ROOT, example

AGAIN = "run `make example`"


@pytest.fixture(scope="module")
def record():
    return json.loads((ROOT / example.RECORD).read_text(encoding="utf-8"))


def test_the_record_is_of_the_books_best_weights(record):
    best = studies.best(records.find(ROOT / "runs"))
    assert (record["run"], record["weights"]) == (best.name, best.checksum), AGAIN


@pytest.mark.usefixtures("one_thread")
def test_the_record_is_what_the_weights_make_of_the_picture(record):
    found = study.look(load(str(ROOT / "runs" / record["run"])))
    for part in ("tokens", "attention"):
        np.testing.assert_allclose(record[part], found[part], atol=2e-3, err_msg=AGAIN)
    assert list(record["answers"]) == list(found["answers"])
    answers = [list(each["answers"].values()) for each in (record, found)]
    np.testing.assert_allclose(*answers, atol=2e-3, err_msg=AGAIN)
    picture = Image.open(BytesIO(base64.b64decode(record["picture"]["png"])))
    pixels = np.asarray(picture).transpose(2, 0, 1)
    np.testing.assert_array_equal(pixels, chelsea(record["picture"]["size"]))


def test_other_weights_than_the_records_stop_the_site(tmp_path, record):
    folder = tmp_path / "runs" / record["run"]
    (tmp_path / example.RECORD).parent.mkdir(parents=True)
    (tmp_path / example.RECORD).write_bytes((ROOT / example.RECORD).read_bytes())
    assert example.read(tmp_path) is None  # no such run: nothing to draw
    folder.mkdir(parents=True)
    for file in (ROOT / "runs" / record["run"]).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    assert example.read(tmp_path) == record
    (folder / records.WEIGHTS).write_bytes(b"newer weights")
    with pytest.raises(ValueError, match=r"other weights than .* run `make example`"):
        example.read(tmp_path)


def test_every_class_has_a_bar_as_long_as_its_probability(record):
    drawing = example.drawings(record)["answer"]
    names = re.findall(r'class="name(?:-lit)?"[^>]*>(\w+)<', drawing)
    assert names == list(record["answers"])
    bars = [float(width) for width in re.findall(r'class="bar[^>]* width="([\d.]+)"', drawing)]
    shares = list(record["answers"].values())
    np.testing.assert_allclose(
        bars, np.maximum(42 * np.array(shares) / max(shares), 0.6), atol=0.01
    )
    assert re.search(r'class="name-lit"[^>]*>(\w+)<', drawing)[1] == names[np.argmax(shares)]


def test_cells_have_the_sign_and_the_strength_of_the_numbers(record):
    drawing = example.drawings(record)["embed"]
    tokens = [0, *(patch + 1 for patch in example.columns_drawn(record))]
    numbers = np.array([record["tokens"][token] for token in tokens]).flatten()
    cells = re.findall(r'class="(plus|minus)".*?opacity="([\d.]+)"', drawing)
    assert [kind == "plus" for kind, _ in cells] == [number > 0 for number in numbers]
    strength = [(float(opacity) - 0.08) / 0.92 for _, opacity in cells]
    np.testing.assert_allclose(strength, abs(numbers) / abs(numbers).max(), atol=0.01)


def test_the_glow_of_a_patch_is_its_attention(record):
    content = example.glow(record, 0).partition(",")[2]
    opacity = np.asarray(Image.open(BytesIO(base64.b64decode(content))))[..., 3].flatten()
    weights = np.array(record["attention"][0])
    np.testing.assert_allclose(opacity / 235, weights / weights.max(), atol=0.01)


def test_a_model_of_another_size_can_be_drawn():
    settings = recipe(model={"depth": 8})
    small = classifier_for(settings, dataset(), dataset().train_images)
    found = {"run": "tiny", **study.look(replace(small, model=small.model.eval()))}
    assert len(example.blocks_drawn(found)) == example.MAPS
    assert example.blocks_drawn(found)[-1] == 7
    assert set(example.drawings(found)) == {"cut", "embed", "attend", "answer"}
    assert example.shown(found)["classes"] == 3


def test_a_model_without_a_class_token_is_refused():
    settings = recipe(model={"pooling": "mean"})
    with pytest.raises(ValueError, match="pooling is 'class'"):
        study.look(classifier_for(settings, dataset(), dataset().train_images))


def test_numbers_are_kept_as_nested_lists():
    assert study.rounded(torch.tensor([[0.12345, 1.0]])) == [[0.1235, 1.0]]
