"""What `make attention` found, in words and rounded numbers; needs no torch.

A parameter `_` puts words into the language of the page, as in gettext.
"""

from collections.abc import Mapping
from typing import Any

from vitlit import figures
from website.throughput import Translate, hardware

# Of the effects of an erased patch: those that are drawn.
DRAWN = ("logit", "all logits")
# A curve for each order of erasing: that of the fixed map is dashed, in the color of the rollout.
CURVES = ("rollout", "last", "blind", "distance", "erasure", "random", "fixed")
# What 95 of 100 normal numbers lie within, in deviations.
WITHIN = 1.96


def shown(found: Mapping[str, Any], smoothing: float, _: Translate = str) -> dict[str, Any]:
    """One result as the page tells it: tables, verdicts, and what repeats it.

    `smoothing` is the label smoothing that the model was trained with.
    """
    result, criterion = found["result"], found["result"]["criterion"]
    agreement, differences = result["agreement"], result["differences"]
    calibration = result["calibration"]
    return {
        "run": found["run"],
        "command": found["command"],
        "minutes": round(found["seconds"] / 60),
        "hardware": hardware(found["environment"], _),
        "pictures": f"{result['pictures']:,}",
        "patches": result["patches"],
        "level": f"{100 * result['level']:.0f} %",
        "comparisons": result["comparisons"],
        "maps": [
            {"name": name, "cells": [spread(rows[name]) for rows in agreement.values()]}
            for name in next(iter(agreement.values()))
        ],
        "differences": [
            {"name": name, "cells": [told(rows[name], 1, 2, _) for rows in differences.values()]}
            for name in next(iter(differences.values()))
        ],
        # The maps that say more than places do, by the effect that they are compared with.
        "more": {
            effect: [name.partition(" ")[0] for name, row in rows.items() if row["low"] > 0]
            for effect, rows in differences.items()
        },
        "all_logits": {name: spread(row) for name, row in agreement["all logits"].items()},
        "together": result["together"],
        "orders": [
            {
                "name": name,
                "cells": [f"{100 * cell['mean']:.1f} %" for cell in cells],
                "against": told(against, 100, 1, _)
                if (against := result["deletion_against_random"].get(name))
                else "",
            }
            for name, cells in result["deletion"].items()
        ],
        "norms": [
            {
                "block": i,
                "median": f"{row['median']:.1f}",
                "largest": f"{row['largest']:.2f}",
                "high": f"{100 * row['high']:.2f} %",
                "contrast": spread(row["contrast"]),
                "rank": f"{row['highest_contrast']:.2f}",
                "border": f"{100 * row['highest_at_border']:.0f} %",
            }
            for i, row in enumerate(result["norms"], 1)
        ],
        "separate": [i for i, row in enumerate(result["norms"], 1) if row["separate"]],
        "criterion": {
            "high": f"{criterion['high']:g}",
            "lower": f"{criterion['lower']:g}",
            "in": f"{1 / criterion['share']:,.0f}",
            "top": f"{100 * criterion['top']:g} %",
        },
        "at_border": f"{100 * result['at_border']:.0f} %",
        "calibration": {
            "images": f"{calibration['images']:,}",
            **{
                name: f"{100 * calibration[name]:.1f} %"
                for name in ("error", "chance", "confidence", "accuracy")
            },
            "target": f"{1 - smoothing + smoothing / len(found['data']['classes']):.2f}"
            if smoothing
            else "",
            "under": calibration["confidence"] < calibration["accuracy"],
            "temperatures": [f"{T:.2f}" for T in calibration["temperatures"]],
            "tempered": f"{100 * calibration['tempered']['error']:.1f} %",
            "helps": calibration["tempered"]["error"] < calibration["error"],
            "bins": [
                {
                    "images": f"{row['images']:,}",
                    "confidence": f"{100 * row['confidence']:.1f} %",
                    "accuracy": f"{100 * row['accuracy']:.1f} %",
                }
                for row in calibration["bins"]
            ],
        },
        "robustness": [
            {
                "name": label(row, _),
                "accuracy": f"{100 * row['accuracy']['mean']:.1f} ± "
                f"{100 * row['accuracy']['error']:.1f} %",
                "difference": told(row["difference"], 100, 1, _) if i else "",
            }
            for i, row in enumerate(result["robustness"])
        ],
    }


def spread(value: Mapping[str, float]) -> str:
    """A mean ± its standard error."""
    return f"{value['mean']:.2f} ± {value['error']:.2f}".replace("-", "−")


def told(value: Mapping[str, float], unit: float, digits: int, _: Translate = str) -> str:
    """A mean difference with its interval, in bold where that does not hold 0, and a verdict."""
    mean, low, high = (
        f"{unit * value[name]:+.{digits}f}".replace("-", "−") for name in ("mean", "low", "high")
    )
    if value["low"] <= 0 <= value["high"]:
        return f"{mean} [{low}, {high}] {_('not told apart')}"
    return f"**{mean}** [{low}, {high}] {_('more') if value['mean'] > 0 else _('less')}"


def label(row: Mapping[str, Any], _: Translate = str) -> str:
    """What was done to the images, in words."""
    change, amount = row["change"], row["amount"]
    if change == "erased":
        return _("{} % erased").format(f"{100 * amount:.0f}") if amount else _("unchanged")
    if change == "blurred":
        return _("blurred, σ {} px").format(amount)
    if change == "shuffled":
        return _("shuffled")
    return _("shuffled in blocks of {} × {}").format(amount, amount)


def pictures(found: Mapping[str, Any], _: Translate = str) -> dict[str, Any]:
    """What can be drawn of a result: by name, a function that draws it."""
    result = found["result"]
    return {
        "agreement": lambda: figures.intervals(
            {
                f"ρ, {effect}": {
                    name: (
                        value["mean"],
                        value["mean"] - WITHIN * value["error"],
                        value["mean"] + WITHIN * value["error"],
                    )
                    for name, value in result["agreement"][effect].items()
                }
                for effect in DRAWN
            }
        ),
        "deletion": lambda: figures.lines(
            {
                name: (
                    [0, *result["together"]],
                    [
                        100 * result["robustness"][0]["accuracy"]["mean"],
                        *(100 * cell["mean"] for cell in cells),
                    ],
                )
                for name in CURVES
                if (cells := result["deletion"][name])
            },
            "erased patches",
            "test accuracy / %",
            markers=True,
        ),
        "reliability": lambda: figures.reliability(result["calibration"]["bins"]),
        "robustness": lambda: figures.bars(
            {label(row): 100 * row["accuracy"]["mean"] for row in result["robustness"]},
            "test accuracy / %",
            {label(row): 100 * row["accuracy"]["error"] for row in result["robustness"]},
        ),
    }
