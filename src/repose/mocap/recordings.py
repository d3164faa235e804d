"""Motion capture as clips of the 17 Human3.6M joints, whatever file it comes from.

Each source's joints are mapped by name. H36M joints that lie between two of a source's joints are
their midpoint; the pelvis is always the midpoint of the hips, as in Human3.6M.
"""

import codecs
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from repose import sequence
from repose.errors import UserError, expected, reads
from repose.files.arrays import load_arrays
from repose.files.text import beginning
from repose.mocap.asf_amc import AsfSkeleton, read_amc, read_asf
from repose.mocap.bvh_body import read_bvh_body
from repose.mocap.c3d import read_c3d
from repose.mocap.foot_bones import SIDES, add_feet, amc_foot
from repose.mocap.joint_map import JointMap, centre_pelvis, check_body, pick, read_joint_map, z_up
from repose.mocap.markers import MarkerMotion, read_marker_body
from repose.mocap.trc import read_trc
from repose.sequence import stretches
from repose.skeleton import FEET, SKELETONS

H36M = SKELETONS["h36m-17"]


@dataclass(frozen=True, eq=False)
class MocapClip:
    """One person's motion. World frame: right-handed, z up."""

    name: str
    joints_m: Float[np.ndarray, "frames 17 3"]
    """float32, in the order of the h36m-17 skeleton."""
    fps: float
    source: str
    """The file it was read from."""
    notes: tuple[str, ...] = ()
    """What was recognised, left out or made up when it was read."""
    subject: str = ""
    """Who moves, where the name tells: `cmu 03`, `ui-prmd 10`."""
    kind: str = ""
    """Recordings of one kind are alike, as far as names tell: a movement, else a subject's or an action's."""
    feet_m: Float[np.ndarray, "frames 6 3"] | None = None
    """Toes and heels in the order of `repose.skeleton.FEET`, None where the recording does not tell."""

    def __len__(self) -> int:
        return len(self.joints_m)

    def changed(self, change: Callable[[np.ndarray], np.ndarray], **others: Any) -> "MocapClip":
        """Return the clip with `change` applied to joints and feet, and with other values of other fields."""
        feet = None if self.feet_m is None else change(self.feet_m)
        return replace(self, joints_m=change(self.joints_m), feet_m=feet, **others)

    def with_feet_m(self) -> Float[np.ndarray, "frames 23 3"]:
        """Return the joints of h36m-17+feet; NaN for feet that are not known."""
        feet = self.feet_m
        if feet is None:
            feet = np.full((len(self), len(FEET), 3), np.nan, self.joints_m.dtype)
        return np.concatenate([self.joints_m, feet], axis=1)


_CMU_AMC = {
    "right_hip": "rhipjoint",
    "right_knee": "rfemur",
    "right_ankle": "rtibia",
    "left_hip": "lhipjoint",
    "left_knee": "lfemur",
    "left_ankle": "ltibia",
    "spine": "lowerback upperback",
    "thorax": "thorax",
    "nose": "upperneck",
    "head_top": "head",
    "left_shoulder": "lclavicle",
    "left_elbow": "lhumerus",
    "left_wrist": "lradius lwrist",
    "right_shoulder": "rclavicle",
    "right_elbow": "rhumerus",
    "right_wrist": "rradius rwrist",
}
"""H36M joint -> bones of the CMU database whose ENDs' midpoint it is. `lradius` alone ends short of the
wrist, `lwrist` in the hand."""

VALIDATION_SUBJECTS = frozenset(
    ("cmu 03", "cmu 06", "cmu 17", "cmu 49", "cmu 127", "ui-prmd 04", "ui-prmd 09")
)
"""People who are never trained on, a tenth of the time: walking, basketball, boxing, ballet and gymnastics,
running and jumping, and the movements of physical rehabilitation."""

