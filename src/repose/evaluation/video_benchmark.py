"""Real clips with 3D truth: ours compared with MediaPipe's own world landmarks.

A folder holds `gt_*.npz` (joints_m (frames, joints, 3) in a world frame, joint_names, fps, valid (frames,),
and of each camera NAME its NAME_K, NAME_dist, NAME_R, NAME_t), and for each camera NAME.mp4 and, each
optional, NAME_occluded.mp4 (the same film with joints covered) with NAME_occlusion.npz (joint_occluded
(frames, joints)), and MediaPipe's results on either: mediapipe_NAME.npz (xy_px, visibility, world_m,
detected, size, fps).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from rich.table import Table

from repose.errors import UserError, expected
from repose.evaluation.models import Model, camera_joints_mm, load_models
from repose.evaluation.report import (
    ANGLES_IN_WORDS,
    Report,
    add_row,
    angle_headings,
    make_table,
    show,
    show_angles,
)
from repose.evaluation.scores import ANGLES, Poses, mean, measure
from repose.files.arrays import load_arrays
from repose.files.numbers import LARGEST, LARGEST_M, check_numbers
from repose.geometry.camera import Camera
from repose.lifting import Device
from repose.metrics import procrustes_align
from repose.pipeline import EstimateOptions, Progress, find_tracks
from repose.pose import Pose2D, Pose3D
from repose.skeleton import SKELETONS, Skeleton

Keypoints = Literal["video", "stored"]
Lens = Literal["assumed", "given"]

MEDIAPIPE = "MediaPipe"
MEDIAPIPE_UNDONE = "MediaPipe, sides put right"
_BLAZEPOSE = SKELETONS["mediapipe-33"]
_COVERED = "_occluded"
_ANGLES = [f"{angle}_{what}_deg" for angle in ANGLES for what in ("error", "bias")]
_WITHIN = ("within_1_deviations_percent", "within_2_deviations_percent")


@dataclass(frozen=True)
class VideoScore:
    """Errors of one model on one clip."""

    clip: str
    row: str
    frames: int
    """Frames scored: those with a valid truth that the model has."""
    frames_missing: int
    means: Mapping[str, float]
    """By name with unit; NaN where there is nothing to measure."""

    def __getitem__(self, name: str) -> float:
        """`score["p_mpjpe_mm"]`."""
        return self.means[name]


_COLUMNS = {
    "p_mpjpe_mm": "P-MPJPE",
    "hidden_p_mpjpe_mm": "hidden",
    "visible_p_mpjpe_mm": "visible",
    "clip_mpjpe_mm": "clip",
    "acceleration_error_m_per_s2": "accel.",
    "within_1_deviation_percent": "in 1σ",
    "within_2_deviations_percent": "in 2σ",
}


@dataclass(frozen=True)
class VideoReport(Report):
    """What the benchmark found."""

    folder: str
    keypoints: Keypoints
    lens: Lens
    joints: tuple[str, ...]
    scores: tuple[VideoScore, ...]

    def __getitem__(self, key: tuple[str, str]) -> VideoScore:
        """`report["cam01", "MediaPipe"]`."""
        return next(score for score in self.scores if (score.clip, score.row) == key)

    def summary(self) -> str:
        source = (
            "the video, as `repose estimate` reads it"
            if self.keypoints == "video"
            else "MediaPipe's stored 2D"
        )
        return (
            f"{self.folder}: {len(self.joints)} joints, errors in mm. Models start from {source}; "
            f"the lens is {self.lens}.\n"
            "P-MPJPE: after a similarity in every frame. hidden: covered joints; visible: the others of the "
            "same frames. clip: after one rotation and scale for the clip. accel.: m/s².\n"
            f"“{MEDIAPIPE_UNDONE}”: exchanged by the truth where that is nearer, which no program could do.\n"
            f"{ANGLES_IN_WORDS}"
        )

    def tables(self) -> list[Table]:
        """Return a row for each clip and model: places, and angles."""
        deviations = any(math.isfinite(score["within_1_deviation_percent"]) for score in self.scores)
        shown = [name for name in _COLUMNS if deviations or not name.startswith("within")]
        table = make_table(["clip", "row"], ["frames", *(_COLUMNS[name] for name in shown)])
        angles = make_table(["clip", "row"], angle_headings())
        before = ""
        for score in self.scores:
            clip = score.clip if score.clip != before else ""
            before = score.clip
            cells = (show(score[name]) for name in shown)
            add_row(table, clip, score.row, str(score.frames), *cells)
            add_row(angles, clip, score.row, *show_angles(score.means))
        return [table, angles]

    def content(self) -> dict[str, Any]:
        scores = [{**vars(score), **score.means} for score in self.scores]
        return {
            "benchmark": "video",
            **vars(self),
            "scores": [{k: value for k, value in score.items() if k != "means"} for score in scores],
        }


_Layout = Mapping[str, tuple[str | int, ...]]
"""Names of arrays and their axes; an axis that is a word has one length throughout."""
_TRUTH: _Layout = {
    "joints_m": ("frames", "joints", 3),
    "joint_names": ("joints",),
    "fps": (),
    "valid": ("frames",),
}
_CAMERA: _Layout = {"K": (3, 3), "dist": (4,), "R": (3, 3), "t": (3,)}
_MEDIAPIPE: _Layout = {
    "xy_px": ("frames", 33, 2),
    "world_m": ("frames", 33, 3),
    "visibility": ("frames", 33),
    "detected": ("frames",),
    "size": (2,),
    "fps": (),
}


@dataclass(frozen=True, eq=False)
class _Truth:
    joints_m: Float[np.ndarray, "frames joints 3"]
    names: list[str]
    fps: float
    valid: Bool[np.ndarray, " frames"]
    cameras: dict[str, Camera]

    @property
    def skeleton(self) -> Skeleton:
        """Its joints, without bones."""
        return Skeleton("truth", tuple(self.names), (-1,) * len(self.names))


@dataclass(frozen=True, eq=False)
class _Clip:
    name: str
    camera: Camera
    video: Path
    mediapipe: Path
    hidden: Bool[np.ndarray, "frames joints"]


def benchmark_video(
    folder: str | Path,
    models: Sequence[Model] = ("default",),
    *,
    keypoints: Keypoints = "video",
    lens: Lens = "assumed",
    device: Device = "auto",
    progress: Progress | None = None,
) -> VideoReport:
    """Score models, and MediaPipe's stored world landmarks, on the clips of a folder (see this module).

    Args:
        folder: clips and their truth.
        models: names of packaged weights, checkpoints, or lifters.
        keypoints: "video" detects them as `repose estimate` does, "stored" uses MediaPipe's next to it.
        lens: "assumed" tells models nothing about the camera, "given" its intrinsics.
        device: where to lift.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        UserError: a folder of another layout, files that cannot be read, models that cannot be loaded,
            and anything that `repose estimate` raises.
    """
    folder = Path(folder)
    truth = _read_truth(folder)
    clips = list(_clips(folder, truth))
    if not clips:
        expected(str(folder), f"videos of {', '.join(truth.cameras)}, or mediapipe_*.npz", "none")
    estimators = load_models(models, device)
    scores: list[VideoScore] = []
    for clip in clips:
        if clip.mediapipe.is_file():
            scores += _score_mediapipe(clip, truth)
        if keypoints == "video":
            tracks = find_tracks(clip.video, EstimateOptions(), progress)[0]
        else:
            tracks = [_read_stored(clip.mediapipe)]
        track = min(tracks, key=lambda track: _distance_px(track, clip, truth))
        for name, estimator in estimators.items():
            scene = {"intrinsics_px": clip.camera.intrinsics_px} if lens == "given" else {}
            scores.append(_score_model(clip, name, estimator(track, **scene), truth))
    return VideoReport(folder.resolve().name, keypoints, lens, tuple(truth.names), tuple(scores))


def _score_model(clip: _Clip, row: str, pose: Pose3D, truth: _Truth) -> VideoScore:
    joints = pose.skeleton.indices(*truth.names)
    deviation = None if pose.deviation_m is None else pose.deviation_m[:, joints]
    return _score(clip, row, pose.frames, camera_joints_mm(pose)[:, joints] / 1000, truth, deviation)


def _score(
    clip: _Clip,
    row: str,
    frames: Int[np.ndarray, " frames"],
    joints_m: Float[np.ndarray, "frames joints 3"],
    truth: _Truth,
    deviation_m: Float[np.ndarray, "frames joints"] | None = None,
) -> VideoScore:
    kept = (frames < len(truth.valid)) & truth.valid[np.minimum(frames, len(truth.valid) - 1)]
    frames, joints_mm = frames[kept], 1000 * joints_m[kept].astype(np.float64)
    if len(frames) < 3:
        raise UserError(f"{clip.name}: {row} has fewer than three frames of which the truth is known")
    R_cam_world = clip.camera.T_cam_world[:3, :3]
    poses = Poses(
        predicted_mm=joints_mm,
        truth_mm=1000 * truth.joints_m[frames] @ R_cam_world.T,
        hidden=clip.hidden[frames],
        fps=truth.fps,
        skeleton=truth.skeleton,
        clip=np.cumsum(np.diff(frames, prepend=frames[0]) != 1),
        deviation_mm=None if deviation_m is None else 1000 * deviation_m[kept],
        up=R_cam_world[:, 2],
    )
    # Every frame is aligned by all of its joints, which is what the models' deviations are about.
    aligned = measure(poses.align(procrustes_align), ("mpjpe_mm", *_WITHIN))
    turned = measure(_turn(poses), ("mpjpe_mm", "acceleration_error_mm_per_s2"))
    angles = measure(poses, _ANGLES)
    means = {
        "p_mpjpe_mm": mean(aligned["mpjpe_mm"]),
        "hidden_p_mpjpe_mm": mean(aligned["mpjpe_mm"], "hidden"),
        "visible_p_mpjpe_mm": mean(aligned["mpjpe_mm"], "visible"),
        "clip_mpjpe_mm": mean(turned["mpjpe_mm"]),
        "acceleration_error_m_per_s2": mean(turned["acceleration_error_mm_per_s2"]) / 1000,
        "within_1_deviation_percent": mean(aligned[_WITHIN[0]]) if _WITHIN[0] in aligned else math.nan,
        "within_2_deviations_percent": mean(aligned[_WITHIN[1]]) if _WITHIN[1] in aligned else math.nan,
        **{name: mean(angles[name]) if name in angles else math.nan for name in _ANGLES},
    }
    return VideoScore(clip.name, row, len(frames), int(truth.valid.sum()) - len(frames), means)


def _turn(poses: Poses) -> Poses:
    """Align a clip: mid-hip at the origin in every frame, then one rotation and scale for all frames."""
    hips = poses.skeleton.indices("left_hip", "right_hip")
    joints, true = (x - x[:, hips].mean(axis=1, keepdims=True) for x in (poses.predicted_mm, poses.truth_mm))
    # With every point goes its reflection in the origin, so that the centre of all stays there.
    both = [np.concatenate([x.reshape(1, -1, 3), -x.reshape(1, -1, 3)], axis=1) for x in (joints, true)]
    aligned = procrustes_align(*both)[0, : joints[..., 0].size].reshape(joints.shape)
    return replace(poses, predicted_mm=aligned, truth_mm=true)


def _score_mediapipe(clip: _Clip, truth: _Truth) -> Iterator[VideoScore]:
    """Its world landmarks as they are; and, where it exchanges sides, with that undone by the truth."""
    found = _read(clip.mediapipe, _MEDIAPIPE)
    frames = np.flatnonzero(found["detected"])
    joints = _BLAZEPOSE.indices(*truth.names)
    world_m, points_px = (found[name][frames][:, joints].astype(np.float64) for name in ("world_m", "xy_px"))
    yield _score(clip, MEDIAPIPE, frames, world_m, truth)
    inside = frames < len(truth.joints_m)
    frames, world_m, points_px = frames[inside], world_m[inside], points_px[inside]
    mirror = truth.skeleton.mirror
    true_px = clip.camera.project(truth.joints_m[frames])
    straight, exchanged = (
        np.linalg.norm(points - true_px, axis=-1).mean(axis=1) for points in (points_px, points_px[:, mirror])
    )
    swapped = exchanged < straight
    if swapped.any():
        undone = np.where(swapped[:, None, None], world_m[:, mirror], world_m)
        yield _score(clip, MEDIAPIPE_UNDONE, frames, undone, truth)


def _distance_px(track: Pose2D, clip: _Clip, truth: _Truth) -> float:
    """How far a track is from the person whose truth is known; tracks of bystanders are farther."""
    pose = track.to("h36m-17")
    known = pose.frames < len(truth.joints_m)
    if not known.any():
        return math.inf
    true_px = clip.camera.project(truth.joints_m[pose.frames[known]])
    points = pose.points_px[known][:, pose.skeleton.indices(*truth.names)]
    seen = pose.confidence[known][:, pose.skeleton.indices(*truth.names)] > 0
    # A short track must not win by a few frames: frames without the person count as far off.
    missing = 1e4 * (1 - known.sum() / len(truth.joints_m))
    return (
        float(np.median(np.linalg.norm(points - true_px, axis=-1)[seen])) + missing
        if seen.any()
        else math.inf
    )


def _read_truth(folder: Path) -> _Truth:
    if not folder.is_dir():
        expected(
            str(folder), "a folder of clips with 3D truth", "a file" if folder.exists() else "nothing there"
        )
    files = sorted(folder.glob("gt_*.npz"))
    if len(files) != 1:
        expected(str(folder), "one gt_*.npz with the truth", ", ".join(file.name for file in files) or "none")
    arrays = load_arrays(str(files[0]), files[0])
    truth = _checked(files[0], arrays, _TRUTH)
    names = truth["joint_names"].tolist()
    for name in (*names, "left_hip", "right_hip"):
        _BLAZEPOSE.index(name)
        if names.count(name) != 1:
            expected(f"{files[0]}: joint_names", f"{name} once", f"{names.count(name)} times")
    cameras = {}
    for key in arrays:
        camera = key.removesuffix("_R")
        parts = {f"{camera}_{part}": axes for part, axes in _CAMERA.items()}
        if key.endswith("_R") and parts.keys() <= arrays.keys():
            K, distortion, R, t = _checked(files[0], arrays, parts).values()
            cameras[camera] = Camera(K, distortion, np.block([[R, t.reshape(3, 1)], [np.eye(4)[3:]]]))
    if not cameras:
        expected(str(files[0]), "a camera's NAME_K, NAME_dist, NAME_R and NAME_t", "none")
    return _Truth(truth["joints_m"], names, float(truth["fps"]), truth["valid"].astype(bool), cameras)


def _clips(folder: Path, truth: _Truth) -> Iterator[_Clip]:
    for name, camera in truth.cameras.items():
        for suffix in ("", _COVERED):
            video, mediapipe = folder / f"{name}{suffix}.mp4", folder / f"mediapipe_{name}{suffix}.npz"
            if not video.is_file() and not mediapipe.is_file():
                continue
            hidden = np.zeros(truth.joints_m.shape[:2], dtype=bool)
            if suffix:
                hidden = _read(folder / f"{name}_occlusion.npz", {"joint_occluded": hidden.shape})[
                    "joint_occluded"
                ]
            yield _Clip(name + suffix, camera, video, mediapipe, hidden.astype(bool))


def _read_stored(path: Path) -> Pose2D:
    """MediaPipe's 2D as `repose estimate` would see it."""
    found = _read(path, _MEDIAPIPE)
    frames = np.flatnonzero(found["detected"])
    if not len(frames):
        raise UserError(f"{path}: nobody was detected in any frame")
    width, height = found["size"].tolist()
    return Pose2D(
        points_px=found["xy_px"][frames],
        confidence=np.clip(found["visibility"][frames], 0, 1),
        frames=frames,
        fps=float(found["fps"]),
        image_size=(width, height),
        skeleton=_BLAZEPOSE,
        source=path.name,
    )


