"""The same weights under other programs' names and in their shapes.

A layout is what another program calls the same numbers: "torchvision", "timm", "huggingface", or
"npz", that of the checkpoints which the paper's authors published.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from vitlit.checkpoint import CheckpointError
from vitlit.config import SIZES, ViTConfig
from vitlit.vit import VisionTransformer

# Ours, then theirs, each the beginning of a name; {} is the block's number. What is one tensor
# here, query, key and value above one another, is three in some layouts.
Names = Mapping[str, str | tuple[str, str, str]]
LAYOUTS: dict[str, Names] = {
    "torchvision": {
        "embedding.projection.": "conv_proj.",
        "class_token.token": "class_token",
        "positions.table": "encoder.pos_embedding",
        "encoder.blocks.{}.norm1.": "encoder.layers.encoder_layer_{}.ln_1.",
        "encoder.blocks.{}.attention.qkv.": (
            "encoder.layers.encoder_layer_{}.self_attention.in_proj_"
        ),
        "encoder.blocks.{}.attention.out.": (
            "encoder.layers.encoder_layer_{}.self_attention.out_proj."
        ),
        "encoder.blocks.{}.norm2.": "encoder.layers.encoder_layer_{}.ln_2.",
        "encoder.blocks.{}.mlp.grow.": "encoder.layers.encoder_layer_{}.mlp.0.",
        "encoder.blocks.{}.mlp.shrink.": "encoder.layers.encoder_layer_{}.mlp.3.",
        "encoder.norm.": "encoder.ln.",
        "head.hidden.": "heads.pre_logits.",
        "head.output.": "heads.head.",
        "head.": "heads.head.",
    },
    "timm": {  # it has no MLP head
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
    },
    "huggingface": {  # nor has ViTForImageClassification; in memory it has other names
        "embedding.projection.": "vit.embeddings.patch_embeddings.projection.",
        "class_token.token": "vit.embeddings.cls_token",
        "positions.table": "vit.embeddings.position_embeddings",
        "encoder.blocks.{}.norm1.": "vit.encoder.layer.{}.layernorm_before.",
        "encoder.blocks.{}.attention.qkv.": (
            "vit.encoder.layer.{}.attention.attention.query.",
            "vit.encoder.layer.{}.attention.attention.key.",
            "vit.encoder.layer.{}.attention.attention.value.",
        ),
        "encoder.blocks.{}.attention.out.": "vit.encoder.layer.{}.attention.output.dense.",
        "encoder.blocks.{}.norm2.": "vit.encoder.layer.{}.layernorm_after.",
        "encoder.blocks.{}.mlp.grow.": "vit.encoder.layer.{}.intermediate.dense.",
        "encoder.blocks.{}.mlp.shrink.": "vit.encoder.layer.{}.output.dense.",
        "encoder.norm.": "vit.layernorm.",
        "head.weight": "classifier.weight",
        "head.bias": "classifier.bias",
    },
    "npz": {
        "embedding.projection.": "embedding/",
        "class_token.token": "cls",
        "positions.table": "Transformer/posembed_input/pos_embedding",
        "encoder.blocks.{}.norm1.": "Transformer/encoderblock_{}/LayerNorm_0/",
        "encoder.blocks.{}.attention.qkv.": (
            "Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/query/",
            "Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/key/",
            "Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/value/",
        ),
        "encoder.blocks.{}.attention.out.": (
            "Transformer/encoderblock_{}/MultiHeadDotProductAttention_1/out/"
        ),
        "encoder.blocks.{}.norm2.": "Transformer/encoderblock_{}/LayerNorm_2/",
        "encoder.blocks.{}.mlp.grow.": "Transformer/encoderblock_{}/MlpBlock_3/Dense_0/",
        "encoder.blocks.{}.mlp.shrink.": "Transformer/encoderblock_{}/MlpBlock_3/Dense_1/",
        "encoder.norm.": "Transformer/encoder_norm/",
        "head.hidden.": "pre_logits/",
        "head.output.": "head/",
        "head.": "head/",
    },
}

# Where a library has two names for a weight: the other, and the one in LAYOUTS. torchvision's files
# are older than its models. transformers 5 gives weights in memory other names than in its files.
OTHERS = {
    r"^(encoder\.layers\.encoder_layer_\d+\.mlp)\.linear_1\.": r"\1.0.",
    r"^(encoder\.layers\.encoder_layer_\d+\.mlp)\.linear_2\.": r"\1.3.",
    r"^vit\.layers\.(\d+)\.attention\.q_proj\.": r"vit.encoder.layer.\1.attention.attention.query.",
    r"^vit\.layers\.(\d+)\.attention\.k_proj\.": r"vit.encoder.layer.\1.attention.attention.key.",
    r"^vit\.layers\.(\d+)\.attention\.v_proj\.": r"vit.encoder.layer.\1.attention.attention.value.",
    r"^vit\.layers\.(\d+)\.attention\.o_proj\.": r"vit.encoder.layer.\1.attention.output.dense.",
    r"^vit\.layers\.(\d+)\.mlp\.fc1\.": r"vit.encoder.layer.\1.intermediate.dense.",
    r"^vit\.layers\.(\d+)\.mlp\.fc2\.": r"vit.encoder.layer.\1.output.dense.",
    r"^vit\.layers\.(\d+)\.(layernorm_\w+)\.": r"vit.encoder.layer.\1.\2.",
}

STEMS = {  # the weights of the patch embedding, by whose name a layout is known
    layout: f"{names['embedding.projection.']}{'kernel' if layout == 'npz' else 'weight'}"
    for layout, names in LAYOUTS.items()
}
HEADS = {  # how the names of a head's tensors begin
    "torchvision": "heads.", "timm": "head.", "huggingface": "classifier.", "npz": "head/",
}  # fmt: skip


def entries(name: str, tensor: Tensor, layout: str, config: ViTConfig) -> dict[str, Tensor]:
    """One tensor of ours under the name, or names, and in the shapes of a layout.

    They are views of it: what is written to them is written to the tensor. Raises KeyError, naming
    it, for a tensor that the layout has no place for.
    """
    pattern = re.sub(r"\.\d+\.", ".{}.", name)
    block = "".join(re.findall(r"blocks\.(\d+)\.", name))
    ours = next((p for p in LAYOUTS[layout] if pattern.startswith(p)), None)
    if ours is None:
        raise KeyError(f"{name} has no place in {layout}'s layout")
    theirs, end = LAYOUTS[layout][ours], pattern.removeprefix(ours)
    if layout == "npz" and end == "weight":
        end = "scale" if "norm" in name else "kernel"
    names = [theirs] if isinstance(theirs, str) else [*theirs]
    parts = tensor.chunk(len(names))
    named = {f"{n.format(block)}{end}": part for n, part in zip(names, parts, strict=True)}
    return {n: _shaped(name, part, layout, config) for n, part in named.items()}


def _shaped(name: str, tensor: Tensor, layout: str, config: ViTConfig) -> Tensor:
    """A tensor of ours in the shape of a layout; q, k and v are apart already."""
    c = config
    if name in ("class_token.token", "positions.table"):
        return tensor.reshape(1, -1, c.width)
    if name == "embedding.projection.weight":
        filters = tensor.reshape(c.width, c.channels, c.patch_size, c.patch_size)
        return filters.permute(2, 3, 1, 0) if layout == "npz" else filters
    if layout != "npz":
        return tensor
    # Flax multiplies from the other side, and keeps heads as an axis.
    turned = tensor.T if tensor.dim() == 2 else tensor
    if "attention.qkv" in name:
        return turned.unflatten(-1, (c.heads, -1))
    if "attention.out.weight" in name:
        return turned.unflatten(0, (c.heads, -1))
    return turned


def to_layout(state: Mapping[str, Tensor], layout: str, config: ViTConfig) -> dict[str, Tensor]:
    """A state dict of ours under the names, and in the shapes, of another layout.

    Hugging Face's names are those in its files: `from_pretrained` takes them, `load_state_dict`
    does not. Raises ValueError on an unknown layout, KeyError, naming it, for a tensor without a
    place.
    """
    check_layout(layout)
    theirs: dict[str, Tensor] = {}
    for name, tensor in state.items():
        theirs |= entries(name, tensor, layout, config)
    return theirs


def from_layout(
    theirs: Mapping[str, Tensor], layout: str, config: ViTConfig, origin: str = "the weights"
) -> dict[str, Tensor]:
    """The state dict of ours that another layout's state dict says; `to_layout` backwards.

    Where a library's files and its models disagree about names, both are understood (`listed`).
    Raises CheckpointError, naming the tensors, if one is missing, unknown or of another shape.
    """
    check_layout(layout)
    theirs = listed(theirs)
    with torch.device("meta"):
        empty = VisionTransformer(config).state_dict()
    places = {name: entries(name, tensor, layout, config) for name, tensor in empty.items()}
    wanted = {n: tuple(t.shape) for parts in places.values() for n, t in parts.items()}
    given = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    if wanted != given:
        raise CheckpointError(_differences(wanted, given, layout, origin))
    ours = {}
    for name, parts in places.items():
        dtype = theirs[next(iter(parts))].dtype
        ours[name] = torch.empty(empty[name].shape, dtype=dtype)
        # `entries` returns views: to fill them is to fill the tensor that they look at. So only
        # one direction is written down, and the two cannot disagree.
        for their_name, view in entries(name, ours[name], layout, config).items():
            view.copy_(theirs[their_name].detach())
    return ours


def listed(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same weights under the names that `LAYOUTS` lists; `OTHERS` are those that it does not.

    A weight whose listed name is taken keeps its own, so that no two become one.
    """
    found = {}
    for name, tensor in theirs.items():
        new = name
        for other, here in OTHERS.items():
            new = re.sub(other, here, new)
        found[name if new in theirs else new] = tensor
    return found


