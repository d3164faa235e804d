"""Encoding of videos as H.264, with the sound of another one."""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from repose.errors import UserError
from repose.files.output import stage_file
from repose.video.decoding import VideoFrame, open_container

_SUFFIXES = (".mp4", ".mov", ".mkv")
# Sound that all three containers hold as it is; any other becomes AAC.
_COPIED_SOUND = frozenset({"aac", "mp3", "ac3", "eac3", "alac"})
_CLOCK = Fraction(1, 90_000)


def write_video(
    path: str | os.PathLike[str],
    pictures: Iterable[UInt8[np.ndarray, "height width 3"] | VideoFrame],
    fps: float,
    crf: int = 20,
    *,
    preset: str = "medium",
    keyframe_s: float | None = None,
    most_kbit_s: float | None = None,
    sound: str | os.PathLike[str] | None = None,
) -> int:
    """Encode RGB pictures of one size as H.264; returns their number.

    The file appears under its name only when it is complete. A side of odd length is extended by one
    pixel, which 4:2:0 colour needs.

    Args:
        path: file ending in .mp4, .mov or .mkv.
        pictures: bare pictures follow each other at `fps`; a `VideoFrame` is shown at its own time.
        fps: frame rate of bare pictures.
        crf: x264's constant rate factor; lower is better and larger.
        preset: x264's choice between speed and size.
        keyframe_s: longest time in seconds between key frames.
        most_kbit_s: bound on the bit rate, at the cost of quality.
        sound: a video whose sound is copied, without re-encoding if the container allows it.

    Raises:
        UserError: another suffix, no pictures, and pictures of different sizes.
    """
    path = Path(path)
    if path.suffix.lower() not in _SUFFIXES:
        raise UserError(f"{path}: expected a video name ending in {', '.join(_SUFFIXES)}", "Rename it.")
    options = {"crf": str(crf), "preset": preset}
    if keyframe_s is not None:
        options["g"] = str(max(1, round(keyframe_s * fps)))
    if most_kbit_s is not None:
        options |= {"maxrate": f"{most_kbit_s:.0f}k", "bufsize": f"{2 * most_kbit_s:.0f}k"}
    with (
        stage_file(path) as partial,
        av.open(str(partial.absolute()), "w", options={"movflags": "faststart"}) as container,
    ):
        return _encode(container, path, pictures, fps, options, sound)


def _encode(
    container: Any,
    path: Path,
    pictures: Iterable[np.ndarray | VideoFrame],
    fps: float,
    options: dict[str, str],
    sound: str | os.PathLike[str] | None,
) -> int:
    count, shape, clock = 0, None, -1
    stream: Any = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
    stream.pix_fmt = "yuv420p"
    stream.options = options
    with nullcontext() if sound is None else closing(_Sound(container, sound)) as track:
        for picture in pictures:
            time_s = picture.time_s if isinstance(picture, VideoFrame) else None
            rgb: np.ndarray = picture.rgb if isinstance(picture, VideoFrame) else picture
            if shape is None:
                shape = rgb.shape
                stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                if time_s is not None:
                    stream.codec_context.time_base = _CLOCK
            elif rgb.shape != shape:
                raise UserError(f"{path}: picture {count}: expected size {shape}, found {rgb.shape}")
            if shape[0] % 2 or shape[1] % 2:
                rgb = np.pad(rgb, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if time_s is not None:
                clock = max(clock + 1, round(time_s / _CLOCK))
                frame.pts, frame.time_base = clock, _CLOCK
            if track:
                track.copy_until(count / fps if time_s is None else time_s)
            container.mux(stream.encode(frame))
            count += 1
        if not count:
            raise UserError(f"{path}: no pictures to write")
        container.mux(stream.encode(None))
        if track:
            track.copy_until(np.inf)
    return count


class _Sound:
    """Copies the sound of a video into another one."""

    def __init__(self, container: Any, path: str | os.PathLike[str]) -> None:
        self._container = container
        self._source: Any = open_container(Path(path))
        self._stream = self._source.streams.audio[0]
        first_picture: Any = self._source.streams.video[0]
        self._start_s = float((first_picture.start_time or 0) * first_picture.time_base)
        self._copied = self._stream.codec_context.name in _COPIED_SOUND
        if self._copied:
            self._target = container.add_stream_from_template(self._stream)
        else:
            self._target = container.add_stream("aac", rate=self._stream.codec_context.sample_rate)
        self._packets = self._encoded()
        self._next: Any = next(self._packets, None)

    def copy_until(self, time_s: float) -> None:
        while self._next is not None and float(self._next.pts * self._next.time_base) <= time_s:
            self._container.mux(self._next)
            self._next = next(self._packets, None)

    def close(self) -> None:
        self._source.close()

    def _encoded(self) -> Iterator[Any]:
        """Packets for the new container, whose clock starts with the first picture."""
        if self._copied:
            for packet in self._source.demux(self._stream):
                if packet.pts is None:
                    continue
                packet.stream = self._target
                late = round(self._start_s / packet.time_base)
                packet.pts -= late
                packet.dts -= late
                if packet.pts >= 0:
                    yield packet
            return
        for frame in self._source.decode(self._stream):
            frame.pts -= round(self._start_s / frame.time_base)
            yield from self._target.encode(frame)
        yield from self._target.encode(None)
