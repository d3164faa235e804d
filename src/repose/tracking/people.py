"""Which tracks are people, who is the main one, and who is meant by `--person`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import UserError, expected
from repose.pose import SEEN_CONFIDENCE, Pose2D, Pose3D

Track = TypeVar("Track", Pose2D, Pose3D)

LIMB_JOINTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
FEW_JOINTS = 1 / 3
"""A track that shows no more of its arms and legs than this is no person, beside one that shows more."""
BRIEF_S = 0.1
"""A track that lasts no longer is no person, beside one that lasts `OUTLASTED` times as long."""
OUTLASTED = 5
LONGEST_FLIP_S = 0.3
"""How long a detector may mistake somebody for upside down; longer than that, they are."""
FLIP_DEG, SAME_DEG = 100.0, 60.0
"""How far the trunk turns at once when a flip begins and ends, and how alike it is before and after."""
HEADROOM = 0.6
"""Room that an upper body needs above the hips at least, in lengths of the legs; it has about 0.95."""
FIRST_S = 1.0
"""Somebody who appears within this time from the start counts as in the first frame."""


@dataclass(frozen=True)
class Dropped:
    """A track that is not a person."""

    track_id: int
    first: int
    """Number of its first frame."""
    last: int
    frames: int
    reason: str

    def __str__(self) -> str:
        return f"{self.track_id} (frames {self.first}–{self.last}: {self.reason})"


def prominence(track: Pose2D | Pose3D) -> float:
    """Measure how much of the video a person fills: height in the picture × share of joints seen × seconds.

    Height is the diagonal of the box around the joints seen, in diagonals of the picture.
    """
    diagonal_px = 1.0 if track.image_size is None else float(np.hypot(*track.image_size))
    seen = _seen(track)
    return float((_sizes_px(track) * seen.mean(axis=1)).sum() / diagonal_px / track.fps)


def by_prominence(tracks: Sequence[Track]) -> list[Track]:
    """Sort tracks, the most prominent first."""
    return sorted(tracks, key=lambda track: (-prominence(track), track.track_id))


def number_by_prominence(tracks: Sequence[Pose2D]) -> list[Pose2D]:
    """Renumber tracks: 0 is the most prominent person, and the first."""
    return [replace(track, track_id=number) for number, track in enumerate(by_prominence(tracks))]


def choose(tracks: Sequence[Track], person: int | str) -> Track:
    """Choose the track that `--person` means.

    `person` is a track id, "largest" (the median size in the picture), "central" (the median distance from
    the middle of the picture), or "x,y", a point in pixels of the first frame on or next to the person.
    Raises UserError for anything else, and where there is nobody like that.
    """
    wanted = parse_person(person)
    if not tracks:
        raise UserError(f"no person {person}: there is nobody", "Leave out --person to see who was found.")
    if wanted == "largest":
        return max(tracks, key=lambda track: float(np.median(_sizes_px(track))))
    if wanted == "central":
        return min(tracks, key=_off_centre_px)
    if isinstance(wanted, tuple):
        return _at(tracks, wanted)
    for track in tracks:
        if track.track_id == wanted:
            return track
    ids = [str(track.track_id) for track in tracks]
    there = f"the only person is {ids[0]}" if len(ids) == 1 else f"there are {', '.join(ids)}"
    raise UserError(f"no person {wanted}: {there}", "Choose one of them with --person.")


def parse_person(person: int | str) -> int | str | tuple[float, float]:
    """Parse an id, "largest", "central", or the point "x,y"; raises UserError for anything else."""
    words = str(person).strip().lower()
    if words in ("largest", "central"):
        return words
    try:
        numbers = [float(word) for word in words.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 2 and np.isfinite(numbers).all():
        return numbers[0], numbers[1]
    if len(numbers) == 1 and numbers[0].is_integer():
        return int(numbers[0])
    expected("--person", "largest, central, the id of a person, or a point x,y in pixels", repr(str(person)))


def drop_ghosts(tracks: Sequence[Track]) -> tuple[list[Track], list[Dropped]]:
    """Separate tracks that are people from those that are not, with the reason.

    A track is no person that lasts for a frame or a moment beside much longer ones, or that shows a third
    of its arms and legs at most beside one that shows more.
    """
    longest_s = max(map(_seconds, tracks), default=0.0)
    fullest = max(map(_limbs_seen, tracks), default=0.0)
    kept, dropped = [], []
    for track in tracks:
        frames = len(track)
        if (frames == 1 or _seconds(track) <= BRIEF_S * 1.001) and longest_s >= OUTLASTED * _seconds(track):
            reason = "a single frame" if frames == 1 else f"{frames} frames only"
        elif _limbs_seen(track) <= FEW_JOINTS < fullest:
            reason = f"{_limbs_seen(track):.0%} of the joints of arms and legs"
        else:
            kept.append(track)
            continue
        first, last = int(track.frames[0]), int(track.frames[-1])
        dropped.append(Dropped(track.track_id, first, last, frames, reason))
    return kept, dropped


def leave_out_flips(track: Pose2D) -> Pose2D:
    """Leave out frames in which the body is upside down between two good ones.

    They become a gap like any other; `record["upside_down_left_out"]` has the first and last of each.
    A body that turns over by itself is not touched: it takes its time.
    """
    trunk = _trunk(track)
    known = np.flatnonzero(np.isfinite(trunk))
    if len(known) < 3:
        return track
    angles_deg, times_s = np.degrees(np.angle(trunk[known])), track.times_s[known]
    usual_deg = float(np.degrees(np.angle((trunk[known] / np.abs(trunk[known]).clip(1e-9)).sum())))
    jumps = np.flatnonzero(_turn_deg(angles_deg[1:], angles_deg[:-1]) > FLIP_DEG)
    bad: list[int] = []
    runs: list[list[int]] = []
    for before, end in pairwise(jumps.tolist()):
        inside, after = angles_deg[before + 1], angles_deg[end + 1]
        flipped = (
            (not bad or before > bad[-1])
            and times_s[end + 1] - times_s[before] <= LONGEST_FLIP_S
            and _turn_deg(after, angles_deg[before]) < SAME_DEG
            and _turn_deg(inside, usual_deg) > _turn_deg(after, usual_deg)
        )
        if flipped:
            bad.extend(range(before + 1, end + 1))
            runs.append([int(track.frames[known[before + 1]]), int(track.frames[known[end]])])
    if not bad:
        return track
    good = np.setdiff1d(np.arange(len(track)), known[bad])
    return replace(
        track,
        points_px=track.points_px[good],
        confidence=track.confidence[good],
        frames=track.frames[good],
        times_s=track.times_s[good],
        record={**track.record, "upside_down_left_out": runs},
    )


def doubt_upper_body(track: Pose2D) -> Pose2D:
    """Distrust trunk, arms and head where the picture has no room for them above the legs.

    A detector of whole bodies that is shown two legs squeezes the rest of a body between them and the upper
    edge of the picture, and is sure of it. Trunk and head are about as long as the legs; with less than
    `HEADROOM` of that above upright legs there is nothing to be seen of them. Confidence is 0 there;
    `record["no_room_for_upper_body"]` has how many frames of the track that is. Half of the frames decide.
    """
    sides = [[f"{side}_{joint}" for joint in ("hip", "knee", "ankle")] for side in ("left", "right")]
    if "image_size" in track.assumed or not {j for leg in sides for j in leg} <= set(track.skeleton.joints):
        return track
    index = np.array([track.skeleton.indices(*leg) for leg in sides])
    legs = track.points_px[:, index].astype(np.float64)
    hips_y, ankles_y = legs[:, :, 0, 1].mean(axis=1), legs[:, :, 2, 1].mean(axis=1)
    length_px = np.linalg.norm(np.diff(legs, axis=2), axis=-1).sum(axis=2).max(axis=1)
    upright = ankles_y - hips_y > 0.7 * length_px
    seen = (track.confidence[:, index] >= SEEN_CONFIDENCE).all(axis=(1, 2))
    without = seen & upright & (hips_y < HEADROOM * length_px)
    if without.sum() <= len(track) / 2:
        return track
    below = ("hip", "knee", "ankle", "pelvis", "toe", "heel")
    upper = [i for i, joint in enumerate(track.skeleton.joints) if not any(word in joint for word in below)]
    confidence = track.confidence.copy()
    confidence[:, upper] = 0
    record = {**track.record, "no_room_for_upper_body": int(without.sum())}
    return replace(track, confidence=confidence, record=record)


def _turn_deg(here: Any, there: Any) -> Any:
    """Angle between two directions, 0 to 180."""
    return np.abs((here - there + 180) % 360 - 180)


def _seen(track: Pose2D | Pose3D) -> Bool[np.ndarray, "frames joints"]:
    return track.confidence >= SEEN_CONFIDENCE if isinstance(track, Pose2D) else track.seen


def _boxes_px(track: Pose2D | Pose3D) -> Float[np.ndarray, "frames corners 2"]:
    """Top left and bottom right of the box around the joints seen; NaN in a frame without any.

    A result without 2D points has the box around the joints' directions from the camera, of no unit.
    """
    points = track.points_px
    if points is None:
        joints_m = track.joints_m  # type: ignore[union-attr]  # a Pose2D has points
        points = joints_m[..., :2] / np.maximum(joints_m[..., 2:], 1e-3)
    seen = _seen(track)[..., None]
    low = np.where(seen, points, np.inf).min(axis=1)
    high = np.where(seen, points, -np.inf).max(axis=1)
    boxes = np.stack([low, high], axis=1).astype(np.float64)
    boxes[~seen.any(axis=(1, 2))] = np.nan
    return boxes


def _sizes_px(track: Pose2D | Pose3D) -> Float[np.ndarray, " frames"]:
    """Diagonal of the box around the joints seen, 0 in a frame without any."""
    boxes = _boxes_px(track)
    return np.nan_to_num(np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=-1))


def _off_centre_px(track: Pose2D | Pose3D) -> float:
    if track.image_size is None:
        return np.inf
    off = np.linalg.norm(_boxes_px(track).mean(axis=1) - np.array(track.image_size) / 2, axis=-1)
    return np.inf if np.isnan(off).all() else float(np.nanmedian(off))


def _at(tracks: Sequence[Track], point_px: tuple[float, float]) -> Track:
    """Whoever is at a point of the first frame, or next to it by a tenth of their size."""
    start_s = min(float(track.times_s[0]) for track in tracks)
    at: list[tuple[float, Track]] = []
    for track in tracks:
        if track.times_s[0] > start_s + FIRST_S or track.points_px is None:
            continue
        seen = _seen(track)[0]
        (low, high), size_px = _boxes_px(track)[0], _sizes_px(track)[0]
        if not seen.any():
            continue
        joints_px = np.linalg.norm(track.points_px[0][seen] - np.array(point_px), axis=-1).min()
        beyond_px = np.linalg.norm(np.maximum(0, np.maximum(low - point_px, point_px - high)))
        if beyond_px <= size_px / 10:
            at.append((float(joints_px), track))
    if at:
        return min(at, key=lambda pair: pair[0])[1]
    x, y = point_px
    there = [f"{track.track_id} at {_centre(track)}" for track in tracks]
    raise UserError(
        f"nobody at {x:g},{y:g} in the first frame: found person {', person '.join(there)}",
        "Give a point on the person, x from the left and y from the top, in pixels of the upright picture.",
    )


def _centre(track: Pose2D | Pose3D) -> str:
    x, y = np.nan_to_num(_boxes_px(track)[0].mean(axis=0))
    return f"{x:.0f},{y:.0f} (frame {track.frames[0]})"


def _seconds(track: Pose2D | Pose3D) -> float:
    return float(track.times_s[-1] - track.times_s[0]) + 1 / track.fps


def _limbs_seen(track: Pose2D | Pose3D) -> float:
    """Median over frames of the share of joints of arms and legs that were seen."""
    limbs = [i for i, joint in enumerate(track.skeleton.joints) if joint.partition("_")[2] in LIMB_JOINTS]
    return float(np.median(_seen(track)[:, limbs].mean(axis=1))) if limbs else 1.0


def _trunk(track: Pose2D) -> Any:
    """From between the hips to between the shoulders as complex numbers, NaN where one is missing."""
    joints = ("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    if not set(joints) <= set(track.skeleton.joints):
        return np.full(len(track), np.nan, dtype=complex)
    index = track.skeleton.indices(*joints)
    points = track.points_px[:, index].astype(np.float64) @ np.array([1, 1j])
    trunk = points[:, 2:].mean(axis=1) - points[:, :2].mean(axis=1)
    return np.where((track.confidence[:, index] > 0).all(axis=1), trunk, np.nan)
