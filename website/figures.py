"""Figures: what vitlit.figures drew, put into the page with number, words, download and licence."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from vitlit.figures import PARTS, sequences
from vitlit.panels import Picture
from website.pictures import stored
from website.translation.catalogs import Edition

LICENCE = "https://creativecommons.org/licenses/by/4.0/"
PANEL = re.compile(
    r"(?P<head><svg xmlns='[^']+' width='(?P<W>\d+)' height='(?P<H>\d+)' style='[^']+'>)"
    r"<svg class='(?P<grows>\w+)' x='(?P<left>\d+)' y='(?P<top>\d+)' width='(?P<w>\d+)' "
    r"height='(?P<h>\d+)' overflow='visible'>(?P<body>.*)</svg></svg>",
    re.S,
)
PART = re.compile(r"<g class='part-(\w+)'>.*?</g>", re.S)
PIXELS = re.compile(r"data-pixels='(\d+)'")
FEW = 75  # pixels: a bitmap of no more shows each as a whole number of the screen's
INLINE = 1000  # bytes: a smaller bitmap costs less in the page than a request
PLACEHOLDER = re.compile(r'(?:<p>)?(<img [^>]*data-picture="([^"]+)"[^>]*>)(?:</p>)?')
CAPTIONED = re.compile(r'<figure class="picture">(.*?)</figure>', re.S)
NUMBER = re.compile(r"<strong>\D*(\d+\.\d+)\D?</strong>")
# What a figure's number is a link in, and what not: code, headings, links, the caption's own.
MENTION = re.compile(r"(?P<words>[Ff]igure |图 ?)(?P<number>\d+\.\d+)")
LEFT_ALONE = re.compile(
    r"<(a|pre|code|svg|h[1-6]|title)\b.*?</\1>|<strong>[^<]*</strong>|<[^>]+>", re.S
)


@dataclass(frozen=True)
class Drawing:
    """A picture of vitlit.figures as it is stored: its panels, each an SVG, and how they stand."""

    panels: tuple[re.Match[str], ...]
    columns: int
    narrow: int

    @classmethod
    def of(cls, html: str, edition: Edition) -> "Drawing":
        """From its HTML, with its words in the language of an edition."""
        found = re.findall(r'src="data:image/svg\+xml,([^"]+)"', html)
        panels = tuple(
            panel for svg in found if (panel := PANEL.fullmatch(with_words(unquote(svg), edition)))
        )
        if len(panels) < len(found):
            raise ValueError("a picture is not as vitlit.figures draws it now; `make notebooks`")
        columns, narrow = (int(n) for n in re.findall(r'data-(?:columns|narrow)="(\d+)"', html))
        return cls(panels, columns, narrow)

    def inline(
        self,
        alt: str,
        page: Page,
        config: MkDocsConfig,
        files: Files,
        chapters: Mapping[str, str],
    ) -> str:
        """The picture for a page, whose colors and font it takes.

        A part of the model leads to its chapter; `chapters` has their addresses by number.
        """
        shown, linked = [], False
        for panel in self.panels:
            top, left, w, h = (int(panel[name]) for name in ("top", "left", "w", "h"))
            right, bottom = int(panel["W"]) - left - w, int(panel["H"]) - top - h
            pixels = PIXELS.search(panel["body"])
            few = pixels and int(pixels[1]) <= FEW and panel["grows"] == "bitmap"
            style = f"--w:{w};--h:{h};--beside:{left + right}px;"
            style += f"margin:{top}px {right}px {bottom}px {left}px"
            style += f";--pixels:{pixels[1]}px" if few and pixels else ""
            body = re.sub(
                r"data:image/png;base64,([^']+)",
                lambda match: self._address(match, page, config, files),
                panel["body"],
            )
            if part := PART.search(body):
                linked = True
                address = chapters.get(str(1 + PARTS.index(part[1])), "")
                link = f'<a href="{get_relative_url(address, page.url)}">{part[0]}</a>'
                body = body.replace(part[0], link)
            kind = f"panel {panel['grows']}{' few' if few else ''}"
            shown.append(f'<svg class="{kind}" style="{style}">{body}</svg>')
        style = f"--columns:{self.columns};--narrow:{self.narrow}"
        return (
            f'<div class="panels{" alone" if self.columns == 1 else ""}" '
            f'role="{"group" if linked else "img"}" aria-label="{alt}" style="{style}" '
            f"data-search-exclude>{''.join(shown)}</div>"
        )

    @staticmethod
    def _address(match: re.Match[str], page: Page, config: MkDocsConfig, files: Files) -> str:
        png = base64.b64decode(match[1])
        return match[0] if len(png) < INLINE else stored(png, page, config, files)

    def file(self) -> str:
        """The picture as one SVG that needs no page."""
        places, y = [], 0
        rows = [self.panels[i : i + self.columns] for i in range(0, len(self.panels), self.columns)]
        cell = max(int(panel["W"]) for panel in self.panels) + 10
        for row in rows:
            for column, panel in enumerate(row):
                inner = panel[0].removeprefix(panel["head"]).removesuffix("</svg>")
                places.append(f"<g transform='translate({column * cell} {y})'>{inner}</g>")
            y += max(int(panel["H"]) for panel in row) + 10
        head = re.sub(r"(width|height)='\d+'", "", self.panels[0]["head"], count=2)
        head = head.replace("<svg ", f"<svg width='{cell * self.columns}' height='{y}' ")
        whole = head + "".join(places) + "</svg>"
        return re.sub(r"var\(--[\w-]+,((?:[^()]|\([^()]*\))*)\)", r"\1", whole)


def with_words(svg: str, edition: Edition) -> str:
    """A drawing with its words in the language of an edition."""
    return re.sub(
        r"(<text[^>]*>)([^<]+)(</text>)",
        lambda match: match[1] + escape(edition.label(unescape(match[2])), quote=False) + match[3],
        svg,
    )


def drawn_in(notebook: Path) -> dict[str, str]:
    """The pictures that a notebook stores, in order, as HTML."""
    outputs = (
        output.data["text/html"]
        for cell in nbformat.read(notebook, nbformat.NO_CONVERT).cells
        for output in cell.get("outputs", ())
        if 'class="panels"' in output.get("data", {}).get("text/html", "")
    )
    return {str(number): html for number, html in enumerate(outputs)}


def tokens(_: Callable[[str], str] = str) -> Picture:
    """What enters the encoder in the models of docs/after.md; `_` translates."""
    patches = [str(number) for number in range(1, 10)]

    def left(*kept: str, gap: str = "") -> list[str]:
        return [n if n in kept else gap or f"({n})" for n in patches]

    return sequences(
        {
            "ViT": ["*", *patches],
            _("with a teacher"): ["*", "t", *patches],
            _("with registers"): ["*", *patches, "r", "r", "r", "r"],
            _("with fewer patches"): ["*", *left("2", "3", "5", "8")],
            _("masked autoencoder"): ["*", *left("2", "7")],
            _("its decoder"): ["*", *left("2", "7", gap="m")],
        }
    )


def place(
    html: str,
    drawn: Mapping[str, str],
    page: Page,
    config: MkDocsConfig,
    files: Files,
    chapters: Mapping[str, str],
) -> str:
    """Put pictures into the page, number them, and say below each where it can be had.

    A chapter's figures have their numbers in their captions. Those of other pages are counted,
    behind the letter that the page gives as `figures`.
    """
    edition, words = config.extra["edition"], config.extra["words"]
    count = 0

    def put(match: re.Match[str], number: str, name: str, caption: str = "") -> str:
        attributes = ElementTree.fromstring(match[1].rstrip("/>").rstrip() + "/>").attrib
        drawing = Drawing.of(drawn[match[2]], edition)
        identity = f"figure-{name.replace('.', '-')}"
        file = f"assets/figures/{identity}.svg"
        if files.get_file_from_path(file) is None:
            files.append(File.generated(config, file, content=drawing.file()))
        picture = drawing.inline(escape(attributes["alt"]), page, config, files, chapters)
        return (
            f'<figure class="picture" id="{identity}">{picture}{caption}'
            '<p class="about" data-search-exclude>'
            f'<a href="#{identity}">{words["figure"].format(number)}</a>'
            f'<a href="{get_relative_url(file, page.url)}" download>SVG</a>'
            '<button type="button" class="as-png" hidden>PNG</button>'
            f'<a href="{LICENCE}" rel="license">CC BY 4.0</a>'
            f'<button type="button" class="enlarge" hidden>{words["enlarge"]}</button>'
            "</p></figure>"
        )

    def captioned(figure: re.Match[str]) -> str:
        image, number = PLACEHOLDER.search(figure[1]), NUMBER.search(figure[1])
        if not image or not number:
            return figure[0]
        return put(image, number[1], number[1], figure[1].replace(image[0], ""))

    def counted(image: re.Match[str]) -> str:
        nonlocal count
        count += 1
        return put(image, f"{page.meta.get('figures', 'R')}.{count}", image[2])

    placed = PLACEHOLDER.sub(counted, CAPTIONED.sub(captioned, html))
    return placed + dialog(words) if drawn else placed


def dialog(words: Mapping[str, str]) -> str:
    """Where figures.js shows one figure large."""
    buttons = (("previous", "←"), ("next", "→"), ("close", "×"))
    return (
        f'<dialog class="enlarged" aria-label="{words["enlarge"]}" data-search-exclude>'
        + "".join(
            f'<button type="button" class="{name}" aria-label="{words[name]}">{sign}</button>'
            for name, sign in buttons
        )
        + '<div class="large"></div></dialog>'
    )


def link_mentions(html: str, chapters: Mapping[str, str], page: Page) -> str:
    """Make "figure 4.2" in a text a link. `chapters` has the address of each by its number."""

    def link(match: re.Match[str]) -> str:
        chapter, identity = chapters.get(match["number"].partition(".")[0]), match["number"]
        if chapter is None:
            return match[0]
        where = "" if chapter == page.url else get_relative_url(chapter, page.url)
        return f'<a href="{where}#figure-{identity.replace(".", "-")}">{match[0]}</a>'

    pieces, end = [], 0
    for left in LEFT_ALONE.finditer(html):
        pieces += [MENTION.sub(link, html[end : left.start()]), left[0]]
        end = left.end()
    return "".join([*pieces, MENTION.sub(link, html[end:])])
