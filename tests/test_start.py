"""vitlit.start: a run may start from all that `predict` can read, and its record says from what."""

import shlex
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.interruptions import stopped_after_an_epoch
from helpers.tiny import CLASSES, dataset, recipe
from safetensors.torch import save_file
from test_layouts import SMALL, huggingfaces, random_model, stored

from vitlit import libraries, records
from vitlit.checkpoint import CheckpointError
from vitlit.classifier import Classifier, load
from vitlit.config import ViTConfig
from vitlit.export import export
from vitlit.layouts import to_layout
from vitlit.presets import Recipe, changes_of, preset
from vitlit.start import started
from vitlit.train import train

MODEL = random_model().float()
TIMM = {n: t.contiguous() for n, t in to_layout(MODEL.state_dict(), "timm", SMALL).items()}


def any_model(config):
    """Refuses no model."""


def tuned(start, **changes):
    return Recipe(start=start, epochs=2, batch_size=8, model={"head": "linear"}, **changes)


def bare_timm(folder):
    torch.save({"state_dict": TIMM}, folder / "w.pth.tar")
    return "w.pth.tar,heads=3"


def without_a_head(folder):
    torch.save({n: t for n, t in TIMM.items() if not n.startswith("head")}, folder / "w.bin")
    return "w.bin,heads=3"


def hugging_face(folder):
    stored(huggingfaces(), folder / "hf")
    return "hf"


def paper(folder):
    state = to_layout(MODEL.state_dict(), "npz", SMALL)
    np.savez(folder / "paper.npz", **{n: t.numpy() for n, t in state.items()})
    return "paper.npz"


def exported(folder):
    statistics = torch.tensor([9.0] * 3), torch.tensor([7.0] * 3)
    export(Classifier(MODEL, tuple("abcde"), *statistics, ""), "torchvision", folder / "ours")
    return "ours"


def a_state_dict_of_ours(folder):
    torch.save(MODEL.state_dict(), folder / "ours.pt")
    return "ours.pt,heads=3"


PLACES = [bare_timm, without_a_head, hugging_face, paper, exported, a_state_dict_of_ours]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_run_starts_from_foreign_weights_and_says_so(tmp_path, monkeypatch, place, capsys):
    monkeypatch.chdir(tmp_path)
    where = place(tmp_path)
    run = train(tuned(where), dataset(), tmp_path / "tuned")
    assert load(run.weights).classes == CLASSES
    about = run.config["started"]
    assert run.config["start"] == about["trained_on"] == where
    assert about["weights"].startswith("sha256:")
    said = capsys.readouterr().err
    assert ("eps" in about["assumed"]) == (place not in (hugging_face, exported))
    assert (f"assumed of {where}: " in said) == bool(about["assumed"])


def test_a_librarys_weights_are_a_start(tmp_path, monkeypatch):
    state = to_layout(MODEL.state_dict(), "torchvision", SMALL)
    found = state, {"classes": list("abcde"), "mean": [0.1] * 3, "std": [0.2] * 3}, {"heads": 3}
    monkeypatch.setitem(libraries.LIBRARIES, "torchvision", lambda name: found)
    new = started(tuned("torchvision:vit_b_16"), dataset(), any_model)
    for name, tensor in MODEL.state_dict().items():
        if not name.startswith("head"):
            assert torch.equal(new.model.state_dict()[name], tensor)
    assert new.mean.tolist() == pytest.approx([25.5] * 3)


def test_an_interrupted_run_from_foreign_weights_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = tuned(bare_timm(tmp_path))
    whole = train(settings, dataset(), tmp_path / "whole", progress=False)

    with stopped_after_an_epoch():
        train(settings, dataset(), tmp_path / "part", progress=False)
    kept = (tmp_path / "w.pth.tar").read_bytes()
    torch.save({"state_dict": {n: t + 1 for n, t in TIMM.items()}}, tmp_path / "w.pth.tar")
    with pytest.raises(ValueError, match="an unfinished run with another start_weights"):
        train(settings, dataset(), tmp_path / "part", progress=False)
    (tmp_path / "w.pth.tar").write_bytes(kept)
    again = train(settings, dataset(), tmp_path / "part", progress=False)
    assert again.weights.read_bytes() == whole.weights.read_bytes()
    assert again.config == whole.config


