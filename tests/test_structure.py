"""The house itself: how long its model files are, who imports whom, what needs torch."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

import vitlit
from vitlit.patches import patchify
from vitlit.presets import PRESETS

PACKAGE = Path(vitlit.__file__).parent
ROOT = Path(__file__).resolve().parents[1]
MODEL = ["patches", "positions", "encoder", "heads", "vit"]


def order_of(readme):
    """The modules of vitlit in the order of README's map, in which they may import each other."""
    block = readme.partition("\nsrc/vitlit/ ")[2].partition("\nwebsite/ ")[0]
    return [*re.findall(r"(\w+)\.py", block), "__main__"]


ORDER = order_of((ROOT / "README.md").read_text(encoding="utf-8"))
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def parsed(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text())


def imports_of(module):
    """The modules of vitlit that a module names in an import, at its head or inside a function."""
    names = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "vitlit":
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vitlit."):
            names.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("vitlit.")}
    return names & set(MODULES)


def test_the_model_files_have_at_most_450_lines_together():
    lines = {name: len((PACKAGE / f"{name}.py").read_text().splitlines()) for name in MODEL}
    assert sum(lines.values()) <= 450, lines


@pytest.mark.parametrize("module", MODEL)
def test_no_function_of_the_model_files_has_more_than_15_lines(module):
    functions = (node for node in ast.walk(parsed(module)) if isinstance(node, ast.FunctionDef))
    lines = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert max(lines.values()) <= 15, lines


def test_the_map_lists_every_module_once():
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    assert imports_of(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.stem)
def test_the_module_knows_of_no_program_around_it(file):
    words = {"website", "studies", "benchmarks", "notebooks", "tests"}
    found = re.findall(r"^ *(?:from|import) (\w+)", file.read_text(encoding="utf-8"), re.M)
    assert not words & set(found)


def test_a_name_is_exported_from_where_it_is_defined():
    for name, home in vitlit._HOMES.items():
        assert getattr(vitlit, name).__module__ == f"vitlit.{home}"


@pytest.mark.parametrize("file", sorted(PACKAGE.glob("*.py")), ids=lambda file: file.stem)
def test_what_a_docstring_names_exists(file):
    for name in re.findall(r"\bvitlit\.(\w+)\.([a-z_]\w*)", file.read_text(encoding="utf-8")):
        assert hasattr(importlib.import_module(f"vitlit.{name[0]}"), name[1]), name


def test_no_file_under_docs_is_a_program():
    files = (path for path in (ROOT / "docs").rglob("*") if path.is_file())
    kinds = {".md", ".css", ".svg", ".png", ".jpg", ".json"}
    assert {path.suffix for path in files} <= kinds


def test_every_preset_of_the_readme_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = {name for row in re.findall(r"^\| (`.+?) \|", text, re.M) for name in quoted(row)}
    assert named | {"smoke"} == set(PRESETS)


def quoted(row):
    """The names in a row's first cell; one that begins with - goes on where the first broke off."""
    first, *others = re.findall(r"`(.+?)`", row)
    head = first.rpartition("-")[0]
    return [first, *(f"{head}{name}" if name.startswith("-") else name for name in others)]


@pytest.mark.parametrize("module", MODEL)
def test_the_model_knows_of_nothing_but_itself(module):
    assert imports_of(module) <= {*MODEL, "config"}


@pytest.mark.parametrize("module", ["vitlit.figures", "vitlit.studies", "vitlit.presets"])
def test_the_site_can_be_built_without_torch(module):
    code = f"import sys; sys.modules['torch'] = None; import {module}"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_public_name_can_be_reached_from_the_package():
    assert all(callable(getattr(vitlit, name)) for name in vitlit.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Resnet'"):
        _ = vitlit.Resnet


def test_shapes_are_checked_while_testing():
    with pytest.raises(jaxtyping.TypeCheckError):
        patchify(torch.zeros(3, 8, 8), 4)
