"""The search: what it finds, what it costs, and that it can be used on every screen."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from bs4 import BeautifulSoup
from test_browser import Visit

from website import ROOT
from website.search import index

QUERIES = json.loads((Path(__file__).parent / "queries.json").read_text(encoding="utf-8"))
SCREENS = [(360, 740), (390, 844), (820, 1180), (1280, 800), (1440, 900), (1920, 1080)]
MISSES = 1
LIMIT = 200_000

browser_test = pytest.mark.browser


def book(site: Path, language: str) -> dict[str, Any]:
    """What the ranking of an edition is given."""
    script = (site / language / "search/sections.js").read_text(encoding="utf-8")
    return json.loads(script.removeprefix("self.vitlitBook = ").removesuffix(";\n"))


def type_query(page: Any, query: str) -> None:
    """Open the search, type a query, and wait for the answer."""
    if not page.locator(".search").evaluate("dialog => dialog.open"):
        page.locator(".search-open").click()
    page.locator(".search__field").fill(query)
    page.locator(".search__result").first.wait_for()


def section_of(address: str) -> str:
    """A result's section, written as in words.yml."""
    path, _, place = re.sub(r"^.*?/(?:en|zh)/|\?[^#]*", "", address).partition("#")
    path = path.strip("/") or "index"
    return f"{path}#{place}" if place else path


@browser_test
@pytest.mark.parametrize("language", QUERIES)
def test_what_people_type_leads_to_its_section(browser: Any, server: Any, language: str) -> None:
    wrong = {}
    with Visit(browser, server, "light", "wide") as visit:
        visit.page.goto(f"{server.address}/{language}/")
        for query, expected in QUERIES[language].items():
            type_query(visit.page, query)
            found = section_of(visit.page.locator(".search__result").first.evaluate("a => a.href"))
            if found != expected:
                wrong[query] = found
        assert visit.errors == []
    assert len(QUERIES[language]) >= 25
    assert len(wrong) <= MISSES, wrong


@browser_test
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("layernorm", "layer norm"), ("warm up", "warmup"), ("normalisation", "normalization"),
        ("multi head", "multi-head"), ("Patch Sizes", "patch size"),
        ("atention map", "attention map"),
    ],
)  # fmt: skip
def test_the_same_in_other_letters_is_the_same(
    browser: Any, server: Any, typed: str, meant: str
) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.page.goto(f"{server.address}/en/")
        first = []
        for query in (typed, meant):
            type_query(visit.page, query)
            link = visit.page.locator(".search__result").first
            first.append(section_of(link.evaluate("a => a.href")))
    assert first[0] == first[1]


@browser_test
@pytest.mark.parametrize("size", SCREENS)
@pytest.mark.parametrize("language", QUERIES)
def test_the_panel_can_be_used(
    browser: Any, server: Any, language: str, size: tuple[int, int]
) -> None:
    width, height = size
    with Visit(browser, server, "dark", "wide") as visit:
        visit.page.set_viewport_size({"width": width, "height": height})
        visit.page.goto(f"{server.address}/{language}/chapters/04_encoder/")
        type_query(visit.page, "attention")
        panel, results = (
            visit.page.locator(name).bounding_box()
            for name in (".search__panel", ".search__results")
        )
        assert 0 <= panel["x"] <= width - panel["width"]
        assert 0 <= panel["y"] <= height - panel["height"]
        assert panel["width"] >= min(width, 600)
        assert results["height"] >= 400
        assert results["width"] >= panel["width"] - 4
        inside = visit.page.locator(".search__result").evaluate_all(
            "(links) => links.every((link) => link.scrollWidth <= link.clientWidth)"
        )
        assert inside, "a result is wider than the panel"
        last = visit.page.locator(".search__result").last
        last.scroll_into_view_if_needed()
        box = last.bounding_box()
        assert results["y"] <= box["y"] <= panel["y"] + panel["height"] - box["height"]


@browser_test
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", ["wide", "narrow"])
def test_the_open_dialog_keeps_nobody_out(
    browser: Any, server: Any, scheme: str, view: str
) -> None:
    with Visit(browser, server, scheme, view) as visit:
        visit.page.goto(f"{server.address}/zh/")
        type_query(visit.page, "注意力")
        assert visit.violations() == []


@browser_test
def test_the_index_is_loaded_when_the_field_is_focused(browser: Any, server: Any) -> None:
    server.sent.clear()
    with Visit(browser, server, "light", "wide") as visit:
        visit.open("en/chapters/04_encoder/")
        assert not [path for path in server.sent if "search_index" in path or "/search/" in path]
        visit.page.keyboard.press("/")
        visit.page.wait_for_function("self.vitlitBook")
        assert {"/en/search/rank.js", "/en/search/sections.js"} <= set(server.sent)


