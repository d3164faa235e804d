"""PoseTrack18 and InstaVariety: 2D that MotionBERT pretrains on, in their published layouts.

Andriluka et al. 2018 (`posetrack18_annotations/train/<video>.json`) and Kanazawa et al. 2019
(`InstaVariety_tracks/<action>/<video>/<clip>/<frame>.json`, or the pair `motion_all.npy` and `id_all.npy`
that MotionBERT's authors distribute). What is chosen and left out is as in github.com/Walter0807/MotionBERT,
lib/data/dataset_motion_2d.py and tools/convert_insta.py; `clips` adds the rest while training.

Neither has the size of its pictures, and neither is needed: clips are cut out about the person. A recording
is therefore stored in a picture of its own, which the person's joints just fill.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from msgspec import Struct

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, numeric_array
from repose.errors import expected, reading, reads
from repose.files.arrays import map_array
from repose.files.structured import convert, decode
from repose.skeleton import H36M_17

POSETRACK_FRAMES = 30
"""Every track that is long enough gives its first so many annotated frames."""
_LEAST_SEEN = 306
"""More joints than that must be visible in them: six of ten."""
_SIDE_PX = 1000
_FPS = 30.0
"""Assumed; nothing depends on it."""

# fmt: off
_POSETRACK = (
    "nose", "head_bottom", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)
# fmt: on
_MADE_OF = {
    "pelvis": {"left_hip": 0.5, "right_hip": 0.5},
    "thorax": {"head_bottom": 1.0},
    "spine": {"left_hip": 0.25, "right_hip": 0.25, "head_bottom": 0.5},
}
"""Joints of Human3.6M that have another name, or are between others and as sure as the least sure of them."""
_INSTAVARIETY = {
    "pelvis": "Hip", "thorax": "Neck", "nose": "Nose",
    **{f"{side}_{joint}": f"{side[0].upper()} {joint.title()}" for side in ("left", "right")
       for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")},
}  # fmt: skip
"""The spine and the top of the head are missing."""


class _Annotation(Struct):
    track_id: int
    keypoints: list[float]


class _Video(Struct):
    annotations: list[_Annotation]


class _Point(Struct):
    x: float
    y: float
    logits: float


@reads("PoseTrack18")
def read_posetrack18(folder: Path, *, progress: Progress | None = None) -> Source:
    """Read the annotations of PoseTrack18: the files of its folder `train`.

    Only tracks of which MotionBERT trains are kept: 30 annotated frames, the pelvis visible in all of them,
    and six of ten joints. Raises UserError for files of another kind and where no track is left.
    """
    files = _files(folder, "*.json", "the annotations of PoseTrack18, one .json per video")
    kept: dict[str, Float[np.ndarray, "30 17 3"]] = {}
    found = 0
    count = count_progress("reading videos", len(files), progress)
    for file in files:
        with reading(file, "annotations of PoseTrack18"):
            tracks = _tracks(file)
        found += len(tracks)
        for number, track in tracks.items():
            points = _from_posetrack(track[:POSETRACK_FRAMES])
            whole = len(track) >= POSETRACK_FRAMES and track[:POSETRACK_FRAMES, :, 2].sum() > _LEAST_SEEN
            if whole and points[:, H36M_17.index("pelvis"), 2].sum() >= POSETRACK_FRAMES:
                kept[f"{file.stem}, person {number}"] = points
        count(1)
    if not kept:
        expected(str(folder), f"tracks of {POSETRACK_FRAMES} frames, most joints visible", f"{found} others")
    notes = (
        f"{len(kept)} of {found} tracks: those of {POSETRACK_FRAMES} annotated frames, the pelvis visible in "
        f"all and more than {_LEAST_SEEN} joints in sum; their first {POSETRACK_FRAMES} frames, as published",
        *_NOTES,
    )
    licence = "PoseTrack18 is for non-commercial research (posetrack.net); its terms hold for this store."
    recordings = (_recording(name, name.split(",")[0], points) for name, points in kept.items())
    return Source("posetrack18", H36M_17.name, None, licence, {"train": recordings}, notes)


@reads("InstaVariety")
def read_instavariety(folder: Path, *, progress: Progress | None = None) -> Source:
    """Read the detections of InstaVariety: its tracks, or `motion_all.npy` and `id_all.npy`.

    Raises UserError for a folder with neither, and files of another kind.
    """
    if (folder / "motion_all.npy").is_file():
        tracks, total = _joined(folder)
    else:
        clips: dict[Path, list[Path]] = defaultdict(list)
        for file in _files(folder, "*.json", "motion_all.npy and id_all.npy, or the tracks of InstaVariety"):
            clips[file.parent].append(file)
        total = len(clips)
        tracks = ((path.relative_to(folder).as_posix(), _clip(files)) for path, files in clips.items())
    count = count_progress("storing tracks", total, progress)

    def recordings() -> Iterator[Recording]:
        for name, points in tracks:
            yield _recording(name, name.split("/")[0], points)
            count(1)

    licence = "InstaVariety is from videos of others (github.com/akanazawa/human_dynamics): see its terms."
    return Source("instavariety", H36M_17.name, None, licence, {"train": recordings()}, _NOTES)


_NOTES = (
    "2D alone, in a picture that the person's joints just fill: the source has no size of its pictures",
    f"frame rate is not in the source: {_FPS:g} Hz assumed",
)


def _files(folder: Path, pattern: str, what: str) -> list[Path]:
    if not (found := sorted(folder.rglob(pattern))):
        expected(str(folder), what, "none of them" if folder.is_dir() else "no such folder")
    return found


def _tracks(file: Path) -> Mapping[int, Float[np.ndarray, "frames 17 3"]]:
    """Read the annotated frames of each person in a video, in the order of the file."""
    video: _Video = decode(str(file), file.read_bytes(), _Video, "Give the folder `train` of PoseTrack18.")
    tracks: dict[int, list[list[float]]] = defaultdict(list)
    for annotation in video.annotations:
        if len(annotation.keypoints) != 3 * len(_POSETRACK):
            expected(f"{file}: keypoints", f"{3 * len(_POSETRACK)} numbers", len(annotation.keypoints))
        tracks[annotation.track_id].append(annotation.keypoints)
    return {number: np.array(rows, np.float64).reshape(-1, 17, 3) for number, rows in tracks.items()}


def _from_posetrack(track: Float[np.ndarray, "frames 17 3"]) -> Float[np.ndarray, "frames 17 3"]:
    points = np.zeros_like(track)
    for joint, name in enumerate(H36M_17.joints):
        parts = _MADE_OF.get(name, {name: 1.0})
        of = [_POSETRACK.index(part) for part in parts]
        points[:, joint] = np.tensordot(track[:, of], list(parts.values()), (1, 0))
        points[:, joint, 2] = track[:, of, 2].min(axis=1)
    return points


def _clip(files: list[Path]) -> Float[np.ndarray, "frames 17 3"]:
    points = np.zeros((len(files), len(H36M_17), 3))
    for row, file in zip(points, files, strict=True):
        with reading(file, "a frame of InstaVariety"):
            frame: dict[str, Any] = decode(str(file), file.read_bytes(), dict[str, Any])
        if missing := [name for name in _INSTAVARIETY.values() if name not in frame]:
            expected(str(file), f"the joints {', '.join(_INSTAVARIETY.values())}", f"no {missing[0]}")
        for joint, name in _INSTAVARIETY.items():
            point: _Point = convert(f"{file}: {name}", frame[name], _Point)
            row[H36M_17.index(joint)] = point.x, point.y, point.logits
    return points


def _joined(folder: Path) -> tuple[Iterator[tuple[str, Float[np.ndarray, "frames 17 3"]]], int]:
    motion, numbers = map_array(folder / "motion_all.npy"), map_array(folder / "id_all.npy")
    numeric_array(f"{folder}: motion_all.npy", motion)
    numeric_array(f"{folder}: id_all.npy", numbers)
    if motion.shape != (len(motion), len(H36M_17), 3) or numbers.shape != (len(motion),) or not len(motion):
        found = f"{motion.shape} and {numbers.shape}"
        expected(str(folder), f"(frames, {len(H36M_17)}, 3) and (frames,), with frames", found)
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(motion)]
    tracks = ((f"track {n}", motion[i:j].astype(np.float64)) for n, (i, j) in enumerate(pairwise(edges)))
    return tracks, len(edges) - 1


def _recording(name: str, subject: str, points: Float[np.ndarray, "frames 17 3"]) -> Recording:
    """Move and scale a track so that its joints just fill the picture; missing ones become 0."""
    seen = points[..., 2] > 0
    keypoints = np.zeros_like(points)
    if seen.any():
        low, high = points[seen][:, :2].min(axis=0), points[seen][:, :2].max(axis=0)
        side = max((high - low).max(), 1e-9)
        keypoints[..., :2] = ((points[..., :2] - (low + high) / 2) / side + 0.5) * _SIDE_PX
        keypoints[..., 2] = points[..., 2].clip(0, 1)
    keypoints[~seen] = 0
    return Recording(
        name, subject, "", "", (_SIDE_PX, _SIDE_PX), _FPS, keypoints.astype(np.float32), target=None
    )
