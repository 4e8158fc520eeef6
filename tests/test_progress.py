"""What is said while something takes long."""

import re
import sys

import pytest

from vitlit import progress
from vitlit.progress import say, told


@pytest.fixture
def clock(monkeypatch):
    """A clock that each look at moves by half a second."""
    looks = iter(range(10**6))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(looks) / 2)


def test_a_few_lines_without_a_terminal_and_how_long_it_will_take(clock, capsys):
    items = list(range(200))
    assert list(told(items, "decoding x", lambda count, item: count / len(items))) == items
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "vitlit: decoding x: 6 files in 3 s, about 97 s to go"
    assert [int(line.split(" files")[0].split()[-1]) for line in lines] == [6, 12, 24, 48, 96, 192]


def test_nothing_is_said_of_what_is_quickly_done(capsys):
    assert list(told(iter("abc"), "decoding x", lambda count, item: count / 3)) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_names_from_outside_are_escaped(terminal, clock, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    for name in ("x\x1b[31mred", "x\u202ered", b"x\xffred".decode(errors="surrogateescape")):
        list(told(range(200), f"decoding {name}", lambda count, item: count / 200))
        assert re.search(r"decoding x\\(x1b\[31m|u202e|xff)red: ", err := capsys.readouterr().err)
        assert name not in err


def test_what_is_said_is_escaped_and_one_line(capsys):
    say("the folder a\x1b[31m\nb cannot be written")
    assert capsys.readouterr().err == "vitlit: the folder a\\x1b[31m\\nb cannot be written\n"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(told(["a", "b"], "decoding x", lambda count, item: count / 2)) == ["a", "b"]
    assert "decoding x: 100%" in capsys.readouterr().err
