"""Recipes: everything that decides a training run, and the presets that anyone can repeat."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from typing import Annotated, Any, cast

from vitlit.bounds import OneOf, Within, check, parse
from vitlit.config import CHANGEABLE, START_POSITIONS, ViTConfig

Rate = Annotated[float, Within(0, 10, without=0)]
Part = Annotated[float, Within(0, 1)]
AboveZero = Annotated[float, Within(0, 1, without=0)]
BelowOne = Annotated[float, Within(0, 1, without=1)]
Epochs = Annotated[int, Within(0, 100_000)]
# What a model's configuration does not say.
PLAIN = {"norm": "pre", "patches": "in order", "stem": "linear"}
# Fields of the model that the images decide, and how.
OF_DATA = {
    "image_size": "resize them with --size SIDE",
    "channels": "3 of them, but 1 where all are gray",
    "classes": "one for each folder of them",
}
# What `vitlit train` is told by options of its own.
OPTIONS = {"preset", "variant", "name", "data", "device", "size"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training run. Rates are of the first step after warm-up; warm-up and decay are a cosine's.

    `model` holds fields of ViTConfig; sizes that depend on the data (image, channels, classes) are
    filled in from it. With `start` the run fine-tunes: `model` then holds what changes about the
    model of those weights. Raises ValueError on a value that its field does not allow.
    """

    preset: str = "custom"
    variant: str = ""  # an ablation's name; empty for the preset itself
    model: dict[str, Any] = field(default_factory=dict)
    start: str = ""  # what `classifier.load` takes: the weights that the run starts from
    # How positions follow to another grid of patches.
    start_positions: Annotated[str, START_POSITIONS] = "interpolated"
    # "mimetic": Trockman and Kolter 2023; "structured": after Zheng et al. 2025.
    initialization: Annotated[str, OneOf("paper", "mimetic", "structured")] = "paper"
    epochs: Annotated[int, Within(1, 100_000)] = 1
    batch_size: Annotated[int, Within(1, 1_000_000)] = 128
    # Muon is for the matrices of the blocks, with AdamW for the rest.
    optimizer: Annotated[str, OneOf("adamw", "muon")] = "adamw"
    learning_rate: Rate = 2e-3  # of AdamW
    muon_learning_rate: Rate = 0.02
    weight_decay: Annotated[float, Within(0, 10)] = 0.05  # of matrices only
    warmup: BelowOne = 0.1  # a fraction of all steps
    label_smoothing: BelowOne = 0.1
    clip: Annotated[float, Within(0, 1_000_000)] = 1.0  # of the gradient's norm; 0 is none
    average: BelowOne = 0.0  # decay of the weights' moving average; 0: the last weights count
    crop: Annotated[float, Within(0, 0.5)] = 1 / 8  # how far a crop may move, in parts of a side
    flip: bool = True  # mirror half the images, where the data allow it
    alternate: bool = False  # mirror each image in every other epoch, not by chance
    operations: Annotated[int, Within(0, 11)] = 0  # RandAugment's number of operations an image
    magnitude: Part = 0.5  # and how strong they may be, 0 to 1
    erase: Part = 0.0  # the chance that a box of an image is erased
    mix: Part = 0.0  # the chance that an image is mixed with another
    plain_epochs: Epochs = 0  # the last epochs, in which nothing is mixed
    # The part of the patches that enters; of several, each for its share of the epochs.
    keep: AboveZero | tuple[AboveZero, ...] = (1.0,)
    # What differs from these three defaults is no plain ViT, but an ablation.
    norm: Annotated[str, OneOf("pre", "post")] = "pre"
    patches: Annotated[str, OneOf("in order", "shuffled")] = "in order"
    stem: Annotated[str, OneOf("linear", "convolutions")] = "linear"
    precision: Annotated[str, OneOf("fp32", "bf16")] = "fp32"
    compile: bool = False  # torch.compile: worth its minute on a GPU
    # The file of weights; what is tested in the end is what is stored.
    stored: Annotated[str, OneOf("fp32", "fp16")] = "fp32"
    # Training images kept back and tested on, for tuning.
    holdout: Annotated[int, Within(0, 1_000_000_000)] = 0
    seed: Annotated[int, Within(0, 1_000_000_000_000)] = 0

    def __post_init__(self) -> None:
        """Refuse what does not exist, what is out of bounds, and what cannot go together."""
        check(Recipe, vars(self))
        _check_model(self.model, self.start)
        parts = (self.keep,) if isinstance(self.keep, int | float) else self.keep
        object.__setattr__(self, "keep", tuple(map(float, parts)))
        if self.compile and min(self.kept) < 1:
            raise ValueError("keep below 1 changes the model between epochs; set compile=false")
        for name in ("initialization", *PLAIN) if self.start else ():
            default = type(self).__dataclass_fields__[name].default
            if (value := getattr(self, name)) != default:
                raise ValueError(
                    f"{name} is {value!r}, which a run that starts from {self.start} cannot have; "
                    f"set it to {default!r}"
                )
        if not self.loadable and not self.variant:
            raise ValueError(
                "norm=post, patches=shuffled and stem=convolutions are ablations, whose weights "
                f"are not stored; give --variant, one of {', '.join(VARIANTS)}"
            )

    @property
    def kept(self) -> list[float]:
        """The part of the patches that enters in each epoch; in the last, the last of `keep`."""
        parts, epochs = cast(tuple[float, ...], self.keep), self.epochs
        return [parts[math.ceil(done * len(parts) / epochs) - 1] for done in range(1, epochs + 1)]

    @property
    def loadable(self) -> bool:
        """Whether the model's configuration says all about it, so that its weights can be used."""
        return all(getattr(self, name) == plain for name, plain in PLAIN.items())


