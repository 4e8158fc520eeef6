"""Every picture of the book.

The functions take arrays (numpy's, or what numpy can read) and return a `Picture`. They know
nothing of models. Pictures are transparent, in inks that can be read on a light and on a dark
page; words in them are symbols, units and class names only.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.ticker import LogLocator, NullLocator
from PIL import Image

from vitlit import files

INK = "#787c84"  # contrast at least 4:1 on white and on black
LIT = "#d9692b"
BLUE = "#4a7fc9"
TEAL = "#2a9d8f"
ROSE = "#c8556c"
VIOLET = "#8b72be"
COLORS = (LIT, BLUE, TEAL, VIOLET, ROSE, INK)
GLOW = (1.0, 0.69, 0.0)  # attention over a gray picture
HEAT = LinearSegmentedColormap.from_list(
    "heat", ["#15213b", "#2f5d8c", "#5fa8a5", "#e9c46a", "#fdf1d6"]
)
SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#2b5c9e", "#8fb4d9", "#f4f1ea", "#eda878", "#b8481a"]
)
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "stix",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}
DPI = 160  # shown at half size on most screens: sharp, and still small


class Picture:
    """A finished figure: shown by Jupyter as a PNG, saved by `save`."""

    def __init__(self, figure: Figure, colors: int = 128) -> None:
        buffer = BytesIO()
        figure.savefig(buffer, format="png", dpi=DPI)
        image = Image.open(buffer).convert("RGBA")
        self.width, self.height = image.width * 96 // DPI, image.height * 96 // DPI
        # A palette keeps pictures small; the page's budget is 600 KB with everything.
        image = image.quantize(colors, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
        buffer = BytesIO()
        image.save(buffer, format="png", optimize=True)
        self.png = buffer.getvalue()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        return self.png, {"width": self.width, "height": self.height}

    def __repr__(self) -> str:
        return f"<Picture {self.width}×{self.height}>"

    def save(self, path: str | Path) -> None:
        """Write the PNG, whole or not at all."""
        files.write(path, self.png)


@mpl.rc_context(STYLE)
def canvas(
    width: float, height: float, rows: int = 1, columns: int = 1, **how: Any
) -> tuple[Figure, np.ndarray]:
    """A figure of width × height inches in the book's style, and its axes as a 2-D array."""
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False, **how)
    return figure, axes


def picture_of(image: Any) -> np.ndarray:
    """Any image as H×W×3 or H×W floats in [0, 1]: from C×H×W or H×W×C, uint8 or float."""
    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[2] not in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    return np.clip(array / (255.0 if array.dtype == np.uint8 else 1.0), 0, 1)


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


def _bare(axis: Axes) -> Axes:
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)
    return axis


def _show(axis: Axes, image: np.ndarray, **how: Any) -> Any:
    gray: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 1} if image.ndim == 2 else {}
    return _bare(axis).imshow(image, interpolation="nearest", **{**gray, **how})


@mpl.rc_context(STYLE)
def images(
    pictures: Sequence[Any],
    labels: Sequence[str] | None = None,
    columns: int = 8,
    inches: float = 1.0,
) -> Picture:
    """A row, or rows, of images, each `inches` wide, with a short label under each."""
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    shape = picture_of(pictures[0]).shape
    high = inches * shape[0] / shape[1] + (0.25 if labels else 0.05)
    figure, axes = canvas(columns * inches, rows * high, rows, columns)
    for i, axis in enumerate(axes.flat):
        _bare(axis)
        if i < len(pictures):
            _show(axis, picture_of(pictures[i]))
            if labels:
                axis.set_xlabel(labels[i], fontsize=8)
    return Picture(figure, colors=256)


