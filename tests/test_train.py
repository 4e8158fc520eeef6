"""vitlit.train: what is learned, what is decayed, what a run leaves, and how it goes on."""

import csv
import json
import math
import os
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from helpers import interruptions
from helpers.tiny import CLASSES, dataset, recipe
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from tqdm import tqdm

from vitlit import checkpoint, files, records
from vitlit import train as training
from vitlit.batches import batches_of
from vitlit.classifier import load
from vitlit.encoder import Encoder
from vitlit.evaluate import evaluate
from vitlit.train import (
    DivergedError,
    Learner,
    classifier_for,
    fewer_patches,
    optimizers_for,
    rate_at,
    train_epoch,
)

FILES = {
    "config.json", "metrics.csv", "positions.npz", "environment.json", "data.json",
    "summary.json", "model.safetensors", "mistakes.npz", "predictions.npz",
}  # fmt: skip


def train(recipe, data, out, **how):
    return training.train(recipe, data, out, progress=False, **how)


def weights_of(folder):
    return load(folder / "model.safetensors").model.state_dict()


def same_weights(a, b):
    a, b = weights_of(a), weights_of(b)
    return all(torch.equal(a[name], b[name]) for name in a | b)


# Learning


def test_the_first_loss_is_ln_of_the_number_of_classes(tmp_path):
    run = train(recipe(epochs=1, batch_size=24), dataset(24), tmp_path)
    assert run.metrics["train_loss"] == [pytest.approx(math.log(3), rel=1e-6)]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_one_batch_can_be_learned_by_heart(tmp_path, optimizer):
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 3, (12,), generator=random)
    data = replace(
        dataset(), train_images=images.repeat(8, 1, 1, 1), train_labels=labels.repeat(8),
        test_images=images, test_labels=labels, test_files=tuple("abcdefghijkl"), flip=False,
    )  # fmt: skip
    settings = {"crop": 0.0, "label_smoothing": 0.0, "learning_rate": 0.01}
    run = train(recipe(epochs=6, batch_size=12, optimizer=optimizer, **settings), data, tmp_path)
    assert run.metrics["test_loss"][-1] < 0.1
    assert run.summary["test_accuracy"] == 1
    assert np.trace(run.summary["confusion"]) == 12


def test_it_learns_what_can_be_learned_and_reports_the_last_epoch(tmp_path):
    run = train(recipe(epochs=8), dataset(), tmp_path)
    assert run.metrics["train_loss"][-1] < run.metrics["train_loss"][0]
    assert run.summary["test_accuracy"] == run.metrics["test_accuracy"][-1] > 0.8


def test_bfloat16_leaves_weights_in_float32(tmp_path):
    run = train(recipe(precision="bf16"), dataset(), tmp_path)
    assert all(math.isfinite(loss) for loss in run.metrics["train_loss"])
    assert {t.dtype for t in weights_of(tmp_path).values()} == {torch.float32}


def test_progress_shows_rate_and_accuracy(tmp_path, capsys):
    training.train(recipe(), dataset(), tmp_path)
    assert " images/s, epoch 3" in capsys.readouterr().err


# Fewer patches


def inputs_of_the_encoder(model, images):
    seen = []
    hook = model.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(images)
    hook.remove()
    return seen[0]


@pytest.mark.parametrize("pooling", ["class", "mean"])
def test_fewer_patches_enter_each_with_its_position_and_the_class_token_first(pooling):
    settings = recipe(model={"pooling": pooling, "patch_size": 2})
    model = classifier_for(settings, dataset(), dataset().train_images).model
    images = torch.randn(6, 3, 8, 8)
    extra = int(pooling == "class")
    whole = inputs_of_the_encoder(model, images)
    torch.manual_seed(0)
    with fewer_patches(model, 0.5):
        some = inputs_of_the_encoder(model, images)
    assert some.shape == (6, extra + 8, 16)
    same = (some[:, :, None] == whole[:, None]).all(-1)
    assert same.any(-1).all()
    chosen = same.int().argmax(-1)
    assert all(len(set(row)) == extra + 8 for row in chosen.tolist())
    assert len(set(map(frozenset, chosen.tolist()))) > 1
    if extra:
        assert chosen[:, 0].tolist() == [0] * 6
    assert torch.equal(inputs_of_the_encoder(model, images), whole)


