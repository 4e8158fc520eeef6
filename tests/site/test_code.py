"""Code on the pages: what goes on beyond the edge, what is folded, what stands beside what."""

from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from test_browser import CHAPTERS, Visit

from website import ROOT

ENCODER = "en/chapters/04_encoder/"
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
BEYOND = "(code) => getComputedStyle(code).getPropertyValue('--beyond')"


@pytest.mark.browser
def test_a_line_that_goes_on_shows_it_until_its_end_is_seen(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow") as visit:
        visit.open(ENCODER)
        blocks = visit.page.locator(".highlight pre > code:visible")
        states = blocks.evaluate_all(
            f"(found) => found.map((code) => [code.scrollWidth > code.clientWidth + 1,"
            f" ({BEYOND})(code)])"
        )
        assert {long for long, _ in states} == {True, False}
        assert all((beyond != "0px") is long for long, beyond in states)
        first = blocks.nth([long for long, _ in states].index(True))
        first.evaluate("(code) => code.scrollTo({left: 9999, behavior: 'instant'})")
        visit.page.evaluate(FRAMES)
        assert first.evaluate(BEYOND) == "0px"


@pytest.mark.browser
def test_lines_are_wrapped_on_request_and_the_choice_is_kept(browser: Any, server: Any) -> None:
    long = (
        "[...document.querySelectorAll('.highlight:not(.no-copy) pre > code')]"
        ".filter((code) => code.scrollWidth > code.clientWidth + 1).length"
    )
    with Visit(browser, server, "light", "narrow", has_touch=True) as visit:
        visit.open(ENCODER)
        visit.page.evaluate(FRAMES)
        assert visit.page.evaluate(long) > 5
        button = visit.page.locator("[data-md-type=wrap]:visible").nth(4)
        button.scroll_into_view_if_needed()
        top = button.bounding_box()["y"]
        button.tap()
        assert visit.page.evaluate(long) == 0
        assert abs(button.bounding_box()["y"] - top) < 3
        visit.open(CHAPTERS[1])
        assert visit.page.evaluate(long) == 0
        visit.page.evaluate(FRAMES)
        visit.page.locator("[data-md-type=wrap]:visible").first.tap()
        assert visit.page.evaluate(long) > 5


@pytest.mark.browser
def test_buttons_of_code_can_be_hit_with_a_finger(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow", has_touch=True, is_mobile=True) as visit:
        visit.open(ENCODER)
        visit.page.evaluate(FRAMES)
        sizes = visit.page.locator(".md-code__button:visible").evaluate_all(
            "(found) => found.map((one) => one.getBoundingClientRect())"
            ".map((box) => Math.min(box.width, box.height))"
        )
        assert len(sizes) > 20
        assert min(sizes) >= 40


@pytest.mark.browser
def test_an_equation_is_copied_once(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(ENCODER)
        visit.page.evaluate(
            "document.addEventListener('copy', (event) => {"
            " window.copied = event.clipboardData.getData('text/plain'); });"
            "getSelection().selectAllChildren("
            " [...document.querySelectorAll('.words p, .prose p')].find("
            "  (p) => p.querySelector('.katex')));"
            "document.execCommand('copy')"
        )
        copied = visit.page.evaluate("copied")
        assert copied.count("$") >= 2
        outside = "".join(copied.split("$")[::2])
        assert "\\" not in outside
        assert "×" not in outside


@pytest.mark.browser
@pytest.mark.parametrize("path", CHAPTERS)
def test_no_code_towers_over_the_text_beside_it(browser: Any, server: Any, path: str) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(path)
        found = visit.page.locator(".pair:not(.tall):has(> .words)").evaluate_all(
            "(pairs) => pairs.map((pair) => [...pair.children].map("
            "(side) => Math.round(side.getBoundingClientRect().height)))"
        )
        towering = [(text, code) for text, code in found if code > text + 600]
        assert towering == []


def test_no_section_begins_beside_code_of_the_one_before(soups: dict[str, BeautifulSoup]) -> None:
    inside = [
        f"{page}: {heading['id']}"
        for page, soup in soups.items()
        for heading in soup.select(".pair h2, .prose h2")
    ]
    assert inside == []


def test_long_outputs_are_folded_after_their_first_lines(soups: dict[str, BeautifulSoup]) -> None:
    folded = 0
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        soup = soups[f"en/chapters/{path.stem}/index.html"]
        blocks = [lines_of(block.get_text()) for block in soup.select(".printed code")]
        more = [lines_of(block.get_text()) for block in soup.select(".fold .printed code")]
        assert all(len(block) <= 12 for block in blocks if block not in more)
        for cell in nbformat.read(path, nbformat.NO_CONVERT).cells:
            for output in cell.get("outputs", []):
                if output.output_type != "stream" or "figure" in cell.metadata.get("tags", []):
                    continue
                lines = lines_of(output.text)
                if len(lines) > 12:
                    folded += 1
                    # A blank line at the cut is not shown.
                    at = next(i for i, b in enumerate(blocks) if b and b == lines[: len(b)])
                    shown = blocks[at] + blocks[at + 1]
                    assert list(filter(None, shown)) == list(filter(None, lines))
    assert folded > 0


def test_every_fold_says_what_it_holds(soups: dict[str, BeautifulSoup]) -> None:
    nameless = [
        page
        for page, soup in soups.items()
        for tag in soup.select("article summary")
        if not tag.get_text().strip()
    ]
    assert nameless == []
    assert "11 more lines" in soups["en/chapters/05_head/index.html"].get_text()
    assert "还有 11 行" in soups["zh/chapters/05_head/index.html"].get_text()


def lines_of(text: str) -> list[str]:
    """Lines without the blanks at their ends."""
    return [line.rstrip() for line in text.strip("\n").split("\n")]


def test_tables_have_no_empty_header(soups: dict[str, BeautifulSoup]) -> None:
    empty = [page for page, soup in soups.items() for th in soup.select("th") if not th.get_text()]
    assert empty == []
