"""Scores on rendered clips: a detector that is right where nothing is covered, and files that are wrong."""

import json
from pathlib import Path

import numpy as np
import pytest

from repose.cli import main
from repose.errors import UserError
from repose.evaluation import benchmark_rendered
from repose.evaluation.rendered_benchmark import EVERYTHING, LIMBS
from repose.evaluation.video_benchmark import MEDIAPIPE
from repose.skeleton import H36M_17, SKELETONS

BLAZEPOSE = SKELETONS["mediapipe-33"]
FRAMES = 30


def write_clip(
    folder: Path, name: str, *, off_m: float = 0.0, found: slice = slice(None), **changed: object
) -> None:
    """Somebody moves; MediaPipe's left wrist is `off_m` off to the right, and covered."""
    rng = np.random.default_rng(len(name))
    joints = rng.normal(0, 0.4, (17, 3)) + 0.1 * np.sin(np.arange(FRAMES) / 6)[:, None, None] * rng.normal(
        size=(17, 3)
    )
    joints += [0.2, 0.1, 4.0]
    covered = np.zeros((FRAMES, 17), bool)
    covered[:, H36M_17.index("left_wrist")] = off_m > 0
    world, pixels = np.zeros((FRAMES, 33, 3)), np.zeros((FRAMES, 33, 2))
    ours, theirs = H36M_17.indices(*LIMBS), BLAZEPOSE.indices(*LIMBS)
    world[:, theirs] = joints[:, ours]
    world[:, BLAZEPOSE.index("left_wrist"), 0] += off_m
    pixels[:, theirs] = 500 * joints[:, ours, :2] / joints[:, ours, 2:] + 239.5
    frames = np.arange(FRAMES)[found]
    detected = np.zeros(FRAMES, bool)
    detected[found] = True
    arrays = {
        "joints_m": joints, "covered": covered, "up": np.array([0.0, -1, 0]), "fps": 30.0,
        "image_size": np.array([480, 480]), "focal_px": 500.0, "focal_told_px": 500.0, "frames": frames,
        "points_px": pixels[found], "confidence": np.ones((len(frames), 33)), "world_m": world,
        "detected": detected,
    }  # fmt: skip
    np.savez(folder / name, **{**arrays, **changed})


def test_covered_joints_are_scored_apart_from_the_others(tmp_path: Path) -> None:
    write_clip(tmp_path, "in-the-open_0.npz")
    write_clip(tmp_path, "box_1.npz", off_m=0.3)
    report = benchmark_rendered(tmp_path)
    assert [result.kind for result in report.results] == ["box", "in the open", EVERYTHING]
    exact = report["in the open"].rows[MEDIAPIPE]
    assert exact["p_mpjpe_mm", "all"].mean == pytest.approx(0, abs=1e-6)
    box = report["box"].rows[MEDIAPIPE]
    assert box["mpjpe_mm", "hidden"].mean == pytest.approx(300)
    assert box["mpjpe_mm", "visible"].mean == pytest.approx(0, abs=1e-6)
    assert report["box"].hidden_share == pytest.approx(1 / 12)
    assert report[EVERYTHING].rows[MEDIAPIPE]["mpjpe_mm", "all"].mean == pytest.approx(300 / 24)
    assert report["box"].rows["default"]["p_mpjpe_mm", "all"].mean > 0


def test_frames_without_an_answer_are_counted_and_not_scored(tmp_path: Path) -> None:
    write_clip(tmp_path, "wall_0.npz", found=slice(10, None))
    write_clip(tmp_path, "wall_1.npz", found=slice(0, 0))
    report = benchmark_rendered(tmp_path)
    lost = {name: pytest.approx(2 / 3) for name in ("default", "default, fitted", MEDIAPIPE)}
    assert report["wall"].lost_share == lost
    assert report["wall"].rows[MEDIAPIPE]["mpjpe_mm", "all"].mean == pytest.approx(0, abs=1e-6)


def test_the_command_prints_the_table_and_writes_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path, "fence_0.npz", off_m=0.2)
    out = tmp_path / "r.json"
    assert main(["benchmark", "rendered", str(tmp_path), "--lens", "given", "--json", str(out)]) in (0, None)
    printed = capsys.readouterr().out
    assert "fence" in printed
    assert MEDIAPIPE in printed
    content = json.loads(out.read_text())
    assert content["results"][0]["rows"][MEDIAPIPE]["metrics"]["mpjpe_mm"]["hidden"]["mean"] == pytest.approx(
        200
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"points_px": np.zeros((FRAMES, 17, 2))}, "points_px"),
        ({"frames": np.arange(FRAMES) + 5}, "frames"),
        ({"fps": 0.0}, "fps"),
        ({"up": np.full(3, np.nan)}, "up"),
    ],
)
def test_files_with_other_arrays_are_refused(tmp_path: Path, changed: dict[str, object], words: str) -> None:
    write_clip(tmp_path, "pole_0.npz", **changed)
    with pytest.raises(UserError, match=words):
        benchmark_rendered(tmp_path)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="rendered clips"):
        benchmark_rendered(tmp_path)
    with pytest.raises(UserError, match="rendered clips"):
        benchmark_rendered(tmp_path / "none")
