"""A model with toes and heels, from keypoints to files; its weights are untrained."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from repose.export.formats import export_poses
from repose.lifting import Lifter
from repose.mocap.recordings import read_mocap
from repose.models import build, find_spec, load_checkpoint, save_checkpoint
from repose.pose import Pose2D, Pose3D
from repose.skeleton import FEET, H36M_17, H36M_FEET
from repose.synthetic.procedural import ProceduralConfig, make_motion

FRAMES = 40


@pytest.fixture(scope="module")
def lifter(tmp_path_factory: pytest.TempPathFactory) -> Lifter:
    torch.manual_seed(1)
    spec = find_spec("frameformer-feet").with_config(width=16, depth=1, heads=2)
    path = tmp_path_factory.mktemp("model") / "feet.safetensors"
    save_checkpoint(path, build(spec), spec)
    return Lifter(load_checkpoint(path))


@pytest.fixture(scope="module")
def track() -> Pose2D:
    (joints,) = make_motion(ProceduralConfig(clips=1, seconds=FRAMES / 60), 4, H36M_FEET)
    # From the side along y, 5 m away; z is up.
    points = 500 * joints[..., [0, 2]] * [1, -1] / (joints[..., 1:2] + 5.0) + [320, 300]
    seen = np.ones(joints.shape[:2], np.float32)
    return Pose2D(points, seen, np.arange(len(points)), 30.0, (640, 480), H36M_FEET)


def test_feet_are_seen_where_the_layout_has_them_and_inferred_elsewhere(
    lifter: Lifter, track: Pose2D
) -> None:
    for layout, seen in ((H36M_FEET, True), (H36M_17, False)):
        pose = lifter.lift(track.to(layout))
        assert pose.skeleton is H36M_FEET
        assert np.isfinite(pose.joints_m).all()
        assert (pose.seen[:, len(H36M_17) :] == seen).all()
        assert pose.seen[:, : len(H36M_17)].all()
        assert pose.deviation_m is not None


def test_those_who_ask_for_17_joints_get_them(lifter: Lifter, track: Pose2D) -> None:
    pose = lifter.lift(track)
    body = pose.to("h36m-17")
    assert body.skeleton is H36M_17
    for name in ("joints_m", "seen", "confidence", "deviation_m", "points_px"):
        np.testing.assert_allclose(getattr(body, name), getattr(pose, name)[:, :17], atol=1e-6)
    assert pose.to(H36M_FEET) is pose
    unseen = replace(pose, seen=np.arange(23) != H36M_FEET.index("left_hip") + np.zeros((len(pose), 1)))
    coarse = unseen.to("h36m-17").to("mpi-17")
    assert not coarse.seen[:, coarse.skeleton.index("left_hip")].any()
    assert coarse.seen[:, coarse.skeleton.index("right_hip")].all()


def test_exports_have_toes_and_heels(lifter: Lifter, track: Pose2D, tmp_path: Path) -> None:
    pose = lifter.lift(track)
    assert {joint for joint in FEET if joint in pose.skeleton.joints} == set(FEET)
    for name in ("a.bvh", "a.trc", "a.glb"):
        export_poses([pose], tmp_path / name)
    for joint in FEET:
        assert f"JOINT {joint}" in (tmp_path / "a.bvh").read_text()
        assert joint.encode() in (tmp_path / "a.glb").read_bytes()
    for marker in ("RHeel", "RBigToe", "LSmallToe"):
        assert marker in (tmp_path / "a.trc").read_text()


def test_exported_feet_come_back_as_motion_capture(track: Pose2D, tmp_path: Path) -> None:
    (joints,) = make_motion(ProceduralConfig(clips=1, seconds=1), 4, H36M_FEET)
    world = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 5.0], [0, 0, 0, 1.0]])
    pose = Pose3D(
        joints, np.ones(joints.shape[:2], bool), np.arange(len(joints)), 60.0, H36M_FEET,
        coordinates="world", scale="given", T_cam_world=world,
    )  # fmt: skip
    export_poses([pose], tmp_path / "a.trc")
    (clip,) = read_mocap(tmp_path / "a.trc")
    assert clip.feet_m is not None
    ankles = joints[:, H36M_FEET.indices("left_ankle", "right_ankle")].mean(axis=1, keepdims=True)
    own = clip.joints_m[:, H36M_17.indices("left_ankle", "right_ankle")].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(
        np.linalg.norm(clip.feet_m - own, axis=-1),
        np.linalg.norm(joints[:, 17:] - ankles, axis=-1),
        atol=1e-3,
    )
