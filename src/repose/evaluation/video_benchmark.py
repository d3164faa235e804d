"""Real clips with 3D truth: ours beside MediaPipe's own world landmarks."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int
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
from repose.evaluation.video_clips import (
    BLAZEPOSE,
    Truth,
    VideoClip,
    find_clips,
    read_mediapipe,
    read_stored,
    read_truth,
)
from repose.lifting import Device
from repose.metrics import procrustes_align
from repose.pipeline import EstimateOptions, Progress, find_tracks
from repose.pose import Pose2D, Pose3D

Keypoints = Literal["video", "stored"]
Lens = Literal["assumed", "given"]

MEDIAPIPE = "MediaPipe"
MEDIAPIPE_UNDONE = "MediaPipe, sides put right"
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
            "P-MPJPE: after a similarity in every frame. visible: joints not hidden, of the "
            "same frames. clip: after one rotation and scale for the clip. accel.: m/s².\n"
            f"“{MEDIAPIPE_UNDONE}”: swapped by the truth where that is nearer, which no method could do.\n"
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

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield one number per row."""
        yield "clip", "row", "metric", "value"
        for score in self.scores:
            yield from ((score.clip, score.row, *item) for item in score.means.items())

    def content(self) -> dict[str, Any]:
        scores = [{**vars(score), **score.means} for score in self.scores]
        return {
            "benchmark": "video",
            **vars(self),
            "scores": [{k: value for k, value in score.items() if k != "means"} for score in scores],
        }


def benchmark_video(
    folder: str | Path,
    models: Sequence[Model] = ("default",),
    *,
    keypoints: Keypoints = "video",
    lens: Lens = "assumed",
    device: Device = "auto",
    fit: bool = True,
    progress: Progress | None = None,
) -> VideoReport:
    """Score models, and MediaPipe's stored world landmarks, on clips with 3D truth.

    `repose.evaluation.video_clips` says what the folder has.

    Args:
        folder: clips and their truth.
        models: names of packaged weights, checkpoints, or lifters.
        keypoints: "video" detects them as `repose estimate` does, "stored" uses MediaPipe's next to it.
        lens: "assumed" tells models nothing about the camera, "given" its intrinsics.
        device: where to lift.
        fit: also a row of each model fitted to the picture.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        UserError: a folder of another layout, files that cannot be read, models that cannot be loaded,
            and anything that `repose estimate` raises.
    """
    folder = Path(folder)
    truth = read_truth(folder)
    clips = list(find_clips(folder, truth))
    if not clips:
        expected(str(folder), f"videos of {', '.join(truth.cameras)}, or mediapipe_*.npz", "none")
    estimators = load_models(models, device, fit=fit)
    scores: list[VideoScore] = []
    for clip in clips:
        if clip.mediapipe.is_file():
            scores += _score_mediapipe(clip, truth)
        if keypoints == "video":
            tracks = find_tracks(clip.video, EstimateOptions(), progress)[0]
        else:
            tracks = [read_stored(clip.mediapipe)]
        track = min(tracks, key=lambda track: _distance_px(track, clip, truth))
        for name, estimator in estimators.items():
            scene = {"intrinsics_px": clip.camera.intrinsics_px} if lens == "given" else {}
            scores.append(_score_model(clip, name, estimator(track, **scene), truth))
    return VideoReport(folder.resolve().name, keypoints, lens, tuple(truth.names), tuple(scores))


def _score_model(clip: VideoClip, row: str, pose: Pose3D, truth: Truth) -> VideoScore:
    joints = pose.skeleton.indices(*truth.names)
    deviation = None if pose.deviation_m is None else pose.deviation_m[:, joints]
    return _score(clip, row, pose.frames, camera_joints_mm(pose)[:, joints] / 1000, truth, deviation)


def _score(
    clip: VideoClip,
    row: str,
    frames: Int[np.ndarray, " frames"],
    joints_m: Float[np.ndarray, "frames joints 3"],
    truth: Truth,
    deviation_m: Float[np.ndarray, "frames joints"] | None = None,
) -> VideoScore:
    kept = (frames < len(truth.valid)) & truth.valid[np.minimum(frames, len(truth.valid) - 1)]
    frames, joints_mm = frames[kept], 1000 * joints_m[kept].astype(np.float64)
    if len(frames) < 3:
        raise UserError(f"{clip.name}: {row} has fewer than three frames of which the truth is known")
    poses = Poses(
        predicted_mm=joints_mm,
        truth_mm=1000 * clip.camera.T_cam_world.turn(truth.joints_m[frames]),
        hidden=clip.hidden[frames],
        fps=truth.fps,
        skeleton=truth.skeleton,
        clip=np.cumsum(np.diff(frames, prepend=frames[0]) != 1),
        deviation_mm=None if deviation_m is None else 1000 * deviation_m[kept],
        up=clip.camera.T_cam_world.turn(np.array([0.0, 0.0, 1.0])),
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


def _score_mediapipe(clip: VideoClip, truth: Truth) -> Iterator[VideoScore]:
    """Its world landmarks as they are; and, where it exchanges sides, with that undone by the truth."""
    found = read_mediapipe(clip.mediapipe)
    frames = np.flatnonzero(found["detected"])
    joints = BLAZEPOSE.indices(*truth.names)
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


def _distance_px(track: Pose2D, clip: VideoClip, truth: Truth) -> float:
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
