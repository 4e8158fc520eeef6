"""`python -m notebooks` on chapters of a few lines, in real kernels."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from notebooks import execute, pairs

ROOT = Path(__file__).resolve().parents[2]
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
    old = nbformat.writes(pairs.tidy(pairs.jupytext.reads("# %%\n1\n", fmt="py:percent")))
    (folder / "08_bad.ipynb").write_text(old)
    assert execute.main([]) == 1
    _, err = capfd.readouterr()
    assert "08_bad, cell 2: " in err
    assert "FileNotFoundError" in err
    assert "08_bad.ipynb is left as it was" in err
    assert (folder / "08_bad.ipynb").read_text() == old
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
    assert execute.main(["07_god"]) == 1
    assert capsys.readouterr().err == "error: no chapter 07_god; there are 07_good\n"


def test_ids_stay_when_a_cell_comes_before():
    cells = [nbformat.v4.new_code_cell(text) for text in ("a", "b", "a")]
    before = [cell.id for cell in pairs.tidy(nbformat.v4.new_notebook(cells=cells)).cells]
    cells.insert(0, nbformat.v4.new_markdown_cell("new"))
    after = pairs.tidy(nbformat.v4.new_notebook(cells=cells))
    assert [cell.id for cell in after.cells][1:] == before
    json.dumps(after)


@pytest.fixture
def runs(folder, monkeypatch, tmp_path):
    """The folder of a reader's runs, and a chapter that tells where its own goes."""
    monkeypatch.setenv("VITLIT_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("VITLIT_OUT", "none")
    monkeypatch.delenv("VITLIT_DATA", raising=False)
    (folder / "07_good.py").write_text("# %%\nimport os\n\nprint(os.environ['VITLIT_OUT'])\n")
    return tmp_path / "runs"


def test_a_chapter_is_kept_with_the_record_of_its_run(runs, capfd):
    for name in ("one", "", ""):
        assert execute.main(["7", "--preset", "smoke", "--record", name]) == 0
    assert {place.name for place in runs.iterdir()} == {"one", "smoke", "smoke-2"}
    for place in runs.iterdir():
        notebook = nbformat.read(place / "07_good.ipynb", as_version=4)
        assert notebook.cells[0].outputs[0].text == f"{place}\n"
        assert "jupytext" not in notebook.metadata  # JupyterLab would write a .py beside it
    capfd.readouterr()
    assert execute.main(["7", "--preset", "smoke", "--record", "one"]) == 1
    said = "one holds a finished run; give another NAME, or look at it: make lab NAME=one"
    assert said in capfd.readouterr().err


def test_a_name_that_is_not_given_tells_preset_and_pictures(runs, monkeypatch, tmp_path):
    pictures = tmp_path / "photos.tar.gz"
    pictures.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VITLIT_DATA", "photos.tar.gz")
    assert execute.main(["7", "--preset", "smoke", "--record", ""]) == 0
    assert [place.name for place in runs.iterdir()] == ["smoke-photos"]
    assert os.environ["VITLIT_DATA"] == str(pictures)  # a kernel runs in another folder
    (tmp_path / "digits").mkdir()
    monkeypatch.setenv("VITLIT_DATA", "digits")
    execute.anchor_data()
    assert os.environ["VITLIT_DATA"] == "digits"  # scikit-learn's, whatever lies here


def test_the_command_that_goes_on_has_all_that_was_set(monkeypatch, tmp_path):
    monkeypatch.setenv("VITLIT_DATA", "/my pics.zip")
    monkeypatch.setenv("VITLIT_SIZE", "64")
    monkeypatch.delenv("VITLIT_RUNS", raising=False)
    go_on = "VITLIT_DATA='/my pics.zip' VITLIT_SIZE=64 make cifar10 PRESET=own NAME=birds"
    assert execute.kept(tmp_path / "birds", "own") == f"no epoch was done; to go on: {go_on}"


def test_a_preset_that_does_not_exist_is_refused_before_anything_starts(runs, capfd):
    assert execute.main(["7", "--preset", "wrong", "--record", ""]) == 1
    out, err = capfd.readouterr()
    assert err.startswith("error: no preset 'wrong'; choose one of smoke, quick")
    assert (out, err.count("\n"), runs.exists()) == ("", 1, False)


def test_an_edit_that_only_the_notebook_has_is_kept(folder, capfd):
    (folder / "07_good.py").write_text(GOOD)
    assert execute.main([]) == 0
    path = folder / "07_good.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2].source = "2 + 2"
    nbformat.write(notebook, path)
    edited = path.read_bytes()
    capfd.readouterr()
    assert execute.main([]) == 1
    assert "holds an edit that 07_good.py lacks. `.venv/bin/jupytext" in capfd.readouterr().err
    assert path.read_bytes() == edited


SLEEPS = """# %%
import time

print("begun", file=open("begun", "w"))
time.sleep(60)
"""


@pytest.mark.parametrize("record", [False, True])
def test_ctrl_c_ends_in_one_line(folder, tmp_path, record):
    (folder / "07_slow.py").write_text(SLEEPS)
    code = f"import sys, pathlib; from notebooks import execute; folder = {str(folder)!r}\n"
    code += "execute.HERE = pathlib.Path(folder); sys.exit(execute.main())"
    words = [sys.executable, "-c", code, *(["--record", "mine"] if record else [])]
    environment = os.environ | {"VITLIT_RUNS": str(tmp_path / "runs"), "VITLIT_PRESET": "smoke"}
    process = subprocess.Popen(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    while not (folder / "begun").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    said = [line for line in err.splitlines() if line.strip()]
    assert len(said) == 1, err
    go_on = "make cifar10 PRESET=smoke NAME=mine" if record else "repeat the command"
    assert said[0].startswith("stopped; ")
    assert said[0].endswith(go_on)
    assert not list(folder.glob("*.ipynb"))
