"""Muon against torch's own."""

import copy

import pytest
import torch
from torch import nn

from vitlit.muon import Muon, orthogonalize


def test_singular_values_come_near_one_and_vectors_stay():
    matrices = torch.randn(3, 8, 20, generator=torch.Generator().manual_seed(0))
    result = orthogonalize(matrices)
    assert torch.linalg.svdvals(result).sub(1).abs().max() < 0.5
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    inner = u.mT @ result @ v.mT
    off_diagonal = inner - torch.diag_embed(inner.diagonal(dim1=1, dim2=2))
    assert off_diagonal.abs().max() < 1e-3


def test_updates_are_those_of_torch():
    torch.manual_seed(0)
    ours = nn.Sequential(nn.Linear(12, 30, bias=False), nn.Linear(30, 12, bias=False))
    theirs = copy.deepcopy(ours)
    start = [p.detach().clone() for p in ours.parameters()]
    options = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    optimizers = (
        Muon(ours.parameters(), **options),
        torch.optim.Muon(theirs.parameters(), **options),
    )
    for _ in range(5):
        inputs = torch.randn(64, 12)
        for model, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            (model(inputs) ** 2).mean().backward()
            optimizer.step()
    for p, q, before in zip(ours.parameters(), theirs.parameters(), start, strict=True):
        moved, expected = p - before, q - before
        # Torch rounds to bfloat16 on the way, which small singular values feel.
        assert (moved - expected).norm() < 0.05 * expected.norm()


def test_only_matrices_are_taken():
    with pytest.raises(ValueError, match=r"not shape \(3,\)"):
        Muon([nn.Parameter(torch.zeros(3))])


def test_the_parts_of_a_matrix_move_as_matrices_of_their_own():
    torch.manual_seed(0)
    joined = nn.Parameter(torch.randn(24, 8))
    apart = [nn.Parameter(part.clone()) for part in joined.detach().chunk(3)]
    optimizers = Muon([{"params": [joined], "parts": 3}], lr=0.1), Muon(apart, lr=0.1)
    for _ in range(3):
        inputs = torch.randn(16, 8)
        for weight, optimizer in zip((joined, apart), optimizers, strict=True):
            optimizer.zero_grad()
            whole = weight if weight is joined else torch.cat(weight)
            ((inputs @ whole.T) ** 3).mean().backward()
            optimizer.step()
    torch.testing.assert_close(joined, torch.cat(apart))


def test_parts_must_divide_the_rows():
    with pytest.raises(ValueError, match="parts is 3, which does not divide 8 rows"):
        Muon([{"params": [nn.Parameter(torch.zeros(8, 2))], "parts": 3}])
