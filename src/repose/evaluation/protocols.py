"""From a store's frames to predictions in millimetres: by the published protocol, or as users lift."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from repose.datasets.splits import Split, StoredSequence, Window, stack
from repose.datasets.store import ClipStore, Progress
from repose.errors import UserError, expected
from repose.evaluation.models import open_lifter
from repose.geometry.camera import ASSUMED_FOV_DEG
from repose.lifting import ASSUMED_HEIGHT_M, Lifter
from repose.models.inference import OVERLAP
from repose.models.onnx_network import is_onnx
from repose.models.spec import find_checkpoint, read_spec
from repose.pose import Pose2D
from repose.sequence import fill_missing, interpolate, runs, to_rate
from repose.skeleton import Skeleton

Protocol = Literal["published", "full"]
Average = Literal["actions", "frames"]

LEFT_OUT = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
"""Sequences of Human3.6M that the published programs leave out: their truth is displaced."""
_FRAMES_AT_ONCE = 2048


class Clip(NamedTuple):
    """Consecutive frames of one video: `start` to `stop` of the predictions."""

    action: str
    fps: float
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for frames of a split, with the truth: joints minus the root, camera axes."""

    predicted_mm: Float[np.ndarray, "frames joints 3"]
    truth_mm: Float[np.ndarray, "frames joints 3"]
    confidence: Float[np.ndarray, "frames joints"]
    rows: Int[np.ndarray, " frames"]
    """Row of each frame in the split's arrays."""
    clips: tuple[Clip, ...]
    """The frames that count. Motion is measured within a clip, never across its ends."""
    skeleton: Skeleton


@dataclass(frozen=True, eq=False)
class Outcome:
    """Predictions, how to average them, and how they were obtained, in words."""

    predictions: Predictions
    average: Average
    words: tuple[str, ...]


def open_model(
    model: str | Path,
    store: ClipStore,
    **options: Any,
) -> Lifter:
    """Open packaged weights or a checkpoint, recognised from its tensors, for the frames of a store.

    A published file carries neither skeleton nor frame rate: it takes the store's. The options are those
    of `evaluation.models.open_lifter`.

    Raises UserError for unknown names, files that are no checkpoint or one of another architecture, and
    devices that are not there.
    """
    lifter = open_lifter(model, **options)
    spec = lifter.spec
    path = find_checkpoint(model)
    if read_spec(path) is None and not is_onnx(path):
        rates = [sequence.fps for split in store.splits.values() for sequence in split.sequences]
        spec = replace(spec, skeleton=store.skeleton.name, frame_rate_hz=max(rates, key=rates.count))
    lifter.spec, lifter.skeleton = spec, spec.layout
    return lifter


