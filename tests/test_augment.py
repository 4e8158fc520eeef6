"""vitlit.augment: whole batches against one image at a time."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from vitlit.augment import crop_and_flip, draw, normalize, statistics


def noise(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def crop_and_flip_one(image, shift, flip, padding):
    """What crop_and_flip does to a batch, for one image and step by step."""
    _, H, W = image.shape
    padded = F.pad(image[None].float(), (padding,) * 4, mode="reflect")[0]
    row, column = shift
    crop = padded[:, row : row + H, column : column + W]
    return (crop.flip(-1) if flip else crop).to(torch.uint8)


@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_is_augmented_as_its_images_one_by_one(channels, padding):
    images = noise(20, channels, 6, 9)
    shifts, flips = draw(20, padding, True, torch.Generator().manual_seed(1))
    expected = [
        crop_and_flip_one(image, shift, flip, padding)
        for image, shift, flip in zip(images, shifts.tolist(), flips.tolist(), strict=True)
    ]
    assert torch.equal(crop_and_flip(images, shifts, flips, padding), torch.stack(expected))


def test_the_middle_crop_without_a_flip_is_the_image_itself():
    images = noise(4, 3, 8, 8)
    still = torch.full((4, 2), 2), torch.zeros(4, dtype=torch.bool)
    assert torch.equal(crop_and_flip(images, *still, 2), images)


def test_every_shift_occurs_and_half_the_images_are_flipped():
    shifts, flips = draw(2000, 2, True, torch.Generator().manual_seed(0))
    for axis in shifts.unbind(1):
        assert axis.unique().tolist() == [0, 1, 2, 3, 4]
    assert flips.float().mean().item() == pytest.approx(0.5, abs=0.05)


def test_nothing_is_flipped_where_mirror_images_mean_something_else():
    shifts, flips = draw(50, 2, False, torch.Generator().manual_seed(0))
    assert not flips.any()
    assert torch.equal(shifts, draw(50, 2, True, torch.Generator().manual_seed(0))[0])


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_are_those_of_numpy(channels):
    images = (
        noise(30, channels, 5, 7) // torch.arange(1, channels + 1, dtype=torch.uint8)[:, None, None]
    )
    mean, std = statistics(images)
    np.testing.assert_allclose(mean, images.numpy().mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std, images.numpy().std((0, 2, 3)), rtol=1e-6)


def test_normalized_pixels_have_mean_0_and_deviation_1_in_every_channel():
    images = noise(30, 3, 8, 8)
    mean, std = statistics(images)
    pixels = normalize(images, mean, std).numpy()
    by_hand = (images.numpy() - mean.numpy().reshape(3, 1, 1)) / std.numpy().reshape(3, 1, 1)
    np.testing.assert_allclose(pixels, by_hand, rtol=1e-6)
    np.testing.assert_allclose(pixels.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(pixels.std((0, 2, 3)), 1, atol=1e-5)
