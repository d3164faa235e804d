"""Pictures from where they are being made: camera, network, standard input; or from a file in their stead."""

import errno
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import av.device
import numpy as np
from jaxtyping import UInt8

from repose.errors import UserError, expected
from repose.video import decoding
from repose.video.decoding import VideoInfo, open_container, open_video

_OPEN_S, _SILENT_S = 10.0, 5.0
"""How long a source may take to open, and then to send nothing, before it counts as gone."""
_CAMERAS = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
_RTSP = {"format_whitelist": "rtsp", "protocol_whitelist": "rtsp,rtsps,rtp,srtp,tcp,udp,tls"}
_HTTP = {
    "format_whitelist": f"mpjpeg,{decoding._CONTAINERS}",
    "protocol_whitelist": "http,https,httpproxy,tcp,tls",
}
NETWORK = {"rtsp": _RTSP, "rtsps": _RTSP, "http": _HTTP, "https": _HTTP}
"""Addresses that are opened, and what FFmpeg may read there: no playlist, nothing that leads to a file."""
_BEHIND_S = 0.5
"""A file that cannot be decoded at its own speed is played slower rather than later and later."""
_OWN_CLOCK_S = 2.0
"""A time stamp that is so little before now, on this machine's clock, is the camera's own."""


@dataclass(frozen=True, eq=False)
class FeedFrame:
    """One picture as it comes."""

    time_s: float
    """Since the first one, by the source's own clock where it has one."""
    taken_s: float
    """`time.monotonic()` when it was taken; when it arrived, where the source does not say."""
    picture: Callable[..., UInt8[np.ndarray, "height width 3"]]
    """Make it an upright RGB picture, or one of at most so many pixels in height: work that only frames that
    are looked at are worth."""


class Feed:
    """A source of pictures that comes at its own speed. Made by `open_feed`."""

    def __init__(
        self, name: str, info: VideoInfo, container: Any, stream: Any, frames: Iterator[Any]
    ) -> None:
        self.name, self.info = name, info
        self._container, self._stream, self._frames = container, stream, frames
        self._matrix: tuple[int, int, int, int] | None = None
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[FeedFrame]:
        """Yield frames until the source ends; raises UserError where it breaks off."""
        first_s = last_s = 0.0
        offset: float | None = None
        while not self._closed.is_set():
            try:
                frame = next(self._frames)
            except StopIteration:
                return
            except (OSError, av.FFmpegError) as error:
                if not self._closed.is_set():
                    raise _lost(self.name, error) from None
                return
            now_s, stamp_s = time.monotonic(), _stamp_s(frame)
            own = stamp_s is not None and 0 <= now_s - stamp_s < _OWN_CLOCK_S
            taken_s = stamp_s if own and stamp_s is not None else now_s
            first_s = first_s or taken_s
            time_s = taken_s - first_s
            if stamp_s is not None and not own:  # the network delays frames, its time stamps do not
                offset = time_s - stamp_s if offset is None else offset
                if abs(stamp_s + offset - time_s) < 1.0:
                    time_s = stamp_s + offset
                else:
                    offset = None
            last_s = time_s if time_s > last_s else last_s + 1e-4
            yield FeedFrame(last_s, taken_s, self._picture(frame))

    def _picture(self, frame: Any) -> Callable[..., UInt8[np.ndarray, "height width 3"]]:
        def picture(height: int = self.info.height) -> UInt8[np.ndarray, "height width 3"]:
            height = min(height, self.info.height)
            width = max(1, round(self.info.width * height / self.info.height))
            # Looked up once: PyAV's frames hold on to themselves through what lies beside the picture, and
            # would stay in memory until Python looks for such circles.
            self._matrix = self._matrix or decoding._display_matrix(frame)
            return decoding._upright(frame, width, height, self._matrix)

        return picture

    def close(self) -> None:
        """Give the source free. A frame that is being waited for is abandoned."""
        self._closed.set()


class _FileFeed(Feed):
    """A file, which comes at the speed at which it was filmed."""

    loop = False

    def __iter__(self) -> Iterator[FeedFrame]:
        start_s, begin_s, time_s = time.monotonic(), 0.0, -1.0
        while True:
            for frame in self._frames:
                time_s = max(time_s + 1e-4, begin_s + (decoding.frame_time_s(frame, self._stream) or 0.0))
                wait_s = start_s + time_s - time.monotonic()
                if self._closed.wait(max(wait_s, 0)):
                    return
                start_s += max(0.0, -wait_s - _BEHIND_S)
                yield FeedFrame(time_s, start_s + time_s, self._picture(frame))
            if not self.loop:
                return
            begin_s = time_s + 1 / self.info.fps
            self._container.close()
            self._container = open_container(self.info.path)
            self._stream = decoding.video_stream(self._container, self.info.path)
            self._frames = _decoded(self._container, self._stream)


