"""The records of training runs, a folder each: written once, read by every figure.

Needs no torch, so that the website can be built without it.
"""

import csv
import difflib
import hashlib
import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from vitlit import files
from vitlit.terminal import plain

PARTS = ("config", "environment", "data", "summary")
WEIGHTS = "model.safetensors"
# Presets that answer a question, beside those whose runs are to be good: how their names begin.
STUDIES = ("ablation", "labml", "finetune", "pretraining", "resnet", "scaling")


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

    def says(self, settings: dict[str, Any]) -> bool:
        """Whether these fields of the recipe and of the data are the run's."""
        said = self.data | self.config
        return all(name in said and said[name] == value for name, value in settings.items())

    @property
    def weights(self) -> Path | None:
        """The safetensors file, where the record has one."""
        file = self.path / WEIGHTS
        return file if file.exists() else None

    @property
    def checksum(self) -> str | None:
        """The sha256 of its weights' file, where the record has one."""
        if self.weights is None:
            return None
        return f"sha256:{hashlib.sha256(self.weights.read_bytes()).hexdigest()}"

    @property
    def right(self) -> Bool[np.ndarray, " n"] | None:
        """Whether each image that was tested was named correctly, where that was kept."""
        file = self.path / "predictions.npz"
        if not file.exists():
            return None
        with np.load(file) as answers:
            return answers["predicted"] == answers["true"]


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
    if not isinstance(parts["summary"], dict) or "test_accuracy" not in parts["summary"]:
        raise ValueError(f"{path / 'summary.json'} cannot be read: it has no test_accuracy")
    try:
        with open(path / "metrics.csv", encoding="utf-8", newline="") as file_:
            rows = list(csv.DictReader(file_))
        columns = list(rows[0])
        metrics = {column: [float(row[column]) for row in rows] for column in columns}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{path / 'metrics.csv'} is missing or damaged ({error})") from error
    return Run(path, **parts, metrics=metrics)


def is_finished(folder: Path) -> bool:
    """Whether a folder holds the whole record of a run: its summary is written last."""
    return (folder / "summary.json").exists()


def refuse_finished(folder: Path) -> None:
    """Raises FileExistsError if a folder holds a finished run: none is written over."""
    if is_finished(folder):
        raise FileExistsError(f"{folder} holds a finished run; give another --name, or move it")


def book() -> Path:
    """The folder of the book's own records, those that chapters and pages show.

    In an installed wheel they are part of the package.
    """
    here = Path(__file__).resolve()
    installed = here.parent / "runs"
    return installed if installed.is_dir() else here.parents[2] / "runs"


def mine() -> Path:
    """The folder that new records go to, apart from the book's: VITLIT_RUNS, else `my-runs/`.

    In the book's checkout a relative path begins there, else in the current folder.
    """
    here, root = Path.cwd(), book().parent
    inside = book().is_dir() and root in (here, *here.parents)
    chosen = Path(os.environ.get("VITLIT_RUNS") or "my-runs").expanduser()
    return ((root if inside else here) / chosen).resolve()


def unused(name: str, is_whole: Callable[[Path], bool] = is_finished) -> Path:
    """The folder of a new run for who gives no name: `name`, or else `name-2` and so on.

    The first that holds no whole run, and has the name of none of the book's. So a command that was
    cut off goes on when it is repeated.
    """
    names = (name if n == 1 else f"{name}-{n}" for n in count(1))
    folders = (mine() / name for name in names if not (book() / name).exists() or mine() == book())
    return next(folder for folder in folders if not is_whole(folder))


def usual_name(preset: str, source: str = "", variant: str = "", seed: int = 0) -> str:
    """What a run is called for who gives no name: preset, variant, pictures and seed.

    `source` is what `data.load` takes. CIFAR-10 is not named.
    """
    pictures = re.sub(r"\.(tar|tgz|tbz2?|txz|zip).*", "", Path(source).name, flags=re.I)
    if source == "official" or pictures.startswith(("cifar10", "cifar-10")):
        pictures = ""
    about = (preset, variant.replace("=", "-"), pictures, f"seed{seed}" if seed else "")
    return "-".join(filter(None, about))


def left(folder: Path) -> str:
    """What a run that was stopped has left in its folder, in words."""
    if is_finished(folder):
        return f"{folder} holds the finished run"
    if (folder / "training.pt").exists():
        return f"{folder} keeps the epochs that were done"
    return "no epoch was done"


def find(folder: str | Path | None = None) -> list[Run]:
    """All finished runs in a folder (by default the book's), best test accuracy first."""
    folder = book() if folder is None else Path(folder)
    runs = [read(file.parent) for file in sorted(folder.glob("*/summary.json"))]
    return sorted(runs, key=lambda run: -run.summary["test_accuracy"])


