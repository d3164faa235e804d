"""A rendered panorama, filmed by a camera that turns while somebody walks before it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import repose
from repose import detectors as detect
from repose.detectors import TrackRecorder
from repose.export.notes import camera_note
from repose.geometry.camera import Camera
from repose.geometry.camera_turn import CameraTurn, find_turn
from repose.geometry.rotation import euler_to_matrix, matrix_to_axis_angle
from repose.lifting import Lifter
from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import H36M_17
from repose.video import VideoFrame, VideoInfo, write_video
from repose.video.background import Match, follow_background

cv2 = pytest.importorskip("cv2")

WIDTH, HEIGHT, FOCAL_PX, FRAMES = 320, 240, 260.0, 32
CAMERA = Camera.from_intrinsics((FOCAL_PX, FOCAL_PX, WIDTH / 2, HEIGHT / 2))
SPOTS = np.random.default_rng(0).normal(size=(512, 1024))
AROUND = np.clip(128 + sum(70 * s * cv2.GaussianBlur(SPOTS, (0, 0), s) for s in (1, 3)), 0, 255)
AROUND = AROUND.astype(np.float32)


def turns(yaw_deg: float, shake_deg: float = 0.0) -> np.ndarray:
    at = np.arange(FRAMES)
    angles = [shake_deg * np.sin(at), shake_deg * np.sin(1.7 * at + 1), yaw_deg * at / FRAMES]
    return euler_to_matrix(np.radians(np.stack(angles, axis=-1)), "ZXY")


def picture(R_view_cam: np.ndarray) -> np.ndarray:
    across, down = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    rays = [(across - WIDTH / 2) / FOCAL_PX, (down - HEIGHT / 2) / FOCAL_PX, np.ones_like(down)]
    x, y, z = np.moveaxis(np.stack(rays, axis=-1) @ R_view_cam, -1, 0)
    u = (np.arctan2(x, z) / np.pi + 1) * 512
    v = (np.arctan2(y, np.hypot(x, z)) / np.pi * 2 + 1) * 256
    u, v = u.astype(np.float32), v.astype(np.float32)
    return np.asarray(cv2.remap(AROUND, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP))


def walk_m() -> np.ndarray:
    """Somebody who travels to the right before the camera's first place, 5 m away."""
    rest = load_sample_truth().joints_m[100].astype(np.float64)
    rest -= rest[0]
    return rest + [0, 0, 5.0] + np.linspace(0, 2.4, FRAMES)[:, None, None] * [1.0, 0, 0]


def points_px(R_view_cam: np.ndarray) -> np.ndarray:
    return CAMERA.project(np.einsum("fij,fnj->fni", R_view_cam, walk_m()))


def film(R_view_cam: np.ndarray, *, cut: int = FRAMES, plain: bool = False) -> Iterator[VideoFrame]:
    random = np.random.default_rng(1)
    for frame, (R, points) in enumerate(zip(R_view_cam, points_px(R_view_cam), strict=True)):
        grey = picture(R if frame < cut else euler_to_matrix(np.radians([0.0, 30, 120]), "ZXY") @ R)
        grey = np.full_like(grey, 120) if plain else grey
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        grey = cv2.rectangle(grey, (int(left), int(top)), (int(right), int(bottom)), 60, -1)
        grey = np.clip(grey + random.normal(0, 2, grey.shape), 0, 255).astype(np.uint8)
        yield VideoFrame(frame, frame / 15, np.repeat(grey[..., None], 3, axis=2))


def follow(R_view_cam: np.ndarray, **scene: bool | int) -> list[Match]:
    boxes = {
        frame: [(*points.min(axis=0).tolist(), *points.max(axis=0).tolist())]
        for frame, points in enumerate(points_px(R_view_cam))
    }
    return list(follow_background(film(R_view_cam, **scene), boxes, FRAMES - 1))  # type: ignore[arg-type]


