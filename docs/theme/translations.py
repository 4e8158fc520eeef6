"""The book in other languages: gettext catalogs, one message a block of text.

`python docs/theme/translations.py` brings the catalogs under locale/ in step with the English text:
new blocks are added, blocks that are gone are removed, and the translation of a block that changed
is kept but marked fuzzy, until somebody has read it again. Code, outputs and pictures are in no
catalog, since they are taken from the English source. Docstrings are, for the API's pages.
"""

import ast
import io
import json
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import yaml
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import PoFileError, read_po, write_po
from markdown.extensions.toc import slugify

ROOT = Path(__file__).absolute().parents[2]
LANGUAGES = ("zh",)
# The catalog of what is no page: menus, and words that Python puts into pages.
WORDS = "words"

# The README in each language, and its link to the other one.
READMES = {"en": "README.md", "zh": "README.zh.md"}
SWITCH = {"en": "[中文](README.zh.md)", "zh": "[English](README.md)"}

FENCE = re.compile(r" *(```+|~~~+)")
# What may be left out of a block when one asks whether there is anything to translate in it.
MARKUP = re.compile(r"</?\w[^>]*>|\{[%#].*?[%#]\}|\{\{.*?\}\}|\$\$.*?\$\$", re.S)
STATEMENT = re.compile(r"\s*\{%.*%\}\s*")
HEADING = re.compile(r"#{1,6} (.+)")
# What a heading, a list or a caption begins with: a frame around it would break it.
BEGINNING = re.compile(r"<!-- alt:.*?-->\n|#{1,6} |- |\d+\. ", re.S)


def pieces(markdown: str) -> Iterator[tuple[str, bool]]:
    """Cut Markdown into blocks and what is between them: each piece, and whether it has prose.

    A block is a run of lines that are not blank, without Jinja's statements before and after it; a
    fence and a page's front matter are one block, whatever is in them. All pieces together are the
    Markdown.
    """
    lines = markdown.splitlines(keepends=True)
    start = 0
    while start < len(lines):
        end = start + 1
        fence = FENCE.match(lines[start])
        if fence or (start == 0 and lines[0].strip() == "---"):
            mark = fence[1] if fence else "---"
            while end < len(lines) and lines[end].strip() != mark:
                end += 1
            end += 1
            # A fence that names no language holds words, as the map in the README does.
            words = bool(fence) and lines[start].strip() == mark
            yield "".join(lines[start:end]), words
        elif not lines[start].strip():
            yield lines[start], False
        else:
            while end < len(lines) and lines[end].strip() and not FENCE.match(lines[end]):
                end += 1
            first, last = start, end
            while first < last and STATEMENT.fullmatch(lines[first]):
                first += 1
            while first < last and STATEMENT.fullmatch(lines[last - 1]):
                last -= 1
            for a, b in ((start, first), (first, last), (last, end)):
                if a < b:
                    yield (block := "".join(lines[a:b])), has_prose(block)
        start = end


def has_prose(block: str) -> bool:
    """Whether there is anything in a block to translate."""
    text = block.strip()
    if text in SWITCH.values():
        return False
    return not text.startswith(":::") and bool(re.search(r"[^\W\d_]", MARKUP.sub("", text)))


def message_of(block: str) -> str:
    """A block as its message: without the indentation that its place demands."""
    return textwrap.dedent(block).strip("\n")


def messages(markdown: str) -> list[str]:
    """The messages of a page, in order."""
    return [message_of(piece) for piece, prose in pieces(markdown) if prose]


def translated(markdown: str, translate: Callable[[str], str]) -> str:
    """The same Markdown with its blocks put through `translate`; headings keep their ids."""
    out = []
    for piece, prose in pieces(markdown):
        if not prose:
            out.append(piece)
            continue
        message = message_of(piece)
        text = translate(message)
        heading = HEADING.fullmatch(message)
        if heading and "{" not in heading[1]:
            text += f" {{ #{slugify(heading[1], '-')} }}"
        indent = re.match(" *", piece)[0]
        out.append(textwrap.indent(text, indent) + "\n" * piece.endswith("\n"))
    return "".join(out)


