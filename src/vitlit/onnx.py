"""A classifier as an ONNX graph: one file that runs without PyTorch, in a browser too.

Pictures go in as bytes, already of the model's size. Gains of the positions and of every head go in
beside them: 1 leaves a part as it is, 0 switches it off. Out come the logits and everything on the
way to them. The graph describes itself, so that a page that never saw the model can show it.
"""

import json
import math
from copy import deepcopy
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from vitlit.classifier import Classifier, normalize
from vitlit.encoder import MLP, Encoder, EncoderBlock, SelfAttention, Tokens
from vitlit.heads import LinearHead, MLPHead, pool
from vitlit.libraries import LIBRARIES
from vitlit.patches import PatchEmbedding
from vitlit.positions import ClassToken, PositionEmbedding
from vitlit.vit import VisionTransformer
from vitlit.weights import check_finite, checksum

KEY = "vitlit"  # of the description among a graph's metadata
FORMAT = 1  # of the description
OPSET = 20  # the first whose operators include GELU
MOST = 2**31 - 2**20  # bytes of weights; a protobuf message has less than 2 GiB
STORED = {"fp32": torch.float32, "fp16": torch.float16}
# Axes by the book's letters. `sizes_of` says what each is; B, the number of pictures, is free.
INPUTS = {
    "pixels": ("uint8", "B C H W"), "positions_gain": ("float32", ""),
    "head_gains": ("float32", "L h"),
}  # fmt: skip
OUTPUTS = {
    "logits": ("float32", "B K"), "attention": ("float32", "B L h T T"),
    "tokens": ("float32", "B L+1 T D"), "block_logits": ("float32", "B L+1 K"),
}  # fmt: skip
PLAIN = {
    VisionTransformer, PatchEmbedding, ClassToken, PositionEmbedding, Encoder, EncoderBlock,
    SelfAttention, MLP, LinearHead, MLPHead, StochasticDepth, nn.ModuleList, nn.Linear,
    nn.LayerNorm, nn.Dropout, nn.Identity, nn.GELU, nn.Tanh, nn.ReLU,
}  # fmt: skip


