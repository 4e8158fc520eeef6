"""The command `vitlit`: train, ablate, evaluate, predict, export, data."""

import csv
import io
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from vitlit import locks, presets, records, studies
from vitlit.files import write as write_file
from vitlit.terminal import accept_everything, plain


class Terminal(Console):
    """Where the command writes lines: nothing in them is markup, an emoji's name or a color."""

    def __init__(self, **how: Any) -> None:
        super().__init__(soft_wrap=True, markup=False, emoji=False, highlight=False, **how)

    def print(self, *objects: Any, **how: Any) -> None:
        """Print as Console does; of strings, all but line feeds is escaped that would control."""
        super().print(*(plain(o, keep="\n") if isinstance(o, str) else o for o in objects), **how)


app = typer.Typer(
    help="The Vision Transformer, as a book that runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console, errors = Terminal(), Terminal(stderr=True)

Data = Annotated[
    str | None,
    typer.Option(
        help="An image folder or tar archive, 'official' or 'digits'. [default: $VITLIT_DATA, "
        "else the official CIFAR-10 archive]"
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="A run's name or folder, a model.safetensors, or another library's weights: a file or "
        "folder of them, torchvision:vit_b_16, timm:NAME, huggingface:ORGANIZATION/NAME. [default: "
        "your newest run that has some, else the book's best]"
    ),
]
Device = Annotated[str, typer.Option(help="cpu, cuda or cuda:N; auto takes a GPU if there is one.")]


@app.command()
def train(
    preset: Annotated[str, typer.Option(help=f"One of {', '.join(presets.PRESETS)}.")] = "cpu",
    variant: Annotated[
        str,
        typer.Option(help=f"One thing changed: {', '.join(presets.VARIANTS)}. [default: nothing]"),
    ] = "",
    seed: Annotated[
        int | None, typer.Option(help="Decides everything that is random. [default: 0]")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="The record's folder, under my-runs/ or $VITLIT_RUNS. [default: preset and time]"
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value: epochs=10, model.width=128. May be repeated."),
    ] = None,
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Train a ViT and leave the record of the run. An unfinished run of that name goes on.

    Several GPUs, or machines: torchrun --nproc-per-node 4 -m vitlit train …, with --name.
    """
    from vitlit import data as datasets
    from vitlit.processes import device_of
    from vitlit.train import train as run_training

    if seed is not None and any(text.partition("=")[0].strip() == "seed" for text in change or []):
        raise ValueError(f"seed is given twice, by --seed {seed} and by --set; give it once")
    changes = presets.changes_of(change or [])
    recipe = presets.preset(preset, variant, **{"seed": seed or 0, **changes})
    processes, rank = (int(os.environ.get(key, 0)) for key in ("WORLD_SIZE", "RANK"))
    if processes > 1 and name is None:
        raise ValueError(f"{processes} processes need one folder; give --name")
    out = records.mine() / (name or records.new_name(preset))
    dataset = datasets.load(data)
    command = f"torchrun --nproc-per-node {processes} -m " if processes > 1 else ""
    command += f"vitlit train --preset {preset}{f' --variant {variant}' if variant else ''}"
    command += f" --seed {recipe.seed}"
    command += "".join(f" --set {shlex.quote(text)}" for text in change or [])
    if rank == 0:
        console.print(f"{preset} on {dataset.title}, {len(dataset.train_images):,} images → {out}")
    import torch

    torch.backends.cuda.matmul.allow_tf32 = True  # what is tested in the end runs on the CPU
    run = run_training(recipe, dataset, out, device=device_of(device), command=command)
    if rank == 0:
        console.print(f"{run.summary['data_title']}, {run.summary['tested_on']}")
        console.print(_results(run))


@app.command()
def ablate(
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many seeds each.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="How many runs at a time.")] = 1,
    data: Data = None,
) -> None:
    """Train the preset `ablation` and all its variants, where you have no records of them."""
    folder = records.mine()
    threads = str(max(1, (os.cpu_count() or 1) // jobs))

    def run(job: tuple[int, str]) -> str:
        seed, variant = job
        name = "-".join(["ablation", *([variant.replace("=", "-")] if variant else [])])
        name += f"-seed{seed}"
        if not records.is_finished(folder / name):
            command = [sys.executable, "-m", "vitlit", "train", "--preset", "ablation"]
            command += ["--variant", variant, "--seed", str(seed), "--name", name]
            command += ["--data", data] if data else []
            done = subprocess.run(
                command, env=os.environ | {"OMP_NUM_THREADS": threads},
                capture_output=True, text=True, errors="replace",
            )  # fmt: skip
            if done.returncode:
                said = done.stderr.rpartition("\r")[2][-2000:]  # without what the bar drew
                raise ValueError(f"{shlex.join(command[1:])} failed\n{said}")
        return f"{name:<40}{records.read(folder / name).summary['test_accuracy']:>8.2%}"

    todo = [(seed, variant) for seed in range(seeds) for variant in ("", *presets.VARIANTS)]
    pool = ThreadPoolExecutor(jobs)
    with locks.held(folder / "ablation"):
        try:
            for line in pool.map(run, todo):
                console.print(line)
        finally:  # one that fails keeps the rest from being started
            pool.shutdown(cancel_futures=True)


@app.command()
def evaluate(
    weights: Weights = None,
    data: Data = None,
    files: Annotated[
        Path | None, typer.Option(help="Write a CSV with the prediction for every test image.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Test a model on all test images."""
    from vitlit import data as datasets
    from vitlit.evaluate import evaluate as run_evaluation

    classifier = _classifier(weights, device)
    dataset = datasets.load(data)
    classifier.check(dataset)
    result = run_evaluation(classifier, dataset.test_images, dataset.test_labels)
    right, total = int(result.right.sum()), len(result.labels)
    console.print(f"{dataset.title}: {right:,} of {total:,} test images right, {right / total:.2%}")
    if files is not None:
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file", "true", "predicted"])
        names = classifier.classes
        for row in zip(dataset.test_files, dataset.test_labels, result.predictions, strict=True):
            table.writerow([row[0], names[row[1]], names[row[2]]])
        write_file(files, text.getvalue().encode(errors="surrogateescape"))


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures: any size, any common format.")],
    weights: Weights = None,
    top: Annotated[int, typer.Option(min=1, help="How many classes to name.")] = 3,
    attention: Annotated[
        Path | None,
        typer.Option(help="Draw what the last block looks at (its class token, if any), as a PNG."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Say what is in a picture, among the classes that the model knows."""
    from vitlit.data import open_rgb

    if attention is not None and len(images) > 1:
        raise ValueError(f"--attention draws one picture, not {len(images)}; give one image")
    classifier = _classifier(weights, device)
    config = classifier.model.config
    for path in images:
        picture = open_rgb(path, config.image_size, config.channels)
        chances = classifier.logits(picture[None])[0].float().softmax(dim=0).cpu()
        best = chances.topk(min(top, len(chances)))
        shown = ", ".join(
            f"{plain(classifier.classes[k])} {p:.1%}"
            for p, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        )
        console.print(f"{plain(str(path))}: {shown}")
        if attention is not None:
            _draw_attention(classifier, picture, attention)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The folder to write; it must not exist yet.")],
    to: Annotated[str, typer.Option(help="torchvision, timm or huggingface.")],
    weights: Weights = None,
) -> None:
    """Write a model so that another library loads it, and say how."""
    from vitlit.export import export as write

    console.print(write(_classifier(weights, "cpu"), to, folder))


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(help="As --data of the other commands.")] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(help="Write the images as JPEG files of this quality (75: the JPEG copy)."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The folder to write them to.")] = None,
) -> None:
    """Say what data is there, or write it again as JPEG files."""
    from vitlit import data as datasets

    if (jpeg is None) != (to is None):
        raise ValueError("--jpeg QUALITY and --to FOLDER go together; give both or none")
    if jpeg is not None and to is not None:
        datasets.reencode(jpeg, to, source)
        console.print(f"written: {to}; use it with VITLIT_DATA={to}")
    else:
        console.print(datasets.describe(source))


def _classifier(weights: str | None, device: str) -> Any:
    """The classifier asked for; else that of the reader's newest run, or of the book's best."""
    from vitlit.classifier import load
    from vitlit.processes import device_of

    if weights is None:
        usable = [run for run in records.everywhere() if run.weights]
        own = (run for run in usable if run.path.parent != records.book())
        run = next(own, None) or studies.best(usable)
        if run is None:
            raise ValueError(
                f"no trained weights under {records.mine()}; give --weights FILE, or train a "
                "model with `vitlit train --preset cpu`"
            )
        weights = str(run.path)
    if stored := records.weights_of(weights):
        errors.print(f"model: {stored.parent}")
    return load(weights).to(device_of(device))


def _draw_attention(classifier: Any, picture: Any, path: Path) -> None:
    from vitlit import figures

    classifier = classifier.to("cpu")
    model = classifier.model
    weights = classifier.watch(picture[None])[f"attention_{model.config.depth}"][0]
    looks = weights[:, 0, 1:] if model.config.pooling == "class" else weights.mean(dim=1)
    maps = looks.unflatten(1, model.positions.grid)
    labels = ["image", "mean", *(f"head {h}" for h in range(1, len(maps) + 1))]
    figures.overlay(picture, [maps.mean(dim=0), *maps], labels).save(path)


def _results(run: records.Run) -> Table:
    table = Table()
    for column in ("epoch", "train_loss", "test_loss", "test_accuracy", "seconds"):
        table.add_column(column, justify="right")
    for row in zip(*(run.metrics[str(c.header)] for c in table.columns), strict=True):
        epoch, train_loss, test_loss, accuracy, seconds = row
        table.add_row(f"{epoch:.0f}", f"{train_loss:.3f}", f"{test_loss:.3f}",
                      f"{accuracy:.2%}", f"{seconds:.0f}")  # fmt: skip
    return table


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    accept_everything()
    try:
        app()
    except (ValueError, OSError) as error:
        errors.print(f"error: {error}", style="red")
        sys.exit(1)
