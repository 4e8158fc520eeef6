"""The same weights under other implementations' names: torchvision's and timm's."""

import re

from torch import Tensor

# Ours, then theirs; {} is the block's number. The order of entries in a tensor is the same on both
# sides, so a change of shape is a reshape.
TORCHVISION = {
    "embedding.projection.": "conv_proj.",
    "class_token.token": "class_token",
    "positions.table": "encoder.pos_embedding",
    "encoder.blocks.{}.norm1.": "encoder.layers.encoder_layer_{}.ln_1.",
    "encoder.blocks.{}.attention.qkv.": "encoder.layers.encoder_layer_{}.self_attention.in_proj_",
    "encoder.blocks.{}.attention.out.": "encoder.layers.encoder_layer_{}.self_attention.out_proj.",
    "encoder.blocks.{}.norm2.": "encoder.layers.encoder_layer_{}.ln_2.",
    "encoder.blocks.{}.mlp.grow.": "encoder.layers.encoder_layer_{}.mlp.0.",
    "encoder.blocks.{}.mlp.shrink.": "encoder.layers.encoder_layer_{}.mlp.3.",
    "encoder.norm.": "encoder.ln.",
    "head.hidden.": "heads.pre_logits.",
    "head.output.": "heads.head.",
    "head.": "heads.head.",
}
TIMM = {  # it has no MLP head
    "embedding.projection.": "patch_embed.proj.",
    "class_token.token": "cls_token",
    "positions.table": "pos_embed",
    "encoder.blocks.{}.norm1.": "blocks.{}.norm1.",
    "encoder.blocks.{}.attention.qkv.": "blocks.{}.attn.qkv.",
    "encoder.blocks.{}.attention.out.": "blocks.{}.attn.proj.",
    "encoder.blocks.{}.norm2.": "blocks.{}.norm2.",
    "encoder.blocks.{}.mlp.grow.": "blocks.{}.mlp.fc1.",
    "encoder.blocks.{}.mlp.shrink.": "blocks.{}.mlp.fc2.",
    "encoder.norm.": "norm.",
    "head.weight": "head.weight",
    "head.bias": "head.bias",
}


def rename(state: dict[str, Tensor], layout: dict[str, str], patch_size: int) -> dict[str, Tensor]:
    """A state dict of ours under the names, and in the shapes, of another layout.

    Raises KeyError, naming it, for a tensor that the layout has no place for.
    """
    theirs = {}
    for name, tensor in state.items():
        pattern = re.sub(r"\.\d+\.", ".{}.", name)
        block = "".join(re.findall(r"blocks\.(\d+)\.", name))
        prefix = next((p for p in layout if pattern.startswith(p)), None)
        if prefix is None:
            raise KeyError(f"{name} has no place in the layout {sorted(layout.values())}")
        if name in ("class_token.token", "positions.table"):
            tensor = tensor.reshape(1, -1, tensor.shape[-1])
        if name == "embedding.projection.weight":
            tensor = tensor.reshape(len(tensor), -1, patch_size, patch_size)
        theirs[layout[prefix].format(block) + pattern.removeprefix(prefix)] = tensor
    return theirs


def to_torchvision(state: dict[str, Tensor], patch_size: int) -> dict[str, Tensor]:
    """Our state dict as one of torchvision.models.VisionTransformer; heads linear or MLP (tanh)."""
    return rename(state, TORCHVISION, patch_size)


def to_timm(state: dict[str, Tensor], patch_size: int) -> dict[str, Tensor]:
    """Our state dict as one of timm's VisionTransformer; linear head only."""
    return rename(state, TIMM, patch_size)
