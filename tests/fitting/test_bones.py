import numpy as np
import pytest

from repose.fitting.bones import hold_lengths, measure_bones
from repose.metrics import bone_lengths
from repose.pose import Pose3D
from repose.skeleton import H36M_17, SKELETONS

RNG = np.random.default_rng(0)
HEAD, LEFT_WRIST = (
    [child for child, _ in H36M_17.bones].index(H36M_17.index(end)) for end in ("head_top", "left_wrist")
)
"""The bones that end there."""


def test_lengths_are_found_through_noise(true_pose: Pose3D) -> None:
    noisy = true_pose.joints_m + 0.01 * RNG.normal(size=true_pose.joints_m.shape)
    lengths = measure_bones(noisy, np.ones(noisy.shape[:2], dtype=bool), H36M_17)
    true = bone_lengths(true_pose.joints_m, H36M_17)[0]
    np.testing.assert_allclose(lengths, true, atol=0.004)


def test_sides_are_alike_also_where_a_hip_is_the_root() -> None:
    coco = SKELETONS["coco-17"]
    joints = RNG.normal(size=(5, 17, 3))
    lengths = measure_bones(joints, np.ones((5, 17), dtype=bool), coco)
    of = dict(zip((coco.joints[child] for child, _ in coco.bones), lengths, strict=True))
    assert (of["left_knee"], of["left_wrist"]) == (of["right_knee"], of["right_wrist"])
    hips = np.linalg.norm(joints[:, coco.index("left_hip")] - joints[:, coco.index("right_hip")], axis=-1)
    assert of["right_hip"] == pytest.approx(np.median(hips))


def test_only_what_was_seen_is_measured() -> None:
    joints = np.zeros((4, 17, 3))
    joints[:, H36M_17.index("head_top"), 1] = [0.2, 0.2, 9, 9]
    seen = np.ones((4, 17), dtype=bool)
    seen[2:] = False
    assert measure_bones(joints, seen, H36M_17)[HEAD] == pytest.approx(0.2)
    unseen = measure_bones(joints, np.zeros_like(seen), H36M_17)
    assert unseen[HEAD] == pytest.approx(4.6)


def test_lengths_are_held_exactly_and_poses_hardly_move(true_pose: Pose3D) -> None:
    true = true_pose.joints_m
    noisy = true + 0.02 * RNG.normal(size=true.shape)
    lengths = bone_lengths(true, H36M_17)[0]
    held = hold_lengths(noisy, lengths, H36M_17)
    np.testing.assert_allclose(bone_lengths(held, H36M_17), bone_lengths(true, H36M_17), atol=1e-5)
    error, before = (np.linalg.norm(x - true, axis=-1).mean() for x in (held, noisy))
    assert error < 0.92 * before


def test_the_joint_that_is_in_doubt_moves() -> None:
    joints = np.random.default_rng(3).normal(size=(1, 17, 3))
    lengths = bone_lengths(joints, H36M_17)[0]
    lengths[LEFT_WRIST] += 0.5
    doubt = np.full((1, 17), 1e-6)
    doubt[0, H36M_17.index("left_wrist")] = 1.0
    before = joints.copy()
    held = hold_lengths(joints, lengths, H36M_17, doubt)
    np.testing.assert_array_equal(joints, before)
    moved = np.linalg.norm(held - joints, axis=-1)[0]
    assert moved[H36M_17.index("left_wrist")] == pytest.approx(0.5, abs=0.01)
    assert np.delete(moved, H36M_17.index("left_wrist")).max() < 0.01


def test_a_bone_without_direction_does_no_harm() -> None:
    held = hold_lengths(np.zeros((2, 17, 3)), np.full(16, 0.3), H36M_17)
    assert np.isfinite(held).all()
