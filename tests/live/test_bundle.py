"""What a page loads: its size, its words, and that its scripts are sound."""

import gzip
import re

import pytest
import yaml

from website import ROOT, bundle

LIMIT = 6_000_000
LIVE = ROOT / "website/live"
SCRIPTS = sorted(LIVE.rglob("*.ts"))


def test_types_are_sound():
    assert bundle.check() == 0, "run python -m website.bundle"


def test_all_that_is_loaded_is_small(tmp_path, graph, measured, monkeypatch):
    stored = tmp_path / "book.onnx"
    stored.write_bytes(graph)
    monkeypatch.setattr(bundle, "GRAPH", stored)
    sizes = {name: len(gzip.compress(content)) for name, content in bundle.assets()}
    kinds = {name.rpartition(".")[2] for name in sizes}
    assert kinds == {"wasm", "onnx", "safetensors", "js"}
    assert sum(sizes.values()) < LIMIT, sizes
    before = sum(size for name, size in sizes.items() if re.match(r"main|part", name))
    assert before < 20_000, sizes
    measured(
        f"gzipped: {before / 1e3:.1f} KB before a reader asks, {sum(sizes.values()) / 1e6:.2f} MB "
        "with everything"
    )


def test_a_book_without_a_graph_is_built_too(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "GRAPH", "nowhere.onnx")
    monkeypatch.setattr(bundle, "RECEIPT", "nowhere.safetensors")
    assert {name.rpartition(".")[2] for name in dict(bundle.assets())} == {"wasm", "js"}


def test_nothing_of_an_earlier_build_is_left(tmp_path):
    (tmp_path / bundle.FOLDER).mkdir()
    (tmp_path / bundle.FOLDER / "worker-old.js").touch()
    bundle.write(tmp_path)
    names = {file.name for file in (tmp_path / bundle.FOLDER).iterdir()}
    assert "main.js" in names
    assert "worker-old.js" not in names


def test_every_word_that_a_component_shows_is_there_and_no_other():
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    text = "\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS)
    codes = re.findall(r'"(\w+)"', text.partition("CODES = [")[2].partition("]")[0])
    asked = {f"fault_{code}" for code in codes} | {"scripts"}
    for call in re.findall(r"word\(([^()]*)", text):
        asked |= set(re.findall(r'"(\w+)"', call.partition("{")[0]))
    assert asked == set(config["extra"]["live"])


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_only_session_knows_the_runtime(file):
    knows = "onnxruntime" in file.read_text(encoding="utf-8")
    assert knows == (file.name == "session.ts")