def check_layout(layout: str) -> None:
    """Raise ValueError on a layout that does not exist."""
    if layout not in LAYOUTS:
        raise ValueError(f"no layout {layout!r}; choose one of {', '.join(LAYOUTS)}")


def _differences(
    wanted: dict[str, tuple[int, ...]],
    given: dict[str, tuple[int, ...]],
    layout: str,
    origin: str,
) -> str:
    """What does not fit, in words: the first names of each kind."""
    kinds = {
        "missing": [n for n in wanted if n not in given],
        "unknown": [n for n in given if n not in wanted],
        "of another shape": [
            f"{n} {given[n]}, not {wanted[n]}"
            for n in wanted
            if n in given and given[n] != wanted[n]
        ],
    }
    said = [
        f"{kind}: {', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        for kind, names in kinds.items()
        if names
    ]
    return (
        f"{origin} are no ViT of ours in {layout}'s layout ({'; '.join(said)}); "
        "give the model that they belong to, or weights of a plain ViT"
    )


def layout_of(theirs: Mapping[str, Tensor]) -> str:
    """The layout of a state dict. Raises CheckpointError if it is none that we know."""
    for layout, stem in STEMS.items():
        if stem in theirs:
            return layout
    some = ", ".join(list(theirs)[:3])
    raise CheckpointError(
        f"weights named {some} … are of no layout that we know: {', '.join(LAYOUTS)}"
    )


