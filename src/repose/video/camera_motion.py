"""Whether the camera moves, from how the background shifts between the frames of a video.

A few times a second, the grey picture is cut into tiles, and each tile's shift since a reference picture is
found by phase correlation (Kuglin and Hines 1975). Tiles with people in them are left out. The camera moves
where most others follow one shift, turn and zoom together. Where they lack texture, or do not agree, nothing
is said of the camera.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from jaxtyping import Bool, Complex, Float, UInt8

from repose.video.decoding import VideoFrame

_RATE_HZ = 5.0
_REFERENCE_S = 1.0
"""A reference picture serves until the camera has moved against it, and no longer than this."""
_SHORTER_SIDE_PX = 128
_GRID = 4
_TEXTURE = 3.0
"""Standard deviation, in grey levels of 255, from which a tile may have something to follow."""
_PEAK = 0.2
"""Of the phase correlation, 1 for equal pictures, from which a tile's shift is trusted."""
_MOVED_PX = 0.5
"""Shift of the small picture from which the camera has moved against the reference."""
_AGREE_PX, _AGREE_SHARE = 0.35, 0.15
"""Tiles agree that are so near the common motion, in pixels and in shares of it."""
_MOST = 0.6
_FEWEST_TILES = 5
_FEWEST_STILL = 3
_PATH_SHARE = 0.01
"""Of the picture's shorter side that the background must have moved in all."""


Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


@dataclass(frozen=True)
class CameraMotion:
    """What the background shows about the camera's motion."""

    moves: bool | None
    """None where the background cannot tell: without texture, hidden, or not of one piece."""
    px_per_s: float | None = None
    """Mean speed of the background while the camera moves, in pixels of the video."""
    first_frame: int | None = None
    """The camera moves from this frame on,"""
    last_frame: int | None = None
    """and not after this one."""
    turned_deg: float | None = None
    """The largest turn against the first frame, where the camera was followed: results stand still then."""
    carried: float = 0.0
    """Share of the background that moves as no turn explains."""
    not_followed: str = ""
    """Why the camera was not followed."""


