"""The built pages in a real browser, wide and narrow, light and dark."""

import gzip
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).absolute().parents[2]
AXE = ROOT / "node_modules/axe-core/axe.min.js"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CHAPTERS = [f"en/chapters/{notebook.stem}/" for notebook in NOTEBOOKS]
API = [f"en/api/{page.stem}/" for page in sorted((ROOT / "docs/api").glob("*.md"))]
OTHERS = [
    f"en/{name}/"
    for name in ("start", "after", "live", "results", "teach", "terms", "bibliography")
]
ENGLISH = ["en/", *CHAPTERS, *OTHERS, *API]
CHINESE = [path.replace("en/", "zh/", 1) for path in ENGLISH]
PAGES = [*ENGLISH, *CHINESE]
LIMIT = 600_000
VIEWS = {"wide": (1440, 900), "narrow": (390, 844)}


TOP = "(id) => document.getElementById(id).getBoundingClientRect().top"
SCROLL = "(id) => document.getElementById(id).scrollIntoView({behavior: 'instant'})"


class Visit:
    """A page in a fresh browser context that notes what goes wrong while it is open."""

    def __init__(self, browser: Any, server: Any, scheme: str, view: str, **how: Any) -> None:
        width, height = VIEWS[view]
        self.server = server
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": height}, **how
        )
        self.page = self.context.new_page()
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", self._request)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: self.errors.append(said.text) if said.type == "error" else None,
        )

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self.server.address, "data:", "blob:")):
            self.foreign.append(request.url)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def open(self, path: str) -> None:
        """Load a page and everything in it, pictures further down too."""
        self.page.goto(f"{self.server.address}/{path}")
        self.page.evaluate(
            "Promise.all([...document.images].map((image) => {"
            " image.loading = 'eager'; return image.decode(); }))"
        )
        self.page.evaluate("document.fonts.ready.then(() => 0)")
        self.page.wait_for_load_state("networkidle")

    def violations(self) -> list[str]:
        """What axe finds that keeps people from reading.

        Left out are the part of an equation that screen readers skip and the inside of a figure,
        whose words test_figures_in_pages.py measures, and a token's color is judged once: thousands
        of little boxes that only take time.
        """
        self.page.evaluate(
            "(() => { const seen = new Set();"
            " document.querySelectorAll('.highlight code span[class]').forEach((token) => {"
            "  if (seen.has(token.className)) token.replaceWith(token.textContent);"
            "  seen.add(token.className); }); })()"
        )
        self.page.add_script_tag(path=AXE)
        found = self.page.evaluate(
            "axe.run({exclude: ['.katex-html', '.panel']}, {resultTypes: ['violations']})"
        )
        return [
            f"{violation['id']}: {node['html'][:160]} — {node['failureSummary'][:300]}"
            for violation in found["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]


@pytest.mark.parametrize(("scheme", "view"), [("light", "wide"), ("dark", "narrow")])
@pytest.mark.parametrize("path", PAGES)
def test_page_is_whole(browser: Any, server: Any, path: str, scheme: str, view: str) -> None:
    with Visit(browser, server, scheme, view) as visit:
        visit.open(path)
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= VIEWS[view][0], f"{path} is {width} pixels wide"
        assert visit.foreign == []
        assert visit.errors == []
        assert visit.violations() == []


@pytest.mark.parametrize("path", CHAPTERS)
def test_chapter_is_small(
    browser: Any, server: Any, path: str, request: pytest.FixtureRequest
) -> None:
    server.sent.clear()
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(path)
    size = sum(server.sent.values())
    request.node.user_properties.append(("transfer", f"{path} {size / 1000:.0f} KB"))
    largest = sorted(server.sent.items(), key=lambda item: -item[1])[:8]
    assert size < LIMIT, f"{path} transfers {size} bytes; the largest parts are {largest}"


@pytest.mark.parametrize("script", [True, False])
def test_entrance_leads_to_the_book(browser: Any, server: Any, script: bool) -> None:
    with Visit(browser, server, "light", "wide", java_script_enabled=script) as visit:
        visit.page.goto(f"{server.address}/")
        visit.page.wait_for_url("**/en/")


def test_entrance_leads_to_the_readers_language_and_remembers_another(
    browser: Any, server: Any
) -> None:
    with Visit(browser, server, "light", "wide", locale="zh-CN") as visit:
        visit.page.goto(f"{server.address}/")
        visit.page.wait_for_url("**/zh/")
        visit.page.locator("a.language").click()
        visit.page.wait_for_url("**/en/")
        visit.page.goto(f"{server.address}/")
        visit.page.wait_for_url("**/en/")


@pytest.mark.parametrize("path", ENGLISH)
def test_switch_keeps_page_and_section(browser: Any, server: Any, path: str) -> None:
    """From English to Chinese and back, in the middle of the page and at its top."""
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(path)
        headings = visit.page.locator(".md-content h2[id], .md-content h3[id]")
        middle = headings.nth(headings.count() // 2)
        name = middle.get_attribute("id")
        for there in (path.replace("en/", "zh/", 1), path):
            visit.page.evaluate(SCROLL, name)
            if visit.page.evaluate(TOP, name) > 200:
                break  # the page is too short to be scrolled so far
            visit.page.locator("a.language").dispatch_event("click")  # Playwright's own scrolls
            visit.page.wait_for_url(f"**/{there}#*")
            top = visit.page.evaluate(TOP, name)
            assert abs(top) < VIEWS["wide"][1], f"{visit.page.url} is {top} pixels from {name}"
        visit.page.goto(f"{server.address}/{path}")
        visit.page.locator("a.language").click()
        visit.page.wait_for_url(f"**/{path.replace('en/', 'zh/', 1)}")
        assert visit.errors == []


def test_columns_stand_side_by_side_on_a_wide_screen(browser: Any, server: Any) -> None:
    beside = (
        "(pair) => pair.firstElementChild.getBoundingClientRect().right"
        " <= pair.lastElementChild.getBoundingClientRect().left"
    )
    for view, expected in (("wide", True), ("narrow", False)):
        with Visit(browser, server, "light", view) as visit:
            visit.page.goto(f"{server.address}/{CHAPTERS[0]}")
            assert visit.page.locator(".pair:has(> .words)").first.evaluate(beside) is expected


def test_the_server_compresses(server: Any) -> None:
    body, kind, compressed = server.body("/en/")
    assert (kind, compressed) == ("text/html", True)
    assert b"<!doctype html>" in gzip.decompress(body)[:100]
