"""From the rows of any keypoint file, one per person and frame, to one validated track per person."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from repose.errors import UserError, expected
from repose.files.numbers import check_numbers
from repose.pose import Pose2D
from repose.skeleton import SKELETONS, WHOLE_BODIES, Skeleton
from repose.tracking.people import number_by_prominence
from repose.tracking.tracker import NOBODY, settle_identities

KNOWN_LAYOUTS = (
    "COCO-17, COCO-17+feet, Halpe-26, H36M-17, H36M-17+feet, MPI-17, BODY-25, BODY-25B, COCO-18, "
    "COCO-18+feet, MediaPipe-33"
)

ASSUMED_FPS = 30.0

# What a file with so many joints per person means when it does not say. Of whole-body layouts the body is
# read; faces, hands and what else they have are not used.
LAYOUT_OF_COUNT = {
    17: "coco-17",
    18: "coco-18",
    23: "coco-17+feet",
    25: "body-25",
    26: "halpe-26",
    33: "mediapipe-33",
    **{count: layout for count, (layout, _) in WHOLE_BODIES.items()},
}
ALIKE = {23: ("coco-17+feet", "h36m-17+feet"), 25: ("body-25", "body-25b")}
"""Layouts with equally many joints, told apart by `recognise_layout`."""

# Widths and heights of common videos, smallest area first; a portrait one follows its landscape twin.
_COMMON_SIZES: tuple[tuple[int, int], ...] = (
    (320, 240), (640, 360), (640, 480), (854, 480), (960, 540),
    (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (7680, 4320),
)  # fmt: skip


@dataclass(frozen=True)
class Detections:
    """What a keypoint file holds: one row per person and frame, in the file's order."""

    kind: str
    """What the file is, in words: "AlphaPose results"."""
    frames: Sequence[int]
    keypoints: Sequence[np.ndarray]
    """Per row (joints, 2) or (joints, 3): x and y in pixels, and the detector's score."""
    people: Sequence[int] | None = None
    """Who it is, per row; None where the file does not know."""
    layout: str | None = None
    """Name of the skeleton, where the file says it."""
    fps: float | None = None
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Given:
    """What the user says of a file, over what it says itself."""

    fps: int | float | None = None
    image_size: tuple[int, int] | None = None
    skeleton: Skeleton | None = None
    anew: bool = False
    """Whether people are tracked whatever ids the file has (`tracking.tracker.settle_identities`)."""


def make_tracks(name: str, detections: Detections, given: Given) -> list[Pose2D]:
    """Create one `Pose2D` per person, by track id; `name` is the file's, for messages.

    What a point and a score mean is told by `interpret`. A person without any joint in a frame is absent
    from it. Rows are sorted by frame. People who are tracked here are numbered by prominence. Raises
    UserError for joints of no known layout, numbers that cannot be pixels, a negative frame, or nobody.
    """
    points, scores = _stack(name, detections)
    count = points.shape[1]
    layout, points, scores = assign_layout(name, detections, points, scores, given.skeleton)
    image_size = given.image_size if given.image_size is not None else detections.image_size
    body = f"; the {len(layout)} body joints of {count}" if count > len(layout) else ""
    frames = np.asarray(detections.frames, dtype=np.int64)
    if len(frames) and frames.min() < 0:
        expected(f"{name}: frame", "0 or more", int(frames.min()), "Frame numbers count from 0.")
    points, confidence, note = interpret(name, points, scores, detections.frames, image_size)
    there = (confidence > 0).any(axis=1)
    if not there.any():
        raise no_person(name)
    frames, points, confidence = frames[there], points[there], confidence[there]
    assumed = ["confidence"] if scores is None else []
    fps = given.fps if given.fps is not None else detections.fps
    if fps is None:
        fps = assume_rate(name, frames)
        assumed.append("fps")
    if image_size is None:
        image_size = assume_size(points, confidence)
        assumed.append("image_size")
    people = None if detections.people is None else np.asarray(detections.people, dtype=np.int64)[there]
    return assemble(
        frames,
        None if given.anew else people,
        Pose2D(
            points_px=points.astype(np.float32),
            confidence=confidence.astype(np.float32),
            frames=np.arange(len(points)),
            fps=fps,
            image_size=image_size,
            skeleton=layout,
            assumed=tuple(assumed),
            source=f"{name}: {detections.kind}{body}{note}",
        ),
    )


