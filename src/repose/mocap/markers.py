"""Bodies from marker files: joints by name or map, or joint centres from Vicon's Plug-in-Gait set.

`MarkerMotion` is what every reader of marker files returns.

Sources of the joint centres. Hips: Harrington et al., "Prediction of the hip joint centre in adults,
children, and patients with cerebral palsy based on magnetic resonance imaging", Journal of Biomechanics 40
(2007), from pelvic width and depth. Knees and ankles: the chord construction of Davis et al., "A gait
analysis data collection and reduction technique", Human Movement Science 10 (1991), with typical adult
widths, since files do not say them. Shoulders: Rab, Petuskey and Bagley, "A method for determination of
upper extremity kinematics", Gait & Posture 15 (2002): 17 % of the distance of the acromia below them.
Wrists and the trunk are midpoints of markers; head top and nose lie about the centre of the head band.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected
from repose.geometry.rotation import unit
from repose.mocap.foot_bones import SIDES, place_foot
from repose.mocap.joint_map import NEEDED, JointMap, centre_pelvis, match_synonyms, pick, upright_axis, z_up
from repose.sequence import fill_gaps, runs
from repose.skeleton import FEET, H36M_17, H36M_FEET, marker_names, stature


@dataclass(frozen=True, eq=False)
class MarkerMotion:
    """The content of a marker file. Axes are the file's own."""

    markers: tuple[str, ...]
    positions_m: Float[np.ndarray, "frames markers 3"]
    """NaN where a marker was not found."""
    fps: float
    up: str | None
    """The axis that points up, "y" or "z", where the file says it."""


def length_of_unit(path: str | Path, unit: str) -> float:
    """Convert a unit's name to metres; raises UserError for an unknown unit."""
    units_m = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "meters": 1.0, "millimeters": 0.001}
    if unit.strip().lower() not in units_m:
        expected(str(path), f"a unit among {', '.join(units_m)}", repr(unit[:40]))
    return units_m[unit.strip().lower()]


_SIDED = "FHD BHD SHO ELB WRA WRB ASI PSI THI KNE TIB ANK"
MARKERS = ("C7", "T10", "CLAV", "STRN", *(side + name for side in "LR" for name in _SIDED.split()))
"""The markers of the Plug-in-Gait set that are used; all must be there."""
FEET_MARKERS = ("LHEE", "RHEE", "LTOE", "RTOE")
"""Used as well where they are there."""

_MARKER_RADIUS_M = 0.007
_HALF_WIDTH_M = {"knee": 0.050, "ankle": 0.035, "elbow": 0.035}
_SHOULDER_DROP = 0.17
_CROWN_M = 0.09
"""From the head band to the top of the head."""
_NOSE_M = (0.04, -0.04)
"""Of Human3.6M's neck/nose from the centre of the band: forward, up."""


def joint_centres(markers_m: Mapping[str, Float[np.ndarray, "frames 3"]]) -> Float[np.ndarray, "frames 17 3"]:
    """Estimate joint centres in the frame of the markers, metres; NaN where a needed marker is NaN."""
    m = {name: markers_m[name].astype(np.float64) for name in MARKERS}
    places: dict[str, np.ndarray] = {}
    places |= _hips(m)
    places["pelvis"] = (places["left_hip"] + places["right_hip"]) / 2
    places["thorax"] = (m["C7"] + m["CLAV"]) / 2
    places["spine"] = (m["T10"] + m["STRN"]) / 2
    down = unit((m["T10"] + m["STRN"]) - (m["C7"] + m["CLAV"]))
    drop = _SHOULDER_DROP * np.linalg.norm(m["LSHO"] - m["RSHO"], axis=-1, keepdims=True)
    for side, letter in (("left", "L"), ("right", "R")):
        hip, wrist = places[f"{side}_hip"], (m[f"{letter}WRA"] + m[f"{letter}WRB"]) / 2
        knee = _chord(hip, m[f"{letter}KNE"], m[f"{letter}THI"], "knee")
        places[f"{side}_knee"] = knee
        places[f"{side}_ankle"] = _chord(knee, m[f"{letter}ANK"], m[f"{letter}TIB"], "ankle")
        shoulder = m[f"{letter}SHO"] + drop * down
        places[f"{side}_shoulder"], places[f"{side}_wrist"] = shoulder, wrist
        places[f"{side}_elbow"] = _elbow(shoulder, m[f"{letter}ELB"], wrist, side)
    front, back = m["LFHD"] + m["RFHD"], m["LBHD"] + m["RBHD"]
    forward = unit(front - back)
    up = unit(np.cross(forward, m["LFHD"] + m["LBHD"] - m["RFHD"] - m["RBHD"]))
    band = (front + back) / 4
    places["head_top"] = band + _CROWN_M * up
    places["nose"] = band + _NOSE_M[0] * forward + _NOSE_M[1] * up
    return np.stack([places[joint] for joint in H36M_17.joints], axis=1)


