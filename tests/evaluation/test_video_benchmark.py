"""Scores on real clips: MediaPipe's published in the pack's own description, and layouts that are wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from repose.cli import main
from repose.errors import UserError
from repose.evaluation import benchmark_video
from repose.evaluation.video_benchmark import MEDIAPIPE, MEDIAPIPE_UNDONE
from repose.lifting import Lifter
from repose.models import ModelSpec, PoseModel

NAMES = [
    f"{side}_{joint}" for joint in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    for side in ("right", "left")
]  # fmt: skip
INDEX = [24, 23, 26, 25, 28, 27, 12, 11, 14, 13, 16, 15]  # of these joints in BlazePose


class Nothing(PoseModel):
    """All joints in one place."""

    def __init__(self) -> None:
        super().__init__()
        self.spec = ModelSpec("nothing", "", {}, "h36m-17", 30.0, 64, "rays", "m")

    def forward(self, keypoints):  # type: ignore[no-untyped-def]
        return keypoints + 1e-3 * keypoints.roll(1, dims=2)


def write_clip(folder: Path, swapped: slice = slice(0, 0)) -> None:
    """Somebody waves before camera `a`. MediaPipe is right but for a similarity, and for exchanged sides."""
    rng = np.random.default_rng(0)
    frames = 40
    joints = rng.normal(0, 0.4, (12, 3)) + 0.1 * np.sin(np.arange(frames) / 6)[:, None, None] * rng.normal(
        size=(12, 3)
    )
    R, t = np.eye(3)[[0, 2, 1]] * [[1], [-1], [1]], np.array([0.1, 0.2, 4.0])
    K = np.array([[900.0, 0, 500], [0, 900, 500], [0, 0, 1]])
    np.savez(
        folder / "gt_one.npz",
        joints_m=joints, joint_names=NAMES, fps=np.float32(30), valid=np.arange(frames) > 0,
        a_K=K, a_dist=np.zeros(4), a_R=R, a_t=t,
    )  # fmt: skip
    camera = joints @ R.T + t
    world, pixels = np.zeros((frames, 33, 3)), np.zeros((frames, 33, 2))
    world[:, INDEX] = 0.8 * camera - camera.mean(axis=1, keepdims=True)
    pixels[:, INDEX] = (camera[..., :2] / camera[..., 2:]) @ K[:2, :2].T + K[:2, 2]
    mirror = [INDEX[k ^ 1] for k in range(12)]
    for array in (world, pixels):
        array[swapped, INDEX] = array[swapped][:, mirror] if array[swapped].size else array[swapped][:, INDEX]
    np.savez(
        folder / "mediapipe_a.npz",
        xy_px=pixels, world_m=world, visibility=np.ones((frames, 33)),
        detected=np.ones(frames, bool), size=np.array([1000, 1000]), fps=30.0,
    )  # fmt: skip


def test_a_similarity_is_no_error(tmp_path: Path) -> None:
    write_clip(tmp_path)
    report = benchmark_video(tmp_path, [Lifter(Nothing(), name="nothing")], keypoints="stored")
    score = report["a", MEDIAPIPE]
    assert (score.frames, score.frames_missing) == (39, 0)
    assert score["p_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert score["clip_mpjpe_mm"] == pytest.approx(0, abs=1e-3)
    assert score["acceleration_error_m_per_s2"] == pytest.approx(0, abs=1e-3)
    assert np.isnan(score["hidden_p_mpjpe_mm"])
    assert [row.row for row in report.scores] == [MEDIAPIPE, "nothing", "nothing, fitted"]
    assert report["a", "nothing"]["p_mpjpe_mm"] > 50


def test_exchanged_sides_are_put_right_by_the_truth_in_a_row_of_their_own(tmp_path: Path) -> None:
    write_clip(tmp_path, swapped=slice(10, 20))
    report = benchmark_video(tmp_path, [Lifter(Nothing(), name="nothing")], keypoints="stored")
    assert report["a", MEDIAPIPE]["p_mpjpe_mm"] > 30
    assert report["a", MEDIAPIPE_UNDONE]["p_mpjpe_mm"] == pytest.approx(0, abs=1e-3)


def test_hidden_joints_of_a_video_are_scored_apart(tmp_path: Path) -> None:
    write_clip(tmp_path)
    found = dict(np.load(tmp_path / "mediapipe_a.npz"))
    hidden = np.zeros((40, 12), bool)
    hidden[10:20, 2:6] = True
    found["world_m"][10:20, INDEX[2]] += 0.3
    np.savez(tmp_path / "mediapipe_a_occluded.npz", **found)
    np.savez(tmp_path / "a_occlusion.npz", joint_occluded=hidden)
    report = benchmark_video(tmp_path, [Lifter(Nothing(), name="nothing")], keypoints="stored")
    score = report["a_occluded", MEDIAPIPE]
    assert score["hidden_p_mpjpe_mm"] > 1.5 * score["visible_p_mpjpe_mm"] > 10
    assert score["p_mpjpe_mm"] < score["hidden_p_mpjpe_mm"] / 4


def test_the_command_prints_rows_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_clip(tmp_path, swapped=slice(10, 20))
    main(["benchmark", "video", str(tmp_path), "--keypoints", "stored", "--json", str(tmp_path / "out.json")])
    out = capsys.readouterr().out
    assert MEDIAPIPE_UNDONE in out
    assert "default" in out
    content = json.loads((tmp_path / "out.json").read_text())
    assert [score["row"] for score in content["scores"]] == [
        MEDIAPIPE,
        MEDIAPIPE_UNDONE,
        "default",
        "default, fitted",
    ]
    assert content["scores"][0]["hidden_p_mpjpe_mm"] is None


def test_other_layouts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lifter = Lifter(Nothing(), name="nothing")
    with pytest.raises(UserError, match="nothing there"):
        benchmark_video(tmp_path / "no", [lifter])
    with pytest.raises(UserError, match="gt_"):
        benchmark_video(tmp_path, [lifter])
    np.savez(tmp_path / "gt_one.npz", joints_m=np.zeros((4, 12, 3)))
    with pytest.raises(UserError, match="joint_names"):
        benchmark_video(tmp_path, [lifter])
    write_clip(tmp_path)
    (tmp_path / "mediapipe_a.npz").write_bytes(b"PK no")
    with pytest.raises(SystemExit):
        main(["benchmark", "video", str(tmp_path), "--keypoints", "stored"])
    assert "mediapipe_a.npz" in capsys.readouterr().err
    (tmp_path / "mediapipe_a.npz").unlink()
    with pytest.raises(UserError, match="videos of a"):
        benchmark_video(tmp_path, [lifter])


def test_mediapipe_has_the_errors_that_the_pack_says(shared: Path) -> None:
    report = benchmark_video(
        shared / "video" / "pose2sim_single", [Lifter(Nothing(), name="nothing")], keypoints="stored"
    )
    said = {
        ("cam01", MEDIAPIPE): (79.8, 100.3, 61.8, None, None),
        ("cam02", MEDIAPIPE): (128.5, 257.3, 274.7, None, None),
        ("cam02", MEDIAPIPE_UNDONE): (87.1, 107.4, 231.0, None, None),
        ("cam01_occluded", MEDIAPIPE): (101.7, 129.0, 101.8, 246.7, 99.4),
        ("cam02_occluded", MEDIAPIPE): (148.5, 347.1, 269.9, 298.4, 213.9),
        ("cam02_occluded", MEDIAPIPE_UNDONE): (131.8, 190.2, 211.8, 245.7, 200.2),
    }
    for key, (p_mpjpe, clip, acceleration, hidden, visible) in said.items():
        score = report[key]
        assert score.frames == 99
        assert score["p_mpjpe_mm"] == pytest.approx(p_mpjpe, abs=0.06)
        assert score["clip_mpjpe_mm"] == pytest.approx(clip, abs=0.06)
        assert score["acceleration_error_m_per_s2"] == pytest.approx(acceleration, abs=0.06)
        if hidden:
            assert score["hidden_p_mpjpe_mm"] == pytest.approx(hidden, abs=0.06)
            assert score["visible_p_mpjpe_mm"] == pytest.approx(visible, abs=0.06)
