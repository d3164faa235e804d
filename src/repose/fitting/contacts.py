"""When a foot stands on the ground: low, and at rest.

Everything is in the frame of a camera that stands still, in metres, with `up` a unit vector in it.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float

from repose.sequence import around, runs, unbroken
from repose.skeleton import Skeleton

DEPTH_DOUBT = 4.0
"""How many times less certain a place is along the line of sight than across it."""
REACH_S = 1.0
"""The floor is the lowest that feet come within so much time: a jump is shorter, and stairs are longer."""
LOW_M, AT_REST_M_S = 0.06, 0.25
"""A foot touches down when its joint is not higher above its lowest, and not faster, than this."""
LIFTED_M, MOVING_M_S = 0.08, 0.35
"""It leaves when it is higher, or faster."""
SHORTEST_S = 0.08
"""A touch is at least so long; a shorter pause between two is none."""


def ground_joints(skeleton: Skeleton) -> tuple[str, ...]:
    """Name the joints that touch the ground: heels and big toes, or the ankles of a layout without them."""
    parts = ("heel", "big_toe") if "left_heel" in skeleton.joints else ("ankle",)
    return tuple(f"{side}_{part}" for part in parts for side in ("left", "right"))


def find_contacts(
    joints_m: Float[np.ndarray, "frames feet 3"],
    times_s: Float[np.ndarray, " frames"],
    up: Float[np.ndarray, "3"],
    seen: Bool[np.ndarray, "frames feet"] | None = None,
) -> Bool[np.ndarray, "frames feet"]:
    """In which frames each of the feet's joints rests on the ground; only one that was `seen` is said to.

    Speed along the line of sight counts a quarter (`DEPTH_DOUBT`), because depth is what a lifter knows
    worst. A foot on a treadmill moves, and is in contact with nothing.
    """
    touching = np.zeros(joints_m.shape[:2], dtype=bool)
    seen = np.ones_like(touching) if seen is None else seen
    for rows in unbroken(times_s):
        times, feet = times_s[rows], joints_m[rows]
        if len(times) < 3:
            continue
        height = feet @ up
        above = height - _floor(height.min(axis=1), times)[:, None]
        speed = speeds(feet, times)
        for foot in range(feet.shape[1]):
            low = (above[:, foot] < LOW_M) & (speed[:, foot] < AT_REST_M_S)
            high = (above[:, foot] > LIFTED_M) | (speed[:, foot] > MOVING_M_S)
            touching[rows, foot] = _lasting(_latch(low, high), times) & seen[rows, foot]
    return touching


def episodes(touching: Bool[np.ndarray, " frames"]) -> Iterator[slice]:
    """Rows of each touch of one foot."""
    yield from (slice(*run) for run in runs(touching))


def speeds(
    points_m: Float[np.ndarray, "frames points 3"], times_s: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames points"]:
    """Speed of each point, of which the part along the line of sight counts a quarter."""
    if len(points_m) < 2:
        return np.zeros(points_m.shape[:2])
    velocity = np.gradient(points_m, times_s, axis=0)
    sight = points_m / np.linalg.norm(points_m, axis=-1, keepdims=True)
    along = (velocity * sight).sum(axis=-1, keepdims=True)
    return np.linalg.norm(velocity - (1 - 1 / DEPTH_DOUBT) * along * sight, axis=-1)


def _floor(lowest: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The height of the ground at each time: what the lowest joint hardly ever goes below around it."""
    reach = max(1, round(REACH_S / float(np.median(np.diff(times)))))
    window = 2 * reach + 1
    rank = window // 10  # the tenth percentile
    return around(lowest, window, lambda heights: np.partition(heights, rank, axis=-1)[..., rank])


def _latch(on: np.ndarray, off: np.ndarray) -> np.ndarray:
    """True from each `on` until the next `off`."""
    latest = np.maximum.accumulate(np.where(on | off, np.arange(len(on)), -1))
    return (latest >= 0) & on[latest] & ~off[latest]


def _lasting(touching: np.ndarray, times: np.ndarray) -> np.ndarray:
    step = float(np.median(np.diff(times)))
    for value in (False, True):  # first the pauses, then the touches
        for rows in list(episodes(touching == value)):
            inside = rows.start > 0 and rows.stop < len(touching)
            if (value or inside) and times[rows.stop - 1] - times[rows.start] + step < SHORTEST_S:
                touching[rows] = not value
    return touching
