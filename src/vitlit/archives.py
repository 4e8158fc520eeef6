"""Folders, tar and zip archives: what is named in them, and files opened one at a time.

Nothing is unpacked to disk. Only regular files are opened, and no file is read that says, or turns
out, to be larger than a picture needs to be.
"""

import bz2
import gzip
import lzma
import os
import posixpath
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, NamedTuple

MOST_BYTES = 2**28  # of one file that is read
MOST_FILES = 2_000_000
MOST_UNPACKED = 2**36  # bytes of all files of an archive together, as it declares them
FORMS = "a folder of images, or a complete .zip, .tar, .tar.gz or .tar.xz of one"
# Left by systems and programs, meant by nobody; so is every name that begins with a dot.
LITTER = {
    "__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "@eadir", "#recycle",
    "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip

Stream = BufferedReader | BytesIO


class DataError(ValueError):
    """Data that is missing, damaged or of another form. The message names the remedy."""


class Entry(NamedTuple):
    """A name in a folder or archive, and how to open what it stands for."""

    name: str  # "/" between its parts; that of a folder ends in one
    size: int = 0  # in bytes
    changed: int = 0  # when it was last written, in nanoseconds; 0 in archives
    open: Callable[[], Stream] | None = None  # None if it is no regular file
    target: str = ""  # of a link in an archive: the name it leads to
    odd: str = ""  # what it is instead of a folder, a file or a link
    done: float = 0.0  # how much of a tar archive has been read with it, 0 to 1


@lru_cache(2**16)  # most parts are those of every other name
def is_litter(part: str) -> bool:
    """Whether a part of a name is hidden, or left by a system."""
    return part.startswith(".") or part.lower() in LITTER


@contextmanager
def opened(source: Path, listing: Sequence[Entry] | None = None) -> Iterator[Iterable[Entry]]:
    """What is in a folder or archive: a list, or of a tar archive an iterator.

    An iterator's files are opened while it stands at them. `listing` is what `walk` found in a
    folder, if it was walked before. Raises DataError, also about what is read within the context,
    if the source is damaged, encrypted, or larger than is sensible.
    """
    try:
        if source.is_dir():
            yield walk(source) if listing is None else listing
        elif not source.is_file():
            raise DataError(f"{source.name} is neither a folder nor a regular file; give {FORMS}")
        elif _start(source) in (b"PK\x03\x04", b"PK\x05\x06"):
            with zipfile.ZipFile(source) as archive:
                yield _members(archive, source)
        else:
            with (
                source.open("rb") as raw,
                _unpacked(raw) as stream,
                tarfile.open(fileobj=_Bounded(stream), mode="r:") as tar,  # type: ignore[call-overload]
            ):
                yield _stream(tar, source, raw)
    except (
        tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error,
        OSError, EOFError, NotImplementedError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        reason = str(error).partition("\n")[0].rstrip(":")
        raise DataError(f"{source.name} cannot be read ({reason}); give {FORMS}") from error


def walk(folder: Path) -> list[Entry]:
    """All that is in a folder, sorted by name. What is hidden is named, but not entered.

    Links are followed, but for one that leads back to a folder above it. Raises DataError if there
    are more than MOST_FILES names, OSError if a folder cannot be read.
    """
    found: list[Entry] = []
    ahead: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(str(folder), "", frozenset())]
    while ahead:
        path, within, above = ahead.pop()
        about = os.stat(path)
        here = (about.st_dev, about.st_ino)
        if here in above:
            found.append(Entry(within, odd="leads back to a folder above it"))
            continue
        with os.scandir(path) as items:
            for item in items:
                name = within + printable(item.name)
                try:
                    about = item.stat()
                except OSError as error:  # a link to nothing, or round in a circle
                    found.append(Entry(name, odd=f"leads nowhere ({error.strerror})"))
                    continue
                if stat.S_ISDIR(about.st_mode):
                    found.append(Entry(f"{name}/"))
                    if not is_litter(item.name):
                        ahead.append((item.path, f"{name}/", above | {here}))
                elif stat.S_ISREG(about.st_mode):
                    how = partial(_open, item.path)
                    found.append(Entry(name, about.st_size, about.st_mtime_ns, how))
                else:
                    found.append(Entry(name, odd="is a device or a pipe, no regular file"))
        _refuse_many(len(found), folder)
    return sorted(found, key=lambda entry: entry.name)


def _start(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(4)


def _open(path: str) -> Stream:
    return open(path, "rb")


def printable(name: str) -> str:
    r"""A name that can be printed and stored: control characters, and bytes that are no UTF-8, as
    \x and two digits.
    """
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", lambda odd: f"\\x{ord(odd[0]) & 255:02x}", name
    )


def _members(archive: zipfile.ZipFile, source: Path) -> list[Entry]:
    """The entries of a zip archive."""
    infos = archive.infolist()
    _refuse_many(len(infos), source)
    _refuse_large(sum(info.file_size for info in infos), source)
    if locked := sum(info.flag_bits & 1 for info in infos):
        raise DataError(
            f"{locked} of {len(infos)} files in {source.name} are encrypted; "
            "unpack it with its password, and give the folder"
        )
    return [_member(archive, info) for info in infos]


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    name = printable(_name(info).replace("\\", "/"))
    kind = stat.S_IFMT(info.external_attr >> 16)
    if name.endswith("/"):
        return Entry(name)
    if kind == stat.S_IFLNK and info.file_size < 5000:
        return _link(name, archive.read(info).decode("utf-8", "surrogateescape"))
    if kind not in (0, stat.S_IFREG):  # 0: packed where files have no such bits
        return Entry(name, odd="is a device or a pipe, no regular file")
    return Entry(name, info.file_size, open=lambda: BytesIO(archive.read(info)))


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a member. Some programs write UTF-8 and do not say so."""
    if info.flag_bits & 0x800:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename


def _stream(tar: tarfile.TarFile, source: Path, raw: Stream) -> Iterator[Entry]:
    """The entries of a tar archive, one by one."""
    whole, unpacked = source.stat().st_size, 0
    for count, member in enumerate(tar):
        name, done = printable(member.name), raw.tell() / whole
        unpacked += member.size
        _refuse_many(count, source)
        _refuse_large(unpacked, source)
        if member.isdir():
            yield Entry(f"{name}/")
        elif member.isreg():
            yield Entry(name, member.size, open=partial(_extracted, tar, member), done=done)
        elif member.islnk():
            yield _link(name, member.linkname, hard=True)
        elif member.issym():
            yield _link(name, member.linkname)
        else:
            yield Entry(name, odd="is a device or a pipe, no regular file")


def _extracted(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Stream:
    stream: Any = tar.extractfile(member)
    return BytesIO(stream.read())


def _link(name: str, target: str, hard: bool = False) -> Entry:
    """A link in an archive: a symbolic one counts from its folder, a hard one from the top."""
    place = target if hard else posixpath.join(posixpath.dirname(name), target)
    return Entry(name, target=printable(posixpath.normpath(place)))


def _unpacked(raw: Stream) -> Any:
    """A file's content without its compression, which its first bytes tell."""
    start = raw.read(6)
    raw.seek(0)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    if start.startswith(b"BZh"):
        return bz2.BZ2File(raw)
    if start.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        return lzma.LZMAFile(raw)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        if find_spec("compression") is None:
            raise OSError("Python reads zstandard from 3.14 on")
        return import_module("compression.zstd").ZstdFile(raw)
    return raw


class _Bounded:
    """A stream that refuses to read much at once, as a header of a hostile archive may ask for."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.seek, self.tell = stream, stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_BYTES:
            raise tarfile.ReadError(f"{size:,} bytes in one piece; {MOST_BYTES:,} are the limit")
        content: bytes = self.stream.read(size)
        return content


def _refuse_many(count: int, source: Path) -> None:
    if count > MOST_FILES:
        raise DataError(
            f"{source.name} holds more than {MOST_FILES:,} names; give a folder of the images alone"
        )


def _refuse_large(size: int, source: Path) -> None:
    if size > MOST_UNPACKED:
        raise DataError(
            f"{source.name} unpacks to more than {MOST_UNPACKED / 2**30:g} GiB, which no images "
            "for this need; pack smaller ones"
        )
