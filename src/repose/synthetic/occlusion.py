"""Which joints a camera cannot see: behind the person's own body, and behind objects in front of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.skeleton import FEET, H36M_17, H36M_FEET, stature

JOINTS = len(H36M_FEET)


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
        feet = [joint for joint in FEET if joint.startswith(side)]
        yield Capsule({knee: 1}, {ankle: 1}, 0.030, (knee, ankle, *feet))
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
            matrix[row, H36M_FEET.index(joint)] = weight
    return matrix


_STARTS = _matrix([part.start for part in BODY])[:, : len(H36M_17)]
_ENDS = _matrix([part.end for part in BODY])[:, : len(H36M_17)]
_RADII = torch.tensor([part.radius for part in BODY])
_OWN = torch.stack([_matrix([dict.fromkeys(part.own, 1.0)])[0] > 0 for part in BODY], dim=-1)
"""(joints, capsules)"""
# How far a joint lies below the skin: the radius of the thinnest part that it belongs to.
_FLESH = torch.where(_OWN, _RADII, torch.inf).amin(dim=-1)


def self_occluded(
    joints_camera_m: Float[Tensor, "batch frames joints 3"],
) -> Bool[Tensor, "batch frames joints"]:
    """Find joints that a limb, the trunk or the head hides from the camera.

    `joints_camera_m`: H36M-17 or h36m-17+feet, camera frame (camera at the origin), metres; all joints before
    the camera.
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
    own, flesh = own[: joints.shape[2]], flesh[: joints.shape[2]]
    # The line of sight is s × joint, s from 0 to `skin`; a part's axis is start + t × along, t from 0 to 1.
    body = joints[:, :, : len(H36M_17)]
    start, along = start @ body, (end - start) @ body  # batch frames capsules 3
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


WALK_M_S = (0.9, 1.6)
"""Speed of people who pass by."""
PASS_EVERY_S = 4.0


@dataclass(frozen=True, eq=False)
class Billboards:
    """Upright rectangles that face the camera, and may move across the picture."""

    centre: Float[Tensor, "batch frames billboards 2"]
    """x/z and y/z in the camera frame."""
    half_size: Float[Tensor, "batch billboards 2"]
    """Half of width and height, in the same unit."""
    depth_m: Float[Tensor, "batch billboards"]

    def hides(
        self, joints_camera_m: Float[Tensor, "batch frames joints 3"]
    ) -> Bool[Tensor, "batch frames joints"]:
        """Return which joints are hidden behind a billboard; nearer ones are in front of it."""
        rays = (joints_camera_m[..., :2] / joints_camera_m[..., 2:])[:, :, :, None]
        within = ((rays - self.centre[:, :, None]).abs() < self.half_size[:, None, None]).all(dim=-1)
        behind = joints_camera_m[..., 2:] > self.depth_m[:, None, None]
        return (within & behind).any(dim=-1)


def wall(joints_camera_m: Float[Tensor, "batch frames 17 3"], fps: float, generator: Generator) -> Billboards:
    """Place the corner of a wall, which hides everything left or right of it, across the person's path."""
    x = joints_camera_m[..., 0] / joints_camera_m[..., 2]
    low, high = x.amin(dim=(1, 2)), x.amax(dim=(1, 2))
    share = _uniform(len(x), 0.25, 0.6, generator)
    from_left = torch.rand(len(x), generator=generator) < 0.5
    edge = torch.where(from_left, torch.lerp(low, high, share), torch.lerp(high, low, share))
    middle = torch.where(from_left, edge - _FAR, edge + _FAR)
    return _standing(joints_camera_m, (middle, torch.zeros_like(middle)), (_FAR, _FAR), generator)


def counter(
    joints_camera_m: Float[Tensor, "batch frames 17 3"], fps: float, generator: Generator
) -> Billboards:
    """Place a counter or table, which hides everything below an edge between shin and waist."""
    y = joints_camera_m[..., 1] / joints_camera_m[..., 2]
    share = _uniform(len(y), 0.2, 0.55, generator)
    edge = y.amax(dim=2).mean(dim=1) - share * _apparent_height(joints_camera_m)
    return _standing(joints_camera_m, (torch.zeros_like(edge), edge + _FAR), (_FAR, _FAR), generator)


