"""Training for a number of steps, however many epochs that is."""

import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import cast

from tqdm import tqdm

from vitlit import data as datasets
from vitlit.presets import Recipe
from vitlit.train import Batch, Learner, batches_of, fewer_patches, train_epoch
from vitlit.vit import VisionTransformer


def batches(data: datasets.Dataset, recipe: Recipe) -> Iterator[Batch]:
    """Augmented batches without end, epoch after epoch."""
    for epoch in itertools.count():
        yield from batches_of(data.train_images, data.train_labels, recipe, data.flip, epoch)


def train_for(learner: Learner, given: Iterator[Batch], steps: int, bar: tqdm) -> float:
    """Train for a number of steps, however many epochs that is.

    Each part of the recipe's `keep` gets its share of the steps. Returns the mean loss of the last
    share. Raises ValueError if there is no step.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps cannot train anything; give at least 1")
    parts = cast(tuple[float, ...], learner.recipe.keep)
    ends = [steps * number // len(parts) for number in range(len(parts) + 1)]
    loss = 0.0
    for part, begin, end in zip(parts, ends, ends[1:], strict=False):
        if begin < end:
            # A model that is no ViT has no patches, and so no part of them below 1.
            model = cast(VisionTransformer, learner.classifier.model)
            with fewer_patches(model, part) if part < 1 else nullcontext():
                loss = train_epoch(learner, itertools.islice(given, end - begin), bar)
    return loss
