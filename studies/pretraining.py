"""Does pre-training help? A ViT that knows seven classes learns three: `make pretraining`.

The three are bird, cat and dog. Of all threes, the first edition's `cpu` runs, seeds 0 to 2 alike,
mixed up these the most on test pictures; that chose them, before any run of this study. What
remains to pre-train on are four vehicles, and deer, frog and horse: 35,000 pictures, by the preset
`cpu`.

Then n pictures of the three, as many of each, are learned in four ways. `finetune`: the whole
pre-trained model under a new linear head. `frozen`: a linear head alone, on what the pre-trained
model makes of the pictures and of their mirror images (logistic regression with a penalty on the
head's weights, solved by L-BFGS, since nothing else changes). `scratch`: a new model, for as many
steps as `finetune`, which cost the same; both see all patches. `scratch-long`: a new model, LONGER
times as many steps, with the parts of the patches that `cpu` prescribes. Of the preset the new
models have everything but the batch of 32 and the rates.

The seed decides the pictures and all weights; fewer pictures are part of more. All are tested on
the test pictures of the three classes.

Rates, penalties and lengths are chosen by `--tune`, which tests on training pictures of the three
that are kept back. These are many more than 30; who has no more would have to choose blindly. All
ways have this advantage alike. Those in RATES and LONGER are where to begin: not tuned yet.

Records that are missing are made, under my-runs/ or VITLIT_RUNS.
"""

import argparse
import itertools
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from studies.jobs import batches, train_for, write
from studies.workers import load, run_all
from vitlit import records
from vitlit.classifier import Classifier
from vitlit.data import Dataset
from vitlit.evaluate import evaluate
from vitlit.heads import LinearHead
from vitlit.presets import Recipe, preset
from vitlit.start import started
from vitlit.studies import WAYS
from vitlit.train import (
    DivergedError,
    Learner,
    classifier_for,
    optimizers_for,
    split,
    train,
)

NEW = ("bird", "cat", "dog")
SIZES = (30, 100, 300, 1_000, 3_000)
BATCH = 32
# Of `finetune` and `scratch`.
STEPS = {30: 80, 100: 120, 300: 200, 1_000: 350, 3_000: 500}
# The steps of `scratch-long`, as multiples of these.
LONGER = {30: 4, 100: 4, 300: 8, 1_000: 8, 3_000: 10}
# Both rates of `cpu` are multiplied by these; of `frozen` it is the penalty.
RATES = {
    "finetune": {30: 0.3, 100: 0.3, 300: 0.3, 1_000: 0.3, 3_000: 0.3},
    "frozen": {30: 0.01, 100: 0.01, 300: 0.01, 1_000: 0.01, 3_000: 0.01},
    "scratch": {30: 1.0, 100: 1.0, 300: 1.0, 1_000: 1.0, 3_000: 1.0},
    "scratch-long": {30: 1.0, 100: 1.0, 300: 1.0, 1_000: 1.0, 3_000: 1.0},
}
# What `--tune` tries if it is not told: rates, and of `scratch-long` multiples of the steps.
TRIED = {
    "finetune": (0.1, 0.3, 1.0),
    "frozen": (0.001, 0.01, 0.1, 1.0),
    "scratch": (0.3, 1.0, 2.0),
}
TRIED_LONGER = (2, 4, 8, 16)
HELD_BACK = 3_000


