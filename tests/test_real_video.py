"""The packaged model on a real man, against ground truth from four cameras."""

from pathlib import Path

import numpy as np
import pytest

import repose
from repose.metrics import p_mpjpe
from repose.pose import Pose2D


@pytest.fixture(scope="module")
def lifter() -> repose.Lifter:
    if "default" not in repose.models.packaged_weights():
        pytest.skip("needs the packaged weights (src/repose/models/weights/default.safetensors)")
    return repose.load("default")


def mediapipe(folder: Path, clip: str) -> Pose2D:
    """What MediaPipe found in the clip, as `repose estimate` would see it."""
    found = np.load(folder / f"mediapipe_{clip}.npz")
    frames = np.flatnonzero(found["detected"])
    width, height = found["size"].tolist()
    return Pose2D(
        points_px=found["xy_px"][frames],
        confidence=np.clip(found["visibility"][frames], 0, 1),
        frames=frames,
        fps=float(found["fps"]),
        image_size=(width, height),
        skeleton="mediapipe-33",
    )


@pytest.mark.parametrize("clip", ["cam01", "cam02"])
def test_a_balancing_man_is_right_to_11_cm(clip: str, shared: Path, lifter: repose.Lifter) -> None:
    """12 joints, frames 1 to 99, one similarity a frame. MediaPipe's own 3D has 79.8 and 128.5 mm here."""
    folder = shared / "video" / "pose2sim_single"
    truth = np.load(folder / "gt_single.npz")
    (pose,) = repose.estimate(mediapipe(folder, clip), lifter=lifter)
    assert pose.frames.tolist() == list(range(100))
    joints = pose.skeleton.indices(*truth["joint_names"].tolist())
    error_m = p_mpjpe(pose.joints_m[1:, joints].astype(np.float64), truth["joints_m"][1:].astype(np.float64))
    assert error_m.shape == (99,)
    assert error_m.mean() < 0.110


def test_the_man_stands_where_he_stands(shared: Path, lifter: repose.Lifter) -> None:
    """With the true lens and his height he is some 3.3 m from camera 1."""
    folder = shared / "video" / "pose2sim_single"
    truth = np.load(folder / "gt_single.npz")
    K = truth["cam01_K"]
    lens = (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]))
    (pose,) = repose.estimate(mediapipe(folder, "cam01"), lifter=lifter, intrinsics_px=lens)
    true_m = truth["joints_m"] @ truth["cam01_R"].T + truth["cam01_t"].reshape(3)
    joints = pose.skeleton.indices(*truth["joint_names"].tolist())
    place, true_place = pose.joints_m[1:, joints].mean(axis=1), true_m[1:].mean(axis=1)
    off = np.linalg.norm(place - true_place, axis=-1) / np.linalg.norm(true_place, axis=-1)
    assert np.median(off) < 0.12
