"""An image as a sequence of patches (Dosovitskiy et al. 2020, section 3.1, equation 1)."""

import math

from jaxtyping import Float
from torch import Tensor, nn


def grid_of(image_size: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of patches in an image of (H, W) pixels.

    Raises ValueError if the patch size does not divide both sides.
    """
    H, W = image_size
    if patch_size < 1 or H % patch_size or W % patch_size:
        fits = [str(p) for p in range(1, math.gcd(H, W) + 1) if H % p == W % p == 0]
        given = f"patch_size {patch_size} does not divide the image of {H}×{W} pixels"
        raise ValueError(f"{given}; choose one of {', '.join(fits)}, or resize or crop the image")
    return H // patch_size, W // patch_size


def patchify(images: Float[Tensor, "B C H W"], patch_size: int) -> Float[Tensor, "B N CPP"]:
    """Cut images into N = HW/P² patches, row by row, each flattened as (channel, row, column)."""
    B, C, H, W = images.shape
    P = patch_size
    rows, columns = grid_of((H, W), P)
    blocks = images.reshape(B, C, rows, P, columns, P)
    return blocks.permute(0, 2, 4, 1, 3, 5).reshape(B, rows * columns, C * P * P)


def unpatchify(
    patches: Float[Tensor, "B N CPP"], patch_size: int, image_size: tuple[int, int]
) -> Float[Tensor, "B C H W"]:
    """Put the patches of `patchify` back together."""
    B, P = patches.shape[0], patch_size
    rows, columns = grid_of(image_size, P)
    blocks = patches.reshape(B, rows, columns, -1, P, P)
    return blocks.permute(0, 3, 1, 4, 2, 5).reshape(B, -1, *image_size)


def lecun_normal_(weight: Tensor) -> Tensor:
    """Fill with a normal of variance 1 / fan-in, cut at two deviations: the default of Flax."""
    cut = 0.87962566103423978  # the deviation of a unit normal after the cut
    std = weight.shape[1] ** -0.5 / cut
    return nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


class PatchEmbedding(nn.Module):
    """Map every patch of P×P pixels to a vector of width D: x E of equation 1.

    One linear map for all patches. The same as a convolution whose stride is its kernel size.
    """

    def __init__(self, patch_size: int, channels: int, width: int) -> None:
        super().__init__()
        self.patch_size, self.channels = patch_size, channels
        self.projection = nn.Linear(channels * patch_size**2, width)
        lecun_normal_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        """Embed the patches. Raises ValueError on images that are no (B, channels, H, W)."""
        C, shape = self.channels, tuple(images.shape)
        if len(shape) != 4:
            given = f"images of shape {shape} have {len(shape)} axes, not the four of (B, C, H, W)"
            raise ValueError(f"{given}; give one image a batch axis with image[None]")
        if shape[1] != C:
            last = "bring the last axis forward with images.permute(0, 3, 1, 2)"
            other = "convert the images, or build a model with `channels` set"
            given = f"the images have {shape[1]} channels, the model expects {C}"
            raise ValueError(f"{given}; {last if shape[3] == C else other}")
        return self.projection(patchify(images, self.patch_size))
