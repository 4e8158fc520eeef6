"""vitlit.classifier: pictures in, weights that survive, and files that are refused."""

import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from helpers.tiny import CLASSES, MODEL, dataset, recipe
from helpers.trap import Trap

from vitlit import records
from vitlit.checkpoint import CheckpointError
from vitlit.classifier import Classifier, load, normalize, statistics
from vitlit.config import ViTConfig
from vitlit.receipts import randomize_
from vitlit.train import classifier_for
from vitlit.vit import VisionTransformer


def classifier(seed=0, **changes):
    """A model whose every parameter is random."""
    fields = {"image_size": (8, 8), "classes": 3, **MODEL, **changes}
    model = randomize_(VisionTransformer(ViTConfig(**fields)), seed).float()
    mean, std = torch.rand(model.config.channels) * 200, 1 + torch.rand(model.config.channels)
    return Classifier(model, CLASSES, mean, std, "tiny")


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    classifier().save(path)
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head": "mlp", "head_width": 5, "activation": "relu"},
        {"pooling": "mean", "positions": "sincos", "gelu": "tanh"},
        {"image_size": (8, 16), "channels": 1, "dropout": 0.1, "eps": 1e-12},
    ],
    ids=["plain", "mlp head", "mean", "oblong"],
)
def test_what_is_saved_comes_back_bit_by_bit(tmp_path, changes):
    ours = classifier(**changes)
    ours.save(tmp_path / "new" / "model.safetensors")
    back = load(tmp_path / "new" / "model.safetensors")
    assert back.model.config == ours.model.config
    state = back.model.state_dict()
    assert all(torch.equal(state[name], value) for name, value in ours.model.state_dict().items())
    assert torch.equal(back.mean, ours.mean)
    assert torch.equal(back.std, ours.std)
    assert (back.classes, back.trained_on) == (CLASSES, "tiny")
    assert not back.model.training
    images = torch.randint(0, 256, (5, ours.model.config.channels, *ours.model.config.image_size))
    images = images.to(torch.uint8)
    assert torch.equal(back.logits(images), ours.logits(images))


def test_everyone_may_read_the_file_and_nothing_lies_beside_it(saved):
    assert os.listdir(saved.parent) == [saved.name]
    if os.name == "posix":
        assert saved.stat().st_mode & 0o777 == 0o644


# Pixels


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_numpy(channels):
    images = (
        noise(30, channels, 5, 7) // torch.arange(1, channels + 1, dtype=torch.uint8)[:, None, None]
    )
    mean, std = statistics(images)
    np.testing.assert_allclose(mean, images.numpy().mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, images.numpy().std((0, 2, 3)), rtol=1e-6)


def test_normalized_pixels_have_mean_0_and_deviation_1_in_every_channel():
    images = noise(30, 3, 8, 8)
    mean, std = statistics(images)
    pixels = normalize(images, mean, std).numpy()
    by_hand = (images.numpy() - mean.numpy().reshape(3, 1, 1)) / std.numpy().reshape(3, 1, 1)
    np.testing.assert_allclose(pixels, by_hand, rtol=1e-6)
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std((0, 2, 3)), 1, atol=1e-5)


def test_watching_says_what_the_model_does_on_the_way():
    ours = classifier()
    images = noise(2, 3, 8, 8)
    seen = ours.watch(images)
    assert list(seen)[-1] == "logits"
    assert torch.equal(seen["logits"], ours.logits(images))
    assert not seen["logits"].requires_grad


