"""Catalogs as they are stored under locale/, and the editions that are made with them."""

import io
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from babel.messages.catalog import Catalog
from babel.messages.pofile import PoFileError, read_po, write_po

from website import LANGUAGES, ROOT
from website.translation.sources import (
    LABELS,
    WORDS,
    documents,
    pattern_of,
    source_messages,
    sources,
)  # fmt: skip
from website.translation.text import translated

log = logging.getLogger("mkdocs.plugins.vitlit")

TRANSLATIONS = tuple(LANGUAGES)[1:]
# The variable that is set where nothing may be left to translate; website/build.py sets it.
COMPLETE = "VITLIT_COMPLETE"
# What a heading, a list or a caption begins with: a frame around it would break it.
BEGINNING = re.compile(r"<!-- alt:.*?-->\n|#{1,6} |- |\d+\. ", re.S)


def path_of(language: str, catalog: str, root: Path = ROOT) -> Path:
    """Where a catalog is stored."""
    return root / "locale" / language / f"{catalog}.po"


def read(language: str, catalog: str, root: Path = ROOT) -> Catalog:
    """A stored catalog; an empty one where there is none. Raises ValueError on a damaged one."""
    file = path_of(language, catalog, root)
    if not file.exists():
        return Catalog(locale=language, fuzzy=False)
    try:
        with file.open("rb") as stream:
            return read_po(stream, locale=language, abort_invalid=True)
    except PoFileError as error:
        raise ValueError(f"{file} is no gettext catalog: {error}; mend that line") from error


def update(language: str, catalog: str, root: Path = ROOT) -> Catalog:
    """Bring a stored catalog in step with its English source, and return it."""
    stored = read(language, catalog, root)
    template = Catalog()
    for text in source_messages(catalog, root):
        template.add(text)
    stored.update(template)
    stored.obsolete.clear()
    write(stored, language, catalog, root)
    return stored


def write(content: Catalog, language: str, catalog: str, root: Path = ROOT) -> None:
    """Store a catalog, without a date: what has not changed leaves no difference."""
    for message in content:
        message.flags &= {"fuzzy"}  # Babel takes braces for Python's formats
    file, stream = path_of(language, catalog, root), io.BytesIO()
    write_po(stream, content, width=100, omit_header=True)
    header = (
        f'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nLanguage: {language}\\n"\n\n'
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header.encode() + stream.getvalue())


def stored_notebook(file: Path) -> nbformat.NotebookNode:
    """A notebook as it is stored."""
    return nbformat.read(file, nbformat.NO_CONVERT)


@dataclass(frozen=True)
class Gap:
    """A message without a translation that can be trusted."""

    catalog: str
    text: str
    kind: str  # missing, or stale: there is one, of a text that has changed since

    def __str__(self) -> str:
        return f"{self.catalog}: {self.kind}: {self.text[:70]!r}"


class Edition:
    """One language of the book. English gives every text back as it is."""

    def __init__(self, language: str, root: Path = ROOT) -> None:
        self.language = language
        self.root = root
        self.gaps: list[Gap] = []
        self.catalogs: dict[str, Catalog] = {}

    def text(self, catalog: str, english: str) -> str:
        """The translation of a message. Where there is a gap, it is noted: the English text."""
        if self.language == "en":
            return english
        if catalog not in self.catalogs:
            self.catalogs[catalog] = read(self.language, catalog, self.root)
        message = self.catalogs[catalog].get(english)
        string = message.string if message and isinstance(message.string, str) else ""
        if message and string and not message.fuzzy:
            return string
        self.gaps.append(Gap(catalog, english, "stale" if string else "missing"))
        return english

    def word(self, english: str) -> str:
        """The translation of a word of the theme, or of one that Python puts into a page."""
        return self.text(WORDS, english)

    def label(self, english: str) -> str:
        """The translation of a word in a drawing, or of one that Python puts into a page, too.

        What both catalogs lack is a name or a symbol.
        """
        if self.language == "en":
            return english
        pattern, numbers = pattern_of(english)
        for name in (LABELS, WORDS):
            if self.catalogs.setdefault(name, read(self.language, name, self.root)).get(pattern):
                return self.text(name, pattern).format(*numbers)
        return english

    def markdown(self, catalog: str, markdown: str, mark: str = "") -> str:
        """A page in this language. A block with a gap stays English, and `mark` says so."""
        if self.language == "en":
            return markdown

        def translate(english: str) -> str:
            before = len(self.gaps)
            text = self.text(catalog, english)
            if not mark or len(self.gaps) == before:
                return text
            if start := BEGINNING.match(english):
                return f"{start[0]}**{mark}** {english[start.end() :]}"
            if not re.match(r'[\w*`$["]', english):  # a table, a picture, what a template fills
                return english
            opening = '<div class="untranslated" lang="en" markdown="1">'
            return f"{opening}\n\n**{mark}** {english}\n\n</div>"

        return translated(markdown, translate)

    def report_gaps(self) -> None:
        """Say what is not translated, each thing once: a warning where the book is to be complete.

        Elsewhere it is a remark, so that who writes no Chinese can change the English.
        """
        level = logging.WARNING if os.environ.get(COMPLETE) else logging.INFO
        for gap in dict.fromkeys(self.gaps):
            log.log(level, "%s; `make translations` and locale/%s", gap, self.language)
        self.gaps.clear()

    def notebooks(
        self,
        folder: Path,
        mark: str = "",
        read: Callable[[Path], nbformat.NotebookNode] = stored_notebook,
    ) -> None:
        """Write the chapters in this language into a folder: other words, the same code."""
        folder.mkdir(parents=True, exist_ok=True)
        chapters = {p.name: c for c, p in sources(self.root).items() if p.suffix == ".ipynb"}
        for stray in set(folder.glob("*.ipynb")) - {folder / name for name in chapters}:
            stray.unlink()
        for name, catalog in chapters.items():
            notebook = read(self.root / "notebooks" / name)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = self.markdown(catalog, cell.source, mark)
            content = nbformat.writes(notebook) + "\n"
            target = folder / name
            if not target.exists() or target.read_text(encoding="utf-8") != content:
                target.write_text(content, encoding="utf-8")

    def document(self, name: str) -> str:
        """A document at the root in this language; it leads to others in the same."""
        known = documents(self.root)
        text = self.markdown(name, known[name].read_text(encoding="utf-8"))
        if self.language == "en":
            return text
        for other in known:
            text = re.sub(rf"(\]\({other})(\.md[)#])", rf"\1.{self.language}\2", text)
        return text.replace(f"[中文]({name}.zh.md)", f"[English]({name}.md)")
