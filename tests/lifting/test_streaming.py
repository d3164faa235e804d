"""Streams: the same result however frames come, close to the whole clip's, gaps, people, memory, misuse."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import repose
from repose.errors import UserError
from repose.geometry.camera import Camera
from repose.lifting import Lifter
from repose.lifting.streaming import OneEuro, Stream
from repose.metrics import mpjpe
from repose.pose import Pose2D, Pose3D
from repose.sample import load_sample_truth

SIZE = (1280, 720)


@cache
def default() -> Lifter:
    return repose.load("default", device="cpu", flip=False)


def sample(count: int = 140) -> Pose2D:
    truth = load_sample_truth()
    return Pose2D(
        truth.points_px[:count],
        np.full((count, 17), 0.9),
        np.arange(count),
        truth.fps,
        truth.image_size,
        truth.skeleton,
    )


def rows(pose: Pose2D, kept: Any) -> Pose2D:
    return replace(
        pose,
        points_px=pose.points_px[kept],
        confidence=pose.confidence[kept],
        frames=pose.frames[kept],
        times_s=pose.times_s[kept],
    )


def run(stream: Stream, pieces: list[Pose2D]) -> dict[int, Pose3D]:
    """Push all pieces, and put what comes out together by track."""
    found: dict[int, list[Pose3D]] = {}
    for out in [*(out for piece in pieces for out in stream.push(piece)), *stream.flush()]:
        found.setdefault(out.track_id, []).append(out)
    return {track: together(parts) for track, parts in found.items()}


def together(parts: list[Pose3D]) -> Pose3D:
    names = ["joints_m", "seen", "frames", "confidence", "points_px", "times_s", "deviation_m"]
    names = [name for name in names if getattr(parts[0], name) is not None]
    joined: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
    return replace(parts[0], **joined)


def one_by_one(pose: Pose2D) -> list[Pose2D]:
    return [rows(pose, [row]) for row in range(len(pose))]


def assert_same(found: Pose3D, expected: Pose3D) -> None:
    np.testing.assert_array_equal(found.frames, expected.frames)
    np.testing.assert_allclose(found.joints_m, expected.joints_m, atol=1e-5)
    np.testing.assert_array_equal(found.seen, expected.seen)


class Counter:
    """Lifts a window to joints that say which frame is the window's last; fast."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, int]] = []

    def __call__(self, pose: Pose2D) -> Pose3D:
        self.windows.append((int(pose.frames[0]), int(pose.frames[-1])))
        frames = np.arange(pose.frames[0], pose.frames[-1] + 1)
        joints = np.full((len(frames), 17, 3), float(pose.frames[-1]))
        known = np.isin(frames, pose.frames)[:, None].repeat(17, axis=1)
        return Pose3D(joints, known, frames, pose.fps, pose.skeleton, track_id=pose.track_id)


def counted(**options: Any) -> tuple[Stream, Counter]:
    counter = Counter()
    return Stream(counter, **({"fps": 30.0, "window_s": 64 / 30} | options)), counter


def dots(frames: Any, **changes: Any) -> Pose2D:
    numbers = np.asarray(frames)
    values = {
        "points_px": np.zeros((len(numbers), 17, 2)) + numbers[:, None, None] % 600,
        "confidence": np.ones((len(numbers), 17)),
        "frames": numbers,
        "fps": 30.0,
        "image_size": SIZE,
        "skeleton": "h36m-17",
    }
    return Pose2D(**(values | changes))


def test_chunks_and_order_make_no_difference_and_little_is_lost() -> None:
    pose = sample()
    offline = default().lift(pose)
    fps = pose.fps
    single = run(default().stream(fps=fps, max_late=3), one_by_one(pose))[0]
    np.testing.assert_array_equal(single.frames, offline.frames)
    assert single.coordinates == offline.coordinates == "camera"
    assert single.deviation_m is not None
    chunks = [rows(pose, slice(start, start + 11)) for start in range(0, len(pose), 11)]
    assert_same(run(default().stream(fps=fps, max_late=3), chunks)[0], single)
    shuffled = np.argsort(np.arange(len(pose)) + np.random.default_rng(1).uniform(0, 3, len(pose)))
    stream = default().stream(fps=fps, max_late=3)
    assert_same(run(stream, [rows(pose, [row]) for row in shuffled])[0], single)
    assert stream.late == stream.repeated == 0
    loss_m = mpjpe(single.root_relative_m().astype(float), offline.root_relative_m().astype(float)).mean()
    assert 0 < loss_m < 0.015


