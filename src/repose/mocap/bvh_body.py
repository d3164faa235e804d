"""A body from a BVH file: its joints, whatever they are called, as the 17 joints of Human3.6M."""

from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
from jaxtyping import Float

from repose.errors import expected
from repose.geometry.rotation import unit
from repose.mocap.bvh import BvhMotion, read_bvh
from repose.mocap.foot_bones import SIDES, Z_UP, FootBones, add_feet
from repose.mocap.joint_map import (
    NEEDED,
    JointMap,
    Table,
    check_body,
    match_synonyms,
    pick,
    recognise_unit,
    upright_axis,
    z_up,
)
from repose.skeleton import H36M_17

_BANDAI = {
    "right_hip": "UpperLeg_R",
    "right_knee": "LowerLeg_R",
    "right_ankle": "Foot_R",
    "left_hip": "UpperLeg_L",
    "left_knee": "LowerLeg_L",
    "left_ankle": "Foot_L",
    "spine": "Spine Chest",
    "thorax": "Neck",
    "nose": "Head",
    "head_top": "Head",
    "left_shoulder": "UpperArm_L",
    "left_elbow": "LowerArm_L",
    "left_wrist": "Hand_L",
    "right_shoulder": "UpperArm_R",
    "right_elbow": "LowerArm_R",
    "right_wrist": "Hand_R",
}
"""H36M joint -> joints of the Bandai-Namco Research Motiondataset (BVH)."""

_BANDAI_HEAD_M = {"nose": (0.04, 0.04, 0.0), "head_top": (0.17, 0.0, 0.0)}
"""Places in the frame of the joint Head (x up, y forward, z left). The skeleton ends there, so these two
are synthesised from the proportions of Human3.6M: leave them out of strict scores."""

_MIXAMO = {
    "right_hip": "RightUpLeg",
    "right_knee": "RightLeg",
    "right_ankle": "RightFoot",
    "left_hip": "LeftUpLeg",
    "left_knee": "LeftLeg",
    "left_ankle": "LeftFoot",
    "spine": "Spine Spine1",
    "thorax": "Neck",
    "nose": "Head",
    "head_top": "HeadTop_End",
    "left_shoulder": "LeftArm",
    "left_elbow": "LeftForeArm",
    "left_wrist": "LeftHand",
    "right_shoulder": "RightArm",
    "right_elbow": "RightForeArm",
    "right_wrist": "RightHand",
}
"""H36M joint -> joints of a Mixamo BVH; a prefix like "mixamorig:" is ignored."""

_CMU = _MIXAMO | {
    "head_top": "Head_end",
    "left_wrist": "LeftHand LeftFingerBase",
    "right_wrist": "RightHand RightFingerBase",
}
"""H36M joint -> joints of the BVH conversions of the CMU database, the same places as of its AMC files."""

_LAYOUTS: dict[str, Table] = {"Bandai-Namco": _BANDAI, "CMU": _CMU, "Mixamo": _MIXAMO}

_CROWN_M = 0.17
"""From the joint at the base of the head to its top, where a skeleton ends there (as `_BANDAI_HEAD_M`)."""
_REST_FRAMES = 10
_FASTEST_M_S = 13.0
"""Faster is no human joint."""
_FOOT_M = (0.05, 0.3)
"""What a foot reaches from its ankle across the shank."""
_HEAD_LENGTH_M = (0.08, 0.35)
"""Ends of a head's bone that may be its top; others are drawn, not measured."""


