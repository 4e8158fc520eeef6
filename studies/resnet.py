"""Why not a CNN: the best ResNet that was found in the minutes of a preset: `make resnet`.

The networks are those of `studies/residual.py`, after He et al. 2016, section 4.2. What is tried on
them is what makes training on CIFAR-10 short: one peak of the rate with a long way down, Nesterov's
momentum or Muon, smoothed labels, an average of the weights, a first convolution that whitens (Page
2019, "How to train your ResNet"; Jordan 2024, arXiv 2404.00498), and small pictures in the first
epochs (Howard 2018, "Training Imagenet in 3 hours for 25 minutes"): `keep` is the part of an
image's pixels that is left when it is made smaller, as for a ViT it is that of its patches.

Three things it does:

- `--tries` trains each of TRIES, or those of a file, on training images without those that
  `--holdout` keeps back, and tests on these. What comes of each is a line of `resnet-tries.jsonl`,
  under my-runs/ or VITLIT_RUNS. What is there already is not tried again.
- `--time` says how long each try takes, and the presets `cpu` and `cpu-long`, by the same clock.
- Without either, it makes the records that are missing, of CHOSEN and CHOSEN_LONG.

A run that was stopped goes on after its last whole epoch. The clock runs while training; testing
does not count.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import torch
from torch.nn import functional as F
from torch.optim.swa_utils import update_bn
from tqdm import tqdm

from studies.residual import (
    MOMENTUM,
    ResNetClassifier,
    fold_,
    name_of,
    resnet,
    sgd,
    whiten_stem_,
)
from studies.workers import load, run_all
from vitlit import files, locks, processes, records
from vitlit.batches import batches_of, split, steps_of
from vitlit.bounds import OneOf, Within, check
from vitlit.checkpoint import Checkpoint
from vitlit.classifier import statistics
from vitlit.data import Dataset
from vitlit.evaluate import Evaluation, Images, evaluate
from vitlit.presets import Recipe, preset
from vitlit.train import (
    WHITENED,
    DivergedError,
    Learner,
    classifier_for,
    fewer_patches,
    optimizers_for,
    rate_at,
    row_of,
    summary_of,
    train_epoch,
)
from vitlit.vit import VisionTransformer

# What a try may say of its recipe, and what it need not.
SETTINGS = (
    "epochs", "batch_size", "learning_rate", "muon_learning_rate", "weight_decay", "warmup",
    "label_smoothing", "clip", "average", "crop", "flip", "keep",
)  # fmt: skip
USUAL = {"learning_rate": 0.4, "weight_decay": 5e-4, "clip": 0.0}
# Fields of a recipe that mean nothing to a ResNet.
OF_VITS = ("model", "norm", "patches", "start", "start_positions", "initialization")
SETTLED = 2_000  # images that the averaged weights' batch norms are measured on


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network, and how it is trained: `recipe` holds SETTINGS, as far as they are not USUAL.

    Raises ValueError on a value that its field does not allow.
    """

    name: str
    blocks: Annotated[int, Within(1, 100)] = 1  # a stage
    # Channels of the first stage. With 4 of them in channels_last, PyTorch 2.15's gradient of a 1×1
    # convolution of stride 2 writes beyond its memory (seen on an AVX2 machine).
    width: Annotated[int, Within(8, 4096)] = 16
    stride: Annotated[int, Within(1, 2)] = 1  # of the first convolution
    whitened: bool = False  # whether this begins by whitening
    # Muon for the kernels of the blocks, AdamW for the rest.
    optimizer: Annotated[str, OneOf("sgd", "muon")] = "sgd"
    decay: Annotated[str, OneOf("cosine", "linear")] = "cosine"  # of the rate after warm-up
    channels_last: bool = True  # how images lie in memory: it decides the speed alone
    recipe: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what does not exist and what is out of bounds."""
        check(Trial, vars(self))
        for name in self.recipe:
            if name not in SETTINGS:
                there = ", ".join(
                    (*(f.name for f in fields(self) if f.name != "recipe"), *SETTINGS)
                )
                raise ValueError(f"a try has no {name!r}; it has {there}")
        self.recipe_for("resnet")

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> "Trial":
        """A try of all that is said of it at once, as in a file. Raises ValueError as above."""
        own = {f.name for f in fields(cls)} - {"recipe"}
        if "name" not in said:
            raise ValueError(f"a try has no name: {json.dumps(said)}; give it one")
        recipe = {name: value for name, value in said.items() if name not in own}
        if isinstance(recipe.get("keep"), list):  # JSON knows no tuples
            recipe["keep"] = tuple(recipe["keep"])
        return cls(**{name: said[name] for name in said if name in own}, recipe=recipe)

    @property
    def said(self) -> dict[str, Any]:
        """All of it but the name, in one table, with defaults."""
        said = {name: value for name, value in asdict(self).items() if name != "name"}
        recipe = asdict(self.recipe_for("resnet"))
        return {**said, "recipe": {name: recipe[name] for name in SETTINGS}}

    def recipe_for(self, preset: str, seed: int = 0, holdout: int = 0) -> Recipe:
        """The recipe as training takes it. Without Muon it says AdamW, having no word for SGD."""
        optimizer = "muon" if self.optimizer == "muon" else "adamw"
        about = {"preset": preset, "seed": seed, "holdout": holdout, "optimizer": optimizer}
        return Recipe(**{**USUAL, **self.recipe, **about})


def tries(*of: Mapping[str, Any]) -> dict[str, Trial]:
    """Tries by name. Raises ValueError if two have the same."""
    found: dict[str, Trial] = {}
    for said in of:
        trial = Trial.of(said)
        if trial.name in found:
            raise ValueError(f"two tries are called {trial.name!r}; each needs a name of its own")
        found[trial.name] = trial
    return found


GROWING = {"keep": (0.25, 0.5625, 1.0)}  # CIFAR-10's pictures with sides of 16, 24 and 32 pixels
MIDDLE = {"width": 48, "stride": 2, "epochs": 11, **GROWING}
# Each takes about as long as the preset `cpu` (`--time`). First the networks, from that of the
# scaling study on, then the recipe of one.
TRIES = tries(
    {"name": "width16", "epochs": 11, "batch_size": 64},
    {"name": "width16-growing", "epochs": 20, **GROWING},
    {"name": "width32-stride2", "width": 32, "stride": 2, "epochs": 14},
    {"name": "width48-stride2-growing", **MIDDLE},
    {"name": "width64-stride2-growing", **MIDDLE, "width": 64, "epochs": 7},
    {"name": "width32-growing", "width": 32, "epochs": 6, **GROWING},
    {"name": "resnet14-width32-stride2-growing", **MIDDLE, "blocks": 2, "width": 32},
    {"name": "width48-whitened", **MIDDLE, "whitened": True, "decay": "linear"},
    {"name": "width48-rate", **MIDDLE, "learning_rate": 0.8, "average": 0.99},
    {
        "name": "width48-batch64", **MIDDLE, "batch_size": 64, "learning_rate": 0.2,
        "label_smoothing": 0.2,
    },
    {
        "name": "width48-muon", **MIDDLE, "epochs": 10, "optimizer": "muon",
        "muon_learning_rate": 0.02, "learning_rate": 3e-3, "weight_decay": 0.05,
    },
    {"name": "width48-crop16", **MIDDLE, "crop": 1 / 16, "weight_decay": 1e-3},
)  # fmt: skip
# Which tries the records are of: the best one, and what came of it for an hour.
CHOSEN = TRIES["width48-stride2-growing"]
CHOSEN_LONG = Trial.of(
    {"name": "width64-stride2-growing-long", **MIDDLE, "width": 64, "epochs": 42}
)
RECORDS = {"resnet": (CHOSEN, (0, 1, 2)), "resnet-long": (CHOSEN_LONG, (0,))}  # with their seeds


@dataclass(frozen=True)
class Job:
    """One run of a try."""

    trial: Trial
    preset: str
    seed: int = 0
    holdout: int = 0
    source: str | None = None  # as --data
    # That all training images would take, by a measurement before, and on how many threads.
    minutes: float = 0.0
    threads: int = 1

    @property
    def name(self) -> str:
        """The record's folder, or that of a try while it runs."""
        return f"{self.preset}-{self.trial.name if self.holdout else f'seed{self.seed}'}"

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""
        return self.trial.recipe_for(self.preset, self.seed, self.holdout)


