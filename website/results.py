"""The numbers on the pages, read from run records: none is typed into a page.

A parameter `_` puts words into the language of the page, as in gettext.
"""

import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from mkdocs.structure.pages import Page

from vitlit import figures, records, studies
from vitlit.panels import Picture
from vitlit.presets import PRESETS, VARIANTS, preset
from website import ROOT, attention
from website.throughput import Translate, hardware, processor

PICTURES = (
    "curves", "times", "ablations", "tuning", "sizes", "lengths", "ways", "confusion", "mistakes",
    "agreement", "deletion", "reliability", "robustness",
)  # fmt: skip
WORDS_OF_A_TRIAL = ("what", "note", "tested_on")
# The studies that are shown among the runs, to be compared with them: another project's
# configuration, and networks that are no ViTs.
BASELINE = "labml"
CNNS = ("resnet", "resnet-long")
# Whose size and whose recipe its variants have; the last is our preset, whose runs are no study's.
SIZE_AND_RECIPE = {
    "": ("labml", "labml"),
    "our-size": ("cpu", "labml"),
    "our-recipe": ("labml", "cpu"),
    "cpu": ("cpu", "cpu"),
}
# Ways to learn from a few images that are compared: the second less the first.
COMPARISONS = (("scratch", "finetune"), ("scratch-long", "finetune"), ("frozen", "finetune"))
# What `make watch` need not draw again, since it builds many times in one process.
DRAWN: dict[tuple[Any, ...], Picture] = {}


