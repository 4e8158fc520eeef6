"""vitlit.positions: the class token, position embeddings and their interpolation."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import zoom
from timm.layers import resample_abs_pos_embed
from torchvision.models.vision_transformer import interpolate_embeddings

from vitlit.positions import (
    ClassToken,
    PositionEmbedding,
    interpolate_positions,
    sincos_positions,
)
from vitlit.receipts import compare, random_images

GRIDS = [(6, 10), (5, 4), (2, 3), (3, 7)]


def test_the_class_token_comes_first_in_every_image():
    token = ClassToken(8)
    torch.nn.init.normal_(token.token)
    patches = torch.randn(3, 5, 8)
    tokens = token(patches)
    assert torch.equal(tokens[:, 0], token.token.expand(3, 8))
    assert torch.equal(tokens[:, 1:], patches)


def test_the_class_token_starts_at_zero():
    assert not ClassToken(8).token.any()


@pytest.mark.parametrize("batch", [1, 2, 7, 9])
def test_positions_depend_on_the_place_and_not_on_the_image(batch):
    positions = PositionEmbedding((2, 3), 8)
    added = positions(torch.zeros(batch, 7, 8))
    assert torch.equal(added, positions.table.expand(batch, 7, 8))


def test_tokens_of_the_same_content_become_different():
    output = PositionEmbedding((2, 3), 8)(torch.ones(1, 7, 8))[0]
    assert torch.pdist(output).min() > 1e-3


def test_the_class_token_has_a_position_of_its_own():
    positions = PositionEmbedding((2, 3), 8)
    added = positions(torch.zeros(1, 7, 8))[0]
    assert added[0].abs().min() > 0
    assert (added[1:] != added[0]).all()


def test_every_position_is_learned():
    positions = PositionEmbedding((2, 3), 8)
    positions(torch.zeros(2, 7, 8)).sum().backward()
    assert torch.equal(positions.table.grad, torch.full((7, 8), 2.0))


def test_learned_positions_start_with_a_deviation_of_0_02():
    torch.manual_seed(0)
    table = PositionEmbedding((10, 10), 200).table
    assert table.std().item() == pytest.approx(0.02, rel=0.02)
    assert table.mean().abs() < 5e-4


def test_sincos_positions_follow_the_formula():
    rows, columns, width = 3, 5, 12
    expected = np.empty((rows * columns, width))
    for row in range(rows):
        for column in range(columns):
            for i in range(3):
                frequency = 1 / 10000 ** (4 * i / width)
                expected[row * columns + column, i::3] = [
                    math.sin(row * frequency),
                    math.cos(row * frequency),
                    math.sin(column * frequency),
                    math.cos(column * frequency),
                ]
    np.testing.assert_allclose(sincos_positions((rows, columns), width), expected, atol=1e-6)


def test_sincos_positions_are_fixed_and_leave_the_class_token_alone():
    table = PositionEmbedding((2, 3), 8, "sincos").table
    assert not table.requires_grad
    assert not table[0].any()
    assert torch.equal(table[1:], sincos_positions((2, 3), 8))


def test_positions_of_kind_none_add_nothing_and_learn_nothing():
    positions = PositionEmbedding((2, 3), 8, "none")
    tokens = torch.randn(2, 7, 8)
    assert torch.equal(positions(tokens), tokens)
    assert not positions.table.requires_grad


@pytest.mark.parametrize("grid", [(2, 2), (3, 3), (7, 7)])
def test_bicubic_with_aligned_corners_is_torchvisions_interpolation(grid):
    def torchvisions(table):
        state = {"encoder.pos_embedding": table[None]}
        return interpolate_embeddings(grid[0] * 4, 4, state)["encoder.pos_embedding"][0]

    compare(
        lambda table: interpolate_positions(table, (4, 4), grid, align_corners=True),
        torchvisions,
        random_images(17, 8),
    )


@pytest.mark.parametrize("grid", GRIDS)
def test_bilinear_with_aligned_corners_is_the_papers_interpolation(grid):
    table = random_images(16, 8).detach()
    ours = interpolate_positions(table, (3, 5), grid, mode="bilinear", align_corners=True)
    image = table[1:].reshape(3, 5, 8).numpy()
    theirs = zoom(image, (grid[0] / 3, grid[1] / 5, 1), order=1).reshape(-1, 8)
    np.testing.assert_allclose(ours[1:], theirs, atol=1e-10)


@pytest.mark.parametrize("grid", GRIDS)
def test_bicubic_with_antialiasing_is_timms_interpolation(grid):
    table = torch.randn(16, 8)  # timm interpolates in float32
    ours = interpolate_positions(table, (3, 5), grid, antialias=True)
    theirs = resample_abs_pos_embed(table[None], list(grid), [3, 5])[0]
    torch.testing.assert_close(ours, theirs)


def test_nearest_repeats_the_positions_on_a_doubled_grid():
    table = torch.randn(7, 8)
    resampled = interpolate_positions(table, (2, 3), (4, 6), mode="nearest")
    expected = table[1:].reshape(2, 3, 8).repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(resampled[1:], expected.reshape(24, 8))


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("how", [{}, {"mode": "nearest"}, {"mode": "bilinear"}])
def test_interpolation_keeps_the_rows_before_the_patches(extra, how):
    table = torch.randn(extra + 6, 8)
    resampled = interpolate_positions(table, (2, 3), (5, 4), **how)
    assert resampled.shape == (extra + 20, 8)
    assert torch.equal(resampled[:extra], table[:extra])


def test_interpolation_takes_the_height_before_the_width():
    row_number = torch.arange(2.0).repeat_interleave(3)
    table = torch.stack([row_number, -row_number], dim=1)
    resampled = interpolate_positions(table, (2, 3), (4, 5), "bilinear", align_corners=True)
    expected = torch.linspace(0, 1, 4).repeat_interleave(5)
    torch.testing.assert_close(resampled, torch.stack([expected, -expected], dim=1))


@pytest.mark.parametrize("how", [{}, {"align_corners": True}, {"antialias": True}])
def test_interpolation_to_the_same_grid_changes_nothing(how):
    table = torch.randn(7, 8, dtype=torch.float64)
    torch.testing.assert_close(interpolate_positions(table, (2, 3), (2, 3), **how), table)


def test_resized_positions_are_interpolated_and_can_be_trained_on():
    positions = PositionEmbedding((2, 3), 8).double()
    resized = positions.resized((5, 4), align_corners=True)
    expected = interpolate_positions(positions.table, (2, 3), (5, 4), align_corners=True)
    assert torch.equal(resized.table, expected)
    assert resized.table.requires_grad
    assert resized(torch.zeros(2, 21, 8, dtype=torch.float64)).shape == (2, 21, 8)
    assert len(positions.table) == 7


def test_resized_sincos_positions_are_computed_for_the_new_grid():
    resized = PositionEmbedding((2, 3), 8, "sincos").resized((5, 4))
    assert torch.equal(resized.table[1:], sincos_positions((5, 4), 8))


def test_another_number_of_tokens_is_refused():
    with pytest.raises(
        ValueError, match=r"9 tokens, but 7 positions .* VisionTransformer\.resized"
    ):
        PositionEmbedding((2, 3), 8)(torch.zeros(1, 9, 8))


def test_sincos_positions_refuse_a_width_that_is_no_multiple_of_four():
    with pytest.raises(ValueError, match="width 10 is no multiple of 4; sincos takes 12"):
        sincos_positions((2, 3), 10)
