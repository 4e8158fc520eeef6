"""Runs side by side, each in a process of its own with its share of the cores."""

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import torch

from vitlit import data as datasets

KEPT = "finished runs are kept, and the same command makes the others"


def run_all[Job](run: Callable[[Job], str], jobs: Iterable[Job], at_once: int) -> None:
    """Run jobs, so many at a time, and print what each returns, in their order.

    `run` must not be defined in another function, since workers import it. Ends the program with
    one line if a job raises ValueError or OSError, if a worker is killed, and at Ctrl-C.
    """
    threads = max(1, (os.cpu_count() or 1) // at_once)
    spawned = get_context("spawn")
    pool = ProcessPoolExecutor(at_once, spawned, initializer=prepare, initargs=(threads,))
    try:
        for line in pool.map(run, jobs):
            print(line, flush=True)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    except BrokenProcessPool:
        sys.exit(f"error: a worker was killed, maybe for want of memory; {KEPT}")
    except KeyboardInterrupt:
        sys.exit(f"\nstopped; {KEPT}")
    finally:
        pool.shutdown(cancel_futures=True)


def prepare(threads: int) -> None:
    """Set a worker up: its share of the cores, and Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)


@functools.cache
def load(source: str | None) -> datasets.Dataset:
    """The data, read once a process."""
    return datasets.load(source)