def read_bvh_body(
    path: Path, unit_m: float | None = None, joint_map: JointMap | None = None
) -> tuple[Float[np.ndarray, "frames 23 3"], float, tuple[str, ...]]:
    """Read joints in metres, z up; frames per second; and what had to be recognised or made up.

    Joints of h36m-17+feet: the feet are drawn on the bones below the ankles, NaN without any.

    Joints are those of `joint_map` where the file has them, else of a skeleton known here, else matched by
    usual names. A first frame that stands in another pose than all others is the rest pose and left out.
    The unit is recognised by the size of the body; y is up unless the body, at rest and in motion, says z.

    Raises UserError for joints that cannot be told, and for a body that is not human in any unit.
    """
    motion = read_bvh(path, unit_m=1.0)
    names = [name.rpartition(":")[2] for name in motion.joints]
    notes: list[str] = []
    positions = motion.positions_m.copy()
    mapped = joint_map is not None and not joint_map.missing(motion.joints)
    layout = next((name for name, table in _LAYOUTS.items() if not set(_words(table)) - set(names)), "")
    if mapped and joint_map is not None:
        table = joint_map.names
        joints, layout = _by_names(motion, table, positions, notes), "the joint map"
        unit_m = unit_m or joint_map.unit_m
        notes.append("joints identified by the joint map")
    elif layout:
        if layout == "CMU":
            _put_back_lost_bones(motion, names, positions, notes)
        table = {joint: words.split() for joint, words in _LAYOUTS[layout].items()}
        joints = pick(table, names, positions)
    else:
        found = match_synonyms(motion.joints)
        if found is None:
            _refuse(path, motion, joint_map)
        table, joints = found, _by_names(motion, found, positions, notes)
        notes.append("joints identified by name")
    if unit_m is None:
        unit, unit_m = recognise_unit(path, joints)
        if unit != "centimetres":
            notes.append(f"the unit is {unit}, by the size of the body")
    joints *= unit_m
    if layout == "Bandai-Namco":
        head = motion.rotations[:, names.index("Head")]
        for joint, place in _BANDAI_HEAD_M.items():
            joints[:, H36M_17.index(joint)] += head @ np.array(place)
    _crown(motion, joints, unit_m, notes)
    check_body(path, joints, motion.fps, unit_m)
    up = joint_map.up if mapped and joint_map is not None else None
    along_z = up == "z" or (up is None and _stands_along_z(motion, joints))
    if along_z:
        notes.append("z is up")
    else:
        joints = z_up(joints)
    ankles = {side: names.index(table[f"{side}_ankle"][0].rpartition(":")[2]) for side in SIDES}
    joints = _with_feet(motion, joints, ankles, unit_m, np.eye(3) if along_z else Z_UP)
    if first := _first_of_motion(joints[:, : len(H36M_17)], motion.fps):
        joints = joints[first:]
        notes.append("a rest pose at the beginning left out")
    return joints, motion.fps, tuple(notes)


def _with_feet(
    motion: BvhMotion,
    joints: Float[np.ndarray, "frames 17 3"],
    ankles: dict[str, int],
    unit_m: float,
    world: Float[np.ndarray, "3 3"],
) -> Float[np.ndarray, "frames 23 3"]:
    bones = {side: _foot_bones(motion, ankle, unit_m, world) for side, ankle in ankles.items()}
    return add_feet(joints, bones, motion.fps)


def _foot_bones(
    motion: BvhMotion, ankle: int, unit_m: float, world: Float[np.ndarray, "3 3"]
) -> FootBones | None:
    """Return the bones below an ankle, None where nothing as long as a foot hangs on it across the shank."""
    below = [joint for joint, parent in enumerate(motion.parents) if parent == ankle]
    if not below:
        return None
    toes = max(below, key=lambda joint: float(np.linalg.norm(motion.offsets_m[joint])))
    shank_m, foot_m = motion.offsets_m[ankle] * unit_m, motion.offsets_m[toes] * unit_m
    across_m = np.linalg.norm(np.cross(unit(shank_m), foot_m))
    if not _FOOT_M[0] <= across_m <= _FOOT_M[1]:
        return None
    turned = world @ motion.rotations
    ends = toes not in motion.parents  # an end site turns with the foot
    return FootBones(shank_m, foot_m, turned[:, ankle], None if ends else turned[:, toes])


def _words(table: Table) -> list[str]:
    return " ".join(table.values()).split()


def _refuse(path: Path, motion: BvhMotion, joint_map: JointMap | None) -> NoReturn:
    shown = ", ".join(motion.joints[:60]) + (", …" if len(motion.joints) > 60 else "")
    wanted = f"the joints of a skeleton known here ({', '.join(_LAYOUTS)}), usual names, or a joint map"
    hint = f"Write a joint map ({', '.join(NEEDED)}; --joint-map FILE, docs/training.md)."
    if joint_map is not None:
        hint = f"The joint map names {', '.join(joint_map.missing(motion.joints))}, which this file lacks."
    expected(str(path), wanted, shown, hint)


def _by_names(
    motion: BvhMotion, table: dict[str, list[str]], positions: np.ndarray, notes: list[str]
) -> Float[np.ndarray, "frames 17 3"]:
    """Joints by `table`, in the file's unit; what it lacks of the trunk is made of limbs and chain."""
    joints = pick(table, motion.joints, positions)
    at = H36M_17.index
    made = [joint for joint in ("thorax", "spine", "nose") if joint not in table]
    if "thorax" in made:
        joints[:, at("thorax")] = joints[:, H36M_17.indices("left_shoulder", "right_shoulder")].mean(axis=1)
    if "spine" in made:
        joints[:, at("spine")] = _half_way(motion, table.get("thorax", []), joints, positions)
    if "nose" in made:
        top = table.get("head_top", [])
        joints[:, at("nose")] = (
            (joints[:, at("thorax")] + joints[:, at("head_top")]) / 2 if top else joints[:, at("thorax")]
        )
    if made:
        notes.append(f"{', '.join(made)} made of the joints around")
    return joints


