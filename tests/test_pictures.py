"""What any picture file becomes, and what is refused by name."""

import io
import os
import struct
import sys
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.archives import image_folder, picture
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from vitlit import pictures
from vitlit.data import load
from vitlit.pictures import DataError, PictureError, decode, open_rgb

GRAY = np.random.default_rng(0).integers(0, 256, (8, 10), dtype=np.uint8)


def encoded(image, kind, **how):
    stream = io.BytesIO()
    image.save(stream, kind, **how)
    return stream.getvalue()


def decoded(content, **how):
    return decode(io.BytesIO(content), "x.png", **how).pixels


def tiff(pixels, bits, *, white=1, kind=1, order="<"):
    """A gray TIFF of one strip: `white` 0 is inverted, `kind` 1 unsigned, 2 signed, 3 float."""
    height, width, short = 8, 10, 3
    tags = [
        (256, short, width), (257, short, height), (258, short, bits), (259, short, 1),
        (262, short, white), (273, 4, 8), (277, short, 1), (278, short, height),
        (279, 4, len(pixels)), (339, short, kind),
    ]  # fmt: skip
    entries = b""
    for tag, form, value in tags:
        packed = struct.pack(order + ("I" if form == 4 else "Hxx"), value)
        entries += struct.pack(order + "HHI", tag, form, 1) + packed
    head = b"II*\0" if order == "<" else b"MM\0*"
    after = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return head + struct.pack(order + "I", 8 + len(pixels)) + pixels + after


# Pixels


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["png", "tiff", "ppm"])
def test_16_bits_are_scaled_to_8(kind, order):
    deep = (GRAY.astype(np.uint16) * 257).astype(f"{order}u2")
    content = tiff(deep.tobytes(), 16, order=order)
    if kind != "tiff":
        content = encoded(Image.fromarray(deep.astype(np.uint16)), kind)
    assert np.array_equal(decoded(content), GRAY)


def test_16_bits_are_rounded_not_cut_off():
    deep = (np.arange(64, dtype=np.uint16) * 1040).reshape(8, 8)
    assert np.array_equal(decoded(encoded(Image.fromarray(deep), "png")), (deep / 257).round())


def test_a_tiff_whose_white_is_zero_is_turned_round():
    for bits, kind in ((8, "u1"), (16, "<u2")):
        levels = GRAY.astype(kind) * (257 if bits == 16 else 1)
        content = tiff((2**bits - 1 - levels).astype(kind).tobytes(), bits, white=0)
        assert np.array_equal(decoded(content), GRAY)


def test_12_bits_are_scaled_to_8():
    levels = (GRAY.astype(int) * 4095 // 255).ravel()
    packed = bytearray()
    for a, b in levels.reshape(-1, 2):
        packed += bytes([a >> 4, (a & 15) << 4 | b >> 8, b & 255])
    assert np.array_equal(decoded(tiff(bytes(packed), 12)), GRAY)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "bits", "form", "words"),
    [
        ("u4", 32, 1, "signed or 32-bit integers"),
        ("i4", 32, 2, "signed or 32-bit integers"),
        ("i2", 16, 2, "signed or 32-bit integers"),
        ("i1", 8, 2, "signed or 32-bit integers"),
        ("f4", 32, 3, "floats"),
        ("f8", 64, 3, "of a kind that Pillow does not read"),
    ],
)
def test_pixels_without_a_known_white_are_refused(order, kind, bits, form, words):
    content = tiff((GRAY // 2).astype(order + kind).tobytes(), bits, kind=form, order=order)
    if (order, kind) == (">", "u4"):
        words = "of a kind that Pillow does not read"
    with pytest.raises(PictureError, match=f"x.png .*{words}.*remove it"):
        decoded(content)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "PA", "CMYK", "YCbCr"])
def test_every_mode_becomes_rgb_or_gray(mode):
    colors = ["black", "white"] if mode in ("1", "L", "LA") else ["red", "blue"]
    image = Image.new("RGB", (8, 8), colors[0])
    image.paste(colors[1], (4, 0, 8, 8))
    if mode in ("LA", "PA"):
        image = image.convert("RGBA")
    stored = image.convert("P").convert("PA") if mode == "PA" else image.convert(mode)
    opened = decoded(encoded(stored, "tiff"), mode="RGB").astype(int)
    wanted = [[0, 0, 0], [255, 255, 255]] if len(colors[0]) == 5 else [[255, 0, 0], [0, 0, 255]]
    assert abs(opened[0, [0, 7]] - wanted).max() <= 2


