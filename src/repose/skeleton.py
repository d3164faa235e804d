"""Joint layouts, their bones and mirror, and the conversion from one to another by joint name.

Joint indices live in this module alone; everywhere else joints go by name. Left and right are the
subject's own.

A joint that a layout does not have is derived from those it has (`DERIVATIONS`). Each derivation is a
weighted mean whose weights sum to one, so it commutes with translation, scale and rotation and serves
2D and 3D points alike; a derived joint's confidence is the mean of those it is made of. Where one of them
is missing, the next derivation is tried, and without another the joint is missing (confidence 0).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float, Shaped

from repose.errors import UserError

_NAME = re.compile(r"[^\W\d_][\w.-]{0,99}")


@dataclass(frozen=True)
class Skeleton:
    """A joint layout: names in order, the parent of each joint, and the left/right partner of each.

    `parents[i]` is the index of joint i's parent, -1 for a root. `mirror[i]` is the index of the joint
    that joint i becomes when left and right are exchanged (itself on the midline).
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.joints) != len(self.parents) or len(set(self.joints)) != len(self.joints):
            raise ValueError(f"{self.name}: joints must be distinct, with one parent each")
        # Names stand in tables, texts and pages of other programs, none of which they may break.
        if wrong := [joint for joint in self.joints if not _NAME.fullmatch(joint)]:
            raise ValueError(
                f"{self.name}: a joint's name must be letters, digits, '_', '-' and '.', a letter first; "
                f"found {wrong[0][:60]!r}"
            )
        count = len(self.joints)
        if not all(-1 <= parent < count for parent in self.parents):
            raise ValueError(f"{self.name}: parents must be joints, or -1")
        hanging = set(range(count))
        while ready := {joint for joint in hanging if self.parents[joint] not in hanging}:
            hanging -= ready
        if hanging:
            raise ValueError(f"{self.name}: every joint must lead to a root, without a circle of parents")
        if alone := [joint for joint in self.joints if _partner(joint) not in self.joints]:
            raise ValueError(f"{self.name}: {alone[0]} needs a partner on the other side")

    def __len__(self) -> int:
        return len(self.joints)

    @property
    def mirror(self) -> tuple[int, ...]:
        return tuple(self.joints.index(_partner(joint)) for joint in self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Pairs (child, parent) of joint indices."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)

    def index(self, joint: str) -> int:
        """Return the index of `joint`; raises UserError for a name that the layout does not have."""
        try:
            return self.joints.index(joint)
        except ValueError:
            raise UserError(
                f"skeleton {self.name} has no joint {joint!r}", f"Its joints: {', '.join(self.joints)}."
            ) from None

    def indices(self, *joints: str) -> list[int]:
        return [self.index(joint) for joint in joints]

    def side(self, side: str) -> list[int]:
        """Return the indices of the joints of one side, "left" or "right"."""
        return [i for i, joint in enumerate(self.joints) if joint.startswith(side + "_")]


def _partner(joint: str) -> str:
    for here, there in (("left_", "right_"), ("right_", "left_")):
        if joint.startswith(here):
            return there + joint.removeprefix(here)
    return joint


def _skeleton(name: str, table: str) -> Skeleton:
    """Build a layout from words `joint` or `joint<parent`, in the layout's order."""
    rows = [word.partition("<") for word in table.split()]
    joints = [joint for joint, _, _ in rows]
    parents = [joints.index(parent) if parent else -1 for _, _, parent in rows]
    return Skeleton(name, tuple(joints), tuple(parents))


_FEET = """
    left_big_toe<left_ankle right_big_toe<right_ankle left_small_toe<left_ankle right_small_toe<right_ankle
    left_heel<left_ankle right_heel<right_ankle
"""
_H36M_17 = """
    pelvis right_hip<pelvis right_knee<right_hip right_ankle<right_knee
    left_hip<pelvis left_knee<left_hip left_ankle<left_knee
    spine<pelvis thorax<spine nose<thorax head_top<nose
    left_shoulder<thorax left_elbow<left_shoulder left_wrist<left_elbow
    right_shoulder<thorax right_elbow<right_shoulder right_wrist<right_elbow
"""
_COCO_17 = """
    nose left_eye<nose right_eye<nose left_ear<left_eye right_ear<right_eye
    left_shoulder<left_hip right_shoulder<right_hip left_elbow<left_shoulder right_elbow<right_shoulder
    left_wrist<left_elbow right_wrist<right_elbow left_hip right_hip<left_hip
    left_knee<left_hip right_knee<right_hip left_ankle<left_knee right_ankle<right_knee
"""
_COCO_18 = """
    nose<neck neck right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
    left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
    right_hip<neck right_knee<right_hip right_ankle<right_knee
    left_hip<neck left_knee<left_hip left_ankle<left_knee
    right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye
"""
_COCO_FEET = """
    left_big_toe<left_ankle left_small_toe<left_ankle left_heel<left_ankle
    right_big_toe<right_ankle right_small_toe<right_ankle right_heel<right_ankle
"""

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        # Human3.6M as the lifting papers order it. "spine" is half-way up the trunk, "thorax" between
        # the shoulders at the base of the neck, "nose" the joint that papers call neck/nose.
        _skeleton("h36m-17", _H36M_17),
        # The default model's: the same, and the joints of the feet that Halpe-26 has.
        _skeleton("h36m-17+feet", _H36M_17 + _FEET),
        # MPI-INF-3DHP as data_train_3dhp.npz and data_test_3dhp.npz order it.
        _skeleton(
            "mpi-17",
            """head_top<head neck<spine
            right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
            left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow
            right_hip<pelvis right_knee<right_hip right_ankle<right_knee
            left_hip<pelvis left_knee<left_hip left_ankle<left_knee
            pelvis spine<pelvis head<neck""",
        ),
        _skeleton("coco-17", _COCO_17),
        # The first points of COCO-WholeBody.
        _skeleton("coco-17+feet", _COCO_17 + _COCO_FEET),
        # OpenPose's COCO model, and what MHR-70 has of the body.
        _skeleton("coco-18", _COCO_18),
        _skeleton("coco-18+feet", _COCO_18 + _COCO_FEET),
        # AlphaPose and RTMPose: COCO-17, then head (its top), neck, hip (centre) and feet.
        _skeleton("halpe-26", _COCO_17 + "head_top<neck neck<pelvis pelvis" + _FEET),
        _skeleton(
            "body-25",
            """nose<neck neck<pelvis right_shoulder<neck right_elbow<right_shoulder right_wrist<right_elbow
            left_shoulder<neck left_elbow<left_shoulder left_wrist<left_elbow pelvis
            right_hip<pelvis right_knee<right_hip right_ankle<right_knee
            left_hip<pelvis left_knee<left_hip left_ankle<left_knee
            right_eye<nose left_eye<nose right_ear<right_eye left_ear<left_eye"""
            + _COCO_FEET,
        ),
        _skeleton("body-25b", _COCO_17 + "neck<left_shoulder head_top<neck" + _COCO_FEET),
        # BlazePose, as MediaPipe numbers it.
        _skeleton(
            "mediapipe-33",
            """nose left_eye_inner<nose left_eye<left_eye_inner left_eye_outer<left_eye
            right_eye_inner<nose right_eye<right_eye_inner right_eye_outer<right_eye
            left_ear<left_eye_outer right_ear<right_eye_outer left_mouth<nose right_mouth<nose
            left_shoulder<left_hip right_shoulder<right_hip
            left_elbow<left_shoulder right_elbow<right_shoulder
            left_wrist<left_elbow right_wrist<right_elbow left_pinky<left_wrist right_pinky<right_wrist
            left_index<left_wrist right_index<right_wrist left_thumb<left_wrist right_thumb<right_wrist
            left_hip right_hip<left_hip left_knee<left_hip right_knee<right_hip
            left_ankle<left_knee right_ankle<right_knee left_heel<left_ankle right_heel<right_ankle
            left_big_toe<left_heel right_big_toe<right_heel""",
        ),
    )
}

