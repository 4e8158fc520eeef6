"""How long a chapter takes to read, section by section, and what the short path leaves out.

The rule: 220 words of prose a minute, 20 lines of code a minute, and 10 seconds for each displayed
equation, picture and printed output. Adults read 238 words of English non-fiction a minute
(Brysbaert 2019), and this is denser. What is folded, solutions and the code behind a picture, is
not read on the way and does not count.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from nbformat import NotebookNode

WORDS, LINES, LOOKS = 220, 20, 6  # a minute
# What stands before the first section of a chapter.
OPENING = ""

SECTION = re.compile(r"^## .*?\{#([\w-]+).*$", re.M)
HEADING = re.compile(r'<h2 id="([\w-]+)">(.*?)<a class="headerlink".*?</h2>', re.S)


def minutes(notebook: NotebookNode) -> dict[str, float]:
    """The minutes of every section by its id, in order, the opening first."""
    found, here = {OPENING: 0.0}, OPENING
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            found[here] += _code(cell)
            continue
        before, *sections = SECTION.split(cell.source)
        found[here] += _prose(before)
        for here, text in zip(sections[::2], sections[1::2], strict=True):
            found[here] = _prose(text)
    return found


def _prose(markdown: str) -> float:
    text = re.sub(r"<!--.*?-->", "", markdown, flags=re.S)  # what is said in place of a picture
    text = re.sub(r"(?<=\])\([^)\s]*\)", "", text)
    words, equations = re.subn(r"\$\$.*?\$\$", "", text, flags=re.S)
    return len(re.findall(r"[^\W_]+", words)) / WORDS + equations / LOOKS


def _code(cell: NotebookNode) -> float:
    tags = cell.metadata.get("tags", [])
    if "solution" in tags:
        return 0
    if "reveal" in tags:
        shown = [output.get("data", {}).get("text/markdown", "") for output in cell.outputs]
        return _lines("\n".join(shown)) / LINES
    return ("figure" not in tags) * _lines(cell.source) / LINES + len(cell.outputs) / LOOKS


def _lines(code: str) -> int:
    return sum(bool(line.strip()) for line in code.splitlines())


def whole(times: Iterable[float]) -> int:
    """Several sections together in whole minutes, at least one."""
    return max(1, round(sum(times)))


def spoken(time: int, _: Callable[[str], str] = str) -> str:
    """Minutes in words: hours too, where there are any."""
    hours, rest = divmod(time, 60)
    return _("{} h {} min").format(hours, rest) if hours else _("{} min").format(rest)


def with_times(html: str, chapter: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """The chapter with a line below the heading of each section: its minutes.

    A detour is called so, and leads to the next section that is none.
    """
    sections = [(match[1], match[2].strip()) for match in HEADING.finditer(html)]
    ahead: tuple[str, str] | None = None
    onward = {}
    for section, title in reversed(sections):
        onward[section] = ahead
        if section not in chapter["detours"]:
            ahead = section, title

    def put(match: re.Match[str]) -> str:
        section, heading = match[1], match[0]
        time = whole([chapter["minutes"].get(section, 1)])
        facts = f"<span>{time} {words['minutes_read']}</span>"
        if section in chapter["detours"]:
            heading = heading.replace("<h2 ", '<h2 class="detour" ', 1)
            facts += f" <span><strong>{words['detour']}</strong>"
            if target := onward[section]:
                facts += f' {words["goes_on"]} <a href="#{target[0]}">{target[1]}</a>'
            facts += "</span>"
        return f'{heading}\n<p class="section-facts" data-search-exclude>{facts}</p>'

    return HEADING.sub(put, html)