@dataclass(frozen=True)
class Job:
    """One run: a way of learning and how many pictures, or the base; and what decides the rest."""

    way: str
    images: int
    seed: int
    new: tuple[str, ...] = NEW
    rate: float | None = None  # None: what RATES and LONGER say
    longer: int | None = None
    holdout: int = 0
    source: str | None = None  # as --data

    @property
    def marks(self) -> str:
        """What tells this run's name from that of the same with the usual classes."""
        return "" if self.new == NEW else f"-{'+'.join(self.new)}"

    @property
    def base(self) -> str:
        """The record's folder of the model that is pre-trained."""
        return f"pretraining-base{self.marks}-seed{self.seed}"

    @property
    def name(self) -> str:
        """The record's folder."""
        if self.way == "base":
            return self.base
        return f"pretraining-{self.way}-{self.images}{self.marks}-seed{self.seed}"

    @property
    def command(self) -> str:
        """What repeats this run alone, and makes the base if it is not there."""
        what = f"--ways {self.way}"
        what += "" if self.way == "base" else f" --sizes {self.images}"
        classes = "" if self.new == NEW else f" --new {' '.join(self.new)}"
        return f"python -m studies.pretraining {what} --seeds {self.seed}{classes}"

    @property
    def is_pretrained(self) -> bool:
        """Whether it starts from the base."""
        return self.way in ("finetune", "frozen")

    @property
    def factor(self) -> float:
        """What `cpu`'s rates are multiplied by, or the penalty."""
        return RATES[self.way][self.images] if self.rate is None else self.rate

    @property
    def choice(self) -> str:
        """What tuning tries, in words: the factor, and how many times longer it takes."""
        longer = "" if self.longer is None else f", {self.longer} × longer"
        return f"{self.factor:g}{longer}"

    @property
    def steps(self) -> int:
        """How many it takes; `frozen` takes none."""
        if self.way != "scratch-long":
            return STEPS[self.images]
        return STEPS[self.images] * (LONGER[self.images] if self.longer is None else self.longer)


@dataclass(frozen=True)
class Done:
    """What a run reached, as it is printed: accuracy as a fraction (None: diverged), seconds."""

    job: Job
    accuracy: float | None
    seconds: float

    def __str__(self) -> str:
        reached = "diverged" if self.accuracy is None else f"{self.accuracy:.2%}"
        tried = f"   {self.job.choice}" if self.job.holdout else ""
        return f"{self.job.name:<40}{reached:>9}{self.seconds:>8.0f} s{tried}"


def recipe_of(job: Job) -> Recipe:
    """How a job trains: by the preset `cpu`, with what this study changes."""
    if job.way == "base":
        recipe = preset("cpu", seed=job.seed, stored="fp16")
        return replace(recipe, preset="pretraining", variant="base")
    recipe = preset("cpu", seed=job.seed, holdout=job.holdout, batch_size=BATCH)
    recipe = replace(recipe, preset="pretraining", variant=job.way)
    if job.is_pretrained:
        changes: dict[str, Any] = {"start": job.base, "initialization": "paper"}
        recipe = replace(recipe, model={"head": "linear"}, **changes)
    if job.way != "scratch-long":
        recipe = replace(recipe, keep=1.0)
    if job.way == "frozen":
        return recipe
    rates = recipe.learning_rate, recipe.muon_learning_rate
    adamw, muon = (job.factor * rate for rate in rates)
    return replace(recipe, learning_rate=adamw, muon_learning_rate=muon)


def with_classes(data: Dataset, classes: Sequence[str]) -> Dataset:
    """The pictures of some classes alone, which are numbered anew, in the order given.

    Raises ValueError if the data has not all of them, or names one twice.
    """
    if missing := [name for name in classes if name not in data.classes]:
        raise ValueError(
            f"{data.title} has no class {missing[0]!r}; give --new some of its classes, "
            f"{', '.join(data.classes)}"
        )
    if len(set(classes)) < len(classes):
        raise ValueError(f"--new {' '.join(classes)} names a class twice; name each once")
    number = torch.full((len(data.classes),), -1)
    number[[data.classes.index(name) for name in classes]] = torch.arange(len(classes))
    train_labels, test_labels = number[data.train_labels], number[data.test_labels]
    learned, tested = train_labels >= 0, test_labels >= 0
    return replace(
        data,
        title=f"{data.title}: {', '.join(classes)}",
        classes=tuple(classes),
        train_images=data.train_images[learned],
        train_labels=train_labels[learned],
        test_images=data.test_images[tested],
        test_labels=test_labels[tested],
        test_files=tuple(itertools.compress(data.test_files, tested.tolist())),
    )


def others(data: Dataset, new: Sequence[str]) -> tuple[str, ...]:
    """The classes to pre-train on. Raises ValueError if fewer than two are left."""
    left = tuple(name for name in data.classes if name not in new)
    if len(left) < 2:
        raise ValueError(
            f"--new {' '.join(new)} leaves {len(left)} of {len(data.classes)} classes to pre-train "
            "on; it must leave at least 2"
        )
    return left


