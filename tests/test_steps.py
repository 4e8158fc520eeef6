"""benchmarks.steps: that it times what it says, and that what it writes is what the pages show."""

import json
import statistics
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import rounds, steps
from benchmarks.products import flops_of, limit_step
from vitlit import studies
from vitlit.presets import VARIANTS, preset
from website.throughput import comparisons, training_steps

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """The file that a quick run writes, and what is in it."""
    file = tmp_path_factory.mktemp("results") / studies.STEPS.name
    steps.run(["--quick", "--out", str(file)])
    return file, json.loads(file.read_text(encoding="utf-8"))


CASES = [(name, keep) for name in steps.PRESETS for keep in dict.fromkeys(preset(name).kept)]


@pytest.mark.parametrize(("name", "keep"), CASES)
def test_the_products_are_those_of_a_training_step(monkeypatch, name, keep):
    monkeypatch.setattr(steps, "AT_ONCE", 1)
    recipe = preset(name, batch_size=2, optimizer="adamw")  # Muon multiplies matrices, too
    config = steps.learner_of(recipe)[0].classifier.model.config
    architecture = steps.architecture_of(config)
    step = steps.training(recipe, keep)
    with FlopCounterMode(display=False) as whole:
        step()
    products = architecture.products(2, keep)
    limit = limit_step(products, True, {"dtype": torch.float32, "device": "cpu"})
    with FlopCounterMode(display=False) as alone:
        limit()
    assert whole.get_total_flops() == alone.get_total_flops() == flops_of(products, training=True)


@pytest.mark.parametrize("name", steps.PRESETS)
def test_the_architecture_is_that_of_the_preset(name):
    model = steps.learner_of(preset(name, batch_size=2))[0].classifier.model
    count = sum(p.numel() for p in model.parameters())
    assert steps.architecture_of(model.config).parameters == count


def test_a_model_without_a_class_token_is_refused():
    learner, _ = steps.learner_of(preset("ablation", "pooling=mean"))
    with pytest.raises(ValueError, match="pooling is 'mean', but the products are counted with"):
        steps.architecture_of(learner.classifier.model.config)


def test_a_pass_trains_and_the_optimizers_alone_move_the_weights(monkeypatch):
    made = []
    learner_of = steps.learner_of
    monkeypatch.setattr(steps, "learner_of", lambda r: made.append(learner_of(r)) or made[-1])
    recipe = steps.recipe_of("cpu-long", "", True)
    for make in (lambda: steps.training(recipe, 0.5), lambda: steps.updating(recipe)):
        step = make()
        learner, _ = made[-1]
        before = [p.clone() for p in learner.classifier.model.parameters()]
        step()
        after = learner.classifier.model.parameters()
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    trained, _ = made[0]
    assert trained.schedules[0].last_epoch == steps.AT_ONCE
    assert not trained.classifier.model.positions._forward_hooks


def test_one_step_stands_for_a_run_of_each_variant():
    """Batches and parts of the patches are those of the preset, and one for all epochs."""
    recipes = [preset("ablation", variant) for variant in ("", *VARIANTS)]
    assert len({(recipe.batch_size, recipe.epochs) for recipe in recipes}) == 1
    assert all(len(set(recipe.kept)) == 1 for recipe in recipes)


def test_every_part_of_the_patches_and_every_variant_is_measured(measured):
    _, result = measured
    assert [(case["preset"], case["keep"]) for case in result["presets"]] == CASES
    assert [case["tokens"] for case in result["presets"]] == [17, 33, 33, 65]
    assert list(result["variants"]["changed"]) == list(VARIANTS)
    assert {"threads", "instructions", "commit", "processor"} <= set(result["environment"])
    assert result["command"].startswith("python -m benchmarks.steps --quick")


def test_medians_shares_and_ratios_are_those_of_the_rounds(measured):
    _, result = measured
    count = result["settings"]["rounds"]
    for case in result["presets"]:
        times = case["step"]["milliseconds"]
        assert len(times) == count
        assert case["step"]["median"] == statistics.median(times) > 0
        speed = 1000 * case["batch_size"] / case["step"]["median"]
        assert case["images_per_second"] == pytest.approx(speed)
        for part in ("products", "optimizers"):
            share = case[part]["share"]
            alone = case[part]["milliseconds"]
            expected = [a / b for a, b in zip(alone, times, strict=True)]
            assert share["rounds"] == pytest.approx(expected)
            assert share["median"] == statistics.median(share["rounds"]) > 0
    variants = result["variants"]
    base = variants["unchanged"]["milliseconds"]
    for about in variants["changed"].values():
        expected = [a / b for a, b in zip(about["milliseconds"], base, strict=True)]
        assert about["ratio"]["rounds"] == pytest.approx(expected)
        assert about["ratio"]["deviation"] == pytest.approx(statistics.stdev(expected))


def test_the_book_reads_what_was_written(measured):
    file, result = measured
    changed = result["variants"]["changed"]
    assert studies.costs(file) == {
        name: about["ratio"]["median"] for name, about in changed.items()
    }
    shown = training_steps(file.parent)
    assert [(row["preset"], row["tokens"]) for row in shown["rows"]] == [
        (case["preset"], case["tokens"]) for case in result["presets"]
    ]
    assert shown["rows"][0]["keep"] == "25 %"
    assert shown["command"] == result["command"]
    assert comparisons(file.parent) == []


def test_without_a_measurement_or_with_a_damaged_one(tmp_path):
    assert training_steps(tmp_path) is None
    (tmp_path / studies.STEPS.name).write_text('{"command": ""}')
    with pytest.raises(ValueError, match=r"steps-cpu\.json cannot be read .* repeat `make steps`"):
        training_steps(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rounds", "0"], "--rounds is 0; it must be at least 1"),
        (["--seconds", "0"], "--seconds is 0.0; it must be above 0"),
    ],
)
def test_a_bad_option_ends_in_one_line(monkeypatch, words, message):
    monkeypatch.setattr(sys, "argv", ["steps.py", "--quick", *words])
    with pytest.raises(SystemExit) as end:
        rounds.main(steps.run)
    assert end.value.code == f"error: {message}"
