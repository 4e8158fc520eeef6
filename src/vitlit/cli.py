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
from typer.core import TyperGroup

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


class Commands(TyperGroup):
    """The commands, each of which Ctrl-C ends in one line."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _stopped("nothing was written; the same command begins anew") from None


app = typer.Typer(
    cls=Commands,
    help="The Vision Transformer, as a book that runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console, errors = Terminal(), Terminal(stderr=True)

FEW = 5_000  # pictures, below which a model is better not trained from scratch
Data = Annotated[
    str | None,
    typer.Option(
        help="A folder of images, or a zip or tar archive of one (`vitlit data --help` says how it "
        "is laid out); 'official' or 'digits'. [default: $VITLIT_DATA, else the official CIFAR-10 "
        "archive]"
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        help="Crop and resize all images: a side in pixels, 64, or height and width, 48x64; 8 to "
        "1024. [default: $VITLIT_SIZE, else as they are, if they are all alike]"
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="A run's name or folder, a model.safetensors, or another library's weights: a file or "
        "folder of them, torchvision:vit_b_16, timm:NAME, huggingface:ORGANIZATION/NAME. What they "
        "do not tell may follow the name: vit.pth,heads=12. [default: your newest run that has "
        "some, else the book's best]"
    ),
]
Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:N or mps; auto takes a GPU if there is one.")
]


@app.command()
def train(
    preset: Annotated[
        str | None,
        typer.Option(
            help=f"One of {', '.join(presets.PRESETS)}. [default: own for fewer than {FEW:,} "
            "training images, else cpu]"
        ),
    ] = None,
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
            help="The record's folder, under my-runs/ or $VITLIT_RUNS. [default: preset and "
            "pictures; if that is finished, the same with a number]"
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another value: epochs=10, model.width=128. May be repeated."),
    ] = None,
    data: Data = None,
    size: Size = None,
    device: Device = "auto",
) -> None:
    """Train a ViT and leave the record of the run. Repeated, an unfinished run goes on.

    Several GPUs, or machines: torchrun --nproc-per-node 4 -m vitlit train …, with --name.
    """
    from vitlit import data as datasets
    from vitlit.processes import device_of
    from vitlit.sizes import written
    from vitlit.train import train as run_training

    if seed is not None and any(text.partition("=")[0].strip() == "seed" for text in change or []):
        raise ValueError(f"seed is given twice, by --seed {seed} and by --set; give it once")
    changes = presets.changes_of(change or [])
    # What is wrong about it is said before anything is decoded.
    without = "own" if "start" in changes else "cpu"
    presets.preset(preset or without, variant, **{"seed": seed or 0, **changes})
    if name is not None and (Path(name).name != name or name in ("", ".", "..")):
        raise ValueError(f"--name {name!r} is no name of a folder; give one without slashes")
    processes, rank = (int(os.environ.get(key, 0)) for key in ("WORLD_SIZE", "RANK"))
    if processes > 1 and name is None:
        raise ValueError(f"{processes} processes need one folder; give --name")
    device = device_of(device)
    dataset = datasets.load(data, size=size)
    preset = preset or ("own" if len(dataset.train_images) < FEW else without)
    recipe = presets.preset(preset, variant, **{"seed": seed or 0, **changes})
    source = data or os.environ.get("VITLIT_DATA", "")
    called = name or records.usual_name(preset, source, variant, recipe.seed)
    out = records.mine() / called if name else records.unused(called)
    command = f"torchrun --nproc-per-node {processes} -m " if processes > 1 else ""
    command += f"vitlit train --preset {preset}{f' --variant {variant}' if variant else ''}"
    command += f" --seed {recipe.seed}"
    command += "".join(f" --set {shlex.quote(text)}" for text in change or [])
    command += f" --size {written(dataset.size)}" if dataset.size else ""
    if rank == 0:
        console.print(f"{preset} on {dataset.title}, {len(dataset.train_images):,} images → {out}")
        for line in dataset.remarks:
            console.print(f"images: {line}")
    import torch

    torch.backends.cuda.matmul.allow_tf32 = True  # what is tested in the end runs on the CPU
    try:
        run = run_training(recipe, dataset, out, device=device, command=command)
    except KeyboardInterrupt:
        raise _stopped(f"{records.left(out)}; the same command goes on") from None
    if rank == 0:
        console.print(f"{run.summary['data_title']}, {run.summary['tested_on']}")
        console.print(_results(run))


@app.command()
def ablate(
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Which to change, once for each; by default {' and '.join(presets.ABLATED)}.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="How many seeds each.")] = 3,
    jobs: Annotated[int, typer.Option(min=1, help="How many runs at a time.")] = 1,
    data: Data = None,
    size: Size = None,
) -> None:
    """Train presets and all their variants, where you have no records of them."""
    folder = records.mine()
    recipes = [presets.preset(name) for name in preset or presets.ABLATED]
    threads = str(max(1, (os.cpu_count() or 1) // jobs))

    def run(job: tuple[int, str, str]) -> str:
        seed, base, variant = job
        name = "-".join([base, *([variant.replace("=", "-")] if variant else [])])
        name += f"-seed{seed}"
        if not records.is_finished(folder / name):
            command = [sys.executable, "-m", "vitlit", "train", "--preset", base]
            command += ["--variant", variant, "--seed", str(seed), "--name", name]
            command += ["--data", data] if data else []
            command += ["--size", size] if size else []
            done = subprocess.run(
                command, env=os.environ | {"OMP_NUM_THREADS": threads},
                capture_output=True, text=True, errors="replace",
            )  # fmt: skip
            if done.returncode:
                said = done.stderr.rpartition("\r")[2][-2000:]  # without what the bar drew
                raise ValueError(f"{shlex.join(command[1:])} failed\n{said}")
        return f"{name:<44}{records.read(folder / name).summary['test_accuracy']:>8.2%}"

    todo = [
        (seed, recipe.preset, variant)
        for seed in range(seeds)
        for recipe in recipes
        for variant in ("", *presets.VARIANTS)
        if not variant or not presets.has(recipe, variant)
    ]
    pool = ThreadPoolExecutor(jobs)
    with locks.held(folder / "ablation"):
        try:
            for line in pool.map(run, todo):
                console.print(line)
        except KeyboardInterrupt:
            raise _stopped("finished runs are kept; the same command makes the others") from None
        finally:  # one that fails keeps the rest from being started
            pool.shutdown(cancel_futures=True)


@app.command()
def evaluate(
    weights: Weights = None,
    data: Data = None,
    size: Size = None,
    files: Annotated[
        Path | None, typer.Option(help="Write a CSV with the prediction for every test image.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Test a model on all test images.

    Images of many sizes are cropped and resized to the model's own, if no --size is given.
    """
    from vitlit.evaluate import evaluate as run_evaluation

    if files is not None and files.is_dir():
        raise ValueError(f"--files {files} is a folder; give a file, {files / 'predictions.csv'}")
    classifier = _classifier(weights, device)
    dataset = _images_for(classifier, data, size)
    classifier.check(dataset)
    (H, W), own = dataset.test_images.shape[2:], classifier.model.config.image_size
    if own != (H, W):
        errors.print(f"images: {H}×{W}, resized to the model's own {own[0]}×{own[1]}")
    for line in dataset.remarks:
        errors.print(f"images: {line}")
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

    if attention is not None:
        _check_drawing(attention, images)
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
    folder: Annotated[
        Path,
        typer.Argument(help="The folder, or for onnx the file, to write; it must not exist yet."),
    ],
    to: Annotated[str, typer.Option(help="torchvision, timm, huggingface or onnx.")],
    weights: Weights = None,
    stored: Annotated[
        str, typer.Option(help="For onnx: the weights as fp32, or as fp16 in half the bytes.")
    ] = "fp32",
) -> None:
    """Write a model so that another library loads it, and say how.

    With onnx it is one file, which runs without PyTorch, and which the book's page takes.
    """
    from vitlit import figures
    from vitlit.export import export as write
    from vitlit.export import predicting

    weights = _chosen(weights)
    classifier = _classifier(weights, "cpu")
    lines = write(classifier, to, folder, weights, stored)
    console.print(lines + predicting(classifier, to, folder, figures.CHELSEA))


