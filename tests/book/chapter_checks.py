"""What must hold of every chapter. A check takes a chapter and returns its faults, in words."""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from helpers.accuracies import typed_accuracies
from nbformat import NotebookNode

import vitlit
from vitlit.reveal import reveal

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
PACKAGE = Path(vitlit.__file__).parent
MODEL = ("patches", "positions", "encoder", "heads", "vit")
TAGS = {
    "code": {"wide", "figure", "reveal", "exercise", "solution"},
    "markdown": {"caption"},
}
WHOLE_MODEL = "05_head"


@dataclass
class Chapter:
    """A chapter's source (.py) and its executed pair (.ipynb), as notebooks."""

    name: str
    source: NotebookNode
    stored: NotebookNode

    @property
    def number(self) -> int:
        """1 of "01_patches"."""
        return int(self.name.partition("_")[0])

    def cells(self, kind: str | None = None, tag: str | None = None) -> Iterator[tuple[int, Any]]:
        """The stored cells of a kind and with a tag, numbered from 1."""
        for i, cell in enumerate(self.stored.cells, 1):
            if kind in (None, cell.cell_type) and (tag is None or tag in tags_of(cell)):
                yield i, cell

    def after(self, i: int) -> NotebookNode:
        """The cell after cell i; an empty one after the last."""
        cells = self.stored.cells
        return cells[i] if i < len(cells) else nbformat.v4.new_markdown_cell()


def read(source: Path) -> Chapter:
    """Read a chapter. Raises FileNotFoundError if it was not executed: `make notebooks` does."""
    pair = source.with_suffix(".ipynb")
    return Chapter(source.stem, jupytext.read(source), nbformat.read(pair, as_version=4))


def tags_of(cell: NotebookNode) -> list[str]:
    """The cell's tags."""
    return list(cell.metadata.get("tags", []))


def data_of(cell: NotebookNode) -> list[dict[str, Any]]:
    """What a cell displayed, a mapping from kind to content for each output."""
    return [output.data for output in cell.get("outputs", []) if "data" in output]


def pictures_of(cell: NotebookNode) -> int:
    """How many pictures a cell drew."""
    return sum(map(is_picture, data_of(cell)))


def is_picture(data: dict[str, Any]) -> bool:
    """Whether a cell drew what it displayed."""
    drawn = 'class="panels"' in data.get("text/html", "")
    return drawn or any(kind.startswith("image/") for kind in data)


def printed_by(cell: NotebookNode) -> str:
    """All text that a cell wrote or returned, without pictures' and sources' own names."""
    texts = [output.text for output in cell.outputs if output.output_type == "stream"]
    for data in data_of(cell):
        if not is_picture(data):
            texts += [data[kind] for kind in ("text/plain", "text/markdown") if kind in data]
            texts.append(re.sub(r"<[^>]+>", "\n", data.get("text/html", "")))
    return "\n".join(texts)


# The pair


def is_in_step(chapter: Chapter) -> list[str]:
    """The .ipynb has the cells of the .py."""
    ours, theirs = (
        [(c.cell_type, c.source, tags_of(c), c.metadata.get("jupyter")) for c in notebook.cells]
        for notebook in (chapter.source, chapter.stored)
    )
    faults = [
        f"cell {i} is not that of the .py: {b[1][:60]!r}, not {a[1][:60]!r}"
        for i, (a, b) in enumerate(zip(ours, theirs, strict=False), 1)
        if a != b
    ][:3]
    if len(ours) != len(theirs):
        faults.append(f"the .py has {len(ours)} cells, the .ipynb {len(theirs)}")
    return faults


def was_run_from_top_to_bottom(chapter: Chapter) -> list[str]:
    """Every code cell was executed once, in order, in a fresh kernel."""
    counts = [cell.execution_count for _, cell in chapter.cells("code")]
    return [] if counts == list(range(1, len(counts) + 1)) else [f"cells were run as {counts}"]


