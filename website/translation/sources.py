"""What there is to translate: the English sources, and the messages in each."""

import ast
import json
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import nbformat
import yaml
from babel.messages.extract import extract_from_file

from vitlit.cifar10 import CLASSES
from vitlit.presets import PRESETS, VARIANTS
from website import ROOT
from website.throughput import comparisons
from website.translation.text import messages, unwrapped

# The catalog of what is no page: menus, and words that Python puts into pages.
WORDS = "words"
# The catalog of words in drawings.
LABELS = "labels"
OTHERS = (WORDS, LABELS)
# Names in drawings that are the same in all languages, as symbols are.
NAMES = re.compile(
    r"\w=\w|[_\[\]]|[a-z][A-Z]|^(cos|max|sin|Muon|permute|scipy|sincos|softmax|tanh|timm|torchvision)\b"
)
# Documents at the root that have a translation beside them: NAME.md and NAME.zh.md.
DOCUMENTS = ("README", "CONTRIBUTING")


def sources(root: Path = ROOT) -> dict[str, Path]:
    """Catalog → its English source: every chapter, page, module of the API and document."""
    chapters = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    docs = sorted((root / "docs").rglob("*.md"))
    modules = [
        name.replace(".", "/")
        for page in docs
        for name in re.findall(r"^::: ([\w.]+)", page.read_text(encoding="utf-8"), re.M)
    ]
    return {
        **{f"chapters/{path.stem}": path for path in chapters},
        **{path.relative_to(root / "docs").with_suffix("").as_posix(): path for path in docs},
        **{f"source/{name}": root / f"src/{name}.py" for name in modules},
        **documents(root),
    }


def documents(root: Path = ROOT) -> dict[str, Path]:
    """The documents at the root that exist."""
    return {name: path for name in DOCUMENTS if (path := root / f"{name}.md").exists()}


def source_messages(catalog: str, root: Path = ROOT) -> list[str]:
    """The messages of a catalog as the English sources have them now, in order, each once."""
    if catalog == WORDS:
        found = words(root)
    elif catalog == LABELS:
        found = labels(root)
    elif (source := sources(root)[catalog]).suffix == ".ipynb":
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
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (
        text := ast.get_docstring(node)
    ):
        yield text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield from docstrings(child)


def words(root: Path) -> list[str]:
    """Words of the theme, of Python behind `_`, of the variants, the trials and the benchmarks."""
    config = yaml.safe_load((root / "mkdocs.yml").read_text(encoding="utf-8"))
    [toc] = (e["toc"] for e in config["markdown_extensions"] if isinstance(e, dict) and "toc" in e)
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    translate_settings(config, toc, note)
    for file in sorted((root / "website").glob("*.py")):
        extracted = extract_from_file("python", file, {"_": None})
        found += (text for _, text, *_ in extracted if isinstance(text, str))
    found += (variant.words for variant in VARIANTS.values())
    tried = json.loads((root / "docs/data/tried.json").read_text(encoding="utf-8"))
    found += (row[key] for row in tried for key in ("what", "note", "tested_on") if row[key])
    for file in comparisons(root / "benchmarks/results"):
        measured = json.loads(file.read_text(encoding="utf-8"))["implementations"]
        found += (f"{name} {about['note']}" for name, about in measured.items() if about["note"])
    return found


def pattern_of(label: str) -> tuple[str, list[str]]:
    """A label with `{}` in place of its numbers, and these: "layer 3" is as good as "layer 4"."""
    number = re.compile(r"\d+(?:[.,]\d+)*")
    return number.sub("{}", label.replace("{", "").replace("}", "")), number.findall(label)


def labels(root: Path) -> list[str]:
    """Words in the chapters' drawings, and of the axes that vitlit.figures draws elsewhere."""
    found = [
        unescape(label)
        for notebook in sorted((root / "notebooks").glob("[0-9]*.ipynb"))
        for cell in nbformat.read(notebook, nbformat.NO_CONVERT).cells
        for output in cell.get("outputs", ())
        for label in re.findall(
            r"<text[^>]*>([^<]+)</text>", unquote(output.get("data", {}).get("text/html", ""))
        )
    ]
    axes = extract_from_file("python", root / "src/vitlit/figures.py", {"_named": None})
    found += [label for _, label, *_ in axes if isinstance(label, str)]
    known = {*CLASSES, *(f"({name})" for name in CLASSES), *PRESETS}
    return [
        pattern_of(label)[0]
        for label in found
        if re.search(r"[a-z]{3}", label) and not NAMES.search(label) and label not in known
    ]


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
    extra = config["extra"]
    for places in (extra["words"], extra["live"], *extra["chapters"].values()):
        for key, value in places.items():
            places[key] = translate(value) if isinstance(value, str) else value
