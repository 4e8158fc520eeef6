"""Chapters that run wherever they land: as single downloads, and all of them as one archive.

A portable chapter begins with a cell that installs the module, asks for nothing that only a
checkout has, and leads to places that exist where it is read.
"""

import ast
import builtins
import io
import re
import string
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml
from mkdocs.config.defaults import MkDocsConfig
from nbformat import NotebookNode

from website import LANGUAGES, ROOT, addresses, wheel
from website.notebooks import notebooks_of
from website.translation.catalogs import Edition

TAG = "setup"
# Other libraries that receipts compare with. Where one is not installed, its cells do nothing.
OPTIONAL = ("scipy", "timm", "transformers")
# Files that no archive makes smaller.
PACKED = (".zip", ".whl", ".png", ".jpg", ".woff2")
# The variable that website/build.py sets for the hooks where the book is printed, too.
PDF = "VITLIT_PDF"
# The page that is the archive's README too.
PAGE = "start"


@dataclass(frozen=True)
class Place:
    """Where downloads come from: the site's address, empty if it has none, and an edition."""

    address: str
    language: str

    @classmethod
    def of(cls, config: MkDocsConfig) -> "Place":
        """That of the edition that is built."""
        return cls(addresses.site(config.site_url), str(config.theme["language"]))

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return f"vitlit-book-{self.language}.zip"

    @property
    def pdf(self) -> str:
        """The file name of the book as a PDF."""
        return f"vitlit-book-{self.language}.pdf"


def places() -> list[Place]:
    """That of every edition, by the address that mkdocs.yml has."""
    source, *_ = LANGUAGES
    config = yaml.safe_load((ROOT / LANGUAGES[source]).read_text(encoding="utf-8"))
    address = addresses.site(config.get("site_url"))
    return [Place(address, language) for language in LANGUAGES]


def portable(notebook: NotebookNode, place: Place, *, alone: bool) -> NotebookNode:
    """A chapter that runs outside of a checkout; `alone`, with no other chapter beside it."""
    anchors = {
        identity: title.strip().replace(" ", "-")
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for title, identity in re.findall(r"^#+ (.+?) \{#([\w-]+)\}$", cell.source, re.M)
    }
    conditions: dict[str, str] = {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _linked(cell.source, place, anchors, alone)
        else:
            cell.source = guarded(cell.source, conditions)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_setup(place)))
    notebook.cells[0].metadata = nbformat.from_dict(
        {"tags": [TAG], "jupyter": {"source_hidden": True}}
    )
    notebook.cells[0].id = TAG
    kept = ("kernelspec", "language_info")  # it has no pair there
    notebook.metadata = {key: notebook.metadata[key] for key in kept if key in notebook.metadata}
    return notebook


def _linked(text: str, place: Place, anchors: dict[str, str], alone: bool) -> str:
    """Prose whose links lead somewhere, and whose headings show no ids."""
    papers = papers_of(ROOT / "docs/bibliography.md")

    def link(match: re.Match[str]) -> str:
        words, target = match["words"], match["target"]
        page, _, identity = target.partition("#")
        if not page:
            return f"[{words}](#{anchors[identity]})"
        if page.endswith("bibliography.md"):
            return f"[{words}]({papers[identity]})"
        if page.endswith(".ipynb"):
            where = f"{place.address}{place.language}/chapters/{page.removesuffix('.ipynb')}/"
            return f"[{words}]({where if alone and place.address else page})"
        if page.startswith("../docs/"):
            where = page.removeprefix("../docs/").removesuffix(".md")
            return (
                f"[{words}]({place.address}{place.language}/{where}/)" if place.address else words
            )
        return match[0]

    text = re.sub(r"^(#+ .+?) \{#[\w-]+\}$", r"\1", text, flags=re.M)
    return re.sub(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)", link, text)


def papers_of(bibliography: Path) -> dict[str, str]:
    """Where each entry of the bibliography can be read: the first link of an entry, by its id."""
    text = bibliography.read_text(encoding="utf-8")
    entries = re.split(r"^.+? \{ #([\w-]+) \}$", text, flags=re.M)[1:]
    links = (re.search(r"\]\((http[^)]+)\)", entry) for entry in entries[1::2])
    return {name: link[1] for name, link in zip(entries[::2], links, strict=True) if link}


