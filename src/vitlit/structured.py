"""Structured initialization: attention that begins as a convolution (after Zheng et al. 2025).

Their heads begin as random impulse filters: each looks at one neighbor of every patch, and is free
to look elsewhere later. They solve for queries and keys that do so. Here is another way there.
Positions begin as sines and cosines in dimensions of their own, where a step to a neighbor is a
rotation; queries and keys read these dimensions alone, and the keys are rotated by the step.
"""

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from vitlit.encoder import EncoderBlock
from vitlit.mimetic import mimetic_values_
from vitlit.patches import patchify
from vitlit.vit import VisionTransformer

# Row and column steps to a patch and its neighbors: the taps of a 3×3 convolution.
STEPS = [(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)]
SHARPNESS = 0.15  # 0.5 and 0.3 points better than 0.3 and 0.07, on held-back images, one seed
RIDGE = 0.01  # added to variances, of pixels whose own is 1, so that none is divided by nothing
NOISE = 0.02


@torch.no_grad()
def structured_(model: VisionTransformer, images: Float[Tensor, "n C H W"]) -> None:
    """Fill patch embedding, positions and attention; every random draw is from torch's generator.

    `images` are normalized training images, a few thousand, by which patches are whitened. The last
    dimensions, about width / heads of them, are for positions: patches, what attention returns and
    what an MLP returns leave them alone at first. Without learned positions, queries and keys stay
    as they were. Raises ValueError if heads are fewer than 2 or narrower than 4.
    """
    c = model.config
    count = c.width // c.heads // 4  # frequencies an axis, each with a sine and a cosine
    if c.heads < 2 or not count:
        raise ValueError(
            f"initialization is structured, which takes the dimensions of one head for positions; "
            f"{c.heads} heads in {c.width} dimensions do not allow that: set model.heads to at "
            "least 2, and model.width to at least 4 times as many"
        )
    free = c.width - 4 * count
    for layer in (model.embedding.projection.weight, *outputs_of(model)):
        layer[free:] = 0
    whiten_(model.embedding.projection.weight[:free], images, c.patch_size)
    if model.positions.kind == "learned":
        frequencies = math.pi * (torch.arange(count) + 0.5) / max(*model.positions.grid, count)
        places = model.positions.table[model.positions.extra :]
        places[:, :free] = 0
        places[:, free:] = waves(model.positions.grid, frequencies)
        look_around_(model, frequencies)


def outputs_of(model: VisionTransformer) -> list[Tensor]:
    """The matrices whose results are added to the tokens; attention's begin as in mimetic_."""
    blocks = [cast(EncoderBlock, block) for block in model.encoder.blocks]
    for block in blocks:
        mimetic_values_(block.attention)
    return [m for block in blocks for m in (block.attention.out.weight, block.mlp.shrink.weight)]


def whiten_(
    embedding: Float[Tensor, "D X"], images: Float[Tensor, "n C H W"], patch_size: int
) -> None:
    """Let an embedding turn patches into vectors without correlations, all of one variance.

    If there are more pixels in a patch than dimensions, of its strongest components only.
    """
    patches = patchify(images, patch_size).flatten(0, 1)
    patches = patches - patches.mean(dim=0)
    variances, components = torch.linalg.eigh(patches.T @ patches / len(patches))
    D, X = embedding.shape
    strongest = slice(max(0, X - D), None)
    white = components[:, strongest].T / (variances[strongest, None] + RIDGE).sqrt()
    directions, _ = torch.linalg.qr(torch.randn(D, D))
    embedding.copy_(directions[:, : len(white)] @ white * math.sqrt(D / len(white)))


def waves(grid: tuple[int, int], frequencies: Float[Tensor, " f"]) -> Float[Tensor, "N 4*f"]:
    """Cosine and sine of every frequency for the row of each place of a grid, and its column."""
    angles = [torch.arange(side)[:, None] * frequencies for side in grid]
    rows, columns = (torch.stack([a.cos(), a.sin()], dim=-1).flatten(1) for a in angles)
    H, W = grid
    return torch.cat([rows.repeat_interleave(W, dim=0), columns.repeat(H, 1)], dim=1)


def rotation(frequencies: Float[Tensor, " f"], step: tuple[int, int]) -> Float[Tensor, "p p"]:
    """The matrix that turns the waves of a place into those of the place one step before it."""
    angles = torch.cat([frequencies * along for along in step])
    cos, sin = angles.cos(), angles.sin()
    return torch.block_diag(*torch.stack([cos, sin, -sin, cos], dim=-1).view(-1, 2, 2))


def look_around_(model: VisionTransformer, frequencies: Float[Tensor, " f"]) -> None:
    """Let every head look at one neighbor: all nine in turn, in random order, through the blocks.

    With k(y) rotated by one step, q(x) · k(y) is the sum of cos(f (y − x − step)) over all
    frequencies f, which is largest for y = x + step.
    """
    steps: list[tuple[int, int]] = []
    for block in model.encoder.blocks:
        attention = cast(EncoderBlock, block).attention
        q, k, _ = attention.qkv.weight.chunk(3)
        d = len(q) // attention.heads
        for head in range(attention.heads):
            steps = steps or [STEPS[i] for i in torch.randperm(len(STEPS)).tolist()]
            turn = rotation(frequencies, steps.pop())
            rows = slice(head * d, head * d + len(turn))
            q[head * d : (head + 1) * d].normal_(0, NOISE)
            k[head * d : (head + 1) * d].normal_(0, NOISE)
            strength = math.sqrt(SHARPNESS * math.sqrt(d))
            q[rows, -len(turn) :] += strength * torch.eye(len(turn))
            k[rows, -len(turn) :] += strength * turn
