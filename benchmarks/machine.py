"""What the benchmarks ask of the machine that they run on."""

from typing import Any

import torch

from vitlit import records


def device_of(name: str) -> torch.device:
    """The device of a name, "auto" being a GPU if there is one. Raises ValueError if not there."""
    there = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if there else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"no device {name!r}; choose cpu, cuda or auto")
    if name == "cuda" and not there:
        raise ValueError("device 'cuda' is not there; use --device cpu")
    return torch.device(name)


def environment_on(device: torch.device) -> dict[str, Any]:
    """Commit, versions and hardware, as a run record holds them."""
    on_gpu = device.type == "cuda"
    return records.environment() | {
        "processes": 1,
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if on_gpu else None,
    }
