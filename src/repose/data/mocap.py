"""Motion capture as clips of the 17 Human3.6M joints, whatever file it comes from.

Each source's joints are mapped by name. H36M joints that lie between two of a source's joints are
their midpoint; the pelvis is always the midpoint of the hips, as in Human3.6M.
"""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import UserError, expected, reads
from repose.files.arrays import load_arrays
from repose.formats.asf_amc import AsfSkeleton, read_amc, read_asf
from repose.formats.bvh import read_bvh
from repose.formats.plain_text import beginning
from repose.skeleton import SKELETONS
from repose.timeline import interpolate, low_pass

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

    def __len__(self) -> int:
        return len(self.joints_m)


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

_CMU_BVH = _MIXAMO | {
    "head_top": "Head_end",
    "left_wrist": "LeftHand LeftFingerBase",
    "right_wrist": "RightHand RightFingerBase",
}
"""H36M joint -> joints of the BVH conversions of the CMU database, the same places as `_CMU_AMC`."""

_BVH_LAYOUTS = {"Bandai-Namco": _BANDAI, "CMU": _CMU_BVH, "Mixamo": _MIXAMO}

# fmt: off
CMU_VALIDATION = frozenset((
    "01_08", "01_13", "02_06", "02_08", "03_01",
    "basketball_3", "basketball_signal_5", "jumping_3", "jumping_5", "running_3", "running_6", "soccer_3",
    "walking_3", "walking_extra_10", "walking_extra_24",
))
# fmt: on
"""Recordings of the CMU pack that are never trained on: 12 % of its time, of every kind of action of which
it has more than two recordings. 02_01 and walking_1 are one recording, and both are trained on. Recordings of
one walker who repeats the same walk (walking_extra_7 to 9, 15 to 20, 25 to 34, 41 to 58 with walking_6) are
trained on too, so that validation measures new motion."""

_FARTHEST_M = 10_000.0
_RATES_HZ = (0.1, 10_000.0)
_THIGH_M = (0.2, 0.7)
"""Lengths of a human thigh, wide enough for children and giants: anything else is a wrong unit."""


