"""What a file's numbers mean: which joints they are, in which unit, and which way is up.

Each is recognised, by known names and by the body's size and posture, or said by a map that the user gives.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from jaxtyping import Float

from repose.errors import expected, reading
from repose.files.numbers import check_numbers
from repose.files.structured import decode
from repose.geometry.rotation import unit
from repose.mocap.asf_amc import INCH_M
from repose.skeleton import H36M_17, marker_names

Table = Mapping[str, str]
"""H36M joint -> names of the file's joints, parted by spaces, whose midpoint it is."""

NEEDED = tuple(
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
)
"""Joints that a map must have. What else it lacks is made from these and the file's hierarchy."""

UNITS_M = {
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": INCH_M,
    "the CMU database's unit, 0.0564 m": INCH_M / 0.45,
}
_THIGH_M = (0.2, 0.7)
"""Lengths of a human thigh, wide enough for children and giants: anything else is a wrong unit."""
_MIDDLE_M = 0.41
_FARTHEST_M = 10_000.0
_RATES_HZ = (0.1, 10_000.0)

# Best first, in lower case and without signs; the side is split off before.
_SIDED = {
    "hip": "hjc hipjointcentre upleg upperleg thigh femur legupper hip hipjoint",
    "knee": "kjc kneejointcentre lowerleg lowleg shin calf shank tibia leglower knee leg",
    "ankle": "ajc anklejointcentre foot ankle talus",
    "shoulder": "sjc shoulderjointcentre upperarm uparm arm shldr humerus armupper shoulder",
    "elbow": "ejc elbowjointcentre forearm lowerarm lowarm elbow radius armlower",
    "wrist": "wjc wristjointcentre hand wrist",
}
_MIDDLE = {
    "thorax": "neck neck1 neck01 neck0 lowerneck neckbase cervical",
    "nose": "head head1 head01 skull",
    "head_top": "headtop headtopend headend headnub headsite skullend vertex",
}
# Rigs that put their name before each joint's.
_PREFIX = re.compile(
    r"^(mixamorig\d*|bip0*\d+|valvebiped|ccbase|mavg|jnt|joint|def|bn|b)(?=.)", re.IGNORECASE
)


class JointMap(msgspec.Struct, forbid_unknown_fields=True):
    """A file that names the joints or markers of a skeleton."""

    joints: dict[str, str | list[str]]
    """H36M joint -> the file's joint, or several whose midpoint it is."""
    unit_m: float | None = None
    """Length of the file's unit in metres; recognised by the size of the body unless given."""
    up: Literal["y", "z"] | None = None
    """The file's axis that points up; recognised unless given."""

    @property
    def names(self) -> dict[str, list[str]]:
        """H36M joint -> the file's joints whose midpoint it is."""
        return {joint: [words] if isinstance(words, str) else words for joint, words in self.joints.items()}

    def missing(self, names: Sequence[str]) -> list[str]:
        """List the joints that the map names and a file lacks."""
        return sorted({name for words in self.names.values() for name in words} - set(names))


def read_joint_map(path: str | Path) -> JointMap:
    """Read a JSON file such as `{"joints": {"left_knee": "Shin.L", "spine": ["Back1", "Back2"], …}}`.

    `unit_m` and `up` ("y" or "z") may stand beside `joints`. Raises UserError for another content, unknown
    joints, and where one of the twelve joints of the limbs is missing.
    """
    path = Path(path)
    hint = "docs/training.md has an example."
    with reading(path, 'a JSON file with "joints"', hint):
        found: JointMap = decode(f"{path}: joint map", path.read_bytes(), JointMap, hint)
    if unknown := sorted(set(found.joints) - set(H36M_17.joints)):
        expected(f"{path}: joints", ", ".join(H36M_17.joints), ", ".join(unknown))
    if lacking := [joint for joint in NEEDED if not found.names.get(joint)]:
        expected(f"{path}: joints", f"{', '.join(lacking)} too", ", ".join(found.joints) or "none")
    if empty := [joint for joint, words in found.names.items() if not all(words or [""])]:
        expected(f"{path}: joints: {empty[0]}", "the names of joints in the file", "none, or an empty one")
    if found.unit_m is not None and not 0 < found.unit_m < 1000:
        expected(f"{path}: unit_m", "the length of the unit in metres", found.unit_m)
    return found


def match_synonyms(names: Sequence[str]) -> dict[str, list[str]] | None:
    """Match the file's joints to H36M joints by common names; None if limbs are missing.

    Sides are words or letters at either end (LeftUpLeg, upper_leg.L, lThigh, Bip01 R Calf). Joints of the
    middle are in it where they were found.
    """
    own = {marker: joint for joint, marker in zip(H36M_17.joints, marker_names(H36M_17), strict=True)}
    if set(own) - {"Spine"} <= set(names):
        return {joint: [marker] for marker, joint in own.items() if marker in names}
    cores: dict[tuple[str, str], str] = {}
    for name in names:
        cores.setdefault(_core(name), name)
    found = {}
    for side in ("left", "right"):
        for joint, words in _SIDED.items():
            match = next((cores[side, word] for word in words.split() if (side, word) in cores), None)
            if match is None:
                return None
            found[f"{side}_{joint}"] = [match]
    for joint, words in _MIDDLE.items():
        match = next((cores["", word] for word in words.split() if ("", word) in cores), None)
        if match is not None:
            found[joint] = [match]
    return found


