"""What studies share that make many runs: the data, steps without epochs, and several at a time."""

import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from typing import cast

import torch
from tqdm import tqdm

from vitlit import data as datasets
from vitlit.presets import Recipe
from vitlit.train import Batch, Learner, batches_of, fewer_patches, train_epoch
from vitlit.vit import VisionTransformer


@functools.cache
def load(source: str | None) -> datasets.Dataset:
    """The data, read once a process. Takes and raises what `data.load` does."""
    return datasets.load(source)


def batches(data: datasets.Dataset, recipe: Recipe) -> Iterator[Batch]:
    """Augmented batches without end, epoch after epoch."""
    for epoch in itertools.count():
        yield from batches_of(data.train_images, data.train_labels, recipe, data.flip, epoch)


def train_for(learner: Learner, given: Iterator[Batch], steps: int, bar: tqdm) -> float:
    """Train for a number of steps, however many epochs that is.

    Each part of the recipe's `keep` gets its share of the steps. Returns the mean loss of the last
    share. Raises ValueError if there is no step.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps cannot train anything; give at least 1")
    parts = cast(tuple[float, ...], learner.recipe.keep)
    ends = [steps * number // len(parts) for number in range(len(parts) + 1)]
    loss = 0.0
    for part, begin, end in zip(parts, ends, ends[1:], strict=False):
        if begin < end:
            # A model that is no ViT has no patches, and so no part of them below 1.
            model = cast(VisionTransformer, learner.classifier.model)
            with fewer_patches(model, part) if part < 1 else nullcontext():
                loss = train_epoch(learner, itertools.islice(given, end - begin), bar)
    return loss


def make[Job, Done](run: Callable[[Job], Done], *phases: Sequence[Job], at_once: int) -> list[Done]:
    """Make runs, `at_once` at a time in processes that share the cores, and print what each says.

    A phase begins when the one before it is done. An error, or Ctrl-C, ends the program with a line
    that says why; runs that are finished are kept.
    """
    threads = max(1, (os.cpu_count() or 1) // at_once)
    spawned = get_context("spawn")
    pool = ProcessPoolExecutor(at_once, spawned, initializer=prepare, initargs=(threads,))
    done: list[Done] = []
    try:
        for jobs in phases:
            for result in pool.map(run, jobs):
                print(result, flush=True)
                done.append(result)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped; finished runs are kept, and the same command makes the others")
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def prepare(threads: int) -> None:
    """Set a worker up: its share of the cores, and Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)