@browser_test
def test_the_keyboard_is_enough(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        page = visit.page
        page.goto(f"{server.address}/en/chapters/01_patches/")
        field = page.locator(".search__field:focus")
        for key in ("/", "s"):
            page.keyboard.press(key)
            assert field.count() == 1
            page.keyboard.press("Escape")
            assert not page.locator(".search").is_visible()
        page.keyboard.press("/")
        page.keyboard.type("layer norm")
        page.locator(".search__result").nth(2).wait_for()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        second = page.locator(".search__result").nth(1)
        assert second.evaluate("link => link === document.activeElement")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("ArrowUp")
        assert field.count() == 1
        assert page.locator(".search__field").input_value() == "layer norm"
        page.keyboard.press("Enter")
        page.wait_for_url("**/en/chapters/04_encoder/?h=*#norm")
        assert page.evaluate("CSS.highlights.get('search').size") > 0
        assert visit.errors == []


@browser_test
def test_a_finger_is_enough(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow", has_touch=True, is_mobile=True) as visit:
        page = visit.page
        page.goto(f"{server.address}/en/chapters/04_encoder/")
        for name in (".search-open", ".search__close"):
            page.locator(".search-open").tap() if name == ".search__close" else None
            box = page.locator(name).bounding_box()
            assert min(box["width"], box["height"]) >= 40, name
        page.locator(".search__close").tap()
        assert not page.locator(".search").is_visible()
        page.locator(".search-open").tap()
        page.locator(".search__field").fill("layer norm")
        page.locator(".search__result").first.tap()
        page.wait_for_url("**/en/chapters/04_encoder/#norm")  # this page: nothing is loaded again
        assert not page.locator(".search").is_visible()


@browser_test
def test_pages_that_are_files_can_be_searched(browser: Any, server: Any, site: Path) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.page.goto((site / "en/chapters/01_patches/index.html").as_uri())
        type_query(visit.page, "layer norm")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_url("file://**/en/chapters/04_encoder/index.html?h=*#norm")


@browser_test
def test_without_an_answer_it_says_so(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.page.goto(f"{server.address}/en/")
        visit.page.locator(".search-open").click()
        visit.page.locator(".search__field").fill("qqqxxyz")
        visit.page.get_by_text("Nothing found").wait_for()


@browser_test
def test_a_page_without_scripts_offers_no_search(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide", java_script_enabled=False) as visit:
        visit.page.goto(f"{server.address}/en/")
        assert not visit.page.locator(".search-open").is_visible()


@pytest.mark.parametrize("language", QUERIES)
def test_the_index_is_small(site: Path, language: str, request: pytest.FixtureRequest) -> None:
    size = len(gzip.compress((site / language / "search/sections.js").read_bytes(), 6))
    request.node.user_properties.append(("transfer", f"{language} search {size / 1000:.0f} KB"))
    assert size < LIMIT


def test_the_words_of_the_index_name_sections_that_exist(site: Path) -> None:
    found = book(site, "en")
    # Some sections of the results stand there only if there are records.
    results = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    known = {"index" if not page[0] else page[0].strip("/") for page in found["pages"]}
    known |= {
        f"{found['pages'][page][0].strip('/') or 'index'}#{place}"
        for page, place, *_ in found["sections"]
    }
    known |= {f"results#{place}" for place in re.findall(r"\{#([\w-]+)\}$", results, re.M)}
    words = yaml.safe_load(index.WORDS.read_text(encoding="utf-8"))
    assert set(words) - {"same", "weights"} - known == set()


def test_every_section_of_a_chapter_has_words(soups: dict[str, BeautifulSoup]) -> None:
    words = yaml.safe_load(index.WORDS.read_text(encoding="utf-8"))
    alike = {"receipt", "exercises", "paper"}  # every chapter has one
    for page, soup in soups.items():
        if page.startswith("en/chapters/"):
            source = page.removeprefix("en/").removesuffix("/index.html")
            places = {heading["id"] for heading in soup.select("article h2[id]")} - alike
            assert {f"{source}#{place}" for place in places} <= set(words), page
    assert all(set(entry) == {"en", "zh"} for key, entry in words.items() if "/" in key)


def test_a_section_is_what_stands_below_its_heading() -> None:
    html = """
    <h1 id="top">One<a class="headerlink">#</a></h1><p>first<br>line</p><pre>code</pre>
    <div><h2 id="two">Two <code>x</code></h2><ul><li>a</li><li>b</li></ul>
    <span class="katex"><span class="katex-mathml"><math><mi>d</mi></math></span>
    <span class="katex-html"><span>d</span></span></span></div>
    <h2>No place</h2><dl><dt id="three">Three</dt><dd>c &amp; d</dd></dl>"""
    first, second, third = index.sections_of(html)
    assert (first.id, first.title, first.text) == ("", "One", "first line")
    assert (second.id, second.title, second.text) == ("two", "Two x", "a b d No place")
    assert (third.id, third.title, third.text) == ("three", "Three", "c & d")