def everywhere() -> list[Run]:
    """A reader's own finished runs, the newest first, and then the book's, the best first.

    One of the reader's that is damaged is left out, and named on stderr.
    """
    own = []
    for file in sorted(mine().glob("*/summary.json")) if mine() != book() else ():
        try:
            own.append((file.stat().st_mtime, read(file.parent)))
        except ValueError as error:
            print(f"vitlit: left out: {plain(str(error))}", file=sys.stderr)
    newest = sorted(own, key=lambda pair: -pair[0])
    return [*(run for _, run in newest), *find()]


def weights_of(source: str) -> Path | None:
    """The weights of a run that is given by its name or its folder; None if it names no run.

    A name means the book's run before one of the reader's own, if it has weights. Raises
    FileNotFoundError if no run of that name has.
    """
    path = Path(source)
    named = [folder / source for folder in (book(), mine())] if path.name == source else []
    runs = [place for place in (*named, path.expanduser()) if is_finished(place)]
    files_ = [run / WEIGHTS for run in runs]
    if runs and not any(file.exists() for file in files_):
        raise FileNotFoundError(f"{runs[0]} is the record of a run whose weights were not kept")
    return next((file for file in files_ if file.exists()), None)


def nothing_at(source: str) -> str:
    """That a source of weights is not there, and what is: in its folder, or under a like name."""
    path, there = Path(source).expanduser(), dict[str, Path]()
    for folder in (book(), mine()):
        for file in sorted(folder.glob(f"*/{WEIGHTS}")):
            there.setdefault(file.parent.name, file.parent)
    beside = sorted(file.parent.name for file in path.parent.glob(f"*/{WEIGHTS}"))
    unfinished = [folder / source for folder in (mine(), book(), Path())
                  if (folder / source / "training.pt").exists()]  # fmt: skip
    if unfinished:
        return f"no weights in {unfinished[0]}, a run that is not finished; repeat its command"
    said = f"no weights {source}; give a file, or a run's folder or its name"
    if path.name != source and beside:
        near = difflib.get_close_matches(path.name, beside, 5, 0.0)
        return f"{said}: in {path.parent} are {', '.join(near)}"
    library, colon, _ = source.partition(":")
    if colon and len(library) > 1:
        return f"{said}; the libraries are torchvision:, timm: and huggingface:"
    near = difflib.get_close_matches(path.name, there, 3)
    if near:
        return f"{said}; near it are {', '.join(near)}"
    if source.startswith("vit_"):
        return f"{said}; of a library: torchvision:{source} or timm:{source}"
    mine_or_books = path.parts[:1] in [(folder.name,) for folder in (book(), mine())]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", source) and not path.parent.exists() and not mine_or_books:
        return f"{said}; of the hub: huggingface:{source}"
    return f"{said}; runs with weights are {', '.join(there)}" if there else said


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
    predictions: dict[str, np.ndarray] | None = None,
) -> None:
    """Write a run's record. The summary comes last: with it the record is whole.

    `positions` is the position table before training and after each epoch (of a long run: after
    some, evenly spread and the last among them), stored in half precision; `mistakes` holds arrays
    about the most confident mistakes, a row an image; `predictions` the `predicted` and
    the `true` classes of all images that were tested. Raises ValueError, and writes nothing, if a
    number is not finite: a record says what a run reached.
    """
    for row in rows:
        if wrong := [f"{name} is {x}" for name, x in row.items() if not math.isfinite(x)]:
            raise ValueError(f"{path} is not written: {wrong[0]} in epoch {row.get('epoch')}")
    table = StringIO(newline="")
    writer = csv.DictWriter(table, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    contents = {"metrics.csv": table.getvalue().encode()}
    tables = None if positions is None else {"positions": positions.astype(np.float16)}
    arrays_of = {"positions": tables, "mistakes": mistakes, "predictions": predictions}
    for name, arrays in arrays_of.items():
        if arrays:
            content_ = BytesIO()
            np.savez_compressed(content_, **arrays)
            contents[f"{name}.npz"] = content_.getvalue()
    parts = {"config": config, "environment": environment, "data": data, "summary": summary}
    for part, content in parts.items():
        try:
            text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        except ValueError as error:
            raise ValueError(f"{path} is not written: {part} holds {error}") from error
        # JSON's own escapes, where a name of a file is no text.
        contents[f"{part}.json"] = f"{text}\n".encode(errors="backslashreplace")
    for name, bytes_ in contents.items():
        files.write(path / name, bytes_)


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
    if not (book().parent / ".git").exists():  # installed, maybe within a repository of a reader's
        return None
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
