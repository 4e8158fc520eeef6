"""What many runs say together: the effect of a change, accuracy by number of images.

Needs no torch, as `records` does not.
"""

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitlit.records import Run

# The data whose accuracy the book tells: not the digits that tests train on.
DATA = ("cifar10", "cifar10-jpeg")
# Runs that share these differ in the seed only; where they ran does not change what they are.
GROUPED_BY = ("preset", "data", "device", "parameters")


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
    """The ablation's runs, by seed, on that data on which there are most."""
    groups: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        if run.summary["preset"] == "ablation":
            groups.setdefault(run.summary["data"], []).append(run)
    return max(groups.values(), key=len, default=[])


# What a variant shares with the run that it is compared to.
KEPT = ("preset", "data", "epochs", "seed")


@dataclass(frozen=True)
class Effect:
    """What one change to a preset did to its test accuracy, seed by seed, in percentage points."""

    variant: str
    runs: list[Run]  # by seed
    base: list[Run]  # the unchanged runs of the same seeds
    spread: float  # of the differences from seed to seed; infinite where no change has two seeds

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
        """Whether the mean difference is larger than the spread."""
        return abs(self.mean) > self.spread

    @property
    def cost(self) -> float:
        """Training time, as a multiple of the unchanged runs'."""
        pairs = zip(self.runs, self.base, strict=True)
        return statistics.mean(
            run.summary["train_seconds"] / base.summary["train_seconds"] for run, base in pairs
        )


def effects(runs: Sequence[Run]) -> list[Effect]:
    """The effect of every variant among `runs`, the most harmful first.

    A run is compared with the unchanged run of its own seed, preset, data and epochs; without one
    it is left out. The spread of a change is the standard deviation of its differences, but never
    less than the median one of all changes: among many changes with three seeds each, some lie
    close together by luck. Of the changes that do nothing, about one in eight is still called
    measurable.
    """

    def kept(run: Run) -> tuple[Any, ...]:
        return tuple(run.summary[key] for key in KEPT)

    base = {kept(run): run for run in runs if not run.summary["variant"]}
    changed: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: run.summary["seed"]):
        if run.summary["variant"] and kept(run) in base:
            changed.setdefault(run.summary["variant"], []).append(run)
    found = [
        Effect(name, own, [base[kept(run)] for run in own], 0.0) for name, own in changed.items()
    ]
    spreads = [statistics.stdev(e.differences) if len(e.runs) > 1 else None for e in found]
    several = [spread for spread in spreads if spread is not None]
    least = statistics.median(several) if several else math.inf
    wide = [
        replace(effect, spread=max(spread or 0.0, least))
        for effect, spread in zip(found, spreads, strict=True)
    ]
    return sorted(wide, key=lambda effect: effect.mean)


def by_images(runs: Sequence[Run]) -> dict[str, dict[int, list[Run]]]:
    """The runs of the preset `scaling`: by model, then by number of training images, then by seed.

    The models stand in alphabetical order from the back, so that the ViT comes first.
    """
    groups: dict[str, dict[int, list[Run]]] = {}
    for run in sorted(runs, key=lambda run: (run.summary["images"], run.summary["seed"])):
        sizes = groups.setdefault(run.summary["model"], {})
        sizes.setdefault(run.summary["images"], []).append(run)
    return dict(sorted(groups.items(), reverse=True))


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