def assemble(
    frames: np.ndarray, people: np.ndarray | None, rows: Pose2D, times_s: np.ndarray | None = None
) -> list[Pose2D]:
    """Assemble one track per person from the detections of a file, each sorted by frame.

    `rows` has one detection after the other, whose own frame numbers and times do not count: those are
    `frames` and `times_s`. `people` are the file's ids, in whose order the tracks come; where
    there are none, or they do not serve (see `tracking.tracker.settle_identities`), people are tracked and
    numbered by prominence.
    """
    ids, record = settle_identities(
        frames, people, rows.points_px, rows.confidence, rows.fps, rows.skeleton.mirror
    )
    tracks = []
    for person in np.unique(ids[ids != NOBODY]):
        here = np.flatnonzero(ids == person)
        here = here[np.argsort(frames[here], kind="stable")]
        track = replace(
            rows,
            points_px=rows.points_px[here],
            confidence=rows.confidence[here],
            frames=frames[here],
            times_s=cast(np.ndarray, None if times_s is None else times_s[here]),
            track_id=int(person),
            record=record,
        )
        tracks.append(track)
    return tracks if record["identities"] == "file" else number_by_prominence(tracks)


def assume_rate(name: str, frames: np.ndarray) -> float:
    """Assume the frame rate of a file that does not state it.

    Raises UserError for frame numbers that come in steps of ten and more: they are milliseconds, or frames
    were left out between them, and only the rate can tell.
    """
    steps = np.diff(np.unique(frames))
    if len(steps) >= 9 and np.quantile(steps, 0.1) >= 10:
        step = float(np.median(steps))
        expected(
            f"{name}: frames",
            "frame numbers that follow one another",
            f"steps of {step:g}, as of milliseconds",
            f"Number the frames from 0 and give --fps ({1000 / step:.3g} if these are milliseconds); if they "
            "are numbers of frames, give the video's --fps.",
        )
    return ASSUMED_FPS


def no_person(name: str) -> UserError:
    return UserError(f"{name}: nobody in it", "No frame has a single joint with a confidence above 0.")


def assume_size(points_px: np.ndarray, confidence: np.ndarray) -> tuple[int, int]:
    """Assume the smallest common video size, landscape or portrait, that contains the points.

    Points with a confidence under 0.3 do not count (a detector may put hidden joints outside the
    picture) unless there are no others. Beyond 8K it is a square around them.
    """
    sure = confidence >= 0.3
    if not sure.any():
        sure = confidence > 0
    right, bottom = np.ceil(points_px[sure].max(axis=0)).astype(int).tolist() if sure.any() else (0, 0)
    for long, short in _COMMON_SIZES:
        for width, height in ((long, short), (short, long)):
            if right <= width and bottom <= height:
                return width, height
    return max(right, bottom), max(right, bottom)


def _stack(name: str, detections: Detections) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (rows, joints, 2) and scores (rows, joints), None without scores."""
    if not len(detections.keypoints):
        raise no_person(name)
    shapes = sorted({keypoints.shape for keypoints in detections.keypoints})
    if len(shapes) > 1:
        found = " and ".join(f"{joints} joints of {values} values" for joints, values in shapes[:3])
        expected(name, "the same joints for every person", found)
    keypoints = np.stack(list(detections.keypoints)).astype(np.float64)
    return keypoints[..., :2], keypoints[..., 2] if keypoints.shape[-1] == 3 else None


def interpret(
    name: str,
    points: np.ndarray,
    scores: np.ndarray | None,
    frames: Sequence[int],
    image_size: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Convert points to pixels and scores to confidence, with a note on what was done to either.

    A joint is missing (confidence 0) where one of its numbers is NaN, where its score is 0, and
    where it lies exactly at (0, 0), whatever its score: that is how programs write a joint that they did not
    find. Points between 0 and 1 are shares of the picture's width and height.

    Args:
        name: the file, for messages.
        points: (rows, joints, 2).
        scores: (rows, joints) of the detector, None where the file has none.
        frames: frame of each row, for messages.
        image_size: width and height in pixels, None where nobody has said it.

    Raises:
        UserError: infinite or huge numbers, negative scores, points between -1 and 1, and shares of a
            picture whose size nobody has said.
    """
    values = points if scores is None else np.concatenate([points, scores[..., None]], axis=-1)
    seen = ~np.isnan(values).any(axis=-1)
    _check_numbers(name, np.where(seen[..., None], values, 0), frames)
    seen &= (points != 0).any(axis=-1)
    if scores is None:
        confidence, note = np.ones(seen.shape), ""
    else:
        confidence, note = np.zeros(seen.shape), ""
        if seen.any():
            confidence[seen], note = read_confidence(name, scores[seen])
    confidence = np.where(seen, confidence, 0)
    points = np.nan_to_num(points, nan=0.0)
    sure = confidence >= min(0.3, confidence.max(initial=0))
    if seen.any() and _are_shares(name, points[seen & sure]):
        if image_size is None:
            raise UserError(
                f"{name}: expected pixels, found points between 0 and 1",
                "They are shares of the picture's width and height: give its size in pixels with --size.",
            )
        points = points * np.array(image_size, dtype=points.dtype)
        note += f"; points between 0 and 1 scaled to {image_size[0]} × {image_size[1]}"
    return points, confidence, note


