"""vitlit.patches: images ↔ patches, and their embedding."""

import pytest
import torch
from torch import nn

from vitlit.patches import PatchEmbedding, grid_of, lecun_normal_, patchify, unpatchify
from vitlit.receipts import compare, random_images, randomize_


def test_the_grid_is_rows_then_columns():
    assert grid_of((8, 12), 4) == (2, 3)


def test_patches_come_row_by_row_and_hold_channel_row_column():
    images = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    cut = [images[:, :, y : y + 2, x : x + 2] for y in (0, 2) for x in (0, 2, 4)]
    expected = torch.stack([block.reshape(2, -1) for block in cut], dim=1)
    assert torch.equal(patchify(images, 2), expected)


@pytest.mark.parametrize(
    ("size", "patch_size"), [((8, 8), 4), ((4, 12), 2), ((12, 4), 2), ((6, 9), 3), ((5, 5), 5)]
)
def test_unpatchify_puts_the_patches_back_together(size, patch_size):
    images = torch.randn(2, 3, *size)
    patches = patchify(images, patch_size)
    assert patches.shape == (2, size[0] * size[1] // patch_size**2, 3 * patch_size**2)
    assert torch.equal(unpatchify(patches, patch_size, size), images)


def test_unpatchify_puts_each_patch_where_it_belongs():
    patches = torch.arange(6.0)[None, :, None].expand(1, 6, 4)
    image = unpatchify(patches, 2, (4, 6))[0, 0]
    assert image[::2, ::2].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("size", [(8, 8), (8, 12), (12, 4)])
def test_the_embedding_is_a_convolution_whose_stride_is_its_kernel(size):
    ours = randomize_(PatchEmbedding(4, 3, 16))
    conv = nn.Conv2d(3, 16, kernel_size=4, stride=4).double()
    conv.weight.data = ours.projection.weight.data.reshape(16, 3, 4, 4)
    conv.bias.data = ours.projection.bias.data
    compare(
        ours,
        lambda images: conv(images).flatten(2).transpose(1, 2),
        random_images(2, 3, *size),
        {
            "weight": (ours.projection.weight, conv.weight),
            "bias": (ours.projection.bias, conv.bias),
        },
    )


def test_the_embedding_starts_with_lecuns_deviation_and_no_bias():
    torch.manual_seed(0)
    projection = PatchEmbedding(8, 3, 512).projection
    assert projection.weight.std().item() == pytest.approx((3 * 8 * 8) ** -0.5, rel=0.02)
    assert projection.weight.mean().abs() < 1e-3
    assert not projection.bias.any()


def test_lecuns_normal_is_cut_at_two_deviations():
    torch.manual_seed(0)
    weight = lecun_normal_(torch.empty(400, 100))
    cut = 2 * 0.1 / 0.87962566
    assert 0.99 * cut < weight.abs().max() <= cut


@pytest.mark.parametrize("size", [(32, 30), (30, 32)])
def test_a_patch_size_that_does_not_divide_a_side_is_refused(size):
    H, W = size
    with pytest.raises(ValueError, match=f"patch_size 4 .* {H}×{W} pixels; choose one of 1, 2,"):
        patchify(torch.zeros(1, 3, *size), 4)


@pytest.mark.parametrize("patch_size", [0, -4])
def test_a_patch_size_below_one_is_refused(patch_size):
    with pytest.raises(ValueError, match=f"patch_size {patch_size} .* choose one of 1, 2, 4, 8"):
        grid_of((8, 8), patch_size)


def test_images_of_other_channels_are_refused():
    with pytest.raises(ValueError, match="1 channels, the model expects 3; convert the images"):
        PatchEmbedding(4, 3, 16)(torch.zeros(2, 1, 8, 8))
