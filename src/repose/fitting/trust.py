"""What a keypoint is worth: told by how far and how long it contradicts the network and the body."""

from functools import partial

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.normal_equations import Joints, Lengths
from repose.sequence import around
from repose.skeleton import Skeleton

NEAR_S, LONG_S = 1 / 3, 1.0
"""What keypoints are off the network's answer by is averaged over so long."""
LEAST = 0.001
"""Nothing is told apart below this share of the person's height."""
FROM, NEAR, LONG, EXCESS, ALL, CONFIDENCE = 9.57, 1.49, 0.87, 0.45, -0.58, -2.1
"""The logarithm of the odds that a keypoint is off by more than 3 % of the height, and its slope over the
logarithms of what it is off the network, for a moment and for long, of what adjacent bones are too long by in
the picture, and of what the whole body is off the network; and over the confidence. A logistic regression on
validation motion of the CMU database, with other bodies, a virtual and a measured detector's errors, and
joints hidden of which the detector is unaware. `FROM` is half a unit higher than there: a wrong keypoint
harms more than a right one helps."""
SHARPNESS = 4.0
"""A keypoint is either believed or not: half-believed in every frame, a wrong one would still win."""
PAIRS = tuple(
    (f"{side}_{near}", f"{side}_{far}")
    for side in ("left", "right")
    for near, far in (("knee", "ankle"), ("elbow", "wrist"))
)
"""What is hidden together: where one is doubted, so is the other, by half."""


def keypoint_trust(
    rays: Float[np.ndarray, "frames joints 2"],
    joints_m: Joints,
    lengths_m: Lengths,
    height: Float[np.ndarray, " frames"],
    seen: Bool[np.ndarray, "frames joints"],
    confidence: Float[np.ndarray, "frames joints"],
    times_s: Float[np.ndarray, " frames"],
    skeleton: Skeleton,
) -> Float[np.ndarray, "frames joints"]:
    """Find what each keypoint counts for, beyond its confidence: 0 to 1.

    A detector that is sure of a wrong place, behind an obstacle for instance, stays there for a while. The
    network, which knows how people move, does not follow it all the way, and bones look longer than they are.
    Where the whole body is off the network's answer, though, it is the network that is wrong.
    `joints_m` and `lengths_m` are the network's, in the view's axes; `height` is the person's as a tangent.
    """
    depth_m = np.maximum(joints_m[..., 2:], 0.1)
    off = ((rays - joints_m[..., :2] / depth_m) ** 2).sum(axis=-1) / height[:, None] ** 2
    near, long = (np.sqrt(average(off, seen, around_s, times_s)) for around_s in (NEAR_S, LONG_S))
    excess = np.zeros(seen.shape)
    for (child, parent), length_m in zip(skeleton.bones, lengths_m, strict=True):
        long_by = np.linalg.norm(rays[:, child] - rays[:, parent], axis=-1)
        long_by -= length_m / depth_m[:, skeleton.parents.index(-1), 0]
        long_by = np.where(seen[:, child] & seen[:, parent], long_by / height, 0.0)
        excess[:, [child, parent]] = np.maximum(excess[:, [child, parent]], long_by[:, None])
    excess = average(excess, seen, NEAR_S, times_s)
    body = np.ma.median(np.ma.MaskedArray(near, ~seen), axis=1).filled(1.0)[:, None]
    odds = FROM + CONFIDENCE * confidence
    for slope, share in ((NEAR, near), (LONG, long), (EXCESS, excess), (ALL, body)):
        odds = odds + slope * np.log(np.maximum(share, LEAST))
    trust = 1 / (1 + np.exp(np.clip(SHARPNESS * odds, -50, 50)))
    for name in PAIRS:
        if set(name) <= set(skeleton.joints):
            pair = skeleton.indices(*name)
            both = np.where(seen[:, pair].all(axis=1), np.sqrt(trust[:, pair].prod(axis=1)), 1.0)
            trust[:, pair] = np.minimum(trust[:, pair], both[:, None])
    return trust


def average(
    values: Float[np.ndarray, "frames joints"],
    seen: Bool[np.ndarray, "frames joints"],
    around_s: float,
    times_s: Float[np.ndarray, " frames"],
) -> Float[np.ndarray, "frames joints"]:
    """Average over so long around each frame, of the frames in which the joint was seen."""
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else around_s
    frames = max(1, round(around_s / step_s)) | 1
    total, count = (
        around(array, frames, partial(np.mean, axis=-1))
        for array in (np.where(seen, values, 0.0), seen.astype(np.float64))
    )
    return total / np.maximum(count, 1 / frames)


def jitter(
    points: Float[np.ndarray, "frames joints 2"], seen: Bool[np.ndarray, "frames joints"]
) -> Float[np.ndarray, " joints"]:
    """Find the deviation of each joint's noise: how far points are off the middle of their neighbours."""
    noise = np.zeros(points.shape[1])
    if len(points) < 3:
        return noise
    off = points[1:-1] - (points[:-2] + points[2:]) / 2
    three = seen[1:-1] & seen[:-2] & seen[2:]
    for joint in np.flatnonzero(three.sum(axis=0) > 4):
        # 1.4826: from the median to a deviation; 3/2: the variance of the point and of two halves.
        noise[joint] = 1.4826 * np.median(np.abs(off[three[:, joint], joint])) / 1.5**0.5
    return noise