def test_all_patches_are_back_after_an_error():
    model = classifier_for(recipe(), dataset(), dataset().train_images).model
    with pytest.raises(RuntimeError), fewer_patches(model, 0.5):
        raise RuntimeError
    assert inputs_of_the_encoder(model, torch.randn(2, 3, 8, 8)).shape == (2, 5, 16)


def test_patches_are_left_out_in_the_first_epochs_only_and_never_in_tests(tmp_path, monkeypatch):
    seen = []
    forward = Encoder.forward

    def note(self, tokens):
        seen.append((self.training, tokens.shape[1]))
        return forward(self, tokens)

    monkeypatch.setattr(Encoder, "forward", note)
    train(recipe(keep=(0.5, 0.5, 1.0)), dataset(), tmp_path)
    trained = [tokens for training, tokens in seen if training]
    assert trained == [3] * 6 + [5] * 3
    assert {tokens for training, tokens in seen if not training} == {5}


# Optimizers


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("model", [{}, {"head": "mlp"}, {"pooling": "mean"}])
def test_matrices_decay_and_nothing_else(optimizer, model):
    settings = recipe(optimizer=optimizer, weight_decay=0.3, model=model)
    network = classifier_for(settings, dataset(), dataset().train_images).model
    decay = {
        parameter: group["weight_decay"]
        for chosen in optimizers_for(network, settings)
        for group in chosen.param_groups
        for parameter in group["params"]
    }
    names = {name: decay.pop(parameter) for name, parameter in network.named_parameters()}
    assert not decay
    matrices = {name for name, value in names.items() if value == 0.3}
    layers = ["attention.qkv", "attention.out", "mlp.grow", "mlp.shrink"]
    expected = {f"encoder.blocks.{i}.{layer}.weight" for i in range(2) for layer in layers}
    expected |= {"embedding.projection.weight"}
    expected |= (
        {"head.hidden.weight", "head.output.weight"} if model.get("head") else {"head.weight"}
    )
    assert matrices == expected
    assert {names[name] for name in names if name not in matrices} == {0.0}
    assert "positions.table" in names
    assert ("class_token.token" in names) == ("pooling" not in model)


def test_muon_moves_the_matrices_of_the_blocks_and_adamw_the_rest():
    settings = recipe(optimizer="muon")
    network = classifier_for(settings, dataset(), dataset().train_images).model
    adamw, muon = optimizers_for(network, settings)
    by_muon = {parameter for group in muon.param_groups for parameter in group["params"]}
    by_adamw = {parameter for group in adamw.param_groups for parameter in group["params"]}
    assert by_muon | by_adamw == set(network.parameters())
    assert not by_muon & by_adamw
    assert by_muon == {p for p in network.encoder.blocks.parameters() if p.dim() == 2}
    parts = {p: group["parts"] for group in muon.param_groups for p in group["params"]}
    assert {name for name, p in network.named_parameters() if parts.get(p) == 3} == {
        name for name, _ in network.named_parameters() if name.endswith("qkv.weight")
    }
    assert {group["lr"] for group in muon.param_groups} == {settings.muon_learning_rate}
    assert {group["lr"] for group in adamw.param_groups} == {settings.learning_rate}


def test_fixed_positions_are_left_alone(tmp_path):
    settings = recipe(model={"positions": "sincos"})
    start = classifier_for(settings, dataset(), dataset().train_images).model
    run = train(settings, dataset(), tmp_path)
    assert torch.equal(weights_of(tmp_path)["positions.table"], start.positions.table)
    learned = sum(p.numel() for p in start.parameters()) - start.positions.table.numel()
    assert run.summary["parameters"] == learned


def test_the_rate_rises_in_a_straight_line_and_falls_in_half_a_cosine():
    rates = [rate_at(step, 100, 0.1) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx(
        [(1 + math.cos(math.pi * step / 90)) / 2 for step in range(91)]
    )
    assert max(rates) == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.1), (2, 0.0), (3, 1.0), (5, 0.5)])
