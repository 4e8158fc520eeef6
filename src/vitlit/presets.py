"""Recipes: everything that decides a training run, and the presets that anyone can repeat."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from types import UnionType
from typing import Any

from vitlit.config import ViTConfig

CHOICES = {
    "initialization": ("paper", "mimetic"),
    "optimizer": ("adamw", "muon"),
    "precision": ("fp32", "bf16"),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. Rates are of the first step after warm-up; warm-up and decay are a cosine's.

    `model` holds fields of ViTConfig; sizes that depend on the data (image, channels, classes) are
    filled in from it. Raises ValueError on a choice that does not exist.
    """

    preset: str = "custom"
    variant: str = ""  # an ablation's name; empty for the preset itself
    model: dict[str, Any] = field(default_factory=dict)
    initialization: str = "paper"  # "mimetic": Trockman and Kolter 2023
    epochs: int = 1
    batch_size: int = 128
    optimizer: str = "adamw"  # "muon": for the blocks' matrices, AdamW for the rest
    learning_rate: float = 2e-3  # of AdamW
    muon_learning_rate: float = 0.02
    weight_decay: float = 0.05  # of matrices only
    warmup: float = 0.1  # a fraction of all steps
    label_smoothing: float = 0.1
    clip: float = 1.0  # of the gradient's norm; 0 is none
    crop: float = 1 / 8  # how far a crop may move, as a fraction of the width
    keep: float = 1.0  # the part of the patches that enters, in the first `keep_epochs` epochs
    keep_epochs: int = 0
    precision: str = "fp32"
    holdout: int = 0  # training images kept back and tested on, for tuning
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what does not exist."""
        for name, choices in CHOICES.items():
            if (value := getattr(self, name)) not in choices:
                raise ValueError(f"{name} {value!r} does not exist; choose one of {choices}")
        for name in ("epochs", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep is {self.keep}; it must be above 0 and at most 1")


def smoke() -> Recipe:
    """Two epochs of a tiny model: whether everything works, in seconds.

    `vitlit train --preset smoke`, meant for tests and for the digits. No score to expect.
    """
    return Recipe(
        preset="smoke", epochs=2, batch_size=64,
        model={"width": 32, "depth": 2, "heads": 2, "mlp_width": 64},
    )  # fmt: skip


def quick() -> Recipe:
    """One epoch, to see a loss fall.

    `vitlit train --preset quick`: about a minute on 2 cores. Chapter 6 shows what it reaches.
    """
    return Recipe(
        preset="quick", epochs=1, optimizer="muon",
        model={"width": 64, "depth": 4, "heads": 2, "mlp_width": 128},
    )  # fmt: skip


def cpu() -> Recipe:
    """The run of chapter 6, for a machine without a GPU.

    `vitlit train --preset cpu`: 11.5 minutes on 2 cores, and about 72 % (measured on the JPEG
    copy, last epoch, one seed: the record `runs/cpu-seed0`).
    """
    return Recipe(
        preset="cpu", epochs=4, batch_size=64, optimizer="muon", initialization="mimetic",
        muon_learning_rate=0.007, crop=1 / 16,
        model={"width": 96, "depth": 6, "heads": 3, "mlp_width": 192},
    )  # fmt: skip


PRESETS: dict[str, Callable[[], Recipe]] = {p.__name__: p for p in (smoke, quick, cpu)}


def preset(name: str, /, **changes: Any) -> Recipe:
    """A preset by name, with some fields changed.

    Raises ValueError on an unknown name or field, or a value of another type.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    recipe, model = PRESETS[name](), changes.pop("model", {})
    if not isinstance(model, dict):
        raise ValueError(f"model is {model!r}; change its fields, such as model.width")
    _check("a recipe", Recipe, changes)
    _check("a model", ViTConfig, model)
    return Recipe(**{**vars(recipe), **changes, "model": {**recipe.model, **model}})


def _check(what: str, kind: type, values: Mapping[str, Any]) -> None:
    """Refuse names that a dataclass does not have, and values of another type."""
    types = {f.name: f.type for f in fields(kind)}
    if unknown := set(values) - set(types):
        raise ValueError(f"{what} has no {', '.join(sorted(unknown))}; it has {sorted(types)}")
    for name, value in values.items():
        wanted = int | float if types[name] is float else types[name]
        if not isinstance(wanted, type | UnionType):
            continue
        if isinstance(value, bool) or not isinstance(value, wanted):
            kind_of = wanted.__name__ if isinstance(wanted, type) else wanted
            raise ValueError(f"{name} is {value!r}; it must be of type {kind_of}")
