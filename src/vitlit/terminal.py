"""What reaches a terminal: names from outside as they are, or visibly escaped, never an error."""

import codecs
import io
import sys
import unicodedata

# How our own lines look where the terminal's encoding lacks a character.
PLAIN = {
    "×": "x", "→": "->", "−": "-", "–": "-", "—": "-", "…": "...", "·": "-", "√": "sqrt ",
    "≤": "<=", "≥": ">=", "π": "pi", "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
# They turn the order of what follows, so that a line says something else than its letters.
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def plain(text: str, keep: str = "") -> str:
    """Text whose control characters are escaped, as \\x1b, but for those to `keep`."""
    return "".join(_escaped(c) if _controls(c) and c not in keep else c for c in text)


def accept_everything() -> None:
    """From now on escape what stdout and stderr cannot encode, instead of raising an error."""
    codecs.register_error("vitlit", _replaced)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="vitlit")


def _controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in TURNING


def _escaped(character: str) -> str:
    """A character in ASCII, as Python writes it; of a name that is no text, its byte."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that an encoding lacks."""
    assert isinstance(error, UnicodeEncodeError)
    missing = error.object[error.start : error.end]
    return "".join(PLAIN.get(c) or _escaped(c) for c in missing), error.end
