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


def run_all[Job, Done](
    run: Callable[[Job], Done], *phases: Iterable[Job], at_once: int
) -> list[Done]:
    """Run jobs, so many at a time; print what each returns, in their order, and return it.

    A phase begins when the one before it is done. `run` must not be defined in another function,
    since workers import it. Ends the program with one line if a job raises ValueError or OSError,
    if a worker is killed, and at Ctrl-C.
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
    except BrokenProcessPool:
        sys.exit(f"error: a worker was killed, maybe for want of memory; {KEPT}")
    except KeyboardInterrupt:
        sys.exit(f"\nstopped; {KEPT}")
    finally:
        pool.shutdown(cancel_futures=True)
    return done


def prepare(threads: int) -> None:
    """Set a worker up: its share of the cores, and Ctrl-C ends it without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    torch.set_num_threads(threads)


@functools.cache
def load(source: str | None) -> datasets.Dataset:
    """The data, read once a process."""
    return datasets.load(source)
