"""Accuracies typed into prose: ours come from run records, others' from one data file."""

import json
import re
from pathlib import Path

OTHERS = Path(__file__).resolve().parents[2] / "src/vitlit/assets/others.json"

PERCENT = r"(?<![\w.])(\d{1,3}(?:\.\d+)?)\$?\s*(?:\\[,; ]?\s*)*(?:\\?%|percent\b|per ?cent\b)"
FRACTION = r"(?<![\w.])(0?\.[1-9]\d+)(?!\w)"
COUNT = r"\d[\d,]*(?:\s+of|\s+out of|\s*/)(?:\s+\w+){0,2}\s*\b10[,.]?000\b"
ABOUT_ACCURACY = re.compile(
    r"accura|correct|mistake|misclassif|top[- ]\d|error rate|score|reach|recogni[sz]"
    r"|test (?:set|image|picture)|(?:gets?|got|is|are|of them|images|pictures) (?:right|wrong)\b",
    re.I,
)
CITES = re.compile(r"\]\([^)]*(?:bibliography\.md#|assets/others\.json)[^)]*\)")
NOT_PROSE = re.compile(r"```.*?```|\{\{.*?\}\}|\{%.*?%\}", re.S)
NEAR = 120  # characters on either side that say what a number is about


def others_percentages(file: Path = OTHERS) -> set[float]:
    """Other people's figures, which may stand in prose beside a link to their source."""
    figures = json.loads(file.read_text(encoding="utf-8"))
    return {float(f["value"]) for f in figures if re.search("%|percent", f.get("unit", ""))}


def typed_accuracies(text: str, others: set[float] | None = None) -> list[str]:
    """What looks like an accuracy that somebody typed, and is not somebody else's, with a link."""
    others = others_percentages() if others is None else others
    text = NOT_PROSE.sub(" ", text)
    found = [match[0] for match in re.finditer(COUNT, text)]
    for pattern in (PERCENT, FRACTION):
        for match in re.finditer(pattern, text):
            around = text[max(0, match.start() - NEAR) : match.end() + NEAR]
            precise = pattern is PERCENT and "." in match[1] and float(match[1]) >= 40
            theirs = float(match[1]) in others and CITES.search(around)
            if not theirs and (precise or ABOUT_ACCURACY.search(around)):
                found.append(match[0])
    return found