H36M_17 = SKELETONS["h36m-17"]
H36M_FEET = SKELETONS["h36m-17+feet"]
FEET = H36M_FEET.joints[len(H36M_17) :]
"""Toes and heels. They are derived from no other joint: a layout without them leaves them missing."""
ANKLES_OF_FEET = [H36M_FEET.parents[H36M_FEET.index(joint)] for joint in FEET]
"""The index of each one's ankle, in both layouts."""

# Sapiens and SAM 3D Body: MHR-70, which are the first 70 points of Sapiens-308 as well. It begins with the
# joints of COCO-17+feet except for the wrists, which follow the fingers of their hands.
_MHR_JOINTS = [j for j in SKELETONS["coco-17+feet"].joints if "wrist" not in j]
_MHR_70 = {joint: i for i, joint in enumerate(_MHR_JOINTS)} | {
    "right_wrist": 41,
    "left_wrist": 62,
    "neck": 69,
}
_MHR_BODY = tuple(_MHR_70[joint] for joint in SKELETONS["coco-18+feet"].joints)

WHOLE_BODIES: dict[int, tuple[str, tuple[int, ...]]] = {
    70: ("coco-18+feet", _MHR_BODY),
    133: ("coco-17+feet", tuple(range(23))),  # COCO-WholeBody
    135: ("body-25b", tuple(range(25))),  # OpenPose BODY_135
    136: ("halpe-26", tuple(range(26))),  # Halpe full body
    308: ("coco-18+feet", _MHR_BODY),  # Sapiens (Goliath)
}
"""Layouts of so many points, with faces and hands: the layout of the body among them, and its points."""

