"""A piece of a video, decoded apart from what comes before it, with the numbers of the whole."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int

from repose.errors import reading
from repose.video.decoding import (
    CODECS_WITH_HIDDEN_PICTURES,
    Video,
    VideoFrame,
    decode,
    frame_time_s,
    in_decoding_order,
    open_container,
    video_stream,
)


@dataclass(eq=False)
class Piece:
    """Some frames of a video; as with `Video`, `lost` and `damaged` tell after a walk what is not sound."""

    ticks: Int[np.ndarray, " frames"]
    """When each frame of the video is shown."""
    begin: int
    """Number of the first frame that is delivered: those before `first` are for warming up."""
    first: int
    stop: int
    """One after the last."""
    lost: list[int] = field(default_factory=list)
    damaged: list[int] = field(default_factory=list)

    def frames(self, video: Video) -> Iterator[VideoFrame]:
        """Decode the frames from `begin` on, with their numbers and times in the whole video.

        Raises UserError as `Video`.
        """
        self.lost, self.damaged = [], []
        there = set()
        with reading(video.path, "a video"), open_container(video.path) as container:
            stream = video_stream(container, video.path)
            container.seek(int(self.ticks[self.begin]), stream=stream, backward=True)
            for _, frames, _ in decode(container, stream):
                for frame in frames:
                    number = int(np.searchsorted(self.ticks, frame.pts))
                    if number >= self.stop:
                        break
                    if number < self.begin:
                        continue
                    there.add(number)
                    if frame.is_corrupt:
                        self.damaged.append(number)
                    yield VideoFrame(number, frame_time_s(frame, stream) or 0.0, video.upright(frame))
                else:
                    continue
                break
        self.lost = sorted(set(range(self.first, self.stop)) - there)
        self.damaged = [number for number in self.damaged if number >= self.first]


def cut(video: Video, count: int, overlap_s: float) -> list[Piece]:
    """Cut a video into pieces of one length, each of which begins `overlap_s` early.

    Returns an empty list for a video whose frames cannot be told apart by their times.
    """
    ticks = presentation_times(video)
    if ticks is None:
        return []
    edges = np.linspace(0, len(ticks), count + 1).astype(int).tolist()
    early = round(overlap_s * video.info.fps)
    return [Piece(ticks, max(0, first - early), first, stop) for first, stop in pairwise(edges)]


def presentation_times(video: Video) -> Int[np.ndarray, " frames"] | None:
    """Read the times of all frames, in ticks of the stream, without decoding; increasing.

    None where they do not number the frames as decoding the whole video does: not all packets have a time of
    their own, some are not shown, or they are fewer or more than the file declares.
    """
    ticks = []
    with reading(video.path, "a video"), open_container(video.path) as container:
        stream = video_stream(container, video.path)
        if in_decoding_order(container, stream) or video.info.codec in CODECS_WITH_HIDDEN_PICTURES:
            return None
        start = stream.start_time or 0  # which a closed container no longer knows
        for packet in container.demux(stream):
            if packet.size and (packet.pts is None or packet.is_discard or packet.is_corrupt):
                return None
            if packet.size:
                ticks.append(packet.pts)
    found = np.unique(np.array(ticks, dtype=np.int64))
    numbered = len(found) == len(ticks) and video.info.frames in (None, len(ticks))
    return found if numbered and len(found) and found[0] == start else None
