"""One at a time: what two processes must not write at once."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vitlit.terminal import plain


class HeldError(OSError):
    """What another process is writing at this moment."""


# A notebook's kernel outlives who was killed for a second or two.
PATIENCE = 5.0  # seconds


@contextmanager
def held(path: str | Path) -> Iterator[None]:
    """Meanwhile be the only one, of all who ask so, that works at `path`. It need not exist.

    The system lets go of the lock when a process ends, however it ends; the empty file
    `.locks/NAME` beside the path stays, and says nothing. Raises HeldError if another still holds
    it after PATIENCE, OSError if the file cannot be written.
    """
    from filelock import FileLock, Timeout  # here, since the site is built without it

    path = Path(path).resolve()
    lock = FileLock(path.parent / ".locks" / path.name, timeout=PATIENCE)
    try:
        Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise HeldError(
            f"{path} is being written by another process; wait until it is done, or give another "
            "name"
        ) from None
    except NotImplementedError:  # some network drives
        said = f"{plain(str(path.parent))} knows no locks; start no second run there"
        print(f"vitlit: {said}", file=sys.stderr)
    except OSError as error:
        reason = error.strerror or error
        message = f"{path} cannot be written ({reason}); choose another place"
        raise OSError(error.errno, message) from error
    try:
        yield
    finally:
        lock.release()