def feet_of_markers(
    markers_m: Mapping[str, Float[np.ndarray, "frames 3"]], joints: Float[np.ndarray, "frames 17 3"]
) -> Float[np.ndarray, "frames 6 3"]:
    """Place feet along the line from the heel's marker to the toe's, equally high, under the shank.

    NaN where one is not found, and without `FEET_MARKERS`.
    """
    m = markers_m
    feet = np.full((len(joints), len(FEET), 3), np.nan)
    heights_m = stature(joints)
    if not set(FEET_MARKERS) <= set(m) or not np.isfinite(heights_m).any():
        return feet
    for side in SIDES:
        knee, ankle = (joints[:, H36M_17.index(f"{side}_{joint}")] for joint in ("knee", "ankle"))
        forward = unit(m[f"{side[0].upper()}TOE"] - m[f"{side[0].upper()}HEE"])
        shank = knee - ankle
        up = unit(shank - (shank * forward).sum(axis=-1, keepdims=True) * forward)
        for joint, place in place_foot(side, ankle, forward, up, float(np.nanmedian(heights_m))).items():
            feet[:, FEET.index(joint)] = place
    return feet


def _hips(m: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Harrington's regression from the pelvis: x forward, y up, z right, from the middle of the ASIS."""
    front, back = (m["LASI"] + m["RASI"]) / 2, (m["LPSI"] + m["RPSI"]) / 2
    width_m = np.linalg.norm(m["RASI"] - m["LASI"], axis=-1, keepdims=True)
    depth_m = np.linalg.norm(front - back, axis=-1, keepdims=True)
    z = unit(m["RASI"] - m["LASI"])
    y = unit(np.cross(z, front - back))
    x = np.cross(y, z)
    middle = front + (-0.24 * depth_m - 0.0099) * x + (-0.30 * width_m - 0.0109) * y
    aside = (0.33 * width_m + 0.0073) * z
    return {"left_hip": middle - aside, "right_hip": middle + aside}


def _chord(
    above: Float[np.ndarray, "frames 3"],
    lateral: Float[np.ndarray, "frames 3"],
    wand: Float[np.ndarray, "frames 3"],
    joint: str,
) -> Float[np.ndarray, "frames 3"]:
    """Find a joint centre in the plane of the joint above, the lateral marker and the wand.

    It is half a width inside the marker, where the line to the joint above is perpendicular to the line to
    the marker.
    """
    along = above - lateral
    return _inside(along, lateral, -(wand - lateral), joint)


def _elbow(shoulder: np.ndarray, lateral: np.ndarray, wrist: np.ndarray, side: str) -> np.ndarray:
    """Estimate the elbow on the hinge's axis, perpendicular to upper arm and forearm, half a width medially.

    The axis follows from the centre and the centre from the axis: a few rounds settle both.
    """
    centre = lateral
    for _ in range(4):
        axis = np.cross(centre - shoulder, wrist - centre)
        centre = _inside(shoulder - lateral, lateral, axis if side == "left" else -axis, "elbow")
    return centre


def _inside(along: np.ndarray, lateral: np.ndarray, medial: np.ndarray, joint: str) -> np.ndarray:
    offset_m = _HALF_WIDTH_M[joint] + _MARKER_RADIUS_M
    length_m = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), offset_m)
    forth = along / length_m
    inward = unit(medial - (medial * forth).sum(axis=-1, keepdims=True) * forth)
    sine = offset_m / length_m
    return lateral + offset_m * (sine * forth + np.sqrt(1 - sine**2) * inward)


