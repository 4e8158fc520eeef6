"""CIFAR-10, or pictures of your own, as uint8 tensors.

There are three sources: the official archive (Krizhevsky 2009), downloaded if it is not yet here;
a folder of images, or a tar or zip archive of one; scikit-learn's digits. One is never silently put
in the place of another. What was decoded is kept in a cache and checked whenever it is used again.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
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

from vitlit.archives import FORMS, DataError, Entry, printable, walk
from vitlit.cifar10 import (
    ARCHIVE,
    MD5,
    Place,
    cache_folder,
    download,
    md5_of,
    mirrors_of,
    read_official,
)
from vitlit.files import whole
from vitlit.imagefolder import read_images
from vitlit.pictures import SUFFIXES, can_read, channels_first, open_rgb
from vitlit.progress import say
from vitlit.sizes import AnySize, Size, SizeError, asked, patch_size, written
from vitlit.splits import listed

__all__ = [
    "DataError", "Dataset", "SizeError", "available", "describe", "download", "load", "open_rgb",
    "reencode",
]  # fmt: skip
SPLITS = ("train", "test")
TENSORS = ("train_images", "train_labels", "test_images", "test_labels")
OFFICIAL_AT_MOST = 2**28  # bytes; the archive has 163 MiB
CACHE_FORMAT = "2"  # a cached file of another format is made again


@dataclass(frozen=True)
class Dataset:
    """Images and labels, in a fixed order.

    A name in `test_files` is stable: "test/cat/0001.jpg" in a folder, "test_batch/17" in the
    official archive. `checksum` is the official archive's md5, else the sha256 of what was decoded.
    `source` is the name of the folder or archive, without the folders above. `patch_size` and
    `flip` (mirror images in training) are what suits these images. `size`, (H, W), is what was
    asked for, if anything; `division` says how a folder was divided into training and test, and
    `skipped` counts what was left out of it, by kind.
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
    size: Size | None = None
    division: str = ""
    skipped: dict[str, int] = field(default_factory=dict)

    @property
    def remarks(self) -> list[str]:
        """What to know about a folder before trusting a number: a line each."""
        count, (H, W) = len(self.train_images) + len(self.test_images), self.train_images.shape[2:]
        lines = [f"{count:,} images cropped and resized to {H}×{W} (H×W)"] if self.size else []
        if self.division:
            more = ", …" if len(self.classes) > 10 else ""
            lines.append(f"{len(self.classes)} classes: {', '.join(self.classes[:10])}{more}")
            learn, check = len(self.train_images), len(self.test_images)
            lines.append(f"{learn:,} to learn from, {check:,} to test on: {self.division}")
        return [*lines, *([f"skipped: {listed(self.skipped)}"] if self.skipped else [])]

    def summary(self) -> dict[str, Any]:
        """What a run record keeps in data.json."""
        kept = {key: getattr(self, key) for key in ("name", "title", "source", "checksum")}
        return {
            **kept,
            "classes": list(self.classes),
            "counts": {"train": len(self.train_images), "test": len(self.test_images)},
            "image_shape": list(self.train_images.shape[1:]),
            "size": None if self.size is None else list(self.size),
            "division": self.division,
            "skipped": dict(self.skipped),
        }


def load(
    source: Place = None,
    *,
    size: AnySize = None,
    cache: Place = None,
    mirrors: Sequence[str] = (),
    md5: str = MD5,
    timeout: float = 30.0,
) -> Dataset:
    """Load a dataset.

    `source` is "official", "digits", a copy of the official archive, or a folder of images, or a
    tar or zip archive of one. None means VITLIT_DATA, and without that "official". `size` is what
    the images are cropped at their center and resized to: a side, 64, or height and width, (48, 64)
    or "48x64". None means VITLIT_SIZE, and without that the size they have, which must then be the
    same for all. `cache` is where the archive and decoded images are kept: VITLIT_CACHE, or the
    system's cache folder. `mirrors`, `md5` and `timeout` (seconds) are those of `download`.

    A folder has train/<class>/ and test/<class>/, within other folders or not. Without test/, what
    is in testing/, val/, valid/ or validation/ is tested on, the first that is there; where there
    is none, or where <class>/ stands alone, one in five images of each class, chosen by a hash of
    their names. Files that are not named as images are skipped and counted, and so are images
    outside of these folders; a damaged one is an error. All become RGB unless all are gray.

    Raises DataError if there is no such data, it is damaged, or it cannot be downloaded; SizeError,
    which is one, if the images need another size.
    """
    return _load(
        _where(source), asked(size), cache=cache, mirrors=mirrors, md5=md5, timeout=timeout
    )


