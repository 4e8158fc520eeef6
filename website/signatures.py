"""Signatures on the API's pages: one parameter a line, without a formatter."""

import re

SIGNATURE = re.compile(r'(<div class="[^"]*doc-signature.*?<code>)(.*?)(</code>)', re.S)
PIECE = re.compile(r"<[^>]*>|&[#\w]+;|.", re.S)
QUOTES = ('"', "'", "&quot;", "&#34;", "&#39;")
# A signature of fewer characters keeps its line, also on a phone.
SHORT = 44


def one_parameter_a_line(html: str) -> str:
    """The page with its long signatures broken after each parameter."""
    return SIGNATURE.sub(lambda match: match[1] + broken(match[2]) + match[3], html)


def broken(code: str) -> str:
    """The highlighted code of a signature, broken at the commas between its parameters."""
    pieces = PIECE.findall(code)
    if sum(not piece.startswith("<") for piece in pieces) < SHORT:
        return code
    open_brackets: list[str] = []
    quote = ""
    for i, piece in enumerate(pieces):
        if quote:
            quote = "" if piece == quote else quote
        elif piece in QUOTES:
            quote = piece
        elif piece in "([{":
            open_brackets.append(piece)
            if open_brackets == ["("]:
                pieces[i] = "(\n    "
        elif piece in ")]}":
            if open_brackets == ["("]:
                pieces[i] = "\n)"
            open_brackets.pop()
        elif piece == "," and open_brackets == ["("]:
            pieces[i] = ",\n   "  # the space after the comma makes it four
    return "".join(pieces).replace("(\n    \n)", "()")
