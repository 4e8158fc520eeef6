"""Pictures: out of the notebooks into files, drawings into the page, and an alt text for each."""

import base64
import hashlib
import logging
import re
import struct
from html import escape
from xml.etree import ElementTree

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

log = logging.getLogger("mkdocs.plugins.vitlit")

# nbconvert's HTML exporter puts this where a picture has no alt text.
NO_ALT_TEXT = "No description has been provided for this image"
DATA_URI = re.compile(
    r'<img alt="([^"]*)" data-width="(\d*)" src="data:image/png;base64,([^"]+)"\s*/?>'
)


def extract(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put the notebook's PNG outputs into files of their own, so that the page loads fast."""

    def put(match: re.Match[str]) -> str:
        png = base64.b64decode(match[3])
        pixels, lines = struct.unpack(">II", png[16:24])
        width = int(match[2] or pixels)
        return (
            f'<img alt="{match[1]}" src="{stored(png, page, config, files)}" loading="lazy" '
            f'width="{width}" height="{round(width * lines / pixels)}">'
        )

    for name in re.findall(r"\]\(attachment:([^)\s]+)", markdown):
        log.warning(
            "%s: the picture %s is attached to a cell, and the chapter's source keeps none; put it "
            "into docs/assets/images/",
            page.file.src_uri,
            name,
        )
    return DATA_URI.sub(put, markdown)


def stored(png: bytes, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Where a bitmap lies, as seen from the page; it becomes a file if it is none yet."""
    name = f"assets/pictures/{hashlib.sha256(png).hexdigest()[:12]}.png"
    if files.get_file_from_path(name) is None:
        files.append(File.generated(config, name, content=png))
    return get_relative_url(name, page.url)


def inline_drawings(html: str, files: Files) -> str:
    """Put SVG drawings marked `.drawing` into the page, where they follow its colors."""

    def put(match: re.Match[str]) -> str:
        attributes = ElementTree.fromstring(match[0].rstrip("/>").rstrip() + "/>").attrib
        file = files.get_file_from_path(attributes["src"].replace("../", ""))
        if file is None:  # of which mkdocs has told already
            return match[0]
        return file.content_string.replace(
            "<svg ", f'<svg class="drawing" role="img" aria-label="{escape(attributes["alt"])}" ', 1
        )

    return re.sub(r'<img [^>]*class="drawing"[^>]*>', put, html)


def require_alt_text(html: str, page: Page) -> None:
    """Warn about pictures that say nothing to who cannot see them."""
    for image in re.findall(r"<img [^>]*>", html):
        if not re.search(r'alt="[^"\s][^"]*"', image) or NO_ALT_TEXT in image:
            log.warning(
                "%s: a picture has no alt text; begin the caption's cell below it with "
                "<!-- alt: what is to be seen -->. It is %.80s",
                page.file.src_uri,
                image,
            )
