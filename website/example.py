"""The home page's four drawings, of what the book's best model makes of one picture.

`make example` wrote the record. Needs no torch.
"""

import base64
import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from vitlit import figures, records

RECORD = Path("docs/data/example.json")  # from the root of the book
SIDE = 150  # of every drawing; on the narrowest screens this is pixels, so letters have 12
COLUMNS = 5  # patches whose vectors are drawn
MAPS = 6  # blocks whose attention is drawn, at most
# Attention over a gray picture has one color in the whole book.
GLOW = ImageColor.getrgb(figures.GLOW[1])


def read(root: Path) -> dict[str, Any] | None:
    """The record; None where the book has no such run.

    Raises ValueError if it was made with other weights than the run has now.
    """
    found: dict[str, Any] = json.loads((root / RECORD).read_text(encoding="utf-8"))
    folder = root / "runs" / found["run"]
    if not folder.is_dir():
        return None
    if found["weights"] != records.read(folder).checksum:
        raise ValueError(
            f"{RECORD} tells of other weights than {found['run']} has now; run `make example`"
        )
    return found


def shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says of the record in words and rounded numbers."""
    answers, (rows, columns) = found["answers"], found["grid"]
    said = max(answers, key=answers.__getitem__)
    first, *_, last = columns_drawn(found)
    return {
        "run": found["run"],
        "picture": found["picture"]["name"],
        "size": found["picture"]["size"],
        "rows": rows,
        "columns": columns,
        "row": framed(found) // columns + 1,
        "column": framed(found) % columns + 1,
        "first": first + 1,
        "last": last + 1,
        "layers": len(blocks_drawn(found)),
        "classes": len(answers),
        "answer": said,
        "share": f"{100 * answers[said]:.0f} %",
    }


def drawings(found: Mapping[str, Any]) -> dict[str, str]:
    """An SVG for each of the four steps, by the step's name. The page's style sheet colors them."""
    inner = {
        "cut": cut(found),
        "embed": embed(found),
        "attend": attend(found),
        "answer": answer(found),
    }
    return {
        name: f'<svg xmlns="http://www.w3.org/2000/svg" preserveAspectRatio="xMinYMid" '
        f'viewBox="0 0 {SIDE} {SIDE}">{content}</svg>'
        for name, content in inner.items()
    }


def framed(found: Mapping[str, Any]) -> int:
    """The patch that is followed through the drawings: the one with the most attention at last."""
    return int(np.argmax(found["attention"][-1]))


def columns_drawn(found: Mapping[str, Any]) -> list[int]:
    """The patches whose vectors are drawn: the framed one and its neighbors in the same row."""
    columns = found["grid"][1]
    row, column = divmod(framed(found), columns)
    count = min(COLUMNS, columns)
    start = min(max(column - count // 2, 0), columns - count)
    return [row * columns + start + i for i in range(count)]


def blocks_drawn(found: Mapping[str, Any]) -> list[int]:
    """The blocks whose attention is drawn, from the first to the last."""
    count = len(found["attention"])
    return np.linspace(0, count - 1, min(count, MAPS)).round().astype(int).tolist()


def cut(found: Mapping[str, Any]) -> str:
    """The picture as the model reads it, with gaps between the patches."""
    rows, columns = found["grid"]
    high, wide = SIDE / rows, SIDE / columns
    hole = f"h{wide - 1.2:.2f}v{high - 1.2:.2f}h{1.2 - wide:.2f}z"
    holes = "".join(
        f"M{column * wide + 0.6:.2f} {row * high + 0.6:.2f}{hole}"
        for row in range(rows)
        for column in range(columns)
    )
    row, column = divmod(framed(found), columns)
    return (
        f'{defined(found, "cut")}<clipPath id="cut"><path d="{holes}"/></clipPath>'
        f'<g clip-path="url(#cut)"><use href="#cut-picture" transform="scale({SIDE})"/></g>'
        f"{box('lit-line', column * wide, row * high, wide, high)}"
    )


def embed(found: Mapping[str, Any]) -> str:
    """The class token and some patches, each above the first numbers of its vector.

    The stronger the color of a cell, the farther its number is from zero; the color is its sign.
    """
    rows, columns = found["grid"]
    tokens = [0, *(patch + 1 for patch in columns_drawn(found))]
    values = np.array([found["tokens"][token] for token in tokens])
    pitch = SIDE / len(tokens)
    wide = 0.82 * pitch
    tall = (SIDE - wide - 22) / values.shape[1]
    strength = 0.08 + 0.92 * np.abs(values) / np.abs(values).max()
    out = [defined(found, "embed")]
    for place, token in enumerate(tokens):
        x = place * pitch
        if token == 0:
            out.append(box("token-lit", x, 0, wide, wide))
            out.append(f'<text class="sign" x="{x + wide / 2:.1f}" y="{wide:.1f}">*</text>')
        else:
            row, column = divmod(token - 1, columns)
            view = f"{column / columns} {row / rows} {1 / columns} {1 / rows}"
            place_of = f'x="{x:.1f}" y="0" width="{wide:.1f}" height="{wide:.1f}"'
            out.append(f'<svg {place_of} viewBox="{view}"><use href="#embed-picture"/></svg>')
        if token - 1 == framed(found):
            out.append(box("lit-line", x, 0, wide, wide))
        for i, number in enumerate(values[place]):
            kind, y = "plus" if number > 0 else "minus", wide + 4 + i * tall
            out.append(box(kind, x, y, wide, tall - 1, f'opacity="{strength[place, i]:.2f}"'))
        out.append(f'<text x="{x + wide / 2:.1f}" y="{SIDE - 3}">{token}</text>')
    return "".join(out)


def attend(found: Mapping[str, Any]) -> str:
    """For each block, the gray picture under the class token's attention, each map by itself."""
    blocks = blocks_drawn(found)
    columns = -(-len(blocks) // 2)
    wide = (SIDE - 6 * (columns - 1)) / columns
    out = [defined(found, "attend")]
    for place, block in enumerate(blocks):
        x, y = place % columns * (wide + 6), place // columns * (SIDE / 2)
        moved = f'transform="translate({x:.1f} {y:.1f}) scale({wide:.1f})"'
        out.append(f'<use class="gray" href="#attend-picture" {moved}/>')
        out.append(
            f'<image class="pixels" href="{glow(found, block)}" width="1" height="1" {moved}/>'
        )
        out.append(f'<text x="{x + wide / 2:.1f}" y="{y + wide + 13:.1f}">{block + 1}</text>')
    return "".join(out)


def answer(found: Mapping[str, Any]) -> str:
    """Every class and its probability as a bar; the likeliest is lit, with its number."""
    answers = found["answers"]
    said = max(answers, key=answers.__getitem__)
    pitch, unit = SIDE / len(answers), 42 / answers[said]
    out = []
    for place, (name, share) in enumerate(answers.items()):
        y, long, lit = place * pitch, max(unit * share, 0.6), "-lit" if name == said else ""
        base = f"{y + pitch / 2 + 4:.1f}"
        out.append(f'<text class="name{lit}" x="68" y="{base}">{name}</text>')
        out.append(box(f"bar{lit}", 73, y + 2, long, pitch - 4, 'rx="1.5"'))
        if lit:
            out.append(
                f'<text class="number" x="{77 + long:.1f}" y="{base}">{100 * share:.0f} %</text>'
            )
    return "".join(out)


def box(kind: str, x: float, y: float, wide: float, high: float, more: str = "") -> str:
    """A rectangle of a kind that the style sheet knows."""
    size = f'width="{wide:.2f}" height="{high:.2f}"'
    return f'<rect class="{kind}" x="{x:.2f}" y="{y:.2f}" {size} {more}/>'


def defined(found: Mapping[str, Any], name: str) -> str:
    """The picture, one unit wide and high, to be used in a drawing as often as it needs it."""
    address = f"data:image/png;base64,{found['picture']['png']}"
    picture = f'<image class="pixels" href="{address}" width="1" height="1"/>'
    return f'<defs><g id="{name}-picture">{picture}</g></defs>'


def glow(found: Mapping[str, Any], block: int) -> str:
    """The address of a picture of a block's attention: a pixel a patch, as opaque as its weight."""
    weights = np.array(found["attention"][block]).reshape(found["grid"])
    pixels = np.zeros((*weights.shape, 4), np.uint8)
    pixels[..., :3] = GLOW
    pixels[..., 3] = (235 * weights / weights.max()).round()
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="png")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"
