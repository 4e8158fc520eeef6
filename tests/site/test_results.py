"""The numbers that the results page shows, from records made up for the purpose."""

import itertools
import json
import re
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from jinja2 import Environment, StrictUndefined

from studies import attention
from vitlit import records, studies
from vitlit.presets import preset
from website import ROOT, results

CLASSES = ("cat", "dog", "ship")
COMMAND = "vitlit train --preset {preset}{variant} --seed {seed}"
PICTURES = {
    "curves", "times", "ablations", "tuning", "sizes", "lengths", "ways", "confusion", "mistakes",
}  # fmt: skip
OF_ATTENTION = {"agreement", "deletion", "reliability", "robustness"}


def write(
    folder: Path, preset: str, accuracy: float, seed: int = 0, variant: str = "", **other: Any
) -> None:
    """A record of three classes, with what differs from the usual in `other`."""
    name = "-".join(filter(None, [preset, variant.replace("=", "-"), f"seed{seed}"]))
    shown = f" --variant {variant}" if variant else ""
    summary = {
        "preset": preset, "variant": variant, "seed": seed, "data": "cifar10-jpeg",
        "data_title": "CIFAR-10, JPEG copy", "tested_on": "test images", "tested": 30,
        "device": "cpu", "epochs": 2, "parameters": 1000, "train_seconds": 600.0,
        "test_accuracy": accuracy, "per_class": dict.fromkeys(CLASSES, accuracy),
        "confusion": (10 * np.eye(3)).tolist(),
    }  # fmt: skip
    environment = {"gpu": None, "threads": 2, "processor": "P", "commit": "abc"}
    records.write(
        folder / name,
        config={"command": COMMAND.format(preset=preset, variant=shown, seed=seed)}
        | other.get("config", {}),
        environment=environment | {"versions": {"torch": "2"}},
        data={"counts": {"train": 1000}},
        summary=summary | {k: v for k, v in other.items() if k in summary} | other.get("about", {}),
        rows=[
            {"epoch": k, "train_loss": 2.0, "test_accuracy": accuracy, "seconds": 300.0 * k}
            for k in (1, 2)
        ],
        positions=np.zeros((2, 3, 4), dtype=np.float32),
        mistakes=other.get("mistakes"),
        predictions=other.get("predictions"),
    )


def write_way(folder: Path, way: str, images: int, seed: int, right: int) -> None:
    """A record of `pretraining` that names the first `right` of 30 test images correctly."""
    answers = {"predicted": (np.arange(30) >= right).astype(int), "true": np.zeros(30, int)}
    about = {"images": images, "steps": 0 if way == "frozen" else 1200}
    name = f"{way}={images}"
    write(folder, "pretraining", right / 30, seed, name, about=about | {"variant": way},
          predictions=answers)  # fmt: skip