def test_weights_without_a_head_need_a_new_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = without_a_head(tmp_path)
    with pytest.raises(ValueError, match=r"has no head; tiny has ant, bee, cat; give it a new"):
        started(Recipe(start=where), dataset(), any_model)


@pytest.mark.parametrize("patch", [4, 7])
def test_the_command_for_weights_without_a_head_keeps_their_size(tmp_path, monkeypatch, patch):
    monkeypatch.chdir(tmp_path)
    # 192 wide and 12 deep: a Ti, whose heads need not be said.
    sizes = {"image_size": (14 * patch,) * 2, "patch_size": patch, "width": 192, "depth": 12}
    config = ViTConfig(**{**vars(SMALL), **sizes})
    state = to_layout(random_model(config).float().state_dict(), "timm", config)
    torch.save({n: t for n, t in state.items() if not n.startswith("head")}, "my w.pth")
    with pytest.raises(CheckpointError, match="without a head") as caught:
        load("my w.pth")
    words = shlex.split(str(caught.value).partition("fine-tune these: ")[2])
    assert words == ["vitlit", "train", "--preset", "own", "--set", "start=my w.pth"]
    new = started(preset(words[3], **changes_of(words[5:])), dataset(), any_model)
    assert new.model.config.image_size == config.image_size
    assert new.model.config.head == "linear"
    assert new.classes == CLASSES


def test_a_thousand_classes_are_not_all_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    many = {**TIMM, "head.weight": torch.zeros(1000, 12), "head.bias": torch.zeros(1000)}
    save_file(many, tmp_path / "w")
    with pytest.raises(ValueError, match=r"8, 9 … \(1000 in all\); tiny has ant, bee, cat; give"):
        started(Recipe(start="w,heads=3"), dataset(), any_model)


def test_a_size_that_does_not_fit_the_patches_of_the_weights_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = bare_timm(tmp_path)
    for size, words in (((9, 8), "9×8 .* take 8×8"), ((14, 31), "14×31 .* take 16×32")):
        settings = Recipe(start=where, model={"head": "linear", "image_size": size})
        with pytest.raises(ValueError, match=rf"image_size {words}"):
            started(settings, dataset(), any_model)


def test_gray_images_are_shown_to_a_model_of_three_channels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = dataset(channels=1)
    run = train(tuned(bare_timm(tmp_path)), data, tmp_path / "gray", progress=False)
    classifier = load(run.weights)
    assert classifier.model.config.channels == 3
    three = data.test_images.expand(-1, 3, -1, -1)
    assert torch.equal(classifier.inputs(data.test_images), classifier.inputs(three))
    right = classifier.logits(data.test_images).argmax(dim=1) == data.test_labels
    assert right.double().mean().item() == run.summary["test_accuracy"]


def test_a_run_that_begins_anew_says_nothing_of_a_start(tmp_path):
    run = train(recipe(epochs=1), dataset(), tmp_path / "new", progress=False)
    assert "started" not in run.config
    assert records.read(run.path).config["start"] == ""


def test_a_start_with_the_same_classes_keeps_its_head(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train(recipe(epochs=1), dataset(), tmp_path / "one", progress=False)
    new = started(Recipe(start="one"), dataset(), any_model)
    before = load(run.weights).model.head.weight
    assert torch.equal(new.model.head.weight, before)
    other = replace(dataset(), classes=("x", "y", "z"))
    with pytest.raises(ValueError, match="give it a new head"):
        started(Recipe(start="one"), other, any_model)
