"""Time of every metric on 90 000 frames of 17 joints, as one clip and as 45 videos of 2 000 frames.

    python perf/metrics.py

Depth order over frame pairs grows with the square of a clip's length and stands apart.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from cost import best_in_turn

from repose import metrics

FRAMES = 90_000
VIDEO = 2_000

METRICS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "per_joint_error": metrics.per_joint_error,
    "mpjpe": metrics.mpjpe,
    "p_mpjpe": metrics.p_mpjpe,
    "n_mpjpe": metrics.n_mpjpe,
    "velocity_error": lambda predicted, target: metrics.velocity_error(predicted, target, 50.0),
    "acceleration_error": lambda predicted, target: metrics.acceleration_error(predicted, target, 50.0),
    "pck": metrics.pck,
    "auc": metrics.auc,
    "bone_length_error": metrics.bone_length_error,
    "symmetry_error": lambda predicted, target: metrics.symmetry_error(predicted),
    "depth order, joints": metrics.depth_order_accuracy,
    "depth order, frames": lambda predicted, target: metrics.depth_order_accuracy(
        predicted, target, "frames"
    ),
}


def main() -> None:
    random = np.random.default_rng(0)
    target = random.normal(size=(FRAMES, 17, 3))
    predicted = target + 0.05 * random.normal(size=target.shape)
    totals = {FRAMES: 0.0, VIDEO: 0.0}
    print(f"{'seconds':20} {'one clip':>10} {'videos':>10}")
    for name, metric in METRICS.items():
        apart = name == "depth order, frames"
        row = []
        for length in totals:
            if apart and length == FRAMES:
                row.append("")
                continue
            (seconds,) = best_in_turn([partial(score, metric, predicted, target, length)], runs=3)
            totals[length] += 0.0 if apart else seconds
            row.append(f"{seconds:.3f}")
        if apart:
            print(f"{'together':20} {totals[FRAMES]:10.3f} {totals[VIDEO]:10.3f}")
        print(f"{name:20} {row[0]:>10} {row[1]:>10}")


def score(metric: Callable, predicted: np.ndarray, target: np.ndarray, length: int) -> None:
    for first in range(0, FRAMES, length):
        metric(predicted[first : first + length], target[first : first + length])


if __name__ == "__main__":
    main()
