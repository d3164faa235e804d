"""Readers that go wrong in every way that a campaign must notice."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path

from repose.errors import UserError, reading


def _throws(path: Path) -> None:
    if b"o" not in path.read_bytes():
        raise KeyError("o")


def _loops(path: Path) -> None:
    while True:
        pass


def _keeps_the_interruption(path: Path) -> None:
    """A library that swallows every exception, over and over."""
    for _ in range(3):
        try:
            _loops(path)
        except BaseException:
            continue


def _asks_for_memory(path: Path) -> None:
    with reading(path, "anything"):
        bytes(2**36)


def _takes_memory(path: Path) -> None:
    b"x" * (600 * 2**20)


def _dies(path: Path) -> None:
    os.abort()


def _warns(path: Path) -> None:
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)


def _cannot_be_printed(path: Path) -> None:
    error = UserError("expected a name")
    error.args = ("found \ud800",)  # a message that says so itself comes out escaped
    raise error


WRONG: dict[str, Callable[[Path], None]] = {
    "planted-throws": _throws,
    "planted-loops": _loops,
    "planted-swallows": _keeps_the_interruption,
    "planted-asks": _asks_for_memory,
    "planted-takes": _takes_memory,
    "planted-dies": _dies,
    "planted-warns": _warns,
    "planted-message": _cannot_be_printed,
}
