"""Motion without jitter: spikes taken out, a low-pass without lag, and One-Euro where nothing may be late.

Times are seconds and may be irregular. Across a gap (`stretches`) nothing is filtered.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

LONGEST_STEP_S = 0.25
"""A longer step in time is a gap, unless the frame rate itself is that low."""
SPIKE_S = 0.1
"""Spikes are at most so long."""
SMALLEST_SPIKE_M = 0.10
USUAL_TURN_M_S2 = 20.0
"""How sharply limbs turn: what they depart from their path by within the window is no spike."""
SPIKE_DEVIATIONS = 5.0
"""How many (robust) standard deviations from its surroundings a spike is at least."""


def stretches(times_s: Float[np.ndarray, " frames"]) -> Iterator[slice]:
    """Rows between gaps, in order; together they are all rows."""
    if not len(times_s):
        return
    steps = np.diff(times_s)
    gap = max(LONGEST_STEP_S, 3 * float(np.median(steps))) if len(steps) else np.inf
    edges = [0, *(np.flatnonzero(steps > gap) + 1).tolist(), len(times_s)]
    yield from (slice(first, stop) for first, stop in pairwise(edges))


def low_pass(
    values: Float[np.ndarray, "frames *axes"], times_s: Float[np.ndarray, " frames"], cutoff_hz: float
) -> Float[np.ndarray, "frames *axes"]:
    """Low-pass without lag; half the power is left at `cutoff_hz`.

    The smooth curve that is nearest to the values, its bends paid for: ∫ (x − y)² + x″² / ω⁴ dt is least.
    A sine of angular frequency u passes by 1 / (1 + (u/ω)⁴), as through the filter of biomechanics, a
    Butterworth of the second order run forwards and backwards (Winter, Biomechanics and Motor Control of
    Human Movement, 2009, section 3.4.4.2). Written so, uneven times and the ends are no special cases
    (Eilers, "A perfect smoother", 2003). A cut-off that the frame rate cannot carry changes nothing.
    """
    from scipy import sparse
    from scipy.sparse.linalg import splu

    smooth = values.copy()
    for rows in stretches(times_s):
        times = times_s[rows]
        if len(times) < 3:
            continue
        weight = np.gradient(times)
        bend = bending(times)
        step_s = float(np.median(np.diff(times)))
        if cutoff_hz * step_s >= 0.5:
            continue
        # A second difference of a sine is (2 sin(π f Δt))² times the sine, and half the power a gain of √½.
        stiffness = (2**0.5 - 1) * (2 * np.sin(np.pi * cutoff_hz * step_s) / step_s) ** -4
        equations = sparse.diags_array(weight) + stiffness * (bend.T @ bend)
        flat = values[rows].reshape(len(times), -1).astype(np.float64)
        smooth[rows] = splu(equations.tocsc()).solve(weight[:, None] * flat).reshape(values[rows].shape)
    return smooth


def bending(times_s: Float[np.ndarray, " frames"]) -> Any:
    """Sparse matrix B (frames − 2, frames) of which |B x|² is the integral of x″² over time."""
    from scipy import sparse

    before, after = np.diff(times_s)[:-1], np.diff(times_s)[1:]
    middle = (before + after) / 2
    rows = np.array([1 / before, -1 / before - 1 / after, 1 / after]) / np.sqrt(middle)
    return sparse.diags_array(rows, offsets=[0, 1, 2], shape=(len(middle), len(times_s)))


def remove_spikes(
    points_m: Float[np.ndarray, "frames points 3"], times_s: Float[np.ndarray, " frames"]
) -> tuple[Float[np.ndarray, "frames points 3"], Bool[np.ndarray, "frames points"]]:
    """Points that leave their path for a moment, put back on a straight line between their neighbours.

    A point is a spike where it is further than a limb may turn aside, and than `SPIKE_DEVIATIONS` robust
    standard deviations, from the median of its surroundings (Hampel's filter).
    Returns the points, and which moved.
    """
    from scipy.ndimage import median_filter

    found = np.zeros(points_m.shape[:2], dtype=bool)
    for rows in stretches(times_s):
        path, times = points_m[rows], times_s[rows]
        if len(path) < 5:
            continue
        step_s = float(np.median(np.diff(times)))
        reach = max(2, round(SPIKE_S / step_s))
        window = min(2 * reach + 1, len(path) - 1 + len(path) % 2)
        away_m = np.linalg.norm(path - median_filter(path, (window, 1, 1), mode="nearest"), axis=-1)
        usual_m = median_filter(away_m, (2 * window + 1, 1), mode="nearest")
        least_m = max(SMALLEST_SPIKE_M, USUAL_TURN_M_S2 * (reach * step_s) ** 2 / 2)
        found[rows] = away_m > np.maximum(least_m, SPIKE_DEVIATIONS * 1.4826 * usual_m)
    clean = points_m.copy()
    for point in np.flatnonzero(found.any(axis=0)):
        bad = found[:, point]
        if not bad.all():
            for axis in range(3):
                clean[bad, point, axis] = np.interp(times_s[bad], times_s[~bad], points_m[~bad, point, axis])
    return clean, found


class OneEuro:
    """The One-Euro filter: smooth while slow, prompt while fast, and never late by a frame.

    Casiez, Roussel and Vogel, "1€ Filter: a simple speed-based low-pass filter for noisy input in
    interactive systems", CHI 2012. For streams: give it one frame after the other.

        smooth = OneEuro()
        for time_s, joints_m in stream:
            show(smooth(joints_m, time_s))
    """

    def __init__(
        self, min_cutoff_hz: float = 1.5, cutoff_hz_per_m_s: float = 3.0, speed_cutoff_hz: float = 1.0
    ) -> None:
        self.min_cutoff_hz = min_cutoff_hz
        self.cutoff_hz_per_m_s = cutoff_hz_per_m_s
        """What each metre per second of speed adds to the cut-off ("beta")."""
        self.speed_cutoff_hz = speed_cutoff_hz
        self._last: tuple[float, np.ndarray, np.ndarray] | None = None

    def __call__(
        self, points_m: Float[np.ndarray, "*points axes"], time_s: float
    ) -> Float[np.ndarray, "*points axes"]:
        """The points at `time_s`, smoothed by what came before; later than all times so far."""
        if self._last is None:
            self._last = (time_s, points_m, np.zeros_like(points_m))
            return points_m
        last_s, before, velocity = self._last
        step_s = time_s - last_s
        velocity = velocity + _share(self.speed_cutoff_hz, step_s) * ((points_m - before) / step_s - velocity)
        speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
        share = _share(self.min_cutoff_hz + self.cutoff_hz_per_m_s * speed, step_s)
        smooth = before + share * (points_m - before)
        self._last = (time_s, smooth, velocity)
        return smooth


def follow(
    points_m: Float[np.ndarray, "frames *axes"], times_s: Float[np.ndarray, " frames"], cutoff_hz: float
) -> Float[np.ndarray, "frames *axes"]:
    """The points as `OneEuro` gives them one after the other, begun anew after each gap.

    At rest its cut-off is a quarter of `cutoff_hz`, which it reaches at 1.5 m/s.
    """
    smooth = points_m.copy()
    for rows in stretches(times_s):
        one_euro = OneEuro(cutoff_hz / 4, cutoff_hz / 2)
        smooth[rows] = [
            one_euro(*frame) for frame in zip(points_m[rows], times_s[rows].tolist(), strict=True)
        ]
    return smooth


def _share(cutoff_hz: np.ndarray | float, step_s: float) -> np.ndarray | float:
    """How much of a new value an exponential filter of that cut-off takes."""
    turn = 2 * np.pi * cutoff_hz * step_s
    return turn / (turn + 1)