_CMU_JOINTS = {
    **{f"basketball_{number}": "06" for number in range(1, 7)},
    "walking_3": "06",
    **dict.fromkeys(("jumping_2", "jumping_6", "walking_extra_39"), "49"),
}
"""Recordings of `cmu_joints17`, which go by their actions, that are of validation subjects. They were found
by the angles of the knees, which agree with the database's own files to hundredths of a degree (06: by the
path of the root). Half of the pack is known in this way; the other half is other people's walking, jumping,
directing and football, as far as paths and angles tell."""

_LEFT_OUT = "ui-prmd 05"
"""Their front pelvic markers are 0.44 m apart, on soft tissue: the regression then puts the hips 0.31 m
apart, and thighs come out 0.1 m shorter than shanks."""
_CMU_PACK, _CMU_MORE = ("cmu_amc", "cmu_joints17"), "cmu_more"
_SUFFIXES = (".bvh", ".amc", ".npz", ".c3d", ".trc")
_UIPRMD = "uiprmd_markers.npz"


def read_mocap(
    path: str | Path, *, unit_m: float | None = None, joint_map: str | Path | None = None
) -> list[MocapClip]:
    """Read a file, or all files of a folder and its subfolders in order of their paths, as H36M-17 clips.

    BVH files (`repose.mocap.bvh_body.read_bvh_body`), AMC files (CMU's bones, y up, with their ASF in the
    same folder), `.npz` files with `joints_m (frames, 17, 3)` in metres, z up, and `fps`, and C3D and TRC
    files (markers at the joints by name or map, or the Plug-in-Gait set). What was recognised or
    reconstructed is in each clip's `notes`.

    Args:
        path: the file or folder.
        unit_m: length of a BVH file's unit in metres; by default whichever makes the body human.
        joint_map: file that names the joints (`repose.mocap.joint_map.read_joint_map`), used for the
            files that have its joints.

    Raises:
        UserError: no motion, a file that cannot be understood, an unknown skeleton, and limbs of
            impossible length.
    """
    path = Path(path)
    given = None if joint_map is None else read_joint_map(joint_map)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
        if not files:
            expected(str(path), f"{', '.join(_SUFFIXES)} files in this folder", "none")
    elif path.is_file():
        files = [path]
    else:
        expected(str(path), "a motion-capture file or a folder of them", "nothing there")
    skeletons: dict[Path, AsfSkeleton] = {}
    clips = [clip for file in files for clip in _read_file(file, unit_m, given, skeletons)]
    if given is not None and not any("joints identified by the joint map" in clip.notes for clip in clips):
        expected(str(joint_map), f"joints of a file in {path}", "none that has them all")
    return clips


def reading_notes(clips: Sequence[MocapClip]) -> tuple[str, ...]:
    """Summarise what was recognised, left out or reconstructed, and in how many of the clips."""
    counts = Counter(note for clip in clips for note in clip.notes)
    return tuple(f"{note}: {count} of {len(clips)} recordings" for note, count in counts.items())


def is_cmu_pack(path: Path) -> bool:
    """Whether this is a folder that holds `cmu_amc`, `cmu_joints17` or both."""
    return any((path / folder).is_dir() for folder in _CMU_PACK)


def read_split(folder: Path, joint_map: str | Path | None = None) -> tuple[list[MocapClip], list[MocapClip]]:
    """Read a folder's clips for training, and those of other people for validation, at their own rates.

    It is the CMU pack (`read_cmu`) or holds any other motion capture (`read_mocap`, `hold_out`).
    Raises UserError as these, and where there is nothing to train on.
    """
    cmu = is_cmu_pack(folder)
    training, validation = read_cmu(folder) if cmu else hold_out(read_mocap(folder, joint_map=joint_map))
    if not training:
        raise UserError(
            f"{folder}: expected motion capture, found no clip", "Give a folder of BVH, AMC or npz files."
        )
    return training, validation


