"""A plain figure of rounded limbs around a rig, for formats that show more than bones."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from repose import palette
from repose.export.rig import Rig
from repose.geometry.rotation import shortest_arc, unit
from repose.skeleton import H36M_17, stature

COLOURS = {
    **{side: palette.linear(colour) for side, colour in palette.SIDES.items()},
    "middle": palette.linear(palette.COMPARED),
}
"""Linear RGB by side; a trunk is pale, so that a light shows its form."""

_SIDES, _RINGS = 12, 4


@dataclass(frozen=True, eq=False)
class Mannequin:
    """Triangles around a rig at rest, its root at the origin; metres, y up, counter-clockwise outside."""

    points_m: Float[np.ndarray, "points 3"]
    normals: Float[np.ndarray, "points 3"]
    nodes: Int[np.ndarray, " points"]
    """The node of the rig that each point moves with."""
    triangles: dict[str, Int[np.ndarray, "triangles 3"]]
    """Indices of points, by side: left, right, middle."""


def build_mannequin(rig: Rig) -> Mannequin:
    """Build a capsule along every bone, with girths in proportion to the stature.

    Hands are drawn to give an idea of a body: the rig does not know how they are turned; nor does one without
    toes and heels know that of the feet.
    """
    rest = rig.rest_m
    tall = float(stature(rest[[rig.names.index(joint) for joint in H36M_17.joints]]))
    points: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    nodes: list[np.ndarray] = []
    triangles: dict[str, list[np.ndarray]] = {side: [] for side in COLOURS}
    count = 0
    for name, start, end, thick, thin, depth in _limbs(rig, rest, tall):
        shape, outward, faces = _capsule(start, end, thick * tall, thin * tall, depth)
        points.append(shape)
        normals.append(outward)
        nodes.append(np.full(len(shape), rig.names.index(name)))
        triangles[palette.side_of(name)].append(faces + count)
        count += len(shape)
    return Mannequin(
        np.concatenate(points),
        np.concatenate(normals),
        np.concatenate(nodes),
        {side: np.concatenate(faces) for side, faces in triangles.items()},
    )


def _limbs(
    rig: Rig, rest: np.ndarray, tall: float
) -> list[tuple[str, np.ndarray, np.ndarray, float, float, float]]:
    """Name, start and end in metres, the two radii in statures, and how deep it is for its width."""

    def at(name: str) -> np.ndarray:
        return rest[rig.names.index(name)]

    def bone(name: str) -> tuple[str, np.ndarray, np.ndarray]:
        return name, at(name), at(name) + rig.tips_m[rig.names.index(name)]

    up, forward = tall * np.eye(3)[1:]
    limbs = [
        ("pelvis", at("right_hip"), at("left_hip"), 0.052, 0.052, 1.0),
        (*bone("lumbar"), 0.074, 0.074, 0.75),
        (*bone("spine"), 0.074, 0.060, 0.75),
        (*bone("neck"), 0.034, 0.030, 1.0),
        ("nose", at("nose"), at("head_top") - 0.050 * up, 0.045, 0.050, 1.1),
    ]
    for side, outward in (("left", 1.0), ("right", -1.0)):
        wrist, ankle = at(f"{side}_wrist"), at(f"{side}_ankle")
        heel, toes = ankle - 0.038 * up, ankle - 0.037 * up + 0.09 * forward
        if f"{side}_heel" in rig.names:
            heel, toes = at(f"{side}_heel"), 0.6 * at(f"{side}_big_toe") + 0.4 * at(f"{side}_small_toe")
            heel, toes = heel + 0.012 * forward, toes - 0.016 * forward
        limbs += [
            (*bone(f"{side}_clavicle"), 0.040, 0.034, 1.0),
            (*bone(f"{side}_shoulder"), 0.029, 0.024, 1.0),
            (*bone(f"{side}_elbow"), 0.024, 0.017, 1.0),
            (f"{side}_wrist", wrist, wrist + outward * 0.07 * tall * np.eye(3)[0], 0.018, 0.014, 1.3),
            (*bone(f"{side}_hip"), 0.044, 0.034, 1.0),
            (*bone(f"{side}_knee"), 0.034, 0.022, 1.0),
            (f"{side}_ankle", heel + 0.018 * up, toes + 0.014 * up, 0.019, 0.016, 1.0),
        ]
    return limbs


def _capsule(
    start: np.ndarray, end: np.ndarray, thick_m: float, thin_m: float, depth: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, normals and triangles of a capsule whose half balls have their centres at `start` and `end`."""
    length = float(np.linalg.norm(end - start))
    # From pole to pole, along y: two half circles of rings, the second moved by the length.
    polar = np.linspace(-np.pi / 2, 0, _RINGS)
    polar = np.concatenate([polar, -polar[::-1]])
    radius = np.repeat([thick_m, thin_m], _RINGS)[:, None]
    around = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)
    ring, height = np.cos(polar)[:, None], np.sin(polar)[:, None] * np.ones(_SIDES)
    outward = np.stack([ring * np.cos(around), height, -ring * np.sin(around)], axis=-1)
    points = radius[..., None] * outward
    points[_RINGS:, :, 1] += length
    turn = shortest_arc(np.array([0.0, 1.0, 0.0]), end - start)
    points, outward = points @ turn.T, outward @ turn.T
    points[..., 2] *= depth
    outward[..., 2] /= depth
    outward = unit(outward)
    here = np.arange(2 * _RINGS * _SIDES).reshape(2 * _RINGS, _SIDES)
    beside = np.roll(here, -1, axis=1)
    a, b, c, d = here[:-1], beside[:-1], beside[1:], here[1:]
    # At the poles two corners of four are one.
    halves = np.stack([a, b, c], axis=-1)[1:], np.stack([a, c, d], axis=-1)[:-1]
    faces = np.concatenate([half.reshape(-1, 3) for half in halves])
    return points.reshape(-1, 3) + start, outward.reshape(-1, 3), faces
