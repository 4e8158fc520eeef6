"""What labml's annotated ViT reaches in the same minutes, with its size or ours: `make labml`.

Three runs of MINUTES each: `theirs` is their configuration; `our-size` their recipe on the model of
the preset `cpu`; `our-recipe` that preset's recipe on their model. To the size belongs whatever the
model is: widths, heads, the kind of its head and its activations. To the recipe belongs how it is
trained: start, batches, optimizer, rates, schedule, augmentation, label smoothing, dropout.

Our schedule has to know the number of steps beforehand. So a few steps are measured for each part
of the patches, on a model that is thrown away and by a clock of their own; as many are then made as
fit into the minutes. The record says how long these really took.

Only the configuration is theirs, the code is vitlit's. From labml_nn/transformers/vit/experiment.py
and the defaults behind it: width 512, 6 layers, 8 heads, ReLU in the MLPs of width 2048 and in the
head's hidden layer of 2048, patches of 4×4, dropout 0.1, batches of 64, Adam at a constant 2.5e-4,
random crops padded by 4 and flips; no weight decay, warm-up, clipping or label smoothing; fp32.

Where it is not theirs: weights start as vitlit's do (theirs as PyTorch's layers do), crops are
padded by reflection (theirs with zeros), every channel is normalized by its own mean and deviation
(theirs by 0.5), and dropout falls on the tokens before the first block as in the paper, not on the
attention weights; attention and optimizer are PyTorch's fused ones, so a step takes less time than
in their code. They train 32 epochs; here the clock decides. It runs while training, warm-up of the
GPU included, and stands while testing, which happens once, at the end.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from studies import jobs
from vitlit import data as datasets
from vitlit import processes, records
from vitlit.augment import crop_and_flip, draw
from vitlit.classifier import Classifier
from vitlit.encoder import MLP
from vitlit.evaluate import evaluate
from vitlit.presets import Recipe, preset
from vitlit.train import (
    Learner,
    classifier_for,
    fewer_patches,
    optimizers_for,
    train_epoch,
)

CONFIGURATIONS = ("theirs", "our-size", "our-recipe")
MEASURED = 3  # steps of each part of the patches, after one that is not counted


def recipe_of(seed: int, configuration: str = "theirs") -> Recipe:
    """One of CONFIGURATIONS, as far as a recipe says it: their Adam is AdamW without decay."""
    theirs = Recipe(
        preset="labml", batch_size=64, learning_rate=2.5e-4, weight_decay=0.0, warmup=0.0,
        label_smoothing=0.0, clip=0.0, crop=1 / 8, flip=True, seed=seed,
        model={
            "patch_size": 4, "width": 512, "depth": 6, "heads": 8, "mlp_width": 2048,
            "head": "mlp", "head_width": 2048, "activation": "relu", "dropout": 0.1, "eps": 1e-5,
        },
    )  # fmt: skip
    ours = preset("cpu", seed=seed)
    if configuration == "our-size":
        model = {"patch_size": 4, **ours.model, "dropout": theirs.model["dropout"]}
        return replace(theirs, variant=configuration, model=model)
    if configuration == "our-recipe":
        model = {name: x for name, x in theirs.model.items() if name != "dropout"}
        return replace(ours, preset="labml", variant=configuration, model=model)
    return theirs


def classifier_of(recipe: Recipe, data: datasets.Dataset, device: str) -> Classifier:
    """An untrained classifier; their model has ReLU in its MLPs, which no configuration can say."""
    classifier = classifier_for(recipe, data, data.train_images).to(device)
    for module in classifier.model.modules() if has_relu(recipe) else ():
        if isinstance(module, MLP):
            module.gelu = nn.ReLU()  # type: ignore[assignment]
    return classifier


def has_relu(recipe: Recipe) -> bool:
    """Whether the model is theirs."""
    return recipe.variant != "our-size"


def batches_of(
    images: Tensor, labels: Tensor, recipe: Recipe, flip: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches without end: epoch after epoch, each in another order."""
    padding = round(recipe.crop * images.shape[-1])
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        drawn = draw(len(images), padding, flip and recipe.flip, generator)
        shifts, flips = (t.to(images.device) for t in drawn)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for index in order.split(recipe.batch_size):
            yield crop_and_flip(images[index], shifts[index], flips[index], padding), labels[index]