def smaller(images: Images, part: float) -> Images:
    """Images with that part of their pixels, at least one, averaged; 1 leaves them as they are."""
    if part == 1:
        return images
    size = [max(1, round(side * part**0.5)) for side in images.shape[2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)


def straight(step: int, steps: int, warmup: float) -> float:
    """The fraction of the learning rate at a step: a straight line up, and one down to nothing."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    return max(0, steps - step) / max(1, steps - rise)


def learner_of(trial: Trial, recipe: Recipe, data: Dataset, images: Images) -> Learner:
    """An untrained network with its optimizers and its schedule; statistics of `images`."""
    torch.manual_seed(recipe.seed)
    model = resnet(trial.blocks, trial.width, images.shape[1], len(data.classes), trial.stride)
    layout = torch.channels_last if trial.channels_last else torch.contiguous_format
    classifier = ResNetClassifier(model, data.classes, *statistics(images), layout)
    if trial.whitened:
        whiten_stem_(model, classifier.inputs(images[:WHITENED]))
    if trial.optimizer == "muon":
        fold_(model)
        optimizers = optimizers_for(model, recipe)
    else:
        optimizers = [sgd(model, recipe.learning_rate, recipe.weight_decay)]
    model.to(memory_format=layout)
    steps = recipe.epochs * steps_of(recipe, len(images))
    schedule = straight if trial.decay == "linear" else rate_at
    return Learner(classifier, optimizers, recipe, steps, schedule)


def train(job: Job, folder: Path) -> tuple[Checkpoint, Learner, Evaluation]:
    """Train, or go on training, in a folder of its own: rows an epoch, the end, the last test.

    Raises DivergedError if the loss is no finite number any more, and what `Checkpoint.resume`
    raises.
    """
    data, recipe = load(job.source), job.recipe
    sets = split(recipe, data)
    learner = learner_of(job.trial, recipe, data, sets.images)
    classifier = learner.classifier
    assert isinstance(classifier, ResNetClassifier)
    tested = replace(classifier, model=learner.tested)
    identity = {**asdict(recipe), **job.trial.said, "data": data.checksum}
    run = Checkpoint(folder, identity, learner.parts())
    run.resume()
    files.sweep(folder)
    for epoch in range(len(run.rows), recipe.epochs):
        start = time.perf_counter()
        images = smaller(sets.images, recipe.kept[epoch])
        with tqdm(disable=True) as bar:
            batches = batches_of(images, sets.labels, recipe, data.flip, epoch)
            loss = train_epoch(learner, batches, bar)
        if recipe.average:
            # Batch norms know the statistics of the weights before the average.
            measured = [classifier.inputs(batch) for batch in sets.images[:SETTLED].split(500)]
            update_bn(measured, learner.tested)
        seconds = time.perf_counter() - start
        result = evaluate(tested, sets.tests, sets.test_labels)
        run.rows.append(row_of(run.rows, loss, result, learner.rate, seconds))
        run.save()
    return run, learner, evaluate(tested, sets.tests, sets.test_labels)


def record(job: Job) -> str:
    """Make a run's record, and say what it reached."""
    folder = records.mine() / job.name
    with locks.held(folder):
        run, learner, result = train(job, folder)
        data, recipe, trial = load(job.source), job.recipe, job.trial
        said = {name: value for name, value in asdict(recipe).items() if name not in OF_VITS}
        network = {name: value for name, value in trial.said.items() if name != "recipe"}
        seconds = run.rows[-1]["seconds"]
        records.write(
            folder,
            config={
                "command": f"python -m studies.resnet --presets {job.preset} --seeds {job.seed}",
                **said, **network, "model": name_of(trial.blocks), "momentum": MOMENTUM,
                "try": trial.name,
            },
            environment=records.environment() | processes.machine("cpu"),
            data=data.summary(),
            summary=summary_of(
                recipe, data, result, device="cpu", epochs=recipe.epochs,
                parameters=sum(p.numel() for p in learner.classifier.model.parameters()),
                train_seconds=seconds,
            ),
            rows=run.rows,
            predictions=result.answers,
        )  # fmt: skip
        run.remove()
    return f"{job.name:<20}{result.accuracy:>8.2%}{seconds / 60:>8.1f} minutes"


def noted() -> Path:
    """The file with a line a try."""
    return records.mine() / "resnet-tries.jsonl"


def done(job: Job) -> dict[str, Any] | None:
    """What is noted of a try, with the same images kept back; None if it was not made yet.

    Raises ValueError if the file of tries is damaged.
    """
    wanted = json.loads(json.dumps(identity_of(job)))
    lines = noted().read_text(encoding="utf-8").splitlines() if noted().exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            said = json.loads(line)
        except ValueError as error:
            raise ValueError(
                f"{noted()} is damaged in line {number} ({error}); remove the line"
            ) from error
        if wanted.items() <= said.items():
            return said
    return None


def identity_of(job: Job) -> dict[str, Any]:
    """What makes two tries the same."""
    checksum = load(job.source).checksum
    return {**job.trial.said, "seed": job.seed, "holdout": job.holdout, "data": checksum}


def attempt(job: Job) -> str:
    """Make a try, note what came of it, and say it."""
    folder = records.mine() / job.name
    with locks.held(folder):
        try:
            run, _, result = train(job, folder)
            accuracies = [row["test_accuracy"] for row in run.rows]
            came: dict[str, Any] = {"accuracy": result.accuracy, "by_epoch": accuracies}
            came |= {"seconds": run.rows[-1]["seconds"]}
        except DivergedError as error:
            came = {"accuracy": None, "by_epoch": [], "seconds": None, "why": str(error)}
        came |= {"threads": torch.get_num_threads()}
        came |= {"minutes_estimated": job.minutes, "threads_estimated": job.threads}
        line = json.dumps({"name": job.trial.name, **came, **identity_of(job)})
        with locks.held(noted()):
            before = noted().read_bytes() if noted().exists() else b""
            files.write(noted(), before + f"{line}\n".encode())
        shutil.rmtree(folder, ignore_errors=True)
    return shown({"name": job.trial.name, **came})


def shown(came: Mapping[str, Any]) -> str:
    """A line about a try: name, accuracy, time it took, and estimated time on more threads."""
    estimate = f"{came['minutes_estimated']:.1f} min on {threads_of(came['threads_estimated'])}"
    if came["accuracy"] is None:
        return f"{came['name']:<28}{came['why']}; {estimate}"
    taken = f"{came['seconds']:.0f} s on {threads_of(came['threads'])}"
    return f"{came['name']:<28}{came['accuracy']:>8.2%}   {taken}, {estimate}"


def threads_of(count: int) -> str:
    """So many threads, in words."""
    return f"{count} thread{'s' if count > 1 else ''}"


@dataclass(frozen=True)
class Timed:
    """What is timed: a recipe, and a function that makes a few steps and returns seconds a step."""

    recipe: Recipe
    step: Callable[[float], float]


def timed(recipe: Recipe, learner: Learner, data: Dataset) -> Timed:
    """Training with a part of the patches, or of the pixels, that `step` is given."""
    model = learner.classifier.model
    few = 2 * recipe.batch_size
    images, labels = data.train_images[:few], data.train_labels[:few]

    def step(part: float) -> float:
        vit = model if isinstance(model, VisionTransformer) else None
        given = images if vit else smaller(images, part)
        with fewer_patches(vit, part) if vit else nullcontext(), tqdm(disable=True) as bar:
            start = time.perf_counter()
            train_epoch(learner, batches_of(given, labels, recipe, data.flip, 0), bar)
        return (time.perf_counter() - start) / steps_of(recipe, len(images))

    return Timed(recipe, step)


def of_trial(trial: Trial, data: Dataset) -> Timed:
    """A try, to be timed."""
    recipe = trial.recipe_for("resnet")
    return timed(recipe, learner_of(trial, recipe, data, data.train_images), data)


def of_preset(name: str, data: Dataset) -> Timed:
    """A preset of the ViT, to be timed."""
    recipe = preset(name)
    classifier = classifier_for(recipe, data, data.train_images)
    optimizers = optimizers_for(classifier.model, recipe)
    steps = recipe.epochs * steps_of(recipe, len(data.train_images))
    return timed(recipe, Learner(classifier, optimizers, recipe, steps), data)


def minutes_of(
    subjects: Mapping[str, Timed], images: int, rounds: int
) -> dict[str, tuple[float, dict[float, float]]]:
    """Minutes that each would train on so many images, and seconds a step by its parts.

    In each round everything makes a few steps, one after the other, so that a load on the machine
    falls on all; the median of the rounds counts. One more round goes before, to warm up.
    """
    taken: dict[tuple[str, float], list[float]] = {}
    for turn in range(rounds + 1):
        for name, subject in subjects.items():
            for part in sorted(set(subject.recipe.kept)):
                seconds = subject.step(part)
                if turn:
                    taken.setdefault((name, part), []).append(seconds)
    found = {}
    for name, subject in subjects.items():
        steps = {part: median(taken[name, part]) for part in sorted(set(subject.recipe.kept))}
        epochs = sum(steps[part] for part in subject.recipe.kept)
        found[name] = (epochs * steps_of(subject.recipe, images) / 60, steps)
    return found


def print_times(trials: Iterable[Trial], data: Dataset, rounds: int) -> None:
    """How long tries and presets take, and how many epochs of a try take as long as `cpu`."""
    subjects = {name: of_preset(name, data) for name in ("cpu", "cpu-long")}
    subjects |= {trial.name: of_trial(trial, data) for trial in trials}
    found = minutes_of(subjects, len(data.train_images), rounds)
    print(f"{threads_of(torch.get_num_threads())}; ms a step at each part of patches or pixels")
    for name, (minutes, steps) in found.items():
        ratio = minutes / found["cpu"][0]
        epochs = subjects[name].recipe.epochs
        each = ", ".join(f"{part:.3g}: {1000 * seconds:.0f}" for part, seconds in steps.items())
        print(
            f"{name:<34}{minutes:>6.1f} min, {ratio:.2f} × cpu; {epochs} epochs, "
            f"{epochs / ratio:.1f} would be as long   {each}"
        )


def tries_of(file: Path | None) -> dict[str, Trial]:
    """The tries of a file, a list in JSON of what `Trial.of` takes; without a file, TRIES.

    Raises ValueError, naming the file, if it holds something else.
    """
    if file is None:
        return TRIES
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}); give a list of tries") from error
    if not isinstance(said, list) or not all(isinstance(row, dict) for row in said):
        raise ValueError(f'{file} holds no list of tries such as [{{"name": "a", "epochs": 12}}]')
    return tries(*said)