@dataclass(frozen=True, eq=False)
class _Picture:
    frame: int
    time_s: float
    grey: Float[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class Tiles:
    """The textured tiles of a picture, and their shifts in a later picture."""

    places: Complex[np.ndarray, " tiles"]
    """Their middles, x + iy from the middle of the picture, in pixels."""
    shifts: Complex[np.ndarray, " tiles"]
    """NaN for a tile that was not found again."""
    shape: tuple[int, int]
    """Height and width of a tile."""

    def outside(self, boxes: Float[np.ndarray, "boxes 4"], shape: tuple[int, int]) -> "Tiles":
        """Select the tiles whose middle is neither in nor near a box of a picture (height, width)."""
        free = np.ones(len(self.places), dtype=bool)
        x, y = self.places.real + shape[1] / 2, self.places.imag + shape[0] / 2
        margin_y, margin_x = self.shape[0] / 4, self.shape[1] / 4
        for left, top, right, bottom in boxes:
            beside = (x < left - margin_x) | (x > right + margin_x)
            free &= beside | (y < top - margin_y) | (y > bottom + margin_y)
        return Tiles(self.places[free], self.shifts[free], self.shape)


class CameraWatch:
    """Watches frames as they pass, and decides at the end whether the camera moved."""

    def __init__(self) -> None:
        self._reference: _Picture | None = None
        self._next_s = -np.inf
        self._scale = 1
        self._shape = (0, 0)
        self._looks: list[tuple[int, int, float, Tiles]] = []  # frames before and after, seconds between

    def watch(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """Pass the frames on, and look at a few of each second."""
        for frame in frames:
            if frame.time_s >= self._next_s:
                self._next_s = frame.time_s + 1 / _RATE_HZ - 1e-3
                grey, self._scale = _small(frame.rgb)
                self._look(_Picture(frame.index, frame.time_s, grey))
            yield frame

    def _look(self, picture: _Picture) -> None:
        before = self._reference
        if before is not None:
            self._shape = picture.grey.shape
            tiles = follow_tiles(before.grey, picture.grey)
            seconds = picture.time_s - before.time_s
            self._looks.append((before.frame, picture.frame, seconds, tiles))
            moved_px = common_motion_px(tiles)
            if moved_px is not None and moved_px < _MOVED_PX and seconds < _REFERENCE_S:
                return
        self._reference = picture

    def after(self, frame: int) -> "CameraWatch":
        """Keep only what was seen from this frame on."""
        kept = CameraWatch()
        kept._scale, kept._shape = self._scale, self._shape
        kept._looks = [look for look in self._looks if look[0] >= frame]
        return kept

    @classmethod
    def joined(cls, parts: Sequence["CameraWatch"]) -> "CameraWatch":
        """Put together what was seen of successive parts of a video."""
        whole = cls()
        for part in parts:
            whole._scale, whole._shape = part._scale, max(whole._shape, part._shape)
            whole._looks += part._looks
        return whole

    def motion(self, people_px: Mapping[int, list[Box]] = MappingProxyType({})) -> CameraMotion:
        """Conclude from the background so far; `people_px` says where people are, by frame."""
        still, moves = 0, []
        for before, after, seconds, tiles in self._looks:
            boxes_px = [*people_px.get(before, ()), *people_px.get(after, ())]
            boxes = np.array(boxes_px, dtype=np.float64).reshape(-1, 4) / self._scale
            moved_px = common_motion_px(tiles.outside(boxes, self._shape))
            if moved_px is not None and moved_px >= _MOVED_PX:
                moves.append((before, after, seconds, moved_px))
            elif moved_px is not None:
                still += 1
        path_px, seconds = (sum(move[i] for move in moves) for i in (3, 2))
        if len(moves) > 1 and path_px >= _PATH_SHARE * min(self._shape):
            speed_px_s = round(path_px * self._scale / seconds, 1)
            return CameraMotion(True, speed_px_s, moves[0][0], moves[-1][1])
        return CameraMotion(False if still > len(self._looks) / 2 else None)


def follow_tiles(
    before: Float[np.ndarray, "height width"], after: Float[np.ndarray, "height width"]
) -> Tiles:
    """Find the tiles of one grey picture (0 to 255) again in another, at most half of the picture away."""
    tiles = _follow_nearby(before, after)
    nearby = np.isfinite(tiles.shifts)
    resting = (np.abs(tiles.shifts[nearby]) < _AGREE_PX).sum()
    if nearby.sum() >= _MOST * len(nearby) or resting >= _FEWEST_STILL:
        return tiles
    # Tiles lose what has left them: the whole picture says where to look for it.
    (row, column), peak = _correlate(before[None], after[None])
    rows, columns = round(float(row[0])), round(float(column[0]))
    if peak[0] < _PEAK / 4 or max(abs(rows) / before.shape[0], abs(columns) / before.shape[1]) > 0.5:
        return tiles
    found = _follow_nearby(*_overlap(before, after, rows, columns))
    return replace(found, shifts=found.shifts + complex(columns, rows))


def _small(rgb: UInt8[np.ndarray, "height width 3"]) -> tuple[Float[np.ndarray, "rows columns"], int]:
    """Return the green channel, reduced by an integer factor, and that factor."""
    height, width = rgb.shape[:2]
    scale = max(1, min(height, width) // _SHORTER_SIDE_PX)
    rows, columns = height // scale, width // scale
    step = max(1, scale // 3)  # some nine values of each block are mean enough
    blocks = rgb[: rows * scale, : columns * scale, 1].reshape(rows, scale, columns, scale)
    return blocks[:, ::step, :, ::step].mean(axis=(1, 3), dtype=np.float32), scale


def _overlap(
    before: np.ndarray, after: np.ndarray, rows: int, columns: int
) -> tuple[Float[np.ndarray, "height width"], Float[np.ndarray, "height width"]]:
    """Return the parts of both pictures that overlap when the second is shifted by this much."""
    height, width = before.shape[0] - abs(rows), before.shape[1] - abs(columns)

    def part(picture: np.ndarray, row: int, column: int) -> np.ndarray:
        return picture[max(row, 0) :, max(column, 0) :][: max(height, 0), : max(width, 0)]

    return part(before, -rows, -columns), part(after, rows, columns)


def _follow_nearby(before: np.ndarray, after: np.ndarray) -> Tiles:
    """Tiles that move by a third of their size at most; larger shifts leave too little of what was there."""
    height, width = before.shape[0] // _GRID, before.shape[1] // _GRID

    def tiles(picture: np.ndarray) -> Float[np.ndarray, "tiles height width"]:
        cut = picture[: _GRID * height, : _GRID * width].reshape(_GRID, height, _GRID, width)
        return cut.transpose(0, 2, 1, 3).reshape(-1, height, width)

    first, second = tiles(before), tiles(after)
    textured = (first.std(axis=(1, 2)) >= _TEXTURE) & (second.std(axis=(1, 2)) >= _TEXTURE)
    rows, columns = np.divmod(np.flatnonzero(textured), _GRID)
    places = (columns + 0.5 - _GRID / 2) * width + 1j * (rows + 0.5 - _GRID / 2) * height
    (row, column), peak = _correlate(first[textured], second[textured])
    sure = (peak >= _PEAK) & (np.abs(row) <= height / 3) & (np.abs(column) <= width / 3)
    return Tiles(places, np.where(sure, column + 1j * row, complex(np.nan, np.nan)), (height, width))


def _correlate(
    before: Float[np.ndarray, "n height width"], after: Float[np.ndarray, "n height width"]
) -> tuple[tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]], Float[np.ndarray, " n"]]:
    """Shift (rows, columns) of each picture in the other, to a fraction of a pixel, and the peak (0 to 1)."""
    from scipy import fft  # 0.2 s, for videos alone

    height, width = before.shape[1:]
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    first, second = (
        fft.rfft2((pictures - pictures.mean(axis=(1, 2), keepdims=True)) * window)
        for pictures in (before, after)
    )
    cross = second * first.conj()
    size = np.abs(cross)
    # Frequencies that hardly occur are noise: they count for less.
    cross /= size + 0.1 * size.mean(axis=(1, 2), keepdims=True) + 1e-9
    surface = fft.irfft2(cross, s=(height, width))
    whole = fft.irfft2(np.abs(cross), s=(height, width))[:, 0, 0]
    numbers = np.arange(len(surface))
    top, left = np.divmod(surface.reshape(len(surface), -1).argmax(axis=1), width)
    peak = surface[numbers, top, left]

    def finer(at: np.ndarray, below: np.ndarray, above: np.ndarray, size: int) -> np.ndarray:
        bend = below - 2 * peak + above
        shift = at + np.where(bend < 0, 0.5 * (below - above) / np.minimum(bend, -1e-9), 0)
        return (shift + size / 2) % size - size / 2

    row = finer(top, surface[numbers, top - 1, left], surface[numbers, (top + 1) % height, left], height)
    column = finer(left, surface[numbers, top, left - 1], surface[numbers, top, (left + 1) % width], width)
    return (row, column), peak / np.maximum(whole, 1e-9)


def common_motion_px(tiles: Tiles) -> float | None:
    """Measure the shift, rotation and zoom that most tiles follow; None if most follow none, or are too few.

    A motion a + b z of places z as complex numbers is proposed by each tile alone (b = 0) and by each pair.
    """
    found = np.isfinite(tiles.shifts)
    places, shifts = tiles.places[found], tiles.shifts[found]
    enough = max(_FEWEST_TILES, _MOST * len(tiles.places))
    if len(places) < enough:
        return None
    one, other = np.triu_indices(len(places), 1)
    turn_zoom = (shifts[one] - shifts[other]) / (places[one] - places[other])
    factors = np.concatenate([np.zeros(len(places) + 1), turn_zoom])
    starts = np.concatenate([[0], shifts, shifts[one] - turn_zoom * places[one]])
    motions = starts[:, None] + factors[:, None] * places
    near = np.abs(motions - shifts) <= _AGREE_PX + _AGREE_SHARE * np.abs(motions)
    if near[0].sum() >= enough:
        return 0.0
    # Much that rests is the background of a camera that stands still; little may be whom it follows.
    best = int(near.sum(axis=1).argmax())
    follow: Bool[np.ndarray, " tiles"] = near[best]
    if near[0].mean() > 1 - _MOST or follow.sum() < enough or not _spread(places[follow], tiles.shape):
        return None
    return float(np.abs(motions[best, follow]).mean())


def _spread(places: Complex[np.ndarray, " tiles"], shape: tuple[int, int]) -> bool:
    """Whether the tiles span three columns, above and below: a single object seldom does."""
    span = np.ptp(places.real) / shape[1]
    return bool(span > 1.5 and (places.imag < 0).any() and (places.imag > 0).any())
