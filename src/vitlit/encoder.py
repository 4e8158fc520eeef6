"""The Transformer encoder (Dosovitskiy et al. 2020, equations 2–3 and appendix A)."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import StochasticDepth

Tokens = Float[Tensor, "B T D"]
SHORT = 128  # tokens up to which a CPU trains faster with the weights stored


class SelfAttention(nn.Module):
    """Multi-head self-attention: every token gathers values from all tokens (appendix A).

    Raises ValueError if the number of heads does not divide the width.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            fits = ", ".join(str(h) for h in range(1, width + 1) if width % h == 0)
            raise ValueError(f"heads {heads} does not divide width {width}; choose one of {fits}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        for matrix in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(matrix)
        for bias in (self.qkv.bias, self.out.bias):
            nn.init.zeros_(bias)

    def split(self, tokens: Tokens) -> tuple[Float[Tensor, "B h T d"], ...]:
        """Queries, keys and values, a head each: [q, k, v] = z U_qkv (equation 5)."""
        parts = self.qkv(tokens).chunk(3, dim=-1)
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)

    def merge(self, values: Float[Tensor, "B h T d"]) -> Tokens:
        """Join the heads and mix them: U_msa of equation 8."""
        return self.dropout(self.out(values.transpose(1, 2).flatten(2)))

    def forward(self, tokens: Tokens) -> Tokens:
        """Attend, on the fast path: the weights are not stored, where that is slower."""
        if self.training and tokens.is_cpu and tokens.shape[1] <= SHORT:
            return self.with_weights(tokens)[0]
        q, k, v = self.split(tokens)
        return self.merge(F.scaled_dot_product_attention(q, k, v))

    def with_weights(self, tokens: Tokens) -> tuple[Tokens, Float[Tensor, "B h T T"]]:
        """Attend, and return the weights too: row i says how much token i takes from each."""
        q, k, v = self.split(tokens)
        weights = (q / math.sqrt(q.shape[-1]) @ k.mT).softmax(dim=-1)
        return self.merge(weights @ v), weights


class MLP(nn.Module):
    """Two linear layers with a GELU between them, the same for every token (equation 3).

    gelu: "none" is the exact GELU (torchvision, timm), "tanh" its approximation (the paper's code).
    """

    def __init__(self, width: int, hidden: int, dropout: float = 0.0, gelu: str = "none") -> None:
        super().__init__()
        self.grow = nn.Linear(width, hidden)
        self.gelu = nn.GELU(approximate=gelu)
        self.shrink = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.grow, self.shrink):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.normal_(layer.bias, std=1e-6)

    def forward(self, tokens: Tokens) -> Tokens:
        """Process every token by itself."""
        hidden = self.dropout(self.gelu(self.grow(tokens)))
        return self.dropout(self.shrink(hidden))


class EncoderBlock(nn.Module):
    """Attention between tokens, then an MLP in each; norm before, residual around (equations 2–3).

    In training, stochastic_depth is the chance that an image skips a branch; the other images'
    branches are divided by the chance to stay. This is timm's DropPath: Huang et al. 2016 skip
    for a whole mini-batch, and rescale in the test.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, dropout: float = 0.0,
        stochastic_depth: float = 0.0, gelu: str = "none", eps: float = 1e-6,
    ) -> None:  # fmt: skip
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=eps)
        self.attention = SelfAttention(width, heads, dropout)
        self.norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = MLP(width, hidden, dropout, gelu)
        self.skip = StochasticDepth(stochastic_depth, mode="row")

    def forward(self, tokens: Tokens) -> Tokens:
        """Add to the tokens what attention and MLP find in their norms."""
        tokens = tokens + self.skip(self.attention(self.norm1(tokens)))
        return tokens + self.skip(self.mlp(self.norm2(tokens)))


class Encoder(nn.Module):
    """L blocks, each with weights of its own, and a last norm (equations 2–4).

    stochastic_depth is the chance of the last block; it grows linearly from 0 in the first, as in
    timm. (In Huang et al. 2016, section 3, the first of L blocks has one L-th of the last one's.)
    """

    def __init__(
        self, depth: int, width: int, heads: int, hidden: int, dropout: float = 0.0,
        stochastic_depth: float = 0.0, gelu: str = "none", eps: float = 1e-6,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        sizes = (width, heads, hidden, dropout)
        chances = [stochastic_depth * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.ModuleList(EncoderBlock(*sizes, chance, gelu, eps) for chance in chances)
        self.norm = nn.LayerNorm(width, eps=eps)

    def forward(self, tokens: Tokens) -> Tokens:
        """Run the tokens through all blocks."""
        tokens = self.dropout(tokens)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)
