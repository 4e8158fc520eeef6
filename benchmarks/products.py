"""The matrix products of a ViT alone: the least that a step of it can cost.

Training adds two for each, for the gradients of both factors, and only one for the patch embedding,
as images need no gradient.
"""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import torch

from benchmarks.rounds import Step


class Product(NamedTuple):
    """So many products of an m×k and a k×n matrix at once; a weight is one matrix for all."""

    pairs: int
    m: int
    k: int
    n: int
    transposed: bool = True  # the second factor, as in a linear layer and in QKᵀ

    @property
    def flops(self) -> int:
        """A multiplication and an addition each."""
        return 2 * self.pairs * self.m * self.k * self.n


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A ViT with a class token, learned positions and biases everywhere.

    Its head is linear, or an MLP with one hidden layer of `head_width`.
    """

    width: int
    depth: int
    heads: int
    mlp_width: int
    patch_size: int
    image_size: int
    classes: int
    head_width: int | None = None

    @property
    def tokens(self) -> int:
        """Patches and the class token."""
        return (self.image_size // self.patch_size) ** 2 + 1

    @property
    def pixels(self) -> int:
        """Numbers in a patch."""
        return 3 * self.patch_size**2

    @property
    def parameters(self) -> int:
        """How many it has."""
        D, M = self.width, self.mlp_width
        block = 4 * D + (3 * D * D + 3 * D) + (D * D + D) + (D * M + M) + (M * D + D)
        ends = (self.pixels * D + D) + (self.tokens + 1) * D + 2 * D
        head = sum((n + 1) * m for n, m in self._head())
        return self.depth * block + ends + head

    def products(self, batch: int, keep: float = 1.0) -> list[Product]:
        """The matrix products of one forward pass, in order.

        Only the part `keep` of the patches enters the first block; all are embedded.
        """
        D, M, N = self.width, self.mlp_width, self.tokens - 1
        T = 1 + round(keep * N)
        pairs, rows = batch * self.heads, batch * T
        block = [
            Product(1, rows, D, 3 * D),
            Product(pairs, T, D // self.heads, T),
            Product(pairs, T, T, D // self.heads, transposed=False),
            Product(1, rows, D, D),
            Product(1, rows, D, M),
            Product(1, rows, M, D),
        ]
        first = Product(1, batch * N, self.pixels, D)
        return [first, *block * self.depth, *(Product(1, batch, *sizes) for sizes in self._head())]

    def _head(self) -> list[tuple[int, int]]:
        """How many numbers enter and leave each layer of the head."""
        sizes = (self.width, *filter(None, [self.head_width]), self.classes)
        return list(pairwise(sizes))


def flops_of(products: list[Product], training: bool) -> int:
    """Those of a step: forward, and in training backward too."""
    if not training:
        return sum(p.flops for p in products)
    return 3 * sum(p.flops for p in products) - products[0].flops


def limit_step(products: list[Product], training: bool, like: dict[str, Any]) -> Step:
    """The matrix products alone, into memory that is there already; `like`: dtype and device."""

    activation = cache(lambda *shape: torch.randn(shape, **like))
    result = cache(lambda *shape: torch.empty(shape, **like))
    factors = []
    for i, (pairs, m, k, n, transposed) in enumerate(products):
        many = (pairs,) if pairs > 1 else ()
        shape = (*many, n, k) if transposed else (*many, k, n)
        # Every layer has weights of its own, so they do not stay in the cache.
        stored = activation(*shape) if many else torch.randn(shape, **like)
        left, out = activation(*many, m, k), result(*many, m, n)
        into = (torch.empty_like(left) if i else None, torch.empty_like(stored))
        factors.append((left, stored, transposed, out, into if training else None))

    @torch.no_grad()
    def step() -> None:
        for left, stored, transposed, out, into in factors:
            right = stored.mT if transposed else stored
            torch.matmul(left, right, out=out)
            if into is None:
                continue
            if into[0] is not None:
                torch.matmul(out, right.mT, out=into[0])
            # Written as it is stored: bmm is a hundred times slower into a transposed view.
            pair = (out.mT, left) if transposed else (left.mT, out)
            torch.matmul(*pair, out=into[1])

    return step
