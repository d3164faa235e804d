"""A track's gaps: the short ones are listed and filled in 2D, the long ones cut it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from repose.pose import Pose2D
from repose.sequence import fill_missing, missing, stretches

LONGEST_GAP_S = 60.0
"""No gap is filled that is longer."""


@dataclass(frozen=True, eq=False)
class Segment:
    """A run of a track without long gaps, with every frame listed."""

    frames: Int[np.ndarray, " frames"]
    times_s: Float[np.ndarray, " frames"]
    points_px: Float[np.ndarray, "frames joints 2"]
    """Gaps interpolated over time."""
    confidence: Float[np.ndarray, "frames joints"]
    """0 where the joint is missing."""

    @property
    def never(self) -> Bool[np.ndarray, " joints"]:
        """Which joints are missing in all frames: nothing says where they are in the picture."""
        return np.asarray(~(self.confidence > 0).any(axis=0))


def gaps_too_long(
    frames: Int[np.ndarray, " frames"], times_s: Float[np.ndarray, " frames"], fps: float, max_gap_s: float
) -> Bool[np.ndarray, " steps"]:
    """Find the steps from one frame to the next that are gaps longer than `max_gap_s`."""
    # The frame after a gap comes one frame later than the gap is long; a hair more against rounding.
    longest = max_gap_s + 1.001 / fps
    steps_s, steps = np.diff(times_s), np.diff(frames)
    # Times that leave no room for the frames of a gap are wrong: ten times the rate is no variable rate.
    too_long = (steps_s > longest) | (steps > 10 * longest * fps)
    # Between neighbouring frames nothing is missing, unless the times say that the source stood still.
    return np.asarray(too_long & ((steps > 1) | (steps_s > LONGEST_GAP_S)))


def split_at_gaps(pose: Pose2D, max_gap_s: float) -> Iterator[Segment]:
    """Cut the track at gaps that are too long, and list the missing frames of the others."""
    for rows in stretches(gaps_too_long(pose.frames, pose.times_s, pose.fps, max_gap_s)):
        if not (pose.confidence[rows] > 0).any():
            continue
        known = pose.frames[rows]
        frames = np.arange(known[0], known[-1] + 1)
        points = np.zeros((len(frames), *pose.points_px.shape[1:]))
        confidence = np.zeros(points.shape[:2])
        points[known - known[0]] = pose.points_px[rows]
        confidence[known - known[0]] = pose.confidence[rows]
        times = np.interp(frames, known, pose.times_s[rows])
        yield Segment(frames, times, fill_missing(points, confidence > 0), confidence)


def left_empty(frames: Int[np.ndarray, " frames"], pose: Pose2D) -> list[list[int]]:
    """First and last number of every gap in `frames` between the ends of the track."""
    edges = np.concatenate([pose.frames[:1] - 1, frames, pose.frames[-1:] + 1])
    return [list(gap) for gap in missing(edges)]
