"""The records of training runs, `runs/<name>/`: written once, read by every figure.

Needs no torch, so that the website can be built without it.
"""

import csv
import json
import math
import os
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from io import BytesIO, StringIO
from operator import methodcaller
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

PARTS = ("config", "environment", "data", "summary")
# Presets that answer a question, beside those whose runs are to be good: how their names begin.
STUDIES = ("ablation", "labml", "finetune", "scaling")


@dataclass(frozen=True)
class Run:
    """A finished run: what was set, where it ran, on what, and what came of it."""

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    data: dict[str, Any]
    summary: dict[str, Any]
    metrics: dict[str, list[float]]  # a list an epoch, by column

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def is_study(self) -> bool:
        """Whether the run answers a question, such as what an ingredient is worth."""
        return self.summary["preset"].startswith(STUDIES)

    @property
    def weights(self) -> Path | None:
        """The safetensors file, where the record has one."""
        file = self.path / "model.safetensors"
        return file if file.exists() else None


def read(path: str | Path) -> Run:
    """Read one record. Raises ValueError, naming the file, if it is missing or damaged."""
    path = Path(path)
    parts = {}
    for part in PARTS:
        file = path / f"{part}.json"
        try:
            parts[part] = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{file} cannot be read ({error}); is {path} a finished run?"
            ) from error
    try:
        with open(path / "metrics.csv", encoding="utf-8", newline="") as file_:
            rows = list(csv.DictReader(file_))
        columns = list(rows[0])
        metrics = {column: [float(row[column]) for row in rows] for column in columns}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path / 'metrics.csv'} is missing or damaged ({error})") from error
    return Run(path, **parts, metrics=metrics)


def folder() -> Path:
    """The runs of this checkout: `runs/` here or in the nearest folder above that has one."""
    here = Path.cwd()
    for place in (here, *here.parents):
        if (place / "runs").is_dir():
            return place / "runs"
    return here / "runs"


def find(root: str | Path | None = None) -> list[Run]:
    """All finished runs under `root` (by default this checkout's), best test accuracy first."""
    root = folder() if root is None else Path(root)
    runs = [read(file.parent) for file in sorted(root.glob("*/summary.json"))]
    return sorted(runs, key=lambda run: -run.summary["test_accuracy"])


def weights_of(name: str) -> Path:
    """The weights of the record `name` under runs/ or, without one, the file at that path."""
    stored = folder() / name / "model.safetensors"
    return stored if stored.exists() else Path(name)


# What a variant shares with the run that it is compared to.
KEPT = ("preset", "data", "epochs", "seed")


@dataclass(frozen=True)
class Effect:
    """What one change to a preset did to its test accuracy, seed by seed, in percentage points."""

    variant: str
    runs: list[Run]  # by seed
    base: list[Run]  # the unchanged runs of the same seeds
    spread: float  # of the differences from seed to seed; infinite where no change has two seeds

    @property
    def differences(self) -> list[float]:
        """What the change did to each seed."""
        pairs = zip(self.runs, self.base, strict=True)
        return [
            100 * (run.summary["test_accuracy"] - base.summary["test_accuracy"])
            for run, base in pairs
        ]

    @property
    def mean(self) -> float:
        """The mean difference."""
        return statistics.mean(self.differences)

    @property
    def measurable(self) -> bool:
        """Whether the mean difference is larger than the spread."""
        return abs(self.mean) > self.spread

    @property
    def cost(self) -> float:
        """Training time, as a multiple of the unchanged runs'."""
        pairs = zip(self.runs, self.base, strict=True)
        return statistics.mean(
            run.summary["train_seconds"] / base.summary["train_seconds"] for run, base in pairs
        )


def effects(runs: Sequence[Run]) -> list[Effect]:
    """The effect of every variant among `runs`, the most harmful first.

    A run is compared with the unchanged run of its own seed, preset, data and epochs; without one
    it is left out. The spread of a change is the standard deviation of its differences, but never
    less than the median one of all changes: among many changes with three seeds each, some lie
    close together by luck. Of the changes that do nothing, about one in eight is still called
    measurable.
    """

    def kept(run: Run) -> tuple[Any, ...]:
        return tuple(run.summary[key] for key in KEPT)

    base = {kept(run): run for run in runs if not run.summary["variant"]}
    changed: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        if run.summary["variant"] and kept(run) in base:
            changed.setdefault(run.summary["variant"], []).append(run)
    found = [
        Effect(name, own, [base[kept(run)] for run in own], 0.0) for name, own in changed.items()
    ]
    spreads = [statistics.stdev(e.differences) if len(e.runs) > 1 else None for e in found]
    several = [spread for spread in spreads if spread is not None]
    least = statistics.median(several) if several else math.inf
    wide = [
        replace(effect, spread=max(spread or 0.0, least))
        for effect, spread in zip(found, spreads, strict=True)
    ]
    return sorted(wide, key=lambda effect: effect.mean)


def by_images(runs: Sequence[Run]) -> dict[str, dict[int, list[Run]]]:
    """The runs of the preset `scaling`: by model, then by number of training images, then by seed.

    The models stand in alphabetical order from the back, so that the ViT comes first.
    """
    groups: dict[str, dict[int, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (run.summary["images"], run.summary["seed"])):
        sizes = groups.setdefault(run.summary["model"], {})
        sizes.setdefault(run.summary["images"], []).append(run)
    return dict(sorted(groups.items(), reverse=True))


def write(
    path: Path,
    *,
    config: dict[str, Any],
    environment: dict[str, Any],
    data: dict[str, Any],
    summary: dict[str, Any],
    rows: list[dict[str, Any]],
    positions: Float[np.ndarray, "E T D"] | None = None,
    mistakes: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a run's record. The summary comes last: with it the record is whole.

    `positions` is the position table before training and after each epoch (of a long run: after
    some, evenly spread and the last among them), stored in half precision; `mistakes` holds arrays
    about the most confident mistakes, a row an image.
    """
    table = StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files = {"metrics.csv": table.getvalue().encode()}
    tables = None if positions is None else {"positions": positions.astype(np.float16)}
    for name, parts in {"positions": tables, "mistakes": mistakes}.items():
        if parts:
            content_ = BytesIO()
            np.savez_compressed(content_, **parts)
            files[f"{name}.npz"] = content_.getvalue()
    contents = {"config": config, "environment": environment, "data": data, "summary": summary}
    for part, content in contents.items():
        text = json.dumps(content, indent=2, ensure_ascii=False)
        files[f"{part}.json"] = f"{text}\n".encode()
    for name, bytes_ in files.items():
        write_whole(path / name, methodcaller("write", bytes_))


def write_whole(path: Path, write: Callable[[Any], object]) -> None:
    """Write a file whole or not at all: beside it first, then moved into its place.

    Raises OSError, naming the file, if the disk is full; then the old file stays as it was.
    """
    beside: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        beside = Path(name)
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        os.replace(beside, path)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); make room, or choose another place"
        raise OSError(error.errno, message) from error
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def environment() -> dict[str, Any]:
    """Commit, versions and hardware of this moment."""
    packages = ("vitlit", "torch", "torchvision", "numpy")
    return {
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages if _installed(name)},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        here = Path(__file__).parent
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), "")
