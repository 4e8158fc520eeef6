"""What the steps of an epoch are given: which images, in which order, how augmented."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from vitlit import augment, processes
from vitlit.augment import crop_and_flip, distort, draw, erase, mix
from vitlit.data import Dataset
from vitlit.evaluate import Images, Labels
from vitlit.presets import Recipe

Targets = Int64[Tensor, " n"] | Float[Tensor, "n K"]  # classes, or a chance for each
Batch = tuple[UInt8[Tensor, "B C H W"], Int64[Tensor, " B"] | Float[Tensor, "B K"]]


class Split(NamedTuple):
    """What is trained on, and what is tested on."""

    images: Images
    labels: Labels
    tests: UInt8[Tensor, "m C H W"]
    test_labels: Int64[Tensor, " m"]


def split(recipe: Recipe, data: Dataset) -> Split:
    """Images and labels to train on, and to test on.

    With `holdout` the test images stay untouched: that many training images, drawn at random, take
    their place. A recipe is tuned like this. Raises ValueError unless there is at least one for
    each class to test on, and one to train on.
    """
    images, labels = data.train_images, data.train_labels
    if not recipe.holdout:
        return Split(images, labels, data.test_images, data.test_labels)
    fewest, most = len(data.classes), len(images) - len(data.classes)
    if not fewest <= recipe.holdout <= most:
        raise ValueError(
            f"holdout is {recipe.holdout}; of {len(images)} images in {fewest} classes it must be "
            f"at least {fewest} and at most {most}, or 0 to test on the test images"
        )
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    kept, rest = order[: recipe.holdout], order[recipe.holdout :]
    return Split(images[rest], labels[rest], images[kept], labels[kept])


def batch_of(recipe: Recipe, count: int) -> int:
    """The images of a step: `batch_size`, or as many of `count` as the processes can share.

    Raises ValueError if they cannot share a batch evenly, in pairs if images are mixed, or if a
    batch has no pairs.
    """
    shares = processes.count()
    unit = 2 * shares if recipe.mix and shares > 1 else shares
    batch = recipe.batch_size if recipe.batch_size <= count else count - count % unit
    if not batch or batch % unit:
        pairs = " in pairs that are mixed" if unit > shares else ""
        raise ValueError(
            f"batch_size {recipe.batch_size} of {count} images cannot be shared by {shares} "
            f"processes{pairs}; choose a multiple of {unit}, or fewer processes"
        )
    if recipe.mix and batch == shares:
        raise ValueError(
            f"mix is {recipe.mix}, but a batch of {batch} has no pairs to mix; set batch_size to "
            "at least 2 a process, or mix=0"
        )
    return batch


def steps_of(recipe: Recipe, count: int) -> int:
    """The steps of an epoch: full batches in `count` images."""
    return count // batch_of(recipe, count)


def padding_of(recipe: Recipe, height: int, width: int) -> tuple[int, int]:
    """How many pixels a crop may move up and down, and to the left and right."""
    return round(recipe.crop * height), round(recipe.crop * width)


def batches_of(
    images: Images, targets: Targets, recipe: Recipe, flip: bool, epoch: int
) -> Iterator[Batch]:
    """One epoch of augmented batches, in an order that seed and epoch decide.

    Of several processes each gets its part of every batch. What is left over for a last, short
    batch sits the epoch out, so that every step weighs the same; another epoch leaves out others.
    """
    count, device = len(images), images.device
    generator = torch.Generator().manual_seed(1000 * recipe.seed + epoch)
    padding = padding_of(recipe, *images.shape[2:])
    flip = flip and recipe.flip
    shifts, flips = (t.to(device) for t in draw(count, padding, flip, generator))
    if flip and recipe.alternate:
        halves = torch.Generator().manual_seed(recipe.seed)
        flips = augment.alternate(count, epoch, halves).to(device)
    order = torch.randperm(count, generator=generator).to(device)
    settings = (recipe.operations, recipe.magnitude)
    strengths = augment.draw_strengths(count, *settings, generator).to(device)
    erased = augment.draw_erased(count, recipe.erase, generator).to(device)
    mixes = augment.draw_mixes(count, recipe.mix, generator).to(device)
    mixing = recipe.mix > 0 and epoch < recipe.epochs - recipe.plain_epochs

    for chosen in order.split(batch_of(recipe, count))[: steps_of(recipe, count)]:
        index = processes.part_of(chosen)
        batch = crop_and_flip(images[index], shifts[index], flips[index], padding)
        if recipe.operations:
            batch = distort(batch, strengths[index])
        if recipe.erase:
            batch = erase(batch, erased[index])
        yield mix(batch, targets[index], mixes[index]) if mixing else (batch, targets[index])
