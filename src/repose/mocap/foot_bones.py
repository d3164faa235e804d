"""Heels and toes of recordings whose skeletons have an ankle and bones of a foot, or markers on it.

A foot is drawn from its ankle, the way that it points, and the way that its sole faces, in proportion to the
stature. All of its points lie on the sole. Sources: height of the ankle, length and breadth of the foot from
Winter (Biomechanics and Motor Control, 2009, figure 4.1); place and height of the axis of the toes from Delp
et al. (IEEE Transactions on Biomedical Engineering 37, 1990: 130 and 44 mm before and below the ankle of
somebody 1.80 m tall). The heel is 0.030 of the stature behind the ankle: 0.027 there, and 0.0335 from the
markers of UI-PRMD's ten people, which stand out by 7 mm. Assumed are the place of the toes across the foot
and that the smallest ends at 0.82 of its length.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from repose.geometry.rotation import unit
from repose.mocap.asf_amc import AmcMotion, AsfSkeleton
from repose.skeleton import ANKLE_HEIGHT, FEET, H36M_17, stature

FOOT_LENGTH = 0.152
FOOT_BREADTH = 0.055
HEEL = 0.030
"""Behind the ankle."""
BALL = 0.072
"""The axis of the toes, before the ankle."""
BALL_DROP = 0.0244
"""The axis of the toes, below the ankle."""
_SMALL_TOE = 0.82
_ACROSS = {"big_toe": -0.25, "small_toe": 0.375}
"""Of the foot's breadth, from its axis to the outside."""

_LEAST_FRAMES = 15
_STEEPEST = np.radians(15)
SIDES = ("left", "right")
Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""From axes with y up to such with z up."""
Vectors = Float[np.ndarray, "*frames 3"]


@dataclass(frozen=True, eq=False)
class FootBones:
    """The bones of a foot: where they lead at rest, and how they are turned in motion, z up."""

    shank_m: Float[np.ndarray, "3"]
    """From the knee to the ankle."""
    foot_m: Float[np.ndarray, "3"]
    """From the ankle to the axis of the toes."""
    turned: Float[np.ndarray, "frames 3 3"]
    toes_turned: Float[np.ndarray, "frames 3 3"] | None = None


def place_foot(
    side: str,
    ankle: Vectors,
    forward: Vectors,
    up: Vectors,
    stature_m: float,
    bend: Float[np.ndarray, "*frames"] | float = 0.0,
) -> dict[str, Vectors]:
    """Place heel and toes of one side's foot, in metres and in the frame of the ankle.

    `forward` and `up` are unit vectors along the sole and away from it; `bend` is the angle in radians by
    which the toes are lifted from the sole.
    """
    outside = np.cross(up, forward) * (1 if side == "left" else -1)
    bend = np.asarray(bend)[..., None]
    toes = np.cos(bend) * forward + np.sin(bend) * up
    sole = ankle - ANKLE_HEIGHT * stature_m * up
    ball = sole + BALL * stature_m * forward
    lengths = {"big_toe": FOOT_LENGTH, "small_toe": _SMALL_TOE * FOOT_LENGTH}
    return {f"{side}_heel": sole - HEEL * stature_m * forward} | {
        f"{side}_{toe}": ball
        + (length - HEEL - BALL) * stature_m * toes
        + _ACROSS[toe] * FOOT_BREADTH * stature_m * outside
        for toe, length in lengths.items()
    }


def resting_foot(
    shank: Float[np.ndarray, "3"], foot: Float[np.ndarray, "3"], stature_m: float
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Return the ways in which a foot points and its sole faces away, from the bones of a skeleton at rest.

    `shank` leads from the knee to the ankle, `foot` from there to the axis of the toes, which lies lower by
    `BALL_DROP`; both in metres.
    """
    left = unit(np.cross(-shank, foot))
    down = np.arcsin(min(BALL_DROP * stature_m / max(float(np.linalg.norm(foot)), 1e-6), 0.8))
    along = unit(foot)
    above = np.cross(along, left)
    forward = np.cos(down) * along + np.sin(down) * above
    return forward, np.cross(forward, left)


def amc_foot(side: str, skeleton: AsfSkeleton, motion: AmcMotion) -> FootBones | None:
    """Return the bones of a foot by their names in the CMU database, None where there are none."""
    names = [f"{side[0]}{bone}" for bone in ("tibia", "foot", "toes")]
    if not set(names) <= set(motion.bones):
        return None
    shank, foot, toes = (motion.bones.index(name) for name in names)
    turned = Z_UP @ motion.rotations
    return FootBones(skeleton.offsets_m[shank], skeleton.offsets_m[foot], turned[:, foot], turned[:, toes])


def add_feet(
    joints_m: Float[np.ndarray, "frames 17 3"], bones: Mapping[str, FootBones | None], fps: float
) -> Float[np.ndarray, "frames 23 3"]:
    """Add the feet that have bones to the joints of h36m-17, z up; NaN where one has none.

    Skeletons differ by some degrees in how the bones lie to the sole. It is level, and the toes are straight,
    in the median of the frames in which the person stands on the foot, where there are such.
    """
    height_m = float(np.median(stature(joints_m)))
    feet = np.full((len(joints_m), len(FEET), 3), np.nan)
    for side, own in bones.items():
        if own is None:
            continue
        forward, up = resting_foot(own.shank_m, own.foot_m, height_m)
        ankle = joints_m[:, H36M_17.index(f"{side}_ankle")]
        toes = (own.turned if own.toes_turned is None else own.toes_turned) @ forward
        forward, up = own.turned @ forward, own.turned @ up
        bend = np.arctan2((toes * up).sum(-1), (toes * forward).sum(-1))
        if (stands := _stands(ankle, forward, fps)).sum() >= _LEAST_FRAMES:
            tilt, bend = np.median(_rise(forward[stands])), bend - np.median(bend[stands])
            forward, up = (
                np.cos(tilt) * forward - np.sin(tilt) * up,
                np.cos(tilt) * up + np.sin(tilt) * forward,
            )
        for joint, place in place_foot(side, ankle, forward, up, height_m, np.clip(bend, 0, 1.2)).items():
            feet[:, FEET.index(joint)] = place
    return np.concatenate([joints_m, feet], axis=1)


def _stands(ankle: Vectors, forward: Vectors, fps: float) -> Bool[np.ndarray, " frames"]:
    """Find frames in which a foot carries the person: low, still, and about level."""
    if len(ankle) < _LEAST_FRAMES:
        return np.zeros(len(ankle), bool)
    still = np.linalg.norm(np.gradient(ankle, axis=0), axis=-1) * fps < 0.15
    low = ankle[:, 2] < np.percentile(ankle[:, 2], 10) + 0.03
    return still & low & (np.abs(_rise(forward)) < _STEEPEST)


def _rise(forward: Vectors) -> Float[np.ndarray, " frames"]:
    return np.arcsin(np.clip(forward[:, 2], -1, 1))
