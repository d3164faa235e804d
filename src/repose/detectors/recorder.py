"""From the detections of single frames to the tracks of people."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from repose.pose import Pose2D
from repose.skeleton import Skeleton
from repose.tracking.people import number_by_prominence
from repose.tracking.tracker import AWAY_S, NOBODY, Tracker
from repose.video import VideoFrame, VideoInfo

Finder = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From an upright RGB picture to the people in it: points in pixels and confidence."""


@dataclass
class _Rows:
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    points_px: list[np.ndarray] = field(default_factory=list)
    confidence: list[np.ndarray] = field(default_factory=list)


class TrackRecorder:
    """Collects detections frame by frame, tells the people apart, and returns one track for each.

    Identities come from `repose.tracking.tracker.Tracker`: somebody not seen for a second, or found too far
    from everybody known, is somebody new. A second detection of the same person in a frame is left out, and
    counted in `Pose2D.record`.
    """

    def __init__(self, info: VideoInfo, skeleton: Skeleton, source: str) -> None:
        self._info, self._skeleton, self._source = info, skeleton, source
        self._tracker = Tracker(skeleton.mirror, max(AWAY_S, 2 / info.fps))
        self._rows: dict[int, _Rows] = {}
        self._left_out = 0

    def add(
        self,
        frame: VideoFrame,
        points_px: Float[np.ndarray, "people joints 2"],
        confidence: Float[np.ndarray, "people joints"],
    ) -> None:
        """Record the people found in `frame`; frames come in increasing order."""
        ids = self._tracker.update(frame.time_s, points_px, confidence)
        for track_id, points, sureness in zip(ids, points_px, confidence, strict=True):
            if track_id == NOBODY:
                self._left_out += 1
                continue
            rows = self._rows.setdefault(track_id, _Rows())
            rows.frames.append(frame.index)
            rows.times_s.append(frame.time_s)
            rows.points_px.append(points.astype(np.float32))
            rows.confidence.append(sureness.astype(np.float32))

    @property
    def any(self) -> bool:
        """Whether anybody has been recorded."""
        return bool(self._rows)

    def tracks(self) -> list[Pose2D]:
        """Return the tracks so far, the most prominent person first and number 0."""
        record = {"second_detections_left_out": self._left_out} if self._left_out else {}
        tracks = [
            Pose2D(
                points_px=np.stack(rows.points_px),
                confidence=np.stack(rows.confidence),
                frames=np.array(rows.frames),
                fps=self._info.fps,
                image_size=(self._info.width, self._info.height),
                skeleton=self._skeleton,
                track_id=track_id,
                times_s=np.array(rows.times_s),
                source=self._source,
                record=record,
            )
            for track_id, rows in sorted(self._rows.items())
        ]
        return number_by_prominence(tracks)


class FrameTracks:
    """Tells people apart while they are filmed: as `TrackRecorder`, but it keeps no frame."""

    def __init__(self, fps: float, image_size: tuple[int, int], skeleton: Skeleton, source: str) -> None:
        self._fps, self._image_size, self._skeleton, self._source = fps, image_size, skeleton, source
        self._tracker = Tracker(skeleton.mirror, max(AWAY_S, 2 / fps))
        self._time_s = self._clock_s = 0.0
        self.left_out = 0
        """Second detections of the same person."""

    def add(
        self,
        frame: int,
        time_s: float,
        points_px: Float[np.ndarray, "people joints 2"],
        confidence: Float[np.ndarray, "people joints"],
    ) -> list[Pose2D]:
        """Return one track of a single frame for each person found; frames come in increasing order.

        Nobody is away while nothing is looked at: however long the detector takes for a frame, whoever was
        in the one before is still known.
        """
        self._clock_s += min(time_s - self._time_s, AWAY_S)
        self._time_s = time_s
        ids = self._tracker.update(self._clock_s, points_px, confidence)
        self.left_out += ids.count(NOBODY)
        return [
            Pose2D(
                points_px=points_px[row : row + 1].astype(np.float32),
                confidence=confidence[row : row + 1].astype(np.float32),
                frames=np.array([frame]),
                fps=self._fps,
                image_size=self._image_size,
                skeleton=self._skeleton,
                track_id=track_id,
                times_s=np.array([time_s]),
                source=self._source,
            )
            for row, track_id in enumerate(ids)
            if track_id != NOBODY
        ]
