"""A chapter's two halves: NN_name.py, the source, and NN_name.ipynb, the same cells with outputs.

JupyterLab shows them as one notebook and saves both. Saving without a change must change neither,
and what stands in one half only must not be lost.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

# What jupytext would write into the .py's head but its version, which differs from reader to reader.
FILTER = ",".join(
    [
        "jupytext",
        "-kernelspec",
        "-jupytext.text_representation.format_version",
        "-jupytext.text_representation.jupytext_version",
    ]
)
METADATA = {
    "jupytext": {"formats": "ipynb,py:percent", "notebook_metadata_filter": FILTER},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class PairError(ValueError):
    """An edit that only the .ipynb has. The message names the command that brings it over."""


def tidy(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what differs from run to run though nothing has changed."""
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        text = f"{cell.cell_type} {cell.source}"
        seen[text] += 1
        cell.id = hashlib.sha256(f"{text} {seen[text]}".encode()).hexdigest()[:12]
        for name in ("execution", "trusted"):
            cell.metadata.pop(name, None)
    notebook.metadata["vitlit"] = {"cells": digest(notebook)}
    return notebook


def digest(notebook: NotebookNode) -> str:
    """Changes with every cell's kind, text or tags, and with their order; not with outputs."""
    cells = [(c.cell_type, c.source, c.metadata.get("tags", [])) for c in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def refuse_edited(source: Path) -> None:
    """Raises PairError if the .ipynb holds an edit that its source lacks.

    A notebook says which cells it was made from. If it has these, it was not edited, and the source
    is the newer half; if it has those of the source, nothing is to be lost.
    """
    notebook = source.with_suffix(".ipynb")
    if not notebook.exists():
        return
    try:
        stored = nbformat.read(notebook, as_version=4)
    except (ValueError, OSError, nbformat.ValidationError) as error:
        raise PairError(
            f"{notebook.name} cannot be read ({error}); mend it, or remove it to make it anew"
        ) from error
    now = digest(stored)
    if now not in (stored.metadata.get("vitlit", {}).get("cells"), digest(jupytext.read(source))):
        name = f"{source.parent.name}/{notebook.name}"
        raise PairError(
            f"{notebook.name} holds an edit that {source.name} lacks. "
            f"`.venv/bin/jupytext --to py:percent {name}` brings it over, in place of what "
            f"{source.name} says; `git checkout {name}` drops it"
        )


def before_saving(model: dict[str, Any], contents_manager: Any, **_: Any) -> None:
    """Jupyter's pre-save hook: store a chapter as execution stores it.

    Only if jupytext saves the other half too: else the notebook could not tell that it was edited.
    """
    if model["type"] != "notebook" or not type(contents_manager).__module__.startswith("jupytext"):
        return
    content = nbformat.from_dict(model["content"])
    if content.metadata.get("jupytext", {}).get("notebook_metadata_filter") == FILTER:
        model["content"] = tidy(content)
