"""The published protocols give the published programs' numbers."""

import json

import numpy as np
import pytest

from repose.evaluation import evaluate, open_model
from repose.skeleton import H36M_17

ROUNDING_MM = 0.2
"""What errors of half a metre differ by where processors round MotionAGFormer's temporal graph otherwise."""


@pytest.fixture(scope="module")
def expected_h36m(parity):
    return json.loads((parity / "h36m" / "expected.json").read_text())


@pytest.fixture(scope="module")
def agformer(human36m, published):
    return evaluate(human36m, open_model(published("motionagformer-xs"), human36m, device="cpu"))


def test_repose_on_human36m(human36m, published, expected_h36m):
    report = evaluate(human36m, open_model(published("repose"), human36m, device="cpu"), frame_pairs=False)
    wanted = expected_h36m["repose_243"]
    assert report.protocol == "published"
    for name in ("mpjpe_mm", "p_mpjpe_mm"):
        score = report.scores.metrics[name]
        assert score.per_action == pytest.approx(wanted[name], abs=1e-3)
        assert score.mean == pytest.approx(wanted[f"{name}_mean"], abs=1e-3)


def test_motionagformer_on_human36m(agformer, expected_h36m):
    wanted = expected_h36m["motionagformer_xs_27"]
    metrics = agformer.scores.metrics
    assert metrics["mpjpe_mm"].per_action == pytest.approx(wanted["mpjpe_mm"], abs=ROUNDING_MM)
    assert list(metrics["mpjpe_mm"].per_joint) == list(H36M_17.joints)
    assert [*metrics["mpjpe_mm"].per_joint.values()] == pytest.approx(wanted["per_joint_mm"], abs=ROUNDING_MM)
    assert agformer["mpjpe_mm"] == pytest.approx(wanted["mpjpe_mm_mean"], abs=ROUNDING_MM)
    assert agformer["p_mpjpe_mm"] == pytest.approx(wanted["p_mpjpe_mm_mean"], abs=ROUNDING_MM)
    as_published = agformer["acceleration_error_as_published_mm_per_frame2"]
    assert as_published == pytest.approx(wanted["acceleration_mm_per_frame2_mean"], abs=ROUNDING_MM)
    # The two ends of a window have no acceleration, but the published mean counts them.
    assert agformer["acceleration_error_mm_per_frame2"] == pytest.approx(as_published * 27 / 25)
    assert agformer["acceleration_error_mm_per_s2"] == pytest.approx(as_published * 27 / 25 * 50**2)


def test_motionagformer_on_mpi_inf_3dhp(mpi_inf_3dhp, published, parity):
    report = evaluate(mpi_inf_3dhp, open_model(published("motionagformer-xs"), mpi_inf_3dhp, device="cpu"))
    wanted = json.loads((parity / "mpi_inf_3dhp" / "expected.json").read_text())
    predicted = np.load(parity / "mpi_inf_3dhp" / "expected.npz")
    score = report.scores.metrics["mpjpe_mm"]
    assert score.mean == pytest.approx(wanted["mpjpe_mm"], abs=ROUNDING_MM)
    assert report.scores.frames == sum(wanted[name]["frames"] for name in ("TS1", "TS3", "TS5", "TS6"))
    rows = report.predictions.rows
    for sequence in mpi_inf_3dhp.split("test").sequences:
        # Rounding flips neighbours in the temporal graph, for the published program too (float64 moves half
        # of its joints by 0.07 mm, one in fifty by 4 mm); the mean over all frames hardly moves.
        assert score.per_action[sequence.name] == pytest.approx(wanted[sequence.name]["mpjpe_mm"], abs=0.5)
        here = (rows >= sequence.start) & (rows < sequence.stop)
        difference = (
            report.predictions.predicted_mm[here] - predicted[f"{sequence.name}/pred_root_relative_mm"]
        )
        assert np.median(np.abs(difference)) < 0.3
        assert np.quantile(np.abs(difference), 0.98) < 10
    assert len(report.scores.metrics["pck_150mm_percent"].per_joint) == 14


def test_the_report_says_what_was_done(agformer, human36m):
    text = agformer.summary()
    assert "windows of 27 frames without overlap" in text
    assert "left out, as published: s_09_act_05_subact_02" in text
    assert "set to zero" in text
    scored = [s for s in human36m.split("test").sequences if not s.name.startswith("s_09_act_05")]
    assert f"no window is left out: {sum(len(s) % 27 for s in scored)} frames" in text
    assert agformer.scores.frames == sum(len(s) // 27 * 27 for s in scored)