def _check_model(model: Mapping[str, Any], start: str) -> None:
    """Refuse fields of the model that do not exist, that others decide, or that do not fit."""
    _refuse_unknown("a model", ViTConfig, model)
    if start and (fixed := sorted(set(model) - {*CHANGEABLE, *OF_DATA})):
        raise ValueError(
            f"model.{fixed[0]} is decided by the weights that the run starts from, "
            f"{start}; what can change are {', '.join(CHANGEABLE)}"
        )
    for name in sorted(OF_DATA.keys() & model.keys() - ({"image_size"} if start else set())):
        raise ValueError(
            f"model.{name} is {model[name]!r}, but the images decide it: {OF_DATA[name]}"
        )
    check(ViTConfig, model, "model.")


def _refuse_unknown(what: str, kind: type, values: Mapping[str, Any]) -> None:
    """Refuse names that a dataclass does not have, and say which was meant."""
    here = [field.name for field in fields(kind)]
    names = {field.name: f"model.{field.name}" for field in fields(ViTConfig)}
    names |= {field.name: field.name for field in fields(Recipe)}
    for name in values:
        if name in here:
            continue
        plain = name.rpartition(".")[2].replace("-", "_").lower()
        near = get_close_matches(plain, names, 1)
        meant = f"did you mean {names[near[0]]}?" if near else f"it has {', '.join(here)}"
        raise ValueError(f"{what} has no {name!r}; {meant}")


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

    `vitlit train --preset cpu`: 8.2 minutes on 2 cores (Xeon with AVX-512), and 77.3 % (measured on
    the JPEG copy, last epoch, mean of 3 seeds: `runs/cpu-seed0` to `cpu-seed2`). On 2 threads of
    one core without AVX-512 its steps take half as long again. Only a quarter of the patches
    enters in seven epochs of ten, and half of them in the last three; tests see all.
    """
    return Recipe(
        preset="cpu", epochs=10, optimizer="muon", initialization="structured",
        learning_rate=3e-3, muon_learning_rate=0.01, crop=1 / 16, alternate=True,
        keep=7 * (0.25,) + 3 * (0.5,),
        model={"width": 96, "depth": 6, "heads": 6, "mlp_width": 192},
    )  # fmt: skip


def cpu_mlp() -> Recipe:
    """The same with the head that the paper pre-trains with (section 3.1).

    `vitlit train --preset cpu-mlp`
    """
    return replace(cpu(), preset="cpu-mlp", model={**cpu().model, "head": "mlp"})


def cpu_long() -> Recipe:
    """An hour by the recipe of the first edition.

    `vitlit train --preset cpu-long`: 51 minutes on 2 cores, and 82 % (measured on the JPEG copy,
    last epoch, one seed: the record `runs/cpu-long-seed0`).
    """
    return Recipe(
        preset="cpu-long", epochs=24, batch_size=64, optimizer="muon", initialization="mimetic",
        muon_learning_rate=0.007, keep=3 * (0.5,) + (1.0,), average=0.998,
        model={"width": 128, "depth": 6, "heads": 4, "mlp_width": 256, "head": "mlp"},
    )  # fmt: skip


def ablation() -> Recipe:
    """What `vitlit ablate` changes one thing about: the recipe of `cpu`, a small model, one epoch.

    `vitlit train --preset ablation`, with `--variant NAME` one of VARIANTS: a minute or two on 2
    cores.
    """
    return replace(
        cpu(), preset="ablation", epochs=1, keep=1.0,
        model={"width": 64, "depth": 4, "heads": 4, "mlp_width": 128},
    )  # fmt: skip


def ablation_half() -> Recipe:
    """The same with half of the patches, since what helps then need not help otherwise.

    `vitlit train --preset ablation-half`, with `--variant NAME`
    """
    return replace(ablation(), preset="ablation-half", keep=0.5)


def finetune_32() -> Recipe:
    """The model of `runs/cpu-long-seed0` under a new head, trained on at its own resolution.

    `vitlit train --preset finetune-32`: see chapter 7. Its rates are half those of `cpu`, and
    were not tuned; nor were those of the others. `finetune-48` gets about the same time.
    """
    return Recipe(
        preset="finetune-32", start="cpu-long-seed0", epochs=5, optimizer="muon",
        learning_rate=1.5e-3, muon_learning_rate=0.005, alternate=True,
        model={"head": "linear", "image_size": (32, 32)},
    )  # fmt: skip


def finetune_32_short() -> Recipe:
    """The same for as many epochs as `finetune-48`, not for as long.

    `vitlit train --preset finetune-32-short`
    """
    return replace(finetune_32(), preset="finetune-32-short", epochs=2)


def finetune_48() -> Recipe:
    """Fine-tuning on images enlarged to 48 pixels: 12×12 patches, positions interpolated.

    `vitlit train --preset finetune-48`
    """
    model = {"head": "linear", "image_size": (48, 48)}
    return replace(finetune_32(), preset="finetune-48", epochs=2, model=model)


def finetune_48_fresh() -> Recipe:
    """The same, but all positions are drawn anew and learned again.

    `vitlit train --preset finetune-48-fresh`
    """
    return replace(finetune_48(), preset="finetune-48-fresh", start_positions="fresh")


def own() -> Recipe:
    """For a few hundred to a few thousand pictures of your own, of whatever classes.

    `vitlit train --preset own --data photos.zip --size 64`: the book's best model under a new
    linear head, on a finer grid if the pictures are larger than its own. Training from scratch
    would not learn to see from so few.
    """
    return Recipe(
        preset="own", start="cpu-long-seed0", epochs=20, batch_size=16, optimizer="muon",
        learning_rate=1e-3, muon_learning_rate=0.0035, crop=1 / 16, model={"head": "linear"},
    )  # fmt: skip


def gpu() -> Recipe:
    """For one large GPU, compilation included.

    `vitlit train --preset gpu`: meant to take at most 8 minutes on an H200. Neither its time nor
    its score has been measured yet.
    """
    return Recipe(
        preset="gpu", epochs=150, batch_size=512, optimizer="muon", initialization="mimetic",
        muon_learning_rate=0.01, average=0.999, operations=2, erase=0.25, mix=0.5,
        plain_epochs=15, precision="bf16", compile=True, stored="fp16",
        model={
            "width": 320, "depth": 9, "heads": 5, "mlp_width": 640, "head": "mlp",
            "stochastic_depth": 0.1,
        },
    )  # fmt: skip


def gpu_long() -> Recipe:
    """The same for up to 20 minutes, in calls of less: repeated, the command goes on.

    `vitlit train --preset gpu-long`, with a --name to go on with: not measured yet either.
    """
    return replace(gpu(), preset="gpu-long", epochs=400, plain_epochs=40)


@dataclass(frozen=True)
class Variant:
    """One thing that is changed about a preset: fields of the recipe, and what that means."""

    words: str
    changes: dict[str, Any]


# `vitlit ablate` runs them all, with each of these presets.
ABLATED = ("ablation", "ablation-half")
VARIANTS: dict[str, Variant] = {
    "positions=none": Variant("no position embedding", {"model": {"positions": "none"}}),
    "positions=sincos": Variant(
        "fixed sines and cosines for positions, not learned ones",
        {"model": {"positions": "sincos"}},
    ),
    "patches=shuffled": Variant(
        "the patches of every image in one and the same random order", {"patches": "shuffled"}
    ),
    "patch_size=2": Variant("smaller patches, four times as many", {"model": {"patch_size": 2}}),
    "patch_size=8": Variant("larger patches, a quarter as many", {"model": {"patch_size": 8}}),
    "pooling=mean": Variant(
        "the mean of all patches is classified, not the class token",
        {"model": {"pooling": "mean"}},
    ),
    "head=mlp": Variant("an MLP head, not a linear one", {"model": {"head": "mlp"}}),
    "stem=convolutions": Variant(
        "two convolutions in the place of the linear patch embedding", {"stem": "convolutions"}
    ),
    "keep=0.5": Variant("only half of the patches enter", {"keep": (0.5,)}),
    "norm=post": Variant("norms after the residual sum, not before the branches", {"norm": "post"}),
    "augmentation=none": Variant(
        "every image as it is: no crops, no mirroring",
        {"crop": 0.0, "flip": False, "alternate": False},
    ),
    "warmup=0": Variant("the full learning rate from the first step", {"warmup": 0.0}),
    "label_smoothing=0": Variant("hard labels", {"label_smoothing": 0.0}),
    "weight_decay=0": Variant("no weight decay", {"weight_decay": 0.0}),
    "optimizer=adamw": Variant("AdamW for everything, no Muon", {"optimizer": "adamw"}),
    "initialization=paper": Variant("random matrices to begin with", {"initialization": "paper"}),
    "initialization=mimetic": Variant(
        "matrices to begin with whose products are those of trained ViTs",
        {"initialization": "mimetic"},
    ),
}
PRESETS: dict[str, Callable[[], Recipe]] = {
    recipe().preset: recipe
    for recipe in (
        smoke, quick, cpu, cpu_mlp, cpu_long, own, ablation, ablation_half, gpu, gpu_long,
        finetune_32, finetune_32_short, finetune_48, finetune_48_fresh,
    )
}  # fmt: skip


def preset(name: str, /, variant: str = "", **changes: Any) -> Recipe:
    """A preset by name, or a variant of it, with some fields changed.

    Raises ValueError on an unknown name or field, or a value that a field does not allow.
    """
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; choose one of {', '.join(PRESETS)}")
    if variant and variant not in VARIANTS:
        raise ValueError(f"no variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    recipe, model = PRESETS[name](), changes.pop("model", {})
    if not isinstance(model, dict):
        raise ValueError(f"model is {model!r}; change its fields, such as model.width")
    _refuse_unknown("a recipe", Recipe, changes)
    check(Recipe, changes)
    _check_model(model, changes.get("start", recipe.start))
    varied = VARIANTS[variant].changes if variant else {}
    asked = {**changes, **{f"model.{field}": value for field, value in model.items()}}
    model = {**recipe.model, **varied.get("model", {}), **model}
    new = replace(recipe, **{"variant": variant, **varied, **changes, "model": model})
    if variant and has(recipe, variant):
        raise ValueError(f"{name} is {variant} already; leave --variant out, or give another")
    for changed, value in asked.items():
        if reason := without_effect(new, changed):
            raise ValueError(f"{changed} is {value!r}, which has no effect {reason}")
    return new


def has(recipe: Recipe, variant: str) -> bool:
    """Whether a recipe is already as a variant would make it."""
    changes = VARIANTS[variant].changes
    defaults = {f.name: f.default for f in fields(ViTConfig)}
    model = defaults | recipe.model
    of_model = all(model[name] == value for name, value in changes.get("model", {}).items())
    others = {name: value for name, value in changes.items() if name != "model"}
    return of_model and all(getattr(recipe, name) == value for name, value in others.items())


def without_effect(recipe: Recipe, name: str) -> str:
    """Why a field of a recipe, or model.field, does nothing in it; empty if it does something."""
    linear = not recipe.start and recipe.model.get("head", "linear") == "linear"
    head = (linear, "under a linear head; set model.head=mlp too")
    reasons = {
        "muon_learning_rate": (
            recipe.optimizer == "adamw",
            "with optimizer=adamw; set learning_rate",
        ),
        "magnitude": (not recipe.operations, "without operations; set operations=2 too"),
        "alternate": (not recipe.flip, "without flip; set flip=true"),
        "plain_epochs": (not recipe.mix, "without mix; set mix above 0 too"),
        "model.activation": head,
        "model.head_width": head,
    }
    applies, reason = reasons.get(name, (False, ""))
    return reason if applies else ""


def changes_of(texts: Iterable[str]) -> dict[str, Any]:
    """What to change about a preset, of words such as epochs=10 or model.width=128.

    Raises ValueError on words without a name or a value, a field that is named twice, and what has
    an option of its own; `preset` checks the rest.
    """
    changes: dict[str, Any] = {}
    given: set[str] = set()
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip()
        if not equals or not name or not value:
            lacks = "value" if name else "name"
            raise ValueError(f"--set {text!r} has no {lacks}; write NAME=VALUE, such as epochs=10")
        if name == "model":
            raise ValueError(f"model is {value}; change its fields, such as model.width")
        option = {"image_size": "size"}.get(name, name)
        if option in OPTIONS:
            raise ValueError(f"a recipe has no {name!r} to set; give --{option} {value}")
        if name in given:
            raise ValueError(f"--set gives {name} twice; give it once")
        given.add(name)
        if name.startswith("model."):
            field_ = name.removeprefix("model.")
            changes.setdefault("model", {})[field_] = parse(value, ViTConfig, field_)
        else:
            changes[name] = parse(value, Recipe, name)
    return changes