def parser_of() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--presets", nargs="+", choices=RECORDS, default=RECORDS)
    parser.add_argument("--seeds", nargs="+", type=int, help="of each (default: 0 1 2, and 0)")
    parser.add_argument(
        "--tries", nargs="?", type=Path, const=None, default=False, metavar="FILE.json",
        help="make tries, those of a file or the built-in ones; needs --holdout",
    )  # fmt: skip
    parser.add_argument("--holdout", type=int, default=0, help="training images to test on")
    parser.add_argument("--time", action="store_true", help="only say how long the tries take")
    parser.add_argument("--rounds", type=int, default=3, help="of timing (default 3)")
    parser.add_argument("--threads", type=int, help="of timing (default: one a core)")
    parser.add_argument("--jobs", type=int, help="how many at a time (default: tries 2, else 1)")
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    return parser


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    parser = parser_of()
    given = parser.parse_args()
    trying = given.tries is not False
    if trying and not given.time and given.holdout < 1:
        parser.error("tries are tested on images that are kept back; give --holdout 5000 too")
    if given.holdout and not trying:
        parser.error(f"--holdout {given.holdout} is for tries; give --tries too, or leave it out")
    at_once = (2 if trying else 1) if given.jobs is None else given.jobs
    threads = (os.cpu_count() or 1) if given.threads is None else given.threads
    if min(at_once, threads, given.rounds) < 1:
        parser.error(
            f"--jobs {at_once}, --threads {threads} and --rounds {given.rounds} must be at least 1"
        )
    try:
        trials = tries_of(given.tries or None)
        torch.set_num_threads(threads)
        if given.time:
            print_times(trials.values(), load(given.data), given.rounds)
        elif trying:
            run_all(
                attempt, to_try(trials, given.holdout, given.data, given.rounds), at_once=at_once
            )
        else:
            run_all(record, to_record(given.presets, given.seeds, given.data), at_once=at_once)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped before a run began")


def to_record(presets: Iterable[str], seeds: list[int] | None, source: str | None) -> list[Job]:
    """The runs whose records are missing."""
    jobs = [
        Job(RECORDS[name][0], name, seed, source=source)
        for name in presets
        for seed in (RECORDS[name][1] if seeds is None else seeds)
    ]
    return [job for job in jobs if not records.is_finished(records.mine() / job.name)]


def to_try(trials: Mapping[str, Trial], holdout: int, source: str | None, rounds: int) -> list[Job]:
    """The tries that nothing is noted of, timed; the others are said."""
    todo = []
    for trial in trials.values():
        job = Job(trial, "resnet-try", 0, holdout, source)
        if came := done(job):
            print(shown(came), flush=True)
        else:
            todo.append(job)
    data = load(source)
    subjects = {job.trial.name: of_trial(job.trial, data) for job in todo}
    found = minutes_of(subjects, len(data.train_images), rounds)
    threads = torch.get_num_threads()
    return [replace(job, minutes=found[job.trial.name][0], threads=threads) for job in todo]


if __name__ == "__main__":
    main()