def balanced(data: Dataset, count: int, seed: int) -> Dataset:
    """The data with `count` training pictures only, as many of each class, drawn by the seed.

    Where they cannot be as many, the first classes have one more. A larger count contains the
    smaller. Raises ValueError if a class has too few.
    """
    generator = torch.Generator().manual_seed(seed)
    K = len(data.classes)
    chosen = []
    for k, name in enumerate(data.classes):
        there = (data.train_labels == k).nonzero().flatten()
        wanted = (count - k + K - 1) // K
        if wanted > len(there):
            raise ValueError(
                f"{count:,} pictures of {K} classes take {wanted:,} of {name}, of which there are "
                f"{len(there):,}; give smaller --sizes, or a smaller --holdout"
            )
        chosen.append(there[torch.randperm(len(there), generator=generator)[:wanted]])
    index = torch.cat(chosen)
    return replace(
        data, train_images=data.train_images[index], train_labels=data.train_labels[index]
    )


def pretrain(job: Job) -> Done:
    """Train the base on all classes but the new ones, or go on with that."""
    whole = load(job.source)
    data = with_classes(whole, others(whole, job.new))
    out = records.mine() / job.base
    made = train(recipe_of(job), data, out, command=job.command, progress=False)
    return Done(job, made.summary["test_accuracy"], made.summary["train_seconds"])


def classifier_of(job: Job, recipe: Recipe, data: Dataset) -> Classifier:
    """What a job trains: a new model, or the base of its seed under a new head."""
    if not job.is_pretrained:
        return classifier_for(recipe, data, data.train_images)
    torch.manual_seed(recipe.seed)
    # By its path: the book may have a base of this name, too.
    path = str(records.mine() / job.base)
    return started(replace(recipe, start=path), data, lambda config: None)


