"""vitlit.figures: arrays in, pictures out."""

import inspect
import re
from io import BytesIO
from types import SimpleNamespace
from urllib.parse import unquote
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from vitlit import figures
from vitlit.charts import BLUE, COLORS, Axis
from vitlit.panels import INK, png, width_of

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
    "attention": lambda: figures.attention([MAP, MAP], ["a", "b"]),
    "position_maps": lambda: figures.position_maps([np.eye(4).reshape(2, 2, 2, 2)], ["a"]),
    "lookup": lambda: figures.lookup(RGB, 4, [MAP], ["", "a"], top=0.5),
    "matrix": lambda: figures.matrix(GRAY, "x", "y"),
    "matrix of numbers": lambda: figures.matrix(GRAY[:3, :3], ticks="abc", numbers=".1f"),
    "confusion": lambda: figures.confusion([[3, 1], [0, 4]], ["cat", "dog"]),
    "lines": lambda: figures.lines({"a": ([1, 2], [3, 4]), "b": ([1, 2], [1, 9])}, "x", "y"),
    "lines, not joined": lambda: figures.lines({"a": ([1, 2], [3, 4])}, "x", "y", joined=False),
    "lines, logarithmic": lambda: figures.lines({"a": ([1, 2], [3, 4])}, "x", "y", True, True),
    "lines, more than colors": lambda: figures.lines(
        {str(k): ([1, 2], [k, 2 * k]) for k in range(len(COLORS) + 1)}, "x", "y"
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
    "sequences": lambda: figures.sequences({"a": ["*", "1", "(2)"], "b": ["*", "1", "m"]}),
    "ablations of two": lambda: figures.ablations([effect(1.0), effect(2.0, preset="half")]),
}


def drawings(picture):
    """The panels of a picture as elements, read from what Jupyter shows."""
    shown = re.findall(r'src="data:image/svg\+xml,([^"]+)"', picture._repr_html_())
    return [ElementTree.fromstring(unquote(svg)) for svg in shown]


def elements(picture, name):
    """All elements of a name in a picture."""
    return [
        e for svg in drawings(picture) for e in svg.iter(f"{{http://www.w3.org/2000/svg}}{name}")
    ]


def words_of(picture):
    return [element.text for element in elements(picture, "text")]


@pytest.mark.parametrize("name", list(DRAWN))
def test_a_figure_is_small_svg_and_the_same_every_time(name):
    picture = DRAWN[name]()
    html = picture._repr_html_()
    assert len(html) < 20_000
    assert html == DRAWN[name]()._repr_html_()
    assert len(drawings(picture)) == len(picture.panels)
    assert sum(len(elements(picture, kind)) for kind in ("path", "image", "line", "rect")) > 0
    assert all(map(np.array_equal, (RGB, GRAY, MAP), INPUTS))


@pytest.mark.parametrize("name", list(DRAWN))
def test_words_are_words_and_places_are_within_the_frame(name):
    picture = DRAWN[name]()
    assert not any(re.search(r"[$\\{}]", words) for words in words_of(picture))
    for element in elements(picture, "circle"):
        assert 0 <= float(element.get("cx", "0").rstrip("%")) <= 100
    assert '"' not in "".join(panel.svg() for panel in picture.panels)


def test_a_picture_is_shown_where_a_notebook_is_not_trusted():
    """JupyterLab then keeps images, and drops drawings that stand in the page themselves."""
    html = figures.pipeline("head")._repr_html_()
    assert html.count('<img alt="" width="124" height="58" src="data:image/svg+xml,') == 6
    assert "<svg" not in html


def test_bitmaps_are_saved_with_their_labels(tmp_path):
    figures.overlay(RGB, [MAP, MAP], ["image", "a", "b"]).save(tmp_path / "seen.png")
    image = Image.open(tmp_path / "seen.png")
    assert image.format == "PNG"
    assert image.width > 3 * image.height / 2
    assert len(image.getcolors(1 << 20)) > 20


def test_an_axis_has_round_numbers_and_room_for_them():
    def written(*values, **how):
        return [words for _, words in Axis("", values, **how).ticks]

    assert written(0, 97) == ["0", "25", "50", "75", "100"]
    assert written(1e3, 5e4, base=10)[0] == "1,000"
    assert written(2**-5, 2**20, base=2)[0] == "2⁻⁶"
    assert sum(map(width_of, written(1, 4, ticks=range(10_000_000, 10_000_020)))) < 310


def test_on_a_narrow_page_labels_do_not_touch():
    picture = figures.images([RGB] * 8, ["a label of some length"] * 8)
    assert picture.columns == 8
    assert picture.narrow * width_of("a label of some length") <= 310
    assert figures.heatmaps([GRAY] * 12, columns=12).narrow == 12


