"""What a picture file holds: its pixels as 8-bit RGB or gray, upright, on white, at any size."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from vitlit.archives import MOST_BYTES, DataError, Stream
from vitlit.sizes import Size

HEIF_SUFFIXES = (".heic", ".heif", ".hif")
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".gif", ".webp", ".tif",
    ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", *HEIF_SUFFIXES,
)  # fmt: skip
FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MOST_PIXELS = 100_000_000  # of a picture that is decoded whole, which takes four bytes a pixel
MOST_REDUCED = 400_000_000  # of a JPEG that is decoded at a half, a quarter or an eighth
REDUCED = 8  # how many times larger than what is asked for a JPEG stays then, to be resized
BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of a TIFF
WHITE_IS_ZERO, UNSIGNED = 0, (1, 4)  # 4: not said
OTHERS = {  # what is found under a picture's name, by how it begins
    b"<!doctype html": "it is a web page",
    b"<html": "it is a web page",
    b"<svg": "it is a drawing, SVG",
    b"version https://git-lfs": "it is a pointer of Git LFS",
    b"\x89PNG": "its header is damaged",
    b"\xff\xd8": "its header is damaged",
    b"GIF8": "its header is damaged",
    b"II*\0": "its header is damaged, or of a kind that Pillow does not read",
    b"MM\0*": "its header is damaged, or of a kind that Pillow does not read",
}

Pixels = UInt8[np.ndarray, "H W"] | UInt8[np.ndarray, "H W 3"]


class PictureError(DataError):
    """A picture that cannot be used: what is wrong with the file `name`, and what would help."""

    def __init__(self, name: str, wrong: str, remedy: str = "replace or remove it") -> None:
        super().__init__(f"{name} {wrong}; {remedy}")
        self.name, self.wrong, self.remedy = name, wrong, remedy


class Picture(NamedTuple):
    """What was decoded. `pixels` are None if the picture was only measured."""

    pixels: Pixels | None
    size: Size  # (H, W) in the file; upright, if there are pixels
    format: str | None  # of the file, as Pillow names it


def can_read(suffix: str) -> bool:
    """Whether pictures of one of SUFFIXES can be decoded with what is installed here."""
    if suffix in HEIF_SUFFIXES:
        return find_spec("pillow_heif") is not None
    return suffix in Image.registered_extensions()


def decode(
    file: Stream,
    name: str,
    size: Size | None = None,
    *,
    mode: str | None = None,
    largest: int | None = None,
) -> Picture:
    """A picture as RGB or gray, in 8 bits, upright, its first frame, the transparent on white.

    `size` is (H, W): the largest part of these proportions is cut from the middle and resized,
    antialiased. Without one it stays as large as it is; if a side is above `largest`, it is only
    measured. `mode` is "RGB" or "L", by default what the file is. 16 bits are scaled to 8.

    Raises PictureError if the file is none, too large, or has pixels whose white is not known.
    """
    with _any_size(), _opened(file, name) as opened:
        (width, height), kind = opened.size, opened.format
        if size is None and largest is not None and max(width, height) > largest:
            return Picture(None, (height, width), kind)
        _reduce(opened, name, size)
        try:
            opened.load()
        except Exception as error:  # Pillow's decoders raise whatever they stumble over
            raise PictureError(name, f"is no readable image ({_reason(error)})") from error
        if (turned := _orientation(opened)) != 1:
            with suppress(Exception):  # other EXIF data may be damaged; the pixels are turned first
                ImageOps.exif_transpose(opened, in_place=True)
        image = _plain(opened, name)
        image = image.convert(mode) if mode else image
        if size is None:
            return Picture(np.array(image), (image.height, image.width), kind)
        fitted = ImageOps.fit(image, size[::-1], Image.Resampling.BICUBIC)
        return Picture(np.array(fitted), (width, height) if turned > 4 else (height, width), kind)


def open_rgb(
    path: str | Path, size: int | tuple[int, int], channels: int = 3
) -> UInt8[Tensor, "C H W"]:
    """Any picture, cropped at its center and resized to `size` pixels: a side, or (H, W).

    Turned as its EXIF data says; what is transparent lies on white. `channels` is 3 for RGB, 1 for
    gray. A picture that has this size already keeps its pixels. Raises DataError if it is no
    readable image.
    """
    height, width = (size, size) if isinstance(size, int) else size
    if channels not in (1, 3) or min(height, width) < 1:
        raise DataError(
            f"{channels}×{height}×{width} is no picture; channels are 1 or 3, sides ≥ 1"
        )
    place = Path(path).expanduser()
    try:
        about = os.stat(place)
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path} is no regular file; give an image file")
        refuse_large(about.st_size, str(path))
        with place.open("rb") as file:
            mode = "RGB" if channels == 3 else "L"
            pixels = decode(file, str(path), (height, width), mode=mode).pixels
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give an image file") from error
    assert pixels is not None
    return torch.from_numpy(channels_first(pixels, channels))


def channels_first(image: Pixels, channels: int) -> UInt8[np.ndarray, "C H W"]:
    """(H, W) or (H, W, 3) to (C, H, W); gray is repeated if RGB is asked for."""
    if image.ndim == 2:
        return np.repeat(image[None], channels, axis=0)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def refuse_large(size: int, name: str) -> None:
    """Raises PictureError if a picture's file has more bytes than are read."""
    if size > MOST_BYTES:
        wrong = f"is a file of {size:,} bytes, and {MOST_BYTES:,} are the limit"
        raise PictureError(name, wrong, "make it smaller or remove it")