def _load(
    where: str | Path,
    size: Size | None,
    *,
    cache: Place,
    mirrors: Sequence[str] = (),
    md5: str = MD5,
    timeout: float = 30.0,
) -> Dataset:
    folder = cache_folder(cache)
    if where == "digits":
        return _resized(_digits(), size)
    if isinstance(where, Path) and not _is_official(where, md5):
        listing = _listing(where) if where.is_dir() else None
        kept = folder / f"images-{_sha256(f'{where} {size}' if size else str(where))[:16]}"
        return _cached(
            kept.with_suffix(".safetensors"),
            _identity(where, listing),
            lambda: _dataset(*read_images(where, md5, size, listing)),
        )
    here = where if isinstance(where, Path) else None
    data = _cached(
        folder / f"official-{md5}.safetensors",
        md5,
        lambda: _dataset(
            *read_official(here or download(folder, mirrors, md5=md5, timeout=timeout), md5)
        ),
    )
    return _resized(data, size)


def available(source: Place = None, *, cache: Place = None, md5: str = MD5) -> bool:
    """Whether `load` finds its source without a download. A folder is not read for this."""
    try:
        where, folder = _where(source), cache_folder(cache)
    except DataError:
        return False
    if where == "digits":
        return find_spec("sklearn") is not None
    kept = folder / f"official-{md5}.safetensors"
    return isinstance(where, Path) or md5_of(folder / ARCHIVE) == md5 or bool(_recall(kept, md5))


def describe(
    source: Place = None, *, size: AnySize = None, cache: Place = None, md5: str = MD5
) -> str:
    """A table of what is there, or of what would be downloaded. Downloads nothing.

    Raises DataError as `load` does, if the source is there but cannot be read.
    """
    where, rows = _where(source), {}
    rows["source"] = str(where)
    if available(source, cache=cache, md5=md5):
        data = load(source, size=size, cache=cache, md5=md5)
        H, W = data.train_images.shape[2:]
        rows["data"] = f"{data.title}, from {data.source}"
        rows["images"] = f"{len(data.train_labels):,} train, {len(data.test_labels):,} test"
        rows["divided"] = data.division
        rows["skipped"] = listed(data.skipped)
        rows["size"] = "×".join(map(str, data.train_images.shape[1:])) + " (C×H×W)"
        rows["size"] += ", cropped and resized" if data.size else ""
        rows["patches"] = f"{H * W // data.patch_size**2}, of {data.patch_size}×{data.patch_size}"
        rows["classes"] = f"{len(data.classes)}: {', '.join(data.classes)}"
        rows["checksum"] = data.checksum
    elif where == "digits":
        rows["data"] = "not here: needs scikit-learn (pip install scikit-learn)"
    else:
        rows["data"] = f"not here: {ARCHIVE} (163 MiB) would be downloaded"
        rows |= {f"mirror {i}": url for i, url in enumerate(mirrors_of(), 1)}
        rows["checksum"] = f"md5:{md5}"
        rows["instead"] = f"VITLIT_DATA=… {FORMS}, this archive, or digits"
    rows["cache"] = str(cache_folder(cache))
    return "\n".join(f"{key:<10}{value}" for key, value in rows.items() if value)


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
    where = "official" if source is None or isinstance(source, Dataset) else _where(source)
    data = source if isinstance(source, Dataset) else _load(where, None, cache=None)
    if data.name != "cifar10":
        raise DataError(f"{data.title} is not the official CIFAR-10, which alone is re-encoded")
    try:
        with whole(target) as new:
            for split in SPLITS:
                _write_jpegs(new / split, data, split, quality)
    except OSError as error:
        raise DataError(str(error.strerror)) from error
    return target


def _where(source: Place) -> str | Path:
    """What to load: "official", "digits" or an existing path."""
    given = source if source is not None else os.environ.get("VITLIT_DATA") or "official"
    if given in ("official", "digits"):
        return given
    path = Path(given).expanduser()
    if given == "" or not path.exists():
        raise DataError(
            f"{'VITLIT_DATA' if source is None else 'source'} is {str(given)!r}, where nothing is; "
            "give the path of a folder or archive, or 'official', or 'digits'"
        )
    return path.resolve()


