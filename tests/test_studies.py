"""vitlit.studies: what is computed from many runs."""

import math
from pathlib import Path

import numpy as np
import pytest

from vitlit import records, studies


def runs_of(variant, accuracies, seconds=60.0, **other):
    """What the statistics need of records: a run a seed."""
    about = {"variant": variant, "preset": "ablation", "data": "cifar10", "epochs": 1, **other}
    return [
        records.Run(
            Path(f"{variant}-{seed}"), {}, {}, {},
            {**about, "seed": seed, "test_accuracy": accuracy, "train_seconds": seconds}, {},
        )
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip


ROOT = Path(__file__).resolve().parents[1]
BASE = runs_of("", [0.50, 0.52, 0.54])


def test_a_change_is_compared_seed_by_seed_and_the_most_harmful_comes_first():
    better, worse = runs_of("b", [0.53, 0.56, 0.57], 120), runs_of("w", [0.40, 0.42, 0.44])
    first, second = studies.effects([*better, *reversed(BASE), *reversed(worse)])
    assert (first.variant, second.variant) == ("w", "b")
    assert first.differences == pytest.approx([-10, -10, -10])
    assert second.differences == pytest.approx([3, 4, 3])
    assert (first.mean, second.mean) == pytest.approx((-10, 10 / 3))
    assert (first.cost, second.cost) == (1, 2)
    assert first.measurable
    assert second.measurable
    assert [run.summary["seed"] for run in first.base] == [0, 1, 2]


def test_a_difference_within_the_spread_is_not_measurable():
    [effect] = studies.effects([*BASE, *runs_of("x", [0.51, 0.54, 0.53])])
    assert effect.differences == pytest.approx([1, 2, -1])
    assert effect.spread == pytest.approx(math.sqrt(7 / 3))
    assert not effect.measurable


def test_seeds_that_agree_by_luck_do_not_make_a_difference_measurable():
    lucky = runs_of("lucky", [0.502, 0.522, 0.542])
    usual = runs_of("usual", [0.51, 0.51, 0.55])
    wild = runs_of("wild", [0.10, 0.52, 0.30])
    effects = {e.variant: e for e in studies.effects([*BASE, *lucky, *usual, *wild])}
    assert effects["lucky"].spread == effects["usual"].spread == pytest.approx(math.sqrt(4 / 3))
    assert not effects["lucky"].measurable
    # The wild one keeps its own spread, and does not drown what the others say.
    assert effects["wild"].spread > 10


def test_one_seed_measures_nothing_and_several_changes_lend_their_spread():
    alone = studies.effects([*BASE, *runs_of("x", [0.1])])
    assert (alone[0].spread, alone[0].limit, alone[0].measurable) == (math.inf, math.inf, False)
    several = [runs_of(name, [0.50, 0.53, 0.54]) for name in "yz"]
    one, other, _ = studies.effects([*BASE, *runs_of("x", [0.1]), *several[0], *several[1]])
    assert (one.variant, one.measurable) == ("x", True)
    assert one.limit == pytest.approx(other.limit * math.sqrt(3))


@pytest.mark.parametrize(
    "other", [{"preset": "cpu"}, {"data": "cifar10-jpeg"}, {"epochs": 2}], ids=str
)
def test_only_what_is_the_same_but_for_one_thing_is_compared(other):
    assert studies.effects([*BASE, *runs_of("x", [0.4, 0.4, 0.4], **other)]) == []
    assert studies.effects(runs_of("x", [0.4, 0.4])) == []
    [effect] = studies.effects([*BASE[:2], *runs_of("x", [0.4, 0.4, 0.4])])
    assert len(effect.differences) == 2


def test_of_many_changes_that_do_nothing_hardly_ever_one_passes_for_measurable():
    random, studies_with_one = np.random.default_rng(0), 0
    for _ in range(400):
        runs = []
        for preset, changes in (("ablation", 9), ("ablation-half", 8)):
            for k in range(changes + 1):
                accuracies = random.normal(0.5, 0.005, 3).tolist()
                runs += runs_of(f"{k}" if k else "", accuracies, preset=preset)
        studies_with_one += any(effect.measurable for effect in studies.effects(runs))
    assert studies_with_one / 400 == pytest.approx(0.05, abs=0.03)


def test_more_changes_need_a_larger_difference_and_more_seeds_a_smaller_one():
    few, many = studies.spreads_needed((5,), 3), studies.spreads_needed((10, 10), 3)
    assert 1 < few < many
    assert studies.spreads_needed((10, 10), 5) < few


def answered(name, right, **other):
    """A run with answers: which of its images it named correctly."""
    about = {"tested_on": "test images", **other}
    found = records.Run(Path(name), {}, {}, {"checksum": "c"}, about, {})
    vars(found)["answers"] = right
    return found


def test_runs_are_compared_image_by_image(monkeypatch):
    monkeypatch.setattr(records.Run, "right", property(lambda run: vars(run)["answers"]))
    first = answered("a", np.array([True] * 6 + [False] * 14))
    second = answered("b", np.array([True] * 5 + [False] + [True] * 7 + [False] * 7))
    pair = studies.paired(first, second)
    assert (pair.only_first, pair.only_second, pair.tested) == (1, 7, 20)
    assert pair.difference == pytest.approx(30)
    # By the definition of the standard error of a mean of differences −1, 0 and 1.
    each = np.array([-1] + [1] * 7 + [0] * 12)
    assert pair.error == pytest.approx(100 * each.std() / math.sqrt(20))
    assert pair.chance == pytest.approx(2 * (1 + 8) / 2**8)
    assert studies.paired(first, first).chance == 1
    assert studies.Paired(700, 800, 10_000).chance == pytest.approx(0.0106, abs=2e-4)
    with pytest.raises(ValueError, match="were tested on other images"):
        studies.paired(first, answered("c", second.right, tested_on="5 training images"))
    monkeypatch.setattr(records.Run, "right", None)
    with pytest.raises(ValueError, match="a does not keep its predictions; train it again"):
        studies.paired(first, second)


def run(preset, accuracy, seed=0, **other):
    """A run of which only the summary matters."""
    summary = {
        "preset": preset, "variant": "", "seed": seed, "data": "cifar10", "device": "cpu",
        "parameters": 1000, "tested_on": "test images", "test_accuracy": accuracy, **other,
    }  # fmt: skip
    return records.Run(Path(f"{preset}-{seed}"), {}, {}, {}, summary, {})


def test_the_best_run_is_the_first_seed_of_the_best_preset_that_is_no_study():
    runs = [
        run("cpu", 0.70), run("cpu", 0.99, seed=1), run("cpu-long", 0.80), run("quick", 0.30),
        run("finetune-32", 0.97), run("cpu", 0.95, variant="x"), run("cpu", 0.96, data="digits"),
        run("gpu", 0.98, tested_on="5000 training images"),
    ]  # fmt: skip
    assert studies.best(runs).summary["preset"] == "cpu-long"
    assert studies.best(runs[:2]).summary["seed"] == 0
    assert studies.best(runs[4:]) is None


def test_the_books_best_run_has_its_weights():
    assert studies.best(records.find(ROOT / "runs")).weights
