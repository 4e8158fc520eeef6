"""The sizes that images can be given, and the patches that suit them. A size is (H, W), in pixels.

Needs no torch.
"""

import os
import re
from collections.abc import Collection
from itertools import product
from math import gcd

from vitlit.archives import DataError

SIDES = (8, 1024)  # what a side may be asked to be
AS_THEY_ARE = 256  # pixels a side up to which images need not be given a size
PATCHES = (16, 400)  # what an image is cut into unless something else is asked for
# What is proposed for images of many sizes, the largest that is not larger.
COMMON = (64, 32, 16, 8)

Size = tuple[int, int]
AnySize = int | str | Size | None


class SizeError(DataError):
    """Images of sizes that a model cannot take as they are. The message names one that would do."""


def asked(size: AnySize = None) -> Size | None:
    """The size that is asked for: a side, 64 or "64"; or height and width, (48, 64) or "48x64".

    None means what VITLIT_SIZE says, and without that no size. Raises SizeError if it is no size,
    or beyond SIDES.
    """
    given = os.environ.get("VITLIT_SIZE") or None if size is None else size
    if given is None:
        return None
    name = "VITLIT_SIZE" if size is None else "size"
    sides = _sides(given)
    if sides is None:
        raise SizeError(
            f"{name} is {given!r}; write a side, such as 64, or height and width, such as 48x64"
        )
    if not all(SIDES[0] <= side <= SIDES[1] for side in sides):
        raise SizeError(f"{name} is {written(sides)}; a side must be {SIDES[0]} to {SIDES[1]}")
    return sides


def written(size: Size) -> str:
    """A size as the option --size takes it: "64" or "48x64"."""
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


def patch_size(size: Size) -> int:
    """The side of the patches to cut images of this size into: of about 8 along the shorter side.

    Raises SizeError, with the nearest size that would do, if no square patch cuts them into a
    number of patches within PATCHES.
    """
    fits = _fits(size)
    if not fits:
        raise SizeError(
            f"images of {size[0]}×{size[1]} (H×W) pixels cannot be cut into {PATCHES[0]} to "
            f"{PATCHES[1]} square patches; {remedy(_nearest(size))}"
        )
    return min(fits, key=lambda side: abs(side - min(size) / 8))


def uniform(sizes: Collection[Size], name: str) -> Size:
    """The size that all images have. `sizes` are those of the images, and `name` that of the data.

    Raises SizeError, with one that would do, if there are several, or if they are too large to be
    taken without being asked for.
    """
    by_area = sorted(set(sizes), key=lambda size: (size[0] * size[1], size))
    low, high = (f"{H}×{W}" for H, W in (by_area[0], by_area[-1]))
    if len(by_area) > 1:
        raise SizeError(
            f"{name} has images of {len(by_area):,} sizes, from {low} to {high} (H×W) pixels; "
            f"{remedy(_common(sizes))}"
        )
    if max(by_area[0]) > AS_THEY_ARE:
        raise SizeError(
            f"{name} has images of {high} (H×W) pixels, which are taken as they are up to "
            f"{AS_THEY_ARE} a side; {remedy(_common(sizes))}"
        )
    return by_area[0]


def remedy(size: Size) -> str:
    """How to ask for a size."""
    return f"give them a size, such as --size {written(size)} (or VITLIT_SIZE={written(size)})"


def _sides(given: object) -> Size | None:
    """A size, in whatever form it is given; None if it is none."""
    if isinstance(given, str):
        parts = re.fullmatch(r"\s*(\d{1,9})\s*(?:[x×*]\s*(\d{1,9})\s*)?", given, re.I | re.A)
        return (int(parts[1]), int(parts[2] or parts[1])) if parts else None
    pair = given if isinstance(given, tuple | list) else (given, given)
    if len(pair) != 2 or any(isinstance(s, bool) or not isinstance(s, int) for s in pair):
        return None
    return int(pair[0]), int(pair[1])


def _fits(size: Size) -> list[int]:
    """Sides of patches that divide a size into a sensible number."""
    H, W = size
    common = gcd(H, W)
    sides = (side for side in range(1, common + 1) if common % side == 0)
    return [side for side in sides if PATCHES[0] <= H * W // side**2 <= PATCHES[1]]


def _nearest(size: Size) -> Size:
    """The nearest size within SIDES that can be cut into patches; of a square, into 8×8 of them."""
    H, W = (min(max(side, SIDES[0]), SIDES[1]) for side in size)
    if H == W:
        return (8 * round(H / 8),) * 2
    near = range(-24, 25)
    steps = sorted(product(near, near), key=lambda step: (abs(step[0]) + abs(step[1]), step))
    within = ((H + i, W + j) for i, j in steps)
    usable = (s for s in within if SIDES[0] <= min(s) and max(s) <= SIDES[1] and _fits(s))
    return next(usable, (COMMON[0], COMMON[0]))


def _common(sizes: Collection[Size]) -> Size:
    """A common side that most images are large enough for."""
    sides = sorted(min(size) for size in sizes)
    middle = sides[len(sides) // 2]
    side = next((side for side in COMMON if side <= middle), COMMON[-1])
    return side, side
