"""2D keypoints in as a camera gives them, 3D poses out a few frames later.

Every `stride_frames` frames the window that ends `lookahead` frames later is lifted whole, and only its new
frames are kept; the first of them are cross-faded with what the window before said of them.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from repose.errors import UserError, expected
from repose.lifting.one_euro import OneEuro, Smoother
from repose.pose import PER_FRAME, SMALLEST_STEP_S, Pose2D, Pose3D, check_rate, concatenate
from repose.skeleton import H36M_17, Skeleton
from repose.tracking.segments import gaps_too_long

STRIDE_S = 1 / 6
"""Time between two windows. Half of it doubles the cost and halves what it adds to latency
(docs/streaming.md)."""
_OF_A_WINDOW = ("frames_in", "frames_filled", "gaps_left_empty", "frames_with_interpolated_root")


@dataclass(eq=False)
class _Track:
    """What is remembered of one person."""

    done: int
    """The last frame that is final."""
    smoother: Smoother | None
    rows: dict[int, tuple[np.ndarray, np.ndarray, float]] = field(default_factory=dict)
    """Points, confidence and time of a window's frames."""
    last: int = -1
    """The newest frame."""
    before: Pose3D | None = None
    """What the last window said of frames that were not final."""


class Stream:
    """People who are being filmed, lifted frame by frame. Made by `repose.load(…).stream(…)`.

    Attributes:
        late: frames that came after their own or a later frame was final, and were left out.
        repeated: frames that came twice; the first one counts.
        unseen: frames left out since nothing of the person was seen in a whole window.
    """

    def __init__(
        self,
        lift: Callable[[Pose2D], Pose3D],
        *,
        fps: float,
        skeleton: "str | Skeleton" = H36M_17,
        lookahead: int = 4,
        max_late: int = 0,
        max_gap_s: float = 1.0,
        window_s: float,
        stride_s: float = STRIDE_S,
        smooth: OneEuro | None = None,
    ) -> None:
        """Start a stream; `lift` lifts a window, to `skeleton`. The other arguments: `Streaming.stream`."""
        self.fps = check_rate(fps)
        for name, seconds in (("stride_s", stride_s), ("window_s", window_s)):
            if not 0 < seconds <= 60:
                expected(name, "more than 0, at most 60 seconds", seconds)
        for name, frames in (("lookahead", lookahead), ("max_late", max_late)):
            if not isinstance(frames, int) or not 0 <= frames <= 1000:
                expected(name, "0 to 1000 frames", frames, "Give a whole number of frames.")
        self.lookahead, self.max_late, self.smooth = lookahead, max_late, smooth
        self.stride_frames = max(1, round(stride_s * self.fps))
        self.late = self.repeated = self.unseen = 0
        self._lift, self._skeleton = lift, skeleton
        self._max_gap_s = max_gap_s
        self._window = max(round(window_s * self.fps), lookahead + self.stride_frames + 1)
        self._quiet = self._window + math.ceil(max_gap_s * self.fps) + lookahead + max_late
        self._tracks: dict[int, _Track] = {}
        self._like: Pose2D | None = None
        self._newest = -1
        self._flushed = False

    @property
    def latency_ms(self) -> tuple[float, float]:
        """The shortest and the longest time from a frame to the frame that makes it final."""
        least = self.lookahead + self.max_late
        return 1000 * least / self.fps, 1000 * (least + self.stride_frames - 1) / self.fps

    def push(self, pose: Pose2D) -> list[Pose3D]:
        """Take one or more new frames of one person, and return what became final.

        That is a `Pose3D` for each track of which something did (two where the person's position was
        lost or found between), and often nothing. Frames of one person may come in any order that
        `max_late` allows; several people are pushed side by side: a person of whom nothing came while
        others moved on by a window and the longest gap is finished.

        Raises UserError after `flush`, for another frame rate, layout or picture than before, for joints
        that the model's cannot be made from, and for times that do not increase with the frames.
        """
        self._check(pose)
        pieces: list[Pose3D] = []
        for row, number in enumerate(pose.frames.tolist()):
            floor = max(-1, self._newest - self._quiet)
            track = self._tracks.get(pose.track_id) or _Track(floor, self._smoother())
            if number <= track.done:
                self.late += 1
                continue
            if number in track.rows:
                self.repeated += 1
                continue
            _check_time(track, number, float(pose.times_s[row]))
            self._tracks[pose.track_id] = track
            track.rows[number] = (pose.points_px[row], pose.confidence[row], float(pose.times_s[row]))
            track.last = max(track.last, number)
            self._newest = max(self._newest, number)
            pieces += self._advance(pose.track_id, track, self.max_late)
            for track_id in [i for i, t in self._tracks.items() if t.last < self._newest - self._quiet]:
                pieces += self._finish(track_id, self._tracks.pop(track_id))
        return _join(pieces)

    def newest(self) -> list[Pose3D]:
        """Guess the newest frame of everybody, final or not; it costs one window a person.

        It is neither cross-faded nor smoothed.
        """
        poses = (self._window_to(track_id, track, track.last) for track_id, track in self._tracks.items())
        return [_rows(pose, pose.frames == pose.frames[-1]) for pose in poses if pose]

    def flush(self) -> list[Pose3D]:
        """End the stream, and return the frames that are not final yet, one `Pose3D` a track."""
        self._flushed = True
        pieces: list[Pose3D] = []
        for track_id, track in self._tracks.items():
            pieces += self._finish(track_id, track)
        self._tracks.clear()
        return _join(pieces)

    def _check(self, pose: Pose2D) -> None:
        if self._flushed:
            raise UserError(
                "push: expected a stream that goes on, found one that was flushed", "Start another stream."
            )
        if pose.fps != self.fps:
            expected("fps", f"{self.fps:g}, the stream's", f"{pose.fps:g}", "Start a stream for each rate.")
        if self._like is None:
            pose.to(self._skeleton)
            self._like = pose
        hint = "All frames of a stream come from one camera and one detector: start another stream."
        if pose.skeleton != self._like.skeleton:
            expected("skeleton", self._like.skeleton.name, pose.skeleton.name, hint)
        if pose.image_size != self._like.image_size:
            expected("image_size", self._like.image_size, pose.image_size, hint)

    def _smoother(self) -> Smoother | None:
        return Smoother(self.smooth) if self.smooth else None

    def _advance(self, track_id: int, track: _Track, max_late: int) -> Iterable[Pose3D]:
        """Lift every window that is due. Which ones are does not depend on how the frames came."""
        while track.last - max_late >= self._stride_end(track.done + 1) + self.lookahead:
            known = [n for n in sorted(track.rows) if n <= track.last - max_late]
            after = [n for n in known if n > track.done]
            if not after:
                return
            edge = self._edge(track, known)
            stop = self._stride_end(max(track.done + 1, min(after)))
            end = next((n for n in after if n >= stop + self.lookahead), None)
            if edge and (end is None or end > edge[0]):
                yield from self._emit(track_id, track, edge[0], edge[0])
                track.rows = {n: row for n, row in track.rows.items() if n >= edge[1]}
                track.done, track.before, track.smoother = edge[1] - 1, None, self._smoother()
            elif end is None:
                return
            else:
                # Frames of a gap become final together, by the frame after it.
                stop = max(stop, self._stride_end(end - self.lookahead + 1) - self.stride_frames)
                yield from self._emit(track_id, track, stop, end)

    def _stride_end(self, number: int) -> int:
        return number + -(number + 1) % self.stride_frames

    def _edge(self, track: _Track, known: list[int]) -> tuple[int, int] | None:
        """Find the first gap that is too long to infer: the frames before and after it."""
        from_last = known[max(sum(n <= track.done for n in known) - 1, 0) :]
        times_s = np.array([track.rows[n][2] for n in from_last])
        cut = np.flatnonzero(gaps_too_long(np.array(from_last), times_s, self.fps, self._max_gap_s))
        return (from_last[cut[0]], from_last[cut[0] + 1]) if cut.size else None

    def _finish(self, track_id: int, track: _Track) -> Iterable[Pose3D]:
        yield from self._advance(track_id, track, 0)
        if track.last > track.done:
            yield from self._emit(track_id, track, track.last, track.last)

    def _emit(self, track_id: int, track: _Track, stop: int, end: int) -> Iterable[Pose3D]:
        """Make the frames up to `stop` final by the window to `end`, and forget what is out of reach."""
        pose = self._window_to(track_id, track, end) if stop > track.done else None
        first, track.done = track.done + 1, max(stop, track.done)
        reach = max((n for n in track.rows if n <= stop), default=stop)
        oldest = min(reach, stop - self._window + 2)
        if pose is None:
            self.unseen += sum(first <= n <= stop for n in track.rows)
            track.before = None
        else:
            pose = _cross_fade(track.before, _rows(pose, pose.frames >= first), self.lookahead)
            track.before = _rows(pose, pose.frames > stop)
            pose = _rows(pose, pose.frames <= stop)
            if track.smoother and len(pose.frames):
                smooth = map(track.smoother, pose.joints_m, pose.times_s.tolist())
                pose = replace(pose, joints_m=np.stack(list(smooth)))
        track.rows = {n: row for n, row in track.rows.items() if n >= oldest}
        if pose is not None and len(pose.frames):
            yield pose

    def _window_to(self, track_id: int, track: _Track, end: int) -> Pose3D | None:
        """Lift the window that ends at frame `end`; None if nothing in it is seen."""
        assert self._like is not None
        known = sorted(n for n in track.rows if n <= end)
        start = min(end - self._window + 1, max((n for n in known if n <= track.done + 1), default=end))
        numbers = [n for n in known if n >= start]
        points, confidence, times = zip(*(track.rows[n] for n in numbers), strict=True)
        window = replace(
            self._like,
            points_px=np.stack(points),
            confidence=np.stack(confidence),
            frames=np.array(numbers),
            times_s=np.array(times),
            track_id=track_id,
        )
        if not (window.to(self._skeleton).confidence > 0).any():
            return None
        pose = self._lift(window)
        record = {key: value for key, value in pose.record.items() if key not in _OF_A_WINDOW}
        record["stream"] = {
            "lookahead_frames": self.lookahead,
            "stride_frames": self.stride_frames,
            "latency_ms": list(self.latency_ms),
            "smoothing_lag_ms": self.smooth.lag_ms if self.smooth else 0.0,
        }
        return replace(pose, record=record)


