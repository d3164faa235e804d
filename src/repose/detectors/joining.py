"""The cuts between pieces of a video that was detected in pieces.

A detector that follows people needs some frames until it finds what it would have found had it seen all:
MediaPipe a second in the open, five behind a counter. From where two pieces have found the same people in
the same places they go on alike, so that is a good place for a cut. Where two have not come to agree, a
third, the bridge, begins earlier than the second and ends later than the first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from repose.pose import Pose2D
from repose.video import VideoInfo
from repose.video.pieces import Piece

SAME = 0.0015
"""So far apart, in sizes of the person, are the joints of two that are the same: 2 to 3 mm."""
SAME_S = 0.2
"""Two pieces agree that have found the same for so long."""
BRIDGES_S = (8.0, 24.0, 72.0)
"""So much before and after a cut is detected again, if less did not do."""


@dataclass(frozen=True, eq=False)
class Found:
    """Everybody in a frame."""

    frame: int
    time_s: float
    points_px: Float[np.ndarray, "people joints 2"]
    confidence: Float[np.ndarray, "people joints"]


@dataclass(frozen=True, eq=False)
class Stretch:
    """What was found in a piece of a video, of which the frames from `first` to `stop` count."""

    piece: Piece
    tracks: list[Pose2D]

    @cached_property
    def frames(self) -> dict[int, Found]:
        """Everybody, by the number of the frame."""
        rows: dict[int, list[tuple[Pose2D, int]]] = {}
        for track in self.tracks:
            for row, number in enumerate(track.frames.tolist()):
                rows.setdefault(number, []).append((track, row))
        return {
            number: Found(
                number,
                float(there[0][0].times_s[there[0][1]]),
                np.stack([track.points_px[row] for track, row in there]),
                np.stack([track.confidence[row] for track, row in there]),
            )
            for number, there in rows.items()
        }

    def between(self, first: int, stop: int) -> "Stretch":
        """Return the same, of which other frames count."""
        return replace(self, piece=replace(self.piece, first=first, stop=stop))


def join(
    stretches: list[Stretch], detect: Callable[[list[Piece]], list[Stretch]], info: VideoInfo, every: int = 1
) -> list[Found]:
    """Put together what was found in the pieces of a video, in order, each frame once.

    Args:
        stretches: the pieces, in order.
        detect: detects other pieces of the same video.
        info: of the video, in the times of life.
        every: of so many frames one is looked at.
    """
    count = every * max(1, round(SAME_S * info.fps / every))
    bridges: dict[int, Stretch] = {}  # by the number of the piece before the cut
    open_cuts = [
        number
        for number, (a, b) in enumerate(pairwise(stretches))
        if not _agree(a, b, b.piece.first, count, every)
    ]
    for reach_s in BRIDGES_S:
        if not open_cuts:
            break
        reach = round(reach_s * info.fps)
        pieces = [_bridge(stretches[number], stretches[number + 1], reach) for number in open_cuts]
        for bridge in detect(pieces):
            number = next(n for n in open_cuts if stretches[n].piece.stop == bridge.piece.first)
            ends = _ends(stretches[number], bridge, stretches[number + 1], count, every)
            if ends is not None:
                bridges[number] = bridge.between(*ends)
        open_cuts = [number for number in open_cuts if number not in bridges]
    return list(_in_order(stretches, bridges))


def _bridge(a: Stretch, b: Stretch, reach: int) -> Piece:
    """Return the piece from `reach` frames before the cut to as many after it."""
    cut = b.piece.first
    return replace(
        b.piece, begin=max(a.piece.begin, cut - reach), first=cut, stop=min(b.piece.stop, cut + reach)
    )


def _ends(a: Stretch, bridge: Stretch, b: Stretch, count: int, every: int) -> tuple[int, int] | None:
    """Where the bridge takes over from the first piece and hands over to the second; None without either."""
    cut = b.piece.first
    begins = range(cut, bridge.piece.begin + count, -every)
    first = next((frame for frame in begins if _agree(a, bridge, frame, count, every)), None)
    stops = range(cut, bridge.piece.stop + 1, every)
    stop = next((frame for frame in stops if _agree(bridge, b, frame, count, every)), None)
    return None if first is None or stop is None else (first, stop)


def _agree(a: Stretch, b: Stretch, stop: int, count: int, every: int) -> bool:
    """Whether both have found the same in the `count` frames before `stop`."""
    return all(
        _same(a.frames.get(number), b.frames.get(number))
        for number in range(stop - count, stop)
        if number % every == 0
    )


def _same(here: Found | None, there: Found | None) -> bool:
    """Whether these are the same people in the same places."""
    if here is None or there is None:
        return here is there
    if len(here.points_px) != len(there.points_px):
        return False
    apart_px = np.linalg.norm(here.points_px[:, None] - there.points_px[None], axis=-1)
    weight = here.confidence[:, None] * there.confidence[None]
    apart_px = (apart_px * weight).sum(axis=-1) / np.maximum(weight.sum(axis=-1), 1e-9)
    sizes_px = np.ptp(here.points_px, axis=1).max(axis=-1)
    return bool((apart_px.min(axis=1) <= SAME * np.maximum(sizes_px, 1)).all())


def _in_order(stretches: list[Stretch], bridges: dict[int, Stretch]) -> Iterator[Found]:
    done = 0
    for number, stretch in enumerate(stretches):
        parts = [(stretch, stretch.piece.stop)]
        if bridge := bridges.get(number):
            parts = [(stretch, bridge.piece.first), (bridge, bridge.piece.stop)]
        for part, stop in parts:
            yield from (part.frames[frame] for frame in range(done, stop) if frame in part.frames)
            done = max(done, stop)