def read_cmu(path: str | Path) -> tuple[list[MocapClip], list[MocapClip]]:
    """Read the CMU pack (`is_cmu_pack`) as clips for training and validation.

    `cmu_more` in it may hold any further recordings of the database, and `uiprmd_markers.npz` is read, too:
    the first of ten alike episodes of each movement, without `_LEFT_OUT`. Split by subject (`hold_out`), and
    cut at the recordings' faults (`split_at_jumps`). Rates are the files' own.

    Raises UserError like `read_mocap`.
    """
    path = Path(path)
    folders = [path / folder for folder in _CMU_PACK if (path / folder).is_dir()]
    clips = [clip for folder in folders for clip in read_mocap(folder)]
    if (path / _CMU_MORE).is_dir():
        there = {clip.name for clip in clips}
        clips += [clip for clip in read_mocap(path / _CMU_MORE) if clip.name not in there]
    if (path / _UIPRMD).is_file():
        found = read_mocap(path / _UIPRMD)
        clips += [clip for clip in found if "_e01" in clip.name and clip.subject != _LEFT_OUT]
    return hold_out([piece for clip in clips for piece in split_at_jumps(clip)])


def hold_out(clips: Sequence[MocapClip]) -> tuple[list[MocapClip], list[MocapClip]]:
    """Split clips into training, and validation with other people.

    These are the `VALIDATION_SUBJECTS`, and every tenth subject of other recordings; a clip of somebody
    unknown counts as a subject of its own. One subject alone is trained on.
    """
    people = [clip.subject or clip.name.partition("#")[0] for clip in clips]
    subjects = list(dict.fromkeys(people))
    held = VALIDATION_SUBJECTS.intersection(subjects) or set(subjects[::10] if len(subjects) > 1 else ())
    parts: tuple[list[MocapClip], list[MocapClip]] = ([], [])
    for clip, person in zip(clips, people, strict=True):
        parts[person in held].append(clip)
    return parts


def split_at_jumps(
    clip: MocapClip, *, fastest_m_s: float = 13.0, shortest_s: float = 0.25
) -> list[MocapClip]:
    """Cut a clip wherever a joint jumps from one frame to the next, and leave out pieces that are too short.

    Faster than `fastest_m_s` is no human joint of these recordings (a kick: 12.3 m/s) but a misread marker.
    In the CMU pack this cuts 01_07 and 01_12 in two, leaves out 15 frames in 01_03 and 5 in 01_06 between
    a jump away and the jump back, the first 50 of 03_02, and frame 0 of walking_extra_15.
    A clip without jumps comes back as it is; a piece's name is `<clip>#<its first frame>`.
    """
    steps = np.linalg.norm(np.diff(clip.joints_m, axis=0), axis=-1) * clip.fps
    jumps = (steps > fastest_m_s).any(axis=1)
    if not jumps.any():
        return [clip]
    return [
        clip.changed(itemgetter(rows), name=f"{clip.name}#{rows.start}")
        for rows in stretches(jumps)
        if rows.stop - rows.start >= shortest_s * clip.fps
    ]


def resample(clip: MocapClip, fps: float) -> MocapClip:
    """Resample a motion to another rate over the same time, by cubic interpolation (Catmull–Rom).

    To a lower rate, what that rate cannot show (above half of it) is filtered out first, without delay.
    A quadratic motion comes out exact at a higher rate. The last frame is the last that lies within the clip.
    """
    if not 0 < fps < np.inf:
        raise UserError(f"fps: expected a positive number of frames per second, found {fps:g}")
    if fps == clip.fps:
        return clip
    # A hair's breadth beyond the end, so that rounding never costs the last frame.
    count = int((len(clip) - 1) / clip.fps * fps + 1e-6) + 1
    at = np.minimum(np.arange(count) * (clip.fps / fps), len(clip) - 1)
    return clip.changed(
        lambda joints: sequence.resample(joints.astype(np.float64), at, fps / clip.fps).astype(np.float32),
        fps=float(fps),
    )