def has_no_error(chapter: Chapter) -> list[str]:
    """No stored output is an error, and none came by way of stderr."""
    return [
        f"cell {i} stores {output.get('ename') or output.name}"
        for i, cell in chapter.cells("code")
        for output in cell.outputs
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


# Shown source


def shown_in(chapter: Chapter) -> list[tuple[int, str, str]]:
    """Cell, address and block of every piece of source that a chapter shows."""
    blocks = (
        (i, data["text/markdown"])
        for i, cell in chapter.cells("code")
        for data in data_of(cell)
        if "text/markdown" in data
    )
    return [
        (i, match[1], block)
        for i, block in blocks
        if (match := re.match(r'```python title="([\w.]+)"\n', block))
    ]


def object_at(address: str) -> Any:
    """What an address such as "vitlit.vit.Keep.__init__" names."""
    module, *names = address.removeprefix("vitlit.").split(".")
    thing = import_module(f"vitlit.{module}")
    for name in names:
        thing = inspect.getattr_static(thing, name)
    return thing.__func__ if isinstance(thing, classmethod | staticmethod) else thing


def shows_source_as_it_is(chapter: Chapter) -> list[str]:
    """What a chapter shows of the module is what stands in src/ now."""
    faults = []
    for i, address, block in shown_in(chapter):
        try:
            current = reveal(object_at(address))._repr_markdown_()
        except (ImportError, AttributeError) as error:
            faults.append(f"cell {i} shows {address}, which does not exist ({error})")
        else:
            if block != current:
                faults.append(f"cell {i} shows {address} as it no longer is")
    return faults


def shows_one_thing_beside_its_explanation(chapter: Chapter) -> list[str]:
    """A cell with the tag reveal is `reveal(X)` alone, has shown X, and follows a text."""
    faults, shown = [], {i: address for i, address, _ in shown_in(chapter)}
    for i, cell in chapter.cells("code"):
        names = re.fullmatch(r"reveal\(([\w.]+)\)", cell.source)
        if "reveal" not in tags_of(cell):
            if "reveal(" in cell.source:
                faults.append(f"cell {i} reveals something without the tag")
            continue
        before = chapter.stored.cells[i - 2]
        if names is None or len(cell.outputs) != 1:
            faults.append(f"cell {i} is not one reveal(…) alone")
        elif not f".{shown.get(i, '')}".endswith(f".{names[1]}"):
            faults.append(f"cell {i} is to show {names[1]} and shows {shown.get(i, 'nothing')}")
        if before.cell_type != "markdown" or tags_of(before) or not prose_of(before.source):
            faults.append(f"cell {i} has no explanation beside it")
    return faults


def prose_of(markdown: str) -> str:
    """Markdown without its headings."""
    return re.sub(r"^#.*$", "", markdown, flags=re.M).strip()


def defined_in_the_model() -> list[str]:
    """Addresses of all classes, methods and functions of the model files."""
    addresses = []
    for module in MODEL:
        for node in ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                addresses.append(f"vitlit.{module}.{node.name}")
            if isinstance(node, ast.ClassDef):
                methods = (part for part in node.body if isinstance(part, ast.FunctionDef))
                addresses += [f"vitlit.{module}.{node.name}.{part.name}" for part in methods]
    return addresses


def not_shown_once(chapters: list[Chapter]) -> list[str]:
    """Every class, method and function of the model files is shown in one place of the book."""
    shown: dict[str, list[str]] = {}
    for chapter in chapters:
        for i, address, _ in shown_in(chapter):
            shown.setdefault(address, []).append(f"{chapter.name}, cell {i}")
    wanted = defined_in_the_model()
    return [f"{address} is shown nowhere" for address in wanted if address not in shown] + [
        f"{address} is shown in {' and '.join(shown[address])}"
        for address in wanted
        if len(shown.get(address, [])) > 1
    ]


# Words


def types_no_accuracy(chapter: Chapter) -> list[str]:
    """Numbers that were measured come from run records, not from the keyboard."""
    return [
        f"cell {i} has an accuracy typed in: {found}"
        for i, cell in chapter.cells("markdown")
        for found in typed_accuracies(cell.source)
    ]


# Pictures


def alt_of(caption: NotebookNode) -> str:
    """The alt text of a caption cell, or nothing."""
    match = re.match(r"<!-- alt: (\S.*\S) -->\n", caption.source)
    return match[1] if match else ""


def captions_its_pictures(chapter: Chapter) -> list[str]:
    """Each picture is followed by a caption with an alt text, and captions are numbered."""
    faults, count = [], 0
    for i, cell in chapter.cells():
        after = chapter.after(i)
        if "caption" in tags_of(cell):
            count += 1
            if i == 1 or not pictures_of(chapter.stored.cells[i - 2]):
                faults.append(f"cell {i} is the caption of no picture")
            alt = alt_of(cell)
            if len(alt) < 30 or not alt.endswith("."):
                faults.append(f"cell {i} does not begin with an alt text in whole sentences")
            if f"-->\n**Figure {chapter.number}.{count}.** " not in cell.source:
                faults.append(f"cell {i} is not Figure {chapter.number}.{count}")
        elif drawn := pictures_of(cell) if cell.cell_type == "code" else 0:
            if drawn > 1:
                faults.append(f"cell {i} draws {drawn} pictures; one has one alt text")
            if "caption" not in tags_of(after):
                faults.append(f"cell {i} draws a picture without a caption")
        elif "figure" in tags_of(cell):
            faults.append(f"cell {i} is a figure and draws nothing")
    return faults


def alike_alt_texts(chapters: list[Chapter]) -> list[str]:
    """No two pictures of the book have the same alt text."""
    alts = Counter(alt_of(c) for chapter in chapters for _, c in chapter.cells(tag="caption"))
    return [
        f"{count} pictures have the alt text {alt!r}" for alt, count in alts.items() if count > 1
    ]


# Exercises


def poses_two_exercises(chapter: Chapter) -> list[str]:
    """Two stubs, each with a check, and a folded solution that passes it."""
    faults = []
    exercises = list(chapter.cells(tag="exercise"))
    if len(exercises) != 2:
        faults.append(f"there are {len(exercises)} exercises, not 2")
    if len(exercises) != len(list(chapter.cells(tag="solution"))):
        faults.append("not every exercise has one solution")
    for number, (i, cell) in enumerate(exercises, 1):
        if not re.search(rf"^\*\*{number}\.\*\* ", chapter.stored.cells[i - 2].source, re.M):
            faults.append(f"cell {i} does not follow the text of exercise {number}")
        name = exercise_name(cell.source)
        if name is None:
            faults.append(f"cell {i} defines not just a stub NAME and check_NAME with asserts")
            continue
        after = chapter.after(i)
        if "solution" not in tags_of(after):
            faults.append(f"cell {i} is not followed by its solution")
        elif after.metadata.get("jupyter") != {"source_hidden": True}:
            faults.append(f"cell {i + 1} is a solution that is not folded")
        elif name not in functions_of(after.source) or f"check_{name}({name})" not in after.source:
            faults.append(f"cell {i + 1} does not define {name} and call check_{name}({name})")
    return faults


def functions_of(code: str) -> dict[str, ast.FunctionDef]:
    """The functions that a cell defines."""
    return {n.name: n for n in ast.parse(code).body if isinstance(n, ast.FunctionDef)}


def exercise_name(code: str) -> str | None:
    """NAME, if a cell consists of NAME and check_NAME and the latter asserts something."""
    functions = functions_of(code)
    names = [name for name in functions if f"check_{name}" in functions]
    only_functions = len(functions) == len(ast.parse(code).body) == 2
    if not only_functions or len(names) != 1:
        return None
    asserts = any(isinstance(node, ast.Assert) for node in ast.walk(functions[f"check_{names[0]}"]))
    tests = "assert_close" in code
    return names[0] if asserts or tests else None


# Form


def has_known_tags(chapter: Chapter) -> list[str]:
    """Cells have no tags and no metadata but those that the site understands."""
    faults = []
    for i, cell in chapter.cells():
        if unknown := set(tags_of(cell)) - TAGS[cell.cell_type]:
            faults.append(f"cell {i} is {cell.cell_type} with the tag {', '.join(sorted(unknown))}")
        metadata = set(cell.metadata) - {"tags", "execution", "lines_to_next_cell"}
        if metadata - ({"jupyter"} if "solution" in tags_of(cell) else set()):
            faults.append(f"cell {i} has metadata {', '.join(sorted(metadata))}")
    return faults


def has_its_parts_in_order(chapter: Chapter) -> list[str]:
    """Question, what one can do then, place in the model; receipt, exercises, paper."""
    faults = []
    first = chapter.stored.cells[0].source
    if not re.match(rf"# {chapter.number} · \S.*\n\n\*\*.+\?\*\*\n", first):
        faults.append(f"it does not begin with `# {chapter.number} · Title` and a bold question")
    if not re.search(r"^After this chapter you can\n\n- ", first, re.M):
        faults.append("it does not say what you can do after it")
    i, code = next(chapter.cells("code"))
    if not re.search(r"^figures\.pipeline\(", code.source, re.M) or i != 2:
        faults.append("its first picture is not its place in the model")
    prose = "\n".join(cell.source for _, cell in chapter.cells("markdown"))
    headings = re.findall(r"^#{1,6} .*$", prose, re.M)
    if unpinned := [h for h in headings[1:] if not re.search(r" \{#[a-z0-9-]+\}$", h)]:
        faults.append(f"headings have no id: {unpinned}")
    ids = [m[1] for h in headings if (m := re.search(r"\{#([a-z0-9-]+)\}$", h))]
    if doubled := [name for name, count in Counter(ids).items() if count > 1]:
        faults.append(f"headings have the same id: {doubled}")
    closing = ("receipt", "exercises", "paper")
    if [name for name in ids if name in closing] != list(closing) or ids[-1] != "paper":
        faults.append(f"it does not end with {', '.join(closing)}, but has {ids}")
        return faults
    receipt = prose_section(chapter, "receipt")
    if not any("max |Δ|" in printed_by(cell) for cell in receipt if cell.cell_type == "code"):
        faults.append("its receipt compares nothing")
    paper = "\n".join(cell.source for cell in prose_section(chapter, "paper"))
    if "bibliography.md#" not in paper or not re.search(
        r"(?:section|equation|appendix|table|figure)s? [A-Z]?\.?\d", paper, re.I
    ):
        faults.append("it does not say where in the paper to read")
    return faults


def prose_section(chapter: Chapter, name: str) -> list[NotebookNode]:
    """The cells under the heading with an id, up to the next heading of its level."""
    inside, cells = False, []
    for _, cell in chapter.cells():
        if cell.cell_type == "markdown" and (
            h := re.search(r"^## .*\{#([\w-]+)\}$", cell.source, re.M)
        ):
            inside = h[1] == name
        if inside:
            cells.append(cell)
    return cells


def defines_no_class_of_the_module(chapter: Chapter) -> list[str]:
    """What is in the module is shown, not typed again."""
    taken = {
        node.name
        for file in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    }
    return [
        f"cell {i} defines {node.name}, which the module has"
        for i, cell in chapter.cells("code")
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.ClassDef) and node.name in taken
    ]


