"""The benchmark from motion to report: what it counts, and what its user meets."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from repose.cli import main
from repose.errors import UserError
from repose.evaluation import OcclusionBenchmark, OcclusionReport, draw_figure, draw_worst
from repose.evaluation.figures import worst_views
from repose.evaluation.occlusion_benchmark import flat_mm, interpolate_mm
from repose.evaluation.occlusion_report import FLAT
from repose.evaluation.scores import ANGLES
from repose.evaluation.views import View
from repose.lifting import Lifter
from repose.metrics import p_mpjpe
from repose.models import ModelSpec, PoseModel
from repose.pipeline import estimate
from repose.pose import Pose2D, Pose3D

SPEC = ModelSpec(
    name="little", architecture="", config={}, skeleton="h36m-17", frame_rate_hz=30.0, window_frames=64,
    normalisation="rays", output="m",
)  # fmt: skip
CONDITIONS = ("clean", "noise 2 %", "legs lost", "legs lost 40 frames", "own body")


class Depths(PoseModel):
    """Rays 4 m away, and at depths that are `slope` times the height in the picture."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.spec, self.slope = SPEC, slope

    def forward(self, keypoints: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, "batch frames 17 3"]:
        rays = keypoints[..., :2]
        return 4 * torch.cat([rays, self.slope * rays[..., 1:]], dim=-1)


@pytest.fixture(scope="module")
def benchmark(motion: Path) -> OcclusionBenchmark:
    lifters = [
        Lifter(Depths(slope), name=name, flip=False) for name, slope in (("flat too", 0.0), ("slanted", 0.5))
    ]
    return OcclusionBenchmark([motion], lifters, conditions=CONDITIONS)


@pytest.fixture(scope="module")
def report(benchmark: OcclusionBenchmark) -> OcclusionReport:
    return benchmark.run()


def test_every_clip_and_view_is_counted(report: OcclusionReport) -> None:
    assert (report.clips, report.frames, report.views) == (4, 480, 2)
    assert report["clean"].frames == 2 * 480
    assert report["noise 2 %"].frames == 480  # no headline: one view
    assert report["legs lost 40 frames"].clips == 3  # one clip is too short
    assert report["legs lost 40 frames"].frames == 2 * 450
    assert report["legs lost 40 frames"].hidden_share == pytest.approx(40 * 4 / (150 * 17))
    assert report["legs lost"].hidden_share == pytest.approx(4 / 17)


def test_the_flat_baseline_is_a_model_that_answers_flat(report: OcclusionReport) -> None:
    """Not the very same: the baseline turns the camera to the person first."""
    rows = report["clean"].rows
    assert set(rows) == {FLAT, "flat too", "flat too, fitted", "slanted", "slanted, fitted"}
    flat, model = rows[FLAT]["p_mpjpe_mm", "all"], rows["flat too"]["p_mpjpe_mm", "all"]
    assert 50 < flat.mean < 180
    assert flat.mean == pytest.approx(model.mean, rel=0.1)
    assert rows[FLAT]["depth_order_joints_percent", "all"].mean == 0


def test_a_baseline_interpolates_where_a_joint_is_seen_before_or_after(report: OcclusionReport) -> None:
    assert "flat too, interpolated" in report["legs lost 40 frames"].rows
    assert "flat too, interpolated" not in report["legs lost"].rows
    # Models that never saw the legs are the better for it here: they have them interpolated in 2D.
    assert np.isfinite(
        report["legs lost 40 frames"].rows["flat too, interpolated"]["p_mpjpe_mm", "hidden"].mean
    )


def test_differences_are_over_the_same_clips(report: OcclusionReport) -> None:
    rows = report["clean"].rows
    assert rows["flat too"].differences == {}
    difference = rows["slanted"].differences["p_mpjpe_mm"]["all"]
    means = [rows[name]["p_mpjpe_mm", "all"].mean for name in ("slanted", "flat too")]
    assert difference.mean == pytest.approx(means[0] - means[1])
    assert difference.low < difference.mean < difference.high


def test_the_same_seed_gives_the_same_report(benchmark: OcclusionBenchmark, report: OcclusionReport) -> None:
    assert benchmark.run().to_json() == report.to_json()


def test_the_report_says_how_its_numbers_came_about(report: OcclusionReport) -> None:
    content = json.loads(report.to_json())
    assert content["models"] == ["flat too", "flat too, fitted", "slanted", "slanted, fitted"]
    assert [c["name"] for c in content["conditions"]][:2] == ["clean", "noise 2 %"]
    legs = next(c for c in content["conditions"] if c["name"] == "legs lost 40 frames")
    assert legs["condition"]["hiding"] == {"parts": ["legs"], "run_frames": 40}
    row = legs["rows"]["flat too"]
    assert set(row["metrics"]) == {
        "mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_per_s", "acceleration_error_mm_per_s2",
        "depth_order_joints_percent", "depth_order_frames_percent",
        *(f"{angle}_{what}_deg" for angle in ANGLES for what in ("error", "bias")),
    }  # fmt: skip
    assert set(row["metrics"]["mpjpe_mm"]) == {"all", "hidden", "visible"}
    assert set(row["metrics"]["mpjpe_mm"]["hidden"]) == {"mean", "low", "high"}
    ranges = row["by_depth_difference_mm"]["depth_order_joints_percent"]["hidden"]
    assert list(ranges) == ["0-50", "50-100", "100-200", "200-400", "over 400"]
    clean = content["conditions"][0]["rows"]["flat too"]["metrics"]["mpjpe_mm"]
    assert clean["hidden"]["mean"] is None
    assert "2 virtual cameras" in " ".join(content["protocol_in_words"])


