"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".unfinished"  # how the name of a place ends in which something is being made


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A place beside `path`, in which to make a file or folder that is then moved to `path`.

    An error in between leaves what was there before, and nothing beside it. Raises OSError, naming
    the path, if it cannot be written; an error about another file stays what it is.
    """
    path = Path(path)
    path = path.resolve() if path.is_symlink() else path
    beside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(UNFINISHED, f".{path.name}.", path.parent)
        new = Path(beside.name, path.name)
        yield new
        if new.is_file():
            with new.open("r+b") as file:
                os.fsync(file.fileno())
        elif new.is_dir() and path.is_dir():
            path.rmdir()  # an empty one gives way, as Windows wants it; another is an error
        os.replace(new, path)
    except OSError as error:
        about = error.filename
        if about and not Path(about).absolute().is_relative_to(path.parent.absolute()):
            raise
        reason = error.strerror or error
        message = f"{path} cannot be written ({reason}); make room, or choose another place"
        raise OSError(error.errno, message) from error
    finally:
        if beside is not None:
            beside.cleanup()


def write(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError as `whole` does."""
    with whole(path) as new:
        new.write_bytes(content)


def sweep(folder: str | Path, older_than: float = 0.0) -> None:
    """Remove what writers left in a folder that were killed, if it is that many seconds old."""
    for place in Path(folder).glob(f".*{UNFINISHED}"):
        if time.time() - place.stat().st_mtime >= older_than:
            shutil.rmtree(place, ignore_errors=True)
