"""Mimetic initialization: begin where trained ViTs end (Trockman and Kolter 2023).

In trained ViTs, what a head compares, W_q ᵀ W_k, resembles the identity: tokens look at their like.
What all heads return together, W_out W_v, resembles minus the identity. (Language models are
reported with other signs.) So the start is random weights with that bias, and sine–cosine
positions.
"""

import math
from typing import cast

import torch
from torch import Tensor

from vitlit.encoder import SelfAttention
from vitlit.positions import sincos_positions
from vitlit.vit import VisionTransformer


def biased_identity(width: int, noise: float, bias: float) -> tuple[Tensor, Tensor]:
    """Two D×D factors whose product is noise · Z + bias · I, Z normal with variance 1/D."""
    z = torch.randn(width, width) / math.sqrt(width)
    u, s, v = torch.linalg.svd(noise * z + bias * torch.eye(width))
    return u * s.sqrt(), s.sqrt()[:, None] * v


@torch.no_grad()
def mimetic_(model: VisionTransformer) -> None:
    """Fill the attention's matrices and the learned positions; the rest stays as it is."""
    for block in model.encoder.blocks:
        attention = cast(SelfAttention, block.attention)
        width, d = attention.out.in_features, attention.out.in_features // attention.heads
        q, k, _ = attention.qkv.weight.chunk(3)
        for head in range(attention.heads):
            rows = slice(head * d, (head + 1) * d)
            left, right = biased_identity(width, 0.7, 0.7)
            q[rows], k[rows] = left[:, :d].T, right[:d]
        mimetic_values_(attention)
    positions = model.positions
    if positions.kind == "learned":
        table = sincos_positions(positions.grid, positions.table.shape[1])
        positions.table[positions.extra :] = 0.5 * table


@torch.no_grad()
def mimetic_values_(attention: SelfAttention) -> None:
    """Fill the matrices of values and output, so that what all heads return is like −0.4 · I."""
    left, right = biased_identity(attention.out.in_features, 0.4, -0.4)
    attention.out.weight.copy_(left)
    attention.qkv.weight.chunk(3)[2].copy_(right)
