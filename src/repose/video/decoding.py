"""Decoding of videos, upright and with the time of every frame.

Frame numbers are those of the file. A frame that cannot be decoded keeps its number: the frames after it
are not shifted, the number is simply not delivered, and it is listed in `Video.lost`. That works because
every packet of the file announces a presentation time; a time that passes without a frame is a lost frame.
"""

import ctypes
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av._core
import numpy as np
from av.codec.context import Flags
from av.stream import Disposition
from jaxtyping import UInt8

from repose.errors import UserError, reading, reads
from repose.video.focal_length import find_focal_length_mm

# Decoders whose packets may hold a picture that is never shown (VP8's alternate reference frames).
CODECS_WITH_HIDDEN_PICTURES = frozenset({"vp8"})
# The containers that are read, by FFmpeg's names. None of them leads to other files: playlists (HLS, DASH,
# concat scripts, SDP) and text that is rendered as a film are absent. The pages in docs list them.
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,ogg,flv,asf,mxf,dv,gif,nut,yuv4mpegpipe,ivf,"
    "h264,hevc,obu,mpegvideo,m4v"
)
# Containers whose packets have the time of their decoding alone.
_CONTAINERS_IN_DECODING_ORDER = frozenset({"avi"})

_LARGEST_BYTES = 512 << 20
"""FFmpeg takes so much memory for one thing, such as a picture or an index of 20 million frames. A file of
2 kB may announce 80 million."""


def _bound_memory() -> None:
    """Tell FFmpeg, for the whole process; PyAV has no word for it."""
    libraries = [av._core.__file__, *Path(av.__file__).parent.parent.glob("av.libs/avutil-*.dll")]
    for library in libraries:  # what PyAV's own part is linked to is found through it, except on Windows
        try:
            ctypes.CDLL(str(library)).av_max_alloc(ctypes.c_size_t(_LARGEST_BYTES))
        except (OSError, AttributeError):
            continue


_bound_memory()


@dataclass(frozen=True)
class VideoInfo:
    """What a file states about its video stream, after its rotation has been applied."""

    path: Path
    width: int
    height: int
    fps: float
    """Average frames per second; the frames of a variable-rate file have their own `time_s`."""
    frames: int | None
    """Number of frames that the file declares, None where it does not."""
    duration_s: float | None
    rotation: int
    """Degrees by which stored pictures are turned clockwise to stand upright: 0, 90, 180 or 270."""
    codec: str
    has_audio: bool
    focal_length_mm: float | None = None
    """35 mm equivalent of the lens, where the camera wrote it into the file."""


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One decoded frame, upright."""

    index: int
    """0-based number in the file; lost frames keep theirs."""
    time_s: float
    """Time since the start of the stream."""
    rgb: UInt8[np.ndarray, "height width 3"]


class Video:
    """A video file that can be iterated any number of times, one frame in memory at a time.

    `lost` and `damaged` tell, after a walk, which frames could not be decoded and which were decoded
    from damaged data (those are delivered).
    """

    def __init__(self, path: Path, info: VideoInfo) -> None:
        """`info` has the size that frames are scaled to."""
        self.path = path
        self.info = info
        self.lost: list[int] = []
        self.damaged: list[int] = []

    def __iter__(self) -> Iterator[VideoFrame]:
        """Frames in order of time; raises UserError if the file cannot be opened or holds no frame."""
        self.lost, self.damaged = [], []
        with reading(self.path, "a video"), open_container(self.path) as container:
            stream = video_stream(container, self.path)
            yield from self._walk(container, stream)

    def scaled(self, height: int) -> "Video":
        """Scale frames to `height` pixels; a video that is no higher stays as it is."""
        if height >= self.info.height:
            return self
        width = max(1, round(self.info.width * height / self.info.height))
        return Video(self.path, replace(self.info, width=width, height=height))

    def upright(self, frame: Any) -> UInt8[np.ndarray, "height width 3"]:
        """Return a decoded frame's picture as it stands upright."""
        return _upright(frame, self.info.width, self.info.height)

    def _walk(self, container: Any, stream: Any) -> Iterator[VideoFrame]:
        awaited: list[int] = []  # presentation times of packets whose frame has not come out yet
        index, latest_s = 0, -np.inf
        for packet, frames, failed in decode(container, stream):
            announces = stream.codec_context.name not in CODECS_WITH_HIDDEN_PICTURES or failed
            if packet.size and not packet.is_discard and announces:
                if packet.pts is not None:
                    heapq.heappush(awaited, packet.pts)
                elif failed:
                    self.lost.append(index)
                    index += 1
            for frame in frames:
                while frame.pts is not None and awaited and awaited[0] < frame.pts:
                    heapq.heappop(awaited)
                    self.lost.append(index)
                    index += 1
                if awaited and awaited[0] == frame.pts:
                    heapq.heappop(awaited)
                if frame.is_corrupt:
                    self.damaged.append(index)
                time_s = frame_time_s(frame, stream)
                if time_s is None or time_s <= latest_s:
                    time_s = max(index / self.info.fps, latest_s + 1e-6)
                yield VideoFrame(index, time_s, self.upright(frame))
                index, latest_s = index + 1, time_s
        missing = max(len(awaited), self._cut_off(index, latest_s))
        self.lost.extend(range(index, index + missing))
        if index == len(self.lost):
            raise UserError(f"{self.path}: no frame can be decoded ({self.info.codec}).", _TRY_PLAYER)

    def _cut_off(self, index: int, latest_s: float) -> int:
        """How many frames an early end of the file took.

        Both the declared number and the declared duration must be short of frames: a video trimmed by
        an edit list declares more frames than it shows.
        """
        if self.info.frames is None or self.info.duration_s is None or index == 0:
            return 0
        by_time = (self.info.duration_s - latest_s) * self.info.fps - 1
        missing = max(0, min(self.info.frames - index, round(by_time)))
        # No recording lacks so many times what it has: such a number is damaged, or hostile.
        return 0 if missing > 100_000 + 1000 * index else missing