# Human3.6M's "nose" is what papers call neck/nose: inside the head, at the height of the mouth. It is not the
# tip of the nose that detectors find. MPI-INF-3DHP's "head" is about the same place.
_MEANINGS = {
    "h36m-17": {"nose": "neck_nose"},
    "h36m-17+feet": {"nose": "neck_nose"},
    "mpi-17": {"head": "neck_nose"},
}
# MotionBERT's conversion takes the tip of the nose for it all the same, and published models expect that.
_PUBLISHED = {("halpe-26", "h36m-17"), ("halpe-26", "h36m-17+feet")}

# How to make a joint that a layout lacks, best first: {joint: weight}. These joints may themselves
# be derived. Pelvis, thorax and spine are made as in MotionBERT's Halpe-26 conversion (Zhu et al. 2023).
#
# The head's weights are those with the least expected error (least squares) over heads that nod by 20°,
# turn by 30° and tilt by 10° (standard deviations), seen by a detector that errs by 10 mm, rounded. Between
# the ears lies the origin; eyes are 85 mm in front and 22 mm above, the tip of the nose 120 mm in front and
# 20 mm below, the vertex is 125 mm above, the middle of the shoulders 30 mm behind and 185 mm below (an
# adult, to a centimetre; shoulder height after Winter 2009). Neck/nose is 65 mm in front and 55 mm below:
# Human3.6M has it 47 to 94 mm in front of the line from the thorax to the head top. `tests/test_head.py`
# refits them. Without both ears there are the eyes, and in a view from the side one ear and one eye.
DERIVATIONS: dict[str, tuple[dict[str, float], ...]] = {
    "pelvis": ({"left_hip": 0.5, "right_hip": 0.5},),
    "thorax": ({"neck": 1.0}, {"left_shoulder": 0.5, "right_shoulder": 0.5}),
    "neck": ({"thorax": 1.0}, {"left_shoulder": 0.5, "right_shoulder": 0.5}),
    "spine": ({"pelvis": 0.5, "thorax": 0.5},),
    "neck_nose": (
        {"nose": 0.55, "left_ear": 0.1, "right_ear": 0.1, "thorax": 0.25},
        {"nose": 0.7, "thorax": 0.3},
    ),
    "head_top": (
        {
            "left_ear": 0.6, "right_ear": 0.6, "left_eye": 0.5, "right_eye": 0.5,
            "nose": -0.75, "thorax": -0.45,
        },
        {"left_ear": 0.8, "right_ear": 0.8, "thorax": -0.6},
        {"left_eye": 1.5, "right_eye": 1.5, "nose": -2.0},
        {"left_ear": 1.2, "left_eye": 1.0, "nose": -0.75, "thorax": -0.45},
        {"right_ear": 1.2, "right_eye": 1.0, "nose": -0.75, "thorax": -0.45},
    ),
}  # fmt: skip


def get_skeleton(name: "str | Skeleton") -> Skeleton:
    """Return the layout called `name`; raises UserError with the known names for an unknown one."""
    if isinstance(name, Skeleton):
        return name
    key = name.lower().replace("_", "-")
    if key not in SKELETONS:
        raise UserError(
            f"unknown skeleton {name!r}: expected one of {', '.join(SKELETONS)}",
            "Name the layout of the keypoints with --skeleton (skeleton=… in Python).",
        )
    return SKELETONS[key]


def conversion_matrix(
    source: Skeleton, target: Skeleton
) -> Shaped[np.ndarray, "target_joints source_joints"]:
    """Build the matrix that makes `target` joints from `source` joints where all of them are seen.

    Raises UserError where one cannot be derived.
    """
    options = derivations(source, target)
    if lacking := [joint for joint, rows in zip(target.joints, options, strict=True) if not len(rows)]:
        _refuse(source, target, lacking[0])
    matrix = np.stack([rows[0] for rows in options])
    matrix.setflags(write=False)
    return matrix


@cache
def derivations(source: Skeleton, target: Skeleton) -> list[Shaped[np.ndarray, "options source_joints"]]:
    """List the ways to derive each joint of `target` from `source`, best first, as weights; none for feet."""
    meanings = _MEANINGS.get(source.name, {})
    known = {meanings.get(joint, joint): index for index, joint in enumerate(source.joints)}
    derivations = []
    for joint in target.joints:
        meaning = _MEANINGS.get(target.name, {}).get(joint, joint)
        if joint in source.joints and (source.name, target.name) in _PUBLISHED:
            meaning = joint
        options = _derive(meaning, known, frozenset())
        if not options and joint not in FEET:
            _refuse(source, target, joint)
        rows = np.zeros((len(options), len(source)))
        for row, weights in zip(rows, options, strict=True):
            for part, weight in weights.items():
                row[known[part]] = weight
        derivations.append(rows)
    return derivations


