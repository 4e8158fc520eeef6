"""Augmentation on whole batches: no image is touched by Python alone.

An epoch's random numbers are drawn at once, a row an image. So an image's crop and flip depend on
the seed, the epoch and its index, not on the batch it lands in.
"""

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.nn import functional as F


def draw(
    count: int, padding: int, flip: bool, generator: torch.Generator
) -> tuple[Int64[Tensor, "n 2"], Bool[Tensor, " n"]]:
    """For each of `count` images: how far to move the crop (row, column), and whether to flip."""
    shifts = torch.randint(0, 2 * padding + 1, (count, 2), generator=generator)
    coins = torch.rand(count, generator=generator) < 0.5
    return shifts, coins if flip else torch.zeros_like(coins)


def crop_and_flip(
    images: UInt8[Tensor, "B C H W"],
    shifts: Int64[Tensor, "B 2"],
    flips: Bool[Tensor, " B"],
    padding: int,
) -> UInt8[Tensor, "B C H W"]:
    """Pad by reflection, cut out H×W at each image's shift, and mirror where flips says so."""
    B, C, H, W = images.shape
    padded = F.pad(images.float(), [padding] * 4, mode="reflect").to(torch.uint8)
    rows = shifts[:, :1] + torch.arange(H, device=images.device)
    columns = torch.arange(W, device=images.device).expand(B, W)
    columns = shifts[:, 1:] + torch.where(flips[:, None], columns.flip(1), columns)
    batch = torch.arange(B, device=images.device)[:, None, None, None]
    channel = torch.arange(C, device=images.device)[None, :, None, None]
    return padded[batch, channel, rows[:, None, :, None], columns[:, None, None, :]]


def normalize(
    images: UInt8[Tensor, "B C H W"], mean: Float[Tensor, " C"], std: Float[Tensor, " C"]
) -> Float[Tensor, "B C H W"]:
    """Bytes to numbers of mean 0 and deviation 1 a channel; mean and std in grey levels, 0–255."""
    return (images - mean[:, None, None]) / std[:, None, None]


def statistics(images: UInt8[Tensor, "n C H W"]) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"]]:
    """Mean and deviation of each channel over all pixels, in grey levels."""
    flat = images.transpose(0, 1).flatten(1)
    counts = torch.stack([channel.bincount(minlength=256) for channel in flat]).double()
    share = counts / counts.sum(dim=1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64, device=images.device)
    mean = (share * levels).sum(dim=1)
    variance = (share * (levels - mean[:, None]) ** 2).sum(dim=1)
    return mean.float(), variance.sqrt().float()
