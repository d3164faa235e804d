"""`repose refine`, `repose angles` and `repose estimate --refine` as their users meet them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repose import read_poses, write_poses
from repose.cli import main
from repose.pose import Pose3D
from repose.sample import load_sample_truth

FILES = ["poses.csv", "poses.json", "poses.npz"]


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """A result folder: the sample's true motion with jitter, for two people."""
    truth = load_sample_truth()
    noise = np.random.default_rng(0).normal(size=truth.joints_m.shape)
    pose = Pose3D(
        (truth.joints_m + 0.01 * noise).astype(np.float32)[:150],
        ~truth.hidden[:150],
        np.arange(150),
        truth.fps,
        truth.skeleton,
        coordinates="camera",
        scale="assumed height 1.70 m",
        record={"assumed": [], "gaps_left_empty": [], "frames_filled": 0},
    )
    write_poses([pose, replace(pose, track_id=1)], tmp_path / "result")
    return tmp_path / "result"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def fails(*arguments: str | Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    assert stop.value.code == 2


def test_refine_says_what_got_better(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["refine", str(result), "-o", str(tmp_path / "clean")])
    said = capsys.readouterr().out
    for words in ("acceleration", "bone length", "slide", "leans against up", "before", "after"):
        assert words in said
    assert "Up is from balance" in said
    assert "The camera looks down by" in said
    assert names(tmp_path / "clean") == FILES
    poses = read_poses(tmp_path / "clean")
    assert [pose.coordinates for pose in poses] == ["world", "world"]


def test_steps_are_options(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = "--no-spikes --smoothing off --no-bones --camera-pitch 9 --camera-roll 0 --no-feet --height 1.8"
    main(["refine", str(result / "poses.npz"), "-o", str(tmp_path / "clean"), *options.split()])
    (pose, _) = read_poses(tmp_path / "clean")
    assert list(pose.record["refined"]["steps"]) == ["height", "gravity"]
    assert pose.scale == "given height 1.8 m"
    said = capsys.readouterr().out
    assert "camera pitch and roll as given. The camera looks down by 9.0°" in said
    assert "vertical lines lean right by 0.0°" in said


def test_a_lean_has_a_side_and_no_sign(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--camera-pitch", "-4", "--camera-roll", "-3"]
    main(["refine", str(result), "-o", str(tmp_path / "clean"), *given])
    assert "The camera looks up by 4.0°, vertical lines lean left by 3.0°" in capsys.readouterr().out


def test_what_is_left_out_is_said(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    poses = [
        replace(pose, joints_m=pose.root_relative_m(), coordinates="camera-root-relative")
        for pose in read_poses(result)
    ]
    write_poses(poses, tmp_path / "relative")
    main(["refine", str(tmp_path / "relative"), "-o", str(tmp_path / "clean")])
    said = capsys.readouterr().out
    assert "Left out for person 0: gravity; relative to the root" in said
    assert "Left out for person 1: feet" in said


def test_angles_of_a_refined_result(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["angles", str(result)])
    said = capsys.readouterr().out
    assert "Not computed: trunk_flexion" in said
    assert "Up is not known" in said
    assert names(result) == sorted(["angles-0.png", "angles-1.png", "angles.csv", *FILES])
    main(["refine", str(result), "-o", str(tmp_path / "clean")])
    main(["angles", str(tmp_path / "clean"), "-o", str(tmp_path / "angles"), "--no-plot"])
    said = capsys.readouterr().out
    assert "15 angles" in said
    assert "Up is from balance" in said
    assert names(tmp_path / "angles") == ["angles.csv"]


def test_mistakes_are_explained(result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails("refine", tmp_path / "nowhere", "-o", tmp_path / "clean")
    assert "no such file" in capsys.readouterr().err
    fails("refine", result, "-o", result)
    assert "has poses.npz, poses.json, poses.csv already" in capsys.readouterr().err
    fails("refine", result, "-o", tmp_path / "clean", "--camera-pitch", "10")
    assert "Give both: --camera-pitch 12 --camera-roll 0" in capsys.readouterr().err
    fails("refine", result, "-o", tmp_path / "clean", "--cutoff", "-1")
    assert "cutoff_hz: expected 0.01 to 1,000, found -1.0" in capsys.readouterr().err
    assert not (tmp_path / "clean").exists()
    main(["angles", str(result), "--no-plot"])
    fails("angles", result, "--no-plot")
    assert "--force" in capsys.readouterr().err


def test_estimate_refines_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = load_sample_truth()
    points = truth.points_px[:60]
    np.savez(tmp_path / "points.npz", points_px=points, fps=truth.fps, image_size=truth.image_size)
    main(["estimate", str(tmp_path / "points.npz"), "-o", str(tmp_path / "out"), "--refine"])
    said = capsys.readouterr().out
    assert "Joints in metres in the world frame" in said
    assert "leans against up" in said
    (pose,) = read_poses(tmp_path / "out")
    assert pose.coordinates == "world"
    assert "refined" in pose.record
