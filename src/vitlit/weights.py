"""Tensors in files and folders: what a file is decides its content, not its name."""

import argparse
import hashlib
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from vitlit.checkpoint import CheckpointError

# Files of a folder that hold its weights, in this order; an index names the files of the parts.
OF_A_FOLDER = (
    "model.safetensors", "model.safetensors.index.json",
    "pytorch_model.bin", "pytorch_model.bin.index.json",
)  # fmt: skip
SUFFIXES = (".safetensors", ".npz", ".pt", ".pth", ".bin", ".ckpt", ".tar")
# How other files begin that are given for weights, and what to do instead.
OTHERS = {
    b"\x89HDF": "an HDF5 file, as Keras writes it; save the weights as safetensors",
    b"version https://git-lfs": "a pointer of Git LFS, not the file itself; run `git lfs pull`",
    b"<": "a web page, not the file itself; download the file again",
    b"\x1f\x8b": "compressed; unpack it with gunzip or tar first",
    b"GGUF": "a GGUF file; save the weights as safetensors",
    b"\x93NUMPY": "a single array; save all of them, by name, with numpy.savez",
}
# Plain values that training programs store beside the weights.
ARRAYS: Any = import_module("numpy._core.multiarray")
PLAIN = [
    argparse.Namespace, np.dtype, np.ndarray, ARRAYS.scalar, ARRAYS._reconstruct,
    np.dtypes.Float32DType, np.dtypes.Float64DType, np.dtypes.Int32DType, np.dtypes.Int64DType,
]  # fmt: skip


def read(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors, npz or PyTorch file, or of a folder of such files, by name.

    The content tells which it is. Dictionaries in one another become one, their keys joined by
    dots. No code is run. Raises FileNotFoundError, or CheckpointError if the file is damaged, of
    another kind, or a pickle that holds more than tensors and plain values.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"no weights {path}")
    file = file_of(path)
    if not file.is_file():
        raise CheckpointError(f"{file} is no regular file; give a file of weights")
    kind = _kind_of(file)
    try:
        if kind == "safetensors":
            return load_file(file)
        if kind == "npz":
            with np.load(file, allow_pickle=False) as arrays:
                return {name: _tensor(arrays[name]) for name in arrays.files}
        if kind == "torch":
            # Opened here, for torch would go by the name.
            with open(file, "rb") as opened, torch.serialization.safe_globals(PLAIN):
                state = torch.load(opened, map_location="cpu", weights_only=True)
            return _tensors_of(state, file)
        return _parts(file)
    except CheckpointError:
        raise
    except Exception as error:  # each reader has its own
        raise CheckpointError(_reason(file, kind, error)) from error


def file_of(path: Path) -> Path:
    """The file that holds, or lists, a folder's weights; of a file, the file itself.

    Raises FileNotFoundError if the folder has none, or several of which none is the usual one.
    """
    if not path.is_dir():
        return path
    there = sorted(file.name for file in path.iterdir() if file.suffix in SUFFIXES)
    for name in OF_A_FOLDER:
        if (path / name).exists():
            return path / name
    if "training.pt" in there:
        raise FileNotFoundError(f"no weights in {path}: {UNFINISHED}")
    if len(there) == 1:
        return path / there[0]
    runs = sorted(file.parent.name for file in path.glob(f"*/{OF_A_FOLDER[0]}"))
    if names := there or runs:
        what = f"it holds {', '.join(names[:5])}{' …' if len(names) > 5 else ''}; give one of them"
    else:
        what = f"it has no {OF_A_FOLDER[0]} or the like; give another folder"
    raise FileNotFoundError(f"no weights in {path}: {what}")


UNFINISHED = "it holds an unfinished run; repeat the run's command to finish it"


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; nothing of another file, or of one that is damaged."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > path.stat().st_size:
                return {}
            header = json.loads(file.read(size))
        return dict(header.get("__metadata__", {}))
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def packed(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> bytes:
    """A safetensors file; equal tensors and metadata make equal bytes.

    The library writes its header in another order each time.
    """
    content = save(dict(tensors), metadata=dict(about))
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:start]), sort_keys=True, separators=(",", ":"))
    text = header.encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    return len(text).to_bytes(8, "little") + text + content[start:]


