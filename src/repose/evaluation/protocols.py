"""From a store's frames to predictions in millimetres: by the published protocol, or as users lift."""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from repose.datasets.splits import Split, Window, stack
from repose.datasets.store import ClipStore, Progress
from repose.errors import UserError, expected
from repose.evaluation.full_protocol import predict_full
from repose.evaluation.models import open_lifter
from repose.evaluation.predictions import (
    Outcome,
    average_of,
    make_outcome,
    mm_per_unit,
    valid_frames,
    valid_runs,
)
from repose.lifting import Lifter
from repose.models.onnx_network import is_onnx
from repose.models.spec import find_checkpoint, read_spec
from repose.sequence import fill_missing

Protocol = Literal["published", "videopose3d", "full"]

_EVERY_FRAME = ("3dpw", "aist++", "blendmimic3d")
"""Data sets whose own protocol counts every frame that has a truth."""
LEFT_OUT = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")
"""Sequences of Human3.6M that the published programs leave out: their truth is displaced."""
_FRAMES_AT_ONCE = 2048


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


def name_protocol(store: ClipStore, lifter: Lifter, protocol: Protocol | None) -> Protocol:
    """Say which protocol is meant; by default the published one, or "full" for models in metres.

    Human3.6M in the camera's frame is the pair of files that VideoPose3D made, and so is its protocol.
    """
    if protocol not in (*get_args(Protocol), None):
        expected("protocol", f"one of {', '.join(get_args(Protocol))}", protocol)
    if protocol is None:
        protocol = "published" if lifter.spec.output == "input" else "full"
    pair = store.dataset == "human36m" and store.target_kind == "camera"
    return "videopose3d" if protocol == "published" and pair else protocol


