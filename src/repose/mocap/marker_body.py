"""Bodies from marker files: joints by name or map, or joint centres from the Plug-in-Gait set."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected
from repose.mocap.body import upright_axis, z_up
from repose.mocap.joint_map import NEEDED, JointMap, centre_pelvis, match_synonyms, pick
from repose.mocap.markers import MarkerMotion
from repose.mocap.plug_in_gait import MARKERS, joint_centres
from repose.sequence import fill_gaps, runs
from repose.skeleton import H36M_17

_LONGEST_GAP_S = 0.2
_SHORTEST_S = 0.25


def read_marker_body(
    path: Path, motion: MarkerMotion, joint_map: JointMap | None = None
) -> tuple[list[tuple[int, Float[np.ndarray, "frames 17 3"]]], tuple[str, ...]]:
    """Read the joints of a recording, split at gaps, and say what was assumed.

    Each piece comes with its first frame; metres, z up. Gaps of up to 0.2 s are interpolated.

    Raises UserError where joints cannot be told from the names of the markers.
    """
    names = tuple(name.rpartition(":")[2] for name in motion.markers)
    notes: list[str] = []
    if joint_map is not None and not joint_map.missing(names):
        given = {j: [words] if isinstance(words, str) else words for j, words in joint_map.joints.items()}
        joints = _complete(pick(given, names, motion.positions_m), notes)
        notes.append("joints identified by the joint map")
    elif set(MARKERS) <= set(names):
        joints = joint_centres({name: motion.positions_m[:, names.index(name)] for name in MARKERS})
        notes.append("joint centres estimated from Plug-in-Gait markers")
    elif (found := match_synonyms(names)) is not None:
        joints = _complete(pick(found, names, motion.positions_m), notes)
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


def _pieces(joints: np.ndarray, fps: float) -> list[tuple[int, np.ndarray]]:
    filled = fill_gaps(joints, np.isfinite(joints).all(axis=-1), longest=int(_LONGEST_GAP_S * fps))
    centre_pelvis(filled)
    there = np.isfinite(filled).all(axis=(1, 2))
    shortest = 1 if there.all() else _SHORTEST_S * fps
    return [(start, filled[start:stop]) for start, stop in runs(there) if stop - start >= shortest]
