"""vitlit.studies: what is computed from many runs."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vitlit import records, studies


def runs_of(variant, accuracies, **other):
    """What the statistics need of records: a run a seed."""
    about = {"variant": variant, "preset": "ablation", "data": "cifar10", "epochs": 1, **other}
    return [
        records.Run(
            Path(f"{variant}-{seed}"), {}, {}, {},
            {**about, "seed": seed, "test_accuracy": accuracy}, {},
        )
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip


ROOT = Path(__file__).resolve().parents[1]
BASE = runs_of("", [0.50, 0.52, 0.54])


def test_a_change_is_compared_seed_by_seed_and_the_most_harmful_comes_first():
    better, worse = runs_of("b", [0.53, 0.56, 0.57]), runs_of("w", [0.40, 0.42, 0.44])
    first, second = studies.effects([*better, *reversed(BASE), *reversed(worse)])
    assert (first.variant, second.variant) == ("w", "b")
    assert first.differences == pytest.approx([-10, -10, -10])
    assert second.differences == pytest.approx([3, 4, 3])
    assert (first.mean, second.mean) == pytest.approx((-10, 10 / 3))
    assert first.measurable
    assert second.measurable
    assert [run.summary["seed"] for run in first.base] == [0, 1, 2]


def test_the_cost_of_a_change_is_the_median_ratio_that_was_measured(tmp_path):
    file = tmp_path / "steps.json"
    changed = {"b": {"ratio": {"median": 1.5, "rounds": [1.4, 1.5, 9.0]}}}
    file.write_text(json.dumps({"variants": {"changed": changed}}))
    costs = studies.costs(file)
    runs = [*BASE, *runs_of("b", [0.53, 0.56, 0.57]), *runs_of("w", [0.40, 0.42, 0.44])]
    assert [(e.variant, e.cost) for e in studies.effects(runs, costs)] == [("w", None), ("b", 1.5)]
    assert [e.cost for e in studies.effects(runs)] == [None, None]


def test_what_was_not_measured_has_no_cost_and_a_damaged_file_is_named(tmp_path):
    assert studies.costs(tmp_path / "none.json") == {}
    for text in ("{", "[]", '{"variants": {"changed": {"b": {"ratio": null}}}}'):
        (tmp_path / "steps.json").write_text(text)
        with pytest.raises(ValueError, match=r"steps\.json cannot be read .* repeat `make steps`"):
            studies.costs(tmp_path / "steps.json")


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


def answered(folder, name, right, seed=0, checksum="a", keeps=True):
    """A run in whose record stands which images it named correctly."""
    answers = {"predicted": 1 - np.array(right), "true": np.zeros(len(right), int)}
    records.write(
        folder / f"{name}-{seed}", config={}, environment={}, data={"checksum": checksum},
        summary={"test_accuracy": float(np.mean(right)), "seed": seed}, rows=[{"epoch": 1}],
        predictions=answers if keeps else None,
    )  # fmt: skip
    return records.read(folder / f"{name}-{seed}")


def test_two_runs_are_compared_answer_by_answer(tmp_path):
    first = answered(tmp_path, "a", [1, 1, 0, 0, 0, 1, 0, 0, 1, 1])
    second = answered(tmp_path, "b", [1, 0, 1, 1, 1, 1, 1, 0, 1, 1])
    pair = studies.paired(first, second)
    assert (pair.gained, pair.lost, pair.tested) == (4, 1, 10)
    assert pair.difference == pytest.approx(30)
    by_hand = np.array([0, -1, 1, 1, 1, 0, 1, 0, 0, 0])
    assert pair.error == pytest.approx(100 * by_hand.std() / math.sqrt(10))
    assert pair.p == pytest.approx(2 * (1 + 5) / 2**5)
    back = studies.paired(second, first)
    assert (back.difference, back.p) == (-pair.difference, pair.p)


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (3, 3), (1, 8), (300, 250), (6000, 2000)])
def test_mcnemars_test_is_that_of_scipy(gained, lost):
    pair = studies.Paired(gained, lost, 10_000)
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1
    assert pair.p == pytest.approx(expected)


def test_only_runs_with_answers_to_the_same_images_are_compared(tmp_path):
    first = answered(tmp_path, "a", [1, 0])
    for other in ({"right": [1, 0, 1]}, {"right": [1, 0], "checksum": "b"}):
        with pytest.raises(ValueError, match="were tested on different images"):
            studies.paired(first, answered(tmp_path, "b", **other))
    silent = answered(tmp_path, "c", [1, 0], keeps=False)
    with pytest.raises(ValueError, match=r"c-0 keeps no answers .* repeat the run"):
        studies.paired(first, silent)


def test_ways_are_compared_on_the_seeds_that_both_have(tmp_path):
    first = [answered(tmp_path, "a", r, s) for s, r in enumerate(([1, 0, 0, 0], [1, 1, 0, 0]))]
    second = [answered(tmp_path, "b", r, s) for s, r in
              ((2, [0, 0, 0, 0]), (1, [1, 1, 1, 1]), (0, [1, 1, 0, 0]))]  # fmt: skip
    found = studies.compared(first, second)
    assert [pair.difference for pair in found.pairs] == [25, 50]
    expected = stats.ttest_1samp([25, 50], 0)
    assert (found.mean, found.error) == pytest.approx((37.5, 12.5))
    assert found.p == pytest.approx(expected.pvalue)
    alone = studies.compared(first[:1], second)
    assert (alone.error, alone.p) == (math.inf, 1.0)


@pytest.mark.parametrize(("differences", "p"), [((2, 2), 0.0), ((0, 0), 1.0)])
def test_seeds_that_agree_to_the_image_have_a_p_of_their_own(differences, p):
    pairs = [studies.Paired(gained, 0, 10) for gained in differences]
    assert studies.Compared(pairs).p == p


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 10])
def test_students_t_is_that_of_scipy(freedom):
    for t in (0.0, 0.5, -2.0, 9.0):
        expected = 2 * stats.t.sf(abs(t), freedom)
        assert studies.student(t, freedom) == pytest.approx(expected, abs=1e-12)


def test_holm_corrects_for_the_number_of_tests_and_keeps_their_order():
    assert studies.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert studies.holm([0.6, 0.9]) == [1, 1]
    assert studies.holm([]) == []


def test_ways_to_learn_stand_in_their_order_by_images_and_seed():
    made = [
        run("pretraining", 0.5, seed, variant=way, images=images)
        for seed in (1, 0) for images in (100, 30) for way in ("scratch", "finetune", "base")
    ]  # fmt: skip
    groups = studies.by_way(made)
    assert list(groups) == ["finetune", "scratch"]
    assert list(groups["scratch"]) == [30, 100]
    assert [one.summary["seed"] for one in groups["scratch"][30]] == [0, 1]
