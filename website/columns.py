"""Where code towers over the text beside it, the text goes above the code and spans the page."""

import re

# Heights in pixels of a wide page: lines of both columns, and how much text a line takes.
TEXT_LINE, CODE_LINE, CHARACTERS = 28, 20, 62
PICTURE = 650  # with its caption
# Taller than this, and by this many pixels, code towers.
TIMES, MORE = 2, 450

PAIR = '<div class="pair" markdown="1">'
CODES = '<div class="codes" markdown="1">'
FENCE = re.compile(r"^(~{3,}|`{3,})[^\n]*\n(?P<code>.*?)\n\1$", re.S | re.M)
FOLDED = re.compile(r"<details.*?</details>", re.S)


def heights(pair: str) -> tuple[int, int]:
    """About how tall the text and the code of a pair are, in pixels."""
    words, _, codes = pair.partition(CODES)
    text = re.sub(r"<[^>]*>|\]\([^)]*\)", "", words).strip()
    lines = sum(-(-len(line) // CHARACTERS) or 1 for line in text.splitlines()) if text else 0
    codes = FOLDED.sub("", codes)
    code = sum(block["code"].count("\n") + 2 for block in FENCE.finditer(codes))
    return lines * TEXT_LINE, code * CODE_LINE + codes.count("<img ") * PICTURE


def with_tall_pairs(markdown: str) -> str:
    """The chapter with a class for each pair whose code towers over its text."""
    before, *pairs = markdown.split(PAIR)
    out = [before]
    for pair in pairs:
        text, code = heights(pair)
        tall = text and code > TIMES * text and code > text + MORE
        out.append((PAIR.replace("pair", "pair tall") if tall else PAIR) + pair)
    return "".join(out)
