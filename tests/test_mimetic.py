"""Mimetic initialization: what the products of the matrices resemble, and what stays."""

import copy

import pytest
import torch

from vitlit.config import ViTConfig
from vitlit.mimetic import biased_identity, mimetic_
from vitlit.positions import sincos_positions
from vitlit.vit import VisionTransformer


@pytest.mark.parametrize("bias", [0.7, -0.4])
def test_the_factors_multiply_to_noise_plus_a_multiple_of_the_identity(bias):
    torch.manual_seed(0)
    left, right = biased_identity(200, 0.4, bias)
    product = left @ right
    assert product.diagonal().mean().item() == pytest.approx(bias, abs=0.02)
    rest = product - torch.diag(product.diagonal())
    assert rest.std().item() == pytest.approx(0.4 / 200**0.5, rel=0.05)


def test_heads_compare_like_with_like_and_return_the_opposite():
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(width=64, heads=2, depth=2, mlp_width=64))
    mimetic_(model)
    for block in model.encoder.blocks:
        q, k, v = block.attention.qkv.weight.detach().chunk(3)
        for q_head, k_head in zip(q.chunk(2), k.chunk(2), strict=True):
            assert (q_head.T @ k_head).diagonal().mean() > 0.3  # half the rank, half the trace
        returned = block.attention.out.weight.detach() @ v
        assert returned.diagonal().mean().item() == pytest.approx(-0.4, abs=0.05)


def test_only_attention_and_positions_change():
    model = VisionTransformer(ViTConfig(width=32, heads=2, depth=2, mlp_width=64))
    before = copy.deepcopy(model.state_dict())
    mimetic_(model)
    changed = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
    assert changed == {
        "positions.table",
        *(f"encoder.blocks.{i}.attention.{n}.weight" for i in (0, 1) for n in ("qkv", "out")),
    }
    assert torch.equal(model.positions.table[0], before["positions.table"][0])
    assert torch.equal(model.positions.table[1:], 0.5 * sincos_positions((8, 8), 32))