def predict(
    store: ClipStore,
    split: Split,
    lifter: Lifter,
    protocol: Protocol,
    *,
    fov_deg: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Predict the frames of a split that the protocol asks for.

    Models whose output is in units of their input see pictures by their width (`screen`), whatever they
    are given elsewhere; models of camera rays see them through a field of view, assumed unless given.

    Raises UserError for a model of another skeleton than the store's, one that the protocol does not
    suit, and a split without truth in millimetres.
    """
    spec = lifter.spec
    if spec.skeleton != store.skeleton.name:
        expected(
            f"model {lifter.name}: skeleton",
            f"that of the store, {store.skeleton.name}",
            spec.skeleton,
            "Evaluate it on a store of its own joints, or train it on this one.",
        )
    if store.target_kind is None:
        raise UserError(f"{store.path}: expected 3D joints to score against, found a store of 2D")
    if store.target_kind == "image" and not {"truth_mm", "factor"} <= split.arrays.keys():
        raise UserError(
            f"{store.path}: split {split.name}: expected the truth in millimetres, found image units only",
            "The published file has it for the test split alone.",
        )
    if spec.output == "input":
        lifter = copy(lifter)
        lifter.spec = replace(spec, normalisation="screen")
    elif protocol == "published":
        raise UserError(
            f"model {lifter.name}: the published protocol is for models in image units, this one has metres",
            "Score it with --protocol full.",
        )
    if protocol == "published" and store.dataset == "mpi-inf-3dhp":
        return _published_centres(store, split, lifter, progress)
    if protocol == "published":
        return _published_windows(store, split, lifter, progress)
    return _full(store, split, lifter, fov_deg, progress)


def _published_windows(store: ClipStore, split: Split, lifter: Lifter, progress: Progress | None) -> Outcome:
    """Human3.6M as MotionBERT, MotionAGFormer and RePOSE score it."""
    frames = lifter.spec.window_frames
    windows = split.windows(frames, frames, tail="drop")
    kept = [window for window in windows if not window.sequence.name.startswith(LEFT_OUT)]
    predicted = np.zeros((len(split), len(store.skeleton), 3), np.float32)
    for window, joints in _lift_windows(split, lifter, kept, progress):
        # Where a short video repeats frames, the last one counts, as in the published programs.
        predicted[window.rows(frames)] = joints
    clips = [(window.sequence, window.start, window.stop) for window in kept]
    left_out = [s.name for s in split.sequences if s.name.startswith(LEFT_OUT)]
    stretched = sum(window.stop - window.start < frames for window in kept)
    ends = sum(len(s) % frames for s in split.sequences if len(s) > frames and s.name not in left_out)
    words = [
        "published protocol of Human3.6M (MotionBERT, MotionAGFormer, RePOSE)",
        f"windows of {frames} frames without overlap, {len(kept)} of them; the end of a video that fills no "
        f"window is left out: {ends} frames",
    ]
    if stretched:
        words.append(
            "videos shorter than a window, which are stretched to one, evenly (the published programs: at "
            f"random): {stretched}"
        )
    if left_out:
        words.append(f"left out, as published: {', '.join(left_out)}")
    words.append("velocity, acceleration and frame pairs within windows")
    return _outcome(store, split, lifter, predicted, clips, "actions", words)


def _published_centres(store: ClipStore, split: Split, lifter: Lifter, progress: Progress | None) -> Outcome:
    """MPI-INF-3DHP as P-STMO and MotionAGFormer score it: a window about every valid frame."""
    frames = lifter.spec.window_frames
    centre = (frames - 1) // 2
    valid = _valid(split)
    windows = [w for w in split.windows(frames, 1, tail="pad") if valid[w.start + centre]]
    predicted = np.zeros((len(split), len(store.skeleton), 3), np.float32)
    for window, joints in _lift_windows(split, lifter, windows, progress):
        predicted[window.start + centre] = joints[centre]
    words = [
        "published protocol of MPI-INF-3DHP (P-STMO, MotionAGFormer)",
        f"a window of {frames} frames about every frame, its middle counts; the first and the last frame are "
        "repeated beyond the ends",
        f"only frames marked as valid: {int(valid.sum())} of {len(split)}",
        "velocity, acceleration and frame pairs within runs of valid frames",
    ]
    return _outcome(store, split, lifter, predicted, _runs(split, valid), "frames", words)


def _full(
    store: ClipStore, split: Split, lifter: Lifter, fov_deg: float | None, progress: Progress | None
) -> Outcome:
    """Every frame, lifted as for users."""
    predicted = np.zeros((len(split), len(store.skeleton), 3), np.float32)
    for sequence in split.sequences:
        here = slice(sequence.start, sequence.stop)
        keypoints = split.arrays["keypoints_norm"][here]
        if not (keypoints[..., 2] > 0).any():
            raise UserError(
                f"{store.path}: {sequence.name}: no joint was found in any frame",
                "Look at the store with `repose doctor`.",
            )
        if lifter.spec.output == "m":
            keypoints_px = split.keypoints_px(sequence)
            joints = _lift_metres(keypoints_px, sequence, lifter, fov_deg, image=store.target_kind == "image")
        else:
            joints = _lift_picture(keypoints, sequence.fps, lifter) * _mm_per_unit(split, sequence, here)
        predicted[here] = joints
        if progress:
            progress("predicting frames", sequence.stop, len(split))
    average: Average = "frames" if store.dataset == "mpi-inf-3dhp" else "actions"
    clips, every = _runs(split, _valid(split)), np.ones(len(split), bool)
    words = list(_full_in_words(store, split, lifter, fov_deg))
    return _outcome(store, split, lifter, predicted, clips, average, words, every)


def _full_in_words(store: ClipStore, split: Split, lifter: Lifter, fov_deg: float | None) -> Iterator[str]:
    spec, valid = lifter.spec, _valid(split)
    rates = sorted({s.fps for s in split.sequences if abs(s.fps / spec.frame_rate_hz - 1) >= 0.02})
    yield "full protocol: every frame of every video, lifted as for users"
    yield (
        f"windows of {spec.window_frames} frames that overlap by {OVERLAP:.0%} and are blended there; joints "
        "without a detection are interpolated over time"
    )
    if rates:
        yield (
            f"videos of {', '.join(f'{rate:g}' for rate in rates)} Hz are brought to the model's "
            f"{spec.frame_rate_hz:g} Hz and back"
        )
    if not valid.all():
        yield f"frames without a valid truth are not scored: {int((~valid).sum())} of {len(split)}"
    if spec.output == "m":
        if above := int((split.arrays["keypoints_norm"][..., 2] > 1).sum()):
            yield f"confidence above 1 is taken for 1: {above} joints"
        angle = f"{fov_deg:g} degrees (given)" if fov_deg else f"{ASSUMED_FOV_DEG:g} degrees (assumed)"
        yield f"the store does not say what camera filmed: field of view {angle} across the diagonal"
        yield (
            f"size is not visible: each person is taken to be {ASSUMED_HEIGHT_M:.2f} m tall; N-MPJPE and "
            "P-MPJPE do not depend on it"
        )
        if store.target_kind == "image":
            yield "predictions are projected as the truth was: x and y along the rays, at the root's depth"
    yield "velocity, acceleration and frame pairs within videos"


def _lift_windows(
    split: Split, lifter: Lifter, windows: list[Window], progress: Progress | None
) -> "Iterator[tuple[Window, Float[np.ndarray, 'frames joints 3']]]":
    """Each window with its joints minus the root, in millimetres."""
    frames = lifter.spec.window_frames
    size = max(1, _FRAMES_AT_ONCE // frames)
    for first in range(0, len(windows), size):
        group = windows[first : first + size]
        clips = stack([split.cut("keypoints_norm", window, frames) for window in group], split.skeleton)
        for window, joints in zip(group, lifter.lift_clips(clips), strict=True):
            yield window, joints * _mm_per_unit(split, window.sequence, window.rows(frames))
        if progress:
            progress("predicting windows", first + len(group), len(windows))


def _lift_picture(
    keypoints: Float[np.ndarray, "frames joints 3"], fps: float, lifter: Lifter
) -> Float[np.ndarray, "frames joints 3"]:
    """Return a whole video, joints minus the root in units of half the picture's width."""
    confidence = keypoints[..., 2]
    points = fill_missing(keypoints[..., :2].astype(np.float64), confidence > 0)
    times_s = np.arange(len(keypoints)) / fps
    points, confidence, at = to_rate(points, confidence, times_s, lifter.spec.frame_rate_hz)
    steps = np.concatenate([points, confidence[..., None]], axis=-1).astype(np.float32)
    joints = lifter.lift_keypoints(steps)
    return interpolate(joints.astype(np.float64), at)


def _lift_metres(
    keypoints_px: Float[np.ndarray, "frames joints 3"],
    sequence: StoredSequence,
    lifter: Lifter,
    fov_deg: float | None,
    *,
    image: bool,
) -> Float[np.ndarray, "frames joints 3"]:
    """Return a whole video, joints minus the root in millimetres, in the space that the truth is in.

    Truth of the "image" kind has x and y as they are seen, scaled as at the root's depth: X Z_root / Z.
    """
    pose = Pose2D(
        points_px=keypoints_px[..., :2],
        confidence=np.clip(keypoints_px[..., 2], 0.0, 1.0),
        frames=np.arange(len(keypoints_px)),
        fps=sequence.fps,
        image_size=sequence.image_size,
        skeleton=lifter.skeleton,
    )
    lifted = lifter.lift(pose, fov_deg=fov_deg, root=image)
    joints = lifted.joints_m.astype(np.float64)
    root = lifter.skeleton.parents.index(-1)
    if image and lifted.coordinates == "camera":
        depth = joints[..., 2:]
        joints[..., :2] *= depth[:, root : root + 1] / depth
    return 1000 * (joints - joints[:, root : root + 1])


def _mm_per_unit(
    split: Split, sequence: StoredSequence, rows: "slice | np.ndarray"
) -> "float | Float[np.ndarray, 'frames 1 1']":
    """Millimetres per unit of the model's output.

    Where targets are in the camera frame, their millimetres are normalised like pixels (MPI-INF-3DHP as
    MotionAGFormer trains on it).
    """
    if "factor" in split.arrays:
        return split.arrays["factor"][rows][:, None, None]
    return sequence.image_size[0] / 2


def _valid(split: Split) -> Bool[np.ndarray, " frames"]:
    return split.arrays.get("valid", np.ones(len(split), bool))


def _runs(split: Split, valid: Bool[np.ndarray, " frames"]) -> list[tuple[StoredSequence, int, int]]:
    """Return the runs of valid frames, each within one sequence."""
    return [
        (sequence, sequence.start + start, sequence.start + stop)
        for sequence in split.sequences
        for start, stop in runs(valid[sequence.start : sequence.stop])
    ]


def _outcome(
    store: ClipStore,
    split: Split,
    lifter: Lifter,
    predicted_mm: Float[np.ndarray, "frames joints 3"],
    clips: list[tuple[StoredSequence, int, int]],
    average: Average,
    words: list[str],
    done: Bool[np.ndarray, " frames"] | None = None,
) -> Outcome:
    """`done`: the frames that were predicted, those of `clips` unless given."""
    if done is None:
        done = np.zeros(len(split), bool)
        for _, start, stop in clips:
            done[start:stop] = True
    rows = np.flatnonzero(done)
    position = np.cumsum(done) - 1
    truth = (
        split.arrays["truth_mm"][rows] if "truth_mm" in split.arrays else 1000 * split.arrays["target"][rows]
    )
    root = store.skeleton.parents.index(-1)
    predictions = Predictions(
        predicted_mm=predicted_mm[rows],
        truth_mm=truth - truth[:, root : root + 1],
        confidence=split.arrays["keypoints_norm"][rows, :, 2],
        rows=rows,
        clips=tuple(
            Clip(sequence.action, sequence.fps, int(position[start]), int(position[stop - 1]) + 1)
            for sequence, start, stop in clips
        ),
        skeleton=store.skeleton,
    )
    words += _compared_in_words(store, split, lifter, average)
    return Outcome(predictions, average, tuple(words))


def _compared_in_words(store: ClipStore, split: Split, lifter: Lifter, average: Average) -> Iterator[str]:
    if lifter.flip:
        yield "each prediction is averaged with that of the mirrored input, mirrored back"
    if lifter.spec.output == "input":
        yield (
            "the predicted root is set to zero (trained on joints relative to the root)"
            if lifter.spec.root_relative
            else "the predicted root is subtracted (trained on joints with their root)"
        )
        yield "input and output in units of half the picture's width" + (
            ", made millimetres by the store's factor for each frame"
            if "factor" in split.arrays
            else " for pixels and for millimetres alike"
        )
        if store.dataset == "human36m" and "factor" not in split.arrays:
            yield (
                "weights that learned from h36m_sh_conf_cam_source_final.pkl answer in pixels: only their "
                "N-MPJPE and P-MPJPE mean something here; prepare that file for the other metrics"
            )
    yield "joints are compared relative to the root, in millimetres, in the axes of the camera"
    yield (
        "errors are averaged over the frames of an action, then over actions"
        if average == "actions"
        else "errors are averaged over all frames alike"
    )
