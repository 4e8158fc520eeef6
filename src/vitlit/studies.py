"""What many runs say together: the effect of a change, accuracy by number of images.

Needs no torch, as `records` does not.
"""

import json
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from vitlit.records import Run, book

# The data whose accuracy the book tells: not the digits that tests train on.
DATA = ("cifar10", "cifar10-jpeg")
# Runs that share these differ in the seed only; where they ran does not change what they are.
GROUPED_BY = ("preset", "data", "device", "parameters")
# Where `make steps` writes, from the root of the checkout; in a wheel, from the package.
STEPS = Path("benchmarks/results/steps-cpu.json")


def final(runs: Iterable[Run]) -> list[Run]:
    """The runs that were tested on CIFAR-10's test images, not on images that were held back."""
    return [
        run
        for run in runs
        if run.summary["data"] in DATA and run.summary["tested_on"] == "test images"
    ]


def others() -> list[dict[str, Any]]:
    """Other people's figures, each with what it measures, its unit and its source."""
    file = Path(__file__).parent / "assets" / "others.json"
    return json.loads(file.read_text(encoding="utf-8"))


def by_preset(runs: Iterable[Run]) -> list[list[Run]]:
    """The runs of each preset on the same data by seed, the most accurate preset first."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        groups.setdefault(tuple(run.summary[key] for key in GROUPED_BY), []).append(run)
    return sorted(groups.values(), key=mean_accuracy, reverse=True)


def mean_accuracy(runs: Sequence[Run]) -> float:
    """The mean test accuracy, a fraction."""
    return statistics.mean(run.summary["test_accuracy"] for run in runs)


def best(runs: Iterable[Run]) -> Run | None:
    """The run that stands for the book: the most accurate that is no study, or None.

    The first seed stands for its preset: the luckiest would be chosen by the test images.
    """
    whole = (run for run in final(runs) if not run.is_study and not run.summary["variant"])
    firsts = [group[0] for group in by_preset(whole)]
    return max(firsts, key=lambda run: run.summary["test_accuracy"], default=None)


def ablations(runs: Iterable[Run]) -> list[Run]:
    """The runs of the presets that are ablated, by seed, on that data on which there are most."""
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        if run.summary["preset"].startswith("ablation"):
            groups.setdefault(run.summary["data"], []).append(run)
    return max(groups.values(), key=len, default=[])


# What a variant shares with the run that it is compared to; the seed last.
KEPT = ("preset", "data", "epochs", "seed")


@dataclass(frozen=True)
class Effect:
    """What one change to a preset did to its test accuracy, seed by seed, in percentage points."""

    variant: str
    runs: list[Run]  # by seed
    base: list[Run]  # the unchanged runs of the same seeds
    spread: float  # of the differences from seed to seed; infinite where no change has two seeds
    limit: float = math.inf  # how far the mean must be from zero to be no chance
    cost: float | None = None  # of a step, as a multiple of the unchanged one's; None: not measured

    @property
    def preset(self) -> str:
        """What was changed."""
        return self.base[0].summary["preset"]

    @property
    def differences(self) -> list[float]:
        """What the change did to each seed."""
        pairs = zip(self.runs, self.base, strict=True)
        return [
            100 * (run.summary["test_accuracy"] - base.summary["test_accuracy"])
            for run, base in pairs
        ]

    @property
    def mean(self) -> float:
        """The mean difference."""
        return statistics.mean(self.differences)

    @property
    def measurable(self) -> bool:
        """Whether the mean difference is farther from zero than chance would bring it."""
        return abs(self.mean) > self.limit


def costs(file: Path | None = None) -> dict[str, float]:
    """What a training step of each variant costs, as a multiple of the preset `ablation`'s.

    Medians over rounds on an idle CPU, from the file that `make steps` wrote (by default the
    book's); no variants where there is none. The seconds in run records do not tell: they hold
    whatever else the machine did. Raises ValueError, naming the file, if it is damaged.
    """
    file = book().parent / STEPS if file is None else file
    if not file.exists():
        return {}
    try:
        changed = json.loads(file.read_text(encoding="utf-8"))["variants"]["changed"]
        return {variant: float(about["ratio"]["median"]) for variant, about in changed.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); repeat `make steps`") from error


def effects(runs: Sequence[Run], costs: Mapping[str, float] | None = None) -> list[Effect]:
    """The effect of every variant among `runs`, the most harmful first.

    `costs` are what the function of that name returns; without them, no effect has a cost.

    A run is compared with the unchanged run of its own seed, preset, data and epochs; without one
    it is left out. The spread of a change is the standard deviation of its differences, but never
    less than the median one of all changes: among many changes with three seeds each, some lie
    close together by luck. The limit is the spread times `spreads_needed`.
    """

    def kept(run: Run) -> tuple[Any, ...]:
        return tuple(run.summary[key] for key in KEPT)

    base = {kept(run): run for run in runs if not run.summary["variant"]}
    changed: dict[tuple[Any, ...], list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        if (variant := run.summary["variant"]) and kept(run) in base:
            changed.setdefault((variant, *kept(run)[:-1]), []).append(run)
    found = [
        Effect(variant, own, [base[kept(run)] for run in own], 0.0)
        for (variant, *_), own in changed.items()
    ]
    spreads = [statistics.stdev(e.differences) if len(e.runs) > 1 else None for e in found]
    several = [spread for spread in spreads if spread is not None]
    least = statistics.median(several) if several else math.inf
    families = Counter(kept(effect.base[0])[:-1] for effect in found)
    seeds = statistics.mode(len(effect.runs) for effect in found) if found else 0
    needed = spreads_needed(tuple(sorted(families.values())), seeds)
    costs = {} if costs is None else costs
    wide = []
    for effect, own in zip(found, spreads, strict=True):
        spread = max(own or 0.0, least)
        # With fewer seeds than the others a mean is the less sure.
        limit = needed * spread * math.sqrt(seeds / len(effect.runs))
        cost = costs.get(effect.variant) if effect.preset == "ablation" else None
        wide.append(replace(effect, spread=spread, limit=limit, cost=cost))
    return sorted(wide, key=lambda effect: effect.mean)


@cache
def spreads_needed(families: tuple[int, ...], seeds: int, chance: float = 0.05) -> float:
    """How many spreads a mean must be from zero, so that no chance of many is called an effect.

    By simulation, of as many changes as there are, none of which does anything: `families` is how
    many are compared with one unchanged preset, for each preset. In all but `chance` of 20,000 such
    studies no mean lies farther away than this. Infinite with one seed.
    """
    if seeds < 2:
        return math.inf
    random = np.random.default_rng(0)
    groups = []
    for changes in families:
        base = random.standard_normal((20_000, 1, seeds))
        groups.append(random.standard_normal((20_000, changes, seeds)) - base)
    differences = np.concatenate(groups, axis=1)
    own = differences.std(axis=2, ddof=1)
    spread = np.maximum(own, np.median(own, axis=1, keepdims=True))
    farthest = (np.abs(differences.mean(axis=2)) / spread).max(axis=1)
    return float(np.quantile(farthest, 1 - chance))


def by_images(runs: Sequence[Run]) -> dict[str, dict[int, list[Run]]]:
    """The runs of the preset `scaling`: by model, then by number of training images, then by seed.

    The models stand in alphabetical order from the back, so that the ViT comes first. Runs of more
    steps than the shortest are left out.
    """
    least = min((run.config["steps"] for run in runs), default=0)
    usual = [run for run in runs if run.config["steps"] == least]
    return dict(sorted(_by_images(usual, "model").items(), reverse=True))


def _by_images(runs: Sequence[Run], what: str) -> dict[str, dict[int, list[Run]]]:
    """The runs by a field of their summary, then by number of training images, then by seed."""
    groups: dict[str, dict[int, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (run.summary["images"], run.summary["seed"])):
        sizes = groups.setdefault(run.summary[what], {})
        sizes.setdefault(run.summary["images"], []).append(run)
    return groups


def by_steps(runs: Sequence[Run], model: str = "vit") -> dict[int, dict[int, list[Run]]]:
    """The runs of the preset `scaling` of a model: by training images, then by steps, then by seed.

    Only numbers of images on which it was trained for several numbers of steps.
    """
    groups: dict[int, dict[int, list[Run]]] = {}
    own = [run for run in runs if run.summary["model"] == model]
    for run in sorted(own, key=lambda run: (run.config["steps"], run.summary["seed"])):
        steps = groups.setdefault(run.summary["images"], {})
        steps.setdefault(run.config["steps"], []).append(run)
    return {count: steps for count, steps in sorted(groups.items()) if len(steps) > 1}


def attention(run: Run) -> dict[str, Any] | None:
    """What `make attention` found about a run's weights; None where it has not been asked.

    The file is attention/NAME.json beside the run. Raises ValueError if it is damaged, or was made
    with other weights than the run has now.
    """
    file = run.path.parent / "attention" / f"{run.name}.json"
    if not file.exists():
        return None
    again = f"repeat `make attention`, or remove {file.parent.name}/{file.name}"
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        weights = found["weights"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); {again}") from error
    if weights != run.checksum:
        raise ValueError(f"{file} tells of other weights than {run.name} has now; {again}")
    return found


# Ways to learn from a few images, as the study `pretraining` calls them.
WAYS = ("finetune", "frozen", "scratch", "scratch-long")


def by_way(runs: Sequence[Run]) -> dict[str, dict[int, list[Run]]]:
    """The runs of the preset `pretraining`: by way, then by number of images, then by seed.

    The ways stand in the order of WAYS. What was pre-trained is left out.
    """
    groups = _by_images([run for run in runs if run.summary["variant"] in WAYS], "variant")
    return {way: groups[way] for way in WAYS if way in groups}


@dataclass(frozen=True)
class Paired:
    """Two models that were tested on the same images: on how many their answers differ."""

    gained: int  # images that only the second names correctly
    lost: int  # images that only the first does
    tested: int

    @property
    def difference(self) -> float:
        """By how much the second is more accurate, in percentage points."""
        return 100 * (self.gained - self.lost) / self.tested

    @property
    def error(self) -> float:
        """The standard error of the difference, in percentage points, over choices of images.

        That of a mean of paired differences, each +1, 0 or −1.
        """
        differ, net = self.gained + self.lost, self.gained - self.lost
        return 100 * math.sqrt(differ - net**2 / self.tested) / self.tested

    @property
    def p(self) -> float:
        """How probable so uneven disagreements are if both models are equally accurate.

        McNemar's test (1947) in its exact form: each disagreement falls to either side with
        probability one half. Two-sided.
        """
        n, few = self.gained + self.lost, min(self.gained, self.lost)
        return min(1.0, 2 * sum(math.comb(n, k) for k in range(few + 1)) / 2**n)


def paired(first: Run, second: Run) -> Paired:
    """Compare two runs, answer by answer.

    It tells two trained models apart, not two ways to train: another seed would give others. Raises
    ValueError if the answers of one were not kept, or if they were tested on different images.
    """
    answers = []
    for run in (first, second):
        if run.right is None:
            raise ValueError(
                f"{run.path} keeps no answers (predictions.npz), so that it cannot be compared "
                "image by image; repeat the run"
            )
        answers.append(run.right)
    tested = [(len(right), run.data.get("checksum"), run.summary.get("tested_on"))
              for right, run in zip(answers, (first, second), strict=True)]  # fmt: skip
    if tested[0] != tested[1]:
        raise ValueError(
            f"{first.path} and {second.path} were tested on different images, {tested[0]} and "
            f"{tested[1]} (number, checksum, which); compare runs on the same"
        )
    one, other = answers
    return Paired(int((other & ~one).sum()), int((one & ~other).sum()), len(one))


@dataclass(frozen=True)
class Compared:
    """Two ways to train, seed by seed, tested on the same images.

    The disagreements of several seeds are not added up: all are tested on the same images, and what
    a seed decides (which images are learned, the start) would count as if it were none. So the
    seeds are the sample: their mean, its standard error, and Student's t.
    """

    pairs: list[Paired]  # by seed

    @property
    def mean(self) -> float:
        """The mean difference, second less first, in percentage points."""
        return statistics.mean(pair.difference for pair in self.pairs)

    @property
    def error(self) -> float:
        """Its standard error over the seeds; infinite with one seed."""
        if len(self.pairs) < 2:
            return math.inf
        spread = statistics.stdev(pair.difference for pair in self.pairs)
        return spread / math.sqrt(len(self.pairs))

    @property
    def p(self) -> float:
        """How probable a mean so far from 0 is if the ways are equal: Student's t, two-sided."""
        if math.isinf(self.error):
            return 1.0
        if not self.error:
            return float(not self.mean)
        return student(self.mean / self.error, len(self.pairs) - 1)


def compared(first: Sequence[Run], second: Sequence[Run]) -> Compared:
    """Compare two ways on the seeds that both have. Raises what `paired` does."""
    by_seed = {run.summary["seed"]: run for run in first}
    others_ = {run.summary["seed"]: run for run in second}
    both = sorted(by_seed.keys() & others_.keys())
    return Compared([paired(by_seed[seed], others_[seed]) for seed in both])


def student(t: float, freedom: int) -> float:
    """The probability that Student's t lies at least as far from 0, on either side.

    `freedom` are the degrees of freedom, at least 1. Abramowitz and Stegun (1964), 26.7.3 and
    26.7.4, in closed form.
    """
    angle = math.atan(abs(t) / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= cosine**2 * (2 * k / (2 * k + 1) if odd else (2 * k - 1) / (2 * k))
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return max(0.0, 1 - inside)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected for their number, in the same order (Holm 1979).

    Whoever calls an effect what is then below 0.05 finds a false one among all of them with a
    probability of at most 5 %.
    """
    found, least = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        least = found[i] = max(least, min(1.0, (len(ps) - rank) * ps[i]))
    return found
