"""The house itself: how long its model files are, who imports whom, what needs torch."""

import ast
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

import vitlit
from vitlit.patches import patchify

PACKAGE = Path(vitlit.__file__).parent
MODEL = ["patches", "positions", "encoder", "heads", "vit"]
# A module may import those before it.
ORDER = [
    "records", "figures", "reveal", "receipts",
    "patches", "positions", "encoder", "config", "heads", "vit",
    "ablations", "finetune", "data", "processes", "augment", "presets", "muon", "mimetic",
    "checkpoint", "layouts", "pretrained", "export", "train", "cli", "__main__",
]  # fmt: skip
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


def test_the_model_files_have_at_most_400_lines_together():
    lines = {name: len((PACKAGE / f"{name}.py").read_text().splitlines()) for name in MODEL}
    assert sum(lines.values()) <= 400, lines


@pytest.mark.parametrize("module", MODEL)
def test_no_function_of_the_model_files_has_more_than_15_lines(module):
    functions = (node for node in ast.walk(parsed(module)) if isinstance(node, ast.FunctionDef))
    lines = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert max(lines.values()) <= 15, lines


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_one_way(module):
    assert module in ORDER, f"say in ORDER which modules {module} may import"
    assert imports_of(module) <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", MODEL)
def test_the_model_knows_of_nothing_but_itself(module):
    assert imports_of(module) <= {*MODEL, "config"}


@pytest.mark.parametrize("module", ["vitlit", "vitlit.figures", "vitlit.records"])
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
