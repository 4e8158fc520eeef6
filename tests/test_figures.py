"""vitlit.figures: arrays in, pictures out."""

import inspect
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from vitlit import figures
from vitlit.figures import Picture

RANDOM = np.random.default_rng(0)
RGB = RANDOM.random((3, 8, 12))
GRAY = RANDOM.random((8, 12))
MAP = RANDOM.random((2, 3))
INPUTS = RGB.copy(), GRAY.copy(), MAP.copy()


def run(preset="cpu", epochs=2):
    """What the figures need of a record."""
    rows = range(1, epochs + 1)
    return SimpleNamespace(
        path=preset,
        summary={"preset": preset, "test_accuracy": 0.4},
        metrics={
            "epoch": [float(row) for row in rows],
            "train_loss": [2 / row for row in rows],
            "test_accuracy": [0.4 * row / epochs for row in rows],
            "seconds": [60.0 * row for row in rows],
        },
    )


def effect(*differences, measurable=True, limit=0.5, preset="ablation"):
    """What the figures need of an effect."""
    return SimpleNamespace(
        variant="positions=none", preset=preset, differences=differences,
        mean=sum(differences) / len(differences), limit=limit, measurable=measurable,
    )  # fmt: skip


DRAWN = {
    "images": lambda: figures.images([RGB, GRAY], ["a", "b"]),
    "images in rows": lambda: figures.images([RGB] * 5, columns=2),
    "patch_grid": lambda: figures.patch_grid(RGB, 4, lit=[1], numbers=True),
    "pipeline": lambda: figures.pipeline("encoder"),
    "heatmaps": lambda: figures.heatmaps([GRAY, GRAY], ["a", "b"], bar=True),
    "heatmaps, signed": lambda: figures.heatmaps([GRAY - 1], signed=True, shared=False),
    "matrix": lambda: figures.matrix(GRAY, "x", "y"),
    "matrix of numbers": lambda: figures.matrix(GRAY[:3, :3], ticks="abc", numbers=".1f"),
    "confusion": lambda: figures.confusion([[3, 1], [0, 4]], ["cat", "dog"]),
    "lines": lambda: figures.lines({"a": ([1, 2], [3, 4]), "b": ([1, 2], [1, 9])}, "x", "y"),
    "lines, not joined": lambda: figures.lines({"a": ([1, 2], [3, 4])}, "x", "y", joined=False),
    "lines, logarithmic": lambda: figures.lines({"a": ([1, 2], [3, 4])}, "x", "y", True, True),
    "lines, more than colors": lambda: figures.lines(
        {str(k): ([1, 2], [k, 2 * k]) for k in range(len(figures.COLORS) + 1)}, "x", "y"
    ),
    "intervals": lambda: figures.intervals(
        {"x": {"a": (0.5, 0.4, 0.6), "b": (0.1, -0.1, 0.3)}, "y": {"a": (-1.0, -2.0, -0.5)}}
    ),
    "reliability": lambda: figures.reliability(
        [
            {"low": 0.4, "high": 0.6, "confidence": 0.5, "accuracy": 0.4, "images": 9},
            {"low": 0.6, "high": 1.0, "confidence": 0.9, "accuracy": 1.0, "images": 20},
        ]
    ),
    "bars": lambda: figures.bars({"a": 1.0, "b": 2.0}, "x", {"a": 0.1, "b": 0.2}, lit=["a"]),
    "overlay": lambda: figures.overlay(RGB, [MAP], ["image", "head 1"]),
    "overlay on gray": lambda: figures.overlay(GRAY, [MAP]),
    "curves": lambda: figures.curves([run()]),
    "curves of all lengths": lambda: figures.curves([run(), run(), run("gpu", 40)]),
    "accuracy_over_time": lambda: figures.accuracy_over_time([run(), run("gpu", 4)]),
    "accuracy_over_time, long": lambda: figures.accuracy_over_time([run(), run("gpu", 40)]),
    "accuracy_over_images": lambda: figures.accuracy_over_images(
        {"vit": {1000: [run(), run()], 50_000: [run()]}, "resnet": {1000: [run()]}}
    ),
    "results_over_steps": lambda: figures.results_over_steps(
        {10_000: {1: [run()], 2: [run(), run()]}, 50_000: {1: [run()], 4: [run()]}}
    ),
    "ablations": lambda: figures.ablations([effect(-3.0, -2.0), effect(0.3, -0.3)]),
    "ablations, one seed": lambda: figures.ablations([effect(1.0, limit=float("inf"))]),
    "ablations of two": lambda: figures.ablations([effect(1.0), effect(2.0, preset="half")]),
}


@pytest.mark.parametrize("name", list(DRAWN))
def test_a_figure_is_a_small_transparent_png_and_the_same_every_time(name):
    picture = DRAWN[name]()
    image = Image.open(BytesIO(picture.png))
    assert image.format == "PNG"
    assert len(picture.png) < 60_000
    rgba = np.asarray(image.convert("RGBA"))
    assert (rgba[..., 3] == 0).any()
    assert rgba[rgba[..., 3] > 0].std() > 5
    assert picture.png == DRAWN[name]().png
    assert all(map(np.array_equal, (RGB, GRAY, MAP), INPUTS))


