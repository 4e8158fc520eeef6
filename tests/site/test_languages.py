"""The editions side by side: the same pages, places, code and pictures, in two languages."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

from website.translation.catalogs import Edition
from website.translation.sources import source_messages

ROOT = Path(__file__).absolute().parents[2]
Soups = dict[str, BeautifulSoup]
WORDS = re.compile(r"(?<=>)[^<>]+(?=</text>)")


def pairs(soups: Soups) -> list[tuple[str, BeautifulSoup, BeautifulSoup]]:
    """Every page below a language's folder, in English and in Chinese."""
    names = sorted(page.removeprefix("en/") for page in soups if page.startswith("en/"))
    return [(name, soups[f"en/{name}"], soups[f"zh/{name}"]) for name in names]


def test_every_page_of_one_language_exists_in_the_other(soups: Soups) -> None:
    english, chinese = (
        {page.partition("/")[2] for page in soups if page.startswith(f"{language}/")}
        for language in ("en", "zh")
    )
    assert english == chinese
    assert len(english) > 15


def test_places_have_the_same_names(soups: Soups) -> None:
    for name, english, chinese in pairs(soups):
        ours, theirs = ([tag["id"] for tag in s.select("article [id]")] for s in (english, chinese))
        assert ours == theirs, name


def test_code_outputs_and_pictures_are_the_english_ones(soups: Soups) -> None:
    for name, english, chinese in pairs(soups):
        ours, theirs = (
            [pre.get_text() for pre in soup.select("article .chapter pre")]
            for soup in (english, chinese)
        )
        assert ours == theirs, name
        ours, theirs = (
            [WORDS.sub("", str(panels)) for panels in soup.select("article .panels > svg")]
            for soup in (english, chinese)
        )
        assert ours == theirs, name


def test_words_in_figures_are_chinese(soups: Soups) -> None:
    found = {
        text.get_text() for text in soups["zh/chapters/01_patches/index.html"].select("svg text")
    }
    assert {"图像块", "嵌入", "编码器"} <= found
    assert not {"patches", "embedding", "encoder"} & found


def test_editions_name_each_other(soups: Soups, site: Path) -> None:
    for page, soup in soups.items():
        if page == "index.html":
            links = {link["href"] for link in soup.select("head link[hreflang], body a")}
            assert links == {"en/", "zh/"}
            continue
        own, _, rest = page.partition("/")
        found = {link["hreflang"]: link["href"] for link in soup.select("head link[hreflang]")}
        default = (site / page).parent / found.pop("x-default")
        first = site if rest == "index.html" else (site / "en" / rest).parent
        assert default.resolve() == first.resolve()
        assert set(found) == {"en", "zh"}, page
        switch = soup.select_one("header a.language")
        other = {"en": "zh", "zh": "en"}[own]
        assert switch["hreflang"] == other
        for language, address in (*found.items(), (other, switch["href"])):
            target = (site / page).parent / address
            assert target.resolve() / "index.html" == (site / language / rest).resolve(), page


def test_the_menus_are_chinese(soups: Soups) -> None:
    header = soups["zh/index.html"].header.get_text(" ", strip=True)
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    _, *names = (name for entry in config["nav"] for name in entry)
    edition = Edition("zh")
    assert {edition.word(name) for name in names} <= set(header.split())
    assert "章节" in header


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
def test_the_chinese_notebook_can_be_downloaded_and_has_the_same_code(
    site: Path, path: Path
) -> None:
    page = site / "zh/chapters" / path.stem
    link = BeautifulSoup((page / "index.html").read_bytes(), "html.parser").find("a", download=True)
    english = site / "en/chapters" / path.stem / path.name
    ours, theirs = (nbformat.read(p, nbformat.NO_CONVERT) for p in (english, page / link["href"]))
    nbformat.validate(theirs)
    for own, other in zip(ours.cells[1:], theirs.cells[1:], strict=True):  # the first installs
        assert own.cell_type == other.cell_type
        if own.cell_type == "code":
            assert own == other


def test_a_stale_block_is_marked_and_fails_the_build_of_a_complete_book(copy: Path) -> None:
    page = copy / "docs/terms.md"
    text = page.read_text(encoding="utf-8")
    first = source_messages("terms")[1]
    page.write_text(text.replace(first, f"{first} And no other."), encoding="utf-8")
    subprocess.run([sys.executable, "-m", "website.translation"], cwd=copy, check=True)
    code = (
        "import subprocess, sys; from pathlib import Path; from website import build\n"
        "try: build.build_language('zh', Path('site'), complete=True)\n"
        "except subprocess.CalledProcessError as error: sys.exit(error.output)"
    )
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=copy, capture_output=True, encoding="utf-8", check=False
    )
    assert built.returncode == 1
    assert re.search(r"WARNING -  terms: stale: .*\n(.*\n)*Aborted", built.stderr)
    soup = BeautifulSoup((copy / "site/zh/terms/index.html").read_bytes(), "html.parser")
    assert "And no other." in soup.select_one(".untranslated").get_text()