@pytest.mark.parametrize("kind", ["gif", "png", "webp", "tiff"])
def test_the_first_frame_counts(kind):
    red, blue = (Image.new("RGB", (8, 8), name) for name in ("red", "blue"))
    content = encoded(red, kind, save_all=True, append_images=[blue, blue])
    assert Image.open(io.BytesIO(content)).n_frames > 1
    opened = decoded(content).astype(int)
    assert abs(opened - [255, 0, 0]).max() <= 3


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_every_turn_of_exif_is_undone(kind, turn, mode):
    if (kind, mode) in {("jpeg", "RGBA"), ("webp", "L")}:
        pytest.skip("there is no such file")
    image = Image.new(mode, (48, 32), "black")
    image.paste("white", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = turn
    got = decode(io.BytesIO(encoded(image, kind, exif=exif)), "x")
    exif = Image.Exif()
    exif[0x0112] = turn
    if turn > 4:
        assert decode(io.BytesIO(encoded(image, kind, exif=exif)), "x", (8, 8)).size == got.size
    png = Image.open(io.BytesIO(encoded(image.convert("RGB"), "png", exif=exif)))
    want = np.asarray(ImageOps.exif_transpose(png))
    assert got.size == want.shape[:2] == ((32, 48) if turn < 5 else (48, 32))
    pixels = got.pixels if got.pixels.ndim == 3 else got.pixels[..., None].repeat(3, 2)
    assert abs(pixels.astype(int) - want).mean() < 3


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_damaged_exif_does_not_make_a_picture_unreadable(kind):
    content = encoded(picture(), kind, exif=b"Exif\0\0this is none")
    assert np.array_equal(decoded(content), np.asarray(Image.open(io.BytesIO(content))))


# Sizes


@pytest.mark.parametrize("size", [(8, 8), (6, 20), (40, 10), (97, 31)])
def test_resizing_is_pillows_antialiased_and_centered(size):
    image = picture((90, 70))
    want = ImageOps.fit(image, size[::-1], Image.Resampling.BICUBIC)
    assert np.array_equal(decoded(encoded(image, "png"), size=size), np.asarray(want))


def test_a_jpeg_that_is_decoded_smaller_is_nearly_the_same():
    small = picture((40, 30)).resize((2000, 1500), Image.Resampling.BICUBIC)
    content = encoded(small, "jpeg", quality=95)
    opened = Image.open(io.BytesIO(content))
    want = np.asarray(ImageOps.fit(opened, (64, 64), Image.Resampling.BICUBIC)).astype(int)
    got = decoded(content, size=(64, 64))
    assert abs(got - want).mean() < 0.5
    assert not np.array_equal(got, want)  # else it was decoded whole, which takes longer
    once_more = picture((200, 100))
    want = ImageOps.fit(Image.open(io.BytesIO(encoded(once_more, "jpeg"))), (16, 16))
    assert np.array_equal(decoded(encoded(once_more, "jpeg"), size=(16, 16)), np.asarray(want))


@pytest.fixture
def few_pixels(monkeypatch):
    """Limits that small pictures reach: 5,000 pixels, and 80,000 of a JPEG."""
    monkeypatch.setattr(pictures, "MOST_PIXELS", 5_000)
    monkeypatch.setattr(pictures, "MOST_REDUCED", 80_000)


def test_too_many_pixels_are_refused_with_their_number_and_the_limit(few_pixels):
    large = encoded(picture((100, 60)), "png")
    with pytest.raises(PictureError, match=r"x.png is 60×100 \(H×W\) pixels, 0 million, and 0 mil"):
        decoded(large, size=(8, 8))
    jpeg = encoded(picture((280, 280)), "jpeg")
    assert decoded(jpeg, size=(4, 4)).shape == (4, 4, 3)
    for content, size in (
        (encoded(picture((280, 280)), "jpeg", progressive=True), (4, 4)),
        (encoded(picture((288, 288)), "jpeg"), (4, 4)),
        (jpeg, (32, 32)),
        (jpeg, None),
    ):
        with pytest.raises(PictureError, match="make it smaller or remove it"):
            decoded(content, size=size)


def test_an_intact_picture_that_pillow_takes_for_a_bomb_is_measured(monkeypatch):
    content = bytearray(encoded(picture(), "png"))
    content[16:24] = struct.pack(">II", 14_500, 14_500)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    limit = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(PictureError, match=r"14,500×14,500 .*210 million, and 100 million are"):
        decoded(bytes(content), size=(8, 8))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_large_picture_is_only_measured_where_it_cannot_stay_large():
    content = encoded(picture((300, 20)), "png")
    assert decode(io.BytesIO(content), "x", largest=256) == (None, (20, 300), "PNG")
    assert decode(io.BytesIO(content), "x", (8, 8), largest=256).pixels.shape == (8, 8, 3)


# What is no picture


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (bytes(900), "nothing but zeros"),
        (b"\n<!DOCTYPE html><title>404</title>", "it is a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
        (b"\x89PNG\r\n\x1a\n", "its header is damaged"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "of no known format"),
        (b"something else", "of no known format"),
        (encoded(picture(), "png")[:90], "truncated|broken"),
        (encoded(picture((64, 64)), "jpeg")[:900], "truncated"),
    ],
)
def test_what_is_no_picture_is_said_in_words(content, words):
    with pytest.raises(PictureError, match=f"x.png is no readable image .*({words})") as caught:
        decoded(content)
    assert "object at" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_heic_is_read_with_pillow_heif_and_asks_for_it_without(monkeypatch):
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    assert not pictures.can_read(".heic")
    with pytest.raises(PictureError, match="is a HEIC picture; pip install pillow-heif"):
        decoded(content)

    def register_heif_opener():
        Image.register_open("HEIF", lambda file, name: picture(), lambda start: b"heic" in start)

    monkeypatch.setattr(pictures, "find_spec", lambda name: True)
    fake = SimpleNamespace(register_heif_opener=register_heif_opener)
    monkeypatch.setitem(sys.modules, "pillow_heif", fake)
    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "ID", list(Image.ID))
    assert pictures.can_read(".heic")
    assert np.array_equal(decoded(content), np.asarray(picture()))
    pictures._formats.cache_clear()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes and devices")