def _are_shares(name: str, points: np.ndarray) -> bool:
    """Whether points (joints, 2) are shares of the picture; raises UserError if they span -1 to 1.

    Nearly all of them decide, since a detector puts some joints outside the picture. No person in pixels
    lies within the two pixels of the corner.
    """
    if np.quantile(np.abs(points), 0.95) > 1.5:
        return False
    if np.quantile(points, 0.05) < -0.05:
        raise UserError(
            f"{name}: expected pixels, found points between -1 and 1",
            "Programs differ in what they mean by that: turn them into pixels, from the top left corner.",
        )
    return True


def _check_numbers(name: str, values: np.ndarray, frames: Sequence[int]) -> None:
    """Raise UserError unless `values` (rows, joints, values) are pixels and confidences."""
    check_numbers(
        name,
        values,
        where=lambda index: f"in frame {frames[index[0]]}, joint {index[1]}",
        hint="Give a missing joint confidence 0 and any finite place.",
    )


def assign_layout(
    name: str,
    detections: Detections,
    points: np.ndarray,
    scores: np.ndarray | None,
    skeleton: Skeleton | None,
) -> tuple[Skeleton, np.ndarray, np.ndarray | None]:
    """Determine the layout, and select the joints that belong to it."""
    count = points.shape[1]
    default = detections.layout or LAYOUT_OF_COUNT.get(count)
    if skeleton is None and default is None:
        raise UserError(
            f"{name}: {count} joints per person; known layouts are {KNOWN_LAYOUTS} (use --skeleton)",
            "Convert the keypoints to one of these layouts.",
        )
    layout = skeleton or SKELETONS[str(default)]
    if skeleton is None and detections.layout is None and count in ALIKE:
        layout = recognise_layout(points, np.ones(points.shape[:2]) if scores is None else scores)
    body, kept = WHOLE_BODIES.get(count, (layout.name, tuple(range(count))))
    if body != layout.name or len(kept) != len(layout):
        expected(
            name,
            f"{len(layout)} joints per person for skeleton {layout.name}",
            count,
            f"Known layouts are {KNOWN_LAYOUTS} (use --skeleton).",
        )
    return layout, points[:, list(kept)], None if scores is None else scores[:, list(kept)]


def recognise_layout(points_px: np.ndarray, scores: np.ndarray) -> Skeleton:
    """Tell layouts with equally many joints (`ALIKE`) apart by which one's bones are shorter.

    Read with another's order a body's bones run criss-cross between limbs, so the layout with the smallest
    mean bone length over all frames is the right one.
    """

    def bone_length(skeleton: Skeleton) -> float:
        child, parent = np.array(skeleton.bones).T
        seen = (scores[:, child] > 0) & (scores[:, parent] > 0)
        with np.errstate(over="ignore", invalid="ignore"):  # `interpret` refuses numbers so large
            lengths = np.linalg.norm(points_px[:, child] - points_px[:, parent], axis=-1)
            return float(lengths[seen].mean()) if seen.any() else np.inf

    return min((SKELETONS[name] for name in ALIKE[points_px.shape[1]]), key=bone_length)


def read_confidence(name: str, scores: np.ndarray) -> tuple[np.ndarray, str]:
    """Convert scores to confidence from 0 to 1, with a note on what was done to them.

    Scores up to 1.5 are probabilities that overshoot (AlphaPose, MMPose): what exceeds 1 becomes 1, and
    what is slightly negative 0. Larger ones are COCO's visibility flags if they are all 0, 1 or 2
    (halved: a labelled but hidden joint has 0.5), or else heatmap values, divided by their maximum. Single
    scores of more than three times what 95 % of them reach say nothing about the others, and become 1.
    """
    low = float(scores.min())
    if low < -0.1:
        expected(
            f"{name}: confidence",
            "0 or more",
            f"{low:g}",
            "The third value of a keypoint is its confidence; 3D points cannot be read as keypoints.",
        )
    if np.isin(scores, (0, 1, 2)).all() and scores.max() == 2:
        return scores / 2, "; confidence is half the visibility flag"
    common = scores <= max(1.5, 3 * float(np.quantile(scores, 0.95, method="lower")))
    high = float(scores[common].max())
    notes = []
    if high > 1.5:
        notes.append(f"; confidence divided by its maximum {high:g}")
        scores = scores / high
    elif high > 1:
        notes.append("; confidence clipped to 1")
    if not common.all():
        count = int((~common).sum())
        notes.append(f"; {count} score{'s' if count > 1 else ''} far above the others taken for 1")
    return np.clip(scores, 0, 1), "".join(notes)


def layout_named(name: str) -> str | None:
    """Return the skeleton for a data set's name in other programs ("halpe26", "Human3.6M"), if known."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    for skeleton in SKELETONS:
        if plain in (skeleton.replace("-", ""), skeleton.replace("-", "").removesuffix("17")):
            return skeleton
    return "h36m-17" if plain == "human36m" else None
