"""Runs the archive's chapters where nothing of the book is: an empty folder, a bare environment.

`python tests/helpers/elsewhere.py ARCHIVE ... [--only NAME ...] [--strict]` executes every chapter
of each archive, prints a line for each and fails if one did. The environment has JupyterLab, torch
and torchvision and what they need, of the versions that are installed here; and the small packages
that the module needs. With --strict it lacks those too, and their files lie beside the notebooks.
"""

import argparse
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
import zipfile
from importlib.metadata import Distribution, PackageNotFoundError, distribution, requires
from pathlib import Path

from packaging.requirements import Requirement

GIVEN = ("jupyterlab", "ipykernel", "nbconvert", "torch", "torchvision")
NOWHERE = "http://127.0.0.1:9/"  # nobody listens there: whoever asks a package index fails


def needs_of_vitlit() -> list[str]:
    """The packages that the module asks for, without those that are given."""
    found = (Requirement(text) for text in requires("vitlit") or ())
    return [r.name for r in found if not r.marker and r.name not in GIVEN]


def closure(names: list[str]) -> dict[str, Distribution]:
    """Distributions that are installed here, with all that they need in turn."""
    found: dict[str, Distribution] = {}
    wanted, seen = [Requirement(name) for name in names], set()
    while wanted:
        asked = wanted.pop()
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        if (key := (name, *sorted(asked.extras))) in seen:
            continue
        seen.add(key)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # needed on another system only
            continue
        for requirement in map(Requirement, found[name].requires or ()):
            marker, extras = requirement.marker, ("", *asked.extras)
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(requirement)
    return found


def bare(folder: Path, names: list[str]) -> Path:
    """Make an environment of these packages, by links to the files here. Returns its Python."""
    venv.create(folder, with_pip=True)
    here = Path(sysconfig.get_path("purelib"))
    there = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    tops = {
        Path(file.parts[0])
        for found in closure(names).values()
        for file in found.files or ()
        if file.parts[0] not in ("..", "__pycache__")
    }
    for top in tops:
        if not (there / top).exists():
            (there / top).symlink_to(here / top)
    return next(folder.glob("*/python"), folder / "Scripts/python.exe")


def run(python: Path, notebook: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Execute a chapter in its folder, and leave it there executed."""
    kept = {
        n: v for n, v in os.environ.items() if not n.startswith(("VITLIT_", "PYTHON", "JUPYTER"))
    }
    pip = {"PIP_INDEX_URL": NOWHERE, "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    nbconvert = [python, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace"]
    environment = kept | pip | variables
    return subprocess.run(
        [*nbconvert, notebook.name],
        cwd=notebook.parent, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def main() -> int:
    """Run the command; 1 if a chapter failed."""
    parser = argparse.ArgumentParser(description="Run archives' chapters in a bare environment.")
    parser.add_argument("archives", nargs="+", type=Path)
    parser.add_argument("--only", nargs="*", default=[""], help="how names of chapters begin")
    parser.add_argument("--strict", action="store_true", help="nothing but Jupyter and torch")
    given = parser.parse_args()
    small = needs_of_vitlit()
    variables = {n: v for n, v in os.environ.items() if n.startswith("VITLIT_")}
    failed = 0
    with tempfile.TemporaryDirectory() as place:
        for archive in given.archives:
            folder = Path(place, archive.stem)
            zipfile.ZipFile(archive).extractall(folder)
            [book] = folder.iterdir()
            if given.strict:
                pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(book)]
                subprocess.run([*pip, *small], check=True)
            python = bare(folder / "bare", [*GIVEN, *([] if given.strict else small)])
            for notebook in sorted(book.glob("*.ipynb")):
                if notebook.stem.startswith(tuple(given.only)):
                    start = time.perf_counter()
                    done = run(python, notebook, **variables)
                    said = "" if done.returncode == 0 else done.stderr[-2000:]
                    failed += bool(said)
                    seconds = time.perf_counter() - start
                    print(
                        f"{archive.stem} {notebook.stem} {seconds:.0f} s {said or 'ok'}", flush=True
                    )
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
