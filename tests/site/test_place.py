"""Where a reader is: the strip below the header, keys, the short path, and what loads quietly."""

from typing import Any

import pytest
from test_browser import CHAPTERS, SCROLL, VIEWS, Visit

pytestmark = pytest.mark.browser

WIDTHS = (360, 390, 820, 1280, 1440)
ENCODER = "chapters/04_encoder/"
COUNT = {"en": "{here} of {all}", "zh": "{here} / {all}"}
# What the strip should say, found another way: by the headings in the page.
EXPECTED = """() => {
    const line = parseFloat(getComputedStyle(document.documentElement).scrollPaddingTop) + 4;
    const headings = [...document.querySelectorAll(".chapter h2[id]")];
    const at = headings.filter((h) => h.getBoundingClientRect().top <= line).length;
    const text = (h) => h.firstChild.textContent.trim();
    return [at ? text(headings[at - 1]) : "", at, headings.length];
}"""
FRAMES = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
SHIFTS = """
    window.shifted = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifted += entry.value;
    }).observe({type: "layout-shift", buffered: true});
"""


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """A width of the screen, under which a visit can be made."""
    monkeypatch.setitem(VIEWS, "this", (request.param, 900))
    return request.param


def said(visit: Visit) -> tuple[str, str]:
    """What the strip says: the section and the count."""
    visit.page.evaluate(FRAMES)
    return tuple(
        visit.page.locator(f".place__{name}").inner_text() for name in ("section", "count")
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_strip_is_right_while_scrolling(
    browser: Any, server: Any, width: int, language: str
) -> None:
    with Visit(browser, server, "light", "this") as visit:
        visit.open(f"{language}/{ENCODER}")
        visit.page.evaluate(SHIFTS)
        height = visit.page.evaluate("document.documentElement.scrollHeight")
        seen = set()
        for top in range(0, height - 1000, 500):
            visit.page.evaluate(f"scrollTo({{top: {top}, behavior: 'instant'}})")
            title, at, total = visit.page.evaluate(EXPECTED)
            section, count = said(visit)
            if at:
                assert section == title
                assert count == COUNT[language].format(here=at, all=total)
                seen.add(at)
        assert len(seen) >= 10
        visit.page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        assert said(visit)[1] == COUNT[language].format(here=total, all=total)
        assert visit.page.evaluate("shifted") < 0.02
        strip = visit.page.locator(".place").bounding_box()
        header = visit.page.locator(".md-header").bounding_box()
        assert abs(strip["y"] - header["height"]) <= 1
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= width


def test_keys_and_buttons_go_from_section_to_section(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(f"en/{ENCODER}")
        for at in range(1, 14):
            visit.page.keyboard.press("]")
            assert said(visit)[1] == f"{at} of 13"
        visit.page.keyboard.press("[")
        assert said(visit)[1] == "12 of 13"
        visit.page.locator(".place__step[data-step=previous]").click()
        assert said(visit)[1] == "11 of 13"
        visit.page.keyboard.press("/")
        visit.page.keyboard.press("]")
        assert said(visit)[1] == "11 of 13"  # it was typed into the search
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("Escape")  # the first may have emptied the field only
        visit.page.goto(f"{server.address}/en/{ENCODER}#paper")
        visit.page.wait_for_timeout(500)  # until the page has scrolled there
        visit.page.keyboard.press("]")
        visit.page.wait_for_url("**/05_head/")
        visit.page.keyboard.press("[")
        visit.page.wait_for_url("**/04_encoder/")


def test_a_heading_that_is_led_to_stands_below_the_strip(browser: Any, server: Any) -> None:
    for view in VIEWS:
        with Visit(browser, server, "light", view) as visit:
            visit.open(f"en/{ENCODER}#heads")
            top = visit.page.locator("#heads").bounding_box()["y"]
            strip = visit.page.locator(".place").bounding_box()
            assert 0 <= top - (strip["y"] + strip["height"]) < 40
            assert said(visit)[1] == "3 of 13"


def test_a_tap_opens_the_contents(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow", has_touch=True) as visit:
        visit.open(f"en/{ENCODER}")
        contents = visit.page.locator(".place__contents")
        contents.locator("summary").tap()
        links = contents.locator("a")
        assert links.count() == 14
        for i in range(links.count()):
            assert links.nth(i).bounding_box()["height"] >= 40
        links.filter(has_text="Several heads").tap()
        assert said(visit)[1] == "3 of 13"
        assert contents.get_attribute("open") is None
        contents.locator("summary").tap()
        visit.page.keyboard.press("Escape")
        assert contents.get_attribute("open") is None
        contents.locator("summary").tap()
        visit.page.touchscreen.tap(200, 820)
        assert contents.get_attribute("open") is None


@pytest.mark.parametrize(
    ("wide", "strip"), [(360, True), (1599, True), (1600, False), (1920, False)]
)
def test_strip_or_contents_stand_at_every_width(
    browser: Any, server: Any, monkeypatch: pytest.MonkeyPatch, wide: int, strip: bool
) -> None:
    monkeypatch.setitem(VIEWS, "this", (wide, 900))
    with Visit(browser, server, "light", "this") as visit:
        visit.open(f"en/{ENCODER}")
        assert visit.page.locator(".place").is_visible() is strip
        assert visit.page.locator(".md-sidebar--secondary").is_visible() is not strip
        visit.page.keyboard.press("]")
        assert "#lookup" in visit.page.url


def test_without_scripts_the_contents_stand_below_the_title(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow", java_script_enabled=False) as visit:
        visit.page.goto(f"{server.address}/en/{ENCODER}")
        assert not visit.page.locator(".place").is_visible()
        contents = visit.page.locator("details.contents")
        assert contents.bounding_box()["y"] > visit.page.locator("h1").bounding_box()["y"]
        contents.locator("summary").click()
        contents.get_by_text("Several heads").click()
        assert visit.page.url.endswith("#heads")
        visit.page.goto(f"{server.address}/en/")
        assert not visit.page.locator(".paths").is_visible()


def test_the_short_path_is_chosen_once_and_skips_detours(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow") as visit:
        visit.open("en/")
        visit.page.locator(".paths label", has_text="Short path").click()
        visit.open(f"en/{ENCODER}")
        assert visit.page.locator(".place__path").is_visible()
        visit.page.evaluate(SCROLL, "heads")
        assert said(visit)[0] == "Several heads"
        visit.page.keyboard.press("]")
        assert "#mlp" in visit.page.url  # two detours lie between
        visit.page.wait_for_timeout(500)  # until the page has scrolled there
        visit.page.keyboard.press("[")
        assert "#heads" in visit.page.url
        visit.page.locator(".place summary").click()
        visit.page.locator(".place .paths label", has_text="Whole book").click()
        assert not visit.page.locator(".place__path").is_visible()
        visit.page.keyboard.press("Escape")
        visit.page.keyboard.press("]")
        assert "#attention" in visit.page.url
        visit.open("zh/")
        assert visit.page.locator(".paths input[value='']").is_checked()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("path", CHAPTERS)
def test_nothing_moves_while_a_chapter_loads(
    browser: Any, server: Any, path: str, view: str
) -> None:
    """At the speed of a slow 4G network, where fonts come long after the text."""
    with Visit(browser, server, "light", view) as visit:
        network = visit.context.new_cdp_session(visit.page)
        network.send("Network.enable")
        slow = {"latency": 150, "downloadThroughput": 200_000, "uploadThroughput": 90_000}
        network.send("Network.emulateNetworkConditions", {"offline": False, **slow})
        visit.page.add_init_script(SHIFTS)
        visit.page.goto(f"{server.address}/{path}")
        visit.page.wait_for_load_state("networkidle")
        visit.page.evaluate("document.fonts.ready.then(() => 0)")
        assert visit.page.evaluate("shifted") < 0.02


def test_space_and_enter_change_the_colors(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open("en/")
        scheme = "document.body.dataset.mdColorScheme"
        visit.page.evaluate("document.querySelector('.md-option').focus()")
        for key, expected in [("Space", "slate"), ("Enter", "default"), ("Space", "slate")]:
            visit.page.keyboard.press(key)
            assert visit.page.evaluate(scheme) == expected


def test_a_question_mark_shows_the_keys(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open("en/")
        visit.page.keyboard.press("?")
        shown = visit.page.locator("#keys").inner_text()
        assert all(f"\n{key}\n" in f"\n{shown}\n" for key in "[]pns?")
        visit.page.keyboard.press("Escape")
        assert not visit.page.locator("#keys").is_visible()
        visit.page.locator("[data-keys]").click()
        assert visit.page.locator("#keys").is_visible()
        assert visit.violations() == []


@pytest.mark.parametrize("path", ["en/", f"en/{ENCODER}", "zh/results/"])
def test_landmarks_have_names(browser: Any, server: Any, path: str) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open(path)
        visit.page.evaluate(FRAMES)
        nameless = visit.page.locator(
            "nav:not([aria-label], [aria-labelledby], [role=none])"
        ).evaluate_all("(found) => found.map((nav) => nav.outerHTML.slice(0, 200))")
        assert nameless == []


@pytest.mark.parametrize(("wide", "menu"), [(1280, True), (1920, False)])
def test_chapters_in_the_header_have_titles(
    browser: Any, server: Any, monkeypatch: pytest.MonkeyPatch, wide: int, menu: bool
) -> None:
    monkeypatch.setitem(VIEWS, "this", (wide, 900))
    for language, title in (("en", "Fine-tuning"), ("zh", "微调")):
        with Visit(browser, server, "light", "this") as visit:
            visit.open(f"{language}/{ENCODER}")
            assert visit.page.locator(".places__row").is_visible() is not menu
            if menu:
                visit.page.locator(".places__menu summary").click()
            visit.page.locator(".places ol:visible").get_by_text(title).click()
            visit.page.wait_for_url(f"**/{language}/chapters/07_finetune/")


@pytest.mark.parametrize("path", ["en/", "en/results/", f"en/{ENCODER}"])
def test_logo_and_content_are_aligned(
    browser: Any, server: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setitem(VIEWS, "this", (1920, 900))
    with Visit(browser, server, "light", "this") as visit:
        visit.open(path)
        lefts = visit.page.evaluate(
            "[...document.querySelectorAll('.mark, .md-sidebar--secondary .md-nav, article')]"
            ".map((part) => part.getBoundingClientRect()).filter((box) => box.width)"
            ".map((box) => box.left)"
        )
        assert abs(lefts[0] - min(lefts[1:])) <= 8