def test_the_rate_stays_between_0_and_1_in_short_runs(steps, warmup):
    rates = [rate_at(step, steps, warmup) for step in range(steps)]
    assert all(0 < rate <= 1 for rate in rates)


# Repeating


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path):
    settings = recipe(model={"dropout": 0.2})
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(replace(settings, seed=seed), dataset(), tmp_path / name)
    assert same_weights(tmp_path / "a", tmp_path / "b")
    assert not same_weights(tmp_path / "a", tmp_path / "c")


class PowerCut(BaseException):
    """Ends a run like a plug that is pulled: nothing catches it."""


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("batch", [0, 1], ids=["between epochs", "inside an epoch"])
def test_an_interrupted_run_ends_as_if_nothing_had_happened(
    tmp_path, monkeypatch, optimizer, batch
):
    settings = recipe(optimizer=optimizer, model={"dropout": 0.2, "stochastic_depth": 0.2})

    def cut(images, labels, recipe, flip, epoch):
        for i, pair in enumerate(batches_of(images, labels, recipe, flip, epoch)):
            if (epoch, i) == (2, batch):
                raise PowerCut
            yield pair

    whole = train(settings, dataset(), tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(training, "batches_of", cut)
        with pytest.raises(PowerCut):
            train(settings, dataset(), tmp_path / "cut")
    assert {path.name for path in (tmp_path / "cut").iterdir()} == {"training.pt"}
    torch.manual_seed(99)
    resumed = train(settings, dataset(), tmp_path / "cut")

    assert_same_runs(whole, resumed)


def test_a_run_that_ends_while_it_saves_goes_on_from_the_state_before(tmp_path, monkeypatch):
    whole = train(recipe(), dataset(), tmp_path / "whole")
    saves = []

    def fail_the_second_time(path, content):
        saves.append(path)
        if len(saves) == 2:
            monkeypatch.setattr(os, "fsync", no_space)
        write(path, content)

    write = files.write
    with monkeypatch.context() as patch:
        patch.setattr(files, "write", fail_the_second_time)
        with pytest.raises(OSError, match="No space left"):
            train(recipe(), dataset(), tmp_path / "full")
    monkeypatch.undo()
    assert {path.name for path in (tmp_path / "full").iterdir()} == {"training.pt"}
    assert_same_runs(whole, train(recipe(), dataset(), tmp_path / "full"))


def no_space(*_):
    raise OSError(28, "No space left on device")


def assert_same_runs(a, b):
    """All that two runs left is equal, but for the time they took."""
    assert same_weights(a.path, b.path)
    assert {**a.metrics, "seconds": []} == {**b.metrics, "seconds": []}
    assert {**a.summary, "train_seconds": 0} == {**b.summary, "train_seconds": 0}
    tables = [np.load(run.path / "positions.npz")["positions"] for run in (a, b)]
    assert np.array_equal(*tables)
    for run in (a, b):
        assert {path.name for path in run.path.iterdir()} == FILES
        assert run.metrics["seconds"] == sorted(run.metrics["seconds"])


def test_a_finished_run_is_not_written_over(tmp_path):
    train(recipe(), dataset(), tmp_path)
    before = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(FileExistsError, match="holds a finished run; give another --name"):
        train(recipe(seed=1), dataset(), tmp_path)
    assert (tmp_path / "model.safetensors").read_bytes() == before


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """A folder with a run that was cut off in its second epoch."""

    def cut(images, labels, recipe, flip, epoch):
        if epoch == 1:
            raise PowerCut
        yield from batches_of(images, labels, recipe, flip, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(training, "batches_of", cut)
        with pytest.raises(PowerCut):
            train(recipe(), dataset(), tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 4, "learning_rate": 1e-3}, "epochs, learning_rate"),
        ({"model": {"width": 32}}, "model"),
    ],
)
def test_an_unfinished_run_of_another_recipe_is_refused(unfinished, changes, named):
    state = (unfinished / "training.pt").read_bytes()
    message = f"unfinished run with another {named}; repeat its command to finish it, or .* --name"
    with pytest.raises(ValueError, match=message):
        train(recipe(**changes), dataset(), unfinished)
    assert (unfinished / "training.pt").read_bytes() == state


