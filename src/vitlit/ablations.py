"""Ablations that are no choice of the model: shuffled patches, post-norm, a convolutional stem.

They exist to be measured. Their weights are not stored, since no configuration describes them.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitlit.encoder import EncoderBlock, Tokens
from vitlit.vit import VisionTransformer


class ConvolutionalStem(nn.Module):
    """Patch embedding by 3×3 convolutions of stride 2 and one of 1×1 (after Xiao et al. 2021).

    A BatchNorm and a ReLU follow each of stride 2. It has twice as many channels as the one before,
    and the last `width`. Raises ValueError unless patch_size is a power of two that fits the width.
    """

    def __init__(self, patch_size: int, channels: int, width: int) -> None:
        super().__init__()
        halvings = patch_size.bit_length() - 1
        if patch_size != 2**halvings or halvings < 1 or width % 2 ** (halvings - 1):
            raise ValueError(
                f"stem is convolutions, which halve the image; patch_size is {patch_size} and "
                f"width {width}: set model.patch_size to 2, 4 or 8, model.width to a multiple of 4"
            )
        layers: list[nn.Module] = []
        for left in reversed(range(halvings)):
            wider = width // 2**left
            convolution = nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(wider), nn.ReLU()]
            channels = wider
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, width, 1))

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B N D"]:
        """A token for each square of patch_size pixels, row by row."""
        return self.layers(images).flatten(2).mT


def convolutional_stem_(model: VisionTransformer) -> None:
    """Put convolutions in the place of an untrained model's patch embedding."""
    c = model.config
    model.embedding = ConvolutionalStem(c.patch_size, c.channels, c.width)  # type: ignore[assignment]


class PostNormBlock(nn.Module):
    """A block's parts with its norms after the residual sum (Vaswani et al. 2017, section 3.1)."""

    def __init__(self, block: EncoderBlock) -> None:
        super().__init__()
        self.norm1, self.attention = block.norm1, block.attention
        self.norm2, self.mlp = block.norm2, block.mlp
        self.skip = block.skip

    def forward(self, tokens: Tokens) -> Tokens:
        """Norm what tokens and branches add up to."""
        tokens = self.norm1(tokens + self.skip(self.attention(tokens)))
        return self.norm2(tokens + self.skip(self.mlp(tokens)))


def post_norm_(model: VisionTransformer) -> None:
    """Turn an untrained model's blocks into post-norm blocks; the last norm is theirs already."""
    encoder = model.encoder
    encoder.blocks = nn.ModuleList(
        PostNormBlock(cast(EncoderBlock, block)) for block in encoder.blocks
    )
    encoder.norm = nn.Identity()  # type: ignore[assignment]


def shuffle_patches_(model: VisionTransformer) -> None:
    """Let the patches of every image arrive in one fixed, random order."""
    rows, columns = model.positions.grid
    order = torch.randperm(rows * columns, generator=torch.Generator().manual_seed(0))

    def shuffle(
        embedding: nn.Module, inputs: tuple[Tensor, ...], patches: Float[Tensor, "B N D"]
    ) -> Float[Tensor, "B N D"]:
        return patches[:, order.to(patches.device)]

    model.embedding.register_forward_hook(shuffle)
