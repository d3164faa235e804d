"""What is recorded: a result like any other, whole or not at all, at no cost in memory."""

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filming import frame, pieces

from repose.errors import UserError
from repose.export.results import read_poses
from repose.live import Recording
from repose.sample import load_sample_truth
from repose.viewer import make_scene


def test_it_is_a_result_that_every_command_reads(tmp_path: Path) -> None:
    with closing(Recording(tmp_path / "new" / "out")) as recording:
        record_two(recording, tmp_path)


def record_two(recording: Recording, tmp_path: Path) -> None:
    ours, theirs = pieces(), pieces(10, track_id=3, first=20)
    for number, pose in enumerate(ours):
        others = [other for other in theirs if other.frames[0] == pose.frames[0]]
        recording.take(frame(pose, *others))
        assert not (tmp_path / "new").exists(), number
    written = recording.write({"detector": "mediapipe"})
    read = read_poses(tmp_path / "new" / "out")
    assert [pose.track_id for pose in read] == [pose.track_id for pose in written] == [0, 3]
    truth = load_sample_truth().pose()
    np.testing.assert_array_equal(read[0].joints_m, truth.joints_m[:40].astype(np.float32))
    np.testing.assert_array_equal(read[0].seen, truth.seen[:40])
    assert read[1].frames.tolist() == list(range(20, 30))
    np.testing.assert_allclose(read[1].times_s, np.arange(20, 30) / 29.5)
    assert read[0].record["frames_in"] + read[0].record["frames_filled"] == 40
    assert read[0].record["gaps_left_empty"] == []
    assert read[0].record["detector"] == "mediapipe"
    assert len(make_scene(tmp_path / "new" / "out").figures) == 2


@pytest.fixture
def start() -> Iterator[Callable[[Path], Recording]]:
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(closing(Recording(folder / "out")))


Start = Callable[[Path], Recording]


def test_where_a_place_was_lost_the_person_stays_between(tmp_path: Path, start: Start) -> None:
    recording = start(tmp_path)
    for number, pose in enumerate(pieces()):
        lost = 5 <= number < 8
        recording.take(
            frame(
                replace(
                    pose,
                    joints_m=pose.root_relative_m() if lost else pose.joints_m,
                    coordinates="camera-root-relative" if lost else "camera",
                    intrinsics_px=None if lost else pose.intrinsics_px,
                )
            )
        )
    recording.write({})
    (read,) = read_poses(tmp_path / "out")
    assert read.coordinates == "camera"
    assert read.intrinsics_px is not None
    assert read.record["frames_with_interpolated_root"] == 6
    truth = load_sample_truth().pose().joints_m[:40]
    away = np.linalg.norm(read.joints_m - truth, axis=-1).max(axis=1)
    assert away[:10].max() < 1e-5
    assert 0 < away[10:16].max() < 0.1
    np.testing.assert_allclose(read.root_relative_m(), truth - truth[:, :1], atol=1e-5)


def test_gaps_and_nobody(tmp_path: Path, start: Start) -> None:
    recording = start(tmp_path)
    assert recording.write({}) == []
    assert not (tmp_path / "out").exists()
    for number, pose in enumerate(pieces()):
        if number not in (4, 5, 6):
            recording.take(frame(pose))
    recording.write({})
    (read,) = read_poses(tmp_path / "out")
    assert read.record["gaps_left_empty"] == [[8, 13]]
    with pytest.raises(UserError, match=r"has poses\.npz"):
        Recording(tmp_path / "out")
    Recording(tmp_path / "out", force=True).close()


def test_memory_does_not_grow_with_the_recording(tmp_path: Path, start: Start) -> None:
    import tracemalloc

    recording = start(tmp_path)
    parts = pieces()
    recording.take(frame(parts[0]))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(100):
        for pose in parts:
            recording.take(frame(pose))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 100_000, "4,000 frames are 1.7 MB"


def test_a_program_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    program = f"""
        import sys; sys.path[:0] = {sys.path!r}
        from filming import frame, pieces
        from repose.live import Recording
        recording = Recording({str(tmp_path / "out")!r})
        for pose in pieces():
            recording.take(frame(pose))
        print("recording", flush=True)
        import time; time.sleep(60)
    """
    arguments = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recording\n"
        os.kill(process.pid, signal.SIGKILL)
    assert list(tmp_path.iterdir()) == []


def test_what_is_nobody_is_not_recorded(tmp_path: Path, start: Start) -> None:
    recording = start(tmp_path)
    for number, pose in enumerate(pieces()):
        recording.take(frame(pose, *(pieces(1, track_id=7) if number == 0 else [])))
    (written,) = recording.write({})
    assert written.track_id == 0
    (ghost,) = written.record["not_people"]
    assert (ghost["track_id"], ghost["frames"], ghost["reason"]) == (7, 2, "2 frames only")
