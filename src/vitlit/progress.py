"""What is said while something takes long. Needs no torch."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized

from tqdm import tqdm

from vitlit.terminal import plain

FIRST = 3.0  # seconds of silence where there is no terminal; each silence after is twice as long


def say(message: str) -> None:
    """Tell the person at the screen something that is no result."""
    print(f"vitlit: {plain(message)}", file=sys.stderr, flush=True)


def told[T](items: Iterable[T], what: str, part: Callable[[int, T], float]) -> Iterator[T]:
    """The items, and meanwhile how far it is: a bar on a terminal, elsewhere a few lines.

    `part` says of the number of items and the last of them which part of the work is done, 0 to 1.
    """
    if sys.stderr.isatty():
        total = len(items) if isinstance(items, Sized) else None
        yield from tqdm(items, plain(what), total, unit=" files")
        return
    start, silence = time.monotonic(), FIRST
    for count, item in enumerate(items, 1):
        yield item
        passed, done = time.monotonic() - start, part(count, item)
        if passed >= silence and 0 < done < 1:
            left = passed / done - passed
            say(f"{what}: {count:,} files in {passed:.0f} s, about {left:.0f} s to go")
            silence = 2 * passed
