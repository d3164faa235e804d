"""What the scripts share: what work costs, best times taken in turn, and a process of its own."""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Cost(NamedTuple):
    """Time of one run; that of the processor counts all threads, and says the same on a busy machine."""

    elapsed_s: float
    cpu_s: float


def cost(work: Callable[[], object]) -> Cost:
    """Run once and time it."""
    elapsed, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - elapsed, time.process_time() - used)


def best_in_turn(
    works: Sequence[Callable[[], object]], *, runs: int = 1, seconds: float = 0.0
) -> list[float]:
    """Return the best elapsed time of each in seconds, since a busy machine makes either wait.

    They take turns, so that all have the same chances: at least `runs` times, and for `seconds` in all.
    """
    spent: list[list[float]] = [[] for _ in works]
    while len(spent[0]) < runs or sum(map(sum, spent)) < seconds:
        for work, times in zip(works, spent, strict=True):
            times.append(cost(work).elapsed_s)
    return [min(times) for times in spent]


def peak_mb() -> float:
    """Return the most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_own_process(*arguments: object) -> dict[str, Any]:
    """Run this script with other arguments, and return the JSON that it prints last.

    A process of its own has a peak memory of its own.
    """
    command = [sys.executable, sys.argv[0], *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
