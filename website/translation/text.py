"""Blocks of Markdown: how a text is cut into messages, and put together again."""

import re
import textwrap
from collections.abc import Callable, Iterator

from markdown.extensions.toc import slugify

FENCE = re.compile(r" *(```+|~~~+)")
# What may be left out of a block when one asks whether there is anything to translate in it.
MARKUP = re.compile(r"</?\w[^>]*>|\{[%#].*?[%#]\}|\{\{.*?\}\}|\$\$.*?\$\$", re.S)
STATEMENT = re.compile(r"\s*\{%.*%\}\s*")
HEADING = re.compile(r"#{1,6} (.+)")
# The line in which a document at the root leads to itself in the other language.
LANGUAGE_LINK = re.compile(r"\[中文\]\(\w+\.zh\.md\)|\[English\]\(\w+\.md\)")


def split(markdown: str) -> Iterator[tuple[str, bool]]:
    """Cut Markdown into blocks and what is between them: each piece, and whether it has prose.

    A block is a run of lines that are not blank, without Jinja's statements before and after it; a
    fence and a page's front matter are one block, whatever is in them. All pieces together are the
    Markdown.
    """
    lines = markdown.splitlines(keepends=True)
    start = 0
    while start < len(lines):
        end = start + 1
        fence = FENCE.match(lines[start])
        if fence or (start == 0 and lines[0].strip() == "---"):
            mark = fence[1] if fence else "---"
            while end < len(lines) and lines[end].strip() != mark:
                end += 1
            end += 1
            # A fence that names no language holds words, as the map in the README does.
            words = bool(fence) and lines[start].strip() == mark
            yield "".join(lines[start:end]), words
        elif not lines[start].strip():
            yield lines[start], False
        else:
            while end < len(lines) and lines[end].strip() and not FENCE.match(lines[end]):
                end += 1
            first, last = start, end
            while first < last and STATEMENT.fullmatch(lines[first]):
                first += 1
            while first < last and STATEMENT.fullmatch(lines[last - 1]):
                last -= 1
            for a, b in ((start, first), (first, last), (last, end)):
                if a < b:
                    yield (block := "".join(lines[a:b])), has_prose(block)
        start = end


def has_prose(block: str) -> bool:
    """Whether there is anything in a block to translate."""
    text = block.strip()
    if LANGUAGE_LINK.fullmatch(text):
        return False
    return not text.startswith(":::") and bool(re.search(r"[^\W\d_]", MARKUP.sub("", text)))


def message_of(block: str) -> str:
    """A block as its message: without the indentation that its place demands."""
    return textwrap.dedent(block).strip("\n")


def messages(markdown: str) -> list[str]:
    """The messages of a page, in order."""
    return [message_of(piece) for piece, prose in split(markdown) if prose]


def translated(markdown: str, translate: Callable[[str], str]) -> str:
    """The same Markdown with its blocks put through `translate`; headings keep their ids."""
    out = []
    for piece, prose in split(markdown):
        if not prose:
            out.append(piece)
            continue
        message = message_of(piece)
        text = translate(message)
        heading = HEADING.fullmatch(message)
        if heading and "{" not in heading[1]:
            text += f" {{ #{slugify(heading[1], '-')} }}"
        indent = " " * (len(piece) - len(piece.lstrip(" ")))
        out.append(textwrap.indent(text, indent) + "\n" * piece.endswith("\n"))
    return "".join(out)


def unwrapped(docstring: str) -> str:
    """A docstring with a paragraph a line: where the source's lines break means nothing."""
    return re.sub(r"(?<=\S)\n(?=[^\s\-*])", " ", docstring)
