"""What `make watch` serves: the words as they are now, beside the outputs that were stored."""

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from website import ROOT, notebooks
from website.translation.catalogs import Edition

SOURCE = """\
# %% [markdown]
# New words.

# %% tags=["figure"]
print(1)

# %%
print(3)

# %%
print(1)
"""


def printed(text: str) -> list:
    return [new_output("stream", text=text)]


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """A stored chapter whose source has new words and one new code cell."""
    cells = [
        new_markdown_cell("Old words."),
        new_code_cell("print(1)", outputs=printed("first")),
        new_code_cell("print(2)", outputs=printed("second")),
        new_code_cell("print(1)", outputs=printed("third")),
    ]
    stored = tmp_path / "01_one.ipynb"
    nbformat.write(new_notebook(cells=cells), stored)
    stored.with_suffix(".py").write_text(SOURCE, encoding="utf-8")
    return stored


def test_outputs_stay_with_the_code_that_has_not_changed(chapter: Path) -> None:
    words, first, changed, third = notebooks.unexecuted(chapter).cells
    assert words.source == "New words."
    assert first.metadata.tags == ["figure"]
    assert (first.outputs[0].text, third.outputs[0].text) == ("first", "third")
    assert changed.outputs == []


@pytest.mark.parametrize("stored", sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
def test_a_chapter_that_has_not_changed_keeps_all_outputs(stored: Path) -> None:
    sources = [cell.source for cell in notebooks.stored_notebook(stored).cells]
    shown = notebooks.unexecuted(stored).cells
    if [cell.source for cell in shown] != sources:
        pytest.skip(f"{stored.stem}.py has changed since it was executed")
    for cell, same in zip(shown, notebooks.stored_notebook(stored).cells, strict=True):
        assert cell.get("outputs") == same.get("outputs")


def test_watching_writes_under_build_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert notebooks.notebooks_of(Edition("en"), "")[0].parent == ROOT / "notebooks"
    written: list[Path] = []
    monkeypatch.setattr(Edition, "notebooks", lambda self, folder, *how: written.append(folder))
    monkeypatch.setenv(notebooks.WATCHING, "1")
    for language in ("en", "zh"):
        notebooks.notebooks_of(Edition(language), "")
    assert written == [ROOT / f"build/watch/{language}/notebooks" for language in ("en", "zh")]


def files_of(folder: Path) -> dict[str, bytes]:
    """What would be under version control."""
    built = {"build", "node_modules", "__pycache__"}
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {
        path.as_posix(): (folder / path).read_bytes() for path in files if not built & {*path.parts}
    }


def soon(
    found: Callable[[], re.Match[str] | None], process: subprocess.Popen, said: Path
) -> re.Match[str]:
    """What is found, once it is there. What the program has said, where it is not."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if match := found():
            return match
        time.sleep(0.1)
    raise AssertionError(f"not found; the program ended with {process.poll()}: {said.read_text()}")


@pytest.mark.browser
def test_an_edit_arrives(copy: Path, tmp_path: Path) -> None:
    """Of one chapter, so that it takes little time."""
    for path in copy.glob("notebooks/0[2-9]*"):
        path.unlink()
    for run in copy.glob("runs/*"):
        shutil.rmtree(run)
    before = files_of(copy)
    said = tmp_path / "said.txt"
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with said.open("w") as stream:
        command = [sys.executable, "-m", "website.watch", "--port", "8900"]
        process = subprocess.Popen(
            command, cwd=copy, env=environment, stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        serving = re.compile(r"Serving on (http\S+)")
        address = soon(lambda: serving.search(said.read_text()), process, said)[1]

        def page() -> str:
            with urllib.request.urlopen(f"{address}chapters/01_patches/", timeout=60) as answer:
                return answer.read().decode()

        assert "A word more." not in page()
        assert 'class="language"' not in page()
        source = copy / "notebooks/01_patches.py"
        with source.open("a", encoding="utf-8") as stream:
            stream.write("\n# %% [markdown]\n# A word more.\n")
        soon(lambda: re.search(r"A word more\.", page()), process, said)
    finally:
        process.terminate()
        process.wait(timeout=30)
    after = files_of(copy)
    changed = [name for name in after if after[name] != before.get(name)]
    assert changed == ["notebooks/01_patches.py"]
