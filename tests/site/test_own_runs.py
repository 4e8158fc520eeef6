"""Nothing that a reader trains changes the book: no chapter, no page, not what git says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.archives import CIFAR10, image_folder

from vitlit import records

ROOT = Path(__file__).resolve().parents[2]
SET = ("epochs=1", "model.depth=1", "model.width=16", "model.heads=2")
TINY = [word for change in SET for word in ("--set", change)]
LEFT_OUT = (".venv", "node_modules", "site", "build", "my-runs", ".*_cache", "__pycache__")


class Checkout:
    """A copy of the book in which a reader works, and what he has."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "book"
        shutil.copytree(ROOT, self.root, ignore=shutil.ignore_patterns(*LEFT_OUT))
        self.images = image_folder(folder / "mine", CIFAR10, (20, 40), size=(32, 32))
        self.cache = folder / "cache"

    def run(self, *words: str | Path, **variables: str) -> str:
        """Run a program of the copy, in its folder of notebooks; returns what it printed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VITLIT_")}
        environment = {
            "PYTHONPATH": f"{self.root / 'src'}{os.pathsep}{self.root}",
            "VITLIT_CACHE": str(self.cache),
            **variables,
        }
        ran = subprocess.run(
            [*map(str, words)], cwd=self.root / "notebooks", env=kept | environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def status(self) -> str:
        """What git says has changed."""
        return self.run("git", "status", "--porcelain")


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which a preset, digits and own pictures were trained."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    book = Checkout(tmp_path_factory.mktemp("reader"))
    before = book.status()
    vitlit = (sys.executable, "-m", "vitlit", "train", *TINY)
    for preset, data in (("quick", book.images), ("smoke", "digits"), ("smoke", book.images)):
        name = f"{preset}-{Path(data).name}"
        book.run(*vitlit, "--preset", preset, "--data", data, "--name", name)
    assert book.status() == before
    return book


@pytest.mark.slow
def test_own_runs_lie_apart_and_git_does_not_see_them(book):
    names = ["quick-mine", "smoke-digits", "smoke-mine"]
    assert sorted(run.name for run in records.find(book.root / "my-runs")) == names
    ours, theirs = ({path.name for path in (root / "runs").iterdir()} for root in (ROOT, book.root))
    assert ours == theirs


@pytest.mark.slow
def test_the_results_page_is_unchanged(book, site, tmp_path):
    (book.root / "node_modules").symlink_to(ROOT / "node_modules")
    code = "import sys; from pathlib import Path; from website import build\n"
    code += "build.build_language('en', Path(sys.argv[1]))"
    book.run(sys.executable, "-c", code, tmp_path)
    (book.root / "node_modules").unlink()
    page = "en/results/index.html"
    assert (tmp_path / page).read_text("utf-8") == (site / page).read_text("utf-8")


@pytest.mark.book
@pytest.mark.parametrize("chapter", ["08_inside", "09_pretrained"])
def test_a_chapter_that_reads_records_executes(book, tmp_path, chapter):
    execute = (sys.executable, "-m", "notebooks")
    book.run(*execute, chapter, "--out", tmp_path, VITLIT_DATA=str(book.images))
    assert (tmp_path / f"{chapter}.ipynb").exists()
