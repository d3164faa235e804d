"""Capture, detector, lifter and whatever takes the result, each in its own thread.

The slowest of them sets the pace. Between camera and detector there is room for one frame, the newest: what
the detector cannot take is dropped there and counted. Behind it nothing is dropped, and nothing can queue,
since the detector waits for the lifter. The viewer again takes the newest.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from repose.detectors import FrameDetector, FrameTracks
from repose.lifting import Lifter
from repose.pose import Pose3D
from repose.video import Feed, FeedFrame

Item = TypeVar("Item")

STRIDE_S = 1 / 15
"""Time between two windows of the lifter, which is also how often the scene moves."""
WINDOW_S = 64 / 30
"""Half of what the model was made for: nearly as accurate, at half the cost (docs/streaming.md)."""
_WAITING = 4
"""So many detected frames may wait for the lifter, which works in strides."""
_MEASURED_S = 1.0
"""So long the rate of the detector is measured before lifting begins."""
_NOBODY_S = 1.0
"""After so long without anybody the picture alone goes on."""


@dataclass(frozen=True, eq=False)
class Frame:
    """What became known: the people up to a frame, and that frame."""

    number: int
    time_s: float
    taken_s: float
    """`time.monotonic()` when the frame was taken."""
    picture: Callable[..., np.ndarray]
    poses: Sequence[Pose3D]
    """Of the frames that became final with it, one or more for each person; none while there is nobody."""


@runtime_checkable
class Sink(Protocol):
    """Something that takes every result, in the lifter's thread: it must be quick."""

    def take(self, frame: Frame) -> None: ...


@dataclass(frozen=True)
class Status:
    """How it goes: frames per second of each stage over the last seconds, and what was dropped so far."""

    camera_hz: float
    detected_hz: float
    lifted_hz: float
    shown_hz: float
    captured: int
    dropped: int
    latency_ms: tuple[float, float]
    """From the camera to the viewer: median and 95th percentile of the last 300 frames; NaN without any."""
    people: int


