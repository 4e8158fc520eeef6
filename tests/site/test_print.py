"""A chapter that a reader prints, from the light scheme and from the dark one."""

from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

pytestmark = pytest.mark.browser

CHAPTER = "en/chapters/04_encoder/"
COLORS = """
(selector) => {
  const shown = [...document.querySelectorAll(selector)].filter((tag) => tag.checkVisibility());
  return [...new Set(shown.map((tag) => getComputedStyle(tag).color))];
}
"""


@pytest.fixture(params=["light", "dark"])
def page(browser: Any, server: Any, request: pytest.FixtureRequest):
    """The chapter as it is on paper."""
    context = browser.new_context(color_scheme=request.param)
    page = context.new_page()
    page.goto(f"{server.address}/{CHAPTER}")
    scheme = page.locator("body").get_attribute("data-md-color-scheme")
    assert scheme == {"light": "default", "dark": "slate"}[request.param]
    page.emulate_media(media="print")
    # A reader's browser loads what is further down before it prints.
    page.evaluate(
        "Promise.all([...document.images].map((image) => {"
        " image.loading = 'eager'; return image.decode(); }))"
    )
    yield page
    context.close()


def test_it_is_black_on_white(page: Any) -> None:
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for what in (".words > p", "h2", "pre > code"):
        assert page.evaluate(COLORS, f".chapter {what}") == ["rgb(0, 0, 0)"], what


def test_only_the_text_is_there(page: Any) -> None:
    for gone in (".md-header", ".md-footer", ".md-sidebar", ".chapter-facts", ".headerlink",
                 ".figure > .fold", "button"):  # fmt: skip
        assert page.locator(f"{gone}:visible").count() == 0, gone
    assert page.locator(".solution pre:visible").count() == page.locator(".solution pre").count()


@pytest.mark.parametrize("paper", ["A4", "Letter"])
def test_no_page_but_the_last_is_half_empty(page: Any, paper: str, tmp_path: Path) -> None:
    page.pdf(path=tmp_path / "chapter.pdf", format=paper, prefer_css_page_size=False)
    pages = PdfReader(tmp_path / "chapter.pdf").pages
    assert len(pages) > 5
    for number, printed in enumerate(pages[:-1], 1):
        height = float(printed.mediabox.height)
        lowest = min(y for y in heights(printed) if y > 0.1 * height)  # above the page's number
        assert lowest < height / 2, f"page {number} of {len(pages)} ends at {lowest:.0f} points"


def heights(printed: Any) -> list[float]:
    """How high above the page's foot each piece of text stands."""
    found: list[float] = []

    def note(text: str, matrix: list[float], place: list[float], *_: object) -> None:
        if text.strip():
            found.append(matrix[5] + matrix[3] * place[5])

    printed.extract_text(visitor_text=note)
    return found
