"""Receipts: comparisons with an independent implementation that can fail.

Everything runs in float64, with every parameter random. Outputs and gradients must agree to
1e-10 of the reference's largest value, and that value must exceed 0.1: a model whose outputs
are all zero agrees with anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOLERANCE = 1e-10
SMALLEST_REFERENCE = 0.1


@dataclass(frozen=True)
class Row:
    """One compared quantity: max |Δ| and max |reference|, over all its tensors at worst."""

    name: str
    difference: float
    reference: float

    @property
    def holds(self) -> bool:
        """Whether the difference is rounding and the reference is not nothing."""
        small = self.difference <= TOLERANCE * self.reference
        return small and self.reference > SMALLEST_REFERENCE


class Receipt(tuple[Row, ...]):
    """Rows that all hold; shown as a table."""

    __slots__ = ()

    def __repr__(self) -> str:
        lines = [f"{'':<14}{'max |Δ|':>12}{'max |reference|':>18}"]
        lines += [f"{row.name:<14}{row.difference:>12.1e}{row.reference:>18.3g}" for row in self]
        return "\n".join(lines)


def randomize_(module: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every trainable parameter at random, in float64, and switch to evaluation.

    Matrices keep their inputs' size; the rest (class token, positions, biases, norm gains)
    is a normal, moved to 1 for norm gains.
    """
    generator = torch.Generator().manual_seed(seed)
    module.double().eval()
    for part in module.modules():
        for parameter in part.parameters(recurse=False):
            if not parameter.requires_grad:
                continue  # a fixed table of positions is no weight
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            if parameter.dim() > 1:
                noise /= parameter[0].numel() ** 0.5
            elif isinstance(part, nn.LayerNorm) and parameter is part.weight:
                noise = 1 + 0.3 * noise
            parameter.data = noise
    return module


def random_images(*shape: int, seed: int = 1) -> Tensor:
    """A float64 batch of normal noise of the given shape, wanting gradients."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()


def compare(
    ours: Callable[[Tensor], Tensor],
    reference: Callable[[Tensor], Tensor],
    inputs: Tensor,
    parameters: Mapping[str, tuple[Tensor, Tensor]] | None = None,
) -> Receipt:
    """Compare two functions of the same inputs: outputs and gradients.

    `parameters` pairs a tensor of ours with one of the reference's, which may have another shape
    with the same order. Gradients are those of a randomly weighted sum of the outputs, weighted
    by about 100 so that they exceed the smallest reference at the inputs of a deep model too.
    Raises AssertionError, naming the quantity, where they disagree or the reference is too small.
    """
    pairs = dict(parameters or {})
    results = []
    for side, function in enumerate((ours, reference)):
        leaves = [pair[side] for pair in pairs.values()]
        outputs = function(inputs)
        generator = torch.Generator().manual_seed(2)
        weights = 100 * torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
        gradients = torch.autograd.grad((weights * outputs).sum(), [inputs, *leaves])
        results.append([outputs, *gradients])
    rows = [
        Row(name, *_distance(a, b))
        for name, a, b in zip(["outputs", "∂ inputs", *pairs], *results, strict=True)
    ]
    for row in rows:
        if not row.holds:
            raise AssertionError(
                f"{row.name}: max |Δ| {row.difference:.3g}, max |reference| {row.reference:.3g}; "
                f"allowed is {TOLERANCE:g} of the reference, which must exceed {SMALLEST_REFERENCE}"
            )
    if not pairs:
        return Receipt(rows)
    worst = max(rows[2:], key=lambda row: row.difference / row.reference)
    return Receipt([*rows[:2], Row("∂ parameters", worst.difference, worst.reference)])


def compare_models(
    ours: nn.Module,
    reference: nn.Module,
    rename: Callable[[dict[str, Tensor]], dict[str, Tensor]],
    inputs: Tensor,
) -> Receipt:
    """Draw our parameters at random, copy all of them into the reference, and compare.

    `rename` turns our state dict into the reference's. The copy is strict: a parameter that is
    missing on either side raises RuntimeError.
    """
    randomize_(ours)
    reference.double().eval().load_state_dict(rename(ours.state_dict()))
    theirs = dict(reference.named_parameters())
    pairs = {}
    for name, parameter in ours.named_parameters():
        (their_name,) = rename({name: parameter})
        pairs[name] = (parameter, theirs[their_name])
    return compare(ours, reference, inputs, pairs)


def _distance(ours: Tensor, reference: Tensor) -> tuple[float, float]:
    difference = (ours.reshape(reference.shape) - reference).abs().max()
    return difference.item(), reference.abs().max().item()
