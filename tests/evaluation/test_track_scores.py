"""The demo's score: exact for a known error, and apart for visible and hidden joints."""

import numpy as np
import pytest

from repose.errors import UserError
from repose.evaluation import TrackScore, score_track
from repose.pose import Pose3D
from repose.sample import load_sample_truth

TRUTH = load_sample_truth()


def score_against(pose: Pose3D) -> list[TrackScore]:
    return score_track(pose, TRUTH.joints_m, TRUTH.hidden)


def track(joints_m: np.ndarray, frames: np.ndarray) -> Pose3D:
    seen = np.ones(joints_m.shape[:2], dtype=bool)
    return Pose3D(joints_m.astype(np.float32), seen, frames, TRUTH.fps, TRUTH.skeleton)


def test_the_truth_has_no_error_and_shares_add_up() -> None:
    frames = np.arange(len(TRUTH.joints_m))
    every, visible, hidden = score_against(track(TRUTH.joints_m, frames))
    assert [row.joints for row in (every, visible, hidden)] == ["all", "visible", "hidden"]
    assert every.share == 1
    assert visible.share + hidden.share == pytest.approx(1)
    assert hidden.share == pytest.approx(TRUTH.hidden.mean())
    for row in (every, visible, hidden):
        assert row.mpjpe_mm < 1e-3
        assert row.p_mpjpe_mm < 1e-2


def test_known_errors_come_out_as_they_are() -> None:
    frames = np.arange(0, len(TRUTH.joints_m), 3)
    true_m = TRUTH.joints_m[frames]
    off = true_m + np.where(TRUTH.hidden[frames], 0.1, 0.0)[..., None] * np.array([0, 0, 1.0])
    kept = ~TRUTH.hidden[frames][:, 0]  # the pelvis is the origin of both
    every, visible, hidden = score_against(track(off[kept], frames[kept]))
    assert visible.mpjpe_mm == pytest.approx(0, abs=1e-3)
    assert hidden.mpjpe_mm == pytest.approx(100, abs=1e-2)
    assert every.mpjpe_mm == pytest.approx(100 * hidden.share, rel=1e-4)
    assert 0 < hidden.p_mpjpe_mm < 100


def test_size_and_place_count_for_one_error_and_not_for_the_other() -> None:
    frames = np.arange(20)
    twice = track(2 * TRUTH.joints_m[frames] + 3, frames)
    every = score_against(twice)[0]
    assert every.p_mpjpe_mm < 1e-2
    true_m = TRUTH.joints_m[frames] - TRUTH.joints_m[frames][:, :1]
    assert every.mpjpe_mm == pytest.approx(1000 * np.linalg.norm(true_m, axis=-1).mean(), rel=1e-4)


def test_a_part_without_hidden_joints_has_no_row_for_them() -> None:
    frames = np.flatnonzero(~TRUTH.hidden.any(axis=1))[:5]
    rows = score_against(track(TRUTH.joints_m[frames], frames))
    assert [row.joints for row in rows] == ["all", "visible"]


def test_frames_that_the_sample_has_not_are_refused() -> None:
    frames = np.arange(5) + len(TRUTH.joints_m) - 3
    with pytest.raises(
        UserError, match=f"frames: expected 0 to {len(TRUTH.joints_m) - 1}, found {frames[-1]}"
    ):
        score_against(track(TRUTH.joints_m[:5], frames))
