"""Batches that run, are killed, and go on."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import run
from simulated import HERE, Simulated, calls

import repose
from repose.batch.dataset import alone, write_table
from repose.errors import UserError
from repose.pose import Pose3D


def statuses(out: Path) -> dict[str, str]:
    return {Path(row.source).name: row.status for row in repose.read_batch(out).rows()}


def test_it_goes_on_where_it_stopped(
    clips: Path, tmp_path: Path, one_process: None, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert run("batch", clips, "-o", out, "--folders", "--refine") == 3
    said = capsys.readouterr()
    assert "Failed: " in said.err
    assert "Videos: 2 done, 1 failed; 80 poses" in said.out
    assert "1 video failed; try again with --retry-failed." in said.out
    assert "Look at (least seen): " in said.out
    assert statuses(out) == {"walk.mp4": "done", "run.MOV": "done", "jump.mp4": "failed"}
    batch = repose.read_batch(out)
    (failed,) = (row for row in batch.rows() if row.status == "failed")
    assert failed.message == "no frame can be decoded Copy it again."
    walk = batch.find("walk")
    assert [len(pose) for pose in batch[walk.name]] == [40, 5]
    assert batch[walk.name][0].record["refined"]
    written = repose.read_poses(out / "folders" / walk.name)
    assert [pose.track_id for pose in written] == [0, 1]
    assert {file.suffix for file in (out / ".running").iterdir()} == {".lock"}
    # Again: nothing is left to do, and what failed is still counted.
    assert run("batch", clips, "-o", out, "--folders", "--refine") == 3
    assert calls(clips) == ["jump.mp4", "run.MOV", "walk.mp4"]
    (clips / "sub" / "jump.mp4").write_text("20")
    (clips / "new.mp4").write_text("10")
    assert run("batch", clips, "-o", out, "--folders", "--refine", "--retry-failed") == 0
    assert calls(clips) == ["jump.mp4", "jump.mp4", "new.mp4", "run.MOV", "walk.mp4"]
    assert set(statuses(out).values()) == {"done"}
    capsys.readouterr()
    assert run("batch", clips, "-o", out, "--folders") == 2
    assert "refine: expected True, as in what is there, found False" in capsys.readouterr().err


def test_a_file_that_was_replaced_is_done_again(clips: Path, tmp_path: Path, one_process: None) -> None:
    out = tmp_path / "out"
    run("batch", clips, "-o", out)
    for name in ("walk.mp4", "sub/jump.mp4"):  # the one was done, the other failed
        (clips / name).write_text("17")
        os.utime(clips / name, ns=(0, 10**18))  # older, as another camera's clock may have it
    (clips / "run.MOV").unlink()
    assert run("batch", clips, "-o", out) == 0
    assert calls(clips) == ["jump.mp4", "jump.mp4", "run.MOV", "walk.mp4", "walk.mp4"]
    batch = repose.read_batch(out)
    assert [len(batch[batch.find(name).name][0]) for name in ("walk", "jump")] == [17, 17]
    assert batch.find("run").status == "done"
    assert run("batch", clips, "-o", out) == 0
    assert len(calls(clips)) == 5


def test_a_bug_is_a_row_too(clips: Path, tmp_path: Path, one_process: None) -> None:
    (clips / "walk.mp4").write_text("bug")
    summary, failed = repose.run_batch([str(clips / "walk.mp4"), str(clips / "run.MOV")], tmp_path / "out")
    assert (summary.done, summary.failed, failed) == (1, 1, 1)
    assert summary.failures[0].message == "ZeroDivisionError: by nothing"


def test_results_that_cannot_be_written_end_the_run(
    clips: Path, tmp_path: Path, one_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(poses: list[Pose3D], path: Path, video: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repose.batch.dataset.write_frames", full)
    with pytest.raises(UserError, match="No space left on device"):
        repose.run_batch([str(clips / "walk.mp4")], tmp_path / "out")
    assert statuses(tmp_path / "out") == {}


def test_shards_share_a_folder(clips: Path, tmp_path: Path, one_process: None) -> None:
    for number in range(20):
        (clips / f"{number}.mp4").write_text("3")
    out = tmp_path / "out"
    for shard in ("1/2", "2/2"):
        run("batch", clips, "-o", out, "--shard", shard)
    assert len(statuses(out)) == 23
    assert len(calls(clips)) == 23
    assert write_table(repose.read_batch(out)).done == 22


def test_a_second_run_is_refused_and_other_shards_are_not(tmp_path: Path) -> None:
    pytest.importorskip("fcntl", reason="Windows has no lock that ends with its process")
    (tmp_path / ".running").mkdir()
    with alone(tmp_path, 1, 2):
        with alone(tmp_path, 2, 2):
            pass
        for shard, message in (
            ((1, 2), "another run is at work on part 1 of 2"),
            ((1, 1), "in another number of"),
        ):
            with pytest.raises(UserError, match=message), alone(tmp_path, *shard):
                pass
    with (
        alone(tmp_path, 1, 1),
        pytest.raises(UserError, match="in another number of parts"),
        alone(tmp_path, 2, 2),
    ):
        pass
    with alone(tmp_path, 1, 2):
        pass


def test_a_worker_that_dies_costs_its_own_video(clips: Path, tmp_path: Path) -> None:
    (clips / "walk.mp4").write_text("kill")
    (clips / "run.MOV").write_text("kill once")
    told: list[str] = []
    summary, failed = repose.run_batch(
        [str(clips)],
        tmp_path / "out",
        workers=2,
        estimator=Simulated,
        told=lambda row, done, total: told.append(f"{row.status if row else 'begin'} {done} of {total}"),
    )
    assert (summary.done, summary.failed, failed) == (1, 2, 2)
    assert statuses(tmp_path / "out") == {"walk.mp4": "failed", "run.MOV": "done", "jump.mp4": "failed"}
    row = repose.read_batch(tmp_path / "out").find("walk")
    assert row.message.startswith("Its workers were killed 2 times")
    assert calls(clips) == ["jump.mp4", "run.MOV", "run.MOV", "walk.mp4", "walk.mp4"]
    assert told[0] == "begin 0 of 3"
    assert told[-1][-6:] == "3 of 3"


def test_a_run_that_is_killed_loses_nothing(clips: Path, tmp_path: Path) -> None:
    """Killed with a video done and two begun, its workers end with it, and the next run does the rest."""
    (clips / "run.MOV").write_text("20")
    for name in ("walk.mp4", "sub/jump.mp4"):
        (clips / name).write_text("sleep 600")
    out = tmp_path / "out"
    driver = subprocess.Popen([sys.executable, HERE / "simulated.py", clips, out])
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and len(calls(clips)) < 3:
        time.sleep(0.1)
    workers = children(driver.pid)
    driver.kill()
    driver.wait()
    assert len(workers) >= 2
    assert statuses(out) == {"run.MOV": "done"}
    for name in ("walk.mp4", "sub/jump.mp4"):
        (clips / name).write_text("10")
    while time.monotonic() < deadline and any(map(alive, workers)):
        time.sleep(0.1)
    assert not any(map(alive, workers))
    summary, failed = repose.run_batch([str(clips)], out, workers=1, estimator=Simulated)
    assert (summary.done, failed) == (3, 0)
    assert calls(clips) == ["jump.mp4", "jump.mp4", "run.MOV", "walk.mp4", "walk.mp4"]
    assert {json.loads(file.read_text())["status"] for file in (out / "videos").iterdir()} == {"done"}


def children(pid: int) -> list[int]:
    if not sys.platform.startswith("linux"):
        pytest.skip("looks for processes as Linux lists them")
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_model_that_is_not_there_ends_the_run(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="model 'absent'"):
        repose.run_batch([str(clips)], tmp_path / "out", repose.EstimateOptions(model="absent"), workers=1)
    assert statuses(tmp_path / "out") == {}
