"""Keypoints at wrong places are doubted, right ones are not."""

import numpy as np
import pytest

from repose.fitting.bones import measure_bones
from repose.fitting.trust import jitter, keypoint_trust
from repose.pose import Pose3D
from repose.skeleton import H36M_17

HEIGHT_M = 1.7
KNEE, WRIST = H36M_17.indices("left_knee", "right_wrist")


def trust_of(pose: Pose3D, off: np.ndarray, confidence: float = 1.0) -> np.ndarray:
    """Trust in the pose's own projections, moved by shares of the height; the joints are the network's."""
    joints = pose.joints_m.astype(np.float64)
    height = HEIGHT_M / joints[:, 0, 2]
    rays = joints[..., :2] / joints[..., 2:] + height[:, None, None] * off
    seen = np.ones(off.shape[:2], dtype=bool)
    lengths = measure_bones(joints, seen, pose.skeleton)
    sure = np.full(seen.shape, confidence)
    return keypoint_trust(rays, joints, lengths, height, seen, sure, pose.times_s, pose.skeleton)


@pytest.fixture
def off(true_pose: Pose3D) -> np.ndarray:
    """Return what a network is usually off a good detector: a per cent of the height."""
    rng = np.random.default_rng(4)
    knots = 0.01 * rng.normal(size=(len(true_pose) // 10 + 2, 17, 2))
    at = np.arange(len(true_pose)) / 10
    low = at.astype(int)
    drift = knots[low] + (at - low)[:, None, None] * (knots[low + 1] - knots[low])
    return np.asarray(drift)


def test_what_agrees_with_the_network_is_believed(true_pose: Pose3D, off: np.ndarray) -> None:
    assert np.quantile(trust_of(true_pose, off), 0.05) > 0.95


def test_a_wrong_place_is_doubted_for_as_long_as_it_lasts(true_pose: Pose3D, off: np.ndarray) -> None:
    off[100:140, KNEE] += [0.10, -0.06]
    trust = trust_of(true_pose, off)
    assert trust[105:135, KNEE].max() < 0.05
    assert np.delete(trust[:80], KNEE, axis=1).mean() > 0.95
    assert trust[180:, KNEE].mean() > 0.9


def test_an_unsure_detector_is_doubted_sooner(true_pose: Pose3D, off: np.ndarray) -> None:
    off[100:140, WRIST] += [0.03, 0.0]
    sure, unsure = (trust_of(true_pose, off, confidence)[105:135, WRIST].mean() for confidence in (1.0, 0.4))
    assert unsure < 0.5 * sure


def test_the_network_is_doubted_where_the_whole_body_is_off(true_pose: Pose3D, off: np.ndarray) -> None:
    alone, together = off.copy(), off.copy()
    alone[:, WRIST] += 0.04
    together += 0.04
    assert trust_of(true_pose, alone)[:, WRIST].mean() < trust_of(true_pose, together)[:, WRIST].mean() - 0.1


def test_jitter_is_the_deviation_of_the_noise() -> None:
    rng = np.random.default_rng(5)
    times = np.arange(500)[:, None, None]
    points = np.concatenate([np.sin(times / 40), 0.01 * times], axis=-1) + 0.003 * rng.normal(
        size=(500, 2, 2)
    )
    found = jitter(points, np.ones((500, 2), dtype=bool))
    np.testing.assert_allclose(found, 0.003, rtol=0.2)
    np.testing.assert_array_equal(jitter(points[:2], np.ones((2, 2), dtype=bool)), 0)


def test_an_ankle_is_doubted_with_its_knee(true_pose: Pose3D, off: np.ndarray) -> None:
    """What hides a knee mostly hides its ankle."""
    ankle = H36M_17.index("left_ankle")
    alone = trust_of(true_pose, off)[105:135, ankle].mean()
    off[100:140, KNEE] += [0.10, -0.06]
    trust = trust_of(true_pose, off)[105:135]
    assert trust[:, ankle].mean() < 0.3 < 0.9 < alone
    assert trust[:, H36M_17.index("right_ankle")].mean() > 0.9
