"""MediaPipe Pose (BlazePose): one person, 33 landmarks, model included in the package."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from repose.detectors.recorder import Finder, TrackRecorder
from repose.errors import UserError
from repose.pose import Pose2D
from repose.skeleton import get_skeleton
from repose.tracking.people import choose, parse_person
from repose.tracking.tracker import AWAY_S, REACH, REACH_PER_S, Tracker
from repose.video import VideoFrame, VideoInfo

_INSTALL = (
    "Install it with: pip install --no-deps mediapipe==0.10.21 && "
    "pip install attrs matplotlib 'protobuf>=4.25.3,<5' opencv-python-headless"
)
_SEARCH_EVERY_S = 0.2
"""Time between two searches of the whole picture for somebody who is not there."""

_Found = tuple[np.ndarray, np.ndarray]


class MediaPipeDetector:
    """Tracks the person whom MediaPipe Pose follows through a video.

    MediaPipe follows one person at a time and may switch to another one when the first leaves or is
    hidden. Such a jump starts a new track (see `TrackRecorder`), so one track is one person. `follow` keeps
    it to the person that is meant.
    Confidence is MediaPipe's visibility. A landmark outside the picture keeps its place there. The
    tracker's own smoothing takes every frame for a thirtieth of a second, whatever the true rate.
    """

    def __init__(self) -> None:
        """Raise UserError if mediapipe is missing or cannot be imported."""
        self.skeleton = get_skeleton("mediapipe-33")
        try:
            with _quiet():
                import mediapipe
        except ImportError as error:
            raise UserError(f"detector 'mediapipe' cannot be loaded: {error}", _INSTALL) from error
        if not hasattr(mediapipe, "solutions"):
            raise UserError(
                f"detector 'mediapipe': expected mediapipe 0.10.21, found {mediapipe.__version__}, which has "
                "no pose model of its own",
                _INSTALL,
            )
        self._pose = mediapipe.solutions.pose.Pose
        self._source = f"mediapipe {mediapipe.__version__}"

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        """Track the people that MediaPipe follows; see `repose.detectors.Detector`."""
        recorder = TrackRecorder(info, self.skeleton, self._source)
        with self.finder() as find:
            for frame in frames:
                recorder.add(frame, *find(frame.rgb))
        return recorder.tracks()

    @contextlib.contextmanager
    def finder(self) -> Iterator[Finder]:
        """Find the person whom MediaPipe follows; see `repose.detectors.FrameDetector`."""
        nobody = np.zeros((0, 33, 2)), np.zeros((0, 33))
        with contextlib.ExitStack() as stack:
            find = self._finder(stack)
            yield lambda rgb: find(rgb) or nobody

    def follow(self, frames: Iterable[VideoFrame], info: VideoInfo, person: str) -> list[Pose2D]:
        """Track one person, chosen as by `repose.tracking.people.choose`; see `repose.detectors.Follower`.

        The picture is searched in parts until somebody fits; from there on all but the surroundings of the
        person is painted over, so that MediaPipe cannot switch to somebody else. A person missing for longer
        than a second is searched for again, unless a point of the first frame was given.
        """
        recorder = TrackRecorder(info, self.skeleton, self._source)
        only_once = isinstance(parse_person(person), tuple)
        last: Pose2D | None = None
        refused: UserError | None = None
        searched_s = -np.inf
        with contextlib.ExitStack() as stack:
            find, search = self._finder(stack), self._finder(stack, static_image_mode=True)
            for frame in frames:
                if last is None or frame.time_s - last.times_s[0] > AWAY_S:
                    if (only_once and recorder.any) or frame.time_s - searched_s < _SEARCH_EVERY_S:
                        continue
                    searched_s = frame.time_s
                    people = TrackRecorder(info, self.skeleton, self._source)
                    people.add(frame, *_search(search, frame))
                    try:
                        last = choose(people.tracks(), person) if people.any else None
                    except UserError as error:
                        refused, last = error, None
                    if last is None:
                        continue
                found = find(_surroundings(frame, last))
                if found is not None and _same_person(last, frame.time_s, *found):
                    recorder.add(frame, *found)
                    last = replace(
                        last, points_px=found[0], confidence=found[1], times_s=np.array([frame.time_s])
                    )
        if refused and not recorder.any:
            raise refused
        return recorder.tracks()

    def _finder(self, stack: contextlib.ExitStack, **options: Any) -> Callable[[np.ndarray], _Found | None]:
        """Return a function that finds a person: points in pixels (1, 33, 2) and confidence (1, 33)."""
        pose: Any = None

        def find(rgb: np.ndarray) -> _Found | None:
            nonlocal pose
            with _quiet():
                # Made with the first frame, because its threads speak until they have seen one.
                pose = pose or stack.enter_context(
                    self._pose(model_complexity=1, smooth_landmarks=True, **options)
                )
                landmarks = pose.process(np.ascontiguousarray(rgb)).pose_landmarks
            if landmarks is None:
                return None
            height, width = rgb.shape[:2]
            table = np.array(
                [(mark.x * width, mark.y * height, mark.visibility) for mark in landmarks.landmark]
            )
            return table[None, :, :2], table[None, :, 2].clip(0, 1)

        return find


def _search(find: Callable[[np.ndarray], _Found | None], frame: VideoFrame) -> _Found:
    """Whoever is found in the whole picture, in its left, middle and right half, and in its thirds."""
    width = frame.rgb.shape[1]
    points, confidence = [np.zeros((0, 33, 2))], [np.zeros((0, 33))]
    for parts in (1, 2, 3):
        for number in range(2 * parts - 1):
            left = number * width // (2 * parts)
            found = find(frame.rgb[:, left : left + width // parts])
            if found is not None:
                points.append(found[0] + [left, 0])
                confidence.append(found[1])
    return np.concatenate(points), np.concatenate(confidence)


def _surroundings(frame: VideoFrame, last: Pose2D) -> np.ndarray:
    """Return the picture with all painted grey but the box in which the person can be by now."""
    low, high = last.points_px[0].min(axis=0), last.points_px[0].max(axis=0)
    away_s = frame.time_s - float(last.times_s[0])
    margin_px = (REACH + REACH_PER_S * away_s) * float((high - low).max())
    left, top = np.maximum(low - margin_px, 0).astype(int)
    right, bottom = np.maximum(high + margin_px, 0).astype(int)
    picture = np.full_like(frame.rgb, 128)
    picture[top:bottom, left:right] = frame.rgb[top:bottom, left:right]
    return picture


def _same_person(last: Pose2D, time_s: float, points_px: np.ndarray, confidence: np.ndarray) -> bool:
    """Whether `Tracker` would give these points to the same person."""
    tracker = Tracker(last.skeleton.mirror)
    tracker.update(float(last.times_s[0]), last.points_px, last.confidence)
    away_s = max(time_s - float(last.times_s[0]), 1e-6)  # the same frame is looked at twice when it is new
    return tracker.update(float(last.times_s[0]) + away_s, points_px, confidence) == [0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No words from MediaPipe's C++ side, which writes to the file behind stderr and offers no switch."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
