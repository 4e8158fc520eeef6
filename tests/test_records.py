"""vitlit.records: what a run leaves, and what is refused."""

import json
import math
import os
import re
import shutil
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


def test_the_books_runs_are_those_of_the_checkout(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    checkout = Path(records.__file__).parents[2]  # of the module, wherever it was copied to
    assert records.book() == checkout / "runs"
    assert all(run.path.parent == checkout / "runs" for run in records.find())


def test_a_readers_runs_lie_apart_in_the_checkout_or_where_he_is(monkeypatch, tmp_path):
    (tmp_path / "book" / "runs").mkdir(parents=True)
    (tmp_path / "book" / "notebooks").mkdir()
    monkeypatch.setattr(records, "book", lambda: tmp_path / "book" / "runs")
    monkeypatch.delenv("VITLIT_RUNS", raising=False)
    for here, folder in (("book/notebooks", "book/my-runs"), (".", "my-runs")):
        monkeypatch.chdir(tmp_path / here)
        assert records.mine() == tmp_path / folder
    monkeypatch.setenv("VITLIT_RUNS", "elsewhere")
    assert records.mine() == tmp_path / "elsewhere"
    monkeypatch.chdir(tmp_path / "book" / "notebooks")
    assert records.mine() == tmp_path / "book" / "elsewhere"
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "far"))
    assert records.mine() == tmp_path / "far"


def test_the_readers_newest_run_comes_first_and_then_the_books_best(monkeypatch, tmp_path):
    monkeypatch.setattr(records, "book", lambda: tmp_path / "runs")
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "mine"))
    for number, name in enumerate(("mine/new", "mine/old")):
        summary = write(tmp_path / name, 0.1) / "summary.json"
        os.utime(summary, (1000 - number, 1000 - number))
    for name, accuracy in (("runs/a", 0.3), ("runs/b", 0.9)):
        write(tmp_path / name, accuracy)
    assert [run.name for run in records.everywhere()] == ["new", "old", "b", "a"]
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "runs"))
    assert [run.name for run in records.everywhere()] == ["b", "a"]


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


# Weights that are not there


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A book with two runs, and a reader with one, and one that is not finished."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(records, "book", lambda: tmp_path / "runs")
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "my-runs"))
    for run in ("runs/cpu-seed0", "runs/tuned", "my-runs/own"):
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "model.safetensors").touch()
    (tmp_path / "my-runs" / "half").mkdir()
    (tmp_path / "my-runs" / "half" / "training.pt").touch()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("cpu-sed0", "; near it are cpu-seed0"),
        ("owm", "; near it are own"),
        ("nothing", "; runs with weights are cpu-seed0, tuned, own"),
        ("runs/own", ": in runs are tuned, cpu-seed0"),
        ("my-runs/oven", ": in my-runs are own"),
        ("half", "a run that is not finished; repeat its command"),
        ("torchvison:vit_b_16", "; the libraries are torchvision:, timm: and huggingface:"),
        ("vit_b_16", "; of a library: torchvision:vit_b_16 or timm:vit_b_16"),
        ("google/vit-base", "; of the hub: huggingface:google/vit-base"),
        ("C:/weights.pth", "; runs with weights are"),
    ],
)
def test_what_is_there_is_named_where_nothing_is(places, source, words):
    said = records.nothing_at(source)
    assert said.startswith(f"no weights {source}; give a file") or source == "half"
    assert words in said


def test_no_folder_of_runs_is_taken_for_a_name_of_the_hub(places, tmp_path):
    shutil.rmtree(tmp_path / "runs")
    assert "huggingface" not in records.nothing_at("runs/own")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_written(tmp_path, monkeypatch, wrong):
    with pytest.raises(ValueError, match=r"run is not written: summary holds .*not JSON compliant"):
        write(tmp_path / "run", wrong)
    monkeypatch.setitem(ROWS[1], "train_loss", wrong)
    with pytest.raises(ValueError, match=r"run is not written: train_loss is -?(nan|inf) in epoch"):
        write(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_name_that_is_no_text_comes_back(tmp_path):
    name = b"caf\xe9".decode(errors="surrogateescape")
    part = {"environment": {}, "data": {"name": name}, "summary": {"test_accuracy": 1}}
    records.write(tmp_path, config={}, rows=ROWS, **part)
    assert records.read(tmp_path).data["name"] == name


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (("cpu",), "cpu"),
        (("cpu", "official"), "cpu"),
        (("cpu", "/somewhere/cifar10-jpeg.tar.xz"), "cpu"),
        (("quick", "digits"), "quick-digits"),
        (("own", "pics/photos.tar.gz"), "own-photos"),
        (("own", "birds.v2/"), "own-birds.v2"),
        (("ablation", "", "pooling=mean", 2), "ablation-pooling-mean-seed2"),
    ],
)
def test_a_run_is_called_after_preset_variant_pictures_and_seed(settings, name):
    assert records.usual_name(*settings) == name


def test_a_folder_for_who_gives_no_name_is_none_that_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(records, "book", lambda: tmp_path / "book")
    (tmp_path / "book/cpu-seed1").mkdir(parents=True)
    assert records.unused("mine") == tmp_path / "runs/mine"
    (tmp_path / "runs/mine").mkdir(parents=True)
    (tmp_path / "runs/mine/training.pt").touch()
    assert records.unused("mine") == tmp_path / "runs/mine"
    (tmp_path / "runs/mine/summary.json").touch()
    assert records.unused("mine") == tmp_path / "runs/mine-2"
    assert records.unused("cpu-seed1") == tmp_path / "runs/cpu-seed1-2"  # which the book has


def test_an_installed_module_does_not_take_a_readers_commit_for_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "book", lambda: tmp_path / "site-packages/vitlit/runs")
    assert records.environment()["commit"] is None


def test_weights_have_a_checksum_and_a_run_without_them_has_none(tmp_path):
    write(tmp_path / "a")
    assert records.read(tmp_path / "a").checksum is None
    found = set()
    for content in (b"one", b"other"):
        (tmp_path / "a" / records.WEIGHTS).write_bytes(content)
        found.add(records.read(tmp_path / "a").checksum)
    assert len(found) == 2
    assert all(checksum.startswith("sha256:") for checksum in found)
