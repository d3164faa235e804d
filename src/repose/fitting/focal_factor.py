"""The focal length, from feet that stand while their person walks towards the camera or away from it.

How far the root goes along the line of sight grows with the focal length that is assumed; how far the
supporting foot goes back against the root does not. Where the foot stands, the two are equal.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.gravity import find_up
from repose.geometry.rotation import unit
from repose.pose import Pose3D
from repose.sequence import around
from repose.skeleton import H36M_17, conversion_matrix

STEP_S = 8 / 30
"""Over so long the ways of root and foot are compared."""
SMOOTH_S = 2 / 30
"""Width of the Gaussian that takes the jitter out of them."""
APART_M = 0.05
"""A foot bears its person alone where the other is higher by so much for a moment."""
FEWEST_WAYS = 15
"""Ways that are compared at least."""
MOST_SPREAD = 0.12
"""Standard deviation of the slope over the slope, up to which it is believed."""
LATERAL = (0.6, 1.5)
"""The same slope across the line of sight, where no focal length matters: of who does not walk but roll, or
walks on a treadmill, it is another."""
OFFSET, GAIN = 0.153, 1.195
"""Of the focal length's logarithm over that of the slope: a lifter makes steps in depth too short. Measured,
as are the next, on 65 walks and runs of the CMU database's validation bodies, in 195 lenses."""
DEVIATION = 0.18
"""Of the focal length's logarithm as steps tell it, on recordings left out when the others were measured."""
PRIOR_DEVIATION = 0.3
"""Of the focal length's logarithm for cameras that film people, about the assumed one."""
FARTHEST = 0.8
"""What is further from the assumed one, in its logarithm, is no lens that films people."""


@dataclass(frozen=True)
class FocalFactor:
    """By how much longer the focal length is than the one that people were lifted with."""

    factor: float
    deviation: float
    """Of its logarithm."""


def find_focal_factor(poses: Sequence[Pose3D]) -> FocalFactor | None:
    """Find the focal length that all these people's steps agree on, as the lifter made them.

    The mean of what steps tell and of the assumed lens, weighted by their variances. None where nobody
    walks far enough in depth, where steps contradict each other, and where feet do not stand.
    """
    walks = [
        _ways_m(pose)
        for pose in poses
        if pose.coordinates == "camera" and pose.R_view_cam is None and len(pose) > 2 * STEP_S * pose.fps
    ]
    ways_m = np.concatenate([np.zeros((0, 2, 2)), *walks])
    if len(ways_m) < FEWEST_WAYS:
        return None
    overlapping = STEP_S * max(pose.fps for pose in poses)
    slope, deviation = _slope(ways_m[..., 0], overlapping)
    across, doubt = _slope(ways_m[..., 1], overlapping)
    if slope <= 0 or deviation > MOST_SPREAD * slope:
        return None
    if doubt < MOST_SPREAD and not LATERAL[0] < across < LATERAL[1]:
        return None
    told = OFFSET + GAIN * float(np.log(slope))
    if abs(told) > FARTHEST:
        return None
    share = PRIOR_DEVIATION**2 / (PRIOR_DEVIATION**2 + DEVIATION**2)
    return FocalFactor(float(np.exp(share * told)), DEVIATION)


def _ways_m(pose: Pose3D) -> Float[np.ndarray, "ways 2 2"]:
    """Ways of the root, and of the supporting foot back against it; along the line of sight, and across."""
    joints = conversion_matrix(pose.skeleton, H36M_17) @ pose.joints_m.astype(np.float64)
    step = max(2, round(STEP_S * pose.fps))
    up = find_up([joints], [pose.times_s]).direction
    feet = joints[:, H36M_17.indices("left_ankle", "right_ankle")] - joints[:, :1]
    height = feet @ up
    low, apart = height.argmin(axis=1), np.abs(height[:, 0] - height[:, 1])
    sides = [pose.skeleton.index(name) for name in ("left_ankle", "right_ankle")]
    seen = pose.seen[np.arange(len(joints)), np.array(sides)[low]]
    across = unit(np.cross(up, [0.0, 0.0, 1.0]))
    axes = np.stack([np.array([0.0, 0.0, 1.0]), across], axis=-1)
    root, feet = (_smooth(values @ axes, SMOOTH_S * pose.fps) for values in (joints[:, 0], feet))
    first = np.arange(len(joints) - step)
    windows = first[:, None] + np.arange(step + 1)
    stands = (low[windows] == low[first, None]).all(axis=1) & (apart[windows].max(axis=1) > APART_M)
    stands &= seen[windows].all(axis=1)
    stands &= pose.times_s[first + step] - pose.times_s[first] < 1.5 * STEP_S  # no gap between
    start, foot = first[stands], low[first[stands]]
    back = feet[start, foot] - feet[start + step, foot]
    return np.stack([root[start + step] - root[start], back], axis=1)


def _smooth(values: Float[np.ndarray, "frames *axes"], deviation: float) -> Float[np.ndarray, "frames *axes"]:
    """Smooth with a Gaussian of that many frames."""
    reach = round(4 * deviation)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    return around(values, len(kernel), lambda near: near @ kernel, "symmetric")


def _slope(ways_m: Float[np.ndarray, "ways 2"], overlapping: float) -> tuple[float, float]:
    """Find the factor from the first of the ways to the second, robustly, and its standard deviation."""
    x, y = ways_m.T
    weights = np.ones(len(x))
    slope = 0.0
    for _ in range(10):
        slope = float((weights * x * y).sum() / max((weights * x * x).sum(), 1e-9))
        off = y - slope * x
        weights = 1 / (1 + (off / (1.4826 * np.median(np.abs(off)) + 1e-3)) ** 2)
    variance = (weights * off**2).sum() / weights.sum()
    return slope, float(np.sqrt(variance * overlapping / max((weights * x * x).sum(), 1e-9)))
