"""Every picture of the book.

The functions take arrays (numpy's, or what numpy can read) and return a `Picture`. They know
nothing of models. Words in pictures are symbols, units and class names only. One quantity looks
alike everywhere: attention is yellow, similarity and whatever else has a sign is orange and blue.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vitlit.charts import BLUE, COLORS, DASHES, LIT, TEAL, Axis, Chart, Rows
from vitlit.panels import (
    INK,
    LINE,
    Number,
    Panel,
    Picture,
    bitmap,
    frame,
    part,
    text,
    width_of,
)  # fmt: skip

HEAT = ("#15213b", "#2f5d8c", "#5fa8a5", "#e9c46a", "#fdf1d6")
SIGNED = ("#2b5c9e", "#8fb4d9", "#f4f1ea", "#eda878", "#b8481a")
GLOW = ("#2c2e34", "#ffb000")  # attention where there is no picture below it
LEVELS = 64  # of a scale: more than eyes tell apart, and few enough for small files


def picture_of(image: Any) -> np.ndarray:
    """Any image as H×W×3 or H×W floats in [0, 1]: from C×H×W or H×W×C, uint8 or float."""
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return np.clip(array / (255.0 if array.dtype == np.uint8 else 1.0), 0, 1)


def _named(label: str) -> str:
    """An axis' name as it is. The call marks it for who looks for words to translate."""
    return label


CHELSEA = Path(__file__).parent / "assets" / "chelsea.png"


@cache
def chelsea(size: int | None = None) -> np.ndarray:
    """The book's cat as uint8, 3×300×300 (the middle of the photograph), or 3×size×size.

    Chelsea, photographed by Stéfan van der Walt; public domain (CC0), from scikit-image.
    """
    with Image.open(CHELSEA) as file:
        square = file.convert("RGB").crop((60, 0, 360, 300))
    if size is not None:
        square = square.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3)
    return np.asarray(square).transpose(2, 0, 1).copy()


def _pixels(image: Any) -> np.ndarray:
    """Any image as H×W×3 bytes."""
    shown = picture_of(image)
    shown = shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, 2)
    return np.round(255 * shown).astype(np.uint8)


def _rgb(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]


def _colored(values: Any, low: Number, high: Number, colors: Sequence[str] = HEAT) -> np.ndarray:
    """Numbers as colors, H×W×4 bytes; what is no number is transparent."""
    array = np.asarray(values, dtype=float)
    share = np.clip((array - low) / ((high - low) or 1.0), 0, 1)
    share = np.round(share * (LEVELS - 1)) / (LEVELS - 1)
    anchors = np.linspace(0, 1, len(colors))
    rgb = [np.interp(share, anchors, channel) for channel in zip(*map(_rgb, colors), strict=True)]
    known = np.isfinite(array)
    whole = np.stack([*rgb, 255.0 * known], axis=-1)
    return np.round(np.where(known[..., None], whole, 0)).astype(np.uint8)


def _limits(arrays: Sequence[np.ndarray], signed: bool) -> tuple[Number, Number]:
    """The ends of a scale; a signed one is symmetric about 0."""
    top = max(float(np.nanmax(np.abs(a) if signed else a)) for a in arrays)
    return (-top, top) if signed else (min(float(np.nanmin(a)) for a in arrays), top)


def _scale(low: Number, high: Number, colors: Sequence[str]) -> Panel:
    """Which color means how much."""
    axis = Axis("", [low, high], low=low, high=high)
    ramp = bitmap(_colored(np.linspace(0, 1, LEVELS)[None], 0, 1, colors)).body
    marks = [text(words, place, 100, 0, LINE - 1, "middle") for place, words in axis.ticks]
    return Panel(ramp + "".join(marks), 240, 9, (6, 20, LINE + 3, 20), "scale")


