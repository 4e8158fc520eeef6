"""Files of all kinds as a reader may drop them, against what `vitlit predict` makes of them."""

import base64
import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from vitlit.data import open_rgb
from website import ROOT

CAT = ROOT / "docs/assets/images/cat.jpg"
SCRIPT = '<svg xmlns="http://www.w3.org/2000/svg"><script>window.ran = true</script></svg>'
STALLED_MS = 1000


def saved(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def cat(width: int = 300) -> Image.Image:
    with Image.open(CAT) as opened:
        return opened.convert("RGB").resize((width, width * 2 // 3))


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(cat(), "JPEG", quality=95, exif=exif)


def deep(image: Image.Image) -> Image.Image:
    """Gray of 16 bits."""
    return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)


def translucent() -> Image.Image:
    image = cat().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    return image


def blank(height: int, width: int) -> bytes:
    """A PNG with this size in its header and hardly any content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


PICTURES = {
    "jpeg": saved(cat(), "JPEG", quality=95),
    "large jpeg": saved(cat(3000), "JPEG", quality=90),
    "progressive": saved(cat(), "JPEG", quality=95, progressive=True),
    "png": saved(cat(), "PNG"),
    "webp": saved(cat(), "WEBP", lossless=True),
    "bmp": saved(cat(), "BMP"),
    "palette": saved(cat().quantize(64), "PNG"),
    "gray": saved(cat().convert("L"), "PNG"),
    "gray of 16 bits": saved(
        Image.fromarray(np.asarray(cat().convert("L"), np.uint16) * 257), "PNG"
    ),
    "transparent": saved(translucent(), "PNG"),
    "cmyk": saved(cat().convert("CMYK"), "JPEG", quality=95),
    "animated": saved(cat(), "GIF", save_all=True, append_images=[Image.new("RGB", (300, 200))]),
    "one pixel": saved(Image.new("RGB", (1, 1), (200, 30, 90)), "PNG"),
    "a line": saved(cat().resize((900, 1)), "PNG"),
    **{f"turned {way}": turned(way) for way in range(1, 9)},
}
# Levels that may lie between the two: decoders of JPEG differ by one, shrinking ones by more.
APART = {"large jpeg": 4, "cmyk": 3}


def fitted(engine, content: bytes):
    return engine.evaluate("fit", base64.b64encode(content).decode())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_becomes_what_predict_makes_of_it(engine, tmp_path, name):
    (tmp_path / "picture").write_bytes(PICTURES[name])
    expected = open_rgb(tmp_path / "picture", 32).numpy().astype(int)
    found = fitted(engine, PICTURES[name])
    assert isinstance(found, str), found
    pixels = np.frombuffer(base64.b64decode(found), np.uint8).reshape(expected.shape)
    apart = np.abs(pixels - expected)
    assert apart.max() <= APART.get(name, 2), f"{apart.max()} levels, {apart.mean():.2f} on average"
    assert apart.mean() < 1


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "picture_none"),
        (b"A letter, renamed to holiday.jpg", "picture_none"),
        (b"<!doctype html><title>404</title>", "picture_none"),
        (SCRIPT.encode(), "picture_svg"),
        (f'<?xml version="1.0"?>\n<!-- a drawing -->\n{SCRIPT}'.encode(), "picture_svg"),
        (blank(10_001, 10_000), "picture_large"),
        (blank(40_000, 40_000), "picture_large"),
        (blank(20, 20), "picture_broken"),
        (PICTURES["png"][:60], "picture_broken"),
        (PICTURES["jpeg"][:120], "picture_broken"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 300, "picture_heic"),
    ],
    ids=["empty", "text", "html", "svg", "svg behind xml", "100 megapixels", "bomb", "no content",
         "truncated png", "truncated jpeg", "heic"],
)  # fmt: skip
def test_what_is_no_picture_is_named_and_nothing_runs(engine, content, code):
    assert fitted(engine, content)["code"] == code
    assert engine.evaluate("window.ran") is None


def test_a_large_picture_does_not_stall_the_page(engine, in_time):
    """36 megapixels; the page hears of it while the worker decodes."""
    content = saved(Image.fromarray(np.zeros((6000, 6000, 3), np.uint8)), "PNG")
    answer = engine.evaluate("stalled", base64.b64encode(content).decode())
    assert answer["answer"] == "fitted"
    in_time("the longest that a page stood still", answer["longest"], STALLED_MS, "ms")