def train(
    classifier: Classifier, batches: Iterator[tuple[Tensor, Tensor]], rate: float, seconds: float
) -> tuple[list[float], int, float]:
    """Train their way until the time is over, one step at least.

    Returns the loss of each step, the number of images seen, and the seconds it took.
    """
    model = classifier.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    losses: list[Tensor] = []
    seen = 0
    start = time.perf_counter()
    with tqdm(unit=" images", mininterval=0.5, disable=None) as bar:
        while not losses or time.perf_counter() - start < seconds:
            images, targets = next(batches)
            loss = F.cross_entropy(model(classifier.inputs(images)), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            seen += len(images)
            bar.update(len(images))
            # A GPU is given work ahead of time: wait for the step before, or the clock says little.
            losses[-2:][0].item()
    values = torch.stack(losses).tolist()
    return values, seen, time.perf_counter() - start


def train_ours(
    recipe: Recipe, data: datasets.Dataset, device: str, seconds: float
) -> tuple[Classifier, float, int, float]:
    """Train our way for as many steps as are expected to take the time.

    Returns the classifier, the mean loss of the last share of steps, the number of steps, and the
    seconds they took.
    """
    data = replace(
        data, train_images=data.train_images.to(device), train_labels=data.train_labels.to(device)
    )
    took = seconds_of(recipe, data, device)
    steps = max(1, int(seconds / statistics.mean(took[part] for part in parts_of(recipe))))
    classifier = classifier_of(recipe, data, device)
    learner = Learner(classifier, optimizers_for(classifier.model, recipe), recipe, steps)
    start = time.perf_counter()
    with tqdm(unit=" images", mininterval=0.5, disable=None) as bar:
        loss = jobs.train_for(learner, jobs.batches(data, recipe), steps, bar)
    return classifier, loss, steps, time.perf_counter() - start


def parts_of(recipe: Recipe) -> tuple[float, ...]:
    """The parts of the patches that enter, each for the same share of the steps."""
    return cast(tuple[float, ...], recipe.keep)


def seconds_of(recipe: Recipe, data: datasets.Dataset, device: str) -> dict[float, float]:
    """The seconds of a step at each part of the patches: the median of MEASURED."""
    classifier, given = classifier_of(recipe, data, device), jobs.batches(data, recipe)
    learner = Learner(classifier, optimizers_for(classifier.model, recipe), recipe, 10**6)
    found = {}
    for part in dict.fromkeys(parts_of(recipe)):
        took = []
        with fewer_patches(classifier.model, part), tqdm(disable=True) as bar:
            for _ in range(1 + MEASURED):
                start = time.perf_counter()
                train_epoch(learner, itertools.islice(given, 1), bar)
                took.append(time.perf_counter() - start)
        found[part] = statistics.median(took[1:])
    return found


def run(
    configuration: str, seed: int, minutes: float, source: str | None, wanted: str, out: Path
) -> records.Run:
    """Train and test one configuration, and write the record to the folder `out`.

    `source` is what `data.load` takes, `wanted` what `processes.device_of` does; they say what they
    raise. Raises ValueError if there is no time, FileExistsError if the folder holds a finished
    run.
    """
    if not minutes > 0:
        raise ValueError(f"--minutes is {minutes:g}; it must be above 0")
    records.refuse_finished(out)
    device, recipe = processes.device_of(wanted), recipe_of(seed, configuration)
    data = datasets.load(source)
    beyond: dict[str, Any] = {"mlp_activation": "relu"} if has_relu(recipe) else {}
    if configuration == "our-recipe":
        classifier, loss, steps, seconds = train_ours(recipe, data, device, 60 * minutes)
        seen = steps * min(recipe.batch_size, len(data.train_images))
        beyond["steps"] = steps
    else:
        classifier = classifier_of(recipe, data, device)
        images, labels = data.train_images.to(device), data.train_labels.to(device)
        batches = batches_of(images, labels, recipe, data.flip)
        trained = (classifier, batches, recipe.learning_rate, 60 * minutes)
        losses, seen, seconds = train(*trained)
        recent = losses[-max(1, len(images) // recipe.batch_size) :]
        loss = statistics.mean(recent)  # of the last epoch, or of what there is of it
        beyond["schedule"] = "constant"
    result = evaluate(classifier, data.test_images.to(device), data.test_labels)

    which = "" if configuration == "theirs" else f" --configurations {configuration}"
    command = f"python -m studies.labml --minutes {minutes:g}{which} --seeds {seed}"
    said = {"command": command, "minutes": minutes, **beyond}
    jobs.write(
        out, recipe, data, result, classifier.model, loss=loss, seconds=seconds,
        epochs=round(seen / len(data.train_images), 3), rate=recipe.learning_rate,
        config=said | {"vit": asdict(classifier.model.config)}, about={"images": seen},
        device=device,
    )  # fmt: skip
    return records.read(out)


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of each run (default 10)")
    parser.add_argument(
        "--configurations", nargs="+", choices=CONFIGURATIONS, default=["theirs"],
        help="whose size and whose recipe (default: both theirs)",
    )  # fmt: skip
    # Its name of the first edition stands in records.
    parser.add_argument("--seeds", "--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    parser.add_argument("--device", default="auto", help="cpu or cuda; auto takes a GPU if there")
    given = parser.parse_args()
    try:
        for seed, configuration in itertools.product(given.seeds, given.configurations):
            variant = "" if configuration == "theirs" else f"-{configuration}"
            out = records.mine() / f"labml{variant}-seed{seed}"
            if records.is_finished(out):
                print(f"{out.name} is there already")
                continue
            made = run(configuration, seed, given.minutes, given.data, given.device, out)
            print(f"{out.name}: {said(made.summary)}", flush=True)
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(
            "\nstopped; finished runs are kept, and the same command makes the others"
        ) from None


def said(summary: dict[str, Any]) -> str:
    """What a run reached, in words."""
    return (
        f"{summary['test_accuracy']:.2%} of {summary['tested']:,} {summary['tested_on']} after "
        f"{summary['train_seconds'] / 60:.1f} minutes, {summary['images']:,} images, "
        f"{summary['epochs']} epochs"
    )


if __name__ == "__main__":
    main()
