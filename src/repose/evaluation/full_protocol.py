"""Every frame of a split as users lift it: videos whole, in overlapping windows, at the model's rate."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from repose.datasets.splits import Split, StoredSequence
from repose.datasets.store import ClipStore, Progress
from repose.errors import UserError
from repose.evaluation.predictions import (
    Outcome,
    average_of,
    make_outcome,
    mm_per_unit,
    valid_frames,
    valid_runs,
)
from repose.geometry.camera import ASSUMED_FOV_DEG
from repose.lifting import ASSUMED_HEIGHT_M, Lifter
from repose.models.inference import OVERLAP
from repose.pose import Pose2D
from repose.sequence import fill_missing, interpolate, to_rate


def predict_full(
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
            joints = _lift_picture(keypoints, sequence.fps, lifter) * mm_per_unit(split, sequence, here)
        predicted[here] = joints
        if progress:
            progress("predicting frames", sequence.stop, len(split))
    clips, every = valid_runs(split, valid_frames(split)), np.ones(len(split), bool)
    words = list(_in_words(store, split, lifter, fov_deg))
    return make_outcome(store, split, lifter, predicted, clips, average_of(store.dataset), words, every)


def _in_words(store: ClipStore, split: Split, lifter: Lifter, fov_deg: float | None) -> Iterator[str]:
    spec, valid = lifter.spec, valid_frames(split)
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
