"""What takes how long, measured in rounds: each runs one block a round, in an order drawn anew.

So a machine that slows down slows all alike, and what counts is a ratio within a round.
"""

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from vitlit.files import write

Step = Callable[[], object]
SEED = 0  # of all that is random, the order within rounds included


def timed(step: Step, count: int, device: torch.device) -> float:
    """Seconds that `count` steps take."""
    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    synchronize()
    start = time.perf_counter()
    for _ in range(count):
        step()
    synchronize()
    return time.perf_counter() - start


def steps_in(seconds: float, step: Step, device: torch.device) -> int:
    """Warm up for about that long, and return how many steps fit into it; at least one."""
    times = [timed(step, 1, device), timed(step, 1, device)]
    while sum(times) < seconds:
        times.append(timed(step, 1, device))
    return max(1, round(seconds / min(times)))


def interleaved[Name: Hashable](
    steps: dict[Name, Step], rounds: int, seconds: float, device: torch.device
) -> dict[Name, list[float]]:
    """Seconds a step in every round, by name; a block of steps lasts about `seconds`."""
    counts = {name: steps_in(seconds, step, device) for name, step in steps.items()}
    times: dict[Name, list[float]] = {name: [] for name in steps}
    shuffle = random.Random(SEED).shuffle
    for _ in range(rounds):
        order = list(steps)
        shuffle(order)
        for name in order:
            times[name].append(timed(steps[name], counts[name], device) / counts[name])
    return times


def ratios(these: list[float], those: list[float]) -> list[float]:
    """The one by the other, round by round."""
    return [this / that for this, that in zip(these, those, strict=True)]


def spread(values: list[float]) -> dict[str, float]:
    """Median and spread over the rounds."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"median": statistics.median(values), "min": min(values), "max": max(values),
            "deviation": deviation}  # fmt: skip


def settings_of(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """What the command line gives, and defaults for what it leaves open (None).

    Raises ValueError on counts below 1, and on blocks of no time.
    """
    settings = {name: default if given[name] is None else given[name]
                for name, default in defaults.items()}  # fmt: skip
    for name, value in settings.items():
        option = f"--{name.replace('_', '-')}"
        if name == "seconds" and not value > 0:
            raise ValueError(f"{option} is {value}; it must be above 0")
        if name != "seconds" and value < 1:
            raise ValueError(f"{option} is {value}; it must be at least 1")
    return settings


def save(result: dict[str, Any], out: Path | None, console: Console) -> None:
    """Write what was measured, if it is to be written, and say where."""
    if out is not None:
        text = json.dumps(result, indent=2, ensure_ascii=False)
        write(out, f"{text}\n".encode())
        console.print(f"written to {out}", soft_wrap=True)


def main(run: Callable[[list[str]], object]) -> None:
    """Run a command; bad input ends with one line that says what was wrong."""
    try:
        run(sys.argv[1:])
    except (ValueError, OSError) as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("\nstopped; nothing was written, the same command begins anew") from None