def _is_official(file: Path, md5: str) -> bool:
    """Whether a file is the official archive. A large one that cannot be is not read for this."""
    if not file.is_file() or file.stat().st_size > OFFICIAL_AT_MOST:
        return False
    return md5_of(file) == md5


def _sha256(text: str) -> str:
    # A path that is no UTF-8 holds its bytes as surrogates.
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _dataset(arrays: Sequence[np.ndarray], fields: dict[str, Any]) -> Dataset:
    """A dataset of arrays, in the order of TENSORS, with what follows from them."""
    tensors = {name: torch.from_numpy(a) for name, a in zip(TENSORS, arrays, strict=True)}
    suits = {"flip": True, "checksum": ""}
    if "patch_size" not in fields:
        suits["patch_size"] = patch_size(arrays[0].shape[2:])
    names = {key: printable(fields[key]) for key in ("name", "title", "source")}
    data = Dataset(**{**tensors, **suits, **fields, **names})
    return data if data.checksum else replace(data, checksum=f"sha256:{_content(data)}")


def _resized(data: Dataset, size: Size | None) -> Dataset:
    """The same pictures at a size that was asked for, under another name than the known one."""
    if size is None or size == tuple(data.train_images.shape[2:]):
        return data
    arrays = []
    for split in SPLITS:
        images = getattr(data, f"{split}_images").numpy()
        arrays += [np.stack([_fitted(image, size) for image in images])]
        arrays += [getattr(data, f"{split}_labels").numpy()]
    kept = {key: getattr(data, key) for key in ("classes", "test_files", "source", "flip")}
    name, title = f"{data.name}-{written(size)}", f"{data.title}, at {size[0]}×{size[1]}"
    return _dataset(arrays, {**kept, "name": name, "title": title, "size": size})


def _fitted(image: UInt8[np.ndarray, "C h w"], size: Size) -> UInt8[np.ndarray, "C H W"]:
    opened = Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0).copy())
    fitted = ImageOps.fit(opened, (size[1], size[0]), Image.Resampling.BICUBIC)
    return channels_first(np.array(fitted), len(image))


def _write_jpegs(folder: Path, data: Dataset, split: str, quality: int) -> None:
    images, labels = getattr(data, f"{split}_images"), getattr(data, f"{split}_labels")
    written: Counter[str] = Counter()
    for image, label in zip(tqdm(images, split, disable=None), labels.tolist(), strict=True):
        name = data.classes[label]
        (folder / name).mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
        picture.save(folder / name / f"{written[name]:04}.jpg", quality=quality)
        written[name] += 1


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
        {
            "name": "digits",
            "title": "digits (not CIFAR-10)",
            "classes": tuple("0123456789"),
            "test_files": tuple(f"digits/{i}" for i in np.flatnonzero(test)),
            "source": "scikit-learn's digits",
            "patch_size": 2,
            "flip": False,
        },
    )


def _content(data: Dataset) -> str:
    """sha256 of all that was decoded: class names, names of test images, tensors."""
    tensors = [getattr(data, name) for name in TENSORS]
    shapes = [list(tensor.shape) for tensor in tensors]
    digest = hashlib.sha256(json.dumps([data.classes, data.test_files, shapes]).encode())
    for tensor in tensors:
        digest.update(tensor.numpy())
    return digest.hexdigest()


def _listing(folder: Path) -> list[Entry]:
    """What is in a folder. Raises DataError if a folder in it cannot be read."""
    try:
        return walk(folder)
    except OSError as error:
        raise DataError(f"{folder.name} cannot be read ({error}); repair or remove it") from error


def _identity(source: Path, listing: Sequence[Entry] | None) -> str:
    """Changes whenever a file is added, removed, renamed, resized or written.

    And when pictures can be decoded here that could not be, or the other way round.
    """
    known = [suffix for suffix in SUFFIXES if can_read(suffix)]
    if listing is None:
        about = source.stat()
        return _sha256(repr([known, about.st_size, about.st_mtime_ns]))
    return _sha256(repr([known, *((entry.name, entry.size, entry.changed) for entry in listing)]))


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
        say(f"the decoded images are not kept: {file.parent} cannot be written ({error})")
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
            for key in ("classes", "test_files", "size"):
                fields[key] = None if fields[key] is None else tuple(fields[key])
            fields |= {name: torch.from_numpy(opened.get_tensor(name)) for name in TENSORS}
        data = Dataset(**fields)
        if _content(data) != metadata["content"]:
            raise ValueError("its checksum differs")
        return data
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        say(f"{file.name} in the cache is damaged ({error}) and is made again")
        return None
