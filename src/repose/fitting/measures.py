"""What refining is to better, measured before and after."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from repose.metrics import bone_lengths
from repose.sequence import unbroken
from repose.skeleton import Skeleton


@dataclass(frozen=True)
class Measures:
    """How unsteady a motion is. None where nothing is known of it."""

    acceleration_m_s2: float | None
    """Mean over joints and frames."""
    bone_variation: float | None
    """Standard deviation of a bone's length over its mean, of the bone where it is greatest."""
    foot_skating_m_s: float | None
    """Mean speed along the ground of feet that touch it."""
    foot_height_m: float | None
    """Root mean square distance of the soles that touch the ground from its level."""
    tilt_deg: float | None
    """Angle between what is up and what the coordinates call up."""


def acceleration(
    joints_m: Float[np.ndarray, "frames joints 3"], times_s: Float[np.ndarray, " frames"]
) -> float | None:
    """Mean acceleration in m/s², over whatever follows without a gap; None for fewer than three frames."""
    parts = [np.zeros((0, joints_m.shape[1], 3))]
    for rows in unbroken(times_s):
        steps = np.diff(times_s[rows])[:, None, None]
        velocity = np.diff(joints_m[rows], axis=0) / steps
        parts.append(np.diff(velocity, axis=0) / ((steps[1:] + steps[:-1]) / 2))
    sizes = np.concatenate([np.linalg.norm(part, axis=-1) for part in parts])
    return float(sizes.mean()) if sizes.size else None


def bone_variation(joints_m: Float[np.ndarray, "frames joints 3"], skeleton: Skeleton) -> float | None:
    """Standard deviation over mean of the bone whose length varies most; None without a frame."""
    if not len(joints_m):
        return None
    lengths = bone_lengths(joints_m, skeleton)
    return float((lengths.std(axis=0) / np.maximum(lengths.mean(axis=0), 1e-9)).max())


def foot_skating(
    ankles_m: Float[np.ndarray, "frames feet 3"],
    touching: Bool[np.ndarray, "frames feet"],
    times_s: Float[np.ndarray, " frames"],
    up: Float[np.ndarray, "3"],
) -> float | None:
    """Mean speed along the ground in m/s of feet from one frame that they touch it in to the next."""
    velocity = np.diff(ankles_m, axis=0) / np.diff(times_s)[:, None, None]
    level = velocity - (velocity @ up)[..., None] * up
    resting = touching[1:] & touching[:-1]
    return float(np.linalg.norm(level, axis=-1)[resting].mean()) if resting.any() else None