_LONGEST_GAP_S = 0.2
_SHORTEST_S = 0.25


def read_marker_body(
    path: Path, motion: MarkerMotion, joint_map: JointMap | None = None
) -> tuple[list[tuple[int, Float[np.ndarray, "frames 23 3"]]], tuple[str, ...]]:
    """Read the joints (h36m-17+feet) of a recording, split at gaps, and say what was assumed.

    Feet are NaN where no markers tell of them.

    Each piece comes with its first frame; metres, z up. Gaps of up to 0.2 s are interpolated.

    Raises UserError where joints cannot be told from the names of the markers.
    """
    names = tuple(name.rpartition(":")[2] for name in motion.markers)
    notes: list[str] = []
    if joint_map is not None and not joint_map.missing(names):
        joints = _complete(pick(joint_map.names, names, motion.positions_m), notes)
        joints = np.concatenate([joints, _feet_by_name(names, motion.positions_m)], axis=1)
        notes.append("joints identified by the joint map")
    elif set(MARKERS) <= set(names):
        markers = {name: motion.positions_m[:, at] for at, name in enumerate(names)}
        joints = joint_centres(markers)
        joints = np.concatenate([joints, feet_of_markers(markers, joints)], axis=1)
        notes.append("joint centres estimated from Plug-in-Gait markers")
    elif (found := match_synonyms(names)) is not None:
        joints = _complete(pick(found, names, motion.positions_m), notes)
        joints = np.concatenate([joints, _feet_by_name(names, motion.positions_m)], axis=1)
    else:
        wanted = "markers of the Plug-in-Gait set, joints by usual names, or a joint map"
        hint = f"Write a joint map ({', '.join(NEEDED)}; --joint-map FILE, docs/training.md)."
        expected(str(path), wanted, ", ".join(names[:60]), hint)
    up = (joint_map.up if joint_map is not None else None) or motion.up
    if up is None:
        up = upright_axis(joints) or "y"
        notes.append(f"{up} is up, by how the person stands")
    return _pieces(joints if up == "z" else z_up(joints), motion.fps), tuple(notes)


def _complete(joints: Float[np.ndarray, "frames 17 3"], notes: list[str]) -> Float[np.ndarray, "frames 17 3"]:
    """Joints of the trunk and head that no marker gives, from those around."""
    at, made = H36M_17.index, []
    shoulders = joints[:, H36M_17.indices("left_shoulder", "right_shoulder")].mean(axis=1)
    for joint in ("thorax", "spine", "head_top", "nose"):
        if not np.isnan(joints[:, at(joint)]).all():
            continue
        thorax, pelvis = joints[:, at("thorax")], joints[:, at("pelvis")]
        trunk = thorax - pelvis
        joints[:, at(joint)] = {
            "thorax": shoulders,
            "spine": (thorax + pelvis) / 2,
            "head_top": thorax + 0.55 * trunk,
            "nose": (thorax + joints[:, at("head_top")]) / 2,
        }[joint]
        made.append(joint)
    if made:
        notes.append(f"{', '.join(made)} made of the joints around")
    return joints


def _feet_by_name(
    names: tuple[str, ...], positions_m: Float[np.ndarray, "frames markers 3"]
) -> Float[np.ndarray, "frames 6 3"]:
    own = marker_names(H36M_FEET)[len(H36M_17) :]
    if not set(own) <= set(names):
        return np.full((len(positions_m), len(FEET), 3), np.nan)
    return positions_m[:, [names.index(marker) for marker in own]]


def _pieces(joints: np.ndarray, fps: float) -> list[tuple[int, np.ndarray]]:
    filled = fill_gaps(joints, np.isfinite(joints).all(axis=-1), longest=int(_LONGEST_GAP_S * fps))
    centre_pelvis(filled)
    there = np.isfinite(filled[:, : len(H36M_17)]).all(axis=(1, 2))
    shortest = 1 if there.all() else _SHORTEST_S * fps
    return [(start, filled[start:stop]) for start, stop in runs(there) if stop - start >= shortest]
