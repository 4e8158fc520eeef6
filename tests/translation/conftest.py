"""A little book to translate."""

from pathlib import Path

import pytest

from website import ROOT


@pytest.fixture
def book(tmp_path: Path) -> Path:
    """One chapter, two pages, a README, and what mkdocs.yml says."""
    for folder in ("notebooks", "website", "docs/data", "benchmarks/results"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "mkdocs.yml").write_text((ROOT / "mkdocs.yml").read_text("utf-8"), "utf-8")
    (tmp_path / "docs/data/tried.json").write_text("[]", "utf-8")
    (tmp_path / "README.md").write_text("# vitlit\n\n[中文](README.zh.md)\n\nA book.\n", "utf-8")
    (tmp_path / "docs/index.md").write_text("# Home\n\nA patch is a token.\n", "utf-8")
    return tmp_path
