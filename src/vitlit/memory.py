"""Whether a model can be trained in the memory there is: estimated before anything is built."""

import re
from pathlib import Path

import torch

from vitlit.config import ViTConfig
from vitlit.patches import grid_of
from vitlit.presets import Recipe

# Where Linux says how much a container may use, how much it does, and under which name how much of
# that is cached files: of control groups of version 2, and of version 1.
GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)
MEMINFO = "/proc/meminfo"


def parameters_of(config: ViTConfig) -> int:
    """The numbers in a model's state, from its configuration alone."""
    c, D = config, config.width
    rows, columns = grid_of(c.image_size, c.patch_size)
    extra = int(c.pooling == "class")
    embedding = c.channels * c.patch_size**2 * D + D
    positions = extra * D + (rows * columns + extra) * D  # the class token, and the table
    block = 4 * (D * D + D) + 2 * D * c.mlp_width + c.mlp_width + D + 4 * D
    hidden = c.head_width or D
    head = D * c.classes + c.classes
    if c.head == "mlp":
        head = D * hidden + hidden + hidden * c.classes + c.classes
    return embedding + positions + c.depth * block + 2 * D + head


def bytes_to_train(config: ViTConfig, recipe: Recipe, images: int) -> int:
    """At least how many bytes a step with that many images takes, besides the images themselves.

    Weights, gradients, the optimizer's averages (Muon keeps one, AdamW two) and the moving average
    are float32. Of every block the backward pass needs both norms, queries, keys and values, what
    attention returns, and the MLP's hidden layer before and after GELU.
    """
    copies = 3 + (recipe.optimizer == "adamw") + (recipe.average > 0)
    rows, columns = grid_of(config.image_size, config.patch_size)
    tokens = max(1, int(max(recipe.kept) * rows * columns))
    number = 2 if recipe.precision == "bf16" else 4
    activations = images * tokens * config.depth * (6 * config.width + 2 * config.mlp_width)
    return 4 * copies * parameters_of(config) + number * activations


def free(device: str) -> int | None:
    """The bytes that are free on a device, or None where that cannot be known.

    In a container, what its limit leaves of them: the limit less what is used. Files that the
    system keeps in memory and has not needed lately (`inactive_file`) do not count as used, since
    it drops them when memory is asked for; Docker reckons the same.
    """
    if device.startswith("cuda"):
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path(MEMINFO).read_text(encoding="utf-8").splitlines()
        there = next(int(x.split()[1]) * 1024 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    return min([there, *(left for group in GROUPS if (left := _left(*group)) is not None)])


def refuse_too_large(config: ViTConfig, recipe: Recipe, images: int, device: str) -> None:
    """Raises ValueError if a model cannot be trained with batches of so many images on a device."""
    there, needed = free(device), bytes_to_train(config, recipe, images)
    if there is not None and needed > there:
        raise ValueError(
            f"a model of {parameters_of(config):,} parameters takes at least {needed / 2**30:,.1f} "
            f"GiB to train with batches of {images} images, and {there / 2**30:,.1f} GiB are free "
            f"on {device}; lower model.width, model.depth or batch_size, or take larger patches"
        )


def _left(folder: str, limit: str, usage: str, cached: str) -> int | None:
    """The bytes that a control group may still use; None if it has no limit."""
    allowed, used = (_content(f"{folder}/{name}") for name in (limit, usage))
    if not allowed.isdigit():
        return None
    files = re.search(rf"^{cached} (\d+)$", _content(f"{folder}/memory.stat"), re.M)
    taken = (int(used) if used.isdigit() else 0) - (int(files[1]) if files else 0)
    return max(0, int(allowed) - max(0, taken))


def _content(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8").strip()
    except OSError:
        return ""
