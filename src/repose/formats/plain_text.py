"""Words and numbers of the formats that are plain text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from repose.errors import UserError, expected


def read_text(path: Path) -> str:
    """The whole file as text; bytes that are no UTF-8 become marks that no format knows.

    Raises UserError for a file that is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None


def beginning(text: str) -> str:
    """What a file that was not understood begins with, for a message."""
    words = " ".join(text[:400].split())
    return repr(words[:40]) if words else "an empty file"


def parse_numbers(path: Path, words: Sequence[str], count: int | None = None) -> list[float]:
    """The words as finite numbers, `count` of them; raises UserError otherwise."""
    try:
        numbers = list(map(float, words))
    except ValueError as error:
        expected(str(path), "a number", str(error).rpartition(": ")[2])
    if not np.isfinite(numbers).all():
        expected(str(path), "finite numbers", "NaN or infinity")
    if count is not None and len(numbers) != count:
        expected(str(path), f"{count} numbers", repr(" ".join(words)))
    return numbers
