"""vitlit.records: what a run leaves, and what is refused."""

import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest

from vitlit import records

ROWS = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.5}]


def write(path, accuracy=0.5):
    records.write(
        path,
        config={"seed": 0},
        environment={"cores": 2},
        data={"name": "grüße"},
        summary={"test_accuracy": accuracy},
        rows=ROWS,
        positions=np.zeros((3, 5, 4), dtype=np.float32),
    )
    return path


def test_what_is_written_can_be_read(tmp_path):
    run = records.read(write(tmp_path / "runs" / "one"))
    assert (run.name, run.path) == ("one", tmp_path / "runs" / "one")
    assert (run.config, run.environment) == ({"seed": 0}, {"cores": 2})
    assert (run.data, run.summary) == ({"name": "grüße"}, {"test_accuracy": 0.5})
    assert run.metrics == {"epoch": [1, 2], "train_loss": [2.0, 1.5]}
    assert np.load(run.path / "positions.npz")["positions"].shape == (3, 5, 4)


def test_files_are_small_and_legible(tmp_path):
    write(tmp_path)
    assert (tmp_path / "metrics.csv").read_bytes() == b"epoch,train_loss\n1,2.0\n2,1.5\n"
    assert (tmp_path / "data.json").read_text(encoding="utf-8") == '{\n  "name": "grüße"\n}\n'
    assert np.load(tmp_path / "positions.npz")["positions"].dtype == np.float16


def test_a_run_knows_whether_its_weights_are_here(tmp_path):
    run = records.read(write(tmp_path))
    assert run.weights is None
    (tmp_path / "model.safetensors").touch()
    assert run.weights == tmp_path / "model.safetensors"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("summary.json", None),
        ("config.json", "{"),
        ("data.json", ""),
        ("metrics.csv", None),
        ("metrics.csv", ""),
        ("metrics.csv", "epoch,train_loss\n"),
        ("metrics.csv", "epoch,train_loss\n1,low\n"),
        ("metrics.csv", "epoch,train_loss\n1\n"),
    ],
)
def test_a_damaged_record_is_named(tmp_path, file, content):
    write(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=rf"{re.escape(str(tmp_path / file))} (cannot|is missing)"):
        records.read(tmp_path)


def test_finished_runs_are_found_best_first(tmp_path):
    for name, accuracy in (("a", 0.3), ("b", 0.9), ("c", 0.6)):
        write(tmp_path / name, accuracy)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "training.pt").touch()
    assert [run.name for run in records.find(tmp_path)] == ["b", "c", "a"]
    assert records.find(tmp_path / "nothing") == []


def test_runs_are_those_of_the_nearest_folder_above(tmp_path, monkeypatch):
    below = tmp_path / "notebooks" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert records.folder() == below / "runs"
    write(tmp_path / "runs" / "one")
    assert records.folder() == tmp_path / "runs"
    assert [run.name for run in records.find()] == ["one"]


@pytest.mark.parametrize("full_after", range(6))
def test_a_disk_that_fills_up_leaves_no_half_record(tmp_path, monkeypatch, full_after):
    synced = []

    def fsync(handle):
        if len(synced) == full_after:
            raise OSError(28, "No space left on device")
        synced.append(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match=r"cannot be written \(No space left on device\)"):
            write(tmp_path / "one")
    assert records.find(tmp_path) == []
    assert len(os.listdir(tmp_path / "one")) == full_after
    write(tmp_path / "one")
    assert len(records.find(tmp_path)) == 1


def test_the_environment_says_what_ran(tmp_path, monkeypatch):
    environment = records.environment()
    assert environment["cores"] == os.cpu_count()
    assert {"vitlit", "torch", "torchvision", "numpy"} == set(environment["versions"])
    json.dumps(environment)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert records.environment()["commit"] is None


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


BASE = runs_of("", [0.50, 0.52, 0.54])


def test_a_change_is_compared_seed_by_seed_and_the_most_harmful_comes_first():
    better, worse = runs_of("b", [0.53, 0.56, 0.57], 120), runs_of("w", [0.40, 0.42, 0.44])
    first, second = records.effects([*better, *reversed(BASE), *reversed(worse)])
    assert (first.variant, second.variant) == ("w", "b")
    assert first.differences == pytest.approx([-10, -10, -10])
    assert second.differences == pytest.approx([3, 4, 3])
    assert (first.mean, second.mean) == pytest.approx((-10, 10 / 3))
    assert (first.cost, second.cost) == (1, 2)
    assert first.measurable
    assert second.measurable
    assert [run.summary["seed"] for run in first.base] == [0, 1, 2]


def test_a_difference_within_the_spread_is_not_measurable():
    [effect] = records.effects([*BASE, *runs_of("x", [0.51, 0.54, 0.53])])
    assert effect.differences == pytest.approx([1, 2, -1])
    assert effect.spread == pytest.approx(math.sqrt(7 / 3))
    assert not effect.measurable


def test_seeds_that_agree_by_luck_do_not_make_a_difference_measurable():
    lucky = runs_of("lucky", [0.502, 0.522, 0.542])
    usual = runs_of("usual", [0.51, 0.51, 0.55])
    wild = runs_of("wild", [0.10, 0.52, 0.30])
    assert records.effects([*BASE, *lucky])[0].measurable
    effects = {e.variant: e for e in records.effects([*BASE, *lucky, *usual, *wild])}
    assert effects["lucky"].spread == effects["usual"].spread == pytest.approx(math.sqrt(4 / 3))
    assert not effects["lucky"].measurable
    # The wild one keeps its own spread, and does not drown what the others say.
    assert effects["wild"].spread > 10


def test_one_seed_measures_nothing_and_several_changes_lend_their_spread():
    alone = records.effects([*BASE, *runs_of("x", [0.1])])
    assert (alone[0].spread, alone[0].measurable) == (math.inf, False)
    one, _ = records.effects([*BASE, *runs_of("x", [0.1]), *runs_of("y", [0.50, 0.53, 0.54])])
    assert (one.variant, one.measurable) == ("x", True)


@pytest.mark.parametrize(
    "other", [{"preset": "cpu"}, {"data": "cifar10-jpeg"}, {"epochs": 2}], ids=str
)
def test_only_what_is_the_same_but_for_one_thing_is_compared(other):
    assert records.effects([*BASE, *runs_of("x", [0.4, 0.4, 0.4], **other)]) == []
    assert records.effects(runs_of("x", [0.4, 0.4])) == []
    [effect] = records.effects([*BASE[:2], *runs_of("x", [0.4, 0.4, 0.4])])
    assert len(effect.differences) == 2


def test_about_one_in_eight_changes_that_do_nothing_passes_for_measurable():
    random, found = np.random.default_rng(0), []
    for _ in range(150):
        runs = [*runs_of("", random.normal(0.5, 0.005, 3).tolist())]
        for k in range(14):
            runs += runs_of(f"{k}", random.normal(0.5, 0.005, 3).tolist())
        found += [effect.measurable for effect in records.effects(runs)]
    assert sum(found) / len(found) == pytest.approx(1 / 8, abs=0.04)