def _read(path: Path, layout: _Layout) -> dict[str, np.ndarray]:
    """Read the arrays of a file, as `_checked`."""
    return _checked(path, load_arrays(str(path), path), layout)


def _checked(path: Path, arrays: Mapping[str, np.ndarray], layout: _Layout) -> dict[str, np.ndarray]:
    """Return the arrays of `layout` as float64; raises UserError for other axes, types and values."""
    if missing := [name for name in layout if name not in arrays]:
        expected(str(path), f"arrays {', '.join(layout)}", f"no {', '.join(missing)}")
    sizes: dict[str | int, int] = {}
    found = {}
    for name, axes in layout.items():
        array = arrays[name]
        text = name == "joint_names"
        fits = array.ndim == len(axes) and array.dtype.kind in ("U" if text else "biuf")
        for axis, length in zip(axes, array.shape, strict=False):
            fits = fits and length == (sizes.setdefault(axis, length) if isinstance(axis, str) else axis)
        if not fits:
            wanted = f"{'text' if text else 'numbers'} ({', '.join(map(str, axes))})"
            expected(f"{path}: {name}", wanted, f"{array.dtype} {array.shape}")
        if not text:
            largest = LARGEST_M if name.endswith("_m") else LARGEST
            check_numbers(f"{path}: {name}", array, largest=largest)
        found[name] = array if text else array.astype(np.float64)
    if "fps" in found and not found["fps"] > 0:
        expected(f"{path}: fps", "a positive frame rate", found["fps"])
    return found