def test_an_unfinished_run_on_other_data_is_refused(unfinished):
    with pytest.raises(ValueError, match="unfinished run with another data"):
        train(recipe(), dataset(seed=1), unfinished)


def test_a_damaged_state_is_refused(unfinished):
    state = unfinished / "training.pt"
    state.write_bytes(state.read_bytes()[:-50])
    with pytest.raises(checkpoint.CheckpointError, match=r"training.pt is damaged .*; delete it"):
        train(recipe(), dataset(), unfinished)


# Runs without sense

# Each step multiplies the matrices by −99.
WILD = {"learning_rate": 10.0, "weight_decay": 10.0, "warmup": 0.0}


def test_a_run_that_diverges_says_where_and_what_helps_and_writes_no_record(tmp_path):
    message = (
        r"the run diverged in epoch 1: the loss is (nan|inf) in step \d+; "
        r"lower learning_rate \(10\.0\), weight_decay \(10\.0\); nothing was written$"
    )
    with pytest.raises(DivergedError, match=message):
        train(recipe(**WILD, batch_size=1), dataset(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def poisoned(monkeypatch, at):
    """Makes the loss of one step not a number; steps are counted over the whole run."""
    steps, loss = [], F.cross_entropy

    def count(*given, **how):
        steps.append(given)
        return loss(*given, **how) * (math.nan if len(steps) == at else 1)

    monkeypatch.setattr(training.F, "cross_entropy", count)


@pytest.mark.parametrize("step", [1, 3, 10, 14])
def test_the_first_step_whose_loss_is_no_number_is_named(tmp_path, monkeypatch, step):
    poisoned(monkeypatch, step)
    with pytest.raises(DivergedError, match=rf"in epoch 1: the loss is nan in step {step};"):
        train(recipe(batch_size=1), dataset(15), tmp_path)


def test_a_run_stops_soon_after_its_loss_is_no_number(tmp_path, monkeypatch):
    poisoned(monkeypatch, 2)
    seen = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(
        torch.optim.AdamW, "step", lambda *given: seen.append(given) or step(*given)
    )
    with pytest.raises(DivergedError, match="in step 2;"):
        train(recipe(batch_size=1), dataset(), tmp_path)
    assert len(seen) <= training.CHECKED


def test_what_was_good_before_is_kept_and_repeating_says_the_same(tmp_path, monkeypatch):
    def broken(images, labels, recipe, flip, epoch):
        for batch in batches_of(images, labels, recipe, flip, epoch):
            if epoch == 2:
                broken.model.head.bias.data += math.inf
            yield batch

    build = training.classifier_for

    def remember(*given):
        classifier = build(*given)
        broken.model = classifier.model
        return classifier

    monkeypatch.setattr(training, "classifier_for", remember)
    monkeypatch.setattr(training, "batches_of", broken)
    for _ in range(2):
        with pytest.raises(
            DivergedError,
            match=r"epoch 3: the loss is nan in step 1; lower .*; the"
            r" state after epoch 2 is kept in .*training.pt, but goes the same way",
        ):
            train(recipe(), dataset(), tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]
        assert len(checkpoint.read(tmp_path / "training.pt")["rows"]) == 2
    monkeypatch.undo()  # what is kept is sound
    assert train(recipe(), dataset(), tmp_path).metrics["epoch"] == [1, 2, 3]


def test_weights_that_a_last_step_ruined_are_noticed_by_the_test(tmp_path, monkeypatch):
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda p, c: [q.grad.mul_(math.inf) for q in p] and clip
    )
    with pytest.raises(DivergedError, match="epoch 1: the loss of the test images is nan; lower"):
        train(recipe(epochs=1, batch_size=24), dataset(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_half_precision_cannot_hold_is_not_stored_in_it(tmp_path, monkeypatch):
    build = training.classifier_for

    def large(*given):
        classifier = build(*given)
        classifier.model.head.weight.data += 1e5
        return classifier

    monkeypatch.setattr(training, "classifier_for", large)
    with pytest.raises(DivergedError, match="too large for stored=fp16; give --set stored=fp32"):
        train(recipe(epochs=1, stored="fp16"), dataset(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["training.pt"]


def test_without_clipping_it_is_proposed(tmp_path):
    with pytest.raises(DivergedError, match=r"or clip gradients with clip=1; nothing was written"):
        train(recipe(**WILD, batch_size=1, clip=0.0), dataset(), tmp_path)


def uncompiled(*_):
    raise torch._dynamo.exc.InternalTorchDynamoError("no C++ compiler\nand much more")


def full(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nSee more")


def full_of_arrays(*_):
    torch.empty(2**60)


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (
            uncompiled,
            r"compile is true, but the model cannot be compiled \(no C.. compiler\); set compile=f",
        ),
        (full, r"batch_size is 8, for which there is no memory \(CUDA out of .* GiB\.\); lower it"),
        (full_of_arrays, r"batch_size is 8, for which there is no memory \(.*; lower it, or model"),
    ],
)
def test_what_a_machine_cannot_do_is_said_in_one_line(tmp_path, monkeypatch, forward, message):
    monkeypatch.setattr(torch, "compile", lambda model: forward)
    with pytest.raises(ValueError, match=message):
        train(recipe(compile=True), dataset(), tmp_path / "run")


def test_another_error_stays_what_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda model: lambda _: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent"):
        train(recipe(compile=True), dataset(), tmp_path / "run")


# Numbers that are derived from the data


def test_a_channel_that_is_the_same_everywhere_trains(tmp_path):
    data = dataset()
    for images in (data.train_images, data.test_images):
        images[:, 2] = 0
    run = train(recipe(), data, tmp_path)
    assert all(map(math.isfinite, run.metrics["train_loss"] + run.metrics["test_loss"]))
    assert load(run.weights).std[2] == 1


@pytest.mark.parametrize(("H", "W"), [(64, 8), (4, 64), (8, 4)])
def test_narrow_pictures_train_with_the_crops_of_the_default(tmp_path, H, W):
    data = dataset()
    sized = {
        f"{name}_images": F.interpolate(getattr(data, f"{name}_images"), (H, W))
        for name in ("train", "test")
    }
    assert train(recipe(crop=0.5), replace(data, **sized), tmp_path).summary["epochs"] == 3


@pytest.mark.parametrize("count", [3, 7, 9])
def test_a_few_images_train_with_any_batch_size(tmp_path, count):
    run = train(recipe(batch_size=128, mix=0.5), dataset(count), tmp_path)
    assert run.summary["epochs"] == 3


def test_a_keep_that_leaves_no_patch_is_refused(tmp_path):
    message = r"keep is 0.1, which leaves none of 2×2 patches; set it to at least 0.25"
    with pytest.raises(ValueError, match=message):
        train(recipe(keep=(0.1, 1.0)), dataset(), tmp_path)


# The record


def test_the_record_is_complete(tmp_path):
    settings = recipe(seed=3, model={"dropout": 0.1})
    data = dataset()
    returned = train(settings, data, tmp_path / "run", command="vitlit train --seed 3")
    run = records.read(tmp_path / "run")
    assert run == returned
    assert {path.name for path in run.path.iterdir()} == FILES

    assert run.config["command"] == "vitlit train --seed 3"
    expected = json.loads(json.dumps(asdict(settings)))
    assert {name: run.config[name] for name in expected} == expected
    assert run.config["vit"]["image_size"] == [8, 8]
    assert run.config["vit"]["dropout"] == 0.1
    assert {
        "commit",
        "python",
        "versions",
        "system",
        "processor",
        "cores",
        "processes",
        "threads",
        "instructions",
        "gpu",
    } == set(run.environment)
    assert {"torch", "torchvision", "numpy"} <= set(run.environment["versions"])
    assert run.environment["gpu"] is None
    assert run.data == data.summary()
    assert run.data["counts"] == {"train": 24, "test": 11}

    with open(run.path / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert set(run.metrics) == {
        "epoch", "train_loss", "test_loss", "test_accuracy", "learning_rate", "seconds",
    }  # fmt: skip
    positions = np.load(run.path / "positions.npz")["positions"]
    assert positions.shape == (4, 5, 16)
    assert positions.dtype == np.float16
    last = weights_of(run.path)["positions.table"]
    np.testing.assert_allclose(positions[-1], last, atol=1e-3)

    summary = run.summary
    assert summary == json.loads((run.path / "summary.json").read_text())
    assert (summary["preset"], summary["variant"], summary["seed"]) == ("custom", "", 3)
    assert (summary["data"], summary["data_title"]) == ("tiny", "tiny")
    assert (summary["tested_on"], summary["tested"]) == ("test images", 11)
    assert (summary["device"], summary["epochs"]) == ("cpu", 3)
    assert summary["train_seconds"] == run.metrics["seconds"][-1] > 0


def test_the_summary_says_what_the_stored_weights_do(tmp_path):
    data = dataset()
    summary = train(recipe(), data, tmp_path).summary
    classifier = load(tmp_path / "model.safetensors")
    assert classifier.classes == CLASSES
    assert classifier.trained_on == "tiny"
    assert summary["parameters"] == sum(p.numel() for p in classifier.model.parameters())
    result = evaluate(classifier, data.test_images, data.test_labels)
    assert summary["test_accuracy"] == result.accuracy
    assert summary["test_loss"] == pytest.approx(result.loss, rel=1e-5)
    confusion = np.zeros((3, 3), dtype=int)
    for true, predicted in zip(data.test_labels, result.predictions, strict=True):
        confusion[true, predicted] += 1
    assert summary["confusion"] == confusion.tolist()
    for k, name in enumerate(CLASSES):
        assert summary["per_class"][name] == confusion[k, k] / confusion[k].sum()


def test_the_model_learns_statistics_of_training_images_only(tmp_path):
    data = dataset()
    train(recipe(epochs=1), replace(data, test_images=data.test_images // 2), tmp_path)
    classifier = load(tmp_path / "model.safetensors")
    pixels = data.train_images.numpy()
    np.testing.assert_allclose(classifier.mean, pixels.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(classifier.std, pixels.std((0, 2, 3)), rtol=1e-5)


# Holding images back


def test_tuning_leaves_the_test_images_untouched(tmp_path):
    data = dataset()
    other = replace(data, test_images=255 - data.test_images, test_labels=data.test_labels.flip(0))
    runs = [train(recipe(holdout=6), d, tmp_path / name) for name, d in (("a", data), ("b", other))]
    assert_same_runs(*runs)
    assert runs[0].summary["tested_on"] == "6 training images"
    assert runs[0].summary["tested"] == 6


def test_a_class_of_which_nothing_was_kept_back_has_no_accuracy(tmp_path):
    data = dataset(24)
    rare = replace(data, train_labels=(torch.arange(24) == 0).long() * 2)
    summary = train(recipe(holdout=4), rare, tmp_path).summary
    assert summary["per_class"]["ant"] is not None
    assert summary["per_class"]["bee"] is None


# Averages, mixed images, ablations


def test_the_average_of_the_weights_is_tested_and_kept(tmp_path):
    plain = train(recipe(), dataset(), tmp_path / "plain")
    averaged = train(recipe(average=0.9), dataset(), tmp_path / "averaged")
    assert averaged.metrics["train_loss"] == plain.metrics["train_loss"]
    assert averaged.metrics["test_loss"] != plain.metrics["test_loss"]
    assert not same_weights(plain.path, averaged.path)


def test_the_average_is_an_exponential_one(tmp_path, monkeypatch):
    weights = []

    class Remembering(AveragedModel):
        def update_parameters(self, model):
            weights.append(model.head.weight.detach().clone())
            super().update_parameters(model)

    monkeypatch.setattr(training, "AveragedModel", Remembering)
    train(recipe(average=0.75), dataset(), tmp_path)
    expected = weights[0]
    for value in weights[1:]:
        expected = 0.75 * expected + 0.25 * value
    assert len(weights) == 9
    torch.testing.assert_close(weights_of(tmp_path)["head.weight"], expected)


def test_the_most_confident_mistakes_are_kept(tmp_path):
    data = dataset(24, 60)
    noisy = replace(data, test_labels=data.test_labels.flip(0))
    run = train(recipe(epochs=1), noisy, tmp_path)
    kept = np.load(run.path / "mistakes.npz")
    classifier = load(tmp_path / "model.safetensors")
    chances = classifier.logits(torch.from_numpy(kept["images"])).softmax(dim=1)
    assert (kept["true"] != kept["predicted"]).all()
    assert torch.equal(chances.argmax(dim=1), torch.from_numpy(kept["predicted"]))
    np.testing.assert_allclose(chances.amax(dim=1), kept["probability"], rtol=1e-4)
    assert (np.diff(kept["probability"]) <= 0).all()
    assert len(kept["true"]) == 16


@pytest.mark.parametrize(
    "changes", [{"norm": "post"}, {"patches": "shuffled"}], ids=["norm", "patches"]
)
def test_weights_that_no_configuration_describes_are_not_stored(tmp_path, changes):
    run = train(recipe(variant="an ablation", **changes), dataset(), tmp_path)
    assert run.weights is None
    assert {path.name for path in tmp_path.iterdir()} == FILES - {"model.safetensors"}


# Pulling the plug: SIGKILL, at random moments


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_ends_with_the_same_weights(tmp_path):
    assert interruptions.check(4, tmp_path) == 4


def test_weights_stored_in_half_precision_are_those_that_were_tested(tmp_path):
    data = dataset(24, 60)
    run = train(recipe(stored="fp16"), data, tmp_path / "half")
    whole = train(recipe(), data, tmp_path / "whole")
    sizes = [(r.path / "model.safetensors").stat().st_size for r in (run, whole)]
    assert sizes[0] < 0.65 * sizes[1]
    classifier = load(run.weights)
    assert {t.dtype for t in classifier.model.state_dict().values()} == {torch.float32}
    result = evaluate(classifier, data.test_images, data.test_labels)
    assert (run.summary["test_accuracy"], run.summary["test_loss"]) == (
        result.accuracy,
        result.loss,
    )


@pytest.mark.slow
def test_a_long_run_keeps_the_positions_of_some_epochs_and_of_the_last(tmp_path):
    data = dataset(8, 3)
    run = train(recipe(epochs=120), data, tmp_path)
    positions = np.load(tmp_path / "positions.npz")["positions"]
    assert len(positions) == 1 + 40
    assert len(run.metrics["epoch"]) == 120
    np.testing.assert_allclose(positions[-1], weights_of(tmp_path)["positions.table"], atol=1e-3)


class NoDouble(TorchDispatchMode):
    """Fails where something is computed in float64."""

    def __torch_dispatch__(self, call, types, args=(), kwargs=None):
        found = call(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            assert getattr(tensor, "dtype", None) != torch.float64, call
        return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_runs_on_the_device_needs_no_float64_which_apples_gpus_lack(precision):
    settings = recipe(
        optimizer="muon", average=0.9, operations=2, erase=0.3, mix=0.5, keep=(0.5, 1.0),
        precision=precision, model={"dropout": 0.1, "stochastic_depth": 0.1},
    )  # fmt: skip
    data = dataset()
    labels = F.one_hot(data.train_labels, 3).float()
    classifier = classifier_for(settings, data, data.train_images)
    learner = Learner(classifier, optimizers_for(classifier.model, settings), settings, 9)
    with NoDouble(), tqdm(disable=True) as bar, fewer_patches(classifier.model, 0.5):
        batches = batches_of(data.train_images, labels, settings, True, 0)
        train_epoch(learner, batches, bar)
        classifier.logits(data.test_images)
        classifier.watch(torch.zeros(2, 3, 12, 12, dtype=torch.uint8))
