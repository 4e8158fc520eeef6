"""The module as one wheel, with the book's records and weights: `python -m website.wheel`.

The package that notebooks outside of a checkout install. Equal sources give equal bytes.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from website import ROOT

# The earliest moment that a zip archive can name.
EPOCH = "315532800"
LIMIT = 12 * 2**20
# What a run leaves beside its record.
LEFT_OUT = ("training.pt", "training.lock", "*.ipynb", ".*", "__pycache__")


def version(root: Path = ROOT) -> str:
    """The module's version."""
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "version"
    ]


def name(root: Path = ROOT) -> str:
    """The wheel's file name."""
    return f"vitlit-{version(root)}-py3-none-any.whl"


def build(folder: Path, root: Path = ROOT) -> Path:
    """Build the wheel into a folder, and return its path.

    Raises CalledProcessError, with what the build printed as its output; ValueError if the wheel
    is larger than LIMIT.
    """
    with tempfile.TemporaryDirectory() as place:
        stage = Path(place)
        for file in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
            shutil.copy(root / file, stage / file)
        ignore = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(root / "src/vitlit", stage / "src/vitlit", ignore=ignore)
        shutil.copytree(root / "runs", stage / "src/vitlit/runs", ignore=ignore)
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