def test_a_preset_has_one_color_and_one_name_however_many_seeds():
    looks = [look for _, *look in figures._looks([run("cpu"), run("gpu"), run("cpu")])]
    assert [name for *_, name in looks] == ["cpu", "gpu", ""]
    assert looks[0][0] == looks[2][0] != looks[1][0]


def test_more_presets_than_colors_still_differ():
    names = [f"preset {k}" for k in range(2 * len(COLORS))]
    looks = [look for _, *look in figures._looks([run(name) for name in names])]
    assert len({(color, dash) for color, dash, _ in looks}) == len(names)


def test_a_run_of_one_row_can_be_seen():
    for panel in figures.curves([run(epochs=1)]).panels:
        assert panel.body.count("<circle") == 1


@pytest.mark.parametrize("measurable", [True, False])
def test_an_effect_that_cannot_be_told_from_chance_is_hollow(measurable):
    picture = figures.ablations([effect(-1.0, -2.0, measurable=measurable)])
    [mean] = [dot for dot in elements(picture, "circle") if dot.get("r") == "3.5"]
    assert ("fill:none" in mean.get("style")) is not measurable


@pytest.mark.parametrize(("low", "blue"), [(0.1, True), (-0.1, False)])
def test_an_interval_that_holds_zero_has_no_color(low, blue):
    picture = figures.intervals({"x": {"a": (0.5, low, 0.9)}})
    assert (BLUE in picture.panels[0].body) is blue


@pytest.mark.parametrize("part", [*figures.PARTS, "all", None])
def test_the_part_is_lit_that_was_asked_for(part):
    lit = [p.body.partition("part-")[2].partition("'")[0]
           for p in figures.pipeline(part).panels if "lit-text" in p.body]  # fmt: skip
    assert lit == (list(figures.PARTS) if part == "all" else [part] if part else [])


def test_a_token_that_is_left_out_is_dashed_and_a_sign_is_filled():
    picture = figures.sequences({"a": ["*", "1", "(2)", "m"]})
    assert words_of(picture) == ["a", "*", "1", "2", "m"]
    class_token, patch, gone, sign = (e.get("style") for e in elements(picture, "rect"))
    assert ["fill:none" in style for style in (class_token, patch, gone, sign)] == [0, 1, 1, 0]
    assert ["dash" in style for style in (class_token, patch, gone, sign)] == [0, 0, 1, 0]
    assert class_token != sign


def test_attention_is_yellow_wherever_it_is_drawn():
    def yellow(pixels):
        red, green, blue = np.asarray(pixels)[..., :3].reshape(-1, 3).max(axis=0).astype(int)
        return red > 200 and green > 140 and blue < 160

    map_ = np.eye(4)
    assert yellow(figures.attention([map_]).panels[0].pixels)
    black = np.zeros((3, 8, 8))
    assert yellow(figures.overlay(black, [map_]).panels[1].pixels)
    assert yellow(figures.lookup(black, 0, [map_]).panels[1].pixels)


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


def contrast(a, b):
    light, dark = sorted(figures._luminance(np.array(figures._rgb(c))) for c in (a, b))[::-1]
    return (light + 0.05) / (dark + 0.05)


def test_colors_can_be_read_on_a_light_and_on_a_dark_page():
    for page in ("#ffffff", "#000000"):
        ink, *colors = (color[-8:-1] for color in (INK, *COLORS))
        assert contrast(ink, page) >= 4
        assert all(contrast(color, page) >= 3 for color in colors)


@pytest.mark.parametrize("signed", [True, False])
def test_a_number_can_be_read_in_its_cell(signed):
    values = np.linspace(-1, 1, 64).reshape(8, 8)
    [panel] = figures.matrix(values, signed=signed, numbers=".1f").panels
    inks = re.findall(r"fill:(#\w+);font-size", panel.body)
    for ink, cell in zip(inks, panel.pixels.reshape(-1, 4), strict=True):
        color = "#" + bytes(cell[:3].tolist()).hex()
        assert contrast(ink + ink[1:], color) >= 4.5


def test_figures_are_documented():
    for name, function in inspect.getmembers(figures, inspect.isfunction):
        if function.__module__ == figures.__name__ and not name.startswith("_"):
            assert function.__doc__, name


def test_a_bitmap_of_few_colors_loses_nothing():
    pixels = RANDOM.integers(0, 2, (5, 7, 4), dtype=np.uint8) * 255
    stored = np.asarray(Image.open(BytesIO(png(pixels))).convert("RGBA"))
    np.testing.assert_array_equal(stored, pixels)
    many = RANDOM.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert len(Image.open(BytesIO(png(many))).convert("RGB").getcolors(1 << 20)) <= 256
