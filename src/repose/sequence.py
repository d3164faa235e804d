"""Motion between frames: smooth interpolation over time, and what must go before a rate is lowered."""

import numpy as np


def low_pass(values: np.ndarray, ratio: float) -> np.ndarray:
    """Keep frequencies below `ratio` of half the rate: a windowed sinc; ends continue point-mirrored."""
    half = min(int(np.ceil(4 / ratio)), len(values) - 1)
    if half < 1:
        return values
    taps = np.arange(-half, half + 1)
    kernel = np.sinc(taps * ratio) * np.cos(np.pi * taps / (2 * half + 2)) ** 2
    kernel /= kernel.sum()
    before = 2 * values[0] - values[half:0:-1]
    after = 2 * values[-1] - values[-2 : -2 - half : -1]
    padded = np.concatenate([before, values, after])
    return sum(weight * padded[i : i + len(values)] for i, weight in enumerate(kernel))


def interpolate(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Values (frames, ...) at fractional frames `at`; a cubic through the four frames around."""
    if len(values) < 3:
        before, after, share = _around(values, at)
        return before * (1 - share) + after * share
    # One frame more at either end, continued as a parabola.
    first = 3 * values[0] - 3 * values[1] + values[2]
    last = 3 * values[-1] - 3 * values[-2] + values[-3]
    padded = np.concatenate([first[None], values, last[None]])
    low = np.minimum(at.astype(int), len(values) - 2)
    t = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    a, b, c, d = (padded[low + i] for i in range(4))
    return b + t / 2 * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def interpolate_positive(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Sizes or deviations, 0 or more (frames, ...), at fractional frames `at`: straight in their logarithms.

    They never leave the range of the two frames around. The cubic of `interpolate` does, to below 0 even.
    """
    before, after, share = _around(values, at)
    return before ** (1 - share) * after**share


def _around(values: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values of the frames before and after `at`, and how far from the one to the other it is."""
    low = np.minimum(at.astype(int), max(len(values) - 2, 0))
    share = (at - low).reshape(-1, *[1] * (values.ndim - 1))
    return values[low], values[np.minimum(low + 1, len(values) - 1)], share