def _narrow(columns: int, pixels: int, labels: Sequence[str] | None) -> int:
    """How many panels of so many pixels stand in a row where the page is 310 pixels wide."""
    lines = [line for label in labels or () for line in label.split("\n")]
    widest = max(map(width_of, lines), default=0)
    least = 100 if pixels >= 64 else 70 if widest else 20
    rows = -(-columns // max(1, 310 // max(least, widest + 6)))
    return -(-columns // rows)


def images(
    pictures: Sequence[Any], labels: Sequence[str] | None = None, columns: int = 8
) -> Picture:
    """A row, or rows, of images, with a short label under each."""
    columns = min(columns, len(pictures))
    names = labels or [""] * len(pictures)
    natural = _natural(columns)
    shown = [
        bitmap(_pixels(picture), name, natural=natural)
        for picture, name in zip(pictures, names, strict=True)
    ]
    return Picture(shown, columns, _narrow(columns, shown[0].pixels.shape[1], labels))


def _natural(columns: int) -> int:
    """How wide a bitmap is in Jupyter, in pixels: as many as fit beside each other."""
    return min(320, max(48, 720 // columns - 8))


def patch_grid(
    image: Any, patch_size: int, lit: Sequence[int] = (), numbers: bool = False
) -> Picture:
    """An image, and beside it its patches drawn apart; the patches in `lit` are framed."""
    pixels = _pixels(image)
    rows, columns = pixels.shape[0] // patch_size, pixels.shape[1] // patch_size
    apart = max(2, patch_size // 8)
    step = patch_size + apart
    high, wide = rows * step - apart, columns * step - apart
    cut = np.zeros((high, wide, 4), np.uint8)
    over = []
    for n in range(rows * columns):
        r, c = divmod(n, columns)
        source = pixels[r * patch_size :, c * patch_size :][:patch_size, :patch_size]
        cut[r * step :, c * step :][:patch_size, :patch_size, :3] = source
        cut[r * step :, c * step :][:patch_size, :patch_size, 3] = 255
        x, y = 100 * c * step / wide, 100 * r * step / high
        if n in lit:
            over.append(frame(x, y, 100 * patch_size / wide, 100 * patch_size / high))
        if numbers:
            width = width_of(str(n)) + 5
            over.append(
                f"<svg x='{part(x)}' y='{part(y)}' overflow='visible'>"
                f"<rect x='2' y='2' width='{width}' height='16' rx='2' style='fill:#101218'/>"
                f"<text x='4.5' y='14.5' style='fill:#fff'>{n}</text></svg>"
            )
    return Picture([bitmap(pixels, natural=300), bitmap(cut, "", "".join(over), 300)], 2)


PARTS = ("patches", "embedding", "positions", "encoder", "head")


def pipeline(lit: str | None = None) -> Picture:
    """The model as five boxes in a row, one part (or "all") lit; between them the shapes."""
    panels = []
    for part_, shape in zip((*PARTS, ""), ("B C H W", "B N CP²", "B N D", "B T D", "B T D", "B K"),
                            strict=True):  # fmt: skip
        body = (
            f"<path d='M3 34h44m-5-4 5 4-5 4' style='fill:none;stroke:{INK};stroke-width:1.3'/>"
            + f"<text x='25' y='25' text-anchor='middle' style='font-size:11px'>{shape}</text>"
        )
        if part_:
            on = lit in (part_, "all")
            fill, ink = ("var(--lit-text,#b04a12)", "var(--paper,#fff)") if on else ("none", INK)
            body += (
                f"<svg x='51' overflow='visible'><g class='part-{part_}'>"
                f"<rect y='17' width='72' height='34' rx='5' style='fill:{fill};stroke:"
                f"{fill if on else INK}'/>"
                f"<text x='36' y='38.5' text-anchor='middle' style='fill:{ink};font-weight:"
                f"{640 if on else 400}'>{part_}</text></g></svg>"
            )
        panels.append(Panel(body, 124, 58, grows="box"))
    return Picture(panels, 6, 2)


def sequences(rows: Mapping[str, Sequence[str]]) -> Picture:
    """Rows of tokens, a name above each.

    A token is a patch's number, in parentheses if the patch is left out, or else a sign, such as *
    for the class token; signs are filled.
    """
    columns = max(map(len, rows.values()))
    pitch, side, body = 46, 22, []
    for row, (name, tokens) in enumerate(rows.items()):
        top = row * pitch + LINE
        body.append(text(name, 0, 0, 0, top - 5))
        for place, token in enumerate(tokens):
            gone, sign = token.startswith("("), not token.strip("()").isdigit()
            color = "var(--lit-text,#b04a12)" if token == "*" else BLUE
            style = f"fill:{color}" if sign else f"fill:none;stroke:{INK}"
            style += ";stroke-dasharray:2 3;stroke-opacity:.6" * gone
            ink = "fill:var(--paper,#fff);font-weight:640" if sign else ""
            body.append(
                f"<rect x='{part(100 * place / columns)}' y='{top}' rx='3' "
                f"width='{part(86 / columns)}' height='{side}' style='{style}'/>"
                + text(token.strip("()"), 100 * (place + 0.43) / columns, 0, 0, top + 15.5,
                       "middle", ink)
            )  # fmt: skip
    return Picture([Panel("".join(body), 440, pitch * len(rows), grows="rows")])


def heatmaps(
    maps: Sequence[Any],
    labels: Sequence[str] | None = None,
    columns: int = 8,
    signed: bool = False,
    shared: bool = True,
    bar: bool = False,
) -> Picture:
    """Matrices as colors, on one scale if `shared`; a signed scale is symmetric about 0."""
    return _maps(maps, labels, columns, SIGNED if signed else HEAT, signed, shared, bar)


def attention(
    maps: Sequence[Any], labels: Sequence[str] | None = None, columns: int = 8
) -> Picture:
    """Attention weights where there is no picture to draw them on, on one scale from 0."""
    shown = [np.asarray(map_, dtype=float) for map_ in maps]
    top = max(float(map_.max()) for map_ in shown)
    return _maps([map_ / top for map_ in shown], labels, columns, GLOW, False, True, False, (0, 1))


def _maps(
    maps: Sequence[Any], labels: Sequence[str] | None, columns: int, colors: Sequence[str],
    signed: bool, shared: bool, bar: bool, limits: tuple[Number, Number] | None = None,
) -> Picture:  # fmt: skip
    arrays = [np.asarray(map_, dtype=float) for map_ in maps]
    columns = min(columns, len(arrays))
    limits = limits or _limits(arrays, signed)
    panels = [
        bitmap(
            _colored(array, *(limits if shared else _limits([array], signed)), colors),
            name,
            natural=_natural(columns),
        )
        for array, name in zip(arrays, labels or [""] * len(arrays), strict=True)
    ]
    narrow = _narrow(columns, arrays[0].shape[1], labels)
    if bar:
        panels.append(_scale(*limits, colors))
    return Picture(panels, columns, narrow)


def matrix(
    values: Any, x: str = "", y: str = "", signed: bool = False,
    ticks: Sequence[str] | None = None, numbers: str | None = None,
) -> Picture:  # fmt: skip
    """One matrix with its axes named; `numbers` is a format for the number in each cell."""
    array = np.asarray(values, dtype=float)
    colors = SIGNED if signed else HEAT
    limits = _limits([array], signed)
    pixels = _colored(array, *limits, colors)
    rows, columns = array.shape
    over = []
    if numbers is not None:
        for (r, c), value in np.ndenumerate(array):
            ink = "#000" if _luminance(pixels[r, c]) > 0.179 else "#fff"
            place = 100 * (c + 0.5) / columns, 100 * (r + 0.5) / rows
            style = f"fill:{ink};font-size:11px"
            over.append(text(format(value, numbers), *place, 0, 4, "middle", style))
    for n, name in enumerate(ticks or ()):
        over.append(text(name, 0, 100 * (n + 0.5) / rows, -7, 4, "end"))
        over.append(
            f"<svg x='{part(100 * (n + 0.5) / columns)}' y='100%' overflow='visible'>"
            f"<text transform='translate(4 13) rotate(-45)' text-anchor='end'>{name}</text></svg>"
        )
    beside = max(map(width_of, ticks or [""])) + 8 if ticks else 4
    below = 8 + round(0.75 * beside) * bool(ticks)
    over += [text(y, 0, 0, -beside, -8)] * bool(y)
    over += [text(x, 100, 100, 0, below + LINE, "end")] * bool(x)
    drawn = bitmap(pixels, "", "".join(over), 380)
    drawn = replace(drawn, margins=(LINE + 8, 6, below + LINE + 6, beside))
    return Picture([drawn] if numbers else [drawn, _scale(*limits, colors)], 1)


def _luminance(color: np.ndarray) -> float:
    """Relative luminance of a color of bytes, from 0 to 1, as in WCAG 2."""
    shares = color[:3] / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def confusion(counts: Any, classes: Sequence[str]) -> Picture:
    """What each class (row) was taken for (column), in images."""
    return matrix(counts, _named("predicted"), _named("true"), ticks=classes, numbers=".0f")


def lines(
    series: Mapping[str, tuple[Any, Any]], x: str, y: str, logx: bool = False, logy: bool = False,
    markers: bool = False, base: Number = 10, joined: bool = True,
) -> Picture:  # fmt: skip
    """Curves with a legend of their names; x and y are the axes' symbols and units.

    Points that are no curve are not `joined`: then only their markers are drawn. Curves of which
    there are more than colors are dashed the second time round.
    """
    points = [tuple(np.asarray(p, dtype=float) for p in pair) for pair in series.values()]
    chart = Chart(
        Axis(x, np.concatenate([xs for xs, _ in points]), base if logx else None),
        Axis(y, np.concatenate([ys for _, ys in points]), base if logy else None),
    )
    for i, (name, (xs, ys)) in enumerate(zip(series, points, strict=True)):
        color, dash = COLORS[i % len(COLORS)], DASHES[i // len(COLORS) % len(DASHES)]
        shown = name if len(series) > 1 else ""
        if joined:
            chart.line(xs, ys, color, shown, dash)
        if markers or not joined:
            chart.dots(xs, ys, color, name="" if joined else shown)
    return Picture([chart.panel()])


def bars(
    values: Mapping[str, Number], x: str, errors: Mapping[str, Number] | None = None,
    lit: Sequence[str] = (),
) -> Picture:  # fmt: skip
    """Horizontal bars, one a name, with the value at its end and its spread where given."""
    chart = Chart(Axis(x, [0.0, *values.values()], low=0.0), Rows(list(values)))
    for row, (name, value) in enumerate(values.items()):
        color = LIT if name in lit else BLUE
        chart.segment((0.0, row), (value, row), color, 14)
        spread = errors[name] if errors else 0.0
        if spread:
            chart.segment((value - spread, row), (value + spread, row))
        chart.word(f"{value:.3g}", value + spread, row, 6)
    return Picture([chart.panel(right=44)])


def intervals(panels: Mapping[str, Mapping[str, tuple[Number, Number, Number]]]) -> Picture:
    """Means with their intervals (mean, low, high): a panel for each quantity, a row for each name.

    All panels have one scale. Hollow and gray is a mean whose interval holds 0.
    """
    ends = [end for rows in panels.values() for interval in rows.values() for end in interval]
    shown = []
    for quantity, rows in panels.items():
        chart = Chart(Axis(quantity, [0.0, *ends]), Rows(list(rows)))
        chart.segment((0, -0.5), (0, len(rows) - 0.5), width=1)
        for row, (mean, low, high) in enumerate(rows.values()):
            color = INK if low <= 0 <= high else BLUE
            chart.segment((low, row), (high, row), color, 2)
            chart.dots([mean], [row], color, 4, hollow=color == INK)
        shown.append(chart.panel(width=280))
    return Picture(shown, len(shown), 1)


def reliability(bins: Sequence[Mapping[str, Number]]) -> Picture:
    """Accuracy over confidence, a dot for each bin with two standard errors, and how many it holds.

    A bin goes from `low` to `high`, and has the mean `confidence`, the `accuracy` and the number of
    `images`. On the line confidence and accuracy are equal.
    """
    left, right = (
        Chart(Axis(_named("confidence"), [0.0, 1.0]), axis)
        for axis in (
            Axis(_named("accuracy"), [0.0, 1.0]),
            Axis(_named("images"), [row["images"] for row in bins], low=0.0),
        )
    )
    left.line([0, 1], [0, 1], INK, dash=DASHES[1])
    for row in bins:
        mean, accuracy = row["confidence"], row["accuracy"]
        error = 2 * math.sqrt(accuracy * (1 - accuracy) / row["images"])
        left.segment((mean, accuracy - error), (mean, accuracy + error), BLUE)
        left.dots([mean], [accuracy], BLUE)
        right.box((row["low"], 0.0), (row["high"] - 0.005, row["images"]), BLUE)
    return Picture([left.panel(width=300), right.panel(width=300)], 2, 1)


def overlay(
    image: Any, weights: Sequence[Any], labels: Sequence[str] | None = None, columns: int = 8
) -> Picture:
    """An image, then the image in gray, yellow where each map of patch weights is large.

    The largest weight of a map has the full color.
    """
    return lookup(image, None, weights, labels, columns=columns)


def lookup(
    image: Any, query: int | None, weights: Sequence[Any], labels: Sequence[str] | None = None,
    top: Number | None = None, columns: int = 4,
) -> Picture:  # fmt: skip
    """An image with one patch framed, then the image in gray, yellow where its weights are large.

    A weight of `top` (if not given: the largest of its map) or more has the full color.
    """
    picture = _pixels(image) / 255
    H, W = picture.shape[:2]
    gray = 0.25 + 0.5 * picture.mean(axis=2, keepdims=True)
    glow = np.array(_rgb(GLOW[1])) / 255
    shown, over = [picture], ""
    for map_ in weights:
        array = np.asarray(map_, dtype=float)
        rows, columns_ = array.shape
        alpha = 0.85 * np.clip(array / (top or array.max()), 0, 1)
        alpha = np.kron(alpha, np.ones((H // rows, W // columns_)))[..., None]
        shown.append(gray * (1 - alpha) + glow * alpha)
        if query is not None:
            r, c = divmod(query, columns_)
            over = frame(100 * c / columns_, 100 * r / rows, 100 / columns_, 100 / rows)
    columns = min(columns, len(shown))
    names = labels or [""] * len(shown)
    panels = [
        bitmap(np.round(255 * one).astype(np.uint8), name, over, _natural(columns))
        for one, name in zip(shown, names, strict=True)
    ]
    return Picture(panels, columns, _narrow(columns, W, labels))


def position_maps(maps: Sequence[Any], labels: Sequence[str] | None = None) -> Picture:
    """Grids of small maps of similarity, one grid for each array (rows, columns, rows, columns).

    The map in row r and column c shows array[r, c]; it stands where its position is. All have one
    scale, from −1 to 1, drawn below them.
    """
    panels = []
    for array, name in zip(maps, labels or [""] * len(maps), strict=True):
        array = np.asarray(array, dtype=float)
        framed = np.pad(array, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
        tiled = framed.transpose(0, 2, 1, 3).reshape(len(array) * framed.shape[2], -1)[:-1, :-1]
        panels.append(bitmap(_colored(tiled, -1, 1, SIGNED), name, natural=280))
    return Picture([*panels, _scale(-1, 1, SIGNED)], len(maps), 1)


def curves(runs: Sequence[Any]) -> Picture:
    """Loss and test accuracy of training runs (vitlit.records.Run) over epochs, a color a preset.

    The axis is logarithmic where some runs are much longer than others.
    """
    shown = []
    for axis, values in (
        (_named("training loss"), lambda run: run.metrics["train_loss"]),
        (_named("test accuracy / %"), lambda run: [100 * a for a in run.metrics["test_accuracy"]]),
    ):
        found = [(run.metrics["epoch"], values(run)) for run in runs]
        shown.append(_over(runs, found, _named("epoch"), axis).panel(width=300))
    return Picture(shown, 2, 1)


def accuracy_over_time(runs: Sequence[Any]) -> Picture:
    """Test accuracy of training runs (vitlit.records.Run) over minutes of training.

    The axis is logarithmic where some runs are much longer than others.
    """
    found = [
        (
            [seconds / 60 for seconds in run.metrics["seconds"]],
            [100 * accuracy for accuracy in run.metrics["test_accuracy"]],
        )
        for run in runs
    ]
    return Picture(
        [_over(runs, found, _named("training / min"), _named("test accuracy / %")).panel()]
    )


def _over(
    runs: Sequence[Any], found: Sequence[tuple[Sequence[Number], Sequence[Number]]], x: str, y: str
) -> Chart:
    """A curve a run, and a dot at its end."""
    spread = [n for xs, _ in found for n in xs]
    chart = Chart(
        Axis(x, spread, _base([xs[-1] for xs, _ in found])),
        Axis(y, [n for _, ys in found for n in ys]),
    )
    for (_, color, dash, name), (xs, ys) in zip(_looks(runs), found, strict=True):
        chart.line(xs, ys, color, name if len(runs) > 1 else "", dash)
        chart.dots(xs[-1:], ys[-1:], color, 3)
    return chart


def accuracy_over_images(groups: Mapping[str, Mapping[int, Sequence[Any]]]) -> Picture:
    """Test accuracy over the number of training images, a curve a model or way to train.

    `groups` holds runs by that and by number (vitlit.studies.by_images and vitlit.studies.by_way).
    The line is the mean of the seeds, a dot is a seed.
    """
    return Picture(
        [_means(groups, _named("training images"), _named("test accuracy / %"), _accuracy)]
    )


def results_over_steps(groups: Mapping[int, Mapping[int, Sequence[Any]]]) -> Picture:
    """Training loss and test accuracy over the number of steps, a curve a number of images.

    `groups` holds runs by images and steps (vitlit.studies.by_steps). The line is the mean of the
    seeds, a dot is a seed.
    """
    by_images = {f"{images:,}": runs for images, runs in groups.items()}
    steps = _named("steps")
    losses = _means(
        by_images, steps, _named("training loss"), lambda run: run.metrics["train_loss"][-1]
    )
    return Picture([losses, _means(by_images, steps, _named("test accuracy / %"), _accuracy)], 2, 1)


def _accuracy(run: Any) -> float:
    """In percent."""
    return 100 * run.summary["test_accuracy"]


def _means(
    groups: Mapping[str, Mapping[int, Sequence[Any]]], x: str, y: str,
    value: Callable[[Any], float],
) -> Panel:  # fmt: skip
    """A curve a group through the means of its runs over a number, and a dot a run."""
    found = {name: {n: [value(run) for run in runs[n]] for n in runs}
             for name, runs in groups.items()}  # fmt: skip
    numbers = sorted({n for values in found.values() for n in values})
    chart = Chart(
        Axis(x, numbers, _base(numbers), ticks=numbers if len(numbers) < 5 else ()),
        Axis(y, [one for values in found.values() for many in values.values() for one in many]),
    )
    for (name, values), color in zip(found.items(), COLORS, strict=False):
        chart.line(list(values), [float(np.mean(many)) for many in values.values()], color, name)
        for number, many in values.items():
            chart.dots([number] * len(many), many, color, 2.5)
    return chart.panel()


def _looks(runs: Sequence[Any]) -> Iterator[tuple[Any, str, str, str]]:
    """Each run with the color and dash of its preset, and the preset's name the first time.

    Presets of which there are more than colors are dashed the second time round.
    """
    presets = list(dict.fromkeys(run.summary["preset"] for run in runs))
    seen = set()
    for run in runs:
        preset = run.summary["preset"]
        again, color = divmod(presets.index(preset), len(COLORS))
        yield run, COLORS[color], DASHES[again % len(DASHES)], "" if preset in seen else preset
        seen.add(preset)


def _base(lengths: Sequence[Number]) -> int | None:
    """10, for a logarithmic axis, where some lengths are much larger than others."""
    return 10 if max(lengths) >= 4 * min(lengths) else None


def ablations(effects: Sequence[Any]) -> Picture:
    """What changes to presets did (vitlit.studies.Effect), a row each, in the order given.

    A dot is a seed, the marker the mean; the bar around it is as long as its limit to both sides,
    so that a bar which reaches zero is no effect that can be told from chance. Such a marker is
    hollow. Of several presets each has a color, and their rows for one change stand together.
    """
    presets = list(dict.fromkeys(effect.preset for effect in effects))
    variants = list(dict.fromkeys(effect.variant for effect in effects))
    values = [0.0]
    for effect in effects:
        limit = effect.limit if math.isfinite(effect.limit) else 0.0
        values += [*effect.differences, effect.mean - limit, effect.mean + limit]
    share = 0.8 / len(presets)
    rows = Rows(variants, 8 + 16 * len(presets))
    chart = Chart(Axis(_named("Δ test accuracy / percentage points"), values), rows)
    chart.segment((0, -0.5), (0, len(variants) - 0.5), width=1)
    for effect in effects:
        place = presets.index(effect.preset)
        row = variants.index(effect.variant) + share * (place - (len(presets) - 1) / 2)
        color = (BLUE, LIT, TEAL)[place % 3]
        if math.isfinite(effect.limit):
            ends = effect.mean - effect.limit, effect.mean + effect.limit
            chart.segment((ends[0], row), (ends[1], row), color, 6, ";stroke-opacity:.3")
        chart.dots([effect.mean], [row], color, 3.5, hollow=not effect.measurable)
        # The dots lie below the bar, so that the mean hides none of them.
        chart.dots(effect.differences, [row + 0.42 * share] * len(effect.differences), color, 1.6)
    if len(presets) > 1:
        for preset, color in zip(presets, (BLUE, LIT, TEAL), strict=False):
            chart.name(preset, f"<circle cx='9' r='4' style='fill:{color}'/>")
    return Picture([chart.panel()])
