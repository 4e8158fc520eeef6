"""The built pages as files: what they link to, what they say of pictures, what they show."""

import json
import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

from website import pictures

ROOT = Path(__file__).absolute().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


def cells(notebook: Path, kind: str) -> list[dict]:
    """The cells of a kind, with their text in one piece."""
    found = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    for cell in found:
        cell["source"] = "".join(cell["source"])
    return [cell for cell in found if cell["cell_type"] == kind]


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def page_of(notebook: Path) -> str:
    return f"en/chapters/{notebook.stem}/index.html"


def test_every_link_and_anchor_exists(site: Path, soups: dict[str, BeautifulSoup]) -> None:
    ids = {page: {tag["id"] for tag in soup.find_all(id=True)} for page, soup in soups.items()}
    broken = []
    for page, soup in soups.items():
        for tag in soup.find_all(["a", "link", "script", "img", "image"]):
            address = tag.get("href") or tag.get("src")
            if not address or urlsplit(address).scheme:
                continue
            path, fragment = unquote(urlsplit(address).path), urlsplit(address).fragment
            target = (site / page).parent / path if path else site / page
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                broken.append(f"{page} → {address}")
                continue
            name = target.resolve().relative_to(site.resolve()).as_posix()
            if fragment and not fragment.startswith("__") and fragment not in ids.get(name, ()):
                broken.append(f"{page} → {address} (no such anchor)")
    assert not broken


def test_style_sheets_name_files_that_exist(site: Path) -> None:
    missing = [
        f"{sheet.name} → {address}"
        for sheet in site.rglob("*.css")
        for address in re.findall(r"url\(['\"]?([^)'\"]+)", sheet.read_text(encoding="utf-8"))
        if not address.startswith("data:") and not (sheet.parent / address).is_file()
    ]
    assert not missing


def test_only_links_lead_to_other_hosts(soups: dict[str, BeautifulSoup]) -> None:
    asking = [
        f"{page}: {tag}"
        for page, soup in soups.items()
        for tag in soup.find_all(["link", "script", "img", "image", "iframe", "source"])
        if urlsplit(tag.get("href") or tag.get("src") or "").netloc
    ]
    assert not asking


def test_pictures_have_words_and_no_two_the_same(soups: dict[str, BeautifulSoup]) -> None:
    words: list[tuple[str, str]] = []
    for page, soup in soups.items():
        enough = 15 if soup.html["lang"] == "en" else 8
        for tag in soup.select("article img, article [role=img], article .panels"):
            text = (tag.get("alt") or tag.get("aria-label") or "").strip()
            assert len(text) > enough, f"{page}: {str(tag)[:120]} says {text!r}"
            words.append((soup.html["lang"], text))  # what is not translated is in both
    assert [text for text, count in Counter(words).items() if count > 1] == []


def test_every_page_has_one_title_and_a_language(soups: dict[str, BeautifulSoup]) -> None:
    titles = Counter((soup.html["lang"], soup.title.get_text()) for soup in soups.values())
    assert [title for title, count in titles.items() if count > 1 and title[1] != "vitlit"] == []
    for page, soup in soups.items():
        assert len(soup.find_all("h1")) == 1, page
        assert soup.html["lang"] == ("zh" if page.startswith("zh/") else "en"), page


def test_entrance_leads_to_the_book_without_script(soups: dict[str, BeautifulSoup]) -> None:
    entrance = soups["index.html"]
    assert entrance.find("a", href="en/")
    assert entrance.noscript.meta["content"] == "0; url=en/"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
class TestChapter:
    """One chapter against its notebook."""

    def test_shows_its_code_unchanged(
        self, notebook: Path, soups: dict[str, BeautifulSoup]
    ) -> None:
        shown = {tag.get_text().rstrip() for tag in soups[page_of(notebook)].select("pre > code")}
        for cell in cells(notebook, "code"):
            if "reveal" not in tags(cell):
                assert cell["source"].rstrip() in shown

    def test_shows_the_source_it_reveals_and_where_it_is(
        self, notebook: Path, soups: dict[str, BeautifulSoup]
    ) -> None:
        revealed = soups[page_of(notebook)].select(".reveal .highlight")
        expected = [cell for cell in cells(notebook, "code") if "reveal" in tags(cell)]
        assert len(revealed) == len(expected)
        for block, cell in zip(revealed, expected, strict=True):
            markdown = "".join(cell["outputs"][-1]["data"]["text/markdown"])
            assert block.code.get_text().strip() in markdown
            assert block.select_one(".filename a"), f"no link to the API: {markdown[:80]}"

    def test_puts_captions_and_words_to_pictures(
        self, notebook: Path, soups: dict[str, BeautifulSoup]
    ) -> None:
        figures = soups[page_of(notebook)].select("figure.picture")
        captions = [cell for cell in cells(notebook, "markdown") if "caption" in tags(cell)]
        shown = [figure.select_one(".panels")["aria-label"] for figure in figures]
        assert shown == [
            re.search(r"alt:\s*(.*?)\s*-->", caption["source"], re.S)[1] for caption in captions
        ]
        assert all(figure.figcaption.get_text().strip() for figure in figures)

    def test_leaves_no_markdown_or_tex_behind(
        self, notebook: Path, soups: dict[str, BeautifulSoup]
    ) -> None:
        article = BeautifulSoup(str(soups[page_of(notebook)].article), "html.parser")
        for tag in article.select("code, pre, .katex"):
            tag.decompose()
        assert (
            re.findall(r"\$[^$]+\$|\*\*|\{#|~~~|```|\\\(|<!--|&[a-z]+;", article.get_text()) == []
        )

    def test_is_found_by_headings_and_prose_but_not_by_code(
        self, notebook: Path, site: Path, soups: dict[str, BeautifulSoup]
    ) -> None:
        script = (site / "en/search/sections.js").read_text(encoding="utf-8")
        book = json.loads(script.removeprefix("self.vitlitBook = ").removesuffix(";\n"))
        [page] = (n for n, (path, *_) in enumerate(book["pages"]) if notebook.stem in path)
        found = {place: text for number, place, _, text, _ in book["sections"] if number == page}
        for heading in soups[page_of(notebook)].select("article h2[id]"):
            assert heading["id"] in found
        text = " ".join(found.values())
        for cell in cells(notebook, "code"):
            longest = max(cell["source"].splitlines(), key=len).strip()
            assert longest not in text


def test_an_attached_picture_is_named(caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="chapters/01_one.ipynb"))
    pictures.extract("![a cat](attachment:cat.png)", page, None, None)
    assert "the picture cat.png is attached to a cell" in caplog.text
