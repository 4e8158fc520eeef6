"""The drawing that opens every chapter: each part of the model leads to the chapter about it."""

import re
from collections.abc import Mapping
from html import escape

# Part of the model → the chapter that derives it. The classes are those of figures.pipeline.
CHAPTERS = {
    "patches": "01_patches",
    "embedding": "02_embeddings",
    "positions": "03_positions",
    "encoder": "04_encoder",
    "head": "05_head",
}
DRAWING = re.compile(r'(<div class="panels[^>]*?) role="img"(.*?</div>)', re.S)
PART = re.compile(r"<g class='part-(\w+)'>(.*?)</g>", re.S)


def linked(html: str, chapters: Mapping[str, tuple[str, str]]) -> str:
    """The page with links in its drawing of the model. `chapters` has title and address of each.

    What holds links is no longer one image to who cannot see it, but a group of links.
    """

    def link(part: re.Match[str]) -> str:
        found = chapters.get(CHAPTERS.get(part[1], ""))
        if found is None:
            return part[0]
        title, address = found
        words = f'href="{escape(address)}" aria-label="{escape(title)}"'
        return f'<a class="part" {words}>{part[2]}</a>'

    def drawing(match: re.Match[str]) -> str:
        inside = PART.sub(link, match[2])
        return match[0] if inside == match[2] else f'{match[1]} role="group"{inside}'

    return DRAWING.sub(drawing, html)