def context(folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """What the results page would get, and its pictures as HTML."""
    page = SimpleNamespace(meta={"pictures": True})
    values = results.context(folder, page, costs={"positions=none": 1.25})
    return values, page.meta.get("drawn", {})


def rendered(values: dict[str, Any], steps: dict[str, Any] | None = None) -> str:
    """The page's Markdown; a name that does not exist is an error."""
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        comment_start_string="<!--#", comment_end_string="#-->",
    )  # fmt: skip
    text = (ROOT / "docs/results.md").read_text(encoding="utf-8")
    others = {"benchmarks": [], "steps": steps, "chapters": []}
    return environment.from_string(text).render(**values, **others)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Several presets, seeds and variants."""
    for seed, accuracy in enumerate((0.70, 0.72, 0.74)):
        write(tmp_path, "cpu", accuracy, seed)
    mistakes = {"images": np.zeros((13, 3, 32, 32), np.uint8), "true": np.zeros(13, int)}
    mistakes |= {"predicted": np.ones(13, int), "probability": np.ones(13)}
    write(tmp_path, "cpu-long", 0.80, mistakes=mistakes, train_seconds=7200.0, parameters=2000)
    write(tmp_path, "labml", 0.95, epochs=0.204)
    write(tmp_path, "resnet", 0.90)
    for seed in range(3):
        write(tmp_path, "ablation", 0.96 + seed / 100, seed)
        write(tmp_path, "ablation", 0.86 + seed / 100, seed, "positions=none")
        nothing = 0.96 + seed / 100 + (-0.01, 0.02, 0.005)[seed]
        write(tmp_path, "ablation", nothing, seed, "warmup=0")
    for size, accuracy in ((32, 0.971), (48, 0.985)):
        vit = {"image_size": [size, size], "patch_size": 4, "pooling": "class"}
        config = {"start": "cpu-seed0", "vit": vit}
        write(tmp_path, f"finetune-{size}", accuracy, config=config)
    for seed, images, model in itertools.product((0, 1), (1000, 50_000), ("vit", "resnet")):
        about = {"model": model, "images": images, "flops": 2.26e7}
        accuracy = 0.5 + images / 200_000 + seed / 50 + 0.1 * (model == "resnet")
        variant = f"{model}={images}"
        steps = {"steps": 2344}
        write(tmp_path, "scaling", accuracy, seed, about=about, variant=variant, config=steps)
    about = {"model": "vit", "images": 1000, "flops": 2.26e7}
    write(tmp_path, "scaling", 0.6, variant="longer", about=about, config={"steps": 4688})
    for seed, images, way in itertools.product((0, 1), (30, 3000), studies.WAYS):
        right = {"finetune": 20, "frozen": 18, "scratch": 2, "scratch-long": 17}[way]
        write_way(tmp_path, way, images, seed, right + seed + images // 1000)
    write(tmp_path, "pretraining", 0.9, 0, "base")
    for variant, accuracy in (("our-size", 0.5), ("our-recipe", 0.3)):
        about = {"images": 11_000, "parameters": 20_000_000}
        write(tmp_path, "labml", accuracy, 0, variant, about=about)
    write(tmp_path, "cpu", 0.99, 7, data="digits")
    write(tmp_path, "cpu", 0.99, 8, tested_on="5000 training images")
    return tmp_path


def test_a_preset_is_the_mean_of_its_seeds(many: Path) -> None:
    values, _ = context(many)
    shown = {preset["preset"]: preset for preset in values["presets"]}
    assert list(shown) == ["labml", "resnet", "cpu-long", "cpu"]
    assert shown["labml"]["seeds"] == 1
    assert (shown["cpu"]["mean"], shown["cpu"]["seeds"]) == ("72.0 ± 2.0 %", 3)
    assert (shown["cpu-long"]["mean"], shown["cpu-long"]["time"]) == ("80.0 %", "2.0 hours")
    assert [run["seed"] for run in shown["cpu"]["runs"]] == [0, 1, 2]
    assert (shown["labml"]["another"], shown["labml"]["epochs"]) == (True, "0.2")
    assert [name for name, preset in shown.items() if preset["cnn"]] == ["resnet"]


def test_neither_another_project_nor_a_study_comes_first(many: Path) -> None:
    assert context(many)[0]["headline"]["name"] == "cpu-long-seed0"


def test_the_headline_is_a_first_seed(tmp_path: Path) -> None:
    write(tmp_path, "cpu", 0.70, 0)
    write(tmp_path, "cpu", 0.90, 1)
    write(tmp_path, "gpu", 0.75, 0)
    assert context(tmp_path)[0]["headline"]["name"] == "gpu-seed0"


def test_a_difference_that_chance_can_make_is_not_in_bold_type(many: Path) -> None:
    values = context(many)[0]
    worse, nothing = values["effects"]
    assert (worse["variant"], nothing["variant"]) == ("positions=none", "warmup=0")
    assert re.fullmatch(r"\*\*−10\.0 ± \d\.\d\*\*", worse["cells"][0])
    assert re.fullmatch(r"\+0\.5 ± \d\.\d", nothing["cells"][0])
    assert (worse["cost"], nothing["cost"]) == ("1.25 ×", "")
    limit, spread = float(nothing["cells"][0].split("± ")[1]), 1.5
    assert limit / spread == pytest.approx(float(values["ablation"]["needed"]), abs=0.1)


def test_a_change_has_a_cell_for_each_preset(many: Path) -> None:
    for seed in range(3):
        write(many, "ablation-half", 0.9 + seed / 100, seed)
        write(many, "ablation-half", 0.7 + seed / 100, seed, "positions=none")
    values = context(many)[0]
    assert [base["preset"] for base in values["ablation"]["bases"]] == ["ablation", "ablation-half"]
    cells = {row["variant"]: row["cells"] for row in values["effects"]}
    assert [cell.split(" ± ")[0] for cell in cells["positions=none"]] == ["**−10.0", "**−20.0"]
    assert cells["warmup=0"][1] == ""
    assert values["ablation"]["changes"] == 3


@pytest.mark.parametrize(
    ("changes", "earlier"),
    [({}, False), ({"seed": 3}, False), ({"keep": 0.5, "keep_epochs": 4}, True),
     ({"model": {"width": 96}}, True), ({"variant": "head=linear"}, True)],
    ids=str,
)  # fmt: skip
def test_a_run_of_what_its_preset_was_before_is_marked(
    tmp_path: Path, changes: dict[str, Any], earlier: bool
) -> None:
    variant = changes.pop("variant", "")
    write(tmp_path, "cpu", 0.7, variant=variant, config=asdict(preset("cpu")) | changes)
    [run] = records.find(tmp_path)
    assert results.is_earlier(run) == earlier
    if not variant:
        assert ("(an earlier recipe)" in rendered(context(tmp_path)[0])) == earlier


def test_different_models_of_one_preset_are_not_averaged(tmp_path: Path) -> None:
    write(tmp_path, "cpu", 0.70, 0)
    write(tmp_path, "cpu", 0.80, 1, parameters=2000)
    assert [p["mean"] for p in context(tmp_path)[0]["presets"]] == ["80.0 %", "70.0 %"]


def test_pictures_are_drawn_and_small(many: Path) -> None:
    values, drawn = context(many)
    for name in PICTURES:
        assert values[name] == {"address": "#", "size": f"data-picture={name}"}
    assert set(drawn) == PICTURES
    assert sum(map(len, drawn.values())) < 200_000


def test_the_page_tells_every_command_and_verdict(many: Path) -> None:
    text = rendered(context(many)[0])
    shown = [run for run in records.find(many) if run.summary["test_accuracy"] < 0.99]
    shown = [run for run in shown if run.summary["data"] == "cifar10-jpeg"]
    for run in shown:
        assert f"{run.config['command']}\n" in text
        assert f"`{run.name}`" in text
    assert text.count("| **−10.0 ± ") == 1
    assert "(not ours)" in text
    assert "(not a ViT)" in text
    assert "Why not a CNN?" in text
    assert "cpu-seed7" not in text
    assert "cpu-seed8" not in text
    headings = [line.split("{#")[1][:-1] for line in text.splitlines() if line.startswith("## ")]
    order = ["runs", "labml", "ingredients", "finetuning", "scaling", "pretraining"]
    order += ["classes", "mistakes", "tried", "repeat"]
    assert [name for name in headings if name in order] == order


def test_the_page_says_where_the_time_of_a_change_is_from(many: Path) -> None:
    values, _ = context(many)
    without = rendered(values)
    assert "has not been measured yet" in without
    assert "{#steps}" not in without
    shares = {"products": "70 ± 1 %", "optimizers": "5 ± 0 %"}
    row = {"preset": "cpu", "keep": "25 %", "tokens": 17, "batch": 128, "milliseconds": "90.1"}
    steps = {
        "rounds": 13, "block": "0.5", "hardware": "2 CPU cores", "processor": "P", "torch": "2",
        "commit": None, "scatter": "0.02", "command": "python -m benchmarks.steps",
        "rows": [{**row, "throughput": "1,421", **shares}],
    }  # fmt: skip
    text = rendered(values, steps)
    assert text.index("{#throughput}") < text.index("{#steps}")
    assert "| `cpu` | 25 % | 17 | 128 | 90.1 | 1,421 | 70 ± 1 % | 5 ± 0 % |\n" in text
    assert "Time is that of [a training step](#steps)" in text
    assert "no commit. A step is" in text


def test_a_tuned_model_is_shown_with_its_start_and_its_tokens(many: Path) -> None:
    values, _ = context(many)
    shown = [(p["preset"], p["mean"], p["size"], p["tokens"]) for p in values["tuned"]]
    assert shown == [
        ("finetune-32", "97.1 %", "32 × 32", 65),
        ("finetune-48", "98.5 %", "48 × 48", 145),
    ]
    assert {p["start"] for p in values["tuned"]} == {"cpu-seed0"}


def test_accuracy_by_images_has_a_row_a_number_and_a_column_a_model(many: Path) -> None:
    scaling = context(many)[0]["scaling"]
    assert scaling["models"] == ["vit", "resnet"]
    assert scaling["rows"] == [
        {"images": "1,000", "cells": ["51.5 ± 1.4 %", "61.5 ± 1.4 %"]},
        {"images": "50,000", "cells": ["76.0 ± 1.4 %", "86.0 ± 1.4 %"]},
    ]
    assert scaling["flops"] == ["11.3", "11.3"]


def test_ways_to_learn_have_a_column_each_and_what_they_took(many: Path) -> None:
    shown = context(many)[0]["pretraining"]
    assert shown["ways"] == ["finetune", "frozen", "scratch", "scratch-long"]
    assert [row["images"] for row in shown["rows"]] == ["30", "3,000"]
    first = shown["rows"][0]["cells"]
    assert first[0] == {"accuracy": "68.3 ± 2.4 %", "steps": "1,200", "time": "10 minutes"}
    assert first[1]["steps"] == "0"
    assert (shown["base"]["mean"], shown["tested"]) == ("90.0 %", "30")
    assert len(shown["runs"]) == 17


def test_ways_are_compared_over_seeds_and_model_by_model(many: Path) -> None:
    few, _ = context(many)[0]["pretraining"]["differences"]
    short, long, head = few["cells"]
    assert (short["mean"], short["apart"], short["seeds"]) == ("+60.0 ± 0.0", 2, 2)
    assert (long["mean"], long["apart"]) == ("+10.0 ± 0.0", 0)
    assert (head["mean"], head["apart"]) == ("+6.7 ± 0.0", 0)


def test_a_way_that_lacks_runs_leaves_a_cell_empty(tmp_path: Path) -> None:
    write_way(tmp_path, "finetune", 30, 0, 20)
    write_way(tmp_path, "scratch", 100, 0, 10)
    values, _ = context(tmp_path)
    shown = values["pretraining"]
    assert [[bool(cell) for cell in row["cells"]] for row in shown["rows"]] == [
        [True, False], [False, True],
    ]  # fmt: skip
    assert [row["cells"] for row in shown["differences"]] == [[None], [None]]
    assert shown["base"] is None
    assert "{#pretraining}" in rendered(values)


def test_size_and_recipe_are_told_apart(many: Path) -> None:
    rows = context(many)[0]["labml"]["rows"]
    assert [(row["size"], row["recipe"], row["mean"], row["images"]) for row in rows] == [
        ("labml", "labml", "95.0 %", "204"),
        ("cpu", "labml", "50.0 %", "11,000"),
        ("labml", "cpu", "30.0 %", "11,000"),
        ("cpu", "cpu", "72.0 ± 2.0 %", "2,000"),
    ]


def test_labmls_run_alone_does_not_say_what_decides(tmp_path: Path) -> None:
    write(tmp_path, "labml", 0.3)
    values, _ = context(tmp_path)
    assert values["labml"] is None
    text = rendered(values)
    assert "does not say which of them decides" in text
    assert "{#labml}" not in text


def test_one_run_is_enough(tmp_path: Path) -> None:
    write(tmp_path, "cpu", 0.70)
    values, _ = context(tmp_path)
    assert (values["effects"], values["ablations"], values["mistakes"]) == ([], None, None)
    text = rendered(values)
    assert "{#runs}" in text
    assert "Why not a CNN?" not in text
    assert "{#ingredients}" not in text
    assert "{#mistakes}" not in text


@pytest.mark.parametrize("preset", ["labml", "ablation"])
def test_without_a_headline_the_page_still_stands(tmp_path: Path, preset: str) -> None:
    write(tmp_path, preset, 0.5)
    if preset == "ablation":
        write(tmp_path, preset, 0.4, variant="positions=none")
    values, _ = context(tmp_path)
    assert (values["headline"], values["confusion"]) == (None, None)
    text = rendered(values)
    assert ("{#runs}" in text) == (preset == "labml")
    assert ("{#ingredients}" in text) == (preset == "ablation")


def test_no_runs_at_all(tmp_path: Path) -> None:
    values, drawn = context(tmp_path)
    assert drawn == {}
    absent = (*PICTURES, *OF_ATTENTION, "headline", "ablation", "scaling", "attention")
    assert all(values[name] is None for name in absent)
    text = rendered(values)
    assert "No training run has been recorded" in text
    assert "{#runs}" not in text
    assert "{#repeat}" not in text


def write_attention(folder: Path, *, apart: bool) -> None:
    """A result for the run cpu-seed0; `apart`: with differences, outliers and overconfidence."""
    random = np.random.default_rng(0)
    n, shift = 40, 0.5 if apart else 0.0
    agreement = 0.01 * random.normal(size=(3, len(attention.MAPS), n))
    agreement[:, 0] += shift
    confidence = random.uniform(0.5, 1, 200)
    found = {
        "index": np.arange(n), "grid": np.array([4, 4]), "agreement": agreement,
        "together": np.array([4, 8]), "temperatures": np.array([0.9, 1.1]),
        "deleted": random.random((len(attention.ORDERS), 2, n)) < 0.5,
        "robust": random.random((len(attention.CHANGES), n)) < 0.7,
        "confidence": confidence, "tempered": confidence,
        "right": random.random(200) < (0.2 if apart else 0.99),
        "norm_median": np.ones(2), "norm_largest": np.array([2.0, 9.0]),
        "norm_high": np.array([0.0, shift]), "norm_lower": np.zeros(2),
        "norm_contrast": random.normal(size=(2, n)), "norm_highest_contrast": np.full(2, 0.5),
        "norm_highest_places": np.ones((2, 16), int),
    }  # fmt: skip
    write(folder, "cpu", 0.7, config={"label_smoothing": 0.1})
    (folder / "cpu-seed0" / records.WEIGHTS).write_bytes(b"weights")
    run = records.read(folder / "cpu-seed0")
    data = SimpleNamespace(summary=lambda: {"classes": CLASSES})
    attention.write(run, folder / "attention", data, found, command="c", seconds=120.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("apart", [True, False])
def test_the_page_says_what_attention_tells(tmp_path: Path, apart: bool) -> None:
    write_attention(tmp_path, apart=apart)
    values, drawn = context(tmp_path)
    assert set(drawn) >= OF_ATTENTION
    assert all(len(drawn[name]) < 30_000 for name in OF_ATTENTION)
    text = rendered(values)
    assert ("these maps say more than `fixed`: rollout." in text) == apart
    assert ("no map says more than `fixed`." in text) == (not apart)
    assert ("there is such a group after block 2." in text) == apart
    assert ("it is surer than it is right." in text) == apart
    assert "the right class was 0.93, not 1" in text
    assert "2 minutes on" in text
    rows = [line for line in text.splitlines() if line.startswith("| rollout − fixed |")]
    assert len(rows) == 1
    assert rows[0].count("more") == (3 if apart else 0)
    assert rows[0].count("not told apart") == (0 if apart else 3)


def test_what_attention_told_of_other_weights_stops_the_page(tmp_path: Path) -> None:
    write_attention(tmp_path, apart=True)
    (tmp_path / "cpu-seed0" / records.WEIGHTS).write_bytes(b"newer weights")
    with pytest.raises(ValueError, match=r"other weights than cpu-seed0 has now"):
        context(tmp_path)


def test_what_runs_have_in_common_is_said_once(many: Path) -> None:
    values, _ = context(many)
    assert values["usual"] == {
        "data": "CIFAR-10, JPEG copy", "processors": ["P"], "versions": ["torch 2"],
    }  # fmt: skip
    assert not any(preset["unusual"] for preset in values["presets"])
    text = rendered(values)
    below = text.partition("{#repeat}")[2]
    assert below.count("P; torch 2.") == 1
    values["presets"][0]["unusual"] = True
    assert rendered(values).partition("{#repeat}")[2].count("P; torch 2.") == 2


def test_what_was_tried_says_what_it_was_tested_on() -> None:
    tried = json.loads((ROOT / "docs/data/tried.json").read_text(encoding="utf-8"))
    for row in tried:
        assert set(row) == {"what", "epochs", "images", "result", "tested_on", "note"}
        assert row["what"]
        assert row["tested_on"]
        assert 10 < row["result"] < 100
