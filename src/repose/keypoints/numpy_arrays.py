"""Keypoints in `.npz` and `.npy`: RePOSE's own layout, and bare arrays."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from repose.errors import UserError, expected
from repose.keypoints.detections import (
    ASSUMED_FPS,
    Detections,
    Given,
    assemble,
    assign_layout,
    assume_rate,
    assume_size,
    interpret,
    no_person,
)
from repose.pose import Pose2D
from repose.skeleton import get_skeleton

_SCORES = ("scores", "score", "keypoint_scores", "confidence", "confidences", "conf")
"""What programs call the array of confidences beside their keypoints."""

_OWN_KEYS = "points_px, confidence, frames, fps, image_size, skeleton, track_id"


def parse(name: str, arrays: dict[str, np.ndarray]) -> Detections:
    """Parse detections of a bare array: (frames, joints, 2 or 3), or one more axis for the people.

    The third value is the confidence, which may also be an array of its own (`scores`, `confidence`, …). 17
    joints are H36M-17. An `.npz` without `points_px` may hold further arrays as long as only one has the
    shape of keypoints, or one of them is called `keypoints`. People are the first axis or the second: see
    `_people_first`. `fps` and `image_size` (width, height) are read where they are there.
    """
    shaped = {
        key: array
        for key, array in arrays.items()
        if array.ndim in (3, 4)
        and array.shape[-1] in (2, 3)
        and array.dtype.kind in "iuf"
        and not (key in _SCORES and "keypoints" in arrays)
    }
    key = "keypoints" if "keypoints" in shaped else next(iter(shaped), "")
    if not shaped or (key != "keypoints" and len(shaped) != 1):
        held = ", ".join(f"{key or 'array'} {array.dtype} {array.shape}" for key, array in arrays.items())
        expected(
            name,
            "one array (frames, joints, 2 or 3) of x, y in pixels and confidence",
            held or "no array",
            f"Name the keypoints points_px; RePOSE's own keys are {_OWN_KEYS}.",
        )
    people = _people_first(_add_scores(name, shaped[key].astype(np.float64), arrays))
    count, frames, joints, width = people.shape
    return Detections(
        kind="array",
        frames=np.tile(np.arange(frames), count).tolist(),
        keypoints=list(people.reshape(count * frames, joints, width)),
        people=np.repeat(np.arange(count), frames).tolist(),
        layout="h36m-17" if joints == 17 else None,
        fps=float(_numbers(name, arrays, "fps", 0)) if "fps" in arrays else None,
        image_size=_size(name, arrays["image_size"]) if "image_size" in arrays else None,
    )


def _add_scores(name: str, points: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return the points with the confidence that another array of the file holds as their third value."""
    keys = [key for key in _SCORES if key in arrays]
    if not keys:
        return points
    scores = arrays[keys[0]]
    if scores.shape == (*points.shape[:-1], 1):
        scores = scores[..., 0]
    if len(keys) > 1 or scores.shape != points.shape[:-1] or scores.dtype.kind not in "iuf":
        found = ", ".join(f"{key} {arrays[key].dtype} {arrays[key].shape}" for key in keys)
        expected(name, f"one array of confidences of shape {points.shape[:-1]}", found)
    if points.shape[-1] == 3 and not np.array_equal(points[..., 2], scores, equal_nan=True):
        expected(
            name,
            "x and y of each joint beside an array of confidences",
            f"three values of each joint beside {keys[0]}",
            "3D points cannot be read as keypoints; of 2D ones, leave one of the two confidences out.",
        )
    return np.concatenate([points[..., :2], scores[..., None]], axis=-1)


def _people_first(values: np.ndarray) -> np.ndarray:
    """Keypoints (…, joints, 2 or 3) as (people, frames, joints, 2 or 3).

    Of two axes the second is time, unless it has a single entry, or joints move along the first by less than
    half as much: a person moves little from frame to frame, and two people stand apart.
    """
    if values.ndim == 3:
        return values[None]
    people, frames = values.shape[:2]
    if people == 1 or (frames > 1 and not 2 * _step(values) < _step(values.swapaxes(0, 1))):
        return values
    return values.swapaxes(0, 1)


