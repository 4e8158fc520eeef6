"""The numbers on the pages, read from run records: none is typed into a page."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

from vitlit import figures, records

# The CIFAR-10 runs that count: not the digits that tests train on.
DATA = ("cifar10", "cifar10-jpeg")
# What a variant shares with the run that it is compared to.
KEPT = ("preset", "data", "seed", "epochs")


def context(folder: Path, page: Page, config: MkDocsConfig, files: Files) -> dict[str, Any]:
    """What a page's Markdown can say: `runs` of presets, `variants` of them, the `headline`."""
    found = [
        run
        for run in records.find(folder)
        if run.summary["data"] in DATA and run.summary["tested_on"] == "test images"
    ]
    runs = [run for run in found if not run.summary["variant"]]
    values: dict[str, Any] = {
        "runs": [shown_run(run) for run in runs],
        "jpeg": any(run.summary["data"] == "cifar10-jpeg" for run in runs),
        "official": any(run.summary["data"] == "cifar10" for run in runs),
        "variants": variants_of(found),
        "headline": None,
    }
    if not runs:
        return values
    # The first seed stands for its preset: the luckiest would be chosen by the test images.
    firsts = {run.summary["preset"]: run for run in sorted(runs, key=seed, reverse=True)}
    headline = max(firsts.values(), key=lambda run: run.summary["test_accuracy"])
    values["headline"] = shown_run(headline)
    if page.meta.get("pictures"):
        values["classes"] = classes = list(headline.summary["per_class"])
        drawn = {
            "curves": lambda: figures.curves(runs),
            "confusion": lambda: figures.confusion(headline.summary["confusion"], classes),
        }
        for name, draw in drawn.items():
            values[name] = picture(name, draw, page, config, files)
    return values


def seed(run: records.Run) -> int:
    """What decided everything random in a run."""
    return run.summary["seed"]


def shown_run(run: records.Run) -> dict[str, Any]:
    """One run in words and rounded numbers."""
    summary, environment = run.summary, run.environment
    return {
        "name": run.name,
        "anchor": f"run-{run.name}",
        "preset": summary["preset"],
        "variant": summary["variant"],
        "seed": summary["seed"],
        "data": summary["data_title"],
        "command": run.config["command"],
        "hardware": environment["gpu"] or f"{environment['threads']} CPU cores",
        "processor": environment["processor"],
        "versions": environment["versions"],
        "commit": environment["commit"],
        "epochs": summary["epochs"],
        "parameters": f"{summary['parameters']:,}",
        "time": duration(summary["train_seconds"]),
        "accuracy": percent(summary["test_accuracy"]),
        "tested": f"{summary['tested']:,}",
        "per_class": {name: percent(share) for name, share in summary["per_class"].items()},
        "share": summary["per_class"],
    }


def variants_of(found: list[records.Run]) -> list[dict[str, Any]]:
    """Presets that have ablations: the preset itself first, each variant with its difference."""
    groups = []
    bases = [run for run in found if not run.summary["variant"]]
    for base in bases:
        same = [
            run
            for run in found
            if run.summary["variant"] and all(run.summary[key] == base.summary[key] for key in KEPT)
        ]
        if same:
            reference = base.summary["test_accuracy"]
            rows = [
                shown_run(run)
                | {"difference": f"{100 * (run.summary['test_accuracy'] - reference):+.1f}"}
                for run in sorted(same, key=lambda run: run.summary["test_accuracy"])
            ]
            groups.append({"preset": shown_run(base), "rows": rows})
    return groups


def picture(
    name: str, draw: Callable[[], figures.Picture], page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Draw a picture into the site and return its address as seen from the page."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw().save(path)
        target = f"assets/pictures/{name}.png"
        files.append(File.generated(config, target, content=path.read_bytes()))
    return get_relative_url(target, page.file.src_uri)


def percent(share: float) -> str:
    """A share with one decimal."""
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A time in the largest unit that says enough."""
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