def check_finite(tensors: Mapping[str, Tensor], origin: str) -> None:
    """Raises CheckpointError, naming the tensor, if one holds NaN or an infinite number."""
    for name, tensor in tensors.items():
        if not bool(tensor.isfinite().all()):
            bad = int((~tensor.isfinite()).sum())
            raise CheckpointError(
                f"{origin}: {name} holds {bad:,} of {tensor.numel():,} numbers that are NaN or "
                "infinite, so that nothing can be predicted; give weights of a run that did not "
                "diverge"
            )


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of tensors and their names, whatever file they were in."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return f"sha256:{digest.hexdigest()}"


def _kind_of(file: Path) -> str:
    """What a file is: safetensors, npz, torch or index. Raises CheckpointError if it is no such."""
    with open(file, "rb") as opened:
        start = opened.read(64)
    # It begins with its header's length, whose bytes can be those with which others begin.
    header = int.from_bytes(start[:8], "little")
    if start[8:9] == b"{" and 8 + header <= file.stat().st_size:
        return "safetensors"
    for beginning, words in OTHERS.items():
        if start.startswith(beginning):
            raise CheckpointError(f"{file} is {words}")
    if start.startswith(b"PK"):
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except zipfile.BadZipFile as error:
            raise CheckpointError(f"{file} is damaged ({error}); get or save it again") from error
        if any(name.endswith("data.pkl") for name in names):
            return "torch"
        if names and all(name.endswith(".npy") for name in names):
            return "npz"
    elif start.startswith(b"\x80"):
        return "torch"  # as PyTorch wrote before 1.6
    elif start[8:9] == b"{":
        return "safetensors"  # cut off in its header, as its reader will say
    elif start.lstrip().startswith(b"{"):
        return "index"
    if file.suffix == ".safetensors":
        raise CheckpointError(f"{file} is no whole safetensors file; get or save it again")
    what = "is empty" if not start else "is no safetensors, npz or PyTorch file"
    raise CheckpointError(f"{file} {what}; give a file of weights")


def _reason(file: Path, kind: str, error: Exception) -> str:
    """Why a file cannot be read, and what to do."""
    words = " ".join(str(error).split())
    if kind == "safetensors":
        return f"{file} is no whole safetensors file ({words}); get or save it again"
    code = re.search(r"Unsupported (?:global|class)\S* (?:GLOBAL )?`?([\w.]+)", words)
    if kind == "npz":
        why = words.partition(". ")[0]
    elif code:
        why = f"it holds {code[1]}"
    else:
        why = "a program" if "TorchScript" in words else words.partition(". ")[0][:200]
    return (
        f"{file} cannot be read without running code from it, or is damaged ({why}); where it is "
        "written, save its tensors alone: torch.save(model.state_dict(), 'weights.pt')"
    )


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=False))


def _tensors_of(state: Any, file: Path) -> dict[str, Tensor]:
    """The tensors of what was stored, however deep. Raises CheckpointError if there are none."""
    if isinstance(state, Mapping) and {"identity", "rows", "positions"} <= set(state):
        raise CheckpointError(f"{file} is no file of weights: {UNFINISHED}")
    tensors = dict(_flat(state))
    if not tensors:
        raise CheckpointError(
            f"{file} holds no tensors with names; save a state dict: "
            "torch.save(model.state_dict(), 'weights.pt')"
        )
    return tensors


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor) and name:
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))


def _parts(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index lists."""
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(listed.values()))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise CheckpointError(f"{index} is no file of weights, and lists none") from error
    tensors: dict[str, Tensor] = {}
    for name in names:
        part = index.parent / str(name)
        if part.name != name or not part.is_file():
            raise CheckpointError(f"{index} lists {name}, which is not beside it; get it too")
        tensors |= read(part)
    return tensors