@reads("motion capture")
def _read_file(
    path: Path, unit_m: float | None, joint_map: JointMap | None, skeletons: dict[Path, AsfSkeleton]
) -> list[MocapClip]:
    start = _read_start(path)
    notes: tuple[str, ...] = ()
    if start.upper().startswith(b"HIERARCHY"):
        joints, fps, notes = read_bvh_body(path, unit_m, joint_map)
    elif start.startswith(b"PathFileType"):
        return _of_markers(path, read_trc(path), joint_map)
    elif path.suffix.lower() == ".c3d":
        return _of_markers(path, read_c3d(path), joint_map)
    elif start.startswith(b"PK"):
        arrays = load_arrays(str(path), path)
        if "markers_half_mm" in arrays:
            return _read_uiprmd(path, arrays)
        joints, fps = _joints_of(path, arrays)
    elif path.suffix.lower() == ".amc" or b":FULLY-SPECIFIED" in start:
        asf = _asf_of(path)
        if asf not in skeletons:
            skeletons[asf] = read_asf(asf)
        motion = read_amc(path, skeletons[asf])
        table = {joint: words.split() for joint, words in _CMU_AMC.items()}
        if missing := ", ".join(
            sorted({bone for words in table.values() for bone in words} - {*motion.bones})
        ):
            expected(str(path), f"the CMU database's bones, {missing} too", ", ".join(motion.bones))
        joints, fps = pick(table, motion.bones, z_up(motion.positions_m)), motion.fps
        joints = add_feet(joints, {side: amc_foot(side, skeletons[asf], motion) for side in SIDES}, fps)
    elif path.suffix.lower() == ".asf":
        expected(str(path), "a motion", "an ASF skeleton without one", "Give an AMC file of the subject.")
    else:
        expected(str(path), "BVH, AMC or .npz motion capture", beginning(start.decode(errors="replace")))
    check_body(path, joints, fps)
    return [_clip(path, path.stem, joints, fps, notes)]


def _of_markers(path: Path, motion: MarkerMotion, joint_map: JointMap | None) -> list[MocapClip]:
    pieces, notes = read_marker_body(path, motion, joint_map)
    if not pieces:
        expected(str(path), "a quarter of a second with all joints", "none", "Fill the markers' gaps.")
    clips = []
    for start, joints in pieces:
        check_body(path, joints, motion.fps)
        name = path.stem if len(pieces) == 1 else f"{path.stem}#{start}"
        clips.append(_clip(path, name, joints, motion.fps, notes))
    return clips


def _clip(
    path: Path, name: str, joints: Float[np.ndarray, "frames joints 3"], fps: float, notes: tuple[str, ...]
) -> MocapClip:
    """Return a file's motion, with what its name tells of the CMU database: 02_01 is of subject 02.

    `joints` are those of h36m-17 or of h36m-17+feet.
    """
    number = re.match(r"(\d+)_\d+(#|$)", name)
    subject = number[1] if number else _CMU_JOINTS.get(name)
    kind = re.sub(r"[ _-]*\d*(#\d+)?$", "", name)
    about = f"cmu {int(subject):02d}" if subject else ""
    return _made(joints, name=name, fps=fps, source=str(path), notes=notes, subject=about, kind=kind)


def _made(joints: Float[np.ndarray, "frames joints 3"], **others: Any) -> MocapClip:
    """Return a clip of the joints of h36m-17, or of h36m-17+feet with all of the feet or none."""
    body, feet = np.split(joints.astype(np.float32), [len(H36M)], axis=1)
    return MocapClip(joints_m=body, feet_m=feet if feet.size and np.isfinite(feet).all() else None, **others)