def guarded(code: str, conditions: dict[str, str]) -> str:
    """A cell that runs only where the libraries are that it compares with.

    `conditions` says by which library a name of an earlier cell came about; it is brought up to
    date. Imports of what is always there stay outside.
    """
    tree = ast.parse(code)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    needed = sorted({root for node in imports for root in _roots(node)} & set(OPTIONAL))
    made = _names(tree, ast.Store)
    used = _names(tree, ast.Load) - made - set(dir(builtins))
    needed = needed or sorted({conditions[name] for name in used if name in conditions})
    if not needed:
        for name in made:
            conditions.pop(name, None)
        return code
    [library] = needed
    outside = [node for node in imports if library not in _roots(node)]
    conditions.update(dict.fromkeys(made - _bound(outside), library))

    lines = code.splitlines()
    last = tree.body[-1]
    if isinstance(last, ast.Expr) and "print(" not in lines[last.lineno - 1]:
        lines[last.lineno - 1] = f"display({lines[last.lineno - 1]}"
        lines[last.end_lineno - 1] += ")"  # type: ignore[operator]
    for node in outside:
        lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)  # type: ignore[operator]
    within = "\n".join(f"    {line}".rstrip() for line in lines).strip("\n")
    return "\n".join(
        [
            *("from importlib.util import find_spec", *map(ast.unparse, outside), ""),
            f'if find_spec("{library}"):  # else: pip install {library}',
            re.sub(r"\n{3,}", "\n\n", within),
        ]
    )


def _roots(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The packages that an import names."""
    names = (
        [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
    )
    return {name.partition(".")[0] for name in names}


def _bound(imports: list[ast.Import | ast.ImportFrom]) -> set[str]:
    """The names that imports bind."""
    aliases = (alias for node in imports for alias in node.names)
    return {(alias.asname or alias.name).partition(".")[0] for alias in aliases}


def _names(tree: ast.Module, context: type[ast.expr_context]) -> set[str]:
    """Names that a cell reads (ast.Load), or makes (ast.Store): variables, functions, imports."""
    nodes = list(ast.walk(tree))
    found = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, context)}
    if context is ast.Store:
        found |= {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
        found |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        found |= _bound([n for n in nodes if isinstance(n, ast.Import | ast.ImportFrom)])
    return found


def _setup(place: Place) -> str:
    """The first cell: installs the module unless this version of it is there."""
    template = (ROOT / "website/templates/setup.py.txt").read_text(encoding="utf-8")
    made = string.Template(template).substitute(
        wheel=wheel.name(),
        version=wheel.version(),
        address=place.address,
        archive=Edition(place.language).word("Everything to run"),
    )
    return made.strip()


def single(path: Path, place: Place) -> str:
    """One chapter, as it is downloaded."""
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    return nbformat.writes(portable(notebook, place, alone=True)) + "\n"


def write_archive(site: Path, place: Place, module: Path) -> Path:
    """Write one archive with all chapters in a language, the wheel and a README.

    Equal contents give equal bytes.
    """
    edition = Edition(place.language)
    target = site / place.archive
    page = edition.markdown(PAGE, (ROOT / f"docs/{PAGE}.md").read_text(encoding="utf-8"))
    contents = {"README.md": _readme(page).encode(), module.name: module.read_bytes()}
    for path in notebooks_of(edition, ""):
        notebook = nbformat.read(path, nbformat.NO_CONVERT)
        made = nbformat.writes(portable(notebook, place, alone=False)) + "\n"
        contents[path.name] = made.encode()
    target.write_bytes(zipped("vitlit-book", contents))
    return target


def zipped(folder: str, contents: Mapping[str, bytes]) -> bytes:
    """An archive of one folder with these files. Equal contents give equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, bytes_ in sorted(contents.items()):
            packed = name.endswith(PACKED)
            how = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(f"{folder}/{name}"), bytes_, how)
    return content.getvalue()


def _readme(page: str) -> str:
    """The page as a text of its own: without the head for mkdocs, ids and links into the site."""
    text = re.sub(r"\A---\n.*?\n---\n+", "", page, flags=re.S)
    text = re.sub(r"^(#+ .+?) \{#[\w-]+\}$", r"\1", text, flags=re.M)
    return re.sub(r"(?<!!)\[([^\]]*)\]\((?!http)[^)]+\)", r"\1", text)


def colab(config: MkDocsConfig, chapter: str) -> str:
    """Where a chapter opens in Colab; empty unless site and repository have an address on GitHub.

    Colab opens notebooks from GitHub only: the branch `notebooks`, which the site's workflow keeps.
    """
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)/?", config.repo_url or "")
    if not found or not config.site_url:
        return ""
    where = f"github/{found[1]}/blob/notebooks/{config.theme['language']}/{chapter}.ipynb"
    return f"https://colab.research.google.com/{where}"


def source(config: MkDocsConfig, chapter: str) -> str:
    """Where a chapter's source is shown; empty unless the repository has an address."""
    return addresses.source(addresses.repository(config.repo_url), f"notebooks/{chapter}.py")