def has_the_whole_model_in_a_cell(chapter: Chapter) -> list[str]:
    """Chapter 5 has a model of plain PyTorch in one cell of at most 60 lines, and tries it."""
    if chapter.name != WHOLE_MODEL:
        return []
    candidates = [
        (i, cell) for i, cell in chapter.cells("code") if len(functions_of(cell.source)) >= 5
    ]
    if len(candidates) != 1:
        return [f"{len(candidates)} cells hold the whole model, not 1"]
    faults, (i, cell) = [], candidates[0]
    if (lines := len(cell.source.splitlines())) > 60:
        faults.append(f"cell {i} has {lines} lines, not at most 60")
    following = [cell for j, cell in chapter.cells("code") if j > i][:1]
    if not any("max |Δ|" in printed_by(cell) for cell in following):
        faults.append(f"cell {i} is not compared with the module right after")
    return faults


CHECKS = (
    is_in_step,
    was_run_from_top_to_bottom,
    has_no_error,
    shows_source_as_it_is,
    shows_one_thing_beside_its_explanation,
    types_no_accuracy,
    captions_its_pictures,
    poses_two_exercises,
    has_known_tags,
    has_its_parts_in_order,
    defines_no_class_of_the_module,
    has_the_whole_model_in_a_cell,
)
CHECKS_OF_THE_BOOK = (not_shown_once, alike_alt_texts)