def open_feed(
    source: str | int,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    loop: bool = False,
) -> Feed:
    """Open a source and wait for its first picture.

    Args:
        source: the number of a camera, a file, an address (`rtsp://…`, `http://…`), or "-" for a video on
            standard input.
        fps: asked of a camera.
        size: width and height in pixels, asked of a camera.
        loop: play a file again and again.

    Raises UserError for no such camera or one in use, an address where nothing answers, and whatever
    `open_video` finds wrong with a file.
    """
    text = str(source)
    scheme = urlsplit(text).scheme
    if text != "-" and not text.isdecimal() and scheme not in NETWORK:
        if "://" in text:
            expected("source", f"an address of {', '.join(NETWORK)}", scheme or text, "Or give a file.")
        info = open_video(text).info
        container = open_container(info.path)
        stream = decoding.video_stream(container, info.path)
        feed = _FileFeed(info.path.name, info, container, stream, _decoded(container, stream))
        feed.loop = loop
        return feed
    name = f"camera {text}" if text.isdecimal() else "standard input" if text == "-" else _without_login(text)
    try:
        container = _open_live(text, fps, size)
        stream = decoding.video_stream(container, Path(name))
        frames = _live(container, stream)
        first = next(frames, None)
    except (OSError, av.FFmpegError) as error:
        raise _cannot_open(name, text, error) from None
    if first is None:
        raise UserError(f"{name}: expected pictures, found none before the end", "Check what is sent there.")
    width, height = decoding._size(first, stream)
    rate = float(stream.average_rate or stream.guessed_rate or fps or 30)
    info = VideoInfo(Path(name), width, height, rate if 1 <= rate <= 1000 else 30.0, None, None, 0, "", False)
    return Feed(name, info, container, stream, chain((first,), frames))


def _open_live(text: str, fps: float | None, size: tuple[int, int] | None) -> Any:
    timeout = (_OPEN_S, _SILENT_S)
    if text == "-":
        bounds = {"format_whitelist": decoding._CONTAINERS}
        return av.open(sys.stdin.buffer, container_options=bounds, options=bounds)
    if not text.isdecimal():
        options = dict(NETWORK[urlsplit(text).scheme])
        if options["format_whitelist"] == "rtsp":
            options["rtsp_transport"] = "tcp"
        return av.open(text, options=options, timeout=timeout)
    kind = _CAMERAS.get(sys.platform, "v4l2")
    options = {"framerate": f"{fps:g}"} if fps else {"framerate": "30"} if kind == "avfoundation" else {}
    if size:
        options["video_size"] = f"{size[0]}x{size[1]}"
    device = {"v4l2": f"/dev/video{text}", "avfoundation": text}.get(kind)
    if device is None:
        names = [camera.name for camera in av.device.enumerate_input_devices(kind)]
        if int(text) >= len(names):
            raise FileNotFoundError(errno.ENOENT, "no such camera")
        device = f"video={names[int(text)]}"
    return av.open(device, format=kind, options=options, timeout=timeout)


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    return (frame for _, frames, _ in decoding.decode(container, stream) for frame in frames)


def _live(container: Any, stream: Any) -> Iterator[Any]:
    """Frames as they come; a damaged one is left out, a source that breaks off raises OSError."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.EOFError):
            return
        except BlockingIOError:  # the camera has no picture yet
            time.sleep(0.002)
            packets = container.demux(stream)
            continue
        with suppress(av.error.InvalidDataError):
            yield from packet.decode()


def _stamp_s(frame: Any) -> float | None:
    return None if frame.pts is None else float(frame.pts * frame.time_base)


def _without_login(address: str) -> str:
    """Leave out name and password, which are nobody's business."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _cannot_open(name: str, text: str, error: Any) -> UserError:
    if isinstance(error, av.error.ExitError):
        return UserError(
            f"{name}: nothing came within {_OPEN_S:g} s", "Check that it is on, and its address."
        )
    if not text.isdecimal():
        reason = error.strerror or type(error).__name__
        return UserError(f"{name}: cannot be opened ({reason})", "Check that it is on, and its address.")
    if error.errno == errno.EBUSY:
        return UserError(f"{name} is in use by another program", "Close that program, or choose --camera N.")
    if error.errno in (errno.EACCES, errno.EPERM):
        return UserError(f"{name} may not be opened", "Allow this program the camera (Linux: group video).")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        there = sorted(int(path.name[5:]) for path in Path("/dev").glob("video[0-9]*"))
        found = f"found {', '.join(map(str, there))}" if there else "found none"
        return UserError(f"no camera {text}: {found}", "Connect one, or give a file or an address.")
    reason = error.strerror or type(error).__name__
    return UserError(f"{name} cannot be opened ({reason})", "Try another --size or --fps, or another camera.")


def _lost(name: str, error: Any) -> UserError:
    if isinstance(error, av.error.ExitError):
        return UserError(f"{name} was lost: nothing came for {_SILENT_S:g} s", "Check cable and network.")
    return UserError(
        f"{name} was lost ({error.strerror or type(error).__name__})", "Check cable and network."
    )
