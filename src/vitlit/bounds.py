"""What a field may hold: declared in its annotation, as `Annotated[int, Within(1, 100)]`, and
checked here, for recipes and models alike.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from reprlib import Repr
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

_SHORT = Repr(maxstring=60, maxlong=40, maxother=60)


@dataclass(frozen=True)
class Within:
    """Numbers from `low` to `high`, both ends included, but for one that is left out."""

    low: int | float
    high: int | float
    without: int | float | None = None

    def __contains__(self, value: int | float) -> bool:
        """Whether a number lies within; not-a-number never does."""
        return self.low <= value <= self.high and value != self.without

    def __str__(self) -> str:
        """In words: at least 0 and below 1."""
        low = "above" if self.low == self.without else "at least"
        high = "below" if self.high == self.without else "at most"
        return f"{low} {self.low:,} and {high} {self.high:,}"


class OneOf(tuple[str, ...]):
    """Words to choose from."""

    def __new__(cls, *choices: str) -> "OneOf":
        return super().__new__(cls, choices)

    def __str__(self) -> str:
        """In words."""
        return f"one of {tuple(self)}"


def check(kind: type, values: Mapping[str, Any], prefix: str = "") -> None:
    """Refuse values that a dataclass does not declare for its fields of these names.

    `prefix` stands before the names in messages. Raises ValueError at the first that does not fit:
    with its name, the value, what it must be, and the default.
    """
    for field in fields(kind):
        if field.name not in values or _fits(value := values[field.name], field.type):
            continue
        name, said, bounds = f"{prefix}{field.name}", _SHORT.repr(value), _bounds(field.type)
        if isinstance(bounds, OneOf) and isinstance(value, str):
            raise ValueError(f"{name} {said} does not exist; choose one of {tuple(bounds)}")
        is_kind = bounds and _fits(value, _base(field.type))
        wanted = str(bounds) if is_kind else _words(field.type)
        default = f"; the default is {field.default}" if _is_number(field.default) else ""
        raise ValueError(f"{name} is {said}; it must be {wanted}{default}")


def parse(text: str, kind: type, name: str) -> Any:
    """A value for a dataclass's field as somebody types it: JSON, but text needs no quotes."""
    base = next((_base(field.type) for field in fields(kind) if field.name == name), None)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if base is str and not isinstance(value, str):
        return text
    if isinstance(value, list):
        return tuple(value)
    return float(value) if base is float and type(value) is int and abs(value) < 2**53 else value


def _base(annotation: Any) -> Any:
    """An annotation without its bounds."""
    return annotation.__origin__ if _bounds(annotation) else annotation


def _bounds(annotation: Any) -> Any:
    """The bounds that an annotation declares, if any."""
    return next(iter(getattr(annotation, "__metadata__", ())), None)


def _is_number(value: Any) -> bool:
    """Whether a value is a number; True is one for Python, and none for us."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of an annotated type, and within its bounds."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is tuple:
        if not isinstance(value, tuple | list) or not value:
            return False
        parts = parts[:1] * len(value) if parts[-1] is Ellipsis else parts
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if bounds := _bounds(annotation):
        return _fits(value, _base(annotation)) and value in bounds
    if annotation in (int, float):
        return _is_number(value) and isinstance(value, int | annotation)
    return isinstance(value, origin or annotation)


def _words(annotation: Any) -> str:
    """What a field must hold, in words."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return ", or ".join(map(_words, parts))
    if origin is tuple and parts[-1] is Ellipsis:
        return f"several in brackets, each {_words(parts[0])}"
    if origin is tuple:
        return f"{len(parts)} values such as [32, 32], each {_words(parts[0])}"
    if bounds := _bounds(annotation):
        return f"{_words(_base(annotation))}, {bounds}"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return {**names, NoneType: "null"}.get(annotation, "a table of names and values")
