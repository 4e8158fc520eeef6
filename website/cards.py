"""Pictures by which others show a page: the card beside a shared link, and icons as PNG.

Drawn with the site's own fonts, which are Latin. Chinese words need a Chinese font of the system;
where there is none, a Chinese page shows the card of its English one.
"""

import hashlib
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from vitlit import files
from vitlit.figures import chelsea
from website import ROOT

SIZE = (1200, 630)
PAPER, INK, SOFT, LIT = "#fcfbf8", "#1d2027", "#565a63", "#d9692b"
MARGIN = 72
MARK = ROOT / "docs/assets/images/favicon.svg"
SANS = ROOT / "node_modules/@fontsource-variable/instrument-sans/files/"
SERIF = ROOT / "node_modules/@fontsource-variable/source-serif-4/files/"
LATIN = {
    "sans": SANS / "instrument-sans-latin-wght-normal.woff2",
    "serif": SERIF / "source-serif-4-latin-wght-normal.woff2",
}
# As in docs/assets/stylesheets/chinese.css.
CHINESE = ("PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC")
PATCHES = 4  # a side


def can_write(language: str) -> bool:
    """Whether there is a font for the words of a language."""
    return language != "zh" or chinese(400) is not None


@cache
def chinese(weight: int) -> tuple[str, int] | None:
    """The Chinese font of this system that is nearest to a weight: its file, and its place in it.

    A collection holds a face for each country; matplotlib names it by the first one.
    """
    known = sorted(
        (abs(weight_of(font) - weight), font.fname)
        for font in font_manager.fontManager.ttflist
        if font.style == "normal" and font.name.startswith(tuple(name[:-3] for name in CHINESE))
    )
    for _, file in known:
        for place in range(12):
            try:
                name = ImageFont.truetype(file, 20, place).getname()[0]
            except OSError:
                break
            if name in CHINESE:
                return file, place
    return None


def weight_of(font: font_manager.FontEntry) -> int:
    """A font's weight as a number; matplotlib has some as words."""
    return font_manager.weight_dict.get(str(font.weight)) or int(font.weight)


def card(title: str, words: str, language: str, kept: Path = ROOT / "build/cards") -> bytes:
    """A JPEG of a page's title and what it is about, beside the book's cat in squares.

    One that was drawn before is taken from the folder `kept`.
    """
    means = (title, words, language, inspect.getsource(sys.modules[__name__]))
    file = kept / f"{hashlib.sha256(repr(means).encode()).hexdigest()[:20]}.jpg"
    if not file.exists():
        content = BytesIO()
        drawn(title, words, language).save(content, format="jpeg", quality=86, optimize=True)
        files.write(file, content.getvalue())
    return file.read_bytes()


def drawn(title: str, words: str, language: str) -> Image.Image:
    """The card: mark and name above, title and words below them, the cat at the right."""
    image = Image.new("RGB", SIZE, PAPER)
    pen = ImageDraw.Draw(image)
    side = SIZE[1] - 2 * MARGIN
    left = SIZE[0] - MARGIN - side
    cat = Image.fromarray(chelsea().transpose(1, 2, 0)).resize((side, side))
    image.paste(cat, (left, MARGIN))
    step = side / PATCHES
    for i in range(1, PATCHES):
        at = round(i * step)
        pen.rectangle((left + at - 4, MARGIN, left + at + 3, MARGIN + side), PAPER)
        pen.rectangle((left, MARGIN + at - 4, left + side, MARGIN + at + 3), PAPER)
    x, y = left + step, MARGIN + step
    pen.rectangle((x - 2, y - 2, x + step, y + step), outline=LIT, width=8)

    image.paste(mark(56, PAPER), (MARGIN, MARGIN))
    pen.text((MARGIN + 76, MARGIN + 28), "vitlit", INK, font("sans", 44, 640, "en"), anchor="lm")
    room = left - 2 * MARGIN + 16
    below = MARGIN + 140
    for kind, text, size, weight, color in (
        ("sans", title, 62, 650, INK),
        ("serif", words, 34, 400, SOFT),
    ):
        type_, high = font(kind, size, weight, language), round(1.25 * size)
        lines = list(wrapped(text, type_, room))
        fit = (SIZE[1] - MARGIN - below) // high
        if len(lines) > fit:
            lines = [*lines[: fit - 1], f"{lines[fit - 1].rstrip('.,;。，； ')} …"]
        for line in lines:
            pen.text((MARGIN, below), line, color, type_)
            below += high
        below += 22
    return image


def font(kind: str, size: int, weight: int, language: str) -> ImageFont.FreeTypeFont:
    """A font of the site, or the system's Chinese one."""
    if language == "zh" and (found := chinese(weight)):
        return ImageFont.truetype(found[0], size, found[1])
    latin = ImageFont.truetype(LATIN[kind], size)
    latin.set_variation_by_axes([weight])
    return latin


def wrapped(text: str, font: ImageFont.FreeTypeFont, room: float) -> Iterator[str]:
    """A text in lines that fit: broken at blanks, and between Chinese characters."""
    line = ""
    for piece in pieces(text):
        if line and font.getlength((line + piece).rstrip()) > room:
            yield line.rstrip()
            line = ""
        line += piece
    yield line.rstrip()


def pieces(text: str) -> Iterator[str]:
    """What stays together: a word with the blank behind it, a Chinese character with its mark."""
    start = 0
    for end in range(1, len(text)):
        before, after = text[end - 1], text[end]
        if before == " " or (max(before, after) > "\u2e80" and after not in "，。：；？！、）”"):
            yield text[start:end]
            start = end
    yield text[start:]


def mark(size: int, background: str | None = None) -> Image.Image:
    """The book's mark, nine squares, from the SVG of the favicon."""
    scale = 4  # drawn larger and shrunk, so that round corners are smooth
    image = Image.new("RGBA", (scale * size, scale * size), background or (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    drawing = ElementTree.parse(MARK).getroot()
    unit = scale * size / float(drawing.attrib["viewBox"].split()[2])
    for parent in drawing.iter():
        for square in parent.findall("{*}rect"):
            x, y, width, height, radius = (
                float(square.attrib[name]) * unit for name in ("x", "y", "width", "height", "rx")
            )
            color = square.attrib.get("fill") or parent.attrib["fill"]
            pen.rounded_rectangle((x, y, x + width - 1, y + height - 1), radius, color)
    return image.resize((size, size), Image.Resampling.LANCZOS)


def icon(size: int, margin: float = 0.0, background: str | None = None) -> bytes:
    """The mark as a PNG; with a margin, as a share of the size, on a background."""
    image = Image.new("RGBA", (size, size), background or (0, 0, 0, 0))
    inner = round(size * (1 - 2 * margin))
    place = (size - inner) // 2
    image.alpha_composite(mark(inner), (place, place))
    content = BytesIO()
    image.save(content, format="png", optimize=True)
    return content.getvalue()