def context(
    folder: Path,
    page: Page,
    _: Translate = str,
    costs: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """What a page's Markdown can say.

    `presets` with their runs, the most accurate first, and `runs`, the same in one list; the
    `ablation` with its runs and the `effects` of its variants, whose `costs` are given; the presets
    that are `tuned` from others' weights; the `scaling` with the number of images; the
    `pretraining` and what it is worth; the size and the recipe of `labml` and ours; on what all
    these `usual`ly ran; what was `tried` before; the `headline`, one run, and what `attention`
    tells of it; and pictures, each None where there is nothing to draw.
    """
    found = studies.final(records.find(folder))
    groups = studies.by_preset(
        run
        for run in found
        if not run.summary["variant"]
        and (not run.is_study or run.summary["preset"] in (BASELINE, *CNNS))
    )
    tuned = sorted(
        studies.by_preset(run for run in found if run.summary["preset"].startswith("finetune")),
        key=lambda group: group[0].summary["preset"],
    )
    scaling = [run for run in found if run.summary["preset"] == "scaling"]
    pretraining = [run for run in found if run.summary["preset"] == "pretraining"]
    by_way = studies.by_way(pretraining)
    labml = [run for run in found if run.summary["preset"] == BASELINE]
    ablations = studies.ablations(found)
    effects = studies.effects(ablations, costs)
    firsts = [group[0] for group in groups]
    headline = studies.best(found)
    looked = studies.attention(headline) if headline else None
    smoothing = headline.config.get("label_smoothing", 0.0) if headline else 0.0
    presets = [shown_preset(group, _) for group in groups]
    others = (
        *ablations, *scaling, *pretraining, *labml, *(run for group in tuned for run in group),
    )  # fmt: skip
    shown = [run.summary["data"] for run in (*firsts, *others)]
    values: dict[str, Any] = {
        "presets": presets,
        "runs": [run for preset in presets for run in preset["runs"]],
        "jpeg": "cifar10-jpeg" in shown,
        "official": "cifar10" in shown,
        "ablation": shown_ablation(ablations, effects, _) if effects else None,
        "effects": shown_effects(effects, _),
        "tuned": [shown_tuned(group, _) for group in tuned],
        "scaling": shown_scaling(scaling, _) if scaling else None,
        "pretraining": shown_pretraining(pretraining, _) if by_way else None,
        "labml": shown_labml(labml, [r for group in groups for r in group], _),
        "tried": [
            {
                key: _(value) if value and key in WORDS_OF_A_TRIAL else value
                for key, value in row.items()
            }
            for row in json.loads((ROOT / "docs/data/tried.json").read_text(encoding="utf-8"))
        ],
        "headline": shown_run(headline, _) if headline else None,
        "attention": attention.shown(looked, smoothing, _) if looked else None,
        "classes": list(firsts[0].summary["per_class"]) if firsts else [],
    }
    studied = (values[name] for name in ("ablation", "scaling", "pretraining", "labml"))
    values["usual"] = usual([*presets, *values["tuned"], *filter(None, studied)])
    written: list[tuple[Any, float]] = [
        (run.path, (run.path / "summary.json").stat().st_mtime) for run in found
    ]
    drawn: dict[str, Callable[[], Picture]] = {}
    if groups:
        drawn["curves"] = lambda: figures.curves([run for group in groups for run in group])
        drawn["times"] = lambda: figures.accuracy_over_time(firsts)
    if effects:
        drawn["ablations"] = lambda: figures.ablations(effects)
    if tuned:
        drawn["tuning"] = lambda: figures.accuracy_over_time([r for g in tuned for r in g])
    if scaling:
        by_images = studies.by_images(scaling)
        drawn["sizes"] = lambda: figures.accuracy_over_images(by_images)
    if by_steps := studies.by_steps(scaling):
        drawn["lengths"] = lambda: figures.results_over_steps(by_steps)
    if by_way:
        drawn["ways"] = lambda: figures.accuracy_over_images(by_way)
    if headline:
        counts, classes = headline.summary["confusion"], values["classes"]
        drawn["confusion"] = lambda: figures.confusion(counts, classes)
        wrong = headline.summary["test_accuracy"] < 1
        if wrong and (headline.path / "mistakes.npz").exists():
            drawn["mistakes"] = lambda: picture_of_mistakes(headline)
    if looked:
        drawn |= attention.pictures(looked, _)
        written.append((looked["weights"], looked["seconds"]))
    for name in PICTURES:
        wanted = page.meta.get("pictures") and name in drawn
        key = (name, *written)
        values[name] = picture(key, drawn[name], page) if wanted else None
    return values


def seed(run: records.Run) -> int:
    """What decided everything random in a run."""
    return run.summary["seed"]


def shown_run(run: records.Run, _: Translate = str) -> dict[str, Any]:
    """One run in words and rounded numbers."""
    summary, environment = run.summary, run.environment
    return {
        "name": run.name,
        "anchor": f"run-{run.name}",
        "preset": summary["preset"],
        "variant": summary["variant"],
        "seed": summary["seed"],
        "data": data_title(summary, _),
        "command": run.config["command"],
        "earlier": is_earlier(run),
        "hardware": hardware(environment, _),
        "processor": processor(environment),
        "versions": environment["versions"],
        "commit": environment["commit"],
        "epochs": f"{round(summary['epochs'], 1):g}",
        "parameters": f"{summary['parameters']:,}",
        "time": duration(summary["train_seconds"], _),
        "accuracy": percent(summary["test_accuracy"]),
        "tested": f"{summary['tested']:,}",
        "per_class": {name: percent(share) for name, share in summary["per_class"].items()},
        "share": summary["per_class"],
    }


def is_earlier(run: records.Run) -> bool:
    """Whether a run's preset, or variant of it, has become another recipe since."""
    name, variant = run.summary["preset"], run.summary["variant"]
    if name not in PRESETS:
        return False
    if variant and variant not in VARIANTS:
        return True
    recipe = asdict(preset(name, variant))
    # A number was a whole run's part of the patches, before there could be several.
    was = {**run.config, "keep": np.atleast_1d(run.config.get("keep", 1.0)).tolist()}
    own = ("seed", "holdout")
    now = json.loads(json.dumps({k: v for k, v in recipe.items() if k not in own}))
    return any(name in was and was[name] != value for name, value in now.items())


def shown_preset(runs: Sequence[records.Run], _: Translate = str) -> dict[str, Any]:
    """A preset: mean and spread of the accuracy over its runs, everything else of the first."""
    return {
        **shown_run(runs[0], _),
        "anchor": f"preset-{runs[0].name}",
        "mean": mean_and_spread([run.summary["test_accuracy"] for run in runs]),
        "seeds": len({seed(run) for run in runs}),
        "another": runs[0].summary["preset"] == BASELINE,
        "cnn": runs[0].summary["preset"] in CNNS,
        **shown_together(runs, _),
    }


def shown_ablation(
    runs: Sequence[records.Run], effects: Sequence[studies.Effect], _: Translate = str
) -> dict[str, Any]:
    """The unchanged presets, the rule, and all runs to repeat: the unchanged ones first."""
    base = [run for run in runs if not run.summary["variant"]]
    limits = [e.limit / e.spread for e in effects if 0 < e.spread < math.inf]
    return {
        **shown_run(base[0], _),
        "bases": [shown_preset(group, _) for group in studies.by_preset(base)],
        "changes": len(effects),
        "needed": f"{min(limits):.1f}" if limits else "",
        **shown_together([*base, *(run for effect in effects for run in effect.runs)], _),
    }


def shown_tuned(runs: Sequence[records.Run], _: Translate = str) -> dict[str, Any]:
    """A preset that starts from other weights: which, and how many tokens its model has."""
    config = runs[0].config
    model = config["vit"]
    high, wide = model["image_size"]
    tokens = high * wide // model["patch_size"] ** 2 + (model["pooling"] == "class")
    size = f"{high} × {wide}"
    return {**shown_preset(runs, _), "start": config["start"], "size": size, "tokens": tokens}


def shown_scaling(runs: Sequence[records.Run], _: Translate = str) -> dict[str, Any]:
    """Accuracy by number of images (a row each) and model (a column each), and what repeats it."""
    groups = studies.by_images(runs)
    models = list(groups)
    counts = sorted({count for group in groups.values() for count in group})
    cells = {
        (model, count): mean_and_spread([run.summary["test_accuracy"] for run in same])
        for model, group in groups.items()
        for count, same in group.items()
    }
    first = {model: next(iter(group.values()))[0].summary for model, group in groups.items()}
    return {
        "models": models,
        "rows": [
            {"images": f"{count:,}", "cells": [cells.get((m, count), "") for m in models]}
            for count in counts
        ],
        "flops": [f"{first[model]['flops'] / 2e6:.1f}" for model in models],
        "parameters": [f"{first[model]['parameters']:,}" for model in models],
        "data": data_title(runs[0].summary, _),
        **shown_together(sorted(runs, key=lambda run: run.name), _),
    }


def shown_pretraining(runs: Sequence[records.Run], _: Translate = str) -> dict[str, Any]:
    """Accuracy by number of images (a row each) and way (a column each), and what differs.

    A difference is sure if Student's t over its seeds is below 0.05 after Holm's correction for all
    differences that are shown. `apart` counts the seeds in which McNemar's test, corrected for all
    seeds of all differences, tells the two models apart.
    """
    groups = studies.by_way(runs)
    counts = sorted({count for group in groups.values() for count in group})
    pairs = [pair for pair in COMPARISONS if groups.keys() >= set(pair)]
    found = {
        (pair, count): studies.compared(groups[pair[0]][count], groups[pair[1]][count])
        for count in counts
        for pair in pairs
        if count in groups[pair[0]] and count in groups[pair[1]]
    }
    found = {place: difference for place, difference in found.items() if difference.pairs}
    over_seeds = studies.holm([difference.p for difference in found.values()])
    each = iter(studies.holm([one.p for x in found.values() for one in x.pairs]))
    differences = {
        place: {
            "mean": signed(difference.mean, difference.error),
            "apart": sum(next(each) < 0.05 for _one in difference.pairs),
            "seeds": len(difference.pairs),
            "sure": p < 0.05,
        }
        for (place, difference), p in zip(found.items(), over_seeds, strict=True)
    }
    bases = [run for run in runs if run.summary["variant"] == "base"]
    new = next(iter(next(iter(groups.values())).values()))[0]
    return {
        "ways": list(groups),
        "classes": list(new.summary["per_class"]),
        "tested": f"{new.summary['tested']:,}",
        "base": shown_preset(sorted(bases, key=seed), _) if bases else None,
        "rows": [
            {
                "images": f"{count:,}",
                "cells": [shown_way(group.get(count, []), _) for group in groups.values()],
            }
            for count in counts
        ],
        "compared": [{"first": first, "second": second} for first, second in pairs],
        "differences": [
            {
                "images": f"{count:,}",
                "cells": [differences.get((pair, count)) for pair in pairs],
            }
            for count in counts
        ],
        # Its title names the three classes only.
        "data": data_title(new.summary | {"data_title": "CIFAR-10"}, _),
        **shown_together(sorted(runs, key=lambda run: run.name), _),
    }


def shown_way(runs: Sequence[records.Run], _: Translate = str) -> dict[str, str] | None:
    """Accuracy, steps and time of a way on as many images; None where no run is."""
    if not runs:
        return None
    seconds = statistics.mean(run.summary["train_seconds"] for run in runs)
    return {
        "accuracy": mean_and_spread([run.summary["test_accuracy"] for run in runs]),
        "steps": f"{runs[0].summary['steps']:,}",
        "time": duration(seconds, _),
    }


def signed(mean: float, error: float) -> str:
    """A difference with its sign, and its error where there is one."""
    spread = f" ± {error:.1f}" if math.isfinite(error) else ""
    return f"{mean:+.1f}{spread}".replace("-", "−")


def shown_labml(
    runs: Sequence[records.Run], ours: Sequence[records.Run], _: Translate = str
) -> dict[str, Any] | None:
    """Labml's size and recipe against ours, each alone: a row for each that has runs.

    None where neither was changed alone. Ours are the preset's runs on the same data and device.
    """
    if not any(run.summary["variant"] for run in runs):
        return None
    like = {(run.summary["data"], run.summary["device"]) for run in runs}
    ours = [
        run
        for run in ours
        if run.summary["preset"] == "cpu" and (run.summary["data"], run.summary["device"]) in like
    ]
    rows = []
    for variant, (size, recipe) in SIZE_AND_RECIPE.items():
        same = ours if variant == "cpu" else [r for r in runs if r.summary["variant"] == variant]
        same = sorted(same, key=seed)
        if same:
            seen = statistics.mean(images_seen(run) for run in same)
            rows.append(
                {
                    **shown_preset(same, _), "size": size, "recipe": recipe,
                    "images": f"{round(seen):,}",
                }
            )  # fmt: skip
    return {
        "rows": rows,
        **shown_together([run for run in sorted(runs, key=seed) if run.summary["variant"]], _),
        "data": data_title(runs[0].summary, _),
    }


def images_seen(run: records.Run) -> float:
    """How many images entered in training, those of every epoch counted."""
    known = run.summary.get("images")
    return known if known is not None else run.summary["epochs"] * run.data["counts"]["train"]


def shown_together(runs: Sequence[records.Run], _: Translate = str) -> dict[str, Any]:
    """Runs that are repeated in the same way, and what they ran on, each thing said once."""
    shown = [shown_run(run, _) for run in runs]
    versions = (", ".join(f"{n} {v}" for n, v in run["versions"].items()) for run in shown)
    return {
        "runs": shown,
        "processors": unique(run["processor"] for run in shown),
        "versions": unique(versions),
    }


def usual(groups: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Data, processors and versions of most groups of runs; marks the groups that have others."""
    names = ("data", "processors", "versions")
    if not groups:
        return None
    each = [json.dumps([group[name] for name in names]) for group in groups]
    common = statistics.mode(each)
    for group, own in zip(groups, each, strict=True):
        group["unusual"] = own != common
    return dict(zip(names, json.loads(common), strict=True))


def unique(words: Iterable[str]) -> list[str]:
    """Every word once, in order; no empty ones."""
    return [word for word in dict.fromkeys(words) if word]


def shown_effects(effects: Sequence[studies.Effect], _: Translate = str) -> list[dict[str, Any]]:
    """What the changes did, in rounded numbers: a row a change, with a cell for each preset."""
    presets = sorted({effect.preset for effect in effects})
    rows: dict[str, dict[str, studies.Effect]] = {}
    for effect in effects:
        rows.setdefault(effect.variant, {})[effect.preset] = effect
    return [
        {
            "variant": variant,
            "cells": [shown_effect(by[name]) if name in by else "" for name in presets],
            "cost": next((f"{e.cost:.2f} ×" for e in by.values() if e.cost is not None), ""),
            "words": _(VARIANTS[variant].words) if variant in VARIANTS else "",
            "command": next(iter(by.values())).runs[0].config["command"],
        }
        for variant, by in rows.items()
    ]


def shown_effect(effect: studies.Effect) -> str:
    """A difference and its limit; in bold type, if chance does not explain it."""
    limit = f" ± {effect.limit:.1f}" if math.isfinite(effect.limit) else ""
    difference = f"{effect.mean:+.1f}{limit}".replace("-", "−")
    return f"**{difference}**" if effect.measurable else difference


def picture_of_mistakes(run: records.Run) -> Picture:
    """The first mistakes of a run: what it said, and in brackets what it is."""
    kept = np.load(run.path / "mistakes.npz")
    classes = list(run.summary["per_class"])
    said, true = ([classes[k] for k in kept[name][:12]] for name in ("predicted", "true"))
    labels = [f"{a}\n({b})" for a, b in zip(said, true, strict=True)]
    return figures.images(list(kept["images"][:12]), labels, columns=4)


def picture(
    key: tuple[Any, ...],
    draw: Callable[[], Picture],
    page: Page,
) -> dict[str, str]:
    """Draw a picture for a page, and say which of its pictures it is.

    The key is its name and what else decides how it looks.
    """
    drawn = DRAWN[key] = DRAWN.get(key) or draw()
    page.meta.setdefault("drawn", {})[key[0]] = drawn._repr_html_()
    return {"address": "#", "size": f"data-picture={key[0]}"}


def mean_and_spread(shares: Sequence[float]) -> str:
    """Mean ± standard deviation of shares, in percent."""
    spread = f" ± {100 * statistics.stdev(shares):.1f}" if len(shares) > 1 else ""
    return f"{100 * statistics.mean(shares):.1f}{spread} %"


def percent(share: float) -> str:
    """A share with one decimal."""
    return f"{100 * share:.1f} %"


def duration(seconds: float, _: Translate = str) -> str:
    """A time in the largest unit that says enough."""
    minutes = seconds / 60
    if minutes < 2:
        return _("{} seconds").format(round(seconds))
    if minutes < 120:
        return _("{} minutes").format(round(minutes))
    return _("{} hours").format(f"{minutes / 60:.1f}")


def data_title(summary: dict[str, Any], _: Translate = str) -> str:
    """The name of the data; that of the copy is words."""
    if summary["data"] == "cifar10-jpeg":
        return _("CIFAR-10, JPEG copy")
    return summary["data_title"]