def solve_head(classifier: Classifier, data: Dataset, penalty: float) -> float:
    """Fit the linear head of a frozen model, in place: mean cross-entropy + penalty / 2 · ‖W‖².

    Logistic regression on frozen features, as a linear probe (Alain and Bengio 2016; the transfer
    protocol is that of Kornblith, Shlens and Le 2019). The features are computed once. Returns the
    mean cross-entropy.
    """
    model = classifier.model
    images, labels = data.train_images, data.train_labels
    if data.flip:
        images, labels = torch.cat([images, images.flip(-1)]), labels.repeat(2)
    model.head = nn.Identity()
    features = torch.cat([classifier.logits(batch) for batch in images.split(500)])
    head = LinearHead(features.shape[1], len(data.classes))
    solver = torch.optim.LBFGS(head.parameters(), max_iter=1_000, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        return F.cross_entropy(head(features), labels)

    def closure() -> torch.Tensor:
        solver.zero_grad()
        total = loss() + penalty / 2 * head.weight.square().sum()
        total.backward()
        return total

    solver.step(closure)
    model.head = head
    with torch.no_grad():
        return loss().item()


def run(job: Job) -> Done:
    """Make one run and write its record; with `holdout`, only say what it reached."""
    if job.way == "base":
        return pretrain(job)
    recipe = recipe_of(job)
    data = with_classes(load(job.source), job.new)
    images, labels, tests, test_labels = split(recipe, data)
    few = replace(data, train_images=images, train_labels=labels)
    few = balanced(few, job.images, job.seed)

    classifier = classifier_of(job, recipe, few)
    beyond: dict[str, Any] = {"images": job.images, "new": list(job.new)}
    start = time.perf_counter()
    if job.way == "frozen":
        loss, epochs = solve_head(classifier, few, job.factor), 1.0
        beyond |= {"optimizer": "lbfgs", "penalty": job.factor}
    else:
        optimizers = optimizers_for(classifier.model, recipe)
        learner = Learner(classifier, optimizers, recipe, job.steps)
        try:
            with tqdm(disable=True) as bar:
                loss = train_for(learner, batches(few, recipe), job.steps, bar)
        except DivergedError:
            if job.holdout:
                return Done(job, None, time.perf_counter() - start)
            raise
        epochs = round(job.steps * min(BATCH, job.images) / job.images, 3)
        beyond["steps"] = job.steps
    seconds = time.perf_counter() - start
    result = evaluate(classifier, tests, test_labels)
    done = Done(job, result.accuracy, seconds)
    if job.holdout:
        return done

    started_from = {"started": classifier.start} if classifier.start else {}
    said = {"command": job.command, **beyond, **started_from}
    write(
        records.mine() / job.name, recipe, few, result, classifier.model, loss=loss, epochs=epochs,
        seconds=seconds, rate=None, config=said | {"vit": asdict(classifier.model.config)},
        about={"images": job.images, "steps": beyond.get("steps", 0)},
    )  # fmt: skip
    return done


def table_of(tries: Iterable[Done]) -> str:
    """What tuning found: a line a way and number of pictures, mean accuracies, the best marked."""
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    for done in tries:
        if done.job.way != "base":
            row = found.setdefault((done.job.way, done.job.images), {})
            row.setdefault(done.job.choice, []).append(done.accuracy or 0.0)
    lines = []
    for (way, images), row in sorted(found.items()):
        mean = {choice: statistics.mean(accuracies) for choice, accuracies in row.items()}
        best = max(mean.values())
        cells = (f"{choice}: {x:.1%}{'*' if x == best else ''}" for choice, x in mean.items())
        lines.append(f"{way:<14}{images:>6}   {'   '.join(cells)}")
    return "\n".join(lines)


def tries_of(given: argparse.Namespace, jobs: Iterable[Job]) -> list[Job]:
    """Every job once a rate and length that is to be tried, on held-back pictures."""
    found = []
    for job in jobs:
        rates = given.rates or TRIED.get(job.way, (None,))
        lengths = (given.longer or TRIED_LONGER) if job.way == "scratch-long" else (None,)
        for rate, longer in itertools.product(rates, lengths):
            found.append(replace(job, rate=rate, longer=longer, holdout=given.holdout))
    return found


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--ways", nargs="+", choices=("base", *WAYS), default=("base", *WAYS))
    parser.add_argument("--sizes", nargs="+", type=int, choices=SIZES, default=SIZES)
    parser.add_argument("--seeds", nargs="+", type=int, help="(0 1 2; with --tune 0)")
    parser.add_argument("--new", nargs="+", default=NEW, help="classes that are not pre-trained on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many at a time")
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    parser.add_argument("--tune", action="store_true", help="try rates; print a table, no records")
    parser.add_argument(
        "--holdout", type=int, help=f"with --tune: pictures to test on ({HELD_BACK})"
    )
    parser.add_argument("--rates", nargs="+", type=float, help="with --tune: instead of TRIED")
    parser.add_argument("--longer", nargs="+", type=int, help="with --tune: multiples of STEPS")
    given = parser.parse_args()
    if not given.tune and (given.holdout, given.rates, given.longer) != (None, None, None):
        parser.error("--holdout, --rates and --longer are for tuning; give --tune too")
    given.seeds = given.seeds or ([0] if given.tune else [0, 1, 2])
    given.holdout = HELD_BACK if given.holdout is None else given.holdout
    if given.holdout < 1 or given.jobs < 1:
        parser.error(f"--holdout {given.holdout} and --jobs {given.jobs} must be at least 1")
    if min(given.seeds) < 0 or min([*(given.rates or [1]), *(given.longer or [1])]) <= 0:
        parser.error("--seeds must be 0 or more, --rates and --longer above 0")

    new, source = tuple(given.new), given.data
    jobs = [
        Job(way, images, seed, new, source=source)
        for seed, images, way in itertools.product(given.seeds, sorted(given.sizes)[::-1], WAYS)
        if way in given.ways
    ]
    needed = {job.seed for job in jobs if job.is_pretrained}
    needed |= set(given.seeds) if "base" in given.ways else set()
    bases = [Job("base", 0, seed, new, source=source) for seed in sorted(needed)]
    if given.tune:
        jobs = tries_of(given, jobs)
    there = records.mine()
    bases, jobs = (
        [job for job in some if job.holdout or not records.is_finished(there / job.name)]
        for some in (bases, jobs)
    )
    # New models need no base: they are trained beside the last one, the longest first.
    fresh = sorted((job for job in jobs if not job.is_pretrained), key=lambda job: -job.steps)
    tuned = [job for job in jobs if job.is_pretrained]
    done = run_all(run, [*bases, *fresh], tuned, at_once=given.jobs)
    if given.tune:
        print(f"\nMean accuracy on {given.holdout:,} training pictures that were kept back:")
        print(table_of(done))


if __name__ == "__main__":
    main()
