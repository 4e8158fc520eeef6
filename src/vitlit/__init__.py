"""vitlit: the Vision Transformer, as a book that runs.

The names below are loaded when first used, so that the website can be built, and run records
read, without torch.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "patchify": "patches",
    "unpatchify": "patches",
    "PatchEmbedding": "patches",
    "ClassToken": "positions",
    "PositionEmbedding": "positions",
    "interpolate_positions": "positions",
    "sincos_positions": "positions",
    "SelfAttention": "encoder",
    "MLP": "encoder",
    "EncoderBlock": "encoder",
    "Encoder": "encoder",
    "LinearHead": "heads",
    "MLPHead": "heads",
    "ViTConfig": "config",
    "VisionTransformer": "vit",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vitlit' has no attribute {name!r}")
    return getattr(import_module(f"vitlit.{_HOMES[name]}"), name)
