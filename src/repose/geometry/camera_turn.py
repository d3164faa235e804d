"""How a camera turned, from points of the background: a rotation for each frame.

A camera that only turns shows a far and a near background alike, moved by one rotation of all rays. The
rotation of a frame against its key picture is the one that most pairs of rays agree on (RANSAC, Fischler and
Bolles 1981), and then the weighted least-squares one (Kabsch 1976).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from repose.geometry.camera import Camera
from repose.geometry.rotation import axis_angle_to_matrix, matrix_to_axis_angle, unit

NEAR = 0.004
"""A ray agrees with a rotation that brings it so near (tangent): two pixels of a picture of 640."""
FEWEST, LEAST_SHARE = 20, 0.5
"""So many points, and such a share of them, must agree."""
MOST_ZOOM = 0.04
LEAST_TURN_DEG = 0.25
"""A camera that turns by less in all stands still."""
LEAST_FRAMES = 0.8
"""Of the frames must be followed; the others are between those."""
LEAST_SHIFT = 0.1
"""Of the picture's width, by which the background must have moved for the lens to show."""
TELLING = 1.3
_TRIES = 60


@runtime_checkable
class Matched(Protocol):
    """Points of the background of a frame in a key picture before it (`repose.video.background.Match`)."""

    @property
    def key(self) -> int: ...

    @property
    def frame(self) -> int: ...

    @property
    def key_px(self) -> Float[np.ndarray, "points 2"]: ...

    @property
    def points_px(self) -> Float[np.ndarray, "points 2"]: ...


@dataclass(frozen=True, eq=False)
class CameraTurn:
    """Rotations of a camera that turns on the spot."""

    frames: Int[np.ndarray, " frames"]
    R_view_cam: Float[np.ndarray, "frames 3 3"]
    """Takes directions of the first frame's camera to the axes of the camera in each frame."""
    carried: float
    """Share of the background that no turn explains: near things move if a camera is carried."""

    @property
    def largest_deg(self) -> float:
        """The largest angle between any frame's camera and the first."""
        return float(np.degrees(np.linalg.norm(matrix_to_axis_angle(self.R_view_cam), axis=-1).max()))

    @property
    def record(self) -> dict[str, float]:
        """What a result says of it."""
        return {"turned_deg": round(self.largest_deg, 2), "carried": round(self.carried, 3)}

    def at(self, frames: Int[np.ndarray, " some"]) -> Float[np.ndarray, "some 3 3"]:
        """Return the rotations of other frames, between those that are known; the ends are held."""
        after = np.searchsorted(self.frames, frames).clip(1, max(1, len(self.frames) - 1))
        after = np.minimum(after, len(self.frames) - 1)
        before = np.maximum(after - 1, 0)
        span = np.maximum(self.frames[after] - self.frames[before], 1)
        share = np.clip((frames - self.frames[before]) / span, 0, 1)
        step = matrix_to_axis_angle(self.R_view_cam[after] @ self.R_view_cam[before].swapaxes(-1, -2))
        return axis_angle_to_matrix(share[:, None] * step) @ self.R_view_cam[before]


def find_turn(matches: Sequence[Matched], camera: Camera, last_frame: int) -> CameraTurn | str:
    """Find the rotation of each frame against the first, or say in words why it is not known.

    `matches`: of every frame in order, the first of a picture with itself; up to `last_frame`, if nothing
    was lost on the way.
    """
    frames: list[int] = []
    turns: list[np.ndarray] = []
    zooms: list[float] = []
    shares: list[float] = []
    of_key: dict[int, tuple[np.ndarray, float]] = {}
    for match in matches:
        if match.key not in of_key:  # a key picture is the frame before, whose turn is known by then
            known = bool(frames) and frames[-1] == match.key
            if frames and not known:
                why = "a zoom, a crowd, another lens"
                return f"the background does not move as one by frame {match.key} ({why})"
            of_key[match.key] = (turns[-1], zooms[-1]) if known else (np.eye(3), 1.0)
        found = None
        if match.frame != match.key:
            found = _turn(camera.rays(match.key_px), match.points_px, camera)
        elif len(match.key_px) >= FEWEST:
            found = np.eye(3), 1.0, 1.0
        if found is None:
            continue
        turn, zoom, share = found
        frames.append(match.frame)
        turns.append(turn @ of_key[match.key][0])
        zooms.append(zoom * of_key[match.key][1])
        shares.append(share)
        if abs(zooms[-1] - 1) > MOST_ZOOM:
            return f"it zooms (by frame {match.frame})"
    if len(frames) < 2:
        return "the background has nothing to hold on to"
    if matches[-1].frame < last_frame:
        return (
            f"the background is lost after frame {frames[-1]} (a cut, blur, or people in front of all of it)"
        )
    if len(frames) < LEAST_FRAMES * len(matches):
        return "the background is lost too often, or things in it move"
    return CameraTurn(np.array(frames), np.stack(turns), 1 - float(np.percentile(shares, 20)))


