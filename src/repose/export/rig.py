"""A skeleton with bones of constant length, and the rotations that bring it to given joint positions.

At rest it stands in a T: facing +z, its left at +x, y up. A node sits at a joint of H36M-17 and turns the
bone that begins there. Where several bones begin at one joint each has a node of its own, so that every
bone but the hips' can point where it was seen to point: `lumbar` (pelvis to spine), `neck` (thorax to nose)
and the clavicles (thorax to shoulders) sit at the place of their parent.
"""

from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
from jaxtyping import Float

from repose.geometry.rotation import Rotation, axis_angle_to_matrix, forward_kinematics, shortest_arc, unit
from repose.sequence import low_pass
from repose.skeleton import FEET, H36M_17, H36M_FEET, Skeleton, conversion_matrix

_X, _Y, _Z = np.eye(3)


class _Node(NamedTuple):
    name: str
    parent: str | None
    bone: tuple[str, str] | None
    """The joints between which it points; None for a node that carries no bone and turns with its parent."""
    rest: np.ndarray
    """Direction of the bone at rest."""
    across: str = ""
    """The direction (`_directions`) that says how the bone is turned about itself."""
    rest_across: np.ndarray = _Y

    @property
    def at(self) -> str:
        """The joint where it sits."""
        return self.name if self.name in H36M_FEET.joints else cast(str, self.parent)


def _arm(side: str, x: np.ndarray) -> list[_Node]:
    clavicle, shoulder = f"{side}_clavicle", f"{side}_shoulder"
    elbow, wrist = f"{side}_elbow", f"{side}_wrist"
    # A hinge's axis is at right angles to its two bones, in the sense of their cross product.
    return [
        _Node(clavicle, "thorax", ("thorax", shoulder), x, "trunk", _Y),
        _Node(shoulder, clavicle, (shoulder, elbow), x, elbow, np.cross(x, _Z)),
        _Node(elbow, shoulder, (elbow, wrist), x, elbow, np.cross(x, _Z)),
        _Node(wrist, elbow, None, x),
    ]


def _leg(side: str, feet: bool) -> list[_Node]:
    hip, knee, ankle = f"{side}_hip", f"{side}_knee", f"{side}_ankle"
    leg = [
        _Node(hip, "pelvis", (hip, knee), -_Y, knee, _X),
        _Node(knee, hip, (knee, ankle), -_Y, knee, _X),
    ]
    if not feet:
        return [*leg, _Node(ankle, knee, None, _Z)]
    heel, toes = f"{side}_heel", [f"{side}_big_toe", f"{side}_small_toe"]
    return [
        *leg,
        _Node(ankle, knee, (heel, f"{side}_toes"), _Z, ankle, _X),
        _Node(heel, ankle, None, -_Z),
        *(_Node(toe, ankle, None, _Z) for toe in toes),
    ]


# Depth first, as files with nested joints have them.
_TRUNK_AND_ARMS = (
    _Node("pelvis", None, ("right_hip", "left_hip"), _X, "lumbar", _Y),
    _Node("lumbar", "pelvis", ("pelvis", "spine"), _Y, "hips", _X),
    _Node("spine", "lumbar", ("spine", "thorax"), _Y, "waist", _X),
    _Node("thorax", "spine", ("right_shoulder", "left_shoulder"), _X, "trunk", _Y),
    _Node("neck", "thorax", ("thorax", "nose"), _Y, "shoulders", _X),
    _Node("nose", "neck", ("nose", "head_top"), _Y, "shoulders", _X),
    _Node("head_top", "nose", None, _Y),
    *_arm("left", _X),
    *_arm("right", -_X),
)
_NODES = (*_TRUNK_AND_ARMS, *_leg("left", feet=False), *_leg("right", feet=False))
_NODES_WITH_FEET = (*_TRUNK_AND_ARMS, *_leg("left", feet=True), *_leg("right", feet=True))

PRIOR = 0.1
"""Weight of where a hinge's axis would be without twist: as much as that of a bend by 6°."""
HINGE_HZ = 3.0
"""Faster changes of a hinge's axis are noise of nearly straight limbs."""


@dataclass(frozen=True, eq=False)
class Rig:
    """A skeleton of constant bones and its motion; metres, y up. Nodes stand depth first."""

    names: tuple[str, ...]
    """Of the nodes; those at H36M-17 joints have their names."""
    parents: tuple[int, ...]
    offsets_m: Float[np.ndarray, "nodes 3"]
    """Place of each node in its parent's frame, and at rest relative to it; 0 for the root."""
    tips_m: Float[np.ndarray, "nodes 3"]
    """Where the bone that begins at the node ends, in the node's frame; 0 where none does."""
    rest: Float[np.ndarray, "nodes 3"]
    """Direction of each node's bone at rest; that of toes, hands and crown where no joint follows."""
    rotations: Float[np.ndarray, "frames nodes 3 3"]
    """Relative to the parent."""
    root_m: Float[np.ndarray, "frames 3"]

    @property
    def rest_m(self) -> Float[np.ndarray, "nodes 3"]:
        """Places of the nodes at rest, the root at the origin."""
        still = np.broadcast_to(np.eye(3), (len(self.names), 3, 3))
        return forward_kinematics(still, self.offsets_m, self.parents, np.zeros(3))[0]

    def positions_m(self) -> Float[np.ndarray, "frames nodes 3"]:
        """Compute the positions of the nodes in each frame."""
        return forward_kinematics(self.rotations, self.offsets_m, self.parents, self.root_m)[0]


