"""What a training step costs, and what a change to it does to that: `make steps`.

A step is what `train.train_epoch` makes of a batch: forward, loss, backward, clipping, optimizers,
schedule, and the average of the weights where a recipe has one. The batch is random, ready before,
and always the same. Everything is measured in rounds (`rounds.py`), on a CPU, with as many threads
as a training run has; other work on the machine would be measured with it.

Of the presets `cpu` and `cpu-long`, at each part of the patches that their recipes keep: the step,
its matrix products alone (`products.py`), and its optimizers alone, on random gradients. Both are
told as parts of the step of the same round.

Of the preset `ablation` and each of its variants: the step, as a multiple of the unchanged one of
the same round.
"""

import argparse
import shlex
import statistics
import time
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks import rounds
from benchmarks.products import Architecture, flops_of, limit_step
from benchmarks.rounds import SEED, Step, interleaved, ratios, spread
from vitlit import VisionTransformer, processes, records
from vitlit.config import ViTConfig
from vitlit.data import Dataset
from vitlit.presets import VARIANTS, Recipe, preset
from vitlit.studies import STEPS
from vitlit.train import (
    Learner,
    classifier_for,
    fewer_patches,
    optimizers_for,
    train_epoch,
)

PRESETS = ("cpu", "cpu-long")
DEFAULTS = {"rounds": 13, "seconds": 0.5}  # chosen for about four minutes on two cores
AT_ONCE = 5  # steps of a call of train_epoch, so that what it does around them weighs little
TINY = {
    "batch_size": 4,
    "model": {"width": 16, "depth": 1, "heads": 2, "mlp_width": 16},
}
IMAGES = 50_000  # of CIFAR-10: they decide how long the schedule is
CPU = torch.device("cpu")
OUT = Path(__file__).parents[1] / STEPS


def recipe_of(name: str, variant: str, quick: bool) -> Recipe:
    """A preset or a variant of it, made tiny for a try."""
    return preset(name, variant, **(TINY if quick else {}))


