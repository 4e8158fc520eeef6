"""Accuracy against the number of training images, a ViT beside a ResNet: `make scaling`.

The ViT is that of the preset `ablation`, trained by its recipe but on all patches. The ResNet is
the smallest of He et al. 2016, section 4.2: three stages of one block, 16, 32 and 64 channels wide
(ResNet-8), trained as such networks are: SGD with Nesterov momentum and weight decay 5e-4. An image
costs both about the same number of multiplications.

Every run takes the same number of steps: with fewer images it sees each of them more often. Crops,
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
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import BasicBlock
from tqdm import tqdm

from studies.jobs import batches, load, make, train_for
from vitlit import data as datasets
from vitlit import processes, records
from vitlit.classifier import normalize, statistics
from vitlit.evaluate import ImageClassifier, evaluate
from vitlit.presets import Recipe, preset
from vitlit.train import (
    Learner,
    classifier_for,
    optimizers_for,
    split,
    summary_of,
)

SIZES = (1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
MODELS = ("vit", "resnet")
STEPS = 2344  # of 64 images: three epochs of all 50,000
MOMENTUM = 0.9


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
    recipe = preset("ablation", keep=1.0, seed=job.seed, holdout=job.holdout)
    recipe = replace(recipe, preset="scaling")
    if job.model == "vit":
        return replace(recipe, muon_learning_rate=job.rate or recipe.muon_learning_rate)
    return replace(recipe, learning_rate=job.rate or 0.4, weight_decay=5e-4, clip=0.0)


def resnet8(channels: int, classes: int) -> nn.Sequential:
    """The network of He et al. 2016, section 4.2, with n = 1; shortcuts are projections."""
    stem = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
    layers: list[nn.Module] = [stem, nn.BatchNorm2d(16), nn.ReLU()]
    for width, wider, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        projection = nn.Conv2d(width, wider, 1, stride, bias=False), nn.BatchNorm2d(wider)
        shortcut = nn.Sequential(*projection) if stride > 1 else None
        layers.append(BasicBlock(width, wider, stride, shortcut))
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes)
    model = nn.Sequential(*layers, *head)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


@dataclass(frozen=True)
class ResNetClassifier:
    """A ResNet with what training and evaluation ask of a classifier."""

    model: nn.Module
    classes: tuple[str, ...]
    mean: torch.Tensor
    std: torch.Tensor

    def inputs(self, images: torch.Tensor) -> torch.Tensor:
        """Images as the data stores them, normalized."""
        return normalize(images, self.mean, self.std)

    @torch.no_grad()
    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Logits in evaluation mode."""
        return self.model.eval()(self.inputs(images))


def classifier_of(job: Job, recipe: Recipe, data: datasets.Dataset) -> ImageClassifier:
    """An untrained classifier of the job's model."""
    if job.model == "vit":
        return classifier_for(recipe, data, data.train_images)
    torch.manual_seed(job.seed)
    model = resnet8(data.train_images.shape[1], len(data.classes))
    return ResNetClassifier(model, data.classes, *statistics(data.train_images))


def optimizers_of(job: Job, model: nn.Module, recipe: Recipe) -> list[Optimizer]:
    """The model's own optimizers."""
    if job.model == "vit":
        return optimizers_for(model, recipe)
    return [
        torch.optim.SGD(
            model.parameters(), lr=recipe.learning_rate, momentum=MOMENTUM, nesterov=True,
            weight_decay=recipe.weight_decay,
        )
    ]  # fmt: skip


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
    epochs = round(job.steps * recipe.batch_size / job.images, 3)
    about = {
        "model": job.model,
        "images": job.images,
        "flops": counter.get_total_flops(),
        "device": "cpu",
        "epochs": epochs,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_seconds": seconds,
    }
    row = {
        "epoch": epochs,
        "train_loss": loss,
        "test_loss": result.loss,
        "test_accuracy": result.accuracy,
        "learning_rate": recipe.learning_rate,
        "seconds": seconds,
    }
    # What no recipe can say.
    beyond: dict[str, Any] = {"epochs": epochs, "steps": job.steps, "images": job.images}
    if job.model == "resnet":
        beyond |= {"model": "ResNet-8", "optimizer": "sgd", "momentum": MOMENTUM}
    records.write(
        records.mine() / job.name,
        config={"command": job.command, **asdict(recipe), **beyond},
        environment=records.environment() | processes.machine("cpu"),
        data=data.summary(),
        summary=summary_of(recipe, data, result, **about),
        rows=[row],
        predictions=result.answers,
    )
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
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of each run (default {STEPS})")
    given = parser.parse_args()
    if given.rates != (None,) and not given.holdout:
        parser.error("--rates are tuned on images that are kept back; give --holdout too")
    if given.jobs < 1 or given.steps < 1:
        parser.error(f"--jobs {given.jobs} and --steps {given.steps} must be at least 1")
    jobs = [
        Job(model, count, seed, given.steps, rate, given.holdout, given.data)
        for seed in given.seeds
        for count in given.sizes
        for model in given.models
        for rate in given.rates
    ]
    there = records.mine()
    todo = [job for job in jobs if job.holdout or not records.is_finished(there / job.name)]
    make(run, todo, at_once=given.jobs)


if __name__ == "__main__":
    main()