def _half_way(
    motion: BvhMotion, neck: list[str], joints: np.ndarray, positions: np.ndarray
) -> Float[np.ndarray, "frames 3"]:
    """Return the point half-way along the chain of trunk joints from the pelvis to the thorax."""
    chain: list[int] = []
    joint = motion.parents[motion.joints.index(neck[0])] if neck else -1
    while joint >= 0 and motion.parents[joint] >= 0:
        chain.insert(0, joint)
        joint = motion.parents[joint]
    ends = [joints[:, H36M_17.index("pelvis")], joints[:, H36M_17.index("thorax")]]
    points = [ends[0], *(positions[:, i] for i in chain), ends[1]]
    lengths = [float(np.median(np.linalg.norm(b - a, axis=-1))) for a, b in pairwise(points)]
    reach = np.cumsum([0.0, *lengths])
    at = int(np.clip(np.searchsorted(reach, reach[-1] / 2) - 1, 0, len(lengths) - 1))
    share = (reach[-1] / 2 - reach[at]) / max(lengths[at], 1e-9)
    return points[at] + share * (points[at + 1] - points[at])


def _crown(motion: BvhMotion, joints: np.ndarray, unit_m: float, notes: list[str]) -> None:
    """Where the skeleton has no usable head top, put one beyond the head's joint, in the head's frame."""
    nose, top = H36M_17.indices("nose", "head_top")
    length = float(np.median(np.linalg.norm(joints[:, top] - joints[:, nose], axis=-1)))
    if np.isfinite(length) and _HEAD_LENGTH_M[0] <= length <= _HEAD_LENGTH_M[1]:
        return
    distance = np.linalg.norm(motion.positions_m * unit_m - joints[:, nose, None], axis=-1).max(axis=0)
    head = int(distance.argmin())
    way = motion.offsets_m[head]
    if distance[head] > 1e-6 or not way.any():
        thorax = joints[:, H36M_17.index("thorax")]
        along = unit(joints[:, nose] - thorax)
    else:
        along = motion.rotations[:, head] @ (way / np.linalg.norm(way))
    joints[:, top] = joints[:, nose] + _CROWN_M * along
    notes.append("the head's top made up: the skeleton ends at the head")


def _put_back_lost_bones(
    motion: BvhMotion, names: list[str], positions: np.ndarray, notes: list[str]
) -> None:
    """Put back the bones that cgspeed's conversion of the CMU database writes with length 0, in place.

    `thorax` is as long as `upperback` (in 14 of the database's skeletons 1.00 to 1.04 times) and goes on in
    its direction; `lwrist` and `rwrist` are half as long as the bones before (exactly, in all of them).
    """
    lost = [
        ("Spine1", 1.0, ("Neck", "LeftShoulder", "RightShoulder")),
        ("LeftHand", 0.5, ("LeftFingerBase",)),
        ("RightHand", 0.5, ("RightFingerBase",)),
    ]
    for upper, share, below in lost:
        at = names.index(upper)
        moved = [names.index(name) for name in below if name in names]
        if not moved or motion.offsets_m[moved].any():
            continue
        shift = motion.rotations[:, at] @ (share * motion.offsets_m[at])
        inside = set(moved)
        for joint, parent in enumerate(motion.parents):
            if parent in inside:
                inside.add(joint)
        positions[:, sorted(inside)] += shift[:, None]
        if upper == "Spine1":
            notes.append("bones that the conversion lost put back (thorax, wrists)")


def _stands_along_z(motion: BvhMotion, joints: np.ndarray) -> bool:
    """Whether the body is upright along z both at rest and in motion; one alone may be a person who lies."""
    rest = np.zeros_like(motion.offsets_m)
    for joint, parent in enumerate(motion.parents):
        if parent >= 0:
            rest[joint] = rest[parent] + motion.offsets_m[joint]
    tall = np.ptp(rest, axis=0)
    return upright_axis(joints) == "z" and bool(tall[2] > 1.2 * tall[1])


def _first_of_motion(joints: Float[np.ndarray, "frames 17 3"], fps: float) -> int:
    """How many frames, `_REST_FRAMES` at most, are a rest pose, or on the way from it, before the motion.

    It is left in a jump, which some conversions smooth over the next frames.
    """
    if len(joints) < 2 * _REST_FRAMES:
        return 0
    steps_m = np.linalg.norm(np.diff(joints[: 2 * _REST_FRAMES], axis=0), axis=-1).max(axis=1)
    early, later = steps_m[:_REST_FRAMES], steps_m[_REST_FRAMES:].max()
    jumps = early[:3].max() * fps > _FASTEST_M_S or (early[0] * fps > 3.0 and early[0] > 5 * early[1:].max())
    return int(np.flatnonzero(early > 1.5 * later)[-1]) + 1 if jumps and early.max() > 1.5 * later else 0
