"""Training for a number of steps, however many epochs that is, and the record of such a run."""

import itertools
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from torch import nn
from tqdm import tqdm

from vitlit import data as datasets
from vitlit import processes, records
from vitlit.evaluate import Evaluation
from vitlit.presets import Recipe
from vitlit.train import Batch, Learner, batches_of, fewer_patches, summary_of, train_epoch
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


def write(
    folder: Path,
    recipe: Recipe,
    data: datasets.Dataset,
    result: Evaluation,
    model: nn.Module,
    *,
    loss: float,
    epochs: float,
    seconds: float,
    rate: float | None,
    config: Mapping[str, Any],
    about: Mapping[str, Any],
    device: str = "cpu",
) -> None:
    """Write the record of a run that was tested once, at its end.

    `config` is what the recipe does not say or says wrongly, `about` what the summary holds beside
    what every run's does. `rate` is None where no learning rate was used.
    """
    row = {"epoch": epochs, "train_loss": loss, "test_loss": result.loss}
    row |= {"test_accuracy": result.accuracy, "seconds": seconds}
    records.write(
        folder,
        config={"command": config["command"], **asdict(recipe), "epochs": epochs, **config},
        environment=records.environment() | processes.machine(device),
        data=data.summary(),
        summary=summary_of(
            recipe, data, result, device=device, epochs=epochs, train_seconds=seconds,
            parameters=sum(p.numel() for p in model.parameters()), **about,
        ),
        rows=[row if rate is None else row | {"learning_rate": rate}],
        predictions=result.answers,
    )  # fmt: skip