@mpl.rc_context(STYLE)
def patch_grid(
    image: Any, patch_size: int, lit: Sequence[int] = (), numbers: bool = False, inches: float = 3.0
) -> Picture:
    """An image, and beside it its patches drawn apart; the patches in `lit` are framed."""
    picture = picture_of(image)
    H, W = picture.shape[:2]
    rows, columns = H // patch_size, W // patch_size
    figure, axes = canvas(2 * inches * 1.04, inches * H / W, 1, 2)
    _show(axes[0, 0], picture)
    axis = _bare(axes[0, 1])
    gap = 0.12
    for n in range(rows * columns):
        r, c = divmod(n, columns)
        patch = picture[r * patch_size :, c * patch_size :][:patch_size, :patch_size]
        x, y = c * (1 + gap), r * (1 + gap)
        _show(axis, patch, extent=(x, x + 1, y + 1, y))
        if n in lit:
            axis.add_patch(Rectangle((x, y), 1, 1, fill=False, edgecolor=LIT, linewidth=2.2))
        if numbers:
            box = {"facecolor": "#101218b0", "edgecolor": "none", "pad": 1}
            axis.text(x + 0.06, y + 0.07, str(n), fontsize=7, va="top", color="white", bbox=box)
    axis.set_xlim(-gap, columns * (1 + gap))
    axis.set_ylim(rows * (1 + gap), -gap)
    axis.set_aspect("equal")
    return Picture(figure, colors=256)


PARTS = ("patches", "embedding", "positions", "encoder", "head")


