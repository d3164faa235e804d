"""Words and numbers of plain text formats."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from repose.errors import UserError, expected
from repose.files.numbers import LARGEST, check_numbers


def read_text(path: Path) -> str:
    """Read a whole file as text; bytes that are not UTF-8 become replacement characters.

    Raises UserError for a file that is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None


def beginning(text: str) -> str:
    """Quote the beginning of a file that was not understood, for a message."""
    words = " ".join(text[:400].split())
    return repr(words[:40]) if words else "an empty file"


def parse_numbers(
    path: str | Path, words: Sequence[str], count: int | None = None, *, largest: float = LARGEST
) -> list[float]:
    """Parse words as finite numbers up to `largest`, `count` of them; raises UserError otherwise."""
    try:
        numbers = list(map(float, words))
    except ValueError as error:
        expected(str(path), "a number", str(error).rpartition(": ")[2][:60])
    check_numbers(str(path), numbers, largest=largest, where=lambda index: f"as number {index[0] + 1}")
    if count is not None and len(numbers) != count:
        expected(str(path), f"{count} numbers", repr(" ".join(words)[:60]))
    return numbers


def parse_count(path: Path, word: str, what: str, most: int) -> int:
    """Parse a whole number from 0 to `most`, in ASCII digits; raises UserError otherwise."""
    if not (word.isascii() and word.isdigit() and len(word) <= len(str(most)) and int(word) <= most):
        expected(str(path), f"{what}: a whole number up to {most:,}", repr(word[:40]))
    return int(word)


def parse_rate(path: Path, frame_time: str) -> float:
    """Convert a time between frames in seconds to frames per second; raises UserError for implausible ones.

    Frame times are printed with few digits: 0.0333333 s means 30 Hz.
    """
    (seconds,) = parse_numbers(path, [frame_time], largest=float(np.finfo(float).max))
    if seconds <= 0:
        expected(str(path), "a positive Frame Time", frame_time)
    slowest, fastest = 1.0, 2000.0
    if not 1 / fastest <= seconds <= 1 / slowest:
        hint = "Write the time between two frames in seconds."
        for meant, unit in ((seconds / 1000, "milliseconds"), (1 / seconds, "frames per second")):
            if 0.004 <= meant <= 0.2:
                hint = f"If it is meant in {unit}, write {meant:.6g}."
                break
        wanted = f"a Frame Time in seconds, of {slowest:g} to {fastest:g} frames per second"
        expected(str(path), wanted, frame_time[:40], hint)
    return round(1 / seconds, 2)
