"""Executes chapters from top to bottom and stores what they print and draw.

`python notebooks/execute.py [NAME ...] [--preset PRESET] [--out FOLDER | --record NAME]` runs the
chapters of these names or numbers, or all of them, and writes each NAME.ipynb: whole, or not at all.
A cell that fails leaves the old one in place.
"""

import argparse
import hashlib
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from vitlit import files, records

HERE = Path(__file__).resolve().parent
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent"},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Client(NotebookClient):
    """Runs a notebook in a kernel of its own.

    What cells write to stderr, such as progress, goes to the terminal and not into the outputs.
    """

    def output(
        self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int
    ) -> NotebookNode | None:
        """Called by nbclient for every output of a cell."""
        if msg["msg_type"] == "stream" and msg["content"]["name"] == "stderr":
            sys.stderr.write(msg["content"]["text"])
            sys.stderr.flush()
            return None
        return super().output(outs, msg, display_id, cell_index)


class ChapterError(RuntimeError):
    """A cell that failed: which one, and its traceback."""


def sources(names: list[str]) -> list[Path]:
    """The sources of the chapters with these names or numbers, or of all. Raises ValueError."""
    found = {path.stem: path for path in sorted(HERE.glob("[0-9]*.py"))}
    numbers = {str(int(name.partition("_")[0])): name for name in found}
    wanted = [numbers.get(name, Path(name).stem) for name in names] or list(found)
    if unknown := [name for name in wanted if name not in found]:
        raise ValueError(f"no chapter {', '.join(unknown)}; there are {', '.join(found)}")
    return [found[name] for name in wanted]


def run(notebook: NotebookNode, name: str) -> None:
    """Execute a notebook in place, in the folder of the chapters. Raises ChapterError."""
    client = Client(
        notebook,
        timeout=None,
        startup_timeout=300,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # else each kernel warns of how it is talked to
        record_timing=False,
        coalesce_streams=True,  # else the same prints come in other pieces on the next run
        resources={"metadata": {"path": str(HERE)}},
    )
    cell = 0

    def note(cell_index: int, **_: Any) -> None:
        nonlocal cell
        cell = cell_index

    client.on_cell_start = note
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise ChapterError(f"{name}, cell {cell + 1}: {error}") from error


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from run to run though nothing has changed."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        text = f"{cell.cell_type} {cell.source}"
        seen[text] += 1
        cell.id = hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()[:12]
        for name in ("execution", "lines_to_next_cell"):
            cell.metadata.pop(name, None)
    return notebook


def executed(source: Path) -> NotebookNode:
    """A chapter's source with the outputs of its cells. Raises ChapterError."""
    notebook = jupytext.read(source)
    run(notebook, source.stem)
    return tidy(notebook)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write an .ipynb, whole or not at all."""
    nbformat.validate(notebook)
    files.write(path, f"{nbformat.writes(notebook)}\n".encode())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if a chapter failed."""
    parser = argparse.ArgumentParser(description="Execute chapters from top to bottom.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 01_patches, or 1; default: all"
    )
    parser.add_argument("--preset", help="what chapter 6 trains: the variable VITLIT_PRESET")
    parser.add_argument("--out", type=Path, help="write there, and not beside the source")
    parser.add_argument(
        "--record",
        metavar="NAME",
        help="keep chapter 6's run, and what is executed, in my-runs/NAME",
    )
    given = parser.parse_args(arguments)
    try:
        paths = sources(given.names)
    except ValueError as error:
        parser.error(str(error))
    if given.preset:
        os.environ["VITLIT_PRESET"] = given.preset
    if given.record is not None:
        name = given.record or records.new_name(os.environ.get("VITLIT_PRESET", "quick"))
        given.out = records.mine() / name
        os.environ["VITLIT_OUT"] = str(given.out)
    failed = []
    for path in paths:
        start = time.perf_counter()
        print(f"{path.stem} …", flush=True)
        target = (given.out or HERE) / f"{path.stem}.ipynb"
        try:
            write(executed(path), target)
        except (ChapterError, OSError) as error:
            print(f"\n{error}\n{target.name} is left as it was", file=sys.stderr)
            failed.append(path.stem)
        else:
            print(f"{path.stem} done in {time.perf_counter() - start:.0f} s → {target}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
