"""Accuracy against the number of training images, a ViT beside a ResNet: `make scaling`.

The ViT is that of the preset `ablation`, trained by its recipe but on all patches. The ResNet is
the smallest of He et al. 2016, section 4.2: three stages of one block, 16, 32 and 64 channels wide
(ResNet-8), trained as such networks are: SGD with Nesterov momentum and weight decay 5e-4. An image
costs both about the same number of multiplications.

Every run takes the same number of steps: with fewer images it sees each of them more often. To see
what is short, images or steps, the ViT also takes twice and four times as many, on 10,000 images
and on all: `--models vit --sizes 10000 50000 --steps 2344 4688 9376`. Crops,
flips, batches, warm-up, decay and label smoothing are the same for both. The images are the first
of a random order, so that a larger set contains the smaller.

Each model has the rate that was best for it on 10,000 images in a third of the steps: the ResNet
0.4 (of 0.02 to 0.8), the ViT 0.007 (of 0.0035 to 0.028), each rate about twice the one before.

Records that are missing are made, under my-runs/ or VITLIT_RUNS. `--holdout 5000` is for tuning: it
tests on training images that are kept back, and only says what it found.
"""

import argparse
import os
import time
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from studies.jobs import batches, train_for, write
from studies.residual import MOMENTUM, ResNetClassifier, name_of, resnet, sgd
from studies.workers import load, run_all
from vitlit import data as datasets
from vitlit import records
from vitlit.classifier import statistics
from vitlit.evaluate import ImageClassifier, evaluate
from vitlit.presets import Recipe, preset
from vitlit.train import (
    Learner,
    classifier_for,
    optimizers_for,
    split,
)

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
MODELS = ("vit", "resnet")
STEPS = 2344  # of 64 images: three epochs of all 50,000


@dataclass(frozen=True)
class Job:
    """One run: which model, on how many images, and what decides the rest."""

    model: str
    images: int
    seed: int
    steps: int = STEPS
    rate: float | None = None  # None: the model's own
    holdout: int = 0
    source: str | None = None  # as --data

    @property
    def name(self) -> str:
        """The record's folder."""
        steps = "" if self.steps == STEPS else f"-steps{self.steps}"
        return f"scaling-{self.model}-{self.images}{steps}-seed{self.seed}"

    @property
    def command(self) -> str:
        """What repeats this run alone."""
        return (
            f"python -m studies.scaling --models {self.model} --sizes {self.images} "
            f"--seeds {self.seed}" + ("" if self.steps == STEPS else f" --steps {self.steps}")
        )


def recipe_of(job: Job) -> Recipe:
    """Everything about a run that both models share, and the rate of the model's optimizer."""
    recipe = preset("ablation", batch_size=64, seed=job.seed, holdout=job.holdout)
    recipe = replace(recipe, preset="scaling")
    if job.model == "vit":
        return replace(recipe, muon_learning_rate=job.rate or recipe.muon_learning_rate)
    return replace(recipe, learning_rate=job.rate or 0.4, weight_decay=5e-4, clip=0.0)


def classifier_of(job: Job, recipe: Recipe, data: datasets.Dataset) -> ImageClassifier:
    """An untrained classifier of the job's model."""
    if job.model == "vit":
        return classifier_for(recipe, data, data.train_images)
    torch.manual_seed(job.seed)
    model = resnet(1, 16, data.train_images.shape[1], len(data.classes))
    return ResNetClassifier(model, data.classes, *statistics(data.train_images))


def optimizers_of(job: Job, model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """The model's own optimizers."""
    if job.model == "vit":
        return optimizers_for(model, recipe)
    return [sgd(model, recipe.learning_rate, recipe.weight_decay)]


def part_of(data: datasets.Dataset, count: int, seed: int) -> datasets.Dataset:
    """The data with only the first `count` training images of a random order.

    Raises ValueError if there are not so many.
    """
    there = len(data.train_images)
    if count > there:
        raise ValueError(f"{count:,} training images are more than the {there:,} there are")
    order = torch.randperm(there, generator=torch.Generator().manual_seed(seed))[:count]
    images, labels = data.train_images[order], data.train_labels[order]
    return replace(data, train_images=images, train_labels=labels)


def run(job: Job) -> str:
    """Train and test one model, and write its record, or only say what it reached."""
    whole, recipe = load(job.source), recipe_of(job)
    images, labels, tests, test_labels = split(recipe, whole)
    data = part_of(replace(whole, train_images=images, train_labels=labels), job.images, job.seed)

    classifier = classifier_of(job, recipe, data)
    model = classifier.model
    learner = Learner(classifier, optimizers_of(job, model, recipe), recipe, job.steps)
    start = time.perf_counter()
    with tqdm(disable=True) as bar:
        loss = train_for(learner, batches(data, recipe), job.steps, bar)
    seconds = time.perf_counter() - start
    result = evaluate(classifier, tests, test_labels)
    line = f"{job.name:<32}{result.accuracy:>8.2%}{seconds:>8.0f} s"
    if job.holdout:
        return f"{line}   rate {job.rate}"

    with FlopCounterMode(display=False) as counter:
        classifier.logits(tests[:1])
    config = {"command": job.command, "steps": job.steps, "images": job.images}
    if job.model == "resnet":
        config |= {"model": name_of(1), "optimizer": "sgd", "momentum": MOMENTUM}
    about = {"model": job.model, "images": job.images, "flops": counter.get_total_flops()}
    write(
        records.mine() / job.name, recipe, data, result, model, loss=loss, seconds=seconds,
        epochs=round(job.steps * recipe.batch_size / job.images, 3), rate=recipe.learning_rate,
        config=config, about=about,
    )  # fmt: skip
    return line


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="training images")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    parser.add_argument("--holdout", type=int, default=0, help="training images to test on")
    parser.add_argument("--rates", nargs="+", type=float, default=(None,), help="with --holdout")
    parser.add_argument(
        "--steps", nargs="+", type=int, default=(STEPS,), help=f"of each run (default {STEPS})"
    )
    given = parser.parse_args()
    if given.rates != (None,) and not given.holdout:
        parser.error("--rates are tuned on images that are kept back; give --holdout too")
    if min(given.jobs, *given.steps) < 1:
        parser.error(f"--jobs {given.jobs} and --steps {given.steps} must be at least 1")
    jobs = [
        Job(model, count, seed, steps, rate, given.holdout, given.data)
        for steps in given.steps
        for seed in given.seeds
        for count in given.sizes
        for model in given.models
        for rate in given.rates
    ]
    there = records.mine()
    todo = [job for job in jobs if job.holdout or not records.is_finished(there / job.name)]
    run_all(run, todo, at_once=given.jobs)


if __name__ == "__main__":
    main()
