"""vitlit.augment: whole batches against one image at a time."""

import math
from dataclasses import fields

import pytest
import torch
from torch.nn import functional as F

from vitlit.augment import (
    OPERATIONS,
    crop_and_flip,
    distort,
    draw,
    draw_boxes,
    draw_erased,
    draw_mixes,
    draw_strengths,
    erase,
    inside,
    mix,
    warp,
)
from vitlit.presets import Recipe


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


def test_each_side_has_its_own_padding():
    shifts, flips = draw(3000, (1, 3), True, torch.Generator().manual_seed(0))
    assert shifts[:, 0].unique().tolist() == [0, 1, 2]
    assert shifts[:, 1].unique().tolist() == [0, 1, 2, 3, 4, 5, 6]
    for axis, places in zip(shifts.unbind(1), (3, 7), strict=True):
        shares = axis.bincount() / 3000
        assert shares.sub(1 / places).abs().max() < 0.1
    images = noise(1, 1, 2, 9).expand(3000, -1, -1, -1)
    cropped = crop_and_flip(images, shifts, flips, (1, 3))
    one = F.pad(images[:1].float(), [3, 3, 1, 1], mode="reflect").to(torch.uint8)
    for i in range(20):
        row, column = shifts[i].tolist()
        crop = one[0, :, row : row + 2, column : column + 9]
        assert torch.equal(cropped[i], crop.flip(2) if flips[i] else crop)


@pytest.mark.parametrize("padding", [0, 1, 4])
def test_one_padding_for_both_sides_draws_what_it_always_drew(padding):
    alike = draw(50, padding, True, torch.Generator().manual_seed(3))[0]
    expected = torch.randint(
        0, 2 * padding + 1, (50, 2), generator=torch.Generator().manual_seed(3)
    )
    assert torch.equal(alike, expected)
    assert torch.equal(alike, draw(50, (padding,) * 2, True, torch.Generator().manual_seed(3))[0])


def test_there_are_as_many_operations_as_a_recipe_allows():
    (bounds,) = next(f.type.__metadata__ for f in fields(Recipe) if f.name == "operations")
    assert bounds.high == len(OPERATIONS)


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


# Stronger distortions


def test_strength_0_changes_nothing():
    images = noise(6, 3, 9, 7)
    assert torch.equal(distort(images, torch.zeros(6, len(OPERATIONS))), images)


def strengths_of(count, **chosen):
    strengths = torch.zeros(count, len(OPERATIONS))
    for name, strength in chosen.items():
        strengths[:, list(OPERATIONS).index(name)] = strength
    return strengths


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_does_something_and_each_image_has_its_own_strength(name):
    images = noise(1, 3, 8, 8).expand(3, -1, -1, -1) // 3 * 2 + 41
    strengths = strengths_of(3, **{name: torch.tensor([0.0, 0.3, 0.9])})
    still, little, much = distort(images, strengths)
    assert torch.equal(still, images[0])
    assert not torch.equal(little, still)
    assert name == "autocontrast" or not torch.equal(little, much)


@pytest.mark.parametrize(("H", "W"), [(12, 12), (8, 20)])
def test_a_quarter_turn_is_a_quarter_turn_and_a_move_is_a_move(H, W):
    pixels = noise(1, 3, H, W).float()
    zero, half = torch.zeros(1), torch.full((1,), math.pi)
    torch.testing.assert_close(warp(pixels, half, *[zero] * 4), pixels.flip(2, 3), atol=0.1, rtol=0)
    moved = warp(pixels, *[zero] * 3, torch.full((1,), 3 / W), torch.full((1,), 2 / H))
    torch.testing.assert_close(
        moved[:, :, : H - 2, : W - 3], pixels[:, :, 2:, 3:], atol=0.1, rtol=0
    )
    if H == W:
        turned = warp(pixels, half / 2, *[zero] * 4)
        torch.testing.assert_close(turned, pixels.rot90(1, (2, 3)), atol=0.1, rtol=0)


