"""Errors of one clip as sums, so that clips can be pooled and drawn again; means and bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from repose import metrics
from repose.evaluation.scores import GAPS_MM, depth_order_sums

JOINTS = ("all", "hidden", "visible")
"""Which joints a number is about. "visible": those not hidden, in frames in which others are."""
PAIR_EVERY_FRAMES = 5
"""Depth order in time is measured between frames so far apart, and multiples of it: the number of pairs grows
with the square."""
DRAWS = 1000
"""Of the bootstrap."""

Sums = dict[str, np.ndarray]
"""Metric -> (joints, sum and count), or (joints, sum and count, ranges of depth difference)."""


def measure(
    predicted_mm: Float[np.ndarray, "frames joints 3"],
    truth_mm: Float[np.ndarray, "frames joints 3"],
    hidden: Bool[np.ndarray, "frames joints"],
    fps: float,
    deviation_mm: Float[np.ndarray, "frames joints"] | None = None,
) -> Sums:
    """Sums of every metric over a clip. Joints are relative to the pelvis, which is joint 0, in camera axes.

    Errors of motion count as hidden where the joint is hidden in one of the frames that they take, depth
    orders where one of the two ends is.
    """
    error = metrics.per_joint_error(predicted_mm, truth_mm)
    aligned = metrics.procrustes_align(predicted_mm, truth_mm)
    sums = {
        "mpjpe_mm": _sums(error, hidden),
        "p_mpjpe_mm": _sums(metrics.per_joint_error(aligned, truth_mm), hidden),
    }
    difference, ever = predicted_mm - truth_mm, hidden
    for name, factor in (("velocity_error_mm_per_s", fps), ("acceleration_error_mm_per_s2", fps * fps)):
        difference, ever = np.diff(difference, axis=0), ever[1:] | ever[:-1]
        sums[name] = _sums(factor * np.linalg.norm(difference, axis=-1), ever)

    i, j = np.triu_indices(truth_mm.shape[1], 1)
    guess, depth = predicted_mm[..., 2], truth_mm[..., 2]
    sums["depth_order_joints_percent"] = _order_sums(guess.T, depth.T, hidden.T, i, j)
    guess, depth, some = (x[::PAIR_EVERY_FRAMES] for x in (guess, depth, hidden))
    i, j = np.triu_indices(len(depth), 1)
    sums["depth_order_frames_percent"] = _order_sums(guess, depth, some, i, j)

    if deviation_mm is not None:  # the pelvis has no error
        for number in (1, 2):
            within = 100.0 * (error < number * deviation_mm)[:, 1:]
            sums[f"within_{number}_deviations_percent"] = _sums(within, hidden[:, 1:])
    return sums


def _sums(
    values: Float[np.ndarray, "frames joints"], hidden: Bool[np.ndarray, "frames joints"]
) -> Float[np.ndarray, "3 2"]:
    visible = ~hidden & hidden.any(axis=1, keepdims=True)
    return np.array(
        [(values.sum(), values.size), *((values[which].sum(), which.sum()) for which in (hidden, visible))]
    )


def _order_sums(
    guess: Float[np.ndarray, "items groups"],
    depth: Float[np.ndarray, "items groups"],
    hidden: Bool[np.ndarray, "items groups"],
    i: Int[np.ndarray, " pairs"],
    j: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, "3 2 ranges"]:
    """Depth order of items `i` and `j` of each group; visible pairs count in groups with a hidden item."""
    touched = hidden.any(axis=0)
    parts = [
        depth_order_sums(
            guess[i][:, group] - guess[j][:, group],
            depth[i][:, group] - depth[j][:, group],
            ~(hidden[i][:, group] | hidden[j][:, group]),
        )
        for group in (touched, ~touched)
    ]
    total = parts[0].sum(axis=1) + parts[1].sum(axis=1)
    return np.stack([total, parts[0][:, 0], parts[0][:, 1]])


@dataclass(frozen=True)
class Estimate:
    """A mean over all clips, and its 95 % interval over draws of clips; NaN where nothing was measured."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Draws of clips with replacement, the same for everything that is measured on them."""

    def __init__(self, clips: int, seed: int) -> None:
        rng = np.random.default_rng((seed, clips))
        self.times: Float[np.ndarray, "draws clips"] = rng.multinomial(
            clips, np.full(clips, 1 / max(clips, 1)), size=DRAWS
        ).astype(np.float64)

    def mean(self, sums: Float[np.ndarray, "clips 2"]) -> Estimate:
        """Of sum over count."""
        return _estimate(_ratio(sums.sum(axis=0)[:, None]), _ratio((self.times @ sums).T))

    def difference(self, sums: Float[np.ndarray, "clips 2"], other: Float[np.ndarray, "clips 2"]) -> Estimate:
        """Of the means, over clips that both have."""
        both = ((sums[:, 1] > 0) & (other[:, 1] > 0))[:, None]
        sums, other = sums * both, other * both
        return _estimate(
            _ratio(sums.sum(axis=0)[:, None]) - _ratio(other.sum(axis=0)[:, None]),
            _ratio((self.times @ sums).T) - _ratio((self.times @ other).T),
        )


def pool(clips: Sequence[Sequence[Sums]]) -> Sums:
    """Sums over the views of each clip, if it has any: metric -> (clips, joints, sum and count, ...)."""
    pooled: Sums = {}
    for clip, views in enumerate(clips):
        for sums in views:
            for name, entry in sums.items():
                if name not in pooled:
                    pooled[name] = np.zeros((len(clips), *entry.shape))
                pooled[name][clip] += entry
    return pooled


def _ratio(sums: Float[np.ndarray, "2 draws"]) -> Float[np.ndarray, " draws"]:
    total, count = sums
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _estimate(mean: Float[np.ndarray, "1"], draws: Float[np.ndarray, " draws"]) -> Estimate:
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(mean[0]) or not len(draws):
        return Estimate(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(float(mean[0]), float(low), float(high))


RANGES_MM = tuple(
    f"{low:g}-{high:g}" if high else f"over {low:g}"
    for low, high in zip(GAPS_MM, (*GAPS_MM[1:], None), strict=True)
)
"""Ranges of the true depth difference."""
