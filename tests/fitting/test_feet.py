import numpy as np

from repose.fitting.contacts import find_contacts
from repose.fitting.feet import find_footing, hold_feet
from repose.fitting.measures import foot_skating
from repose.metrics import bone_lengths
from repose.pose import Pose3D
from repose.sample import SampleTruth
from repose.skeleton import H36M_17, SKELETONS, Skeleton, conversion_matrix

ANKLES = H36M_17.indices("left_ankle", "right_ankle")


def level(truth: SampleTruth) -> float:
    """Of the true ankles on the ground, along up from the camera."""
    up, t = truth.T_cam_world[:3, 2], truth.T_cam_world[:3, 3]
    return float((truth.joints_m[:, ANKLES] @ up).min() - 0 * (up @ t))


def test_feet_that_slide_are_stopped_by_moving_the_person(true_pose: Pose3D, truth: SampleTruth) -> None:
    """Depth drifts to and fro, as that of a lifted person does; the truth comes out."""
    up, times = truth.T_cam_world[:3, 2], true_pose.times_s
    drift = 0.15 * np.sin(2 * np.pi * 0.7 * times)[:, None] * [0, 0, 1.0]
    joints = true_pose.joints_m + drift[:, None]
    touching = find_contacts(true_pose.joints_m[:, ANKLES], times, up)
    seen = np.ones_like(touching)
    shift, goal = find_footing(joints[:, ANKLES], touching, seen, times, up, level(truth))
    held = hold_feet(joints, shift, goal, H36M_17, up)
    before, after = (foot_skating(x[:, ANKLES], touching, times, up) for x in (joints, held))
    assert before is not None
    assert after is not None
    assert before > 0.3
    assert after < 0.01
    error, was = (np.linalg.norm(x - true_pose.joints_m, axis=-1) for x in (held, joints))
    wobble, before_wobble = (np.std(x - x.mean(axis=0), axis=0).mean() for x in (error, was))
    assert wobble < 0.6 * before_wobble
    np.testing.assert_allclose(bone_lengths(held), bone_lengths(joints), atol=1e-6)


def test_without_touches_nothing_moves(true_pose: Pose3D, truth: SampleTruth) -> None:
    joints, up = true_pose.joints_m, truth.T_cam_world[:3, 2]
    none = np.zeros((len(joints), 2), dtype=bool)
    shift, goal = find_footing(joints[:, ANKLES], none, ~none, true_pose.times_s, up, level(truth))
    assert not shift.any()
    np.testing.assert_allclose(hold_feet(joints, shift, goal, H36M_17, up), joints, atol=1e-6)


def test_a_foot_that_was_not_seen_does_not_go_below_the_ground(true_pose: Pose3D, truth: SampleTruth) -> None:
    """The legs of somebody who squats behind a counter, lifted as if they stood."""
    up, times = truth.T_cam_world[:3, 2], true_pose.times_s
    sunk = true_pose.joints_m - 0.3 * np.exp(-((times - 5) ** 2))[:, None, None] * up
    none = np.zeros((len(sunk), 2), dtype=bool)
    for seen, lowest in ((none, -0.02), (~none, -0.29)):
        shift, goal = find_footing(sunk[:, ANKLES], none, seen, times, up, level(truth))
        held = hold_feet(sunk, shift, goal, H36M_17, up)
        height = held[:, ANKLES] @ up - level(truth)
        assert lowest - 0.01 < height.min() < lowest + 0.03
        assert not shift.any()


def test_toes_go_along_with_their_ankle() -> None:
    halpe = SKELETONS["halpe-26"]
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(6, 26, 3))
    ankles = joints[:, halpe.indices("left_ankle", "right_ankle")]
    goal = ankles + 0.05 * rng.normal(size=ankles.shape)
    held = hold_feet(joints, np.zeros((6, 3)), goal, halpe, np.array([0.0, -1.0, 0.0]))
    for side in ("left", "right"):
        ankle, toe, heel = halpe.indices(f"{side}_ankle", f"{side}_big_toe", f"{side}_heel")
        for joint in (toe, heel):
            np.testing.assert_allclose(held[:, joint] - held[:, ankle], joints[:, joint] - joints[:, ankle])
    assert conversion_matrix(halpe, H36M_17).shape == (17, 26)


def test_a_foothold_out_of_reach_is_neared(true_pose: Pose3D, truth: SampleTruth) -> None:
    joints, up = true_pose.joints_m[:4], truth.T_cam_world[:3, 2]
    far = joints[:, ANKLES] - 1.0 * up
    held = hold_feet(joints, np.zeros((4, 3)), far, H36M_17, up)
    assert np.isfinite(held).all()
    np.testing.assert_allclose(bone_lengths(held), bone_lengths(joints), atol=1e-6)
    assert (held[:, ANKLES] @ up < joints[:, ANKLES] @ up).all()


def test_the_skeleton_may_have_any_order() -> None:
    turned = Skeleton(
        "turned", H36M_17.joints[::-1], tuple(16 - p if p >= 0 else -1 for p in H36M_17.parents[::-1])
    )
    joints = np.random.default_rng(1).normal(size=(3, 17, 3))
    goal = joints[:, ANKLES] + 0.03
    up, still = np.array([0.0, -1.0, 0.0]), np.zeros((3, 3))
    plain = hold_feet(joints, still, goal, H36M_17, up)
    np.testing.assert_allclose(hold_feet(joints[:, ::-1], still, goal, turned, up)[:, ::-1], plain)
