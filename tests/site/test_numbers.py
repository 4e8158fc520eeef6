"""No accuracy is typed into prose: ours come from run records, others' from one data file."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).absolute().parents[2]
OTHERS = ROOT / "docs/data/others.json"
PERCENT = re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\s*(?:\\?%|per ?cent\b)")
FRACTION = re.compile(r"(?<![\w.])(0?\.[1-9]\d{1,3})(?![\w.]\w)")
ABOUT_ACCURACY = re.compile(r"accura|correct|top-?1|top-?5|test (?:set|images)", re.I)
CITES = re.compile(r"\]\([^)]*(?:bibliography\.md#|data/others\.json)[^)]*\)")


def typed_accuracies(text: str, known: set[str]) -> list[str]:
    """Sentences that state an accuracy, unless they cite whose it is and the data file has it."""
    text = re.sub(r"```.*?```|\{\{.*?\}\}|\{%.*?%\}", " ", text, flags=re.S)
    found = []
    for sentence in re.split(r"(?<=[.!?])\s+|\n\s*\n|\n[|*-]", text):
        if not ABOUT_ACCURACY.search(sentence):
            continue
        numbers = PERCENT.findall(sentence) + FRACTION.findall(sentence)
        others = CITES.search(sentence) and all(number in known for number in numbers)
        if numbers and not others:
            found.append(" ".join(sentence.split()))
    return found


def known_values() -> set[str]:
    """The figures of other people, as they would be written."""
    if not OTHERS.is_file():
        return set()
    return {str(entry["value"]) for entry in json.loads(OTHERS.read_text(encoding="utf-8"))}


def prose() -> list[tuple[str, str]]:
    """Every text for readers: pages, notebooks' Markdown, README."""
    pages = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
    texts = [
        (page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8")) for page in pages
    ]
    for notebook in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        for index, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
            if cell["cell_type"] == "markdown":
                texts.append((f"{notebook.name}, cell {index}", "".join(cell["source"])))
    return texts


def test_no_accuracy_is_typed_into_prose() -> None:
    known = known_values()
    typed = [
        f"{where}: {sentence}"
        for where, text in prose()
        for sentence in typed_accuracies(text, known)
    ]
    assert not typed


@pytest.mark.parametrize(
    "sentence",
    [
        "It reaches 65.7 % accuracy on the test set.",
        "The accuracy is 0.657 after ten epochs.",
        "After five epochs 61% of the test images are named correctly.",
        "ViT-H/14 reaches an accuracy of 88.55 %.",
        "It reaches 65.7 % accuracy, as [they](../docs/bibliography.md#x) do not.",
    ],
)
def test_an_accuracy_is_noticed(sentence: str) -> None:
    assert typed_accuracies(f"First this. {sentence} Then that.", {"88.55"})


@pytest.mark.parametrize(
    "sentence",
    [
        "**{{ headline.accuracy }}** of the test images are named correctly.",
        "Two thirds, 66 %, of the parameters sit in the MLPs.",
        "The learning rate is 0.002, and the accuracy is in the record.",
        "ViT-H/14 has an accuracy of 88.55 % [there](../docs/bibliography.md#dosovitskiy2020).",
        "```\ntest accuracy 65.7 %\n```",
    ],
)
def test_other_numbers_are_left_alone(sentence: str) -> None:
    assert typed_accuracies(sentence, {"88.55"}) == []
