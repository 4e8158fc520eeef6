"""A picture as panels of SVG, each of which can have any width while its words keep their size.

Places in a panel are parts of its frame, in percent; words, lines and dots are measured in pixels.
Colors and font are variables of the page that shows it, with a value for where there is none.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vitlit import files

Number = float | int
INK = "var(--ink-soft,#787c84)"  # else: contrast at least 4:1 on white and on black
FONT = "12px var(--sans,system-ui,sans-serif)"
LINE = 17  # pixels between two lines of words
GAP = 10  # pixels between panels
HARD = 128  # pixels: a picture of no more is shown with hard ones
SAFE = " !#$&'()*+,-./:;=?@[]_~"  # of an address between double quotes, but % and <>


def width_of(text: str) -> int:
    """About how many pixels a text is wide."""
    return round(sum(6.7 if ord(letter) < 0x2E80 else 12 for letter in text))


@dataclass(frozen=True)
class Panel:
    """What is drawn in a frame of width × height, and around it within margins.

    `grows` says what becomes of the frame where there is more or less room: a "bitmap" keeps its
    shape and, if its pixels are few, shows each as a whole number of the screen's; a "chart" gets
    somewhat higher; "rows" keep their height. `margins` are top, right, bottom and left.
    """

    body: str
    width: int
    height: int
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    grows: str = "chart"
    label: str = ""
    pixels: Any = field(default=None, compare=False)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height with the margins."""
        top, right, bottom, left = self.margins
        return left + self.width + right, top + self.height + bottom

    def framed(self) -> str:
        """The frame alone, at its place within the margins."""
        return (
            f"<svg class='{self.grows}' x='{self.margins[3]}' y='{self.margins[0]}' "
            f"width='{self.width}' height='{self.height}' overflow='visible'>{self.body}</svg>"
        )

    def svg(self) -> str:
        """The panel as a drawing of its own."""
        width, height = self.size
        return (
            f"<svg xmlns='http://www.w3.org/2000/svg' width='{width}' height='{height}' "
            f"style='font:{FONT};fill:{INK}'>{self.framed()}</svg>"
        )


