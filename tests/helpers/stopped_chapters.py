"""Stops `make cifar10` at many moments and shows that the same command ends as if it had not been.

`python -m tests.helpers.stopped_chapters [--kill 30] [--interrupt 10]` runs chapter 6 with the
preset `quick` on what VITLIT_DATA names (digits if unset): once in peace, then each time stopped at
a moment, the notebook's tail included, and repeated. It prints a line for each, and fails if one
ends otherwise or leaves something behind.
"""

import argparse
import hashlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat

from vitlit import classifier, records

ROOT = Path(__file__).resolve().parents[2]
WORDS = [sys.executable, "-m", "notebooks", "06_cifar10", "--preset", "quick", "--record"]
KEPT = {
    "06_cifar10.ipynb", "config.json", "data.json", "environment.json", "metrics.csv",
    "mistakes.npz", "model.safetensors", "positions.npz", "predictions.npz", "summary.json",
}  # fmt: skip


def start(folder: Path) -> subprocess.Popen[str]:
    """Start the command for the run in a folder, in a process group of its own."""
    environment = {"VITLIT_DATA": "digits", "OMP_NUM_THREADS": "1"} | os.environ
    return subprocess.Popen(
        [*WORDS, folder.name], cwd=ROOT, env=environment | {"VITLIT_RUNS": str(folder.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run left, without times and the folder's own name."""
    weights = classifier.load(folder / "model.safetensors").model.state_dict()
    cells = nbformat.read(folder / "06_cifar10.ipynb", as_version=4).cells
    text = [
        re.sub(rf"{folder.name}|train_seconds.*|[\d.]+ min", "", str(output.get("text", "")))
        for cell in cells
        for output in cell.get("outputs", ())
    ]
    digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in weights.values()))
    metrics = records.read(folder).metrics | {"seconds": []}
    return {"weights": digest.hexdigest(), "metrics": metrics, "printed": text}


def stopped(folder: Path, moment: float, how: signal.Signals) -> tuple[str, int]:
    """Run, stop at a moment, and repeat until it is whole; what was left, and how many repeats."""
    process = start(folder)
    time.sleep(moment)
    os.killpg(process.pid, how)
    said = process.communicate()[0]
    left = sorted(os.listdir(folder)) if folder.exists() else []
    if how == signal.SIGINT and process.returncode:
        lines = [line for line in said.splitlines() if line.strip()]
        assert lines[-1].startswith("stopped; "), said
        assert "Traceback" not in said, said
    repeats = 0
    while not (folder / "06_cifar10.ipynb").exists():
        again = start(folder)
        said = again.communicate()[0]
        repeats += 1
        assert repeats < 3, said
    return ", ".join(left), repeats


def main() -> int:
    """Run the command; 1 if a run ended otherwise."""
    parser = argparse.ArgumentParser(description="Stop `make cifar10` at random moments.")
    parser.add_argument("--kill", type=int, default=30, help="how often by SIGKILL")
    parser.add_argument("--interrupt", type=int, default=10, help="how often by SIGINT, as Ctrl-C")
    given = parser.parse_args()
    # Who starts this in the background lets its processes ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place, "whole")
        begin = time.perf_counter()
        process = start(whole)
        said = process.communicate()[0]
        assert process.returncode == 0, said
        seconds = time.perf_counter() - begin
        expected = outcome(whole)
        print(f"uninterrupted: {seconds:.1f} s", flush=True)
        for how, count in ((signal.SIGKILL, given.kill), (signal.SIGINT, given.interrupt)):
            for number in range(count):
                folder = Path(place, f"{how.name.lower()}-{number}")
                # Every third one in the last fifth, where the notebook is written.
                share = (number + 0.5) / count
                moment = seconds * (0.8 + 0.2 * share if number % 3 == 2 else share)
                left, repeats = stopped(folder, moment, how)
                same = outcome(folder) == expected
                beside = {path.name for path in folder.iterdir()} - KEPT
                stray = {path.name for path in folder.parent.glob(".*")} - {".locks"}
                wrong += not same or bool(beside | stray)
                print(
                    f"{how.name} after {moment:5.1f} s, left [{left}], repeated {repeats} ×: "
                    f"{'equal' if same else 'DIFFERENT'} {sorted(beside | stray) or ''}",
                    flush=True,
                )
    print(
        f"{given.kill + given.interrupt - wrong} of {given.kill + given.interrupt} as if in peace"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
