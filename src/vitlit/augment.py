"""Augmentation on whole batches: no image is touched by Python alone.

An epoch's random numbers are drawn at once, a row an image. So what happens to an image depends on
the seed, the epoch and its index, not on the batch it lands in, nor on the process.
"""

import math

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F

# RandAugment's operations (Cubuk et al. 2020, section 3.1) that a batch can go through at once, and
# what strength 1 means: radians, slopes, parts of the width, gains, bits.
OPERATIONS = {
    "rotate": math.radians(30), "shear_x": 0.3, "shear_y": 0.3, "move_x": 0.3, "move_y": 0.3,
    "brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "autocontrast": 1.0, "posterize": 4.0,
    "solarize": 1.0,
}  # fmt: skip
ERASED = (0.02, 0.33)  # the part of an image that random erasing covers (Zhong et al. 2020)


def draw(
    count: int, padding: int | tuple[int, int], flip: bool, generator: torch.Generator
) -> tuple[Int64[Tensor, "n 2"], Bool[Tensor, " n"]]:
    """For each of `count` images: how far to move the crop (row, column), and whether to flip.

    `padding` is that of every side, or of (rows, columns).
    """
    places = 2 * torch.tensor(padding).expand(2) + 1
    shifts = torch.randint(0, int(places.max()), (count, 2), generator=generator)
    shifts = shifts * places // places.max()
    coins = torch.rand(count, generator=generator) < 0.5
    return shifts, coins if flip else torch.zeros_like(coins)


def alternate(count: int, epoch: int, generator: torch.Generator) -> Bool[Tensor, " n"]:
    """Whether to flip each of `count` images: half of them in even epochs, the others in odd ones.

    The generator decides on the halves and must be the same in every epoch. So two epochs show both
    sides of every image, where coins would show a half of the images twice from one side (Jordan
    2024, arXiv 2404.00498).
    """
    return (torch.rand(count, generator=generator) < 0.5) ^ bool(epoch % 2)


