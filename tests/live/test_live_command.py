"""`repose live`: what it writes and says, however it ends."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import run
from filming import People, film

import repose.detectors
from repose.errors import UserError
from repose.export.results import read_poses
from repose.sample import load_sample_truth, sample_video
from repose.video import FeedFrame
from repose.video.feed import Feed


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "clip.mp4", 58)


@pytest.fixture(autouse=True)
def people(monkeypatch: pytest.MonkeyPatch) -> People:
    people = People()
    monkeypatch.setattr(repose.detectors, "_factories", dict(repose.detectors._factories))
    repose.detectors.register("people", lambda: people)
    monkeypatch.setenv("COLUMNS", "160")
    return people


def live(*arguments: object) -> int:
    return run("live", *arguments, "--detector", "people", "--no-view")


def test_a_file_stands_in_for_the_camera(
    clip: Path, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live(clip, "--record", tmp_path / "out", "--height", 1.8) == 0
    said = capsys.readouterr().out
    assert "clip.mp4: 64 × 48 at 30 frames per second. Ctrl-C ends it.\n" in said
    assert re.search(r"Frames per second: camera \d", said)
    assert "Dropped at the camera: " in said
    assert f"{len(people.seen)} frames of " in said
    # On a machine so busy that a second is dropped, the walker comes back as somebody else.
    poses = sorted(read_poses(tmp_path / "out"), key=lambda pose: pose.track_id)
    pose = poses[0]
    assert np.concatenate([pose.frames for pose in poses]).tolist() == list(range(len(people.seen)))
    times_s = np.concatenate([pose.times_s for pose in poses])
    np.testing.assert_allclose(times_s, np.array(people.seen) / 30, atol=0.034)
    assert pose.scale == "given height 1.8 m"
    assert pose.record["live"]["frames_captured"] == 58
    assert pose.record["live"]["frames_dropped"] == 58 - len(people.seen)
    assert pose.record["video"] == str(clip.resolve())
    assert run("export", tmp_path / "out", tmp_path / "walk.bvh") == 0
    assert live(clip, "--record", tmp_path / "out") == 2
    assert "has poses.npz" in capsys.readouterr().err


def test_nobody_and_no_recording(clip: Path, people: People, capsys: pytest.CaptureFixture[str]) -> None:
    assert live(clip, "--seconds", 0.5) == 0
    assert len(people.seen) < 58
    assert "Results" not in capsys.readouterr().out


def test_nobody_is_no_result(
    clip: Path, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people._where = lambda _: []
    assert live(clip, "--seconds", 0.5, "--record", tmp_path / "out") == 0
    assert "Nobody was seen: nothing was recorded.\n" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_a_camera_that_is_lost_leaves_a_whole_result(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = repose.video.feed._FileFeed.__iter__

    def unplugged(feed: Feed) -> Iterator[FeedFrame]:
        yield from whole(feed)
        raise UserError("camera 0 was lost (No such device)", "Check cable and network.")

    monkeypatch.setattr("repose.video.feed._FileFeed.__iter__", unplugged)
    assert live(clip, "--record", tmp_path / "out") == 2
    assert capsys.readouterr().err == (
        "Error: camera 0 was lost (No such device)\nCheck cable and network.\n"
    )
    assert len(read_poses(tmp_path / "out")[0]) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.mp4"], "no file at nothing.mp4"),
        (["--camera", "999"], "no camera 999: found "),
        (["ftp://a/b"], "expected an address of rtsp"),
        (["--websocket", "9000"], "expected HOST:PORT, found '9000'"),
        (["--lookahead", "-1"], "lookahead: expected 0 to 100, found -1"),
        (["--model", "none"], "model 'none': expected a checkpoint"),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert live(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_detector_of_whole_videos(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Whole:
        skeleton = People().skeleton

        def detect(self, frames: object, info: object) -> list[object]:
            return []

    repose.detectors.register("whole", Whole)  # type: ignore[arg-type]
    assert run("live", clip, "--detector", "whole", "--no-view") == 2
    assert "detector 'whole' looks at whole videos: expected one with a `finder`" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + signal.SIGTERM)])
def test_an_interrupt_ends_it_with_a_whole_result(number: signal.Signals, code: int, tmp_path: Path) -> None:
    clip = film(tmp_path / "long.mp4", 3000)
    program = f"""
        import sys; sys.path[:0] = {sys.path!r}
        from filming import People
        import repose.cli, repose.detectors
        repose.detectors.register("people", People)
        options = ["--record", {str(tmp_path / "out")!r}, "--detector", "people", "--no-view"]
        import repose.live.recording as recording
        kept = recording.Recording.take
        def tell(self, frame):
            kept(self, frame)
            print("kept", flush=True)
        recording.Recording.take = tell
        repose.cli.main(["live", {str(clip)!r}, *options])
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in ("kept\n", ""):
            pass
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == code, rest
    assert 0 < sum(map(len, read_poses(tmp_path / "out"))) < 3000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "out"]
    assert "Results: " in rest


def test_mediapipe_follows_the_sample(tmp_path: Path) -> None:
    pytest.importorskip("mediapipe")
    out = tmp_path / "out"
    assert run("live", sample_video(), "--seconds", 3, "--no-view", "--record", out) == 0
    pose = max(read_poses(out), key=len)
    truth = load_sample_truth()
    at = np.searchsorted(truth.pose().times_s, pose.times_s - 1e-3)
    theirs = truth.pose().joints_m[at.clip(max=len(truth.joints_m) - 1)]
    ours = pose.to("h36m-17").root_relative_m()
    away_m = np.linalg.norm(ours - (theirs - theirs[:, :1]), axis=-1)
    assert np.median(away_m) < 0.15
