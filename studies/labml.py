"""Accuracy against training time in the configuration of labml's annotated ViT: `make labml`.

Only the configuration is theirs, the code is vitlit's. From labml_nn/transformers/vit/experiment.py
and the defaults behind it: width 512, 6 layers, 8 heads, ReLU in the MLPs of width 2048 and in the
head's hidden layer of 2048, patches of 4×4, dropout 0.1, batches of 64, Adam at a constant 2.5e-4,
random crops padded by 4 and flips; no weight decay, warm-up, clipping or label smoothing; fp32.

Where it is not theirs: weights start as vitlit's do (theirs as PyTorch's layers do), crops are
padded by reflection (theirs with zeros), every channel is normalized by its own mean and deviation
(theirs by 0.5), and dropout falls on the tokens before the first block as in the paper, not on the
attention weights; attention and optimizer are PyTorch's fused ones, so a step takes less time than
in their code. They train 32 epochs; here the clock decides. It runs while training, warm-up of the
GPU included, and stands while testing, which happens once, at the end.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from vitlit import data as datasets
from vitlit import processes, records
from vitlit.augment import crop_and_flip, draw
from vitlit.classifier import Classifier
from vitlit.encoder import MLP
from vitlit.evaluate import evaluate
from vitlit.presets import Recipe
from vitlit.train import classifier_for, summary_of


def recipe_of(seed: int) -> Recipe:
    """Labml's configuration, as far as a recipe says it: Adam is AdamW without decay."""
    return Recipe(
        preset="labml", batch_size=64, learning_rate=2.5e-4, weight_decay=0.0, warmup=0.0,
        label_smoothing=0.0, clip=0.0, crop=1 / 8, flip=True, seed=seed,
        model={
            "patch_size": 4, "width": 512, "depth": 6, "heads": 8, "mlp_width": 2048,
            "head": "mlp", "head_width": 2048, "activation": "relu", "dropout": 0.1, "eps": 1e-5,
        },
    )  # fmt: skip


def batches_of(
    images: Tensor, labels: Tensor, recipe: Recipe, flip: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches without end: epoch after epoch, each in another order."""
    padding = round(recipe.crop * images.shape[-1])
    generator = torch.Generator().manual_seed(recipe.seed)
    while True:
        drawn = draw(len(images), padding, flip and recipe.flip, generator)
        shifts, flips = (t.to(images.device) for t in drawn)
        order = torch.randperm(len(images), generator=generator).to(images.device)
        for index in order.split(recipe.batch_size):
            yield crop_and_flip(images[index], shifts[index], flips[index], padding), labels[index]


def train(
    classifier: Classifier, batches: Iterator[tuple[Tensor, Tensor]], rate: float, seconds: float
) -> tuple[list[float], int, float]:
    """Train until the time is over, one step at least: losses, images seen, seconds it took."""
    model = classifier.model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    losses: list[Tensor] = []
    seen = 0
    start = time.perf_counter()
    with tqdm(unit=" images", mininterval=0.5, disable=None) as bar:
        while not losses or time.perf_counter() - start < seconds:
            images, targets = next(batches)
            loss = F.cross_entropy(model(classifier.inputs(images)), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            seen += len(images)
            bar.update(len(images))
            # A GPU is given work ahead of time: wait for the step before, or the clock says little.
            losses[-2:][0].item()
    values = torch.stack(losses).tolist()
    return values, seen, time.perf_counter() - start


def run(words: list[str]) -> records.Run:
    """Train and test as the command line says, and write the record."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="of training (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="decides everything that is random")
    parser.add_argument("--data", help="as in `vitlit train` (default: VITLIT_DATA, or CIFAR-10)")
    parser.add_argument("--device", default="auto", help="cpu or cuda; auto takes a GPU if there")
    parser.add_argument("--out", type=Path, help="the record's folder (default: under my-runs/)")
    arguments = parser.parse_args(words)
    if not arguments.minutes > 0:
        raise ValueError(f"--minutes is {arguments.minutes:g}; it must be above 0")
    out = arguments.out or records.mine() / f"labml-seed{arguments.seed}"
    records.refuse_finished(out)

    device = processes.device_of(arguments.device)
    recipe = recipe_of(arguments.seed)
    data = datasets.load(arguments.data)
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    classifier = classifier_for(recipe, data, data.train_images).to(device)
    model = classifier.model
    for module in model.modules():
        if isinstance(module, MLP):
            module.gelu = nn.ReLU()  # type: ignore[assignment]
    positions = [model.positions.table.detach().cpu().numpy().copy()]

    batches = batches_of(images, labels, recipe, data.flip)
    trained = (classifier, batches, recipe.learning_rate, 60 * arguments.minutes)
    losses, seen, seconds = train(*trained)
    positions.append(model.positions.table.detach().cpu().numpy())
    result = evaluate(classifier, data.test_images.to(device), data.test_labels)

    epochs = round(seen / len(images), 3)
    recent = losses[-max(1, len(images) // recipe.batch_size) :]
    row = {
        "epoch": epochs,
        "train_loss": sum(recent) / len(recent),  # of the last epoch, or of what there is of it
        "test_loss": result.loss,
        "test_accuracy": result.accuracy,
        "learning_rate": recipe.learning_rate,
        "seconds": seconds,
    }
    about = {
        "device": device,
        "epochs": epochs,
        "images": seen,
        "parameters": sum(p.numel() for p in model.parameters()),
        "train_seconds": seconds,
    }
    command = f"python -m studies.labml --minutes {arguments.minutes:g} --seed {recipe.seed}"
    changed = {"epochs": epochs, "minutes": arguments.minutes}
    beyond = {"schedule": "constant", "mlp_activation": "relu"}  # what no recipe or model can say
    records.write(
        out,
        config={
            "command": command,
            **asdict(recipe),
            **changed,
            **beyond,
            "vit": asdict(model.config),
        },
        environment=records.environment() | processes.machine(device),
        data=data.summary(),
        summary=summary_of(recipe, data, result, **about),
        rows=[row],
        predictions=result.answers,
        positions=np.stack(positions),
    )
    return records.read(out)


def main() -> None:
    """Run the command; bad input ends with one line that says what was wrong."""
    try:
        summary = run(sys.argv[1:]).summary
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; nothing was written, the same command begins anew") from None
    minutes = summary["train_seconds"] / 60
    print(
        f"{summary['test_accuracy']:.2%} of {summary['tested']:,} {summary['tested_on']} after "
        f"{minutes:.1f} minutes, {summary['images']:,} images, {summary['epochs']} epochs"
    )


if __name__ == "__main__":
    main()
