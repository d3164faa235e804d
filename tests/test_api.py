"""Names that others rely on: signatures, shapes, orders and defaults."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import repose

H36M = (
    "pelvis, right_hip, right_knee, right_ankle, left_hip, left_knee, left_ankle, spine, thorax, nose, "
    "head_top, left_shoulder, left_elbow, left_wrist, right_shoulder, right_elbow, right_wrist"
)
RNG = np.random.default_rng(0)


def pose_2d(**changes: object) -> repose.Pose2D:
    values = {
        "points_px": RNG.uniform(0, 400, (6, 17, 2)),
        "confidence": np.full((6, 17), 0.8),
        "frames": np.array([3, 4, 5, 8, 9, 10]),
        "fps": 30,
        "image_size": (640, 480),
        "skeleton": "h36m-17",
        "track_id": 4,
    }
    return repose.Pose2D(**(values | changes))


@pytest.fixture
def lifter() -> repose.Lifter:
    return repose.Lifter(repose.models.build("frameformer"))


def test_every_public_name_is_there() -> None:
    for name in repose.__all__:
        assert getattr(repose, name) is not None
    names = "estimate read_keypoints read_poses write_poses load Lifter Pose2D Pose3D losses metrics models"
    assert set(names.split()) <= set(repose.__all__)


def test_type_checkers_are_told_of_the_names_that_come_when_used() -> None:
    """`repose/__init__.py` lists its names for type checkers, for `__getattr__` and in `__all__`."""
    tree = ast.parse(Path(repose.__file__).read_text())
    (static,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module
        for node in static.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(told) == sorted(repose.__all__)
    for name, home in told.items():
        assert getattr(repose, name) is getattr(sys.modules[str(home)], name)
    assert set(repose.__all__) <= set(dir(repose))


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import sys, repose; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "numpy", "scipy", "av", "tyro"} & set(loaded.stdout.split())


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="estimte"):
        repose.estimte  # noqa: B018
    assert repose.sequence.interpolate is not None  # parts come when used, too


def test_joints_come_in_the_published_order() -> None:
    assert ", ".join(repose.SKELETONS["h36m-17"].joints) == H36M
    assert ", ".join(pose_2d().skeleton.joints) == H36M


def test_calls_look_as_documented() -> None:
    def parameters(function: object) -> list[str]:
        return list(inspect.signature(function).parameters)

    assert parameters(repose.read_keypoints)[0] == "path"
    assert parameters(repose.read_poses)[0] == "path"
    assert parameters(repose.estimate)[0] == "input"
    assert parameters(repose.Lifter.lift)[1] == "pose"
    assert len(parameters(repose.load)) >= 1
    assert parameters(repose.models.load_checkpoint) == ["path", "name"]
    assert parameters(repose.models.build) == ["model"]
    assert parameters(repose.losses.limb_variance)[0] == "predicted"
    assert parameters(repose.losses.weighted_mpjpe)[:3] == ["predicted", "target", "weight"]
    assert parameters(repose.losses.projection_2d)[:3] == ["predicted", "target", "confidence"]
    both = "spatial_rank temporal_rank mpjpe n_mpjpe velocity limb_length angle angle_velocity"
    for name in both.split():
        assert parameters(getattr(repose.losses, name))[:2] == ["predicted", "target"], name


def test_a_track_is_made_by_keywords_with_its_skeleton_by_name() -> None:
    pose = pose_2d()
    assert pose.skeleton == repose.SKELETONS["h36m-17"]
    np.testing.assert_allclose(pose.times_s, pose.frames / 30)
    assert pose_2d(track_id=0).to("h36m-17").track_id == 0


def test_lifting_gives_the_documented_fields(lifter: repose.Lifter) -> None:
    pose = lifter.lift(pose_2d())
    assert isinstance(pose, repose.Pose3D)
    np.testing.assert_array_equal(pose.frames, np.arange(3, 11))
    assert pose.joints_m.shape == (8, 17, 3)
    assert pose.seen.shape == (8, 17)
    assert pose.seen.dtype == np.bool_
    np.testing.assert_array_equal(pose.seen.all(axis=1), ~np.isin(pose.frames, [6, 7]))
    assert (pose.fps, pose.track_id, ", ".join(pose.skeleton.joints)) == (30.0, 4, H36M)


def test_estimate_write_and_read(tmp_path: Path, lifter: repose.Lifter) -> None:
    np.savez(tmp_path / "points.npz", points_px=pose_2d().points_px)
    poses = repose.estimate(tmp_path / "points.npz", lifter=lifter, fps=25, height_m=1.8)
    repose.write_poses(poses, tmp_path / "out")
    for place in (tmp_path / "out", tmp_path / "out" / "poses.npz"):
        (read,) = repose.read_poses(place)
        np.testing.assert_array_equal(read.joints_m, poses[0].joints_m)
        assert read.record == poses[0].record


def test_metrics_take_arrays_and_give_one_value_a_frame() -> None:
    predicted, target = RNG.normal(size=(2, 9, 17, 3))
    for name in ("mpjpe", "p_mpjpe", "n_mpjpe"):
        values = getattr(repose.metrics, name)(predicted, target)
        assert isinstance(values, np.ndarray)
        assert values.shape == (9,), name
    np.testing.assert_allclose(repose.metrics.p_mpjpe(2 * target + 1, target), 0, atol=1e-9)


def test_losses_take_tensors_and_give_a_number_with_a_gradient() -> None:
    predicted = torch.randn(2, 9, 17, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 9, 17, 3, dtype=torch.float64)
    for name in ("spatial_rank", "temporal_rank", "mpjpe", "n_mpjpe", "velocity", "limb_length", "angle"):
        value = getattr(repose.losses, name)(predicted, target)
        assert value.shape == ()
        (gradient,) = torch.autograd.grad(value, predicted)
        assert gradient.abs().sum() > 0, name
    assert repose.losses.limb_variance(predicted).shape == ()


def test_models_are_built_by_name_and_the_default_by_its_own(lifter: repose.Lifter) -> None:
    wanted = "repose motionbert motionbert-lite motionagformer-xs motionagformer-s motionagformer-b"
    names = {model.name for model in repose.models.list_models()}
    assert {*wanted.split(), "motionagformer-l", "frameformer"} <= names
    assert isinstance(repose.models.build("motionagformer-xs"), torch.nn.Module)
    if "default" not in repose.models.packaged_weights():
        pytest.skip("the packaged weights are not here yet")
    assert repose.load("default").lift(pose_2d()).joints_m.shape == (8, 17, 3)
