"""Muon: momentum whose matrices are made orthogonal before the step (Jordan et al. 2024).

The same update as torch.optim.Muon, computed differently: matrices of one shape go through
Newton–Schulz together, and in float32 on a CPU. Torch takes them one by one in bfloat16, which a
CPU without instructions for it multiplies 15 times slower (measured on an AVX2 machine).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Optimizer

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at zero: few steps lift every singular value


def orthogonalize(matrices: Float[Tensor, "n R C"], steps: int = 5) -> Float[Tensor, "n R C"]:
    """Bring singular values near 1 and keep the singular vectors.

    In five rounds those above 0.0016 of the matrix's norm end between 0.68 and 1.21. Smaller ones
    grow by a factor of at most 485, and stay below.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x.bfloat16() if x.is_cuda else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(Optimizer):
    """Nesterov momentum, orthogonalized, with decoupled weight decay; for matrices only.

    An R×C matrix moves at lr · √max(1, R/C). Raises ValueError on a parameter that is no matrix.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        for parameter in (p for group in self.param_groups for p in group["params"]):
            if parameter.dim() != 2:
                raise ValueError(
                    f"Muon takes matrices, not shape {tuple(parameter.shape)}; give it to AdamW"
                )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        loss = closure() if closure else None
        for group in self.param_groups:
            by_shape = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for (R, C), parameters in by_shape.items():
                updates = torch.stack([self._momentum(p, group["momentum"]) for p in parameters])
                rate = group["lr"] * max(1, R / C) ** 0.5
                for parameter, update in zip(parameters, orthogonalize(updates), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update, alpha=rate)
        return loss

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        state = self.state[parameter]
        if "average" not in state:
            state["average"] = torch.zeros_like(parameter)
        gradient = parameter.grad
        assert gradient is not None  # step() chose those that have one
        average = state["average"].lerp_(gradient, 1 - momentum)
        return torch.lerp(gradient, average, momentum)