def read_mocap(path: str | Path, *, unit_m: float = 0.01) -> list[MocapClip]:
    """Read a file, or all of a folder and its subfolders in order of their paths, as H36M-17 clips.

    BVH files (recognised joints: Bandai-Namco, CMU conversions, Mixamo; y up; `unit_m` is the length
    of their unit in metres, by default a centimetre), AMC files (CMU; y up; their ASF must lie in the
    same folder) and `.npz` files with `joints_m (frames, 17, 3)` in metres, z up, and `fps`.

    Raises UserError for a path without motion, a file that cannot be understood, a skeleton that is
    not known, and limbs of impossible length.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".bvh", ".amc", ".npz"))
        if not files:
            expected(str(path), ".bvh, .amc or .npz files in this folder", "none")
    elif path.is_file():
        files = [path]
    else:
        expected(str(path), "a motion-capture file or a folder of them", "nothing there")
    skeletons: dict[Path, AsfSkeleton] = {}
    return [_read_file(file, unit_m, skeletons) for file in files]


def read_cmu(path: str | Path) -> tuple[list[MocapClip], list[MocapClip]]:
    """The CMU pack, a folder that holds `cmu_amc` and `cmu_joints17`, as clips for training and validation.

    Split by recording (`CMU_VALIDATION`), and cut at the recordings' faults (`split_at_jumps`). Rates are
    the files' own, 120 Hz and 60 Hz.

    Raises UserError like `read_mocap`, and for recordings of the validation set that are not there.
    """
    path = Path(path)
    clips = [clip for folder in ("cmu_amc", "cmu_joints17") for clip in read_mocap(path / folder)]
    missing = sorted(CMU_VALIDATION - {clip.name for clip in clips})
    if missing:
        expected(str(path), "all recordings of the validation set", f"no {', '.join(missing)}")
    parts: tuple[list[MocapClip], list[MocapClip]] = ([], [])
    for clip in clips:
        parts[clip.name in CMU_VALIDATION].extend(split_at_jumps(clip))
    return parts


def split_at_jumps(
    clip: MocapClip, *, fastest_m_s: float = 13.0, shortest_s: float = 0.25
) -> list[MocapClip]:
    """Cut a clip wherever a joint jumps from one frame to the next, and leave out pieces that are too short.

    Faster than `fastest_m_s` is no human joint of these recordings (a kick: 12.3 m/s) but a lost marker.
    In the CMU pack this cuts 01_07 and 01_12 in two, leaves out 15 frames in 01_03 and 5 in 01_06 between
    a jump away and the jump back, the first 50 of 03_02, and frame 0 of walking_extra_15.
    A clip without jumps comes back as it is; a piece's name is `<clip>#<its first frame>`.
    """
    steps = np.linalg.norm(np.diff(clip.joints_m, axis=0), axis=-1) * clip.fps
    cuts = np.flatnonzero((steps > fastest_m_s).any(axis=1)) + 1
    if not len(cuts):
        return [clip]
    edges = [0, *cuts.tolist(), len(clip)]
    return [
        replace(clip, name=f"{clip.name}#{start}", joints_m=clip.joints_m[start:stop])
        for start, stop in pairwise(edges)
        if stop - start >= shortest_s * clip.fps
    ]


def resample(clip: MocapClip, fps: float) -> MocapClip:
    """The same motion at another rate, over the same time; cubic in time (Catmull–Rom).

    To a lower rate, what that rate cannot show (above half of it) is filtered out first, without delay.
    A quadratic motion comes out exact at a higher rate. The last frame is the last that lies within the clip.
    """
    if not 0 < fps < np.inf:
        raise UserError(f"fps: expected a positive number of frames per second, found {fps:g}")
    if fps == clip.fps:
        return clip
    joints = clip.joints_m.astype(np.float64)
    if fps < clip.fps:
        joints = low_pass(joints, fps / clip.fps)
    # A hair's breadth beyond the end, so that rounding never costs the last frame.
    count = int((len(joints) - 1) / clip.fps * fps + 1e-6) + 1
    at = np.minimum(np.arange(count) * (clip.fps / fps), len(joints) - 1)
    return replace(clip, joints_m=interpolate(joints, at).astype(np.float32), fps=float(fps))


@reads("motion capture")
def _read_file(path: Path, unit_m: float, skeletons: dict[Path, AsfSkeleton]) -> MocapClip:
    start = _read_start(path)
    if start.upper().startswith(b"HIERARCHY"):
        joints, fps = _read_bvh(path, unit_m)
    elif start.startswith(b"PK"):
        joints, fps = _read_npz(path)
    elif path.suffix.lower() == ".amc" or b":FULLY-SPECIFIED" in start:
        asf = _asf_of(path)
        if asf not in skeletons:
            skeletons[asf] = read_asf(asf)
        motion = read_amc(path, skeletons[asf])
        if missing := ", ".join(_missing(_CMU_AMC, motion.bones)):
            expected(str(path), f"the CMU database's bones, {missing} too", ", ".join(motion.bones))
        joints, fps = _pick(_CMU_AMC, motion.bones, _z_up(motion.positions_m)), motion.fps
    elif path.suffix.lower() == ".asf":
        expected(str(path), "a motion", "an ASF skeleton without one", "Give an AMC file of the subject.")
    else:
        expected(str(path), "BVH, AMC or .npz motion capture", beginning(start.decode(errors="replace")))
    _check(path, joints, fps)
    return MocapClip(path.stem, joints.astype(np.float32), fps, str(path))


def _read_start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(400).removeprefix(codecs.BOM_UTF8).lstrip()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None


def _read_bvh(path: Path, unit_m: float) -> tuple[np.ndarray, float]:
    motion = read_bvh(path, unit_m=unit_m)
    names = [name.rpartition(":")[2] for name in motion.joints]
    positions = _z_up(motion.positions_m)
    for layout, table in _BVH_LAYOUTS.items():
        if _missing(table, names):
            continue
        joints = _pick(table, names, positions)
        if layout == "Bandai-Namco":
            head = motion.rotations[:, names.index("Head")]
            for joint, place in _BANDAI_HEAD_M.items():
                joints[:, H36M.index(joint)] += _z_up(head @ np.array(place))
        return joints, motion.fps
    expected(
        str(path),
        f"the joints of a skeleton known here ({', '.join(_BVH_LAYOUTS)})",
        ", ".join(motion.joints),
        "Rename the joints, or convert the file to .npz with joints_m (frames, 17, 3) and fps.",
    )


def _read_npz(path: Path) -> tuple[np.ndarray, float]:
    arrays = load_arrays(str(path), path)
    wanted = "arrays of numbers joints_m (frames, 17, 3) and fps"
    if any(key not in arrays or arrays[key].dtype.kind not in "iuf" for key in ("joints_m", "fps")):
        expected(str(path), wanted, ", ".join(f"{k} {a.dtype} {a.shape}" for k, a in arrays.items()))
    if arrays["fps"].size != 1:
        expected(str(path), wanted, f"fps {arrays['fps'].shape}")
    joints, fps = arrays["joints_m"].astype(np.float64), float(arrays["fps"].item())
    if joints.ndim != 3 or joints.shape[1:] != (len(H36M), 3) or not len(joints) or not 0 < fps < np.inf:
        found = f"joints_m {joints.shape} and fps {fps:g}"
        expected(str(path), "joints_m (frames, 17, 3) and a positive fps", found)
    _centre_pelvis(joints)
    return joints, fps


def _asf_of(path: Path) -> Path:
    """The skeleton beside an AMC file: of the same subject (02_01.amc: 02.asf), else the only one."""
    here = sorted(file for file in path.parent.iterdir() if file.suffix.lower() == ".asf")
    own = [file for file in here if file.stem == path.stem.partition("_")[0]]
    if len(own or here) != 1:
        expected(
            str(path),
            f"its skeleton {path.stem.partition('_')[0]}.asf in the same folder",
            ", ".join(file.name for file in here) or "no ASF file",
            "An AMC file can only be read with the ASF file of its subject.",
        )
    return (own or here)[0]


def _missing(table: Mapping[str, str], names: Sequence[str]) -> list[str]:
    return sorted(set(" ".join(table.values()).split()) - set(names))


def _pick(table: Mapping[str, str], names: Sequence[str], positions: np.ndarray) -> np.ndarray:
    """H36M joints by `table`: each the mean of the named joints, and the pelvis that of the hips."""
    joints = np.empty((len(positions), len(H36M), 3))
    for joint, words in table.items():
        sources = [names.index(word) for word in words.split()]
        joints[:, H36M.index(joint)] = positions[:, sources].mean(axis=1)
    _centre_pelvis(joints)
    return joints


def _centre_pelvis(joints: np.ndarray) -> None:
    joints[:, H36M.index("pelvis")] = joints[:, H36M.indices("left_hip", "right_hip")].mean(axis=1)


def _z_up(points: np.ndarray) -> np.ndarray:
    """From y up to z up, right-handed both."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def _check(path: Path, joints: np.ndarray, fps: float) -> None:
    if not np.isfinite(joints).all():
        expected(str(path), "finite positions", "NaN or infinity")
    if not (far := np.abs(joints).max()) < _FARTHEST_M:
        expected(
            str(path), f"positions within {_FARTHEST_M:,.0f} m", f"{far:.3g} m", "Check the file's unit."
        )
    if not _RATES_HZ[0] <= fps <= _RATES_HZ[1]:
        rates = f"a frame rate of {_RATES_HZ[0]:g} to {_RATES_HZ[1]:,.0f} Hz"
        expected(str(path), rates, f"{fps:.4g} Hz", "Check the frame time: it is in seconds.")
    thigh = joints[:, H36M.index("left_knee")] - joints[:, H36M.index("left_hip")]
    length = float(np.median(np.linalg.norm(thigh, axis=-1)))
    if not _THIGH_M[0] < length < _THIGH_M[1]:
        expected(
            str(path),
            f"a thigh of {_THIGH_M[0]} to {_THIGH_M[1]} m",
            f"{length:.3g} m",
            "The file is in another unit; give unit_m, the length of its unit in metres (0.01: centimetres).",
        )
