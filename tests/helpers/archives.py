"""Small datasets in every form that vitlit.data reads, and a server that serves them badly."""

import hashlib
import io
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
TRAIN_BATCHES = tuple(f"data_batch_{i}" for i in range(1, 6))


class _Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 did, with every string a byte string."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def _save_string(self, string: str | bytes) -> None:
        content = string.encode("latin1") if isinstance(string, str) else string
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(string)

    dispatch[bytes] = dispatch[str] = _save_string


def python2_pickle(value: Any) -> bytes:
    """`value` as Python 2 and the numpy of its time would have pickled it."""
    stream = io.BytesIO()
    _Python2Pickler(stream, protocol=2, fix_imports=True).dump(value)
    return stream.getvalue().replace(b"cnumpy._core.", b"cnumpy.core.")


def official_batches(
    *, images: int = 20, side: int = 32, classes: tuple[str, ...] = CIFAR10
) -> dict[str, dict[str, Any]]:
    """The contents of a small archive of the official form, by batch."""
    random = np.random.default_rng(0)
    batches: dict[str, dict[str, Any]] = {}
    for name in (*TRAIN_BATCHES, "test_batch"):
        batches[name] = {
            "data": random.integers(0, 256, (images, 3 * side * side), dtype=np.uint8),
            "labels": [i % len(classes) for i in range(images)],
            "batch_label": name,
            "filenames": [f"{name}_{i}.png" for i in range(images)],
        }
    batches["batches.meta"] = {"label_names": list(classes), "num_vis": 3 * side * side}
    return batches


def official_archive(
    path: Path,
    batches: dict[str, dict[str, Any]] | None = None,
    members: dict[str, bytes | None] | None = None,
) -> str:
    """Write an archive of the official form. Returns its md5.

    `members` are more files, or others in the place of the batches; None leaves one out.
    """
    batches = batches or official_batches()
    contents: dict[str, bytes | None] = {
        f"cifar-10-batches-py/{name}": python2_pickle(batch) for name, batch in batches.items()
    }
    contents |= {"cifar-10-batches-py/readme.html": b"<html>"} | (members or {})
    write_tar(path, {name: content for name, content in contents.items() if content is not None})
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_tar(path: Path, contents: dict[str, bytes]) -> Path:
    """Write a tar archive whose members have exactly these names, "../" and all."""
    with tarfile.open(path, "w:" + path.suffix.removeprefix(".").replace("tar", "")) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, contents: dict[str, bytes]) -> Path:
    """Write a zip archive whose members have exactly these names."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def picture(size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Noise of (width, height) pixels."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 256, (size[1], size[0], 4), dtype=np.uint8)
    return Image.fromarray(noise).convert("RGB").convert(mode)


def image_folder(
    root: Path,
    classes: tuple[str, ...] = ("dog", "cat"),
    counts: tuple[int, int] = (3, 2),
    *,
    size: tuple[int, int] = (8, 8),
    mode: str = "RGB",
    suffix: str = ".png",
) -> Path:
    """Write root/{train,test}/<class>/<nnnn>.png, `counts` images of each class."""
    seed = 0
    for split, count in zip(("train", "test"), counts, strict=True):
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                seed += 1
                picture(size, mode, seed).save(folder / f"{i:04}{suffix}")
    return root


def pack(folder: Path, archive: Path, top: str = "") -> Path:
    """A tar archive of a folder's content, within the folder `top` if one is named."""
    with tarfile.open(archive, "w:" + archive.suffix.removeprefix(".").replace("tar", "")) as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, f"{top}/{path.name}" if top else path.name)
    return archive


def pack_zip(folder: Path, archive: Path, top: str = "") -> Path:
    """A zip archive of a folder's content, within the folder `top` if one is named."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(folder.rglob("*")):
            packed.write(
                path, f"{top}/{path.relative_to(folder)}" if top else path.relative_to(folder)
            )
    return archive


def png(size: tuple[int, int] = (8, 8), mode: str = "RGB", seed: int = 0) -> bytes:
    """The file of a `picture`."""
    stream = io.BytesIO()
    picture(size, mode, seed).save(stream, "png")
    return stream.getvalue()


class Server(ThreadingHTTPServer):
    """Serves `content` at /whole, and at other paths as a broken mirror would.

    /cut breaks off at half, /corrupted differs in one byte, /page is an HTML page with status 200,
    /stalled sends nothing, /stalls sends half and then nothing; all else is answered with 404.
    """

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[str] = []
        self.over = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, path = self.server, self.path.strip("/")
        server.asked.append(path)
        content, half = server.content, len(server.content) // 2
        if path == "stalled":
            server.over.wait(60)
        elif path in ("whole", "cut", "stalls"):
            self._answer(content if path == "whole" else content[:half], len(content))
            if path == "stalls":
                server.over.wait(60)
        elif path == "corrupted":
            wrong = bytes([content[half] ^ 1])
            self._answer(content[:half] + wrong + content[half + 1 :], len(content))
        elif path == "page":
            page = b"<!doctype html><title>Be right back</title>"
            self._answer(page, len(page), kind="text/html")
        else:
            self.send_error(404)

    def _answer(self, content: bytes, length: int, kind: str = "application/gzip") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """A test's output is no place for an access log."""


@contextmanager
def serve(content: bytes) -> Iterator[Server]:
    """A `Server` on a free port of this machine, as long as the context lasts."""
    with Server(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            thread.join()