class Watched(nn.Module):
    """A classifier in evaluation mode that returns everything on the way, with gains.

    Raises ValueError if the model has a part that is no plain ViT's.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        if others := {type(part) for part in classifier.model.modules()} - PLAIN:
            names = ", ".join(sorted(kind.__name__ for kind in others))
            raise ValueError(f"a graph holds a plain ViT; this model has {names}, export another")
        self.model = deepcopy(classifier.model).cpu().float()
        self.register_buffer("mean", classifier.mean.cpu().float())
        self.register_buffer("std", classifier.std.cpu().float())
        self.eval()

    def forward(
        self, pixels: UInt8[Tensor, "B C H W"], positions_gain: Float[Tensor, ""],
        head_gains: Float[Tensor, "L h"],
    ) -> tuple[
        Float[Tensor, "B K"], Float[Tensor, "B L h T T"], Float[Tensor, "B S T D"],
        Float[Tensor, "B S K"],
    ]:  # fmt: skip
        """Logits, attention, tokens and what the head would answer to these.

        The S = L + 1 stages are what enters the first block and what leaves every block.
        """
        model = self.model
        tokens = model.class_token(model.embedding(normalize(pixels, self.mean, self.std)))
        stages, attention = [tokens + positions_gain * model.positions.table], []
        for block, gains in zip(model.encoder.blocks, head_gains.unbind(), strict=True):
            tokens, weights = through(cast(EncoderBlock, block), stages[-1], gains)
            stages.append(tokens)
            attention.append(weights)
        together = torch.stack(stages, dim=1)
        read = pool(model.encoder.norm(together.flatten(0, 1)), model.config.pooling)
        answers = model.head(read).unflatten(0, (-1, len(stages)))
        return answers[:, -1], torch.stack(attention, dim=1), together, answers


def through(
    block: EncoderBlock, tokens: Tokens, gains: Float[Tensor, " h"]
) -> tuple[Tokens, Float[Tensor, "B h T T"]]:
    """What leaves a block, and its attention weights; a gain multiplies what a head returns."""
    q, k, v = block.attention.split(block.norm1(tokens))
    weights = (q / math.sqrt(q.shape[-1]) @ k.mT).softmax(dim=-1)
    tokens = tokens + block.attention.merge(weights @ v * gains[:, None, None])
    return tokens + block.mlp(block.norm2(tokens)), weights


def graph(classifier: Classifier, stored: str = "fp32", origin: str = "the model") -> bytes:
    """The content of an ONNX file. Equal classifiers make equal bytes.

    Its inputs and outputs are INPUTS and OUTPUTS. Weights are `stored` as "fp32" or "fp16"; what is
    computed with them is float32 in either case. `origin` names them in an error. Raises ValueError
    on a model that is no plain ViT or too large for one file, or if a package is missing;
    CheckpointError if a weight is no finite number, as `stored`.
    """
    onnx = _library()
    if stored not in STORED:
        raise ValueError(f"weights are stored as {' or '.join(STORED)}, not as {stored!r}")
    watched, c = Watched(classifier), classifier.model.config
    state = {name: t.to(STORED[stored]) for name, t in watched.model.state_dict().items()}
    check_finite(state, f"{origin}, as {stored}")
    _check_size(sum(t.numel() for t in state.values()), stored)
    watched.model.load_state_dict(state)
    example = (
        torch.zeros(2, c.channels, *c.image_size, dtype=torch.uint8),
        torch.ones(()),
        torch.ones(c.depth, c.heads),
    )
    traced = torch.onnx.export(
        watched, example, dynamo=True, external_data=False, opset_version=OPSET, verbose=False,
        input_names=list(INPUTS), output_names=list(OUTPUTS),
        dynamic_shapes=({0: torch.export.Dim("B")}, None, None),
    )  # fmt: skip
    made = cast(Any, traced).model_proto
    _bare(made)
    if stored == "fp16":
        _halve(onnx, made.graph)
    described = json.dumps(description(classifier, stored))
    made.metadata_props.add(key=KEY, value=described)
    return cast(bytes, made.SerializeToString(deterministic=True))


def description(classifier: Classifier, stored: str = "fp32") -> dict[str, Any]:
    """What a graph says of itself, as JSON holds it; `mean` and `std` are in grey levels, 0–255.

    `weights` is the sha256 of the classifier's tensors, see `weights.checksum`.
    """
    c = classifier.model.config
    return {
        "format": FORMAT,
        "config": {**asdict(c), "image_size": list(c.image_size)},
        "classes": list(classifier.classes),
        "mean": classifier.mean.tolist(),
        "std": classifier.std.tolist(),
        "title": _title(classifier),
        "weights": checksum(classifier.model.state_dict()),
        "stored": stored,
        "sizes": sizes_of(classifier.model),
        "inputs": _ports(INPUTS),
        "outputs": _ports(OUTPUTS),
    }


def sizes_of(model: VisionTransformer) -> dict[str, int]:
    """What each letter of INPUTS and OUTPUTS is; rows and columns are those of the patches."""
    c, (rows, columns) = model.config, model.positions.grid
    (H, W), T = c.image_size, len(model.positions.table)
    return {
        "C": c.channels, "H": H, "W": W, "P": c.patch_size, "rows": rows, "columns": columns,
        "N": rows * columns, "T": T, "D": c.width, "h": c.heads, "L": c.depth, "K": c.classes,
    }  # fmt: skip


def about(content: bytes) -> dict[str, Any]:
    """The description in a graph. Raises ValueError if it is none that `graph` made."""
    onnx = _library()
    try:
        entries = onnx.load_from_string(content).metadata_props
        found: dict[str, Any] = json.loads({entry.key: entry.value for entry in entries}[KEY])
        format_ = found["format"]
    except Exception as error:  # protobuf has its own, of what is cut off or something else
        raise ValueError("no graph of vitlit's: damaged, or without a description") from error
    if format_ != FORMAT:
        raise ValueError(f"a graph of format {format_}, not {FORMAT}; export it again")
    return found


def _library() -> Any:
    """The package onnx, together with onnxscript, by which torch makes graphs."""
    try:
        import_module("onnxscript")
        return import_module("onnx")
    except ImportError as error:
        raise ValueError(f"a graph needs {error.name}: pip install onnx onnxscript") from error


def _check_size(numbers: int, stored: str) -> None:
    bytes_ = numbers * STORED[stored].itemsize
    if bytes_ > MOST:
        fits = numbers * STORED["fp16"].itemsize <= MOST
        raise ValueError(
            f"the weights take {bytes_ / 2**30:.1f} GiB, and an ONNX file holds less than 2; "
            f"{'store them as fp16' if fits else 'export a smaller model'}"
        )


def _bare(made: Any) -> None:
    """Take out what torch notes of the program that made the graph: its paths, lines and shapes."""
    made.producer_name, made.producer_version = "vitlit", ""
    made.ClearField("metadata_props")
    graph = made.graph
    for field in ("metadata_props", "value_info", "doc_string"):
        graph.ClearField(field)
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _halve(onnx: Any, graph: Any) -> None:
    """Store as float16 all weights that it can say exactly, and turn them into float32 again.

    Runtimes do that once, while they load. All weights were rounded before; mean and deviation of
    the pixels were not.
    """
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or not values.size:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half.astype(np.float32), values):
            name, stored = tensor.name, f"{tensor.name}.fp16"
            tensor.CopyFrom(onnx.numpy_helper.from_array(half, stored))
            to = onnx.TensorProto.FLOAT
            casts.append(onnx.helper.make_node("Cast", [stored], [name], name, to=to))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


def _title(classifier: Classifier) -> str:
    """What the model was trained on; of others' weights their name, without the folders above."""
    text = classifier.trained_on
    return text if text.partition(":")[0] in LIBRARIES else Path(text).resolve().name


def _ports(kinds: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {name: {"type": kind, "axes": axes.split()} for name, (kind, axes) in kinds.items()}
