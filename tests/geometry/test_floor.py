"""One floor under one result, whoever asks."""

from dataclasses import replace

import numpy as np
import pytest

from repose.export.upright import to_world
from repose.fitting import refine
from repose.geometry.floor import floor_m
from repose.pose import Pose3D
from repose.sample import load_sample_truth
from repose.skeleton import H36M_17
from repose.viewer.scene import make_scene

STEPS_OFF = {"fit": False, "spikes": False, "smoothing": "off", "bones": False, "feet": False}


@pytest.fixture
def result() -> Pose3D:
    return replace(load_sample_truth().pose(), T_cam_world=None, coordinates="camera")


def test_export_viewer_and_refine_find_one_floor(result: Pose3D) -> None:
    """Of a level camera: the heights of all joints are the same in all three."""
    (exported,) = to_world([result])
    (figure,) = make_scene([replace(result, record={})]).figures
    (refined,) = refine(result, camera_pitch_deg=0, camera_roll_deg=0, **STEPS_OFF)
    np.testing.assert_allclose(figure.joints_m[..., 2], exported.joints_m[..., 2], atol=1e-4)
    np.testing.assert_allclose(refined.joints_m[..., 2], exported.joints_m[..., 2], atol=1e-4)


def test_inferred_joints_do_not_move_the_floor(result: Pose3D) -> None:
    seen, up = np.ones_like(result.seen), np.array([0.0, -1.0, 0.0])
    floor = floor_m([replace(result, seen=seen)], up)
    ankles = H36M_17.indices("left_ankle", "right_ankle")
    hidden = seen.copy()
    hidden[:200, ankles] = False
    joints = result.joints_m.copy()
    joints[:200, ankles] -= 0.4 * up
    assert floor_m([replace(result, joints_m=joints, seen=hidden)], up) == pytest.approx(floor, abs=0.05)
    assert floor_m([replace(result, joints_m=joints, seen=seen)], up) < floor - 0.3


def test_who_stands_on_their_hands_stands_on_the_floor(result: Pose3D) -> None:
    joints, up = result.joints_m.copy(), np.array([0.0, 1.0, 0.0])
    wrists = H36M_17.indices("left_wrist", "right_wrist")
    joints[:, wrists, 1] = joints[..., 1].min() - [0.30, 0.31]
    seen = np.ones_like(result.seen)
    under = joints[0, wrists, 1].min() - floor_m([replace(result, joints_m=joints, seen=seen)], up)
    assert under == pytest.approx(0.066, abs=0.01)