def test_open_rgb_reads_regular_files_of_a_sensible_size_only(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe.png is no regular file; give an image file"):
        open_rgb(tmp_path / "pipe.png", 8)
    with pytest.raises(DataError, match="is no regular file"):
        open_rgb(tmp_path, 8)
    picture().save(tmp_path / "good.png")
    monkeypatch.setattr(pictures, "MOST_BYTES", 100)
    with pytest.raises(DataError, match=r"good.png is a file of \d+ bytes, and 100 are the limit"):
        open_rgb(tmp_path / "good.png", 8)


# Any picture


def test_open_rgb_crops_the_center(tmp_path):
    image = Image.new("RGB", (40, 10), "red")
    image.paste("blue", (15, 0, 25, 10))
    image.save(tmp_path / "wide.png")
    red, _, blue = open_rgb(tmp_path / "wide.png", 5)
    assert red.max() < 20
    assert blue.min() > 235
    assert open_rgb(tmp_path / "wide.png", (10, 20)).shape == (3, 10, 20)


def test_open_rgb_smooths_when_it_shrinks(tmp_path):
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(checks).save(tmp_path / "checks.png")
    shrunk = open_rgb(tmp_path / "checks.png", 8)
    assert shrunk.shape == (3, 8, 8)
    assert (shrunk.float() - 127.5).abs().max() < 10


def test_open_rgb_turns_as_exif_says(tmp_path):
    image = Image.new("RGB", (16, 16), "black")
    image.paste("white", (0, 0, 16, 8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    upright = open_rgb(tmp_path / "turned.png", 16)
    assert upright[:, :, 8:].min() == 255
    assert upright[:, :, :8].max() == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_open_rgb_lays_the_transparent_on_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "clear.png")
    opened = open_rgb(tmp_path / "clear.png", 8)
    assert opened[:, :, :4].max() == 0
    assert opened[:, :, 4:].min() == 255


def test_open_rgb_palette_and_gray(tmp_path):
    Image.new("RGB", (8, 8), "lime").convert("P").save(tmp_path / "palette.gif")
    assert open_rgb(tmp_path / "palette.gif", 8)[:, 0, 0].tolist() == [0, 255, 0]
    Image.new("L", (8, 8), 77).save(tmp_path / "gray.png")
    assert open_rgb(tmp_path / "gray.png", 8).unique().tolist() == [77]
    assert open_rgb(tmp_path / "gray.png", 8, channels=1).shape == (1, 8, 8)
    assert open_rgb(tmp_path / "palette.gif", 8, channels=1).shape == (1, 8, 8)


def test_open_rgb_sees_the_pixels_of_a_test_image(tmp_path):
    root = image_folder(tmp_path / "pets", size=(8, 8), suffix=".jpg")
    picture((30, 20), "L").save(root / "test" / "cat" / "gray.png")
    picture((300, 200)).save(root / "test" / "dog" / "large.jpg")
    for size in (8, (12, 16)):
        loaded = load(root, size=size, cache=tmp_path / "cache")
        for name, image in zip(loaded.test_files, loaded.test_images, strict=True):
            assert torch.equal(open_rgb(root / name, size), image)


def test_open_rgb_refuses(tmp_path):
    with pytest.raises(DataError, match=r"nothing.png cannot be read .*give an image file"):
        open_rgb(tmp_path / "nothing.png", 8)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(DataError, match=r"text.png is no readable image"):
        open_rgb(tmp_path / "text.png", 8)
    picture().save(tmp_path / "good.png")
    for size, channels in ((0, 3), ((8, -1), 3), (8, 2)):
        with pytest.raises(DataError, match="is no picture"):
            open_rgb(tmp_path / "good.png", size, channels)