def _refuse(source: Skeleton, target: Skeleton, joint: str) -> NoReturn:
    raise UserError(
        f"skeleton {source.name} cannot be converted to {target.name}: no way to derive {joint!r}",
        f"{source.name} has {', '.join(source.joints)}.",
    )


def _derive(joint: str, known: Mapping[str, int], trail: frozenset[str]) -> list[dict[str, float]]:
    """`joint` as weighted means of `known` joints; `trail` holds the joints being made, against circles."""
    if joint in known:
        return [{joint: 1.0}]
    options = []
    for derivation in DERIVATIONS.get(joint, ()):
        parts = [[] if part in trail else _derive(part, known, trail | {joint}) for part in derivation]
        for choice in product(*parts):
            total: dict[str, float] = {}
            for weight, part in zip(derivation.values(), choice, strict=True):
                for name, share in part.items():
                    total[name] = total.get(name, 0.0) + weight * share
            options.append(total)
    return options


def convert(
    points: Float[np.ndarray, "frames joints axes"],
    confidence: Float[np.ndarray, "frames joints"],
    source: Skeleton,
    target: Skeleton,
) -> tuple[Float[np.ndarray, "frames target_joints axes"], Float[np.ndarray, "frames target_joints"]]:
    """Convert points and confidence of `source` joints to `target` joints, in the same units.

    A joint in both layouts is copied unchanged. A derived joint is made by the first derivation whose
    joints are all seen in that frame, and has their mean confidence; without one it has
    confidence 0, and so are toes and heels (`FEET`) that `source` does not have.
    """
    seen = confidence > 0
    derived = np.zeros((len(points), len(target), points.shape[-1]), dtype=points.dtype)
    derived_confidence = np.zeros((len(points), len(target)), dtype=confidence.dtype)
    for joint, options in enumerate(derivations(source, target)):
        # From the last option to the first, so that the best is what remains.
        for weights in options[::-1]:
            complete = seen[:, weights != 0].all(axis=1)
            share = np.abs(weights) / np.abs(weights).sum()
            derived_confidence[complete, joint] = confidence[complete].astype(np.float64) @ share
            derived[complete, joint] = np.einsum("s,fsa->fa", weights, points[complete].astype(np.float64))
    return derived, derived_confidence


def walk(skeleton: Skeleton) -> Iterator[tuple[int, int]]:
    """Order bones (child, parent) so that every parent comes before its children."""
    done = {i for i, parent in enumerate(skeleton.parents) if parent < 0}
    waiting = [i for i in range(len(skeleton)) if i not in done]
    while waiting:
        ready = [i for i in waiting if skeleton.parents[i] in done]
        for child in ready:
            yield child, skeleton.parents[child]
        done.update(ready)
        waiting = [i for i in waiting if i not in done]


ANKLE_HEIGHT = 0.039
"""Height of the ankle above the sole, as a share of the stature (Winter 2009, figure 4.1)."""

# Legs from hip to ankle, trunk, neck and head of an adult span this share of the stature: hip height
# 0.530 minus ankle height 0.039, and hip to vertex 0.470 (Winter, Biomechanics and Motor Control, 2009).
STATURE_SHARE = 0.961
"""What the bones of `STATURE_BONES`, by weight, are of the stature."""
STATURE_BONES = {
    **dict.fromkeys(("left_knee", "right_knee", "left_ankle", "right_ankle"), 0.5),
    **dict.fromkeys(("spine", "thorax", "nose", "head_top"), 1.0),
}


def stature(joints: Any) -> Any:
    """Compute the standing height of H36M-17 `joints` (..., 17, 3) per frame, in their unit.

    Measured along the bones, so it holds in any posture. NumPy arrays and torch tensors alike.
    """
    total = 0.0
    for joint, weight in STATURE_BONES.items():
        child = H36M_17.index(joint)
        bone = joints[..., child, :] - joints[..., H36M_17.parents[child], :]
        total = total + weight * (bone * bone).sum(-1) ** 0.5
    return total / STATURE_SHARE


_MARKERS = {"pelvis": "Hip", "thorax": "Neck", "head_top": "Head", "head": "Nose"}


def marker_names(skeleton: Skeleton) -> tuple[str, ...]:
    """Name a layout's joints as Pose2Sim does: LKnee, RBigToe, Head (`head_top`); it has no Spine."""
    return tuple(_MARKERS.get(joint) or _marker_name(joint) for joint in skeleton.joints)


def _marker_name(joint: str) -> str:
    side, _, rest = joint.partition("_")
    if side in ("left", "right"):
        return side[0].upper() + _marker_name(rest)
    return joint.title().replace("_", "")
