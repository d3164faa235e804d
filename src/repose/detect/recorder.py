"""From the detections of single frames to the tracks of people."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from repose.pose import Pose2D
from repose.skeleton import Skeleton
from repose.tracking import Tracker
from repose.video import VideoFrame, VideoInfo


@dataclass
class _Rows:
    frames: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    points_px: list[np.ndarray] = field(default_factory=list)
    confidence: list[np.ndarray] = field(default_factory=list)


class TrackRecorder:
    """Collects detections frame by frame, tells the people apart, and gives one track for each.

    Identities come from `repose.tracking.Tracker`: somebody not seen for a second, or found too far from
    everybody known, is somebody new. It is shown the middle of each left/right pair, so that a detector
    that exchanges somebody's left and right does not make two people of one.
    """

    def __init__(self, info: VideoInfo, skeleton: Skeleton, source: str) -> None:
        self._info, self._skeleton, self._source = info, skeleton, source
        self._mirror = list(skeleton.mirror)
        self._tracker = Tracker(max_age_frames=max(1, round(info.fps)))
        self._rows: dict[int, _Rows] = {}

    def add(
        self,
        frame: VideoFrame,
        points_px: Float[np.ndarray, "people joints 2"],
        confidence: Float[np.ndarray, "people joints"],
    ) -> None:
        """Record the people found in `frame`; frames come in increasing order."""
        middles_px = (points_px + points_px[:, self._mirror]) / 2
        ids = self._tracker.update(
            frame.index, middles_px, np.minimum(confidence, confidence[:, self._mirror])
        )
        for track_id, points, sureness in zip(ids, points_px, confidence, strict=True):
            rows = self._rows.setdefault(track_id, _Rows())
            rows.frames.append(frame.index)
            rows.times_s.append(frame.time_s)
            rows.points_px.append(points.astype(np.float32))
            rows.confidence.append(sureness.astype(np.float32))

    def tracks(self) -> list[Pose2D]:
        """The tracks so far, by id."""
        return [
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
            )
            for track_id, rows in sorted(self._rows.items())
        ]
