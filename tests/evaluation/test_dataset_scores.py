"""Sums over blocks, actions, joints and confidence, against plain loops and against repose.metrics."""

from dataclasses import replace

import numpy as np
import pytest

from repose import metrics
from repose.errors import UserError
from repose.evaluation import Clip, Predictions, score
from repose.pose import SEEN_CONFIDENCE
from repose.skeleton import H36M_17, SKELETONS

CLIPS = (Clip("Walking", 50.0, 0, 30), Clip("Sitting", 25.0, 30, 41), Clip("Walking", 25.0, 45, 60))
"""Frames 41 to 44 were predicted and do not count."""


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    random = np.random.default_rng(3)
    truth = 300 * random.normal(size=(17, 3)) + np.cumsum(9 * random.normal(size=(60, 17, 3)), axis=0)
    truth -= truth[:, :1]
    predicted = truth + 60 * random.normal(size=truth.shape) * np.linspace(0.2, 2, 60)[:, None, None]
    confidence = random.uniform(size=(60, 17))
    confidence[:, 4] = 0.0  # left hip: never seen
    return Predictions(predicted, truth, confidence, np.arange(60), CLIPS, H36M_17)


def frames_of(action: str | None = None) -> np.ndarray:
    return np.concatenate([np.arange(c.start, c.stop) for c in CLIPS if action in (None, c.action)])


@pytest.mark.parametrize(
    ("name", "metric"),
    [("mpjpe_mm", metrics.mpjpe), ("p_mpjpe_mm", metrics.p_mpjpe), ("n_mpjpe_mm", metrics.n_mpjpe)],
)
def test_actions_then_their_mean_or_all_frames(predictions, name, metric):
    values = metric(predictions.predicted_mm, predictions.truth_mm)
    actions = {action: values[frames_of(action)].mean() for action in ("Sitting", "Walking")}
    by_action = score(predictions).metrics[name]
    assert by_action.per_action == pytest.approx(actions)
    assert by_action.mean == pytest.approx(np.mean([*actions.values()]))
    assert score(predictions, "frames").metrics[name].mean == pytest.approx(values[frames_of()].mean())


def test_seen_and_hidden_joints_against_loops(predictions):
    scores = score(predictions, "frames")
    error = metrics.per_joint_error(predictions.predicted_mm, predictions.truth_mm)
    seen, hidden = [], []
    for frame in frames_of():
        for joint in range(17):
            where = seen if predictions.confidence[frame, joint] >= SEEN_CONFIDENCE else hidden
            where.append(error[frame, joint])
    assert scores.metrics["mpjpe_mm"].seen == pytest.approx(np.mean(seen))
    assert scores.metrics["mpjpe_mm"].hidden == pytest.approx(np.mean(hidden))
    assert scores.seen_share == pytest.approx(len(seen) / (len(seen) + len(hidden)))
    knee = H36M_17.index("left_knee")
    per_joint = scores.metrics["mpjpe_mm"].per_joint
    assert per_joint["left_knee"] == pytest.approx(error[frames_of(), knee].mean())


def test_error_by_confidence_adds_up(predictions):
    scores = score(predictions, "frames")
    joints = sum(row["joints"] for row in scores.by_confidence)
    total = sum(row["joints"] * row["mpjpe_mm"] for row in scores.by_confidence)
    assert joints == scores.frames * 17 == 56 * 17
    assert total / joints == pytest.approx(scores.metrics["mpjpe_mm"].mean)


def test_motion_stays_within_clips_and_has_true_units(predictions):
    found = score(predictions, "frames").metrics
    for order, stem, per_s in ((1, "velocity", "per_s"), (2, "acceleration", "per_s2")):
        error = getattr(metrics, f"{stem}_error_per_frame")
        parts = [
            (
                clip.fps,
                error(
                    predictions.predicted_mm[clip.start : clip.stop],
                    predictions.truth_mm[clip.start : clip.stop],
                ),
            )
            for clip in CLIPS
        ]
        plain = np.concatenate([values for _, values in parts])
        timed = np.concatenate([values * fps**order for fps, values in parts])
        assert found[f"{stem}_error_mm_{per_s.replace('_s', '_frame')}"].mean == pytest.approx(plain.mean())
        assert found[f"{stem}_error_mm_{per_s}"].mean == pytest.approx(timed.mean())


