"""The site as an archive: unpacked, its pages work from a disk."""

import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from website import LANGUAGES, offline
from website.build import entrance

NAMES = {"en/index.html", "en/terms/index.html", "en/a/index.html", "zh/a/index.html"}


@pytest.mark.parametrize(
    ("link", "opened"),
    [
        ('<a href="../terms/">', '<a href="../terms/index.html">'),
        ('<a id="x" href="../terms/#y">', '<a id="x" href="../terms/index.html#y">'),
        ('<a href="..">', '<a href="../index.html">'),
        ('<a href=".">', '<a href="./index.html">'),
        ('<a href="../../zh/a/">', '<a href="../../zh/a/index.html">'),
        ('<svg><a xlink:href="../terms/">', '<svg><a xlink:href="../terms/index.html">'),
        ('<a href="#here">', '<a href="#here">'),
        ('<a href="notebook.ipynb">', '<a href="notebook.ipynb">'),
        ('<a href="https://vitlit.example/">', '<a href="https://vitlit.example/">'),
        ('<a href="../x.zip" data-online>All</a> of it', " of it"),
        ("<code>href=../terms/</code>", "<code>href=../terms/</code>"),
    ],
)  # fmt: skip
def test_a_link_opens_a_page_and_no_folder(link, opened):
    assert offline.page(link, "en/a/index.html", NAMES) == opened


@pytest.fixture(scope="module")
def disk(site, tmp_path_factory):
    """The archive, unpacked."""
    folder = tmp_path_factory.mktemp("disk")
    zipfile.ZipFile(site / offline.ARCHIVE).extractall(folder)
    return folder / "vitlit-offline"


def test_every_link_names_a_file(disk):
    broken, pages = [], sorted(disk.rglob("*.html"))
    assert {page.relative_to(disk).parts[0] for page in pages} == {"index.html", *LANGUAGES}
    for page in pages:
        soup = BeautifulSoup(page.read_bytes(), "html.parser")
        for tag in soup.find_all(["a", "link", "script", "img", "image"]):
            address = urlsplit(tag.get("href") or tag.get("xlink:href") or tag.get("src") or "")
            if address.path and not address.scheme:
                target = page.parent / unquote(address.path)
                if not target.is_file():
                    broken.append(f"{page.relative_to(disk)} → {address.path}")
    assert not broken


def test_equal_sites_give_equal_archives(site, tmp_path):
    before = (site / offline.ARCHIVE).read_bytes()
    again = offline.write_archive(site, entrance(page="index.html"))
    assert again.read_bytes() == before


@pytest.fixture
def visit(browser: Any, disk: Path):
    """A page from the disk, without a network; what it asks for and what fails is noted."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, offline=True)
    page = context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda said: said.type == "error" and page.troubles.append(said.text))
    page.on("requestfailed", lambda request: page.troubles.append(request.url))
    page.on(
        "request",
        lambda request: (
            request.url.startswith(("file:", "data:", "blob:")) or page.troubles.append(request.url)
        ),
    )
    yield page
    context.close()
    assert page.troubles == []


@pytest.mark.browser
def test_the_first_page_leads_into_the_book_and_through_it(visit: Any, disk: Path) -> None:
    visit.goto((disk / "index.html").as_uri())
    visit.wait_for_url("**/en/index.html")
    visit.locator('article a[href*="01_patches"]').first.click()
    visit.wait_for_url("**/chapters/01_patches/index.html")
    visit.locator(".onward__next").click()
    visit.wait_for_url("**/chapters/02_embeddings/index.html")
    visit.locator("a.language").first.click()
    visit.wait_for_url("**/zh/chapters/02_embeddings/index.html")
    assert visit.locator("html").get_attribute("lang") == "zh"


@pytest.mark.browser
def test_fonts_and_formulas_are_there(visit: Any, disk: Path) -> None:
    visit.goto((disk / "en/chapters/04_encoder/index.html").as_uri())
    visit.locator(".katex").first.scroll_into_view_if_needed()
    visit.evaluate("document.fonts.ready.then(() => 0)")
    loaded = visit.evaluate(
        "[...document.fonts].filter((font) => font.status === 'loaded')"
        ".map((font) => font.family.replaceAll('\"', ''))"
    )
    assert {"KaTeX_Main", "Source Serif 4 Variable", "JetBrains Mono Variable"} <= set(loaded)


@pytest.mark.browser
@pytest.mark.parametrize(
    ("language", "words", "page"),
    [("en", "multi-head", "04_encoder"), ("zh", "位置嵌入", "03_positions")],
)
def test_the_search_finds_and_opens(
    visit: Any, disk: Path, language: str, words: str, page: str
) -> None:
    visit.goto((disk / language / "terms/index.html").as_uri())
    visit.locator(".search-open").click()
    visit.keyboard.insert_text(words)
    visit.locator(".search__result").first.click()
    visit.wait_for_url(f"**/{page}/index.html*")
    assert visit.locator("h1").count() == 1