def find_fov(matches: Sequence[Matched], image_size: tuple[int, int]) -> float | None:
    """Find the field of view across the diagonal, in degrees, by which the background turns as one.

    A turn moves what is at the edge of the picture further than what is in its middle, the more so the wider
    the lens is. None where the turn is too small to tell.
    """
    last = {match.key: match for match in matches if len(match.key_px) >= FEWEST}
    pairs = [match for match in last.values() if _shift(match) > LEAST_SHIFT * image_size[0]]
    if not pairs:
        return None
    pairs = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, 12).round().astype(int))]
    fovs = np.arange(34.0, 113.0, 6.0)
    costs = np.array([_misfit(pairs, Camera.assumed(image_size, fov)) for fov in fovs])
    best = int(costs.argmin())
    if best in (0, len(fovs) - 1):
        return None
    low, middle, high = costs[best - 1 : best + 2]
    # The lens is believed where another, a step away, brings the rays clearly less near to each other.
    if min(low, high) < TELLING * middle:
        return None
    return float(fovs[best] + 3.0 * (low - high) / (low - 2 * middle + high))


def _shift(match: Matched) -> float:
    return float(np.median(np.linalg.norm(match.points_px - match.key_px, axis=-1)))


def _misfit(pairs: Sequence[Matched], camera: Camera) -> float:
    """Mean square distance of rays from where a turn brings them, in pixels; outliers count for little."""
    squares = []
    for match in pairs:
        first, after = camera.rays(match.key_px), camera.rays(match.points_px)
        R = _agreed(first, after, 4 * NEAR)
        off_px = _off(_directions(first), after, R) * camera.intrinsics_px[0]
        squares.append(np.minimum(off_px, 8 * np.median(off_px)) ** 2)
    return float(np.mean(np.concatenate(squares)))


def _turn(
    before: Float[np.ndarray, "points 2"], points_px: Float[np.ndarray, "points 2"], camera: Camera
) -> tuple[np.ndarray, float, float] | None:
    """Find the rotation that takes rays to points, their spread besides, and the share that agrees."""
    if len(before) < FEWEST:
        return None
    after = camera.rays(points_px)
    R = _agreed(before, after, NEAR)
    agree = _off(_directions(before), after, R) < NEAR
    if agree.sum() < FEWEST or agree.mean() < LEAST_SHARE:
        return None
    turned = _directions(before[agree]) @ R.T
    turned = turned[:, :2] / turned[:, 2:]
    zoom = float((turned * after[agree]).sum() / (turned**2).sum())
    return R, zoom, float(agree.mean())


def _agreed(before: np.ndarray, after: np.ndarray, near: float) -> Float[np.ndarray, "3 3"]:
    """Find the rotation that most rays agree on to `near`, a tangent, then the one that fits these best."""
    first, second = _directions(before), _directions(after)
    one, other = np.random.default_rng(0).integers(0, len(first), (2, _TRIES))
    tried = _frame(second[one], second[other]) @ _frame(first[one], first[other]).swapaxes(-1, -2)
    tried = np.concatenate([[_kabsch(first, second, np.ones(len(first)))], tried])
    votes = [int((_off(first, after, R) < near).sum()) for R in tried]
    R = tried[int(np.argmax(votes))]
    for _ in range(5):
        off = _off(first, after, R)
        if (off < near).sum() < 3:
            break
        R = _kabsch(first, second, (off < near) / (1 + (off / (near / 4)) ** 2))
    return R


def _directions(rays: np.ndarray) -> Float[np.ndarray, "points 3"]:
    return unit(np.concatenate([rays, np.ones((len(rays), 1))], axis=-1))


def _off(first: np.ndarray, after: np.ndarray, R: np.ndarray) -> np.ndarray:
    """How far rays are off after the rotation, as tangents; far for those that turn out of sight."""
    turned = first @ R.T
    ahead = turned[:, 2] > 0.1
    places = turned[:, :2] / np.where(ahead, turned[:, 2], 1)[:, None]
    return np.asarray(np.where(ahead, np.linalg.norm(places - after, axis=-1), 1e3))


def _frame(one: np.ndarray, other: np.ndarray) -> Float[np.ndarray, "tries 3 3"]:
    """Axes that two directions span."""
    across = unit(np.cross(one, other))
    return np.stack([one, across, np.cross(one, across)], axis=-1)


def _kabsch(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> Float[np.ndarray, "3 3"]:
    u, _, vt = np.linalg.svd(second.T @ (weights[:, None] * first))
    return u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
