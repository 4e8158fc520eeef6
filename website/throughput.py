"""The benchmarks' numbers on the pages, from files that they wrote; needs no torch.

A parameter `_` puts words into the language of the page, as in gettext.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitlit.studies import STEPS

Translate = Callable[[str], str]


def benchmarks(folder: Path, _: Translate = str) -> list[dict[str, Any]]:
    """Every benchmark in a folder, in words and rounded numbers, CPUs first.

    Each has `tables`, one for an architecture in a mode; a table has `rows`, one for an
    implementation, with a cell for each of `precisions`. Raises ValueError on a damaged file.
    """
    return [shown_benchmark(file, _) for file in comparisons(folder)]


def comparisons(folder: Path) -> list[Path]:
    """The files that `make bench` wrote; those of `make steps` lie beside them."""
    return sorted(file for file in folder.glob("*.json") if file.name != STEPS.name)


def training_steps(folder: Path, _: Translate = str) -> dict[str, Any] | None:
    """What a training step costs, in words and rounded numbers; None where it was not measured.

    `rows` has one for each preset and part of its patches; `scatter` is the largest standard
    deviation that the cost of a variant has over the rounds. Raises ValueError on a damaged file.
    """
    file = folder / STEPS.name
    if not file.exists():
        return None
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        environment, settings = result["environment"], result["settings"]
        changed = result["variants"]["changed"].values()
        return {
            "command": result["command"],
            "hardware": hardware(environment, _),
            "processor": processor(environment),
            "commit": environment["commit"],
            "torch": environment["versions"]["torch"],
            "rounds": settings["rounds"],
            "block": f"{settings['seconds']:g}",
            "rows": [step_of(case) for case in result["presets"]],
            "scatter": f"{max(about['ratio']['deviation'] for about in changed):.2f}",
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); repeat `make steps`") from error


def step_of(case: dict[str, Any]) -> dict[str, Any]:
    """A preset's step at one part of its patches."""
    shares = {
        part: f"{100 * share['median']:.0f} ± {100 * share['deviation']:.0f} %"
        for part in ("products", "optimizers")
        for share in (case[part]["share"],)
    }
    return {
        "preset": case["preset"],
        "keep": f"{100 * case['keep']:g} %",
        "tokens": case["tokens"],
        "batch": case["batch_size"],
        "milliseconds": rounded(case["step"]["median"]),
        "throughput": rounded(case["images_per_second"]),
        **shares,
    }


def shown_benchmark(file: Path, _: Translate = str) -> dict[str, Any]:
    """One benchmark: where and how it was measured, and its tables."""
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        environment, settings = result["environment"], result["settings"]
        implementations = result["implementations"]
        notes = [f"{name} {i['note']}" for name, i in implementations.items() if i["note"]]
        return {
            "name": file.stem,
            "anchor": f"bench-{file.stem}",
            "command": result["command"],
            "hardware": hardware(environment, _),
            "processor": processor(environment),
            "commit": environment["commit"],
            "versions": {
                "torch": environment["versions"]["torch"],
                **{name: about["version"] for name, about in implementations.items()},
            },
            "rounds": settings["rounds"],
            "block": f"{settings['seconds']:g}",
            "left_out": result["left_out"],
            "notes": [_(note) for note in notes],
            "tables": tables_of(result, _),
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); repeat `make bench`") from error


def tables_of(result: dict[str, Any], _: Translate = str) -> list[dict[str, Any]]:
    """A table for each architecture and mode, with the precisions beside each other."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for case in result["measurements"]:
        group = groups.setdefault((case["architecture"], case["mode"]), {})
        group[case["precision"]] = case
    tables = []
    for (title, mode), cases in groups.items():
        sizes = result["architectures"][title]
        batch = next(iter(cases.values()))["batch_size"]
        rows = [
            {
                "name": name,
                "parameters": f"{about['parameters'][title]:,}",
                "cells": [cell_of(case["implementations"][name]) for case in cases.values()],
            }
            for name, about in result["implementations"].items()
        ]
        tables.append(
            {
                "title": f"ViT-{title}",
                "mode": {"training": _("training"), "inference": _("inference")}[mode],
                "sizes": _(
                    "width {width}, {depth} layers, {heads} heads, "
                    "{image_size} × {image_size} pixels"
                ).format_map(sizes),
                "batch": batch,
                "precisions": list(cases),
                "limits": [limit_of(case["limit"]) for case in cases.values()],
                "rows": rows,
            }
        )
    return tables


def cell_of(result: dict[str, Any]) -> dict[str, str]:
    """What one implementation reached in one precision; no ratio for ours, which is the measure."""
    ratio = result.get("ratio_vitlit_to_this")
    return {
        "throughput": rounded(result["median"]),
        "share": f"{100 * result['share_of_limit']:.0f} %",
        "ratio": f"{ratio['median']:.2f} ± {ratio['deviation']:.2f}" if ratio else "",
        "range": f"{ratio['min']:.2f}–{ratio['max']:.2f}" if ratio else "",
    }


def limit_of(limit: dict[str, Any]) -> dict[str, str]:
    """What the matrix products alone reached."""
    work = limit["median"] * limit["flops_per_image"]
    unit, name = (1e12, "TFLOP/s") if work >= 1e12 else (1e9, "GFLOP/s")
    return {"throughput": rounded(limit["median"]), "work": f"{rounded(work / unit)} {name}"}


def hardware(environment: dict[str, Any], _: Translate = str) -> str:
    """The GPU that something ran on, or how many cores it had."""
    count = environment["threads"]
    return environment["gpu"] or (
        _("1 CPU core") if count == 1 else _("{} CPU cores").format(count)
    )


def processor(environment: dict[str, Any]) -> str:
    """Its name, and the widest instructions it has: they decide how fast a name can be."""
    return ", ".join(filter(None, (environment["processor"], environment.get("instructions"))))


def rounded(value: float) -> str:
    """Three digits or, for thousands, all before the point."""
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{decimals}f}"
