"""Two ablations that are no choice of the model: shuffled patches and post-norm.

They exist to be measured. Their weights are not stored, since no configuration describes them.
"""

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vitlit.encoder import EncoderBlock, Tokens
from vitlit.vit import VisionTransformer


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
