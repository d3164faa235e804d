import itertools
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from repose.detectors import get_detector
from repose.sample import load_sample_truth, sample_video
from repose.skeleton import H36M_17
from repose.video import open_video

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts" / "render"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> dict:
    """The names of scripts/render/sample.py."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    names = runpy.run_path(str(SCRIPTS / "sample.py"))
    for module in ("figure", "sample_motion"):
        sys.modules.pop(module)
    return names


def test_video_and_truth_belong_together() -> None:
    truth = load_sample_truth()
    video = open_video(sample_video())
    assert sample_video().stat().st_size < 1_000_000
    assert (video.info.width, video.info.height) == truth.image_size
    assert (video.info.fps, video.info.frames) == (truth.fps, len(truth.joints_m))
    assert [frame.index for frame in video] == list(range(len(truth.joints_m)))
    assert video.lost == []


def test_the_figure_is_a_person_in_the_picture() -> None:
    truth = load_sample_truth()
    lengths_m = np.stack(
        [np.linalg.norm(truth.joints_m[:, a] - truth.joints_m[:, b], axis=-1) for a, b in H36M_17.bones]
    )
    rigid = [k for k, (child, _) in enumerate(H36M_17.bones) if H36M_17.joints[child] != "spine"]
    np.testing.assert_allclose(
        lengths_m[rigid], lengths_m[rigid, :1] * np.ones(lengths_m.shape[1]), atol=1e-5
    )
    width, height = truth.image_size
    assert (truth.points_px > 0).all()
    assert (truth.points_px < [width, height]).all()
    world_m = (truth.joints_m - truth.T_cam_world[:3, 3]) @ truth.T_cam_world[:3, :3]
    assert 1.6 < np.ptp(world_m[0, :, 2]) < 1.8, "z is up, and it stands"
    assert world_m[..., 2].min() > 0.05, "ankles are above the floor"
    accelerations = np.diff(truth.joints_m, 2, axis=0) * truth.fps**2
    assert np.linalg.norm(accelerations, axis=-1).max() < 60, "m/s²: smooth"


def test_left_is_left() -> None:
    """When it faces the camera its left is on the right of the picture; walking to the right, far away."""
    truth = load_sample_truth()
    left, right = H36M_17.index("left_shoulder"), H36M_17.index("right_shoulder")
    facing, walking = int(4.0 * truth.fps), int(1.0 * truth.fps)
    assert truth.points_px[facing, left, 0] > truth.points_px[facing, right, 0] + 30
    assert truth.joints_m[walking, left, 2] > truth.joints_m[walking, right, 2] + 0.1
    wrist = H36M_17.indices("left_wrist", "right_wrist")
    assert truth.points_px[facing, wrist[1], 1] < truth.points_px[facing, wrist[0], 1], "it waves its right"


def test_the_counter_hides_legs_for_a_while() -> None:
    truth = load_sample_truth()
    hidden = {joint: truth.hidden[:, i].mean() for i, joint in enumerate(H36M_17.joints)}
    for joint in ("left_knee", "right_knee", "left_ankle", "right_ankle"):
        assert 0.4 < hidden[joint] < 0.8
    assert 0 < hidden["left_hip"] < 0.2
    assert hidden["head_top"] == hidden["thorax"] == 0
    assert not truth.hidden[0].any()
    assert not truth.hidden[-1].any()


def test_the_script_makes_this_truth_and_these_pictures(script: dict) -> None:
    truth = load_sample_truth()
    motion = script["make_motion"]()
    made = script["make_truth"](motion)
    np.testing.assert_allclose(made["joints_m"], truth.joints_m, atol=1e-5)
    # A joint on the edge of its cover may be either.
    assert (made["hidden"] != truth.hidden).mean() < 0.001
    (drawn,) = script["pictures"](motion, range(1))
    decoded = next(iter(open_video(sample_video()))).rgb
    difference = np.abs(drawn.astype(int) - decoded)
    assert difference.mean() < 3, "compression alone lies between them"


def test_mediapipe_follows_the_figure() -> None:
    pytest.importorskip("mediapipe")
    truth = load_sample_truth()
    video = open_video(sample_video())
    (track,) = get_detector("mediapipe").detect(itertools.islice(video, 30), video.info)
    assert track.frames.tolist() == list(range(30))
    pose = track.to("h36m-17")
    error_px = np.linalg.norm(pose.points_px - truth.points_px[:30], axis=-1)
    height_px = np.ptp(truth.points_px[0, :, 1])
    assert np.median(error_px[~truth.hidden[:30]]) < 0.025 * height_px
    for limb in ("knee", "ankle", "elbow", "wrist"):
        sides = H36M_17.indices(f"left_{limb}", f"right_{limb}")
        points_px, true_px = pose.points_px[:, sides], truth.points_px[:30, sides]
        straight = np.linalg.norm(points_px - true_px, axis=-1).sum()
        assert straight < 0.5 * np.linalg.norm(points_px - true_px[:, ::-1], axis=-1).sum(), (
            f"{limb}s exchanged"
        )
