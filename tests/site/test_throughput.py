"""The numbers of the benchmarks that the pages show, from a file that `make bench` wrote."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from website import ROOT
from website.throughput import benchmarks

MEASURED = ROOT / "benchmarks/results/cpu.json"


def test_the_page_shows_what_was_measured(tmp_path: Path) -> None:
    shutil.copy(MEASURED, tmp_path)
    result = json.loads(MEASURED.read_text(encoding="utf-8"))
    [shown] = benchmarks(tmp_path)
    assert (shown["name"], shown["command"]) == ("cpu", result["command"])
    cases = [(case["mode"], case["precision"]) for case in result["measurements"]]
    assert [(t["mode"], p) for t in shown["tables"] for p in t["precisions"]] == cases
    rows = shown["tables"][0]["rows"]
    assert [row["name"] for row in rows] == list(result["implementations"])
    ratio = result["measurements"][0]["implementations"]["torchvision"]["ratio_vitlit_to_this"]
    assert rows[1]["cells"][0]["ratio"] == f"{ratio['median']:.2f} ± {ratio['deviation']:.2f}"
    assert rows[0]["cells"][0]["ratio"] == ""


def test_no_benchmark_is_no_table(tmp_path: Path) -> None:
    assert benchmarks(tmp_path / "none") == []


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    (tmp_path / "cpu.json").write_text('{"command": ""}')
    with pytest.raises(ValueError, match=r"cpu\.json cannot be read .* repeat `make bench`"):
        benchmarks(tmp_path)


def test_the_program_needs_no_torch() -> None:
    modules = "website.build, website.hooks, website.watch, website.translation.docstrings"
    code = f"import sys; sys.modules['torch'] = None; import {modules}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