def _step(values: np.ndarray) -> float:
    """Median way that joints seen twice in a row make from one entry of the first axis to the next."""
    points = values[..., :2]
    found = (points != 0).any(axis=-1) & ~np.isnan(points).any(axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # `interpret` refuses numbers so large
        steps = np.linalg.norm(np.diff(points, axis=0), axis=-1)[found[1:] & found[:-1]]
    return float(np.median(steps)) if steps.size else np.inf


def parse_own(name: str, arrays: dict[str, np.ndarray], given: Given) -> list[Pose2D]:
    """Parse tracks of an `.npz` with RePOSE's own keys, by track id.

    `points_px` (rows, joints, 2) has one row per person and frame, as have `confidence` (rows, joints),
    `frames`, `times_s` and `track_id`; a single number serves as everybody's `track_id`, and
    without it several rows of one frame are several people, who are tracked. `fps`,
    `image_size` (width, height), `skeleton` (a layout's name) and `source` are of the whole file. All but
    `points_px` may be absent: frames then count from 0, 17 joints are H36M-17, and the rest is assumed.
    """
    points = _numbers(name, arrays, "points_px", 3)
    rows = len(points)
    scores = _numbers(name, arrays, "confidence", 2) if "confidence" in arrays else None
    own = Detections(
        kind="array",
        frames=_whole_numbers(name, "frames", arrays.get("frames", np.arange(rows)), rows).tolist(),
        keypoints=list(points),
        layout=_own_layout(name, arrays) or ("h36m-17" if points.shape[1] == 17 else None),
    )
    if scores is not None and scores.shape != points.shape[:2]:
        expected(f"{name}: confidence", f"the shape {points.shape[:2]}", scores.shape)
    layout, points, scores = assign_layout(name, own, points, scores, given.skeleton)
    fps, image_size = given.fps, given.image_size
    if image_size is None and "image_size" in arrays:
        image_size = _size(name, arrays["image_size"])
    points, confidence, note = interpret(name, points, scores, own.frames, image_size)
    if not (confidence > 0).any():
        raise no_person(name)
    ids = arrays.get("track_id", np.zeros(rows, dtype=np.int64))
    ids = _whole_numbers(name, "track_id", np.full(rows, ids) if ids.ndim == 0 else ids, rows)
    times = _times(name, arrays, rows) if fps is None else None
    if fps is None and "fps" in arrays:
        fps = float(_numbers(name, arrays, "fps", 0))
    assumed = [
        what
        for what, known in (("confidence", scores), ("fps", fps), ("image_size", image_size))
        if known is None
    ]
    if fps is None and times is None:
        fps = assume_rate(name, np.asarray(own.frames))
    with _naming(name):
        detections = Pose2D(
            points_px=points,
            confidence=confidence,
            frames=np.arange(rows),
            fps=ASSUMED_FPS if fps is None else fps,
            image_size=assume_size(points, confidence) if image_size is None else image_size,
            skeleton=layout,
            assumed=tuple(assumed),
            source=str(arrays.get("source", f"{name}: array")) + note,
        )
        frames = np.asarray(own.frames, dtype=np.int64)
        unknown = given.anew or ("track_id" not in arrays and len(np.unique(frames)) < rows)
        return assemble(frames, None if unknown else np.array(ids, dtype=np.int64), detections, times)


def _own_layout(name: str, arrays: dict[str, np.ndarray]) -> str | None:
    if "skeleton" not in arrays:
        return None
    with _naming(name):
        return get_skeleton(str(arrays["skeleton"])).name


def _times(name: str, arrays: dict[str, np.ndarray], rows: int) -> np.ndarray | None:
    if "times_s" not in arrays:
        return None
    times = _numbers(name, arrays, "times_s", 1)
    if len(times) != rows:
        expected(f"{name}: times_s", f"{rows} times in seconds", len(times))
    return times


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Put the file's name before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error.message}", error.hint) from None


def _numbers(name: str, arrays: dict[str, np.ndarray], key: str, axes: int) -> np.ndarray:
    array = arrays[key]
    if array.ndim != axes or array.dtype.kind not in "iuf":
        expected(f"{name}: {key}", f"numbers with {axes} axes", f"{array.dtype} {array.shape}")
    return array


def _whole_numbers(name: str, key: str, array: np.ndarray, rows: int) -> np.ndarray:
    if array.shape != (rows,) or (rows and array.dtype.kind not in "iu"):
        expected(f"{name}: {key}", f"{rows} whole numbers", f"{array.dtype} {array.shape}")
    return array.astype(np.int64)


def _size(name: str, array: np.ndarray) -> tuple[int, int]:
    if array.shape != (2,) or array.dtype.kind not in "iuf":
        expected(f"{name}: image_size", "width and height in pixels", f"{array.dtype} {array.shape}")
    width, height = array.tolist()
    return int(width), int(height)