@pytest.mark.parametrize(("yaw_deg", "shake_deg"), [(32.0, 0.0), (0.0, 1.0)], ids=["pan", "shake"])
def test_the_turn_is_found(yaw_deg: float, shake_deg: float) -> None:
    truth = turns(yaw_deg, shake_deg)
    found = find_turn(follow(truth), CAMERA, FRAMES - 1)
    assert isinstance(found, CameraTurn), found
    off = found.R_view_cam @ (truth @ truth[0].T).swapaxes(-1, -2)
    assert np.degrees(np.linalg.norm(matrix_to_axis_angle(off), axis=-1)).max() < 0.15


def test_a_cut_and_a_plain_background_are_told_in_words() -> None:
    cut = find_turn(follow(turns(20), cut=16), CAMERA, FRAMES - 1)
    assert isinstance(cut, str)
    assert "is lost after frame" in cut
    plain = find_turn(follow(turns(20), plain=True), CAMERA, FRAMES - 1)
    assert isinstance(plain, str)


class TruthDetector:
    """Sees the walk as the camera that turns does."""

    skeleton = H36M_17

    def __init__(self, R_view_cam: np.ndarray) -> None:
        self.points = points_px(R_view_cam)

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        recorder = TrackRecorder(info, H36M_17, "truth")
        for frame in frames:
            recorder.add(frame, self.points[frame.index][None], np.ones((1, 17)))
        return recorder.tracks()


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return repose.load(flip=False)


def estimate(
    path: Path, monkeypatch: pytest.MonkeyPatch, lifter: Lifter, R_view_cam: np.ndarray
) -> repose.Pose3D:
    monkeypatch.setitem(detect._factories, "truth", lambda: TruthDetector(R_view_cam))
    write_video(path, (frame.rgb for frame in film(R_view_cam)), 15, crf=12)
    (pose,) = repose.estimate(path, detector="truth", lifter=lifter, intrinsics_px=CAMERA.intrinsics_px)
    return pose


def test_somebody_whom_the_camera_follows_travels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifter: Lifter
) -> None:
    """The camera pans by as much as the walk: its picture of the walk stands still."""
    truth = turns(27)
    pose = estimate(tmp_path / "pan.mp4", monkeypatch, lifter, truth)
    motion = pose.record["camera_motion"]
    assert motion["turned_deg"] == pytest.approx(26, abs=1)
    assert "held still" in camera_note(pose.record)
    assert pose.R_view_cam is not None
    left, right = pose.joints_m[[0, -1], 0]
    true_deg = np.degrees(np.arctan2(walk_m()[[0, -1], 0, 0], walk_m()[[0, -1], 0, 2]))
    np.testing.assert_allclose(
        np.degrees([np.arctan2(left[0], left[2]), np.arctan2(right[0], right[2])]), true_deg, atol=0.7
    )
    repose.write_poses([pose], tmp_path / "result")
    (again,) = repose.read_poses(tmp_path / "result")
    np.testing.assert_array_equal(again.R_view_cam, pose.R_view_cam)
    np.testing.assert_allclose(again.view_joints_m(), pose.view_joints_m())
    (refined,) = repose.refine(pose)
    assert refined.coordinates == "world"


def test_a_camera_that_stands_still_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lifter: Lifter
) -> None:
    still = np.broadcast_to(np.eye(3), (FRAMES, 3, 3))
    pose = estimate(tmp_path / "still.mp4", monkeypatch, lifter, still)
    assert pose.R_view_cam is None
    track = replace(
        Pose2D(points_px(still), np.ones((FRAMES, 17)), np.arange(FRAMES), 15, (WIDTH, HEIGHT), H36M_17),
        times_s=pose.times_s,
    )
    (alone,) = repose.estimate(track, lifter=lifter, intrinsics_px=CAMERA.intrinsics_px)
    np.testing.assert_allclose(pose.joints_m, alone.joints_m, atol=1e-5)
