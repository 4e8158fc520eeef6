"""Opens the chapters in JupyterLab: `python -m notebooks.lab [NAME]`; a run's NAME opens its own."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from notebooks.execute import HERE, TRAINING, anchor_data, sources
from notebooks.pairs import PairError, refuse_edited
from vitlit import records

ROOT = HERE.parent


def main(names: list[str]) -> None:
    """Turn into JupyterLab; says before which chapters it will refuse to open, and why."""
    page = HERE / "01_patches.ipynb"
    if name := "".join(names):
        page = records.mine() / name / f"{TRAINING}.ipynb"
        if not page.exists():
            there = [path.parent.name for path in records.mine().glob(f"*/{page.name}")]
            sys.exit(f"error: no {page}; executed runs are: {', '.join(there) or 'none yet'}")
    for source in sources([]):
        try:
            refuse_edited(source)
        except PairError as error:
            print(f"vitlit: {error}", file=sys.stderr)
    anchor_data()
    # Jupyter sets the hook twice, and other libraries ask for a package of widgets.
    silent = "ignore:Overriding existing pre_save_hook,ignore:IProgress not found"
    os.environ.setdefault("PYTHONWARNINGS", silent)
    inside = page.is_relative_to(ROOT)
    shown = page.relative_to(ROOT) if inside else Path(page.name)
    command = [
        *(sys.executable, "-m", "jupyter", "lab"),
        "--Application.log_level=WARN",
        f"--config={HERE / 'jupyter_server_config.py'}",
        f"--ServerApp.root_dir={ROOT if inside else page.parent}",
        f"--LabApp.default_url=/lab/tree/{quote(shown.as_posix())}",
    ]
    if os.name == "nt":  # where to become another program leaves the terminal without one
        sys.exit(subprocess.call(command))
    os.execv(sys.executable, command)


if __name__ == "__main__":
    main(sys.argv[1:])
