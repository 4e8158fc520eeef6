"""Shows a piece of the module's source in a notebook, as it is when the notebook runs."""

import inspect
import textwrap
from typing import Any


class Source:
    """The source of a function, a method, or the head of a class (its line and docstring)."""

    def __init__(self, thing: Any) -> None:
        self.address = f"{thing.__module__}.{thing.__qualname__}"
        self.text = class_head(thing) if inspect.isclass(thing) else source_of(thing)

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return f'```python title="{self.address}"\n{self.text}\n```'


def source_of(thing: Any) -> str:
    """The source of a function or method, moved to the left margin."""
    return textwrap.dedent(inspect.getsource(thing)).rstrip()


def class_head(cls: type) -> str:
    """A class down to its first method: the line that names it, docstring and fields."""
    source = source_of(cls)
    methods = ("\n    def ", "\n    @")
    ends = [source.find(method) for method in methods if method in source]
    return source[: min(ends)].rstrip() if ends else source


def reveal(thing: Any) -> Source:
    """Show one function, one method, or the head of one class."""
    return Source(inspect.unwrap(thing) if not inspect.isclass(thing) else thing)
