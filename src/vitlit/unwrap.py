"""Where in a checkpoint a ViT is: under which keys and prefixes, with which head.

Programs store a model as "model", "state_dict" or "net", wrap it into "module." or "_orig_mod.",
make it a "backbone." of something larger, or keep an average of it beside. None of these words
must be known: the name of the patch embedding tells where the model begins.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor

from vitlit.checkpoint import CheckpointError
from vitlit.config import ViTConfig
from vitlit.layouts import HEADS, LAYOUTS, STEMS, layout_of, listed, to_layout
from vitlit.weights import check_finite

OURS = "embedding.projection.weight"  # in a state dict of our own, which has no layout's names
PLACES = STEMS | {"vitlit": OURS, "huggingface": STEMS["huggingface"].removeprefix("vit.")}
AVERAGED = re.compile(r"(^|[._/])(ema|teacher|averaged?|swa)([._/]|$)")
# What pre-training leaves beside a model that can be used without.
BESIDE = re.compile(r"^(vit\.)?(embeddings\.)?(mask_token$|decoder|pooler\.)")


class Unwrapped(NamedTuple):
    """A ViT's tensors under the names of a layout, and where in the checkpoint they were."""

    tensors: dict[str, Tensor]
    layout: str
    entry: str
    entries: tuple[str, ...]  # all there were


def unwrap(
    theirs: Mapping[str, Tensor],
    entry: str | None = None,
    channels: int | None = None,
    origin: str = "the weights",
) -> Unwrapped:
    """Find the ViT in a checkpoint: the one at `entry`, or of several the averaged, or the first.

    The first is by layout, in the order of LAYOUTS and ours last; within one layout, as they stand
    in the checkpoint. Of several averaged ones the first is taken, too.
    A head that stands beside the ViT is taken along; other tensors outside are not.
    A state dict of our own comes out in torchvision's layout, which has a place for all of it.
    Raises CheckpointError if there is no ViT of a layout that we know, none at `entry`, or one with
    numbers that are not finite.
    """
    places = [
        (name.removesuffix(stem), layout)
        for layout, stem in PLACES.items()
        for name in theirs
        if name == stem or name.endswith((f".{stem}", f"/{stem}"))
    ]
    if not places:
        try:
            layout_of(theirs)
        except CheckpointError as error:
            raise CheckpointError(f"{origin}: {error}") from error
    if entry is None:
        place = next((place for place in places if AVERAGED.search(place[0])), places[0])
    else:
        wanted = [place for place in places if place[0].rstrip("./") == entry.rstrip("./")]
        if not wanted:
            there = ", ".join(repr(prefix.rstrip("./")) for prefix, _ in places)
            raise CheckpointError(f"{origin}: no entry {entry!r}; there are {there}")
        place = wanted[0]
    prefix, layout = place
    chosen = {name: tensor for name, tensor in theirs.items() if name.startswith(prefix)}
    check_finite(chosen, origin)
    inside = {name.removeprefix(prefix): tensor for name, tensor in chosen.items()}
    if layout == "huggingface":
        inside = {f"vit.{name}": t for name, t in inside.items()}
    head = HEADS.get(layout, "head.")
    if not any(name.startswith(head) for name in inside):
        inside |= _head_beside(theirs, prefix, head)
    inside = {name: t for name, t in inside.items() if not BESIDE.match(name)}
    if layout == "vitlit":
        inside, layout = _ours(inside, channels, origin), "torchvision"
    return Unwrapped(listed(inside), layout, prefix.rstrip("./"), tuple(p for p, _ in places))


def _head_beside(theirs: Mapping[str, Tensor], prefix: str, head: str) -> dict[str, Tensor]:
    """The tensors of a head that stands in one of the places around a prefix, the nearest."""
    while prefix:
        prefix = re.sub(r"[^./]*[./]$", "", prefix)
        names = [name for name in theirs if name.startswith(f"{prefix}{head}")]
        if names:
            return {name.removeprefix(prefix): theirs[name] for name in names}
    return {}


def _ours(state: Mapping[str, Tensor], channels: int | None, origin: str) -> dict[str, Tensor]:
    """A state dict of ours in torchvision's layout; three channels if that makes square patches."""
    if state[OURS].dim() != 2 or not state[OURS].numel():
        raise CheckpointError(
            f"{origin}: {OURS} has the shape {tuple(state[OURS].shape)}, but ours is a matrix, "
            "(width, numbers of a patch); give weights that vitlit trained, or such in the layout "
            f"of {', '.join(LAYOUTS)}"
        )
    width, numbers = state[OURS].shape
    fits = [
        C for C in ((channels,) if channels else (3, 1)) if C * _side(numbers, C) ** 2 == numbers
    ]
    if not fits:
        raise CheckpointError(
            f"{origin}: patches of {numbers} numbers are no squares of {channels or '3 or 1'} "
            "channels; say how many there are, as in model.pt,channels=4"
        )
    P = _side(numbers, fits[0])
    sizes: dict[str, Any] = {"image_size": (P, P), "patch_size": P, "channels": fits[0]}
    try:
        return to_layout(state, "torchvision", ViTConfig(**sizes, width=width, heads=1))
    except (KeyError, RuntimeError, ValueError) as error:
        raise CheckpointError(
            f"{origin}: a state dict of ours that does not fit: {error}"
        ) from error


def _side(numbers: int, channels: int) -> int:
    return math.isqrt(numbers // channels)
