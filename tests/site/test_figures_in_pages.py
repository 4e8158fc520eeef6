"""Figures in a real browser: their width, whether their words can be read, what a click does."""

from typing import Any

import pytest
from test_browser import CHAPTERS, Visit

pytestmark = pytest.mark.browser

PAGES = [*CHAPTERS, "en/results/", "zh/chapters/04_encoder/", "zh/results/"]
SMALLEST = 11  # pixels that a word is high, by its font
LEAST = 4.5  # contrast
SHARE = 0.6  # of its column that a figure fills,
HIGH = 450  # unless it is so many pixels high: a wider square would not fit the screen

MEASURE = """() => {
  const luminance = (color) => {
    const [r, g, b] = color.match(/[\\d.]+/g).slice(0, 3).map((n) => {
      const c = n / 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const contrast = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05); };
  const page = getComputedStyle(document.body).backgroundColor;
  return [...document.querySelectorAll('.picture[id]')].map((figure) => {
    const column = figure.getBoundingClientRect();
    const boxes = [...figure.querySelectorAll('.panel, .panel text')]
      .map((part) => part.getBoundingClientRect());
    const left = Math.min(...boxes.map((box) => box.left));
    const right = Math.max(...boxes.map((box) => box.right));
    const texts = [...figure.querySelectorAll('.panel text')].filter((t) => t.textContent);
    const on = (text) => {
      const box = text.previousElementSibling;
      const fill = box && box.tagName === 'rect' && getComputedStyle(box).fill;
      return fill && fill !== 'none' ? fill : page; };
    // Numbers in the cells of a matrix: tests/test_figures.py compares them with their cells.
    const plain = texts.filter((t) => !t.closest('.bitmap') || !t.style.fill);
    return {
      id: figure.id,
      share: (right - left) / column.width,
      high: Math.max(...boxes.map((box) => box.height)),
      beyond: Math.max(column.left - left, right - column.right),
      size: Math.min(99, ...texts.map((t) => parseFloat(getComputedStyle(t).fontSize)
        * Math.hypot(t.getScreenCTM().c, t.getScreenCTM().d))),
      contrast: Math.min(99, ...plain.map((t) => contrast(getComputedStyle(t).fill, on(t)))),
      touching: [...figure.querySelectorAll('.panel')].flatMap((panel) => {
        const own = [...panel.querySelectorAll(':scope > text')]
          .map((t) => [t.textContent, t.getBoundingClientRect()]);
        return own.flatMap(([a, p], i) => own.slice(i + 1)
          .filter(([b, q]) => p.left < q.right - 1 && q.left < p.right - 1
            && p.top < q.bottom - 3 && q.top < p.bottom - 3)
          .map(([b]) => `${a} | ${b}`)); }),
    }; }); }"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_words_in_figures_can_be_read_and_figures_fill_their_column(
    browser: Any, server: Any, path: str, scheme: str
) -> None:
    faults = []
    with Visit(browser, server, scheme, "narrow") as visit:
        visit.open(path)
        for width in (360, 390, 820, 1280, 1440, 1920):
            visit.page.set_viewport_size({"width": width, "height": 900})
            for found in visit.page.evaluate(MEASURE):
                where = f"{found['id']} at {width} px"
                if found["size"] < SMALLEST:
                    faults.append(f"{where}: words of {found['size']:.1f} px")
                if found["contrast"] < LEAST:
                    faults.append(f"{where}: a contrast of {found['contrast']:.2f}")
                if found["share"] < SHARE and found["high"] < HIGH:
                    faults.append(f"{where}: fills {found['share']:.0%} of its column")
                if found["beyond"] > 1:
                    faults.append(f"{where}: {found['beyond']:.0f} px beyond its column")
                faults += [f"{where}: words touch: {pair}" for pair in found["touching"]]
    assert not faults, "\n".join(faults)


def test_pixels_of_a_tiny_picture_are_whole(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open("en/chapters/08_inside/")
        widths = visit.page.evaluate(
            "[...document.querySelectorAll('.panel.few')].map((panel) => [panel.clientWidth,"
            " parseFloat(panel.style.getPropertyValue('--pixels'))])"
        )
    assert len(widths) > 40
    assert [pair for pair in widths if pair[0] % pair[1]] == []


def test_a_click_enlarges_and_keys_walk(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide") as visit:
        visit.open("en/chapters/04_encoder/")
        page = visit.page
        page.locator("#figure-4-2 .panels").click()
        large = page.locator("dialog.enlarged")
        assert large.is_visible()
        assert "Figure 4.2" in large.inner_text()
        page.keyboard.press("ArrowRight")
        assert "Figure 4.3" in large.inner_text()
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        assert "Figure 4.1" in large.inner_text()
        page.keyboard.press("Escape")
        assert not large.is_visible()
        page.locator("#figure-4-5 .enlarge").focus()
        page.keyboard.press("Enter")
        assert "Figure 4.5" in large.inner_text()
        assert visit.violations() == []
        assert visit.errors == []


def test_a_figure_is_had_as_svg_and_png(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "wide", accept_downloads=True) as visit:
        visit.open("en/chapters/04_encoder/")
        for name, start in (("a[download]", b"<svg "), (".as-png", b"\x89PNG")):
            with visit.page.expect_download() as download:
                visit.page.locator(f"#figure-4-3 .about {name}").click()
            with open(download.value.path(), "rb") as file:
                content = file.read()
            assert content.startswith(start)
            assert b"var(" not in content
        assert visit.errors == []


def test_a_mention_leads_to_its_figure(browser: Any, server: Any) -> None:
    for path, words in (
        ("en/chapters/04_encoder/", "figure 4.2"),
        ("zh/chapters/04_encoder/", "图 4.2"),
    ):
        with Visit(browser, server, "light", "wide") as visit:
            visit.open(path)
            visit.page.locator(
                f".prose a:text-is('{words}'), .words a:text-is('{words}')"
            ).first.click()
            assert visit.page.url.endswith(f"{path}#figure-4-2")
            assert visit.page.locator("#figure-4-2").is_visible()


def test_without_scripts_figures_are_there(browser: Any, server: Any) -> None:
    with Visit(browser, server, "light", "narrow", java_script_enabled=False) as visit:
        visit.page.goto(f"{server.address}/en/chapters/01_patches/")
        assert visit.page.locator("#figure-1-1 svg text", has_text="patches").first.is_visible()
        assert not visit.page.locator("#figure-1-1 .enlarge").is_visible()
