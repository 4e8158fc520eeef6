"""Charts as panels: axes, and what is drawn between them."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from vitlit.panels import INK, LINE, Number, Panel, part, text, width_of

LIT, BLUE, TEAL, VIOLET, ROSE = (
    f"var(--{name},{color})"
    for name, color in (
        ("lit", "#d9692b"), ("blue", "#4a7fc9"), ("teal", "#2a9d8f"), ("violet", "#8b72be"),
        ("rose", "#c8556c"),
    )
)  # fmt: skip
COLORS = (LIT, BLUE, TEAL, VIOLET, ROSE, INK)
DASHES = ("", "6 4", "2 3")
RULE = f"stroke:{INK};stroke-opacity:.25"
ROOM = 310  # pixels that a chart has at least, on a small phone
ROW = 24


class Axis:
    """From the smallest to the largest value, with round numbers along it.

    The scale is logarithmic if it has a base. `low` and `high` say where it ends if not at the
    values; `ticks` are numbers to be written in place of round ones.
    """

    grid = True

    def __init__(
        self, label: str, values: Any, base: Number | None = None, *,
        low: Number | None = None, high: Number | None = None, ticks: Sequence[Number] = (),
    ) -> None:  # fmt: skip
        self.label = label
        self.base = base
        found = np.asarray(values, dtype=float).ravel()
        found = self._scaled(found[np.isfinite(found)])
        margin = 0.04 * (float(np.ptp(found)) or 1.0)
        self.low = float(found.min()) - margin if low is None else float(self._scaled(low))
        self.high = float(found.max()) + margin if high is None else float(self._scaled(high))
        self.ticks = [(float(self.at(n)), self._written(n)) for n in ticks or self._round()]
        while len(self.ticks) > 2 and sum(width_of(t) + 12 for _, t in self.ticks) > ROOM - 60:
            self.ticks = self.ticks[::2]

    def _scaled(self, value: Any) -> Any:
        return np.log(value) / math.log(self.base) if self.base else np.asarray(value, float)

    def _round(self) -> list[Number]:
        """About five round numbers."""
        if self.base and self.high - self.low >= 2:
            whole = range(math.ceil(self.low), math.floor(self.high) + 1)
            return [self.base**k for k in whole[:: max(1, math.ceil(len(whole) / 6))]]
        if self.base:
            low, high = self.base**self.low, self.base**self.high
            tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            return [n * 10.0**k for k in tens for n in (1, 2, 5) if low <= n * 10.0**k <= high]
        raw = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= raw * 0.999)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(k * step, 10) for k in range(first, last + 1)]

    def _written(self, number: Number) -> str:
        if self.base and not 0.1 <= number < 1e6:
            power = str(round(math.log(number, self.base))).replace("-", "⁻")
            return f"{self.base:g}" + power.translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
        written = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:g}"
        return written.replace("-", "−")

    def at(self, value: Any) -> Any:
        """How far along the axis values are, from 0 to 100."""
        return 100 * (self._scaled(value) - self.low) / (self.high - self.low)


class Rows:
    """A name a row, from top to bottom; a row is so many pixels high."""

    grid = False
    label = ""

    def __init__(self, names: Sequence[str], row: int = ROW) -> None:
        self.count = len(names)
        self.height = row * self.count
        self.ticks = [(float(self.at(row)), name) for row, name in enumerate(names)]

    def at(self, row: Any) -> Any:
        """Where the middle of a row is, counted from below: from 0 to 100."""
        return 100 - 100 * (np.asarray(row, dtype=float) + 0.5) / self.count


class Chart:
    """A frame with axes, to be drawn on; `panel` is the drawing."""

    def __init__(self, x: Axis, y: Axis | Rows) -> None:
        self.x, self.y = x, y
        self.marks: list[str] = []
        self.names: list[tuple[str, str]] = []

    def name(self, name: str, mark: str) -> None:
        """An entry of the legend; the mark is drawn in a place of 18 × 0 pixels."""
        self.names.append((name, mark))

    def line(self, xs: Any, ys: Any, color: str, name: str = "", dash: str = "") -> None:
        """A curve through points."""
        points = np.stack([10 * self.x.at(xs), 1000 - 10 * self.y.at(ys)], axis=1)
        places = np.round(points[np.isfinite(points).all(axis=1)]).astype(int)
        kept = [p for p, q in pairwise([*places, None]) if q is None or (p != q).any()]
        style = f"fill:none;stroke:{color};stroke-width:2;stroke-linejoin:round"
        style += f";stroke-dasharray:{dash}" * bool(dash)
        if len(kept) > 1:
            path = "M" + "L".join(f"{x} {y}" for x, y in kept)
            self.marks.append(
                "<svg viewBox='0 0 1000 1000' width='100%' height='100%' overflow='visible' "
                f"preserveAspectRatio='none'><path d='{path}' vector-effect='non-scaling-stroke' "
                f"style='{style}'/></svg>"
            )
        if name:
            self.name(name, f"<path d='M0 0h18' style='{style}'/>")

    def dots(
        self, xs: Any, ys: Any, color: str, radius: Number = 3.5, hollow: bool = False,
        name: str = "",
    ) -> None:  # fmt: skip
        """A dot a point, filled or not."""
        fill = f"fill:none;stroke:{color};stroke-width:1.6" if hollow else f"fill:{color}"
        self.marks += [
            f"<circle cx='{part(x)}' cy='{part(100 - y)}' r='{radius:g}' style='{fill}'/>"
            for x, y in zip(np.ravel(self.x.at(xs)), np.ravel(self.y.at(ys)), strict=True)
        ]
        if name:
            self.name(name, f"<circle cx='9' r='4' style='{fill}'/>")

    def segment(
        self, start: tuple[Number, Number], end: tuple[Number, Number], color: str = INK,
        width: Number = 1.6, more: str = "",
    ) -> None:  # fmt: skip
        """A straight line between two points."""
        x1, x2 = self.x.at(start[0]), self.x.at(end[0])
        y1, y2 = 100 - self.y.at(start[1]), 100 - self.y.at(end[1])
        self.marks.append(
            f"<line x1='{part(x1)}' x2='{part(x2)}' y1='{part(y1)}' y2='{part(y2)}' "
            f"style='stroke:{color};stroke-width:{width:g}{more}'/>"
        )

    def box(self, start: tuple[Number, Number], end: tuple[Number, Number], color: str) -> None:
        """A filled rectangle between two points, the first below and left of the other."""
        x1, x2 = self.x.at(start[0]), self.x.at(end[0])
        y1, y2 = self.y.at(start[1]), self.y.at(end[1])
        self.marks.append(
            f"<rect x='{part(x1)}' y='{part(100 - y2)}' width='{part(x2 - x1)}' "
            f"height='{part(y2 - y1)}' style='fill:{color}'/>"
        )

    def word(self, words: str, x: Number, y: Number, dx: Number = 0) -> None:
        """Words to the right of a point."""
        self.marks.append(text(words, self.x.at(x), 100 - self.y.at(y), dx, 4))

    def panel(self, width: int = 460, height: int = 210, right: int = 14) -> Panel:
        """The chart, with a frame of this natural size; rows decide the height themselves."""
        ends = width_of(self.x.ticks[-1][1]) // 2 if self.x.ticks else 0
        left = max(width_of(t) for _, t in self.y.ticks) + 13 if self.y.ticks else 12
        axes = []
        for place, words in self.x.ticks:
            x = part(place)
            axes.append(f"<line x1='{x}' x2='{x}' y2='100%' style='{RULE}'/>")
            axes.append(text(words, place, 100, 0, LINE, "middle"))
        for place, words in self.y.ticks:
            y = part(100 - place)
            axes.append(f"<line x2='100%' y1='{y}' y2='{y}' style='{RULE}'/>" * self.y.grid)
            axes.append(text(words, 0, 100 - place, -8, 4, "end"))
        if self.x.label:
            axes.append(text(self.x.label, 100, 100, 0, 2 * LINE + 1, "end"))
        above, legend = self._legend(left)
        if self.y.label:
            axes.append(text(self.y.label, 0, 0, 8 - left, -above - 12))
            above += LINE + 4
        margins = above + 12, max(right, ends), LINE * (2 if self.x.label else 1) + 8, left
        body = "".join([*axes, *legend, *self.marks])
        if isinstance(self.y, Rows):
            return Panel(body, width, self.y.height, margins, "rows")
        return Panel(body, width, height, margins, "chart")

    def _legend(self, left: int) -> tuple[int, list[str]]:
        """Names in lines above the frame: their height, and what is drawn."""
        lines: list[list[tuple[int, str, str]]] = [[]]
        x = 0
        for name, mark in self.names:
            if x and x + 24 + width_of(name) > ROOM:
                lines.append([])
                x = 0
            lines[-1].append((x, name, mark))
            x += 40 + width_of(name)
        height = (LINE + 2) * len(lines) if self.names else 0
        drawn = [
            f"<g transform='translate({8 - left + x} {(LINE + 2) * row - height})'>{mark}"
            f"<text x='24' y='4'>{name.replace('&', '&amp;').replace('<', '&lt;')}</text></g>"
            for row, entries in enumerate(lines)
            for x, name, mark in entries
        ]
        return height, drawn