def test_windows_that_reach_the_end_give_what_the_lifter_gives() -> None:
    """A look-ahead longer than the clip leaves all of it to `flush`, in one window."""
    pose = sample(60)
    assert_same(run(default().stream(fps=pose.fps, lookahead=100), one_by_one(pose))[0], default().lift(pose))


@given(
    st.lists(st.integers(0, 400), min_size=1, max_size=120, unique=True),
    st.integers(0, 9),
    st.integers(0, 5),
    st.randoms(),
)
@settings(max_examples=60)
def test_every_frame_comes_out_once_in_order_whatever_is_lost(
    numbers: list[int], lookahead: int, max_late: int, random: Any
) -> None:
    known = np.array(sorted(numbers))
    order = np.argsort(known + np.array([random.uniform(0, max_late) for _ in known]))
    stream, counter = counted(lookahead=lookahead, max_late=max_late)
    found = run(stream, [dots(known[[row]]) for row in order])[0]
    again, same = counted(lookahead=lookahead, max_late=max_late)
    at_once = run(again, [dots(known)])[0]
    np.testing.assert_array_equal(found.joints_m, at_once.joints_m)
    assert counter.windows == same.windows
    # As the lifter: gaps of at most a second are filled, longer ones stay empty.
    gap = [range(a, b) if b - a <= 31 else [a] for a, b in pairwise(known)]
    assert found.frames.tolist() == [int(n) for part in gap for n in part] + [known[-1]]
    np.testing.assert_array_equal(found.seen[:, 0], np.isin(found.frames, known))
    assert stream.late == stream.repeated == 0


def test_a_frame_is_final_when_promised() -> None:
    for lookahead in (0, 4):
        stream, _ = counted(lookahead=lookahead)
        waits: list[int] = []
        for number in range(200):
            waits += [number - n for out in stream.push(dots([number])) for n in out.frames.tolist()]
        least, most = (round(ms * 30 / 1000) for ms in stream.latency_ms)
        assert (min(waits), max(waits)) == (least, most)


def test_frames_late_and_twice_are_counted() -> None:
    stream, _ = counted(lookahead=0)
    stream.push(dots(np.arange(50)))
    assert stream.push(dots([3])) == []
    stream.push(dots([60]))
    stream.push(dots([60]))
    assert (stream.late, stream.repeated) == (1, 1)


def test_people_do_not_touch_each_other_and_come_back() -> None:
    stream, _ = counted()
    both = [dots([n], track_id=track) for n in range(400) for track in (4, 9) if track == 4 or n % 300 < 50]
    found = run(stream, both)
    np.testing.assert_array_equal(found[4].frames, np.arange(400))
    np.testing.assert_array_equal(found[9].frames, [*range(50), *range(300, 350)])
    alone = run(counted()[0], [pose for pose in both if pose.track_id == 9])[9]
    np.testing.assert_array_equal(found[9].joints_m, alone.joints_m)


def test_who_stays_away_is_finished_without_a_flush() -> None:
    stream, _ = counted()
    stream.push(dots(np.arange(20), track_id=1))
    out = [pose for n in range(200) for pose in stream.push(dots([n], track_id=2)) if pose.track_id == 1]
    assert out[-1].frames[-1] == 19
    assert {pose.track_id for pose in stream.newest()} == {2}


def test_newest_is_the_newest_frame_of_everybody() -> None:
    stream, _ = counted()
    assert stream.newest() == []
    stream.push(dots(np.arange(20), track_id=1))
    stream.push(dots(np.arange(18), track_id=2))
    assert [pose.frames.tolist() for pose in stream.newest()] == [[19], [17]]