def test_jupyter_shows_a_picture_at_the_size_of_the_page(tmp_path):
    picture = figures.pipeline("head")
    content, size = picture._repr_png_()
    assert content == picture.png
    width, height = Image.open(BytesIO(content)).size
    assert size == {"width": width * 96 // figures.DPI, "height": height * 96 // figures.DPI}
    assert repr(picture) == f"<Picture {size['width']}×{size['height']}>"
    picture.save(tmp_path / "head.png")
    assert (tmp_path / "head.png").read_bytes() == content


def test_a_preset_has_one_color_and_one_label_however_many_seeds():
    looks = [look for _, look in figures._looks([run("cpu"), run("gpu"), run("cpu")])]
    assert [look["label"] for look in looks] == ["cpu", "gpu", "_cpu"]
    assert looks[0]["color"] == looks[2]["color"] != looks[1]["color"]


def test_more_presets_than_colors_still_differ():
    names = [f"preset {k}" for k in range(2 * len(figures.COLORS))]
    looks = [look for _, look in figures._looks([run(name) for name in names])]
    assert len({(look["color"], look["linestyle"]) for look in looks}) == len(names)


def test_a_run_of_one_row_can_be_seen():
    assert figures.curves([run(epochs=1)]).png != figures.curves([run("another", 1)]).png
    inked = np.asarray(Image.open(BytesIO(figures.curves([run("cpu", 1)]).png)).convert("RGBA"))
    orange = np.abs(inked[..., :3].astype(int) - (0xD9, 0x69, 0x2B)).sum(-1) < 40
    panels = np.split(orange, 2, axis=1)
    assert all(panel.any() for panel in panels)


def test_an_effect_that_cannot_be_told_from_chance_is_hollow():
    inked = []
    for measurable in (True, False):
        picture = figures.ablations([effect(-1.0, -2.0, measurable=measurable)])
        pixels = np.asarray(Image.open(BytesIO(picture.png)).convert("RGBA")).astype(int)
        inked.append(((pixels[..., 2] - pixels[..., 0] > 60) & (pixels[..., 3] > 200)).sum())
    assert inked[0] > 1.5 * inked[1]


@pytest.mark.parametrize(("low", "blue"), [(0.1, True), (-0.1, False)])
def test_an_interval_that_holds_zero_has_no_color(low, blue):
    picture = figures.intervals({"x": {"a": (0.5, low, 0.9)}})
    pixels = np.asarray(Image.open(BytesIO(picture.png)).convert("RGBA")).astype(int)
    solid = pixels[pixels[..., 3] > 200]
    assert (solid[:, 2] - solid[:, 0] > 60).any() == blue


def test_another_part_is_lit_in_every_pipeline():
    drawn = [figures.pipeline(part).png for part in ("patches", "head", None)]
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    "image",
    [
        (RGB * 255).astype(np.uint8),
        RGB,
        RGB.transpose(1, 2, 0),
        RGB.astype(np.float32),
    ],
    ids=["bytes", "C×H×W", "H×W×C", "float32"],
)
def test_any_form_of_an_image_is_understood(image):
    shown = figures.picture_of(image)
    assert shown.shape == (8, 12, 3)
    np.testing.assert_allclose(shown, RGB.transpose(1, 2, 0), atol=1 / 255)


def test_gray_images_lose_their_channel_and_values_are_cut_off():
    assert figures.picture_of(GRAY[None]).shape == (8, 12)
    assert figures.picture_of(GRAY[..., None]).shape == (8, 12)
    assert figures.picture_of(np.array([[-1.0, 2.0]])).tolist() == [[0.0, 1.0]]


def test_chelsea_is_a_square_cat():
    whole, small = figures.chelsea(), figures.chelsea(32)
    assert (whole.shape, small.shape) == ((3, 300, 300), (3, 32, 32))
    assert whole.dtype == small.dtype == np.uint8
    np.testing.assert_allclose(whole.mean((1, 2)), small.mean((1, 2)), atol=2)
    red, green, blue = whole.mean((1, 2))
    assert red > green > blue


def test_colors_can_be_read_on_a_light_and_on_a_dark_page():
    def luminance(color):
        channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return np.dot(linear, (0.2126, 0.7152, 0.0722))

    def contrast(a, b):
        light, dark = sorted((luminance(a), luminance(b)), reverse=True)
        return (light + 0.05) / (dark + 0.05)

    for page in ("#ffffff", "#000000"):
        assert contrast(figures.INK, page) >= 4
        assert all(contrast(color, page) >= 3 for color in figures.COLORS)


def test_figures_are_documented():
    for name, function in inspect.getmembers(figures, inspect.isfunction):
        if function.__module__ == figures.__name__ and not name.startswith("_"):
            assert function.__doc__, name


def test_a_picture_has_no_more_colors_than_asked_for():
    figure, axes = figures.canvas(1.0, 1.0)
    axes[0, 0].imshow(RANDOM.random((20, 20, 3)))
    image = Image.open(BytesIO(Picture(figure, colors=16).png)).convert("RGBA")
    assert len(image.getcolors(1 << 20)) <= 16
