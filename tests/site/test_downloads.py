"""What a reader takes away from the site: a notebook, the archive, the wheel."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from helpers import elsewhere
from helpers.archives import CIFAR10, image_folder

from notebooks import pairs
from vitlit.studies import STEPS
from website import LANGUAGES, ROOT, downloads, wheel

CHAPTERS = sorted(path.stem for path in (ROOT / "notebooks").glob("[0-9]*.ipynb"))
ADDRESS = "https://vitlit.example/"
HERE, NOWHERE = downloads.Place(ADDRESS, "en"), downloads.Place("", "en")


def stored(chapter):
    return nbformat.read(ROOT / "notebooks" / f"{chapter}.ipynb", nbformat.NO_CONVERT)


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def targets(text):
    return re.findall(r"\]\(([^)\s]+)\)", text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_site_has_each_chapter_as_it_runs_anywhere(site, language, chapter):
    path = site / language / "chapters" / chapter / f"{chapter}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    first = notebook.cells[0]
    assert first.metadata["tags"] == ["setup"]
    assert wheel.name() in first.source
    assert "{#" not in prose(notebook)
    for target in targets(prose(notebook)):
        assert re.match(r"https://|#|\d\d_\w+\.ipynb$", target), target
    page = (path.parent / "index.html").read_text("utf-8")
    assert "Installs the module" not in page
    assert "colab" not in page.lower()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_with_an_address_links_are_absolute(chapter):
    notebook = downloads.portable(stored(chapter), HERE, alone=True)
    assert f'address = Path("{wheel.name()}"), "{ADDRESS}"' in notebook.cells[0].source
    for target in targets(prose(notebook)):
        assert re.match(r"https://|#", target), target


def test_a_link_within_a_chapter_leads_to_its_heading():
    cells = ["## The data {#data}", "see [there](#data) and [here](07_finetune.ipynb)"]
    cells = [nbformat.v4.new_markdown_cell(text) for text in cells]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=pairs.METADATA)
    text = prose(downloads.portable(notebook, NOWHERE, alone=False))
    assert text == "## The data\nsee [there](#The-data) and [here](07_finetune.ipynb)"


def test_a_cell_that_compares_with_another_library_waits_for_it():
    conditions = {}
    code = "import numpy as np\nfrom timm import layers\n\nx = layers(np.pi)\ncompare(\n    x,\n)"
    assert downloads.guarded(code, conditions) == (
        "from importlib.util import find_spec\nimport numpy as np\n\n"
        'if find_spec("timm"):  # else: pip install timm\n'
        "    from timm import layers\n\n    x = layers(np.pi)\n"
        "    display(compare(\n        x,\n    ))"
    )
    assert "find_spec" in downloads.guarded("print(x)", conditions)
    assert downloads.guarded("x = 1\nprint(np, x)", conditions) == "x = 1\nprint(np, x)"
    assert downloads.guarded("print(x)", conditions) == "print(x)"


@pytest.mark.parametrize(
    ("site_url", "repo_url", "colab", "source"),
    [
        ("", "", "", ""),
        (f"{ADDRESS}zh/", "", "", ""),
        (
            f"{ADDRESS}zh/",
            "https://github.com/some/book",
            "https://colab.research.google.com/github/some/book/blob/notebooks/zh/01_a.ipynb",
            "https://github.com/some/book/blob/HEAD/notebooks/01_a.py",
        ),
        (
            "",
            "https://git.example/book/",
            "",
            "https://git.example/book/blob/HEAD/notebooks/01_a.py",
        ),
    ],
)
def test_buttons_lead_somewhere_or_are_not_there(site_url, repo_url, colab, source):
    config = SimpleNamespace(site_url=site_url, repo_url=repo_url, theme={"language": "zh"})
    assert downloads.colab(config, "01_a") == colab
    assert downloads.source(config, "01_a") == source
    assert downloads.Place.of(config).address == (ADDRESS if site_url else "")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_archive_holds_all_that_runs(site, language):
    with zipfile.ZipFile(site / f"vitlit-book-{language}.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        assert names == {*(f"{name}.ipynb" for name in CHAPTERS), "README.md", wheel.name()}
        readme = archive.read("vitlit-book/README.md").decode()
    assert "{#" not in readme
    assert not readme.startswith("---")
    assert all(target.startswith("https://") for target in targets(readme))
    assert (site / language / "start" / "index.html").read_text("utf-8").count("vitlit-book") == 1
    assert (site / wheel.name()).stat().st_size < wheel.LIMIT


def test_the_wheel_is_the_same_each_time_and_holds_records_and_weights(site, tmp_path):
    again = wheel.build(tmp_path)
    assert again.read_bytes() == (site / wheel.name()).read_bytes()
    with zipfile.ZipFile(again) as archive:
        names = set(archive.namelist())
    assert {f"vitlit/{path.relative_to(ROOT).as_posix()}" for path in wheel.kept()} <= names
    assert not [name for name in names if name.endswith("training.pt")]
    assert "vitlit/runs/cpu-seed0/model.safetensors" in names
    assert (f"vitlit/{STEPS}" in names) == (ROOT / STEPS).exists()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_the_wheel_takes_the_records_that_git_keeps(tmp_path):
    git = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "runs"]
    tracked = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [path.relative_to(ROOT).as_posix() for path in wheel.kept()] == tracked.split()
    run = tmp_path / "runs/ablation-x"
    run.mkdir(parents=True)
    for name in ("summary.json", "model.safetensors", "training.pt"):
        (run / name).touch()
    shutil.copy(ROOT / ".gitignore", tmp_path)
    assert wheel.kept(tmp_path) == [run / "summary.json"]


def test_a_wheel_that_grew_too_large_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(wheel, "LIMIT", 2**20)
    with pytest.raises(ValueError, match=r"MiB, and may have 1; keep weights of fewer runs"):
        wheel.build(tmp_path)


@pytest.mark.book
@pytest.mark.skipif(sys.platform == "win32", reason="makes an environment of links")
@pytest.mark.parametrize(("language", "chapter"), [("en", "03_positions"), ("zh", "08_inside")])
def test_a_chapter_of_the_archive_runs_where_nothing_of_the_book_is(
    site, tmp_path, language, chapter
):
    zipfile.ZipFile(site / f"vitlit-book-{language}.zip").extractall(tmp_path)
    notebook = tmp_path / "vitlit-book" / f"{chapter}.ipynb"
    packages = [*elsewhere.GIVEN, *elsewhere.needs_of_vitlit()]
    python = elsewhere.bare(tmp_path / "bare", packages)
    pictures = image_folder(tmp_path / "pictures", CIFAR10, (20, 40), size=(32, 32))
    where = {"VITLIT_DATA": str(pictures), "VITLIT_CACHE": str(tmp_path / "cache")}
    done = elsewhere.run(python, notebook, **where)
    assert done.returncode == 0, done.stderr[-3000:]
    executed = nbformat.read(notebook, as_version=4)
    printed = "".join(o.get("text", "") for c in executed.cells for o in c.get("outputs", []))
    assert str(ROOT) not in printed
    assert "ModuleNotFoundError" not in printed
