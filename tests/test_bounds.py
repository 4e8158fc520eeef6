"""vitlit.bounds: what a field may hold is what its annotation says, for every field alike."""

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any

import pytest

from vitlit.bounds import OneOf, Within, check, parse
from vitlit.config import ViTConfig
from vitlit.presets import Recipe

Chance = Annotated[float, Within(0, 1, without=1)]


@dataclass
class Sample:
    """A field of every kind."""

    count: Annotated[int, Within(1, 5000)] = 3
    chance: Chance = 0.5
    rate: Annotated[float, Within(0, 10, without=0)] = 1.0
    kind: Annotated[str, OneOf("round", "square")] = "round"
    name: str = ""
    flag: bool = False
    pair: tuple[Annotated[int, Within(1, 9)], Annotated[int, Within(1, 9)]] = (1, 1)
    maybe: Annotated[int, Within(1, 9)] | None = None
    table: dict[str, Any] | None = None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1), ("count", 5000), ("chance", 0), ("chance", 0.0), ("chance", 0.999),
        ("rate", 10), ("rate", 1e-300), ("kind", "square"), ("name", "anything"), ("flag", True),
        ("pair", (1, 9)), ("pair", [9, 1]), ("maybe", None), ("maybe", 9), ("table", {"a": 1}),
    ],
)  # fmt: skip
def test_what_fits_is_let_through(name, value):
    check(Sample, {name: value})


COUNT = "a whole number, at least 1 and at most 5,000; the default is 3"
CHANCE = "at least 0 and below 1; the default is 0.5"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "count is 0; it must be at least 1 and at most 5,000; the default is 3"),
        ("count", 5001, "count is 5001; it must be at least 1 and at most 5,000; the default is 3"),
        ("count", 2.0, f"count is 2.0; it must be {COUNT}"),
        ("count", True, f"count is True; it must be {COUNT}"),
        ("count", None, f"count is None; it must be {COUNT}"),
        ("count", "3", f"count is '3'; it must be {COUNT}"),
        ("count", [3], f"count is [3]; it must be {COUNT}"),
        ("count", math.nan, f"count is nan; it must be {COUNT}"),
        ("chance", 1, f"chance is 1; it must be {CHANCE}"),
        ("chance", -1e-9, f"chance is -1e-09; it must be {CHANCE}"),
        ("chance", math.nan, f"chance is nan; it must be {CHANCE}"),
        ("chance", math.inf, f"chance is inf; it must be {CHANCE}"),
        ("chance", False, f"chance is False; it must be a number, {CHANCE}"),
        ("rate", 0, "rate is 0; it must be above 0 and at most 10; the default is 1.0"),
        ("rate", -math.inf, "rate is -inf; it must be above 0 and at most 10; the default is 1.0"),
        ("kind", "flat", "kind 'flat' does not exist; choose one of ('round', 'square')"),
        ("kind", 3, "kind is 3; it must be text, one of ('round', 'square')"),
        ("name", 7, "name is 7; it must be text"),
        ("flag", 1, "flag is 1; it must be true or false"),
        ("flag", "yes", "flag is 'yes'; it must be true or false"),
        ("pair", 3, "pair is 3; it must be 2 values such as [32, 32], each a whole number, at "),
        ("pair", [1], "pair is [1]; it must be 2 values"),
        ("pair", [1, 2, 3], "pair is [1, 2, 3]; it must be 2 values"),
        ("pair", [0, 1], "pair is [0, 1]; it must be 2 values"),
        ("pair", [1.0, 1.0], "pair is [1.0, 1.0]; it must be 2 values"),
        ("pair", None, "pair is None; it must be 2 values"),
        ("maybe", 0, "maybe is 0; it must be a whole number, at least 1 and at most 9, or null"),
        ("maybe", "wide", "maybe is 'wide'; it must be a whole number, at least 1 and at most 9"),
        ("table", 3, "table is 3; it must be a table of names and values, or null"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name_value_limit_and_default(name, value, message):
    with pytest.raises(ValueError) as refused:  # noqa: PT011
        check(Sample, {name: value})
    assert str(refused.value).startswith(message)
    with pytest.raises(ValueError, match=r"^model\."):
        check(Sample, {name: value}, "model.")


def test_a_message_stays_short():
    for value in (10**4000, "x" * 10**6, list(range(10**6))):
        with pytest.raises(ValueError, match="count is ") as refused:
            check(Sample, {"count": value})
        assert len(str(refused.value)) < 250


@pytest.mark.parametrize("kind", [Recipe, ViTConfig])
def test_every_number_is_bounded_and_its_default_within(kind):
    for field in fields(kind):
        for senseless in (math.nan, math.inf, -math.inf, 10**400, -1):
            if field.type is not bool and field.name not in ("model",):
                with pytest.raises(ValueError, match=f"{field.name} is "):
                    check(kind, {field.name: senseless})
    check(kind, vars(kind()))


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "3", 3), ("count", "3.0", 3.0), ("count", "many", "many"), ("chance", "1", 1.0),
        ("flag", "true", True), ("flag", "True", "True"), ("name", "123", "123"),
        ("name", '"123"', "123"), ("name", "true", "true"), ("kind", "round", "round"),
        ("pair", "[1, 2]", (1, 2)), ("maybe", "null", None), ("unknown", "3", 3),
        ("chance", "Infinity", math.inf), ("count", "[" * 100_000, "[" * 100_000),
        ("count", "9" * 5000, "9" * 5000), ("rate", "1e999", math.inf),
    ],
)  # fmt: skip
def test_what_is_typed_is_read_as_the_field_wants_it(name, text, value):
    parsed = parse(text, Sample, name)
    assert (parsed, type(parsed)) == (value, type(value))


def test_a_whole_number_for_a_float_is_a_float_unless_it_is_too_long_for_one():
    assert parse(str(10**400), Sample, "chance") == 10**400
