"""What can be chosen about a model: its sizes and variants (Dosovitskiy et al. 2020, table 1)."""

from dataclasses import dataclass
from typing import Annotated, Any

from vitlit.bounds import OneOf, Within, check

SIZES = {  # width D, depth L, heads h, MLP width
    "Ti": (192, 12, 3, 768),  # Touvron et al. 2021, table 1
    "S": (384, 12, 6, 1536),
    "B": (768, 12, 12, 3072),  # Dosovitskiy et al. 2020, table 1
    "L": (1024, 24, 16, 4096),
    "H": (1280, 32, 16, 5120),
    "pico": (64, 4, 2, 128),  # for images of 32 pixels: ours
    "nano": (96, 6, 3, 192),
    "micro": (192, 9, 6, 384),
    "mini": (384, 9, 6, 768),
}
# What can change about a trained model without touching a weight of its encoder, and how its
# positions follow it to another grid.
CHANGEABLE = (
    "image_size", "classes", "head", "head_width", "activation", "dropout", "stochastic_depth"
)  # fmt: skip
START_POSITIONS = OneOf("interpolated", "nearest", "fresh")

Pixels = Annotated[int, Within(1, 16_384)]  # the sides of images and patches
Width = Annotated[int, Within(1, 65_536)]  # of vectors
Chance = Annotated[float, Within(0, 1, without=1)]


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Everything that decides the shape of a model. Sizes in pixels are (H, W).

    eps is LayerNorm's: 1e-6 in the paper's code, torchvision and timm; 1e-12 in Hugging Face's.
    Raises ValueError on a value that its field does not allow, or sizes that do not fit.
    """

    image_size: tuple[Pixels, Pixels] = (32, 32)
    patch_size: Pixels = 4
    channels: Annotated[int, Within(1, 1024)] = 3
    classes: Annotated[int, Within(1, 1_000_000)] = 10
    width: Width = 96
    depth: Annotated[int, Within(1, 1000)] = 6
    heads: Annotated[int, Within(1, 1024)] = 3
    mlp_width: Width = 192
    pooling: Annotated[str, OneOf("class", "mean")] = "class"
    positions: Annotated[str, OneOf("learned", "sincos", "none")] = "learned"
    head: Annotated[str, OneOf("linear", "mlp")] = "linear"
    head_width: Width | None = None  # of the MLP head; the model's width if None
    activation: Annotated[str, OneOf("tanh", "relu")] = "tanh"  # of the MLP head
    gelu: Annotated[str, OneOf("none", "tanh")] = "none"
    dropout: Chance = 0.0
    stochastic_depth: Chance = 0.0
    eps: Annotated[float, Within(0, 0.1, without=0)] = 1e-6

    def __post_init__(self) -> None:
        """Refuse what cannot be built, before anything is built."""
        from vitlit.patches import grid_of  # here, so that choices can be listed without torch

        check(ViTConfig, vars(self))
        object.__setattr__(self, "image_size", tuple(self.image_size))
        grid_of(self.image_size, self.patch_size)

    def check_images(self, images: Any, dtype: Any) -> None:
        """Refuse images, (B, C, H, W), that a model of this configuration does not take.

        `dtype` is that of its weights. Raises ValueError on pixels of another type or images of
        another size; on other axes or channels the patch embedding does.
        """
        import torch

        if images.ndim != 4 or images.shape[1] != self.channels:
            return
        if not images.is_floating_point():
            raise ValueError(
                f"images of {images.dtype} are no normalized pixels; subtract the mean and divide "
                "by the deviation of what the model was trained on, or let Classifier.logits do it"
            )
        if images.dtype != dtype and not torch.is_autocast_enabled(images.device.type):
            raise ValueError(
                f"images of {images.dtype}, but the model's weights are {dtype}; use "
                f"images.to({dtype}), or model.to({images.dtype})"
            )
        H, W = self.image_size
        if images.shape[2] != H or images.shape[3] != W:
            raise ValueError(
                f"images of {images.shape[2]}×{images.shape[3]} pixels, the model takes {H}×{W}; "
                "resize them, or fit the model with VisionTransformer.resized"
            )

    @classmethod
    def named(cls, name: str, **changes: Any) -> "ViTConfig":
        """A size and a patch size, such as "B/16"; `changes` are other fields."""
        size, _, patch = name.partition("/")
        if size not in SIZES or not patch.isdigit():
            raise ValueError(f"no model {name!r}; write SIZE/PATCH with SIZE one of {list(SIZES)}")
        width, depth, heads, mlp_width = SIZES[size]
        sizes = {"width": width, "depth": depth, "heads": heads, "mlp_width": mlp_width}
        return cls(**{**sizes, "patch_size": int(patch), **changes})