def pick(
    table: Mapping[str, str | list[str]],
    names: Sequence[str],
    positions: Float[np.ndarray, "frames points 3"],
) -> Float[np.ndarray, "frames 17 3"]:
    """Select H36M joints by `table`: means of the named points, NaN for none; the pelvis is mid-hip."""
    joints = np.full((len(positions), len(H36M_17), 3), np.nan)
    for joint, words in table.items():
        sources = [names.index(word) for word in words]
        joints[:, H36M_17.index(joint)] = positions[:, sources].mean(axis=1)
    centre_pelvis(joints)
    return joints


def centre_pelvis(joints: Float[np.ndarray, "frames joints 3"]) -> None:
    """Put the pelvis half-way between the hips, in place."""
    joints[:, H36M_17.index("pelvis")] = joints[:, H36M_17.indices("left_hip", "right_hip")].mean(axis=1)


def recognise_unit(path: Path, joints: Float[np.ndarray, "frames joints 3"]) -> tuple[str, float]:
    """Find the unit in which the body has the most human size: its name, and its length in metres.

    Raises UserError where the body is not human in any unit.
    """
    thigh = _thigh(joints)
    fitting = {name: unit_m for name, unit_m in UNITS_M.items() if _THIGH_M[0] < thigh * unit_m < _THIGH_M[1]}
    if not fitting:
        wanted = f"a thigh of {_THIGH_M[0]} to {_THIGH_M[1]} m in {', '.join(UNITS_M)}"
        hint = f"If {thigh:.3g} is a thigh, one unit is about {_MIDDLE_M / thigh:.2g} m: say so as unit_m."
        expected(str(path), wanted, f"one of {thigh:.3g} units", hint if thigh > 0 else "")
    return min(fitting.items(), key=lambda item: abs(np.log(thigh * item[1] / _MIDDLE_M)))


def check_body(
    path: Path, joints_m: Float[np.ndarray, "frames joints 3"], fps: float, unit_m: float = 1.0
) -> None:
    """Check that a recording can be a human body.

    Raises UserError for positions that are not finite or far away, an implausible rate, and a thigh that is
    not human, with the unit that would make it so in place of `unit_m`.
    """
    joints_m = joints_m[:, : len(H36M_17)]  # feet may be unknown
    check_numbers(f"{path}: places in metres", joints_m, largest=_FARTHEST_M, hint="Check the file's unit.")
    if not _RATES_HZ[0] <= fps <= _RATES_HZ[1]:
        rates = f"a frame rate of {_RATES_HZ[0]:g} to {_RATES_HZ[1]:,.0f} Hz"
        expected(str(path), rates, f"{fps:.4g} Hz", "Check the frame time: it is in seconds.")
    thigh_m = _thigh(joints_m)
    if not _THIGH_M[0] < thigh_m < _THIGH_M[1]:
        sizes_m = {name: thigh_m / unit_m * other for name, other in UNITS_M.items()}
        meant = [f"{name} ({size_m:.2f} m)" for name, size_m in sizes_m.items() if 0.3 < size_m < 0.55]
        hint = "Give unit_m, the length of the file's unit in metres (0.01: centimetres)."
        if meant:
            hint = f"It would be human if the numbers were {' or '.join(meant)}. {hint}"
        expected(str(path), f"a thigh of {_THIGH_M[0]} to {_THIGH_M[1]} m", f"{thigh_m:.3g} m", hint)


def z_up(points: Float[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """Convert from y up to z up, both right-handed."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def upright_axis(joints: Float[np.ndarray, "frames joints 3"]) -> str | None:
    """Return the axis, "y" or "z", along which the person mostly stands; None for one who lies."""
    head, feet = joints[:, H36M_17.index("head_top")], joints[:, H36M_17.indices("left_ankle", "right_ankle")]
    body = head - feet.mean(axis=1)
    body = body[np.isfinite(body).all(axis=-1)]
    if not len(body):
        return None
    x, y, z = np.mean(unit(body), axis=0)
    if max(y, z) < 0.5 or abs(x) > max(y, z):
        return None
    return "z" if z > y else "y"


def _core(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and the rest of a joint's name in lower case, without signs."""
    name = name.rpartition(":")[2].rpartition("|")[2]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", _PREFIX.sub("", name))
    words = [word.lower() for word in words]
    sides = {"l": "left", "left": "left", "r": "right", "right": "right"}
    for at in (0, -1):
        if len(words) > 1 and words[at] in sides:
            side = sides[words.pop(at)]
            return side, "".join(words)
    whole = "".join(words)
    for side in ("left", "right"):
        if whole.startswith(side) and len(whole) > len(side):
            return side, whole.removeprefix(side)
    if len(whole) == 4 and whole[0] in sides and whole.endswith("jc"):
        return sides[whole[0]], whole[1:]
    return "", whole


def _thigh(joints: np.ndarray) -> float:
    sides = [
        np.linalg.norm(joints[:, H36M_17.index(f"{s}_knee")] - joints[:, H36M_17.index(f"{s}_hip")], axis=-1)
        for s in ("left", "right")
    ]
    return float(np.median(sides))