def test_motion_of_a_joint_counts_as_seen_if_all_its_frames_are(predictions):
    confidence = np.zeros((60, 17))
    confidence[:, 3] = np.arange(60) % 3 != 0  # right ankle: two frames of three
    found = score(replace(predictions, confidence=confidence), "frames").metrics
    both = np.concatenate([np.arange(c.start, c.stop - 1) for c in CLIPS])
    both = both[(both % 3 != 0) & ((both + 1) % 3 != 0)]
    moved = np.diff(predictions.predicted_mm - predictions.truth_mm, axis=0)[both, 3]
    assert found["velocity_error_mm_per_frame"].seen == pytest.approx(np.linalg.norm(moved, axis=-1).mean())
    assert np.isnan(found["acceleration_error_mm_per_frame2"].seen)


def test_pck_and_auc_of_fourteen_joints(predictions):
    found = score(predictions, "frames").metrics
    kept = H36M_17.indices(*(j for j in H36M_17.joints if j not in ("pelvis", "spine", "nose")))
    predicted, truth = (x[frames_of()][:, kept] for x in (predictions.predicted_mm, predictions.truth_mm))
    assert len(found["pck_150mm_percent"].per_joint) == 14
    assert found["pck_150mm_percent"].mean == pytest.approx(100 * metrics.pck(predicted, truth, 150).mean())
    assert found["auc_150mm_percent"].mean == pytest.approx(100 * metrics.auc(predicted, truth, 150).mean())


def test_the_fourteen_joints_of_mpi_inf_3dhp(predictions):
    found = score(replace(predictions, skeleton=SKELETONS["mpi-17"])).metrics["pck_150mm_percent"]
    assert set(SKELETONS["mpi-17"].joints) - set(found.per_joint) == {"pelvis", "spine", "head"}


def test_bones_and_symmetry(predictions):
    found = score(predictions, "frames").metrics
    predicted, truth = (x[frames_of()] for x in (predictions.predicted_mm, predictions.truth_mm))
    bones = metrics.bone_length_error(predicted, truth)
    assert found["bone_length_error_mm"].mean == pytest.approx(bones.mean())
    assert found["symmetry_error_mm"].mean == pytest.approx(metrics.symmetry_error(predicted).mean())
    everything_but_left_hip = replace(
        predictions, confidence=np.where(np.arange(17) == 4, 0.0, np.ones((60, 17)))
    )
    uneven = score(everything_but_left_hip, "frames").metrics["symmetry_error_mm"]
    # The pelvis to the hips, and the thighs: no pair of them has all four ends in sight.
    assert uneven.seen != uneven.mean != uneven.hidden


def test_depth_order_by_true_difference(predictions):
    found = score(predictions, "frames").metrics
    for axis in ("joints", "frames"):
        gaps = (0.0, 50.0, 100.0, 200.0, 400.0)
        pieces = [
            metrics.depth_order_counts(
                predictions.predicted_mm[c.start : c.stop], predictions.truth_mm[c.start : c.stop], axis, gaps
            )
            for c in CLIPS
        ]
        correct, counted = (sum(p[i].reshape(5, -1).sum(axis=1) for p in pieces) for i in (0, 1))
        entry = found[f"depth_order_{axis}_percent"]
        assert entry.mean == pytest.approx(100 * correct[0] / counted[0])
        ranges = entry.by_depth_difference_mm
        assert list(ranges) == ["0-50", "50-100", "100-200", "200-400", "over 400"]
        assert ranges["50-100"] == pytest.approx(100 * (correct[1] - correct[2]) / (counted[1] - counted[2]))


