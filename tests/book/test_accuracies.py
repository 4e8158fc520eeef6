"""No accuracy is typed into prose: pages, chapters and documents alike."""

import json
from pathlib import Path

import pytest
from helpers.accuracies import others_percentages, typed_accuracies

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_page_has_an_accuracy_typed_in(page):
    assert typed_accuracies(page.read_text(encoding="utf-8")) == []


def test_other_peoples_figures_are_read_from_their_file(tmp_path):
    file = tmp_path / "others.json"
    file.write_text(json.dumps([{"value": 88.55, "unit": "%"}, {"value": 86, "unit": "million"}]))
    assert others_percentages(file) == {88.55}


@pytest.mark.parametrize(
    "text",
    [
        "It reaches 65.7 % after ten minutes.",
        "The accuracy was 71%.",
        "Its accuracy is about $65.7\\,\\%$.",
        "It gets 71 percent of the test images right.",
        "On the test set the fraction is 0.657.",
        "6,571 of 10,000 test images are named.",
        "6571/10000 it is.",
        "Correct: 65.7 per cent.",
        "From 60.8 % to 65.7 %.",
        "It reaches 65.7 % accuracy on the test set.",
        "The accuracy is 0.657 after ten epochs.",
        "After five epochs 61% of the test images are named correctly.",
        "ViT-H/14 reaches an accuracy of 88.55 %.",
        "It reaches 65.7 % accuracy, as [they](../docs/bibliography.md#x) do not.",
    ],
)
def test_typed_accuracies_are_recognized(text):
    assert typed_accuracies(f"First this. {text} Then that.", {88.55})


@pytest.mark.parametrize(
    "text",
    [
        "Warm-up takes the first 10 % of the steps.",
        "A weight is drawn with deviation 0.02 (equation 1).",
        "JPEG quality 75, and 60,000 images in 10 classes.",
        "Section 4.1 gives the accuracy, table 2 the data.",
        "The receipt must agree to 1e-10 of the reference, which must exceed 0.1.",
        "50,000 images for training, 10,000 for testing.",
        "**{{ headline.accuracy }}** of the test images are named correctly.",
        "Two thirds, 66 %, of the parameters sit in the MLPs.",
        "The learning rate is 0.002, and the accuracy is in the record.",
        "ViT-H/14 has an accuracy of 88.55 % [there](../docs/bibliography.md#dosovitskiy2020).",
        "```\ntest accuracy 65.7 %\n```",
        "On the right, full yellow is 0.05 or more, and an equal share would be 0.007.",
    ],
)
def test_other_numbers_may_be_typed(text):
    assert typed_accuracies(text, {88.55}) == []
