"""The interface between readers of published files and the store."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from repose.datasets.store import Progress, Target
from repose.datasets.store_writer import Recording
from repose.errors import expected


@dataclass(frozen=True, eq=False)
class Source:
    """An opened and checked data set; its recordings are created one by one when they are stored."""

    dataset: str
    skeleton: str
    target: Target | None
    licence: str
    splits: Mapping[str, Iterator[Recording]]
    notes: tuple[str, ...] = ()


def numeric_array(name: str, array: Any) -> np.ndarray:
    """Return `array` if it is an array of numbers; raises UserError with `name` if not."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        expected(name, "an array of numbers", f"a {type(array).__name__}")
    return array


def count_progress(what: str, total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return a function to call with the number of frames done since the last call."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(what, done, total)

    return count