class Seeker:
    """The frames of a video by their times, in any order. Going forward costs no more than iterating."""

    def __init__(self, video: Video) -> None:
        """Raise UserError as `open_video`. Call `close` at the end."""
        self._video = video
        self._container = open_container(video.path)
        self._stream = video_stream(self._container, video.path)
        self._coming: Iterator[Any] = iter(())
        self._frame: Any = None
        self._time_s = np.inf

    def at(self, time_s: float) -> UInt8[np.ndarray, "height width 3"] | None:
        """Return the frame shown at `time_s`, or the first before it; None if nothing decodes there."""
        if not self._time_s <= time_s + _TIE_S < self._time_s + _PATIENCE_S:
            start = self._stream.start_time or 0
            # Frames are counted from the start where the file does not say when each is shown.
            begin_s = 0.0 if in_decoding_order(self._container, self._stream) else max(time_s, 0.0)
            offset = start + int(begin_s / self._stream.time_base)
            with reading(self._video.path, "a video whose frames can be looked up", _TRY_PLAYER):
                self._container.seek(offset, stream=self._stream, backward=True)
            self._coming = (
                frame for _, frames, _ in decode(self._container, self._stream) for frame in frames
            )
            self._take(next(self._coming, None))
        while self._frame is not None:
            following = next(self._coming, None)
            if following is None:
                break
            if (frame_time_s(following, self._stream) or 0.0) > time_s + _TIE_S:
                self._coming = chain((following,), self._coming)
                break
            self._take(following)
        return None if self._frame is None else self._video.upright(self._frame)

    def close(self) -> None:
        self._container.close()

    def _take(self, frame: Any) -> None:
        self._frame = frame
        self._time_s = np.inf if frame is None else frame_time_s(frame, self._stream) or 0.0


# Times of frames are equal up to rounding; a jump ahead of so many seconds is worth a search.
_TIE_S, _PATIENCE_S = 5e-4, 1.0

_TRY_PLAYER = "Check that a player shows it, or convert it to H.264 mp4."


@reads("a video")
def open_video(path: str | os.PathLike[str]) -> Video:
    """Open a video and look at its first frame.

    Raises:
        UserError: an absent or empty file, a folder, a file that is not a video or is cut off before its
            index, one with sound only, and one of which no frame decodes.
    """
    path = Path(path)
    with open_container(path) as container:
        stream = video_stream(container, path)
        first = next((frame for _, frames, _ in decode(container, stream) for frame in frames), None)
        if first is None:
            raise UserError(f"{path}: no frame can be decoded ({stream.codec_context.name})", _TRY_PLAYER)
        width, height = _size(first, stream)
        rate, duration_s = _rate(container, stream), _duration_s(container, stream)
        frames = stream.frames or None
        if frames and stream.average_rate and rate != stream.average_rate:
            frames = round(frames * rate / stream.average_rate)
        info = VideoInfo(
            path=path,
            width=width,
            height=height,
            fps=float(rate),
            frames=frames,
            duration_s=duration_s,
            rotation=_rotation(_display_matrix(first)),
            codec=stream.codec_context.name,
            has_audio=bool(container.streams.audio),
            focal_length_mm=find_focal_length_mm(path, stream.metadata, container.metadata),
        )
    return Video(path, info)


def frames(path: str | os.PathLike[str]) -> Iterator[VideoFrame]:
    """Decode the frames of the video at `path`; errors as `open_video`."""
    return iter(open_video(path))


