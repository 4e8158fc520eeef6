"""Links back: from the bibliography to its citations, from the API to chapters, from terms."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup

from website import ROOT, backlinks

WORDS = {"cited": "Cited in", "explained": "Explained in", "source": "Source"}
Soups = dict[str, BeautifulSoup]


def page(source: str, url: str, title: str, content: str, **meta: Any) -> Any:
    """As much of a page as links need."""
    return SimpleNamespace(
        file=SimpleNamespace(src_uri=source), url=url, title=title, content=content, meta=meta
    )


@pytest.fixture
def pages() -> list[Any]:
    cites = '<a href="../../bibliography/#who2020">Who (2020)</a>'
    shows = '<span class="filename"><a href="../../api/model/#vitlit.patches.patchify">p</a></span>'
    section = '<h2 id="one">One <a class="headerlink" href="#one">#</a></h2>'
    entry = '<dt id="who2020">Who 2020</dt>\n<dd>\n<p>Who: <em>What.</em></p>\n</dd>'
    name = '<h3 id="vitlit.patches.patchify" class="doc doc-heading">patchify</h3>'
    return [
        page("bibliography.md", "bibliography/", "Bibliography", f"<dl>{entry}</dl>{cites}"),
        page("api/model.md", "api/model/", "Model", name),
        page("results.md", "results/", "Results", cites.replace("../../", "../")),
        page("chapters/02.ipynb", "chapters/02/", "2 · Two", f"{cites}{section}{cites}{cites}",
             chapter={"number": 2}),
        page("chapters/01.ipynb", "chapters/01/", "1 · One", f"{section}{shows}",
             chapter={"number": 1}),
    ]  # fmt: skip


def test_an_entry_names_every_section_that_cites_it_once_chapters_first(pages: list[Any]) -> None:
    backlinks.add(pages, WORDS, "")
    cited = BeautifulSoup(pages[0].content, "html.parser").select_one("dd .cited")
    assert cited.get_text() == "Cited in 2 · Two (One); Results"
    assert [a["href"] for a in cited.find_all("a")] == [
        "../chapters/02/", "../chapters/02/#one", "../results/",
    ]  # fmt: skip


@pytest.mark.parametrize("repository", ["", "https://git.example/book"])
def test_a_name_leads_to_its_chapter_and_its_source(pages: list[Any], repository: str) -> None:
    backlinks.add(pages, WORDS, repository)
    line = BeautifulSoup(pages[1].content, "html.parser").select_one("h3 + .doc-places")
    assert line.get_text().startswith("Explained in 1 · One: One")
    assert line.a["href"] == "../../chapters/01/#one"
    addresses = [a["href"] for a in line.find_all("a")[1:]]
    number = backlinks.lines_of("src/vitlit/patches.py")["patchify"]
    there = f"{repository}/blob/HEAD/src/vitlit/patches.py#L{number}"
    assert addresses == ([there] if repository else [])


def test_definitions_are_found_with_their_lines() -> None:
    lines = backlinks.lines_of("src/vitlit/vit.py")
    source = (ROOT / "src/vitlit/vit.py").read_text(encoding="utf-8").splitlines()
    assert "def watch" in source[lines["VisionTransformer.watch"] - 1]


def test_every_citation_is_led_back_to(soups: Soups) -> None:
    """Each link of a page to an entry has its counterpart there."""
    for path, soup in soups.items():
        here = f"/{path.removesuffix('index.html')}"
        for link in soup.select("article a[href*='bibliography/#']"):
            target, _, name = urljoin(here, link["href"]).partition("#")
            entry = soups[f"{target.strip('/')}/index.html"].find("dt", id=name)
            if entry:
                back = entry.find_next_sibling("dd").select(".cited a")
                where = {urljoin(target, a["href"]).partition("#")[0] for a in back}
                assert here in where, f"{here}: {name}"


def test_every_revealed_source_is_led_back_to(soups: Soups) -> None:
    """Each chapter's link to the API has its counterpart there."""
    for path, soup in soups.items():
        if "/chapters/" not in path:
            continue
        for link in soup.select(".filename a"):
            target, _, name = urljoin(f"/{path}", link["href"]).partition("#")
            api = soups[f"{target.strip('/')}/index.html"]
            heading = api.find(id=name)
            if heading is None or "doc-heading" not in heading.get("class", []):
                continue
            back = {
                urljoin(f"{target}x", a["href"]).partition("#")[0]
                for a in heading.find_next_sibling("p", class_="doc-places").find_all("a")
            }
            assert f"/{path.removesuffix('index.html')}" in back, f"{path}: {name}"


def test_terms_have_places_and_lead_to_where_they_are_explained(soups: Soups) -> None:
    for language in ("en", "zh"):
        rows = soups[f"{language}/terms/index.html"].select(".terms tbody tr")
        assert len(rows) > 40
        assert all(row.td.get("id") for row in rows)
        assert all(row.find_all("td")[-1].a for row in rows)


def test_figures_that_teachers_are_sent_to_stand_in_their_section() -> None:
    text = (ROOT / "docs/teach.md").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if re.match(r"\|.*\| figures? \d", row)]
    assert len(rows) > 8
    for row in rows:
        numbers = re.findall(r"\b(\d\.\d+)\b", row)
        for number in numbers:
            assert any(number in captions(*at) for at in sections(row)), f"figure {number}: {row}"


def sections(text: str) -> list[tuple[str, str]]:
    """The chapters' sections that a text links to."""
    return re.findall(r"chapters/(\w+)\.ipynb#([\w-]+)", text)


def captions(chapter: str, section: str) -> set[str]:
    """The numbers of the figures in a section."""
    text = Path(ROOT / f"notebooks/{chapter}.py").read_text(encoding="utf-8")
    part = text.partition(f"{{#{section}")[2].partition("\n# ## ")[0]
    return set(re.findall(r"\*\*Figure ([\d.]+)\.\*\*", part))


def test_every_page_leads_on(soups: Soups) -> None:
    for path, soup in soups.items():
        if path != "index.html":
            ways = {link["rel"][0] for link in soup.select("footer .onward a")}
            first, last = path.count("/") == 1, "/bibliography/" in path
            assert ways == ({"next"} if first else {"prev"} if last else {"prev", "next"}), path
