"""The search's index: what stands in each section of the site, and what readers call it.

A section begins at a heading or a term that has an id. The index is a script, not JSON, because a
page that is opened as a file may load scripts only. `rank.js` reads it in the browser.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from mkdocs.structure.pages import Page

HERE = Path(__file__).parent
# What a reader types, by section; an author's file.
WORDS = HERE / "words.yml"
SECTION = re.compile(r"h[1-6]|dt")
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
# Elements and classes whose text nobody looks for: code, drawings, equations a second time, links
# that stand at every heading.
LEFT_OUT = {"pre", "script", "style", "svg", "button", "annotation"}
LEFT_OUT_CLASSES = {"headerlink", "katex-html", "doc-labels", "doc-symbol", "filename"}
# Elements in the middle of a sentence. The others part words.
INLINE = {"a", "abbr", "autoref", "b", "code", "em", "i", "kbd", "mark", "small", "span", "strong"}
INLINE |= {"sub", "sup", "math", "semantics", "mrow", "mi", "mo", "mn", "msub", "msup"}

# Signs of MathML that stand for nothing between words: braces over and under, and invisible ones.
SIGNS = str.maketrans("", "", "\u23de\u23df\u2061\u2062\u2063")


@dataclass
class Section:
    """A heading with what stands below it. The first one of a page has no id: the page's top."""

    id: str = ""
    title: str = ""
    text: str = ""


@dataclass
class Indexed:
    """A page as the search knows it: its source below docs/ without suffix, address, title."""

    source: str
    address: str
    title: str
    sections: list[Section] = field(default_factory=list)


class Sections(HTMLParser):
    """Cuts a page's HTML into sections."""

    def __init__(self) -> None:
        super().__init__()
        self.sections = [Section()]
        self.heading = ""  # the element whose text is the section's title
        self.skipping: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        classes = set((attributes.get("class") or "").split())
        if self.skipping:
            if tag not in VOID:
                self.skipping.append(tag)
        elif tag in LEFT_OUT or classes & LEFT_OUT_CLASSES:
            self.skipping.append(tag)
        elif SECTION.fullmatch(tag) and attributes.get("id"):
            self.heading = tag
            if tag != "h1":
                self.sections.append(Section(attributes["id"] or ""))
        elif tag not in INLINE:
            self.handle_data(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if self.skipping:
            # An end that has no beginning is none of ours.
            while tag in self.skipping and self.skipping.pop() != tag:
                pass
        elif tag == self.heading:
            self.heading = ""
        elif tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        if self.skipping:
            return
        if self.heading:
            self.sections[-1].title += data
        else:
            self.sections[-1].text += data


def sections_of(html: str) -> list[Section]:
    """The sections of a page's HTML that have a title, in order."""
    parser = Sections()
    parser.feed(html)
    parser.close()
    for section in parser.sections:
        section.title = " ".join(section.title.split())
        section.text = " ".join(section.text.translate(SIGNS).split())
    return [section for section in parser.sections if section.title]


def read(page: Page) -> Indexed:
    """A page whose HTML is complete."""
    source = PurePosixPath(page.file.src_uri).with_suffix("").as_posix()
    titles = [page.title or ""]
    if "chapter" not in page.meta:  # a chapter has its number
        titles = [*(str(above.title) for above in page.ancestors), *titles]
    return Indexed(source, page.url, " · ".join(titles), sections_of(page.content or ""))


def names(words: dict[str, Any], key: str, language: str) -> str:
    """What readers call a section, in the edition's language; English words in every edition."""
    entry = words.get(key, {})
    return ", ".join(dict.fromkeys(entry[name] for name in ("en", language) if name in entry))


def book(pages: list[Indexed], language: str) -> dict[str, Any]:
    """What the ranking is given, see rank.js."""
    words = yaml.safe_load(WORDS.read_text(encoding="utf-8"))
    return {
        "pages": [[p.address, p.title, words["weights"].get(top(p.source), 1)] for p in pages],
        "sections": [
            [number, section.id, section.title, section.text, names(words, key, language)]
            for number, page in enumerate(pages)
            for section in page.sections
            for key in [f"{page.source}#{section.id}" if section.id else page.source]
        ],
        "same": words["same"],
    }


def top(source: str) -> str:
    """The page or the folder of pages that a source belongs to."""
    return source.partition("/")[0]


def scripts() -> Iterator[tuple[str, Path]]:
    """Where the scripts go in the site, and where they are."""
    yield "assets/javascripts/search.js", HERE / "dialog.js"
    yield "search/rank.js", HERE / "rank.js"


def write(pages: list[Indexed], site: Path, language: str) -> None:
    """Write the index of an edition into its folder."""
    target = site / "search/sections.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(book(pages, language), ensure_ascii=False, separators=(",", ":"))
    target.write_text(f"self.vitlitBook = {content};\n", encoding="utf-8")
