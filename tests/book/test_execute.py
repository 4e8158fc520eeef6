"""`python -m notebooks` on chapters of a few lines, in real kernels."""

import json
import os

import nbformat
import pytest

from notebooks import execute, pairs

GOOD = """# %% [markdown]
# # 7 · Good

# %%
import os, sys

print("to stderr", file=sys.stderr)
print(os.environ.get("VITLIT_PRESET"), os.path.basename(os.getcwd()))

# %%
1 + 1

# %%
1 + 1


# %% tags=["exercise"]
def f(): ...
"""
BAD = """# %%
print("so far")

# %%
open("nowhere.txt")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    folder = tmp_path / "chapters"
    folder.mkdir()
    monkeypatch.setattr(execute, "HERE", folder)
    monkeypatch.setenv("VITLIT_PRESET", "none")  # and so that what main() sets is undone
    return folder


def test_a_chapter_is_executed_and_stored_with_nothing_that_changes_by_itself(folder, capfd):
    (folder / "07_good.py").write_text(GOOD)
    assert execute.main(["--preset", "smoke"]) == 0
    out, err = capfd.readouterr()
    assert "07_good done in " in out
    assert "to stderr" in err
    file = folder / "07_good.ipynb"
    notebook = nbformat.read(file, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4]
    assert [output.text for output in code[0].outputs] == ["smoke chapters\n"]
    assert code[1].outputs[0].data == {"text/plain": "2"}
    assert [dict(cell.metadata) for cell in code] == [{}, {}, {}, {"tags": ["exercise"]}]
    assert {**notebook.metadata, "vitlit": {}} == {**pairs.METADATA, "vitlit": {}}
    assert len({cell.id for cell in notebook.cells}) == 5

    first = file.read_bytes()
    assert execute.main(["07_good", "--preset", "smoke", "--out", str(folder / "new")]) == 0
    assert (folder / "new" / "07_good.ipynb").read_bytes() == first
    assert {path.name for path in folder.iterdir()} == {"07_good.py", "07_good.ipynb", "new"}


def test_a_cell_that_fails_is_named_and_the_old_pair_stays(folder, capfd):
    (folder / "08_bad.py").write_text(BAD)
    (folder / "08_bad.ipynb").write_text("old")
    assert execute.main([]) == 1
    _, err = capfd.readouterr()
    assert "08_bad, cell 2: " in err
    assert "FileNotFoundError" in err
    assert "08_bad.ipynb is left as it was" in err
    assert (folder / "08_bad.ipynb").read_text() == "old"
    assert {path.name for path in folder.iterdir()} == {"08_bad.py", "08_bad.ipynb"}


def test_a_full_disk_leaves_the_old_pair(folder, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    old = folder / "09_old.ipynb"
    old.write_text("old")
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space left"):
        execute.write(nbformat.v4.new_notebook(), old)
    assert old.read_text() == "old"
    assert os.listdir(folder) == [old.name]


def test_a_chapter_that_does_not_exist_is_refused(folder, capsys):
    (folder / "07_good.py").write_text(GOOD)
    with pytest.raises(SystemExit) as end:
        execute.main(["07_god"])
    assert end.value.code == 2
    assert "no chapter 07_god; there are 07_good" in capsys.readouterr().err


def test_ids_stay_when_a_cell_comes_before():
    cells = [nbformat.v4.new_code_cell(text) for text in ("a", "b", "a")]
    before = [cell.id for cell in pairs.tidy(nbformat.v4.new_notebook(cells=cells)).cells]
    cells.insert(0, nbformat.v4.new_markdown_cell("new"))
    after = pairs.tidy(nbformat.v4.new_notebook(cells=cells))
    assert [cell.id for cell in after.cells][1:] == before
    json.dumps(after)


def test_a_chapter_is_kept_with_the_record_of_its_run(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VITLIT_OUT", "none")
    (folder / "07_good.py").write_text("# %%\nimport os\n\nprint(os.environ['VITLIT_OUT'])\n")
    for name in ("one", ""):
        assert execute.main(["7", "--preset", "smoke", "--record", name]) == 0
    one, timed = sorted((tmp_path / "runs").iterdir())
    assert (one.name, timed.name[:6]) == ("one", "smoke-")
    for place in (one, timed):
        [cell] = nbformat.read(place / "07_good.ipynb", as_version=4).cells
        assert cell.outputs[0].text == f"{place}\n"
