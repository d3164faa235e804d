"""Points of the background, followed from frame to frame: what tells how the camera turned.

Corners (Shi and Tomasi 1994) outside people are followed by optical flow (Lucas and Kanade 1981) from one
picture to the next, back and forth. Each frame's points are compared with those of a picture that many of
them have in common with it, the key picture, so that errors do not add up from frame to frame.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from repose.errors import UserError
from repose.video.camera_motion import Box
from repose.video.decoding import VideoFrame

LONGER_SIDE_PX = 640
MOST_POINTS = 200
FEWEST_POINTS = 25
PATIENCE_S = 0.5
"""So long the background may be lost to blur, or to somebody who passes."""
_BACK_PX = 1.0
"""A point that is followed forth and back comes back nearer than this."""
_MARGIN = 0.15
"""Of a person's box on each side, as a share of its longer side: it has joints, not hands and hair."""
_FLOW: dict[str, Any] = {"winSize": (21, 21), "maxLevel": 4}


@dataclass(frozen=True, eq=False)
class Match:
    """Where points of a key picture are in a later frame; none where they were lost."""

    key: int
    """Number of the frame that is the key picture."""
    frame: int
    key_px: Float[np.ndarray, "points 2"]
    points_px: Float[np.ndarray, "points 2"]


@dataclass(eq=False)
class _Key:
    frame: int
    start: Float[np.ndarray, "points 2"]
    now: Float[np.ndarray, "points 2"] = field(init=False)

    def __post_init__(self) -> None:
        self.first = len(self.start)
        self.now = self.start

    def keep(self, which: np.ndarray, now: np.ndarray) -> None:
        self.start, self.now = self.start[which], now[which]


def follow_background(
    frames: Iterable[VideoFrame],
    people_px: Mapping[int, list[Box]],
    last_frame: int,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Match]:
    """Follow points outside of `people_px`, boxes by frame; one match for each frame, the first with itself.

    Ends after `last_frame`, or before at the frame from which the background is lost for more than
    `PATIENCE_S`. `progress` is told how many frames are done, of how many.

    Raises UserError where OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError:
        raise UserError(
            "following the camera needs OpenCV, which is not installed", "pip install 'repose3d[view]'"
        ) from None
    key: _Key | None = None
    before, scale, seen_s = np.zeros((0, 0), np.uint8), 1.0, 0.0
    boxes: list[Box] = []
    for frame in frames:
        if frame.index > last_frame:
            return
        if progress:
            progress(frame.index + 1, last_frame + 1)
        scale = max(1.0, max(frame.rgb.shape[:2]) / LONGER_SIDE_PX)
        boxes = people_px.get(frame.index, boxes)
        picture = _small(cv2, frame.rgb, scale)
        free = _free(picture.shape, boxes, scale)
        if key is None:
            key, before, seen_s = _Key(frame.index, _corners(cv2, picture, free)), picture, frame.time_s
        else:
            now, found = _follow(cv2, before, picture, key.now)
            found &= _inside(free, now)
            if found.sum() >= FEWEST_POINTS:
                key.keep(found, now)
                before, seen_s = picture, frame.time_s
            elif frame.time_s - seen_s > PATIENCE_S:
                return
            else:
                yield Match(key.frame, frame.index, np.zeros((0, 2)), np.zeros((0, 2)))
                continue
        start, now = ((scale * points).astype(np.float32) for points in (key.start, key.now))
        yield Match(key.frame, frame.index, start, now)
        if len(key.now) < max(FEWEST_POINTS, key.first / 2):
            key = _Key(frame.index, _corners(cv2, picture, free))


def _small(cv2: Any, rgb: UInt8[np.ndarray, "height width 3"], scale: float) -> np.ndarray:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    size = (max(1, round(width / scale)), max(1, round(height / scale)))
    return grey if size == (width, height) else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def _free(shape: tuple[int, ...], boxes: list[Box], scale: float) -> UInt8[np.ndarray, "height width"]:
    """Where nobody is: 255, elsewhere 0."""
    free = np.full(shape, 255, dtype=np.uint8)
    for left, top, right, bottom in boxes:
        margin = _MARGIN * max(right - left, bottom - top)
        edges = np.array([top - margin, bottom + margin, left - margin, right + margin]) / scale
        first, last, begin, end = np.clip(edges, 0, max(shape)).astype(int)
        free[first : last + 1, begin : end + 1] = 0
    return free


def _corners(cv2: Any, picture: np.ndarray, free: np.ndarray) -> Float[np.ndarray, "points 2"]:
    found = cv2.goodFeaturesToTrack(picture, MOST_POINTS, 0.01, 7, mask=free)
    return np.zeros((0, 2)) if found is None else found.reshape(-1, 2).astype(np.float64)


def _follow(
    cv2: Any, before: np.ndarray, after: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the points are in the next picture, and which were found there."""
    if not len(points):
        return points, np.zeros(0, dtype=bool)
    start = points.astype(np.float32).reshape(-1, 1, 2)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, after, start, None, **_FLOW)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, None, **_FLOW)
    near = np.linalg.norm((back - start)[:, 0], axis=-1) < _BACK_PX
    return there[:, 0].astype(np.float64), (found[:, 0] > 0) & (returned[:, 0] > 0) & near


def _inside(free: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which points are in the picture and on nobody."""
    height, width = free.shape
    rows, columns = np.round(points[:, 1]), np.round(points[:, 0])
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    at = np.where(inside, rows, 0).astype(int), np.where(inside, columns, 0).astype(int)
    return np.asarray(inside & (free[at] > 0))
