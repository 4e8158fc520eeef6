"""Every chapter, executed from its source, with its exercises tried as a reader finds them."""

import jupytext
import pytest
from chapter_checks import MODEL, NOTEBOOKS, exercise_name, tags_of
from helpers.archives import CIFAR10, image_folder
from nbformat.v4 import new_code_cell

from notebooks import execute

SOURCES = sorted(NOTEBOOKS.glob("[0-9]*.py"))
SHAPES = f"""
from jaxtyping import install_import_hook

install_import_hook({[f"vitlit.{name}" for name in MODEL]}, "beartype.beartype")
"""
WITH_SHIPPED_WEIGHTS = "08_inside"
STUB = """
try:
    check_{name}({name})
except AssertionError:
    pass
else:
    raise SystemError("check_{name} passes with the stub as given")
"""


def with_stubs_tried(notebook):
    """The notebook with shapes checked, and after each exercise a cell that wants it to fail."""
    cells = [new_code_cell(SHAPES)]
    for cell in notebook.cells:
        cells.append(cell)
        if "exercise" in tags_of(cell):
            cells.append(new_code_cell(STUB.format(name=exercise_name(cell.source))))
    notebook.cells = cells
    return notebook


@pytest.mark.book
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_chapter_runs_its_stubs_fail_and_its_solutions_pass(source, monkeypatch, tmp_path):
    monkeypatch.setenv("VITLIT_PRESET", "smoke")
    monkeypatch.setenv("VITLIT_DATA", "digits")
    if source.stem == WITH_SHIPPED_WEIGHTS:  # which take no digits
        noise = image_folder(tmp_path / "noise", CIFAR10, (20, 40), size=(32, 32))
        monkeypatch.setenv("VITLIT_DATA", str(noise))
        monkeypatch.setenv("VITLIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("VITLIT_OUT", str(tmp_path / "run"))
    execute.run(with_stubs_tried(jupytext.read(source)), source.stem)


@pytest.mark.book
def test_a_stub_that_passes_is_noticed():
    text = """# %% tags=["exercise"]
def one(): return 1


def check_one(one):
    assert one() == 1
"""
    notebook = with_stubs_tried(jupytext.reads(text, fmt="py:percent"))
    with pytest.raises(execute.ChapterError, match="check_one passes with the stub as given"):
        execute.run(notebook, "planted")