def predict(
    store: ClipStore,
    split: Split,
    lifter: Lifter,
    protocol: Protocol,
    *,
    fov_deg: float | None = None,
    gt_2d: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Predict the frames of a split that the protocol asks for.

    Models whose output is in units of their input see pictures by their width (`screen`), whatever they
    are given elsewhere; models of camera rays see them through a field of view, assumed unless given.

    Raises UserError for a model of another skeleton than the store's, one that the protocol does not
    suit, a split without truth in millimetres, and `gt_2d` (the truth's own x and y in place of the
    detections) where the store does not have them.
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
    elif protocol != "full":
        raise UserError(
            f"model {lifter.name}: the published protocol is for models in image units, this one has metres",
            "Score it with --protocol full.",
        )
    if gt_2d:
        split = with_exact_2d(store, split)
    if protocol == "full":
        outcome = predict_full(store, split, lifter, fov_deg, progress)
    elif protocol == "videopose3d" or store.dataset in _EVERY_FRAME:
        outcome = _every_frame(store, split, lifter, progress)
    elif store.dataset == "mpi-inf-3dhp":
        outcome = _published_centres(store, split, lifter, progress)
    else:
        outcome = _published_windows(store, split, lifter, gt_2d, progress)
    if gt_2d:
        words = ("2D is the truth's own x and y with confidence 1, not a detector's (--gt-2d)",)
        outcome = replace(outcome, words=outcome.words + words)
    return outcome


def with_exact_2d(store: ClipStore, split: Split) -> Split:
    """Put the truth's own x and y, with confidence 1, in the place of the keypoints.

    Raises UserError for a store that does not have them.
    """
    arrays = split.arrays
    if store.dataset == "mpi-inf-3dhp":  # its keypoints are those
        return split
    if store.target_kind != "image" and "exact_norm" not in arrays:
        expected(
            f"{store.path}: --gt-2d",
            "a store that has the truth's own x and y",
            "one that does not say what camera filmed",
            "For Human3.6M prepare the pair with data_2d_h36m_gt.npz.",
        )
    keypoints = np.array(arrays["target" if store.target_kind == "image" else "exact_norm"])
    keypoints[..., 2] = 1
    return replace(split, arrays={**arrays, "keypoints_norm": keypoints})


def _published_windows(
    store: ClipStore, split: Split, lifter: Lifter, gt_2d: bool, progress: Progress | None
) -> Outcome:
    """Human3.6M as MotionBERT, MotionAGFormer and RePOSE score it."""
    frames = lifter.spec.window_frames
    windows = split.windows(frames, frames, tail="drop")
    kept = [window for window in windows if not window.sequence.name.startswith(LEFT_OUT)]
    predicted = np.zeros((len(split), len(store.skeleton), 3), np.float32)
    root = store.skeleton.parents.index(-1)
    for window, joints in _lift_windows(split, lifter, kept, progress):
        rows = window.rows(frames)
        if gt_2d:
            seen = split.arrays["keypoints_norm"][rows, :, :2]
            scale = mm_per_unit(split, window.sequence, rows)
            joints[..., :2] = (seen - seen[:, root : root + 1]) * scale
        # Where a short video repeats frames, the last one counts, as in the published programs.
        predicted[rows] = joints
    clips = [(window.sequence, window.start, window.stop) for window in kept]
    left_out = [s.name for s in split.sequences if s.name.startswith(LEFT_OUT)]
    stretched = sum(window.stop - window.start < frames for window in kept)
    ends = sum(len(s) % frames for s in split.sequences if len(s) > frames and s.name not in left_out)
    words = [
        "published protocol of Human3.6M (MotionBERT, MotionAGFormer, RePOSE)",
        f"windows of {frames} frames without overlap, {len(kept)} of them; the end of a video that fills no "
        f"window is left out: {ends} frames",
    ]
    if gt_2d:
        words.append("x and y of the prediction are those of the input, as in the published program")
    if stretched:
        words.append(
            "videos shorter than a window, which are stretched to one, evenly (the published programs: at "
            f"random): {stretched}"
        )
    if left_out:
        words.append(f"left out, as published: {', '.join(left_out)}")
    words.append("velocity, acceleration and frame pairs within windows")
    return make_outcome(store, split, lifter, predicted, clips, "actions", words)


def _published_centres(store: ClipStore, split: Split, lifter: Lifter, progress: Progress | None) -> Outcome:
    """MPI-INF-3DHP as P-STMO and MotionAGFormer score it: a window about every valid frame."""
    frames = lifter.spec.window_frames
    centre = (frames - 1) // 2
    valid = valid_frames(split)
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
    return make_outcome(store, split, lifter, predicted, valid_runs(split, valid), "frames", words)


def _every_frame(store: ClipStore, split: Split, lifter: Lifter, progress: Progress | None) -> Outcome:
    """VideoPose3D's protocol, and that of data sets of which every frame with a truth counts."""
    frames, rate_hz = lifter.spec.window_frames, lifter.spec.frame_rate_hz
    split = _without_gaps(split)
    windows = split.windows(frames, frames, tail="back")
    predicted = np.zeros((len(split), len(store.skeleton), 3), np.float32)
    for window, joints in _lift_windows(split, lifter, windows, progress):
        stop = min(window.stop, window.sequence.stop)
        predicted[window.start : stop] = joints[: stop - window.start]
    valid = valid_frames(split)
    rates = sorted({s.fps for s in split.sequences if abs(s.fps / rate_hz - 1) >= 0.02})
    words = [
        f"protocol of {store.dataset}: every frame with a truth"
        if store.dataset in _EVERY_FRAME
        else "VideoPose3D's protocol (Pavllo et al. 2019), which papers on CPN's detections follow: every "
        "frame of every video, none left out",
        f"windows of {frames} frames one after the other; the last one of a video begins earlier, so that it "
        "ends with it, and counts where two overlap (MixSTE counts both); a shorter video repeats its last "
        "frame",
        "joints without a detection are interpolated over time",
    ]
    if rates:
        found = ", ".join(f"{rate:g}" for rate in rates)
        words.append(f"at the store's rate, {found} Hz, although the model's is {rate_hz:g} Hz")
    if not valid.all():
        words.append(f"frames without a valid truth are not scored: {int((~valid).sum())} of {len(split)}")
    words.append("velocity, acceleration and frame pairs within videos")
    average, clips = average_of(store.dataset), valid_runs(split, valid)
    return make_outcome(store, split, lifter, predicted, clips, average, words)


def _without_gaps(split: Split) -> Split:
    """Interpolate missing keypoints within each video; where none is seen at all they stay."""
    keypoints = np.array(split.arrays["keypoints_norm"])
    for sequence in split.sequences:
        here = keypoints[sequence.start : sequence.stop]
        seen = here[..., 2] > 0
        if seen.any() and not seen.all():
            here[..., :2] = fill_missing(here[..., :2].astype(np.float64), seen)
    return replace(split, arrays={**split.arrays, "keypoints_norm": keypoints})


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
            yield window, joints * mm_per_unit(split, window.sequence, window.rows(frames))
        if progress:
            progress("predicting windows", first + len(group), len(windows))