@app.command()
def data(
    source: Annotated[str | None, typer.Argument(help="As --data of the other commands.")] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(help="Write the images as JPEG files of this quality (75: the JPEG copy)."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="The folder to write them to.")] = None,
    size: Size = None,
) -> None:
    """Say what data is there, or write it again as JPEG files.

    A folder of images, or a .zip or .tar archive of one, is laid out in one of two ways:

    \b
        photos/train/cat/1.jpg        photos/cat/1.jpg
        photos/train/dog/2.jpg        photos/dog/2.jpg
        photos/test/cat/3.jpg
        photos/test/dog/4.jpg

    In place of test/ there may be val/, valid/ or validation/. Without any, one in five images of
    each class is tested on. The images may have any size, if one is given with --size.
    """
    from vitlit import data as datasets

    if (jpeg is None) != (to is None):
        raise ValueError("--jpeg QUALITY and --to FOLDER go together; give both or none")
    if jpeg is not None and to is not None:
        datasets.reencode(jpeg, to, source)
        console.print(f"written: {to}; use it with VITLIT_DATA={to}")
    else:
        console.print(datasets.describe(source, size=size))


def _chosen(weights: str | None) -> str:
    """The weights asked for; else those of the reader's newest run, or of the book's best."""
    if weights is not None:
        return weights
    usable = [run for run in records.everywhere() if run.weights]
    own = (
        run
        for run in usable
        # What that study pre-trains knows seven classes and is no end in itself.
        if run.path.parent != records.book() and run.summary["preset"] != "pretraining"
    )
    run = next(own, None) or studies.best(usable)
    if run is None:
        raise ValueError(
            f"no trained weights under {records.mine()}; give --weights FILE, or train a "
            "model with `vitlit train --preset cpu`"
        )
    return str(run.path)


