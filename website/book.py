"""The book as one page, to be printed: cover, contents, chapters, what stands behind them.

Its parts are the built pages. An id gets the name of its page, since two pages may have the same; a
link to another part stays within the book. Solutions stand at the end, as in a book on paper.
"""

import posixpath
import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import yaml
from bs4 import BeautifulSoup, Tag

from website import ROOT, wheel
from website.translation.catalogs import Edition

# The pages behind the chapters.
MATTER = ("after", "results", "terms", "bibliography")
# What paper has no use for: what is to be clicked, and the code that only draws a figure.
LEFT_OUT = (
    "nav, script, noscript, button, .headerlink, .chapter-facts, .figure > .fold:last-child,"
    "details.runs"
)
# Attributes that name ids of their page.
NAMING = ("for", "headers", "aria-labelledby", "aria-describedby", "aria-controls", "aria-owns")
PAGE_NUMBER = re.compile(r'(<span class="page" data-of="([^"]+)">)[^<]*')


@dataclass
class Part:
    """A part of the book: a built page, or what is gathered from several."""

    identity: str
    content: Tag
    title: str
    # Its sections: id and title.
    sections: list[tuple[str, str]] = field(default_factory=list)


class Book:
    """All parts of an edition, read from its built pages."""

    def __init__(self, site: Path, language: str, address: str) -> None:
        self.folder = site / language
        # Where what is not part of the book can be read; empty if nowhere.
        self.address = f"{address}{language}/" if address else ""
        self.edition = Edition(language)
        self.config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
        chapters = sorted((self.folder / "chapters").glob("*/index.html"))
        self.pages = [f"chapters/{page.parent.name}" for page in chapters]
        self.pages += [page for page in MATTER if (self.folder / page / "index.html").is_file()]
        parts = [self._part(page) for page in self.pages]
        numbered = len(chapters)
        self.parts = [*parts[:numbered], self._solutions(parts[:numbered]), *parts[numbered:]]

    def html(self, paper: str) -> str:
        """The whole page, for a size of paper; `numbered` puts the pages' numbers in."""
        _ = word = self.edition.word
        template = (ROOT / "website/templates/book.html").read_text(encoding="utf-8")
        return string.Template(template).substitute(
            language=self.edition.language,
            paper=paper,
            styles="\n".join(self._styles()),
            name=self.config["site_name"],
            about=word(self.config["site_description"]),
            picture=(self.folder / "assets/images/patches.png").as_uri(),
            version=wheel.version(),
            licence=word(self.config["copyright"]),
            contents=_("Contents"),
            lines="\n".join(self._lines()),
            footers="\n".join(
                f"@page {part.identity} {{ @bottom-left {{ content: {quoted(part.title)} }} }}\n"
                f"#{part.identity} {{ page: {part.identity} }}"
                for part in self.parts
            ),
            parts="\n".join(
                f'<section id="{part.identity}">{part.content}</section>' for part in self.parts
            ),
        )

    def _part(self, page: str) -> Part:
        """A page as a part of the book."""
        soup = BeautifulSoup((self.folder / page / "index.html").read_bytes(), "html.parser")
        content = soup.find("article")
        assert isinstance(content, Tag), f"{page} has no article"
        content.name, content.attrs = "div", {}
        for tag in content.select(LEFT_OUT):
            tag.decompose()
        for tag in content.find_all(True):
            self._settle(tag, page)
        identity = identity_of(page)
        heading = content.find("h1")
        assert isinstance(heading, Tag), f"{page} has no title"
        part = Part(identity, content, heading.get_text())
        for section in content.select("h2[id]"):
            part.sections.append((str(section["id"]), title_of(section)))
        return part

    def _settle(self, tag: Tag, page: str) -> None:
        """Make a tag's ids, links and sources right within the book."""
        identity = identity_of(page)
        tag.attrs.pop("loading", None)  # what is below the first page would never be loaded
        if "id" in tag.attrs:
            tag["id"] = f"{identity}--{tag['id']}"
        for name in NAMING:
            if name in tag.attrs:
                words = tag[name] if isinstance(tag[name], list) else str(tag[name]).split()
                tag[name] = " ".join(f"{identity}--{word}" for word in words)
        for name, value in tag.attrs.items():
            if isinstance(value, str) and "url(#" in value:
                tag[name] = value.replace("url(#", f"url(#{identity}--")
        for name in ("href", "xlink:href", "src"):
            if name not in tag.attrs:
                continue
            if (target := self._target(str(tag[name]), page, tag.name == "a")) is None:
                del tag[name]
            else:
                tag[name] = target

    def _target(self, address: str, page: str, link: bool) -> str | None:
        """Where a link of a page leads within the book; None if nowhere."""
        parts = urlsplit(address)
        if parts.scheme:
            return address
        fragment = f"--{parts.fragment}" if parts.fragment else ""
        if not parts.path:
            return f"#{identity_of(page)}{fragment}"
        there = posixpath.normpath(posixpath.join(page, parts.path))
        there = there.removesuffix("index.html").rstrip("/")
        if not link:
            return (self.folder / there).as_uri()
        if there in self.pages:
            return f"#{identity_of(there)}{fragment}"
        if not self.address or there.startswith(".."):
            return None
        end = "" if posixpath.splitext(there)[1] else "/"
        return f"{self.address}{there}{end}" + (f"#{parts.fragment}" if parts.fragment else "")

    def _solutions(self, chapters: list[Part]) -> Part:
        """The chapters' solutions, each replaced by the number of the page where it stands."""
        _ = self.edition.word
        title = _("Solutions")
        content = tag_of(f'<div class="chapter"><h1>{escape(title)}</h1></div>')
        gathered = Part("solutions", content, title)
        before, after = _("Solution on page {page}").split("{page}")
        for chapter in chapters:
            found = chapter.content.select(".cell.solution")
            if not found:
                continue
            identity = f"solutions--{chapter.identity}"
            gathered.sections.append((identity, chapter.title))
            content.append(tag_of(f'<h2 id="{identity}">{escape(chapter.title)}</h2>'))
            for number, cell in enumerate(found, 1):
                name = f"{identity}-{number}"
                cell.replace_with(
                    tag_of(
                        f'<p class="see"><a href="#{name}">{before}'
                        f'<span class="page" data-of="{name}"></span>{after}</a></p>'
                    )
                )
                first = re.match(r"\d+", chapter.title)
                label = f"{first[0]}.{number}" if first else str(number)
                content.append(tag_of(f'<h3 id="{name}">{label}</h3>'))
                if summary := cell.find("summary"):
                    summary.decompose()
                if fold := cell.find("details"):
                    fold.unwrap()
                content.append(cell)
        return gathered

    def _lines(self) -> Iterator[str]:
        """The lines of the contents."""
        for part in self.parts:
            yield line("part", part.identity, escape(part.title))
            for identity, title in part.sections:
                yield line("section", identity, title)

    def _styles(self) -> Iterator[str]:
        """The site's style sheets."""
        page = BeautifulSoup((self.folder / "index.html").read_bytes(), "html.parser")
        for sheet in page.select('link[rel="stylesheet"]'):
            path = (self.folder / str(sheet["href"]).partition("?")[0]).resolve()
            if path.name == "fonts.css":  # a screen does not wait for fonts, paper does
                rules = path.read_text("utf-8").replace("display: optional", "display: block")
                fonts = f"{path.parents[1].as_uri()}/fonts"
                yield f"<style>{rules.replace('../fonts', fonts)}</style>"
                continue
            yield f'<link rel="stylesheet" href="{path.as_uri()}">'


