"""The notebooks that an edition is rendered from: stored ones, or written ones under build/."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import jupytext
from nbformat import NotebookNode

from website import ROOT
from website.translation.catalogs import Edition, stored_notebook

# The variable that website/watch.py sets, for the hooks that mkdocs runs.
WATCHING = "VITLIT_WATCHING"


def notebooks_of(edition: Edition, mark: str) -> list[Path]:
    """The notebooks of an edition: the English ones as stored, others are written first.

    While somebody watches, all are written, with the words that the sources have now.
    """
    if watching := bool(os.environ.get(WATCHING)):
        folder = ROOT / "build/watch" / edition.language / "notebooks"
    elif edition.language != "en":
        folder = ROOT / "build" / edition.language / "notebooks"
    else:
        folder = ROOT / "notebooks"
    if folder != ROOT / "notebooks":
        edition.notebooks(folder, mark, unexecuted if watching else stored_notebook)
    return sorted(folder.glob("[0-9]*.ipynb"))


def unexecuted(stored: Path) -> NotebookNode:
    """A chapter as NN_name.py has it now, with the outputs of the code cells that have not changed.

    A code cell that has changed has no outputs until the chapter is executed.
    """
    outputs: dict[str, list[Any]] = defaultdict(list)
    for cell in stored_notebook(stored).cells:
        if cell.cell_type == "code":
            outputs[cell.source].append(cell.outputs)
    notebook = jupytext.read(stored.with_suffix(".py"))
    for cell in notebook.cells:
        if cell.cell_type == "code" and outputs[cell.source]:
            cell.outputs = outputs[cell.source].pop(0)
    return notebook