def test_a_perfect_prediction(predictions):
    perfect = replace(predictions, predicted_mm=predictions.truth_mm)
    for name, entry in score(perfect).metrics.items():
        if name.endswith("_percent"):
            assert entry.mean == pytest.approx(100 * 30 / 31 if name.startswith("auc") else 100)
        elif name != "symmetry_error_mm":
            assert entry.mean == pytest.approx(0, abs=1e-9)


def test_neither_threads_nor_other_frames_change_anything(predictions):
    found = score(predictions, threads=1)
    spoilt = predictions.predicted_mm.copy()
    spoilt[41:45] = np.nan
    for other in (score(predictions, threads=3), score(replace(predictions, predicted_mm=spoilt))):
        assert {k: v.mean for k, v in other.metrics.items()} == {k: v.mean for k, v in found.metrics.items()}


def test_nan_in_a_prediction_is_not_hidden(predictions):
    spoilt = predictions.predicted_mm.copy()
    spoilt[3, 8, 1] = np.nan
    assert np.isnan(score(replace(predictions, predicted_mm=spoilt)).metrics["mpjpe_mm"].mean)


def test_nothing_to_score(predictions):
    with pytest.raises(UserError, match="no frame is left to score"):
        score(replace(predictions, clips=()))


def matlab_pck_auc(errors_mm: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, float, float]:
    """PCK and AUC by sequence, and over all frames, by the arithmetic of MPI-INF-3DHP's own evaluation.

    mpii_compute_3d_pck.m, as mpii_evaluate_errors.m calls it: joints in eight groups (those of
    mpii_get_pck_auc_joint_groups.m, which lack pelvis, spine and head); within a group the share of joints of
    all frames that are less than a threshold away; groups weighted by their joints; AUC as the mean of 31
    thresholds from 0 to 150 mm.
    """
    groups = [[0], [1], [2, 5], [3, 6], [4, 7], [8, 11], [9, 12], [10, 13]]
    everything = [*errors_mm, np.concatenate(errors_mm)]
    pck, auc = np.zeros(len(everything)), np.zeros(len(everything))
    for i, error in enumerate(everything):
        frames, joints, curve = len(error), 0, np.zeros(31)
        for group in groups:
            joints += len(group)
            share = (error[:, group] < 150).sum() / (len(group) * frames)
            pck[i] += 100 * share * len(group)
            for t in range(31):
                curve[t] += (error[:, group] < 5 * t).sum() / (len(group) * frames) * len(group)
        pck[i] /= joints
        auc[i] = 100 * (curve / joints).sum() / 31
    return pck[:-1], auc[:-1], pck[-1], auc[-1]


def test_pck_and_auc_are_those_of_the_data_set_s_own_program():
    random = np.random.default_rng(8)
    truth = 300 * random.normal(size=(90, 17, 3))
    predicted = truth + random.gamma(1.2, 55, size=(90, 17, 1)) * random.normal(size=(90, 17, 3)) / 2
    predicted[:5] = truth[:5]  # none is less than 0 away
    clips = (Clip("TS1", 25.0, 0, 40), Clip("TS5", 25.0, 40, 58), Clip("TS6", 25.0, 58, 90))
    mpi = SKELETONS["mpi-17"]
    scores = score(Predictions(predicted, truth, np.ones((90, 17)), np.arange(90), clips, mpi), "frames")
    error = metrics.per_joint_error(predicted, truth)
    pck, auc, all_pck, all_auc = matlab_pck_auc([error[clip.start : clip.stop] for clip in clips])
    assert 20 < all_auc < all_pck < 99
    for name, by_sequence, over_all in (
        ("pck_150mm_percent", pck, all_pck),
        ("auc_150mm_percent", auc, all_auc),
    ):
        found = scores.metrics[name]
        assert found.mean == pytest.approx(over_all, abs=1e-9)
        assert [found.per_action[clip.action] for clip in clips] == pytest.approx(by_sequence, abs=1e-9)
