"""The people of a video: detected by one process, or in pieces by several at once.

The detectors here follow people from frame to frame, so a piece begins some seconds early. Where it has found
by then what the piece before it found (`repose.detectors.joining`), it goes on like one that has seen all;
elsewhere the cut is detected again, from earlier on and beyond. Who is who is decided afterwards, over all
pieces, as if there was one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from repose.detectors import Detector, Follower, TrackRecorder, get_detector
from repose.detectors.joining import Found, Stretch, join
from repose.detectors.processes import share_out
from repose.errors import UserError, expected
from repose.pose import Pose2D
from repose.sequence import interpolate, stretches
from repose.tracking.people import parse_person
from repose.video import CameraMotion, CameraWatch, Video, VideoFrame, VideoInfo, open_video
from repose.video.pieces import Piece, cut

LONG_S = 120.0
"""Videos are cut from this length on."""
PIECE_S, SHORTEST_PIECE_S = 150.0, 30.0
"""Length of a piece: about the first, and not below the second."""
OVERLAP_S = 4.0
IN_PIECES = ("mediapipe", "rtmpose")
"""Detectors that know who is who by `TrackRecorder` alone, and can be made by their names in any process."""

_NO_PICTURE = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class Detection:
    """How people are to be detected."""

    detector: str = "mediapipe"
    options: dict[str, Any] = field(default_factory=dict)
    person: str | None = None
    """Whom to follow, for a detector that follows one."""
    capture_fps: float | None = None
    """Frame rate at which slow motion was filmed."""
    fps: float | None = None
    """So many frames a second are enough; what is between them is interpolated."""

    def info(self, info: VideoInfo) -> VideoInfo:
        """Return what the video states, in the times of life."""
        return info if self.capture_fps is None else replace(info, fps=self.capture_fps)

    def every(self, info: VideoInfo) -> int:
        """Return of how many frames one is looked at."""
        return 1 if self.fps is None else max(1, int(self.info(info).fps / self.fps + 0.01))


@dataclass(eq=False)
class Detected:
    """What was found."""

    tracks: list[Pose2D]
    camera: CameraWatch
    lost: list[int]
    damaged: list[int]

    def camera_motion(self) -> CameraMotion:
        """Conclude from the background around the people whether the camera moved."""
        return self.camera.motion(self.boxes_px())

    def boxes_px(self) -> dict[int, list[tuple[float, float, float, float]]]:
        """Return left, top, right and bottom of everybody that was seen, by frame."""
        boxes: dict[int, list[tuple[float, float, float, float]]] = {}
        for track in self.tracks:
            found = track.confidence[..., None] > 0
            low = np.where(found, track.points_px, np.inf).min(axis=1)
            high = np.where(found, track.points_px, -np.inf).max(axis=1)
            for frame, box in zip(track.frames, np.hstack([low, high]).tolist(), strict=True):
                boxes.setdefault(int(frame), []).append(tuple(box))
        return boxes


def detect(
    video: Video,
    how: Detection,
    *,
    detector: Detector | None = None,
    workers: int = 1,
    progress: Callable[[int, int | None], None] | None = None,
) -> Detected:
    """Detect the people of a video.

    Args:
        video: the video.
        how: the detector and the rest.
        detector: the one that is meant, if it is loaded already.
        workers: processes that may work at once. A video of `LONG_S` or more is then cut, if its frames
            can be told by their times and the detector, one of `IN_PIECES`, follows nobody in particular.
        progress: told how many frames are done, and of how many.

    Raises:
        UserError: a detector or video that cannot be used, and a video that is cut off.
    """
    found = _detect(video, how, detector, workers, progress)
    _check_end(video, found.lost)
    return found


def _detect(
    video: Video,
    how: Detection,
    detector: Detector | None,
    workers: int,
    progress: Callable[[int, int | None], None] | None,
) -> Detected:
    info = video.info
    seconds = info.frames / info.fps if info.frames else info.duration_s or 0.0
    workers = min(workers, int(seconds / SHORTEST_PIECE_S))
    if workers > 1 and seconds >= LONG_S and how.detector in IN_PIECES and not _follows(how):
        # As many for each process, so that all end at once.
        pieces = cut(video, workers * max(1, round(seconds / workers / PIECE_S)), OVERLAP_S)
        if len(pieces) > 1:
            return _detect_pieces(video, how, pieces, workers, progress)
    detector = detector or get_detector(how.detector, **how.options)
    tracks, camera = _walk(video, detector, how, _counted(video, info.frames, progress))
    return Detected(_filled(tracks, how.every(info)), camera, list(video.lost), list(video.damaged))


def _follows(how: Detection) -> bool:
    """Whether a certain person is meant, as a detector can know it while it detects."""
    return how.person is not None and not isinstance(parse_person(how.person), int)


def _walk(
    video: Video, detector: Detector, how: Detection, frames: Iterable[VideoFrame]
) -> tuple[list[Pose2D], CameraWatch]:
    camera, info, every = CameraWatch(), how.info(video.info), how.every(video.info)
    slow_motion = info.fps / video.info.fps
    if slow_motion != 1:
        frames = (replace(frame, time_s=frame.time_s / slow_motion) for frame in frames)
    frames = (frame for frame in camera.watch(frames) if frame.index % every == 0)
    if isinstance(detector, Follower) and _follows(how):
        return detector.follow(frames, info, str(how.person)), camera
    return detector.detect(frames, info), camera


def _counted(
    frames: Iterable[VideoFrame], total: int | None, progress: Callable[[int, int | None], None] | None
) -> Iterator[VideoFrame]:
    for done, frame in enumerate(frames, start=1):
        yield frame
        if progress:
            progress(done, max(done, total) if total else None)


class _PieceDetector:
    """What each process does: the pieces that it is given."""

    def __init__(self, path: Path, how: Detection) -> None:
        self._video, self._how = open_video(path), how
        self._detector = get_detector(how.detector, **how.options)

    def __call__(self, piece: Piece) -> tuple[Piece, Detected]:
        tracks, camera = _walk(self._video, self._detector, self._how, piece.frames(self._video))
        return piece, Detected(tracks, camera.after(piece.first), piece.lost, piece.damaged)


def _detect_pieces(
    video: Video,
    how: Detection,
    pieces: list[Piece],
    workers: int,
    progress: Callable[[int, int | None], None] | None,
) -> Detected:
    deaths: Counter[int] = Counter()

    def died(piece: Piece) -> None:
        deaths[piece.first] += 1
        if deaths[piece.first] > 1:
            raise UserError(
                f"{video.path.name}: processes die at frames {piece.first} to {piece.stop}",
                "If the system ends them for want of memory, take fewer: --workers.",
            )

    found: list[tuple[Piece, Detected]] = []
    make = partial(_PieceDetector, video.path, how)

    def detected(pieces: list[Piece]) -> Iterator[tuple[Piece, Detected]]:
        yield from share_out(make, pieces, min(workers, len(pieces)), died)

    for piece, part in detected(pieces):
        found.append((piece, part))
        if progress:
            progress(sum(piece.stop - piece.first for piece, _ in found), pieces[-1].stop)
    found.sort(key=lambda pair: pair[0].first)
    info, every = how.info(video.info), how.every(video.info)
    people = join(
        [Stretch(piece, part.tracks) for piece, part in found],
        lambda bridges: [Stretch(piece, part.tracks) for piece, part in detected(bridges)],
        info,
        every,
    )
    return _put_together(found, people, info, every)


def _put_together(
    parts: list[tuple[Piece, Detected]], people: list[Found], info: VideoInfo, every: int
) -> Detected:
    """Tell the people of all frames apart, and sum up what else the pieces found."""
    tracks: list[Pose2D] = []
    if people:
        layout = next(track for _, part in parts for track in part.tracks)
        recorder = TrackRecorder(info, layout.skeleton, layout.source)
        for found in people:
            frame = VideoFrame(found.frame, found.time_s, _NO_PICTURE)
            recorder.add(frame, found.points_px, found.confidence)
        tracks = recorder.tracks()
    camera = CameraWatch.joined([part.camera for _, part in parts])
    lost = [number for _, part in parts for number in part.lost]
    damaged = [number for _, part in parts for number in part.damaged]
    return Detected(_filled(tracks, every), camera, lost, damaged)


def _filled(tracks: list[Pose2D], every: int) -> list[Pose2D]:
    """Interpolate the frames that were not looked at, between two that were; `record` says so."""
    return tracks if every == 1 else [_fill(track, every) for track in tracks]


def _fill(track: Pose2D, every: int) -> Pose2D:
    parts = []
    for rows in stretches(np.diff(track.frames) > every):
        known = track.frames[rows]
        frames = np.arange(known[0], known[-1] + 1)
        at = np.interp(frames, known, np.arange(len(known)))
        before, after = np.floor(at).astype(int), np.ceil(at).astype(int)
        confidence = track.confidence[rows]
        parts.append(
            (
                frames,
                np.interp(at, np.arange(len(known)), track.times_s[rows]),
                interpolate(track.points_px[rows].astype(np.float64), at).astype(np.float32),
                np.minimum(confidence[before], confidence[after]),
            )
        )
    frames, times_s, points_px, confidence = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return replace(
        track,
        frames=frames,
        times_s=times_s,
        points_px=points_px,
        confidence=confidence,
        record={**track.record, "detected_every": every},
    )


def _check_end(video: Video, lost_frames: list[int]) -> None:
    """Refuse a file that was cut off: single broken frames are reported, a lost end is another matter."""
    frames, lost = video.info.frames or 0, set(lost_frames)
    if not lost:
        return
    end = max(lost) + 1
    there = next(count for count in range(end, -1, -1) if count - 1 not in lost)
    if end >= frames - 1 and there < 0.9 * frames:
        expected(
            f"{video.path.name}: the file is cut off",
            f"{frames} frames",
            there,
            "Copy or download it again; or keep what is there: ffmpeg -i FILE whole.mp4.",
        )