def test_nothing_grows() -> None:
    stream, counter = counted(lookahead=4, stride_s=2.0)
    sizes = []
    for start in range(0, 100_000, 100):
        stream.push(dots(np.arange(start, start + 100), track_id=start // 10_000))
        counter.windows.clear()
        sizes.append(sum(len(track.rows) for track in stream._tracks.values()))
        assert len(stream._tracks) <= 2
    assert max(sizes[10:]) <= 2 * max(sizes[:10])
    assert sum(sizes[-10:]) <= 1.5 * sum(sizes[20:30])


def test_joints_never_seen_in_a_window_are_counted_not_invented() -> None:
    stream = default().stream(fps=30)
    assert stream.push(dots(np.arange(40), confidence=np.zeros((40, 17)))) == []
    assert stream.flush() == []
    assert stream.unseen == 40


def test_one_euro_steadies_at_the_stated_lag() -> None:
    smooth = OneEuro(cutoff_hz=2.0, beta=0.0)

    def ramp(pose: Pose2D) -> Pose3D:
        found = Counter()(pose)
        joints = np.tile(0.01 * found.times_s[:, None, None], (1, 17, 3))
        return replace(found, joints_m=joints)

    out = run(Stream(ramp, fps=30, window_s=2, smooth=smooth), [dots(np.arange(150))])[0]
    behind_s = out.times_s[-1] - out.joints_m[-1, 0, 0] / 0.01
    assert behind_s * 1000 == pytest.approx(smooth.lag_ms, rel=0.01)
    assert out.record["stream"]["smoothing_lag_ms"] == smooth.lag_ms
    noise = np.random.default_rng(0).normal(0, 0.01, (400, 17, 3))

    def shaking(pose: Pose2D) -> Pose3D:
        found = Counter()(pose)
        return replace(found, joints_m=noise[found.frames])

    still = [
        run(Stream(shaking, fps=30, window_s=2, smooth=s), [dots(np.arange(400))])[0]
        for s in (None, OneEuro())
    ]
    assert still[1].joints_m[30:].std() < 0.7 * still[0].joints_m[30:].std()


def test_the_given_height_holds() -> None:
    points = sample(40)
    tall = run(default().stream(fps=points.fps, height_m=2.0), [points])[0]
    short = run(default().stream(fps=points.fps, height_m=1.0), [points])[0]
    np.testing.assert_allclose(tall.joints_m, 2 * short.joints_m, rtol=1e-3, atol=1e-3)
    assert tall.scale == "given height 2 m"
    camera = Camera.assumed(points.image_size)
    np.testing.assert_allclose(camera.project(tall.joints_m[:, 0]), points.points_px[:, 0], atol=40)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fps": 25.0}, "fps: expected 30, the stream's, found 25"),
        ({"image_size": (640, 480)}, "image_size: expected .1280, 720., found .640, 480."),
        ({"times_s": np.array([-1.0])}, "times_s: expected a time between 0 and inf s"),
        ({"skeleton": "mpi-17"}, "skeleton: expected h36m-17, found mpi-17"),
    ],
)
def test_another_source_is_refused(changes: dict[str, Any], message: str) -> None:
    stream, _ = counted()
    stream.push(dots([0]))
    with pytest.raises(UserError, match=message):
        stream.push(dots([1], **changes))


def test_wrong_use_is_said() -> None:
    stream, _ = counted()
    stream.flush()
    with pytest.raises(UserError, match="push: expected a stream that goes on, found one that was flushed"):
        stream.push(dots([0]))
    for options, message in (
        ({"lookahead": -1}, "lookahead: expected 0 to 1000 frames, found -1"),
        ({"max_late": -2}, "max_late: expected 0 to 1000 frames, found -2"),
        ({"fps": 0.0}, "fps: expected"),
        ({"height_m": 17.0}, "height_m: expected"),
        ({"max_gap_s": -1.0}, "max_gap_s: expected"),
    ):
        with pytest.raises(UserError, match=message):
            default().stream(**({"fps": 30.0} | options))
    with pytest.raises(UserError, match="cutoff_hz: expected a frequency above 0 Hz, found 0"):
        OneEuro(cutoff_hz=0)
    with pytest.raises(UserError, match="strictly increasing"):
        stream.push(dots([2, 1]))