def pole(joints_camera_m: Float[Tensor, "batch frames 17 3"], fps: float, generator: Generator) -> Billboards:
    """Place a pole, a tree or a door post near where the person is at some moment."""
    batch, frames = joints_camera_m.shape[:2]
    moment = torch.randint(frames, (batch,), generator=generator)
    person = joints_camera_m[torch.arange(batch), moment].mean(dim=1)
    height = _apparent_height(joints_camera_m)
    width = _uniform(batch, 0.05, 0.15, generator) * height
    x = person[:, 0] / person[:, 2] + _uniform(batch, -0.1, 0.1, generator) * height
    return _standing(joints_camera_m, (x, torch.zeros_like(x)), (width / 2, _FAR), generator)


def passers_by(
    joints_camera_m: Float[Tensor, "batch frames 17 3"], fps: float, generator: Generator
) -> Billboards:
    """Let people of 0.5 × 1.8 m walk past in front, one every 4 s, from either side."""
    batch, frames = joints_camera_m.shape[:2]
    count = max(1, round(frames / (PASS_EVERY_S * fps)))
    stretch = frames / count
    moment = (torch.arange(count) + _uniform((batch, count), 0.2, 0.8, generator)) * stretch
    person = joints_camera_m[torch.arange(batch)[:, None], moment.long()].mean(dim=2)
    place = person[..., :2] / person[..., 2:]
    depth = _uniform((batch, count), 0.5, 0.9, generator) * _nearest(joints_camera_m)[:, None]
    speed = _uniform((batch, count), *WALK_M_S, generator)
    speed = torch.where(torch.rand(batch, count, generator=generator) < 0.5, speed, -speed)
    since_s = (torch.arange(frames)[None, :, None] - moment[:, None]) / fps
    x = place[:, None, :, 0] + since_s * (speed / depth)[:, None]
    centre = torch.stack([x, place[:, None, :, 1].expand_as(x)], dim=-1)
    return Billboards(centre, torch.stack([0.25 / depth, 0.9 / depth], dim=-1), depth)


Occluder = Callable[[Float[Tensor, "batch frames 17 3"], float, Generator], Billboards]
OCCLUDERS: dict[str, Occluder] = {
    "wall": wall,
    "counter": counter,
    "pole": pole,
    "passers-by": passers_by,
}
"""Objects between the camera and the person, placed for each clip of joints (camera frame, metres; frames a
second) by a seeded generator."""

_FAR = 100.0
"""Beyond any picture, as a tangent."""


def _standing(
    joints_camera_m: Float[Tensor, "batch frames 17 3"],
    centre: tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]],
    half_size: tuple[Float[Tensor, " batch"] | float, Float[Tensor, " batch"] | float],
    generator: Generator,
) -> Billboards:
    """One billboard that stays where it is, nearer to the camera than the person ever comes."""
    batch, frames = joints_camera_m.shape[:2]
    place = torch.stack(centre, dim=-1)[:, None, None].expand(batch, frames, 1, 2)
    size = torch.stack([torch.as_tensor(side).expand(batch) for side in half_size], dim=-1)
    depth = _uniform(batch, 0.5, 0.95, generator) * _nearest(joints_camera_m)
    return Billboards(place, size[:, None], depth[:, None])


def _nearest(joints_camera_m: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, " batch"]:
    return joints_camera_m[..., 2].amin(dim=(1, 2))


def _apparent_height(joints_camera_m: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, " batch"]:
    """As a tangent."""
    return stature(joints_camera_m).mean(dim=1) / joints_camera_m[..., 2].mean(dim=(1, 2))


def _uniform(
    size: int | tuple[int, ...], low: float, high: float, generator: Generator
) -> Float[Tensor, "*size"]:
    shape = (size,) if isinstance(size, int) else size
    return low + (high - low) * torch.rand(shape, generator=generator)
