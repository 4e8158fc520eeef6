"""vitlit.finetune: a trained model made ready for another grid and another head."""

from dataclasses import replace

import pytest
import torch
from helpers.interruptions import stopped_after_an_epoch
from helpers.tiny import CLASSES, MODEL, dataset, recipe

from vitlit.classifier import load
from vitlit.config import ViTConfig
from vitlit.finetune import adapted
from vitlit.heads import LinearHead, MLPHead
from vitlit.presets import Recipe
from vitlit.receipts import randomize_
from vitlit.train import classifier_for, train
from vitlit.vit import VisionTransformer


@pytest.fixture
def model():
    """A model for 2×2 patches under an MLP head, everything random."""
    config = ViTConfig(image_size=(8, 8), classes=3, head="mlp", head_width=5, **MODEL)
    return randomize_(VisionTransformer(config)).float()


def same(new, old, *but):
    """Whether all weights are equal, leaving out those whose names begin with one of `but`."""
    state = new.state_dict()
    return all(
        torch.equal(state[name], tensor)
        for name, tensor in old.state_dict().items()
        if not name.startswith(but)
    )


def test_without_a_change_it_is_the_same_model_and_a_copy(model):
    new = adapted(model)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(new(images), model(images))
    new.head.output.weight.data.zero_()
    assert not torch.equal(new(images), model(images))


def test_another_grid_keeps_everything_but_the_positions(model):
    new = adapted(model, image_size=(12, 16))
    assert new.positions.grid == (3, 4)
    assert same(new, model, "positions.")
    expected = model.resized((12, 16)).positions.table
    assert torch.equal(new.positions.table, expected)
    assert new(torch.rand(2, 3, 12, 16)).shape == (2, 3)


def test_nearest_positions_are_copies_of_the_old_ones(model):
    new = adapted(model, "nearest", image_size=(16, 16)).positions.table
    old = model.positions.table
    assert torch.equal(new[0], old[0])
    grown = old[1:].unflatten(0, (2, 2)).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(new[1:], grown.flatten(0, 1))


def test_fresh_positions_are_those_of_an_untrained_model_on_the_same_grid_too(model):
    torch.manual_seed(0)
    for size in (8, 16):
        table = adapted(model, "fresh", image_size=(size, size)).positions.table
        assert abs(table.std().item() - 0.02) < 0.004
        assert not torch.equal(table[0], model.positions.table[0])


def test_a_new_head_is_untrained_and_the_encoder_stays(model):
    new = adapted(model, head="linear")
    assert isinstance(new.head, LinearHead)
    assert new.head.weight.count_nonzero() == 0
    assert same(new, model, "head.")
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(new.watch(images)["class_token"], model.watch(images)["class_token"])


def test_other_classes_need_a_new_head_of_the_same_kind(model):
    new = adapted(model, classes=7)
    assert isinstance(new.head, MLPHead)
    assert new(torch.rand(1, 3, 8, 8)).shape == (1, 7)
    assert new.head.output.weight.count_nonzero() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precision_is_kept(model, dtype):
    new = adapted(model.to(dtype), head="linear", image_size=(12, 16))
    assert {tensor.dtype for tensor in new.state_dict().values()} == {dtype}
    assert new(torch.rand(1, 3, 12, 16, dtype=dtype)).shape == (1, 3)


def test_training_or_evaluation_is_kept(model):
    assert not adapted(model.eval()).training
    assert adapted(model.train()).training


@pytest.mark.parametrize("name", ["width", "depth", "patch_size", "positions_kind"])
def test_what_the_weights_decide_cannot_change(model, name):
    with pytest.raises(ValueError, match=rf"{name} cannot change: the weights decide it; what can"):
        adapted(model, **{name: 32})


def test_other_positions_do_not_exist(model):
    with pytest.raises(ValueError, match="positions 'cubic' do not exist; choose one of"):
        adapted(model, "cubic")


# A run that starts from weights


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A record that holds weights: its name, and its classifier."""
    monkeypatch.chdir(tmp_path)
    run = train(recipe(model={"head": "mlp"}), dataset(), tmp_path / "my-runs" / "start")
    return run.name, load(run.weights)


def tuned(name, **changes):
    model = {"head": "linear", "image_size": (16, 16)} | changes.pop("model", {})
    return Recipe(**{"start": name, "epochs": 2, "batch_size": 8, **changes, "model": model})


def test_a_run_starts_from_the_weights_of_a_record_or_a_file(start):
    name, trained = start
    data = dataset()
    for where in (name, f"my-runs/{name}/model.safetensors"):
        classifier = classifier_for(tuned(where), data, data.train_images)
        assert classifier.model.config.image_size == (16, 16)
        assert same(classifier.model, trained.model, "head.", "positions.")
        assert torch.equal(classifier.mean, trained.mean)
        assert classifier.model.head.weight.count_nonzero() == 0


def test_images_are_enlarged_to_the_models_size_in_training_and_in_evaluation(start, tmp_path):
    name, trained = start
    run = train(tuned(name), dataset(), tmp_path / "my-runs" / "tuned")
    classifier = load(run.weights)
    images = dataset().test_images
    assert classifier.inputs(images).shape == (11, 3, 16, 16)
    assert trained.inputs(images).shape == (11, 3, 8, 8)
    right = (classifier.logits(images).argmax(dim=1) == dataset().test_labels).double().mean()
    assert right.item() == run.summary["test_accuracy"]
    assert run.config["start"] == name
    assert run.config["vit"]["image_size"] == [16, 16]


def test_enlarging_keeps_a_plain_picture_plain(start):
    _, trained = start
    classifier = replace(trained, model=adapted(trained.model, image_size=(12, 16)))
    gray = torch.full((1, 3, 8, 8), 100, dtype=torch.uint8)
    inputs = classifier.inputs(gray)
    assert inputs.shape == (1, 3, 12, 16)
    plain = trained.inputs(gray)[..., :1, :1].expand_as(inputs)
    torch.testing.assert_close(inputs, plain)


def test_an_interrupted_run_from_weights_goes_on(start, tmp_path):
    name, _ = start
    whole = train(tuned(name), dataset(), tmp_path / "my-runs" / "whole")
    part = tmp_path / "my-runs" / "part"

    with stopped_after_an_epoch():
        train(tuned(name), dataset(), part)
    again = train(tuned(name), dataset(), part)
    assert same(load(again.weights).model, load(whole.weights).model)


def test_a_missing_start_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="no weights nowhere"):
        classifier_for(tuned("nowhere"), dataset(), dataset().train_images)


def test_what_the_start_decides_cannot_be_set():
    with pytest.raises(ValueError, match=r"model.width is decided by the weights .* cpu-seed0"):
        Recipe(start="cpu-seed0", model={"width": 64})


def test_images_of_other_channels_are_refused(start):
    name, _ = start
    two = dataset(channels=2)
    with pytest.raises(ValueError, match="takes images of 3 channels, tiny has 2"):
        classifier_for(tuned(name), two, two.train_images)


def test_other_classes_need_a_new_head(start):
    name, _ = start
    other = replace(dataset(), classes=(*CLASSES, "dog"))
    kept = Recipe(start=name, model={"image_size": (16, 16)})
    with pytest.raises(ValueError, match=r"knows the classes ant, bee, cat; .* a new head"):
        classifier_for(kept, other, other.train_images)
    classifier = classifier_for(tuned(name), other, other.train_images)
    assert classifier.logits(other.test_images).shape == (11, 4)
    assert classifier.classes == other.classes
