"""The page on what came after: its code runs, and whatever is said of others has its source."""

import re
from pathlib import Path

import pytest
import torch

PAGE = Path(__file__).resolve().parents[1] / "docs/after.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## .+? \{#([\w-]+)\}\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S)


@pytest.fixture(scope="module")
def names():
    """What the page's code defines, run in order."""
    found = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.S):
        exec(block, found)
    return found


def test_the_code_of_the_page_runs(names):
    assert names["images"].shape == (2, 3, 32, 32)
    assert names["plain"].positions == "sincos"
    assert names["encoded"].shape == (2, 65, 96)  # without the registers


def test_a_teacher_is_a_running_mean(names):
    student, teacher = (list(names[who].parameters()) for who in ("student", "teacher"))
    assert all(map(torch.equal, student, teacher))  # of one that has not moved yet
    assert not any(map(lambda a, b: a is b, student, teacher))


def test_branches_side_by_side_read_the_same_tokens(names):
    block, tokens = names["model"].encoder.blocks[0].eval(), torch.randn(2, 5, 96)
    added = names["side_by_side"](block, tokens) - tokens
    normed = block.norm1(tokens)
    torch.testing.assert_close(added, block.attention(normed) + block.mlp(normed))


def test_pairs_that_match_cost_less_than_pairs_that_do_not(names):
    vectors = torch.eye(4)
    matched = names["matched"]
    assert matched(vectors, vectors) < 0.01 < matched(vectors, vectors.flip(0))


def test_turning_queries_and_keys_leaves_their_distance_only():
    def turned(vector, place):
        speeds = torch.tensor([1.0, 0.1], dtype=torch.float64)
        pairs = torch.view_as_complex(vector.unflatten(0, (-1, 2)))
        turns = torch.polar(torch.ones_like(speeds), place * speeds)
        return torch.view_as_real(pairs * turns).flatten()

    q, k = torch.randn(2, 4, dtype=torch.float64)
    for i, j in ((0, 3), (4, 7), (5, 2)):
        torch.testing.assert_close(turned(q, i) @ turned(k, j), q @ turned(k, j - i))


@pytest.mark.parametrize(("name", "text"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_every_section_names_its_source_and_says_what_stays(name, text):
    assert "bibliography.md#" in text
    if name != "still":
        parts = ("trouble", "change", "stays")
        assert all(re.search(rf"^\*\*[\w ]*{part}\.\*\*", text, re.M) for part in parts)