def numbered(html: str, numbers: Mapping[str, int]) -> str:
    """The book with page numbers in it: those of the ids that `numbers` has, else room for one."""
    return PAGE_NUMBER.sub(lambda match: f"{match[1]}{numbers.get(match[2], '000')}", html)


def identity_of(page: str) -> str:
    """The name that a page has within the book, as an id and in CSS."""
    return "part-" + posixpath.basename(page)


def title_of(heading: Tag) -> str:
    """A heading's HTML, to be shown once more: without ids and links."""
    copy = tag_of(heading.decode())
    for tag in copy.find_all(True):
        tag.attrs.pop("id", None)
        if tag.name == "a":
            tag.unwrap()
    return copy.decode_contents()


def line(kind: str, identity: str, title: str) -> str:
    """A line of the contents; its page number comes later."""
    return (
        f'<li class="{kind}"><a href="#{identity}"><span>{title}</span>'
        f'<span class="page" data-of="{identity}"></span></a></li>'
    )


def quoted(text: str) -> str:
    """A text as a string of CSS."""
    return '"' + text.replace("\\", r"\\").replace('"', r"\"").replace("\n", " ") + '"'


def tag_of(html: str) -> Tag:
    """A piece of HTML as a tag."""
    tag = BeautifulSoup(html, "html.parser").find(True)
    assert isinstance(tag, Tag)
    return tag