class Slot(Generic[Item]):
    """Room for one item, the newest: one that nobody has taken makes way, and is counted."""

    def __init__(self) -> None:
        self.dropped = 0
        self._item: Item | None = None
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        with self._changed:
            self.dropped += self._item is not None
            self._item = item
            self._changed.notify()

    def take(self) -> Item | None:
        """Wait for an item; None when there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()


class Meter:
    """Counts, and knows how many a second they are."""

    def __init__(self) -> None:
        self.count = 0
        self.ended = False
        self._first_s = 0.0
        self._times_s: deque[float] = deque(maxlen=90)

    def tick(self, times: int = 1) -> None:
        now_s = time.monotonic()
        self._first_s = self._first_s or now_s
        self.count += times
        self._times_s.extend([now_s] * times)

    @property
    def hz(self) -> float:
        """Over the last 90, 0 after two seconds of silence; over all of them in the end."""
        times = tuple(self._times_s)
        if len(times) < 2 or times[-1] == times[0]:
            return 0.0
        if self.ended:
            return (self.count - 1) / (times[-1] - self._first_s)
        return 0.0 if time.monotonic() - times[-1] > 2 else (len(times) - 1) / (times[-1] - times[0])


class Session:
    """A camera, a detector and a lifter at work.

    Attributes:
        feed: the source.
        rate_hz: frames per second that the detector manages, None until that is known.
    """

    def __init__(
        self,
        feed: Feed,
        detector: FrameDetector,
        lifter: Lifter,
        sinks: Sequence[Sink] = (),
        *,
        show: Callable[[Frame, Status], None] | None = None,
        facts: Mapping[str, Any] | None = None,
        **stream: Any,
    ) -> None:
        """Prepare; `start` starts.

        `show` is called with the newest frame, in a thread of its own, as often as it manages. `facts` are
        for the record of a result. `stream` are options of `Lifter.stream`.
        """
        self.rate_hz: float | None = None
        self._left_out = 0
        self.feed, self._detector, self._lifter = feed, detector, lifter
        self._sinks, self._show, self._facts = sinks, show, dict(facts or {})
        self._stream = {"stride_s": STRIDE_S, "window_s": WINDOW_S, **stream}
        self._captured, self._detected, self._lifted, self._shown = (Meter() for _ in range(4))
        self._newest: Slot[FeedFrame] = Slot()
        self._found: queue.Queue[tuple[FeedFrame, np.ndarray, np.ndarray] | None] = queue.Queue(_WAITING)
        self._view: Slot[Frame] = Slot()
        self._ready = threading.Event()
        self._latency_ms: deque[float] = deque(maxlen=300)
        self._seen_s: dict[int, float] = {}
        self._error: BaseException | None = None
        stages = [self._capture, self._detect, self._lift, *([self._display] if show else [])]
        self._threads = [
            threading.Thread(target=self._guard, args=(stage,), name=stage.__name__[1:], daemon=True)
            for stage in stages
        ]

    def start(self) -> None:
        for thread in reversed(self._threads):  # the lifter is there before anything is handed over to it
            thread.start()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the source ends, at most so long; returns whether it has ended."""
        end_s = time.monotonic() + (seconds or 0.0)
        for thread in self._threads[1:]:
            while thread.is_alive() and (seconds is None or time.monotonic() < end_s):
                thread.join(0.1 if seconds is None else min(0.1, max(0.0, end_s - time.monotonic())))
        return not any(thread.is_alive() for thread in self._threads[1:])

    def stop(self) -> None:
        """Take no further frame, and finish those that were taken."""
        self.feed.close()
        self._ready.set()
        self._newest.close()
        self.wait(20)
        for meter in (self._captured, self._detected, self._lifted, self._shown):
            meter.ended = True

    def check(self) -> None:
        """Raise what a stage has failed with: UserError where the camera was lost."""
        if self._error is not None:
            raise self._error

    @property
    def facts(self) -> dict[str, Any]:
        """For the record of a result: the source, and how many of its frames were dropped."""
        seen = {"frames_captured": self._captured.count, "frames_dropped": self._newest.dropped}
        live = {"source": self.feed.name, "camera_hz": self.feed.info.fps, **seen}
        again = {"second_detections_left_out": self._left_out} if self._left_out else {}
        return {**self._facts, "live": live, **again}

    @property
    def status(self) -> Status:
        ordered = np.array(self._latency_ms or [np.nan])
        now_s = time.monotonic()
        return Status(
            self._captured.hz,
            self._detected.hz,
            self._lifted.hz,
            self._shown.hz,
            self._captured.count,
            self._newest.dropped,
            (float(np.median(ordered)), float(np.percentile(ordered, 95))),
            sum(now_s - seen_s < _NOBODY_S for seen_s in tuple(self._seen_s.values())),
        )

    def _guard(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException as error:
            self._error = self._error or error
            self.feed.close()
        finally:
            if stage == self._capture:
                self._newest.close()
            elif stage == self._detect:
                self._ready.set()
                self._hand_over(None)
            elif stage == self._lift:
                self._newest.close()
                self._view.close()

    def _capture(self) -> None:
        self._ready.wait()
        for frame in self.feed:
            self._captured.tick()
            self._newest.put(frame)

    def _detect(self) -> None:
        info = self.feed.info
        with self._detector.finder() as find:
            find(np.zeros((info.height, info.width, 3), np.uint8))  # which loads the model
            self._ready.set()
            while (frame := self._newest.take()) is not None:
                points_px, confidence = find(frame.picture())
                self._detected.tick()
                self._hand_over((frame, points_px, confidence))

    def _hand_over(self, found: Any) -> None:
        """Wait until the lifter has room; without it there is no more to do."""
        while self._threads[2].is_alive():
            with suppress(queue.Full):
                self._found.put(found, timeout=0.2)
                return

    def _lift(self) -> None:
        first: list[tuple[FeedFrame, np.ndarray, np.ndarray]] = []
        work: _Work | None = None
        while (found := self._found.get()) is not None:
            if work is not None:
                self._push(work, found)
                continue
            first.append(found)
            if len(first) > 3 and found[0].time_s - first[1][0].time_s >= _MEASURED_S:
                work = self._begin(first)
        work = work or (self._begin(first) if first else None)
        if work is not None:
            self._emit(work, work.stream.flush())
            self._left_out = work.tracks.left_out

    def _begin(self, first: list[tuple[FeedFrame, np.ndarray, np.ndarray]]) -> "_Work":
        times_s = [frame.time_s for frame, _, _ in first[1:]]
        steps = np.diff(times_s) if len(times_s) > 1 else np.array([1 / self.feed.info.fps])
        self.rate_hz = float(np.clip(1 / np.mean(steps), 1.0, 240.0))
        info = self.feed.info
        tracks = FrameTracks(
            self.rate_hz, (info.width, info.height), self._detector.skeleton, f"{self.feed.name}, live"
        )
        stream = self._lifter.stream(fps=self.rate_hz, **self._stream)
        work = _Work(tracks, stream, deque(maxlen=stream.lookahead + stream.stride_frames + _WAITING))
        for found in first:
            self._push(work, found)
        return work

    def _push(self, work: "_Work", found: tuple[FeedFrame, np.ndarray, np.ndarray]) -> None:
        frame, points_px, confidence = found
        work.frames.append((work.number, frame))
        people = work.tracks.add(work.number, frame.time_s, points_px, confidence)
        work.number += 1
        poses = [pose for person in people for pose in work.stream.push(person)]
        if people:
            work.somebody_s = frame.time_s
        if poses or frame.time_s - work.somebody_s > _NOBODY_S:
            self._emit(work, poses)

    def _emit(self, work: "_Work", poses: list[Pose3D]) -> None:
        if not work.frames:
            return
        # Several people become final one by one; the frame is the last that is final for anybody.
        number = max((int(pose.frames[-1]) for pose in poses), default=work.number - 1)
        number, frame = min(work.frames, key=lambda kept: abs(kept[0] - number))
        out = Frame(number, frame.time_s, frame.taken_s, frame.picture, poses)
        now_s = time.monotonic()
        self._seen_s = {key: s for key, s in self._seen_s.items() if now_s - s < _NOBODY_S}
        self._seen_s |= {pose.track_id: now_s for pose in poses}
        self._lifted.tick(max((len(pose) for pose in poses), default=0))
        for sink in self._sinks:
            sink.take(out)
        self._view.put(out)

    def _display(self) -> None:
        assert self._show is not None
        while (frame := self._view.take()) is not None:
            self._show(frame, self.status)
            self._shown.tick()
            if frame.poses:
                self._latency_ms.append(1000 * (time.monotonic() - frame.taken_s))


@dataclass(eq=False)
class _Work:
    """What the lifter's thread keeps."""

    tracks: FrameTracks
    stream: Any
    frames: deque[tuple[int, FeedFrame]]
    number: int = 0
    somebody_s: float = -np.inf
