"""From one resolution and head to another: fine-tuning (Dosovitskiy et al. 2020, section 3.2)."""

from dataclasses import replace
from typing import Any

from vitlit.config import CHANGEABLE, START_POSITIONS, ViTConfig
from vitlit.vit import VisionTransformer

HEAD = {"classes", "head", "head_width", "activation"}


def changed(config: ViTConfig, **changes: Any) -> ViTConfig:
    """The configuration of a trained model that is made ready for another task.

    Raises ValueError on a field that the weights decide, or a size that its patches do not fit.
    """
    if fixed := sorted(set(changes) - set(CHANGEABLE)):
        raise ValueError(
            f"{', '.join(fixed)} cannot change: the weights decide it; "
            f"what can are {', '.join(CHANGEABLE)}"
        )
    (H, W), P = changes.get("image_size", config.image_size), config.patch_size
    if H % P or W % P:
        fits = "×".join(str(max(P, round(side / P) * P)) for side in (H, W))
        raise ValueError(
            f"image_size {H}×{W} is no multiple of {P}, the patch size of the weights; take {fits}"
        )
    return replace(config, **changes)


def adapted(
    model: VisionTransformer, positions: str = "interpolated", **changes: Any
) -> VisionTransformer:
    """A trained model made ready for another task: its encoder, on another grid, under a new head.

    `changes` are fields of ViTConfig, one of CHANGEABLE. With one that concerns the head, the head
    is new and untrained; else it is kept. If the grid changes, `positions` are "interpolated"
    (bicubic), "nearest" or "fresh" (drawn anew); "fresh" draws them anew on the same grid too.
    Raises ValueError on another field or choice.
    """
    if positions not in START_POSITIONS:
        raise ValueError(f"positions {positions!r} do not exist; choose one of {START_POSITIONS}")
    new = VisionTransformer(changed(model.config, **changes))
    state = model.state_dict()
    if set(changes) & HEAD:
        state = {name: t for name, t in state.items() if not name.startswith("head.")}
    if positions == "fresh":
        del state["positions.table"]
    else:
        how = {"mode": "nearest"} if positions == "nearest" else {}
        state["positions.table"] = model.positions.resized(new.positions.grid, **how).table
    new.load_state_dict(new.state_dict() | state)
    return new.to(model.positions.table).train(model.training)