def _classifier(weights: str | None, device: str) -> Any:
    """The classifier of the chosen weights; what was assumed of them is said."""
    from vitlit.classifier import load
    from vitlit.pretrained import assumptions, split
    from vitlit.processes import device_of

    weights, device = _chosen(weights), device_of(device)
    if stored := records.weights_of(split(weights)[0]):
        errors.print(f"model: {stored.parent}")
    classifier = load(weights)
    if classifier.assumed:
        errors.print(assumptions(weights, classifier.assumed))
    _refuse_overflow(classifier, weights)
    return classifier.to(device)


def _refuse_overflow(classifier: Any, weights: str) -> None:
    """Refuse finite weights that make no finite answer, of a gray image."""
    import torch

    c = classifier.model.config
    gray = torch.full((1, c.channels, *c.image_size), 128, dtype=torch.uint8)
    if c.classes and not classifier.logits(gray).isfinite().all():
        raise ValueError(
            f"{weights} gives answers that are no finite numbers; its weights are too large or "
            "damaged, give others"
        )


def _check_drawing(path: Path, images: list[Path]) -> None:
    """Refuse a place for a drawing that is none, before anything is computed."""
    if len(images) > 1:
        raise ValueError(f"--attention draws one picture, not {len(images)}; give one image")
    if path.is_dir():
        raise ValueError(f"--attention {path} is a folder; give a file, {path / 'attention.png'}")
    if path.suffix.lower() != ".png":
        raise ValueError(f"--attention {path} is to be a PNG; call it {path.with_suffix('.png')}")
    if path.resolve() == images[0].resolve():
        raise ValueError(f"--attention {path} is the picture itself; give another file")


def _images_for(classifier: Any, data: str | None, size: str | None) -> Any:
    """The images to test on; where they need a size and none was given, at the model's own."""
    from vitlit.data import SizeError, load
    from vitlit.sizes import asked, written

    try:
        return load(data, size=size)
    except SizeError:
        if asked(size) is not None:
            raise
        own = classifier.model.config.image_size
        errors.print(f"images: at the model's own size, --size {written(own)}")
        return load(data, size=own)


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


def _stopped(what: str) -> typer.Exit:
    """The end after Ctrl-C, in one line."""
    errors.print(f"\nstopped; {what}")
    return typer.Exit(130)


def main() -> None:
    """Run the command; bad input or Ctrl-C ends with one line that says what was the matter."""
    accept_everything()
    try:
        app()
    except (ValueError, OSError) as error:
        errors.print(f"error: {error}", style="red")
        sys.exit(1)
