"""Joint centres of the 17 Human3.6M joints from the markers of Vicon's Plug-in-Gait set.

Sources. Hips: Harrington et al., "Prediction of the hip joint centre in adults, children, and patients with
cerebral palsy based on magnetic resonance imaging", Journal of Biomechanics 40 (2007), from pelvic width
and depth. Knees and ankles: the chord construction of Davis et al., "A gait analysis data collection and
reduction technique", Human Movement Science 10 (1991), with typical adult widths, since files do not say
them. Shoulders: Rab, Petuskey and Bagley, "A method for determination of upper extremity kinematics",
Gait & Posture 15 (2002): 17 % of the distance of the acromia below them. Wrists and the trunk are midpoints
of markers; head top and nose lie about the centre of the head band.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from repose.geometry.rotation import unit
from repose.skeleton import H36M_17

_SIDED = "FHD BHD SHO ELB WRA WRB ASI PSI THI KNE TIB ANK"
MARKERS = ("C7", "T10", "CLAV", "STRN", *(side + name for side in "LR" for name in _SIDED.split()))
"""The markers that are used; all must be there."""

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