def images_like_cifar10(count: int) -> Dataset:
    """Random images of its shape, one batch of them, in ten classes."""
    generator = torch.Generator().manual_seed(SEED)
    images = torch.randint(256, (count, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (count,), generator=generator)
    return Dataset(
        name="random", title="random", classes=tuple("0123456789"), train_images=images,
        train_labels=labels, test_images=images, test_labels=labels, test_files=(), checksum="",
        source="random", patch_size=4, flip=True,
    )  # fmt: skip


def learner_of(recipe: Recipe) -> tuple[Learner, Dataset]:
    """A model with its optimizers as at the begin of a run, and a batch for it."""
    data = images_like_cifar10(recipe.batch_size)
    classifier = classifier_for(recipe, data, data.train_images)
    steps = recipe.epochs * (IMAGES // recipe.batch_size)
    return Learner(classifier, optimizers_for(classifier.model, recipe), recipe, steps), data


def training(recipe: Recipe, keep: float) -> Step:
    """AT_ONCE training steps."""
    learner, data = learner_of(recipe)
    model = cast(VisionTransformer, learner.classifier.model)
    batches = [(data.train_images, data.train_labels)] * AT_ONCE

    def steps() -> None:
        with fewer_patches(model, keep), tqdm(disable=True) as bar:
            train_epoch(learner, batches, bar)

    return steps


def updating(recipe: Recipe) -> Step:
    """The steps of a recipe's optimizers alone."""
    learner, _ = learner_of(recipe)
    for parameter in learner.classifier.model.parameters():
        parameter.grad = torch.randn_like(parameter)

    def step() -> None:
        for optimizer in learner.optimizers:
            optimizer.step()

    return step


def architecture_of(config: ViTConfig) -> Architecture:
    """What decides the matrix products of a model. Raises ValueError if it has no class token."""
    if config.pooling != "class":
        raise ValueError(
            f"pooling is {config.pooling!r}, but the products are counted with a class token; "
            "measure presets with pooling='class'"
        )
    head_width = (config.head_width or config.width) if config.head == "mlp" else None
    return Architecture(
        width=config.width, depth=config.depth, heads=config.heads, mlp_width=config.mlp_width,
        patch_size=config.patch_size, image_size=config.image_size[0], classes=config.classes,
        head_width=head_width,
    )  # fmt: skip


def milliseconds(seconds: list[float]) -> dict[str, Any]:
    """Times of a step round by round, and the one that counts."""
    times = [1000 * t for t in seconds]
    return {"milliseconds": times, "median": statistics.median(times)}


def measured_presets(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps of each preset, at each part of the patches that it keeps."""
    recipes = {name: recipe_of(name, "", settings["quick"]) for name in PRESETS}
    cases = [(name, keep) for name in PRESETS for keep in dict.fromkeys(recipes[name].kept)]
    architectures = {
        name: architecture_of(ViTConfig(**recipe.model)) for name, recipe in recipes.items()
    }
    products = {
        (name, keep): architectures[name].products(recipes[name].batch_size, keep)
        for name, keep in cases
    }
    steps: dict[tuple[str, str, float], Step] = {}
    for name, keep in cases:
        steps["step", name, keep] = training(recipes[name], keep)
        like = {"dtype": torch.float32, "device": CPU}
        steps["products", name, keep] = limit_step(products[name, keep], True, like)
    for name in PRESETS:
        steps["optimizers", name, 1.0] = updating(recipes[name])
    times = interleaved(steps, settings["rounds"], settings["seconds"], CPU)

    results = []
    for name, keep in cases:
        whole = [seconds / AT_ONCE for seconds in times["step", name, keep]]
        batch, step = recipes[name].batch_size, milliseconds(whole)
        parts = {
            "products": times["products", name, keep],
            "optimizers": times["optimizers", name, 1.0],
        }
        shares = {part: ratios(seconds, whole) for part, seconds in parts.items()}
        results.append(
            {
                "preset": name,
                "keep": keep,
                "tokens": 1 + round(keep * (architectures[name].tokens - 1)),
                "batch_size": batch,
                "flops": flops_of(products[name, keep], training=True),
                "step": step,
                "images_per_second": 1000 * batch / step["median"],
                **{
                    part: {
                        **milliseconds(seconds),
                        "share": {"rounds": shares[part], **spread(shares[part])},
                    }
                    for part, seconds in parts.items()
                },
            }
        )
    return results


def measured_variants(settings: dict[str, Any]) -> dict[str, Any]:
    """The step of the preset `ablation`, and of each of its variants as a multiple of it."""
    steps = {}
    for variant in ("", *VARIANTS):
        recipe = recipe_of("ablation", variant, settings["quick"])
        steps[variant] = training(recipe, recipe.kept[0])
    passes = interleaved(steps, settings["rounds"], settings["seconds"], CPU)
    times = {variant: [s / AT_ONCE for s in seconds] for variant, seconds in passes.items()}
    unchanged = times.pop("")
    changed = {}
    for variant, seconds in times.items():
        ratio = ratios(seconds, unchanged)
        changed[variant] = {**milliseconds(seconds), "ratio": {"rounds": ratio, **spread(ratio)}}
    return {"preset": "ablation", "unchanged": milliseconds(unchanged), "changed": changed}


def print_tables(result: dict[str, Any], console: Console) -> None:
    """What was measured, for the terminal."""
    table = Table(title="a training step")
    for column in ("preset", "keep", "tokens", "ms", "images/s", "products", "optimizers"):
        table.add_column(column, justify="left" if column == "preset" else "right")
    for case in result["presets"]:
        parts = (case[part]["share"] for part in ("products", "optimizers"))
        table.add_row(
            case["preset"], f"{case['keep']:g}", f"{case['tokens']}",
            f"{case['step']['median']:.1f}", f"{case['images_per_second']:.0f}",
            *(f"{part['median']:.1%} ± {part['deviation']:.1%}" for part in parts),
        )  # fmt: skip
    console.print(table)
    variants = result["variants"]
    title = f"{variants['preset']}: {variants['unchanged']['median']:.1f} ms a step; changed:"
    table = Table(title=title)
    for column in ("variant", "ratio", "min–max", "±"):
        table.add_column(column, justify="left" if column == "variant" else "right")
    for variant, about in variants["changed"].items():
        ratio = about["ratio"]
        extremes = f"{ratio['min']:.3f}–{ratio['max']:.3f}"
        row = (variant, f"{ratio['median']:.3f}", extremes, f"{ratio['deviation']:.3f}")
        table.add_row(*row)
    console.print(table)


def run(words: list[str]) -> dict[str, Any]:
    """Measure what the command line asks for; print it, write it, return it."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="blocks of each step")
    parser.add_argument("--seconds", type=float, help="length of a block")
    parser.add_argument("--quick", action="store_true", help="tiny models, for a try")
    parser.add_argument("--out", type=Path, help=f"the JSON file; results/{OUT.name} if not quick")
    arguments = parser.parse_args(words)
    defaults = {"rounds": 2, "seconds": 0.001} if arguments.quick else DEFAULTS
    settings = rounds.settings_of(vars(arguments), defaults)
    settings |= {"quick": arguments.quick, "seed": SEED, "steps_at_once": AT_ONCE}
    out = OUT if arguments.out is None and not arguments.quick else arguments.out

    console, start = Console(), time.perf_counter()
    presets, variants = measured_presets(settings), measured_variants(settings)
    result = {
        "command": shlex.join(["python", "-m", "benchmarks.steps", *words]),
        "settings": settings,
        "environment": records.environment() | processes.machine("cpu"),
        "seconds": time.perf_counter() - start,
        "presets": presets,
        "variants": variants,
    }
    print_tables(result, console)
    rounds.save(result, out, console)
    return result


if __name__ == "__main__":
    rounds.main(run)
