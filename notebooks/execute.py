"""Executes chapters from top to bottom and stores what they print and draw.

`python -m notebooks [NAME ...] [--preset PRESET] [--out FOLDER | --record NAME]` runs the chapters
of these names or numbers, or all of them, and writes each NAME.ipynb: whole, or not at all. A cell
that fails leaves the old one in place.
"""

import argparse
import logging
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from notebooks.pairs import refuse_edited, tidy
from vitlit import files, presets, records

HERE = Path(__file__).resolve().parent
TRAINING = "06_cifar10"  # the chapter that trains
# Errors whose message says what to do: where in the code they were raised helps nobody.
EXPLAINED = (
    "CheckpointError", "DataError", "DivergedError", "FileExistsError", "HeldError", "SizeError"
)  # fmt: skip


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
        client.execute(stderr=subprocess.DEVNULL)  # what cells write there comes as messages
    except Exception as error:
        # nbclient takes Ctrl-C itself and ends the kernel; what then goes wrong is no failure.
        if getattr(client, "_async_cleanup_kernel_future", None) is not None:
            logging.getLogger("asyncio").disabled = True  # which would tell of it at the end
            raise KeyboardInterrupt from None
        if not isinstance(error, CellExecutionError | DeadKernelError):
            raise
        if isinstance(error, CellExecutionError) and error.ename in EXPLAINED:
            raise ChapterError(f"{name}, cell {cell + 1}: {error.evalue}") from error
        raise ChapterError(f"{name}, cell {cell + 1}: {error}") from error


def executed(source: Path) -> NotebookNode:
    """A chapter's source with the outputs of its cells. Raises ChapterError."""
    notebook = jupytext.read(source)
    run(notebook, source.stem)
    return tidy(notebook)


def write(notebook: NotebookNode, path: Path) -> None:
    """Write an .ipynb, whole or not at all."""
    nbformat.validate(notebook)
    files.write(path, f"{nbformat.writes(notebook)}\n".encode())


def alone(notebook: NotebookNode) -> NotebookNode:
    """The same for a place where its source does not lie: JupyterLab writes none beside it."""
    del notebook.metadata["jupytext"]
    return notebook


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 1 if a chapter failed, 130 if it was stopped."""
    parser = argparse.ArgumentParser(
        prog="python -m notebooks", description="Execute chapters from top to bottom."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="such as 01_patches, or 1; default: all"
    )
    parser.add_argument("--preset", help="what chapter 6 trains: the variable VITLIT_PRESET")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--out", type=Path, help="write there, and not beside the source")
    place.add_argument(
        "--record",
        metavar="NAME",
        help="keep chapter 6's run, and what is executed, in my-runs/NAME; '' means a name made of "
        "preset and pictures",
    )
    given = parser.parse_args(arguments)
    if given.preset:
        os.environ["VITLIT_PRESET"] = given.preset
    # Other libraries' progress bars ask for a package of widgets that nobody needs here.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:IProgress not found")
    anchor_data()
    try:
        paths = sources(given.names)
        preset = os.environ.get("VITLIT_PRESET", "quick")
        if given.preset or TRAINING in [path.stem for path in paths]:
            presets.preset(preset)
        if given.record is not None:
            given.out = record_of(given.record, preset, [path.stem for path in paths])
            os.environ["VITLIT_OUT"] = str(given.out)
        elif given.out is None:
            for path in paths:
                refuse_edited(path)
    except (ValueError, FileExistsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    try:
        return execute_all(paths, given.out or HERE, record=given.record is not None)
    except KeyboardInterrupt:
        print(f"\nstopped; {kept(given.out if given.record is not None else None, preset)}",
              file=sys.stderr)  # fmt: skip
        return 130


def anchor_data() -> None:
    """Let VITLIT_DATA mean for a kernel, which runs elsewhere, what it means where it was typed."""
    place = os.environ.get("VITLIT_DATA", "")
    if place not in ("", "official", "digits") and Path(place).expanduser().exists():
        os.environ["VITLIT_DATA"] = str(Path(place).expanduser().absolute())


def execute_all(paths: list[Path], folder: Path, *, record: bool) -> int:
    """Execute chapters and write them to a folder, that of a record maybe; 1 if one failed."""
    if not record:  # there the run does it, when no other process writes
        files.sweep(folder, older_than=60.0)
    failed = []
    for path in paths:
        start = time.perf_counter()
        print(f"{path.stem} …", flush=True)
        target = folder / f"{path.stem}.ipynb"
        try:
            notebook = executed(path)
            write(alone(notebook) if record else notebook, target)
        except (ChapterError, OSError) as error:
            print(f"\n{error}\n{target.name} is left as it was", file=sys.stderr)
            failed.append(path.stem)
        else:
            print(f"{path.stem} done in {time.perf_counter() - start:.0f} s → {target}", flush=True)
            if record and records.is_finished(folder):
                print(found_in(folder))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


def record_of(name: str, preset: str, chapters: list[str]) -> Path:
    """The folder of the run that the chapters are to make or to finish.

    Without a name, the first of preset and pictures, counted up, that lacks an executed chapter.
    Raises FileExistsError if the folder of that name has them all.
    """

    def whole(folder: Path) -> bool:
        return all((folder / f"{chapter}.ipynb").exists() for chapter in chapters)

    if not name:
        return records.unused(records.usual_name(preset, os.environ.get("VITLIT_DATA", "")), whole)
    folder = records.mine() / name
    if whole(folder):
        raise FileExistsError(
            f"{folder} holds a finished run; give another NAME, or look at it: make lab NAME={name}"
        )
    return folder


def found_in(folder: Path) -> str:
    """What a run reached, and where to look at it."""
    summary = records.read(folder).summary
    accuracy, tested = summary["test_accuracy"], f"{summary['tested']:,} {summary['tested_on']}"
    look = f"make lab NAME={folder.name}" if folder.parent == records.mine() else str(folder)
    return f"accuracy {accuracy:.2%} on {tested} of {summary['data_title']}\nlook at it: {look}"


def kept(folder: Path | None, preset: str) -> str:
    """What is left of chapters that were stopped, and the command that goes on."""
    if folder is None:
        return "chapters that were done are stored, the others are as they were; repeat the command"
    given = [f"{name}={os.environ[name]}" for name in ("VITLIT_DATA", "VITLIT_SIZE", "VITLIT_RUNS")
             if os.environ.get(name)]  # fmt: skip
    words = [*given, "make", "cifar10", f"PRESET={preset}", f"NAME={folder.name}"]
    quoted = " ".join(re.sub(r"=(.*)", lambda m: f"={shlex.quote(m[1])}", word) for word in words)
    return f"{records.left(folder)}; to go on: {quoted}"
