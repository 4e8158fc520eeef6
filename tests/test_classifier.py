"""vitlit.classifier: pictures in, weights that survive, and files that are refused."""

import copy
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

from vitlit import pretrained, records
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


# Precision


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_model_of_any_precision_takes_pictures_and_comes_back_from_its_file(tmp_path, dtype):
    ours = classifier()
    other = replace(ours, model=copy.deepcopy(ours.model).to(dtype))
    for images in (noise(2, 3, 8, 8), noise(2, 3, 12, 20)):
        logits = other.logits(images)
        assert logits.dtype == other.watch(images)["logits"].dtype == dtype
        torch.testing.assert_close(logits.float(), ours.logits(images), rtol=0.1, atol=0.3)
    other.save(tmp_path / "w", dtype)
    back = load(tmp_path / "w").model.state_dict()
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(back[name], tensor.float()), name


def test_weights_that_a_type_cannot_hold_are_not_stored(tmp_path):
    ours = classifier()
    ours.model.head.bias.data[0] = 70_000
    ours.save(tmp_path / "w", torch.bfloat16)
    with pytest.raises(CheckpointError, match=r"as float16: head.bias holds 1 of 3 numbers"):
        ours.save(tmp_path / "half", torch.float16)
    assert not (tmp_path / "half").exists()


def test_equal_classifiers_make_equal_files(tmp_path):
    same = replace(classifier(), mean=torch.ones(3), std=torch.ones(3))
    for name in "abcdef":
        same.save(tmp_path / name)
    assert len({(tmp_path / name).read_bytes() for name in "abcdef"}) == 1


@pytest.mark.parametrize("size", [(8, 8), (10, 6)])
def test_gray_images_are_three_equal_channels_where_the_model_wants_three(size):
    ours, gray = classifier(), noise(2, 1, *size)
    inputs = ours.inputs(gray)
    assert inputs.shape == (2, 3, 8, 8)
    assert torch.equal(inputs, ours.inputs(gray.expand(-1, 3, -1, -1)))
    assert torch.equal(ours.logits(gray), ours.logits(gray.expand(-1, 3, -1, -1)))


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
    with pytest.raises(
        CheckpointError, match=r"model.safetensors is (no whole safetensors file|empty)"
    ):
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
    with pytest.raises(FileNotFoundError, match=r"no weights in .*; give another folder"):
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
    with pytest.raises(CheckpointError, match="the shapes do not tell how many heads"):
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


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_weights_that_are_no_numbers_are_refused_by_tensor_and_file(saved, value, dtype):
    state = safetensors.torch.load_file(saved)
    state = {name: tensor.to(dtype) for name, tensor in state.items()}
    state["head.bias"][1] = float(value)
    resaved(saved, state)
    with pytest.raises(CheckpointError, match=r"model.safetensors: head.bias holds 1 of 3 numbers"):
        load(saved)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"classes": '["a", "b"]'}, "it names 2 classes of 3"),
        ({"mean": "[1.0]"}, "and 1 means and 3 deviations of 3 channels"),
        ({"std": "[1.0, 0.0, 1.0]"}, r"deviation \[1.0, 0.0, 1.0\] make pixels NaN"),
        ({"mean": "[1.0, NaN, 1.0]"}, r"mean \[1.0, nan, 1.0\]"),
    ],
)
def test_classes_and_statistics_that_do_not_fit_the_model_are_refused(saved, about, words):
    resaved(saved, **about)
    with pytest.raises(CheckpointError, match=words):
        load(saved)


# What is said of weights


@pytest.fixture
def bare(tmp_path):
    """The weights of a model of ours, and nothing that is said of them."""
    torch.save(classifier().model.state_dict(), tmp_path / "bare.pt")
    return tmp_path / "bare.pt"


def test_what_nobody_says_is_assumed_and_noted(bare):
    found = load(f"{bare},heads=2")
    assert found.assumed == {
        "image_size": (8, 8), "eps": 1e-6, "gelu": "none", "mean": 0.5, "std": 0.5,
        "classes": "0:…:2",
    }  # fmt: skip
    line = pretrained.assumptions(f"{bare},heads=2", found.assumed)
    assert "image_size=8x8 eps=1e-06 gelu=none mean=0.5 std=0.5 classes=0:…:2;" in line
    assert line.endswith(
        f"add the right one to the name of the weights: {bare},heads=2,image_size=8x8"
    )


def test_what_is_said_behind_the_name_is_taken(bare):
    said = "heads=4,image_size=8x8,eps=1e-5,gelu=tanh,mean=0.1:0.2:0.3,std=0.5,classes=x:y:z"
    found = load(f"{bare},{said}")
    config = found.model.config
    assert (config.heads, config.eps, config.gelu) == (4, 1e-5, "tanh")
    assert found.mean.tolist() == pytest.approx([25.5, 51, 76.5])
    assert found.std.tolist() == [127.5] * 3
    assert (found.classes, found.assumed) == (("x", "y", "z"), {})
    images = noise(2, 3, 8, 8)
    assert not torch.equal(found.logits(images), load(f"{bare},heads=2").logits(images))


def test_a_file_whose_name_looks_like_it_is_a_file(bare):
    other = bare.rename(bare.with_name("bare.pt,heads=4"))
    with pytest.raises(CheckpointError, match="the shapes do not tell how many heads"):
        load(other)
    assert load(f"{other},heads=2").model.config.heads == 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("head=2", "of weights can be said heads, .*; did you mean heads?"),
        ("heads=2,heads=4", "says heads twice; say it once"),
        ("heads=two", "heads=two is no such number; write heads=12"),
        ("heads=0", "heads=0 is no such number"),
        ("heads=2,channels=-3", "channels=-3 is no such number"),
        ("heads=5", "heads 5 does not divide width 16"),
        ("heads=2,image_size=8x9", "patch_size 4 does not divide the image of 8×9"),
        ("heads=2,image_size=16x16", "positions.*|another shape"),
        ("heads=2,mean=0.5:0.5", "the model needs 3 finite numbers"),
        ("heads=2,mean=nan", "the model needs 3 finite numbers"),
        ("heads=2,std=0", "std is .*; it must be above 0"),
        ("heads=2,classes=a:b", "tells 3 classes apart, but 2 are named"),
        ("heads=2,gelu=quick", "gelu 'quick' does not exist"),
        ("heads=2,entry=ema", "bare.pt: no entry 'ema'; there are ''"),
    ],
)
def test_what_cannot_be_said_is_refused(bare, said, words):
    with pytest.raises(ValueError, match=words):
        load(f"{bare},{said}")


def test_a_statement_about_weights_of_ours_is_refused(saved):
    with pytest.raises(ValueError, match="says itself what it is; heads cannot be given"):
        load(f"{saved},heads=2")


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


@pytest.mark.parametrize(
    ("size", "middle"),
    [
        ((20, 12), (slice(4, 16), slice(0, 12))),
        ((12, 20), (slice(0, 12), slice(4, 16))),
        ((24, 24), (slice(0, 24), slice(0, 24))),
    ],
)
def test_of_images_with_other_proportions_the_middle_counts(size, middle):
    ours, images = classifier(), noise(2, 3, *size)
    rows, columns = middle
    part = images[:, :, rows, columns]
    assert torch.equal(ours.inputs(images), ours.inputs(part.contiguous()))
    assert ours.inputs(images).shape[2:] == (8, 8)
