"""What can be chosen about a model: its sizes and variants (Dosovitskiy et al. 2020, table 1)."""

from dataclasses import dataclass
from typing import Any

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
CHOICES = {
    "head": ("linear", "mlp"), "activation": ("tanh", "relu"), "gelu": ("none", "tanh"),
    "pooling": ("class", "mean"), "positions": ("learned", "sincos", "none"),
}  # fmt: skip
# What can change about a trained model without touching a weight of its encoder, and how its
# positions follow it to another grid.
CHANGEABLE = (
    "image_size", "classes", "head", "head_width", "activation", "dropout", "stochastic_depth"
)  # fmt: skip
START_POSITIONS = ("interpolated", "nearest", "fresh")


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """Everything that decides the shape of a model. Sizes in pixels are (H, W).

    eps is LayerNorm's: 1e-6 in the paper's code, torchvision and timm; 1e-12 in Hugging Face's.
    Raises ValueError on a choice that does not exist or sizes that do not fit.
    """

    image_size: tuple[int, int] = (32, 32)
    patch_size: int = 4
    channels: int = 3
    classes: int = 10
    width: int = 96
    depth: int = 6
    heads: int = 3
    mlp_width: int = 192
    pooling: str = "class"
    positions: str = "learned"
    head: str = "linear"
    head_width: int | None = None  # of the MLP head; the model's width if None
    activation: str = "tanh"  # of the MLP head
    gelu: str = "none"
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        """Refuse what cannot be built, before anything is built."""
        from vitlit.patches import grid_of  # here, so that choices can be listed without torch

        object.__setattr__(self, "image_size", tuple(self.image_size))
        grid_of(self.image_size, self.patch_size)
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} {value!r} does not exist; choose one of {choices}")
        for name in ("dropout", "stochastic_depth"):
            if not 0 <= (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}; it is a chance, at least 0 and below 1")
        for name in ("channels", "classes", "width", "depth", "mlp_width"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} is {value}; it must be at least 1")

    def check(self, images: Any, dtype: Any) -> None:
        """Refuse images that a model of this configuration with weights of `dtype` does not take.

        Raises ValueError on pixels of another type or images of another size; on other axes or
        channels the patch embedding does.
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
