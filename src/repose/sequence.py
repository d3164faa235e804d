"""Values over time: gaps and runs of frames, interpolation, and the low-pass before downsampling.

The only place for these, for NumPy arrays whose first axis is time. The networks' own form of `fill_gaps`,
for tensors and within a window, is in `repose.models.perspective_crop`.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

Values = Float[np.ndarray, "frames *axes"]


def runs(there: Bool[np.ndarray, " frames"]) -> list[tuple[int, int]]:
    """Find runs of rows that are `there`: the first row of each, and the one after its last."""
    edges = np.flatnonzero(np.diff(np.pad(there.astype(np.int8), 1)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def stretches(apart: Bool[np.ndarray, " steps"]) -> list[slice]:
    """Split rows at gaps, in order; `apart[i]` means that row i and the next are apart."""
    edges = [0, *(np.flatnonzero(apart) + 1).tolist(), len(apart) + 1]
    return [slice(start, stop) for start, stop in pairwise(edges)]


LONGEST_STEP_S = 0.25
"""A longer step in time is a gap, unless the frame rate itself is that low."""


def unbroken(times_s: Float[np.ndarray, " frames"]) -> list[slice]:
    """Split rows at gaps in time, in order; together they are all rows."""
    steps = np.diff(times_s)
    if not len(steps):
        return [slice(0, len(times_s))] if len(times_s) else []
    return stretches(steps > max(LONGEST_STEP_S, 3 * float(np.median(steps))))


def missing(frames: Int[np.ndarray, " frames"]) -> list[tuple[int, int]]:
    """Find gaps between increasing frame numbers: the first and last number of each."""
    before = np.flatnonzero(np.diff(frames) > 1)
    return [(int(frames[i]) + 1, int(frames[i + 1]) - 1) for i in before]


def fill_gaps(
    values: Values,
    known: Bool[np.ndarray, "frames *some"],
    *,
    times_s: Float[np.ndarray, " frames"] | None = None,
    longest: int | None = None,
) -> Values:
    """Interpolate unknown values linearly in time; the ends are held.

    `known` has the first axes of `values`. What is never known stays as it is. Times are even unless given.
    With `longest`, only gaps of at most this many frames are filled, and none at the ends.
    """
    frame = np.arange(len(values)).reshape(-1, *[1] * (known.ndim - 1))
    before = np.maximum.accumulate(np.where(known, frame, -1))
    after = np.minimum.accumulate(np.where(known, frame, len(values))[::-1])[::-1]
    fill = ~known & known.any(axis=0)
    if longest is not None:
        fill &= (before >= 0) & (after < len(values)) & (after - before <= longest + 1)
    first = np.where(before >= 0, before, after).clip(max=len(values) - 1)
    last = np.where(after < len(values), after, before).clip(min=0)
    times = np.arange(len(values), dtype=np.float64) if times_s is None else times_s
    span = times[last] - times[first]
    share = (times[frame] - times[first]) / np.where(span > 0, span, 1)
    share, fill, first, last = (
        part.reshape(*part.shape, *[1] * (values.ndim - part.ndim)) for part in (share, fill, first, last)
    )
    start, end = (np.take_along_axis(values, rows, axis=0) for rows in (first, last))
    return np.where(fill, start + share * (end - start), values)


def fill_missing(
    points: Float[np.ndarray, "frames joints 2"], seen: Bool[np.ndarray, "frames joints"]
) -> Float[np.ndarray, "frames joints 2"]:
    """Interpolate missing joints over time; one never seen is put at the mean of the others."""
    filled = fill_gaps(points, seen)
    ever_seen = seen.any(axis=0)
    filled[:, ~ever_seen] = filled[:, ever_seen].mean(axis=1, keepdims=True)
    return filled


def interpolate(values: Values, at: Float[np.ndarray, " places"]) -> Float[np.ndarray, "places *axes"]:
    """Interpolate at fractional frames `at` by a cubic through the four frames around (Catmull–Rom).

    Beyond the ends a parabola goes on, so a quadratic motion comes out exact.
    """
    before, after, share = _around(values, at)
    if len(values) < 3:
        return before * (1 - share) + after * share
    # Hermite's form of the cubic; SciPy's gives the same, but takes 0.3 s to import.
    start, end, _ = _around(np.gradient(values, axis=0, edge_order=2).astype(np.float64), at)
    step = after.astype(np.float64) - before
    curve = 3 * step - 2 * start - end + share * (start + end - 2 * step)
    return before + share * (start + share * curve)


def interpolate_positive(
    values: Values, at: Float[np.ndarray, " places"]
) -> Float[np.ndarray, "places *axes"]:
    """Interpolate non-negative values at fractional frames `at`, linearly in their logarithms.

    They never leave the range of the two frames around. The cubic of `interpolate` does, to below 0 even.
    """
    before, after, share = _around(values, at)
    return before ** (1 - share) * after**share


def interpolate_linear(
    values: Values, places: Shaped[np.ndarray, " frames"], at: Shaped[np.ndarray, " places"]
) -> Float[np.ndarray, "places *axes"]:
    """Interpolate linearly between values known at increasing `places`; the ends are held."""
    before, after, share = _around(values, np.interp(at, places, np.arange(len(places))))
    return before + share * (after - before)


_LONG_KERNEL = 100
"""So many taps to either side are faster through Fourier transforms."""


def low_pass(values: Values, ratio: float) -> Values:
    """Keep frequencies below `ratio` of half the rate: a windowed sinc; ends continue point-mirrored."""
    half = min(int(np.ceil(4 / ratio)), len(values) - 1)
    if half < 1:
        return values
    from scipy.ndimage import convolve1d
    from scipy.signal import oaconvolve

    taps = np.arange(-half, half + 1)
    kernel = np.sinc(taps * ratio) * np.cos(np.pi * taps / (2 * half + 2)) ** 2
    around = [(half, half), *[(0, 0)] * (values.ndim - 1)]
    padded = np.pad(values, around, "reflect", reflect_type="odd")
    kernel /= kernel.sum()
    if half > _LONG_KERNEL:
        return oaconvolve(padded, kernel.reshape(-1, *[1] * (values.ndim - 1)), "valid", axes=0)
    return convolve1d(padded, kernel, axis=0)[half:-half]


_ROWS_AT_ONCE = 4096


def around(
    values: Values,
    frames: int,
    statistic: Callable[[np.ndarray], Any],
    ends: Literal["edge", "symmetric"] = "edge",
) -> Values:
    """Return a statistic of each frame and those around it, `frames` together.

    `statistic` is taken of (rows, *axes, `frames`), over the last axis. Beyond the ends the first and last
    value go on, or the motion goes back (`symmetric`). It is scipy.ndimage that does the same: importing it
    takes longer than these filters do.
    """
    pad = [(frames // 2, (frames - 1) // 2), *[(0, 0)] * (values.ndim - 1)]
    view = np.lib.stride_tricks.sliding_window_view(np.pad(values, pad, ends), frames, axis=0)
    return np.concatenate(
        [statistic(view[row : row + _ROWS_AT_ONCE]) for row in range(0, max(len(values), 1), _ROWS_AT_ONCE)]
    )


def resample(
    values: Values, at: Float[np.ndarray, " places"], ratio: float
) -> Float[np.ndarray, "places *axes"]:
    """Interpolate at fractional frames `at`, which have `ratio` times the rate.

    What a lower rate cannot show, above half of it, is filtered out first, without delay.
    """
    return interpolate(low_pass(values, ratio) if ratio < 1 else values, at)


def to_rate(
    points: Float[np.ndarray, "frames joints 2"],
    confidence: Float[np.ndarray, "frames joints"],
    times_s: Float[np.ndarray, " frames"],
    rate_hz: float,
) -> tuple[
    Float[np.ndarray, "steps joints 2"], Float[np.ndarray, "steps joints"], Float[np.ndarray, " frames"]
]:
    """Resample points and confidence to a model's rate, and say where the frames lie among its steps.

    Frames that have the rate already, to 2 %, and come evenly, to a tenth of a frame, stay untouched.
    """
    count = len(times_s)
    span = (times_s[-1] - times_s[0]) * rate_hz
    at = np.arange(count, dtype=np.float64)
    uneven = np.abs((times_s - times_s[0]) * rate_hz - at / max(count - 1, 1) * span).max()
    if count == 1 or (abs(span / (count - 1) - 1) < 0.02 and uneven < 0.1):
        return points, confidence, at
    # A whole number of steps from the first frame to the last, so that nothing is extrapolated.
    steps = max(round(span), 1)
    sources = np.interp(np.linspace(times_s[0], times_s[-1], steps + 1), times_s, at)
    # A joint counts as seen where the nearest frame has it.
    nearest = np.round(sources).astype(int)
    return (
        resample(points, sources, steps / (count - 1)),
        confidence[nearest],
        (times_s - times_s[0]) / (times_s[-1] - times_s[0]) * steps,
    )


def _around(
    values: Values, at: Float[np.ndarray, " places"]
) -> tuple[Float[np.ndarray, "places *axes"], Float[np.ndarray, "places *axes"], np.ndarray]:
    """Values of the frames before and after `at`, and how far from the one to the other it is."""
    low = np.clip(at.astype(int), 0, max(len(values) - 2, 0))
    share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low], values[np.minimum(low + 1, len(values) - 1)], share
