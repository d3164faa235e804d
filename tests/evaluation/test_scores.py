"""Sums against the plain metrics, and intervals against what is known of them."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from repose import metrics
from repose.evaluation.occlusion_benchmark import pool_clips
from repose.evaluation.scores import BENCHMARKED, Bootstrap, FramePairs, Poses, Sums, mean, measure, of_group
from repose.export.angles import joint_angles
from repose.pose import Pose3D
from repose.skeleton import H36M_17

FPS = 30.0
EVERY = 5


def poses(seed: int, frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(0, 300, (frames, 17, 3))
    truth -= truth[:, :1]
    predicted = truth + rng.normal(0, 50, truth.shape) + [0, 0, 20]
    predicted -= predicted[:, :1]
    hidden = rng.random((frames, 17)) < 0.2
    hidden[:20] = False
    return predicted, truth, hidden


def score(
    predicted: np.ndarray, truth: np.ndarray, hidden: np.ndarray, deviation_mm: np.ndarray | None = None
) -> dict[str, Sums]:
    pairs = FramePairs(EVERY, 1000)
    return measure(
        Poses(predicted, truth, hidden, FPS, H36M_17, deviation_mm=deviation_mm, pairs=pairs), BENCHMARKED
    )


def total(sums: Sums, which: str) -> list[float]:
    """Sum and count of a group."""
    return of_group(sums, which).sum(axis=-1).tolist()


def test_all_joints_have_the_plain_metrics() -> None:
    predicted, truth, hidden = poses(0)
    sums = score(predicted, truth, hidden)
    for name, value in {
        "mpjpe_mm": metrics.mpjpe(predicted, truth),
        "p_mpjpe_mm": metrics.p_mpjpe(predicted, truth),
        "velocity_error_mm_per_s": metrics.velocity_error(predicted, truth, FPS),
        "acceleration_error_mm_per_s2": metrics.acceleration_error(predicted, truth, FPS),
    }.items():
        assert mean(sums[name], "all") == pytest.approx(value.mean())


def test_hidden_joints_and_their_neighbours_are_scored_apart() -> None:
    predicted, truth, hidden = poses(1)
    error = metrics.per_joint_error(predicted, truth)
    sums = score(predicted, truth, hidden)["mpjpe_mm"]
    touched = hidden.any(axis=1)
    assert mean(sums, "hidden") == pytest.approx(error[hidden].mean())
    assert mean(sums, "visible") == pytest.approx(error[touched][~hidden[touched]].mean())
    counts = [total(sums, which)[1] for which in ("all", "hidden", "visible")]
    assert counts == [60 * 17, hidden.sum(), (~hidden[touched]).sum()]


def test_motion_is_hidden_where_one_of_its_frames_is() -> None:
    predicted, truth, _ = poses(2, frames=9)
    hidden = np.zeros((9, 17), bool)
    hidden[4, 3] = True
    sums = score(predicted, truth, hidden)
    error = FPS * np.linalg.norm(np.diff(predicted - truth, axis=0), axis=-1)
    velocity = total(sums["velocity_error_mm_per_s"], "hidden")
    assert velocity == [pytest.approx(error[3:5, 3].sum()), 2]
    assert total(sums["acceleration_error_mm_per_s2"], "hidden")[1] == 3


def test_depth_order_is_that_of_the_metrics() -> None:
    predicted, truth, hidden = poses(3)
    sums = score(predicted, truth, hidden)
    gaps = (0.0, 50.0, 100.0, 200.0, 400.0)
    for name, axis, step in (
        ("depth_order_joints_percent", "joints", 1),
        ("depth_order_frames_percent", "frames", EVERY),
    ):
        correct, counted = (
            x.sum(axis=1) for x in metrics.depth_order_counts(predicted[::step], truth[::step], axis, gaps)
        )
        within = [np.append(-np.diff(x), x[-1]) for x in (correct, counted)]
        every, hidden_pairs, visible = (of_group(sums[name], g) for g in ("all", "hidden", "visible"))
        np.testing.assert_allclose(every, [100.0 * within[0], within[1]])
        # Hidden pairs and visible ones are among all; pairs of untouched frames are neither.
        assert (hidden_pairs + visible <= every + 1e-9).all()
        assert hidden_pairs.sum() > 0 < visible.sum()
    visible = np.where(hidden, np.nan, truth[..., 2])
    masked = np.concatenate([truth[..., :2], visible[..., None]], axis=-1)[20:]
    correct, counted = metrics.depth_order_counts(predicted[20:], masked, "joints", (0.0,))
    expected = 100 * correct[0][hidden[20:].any(axis=1)].sum()
    assert total(sums["depth_order_joints_percent"], "visible")[0] == pytest.approx(expected)


def test_deviations_are_counted_without_the_pelvis() -> None:
    predicted, truth, hidden = poses(4)
    error = metrics.per_joint_error(predicted, truth)
    sums = score(predicted, truth, hidden, deviation_mm=np.full(error.shape, 60.0))
    within = sums["within_1_deviations_percent"]
    assert mean(within, "all") == pytest.approx(100 * (error[:, 1:] < 60).mean())
    assert mean(within, "hidden") == pytest.approx(100 * (error < 60)[:, 1:][hidden[:, 1:]].mean())
    assert mean(sums["within_2_deviations_percent"], "all") > mean(within, "all")


def test_angles_have_an_error_and_a_bias() -> None:
    truth = np.tile(300 * np.random.default_rng(7).normal(size=(17, 3)), (40, 1, 1))
    hip, knee, ankle = H36M_17.indices("right_hip", "right_knee", "right_ankle")
    predicted = truth.copy()
    axis = np.cross(truth[0, knee] - truth[0, hip], truth[0, ankle] - truth[0, knee])
    for frame, degrees in enumerate(np.where(np.arange(40) < 30, 10.0, -10.0)):
        turn = Rotation.from_rotvec(degrees * axis / np.linalg.norm(axis), degrees=True)
        predicted[frame, ankle] = truth[0, knee] + turn.apply(truth[0, ankle] - truth[0, knee])
    hidden = np.zeros((40, 17), bool)
    hidden[:10, ankle] = True
    hidden[:20, H36M_17.index("left_wrist")] = True
    sums = score(predicted, truth, hidden)
    # The left knee is right: half the error is the right one's.
    assert mean(sums["knee_flexion_error_deg"]) == pytest.approx(10 / 2)
    assert mean(sums["knee_flexion_bias_deg"]) == pytest.approx((30 * 10 - 10 * 10) / 40 / 2)
    assert mean(sums["knee_flexion_error_deg"], "hidden") == pytest.approx(10)
    assert total(sums["knee_flexion_error_deg"], "visible")[1] == 10  # left knees of those frames
    assert total(sums["elbow_flexion_error_deg"], "hidden")[1] == 20
    for name in ("hip_flexion", "elbow_flexion", "shoulder_elevation"):
        assert mean(sums[f"{name}_error_deg"]) == pytest.approx(0, abs=1e-6)
    assert "trunk_flexion_error_deg" not in sums  # what is up was not said


def test_the_trunk_leans_against_what_is_up() -> None:
    predicted, truth, hidden = poses(8)
    T_cam_world = np.eye(4)
    T_cam_world[:3, 2] = up = np.array([0.0, -0.8, 0.6])
    found, wanted = (
        joint_angles(Pose3D(x, ~hidden, np.arange(60), FPS, H36M_17, T_cam_world=T_cam_world))[
            "trunk_flexion"
        ]
        for x in (predicted, truth)
    )
    error = metrics.angle_error(found, wanted)
    sums = measure(Poses(predicted, truth, hidden, FPS, H36M_17, up=up))
    assert mean(sums["trunk_flexion_bias_deg"]) == pytest.approx(error.mean(), rel=1e-4)
    assert mean(sums["trunk_flexion_error_deg"]) == pytest.approx(np.abs(error).mean(), rel=1e-4)


def test_clips_are_pooled_over_their_views() -> None:
    first, second = (score(*poses(seed)) for seed in (5, 6))
    pooled = pool_clips([[first, second], [], [second]])["mpjpe_mm"]
    np.testing.assert_allclose(pooled[0], first["mpjpe_mm"] + second["mpjpe_mm"])
    assert not pooled[1].any()
    np.testing.assert_allclose(pooled[2], second["mpjpe_mm"])
    assert pool_clips([[], []]) == {}


def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(200):
        values = rng.normal(100, 30, 60)
        estimate = Bootstrap(60, seed).mean(np.stack([values * 10, np.full(60, 10.0)], axis=1))
        assert estimate.mean == pytest.approx(values.mean())
        inside += estimate.low < 100 < estimate.high
    assert 0.90 < inside / 200 < 0.99


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(1)
    clips = rng.normal(100, 30, 80)  # clips differ much, models little
    count = np.ones(80)
    first, second = np.stack([clips, count], axis=1), np.stack([clips + rng.normal(2, 1, 80), count], axis=1)
    bootstrap = Bootstrap(80, 0)
    difference = bootstrap.difference(second, first)
    assert 1.5 < difference.low < difference.mean < difference.high < 2.5
    second[:40] = 0  # a clip that only one has is left out
    assert 1.3 < bootstrap.difference(second, first).mean < 2.7


def test_nothing_measured_is_no_number() -> None:
    estimate = Bootstrap(3, 0).mean(np.zeros((3, 2)))
    assert np.isnan([estimate.mean, estimate.low, estimate.high]).all()
