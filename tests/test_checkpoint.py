"""vitlit.checkpoint: weights that survive, and files that are refused."""

import os
import pickle
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from toys import CLASSES, MODEL, dataset, recipe

from vitlit.checkpoint import (
    CheckpointError,
    Classifier,
    load,
    load_state,
    load_training,
    save_training,
)
from vitlit.config import ViTConfig
from vitlit.receipts import randomize_
from vitlit.train import classifier_for
from vitlit.vit import VisionTransformer


def classifier(seed=0, **changes):
    """A model whose every parameter is random."""
    fields = {"image_size": (8, 8), "classes": 3, **MODEL, **changes}
    model = randomize_(VisionTransformer(ViTConfig(**fields)), seed).float()
    mean, std = torch.rand(model.config.channels) * 200, 1 + torch.rand(model.config.channels)
    return Classifier(model, CLASSES, mean, std, "toys")


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
    assert (back.classes, back.trained_on) == (CLASSES, "toys")
    assert not back.model.training
    images = torch.randint(0, 256, (5, ours.model.config.channels, *ours.model.config.image_size))
    images = images.to(torch.uint8)
    assert torch.equal(back.logits(images), ours.logits(images))


def test_everyone_may_read_the_file_and_nothing_lies_beside_it(saved):
    assert os.listdir(saved.parent) == [saved.name]
    if os.name == "posix":
        assert saved.stat().st_mode & 0o777 == 0o644


# Files that are refused


@pytest.mark.parametrize("keep", [0, 5, 200, -1], ids=["empty", "start", "header", "end"])
def test_a_file_that_was_cut_off_is_refused(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"model.safetensors is no whole safetensors file"):
        load(saved)


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_pickle_is_refused_and_not_run(tmp_path, suffix):
    file, sprung = tmp_path / f"model.{suffix}", tmp_path / "sprung"
    torch.save({"weights": torch.zeros(3), "trap": Trap(sprung)}, file)
    with pytest.raises(
        CheckpointError, match=r"pickled checkpoints .* save the weights as safeten"
    ):
        load(file)
    file.write_bytes(pickle.dumps(Trap(sprung)))
    with pytest.raises(CheckpointError, match="pickle"):
        load(file)
    assert not sprung.exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no checkpoint .*nowhere.safetensors; `vitlit tra"
    ):
        load(tmp_path / "nowhere.safetensors")


def test_a_folder_is_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match="no whole safetensors file"):
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
        ({"config": None}, "'config'"),
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
    with pytest.raises(CheckpointError, match="was not saved by vitlit"):
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


def test_a_model_that_refuses_weights_keeps_its_own():
    model = classifier().model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(CheckpointError, match="the wrong ones holds weights of another model"):
        load_state(model, classifier(seed=1, classes=4).model.state_dict(), "the wrong ones")
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


# The state of a run


def test_the_state_of_a_run_comes_back(tmp_path):
    state = {"model": classifier().model.state_dict(), "rows": [{"epoch": 1, "loss": 0.5}]}
    save_training(tmp_path / "training.pt", state)
    back = load_training(tmp_path / "training.pt")
    assert back["rows"] == state["rows"]
    assert all(torch.equal(back["model"][name], t) for name, t in state["model"].items())


@pytest.mark.parametrize("keep", [0, 10, -20])
def test_a_damaged_state_is_refused(tmp_path, keep):
    file = tmp_path / "training.pt"
    save_training(file, {"rows": list(range(1000))})
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"training.pt is damaged .*; delete it to start"):
        load_training(file)


def test_a_state_that_would_run_code_is_refused(tmp_path):
    file, sprung = tmp_path / "training.pt", tmp_path / "sprung"
    torch.save({"rows": Trap(sprung)}, file)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_training(file)
    assert not sprung.exists()


# A full disk


def save_as(kind, folder, seed):
    if kind == "weights":
        classifier(seed).save(folder / kind)
    else:
        save_training(folder / kind, {"model": classifier(seed).model.state_dict()})


@contextmanager
def disk_full_at_the_end(monkeypatch):
    def no_space(_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        yield


@contextmanager
def disk_full_on_the_way(_):
    """No file may grow beyond 4 KiB, by order of the operating system."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("disk_full", [disk_full_at_the_end, disk_full_on_the_way])
@pytest.mark.parametrize("kind", ["weights", "state"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside(tmp_path, monkeypatch, kind, disk_full):
    save_as(kind, tmp_path, seed=0)
    before = (tmp_path / kind).read_bytes()
    assert len(before) > 4096
    with (
        disk_full(monkeypatch),
        pytest.raises(
            OSError, match=rf"{kind} cannot be written \((No spa|File too la).*make room"
        ),
    ):
        save_as(kind, tmp_path, seed=1)
    assert os.listdir(tmp_path) == [kind]
    assert (tmp_path / kind).read_bytes() == before
    save_as(kind, tmp_path, seed=1)
    assert (tmp_path / kind).read_bytes() != before


# Moving


def test_statistics_move_with_the_model():
    ours = classifier_for(recipe(), dataset(), dataset().train_images)
    moved = replace(ours, mean=ours.mean.double()).to("cpu")
    assert moved.model is ours.model
    assert moved.mean.dtype == torch.float64
    if sys.platform != "darwin":
        assert {t.device.type for t in (moved.mean, moved.std)} == {"cpu"}