def _check_time(track: _Track, number: int, time_s: float) -> None:
    """Raise UserError where a frame's time is not between those of the frames around it."""
    earlier = max((n for n in track.rows if n < number), default=None)
    later = min((n for n in track.rows if n > number), default=None)
    low_s = -math.inf if earlier is None else track.rows[earlier][2]
    high_s = math.inf if later is None else track.rows[later][2]
    if not low_s + SMALLEST_STEP_S <= time_s <= high_s - SMALLEST_STEP_S:
        wanted = f"a time between {low_s:g} and {high_s:g} s for frame {number}"
        expected("times_s", wanted, f"{time_s:g} s", "Times increase with the frame numbers.")


class Streaming:
    """What can lift a window can lift a stream."""

    skeleton: Skeleton

    def _for_windows(self, flip: bool, **options: Any) -> tuple[Callable[[Pose2D], Pose3D], float]:
        """Return a function that lifts a window, and the length of a window in seconds."""
        raise NotImplementedError

    def stream(
        self,
        *,
        fps: float,
        lookahead: int = 4,
        max_late: int = 0,
        max_gap_s: float = 1.0,
        smooth: OneEuro | None = None,
        flip: bool = False,
        stride_s: float = STRIDE_S,
        window_s: float | None = None,
        intrinsics_px: tuple[float, float, float, float] | None = None,
        distortion: tuple[float, ...] | None = None,
        fov_deg: float | None = None,
        height_m: float | None = None,
        root: bool = True,
    ) -> Stream:
        """Lift people while they are filmed.

        Camera, height, root and gaps are as for `lift`. What `lift` takes from the whole track comes from the
        last window (128 frames at 30 per second, for the default model): the body's size is its median, and
        a root or joint that is missing is interpolated within it. Exchanged sides are not put back, and
        tracking is the caller's.

        Args:
            fps: frames per second of the camera; `Pose2D.times_s` may vary.
            lookahead: frames that are waited for at least, for accuracy. `Stream.latency_ms` has the latency.
            max_late: by how many frames a frame may come late without changing the result; it adds latency.
            max_gap_s: longer gaps are not inferred: the person starts anew.
            smooth: a filter that makes resting joints steady; `OneEuro.lag_ms` is what it costs.
            flip: average with the mirror image, at twice the time.
            stride_s: time between two windows; less is less latency, at more cost.
            window_s: time that each window spans; the model's own unless given. Shorter ones cost less.
            intrinsics_px: fx, fy, cx, cy.
            distortion: k1, k2, p1, p2, k3, with intrinsics.
            fov_deg: the diagonal field of view, if there are no intrinsics.
            height_m: the height of everybody in the stream.
            root: whether joints come with the person's position.

        Raises UserError for impossible values.
        """
        lens = {"intrinsics_px": intrinsics_px, "distortion": distortion, "fov_deg": fov_deg}
        options = {"height_m": height_m, "root": root, "max_gap_s": max_gap_s}
        lift, longest_s = self._for_windows(flip, **lens, **options)
        return Stream(
            lift,
            fps=fps,
            skeleton=self.skeleton,
            lookahead=lookahead,
            max_late=max_late,
            max_gap_s=max_gap_s,
            window_s=window_s or longest_s,
            stride_s=stride_s,
            smooth=smooth,
        )


def _rows(pose: Pose3D, rows: np.ndarray) -> Pose3D:
    kept: dict[str, Any] = {
        name: value[rows] for name in PER_FRAME if (value := getattr(pose, name)) is not None
    }
    return replace(pose, **kept)


def _cross_fade(before: Pose3D | None, pose: Pose3D, frames: int) -> Pose3D:
    """Go over from the last window's frames to this one's."""
    if before is None or before.coordinates != pose.coordinates:
        return pose
    _, old, new = np.intersect1d(before.frames, pose.frames, return_indices=True)
    share = (np.arange(len(new)) + 1) / (min(frames, len(new)) + 1)
    share = share.clip(max=1)[:, None, None]
    joints = pose.joints_m.copy()
    joints[new] = share * joints[new] + (1 - share) * before.joints_m[old]
    return replace(pose, joints_m=joints.astype(np.float32))


def _join(pieces: Iterable[Pose3D]) -> list[Pose3D]:
    """Put the pieces of each track together."""
    groups: dict[tuple[int, str], list[Pose3D]] = {}
    for piece in pieces:
        groups.setdefault((piece.track_id, piece.coordinates), []).append(piece)
    return [concatenate(group) for group in groups.values()]
