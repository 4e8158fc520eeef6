"""The module as one wheel, with the book's records and weights: `python -m website.wheel`.

The package that notebooks outside of a checkout install. Equal sources give equal bytes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from fnmatch import fnmatch
from pathlib import Path

from vitlit.studies import STEPS
from website import ROOT

# The earliest moment that a zip archive can name.
EPOCH = "315532800"
LIMIT = 12 * 2**20  # bytes


def version(root: Path = ROOT) -> str:
    """The module's version."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def name(root: Path = ROOT) -> str:
    """The wheel's file name."""
    return f"vitlit-{version(root)}-py3-none-any.whl"


def kept(root: Path = ROOT) -> list[Path]:
    """The files of the book's records that git keeps."""
    lines = (root / ".gitignore").read_text(encoding="utf-8").splitlines()
    ignored = [line.removeprefix("/") for line in lines if line.startswith("/runs/")]
    found = (path for path in sorted((root / "runs").glob("*/*")) if path.is_file())
    names = ((path, path.relative_to(root).as_posix()) for path in found)
    return [path for path, name in names if not any(fnmatch(name, one) for one in ignored)]


def build(folder: Path, root: Path = ROOT) -> Path:
    """Build the wheel into a folder, and return its path.

    Raises CalledProcessError, with what the build printed as its output; ValueError if the wheel
    is larger than LIMIT.
    """
    with tempfile.TemporaryDirectory() as place:
        stage = Path(place)
        for file in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
            shutil.copy(root / file, stage / file)
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / "src/vitlit", stage / "src/vitlit", ignore=ignore)
        measured = [file for file in (root / STEPS,) if file.exists()]  # what chapter 6 shows
        for record in (*kept(root), *measured):
            target = stage / "src/vitlit" / record.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(record, target)
        pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
        subprocess.run(
            [*pip, f"--wheel-dir={stage / 'wheel'}", str(stage)],
            check=True,
            env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        [made] = (stage / "wheel").glob("*.whl")
        if made.stat().st_size > LIMIT:
            raise ValueError(
                f"{made.name} has {made.stat().st_size / 2**20:.1f} MiB, and may have "
                f"{LIMIT / 2**20:.0f}; keep weights of fewer runs in runs/"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(made, folder / made.name))


if __name__ == "__main__":
    wheel = build(ROOT / "build/wheel")
    print(f"{wheel.relative_to(ROOT)}  {wheel.stat().st_size / 2**20:.1f} MiB; pip install it")
