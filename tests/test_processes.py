"""vitlit.processes: two processes train as one does, and share the evaluation to the image."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers.tiny import dataset, recipe

from vitlit import locks, processes, records
from vitlit.train import train

HERE = Path(__file__).parent
# A hundred epochs of one step each: so the record's losses are the steps'.
SETTINGS = {
    "epochs": 100, "batch_size": 24, "optimizer": "adamw", "learning_rate": 1e-3,
    "operations": 2, "erase": 0.3, "mix": 0.5, "average": 0.9,
}  # fmt: skip
PROGRAM = f"""
import json, sys
sys.path.insert(0, {str(HERE)!r})
from helpers.tiny import dataset, recipe
from vitlit.train import train
train(recipe(**json.loads(sys.argv[2])), dataset(), sys.argv[1], progress=False)
"""


def torchrun(folder, settings, count=2):
    program = folder.with_suffix(".py")
    program.write_text(PROGRAM)
    return subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", str(count), program, folder, json.dumps(settings)),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_without_torchrun_there_is_one_process():
    with processes.joined("cpu") as device:
        assert (device, processes.count(), processes.rank()) == ("cpu", 1, 0)
        assert processes.part_of(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]
        assert processes.sum_over(torch.ones(2)).tolist() == [1, 1]
        processes.wait()


@pytest.mark.parametrize("name", ["cpu:foo", "cuda:x", "tpu", ""])
def test_a_device_that_is_none_is_refused(name):
    with pytest.raises(ValueError, match=f"no device '{name}'; choose cpu, cuda, cuda:N or auto"):
        processes.device_of(name)


def test_a_gpu_is_counted_and_named_by_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    assert processes.device_of("auto") == "cuda"
    assert processes.device_of("cuda:1") == "cuda:1"
    assert processes.machine("cuda:1")["gpu"] == "the GPU cuda:1"
    with pytest.raises(ValueError, match="device 'cuda:2' is not there; use --device cpu"):
        processes.device_of("cuda:2")


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path):
    alone = train(recipe(**SETTINGS), dataset(), tmp_path / "alone", progress=False)
    done = torchrun(tmp_path / "together", SETTINGS)
    assert done.returncode == 0, done.stderr
    together = records.read(tmp_path / "together")
    assert together.environment["processes"] == 2
    assert alone.environment["processes"] == 1
    for column in ("train_loss", "test_loss"):
        pairs = zip(alone.metrics[column], together.metrics[column], strict=True)
        assert max(abs(a - b) for a, b in pairs) <= 1e-4
    assert len(alone.metrics["train_loss"]) == 100
    assert alone.metrics["train_loss"][-1] < 0.9 * alone.metrics["train_loss"][0]
    # 11 test images: an uneven number, none lost and none counted twice.
    assert together.metrics["test_accuracy"] == alone.metrics["test_accuracy"]
    assert together.summary["confusion"] == alone.summary["confusion"]
    assert {p.name for p in together.path.iterdir()} == {p.name for p in alone.path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("mix", [0.0, 0.5])
def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, mix):
    batch = 7 if not mix else 6
    settings = {"epochs": 1, "batch_size": batch, "mix": mix}
    done = torchrun(tmp_path / "uneven", settings)
    assert done.returncode != 0
    assert f"batch_size {batch} of 24 images cannot be shared by 2 processes" in done.stderr
    assert not (tmp_path / "uneven").exists()


@pytest.mark.slow
def test_what_the_first_process_is_refused_all_are_refused(tmp_path):
    with locks.held(tmp_path / "held"):
        done = torchrun(tmp_path / "held", {"epochs": 1, "batch_size": 8})
    assert done.returncode != 0
    assert done.stderr.count("HeldError: ") >= 2
    assert not (tmp_path / "held").exists()


def test_alone_the_first_process_enters_a_context_and_leaves_it():
    seen = []

    @contextmanager
    def context():
        seen.append("in")
        yield
        seen.append("out")

    with processes.by_first(context()):
        assert seen == ["in"]
    assert seen == ["in", "out"]