# --- What there is to translate ----------------------------------------------------------------


def pages(root: Path = ROOT) -> dict[str, Path]:
    """Catalog → its English source: every chapter, page and module of the API, the README."""
    chapters = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    docs = sorted(path for path in (root / "docs").rglob("*.md") if "theme" not in path.parts)
    modules = [
        name.replace(".", "/")
        for page in docs
        for name in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.M)
    ]
    return {
        **{f"chapters/{path.stem}": path for path in chapters},
        **{path.relative_to(root / "docs").with_suffix("").as_posix(): path for path in docs},
        **{f"source/{name}": root / f"src/{name}.py" for name in modules},
        "README": root / "README.md",
    }


def english(catalog: str, root: Path = ROOT) -> list[str]:
    """The messages of a catalog as the English sources have them now, in order, each once."""
    if catalog == WORDS:
        found = words(root)
    elif (source := pages(root)[catalog]).suffix == ".ipynb":
        cells = nbformat.read(source, nbformat.NO_CONVERT).cells
        prose = (cell.source for cell in cells if cell.cell_type == "markdown")
        found = [message for text in prose for message in messages(text)]
    elif source.suffix == ".py":
        texts = docstrings(ast.parse(source.read_text(encoding="utf-8")))
        found = [message for text in texts for message in messages(unwrapped(text))]
    else:
        found = messages(source.read_text(encoding="utf-8"))
    return list(dict.fromkeys(found))


def docstrings(node: ast.AST) -> Iterator[str]:
    """The docstrings of a module or class and of everything public in it."""
    if text := ast.get_docstring(node):
        yield text
    for child in ast.iter_child_nodes(node):
        named = isinstance(child, ast.ClassDef | ast.FunctionDef)
        if named and not child.name.startswith("_"):
            yield from docstrings(child)


def unwrapped(docstring: str) -> str:
    """A docstring with a paragraph a line: where the source's lines break means nothing."""
    return re.sub(r"(?<=\S)\n(?=[^\s\-*])", " ", docstring)


def words(root: Path) -> list[str]:
    """Words of the theme in mkdocs.yml, of Python behind `_`, of the trials and the benchmarks."""
    config = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    [toc] = (e["toc"] for e in config["markdown_extensions"] if isinstance(e, dict) and "toc" in e)
    found: list[str] = []
    translate_settings(config, toc, lambda text: found.append(text) or text)
    for file in sorted((root / "docs/theme").glob("numbers_of_*.py")):
        found += (text for _, text, *_ in extract_from_file("python", file, {"_": None}))
    tried = json.loads((root / "docs/data/tried.json").read_text(encoding="utf-8"))
    found += (row[key] for row in tried for key in ("what", "note", "tested_on") if row[key])
    for file in sorted((root / "benchmarks/results").glob("*.json")):
        measured = json.loads(file.read_text(encoding="utf-8"))["implementations"]
        found += (f"{name} {about['note']}" for name, about in measured.items() if about["note"])
    return found


def translate_settings(config: Any, toc: dict[str, Any], translate: Callable[[str], str]) -> None:
    """Put everything in mkdocs.yml that a reader sees through `translate`.

    `config` is the file's content or mkdocs' own configuration, `toc` the settings of that
    extension, which the two keep in different places.
    """
    for key in ("site_description", "copyright"):
        config[key] = translate(config[key])

    def titled(entry: Any) -> Any:
        if isinstance(entry, dict):
            return {translate(title): titled(below) for title, below in entry.items()}
        return [titled(below) for below in entry] if isinstance(entry, list) else entry

    config["nav"] = titled(config["nav"])
    for scheme in config["theme"]["palette"]:
        scheme["toggle"]["name"] = translate(scheme["toggle"]["name"])
    toc["permalink_title"] = translate(toc["permalink_title"])
    for places in (config["extra"]["words"], *config["extra"]["chapters"].values()):
        for key, value in places.items():
            places[key] = translate(value) if isinstance(value, str) else value