def test_a_shear_moves_each_row_by_its_distance_from_the_middle():
    H, W = 9, 15
    pixels = torch.zeros(1, 1, H, W)
    pixels[..., W // 2] = 255.0
    zero = torch.zeros(1)
    sheared = warp(pixels, zero, torch.ones(1), *[zero] * 3)
    columns = sheared[0, 0].argmax(dim=1)
    assert columns.tolist() == [W // 2 - (row - H // 2) for row in range(H)]


def test_colors_change_as_their_names_say():
    images = noise(1, 3, 8, 8) // 4 + 60
    mean, spread = images.float().mean(), images.float().std()
    brighter = distort(images, strengths_of(1, brightness=0.5)).float()
    assert brighter.mean() == pytest.approx(mean.item() * 1.45, rel=0.01)
    flat = distort(images, strengths_of(1, contrast=-1.0)).float()
    assert flat.std() == pytest.approx(spread.item() * 0.1, rel=0.2)
    gray = distort(images, strengths_of(1, saturation=-1.0)).float()
    assert gray.std(dim=1).max() < 0.2 * images.float().std(dim=1).max()
    wide = distort(images, strengths_of(1, autocontrast=0.1))
    assert (wide.amin((2, 3)) == 0).all()
    assert (wide.amax((2, 3)) == 255).all()
    coarse = distort(images, strengths_of(1, posterize=1.0))
    assert torch.equal(coarse, images // 16 * 16)
    inverted = distort(images, strengths_of(1, solarize=1.0))
    assert torch.equal(inverted, 255 - images)


def test_strengths_are_drawn_for_that_many_operations():
    strengths = draw_strengths(500, 2, 0.7, torch.Generator().manual_seed(0))
    assert ((strengths != 0).sum(dim=1) == 2).all()
    assert strengths.abs().max() <= 0.7
    assert strengths.max() > 0.6
    assert strengths.min() < -0.6
    assert (strengths != 0).any(dim=0).all()


def test_a_box_has_the_area_that_was_asked_for_unless_the_edge_cuts_it():
    areas = torch.full((2000,), 0.25)
    boxes = draw_boxes(areas, torch.Generator().manual_seed(0))
    top, left, bottom, right = boxes.unbind(dim=1)
    torch.testing.assert_close((bottom - top) * (right - left), areas)
    whole = (top >= 0) & (left >= 0) & (bottom <= 1) & (right <= 1)
    covered = inside(boxes, 32, 32).float().mean((1, 2, 3))
    assert covered[whole].sub(0.25).abs().max() < 0.06
    assert covered.max() < 0.32
    assert covered.min() < 0.15


def test_what_is_erased_has_the_mean_color_and_the_rest_stays():
    images = noise(400, 3, 16, 16)
    boxes = draw_erased(400, 0.25, torch.Generator().manual_seed(0))
    erased = erase(images, boxes)
    gone = inside(boxes, 16, 16).expand_as(images)
    assert torch.equal(erased[~gone], images[~gone])
    color = images.float().mean((2, 3), keepdim=True).round().to(torch.uint8).expand_as(images)
    assert torch.equal(erased[gone], color[gone])
    assert 0.15 < gone.flatten(1).any(dim=1).float().mean() < 0.3


def test_mixed_targets_say_what_is_seen():
    count = 400
    images = torch.zeros(count, 1, 16, 16, dtype=torch.uint8)
    images[::2] = 200
    targets = F.one_hot(torch.arange(count) % 2, 2).float()
    mixes = draw_mixes(count, 0.8, torch.Generator().manual_seed(0))
    mixed, shares = mix(images, targets, mixes)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(count))
    bright = mixed.float().mean((1, 2, 3)) / 200
    torch.testing.assert_close(shares[:, 0], bright, atol=0.01, rtol=0)
    own = shares[torch.arange(count), torch.arange(count) % 2]
    assert 0.15 < (own == 1).float().mean() < 0.3
    faded = (mixed.amin((1, 2, 3)) > 0) & (mixed.amax((1, 2, 3)) < 200)
    pasted = mixed.amin((1, 2, 3)) < mixed.amax((1, 2, 3))
    assert 0.3 < faded.float().mean() < 0.5
    assert 0.3 < pasted.float().mean() < 0.5


def test_the_last_of_an_odd_batch_stays_as_it_is():
    images, targets = noise(3, 3, 4, 4), torch.eye(3)
    mixed, shares = mix(images, targets, torch.tensor([[0.5, 0, 0, 0, 0]] * 3))
    assert torch.equal(mixed[2], images[2])
    assert shares.tolist() == [[0.5, 0.5, 0], [0.5, 0.5, 0], [0, 0, 1]]
