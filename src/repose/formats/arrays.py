"""Keypoints in `.npz` and `.npy`: RePOSE's own layout, and bare arrays."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import numpy as np

from repose.errors import UserError, expected
from repose.formats.detections import (
    ASSUMED_FPS,
    Detections,
    assume_size,
    check_numbers,
    lay_out,
    nobody,
    read_confidence,
)
from repose.pose import Pose2D
from repose.skeleton import Skeleton, get_skeleton

_OWN_KEYS = "points_px, confidence, frames, fps, image_size, skeleton, track_id"

NUMPY_STARTS = (b"PK", b"\x93NUMPY")
"""How an `.npz` (a zip archive) and an `.npy` begin."""


def load_arrays(name: str, data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an `.npz`, or the one of an `.npy` under the name ""; never unpickles.

    Raises UserError for a damaged file and for arrays of Python objects.
    """
    if not data.startswith(NUMPY_STARTS):
        expected(name, "a NumPy file", "something else", "Check that it is the right file.")
    try:
        content = np.load(io.BytesIO(data), allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"": content}
        return {key: content[key] for key in content.files}
    except Exception as error:  # numpy and zipfile raise a dozen types for damaged files
        if "allow_pickle" in str(error):
            raise UserError(
                f"{name}: expected arrays of numbers, found pickled Python objects",
                f"They are not opened, because a pickle can run any program. Save plain arrays: {_OWN_KEYS}.",
            ) from None
        raise UserError(
            f"{name}: expected a complete NumPy file, found a damaged one",
            "It may have been cut off while it was written or copied; make it again.",
        ) from None


def parse(name: str, arrays: dict[str, np.ndarray]) -> Detections:
    """Detections of a bare array: (frames, joints, 2 or 3), or (people, frames, joints, 2 or 3).

    The third value is the confidence. 17 joints are H36M-17. An `.npz` without `points_px` may hold
    further arrays as long as only one has such a shape.
    """
    shaped = {
        key: array
        for key, array in arrays.items()
        if array.ndim in (3, 4) and array.shape[-1] in (2, 3) and array.dtype.kind in "iuf"
    }
    if len(shaped) != 1:
        held = ", ".join(f"{key or 'array'} {array.dtype} {array.shape}" for key, array in arrays.items())
        expected(
            name,
            "one array (frames, joints, 2 or 3) of x, y in pixels and confidence",
            held or "no array",
            f"Name the keypoints points_px; RePOSE's own keys are {_OWN_KEYS}.",
        )
    (values,) = shaped.values()
    people = values if values.ndim == 4 else values[None]
    count, frames, joints, width = people.shape
    return Detections(
        kind="array",
        frames=np.tile(np.arange(frames), count).tolist(),
        keypoints=list(people.reshape(count * frames, joints, width).astype(np.float64)),
        people=np.repeat(np.arange(count), frames).tolist(),
        layout="h36m-17" if joints == 17 else None,
    )


def parse_own(
    name: str,
    arrays: dict[str, np.ndarray],
    fps: int | float | None,
    image_size: tuple[int, int] | None,
    skeleton: Skeleton | None,
) -> list[Pose2D]:
    """Tracks of an `.npz` with RePOSE's own keys, in the order in which they begin.

    `points_px` (rows, joints, 2) has one row per person and frame, as have `confidence` (rows, joints),
    `frames`, `times_s` and `track_id`; a single number serves as everybody's `track_id`. `fps`,
    `image_size` (width, height), `skeleton` (a layout's name) and `source` are of the whole file. All but
    `points_px` may be absent: frames then count from 0, 17 joints are H36M-17, and the rest is assumed.
    """
    points = _numbers(name, arrays, "points_px", 3)
    rows = len(points)
    scores = _numbers(name, arrays, "confidence", 2) if "confidence" in arrays else None
    said = None
    if "skeleton" in arrays:
        with _naming(name):
            said = get_skeleton(str(arrays["skeleton"])).name
    own = Detections(
        kind="array",
        frames=_whole_numbers(name, "frames", arrays.get("frames", np.arange(rows)), rows).tolist(),
        keypoints=list(points),
        layout=said or ("h36m-17" if points.shape[1] == 17 else None),
    )
    check_numbers(name, points, own.frames)
    if scores is not None:
        if scores.shape != points.shape[:2]:
            expected(f"{name}: confidence", f"the shape {points.shape[:2]}", scores.shape)
        check_numbers(name, scores[..., None], own.frames)
    layout, points, scores = lay_out(name, own, points, scores, skeleton)
    confidence, note = np.ones(points.shape[:2], dtype=np.float32), ""
    if scores is not None and rows:
        confidence, note = read_confidence(name, scores)
    if not (confidence > 0).any():
        raise nobody(name)
    ids = arrays.get("track_id", np.zeros(rows, dtype=np.int64))
    ids = _whole_numbers(name, "track_id", np.full(rows, ids) if ids.ndim == 0 else ids, rows)
    times = _numbers(name, arrays, "times_s", 1) if "times_s" in arrays and fps is None else None
    if times is not None and len(times) != rows:
        expected(f"{name}: times_s", f"{rows} times in seconds", len(times))
    if fps is None and "fps" in arrays:
        fps = float(_numbers(name, arrays, "fps", 0))
    if image_size is None and "image_size" in arrays:
        image_size = _size(name, arrays["image_size"])
    assumed = [
        what
        for what, known in (("confidence", scores), ("fps", fps), ("image_size", image_size))
        if known is None
    ]
    frames = np.asarray(own.frames, dtype=np.int64)
    with _naming(name):
        return [
            Pose2D(
                points_px=points[ids == person],
                confidence=confidence[ids == person],
                frames=frames[ids == person],
                fps=ASSUMED_FPS if fps is None else fps,
                image_size=assume_size(points, confidence) if image_size is None else image_size,
                skeleton=layout,
                track_id=person,
                times_s=cast(np.ndarray, None if times is None else times[ids == person]),
                assumed=tuple(assumed),
                source=str(arrays.get("source", f"{name}: array")) + note,
            )
            for person in dict.fromkeys(ids.tolist())
        ]


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