def nodes_for(skeleton: Skeleton) -> tuple[Skeleton, tuple[_Node, ...]]:
    """Return the rig for people of that layout, and the layout of the joints that it is fitted to."""
    return (H36M_FEET, _NODES_WITH_FEET) if set(FEET) <= set(skeleton.joints) else (H36M_17, _NODES)


def fit_rig(joints_m: Float[np.ndarray, "frames joints 3"], skeleton: Skeleton, fps: float) -> Rig:
    """Fit the rig whose nodes are as near to the joints as constant bones allow.

    `joints_m`: y up. A bone is as long as its median over the frames and keeps its direction in each. The
    pelvis is turned by the line through the hips, upright by the spine; thigh and shank about themselves
    so that the knee is a hinge, and so for the arms; where a limb is straight it is turned as little as
    possible. With toes and heels the ankle turns the foot, else it goes with the shank. Other layouts than
    H36M-17 are converted to it by joint name.

    Raises UserError where a joint of H36M-17 cannot be made from those of `skeleton`.
    """
    layout, nodes = nodes_for(skeleton)
    joints = np.einsum("ts,fsa->fta", conversion_matrix(skeleton, layout), joints_m.astype(np.float64))
    place = dict(zip(layout.joints, np.moveaxis(joints, 1, 0), strict=True))
    directions = _directions(place, fps)
    names = tuple(node.name for node in nodes)
    parents = tuple(-1 if node.parent is None else names.index(node.parent) for node in nodes)
    offsets, tips = np.zeros((2, len(names), 3))
    turned = np.empty((len(joints), len(names), 3, 3))
    rotations = np.empty_like(turned)
    for i, (node, parent) in enumerate(zip(nodes, parents, strict=True)):
        above = turned[:, parent] if parent >= 0 else np.broadcast_to(np.eye(3), (len(joints), 3, 3))
        if node.bone is None:
            turned[:, i] = above
        else:
            start, end = node.bone
            bone = place[end] - place[start]
            turned[:, i] = _aim(node.rest, node.rest_across, bone, directions[node.across])
            if start == node.at:
                tips[i] = np.median(np.linalg.norm(bone, axis=-1)) * node.rest
        rotations[:, i] = above.swapaxes(-1, -2) @ turned[:, i]
        if parent >= 0:
            over = nodes[parent]
            if over.bone == (over.at, node.at):
                offsets[i] = tips[parent]
            else:
                apart = place[node.at] - place[over.at]
                offsets[i] = np.median((above.swapaxes(-1, -2) @ apart[..., None])[..., 0], axis=0)
    rest = np.stack([node.rest for node in nodes])
    return Rig(names, parents, offsets, tips, rest, rotations, place["pelvis"])


def _directions(place: dict[str, np.ndarray], fps: float) -> dict[str, np.ndarray]:
    """Return the directions (frames, 3) by which bones are turned about themselves.

    Where there are toes, adds to `place` where the axis of each foot ends.
    """

    def line(start: str, end: str) -> np.ndarray:
        return unit(place[end] - place[start])

    hips, shoulders = line("right_hip", "left_hip"), line("right_shoulder", "left_shoulder")
    trunk = line("spine", "thorax")
    thorax = _aim(_X, _Y, shoulders, trunk)
    found = {
        "hips": hips,
        "shoulders": shoulders,
        "waist": hips + shoulders,
        "lumbar": line("pelvis", "spine"),
        "trunk": trunk,
    }
    for side, x in (("left", _X), ("right", -_X)):
        hip, knee, ankle = f"{side}_hip", f"{side}_knee", f"{side}_ankle"
        found[knee] = _hinge(line(hip, knee), line(knee, ankle), hips, fps)
        if f"{side}_heel" in place:
            big, small = place[f"{side}_big_toe"], place[f"{side}_small_toe"]
            place[f"{side}_toes"] = 0.6 * big + 0.4 * small
            found[ankle] = (small - big) * x[0]
        shoulder, elbow, wrist = f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist"
        upper = line(shoulder, elbow)
        swing = _swing(x, (thorax.swapaxes(-1, -2) @ upper[..., None])[..., 0])
        untwisted = thorax @ swing @ np.cross(x, _Z)
        found[elbow] = _hinge(upper, line(elbow, wrist), untwisted, fps)
    return found


def _hinge(
    upper: np.ndarray, lower: np.ndarray, untwisted: np.ndarray, fps: float
) -> Float[np.ndarray, "frames 3"]:
    """Axis of the hinge between two bones; the more they bend, the more it is what their plane says."""
    return low_pass(np.cross(upper, lower), min(1.0, 2 * HINGE_HZ / fps)) + PRIOR * untwisted


def _aim(
    rest: Float[np.ndarray, "3"],
    rest_across: Float[np.ndarray, "3"],
    bone: Float[np.ndarray, "frames 3"],
    across: Float[np.ndarray, "frames 3"],
) -> Rotation:
    """Rotation that takes `rest` to the direction of `bone`, and `rest_across` over `across`.

    The swing that turns the least, then a twist about the bone.
    """
    swing = _swing(rest, bone)
    along, carried = swing @ rest, swing @ rest_across
    sine = (np.cross(carried, across) * along).sum(axis=-1)
    angle = np.arctan2(sine, (carried * across).sum(axis=-1))
    return axis_angle_to_matrix(along * angle[:, None]) @ swing


def _swing(rest: Float[np.ndarray, "3"], bone: Float[np.ndarray, "frames 3"]) -> Rotation:
    """Return the smallest rotation from `rest` to the direction of `bone`; none for a zero-length bone."""
    return shortest_arc(rest, np.where(bone.any(axis=-1, keepdims=True), bone, rest))