def config_of(theirs: Mapping[str, Tensor], layout: str, **known: Any) -> ViTConfig:
    """The configuration that another layout's shapes imply; `known` are fields that are given.

    Shapes do not tell everything: the image counts as square, LayerNorm's eps as 1e-6 (Hugging
    Face's: 1e-12), the GELU as exact (npz: the tanh approximation, as in the paper's code), an MLP
    head's activation as tanh, and the number of heads, but in npz, as that of the size in SIZES
    with this width and depth; `guesses` names them. Raises CheckpointError where that fails and
    the field is not given.
    """
    names, theirs = LAYOUTS[layout], listed(theirs)

    def shape(ours: str, end: str) -> tuple[int, ...] | None:
        theirs_ = names.get(ours)
        name = (theirs_ if isinstance(theirs_, str) else theirs_[0] if theirs_ else "") + end
        found = theirs.get(name.format(0))
        return None if found is None else tuple(found.shape)

    projection = theirs.get(STEMS[layout])
    patch = None if projection is None else tuple(projection.shape)
    table = shape("positions.table", "")
    grow, out = shape("encoder.blocks.{}.mlp.grow.", "bias"), shape("head.", "bias")
    out = out or shape("head.bias", "")
    if patch is None or len(patch) != 4 or table is None or grow is None or out is None:
        parts = {"a patch embedding": patch and len(patch) == 4, "positions": table,
                 "an MLP in block 0": grow, "a head": out}  # fmt: skip
        lacking = " and ".join(part for part, found in parts.items() if not found)
        raise CheckpointError(f"the weights lack {lacking}; they are no whole ViT")
    width, channels, P, _ = (patch[3], patch[2], *patch[:2]) if layout == "npz" else patch
    norm = str(names["encoder.blocks.{}.norm1."])
    numbered = re.compile(re.escape(norm).replace(r"\{\}", r"(\d+)"))
    depth = len({found[1] for name in theirs if (found := numbered.match(name))})
    class_token = shape("class_token.token", "") is not None
    fields: dict[str, Any] = {
        "patch_size": P, "channels": channels, "classes": out[0], "width": width, "depth": depth,
        "mlp_width": grow[0], "pooling": "class" if class_token else "mean",
        "eps": 1e-12 if layout == "huggingface" else 1e-6,
        "gelu": "tanh" if layout == "npz" else "none",
    }  # fmt: skip
    if hidden := shape("head.hidden.", "bias"):
        fields |= {"head": "mlp", "head_width": hidden[0]}
    if "image_size" not in known:
        N = math.prod(table[:-1]) - class_token
        if math.isqrt(N) ** 2 != N:
            raise CheckpointError(
                f"{N} positions make no square; say the size, as in vit.pth,image_size=224x160, or "
                "give the argument image_size=(H, W)"
            )
        fields["image_size"] = (P * math.isqrt(N),) * 2
    if "heads" not in known:
        query = shape("encoder.blocks.{}.attention.qkv.", "bias") if layout == "npz" else None
        heads = [h for D, L, h, _ in SIZES.values() if (width, depth) == (D, L)]
        if not heads and query is None:
            raise CheckpointError(
                f"the shapes do not tell how many heads a model of width {width} and depth {depth} "
                "has; say how many, as in vit.pth,heads=12, or give the argument heads"
            )
        fields["heads"] = query[0] if query else heads[0]
    try:
        return ViTConfig(**{**fields, **known})
    except ValueError as error:
        raise CheckpointError(f"no ViT has these shapes: {error}") from error


def guesses(config: ViTConfig, layout: str, known: Collection[str]) -> dict[str, Any]:
    """The fields of a configuration from `config_of` that no shape tells, and nobody has given."""
    names = ["heads"] if layout != "npz" else []
    names += ["image_size", "eps", "gelu"]
    names += ["activation"] if config.head == "mlp" else []
    return {name: getattr(config, name) for name in names if name not in known}


def has_head(theirs: Mapping[str, Tensor], layout: str) -> bool:
    """Whether a state dict of a layout has a head."""
    return any(name.startswith(HEADS[layout]) for name in theirs)


def new_head(theirs: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """A linear head of zeros and one class for a state dict that has none, in its layout."""
    table = theirs.get(str(LAYOUTS[layout]["positions.table"]), torch.zeros(1))
    state = {"head.weight": table.new_zeros(1, table.shape[-1]), "head.bias": table.new_zeros(1)}
    return to_layout(state, layout, ViTConfig())
