"""Chapters in JupyterLab: all open, and saving one without a change changes neither half."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

from notebooks import pairs

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.py"))
KERNEL = {"name": "python", "version": "3.12.99", "mimetype": "text/x-python"}


class Lab:
    """JupyterLab on a copy of the chapters, as a browser talks to it."""

    def __init__(self, folder, port):
        self.folder, self.address = folder, f"http://127.0.0.1:{port}"

    def ask(self, path, content=None):
        """What the server answers; raises HTTPError where it refuses."""
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self.address}/api/{path}", data)
        request.add_header("Authorization", "token test")
        request.method = "GET" if data is None else "PUT"
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def open(self, name):
        return self.ask(f"contents/{name}.ipynb")["content"]

    def save(self, name, content):
        self.ask(f"contents/{name}.ipynb", {"type": "notebook", "content": content})

    def halves(self, name):
        return [(self.folder / f"{name}{end}").read_bytes() for end in (".py", ".ipynb")]


def as_lab_has_it(content):
    """A notebook with what JupyterLab adds once a kernel runs."""
    content["metadata"] |= {
        "language_info": KERNEL,
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python",
                       "name": "python3"},
    }  # fmt: skip
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"]["trusted"] = True
    return content


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(ROOT / "notebooks", folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--IdentityProvider.token=test", f"--ServerApp.root_dir={folder}"),
        f"--config={folder / 'jupyter_server_config.py'}",
    ]
    home = {"HOME": str(folder.parent), "JUPYTER_CONFIG_DIR": str(folder.parent / "config")}
    with open(folder.parent / "log", "w") as log:
        server = subprocess.Popen(command, env=os.environ | home, stdout=log, stderr=log)
    lab = Lab(folder, port)
    try:
        for _ in range(300):
            try:
                lab.ask("status")
                break
            except OSError:
                assert server.poll() is None, (folder.parent / "log").read_text()
                time.sleep(0.2)
        yield lab
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def chapter(lab):
    """A chapter that a test may change."""
    name = CHAPTERS[0]
    before = lab.halves(name)
    yield name
    for end, content in zip((".py", ".ipynb"), before, strict=True):
        (lab.folder / f"{name}{end}").write_bytes(content)


@pytest.mark.book
@pytest.mark.parametrize("newer", [".py", ".ipynb"])
@pytest.mark.parametrize("name", CHAPTERS)
def test_saving_without_a_change_changes_no_file(lab, name, newer):
    os.utime(lab.folder / f"{name}{newer}", (time.time() + 60,) * 2)  # as after a pull
    before = lab.halves(name)
    lab.save(name, as_lab_has_it(lab.open(name)))
    assert lab.halves(name) == before


@pytest.mark.book
def test_an_edit_in_the_browser_reaches_both_halves(lab, chapter):
    content = as_lab_has_it(lab.open(chapter))
    content["cells"][1]["source"] = "edited = 1"
    lab.save(chapter, content)
    assert all(b"edited = 1" in half for half in lab.halves(chapter))
    pairs.refuse_edited(lab.folder / f"{chapter}.py")
    source = lab.folder / f"{chapter}.py"
    source.write_text(source.read_text().replace("edited = 1", "edited = 2"))
    pairs.refuse_edited(source)  # the source is the newer half, and nothing is lost


@pytest.mark.book
def test_an_edit_in_one_half_is_refused_until_the_command_brings_it_over(lab, chapter):
    source = lab.folder / f"{chapter}.py"
    path = source.with_suffix(".ipynb")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].source = "edited = 1"
    nbformat.write(notebook, path)
    os.utime(path, (time.time() + 120,) * 2)
    with pytest.raises(urllib.error.HTTPError) as refused:
        lab.open(chapter)
    assert refused.value.code == 400
    with pytest.raises(pairs.PairError, match=r"holds an edit that .* `(.+?)` brings it") as error:
        pairs.refuse_edited(source)
    command = error.value.args[0].split("`")[1].split()[1:]
    jupytext = [sys.executable, "-m", "jupytext", *command]
    subprocess.run(jupytext, cwd=lab.folder.parent, check=True, stdout=subprocess.PIPE)
    pairs.refuse_edited(source)
    assert "edited = 1" in source.read_text()
    assert lab.open(chapter)["cells"][1]["source"] == "edited = 1"


@pytest.mark.parametrize("change", ["text", "kind", "tags", "order", "removed"])
def test_every_change_of_a_notebook_is_noticed(tmp_path, change):
    source = tmp_path / "01_one.py"
    source.write_text('# %% [markdown]\n# # 1\n\n# %% tags=["figure"]\n1 + 1\n\n# %%\n1 + 1\n')
    notebook = pairs.tidy(pairs.jupytext.read(source))
    path = source.with_suffix(".ipynb")
    nbformat.write(notebook, path)
    pairs.refuse_edited(source)
    cells = notebook.cells
    if change == "text":
        cells[1].source = "1 + 2"
    if change == "kind":
        cells[1] = nbformat.v4.new_markdown_cell("1 + 1")
    if change == "tags":
        cells[1].metadata.tags = []
    if change == "order":
        cells.reverse()
    if change == "removed":
        del cells[2]
    nbformat.write(notebook, path)
    with pytest.raises(pairs.PairError):
        pairs.refuse_edited(source)


def test_a_damaged_notebook_is_named(tmp_path):
    source = tmp_path / "01_one.py"
    source.write_text("# %%\n1\n")
    source.with_suffix(".ipynb").write_text('{"cells": [')
    with pytest.raises(pairs.PairError, match=r"01_one\.ipynb cannot be read .* remove it"):
        pairs.refuse_edited(source)