@contextmanager
def _any_size() -> Iterator[None]:
    """Meanwhile Pillow opens pictures of any size: they are measured, and refused by name, here."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _opened(file: Stream, name: str) -> Iterator[Image.Image]:
    start = file.read(512)
    file.seek(0)
    if start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS and b"avif" not in start[:32]:
        _register_heif(name)
    try:
        image = Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        raise PictureError(name, f"is no readable image ({_nature(start)})") from error
    except Exception as error:  # as above
        raise PictureError(name, f"is no readable image ({_reason(error)})") from error
    with image:
        yield image


@cache
def _formats() -> list[str]:
    """Formats of pixels that this Pillow can decode by itself, without another program."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _register_heif(name: str) -> None:
    """Teach Pillow to read HEIC and HEIF, which a phone's pictures often are, whatever named."""
    if "HEIF" in Image.OPEN:
        return
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError as error:
        remedy = "pip install pillow-heif, or convert it"
        raise PictureError(name, "is a HEIC picture", remedy) from error
    _formats.cache_clear()


def _nature(start: bytes) -> str:
    """What a file is that is no picture, as far as its first bytes tell."""
    if not start:
        return "it is empty"
    if not start.strip(b"\0"):
        return "it begins with nothing but zeros"
    starts = (start, start.lstrip().lower())
    known = (words for sign, words in OTHERS.items() if any(s.startswith(sign) for s in starts))
    return next(known, "its content is of no known format")


def _reason(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _orientation(image: Image.Image) -> int:
    """How a picture lies, 1 to 8, as its EXIF data says; 1 if that is damaged."""
    try:
        turned = image.getexif().get(0x0112, 1)
    except Exception:  # EXIF is of no known form; the pixels are there all the same
        return 1
    return turned if turned in range(1, 9) else 1


def _reduce(image: Image.Image, name: str, size: Size | None) -> None:
    """Let a JPEG's decoder shrink it, where it stays large enough. Refuse what is still too large.

    A progressive JPEG takes the memory of the whole, however small it is decoded.
    """
    width, height = image.size
    held = width * height
    if image.format in ("JPEG", "MPO") and size is not None:
        side = REDUCED * max(size)
        image.draft(image.mode, (side, side))
        if not image.info.get("progressive") and held <= MOST_REDUCED:
            held = image.size[0] * image.size[1]
    if held > MOST_PIXELS:
        wrong = (
            f"is {height:,}×{width:,} (H×W) pixels, {width * height / 1e6:,.0f} million, and "
            f"{MOST_PIXELS / 1e6:.0f} million are the limit"
        )
        raise PictureError(name, wrong, "make it smaller or remove it")


def _plain(opened: Image.Image, name: str) -> Image.Image:
    """A decoded picture as RGB or gray (L) of 8 bits, on white."""
    image = opened
    gray = image.mode in ("1", "L", "LA", "La") or image.mode.startswith("I")
    if image.mode.startswith(("I", "F")) or not _is_unsigned(image):
        image = _eight_bits(image, name)
    try:
        if image.mode in ("La", "RGBa"):
            image = image.convert(image.mode.upper())
        if "A" in image.getbands() or "transparency" in image.info:
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA"))
        image = image.convert("L" if gray else "RGB")
    except ValueError as error:
        wrong = f"has pixels of the kind {opened.mode}, which are not read"
        raise PictureError(name, wrong, "convert it to RGB, or remove it") from error
    return image


def _is_unsigned(image: Image.Image) -> bool:
    if image.format != "TIFF":
        return True
    kinds = getattr(image, "tag_v2", {}).get(SAMPLE_FORMAT, UNSIGNED)
    return set(kinds if isinstance(kinds, tuple) else (kinds,)) <= set(UNSIGNED)


def _eight_bits(image: Image.Image, name: str) -> Image.Image:
    """Gray of 9 to 16 bits, scaled to 8. Raises PictureError for pixels that have no known white.

    Pillow gives 16 bits as "I;16"; those of a PNG or PGM, in some versions, as "I".
    """
    tags: Any = getattr(image, "tag_v2", {})
    known = image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))
    if not known or not _is_unsigned(image):
        kind = "floats" if image.mode == "F" else "signed or 32-bit integers"
        wrong = f"has pixels that are {kind}, so nothing says how bright white is"
        raise PictureError(name, wrong, "save it with 8 or 16 bits, or remove it")
    bits = tags.get(BITS_PER_SAMPLE, (16,))
    levels = np.asarray(image).astype(np.float64) / (2 ** (bits[0] if bits else 16) - 1)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        levels = 1 - levels
    plain = Image.fromarray((levels * 255).round().astype(np.uint8))
    if "transparency" in image.info:
        clear = np.asarray(image) == image.info["transparency"]
        plain.putalpha(Image.fromarray(np.where(clear, 0, 255).astype(np.uint8)))
    return plain
