"""The Vision Transformer (Dosovitskiy et al. 2020, section 3, figure 1)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from vitlit.config import ViTConfig
from vitlit.encoder import Encoder
from vitlit.heads import LinearHead, MLPHead, pool
from vitlit.patches import PatchEmbedding, grid_of
from vitlit.positions import ClassToken, PositionEmbedding


class VisionTransformer(nn.Module):
    """Patches → embeddings → positions → encoder → head: figure 1 of the paper."""

    def __init__(self, config: ViTConfig) -> None:
        super().__init__()
        self.config = c = config
        extra = int(c.pooling == "class")
        grid = grid_of(c.image_size, c.patch_size)
        self.embedding = PatchEmbedding(c.patch_size, c.channels, c.width)
        self.class_token = ClassToken(c.width) if extra else nn.Identity()
        self.positions = PositionEmbedding(grid, c.width, c.positions, extra)
        sizes = (c.depth, c.width, c.heads, c.mlp_width)
        self.encoder = Encoder(*sizes, c.dropout, c.stochastic_depth, c.gelu, c.eps)
        self.head = self.new_head()

    def new_head(self) -> nn.Module:
        """An untrained head of the kind that the configuration names."""
        c = self.config
        if c.head == "linear":
            return LinearHead(c.width, c.classes)
        return MLPHead(c.width, c.head_width or c.width, c.classes, c.activation)

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Logits of K classes for each image. Raises ValueError on images that do not fit."""
        self.config.check_images(images, self.positions.table.dtype)
        tokens = self.embedding(images)
        tokens = self.class_token(tokens)
        tokens = self.positions(tokens)
        tokens = self.encoder(tokens)
        return self.head(pool(tokens, self.config.pooling))

    def stages(self) -> Iterator[tuple[Any, str, str]]:
        """Where `watch` looks: a module, a name, and what to keep of the module's call."""
        yield self.embedding.projection, "patches", "input"
        yield self.embedding, "embedded", "output"
        if self.config.pooling == "class":
            yield self.class_token, "with_class", "output"
        yield self.positions, "with_positions", "output"
        for i, block in enumerate(self.encoder.blocks, 1):
            yield block.attention, f"attention_{i}", "weights"
            yield block, f"block_{i}", "output"
        yield self.encoder, "encoded", "output"
        yield self.head, f"{self.config.pooling}_token", "input"

    def watch(self, images: Float[Tensor, "B C H W"]) -> dict[str, Tensor]:
        """Run `forward`; return everything on the way by name, in order, "logits" last."""
        seen: dict[str, Tensor] = {}
        hooks = [at.register_forward_hook(Keep(seen, *how)) for at, *how in self.stages()]
        try:
            seen["logits"] = self(images)
        finally:
            for hook in hooks:
                hook.remove()
        return seen

    def resized(self, image_size: tuple[int, int], **how: Any) -> "VisionTransformer":
        """The same model for images of another size; `how` as in interpolate_positions."""
        new = VisionTransformer(replace(self.config, image_size=image_size))
        table = self.positions.resized(new.positions.grid, **how).table
        new.to(table).load_state_dict({**self.state_dict(), "positions.table": table})
        return new.train(self.training)


class Keep:
    """A forward hook that keeps what passes: a module's input, output or attention weights."""

    def __init__(self, seen: dict[str, Tensor], name: str, what: str) -> None:
        self.seen, self.name, self.what = seen, name, what

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Called by torch after the module ran."""
        if self.what == "weights":
            output = module.with_weights(inputs[0])[1]  # type: ignore[operator]
        self.seen[self.name] = inputs[0] if self.what == "input" else output