class Picture:
    """A finished figure: rows of panels, as HTML for Jupyter and the site.

    There are at most `columns` panels in a row, and on a narrow page at most `narrow`.
    """

    def __init__(
        self, panels: Sequence[Panel], columns: int = 1, narrow: int | None = None
    ) -> None:
        self.panels = list(panels)
        self.columns = min(columns, len(self.panels))
        self.narrow = min(narrow or self.columns, self.columns)

    def _repr_html_(self) -> str:
        # A drawing within an image is shown in notebooks that are not trusted, too.
        images = []
        for number, panel in enumerate(self.panels, 1):
            width, height = panel.size
            address = f"data:image/svg+xml,{quote(panel.svg(), SAFE)}"
            images.append(
                f'<img alt="{escape(panel.label)}" width="{width}" height="{height}" '
                f'src="{address}">{"<br>" * (number % self.columns == 0)}'
            )
        # What surrounds it must not have Markdown's blank lines.
        opening = f'<div class="panels" data-columns="{self.columns}" data-narrow="{self.narrow}">'
        return "\n".join([opening, *images, "</div>"])

    def __repr__(self) -> str:
        return f"<Picture of {len(self.panels)} panels>"

    def save(self, path: str | Path) -> None:
        """Write a PNG of the panels that are bitmaps, whole or not at all."""
        tiles = [tile(panel) for panel in self.panels if panel.pixels is not None]
        width = max(image.width for image in tiles) + GAP
        height = max(image.height for image in tiles) + GAP
        rows = -(-len(tiles) // self.columns)
        whole = Image.new("RGB", (width * self.columns - GAP, height * rows - GAP), "white")
        for number, image in enumerate(tiles):
            row, column = divmod(number, self.columns)
            whole.paste(image, (column * width, row * height))
        buffer = BytesIO()
        whole.save(buffer, format="png")
        files.write(path, buffer.getvalue())


def tile(panel: Panel) -> Image.Image:
    """A bitmap with its label below it, at twice the size that it has on a page."""
    image = Image.fromarray(np.asarray(panel.pixels)).convert("RGB")
    image = image.resize((2 * panel.width, 2 * panel.height), Image.Resampling.NEAREST)
    whole = Image.new("RGB", (image.width, image.height + 2 * panel.margins[2]), "white")
    whole.paste(image)
    place = (image.width / 2, image.height + 4)
    font = ImageFont.load_default(22)
    ImageDraw.Draw(whole).multiline_text(
        place, panel.label, "#565a63", font, anchor="ma", align="center"
    )
    return whole


def bitmap(pixels: np.ndarray, label: str = "", over: str = "", natural: int = 160) -> Panel:
    """A panel of pixels (H×W×3 or H×W×4, uint8) with `over` drawn on it and a label below."""
    height, width = pixels.shape[:2]
    times = max(1, round(natural / width)) if width < natural else natural / width
    shown = round(width * times), round(height * times)
    lines = label.split("\n") if label else []
    words = "".join(
        text(line, x=50, y=100, dy=15 + LINE * number, anchor="middle")
        for number, line in enumerate(lines)
    )
    address = base64.b64encode(png(pixels)).decode()
    hard = " style='image-rendering:pixelated'" if width <= HARD else ""
    image = (
        f"<image width='100%' height='100%' preserveAspectRatio='none' data-pixels='{width}'{hard} "
        f"href='data:image/png;base64,{address}'/>"
    )
    below = LINE * len(lines) + 4 * bool(lines)
    return Panel(image + over + words, *shown, (0, 0, below, 0), "bitmap", label, pixels)


def png(pixels: np.ndarray) -> bytes:
    """Pixels as a small PNG: without loss up to 256 colors."""
    height, width, channels = pixels.shape
    colors, index = np.unique(pixels.reshape(-1, channels), axis=0, return_inverse=True)
    index = index.reshape(height, width)
    if len(colors) > 256:
        most = 127 if width * height <= 32 * 32 else 255
        image = Image.fromarray(pixels[..., :3]).quantize(most, dither=Image.Dither.NONE)
        palette = np.array((image.getpalette() or [])[: 3 * most], np.uint8).reshape(-1, 3)
        index, colors = np.asarray(image), palette
        if channels == 4:
            index = np.where(pixels[..., 3] == 0, len(palette), index)
            colors = np.pad(
                np.pad(palette, ((0, 0), (0, 1)), constant_values=255), ((0, 1), (0, 0))
            )
    image = Image.fromarray(index.astype(np.uint8), "P")
    image.putpalette(colors[:, :3].tobytes())
    how: dict[str, Any] = {"transparency": colors[:, 3].tobytes()} if channels == 4 else {}
    buffer = BytesIO()
    image.save(buffer, format="png", optimize=True, **how)
    return buffer.getvalue()


def part(value: Number) -> str:
    """A place in a frame, of 100."""
    return f"{round(float(value), 2) + 0:g}%"


def text(
    words: str, x: Number = 0, y: Number = 0, dx: Number = 0, dy: Number = 0,
    anchor: str = "start", style: str = "",
) -> str:  # fmt: skip
    """Words at a place in the frame, moved by dx and dy pixels."""
    more = f" style='{style}'" if style else ""
    return (
        f"<text x='{part(x)}' y='{part(y)}' dx='{dx:g}' dy='{dy:g}' text-anchor='{anchor}'{more}>"
        f"{escape(words)}</text>"
    )


def frame(x: Number, y: Number, width: Number, height: Number) -> str:
    """An orange frame around a part of the frame."""
    return (
        f"<rect x='{part(x)}' y='{part(y)}' width='{part(width)}' height='{part(height)}' "
        "style='fill:none;stroke:var(--lit,#d9692b);stroke-width:2.5'/>"
    )