@mpl.rc_context(STYLE)
def pipeline(lit: str | None = None, symbols: Mapping[str, str] | None = None) -> Picture:
    """The model as five boxes in a row, one part (or "all") lit; between them the shapes."""
    shapes = ("B C H W", "B N CP²", "B N D", "B T D", "B T D", "B K")
    figure, axes = canvas(8.0, 0.95)
    axis = _bare(axes[0, 0])
    axis.set_xlim(-1.05, 11.05)
    axis.set_ylim(-0.75, 0.75)
    for i, part in enumerate(PARTS):
        x, on = 2.0 * i, lit in (part, "all")
        box = FancyBboxPatch(
            (x + 0.02, -0.36), 1.16, 0.72, boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=LIT if on else "none", edgecolor=LIT if on else INK, linewidth=1.2,
        )  # fmt: skip
        axis.add_patch(box)
        axis.text(
            x + 0.6, -0.01, (symbols or {}).get(part, part), ha="center", va="center", fontsize=8,
            color="white" if on else INK, weight="bold" if on else "normal",
        )  # fmt: skip
    for i, shape in enumerate(shapes):
        x = 2 * i - 0.8
        arrow = FancyArrowPatch(
            (x + 0.03, 0), (x + 0.77, 0), arrowstyle="-|>", mutation_scale=9, color=INK
        )
        axis.add_patch(arrow)
        axis.text(x + 0.4, 0.18, shape, ha="center", va="bottom", fontsize=7, family="monospace")
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def heatmaps(
    maps: Sequence[Any],
    labels: Sequence[str] | None = None,
    columns: int = 8,
    inches: float = 1.0,
    signed: bool = False,
    shared: bool = True,
    bar: bool = False,
) -> Picture:
    """Matrices as colours, on one scale if `shared`; a signed scale is symmetric about 0."""
    arrays = [np.asarray(m, dtype=float) for m in maps]
    columns = min(columns, len(arrays))
    rows = -(-len(arrays) // columns)
    shape = arrays[0].shape
    high = inches * shape[0] / shape[1] + (0.25 if labels else 0.04)
    figure, axes = canvas(columns * inches + (0.6 if bar else 0), rows * high, rows, columns)
    top = max(np.abs(a).max() for a in arrays) if signed else max(a.max() for a in arrays)
    bottom = -top if signed else min(a.min() for a in arrays)
    limits = {"vmin": bottom, "vmax": top} if shared else {}
    drawn = None
    for i, axis in enumerate(axes.flat):
        _bare(axis)
        if i < len(arrays):
            drawn = _show(
                axis,
                arrays[i],
                cmap=SIGNED if signed else HEAT,
                **({"vmin": None, "vmax": None} | limits),
            )
            if labels:
                axis.set_xlabel(labels[i], fontsize=8)
    if bar and drawn is not None:
        scale = figure.colorbar(drawn, ax=list(axes.flat), shrink=0.9, pad=0.02)
        scale.outline.set_visible(False)
        scale.ax.tick_params(labelsize=7)
    return Picture(figure)


@mpl.rc_context(STYLE)
def matrix(
    values: Any, x: str = "", y: str = "", inches: float = 3.2, signed: bool = False,
    ticks: Sequence[str] | None = None, numbers: str | None = None,
) -> Picture:  # fmt: skip
    """One matrix with its axes named; `numbers` is a format for the number in each cell."""
    array = np.asarray(values, dtype=float)
    figure, axes = canvas(inches + 0.7, inches * array.shape[0] / array.shape[1] + 0.4)
    axis = axes[0, 0]
    top = np.abs(array).max() if signed else array.max()
    limits = {"vmin": -top if signed else array.min(), "vmax": top}
    drawn = axis.imshow(array, cmap=SIGNED if signed else HEAT, interpolation="nearest", **limits)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if ticks is not None:
        axis.set_xticks(range(len(ticks)), ticks, rotation=45, ha="right", fontsize=8)
        axis.set_yticks(range(len(ticks)), ticks, fontsize=8)
    if numbers is not None:
        for (r, c), value in np.ndenumerate(array):
            light = not signed and value > limits["vmin"] + 0.6 * (top - limits["vmin"])
            color = "#101218" if light or signed else "white"
            axis.text(
                c, r, format(value, numbers), ha="center", va="center", fontsize=7, color=color
            )
    else:
        scale = figure.colorbar(drawn, ax=axis, shrink=0.85, pad=0.02)
        scale.outline.set_visible(False)
        scale.ax.tick_params(labelsize=7)
    return Picture(figure)


def confusion(counts: Any, classes: Sequence[str]) -> Picture:
    """What each class (row) was taken for (column), in images."""
    return matrix(counts, "predicted", "true", inches=4.4, ticks=classes, numbers=".0f")


@mpl.rc_context(STYLE)
def lines(
    series: Mapping[str, tuple[Any, Any]], x: str, y: str, logx: bool = False, logy: bool = False,
    markers: bool = False, width: float = 4.6, height: float = 2.8, base: float = 10,
    joined: bool = True,
) -> Picture:  # fmt: skip
    """Curves with a legend of their names; x and y are the axes' symbols and units.

    Points that are no curve are not `joined`: then only their markers are drawn. Curves of which
    there are more than colors are dashed the second time round.
    """
    figure, axes = canvas(width, height)
    axis = axes[0, 0]
    for i, (name, (xs, ys)) in enumerate(series.items()):
        look = {"marker": "o" if markers or not joined else None, "markersize": 4}
        style = ("-", "--", ":")[i // len(COLORS) % 3] if joined else "none"
        axis.plot(xs, ys, label=name, linestyle=style, **look)
    if logx:
        axis.set_xscale("log", base=base)
    if logy:
        axis.set_yscale("log", base=base)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.grid(True)
    if len(series) > 1:
        axis.legend(fontsize=8)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def bars(
    values: Mapping[str, float], x: str, errors: Mapping[str, float] | None = None,
    lit: Sequence[str] = (), width: float = 4.6,
) -> Picture:  # fmt: skip
    """Horizontal bars, one a name, with the value at its end and its spread where given."""
    figure, axes = canvas(width, 0.26 * len(values) + 0.6)
    axis = axes[0, 0]
    names = list(values)
    spread = [errors[n] for n in names] if errors else None
    colors = [LIT if n in lit else BLUE for n in names]
    drawn = axis.barh(
        names, list(values.values()), xerr=spread, color=colors, ecolor=INK, height=0.62
    )
    axis.bar_label(drawn, fmt="{:.3g}", padding=3, fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.14)
    axis.set_xlabel(x)
    axis.tick_params(axis="y", length=0, labelsize=8)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def intervals(panels: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> Picture:
    """Means with their intervals (mean, low, high): a panel for each quantity, a row for each name.

    All panels have one scale. Hollow and gray is a mean whose interval holds 0.
    """
    most = max(map(len, panels.values()))
    figure, axes = canvas(7.6, 0.3 * most + 0.7, 1, len(panels), sharex=True)
    for axis, (quantity, rows) in zip(axes.flat, panels.items(), strict=True):
        axis.axvline(0, color=INK, linewidth=1)
        for row, (mean, low, high) in enumerate(rows.values()):
            color = INK if low <= 0 <= high else BLUE
            axis.plot([low, high], [row, row], color=color)
            face = {"markerfacecolor": "none"} if color == INK else {}
            axis.plot(mean, row, "o", color=color, markersize=6, **face)
        axis.set_yticks(range(len(rows)), list(rows), fontsize=8)
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(most - 0.4, -0.6)
        axis.grid(True, axis="x")
        axis.set_axisbelow(True)
        axis.set_xlabel(quantity)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def reliability(bins: Sequence[Mapping[str, float]]) -> Picture:
    """Accuracy over confidence, a dot for each bin with two standard errors, and how many it holds.

    A bin goes from `low` to `high`, and has the mean `confidence`, the `accuracy` and the number of
    `images`. On the line confidence and accuracy are equal.
    """
    figure, axes = canvas(7.6, 3.0, 1, 2)
    confidence, accuracy, images, low, high = (
        np.array([row[name] for row in bins])
        for name in ("confidence", "accuracy", "images", "low", "high")
    )
    left, right = axes.flat
    left.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    error = 2 * np.sqrt(accuracy * (1 - accuracy) / images)
    left.errorbar(confidence, accuracy, error, fmt="o", markersize=4, color=BLUE, linewidth=1.2)
    left.set_ylim(-0.02, 1.02)
    left.set_ylabel("accuracy")
    right.bar(low, images, 0.9 * (high - low), align="edge", color=BLUE)
    right.set_ylabel("images")
    for axis in (left, right):
        axis.set_xlim(0, 1.02)
        axis.set_xlabel("confidence")
        axis.grid(True)
        axis.set_axisbelow(True)
    return Picture(figure, colors=64)


def overlay(
    image: Any, weights: Sequence[Any], labels: Sequence[str] | None = None, inches: float = 1.5,
    columns: int = 8,
) -> Picture:  # fmt: skip
    """An image, then the same image darkened where each map of patch weights is small."""
    picture = picture_of(image)
    H, W = picture.shape[:2]
    rgb = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    shown = [rgb]
    for map_ in weights:
        array = np.asarray(map_, dtype=np.float32)
        smooth = np.asarray(
            Image.fromarray(array / array.max()).resize((W, H), Image.Resampling.BICUBIC)
        )
        shown.append(rgb * np.clip(smooth, 0, 1)[..., None] * 0.9 + 0.1 * rgb)
    return images(shown, labels, columns, inches)


@mpl.rc_context(STYLE)
def curves(runs: Sequence[Any]) -> Picture:
    """Loss and test accuracy of training runs (vitlit.records.Run) over epochs, a color a preset.

    The axis is logarithmic where some runs are much longer than others.
    """
    figure, axes = canvas(7.6, 2.8, 1, 2)
    for run, look in _looks(runs):
        epochs = run.metrics["epoch"]
        axes[0, 0].plot(epochs, run.metrics["train_loss"], **look)
        axes[0, 1].plot(epochs, [100 * a for a in run.metrics["test_accuracy"]], **look)
    for axis, name in zip(axes.flat, ("training loss", "test accuracy / %"), strict=True):
        _logarithmic_if_needed(axis, [run.metrics["epoch"][-1] for run in runs])
        axis.set_xlabel("epoch")
        axis.set_ylabel(name)
        axis.grid(True)
    axes[0, 1].legend(fontsize=8)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def accuracy_over_time(runs: Sequence[Any]) -> Picture:
    """Test accuracy of training runs (vitlit.records.Run) over minutes of training.

    The axis is logarithmic where some runs are much longer than others.
    """
    figure, axes = canvas(5.2, 2.8)
    axis = axes[0, 0]
    for run, look in _looks(runs):
        minutes = [seconds / 60 for seconds in run.metrics["seconds"]]
        axis.plot(minutes, [100 * a for a in run.metrics["test_accuracy"]], **look)
    _logarithmic_if_needed(axis, [run.metrics["seconds"][-1] for run in runs])
    axis.set_xlabel("training / min")
    axis.set_ylabel("test accuracy / %")
    axis.grid(True)
    axis.legend(fontsize=8)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def accuracy_over_images(groups: Mapping[str, Mapping[int, Sequence[Any]]]) -> Picture:
    """Test accuracy over the number of training images, a curve a model or way to train.

    `groups` holds runs by that and by number (vitlit.studies.by_images and vitlit.studies.by_way).
    The line is the mean of the seeds, a dot is a seed.
    """
    figure, axes = canvas(5.2, 2.9)
    axis = axes[0, 0]
    _means(axis, groups, _accuracy)
    axis.set_xlabel("training images")
    axis.set_ylabel("test accuracy / %")
    axis.legend(fontsize=8)
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def results_over_steps(groups: Mapping[int, Mapping[int, Sequence[Any]]]) -> Picture:
    """Training loss and test accuracy over the number of steps, a curve a number of images.

    `groups` holds runs by images and steps (vitlit.studies.by_steps). The line is the mean of the
    seeds, a dot is a seed.
    """
    figure, axes = canvas(7.0, 2.9, 1, 2)
    named = {f"{images:,}": steps for images, steps in groups.items()}
    _means(axes[0, 0], named, lambda run: run.metrics["train_loss"][-1])
    _means(axes[0, 1], named, _accuracy)
    for axis, label in zip(axes.flat, ("training loss", "test accuracy / %"), strict=True):
        axis.set_xlabel("steps")
        axis.set_ylabel(label)
    axes[0, 0].legend(title="training images", fontsize=8, title_fontsize=8)
    return Picture(figure, colors=64)


def _accuracy(run: Any) -> float:
    """In percent."""
    return 100 * run.summary["test_accuracy"]


def _means(
    axis: Axes, groups: Mapping[str, Mapping[int, Sequence[Any]]], value: Callable[[Any], float]
) -> None:
    """A curve a group through the means of its runs over a number, and a dot a run."""
    for (name, runs), color in zip(groups.items(), COLORS, strict=False):
        found = {n: [value(run) for run in runs[n]] for n in runs}
        axis.plot(list(found), [np.mean(a) for a in found.values()], color=color, label=name)
        for count, values in found.items():
            axis.plot([count] * len(values), values, ".", color=color, markersize=5)
    _logarithmic_if_needed(axis, [float(n) for runs in groups.values() for n in runs])
    if len(numbers := sorted({n for runs in groups.values() for n in runs})) < 5:
        axis.set_xticks(numbers)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.grid(True)


def _looks(runs: Sequence[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Each run with its look: color and label of its preset, labeled once, a dot at the end.

    Presets of which there are more than colors are dashed the second time round.
    """
    presets = list(dict.fromkeys(run.summary["preset"] for run in runs))
    labeled = set()
    for run in runs:
        preset = run.summary["preset"]
        again, color = divmod(presets.index(preset), len(COLORS))
        look: dict[str, Any] = {
            "color": COLORS[color],
            "linestyle": ("-", "--", ":")[again % 3],
            "marker": "o",
        }
        look |= {"markersize": 4, "markevery": [-1]}
        yield run, {**look, "label": f"_{preset}" if preset in labeled else preset}
        labeled.add(preset)


def _logarithmic_if_needed(axis: Axes, lengths: Sequence[float]) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2 and 5, or leave it linear."""
    if max(lengths) < 4 * min(lengths):
        return
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter("{x:g}")
    axis.tick_params(axis="x", labelsize=8)


@mpl.rc_context(STYLE)
def ablations(effects: Sequence[Any]) -> Picture:
    """What changes to presets did (vitlit.studies.Effect), a row each, in the order given.

    A dot is a seed, the marker the mean; the bar around it is as long as its limit to both sides,
    so that a bar which reaches zero is no effect that can be told from chance. Such a marker is
    hollow. Of several presets each has a color, and their rows for one change stand together.
    """
    presets = list(dict.fromkeys(effect.preset for effect in effects))
    variants = list(dict.fromkeys(effect.variant for effect in effects))
    share = 0.8 / len(presets)
    figure, axes = canvas(5.4, (0.15 + 0.15 * len(presets)) * len(variants) + 0.9)
    axis = axes[0, 0]
    axis.axvline(0, color=INK, linewidth=1)
    for effect in effects:
        place = presets.index(effect.preset)
        row = variants.index(effect.variant) + share * (place - (len(presets) - 1) / 2)
        color = (BLUE, LIT, TEAL)[place % 3]
        limit = effect.limit if math.isfinite(effect.limit) else 0.0
        axis.barh(row, 2 * limit, 0.5 * share, effect.mean - limit, color=color, alpha=0.3)
        face = color if effect.measurable else "none"
        axis.plot(effect.mean, row, "o", color=color, markerfacecolor=face, markersize=5)
        # The dots lie below the bar, so that the mean hides none of them.
        below = np.full(len(effect.differences), row + 0.42 * share)
        axis.plot(effect.differences, below, ".", color=color, markersize=3)
    if len(presets) > 1:
        marks = [axis.plot([], [], "o", color=c)[0] for c in (BLUE, LIT, TEAL)[: len(presets)]]
        figure.legend(marks, presets, loc="outside lower center", ncols=len(presets), fontsize=8)
    axis.set_yticks(range(len(variants)), variants, fontsize=8)
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(variants) - 0.4, -0.6)
    axis.grid(True, axis="x")
    axis.set_axisbelow(True)
    axis.set_xlabel("Δ test accuracy / percentage points")
    return Picture(figure, colors=64)


@mpl.rc_context(STYLE)
def lookup(
    image: Any, query: int, weights: Sequence[Any], labels: Sequence[str] | None = None,
    top: float | None = None, inches: float = 1.5,
) -> Picture:  # fmt: skip
    """An image with one patch framed, then the image in gray, colored where its weights are large.

    A weight of `top` (if not given: the largest of its map) or more has the full color.
    """
    picture = picture_of(image)
    picture = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, 2)
    H, W = picture.shape[:2]
    gray = 0.25 + 0.5 * picture.mean(axis=2, keepdims=True)
    maps = [np.asarray(map_, dtype=float) for map_ in weights]
    rows, columns = maps[0].shape
    high, wide = H // rows, W // columns
    height = inches * H / W + (0.25 if labels else 0.05)
    figure, axes = canvas((len(maps) + 1) * inches, height, 1, len(maps) + 1)
    r, c = divmod(query, columns)
    for i, axis in enumerate(axes.flat):
        shown = picture
        if i:
            alpha = np.clip(maps[i - 1] / (top or maps[i - 1].max()), 0, 1)
            alpha = np.kron(0.85 * alpha, np.ones((high, wide)))[..., None]
            shown = gray * (1 - alpha) + np.array(GLOW) * alpha
        _show(axis, shown)
        corner = (c * wide - 0.5, r * high - 0.5)
        axis.add_patch(Rectangle(corner, wide, high, fill=False, edgecolor=LIT, linewidth=1.6))
        if labels:
            axis.set_xlabel(labels[i], fontsize=8)
    return Picture(figure, colors=256)


@mpl.rc_context(STYLE)
def position_maps(
    maps: Sequence[Any], labels: Sequence[str] | None = None, inches: float = 2.6
) -> Picture:
    """Grids of small maps, one grid for each array of shape (rows, columns, rows, columns).

    The map in row r and column c shows array[r, c]; it stands where its position is. Each grid has
    its own scale, drawn below it.
    """
    arrays = [np.asarray(array, dtype=float) for array in maps]
    rows, columns = arrays[0].shape[:2]
    figure, axes = canvas(len(arrays) * inches, inches * rows / columns + 0.55, 1, len(arrays))
    figure.set_layout_engine("constrained", wspace=0.06)
    for i, (axis, array) in enumerate(zip(axes.flat, arrays, strict=True)):
        framed = np.pad(array, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
        tiled = framed.transpose(0, 2, 1, 3).reshape(rows * framed.shape[2], -1)[:-1, :-1]
        drawn = _show(axis, tiled, cmap=HEAT, vmin=array.min(), vmax=array.max())
        scale = figure.colorbar(drawn, ax=axis, location="bottom", shrink=0.6, aspect=24, pad=0.03)
        scale.outline.set_visible(False)
        scale.ax.tick_params(labelsize=7)
        if labels:
            axis.set_title(labels[i])
    return Picture(figure)
