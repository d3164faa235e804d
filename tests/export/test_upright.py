"""Upright poses: from every frame of reference to one world, and to a constant rate."""

from dataclasses import replace

import numpy as np
import pytest

from repose.export.upright import at_constant_rate, presence, to_world, y_up
from repose.pose import Pose3D
from repose.sample import load_sample_truth
from repose.sequence import missing


def test_a_level_camera_s_person_stands_on_the_ground_above_the_origin(walker: Pose3D) -> None:
    (world,) = to_world([walker])
    assert world.coordinates == "world"
    assert "Up is not known: the camera is taken to be level." in world.record["world"]
    # x stays, down becomes −z, away from the camera becomes y; lengths and handedness stay.
    steps, before = np.diff(world.joints_m, axis=1), np.diff(walker.joints_m, axis=1)
    np.testing.assert_allclose(steps, before[..., [0, 2, 1]] * [1, 1, -1], atol=1e-5)
    np.testing.assert_allclose(world.joints_m[0, 0, :2], 0, atol=1e-6)
    ankles = world.joints_m[:, walker.skeleton.indices("left_ankle", "right_ankle"), 2].min(axis=1)
    assert np.median(ankles) == pytest.approx(0.066, abs=0.01)  # 0.039 of 1.7 m
    np.testing.assert_allclose(back_to_camera(world), walker.joints_m, atol=1e-5)


def back_to_camera(world: Pose3D) -> np.ndarray:
    assert world.T_cam_world is not None
    return world.joints_m @ world.T_cam_world[:3, :3].T + world.T_cam_world[:3, 3]


def test_a_known_way_from_the_world_is_used() -> None:
    truth = load_sample_truth()
    (world,) = to_world([truth.pose()])
    assert "Up is the result's own." in world.record["world"]
    np.testing.assert_allclose(back_to_camera(world), truth.joints_m, atol=1e-5)
    ankles = world.joints_m[:, truth.skeleton.index("left_ankle"), 2]
    assert 0 < ankles.min() < 0.15
    (again,) = to_world([world])
    np.testing.assert_allclose(again.joints_m, world.joints_m, rtol=0, atol=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_a_root_without_a_place_stays_put(walker: Pose3D, known: bool) -> None:
    still = replace(
        walker,
        joints_m=walker.root_relative_m(),
        coordinates="camera-root-relative",
        T_cam_world=load_sample_truth().T_cam_world if known else None,
    )
    (world,) = to_world([still])
    assert np.ptp(world.joints_m[:, 0], axis=0).max() < 1e-6
    assert "The root stays" in world.record["world"]


def test_people_of_one_camera_move_together(walker: Pose3D) -> None:
    beside = replace(walker, joints_m=walker.joints_m + np.float32([1, 0, 0.5]), track_id=4)
    first, second = to_world([walker, beside])
    apart = second.joints_m - first.joints_m
    np.testing.assert_allclose(apart, np.broadcast_to([1, 0.5, 0], apart.shape), atol=1e-5)


def test_y_up_is_right_handed() -> None:
    x, y, z = y_up(np.eye(3))
    np.testing.assert_array_equal(y_up(np.array([1.0, 2, 3])), [1, 3, -2])
    np.testing.assert_array_equal(np.cross(x, y), z)


def test_a_constant_rate_is_left_alone(walker: Pose3D, halting: Pose3D) -> None:
    assert at_constant_rate(walker) is walker
    assert at_constant_rate(halting) is halting
    assert missing(walker.frames) == []
    assert missing(halting.frames) == [(80, 99)]


def test_people_come_and_go(walker: Pose3D, halting: Pose3D) -> None:
    assert presence(walker, 2.0, 4.97) == []
    assert presence(walker, 2.0, 4.9) == []
    assert presence(walker, 1.0, 9.0) == [(1.0, False), (2.0, True), (150 / 30, False)]
    away = presence(halting, 2.0, 149 / 30)
    assert [there for _, there in away] == [True, False, True]
    np.testing.assert_allclose([time_s for time_s, _ in away], [2.0, 80 / 30, 100 / 30])


def test_a_varying_rate_is_evened_out(halting: Pose3D) -> None:
    def motion(times_s: np.ndarray) -> np.ndarray:
        return np.sin(2 * times_s)[:, None, None] * np.ones((1, 17, 3))

    rng = np.random.default_rng(1)
    times_s = halting.frames / 30 + rng.uniform(-0.012, 0.012, len(halting))
    varying = replace(halting, times_s=times_s, joints_m=motion(times_s))
    even = at_constant_rate(varying)
    np.testing.assert_allclose(even.times_s, times_s[0] + (even.frames - 60) / 30)
    np.testing.assert_allclose(even.joints_m, motion(even.times_s), atol=0.01)
    ((first, last),) = missing(even.frames)
    assert (abs(first - 80) <= 1, abs(last - 99) <= 1) == (True, True)
    assert even.deviation_m is not None
    assert set(even.frames) <= set(range(60, 151))
