"""The stages: nothing queues, what is dropped is counted, what was taken comes out, and failures are told."""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from filming import Camera, People, lifter

from repose.errors import UserError
from repose.live import Frame, Session
from repose.live.stages import Meter, Slot
from repose.pose import Pose3D


class Kept:
    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def take(self, frame: Frame) -> None:
        self.frames.append(frame)

    @property
    def poses(self) -> list[Pose3D]:
        return [pose for frame in self.frames for pose in frame.poses]

    def of(self, track_id: int) -> list[int]:
        return [number for pose in self.poses if pose.track_id == track_id for number in pose.frames.tolist()]


def run(camera: Camera, people: People, **options: Any) -> tuple[Session, Kept]:
    kept = Kept()
    session = Session(camera, people, lifter(), [kept], **options)
    session.start()
    assert session.wait(120)
    session.stop()
    return session, kept


def test_a_slot_holds_the_newest_and_counts_the_others() -> None:
    slot: Slot[int] = Slot()
    for number in range(5):
        slot.put(number)
    assert (slot.take(), slot.dropped) == (4, 4)
    slot.put(5)
    slot.close()
    assert (slot.take(), slot.take(), slot.dropped) == (5, None, 4)


def test_every_frame_that_was_taken_comes_out(one_at_a_time: tuple[Callable[[int], object], People]) -> None:
    go, people = one_at_a_time
    session, kept = run(Camera(60, go), people)
    session.check()
    assert kept.of(0) == list(range(60))
    assert session.status.captured == 60
    assert session.status.dropped == 0
    assert session.rate_hz == pytest.approx(30)
    assert {pose.coordinates for pose in kept.poses} == {"camera"}
    times = np.concatenate([pose.times_s for pose in kept.poses])
    np.testing.assert_allclose(times, np.arange(60) / 30)
    frame = next(frame for frame in kept.frames if frame.poses)
    assert frame.taken_s == pytest.approx(100 + frame.number / 30)
    assert (frame.picture()[..., 0] == 4 + 4 * frame.number).all(), "the picture is that of the poses"


def test_frames_are_dropped_at_the_camera_when_the_detector_is_busy() -> None:
    busy = threading.Event()

    class Slow(People):
        def __init__(self) -> None:
            super().__init__(lambda _: [0] if busy.wait(60) else [])

    def go(number: int) -> None:
        if number == 1:
            people.found.wait(60)
        if number == 19:
            busy.set()

    people = Slow()
    camera = Camera(20, go)
    session, kept = run(camera, people)
    assert people.seen[0] == 0
    assert people.seen[-1] == 19
    assert session.status.dropped == 20 - len(people.seen) > 10
    assert kept.of(0) == list(range(len(people.seen))), "frames that were dropped have no number"
    assert kept.poses[-1].times_s[-1] == pytest.approx(19 / 30), "but the others keep their time"


def test_a_slow_lifter_holds_the_detector_up(monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    monkeypatch.setattr(Session, "_push", lambda *_: free.wait(60))
    people = People()
    session = Session(Camera(200, lambda _: time.sleep(0.002)), people, lifter())
    session.start()
    seen, end = -1, time.monotonic() + 60
    while (now := len(people.seen)) != seen or not now:
        assert time.monotonic() < end
        seen = now
        time.sleep(0.5)
    # A second of frames before it begins, one that it holds, those that wait, and one in the detector's hand.
    assert seen < 45
    free.set()
    session.stop()


def test_several_people_and_one_who_comes_back(one_at_a_time: tuple[Callable[[int], object], People]) -> None:
    go, people = one_at_a_time
    people._where = lambda number: [0, 1] if not 30 <= number < 75 else [1]
    session, kept = run(Camera(110, go), people)
    session.check()
    assert sorted({pose.track_id for pose in kept.poses}) == [0, 1, 2]
    assert kept.of(1) == list(range(110))
    assert kept.of(0) == list(range(30))
    assert kept.of(2) == list(range(75, 110)), "away for more than a second: somebody new"


def test_a_camera_that_is_lost_ends_it_and_keeps_what_there_was(
    one_at_a_time: tuple[Callable[[int], object], People],
) -> None:
    go, people = one_at_a_time
    session, kept = run(Camera(45, go, UserError("camera 0 was lost (No such device)")), people)
    assert kept.of(0) == list(range(45))
    with pytest.raises(UserError, match="camera 0 was lost"):
        session.check()


def test_a_detector_or_a_sink_that_fails_ends_it(
    one_at_a_time: tuple[Callable[[int], object], People],
) -> None:
    class Broken:
        def take(self, frame: Frame) -> None:
            raise UserError("the disk is full")

    class Blind(People):
        def __init__(self) -> None:
            super().__init__(lambda _: 1 / 0)  # type: ignore[arg-type, return-value]

    session, _ = run(Camera(20), Blind())
    with pytest.raises(ZeroDivisionError):
        session.check()
    go, people = one_at_a_time
    session = Session(Camera(10_000, go), people, lifter(), [Broken()])
    session.start()
    assert session.wait(120)
    with pytest.raises(UserError, match="disk is full"):
        session.check()


def test_what_is_shown_is_the_newest_and_its_latency_is_known(
    one_at_a_time: tuple[Callable[[int], object], People],
) -> None:
    go, people = one_at_a_time
    shown: list[int] = []
    session, kept = run(Camera(60, go), people, show=lambda frame, _: shown.append(frame.number), lookahead=2)
    assert shown == sorted(shown)
    assert shown[-1] == 59
    assert set(shown) <= {frame.number for frame in kept.frames}
    median_ms, high_ms = session.status.latency_ms
    now_ms = 1000 * (time.monotonic() - 100.0)
    assert 0 < median_ms <= high_ms < now_ms + 1


def test_a_picture_goes_on_where_there_is_nobody(
    one_at_a_time: tuple[Callable[[int], object], People],
) -> None:
    go, people = one_at_a_time
    people._where = lambda _: []
    session, kept = run(Camera(60, go), people)
    session.check()
    assert kept.poses == []
    assert kept.frames[-1].number == 59
    assert np.isnan(session.status.latency_ms).all()
    assert session.status.people == 0


def test_a_session_can_be_stopped_at_any_time() -> None:
    for started in (False, True):
        session = Session(Camera(10**9, lambda _: time.sleep(0.001)), People(), lifter())
        session.start()
        if started:
            time.sleep(0.2)
        session.stop()
        session.check()


def test_a_meter_counts_over_all_of_the_session_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    meter = Meter()
    assert meter.hz == 0
    for _ in range(200):
        meter.tick()
        now[0] += 0.1
    assert meter.hz == pytest.approx(10)
    now[0] += 5
    assert meter.hz == 0
    meter.ended = True
    assert meter.hz == pytest.approx(10)