def test_the_table_has_a_row_for_each_condition_and_model(report: OcclusionReport) -> None:
    table = report.tables()[0]
    assert table.row_count == 4 * len(report.results)
    assert [str(column.header) for column in table.columns][-1] == "P-MPJPE minus\nflat too's"


def test_figure_and_pictures_are_drawn(
    benchmark: OcclusionBenchmark, report: OcclusionReport, tmp_path: Path
) -> None:
    draw_figure(report, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    chosen = worst_views(report)
    assert len(chosen) == 4  # each clip once
    errors = [clip_error.p_mpjpe_mm for clip_error in chosen]
    assert errors == sorted(errors, reverse=True)
    assert (
        max(clip_error.p_mpjpe_mm for result in report.results for clip_error in result.clip_errors)
        == errors[0]
    )
    names = draw_worst(benchmark, report, tmp_path / "worst")
    assert sorted(file.name for file in (tmp_path / "worst").iterdir()) == sorted(names)
    assert len(names) == 4
    with pytest.raises(UserError, match="already"):
        draw_worst(benchmark, report, tmp_path / "worst")


def test_whatever_makes_3d_of_2d_is_a_row(motion: Path) -> None:
    lifter = Lifter(Depths(0.5), name="slanted", flip=False)
    turn = np.eye(4)
    turn[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]  # from forward, left, up
    turn[:3, 3] = [0.5, 1.0, 4.0]

    def in_the_world(track: Pose2D, **scene: Any) -> Pose3D:
        (pose,) = estimate(track, lifter=lifter, fit=False, **scene)
        world = (pose.joints_m - turn[:3, 3]) @ turn[:3, :3]
        return replace(pose, joints_m=world, coordinates="world", T_cam_world=turn)

    report = OcclusionBenchmark(
        [motion], [lifter, ("elsewhere", in_the_world)], quick=True, conditions=["clean"]
    ).run()
    same, other = (report["clean"].rows[name].means() for name in ("slanted", "elsewhere"))
    assert other == pytest.approx(same, rel=1e-3, nan_ok=True)
    assert same["trunk_flexion_error_deg"] > 1
    assert "| clean | slanted |" in report.to_markdown()


def test_frames_that_a_model_leaves_out_are_an_error(motion: Path) -> None:
    lifter = Lifter(Depths(0.5), name="slanted", flip=False)

    def lazy(track: Pose2D, **scene: Any) -> Pose3D:
        (pose,) = estimate(track, lifter=lifter, fit=False, **scene)
        return replace(pose, frames=pose.frames + 1, times_s=pose.times_s)

    with pytest.raises(UserError, match="frames of a model's answer"):
        OcclusionBenchmark([motion], [("lazy", lazy)], quick=True, conditions=["clean"]).run()


def test_flat_poses_are_as_tall_as_the_person(views: list[list[View]]) -> None:
    from repose.evaluation.conditions import CONDITIONS as EVERY

    seen = EVERY[0].observe(views[0][0], 0)
    assert seen is not None
    flat = flat_mm(seen)
    assert (flat[..., 2] == 0).all()
    assert p_mpjpe(flat, views[0][0].truth_mm).mean() < 200
    assert 1500 < np.ptp(flat[..., 1], axis=1).max() < 3000


def test_gaps_are_interpolated_and_what_is_never_seen_stays() -> None:
    joints = np.zeros((5, 17, 3))
    joints[:, 3, 0] = [0, 9, 9, 9, 40]
    joints[:, 4, 0] = 7
    hidden = np.zeros((5, 17), bool)
    hidden[1:4, 3] = True
    hidden[:, 4] = True
    filled = interpolate_mm(joints, hidden)
    assert filled is not None
    assert filled[:, 3, 0].tolist() == [0, 10, 20, 30, 40]
    assert (filled[:, 4, 0] == 7).all()
    hidden[:, 3] = False
    assert interpolate_mm(joints, hidden) is None


def test_the_command_writes_what_it_is_asked_for(
    motion: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "default" not in __import__("repose").models.packaged_weights():
        pytest.skip("needs the packaged weights (src/repose/models/weights/default.safetensors)")
    arguments = [
        "benchmark", "occlusion", str(motion), "--quick", "--json", str(tmp_path / "b.json"),
        "--figure", str(tmp_path / "b.png"),
        "--conditions", "clean", "legs lost 40 frames",
    ]  # fmt: skip
    main(arguments)
    out = capsys.readouterr().out
    assert "legs lost 40 frames" in out
    assert "  unaware" in out
    assert "480 frames" in out
    content = json.loads((tmp_path / "b.json").read_text())
    clean, legs = (content["conditions"][k]["rows"]["default"]["metrics"]["p_mpjpe_mm"] for k in (0, 1))
    assert clean["all"]["mean"] < 70  # the weights, not noise
    assert legs["hidden"]["mean"] > legs["visible"]["mean"]
    assert (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/folder"], "no/such/folder"),
        (["--conditions", "fog"], "no condition is called 'fog'"),
        (["--model", "nobody"], "nobody"),
        (["--model", "default", "--model", "default"], "two models"),
        (["--json", "no/such/folder/b.json"], "no/such/folder"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(
    arguments: list[str], message: str, motion: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = [] if arguments[0].startswith("no/") else [str(motion)]
    with pytest.raises(SystemExit) as stop:
        main(["benchmark", "occlusion", *folder, *arguments])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