# Where weights come from


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A book with one run, and a reader with another two, one of the same name."""
    monkeypatch.setattr(records, "book", lambda: tmp_path / "runs")
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "my-runs"))
    for seed, run in enumerate(("runs/one", "my-runs/one", "my-runs/two")):
        classifier(seed).save(tmp_path / run / "model.safetensors")
        (tmp_path / run / "summary.json").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("source", "seed"),
    [
        ("one", 0),
        ("two", 2),
        ("my-runs/one", 1),
        ("my-runs/one/model.safetensors", 1),
    ],
)
def test_a_run_is_named_by_its_name_its_folder_or_its_file(runs, monkeypatch, source, seed):
    monkeypatch.chdir(runs)
    expected = classifier(seed).model.positions.table
    for given in (source, Path(source)):
        assert torch.equal(load(given).model.positions.table, expected)


def test_a_run_without_weights_says_so(runs):
    (runs / "runs" / "one" / "model.safetensors").unlink()
    own = classifier(1).model.positions.table
    assert torch.equal(load("one").model.positions.table, own)
    (runs / "my-runs" / "one" / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="one is the record of a run whose weights were no"):
        load("one")


def test_another_size_and_facts_that_are_known_already(saved):
    ours = load(saved, resized_to=(16, 8))
    expected = load(saved).model.resized((16, 8), antialias=True)
    assert torch.equal(ours.model.positions.table, expected.positions.table)
    with pytest.raises(ValueError, match="says itself what it is; heads cannot be given"):
        load(saved, heads=2)


# Files that are refused


@pytest.mark.parametrize("keep", [0, 5, 200, -1], ids=["empty", "start", "header", "end"])
def test_a_file_that_was_cut_off_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model.safetensors is no whole safetensors file"):
        load(saved)


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_pickle_is_refused_and_not_run(tmp_path, suffix):
    file, sprung = tmp_path / f"model.{suffix}", tmp_path / "sprung"
    torch.save({"weights": torch.zeros(3), "trap": Trap(sprung)}, file)
    with pytest.raises(
        CheckpointError,
        match=r"(pickled checkpoints|without running code).* save (the weights|its tensors)",
    ):
        load(file)
    file.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(CheckpointError, match=r"pickle|without running code"):
        load(file)
    assert not sprung.exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no weights .*nowhere.safetensors; give a file, or a run's folder"
    ):
        load(tmp_path / "nowhere.safetensors")


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds no run, and no ViT of Hugging Face"):
        load(tmp_path)


def resaved(path, state=None, **about):
    """The checkpoint with other weights, or with metadata changed; None takes one away."""
    with safetensors.safe_open(path, "pt") as file:
        metadata = {**file.metadata(), **about}
    metadata = {key: value for key, value in metadata.items() if value is not None}
    state = safetensors.torch.load_file(path) if state is None else state
    safetensors.torch.save_file(state, path, metadata)


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"classes": None}, "'classes'"),
        ({"trained_on": None}, "'trained_on'"),
        ({"config": "{"}, "property name"),
        ({"config": '{"width": 16}'}, "image_size"),
        ({"config": '{"image_size": [8, 8], "wings": 2}'}, "wings"),
        ({"config": '{"image_size": [8, 8], "patch_size": 3}'}, "patch_size 3 does not divide"),
        ({"mean": "[1, x]"}, "Expecting value"),
    ],
)
def test_another_programs_file_is_refused(saved, about, reason):
    resaved(saved, **about)
    with pytest.raises(CheckpointError, match=f"was not saved by vitlit: .*{reason}"):
        load(saved)


def test_a_file_without_metadata_is_refused(saved):
    safetensors.torch.save_file(safetensors.torch.load_file(saved), saved)
    with pytest.raises(CheckpointError, match="are of no layout that we know"):
        load(saved)


def test_weights_of_another_shape_are_named(saved):
    resaved(saved, classifier(width=20).model.state_dict())
    with pytest.raises(CheckpointError) as caught:
        load(saved)
    message = str(caught.value)
    assert "class_token.token: the file has (20,), the model (16,)" in message
    assert "and 26 more" in message
    assert "build the model with the configuration that it was saved with" in message


def test_weights_that_are_missing_or_too_many_are_named(saved):
    state = safetensors.torch.load_file(saved)
    state["tail.weight"] = state.pop("head.weight")
    resaved(saved, state)
    with pytest.raises(CheckpointError) as caught:
        load(saved)
    assert "head.weight: the file has None, the model (3, 16)" in str(caught.value)
    assert "tail.weight: the file has (3, 16), the model None" in str(caught.value)


# Moving


def test_statistics_move_with_the_model():
    ours = classifier_for(recipe(), dataset(), dataset().train_images)
    moved = replace(ours, mean=ours.mean.double()).to("cpu")
    assert moved.model is ours.model
    assert moved.mean.dtype == torch.float64
    if sys.platform != "darwin":
        assert {t.device.type for t in (moved.mean, moved.std)} == {"cpu"}


def test_a_constant_channel_becomes_0_and_no_deviation_is_below_1():
    images = torch.full((4, 3, 8, 8), 37, dtype=torch.uint8)
    images[:, 0, ::2] = 200
    images[0, 1, 0, 0] = 38  # nearly constant
    mean, std = statistics(images)
    assert std.tolist() == [81.5, 1.0, 1.0]
    inputs = normalize(images, mean, std)
    assert not inputs[:, 2].any()
    assert inputs.abs().max() <= 1


def test_images_are_shrunk_with_antialiasing():
    config = ViTConfig(image_size=(8, 8), classes=2, channels=1, width=8, heads=1, depth=1)
    model = VisionTransformer(config)
    classifier = Classifier(model, ("a", "b"), torch.tensor([0.0]), torch.tensor([1.0]), "x")
    board = (torch.arange(24)[:, None] + torch.arange(24)) % 2 * 200
    shrunk = classifier.inputs(board.to(torch.uint8)[None, None])
    assert shrunk.sub(100).abs().max() < 5  # without, every third square is seen: 0 or 200
