"""Files and folders that appear whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """A place beside `path`, in which to make a file or folder that is then moved to `path`.

    An error in between leaves what was there before, and nothing beside it. Raises OSError, naming
    the path, if it cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as beside:
            new = Path(beside, path.name)
            yield new
            if new.is_file():
                with new.open("r+b") as file:
                    os.fsync(file.fileno())
            elif path.is_dir():
                path.rmdir()  # an empty one gives way, as Windows wants it; another is an error
            os.replace(new, path)
    except OSError as error:
        message = f"{path} cannot be written ({error.strerror}); make room, or choose another place"
        raise OSError(error.errno, message) from error


def write(path: str | Path, content: bytes) -> None:
    """Write a file, whole or not at all. Raises OSError as `whole` does."""
    with whole(path) as new:
        new.write_bytes(content)