def _read_uiprmd(path: Path, arrays: Mapping[str, np.ndarray]) -> list[MocapClip]:
    """Read UI-PRMD's recordings from one archive of markers.

    `markers_half_mm` (rows, markers, 3) in steps of 0.5 mm, z up, −32768 where missing; `marker_names`;
    `clips` (movement, subject, episode, incorrect, first row, rows); `fps`. Recordings without a
    quarter of a second of all joints are left out.

    Raises UserError for arrays that do not fit each other.
    """
    wanted = {"markers_half_mm": (3, "i"), "clips": (2, "iu"), "marker_names": (1, "U"), "fps": (0, "iuf")}
    for key, (axes, kinds) in wanted.items():
        if key not in arrays or arrays[key].ndim != axes or arrays[key].dtype.kind not in kinds:
            found = f"{arrays[key].dtype} {arrays[key].shape}" if key in arrays else "none"
            what = "text" if kinds == "U" else "numbers"
            expected(f"{path}: {key}", f"{what} with {axes} axes", found)
    steps, table, names = arrays["markers_half_mm"], arrays["clips"], arrays["marker_names"]
    if table.shape[1] != 6 or steps.shape[1:] != (len(names), 3):
        expected(str(path), "clips (n, 6) and markers (rows, names, 3)", f"{table.shape}, {steps.shape}")
    if (table < 0).any() or (table[:, 4] + table[:, 5] > len(steps)).any() or not (table[:, 5] > 0).all():
        expected(f"{path}: clips", f"first row and rows, within {len(steps)}", "others")
    positions_m = np.where(steps == -32768, np.nan, steps * 0.0005)
    clips = []
    for movement, subject, episode, wrong, first, rows in table.tolist():
        part = positions_m[first : first + rows]
        motion = MarkerMotion(tuple(map(str, names)), part, float(arrays["fps"]), "z")
        name = f"m{movement:02d}_s{subject:02d}_e{episode:02d}{'_wrong' if wrong else ''}"
        pieces, notes = read_marker_body(path, motion)
        for start, joints in pieces:
            check_body(path, joints, motion.fps)
            whole = name if len(pieces) == 1 else f"{name}#{start}"
            named = {"name": whole, "subject": f"ui-prmd {subject:02d}", "kind": f"ui-prmd m{movement:02d}"}
            clips.append(_made(joints, fps=motion.fps, source=str(path), notes=notes, **named))
    return clips


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(400).removeprefix(codecs.BOM_UTF8).lstrip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None


def _joints_of(path: Path, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float]:
    wanted = "arrays of numbers joints_m (frames, 17 or 23, 3) and fps"
    if any(key not in arrays or arrays[key].dtype.kind not in "iuf" for key in ("joints_m", "fps")):
        expected(str(path), wanted, ", ".join(f"{k} {a.dtype} {a.shape}" for k, a in arrays.items()))
    if arrays["fps"].size != 1:
        expected(str(path), wanted, f"fps {arrays['fps'].shape}")
    joints, fps = arrays["joints_m"].astype(np.float64), float(arrays["fps"].item())
    shapes = ((len(H36M), 3), (len(H36M) + len(FEET), 3))
    if joints.ndim != 3 or joints.shape[1:] not in shapes or not len(joints) or not 0 < fps < np.inf:
        found = f"joints_m {joints.shape} and fps {fps:g}"
        expected(str(path), "joints_m (frames, 17 or 23, 3) and a positive fps", found)
    centre_pelvis(joints)
    return joints, fps


def _asf_of(path: Path) -> Path:
    """Find the skeleton next to an AMC file.

    It is that of the same subject, whose name the motion's begins with (02_01.amc: 02.asf), else the only
    one.
    """
    here = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    own = [file for file in here if re.match(re.escape(file.stem) + r"(?![0-9a-zA-Z])", path.stem)]
    own = sorted(own, key=lambda file: len(file.stem))[-1:]
    if len(own or here) != 1:
        expected(
            str(path),
            f"its skeleton {path.stem.partition('_')[0]}.asf in the same folder",
            ", ".join(file.name for file in here) or "no ASF file",
            "An AMC file can only be read with the ASF file of its subject.",
        )
    return (own or here)[0]
