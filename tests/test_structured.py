"""Structured initialization: where heads look at first, and what stays free for what."""

import copy

import pytest
import torch

from vitlit.config import ViTConfig
from vitlit.patches import patchify
from vitlit.structured import STEPS, rotation, structured_, waves, whiten_
from vitlit.vit import VisionTransformer

SIZES = {"image_size": (32, 32), "width": 96, "heads": 3, "depth": 3, "mlp_width": 96}


def pictures(count=200, size=(32, 32)):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, 4, 4, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bilinear")
    return smooth + 0.3 * torch.randn(count, 3, *size, generator=generator)


def structured(images=None, **changes):
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**(SIZES | changes)))
    structured_(model, pictures() if images is None else images)
    return model


def test_a_rotation_by_a_step_turns_waves_into_those_of_the_place_before():
    frequencies = torch.tensor([0.3, 1.1])
    places = waves((4, 5), frequencies)
    assert places.shape == (20, 8)
    turned = places @ rotation(frequencies, (1, -2)).T
    at = places.view(4, 5, 8)
    torch.testing.assert_close(turned.view(4, 5, 8)[1:, :-2], at[:-1, 2:])


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_every_head_looks_at_one_neighbor_and_nine_heads_at_all_nine(size):
    model = structured(pictures(size=size), image_size=size)
    rows, columns = model.positions.grid
    seen = []
    watched = model.watch(pictures(8, size))
    for i in range(3):
        for A in watched[f"attention_{i + 1}"].mean(dim=0)[:, 1:, 1:]:
            far = A.view(rows, columns, rows, columns)
            inner = [
                divmod(far[y, x].argmax().item(), columns)
                for y in range(1, rows - 1)
                for x in range(1, columns - 1)
            ]
            middle = [(y, x) for y in range(1, rows - 1) for x in range(1, columns - 1)]
            steps = {(a - y, b - x) for (a, b), (y, x) in zip(inner, middle, strict=True)}
            assert len(steps) == 1
            seen += steps
            assert A[columns + 1].max() < 0.5  # softly
    assert sorted(seen) == sorted(STEPS)


def test_positions_have_dimensions_of_their_own():
    model = structured()
    free = 96 - 32
    assert not model.embedding.projection.weight[free:].any()
    assert not model.positions.table[1:, :free].any()
    assert model.positions.table[1:, free:].abs().mean() > 0.5
    for block in model.encoder.blocks:
        assert not block.attention.out.weight[free:].any()
        assert not block.mlp.shrink.weight[free:].any()
        returned = block.attention.out.weight[:free] @ block.attention.qkv.weight.chunk(3)[2]
        assert returned[:, :free].diagonal().mean() < -0.3


@pytest.mark.parametrize("dimensions", [64, 20])
def test_patches_come_out_without_correlations(dimensions):
    torch.manual_seed(0)
    embedding = torch.zeros(dimensions, 48)
    whiten_(embedding, pictures(2000), 4)
    vectors = patchify(pictures(2000), 4).flatten(0, 1) @ embedding.T
    spread = torch.linalg.eigvalsh(vectors.T.cov())[-min(dimensions, 48) :]
    assert spread.min() > 0.85 * spread.max()
    assert spread.sum().item() == pytest.approx(dimensions, rel=0.1)


@pytest.mark.parametrize("kind", ["none", "sincos"])
def test_without_learned_positions_queries_and_keys_stay(kind):
    torch.manual_seed(0)
    model = VisionTransformer(ViTConfig(**SIZES, positions=kind))
    before = copy.deepcopy(model)
    structured_(model, pictures())
    assert torch.equal(model.positions.table, before.positions.table)
    for block, old in zip(model.encoder.blocks, before.encoder.blocks, strict=True):
        assert torch.equal(block.attention.qkv.weight[:192], old.attention.qkv.weight[:192])
    assert not torch.equal(model.embedding.projection.weight, before.embedding.projection.weight)


@pytest.mark.parametrize("sizes", [{"heads": 1}, {"width": 12, "heads": 4}])
def test_a_model_without_room_for_positions_is_refused(sizes):
    message = f"{sizes['heads']} heads in .* dimensions do not allow that: set model.heads to at"
    with pytest.raises(ValueError, match=message):
        structured(**sizes)


def test_seed_decides_and_mean_pooling_is_allowed():
    a, b = structured(pooling="mean"), structured(pooling="mean")
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
