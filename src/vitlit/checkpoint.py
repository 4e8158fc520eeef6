"""A training run's saved state: all that it needs to go on after an epoch."""

from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from vitlit import files, records

Row = dict[str, int | float]  # of the table of epochs, by column


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or holds another model's weights."""


@runtime_checkable
class Stateful(Protocol):
    """What has a state, as modules, optimizers and schedules do."""

    def state_dict(self) -> dict[str, Any]:
        """The state, as tensors and plain values."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take a state over."""


class Checkpoint:
    """An unfinished run: the parts that training changes, and what is noted of every epoch."""

    def __init__(self, folder: Path, identity: dict[str, Any], parts: dict[str, Stateful]) -> None:
        self.file = folder / "training.pt"
        self.identity = identity  # a run goes on only if all of this is the same
        self.parts = parts
        self.rows: list[Row] = []
        self.positions: list[Tensor] = []

    def resume(self) -> None:
        """Go on with the unfinished run in the folder, if there is one.

        Raises FileExistsError if it holds a finished run, ValueError if it holds another one,
        CheckpointError if the state is damaged.
        """
        folder = self.file.parent
        records.refuse_finished(folder)
        if not self.file.exists():
            return
        saved = read(self.file)
        mine, theirs = self.identity, saved["identity"]
        if mine != theirs:
            names = [*mine, *(name for name in theirs if name not in mine)]
            changed = [name for name in names if mine.get(name) != theirs.get(name)]
            raise ValueError(
                f"{folder} holds an unfinished run with another {', '.join(changed)}; "
                "repeat its command to finish it, or give another --name"
            )
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        self.rows, self.positions = saved["rows"], saved["positions"]

    def save(self) -> None:
        """Write the state, whole or not at all."""
        state = {name: part.state_dict() for name, part in self.parts.items()}
        notes = {"rows": self.rows, "positions": self.positions, "identity": self.identity}
        content = BytesIO()  # torch reports a full disk as something else
        torch.save(state | notes, content)
        files.write(self.file, content.getvalue())

    def remove(self) -> None:
        """Drop the state of a run that is finished."""
        self.file.unlink(missing_ok=True)


def read(file: Path) -> dict[str, Any]:
    """Read a saved state; tensors and plain values only, no code is run."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        if not {"identity", "rows", "positions"} <= set(state):
            raise ValueError("it is of another version")
        return state
    except (PermissionError, IsADirectoryError):
        raise
    except Exception as error:  # what torch raises depends on where the file breaks off
        raise CheckpointError(
            f"{file} is damaged ({error}); delete it to start the run from its beginning"
        ) from error
