"""Links back: from the bibliography to where an entry is cited, from the API to chapter and source.

They are read off the pages when all of them have their HTML, so none is written by hand.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape

from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from website import ROOT, addresses

BIBLIOGRAPHY = "bibliography.md"
HEADERLINK = re.compile(r'<a class="headerlink".*?</a>', re.S)
# A section's heading, a link to an entry of the bibliography, a source that a chapter reveals.
SEEN = re.compile(
    r'<h[23] id="(?P<id>[^"]+)"[^>]*>(?P<title>.*?)</h[23]>'
    r'|href="[^"]*bibliography/#(?P<entry>[\w-]+)"'
    r'|class="filename"><a [^>]*href="[^"]*#(?P<name>vitlit\.[\w.]+)"',
    re.S,
)
ENTRY = re.compile(r'(<dt id="([\w-]+)">.*?</dt>\s*<dd>.*?)(</dd>)', re.S)
OBJECT = re.compile(r'(<h(\d) id="(vitlit\.[\w.]+)" class="doc doc-heading">.*?</h\2>)', re.S)


@dataclass(frozen=True)
class Place:
    """A section of a page, by its URL and titles; without an id, what stands above the first."""

    url: str
    page: str
    id: str = ""
    section: str = ""

    def link(self, seen_from: Page, words: str) -> str:
        """A link to it."""
        target = f"{self.url}#{self.id}" if self.id else self.url
        return f'<a href="{escape(get_relative_url(target, seen_from.url))}">{words}</a>'


def places(pages: Sequence[Page], kind: str) -> dict[str, list[Place]]:
    """For each entry, or name of the API, the sections with it: chapters first, each once."""
    found: dict[str, dict[Place, None]] = defaultdict(dict)
    for page in sorted(pages, key=lambda page: page.meta.get("chapter", {}).get("number", 99)):
        url, title = page.url, str(page.title)
        place = Place(url, title)
        for match in SEEN.finditer(page.content or ""):
            if match["id"]:
                section = HEADERLINK.sub("", match["title"]).strip()
                place = Place(url, title, match["id"], section)
            elif match[kind]:
                found[match[kind]][place] = None
    return {name: list(where) for name, where in found.items()}


def add(pages: Sequence[Page], words: Mapping[str, str], repository: str) -> None:
    """Put the links into the pages of the bibliography and of the API."""
    cited = places([page for page in pages if page.file.src_uri != BIBLIOGRAPHY], "entry")
    explained = places([page for page in pages if "chapter" in page.meta], "name")
    for page in pages:
        if page.file.src_uri == BIBLIOGRAPHY:
            page.content = with_citations(page, cited, words["cited"])
        elif page.url.startswith("api/"):
            page.content = with_places(page, explained, words, repository)


def with_citations(page: Page, cited: Mapping[str, Sequence[Place]], word: str) -> str:
    """The bibliography with a line below each entry that says where it is cited."""

    def put(match: re.Match[str]) -> str:
        return match[1] + citations(cited.get(match[2], []), page, word) + match[3]

    return ENTRY.sub(put, page.content or "")


def with_places(
    page: Page, explained: Mapping[str, Sequence[Place]], words: Mapping[str, str], repository: str
) -> str:
    """A page of the API with a line below each name that leads to its chapter and its source."""

    def put(match: re.Match[str]) -> str:
        where = explained.get(match[3], [])
        return match[1] + about(match[3], where, page, words, repository)

    return OBJECT.sub(put, page.content or "")


def citations(where: Sequence[Place], page: Page, word: str) -> str:
    """One paragraph: each page that cites an entry, with its sections."""
    by_page: dict[tuple[str, str], list[Place]] = defaultdict(list)
    for place in where:
        by_page[place.url, place.page].append(place)
    parts = []
    for (url, title), sections in by_page.items():
        whole = Place(url, title).link(page, title)
        inner = ", ".join(place.link(page, place.section) for place in sections if place.id)
        parts.append(f"{whole} ({inner})" if inner else whole)
    said = f"{word} {'; '.join(parts)}"
    return f'<p class="cited" data-search-exclude>{said}</p>' if parts else ""


def about(
    name: str, where: Sequence[Place], page: Page, words: Mapping[str, str], repository: str
) -> str:
    """One line below a name of the API: the sections that show its source, and the source."""
    parts = [
        f"{words['explained']} {place.page}: {place.link(page, place.section)}" for place in where
    ]
    if repository and (found := defined(name)):
        address = addresses.source(repository, *found)
        parts.append(f'<a href="{escape(address)}">{words["source"]}</a>')
    return f'<p class="doc-places" data-search-exclude>{" · ".join(parts)}</p>' if parts else ""


def defined(name: str) -> tuple[str, int] | None:
    """The file in which a name of the module is defined, from the book's root, and the line."""
    _, module, *inner = name.split(".")
    path = f"src/vitlit/{module}.py"
    line = lines_of(path).get(".".join(inner))
    return (path, line) if line else None


@cache
def lines_of(path: str) -> dict[str, int]:
    """The line of each definition of a file."""
    return dict(definitions(ast.parse((ROOT / path).read_text(encoding="utf-8"))))


def definitions(node: ast.Module | ast.ClassDef, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Functions, classes, methods and attributes by name, with the line on which each begins."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            yield f"{prefix}{child.name}", child.lineno
        if isinstance(child, ast.ClassDef):
            yield from definitions(child, f"{prefix}{child.name}.")
        targets = (
            child.targets
            if isinstance(child, ast.Assign)
            else ([child.target] if isinstance(child, ast.AnnAssign) else [])
        )
        yield from (
            (f"{prefix}{target.id}", child.lineno)
            for target in targets
            if isinstance(target, ast.Name)
        )
