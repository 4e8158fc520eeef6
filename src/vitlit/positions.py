"""Class token and position embeddings (Dosovitskiy et al. 2020, equation 1, section 3.2, D.4)."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ClassToken(nn.Module):
    """One learned vector, put before the patches of every image: x_class of equation 1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Float[Tensor, "B N D"]) -> Float[Tensor, "B T D"]:
        """Prepend the class token: N patches become T = N + 1 tokens."""
        first = self.token.expand(tokens.shape[0], 1, -1)
        return torch.cat([first, tokens], dim=1)


def sincos_positions(grid: tuple[int, int], width: int) -> Float[Tensor, "N D"]:
    """Sines and cosines of the row, then of the column (Vaswani et al. 2017, section 3.5)."""
    if width % 4:
        raise ValueError(f"width {width} is no multiple of 4; sincos takes {width + -width % 4}")
    frequencies = 10000 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, columns = (torch.arange(n, dtype=torch.float64).outer(frequencies) for n in grid)
    rows = rows.repeat_interleave(grid[1], 0)
    columns = columns.repeat(grid[0], 1)
    parts = [rows.sin(), rows.cos(), columns.sin(), columns.cos()]
    return torch.cat(parts, dim=1).to(torch.get_default_dtype())


def interpolate_positions(
    table: Float[Tensor, "T D"], old_grid: tuple[int, int], new_grid: tuple[int, int],
    mode: str = "bicubic", align_corners: bool = False, antialias: bool = False,
) -> Float[Tensor, "S D"]:  # fmt: skip
    """Resample a table of positions on another grid of patches; a class token's row is kept.

    The paper's code is bilinear with aligned corners, torchvision bicubic with aligned corners,
    timm bicubic with antialiasing; mode may also be "nearest".
    """
    extra = len(table) - old_grid[0] * old_grid[1]
    exact = torch.promote_types(table.dtype, torch.float32)  # half precision is too coarse here
    image = table[extra:].to(exact).T.unflatten(1, old_grid)[None]
    how = {} if mode == "nearest" else {"align_corners": align_corners, "antialias": antialias}
    image = F.interpolate(image, size=new_grid, mode=mode, **how)
    return torch.cat([table[:extra], image[0].flatten(1).T.to(table.dtype)])


class PositionEmbedding(nn.Module):
    """Add a vector that says where a token comes from: E_pos of equation 1.

    kind: "learned", "sincos" (fixed, nothing for the class token) or "none". extra is the number
    of tokens before the patches: 1 with a class token, else 0.
    """

    def __init__(
        self, grid: tuple[int, int], width: int, kind: str = "learned", extra: int = 1
    ) -> None:
        super().__init__()
        self.grid, self.kind, self.extra = grid, kind, extra
        table = torch.zeros(extra + grid[0] * grid[1], width)
        if kind == "sincos":
            table[extra:] = sincos_positions(grid, width)
        if kind == "learned":
            nn.init.normal_(table, std=0.02)
        self.table = nn.Parameter(table, requires_grad=kind == "learned")

    def forward(self, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Add each token's position. Raises ValueError on another number of tokens."""
        if tokens.shape[1] != len(self.table):
            raise ValueError(
                f"{tokens.shape[1]} tokens, but {len(self.table)} positions for a grid of "
                f"{self.grid} patches; fit the model with VisionTransformer.resized"
            )
        return tokens + self.table

    def resized(self, grid: tuple[int, int], **how: Any) -> "PositionEmbedding":
        """The same positions on another grid; `how` as in interpolate_positions."""
        new = PositionEmbedding(grid, self.table.shape[1], self.kind, self.extra).to(self.table)
        if self.kind == "learned":
            new.table.data = interpolate_positions(self.table.data, self.grid, grid, **how)
        return new
