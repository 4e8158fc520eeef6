"""Where a model runs: the device, and several processes, one a GPU or core, as `torchrun` starts.

Every process holds the whole model and all images, and takes its part of each batch.
"""

import os
import platform
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, distributed


def device_of(name: str) -> str:
    """A device by its name: cpu, cuda, cuda:N or mps; auto is a GPU if there is one.

    mps is the GPU of an Apple computer, which several processes cannot share. Raises ValueError if
    there is no such device.
    """
    together = "LOCAL_RANK" in os.environ
    if name == "auto":
        apple = torch.backends.mps.is_available() and not together
        return "cuda" if torch.cuda.is_available() else "mps" if apple else "cpu"
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", name):
        raise ValueError(f"no device {name!r}; choose cpu, cuda, cuda:N, mps or auto")
    if name == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' is not there; use --device cpu")
    if name == "mps" and together:
        raise ValueError("several processes cannot share Apple's GPU; use --device cpu")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name.startswith("cuda") and int(name.partition(":")[2] or 0) >= there:
        raise ValueError(f"device {name!r} is not there; use --device cpu")
    return name


def machine(device: str) -> dict[str, Any]:
    """What a record says of a device and the processes that share the work on it."""
    gpu = None
    if device.startswith("cuda"):
        gpu = torch.cuda.get_device_name(device)
    elif device == "mps":
        gpu = f"Apple {platform.machine()}"
    return {
        "processes": count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "gpu": gpu,
    }


def count() -> int:
    """How many processes train together; 1 without torchrun."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


@contextmanager
def joined(device: str) -> Iterator[str]:
    """Meanwhile belong to the processes that torchrun started, if it did; yields the own device.

    "cuda" becomes the GPU of this process.
    """
    if "LOCAL_RANK" not in os.environ or distributed.is_initialized():
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


@contextmanager
def by_first(context: AbstractContextManager[Any]) -> Iterator[None]:
    """Let the first process enter a context. What it refuses with an error, all refuse."""
    refused: list[Exception | None] = [None]
    with ExitStack() as stack:
        if rank() == 0:
            try:
                stack.enter_context(context)
            except (OSError, ValueError) as error:
                refused = [error]
        if count() > 1:
            distributed.broadcast_object_list(refused, device=torch.device("cpu"))
        if refused[0] is not None:
            raise refused[0]
        yield


def part_of(tensor: Tensor) -> Tensor:
    """This process's rows of a tensor: an even part, in the order of the processes."""
    return tensor.tensor_split(count())[rank()]


def sum_over(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes."""
    if count() > 1:
        distributed.all_reduce(tensor)
    return tensor


def wait() -> None:
    """Go on when all processes are here."""
    if count() > 1:
        distributed.barrier()