def crop_and_flip(
    images: UInt8[Tensor, "B C H W"],
    shifts: Int64[Tensor, "B 2"],
    flips: Bool[Tensor, " B"],
    padding: int | tuple[int, int],
) -> UInt8[Tensor, "B C H W"]:
    """Pad by reflection, cut out H×W at each image's shift, and mirror where flips says so."""
    B, C, H, W = images.shape
    P, Q = torch.tensor(padding).expand(2).tolist()
    padded = F.pad(images.float(), [Q, Q, P, P], mode="reflect").to(torch.uint8)
    rows = shifts[:, :1] + torch.arange(H, device=images.device)
    columns = torch.arange(W, device=images.device).expand(B, W)
    columns = shifts[:, 1:] + torch.where(flips[:, None], columns.flip(1), columns)
    batch = torch.arange(B, device=images.device)[:, None, None, None]
    channel = torch.arange(C, device=images.device)[None, :, None, None]
    return padded[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def draw_strengths(
    count: int, operations: int, magnitude: float, generator: torch.Generator
) -> Float[Tensor, "n K"]:
    """For each image and each of OPERATIONS a strength, −magnitude to magnitude.

    It is zero but for `operations` of them, drawn without replacement. In RandAugment each draw is
    from all operations, and what is drawn has strength ±magnitude.
    """
    K = len(OPERATIONS)
    chosen = torch.rand(count, K, generator=generator).argsort(dim=1) < operations
    strengths = magnitude * (2 * torch.rand(count, K, generator=generator) - 1)
    return torch.where(chosen, strengths, 0.0)


def distort(
    images: UInt8[Tensor, "B C H W"], strengths: Float[Tensor, "B K"]
) -> UInt8[Tensor, "B C H W"]:
    """Apply all of OPERATIONS to every image, each with its own strengths; 0 changes nothing."""
    scaled = (strengths * strengths.new_tensor(list(OPERATIONS.values()))).unbind(dim=1)
    s = dict(zip(OPERATIONS, (v[:, None, None, None] for v in scaled), strict=True))
    pixels = warp(images.float(), *(s[name].flatten() for name in list(OPERATIONS)[:5]))

    pixels = (pixels * (1 + s["brightness"])).clamp(0, 255)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    pixels = (mean + (pixels - mean) * (1 + s["contrast"])).clamp(0, 255)
    gray = pixels.mean(dim=1, keepdim=True)
    pixels = (gray + (pixels - gray) * (1 + s["saturation"])).clamp(0, 255)

    low, high = pixels.amin((2, 3), keepdim=True), pixels.amax((2, 3), keepdim=True)
    stretched = (pixels - low) * 255 / (high - low).clamp(min=1)
    pixels = torch.where(s["autocontrast"] != 0, stretched, pixels).round()
    step = 2 ** s["posterize"].abs().round()
    pixels = (pixels / step).floor() * step
    limit = 256 * (1 - s["solarize"].abs())
    return torch.where(pixels < limit, pixels, 255 - pixels).to(torch.uint8)


def warp(
    pixels: Float[Tensor, "B C H W"],
    angle: Float[Tensor, " B"],
    shear_x: Float[Tensor, " B"],
    shear_y: Float[Tensor, " B"],
    move_x: Float[Tensor, " B"],
    move_y: Float[Tensor, " B"],
) -> Float[Tensor, "B C H W"]:
    """Rotate (radians), shear (slopes) and move (parts of the width); edges are mirrored."""
    cos, sin, ratio = angle.cos(), angle.sin(), pixels.shape[2] / pixels.shape[3]
    # Rotation times shear, in coordinates that run from −1 to 1 along each side.
    rows = [
        torch.stack([cos - sin * shear_y, (cos * shear_x - sin) * ratio, 2 * move_x], dim=1),
        torch.stack([(sin + cos * shear_y) / ratio, sin * shear_x + cos, 2 * move_y], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), list(pixels.shape), align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


def draw_boxes(areas: Float[Tensor, " n"], generator: torch.Generator) -> Float[Tensor, "n 4"]:
    """Boxes of the given areas (parts of the image): top, left, bottom, right as parts of a side.

    The center is anywhere, so what reaches over the edge is cut off; sides are up to 1 : 3.
    """
    count = len(areas)
    stretch = 3 ** (torch.rand(count, generator=generator) - 0.5)
    sides = areas.sqrt()[:, None] * torch.stack([stretch, 1 / stretch], dim=1)
    center = torch.rand(count, 2, generator=generator)
    boxes = torch.cat([center - sides / 2, center + sides / 2], dim=1)
    return torch.where(areas[:, None] > 0, boxes, 0.0)


def inside(boxes: Float[Tensor, "B 4"], H: int, W: int) -> Bool[Tensor, "B 1 H W"]:
    """Which pixels (their centers) lie in each image's box."""
    top, left, bottom, right = boxes[:, :, None].unbind(dim=1)
    rows = (torch.arange(H, device=boxes.device) + 0.5) / H
    columns = (torch.arange(W, device=boxes.device) + 0.5) / W
    tall = (rows >= top) & (rows < bottom)
    wide = (columns >= left) & (columns < right)
    return (tall[:, :, None] & wide[:, None, :])[:, None]


def draw_erased(count: int, chance: float, generator: torch.Generator) -> Float[Tensor, "n 4"]:
    """For each image a box to be erased; an empty one unless `chance` has it."""
    low, high = ERASED
    areas = low + (high - low) * torch.rand(count, generator=generator)
    happens = torch.rand(count, generator=generator) < chance
    return draw_boxes(torch.where(happens, areas, 0.0), generator)


def erase(
    images: UInt8[Tensor, "B C H W"], boxes: Float[Tensor, "B 4"]
) -> UInt8[Tensor, "B C H W"]:
    """Cover each image's box with the image's mean color (random erasing)."""
    color = images.float().mean(dim=(2, 3), keepdim=True).round().to(torch.uint8)
    return torch.where(inside(boxes, *images.shape[2:]), color, images)


def draw_mixes(count: int, chance: float, generator: torch.Generator) -> Float[Tensor, "n 5"]:
    """For each image how it is mixed: the part that MixUp leaves of it, and CutMix's box.

    With `chance` it is mixed, half the time by one, half by the other. Parts are drawn evenly.
    """
    coin = torch.rand(count, generator=generator)
    part = torch.rand(count, generator=generator)
    faded = torch.where(coin < chance / 2, part, 1.0)
    cut = torch.where((chance / 2 <= coin) & (coin < chance), 1 - part, 0.0)
    return torch.cat([faded[:, None], draw_boxes(cut, generator)], dim=1)


def mix(
    images: UInt8[Tensor, "B C H W"],
    targets: Float[Tensor, "B K"],
    mixes: Float[Tensor, "B 5"],
) -> tuple[UInt8[Tensor, "B C H W"], Float[Tensor, "B K"]]:
    """Mix neighbors in the batch, first with second, third with fourth; targets by what is seen.

    MixUp (Zhang et al. 2018) fades, CutMix (Yun et al. 2019) pastes a box.
    """
    B, _, H, W = images.shape
    other = (torch.arange(B, device=images.device) ^ 1).clamp(max=B - 1)
    kept = torch.where(inside(mixes[:, 1:], H, W), 0.0, mixes[:, 0, None, None, None])
    pixels = images.float()
    mixed = (kept * pixels + (1 - kept) * pixels[other]).round().to(torch.uint8)
    share = kept.mean(dim=(1, 2, 3))[:, None]
    return mixed, share * targets + (1 - share) * targets[other]