# --- Catalogs ----------------------------------------------------------------------------------


def file_of(language: str, catalog: str, root: Path = ROOT) -> Path:
    """Where a catalog is stored."""
    return root / "locale" / language / f"{catalog}.po"


def read(language: str, catalog: str, root: Path = ROOT) -> Catalog:
    """A stored catalog; an empty one where there is none. Raises ValueError on a damaged one."""
    file = file_of(language, catalog, root)
    if not file.exists():
        return Catalog(locale=language, fuzzy=False)
    try:
        with file.open("rb") as stream:
            return read_po(stream, locale=language, abort_invalid=True)
    except PoFileError as error:
        raise ValueError(f"{file} is no gettext catalog: {error}; mend that line") from error


def renew(language: str, catalog: str, root: Path = ROOT) -> Catalog:
    """Bring a stored catalog in step with its English source, and return it."""
    stored = read(language, catalog, root)
    template = Catalog()
    for text in english(catalog, root):
        template.add(text)
    stored.update(template)
    stored.obsolete.clear()
    write(stored, language, catalog, root)
    return stored


def write(content: Catalog, language: str, catalog: str, root: Path = ROOT) -> None:
    """Store a catalog, without a date: what has not changed leaves no difference."""
    for message in content:
        message.flags &= {"fuzzy"}  # Babel takes braces for Python's formats
    file, stream = file_of(language, catalog, root), io.BytesIO()
    write_po(stream, content, width=100, omit_header=True)
    header = (
        f'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nLanguage: {language}\\n"\n\n'
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header.encode() + stream.getvalue())


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
        if message and message.string and not message.fuzzy:
            return message.string
        self.gaps.append(
            Gap(catalog, english, "stale" if message and message.string else "missing")
        )
        return english

    def word(self, english: str) -> str:
        """The translation of a word of the theme, or of one that Python puts into a page."""
        return self.text(WORDS, english)

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

    def notebooks(self, folder: Path, mark: str = "") -> None:
        """Write the chapters in this language into a folder: other words, the same code."""
        folder.mkdir(parents=True, exist_ok=True)
        sources = {path.name: c for c, path in pages(self.root).items() if path.suffix == ".ipynb"}
        for stray in set(folder.glob("*.ipynb")) - {folder / name for name in sources}:
            stray.unlink()
        for name, catalog in sources.items():
            notebook = nbformat.read(self.root / "notebooks" / name, nbformat.NO_CONVERT)
            for cell in notebook.cells:
                if cell.cell_type == "markdown":
                    cell.source = self.markdown(catalog, cell.source, mark)
            content = nbformat.writes(notebook) + "\n"
            target = folder / name
            if not target.exists() or target.read_text(encoding="utf-8") != content:
                target.write_text(content, encoding="utf-8")


def readme(language: str, root: Path = ROOT) -> str:
    """The README in a language."""
    source = (root / READMES["en"]).read_text(encoding="utf-8")
    switched = source.replace(SWITCH["en"], SWITCH[language])
    return Edition(language, root).markdown("README", switched)


def main() -> None:
    """Renew all catalogs and the READMEs, and say what is left to translate."""
    for language in LANGUAGES:
        known = [*pages(), WORDS]
        for file in sorted((ROOT / "locale" / language).rglob("*.po")):
            name = file.relative_to(ROOT / "locale" / language).with_suffix("").as_posix()
            if name not in known:
                file.unlink()
        left = 0
        for catalog in known:
            todo = [m for m in renew(language, catalog) if m.id and (m.fuzzy or not m.string)]
            left += len(todo)
            if todo:
                print(f"{file_of(language, catalog).relative_to(ROOT)}: {len(todo)} to translate")
        (ROOT / READMES[language]).write_text(readme(language), encoding="utf-8")
        print(f"{language}: {left} to translate")


if __name__ == "__main__":
    main()
