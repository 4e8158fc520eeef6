"""What must hold of every translated block. A check takes both texts and returns faults, in words.

They know Chinese: its punctuation, its terms by docs/terms.md, its notorious mistranslations.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
DISPLAY = re.compile(r"\$\$.+?\$\$", re.S)
INLINE = re.compile(r"(?<![\\$])\$(?!\s)[^$]+?(?<!\s)\$(?!\d)")
TAG = re.compile(r"</?\w[^>]*>")
JINJA = re.compile(r"\{%.*?%\}|\{\{.*?\}\}", re.S)
TARGET = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
ATTRIBUTES = re.compile(r"\{:?\s*[#.][^}]*\}")
TITLE = re.compile(r"(?<!\*)\*[^*]*[A-Za-z][^*]*\*(?!\*)")
NUMBER = re.compile(r"(?<![\w.])(\d+(?:[,.]\d+)*)(?: (million|billion|百万|万|亿))?")
UNITS = {"million": 1e6, "billion": 1e9, "百万": 1e6, "万": 1e4, "亿": 1e8}
# A letter that only English plurals need.
PLURAL = re.compile(r'\{\{ "s" if .*? else "" \}\}')
STRING = re.compile(r'"[^"]*"')

HAN = r"\u3400-\u9fff"

# English word → what its blocks must never say in Chinese; None: no block at all.
WRONG = {r"\blogits?\b": "日志", r"\bpatch(?:es)?\b": "补丁", r"\bheads?\b": "主管"}
WRONG_ANYWHERE = ("变压器", "纸张")

# Words that every English sentence has and no name.
FUNCTION_WORDS = re.compile(
    r"\b(the|of|and|is|are|was|an?|to|in|that|with|for|it|on|by|from|not|as|at|but|this|what)\b"
)


def without_code(text: str) -> str:
    """A block without code, equations, tags, Jinja, link targets and attributes."""
    for pattern in (CODE, DISPLAY, INLINE, JINJA, TAG, ATTRIBUTES, TARGET):
        text = pattern.sub(" ", text)
    return text


def visible(text: str) -> str:
    """A block as it stands on the page: a letter for each equation and each piece of code."""
    text = DISPLAY.sub("\n", JINJA.sub("\ufffc", text))
    text = re.sub(r"<!--.*?alt:|-->", "\n", text)
    for pattern, stand_in in ((CODE, "X"), (INLINE, "X"), (ATTRIBUTES, ""), (TAG, "")):
        text = pattern.sub(stand_in, text)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"^[ \t]*(?:[-|]|\d+\.|#+)[ \t]+", "", text, flags=re.M)


def differences(name: str, ours: Iterable[str], theirs: Iterable[str]) -> list[str]:
    """What one text has more often than the other, in words."""
    english, chinese = Counter(ours), Counter(theirs)
    return [f"{name}: {x!r} is missing" for x in (english - chinese).elements()] + [
        f"{name}: {x!r} is not in the English" for x in (chinese - english).elements()
    ]


def same(name: str, pattern: re.Pattern[str]) -> Callable[[str, str], list[str]]:
    """A check that what a pattern finds is in both texts, equally often and in any order."""

    def check(english: str, chinese: str) -> list[str]:
        ours, theirs = ([found[0] for found in pattern.finditer(t)] for t in (english, chinese))
        return differences(name, ours, theirs)

    check.__name__ = f"has_the_same_{name}"
    return check


def has_the_same_equations(english: str, chinese: str) -> list[str]:
    """Displayed and inline equations."""
    faults = same("equations", DISPLAY)(english, chinese)
    ours, theirs = (DISPLAY.sub("", CODE.sub("", text)) for text in (english, chinese))
    return faults + same("equations", INLINE)(ours, theirs)


def numbers(text: str) -> list[str]:
    """Numbers in digits, outside of code and equations; 303 million is 3.03 亿."""
    return [
        f"{float(digits.replace(',', '')) * UNITS[unit]:g}" if unit else digits
        for digits, unit in NUMBER.findall(without_code(text))
    ]


def has_the_same_numbers(english: str, chinese: str) -> list[str]:
    """The same numbers, equally often and in any order."""
    return differences("numbers", numbers(english), numbers(chinese))


def has_the_same_templates(english: str, chinese: str) -> list[str]:
    """What Jinja fills in. Words inside are translated, and no plural needs its s."""
    ours, theirs = (STRING.sub('""', PLURAL.sub("", text)) for text in (english, chinese))
    return same("templates", JINJA)(ours, theirs)


def has_the_same_layout(english: str, chinese: str) -> list[str]:
    """As many lines, bold passages, and marks at the beginning of lines."""
    faults = []
    marks = re.compile(r"^[ \t]*(?:#+ |- |\d+\. |\||:   |!!! |\?\?\? |<!-- alt: )", re.M)
    ours, theirs = marks.findall(english), marks.findall(chinese)
    if ours != theirs:
        faults.append(f"lines begin with {theirs}, not {ours}")
    if english.count("**") != chinese.count("**"):
        faults.append(f"** stands {chinese.count('**')} times, not {english.count('**')}")
    if english.count("\n") != chinese.count("\n"):
        faults.append(f"{chinese.count(chr(10)) + 1} lines, not {english.count(chr(10)) + 1}")
    return faults


def has_no_wrong_rendering(english: str, chinese: str) -> list[str]:
    """The mistranslations that the page before this book was known for."""
    faults = [f"{word} is never right" for word in WRONG_ANYWHERE if word in chinese]
    return faults + [
        f"{word} is not what {found[0]!r} means"
        for pattern, word in WRONG.items()
        if (found := re.search(pattern, english, re.I)) and word in chinese
    ]


def without_titles(text: str, other: str) -> str:
    """A block without what both texts have in italics: the title of a paper."""
    titles = set(TITLE.findall(text)) & set(TITLE.findall(other))
    return TITLE.sub(lambda found: " " if found[0] in titles else found[0], text)


def has_no_english_prose(english: str, chinese: str) -> list[str]:
    """Titles and names may stay as they are; sentences may not."""
    text = without_titles(without_code(chinese), english)
    found = FUNCTION_WORDS.findall(text)
    return [f"left in English: {', '.join(found)}"] if len(found) > 1 else []


def has_chinese_punctuation(english: str, chinese: str) -> list[str]:
    """Full-width marks beside Chinese, and a space between Chinese and Latin text."""
    marked = visible(chinese)
    text = marked.replace("*", "")
    faults = [
        f"half-width: {found[0]!r}"
        for found in re.finditer(rf"[{HAN}][,;:!?(]|[{HAN}]\.(?!\d)|[,;:!?)][{HAN}]", text)
    ]
    faults += [
        f"no space: {found[0]!r}"
        for found in re.finditer(rf"[{HAN}][A-Za-z0-9]+|[A-Za-z0-9%°]+[{HAN}]", text)
    ]
    # Jupyter ends bold text after a full-width mark only if a space follows.
    return faults + [
        f"a space beside a full-width mark: {found[0]!r}"
        for found in re.finditer(
            rf"[{HAN}\w] [，。；：！？、（）]|[，。；：！？、（] [{HAN}\w]", marked
        )
    ]


def terms_of(page: Path = ROOT / "docs/terms.md") -> Iterator[tuple[re.Pattern[str], str, str]]:
    """The nouns of docs/terms.md: a pattern of the English, the noun, its Chinese.

    A row may hold several, "attention weights / map / rollout", and a remark in brackets.
    """
    for row in re.findall(
        r"^\| (.+?) \| <span lang=\"zh\">(.+?)</span> \|", page.read_text("utf-8"), re.M
    ):
        ours, theirs = (
            re.sub(r"\s*\{.*?\}|\s*[(（].*?[)）]|`\[CLS\]`", "", side).strip(" ,") for side in row
        )
        ours = re.sub(r"position\(al\)", "position", ours) if "(al)" in row[0] else ours
        names, renderings = re.split(r" / |, ", ours), re.split(r" / |、", theirs)
        first = names[0].rpartition(" ")[0]
        for name, rendering in zip(names, renderings, strict=True):
            whole = (
                f"{first} {name}"
                if names[0].startswith("attention weights") and name != names[0]
                else name
            )
            if whole in NO_NOUNS:
                continue
            stem = re.escape(whole).replace(r"\ ", r"[ -]").replace(r"\-", "[- ]?")
            forms = rf"{stem[:-1]}(?:y|ies)" if stem.endswith("y") else rf"{stem}(?:e?s)?"
            yield re.compile(rf"\b{forms}\b", re.I), whole, rendering


# Rows of docs/terms.md that are adjectives, or that keep their English name.
NO_NOUNS = {"learned", "softmax", "GELU", "MLP", "permutation equivariant"}


def has_the_terms(english: str, chinese: str) -> list[str]:
    """Every noun of docs/terms.md in its one way; a longer term counts before its parts."""
    faults, text = [], without_titles(without_code(english), chinese)
    for pattern, _, rendering in sorted(TERMS, key=lambda term: -len(term[1])):
        if found := pattern.search(text):
            text = pattern.sub(" ", text)
            if not all(part in chinese for part in rendering.split()):
                faults.append(f"{found[0]!r} is {rendering}")
    return faults


TERMS = list(terms_of())

CHECKS: list[Callable[[str, str], list[str]]] = [
    has_the_same_equations,
    same("code", CODE),
    same("links", TARGET),
    same("attributes", ATTRIBUTES),
    same("tags", TAG),
    has_the_same_templates,
    has_the_same_numbers,
    has_the_same_layout,
    has_no_wrong_rendering,
    has_no_english_prose,
    has_chinese_punctuation,
    has_the_terms,
]


def faults_of(english: str, chinese: str) -> list[str]:
    """All faults of a translated block. What a fence without a language holds is words."""
    ours, theirs = (re.sub(r"^```\n|\n```$", "", text) for text in (english, chinese))
    return [fault for check in CHECKS for fault in check(ours, theirs)]
