"""What people reported of keypoint files elsewhere: one walk, written in ways that mean something else.

The walk is a recording of the CMU database seen by a virtual camera of 1280 × 720, as COCO-17.
"""

from pathlib import Path

import numpy as np
import pytest

from repose import estimate, read_keypoints
from repose.metrics import per_joint_error, procrustes_align
from repose.pose import Pose3D
from repose.skeleton import H36M_17

REPORTS = Path(__file__).parent / "reports"
SIZE = (1280, 720)
FAR_ENDS = H36M_17.indices("left_wrist", "right_wrist", "left_ankle", "right_ankle")


def lift(name: str) -> Pose3D:
    (pose,) = estimate(REPORTS / name, fps=30, size=SIZE)
    return pose


def errors_mm(pose: Pose3D, shared: Path) -> np.ndarray:
    """Error of each frame and joint after the best similarity of each frame."""
    with np.load(shared / "mocap" / "cmu_joints17" / "walking_1.npz") as recording:
        true_m = recording["joints_m"][::2].astype(np.float64)
    true_m[:, 0] = true_m[:, H36M_17.indices("left_hip", "right_hip")].mean(axis=1)
    true_m = true_m[pose.frames]
    return 1000 * per_joint_error(procrustes_align(pose.joints_m.astype(np.float64), true_m), true_m)


def test_points_between_0_and_1_are_shares_of_the_picture() -> None:
    (shares,) = read_keypoints(REPORTS / "norm01.json", image_size=SIZE)
    (pixels,) = read_keypoints(REPORTS / "outlier.json", image_size=SIZE)
    np.testing.assert_allclose(shares.points_px, pixels.points_px, atol=0.7)  # three digits of 1280
    assert shares.source == "norm01.json: AlphaPose results; points between 0 and 1 scaled to 1280 × 720"


def test_one_score_far_above_the_others_is_one_joints_alone() -> None:
    (pose,) = read_keypoints(REPORTS / "outlier.json")
    outlier = pose.confidence == 1
    assert outlier.sum() == 1
    assert np.argwhere(outlier)[0][0] == 40
    np.testing.assert_allclose(pose.confidence[~outlier], 0.9, rtol=1e-6)
    assert pose.source.endswith("1 score far above the others taken for 1")


def test_a_joint_at_0_0_is_missing_whatever_its_score() -> None:
    (pose,) = read_keypoints(REPORTS / "yolo0.json")
    ends = pose.skeleton.indices("left_wrist", "right_wrist", "left_ankle", "right_ankle")
    lost = np.zeros(pose.confidence.shape, dtype=bool)
    lost[20:60, ends] = True
    assert (pose.confidence[lost] == 0).all()
    assert (pose.confidence[~lost] > 0).all()


@pytest.mark.parametrize("name", ["norm01.json", "outlier.json"])
def test_the_walk_is_lifted_as_from_pixels(name: str, shared: Path) -> None:
    pose = lift(name)
    assert pose.seen.all()
    assert errors_mm(pose, shared).mean() < 19


def test_missing_joints_do_not_draw_the_others_away(shared: Path) -> None:
    pose = lift("yolo0.json")
    lost = pose.seen[20:60, FAR_ENDS]
    assert not lost.any()
    off_mm = errors_mm(pose, shared)[20:60]
    assert off_mm[:, FAR_ENDS].mean() < 90  # 158 when the corner of the picture was taken for a place
    assert np.delete(off_mm, FAR_ENDS, axis=1).mean() < 27
