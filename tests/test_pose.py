"""The two values that cross the walls: what they accept, what they refuse and in which words."""

from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.pose import Pose2D, Pose3D, check_span
from repose.skeleton import H36M_17, SKELETONS

N = 4


def pose_2d(**changes: Any) -> Pose2D:
    points = np.random.default_rng(0).uniform(0, 100, (N, 17, 2))
    values: dict[str, Any] = {
        "points_px": points,
        "confidence": np.full((N, 17), 0.5),
        "frames": np.arange(N),
    }
    values |= {"fps": 25.0, "image_size": (640, 480), "skeleton": "h36m-17"}
    return Pose2D(**{**values, **changes})


def pose_3d(**changes: Any) -> Pose3D:
    joints = np.random.default_rng(0).normal(size=(N, 17, 3))
    values: dict[str, Any] = {
        "joints_m": joints,
        "seen": np.ones((N, 17), dtype=bool),
        "frames": np.arange(N),
    }
    return Pose3D(**{**values, "fps": 25.0, "skeleton": H36M_17, **changes})


def with_value(shape: tuple[int, ...], at: tuple[int, ...], value: float) -> np.ndarray:
    array = np.zeros(shape)
    array[at] = value
    return array


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_px": np.zeros((N, 21, 2))},
         "points_px: expected frames × 17 × 2 for skeleton h36m-17, found 4 × 21 × 2"),
        ({"points_px": np.zeros((N, 17, 3))},
         "points_px: expected frames × 17 × 2 for skeleton h36m-17, found 4 × 17 × 3"),
        ({"points_px": with_value((N, 17, 2), (2, 5, 1), np.nan)},
         "points_px: expected finite numbers, found nan at (2, 5, 1) (1 in all)"),
        ({"points_px": with_value((N, 17, 2), (0, 0, 0), np.inf)},
         "points_px: expected finite numbers, found inf at (0, 0, 0) (1 in all)"),
        ({"points_px": np.full((N, 17, 2), "x")}, "points_px: expected numbers, found dtype <U1"),
        ({"confidence": np.zeros((N, 16))}, "confidence: expected 4 × 17 for skeleton h36m-17, found 4 × 16"),
        ({"confidence": np.full((N, 17), 1.5)}, "confidence: expected values from 0 to 1, found 1.5 to 1.5"),
        ({"frames": np.array([0, 2, 1, 3])},
         "frames: expected strictly increasing frame numbers, found 2 followed by 1"),
        ({"frames": np.array([0, 1, 1, 3])},
         "frames: expected strictly increasing frame numbers, found 1 followed by 1"),
        ({"frames": np.array([-1, 0, 1, 2])}, "frames: expected 0-based frame numbers, found -1"),
        ({"frames": np.arange(5)}, "frames: expected 4 whole numbers, found int64 (5,)"),
        ({"frames": np.arange(4) / 2}, "frames: expected 4 whole numbers, found float64 (4,)"),
        ({"fps": 0.0}, "fps: expected 0.1 to 10,000 frames per second, found 0.0"),
        ({"fps": "fast"}, "fps: expected 0.1 to 10,000 frames per second, found fast"),
        ({"fps": np.nan}, "fps: expected 0.1 to 10,000 frames per second, found nan"),
        ({"image_size": (0, 480)},
         "image_size: expected a (width, height) of 1 to 100,000 pixels, found (0, 480)"),
        ({"times_s": np.zeros(4)}, "times_s: expected 4 increasing times in seconds, found shape (4,)"),
        ({"skeleton": "smpl"},
         "unknown skeleton 'smpl': expected one of h36m-17, h36m-17+feet, mpi-17, coco-17, "
         "coco-17+feet, coco-18, coco-18+feet, halpe-26, body-25, body-25b, mediapipe-33"),
    ],
)  # fmt: skip
def test_a_wrong_pose_2d_says_expected_and_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        pose_2d(**changes)
    assert error.value.message == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints_m": np.zeros((N, 17, 2))},
         "joints_m: expected frames × 17 × 3 for skeleton h36m-17, found 4 × 17 × 2"),
        ({"joints_m": with_value((N, 17, 3), (1, 1, 1), np.nan)},
         "joints_m: expected finite numbers, found nan at (1, 1, 1) (1 in all)"),
        ({"seen": np.ones((N, 16), dtype=bool)},
         "seen: expected a boolean array (4, 17), found bool (4, 16)"),
        (
            {"coordinates": "room"},
            "coordinates: expected camera or camera-root-relative or world, found 'room'",
        ),
        (
            {"coordinates": "world"},
            "T_cam_world: expected the transform from the world to the camera, found None",
        ),
        ({"deviation_m": np.full((N, 17), -1.0)}, "deviation_m: expected 0 or more, found -1.0"),
        ({"points_px": np.zeros((N, 16, 2))},
         "points_px: expected 4 × 17 × 2 for skeleton h36m-17, found 4 × 16 × 2"),
        ({"frames": np.array([3, 2, 1, 0])},
         "frames: expected strictly increasing frame numbers, found 3 followed by 2"),
    ],
)  # fmt: skip
def test_a_wrong_pose_3d_says_expected_and_found(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        pose_3d(**changes)
    assert error.value.message == message


def test_a_pose_prints_as_one_line() -> None:
    late = np.arange(7, 7 + N)
    assert repr(pose_2d(frames=late)) == "Pose2D(person 0: 4 frames 7–10 at 25 fps, h36m-17, 640 × 480)"
    assert repr(pose_3d(track_id=2)) == (
        "Pose3D(person 2: 4 frames 0–3 at 25 fps, h36m-17, camera-root-relative frame)"
    )


def test_poses_are_frozen() -> None:
    pose = pose_2d()
    with pytest.raises(FrozenInstanceError):
        pose.fps = 30.0  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        pose.points_px[0, 0, 0] = 1


def test_defaults_follow_from_the_rest() -> None:
    pose = pose_2d(frames=np.array([0, 5, 6, 7]), skeleton="H36M-17")
    assert pose.times_s.tolist() == [0, 0.2, 0.24, 0.28]
    assert pose.skeleton is H36M_17
    assert (len(pose), pose.track_id, pose.assumed) == (4, 0, ())
    seen = np.arange(N * 17).reshape(N, 17) % 3 > 0
    assert (pose_3d(seen=seen).confidence == seen).all()


def test_a_track_without_frames_is_a_track() -> None:
    nothing = np.zeros((0, 17, 2)), np.zeros((0, 17)), np.zeros(0, dtype=np.int64)
    assert len(pose_2d(points_px=nothing[0], confidence=nothing[1], frames=nothing[2])) == 0


def test_to_converts_by_name_and_keeps_the_rest() -> None:
    pose = pose_2d(
        skeleton="coco-17", track_id=7, frames=np.array([1, 2, 5, 9]), assumed=("fps",), source="here"
    )
    made = pose.to("h36m-17")
    assert made.skeleton is H36M_17
    for name in ("frames", "times_s"):
        assert getattr(made, name).tolist() == getattr(pose, name).tolist()
    for name in ("fps", "image_size", "track_id", "assumed", "source"):
        assert getattr(made, name) == getattr(pose, name)
    left = SKELETONS["coco-17"].index("left_knee")
    assert made.points_px[:, H36M_17.index("left_knee")].tolist() == pose.points_px[:, left].tolist()
    assert pose.to("coco-17") is pose


def test_root_relative_puts_the_pelvis_at_the_origin() -> None:
    pose = pose_3d()
    relative = pose.root_relative_m()
    assert not relative[:, H36M_17.index("pelvis")].any()
    np.testing.assert_allclose(np.diff(relative, axis=1), np.diff(pose.joints_m, axis=1), atol=1e-12)


def test_two_poses_of_a_long_time_are_no_film() -> None:
    far = Pose3D(np.zeros((2, 17, 3)), np.ones((2, 17), bool), np.array([0, 9_999_999]), 30.0, "h36m-17")
    with pytest.raises(UserError, match="found 2 over 9,999,999 frames"):
        check_span([far])
    check_span([replace(far, frames=np.array([0, 100_000]), times_s=None)])


@pytest.mark.parametrize(
    ("times_s", "message"),
    [
        ([0.0, 1e12], "numbers up to 10,000,000,000, found 1e+12 at (1,)"),
        ([0.0, 1e-308], "2 increasing times in seconds"),
        ([0.0, np.nan], "expected finite numbers, found nan"),
        (np.array(["0", "1"]), "expected numbers, found an array of <U1"),
    ],
    ids=range(4),
)
def test_times_of_no_recording_are_refused(times_s, message: str) -> None:
    with pytest.raises(UserError) as error:
        Pose2D(np.ones((2, 17, 2)), np.ones((2, 17)), [0, 1], 30, (640, 480), "h36m-17", times_s=times_s)
    assert message in error.value.message
