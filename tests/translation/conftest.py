"""docs/theme/translations.py, which is no package's, as a module."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).absolute().parents[2]


@pytest.fixture(scope="session")
def translations() -> ModuleType:
    """The program that extracts and merges."""
    spec = importlib.util.spec_from_file_location(
        "translations", ROOT / "docs/theme/translations.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """A little book: one chapter, two pages, a README, and what mkdocs.yml says."""
    for folder in ("notebooks", "docs/theme", "docs/data", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text("utf-8"), "utf-8")
    (tmp_path / "docs/data/tried.json").write_text("[]", "utf-8")
    (tmp_path / "README.md").write_text("# vitlit\n\n[中文](README.zh.md)\n\nA book.\n", "utf-8")
    (tmp_path / "docs/index.md").write_text("# Home\n\nA patch is a token.\n", "utf-8")
    return tmp_path
