"""Which joints a camera cannot see: behind the person's own body, and behind things that stand before it."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from repose.skeleton import H36M_17, stature

JOINTS = len(H36M_17)


@dataclass(frozen=True)
class Capsule:
    """A part of the body: everything nearer than `radius` to the line from `start` to `end`.

    The ends are weighted means of joints. `own` are the joints inside this part, which it never hides.
    """

    start: dict[str, float]
    end: dict[str, float]
    radius: float
    """Share of the stature."""
    own: tuple[str, ...]


# Radii are an adult's girths over 2π, limbs a little less since they taper. The trunk is 0.20 m deep at a
# stature of 1.70 m, and as wide as its shoulders and hips.
def _body() -> Iterator[Capsule]:
    trunk = ("pelvis", "spine", "thorax")
    waist = (*trunk, *_both("hip"), *_both("shoulder"))
    yield Capsule({"pelvis": 1}, {"spine": 1}, 0.060, waist)
    # Trunk and head end in round caps, so their axes stop before shoulder line and vertex.
    yield Capsule({"spine": 1}, {"spine": 0.25, "thorax": 0.75}, 0.060, waist)
    yield Capsule({"thorax": 1}, {"nose": 1}, 0.033, ("thorax", "nose"))
    yield Capsule({"nose": 1}, {"nose": 0.45, "head_top": 0.55}, 0.050, ("nose", "head_top"))
    for side in ("left", "right"):
        hip, knee, ankle, shoulder, elbow, wrist = (
            f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
        )
        chest = {"spine": 0.25, "thorax": 0.375, shoulder: 0.375}
        yield Capsule({"pelvis": 0.5, hip: 0.5}, chest, 0.060, (*trunk, *_both("hip"), shoulder))
        yield Capsule({hip: 1}, {knee: 1}, 0.045, ("pelvis", hip, knee))
        yield Capsule({knee: 1}, {ankle: 1}, 0.030, (knee, ankle))
        yield Capsule({shoulder: 1}, {elbow: 1}, 0.027, ("thorax", shoulder, elbow))
        # The hand goes on from the forearm by half of its length.
        yield Capsule({elbow: 1}, {wrist: 1.5, elbow: -0.5}, 0.023, (elbow, wrist))


def _both(joint: str) -> tuple[str, str]:
    return f"left_{joint}", f"right_{joint}"


BODY = tuple(_body())


def _matrix(ends: list[dict[str, float]]) -> Float[Tensor, "capsules joints"]:
    matrix = torch.zeros(len(ends), JOINTS)
    for row, weights in enumerate(ends):
        for joint, weight in weights.items():
            matrix[row, H36M_17.index(joint)] = weight
    return matrix


_STARTS = _matrix([part.start for part in BODY])
_ENDS = _matrix([part.end for part in BODY])
_RADII = torch.tensor([part.radius for part in BODY])
_OWN = torch.stack([_matrix([dict.fromkeys(part.own, 1.0)])[0] > 0 for part in BODY], dim=-1)
"""(joints, capsules)"""
# How far a joint lies below the skin: the radius of the thinnest part that it belongs to.
_FLESH = torch.where(_OWN, _RADII, torch.inf).amin(dim=-1)


def self_occluded(
    joints_camera_m: Float[Tensor, "batch frames 17 3"],
) -> Bool[Tensor, "batch frames 17"]:
    """Where a limb, the trunk or the head stands between a joint and the camera.

    `joints_camera_m`: H36M-17, camera frame (camera at the origin), metres; all joints before the camera.
    The body is made of capsules (`BODY`) in proportion to the clip's mean stature. A joint is hidden when
    the line of sight to its nearest skin meets a part of the body that is not its own. So a knee is never
    hidden by its own thigh and a hip not by the trunk, but the far knee by the near one, the far hip by the
    near thigh, and the far shoulder by the near side of the chest.

    Distance of two segments: Ericson, Real-Time Collision Detection, 2005, section 5.1.9.
    """
    joints = joints_camera_m.float()
    height = stature(joints).mean(dim=1)[:, None, None, None]
    start, end, radius, own, flesh = (
        table.to(joints.device) for table in (_STARTS, _ENDS, _RADII, _OWN, _FLESH)
    )
    # The line of sight is s × joint, s from 0 to `skin`; a part's axis is start + t × along, t from 0 to 1.
    start, along = start @ joints, (end - start) @ joints  # batch frames capsules 3
    sight_sight = joints.square().sum(-1, keepdim=True)
    along_along = along.square().sum(-1)[..., None, :].clamp(min=1e-8)
    start_start = start.square().sum(-1)[..., None, :]
    start_along = (start * along).sum(-1)[..., None, :]
    sight_along = joints @ along.transpose(-1, -2)  # batch frames joints capsules
    sight_start = joints @ start.transpose(-1, -2)
    skin = 1 - flesh[:, None] * height / sight_sight.clamp(min=1e-8).sqrt()
    nothing = torch.zeros_like(skin)

    square = (sight_sight * along_along - sight_along.square()).clamp(min=1e-8)
    s = (sight_start * along_along - sight_along * start_along) / square
    t = ((sight_along * s.clamp(nothing, skin) - start_along) / along_along).clamp(0, 1)
    s = ((sight_along * t + sight_start) / sight_sight.clamp(min=1e-8)).clamp(nothing, skin)
    distance2 = (
        s * s * sight_sight
        - 2 * s * (sight_start + t * sight_along)
        + start_start
        + t * (2 * start_along + t * along_along)
    )
    return ((distance2 < (radius * height).square()) & ~own).any(dim=-1)
