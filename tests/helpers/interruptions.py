"""Kills a training run at random moments and shows that it ends with the weights it would have had.

`python tests/helpers/interruptions.py [COUNT]` (20 if not given) prints a line for each moment and
fails if one run ends otherwise.
"""

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vitlit import classifier, records
from vitlit.checkpoint import Checkpoint

TESTS = Path(__file__).parents[1]
# Everything that carries a state from step to step: both optimizers, averages, dropout, mixing.
PROGRAM = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import torch
torch.set_num_threads(1)
from helpers.tiny import dataset, recipe
from vitlit.train import train
settings = recipe(
    epochs=12, optimizer="muon", average=0.9, operations=2, erase=0.3, mix=0.5, plain_epochs=3,
    keep=(0.5, 0.5, 1.0), model={{"dropout": 0.2, "stochastic_depth": 0.2, "patch_size": 2}},
)
print("ready", flush=True)
train(settings, dataset(240), sys.argv[1], progress=False)
"""


class StoppedError(Exception):
    """Ends a run that is to be gone on with."""


@contextmanager
def stopped_after_an_epoch() -> Iterator[None]:
    """Meanwhile a run ends as soon as its first epoch is saved."""
    save = Checkpoint.save

    def save_and_stop(state: Checkpoint) -> None:
        save(state)
        raise StoppedError

    Checkpoint.save = save_and_stop  # type: ignore[method-assign]
    try:
        with pytest.raises(StoppedError):
            yield
    finally:
        Checkpoint.save = save  # type: ignore[method-assign]


def start(folder: Path) -> subprocess.Popen[str]:
    """Start the run, and wait until it has begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(folder: Path) -> None:
    """Let the run go on to its end."""
    process = start(folder)
    process.communicate()
    assert process.returncode == 0


def contents(folder: Path) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """What a finished run left: its weights as numbers, and its table without the times."""
    weights = classifier.load(folder / "model.safetensors").model.state_dict()
    table = records.read(folder).metrics | {"seconds": []}
    return {name: tensor.flatten().tolist() for name, tensor in weights.items()}, table


def check(count: int, folder: Path, seed: int | None = None) -> int:
    """Kill `count` runs, each once, at a random moment. Returns how many ended as they should."""
    generator = random.Random(seed)
    before = time.perf_counter()
    process = start(folder / "whole")
    begun = time.perf_counter()
    process.communicate()
    seconds = time.perf_counter() - begun
    expected = contents(folder / "whole")
    print(f"uninterrupted: {seconds:.2f} s after {begun - before:.2f} s of imports", flush=True)
    equal = 0
    for number in range(count):
        out = folder / f"killed-{number}"
        moment = generator.uniform(0, seconds)
        process = start(out)
        time.sleep(moment)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        left = sorted(os.listdir(out)) if out.exists() else []
        if not (out / "summary.json").exists():
            finish(out)
        same = contents(out) == expected
        equal += same
        print(f"{moment:6.2f} s, left {left}: {'equal' if same else 'DIFFERENT'}", flush=True)
    return equal


def main() -> int:
    """Run the command; 1 if a run ended otherwise."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        equal = check(count, Path(folder))
    print(f"{equal} of {count} runs ended with identical weights")
    return equal != count


if __name__ == "__main__":
    sys.exit(main())
