"""The numbers that a file may hold: finite, and within the range of people and pictures of them."""

from collections.abc import Callable, Sequence

import numpy as np

from repose.errors import expected

LARGEST = 1e9
"""No place, angle, time or pixel of a recording is larger, in any unit; powers of larger ones overflow."""
LARGEST_M = 1e6
"""The same in metres: a thousand kilometres."""


def check_numbers(
    name: str,
    values: np.ndarray | Sequence[float],
    *,
    largest: float = LARGEST,
    missing: bool = False,
    where: Callable[[tuple[int, ...]], str] = lambda index: f"at {index}" if index else "",
    hint: str = "",
) -> None:
    """Raise UserError for what is no number, is not finite, or is beyond `largest` either way.

    Every reader that does not build a `Pose2D` or `Pose3D` (which check theirs) checks what it read here,
    before it computes with it or turns it into a smaller type.

    Args:
        name: file and array, for the message.
        values: whole numbers or floats of any type and shape.
        largest: the bound, in the unit of the numbers.
        missing: whether NaN stands for what was not found, and is allowed.
        where: words for a place in the array.
        hint: what to do.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        expected(name, "numbers", f"an array of {array.dtype}", hint)
    limit = np.float64(largest)  # which a small float type would not hold
    fits = (array >= -limit) & (array <= limit)
    if missing:
        fits |= np.isnan(array)
    if fits.all():
        return
    first = tuple(np.argwhere(~fits)[0].tolist())
    count = int((~fits).sum())
    found = f"{array[first]:g} {where(first)}".rstrip()
    wanted = f"numbers up to {largest:,.0f}" if np.isfinite(array[first]) else "finite numbers"
    expected(name, wanted, f"{found} ({count:,} in all)" if array.ndim else found, hint)