def open_container(path: Path) -> Any:
    """Open the container, once it is known to be a local file in one of the supported formats.

    An absolute path, since FFmpeg takes what stands before a colon for a protocol (`12:30.mp4`).
    """
    if not path.exists():
        raise UserError(f"no file at {path}", "Check the path.")
    if path.is_dir():
        raise UserError(f"{path}: expected a video, found a folder", "Give one video file.")
    if not path.is_file():
        raise UserError(f"{path}: expected a video, found a device or pipe", "Give one video file.")
    if path.stat().st_size == 0:
        raise UserError(f"{path}: the file is empty (0 bytes)", "Copy or download it again.")
    bounds = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file", "export_xmp": "1"}
    try:
        return av.open(str(path.absolute()), container_options=bounds)
    except PermissionError:
        raise
    except av.error.MemoryError:
        raise UserError(
            f"{path}: expected a video, found an index of more than {_LARGEST_BYTES >> 20} MB",
            "It is damaged, or far longer than a recording: cut it, or convert it to H.264 mp4.",
        ) from None
    except av.FFmpegError as error:
        raise UserError(
            f"{path}: not a video, or cut off before its index ({error.strerror})",
            "Check that a player can show it; a recording that was interrupted may need repair. "
            "MP4, MOV, MKV, WebM and AVI are read, playlists are not: docs/conventions.md#videos.",
        ) from error


def video_stream(container: Any, path: Path) -> Any:
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:  # the cover of a record
            continue
        if stream.codec_context is None:
            raise UserError(
                f"{path}: its video codec is not known to FFmpeg",
                "Convert it to H.264 mp4 where it was made.",
            )
        stream.thread_type = "SLICE"  # frame threads lose the whole frames behind a broken last one
        stream.codec_context.flags |= Flags.output_corrupt
        return stream
    found = "only sound" if container.streams.audio else "none"
    raise UserError(f"{path}: expected a video stream, found {found}", "Give a file with pictures.")


def in_decoding_order(container: Any, stream: Any) -> bool:
    """Whether the file does not say when each frame is shown."""
    return container.format.name in _CONTAINERS_IN_DECODING_ORDER and bool(stream.codec_context.has_b_frames)


def decode(container: Any, stream: Any) -> Iterator[tuple[Any, list[Any], bool]]:
    """Packets of the stream with the frames that came out, and whether decoding failed there.

    Frames come out in the order in which they are shown. Where the container knows no more than when each
    packet is to be decoded, the earliest of these times that is still free is the time of the next frame.
    """
    reorder = in_decoding_order(container, stream)
    free: list[int] = []
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError):  # a file that was cut off ends early
            return
        if reorder and packet.dts is not None:
            packet.pts = packet.dts
            heapq.heappush(free, packet.dts)
        try:
            frames, failed = packet.decode(), False
        except av.FFmpegError:
            frames, failed = [], True
            if free and packet.dts is not None:
                free.remove(packet.dts)
                heapq.heapify(free)
        for frame in frames:
            if free:
                frame.pts = heapq.heappop(free)
        yield packet, frames, failed


def _rate(container: Any, stream: Any) -> Fraction:
    """Frames per second; an AVI's own number counts the steps of its clock, of which some have no frame."""
    average, guessed = stream.average_rate, stream.guessed_rate
    if container.format.name in _CONTAINERS_IN_DECODING_ORDER:
        average, guessed = guessed, average
    return average or guessed or stream.base_rate or Fraction(30)


def frame_time_s(frame: Any, stream: Any) -> float | None:
    if frame.pts is None:
        return None
    return float((frame.pts - (stream.start_time or 0)) * (frame.time_base or stream.time_base))


def _duration_s(container: Any, stream: Any) -> float | None:
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / av.time_base


def _display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Signs a, b, c, d that take a stored place (x, y) to the shown one (a x + c y, b x + d y)."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    matrix = np.frombuffer(bytes(data), dtype=np.int32)[[0, 1, 3, 4]] / 65536
    straight = abs(matrix[0]) + abs(matrix[3]) >= abs(matrix[1]) + abs(matrix[2])
    a, b, c, d = np.where(matrix < 0, -1, 1) * ([1, 0, 0, 1] if straight else [0, 1, 1, 0])
    return int(a), int(b), int(c), int(d)


def _rotation(matrix: tuple[int, int, int, int]) -> int:
    a, b, _, _ = matrix
    return round(np.degrees(np.arctan2(b, a))) % 360


def _size(frame: Any, stream: Any) -> tuple[int, int]:
    """Width and height with square pixels, upright."""
    aspect = stream.sample_aspect_ratio
    width, height = round(frame.width * aspect) if aspect else frame.width, frame.height
    return (height, width) if _display_matrix(frame)[0] == 0 else (width, height)


def _upright(
    frame: Any, width: int, height: int, matrix: tuple[int, int, int, int] | None = None
) -> UInt8[np.ndarray, "height width 3"]:
    """RGB of this size, turned and mirrored as the file, or `matrix`, says."""
    a, b, c, d = matrix or _display_matrix(frame)
    if a == 0:
        picture = frame.to_ndarray(format="rgb24", width=height, height=width).transpose(1, 0, 2)
    else:
        picture = frame.to_ndarray(format="rgb24", width=width, height=height)
    return np.ascontiguousarray(picture[:: b or d, :: a or c])
