"""Results of Ultralytics' pose models: the JSON of `Results.to_json`, and the text files of `save_txt`."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from repose.errors import expected
from repose.keypoints.json_values import number_list, whole_number

_JOINTS = 17
_BOX = 5
"""Numbers before the keypoints of a line: the class, and the box's centre and size."""
_FRAME_KEYS = ("frame", "frame_id", "frame_idx", "frame_index", "frame_number")
_USE_A_POSE_MODEL = "Boxes without keypoints come from a detection model: use a pose model (yolo11n-pose, …)."


def parse(name: str, content: Any) -> dict[int, list[tuple[Any, np.ndarray]]] | None:
    """Parse identities and keypoints by frame, None for any other JSON.

    `Results.to_json` gives a list of the detections in one picture; a video is a list of such lists, or one
    list whose detections each have a frame number (`frame`, `frame_id`, …) beside what Ultralytics wrote.

    Raises UserError for boxes without keypoints, and for a track that is in one picture twice.
    """
    if isinstance(content, list) and content and all(isinstance(frame, list) for frame in content):
        frames = [parse_frame(name, frame) if frame else [] for frame in content]
        if any(content) and all(people is not None for people in frames):
            return {number: people or [] for number, people in enumerate(frames)}
        return None
    people = parse_frame(name, content)
    if people is None:
        return None
    key = next((key for key in _FRAME_KEYS if any(key in row for row in content)), None)
    if key is None:
        tracks = [track for track, _ in people if whole_number(track) is not None]
        if len(set(tracks)) < len(tracks):
            found = f"{len(people)} detections of {len(set(tracks))} tracks in one list"
            expected(
                name, "each track once in a picture", found, "Save a video as a list of its frames' lists."
            )
        return {0: people}
    by_frame: dict[int, list[tuple[Any, np.ndarray]]] = {}
    for row, person in zip(content, people, strict=True):
        frame = whole_number(row.get(key))
        if frame is None:
            expected(f"{name}: {key}", "a whole number for every detection", repr(row.get(key)))
        by_frame.setdefault(frame, []).append(person)
    return by_frame


def parse_frame(name: str, content: Any) -> list[tuple[Any, np.ndarray]] | None:
    """Parse identity (None if unknown) and keypoints of each person in a picture, None for any other JSON.

    Raises UserError for boxes without keypoints.
    """
    if not (isinstance(content, list) and content and all(map(_is_detection, content))):
        return None
    return [(row.get("track_id"), _read_keypoints(name, row.get("keypoints"))) for row in content]


def _is_detection(row: Any) -> bool:
    if not isinstance(row, dict) or "image_id" in row:
        return False
    keypoints = row.get("keypoints")
    return (isinstance(keypoints, dict) and "x" in keypoints) or {"name", "class", "box"} <= row.keys()


def _read_keypoints(name: str, value: Any) -> np.ndarray:
    """Keypoints (joints, 3), or (joints, 2) of a model without confidence."""
    if not (isinstance(value, dict) and "x" in value and "y" in value):
        expected(name, "keypoints with x and y for each detection", "one without", _USE_A_POSE_MODEL)
    keys = ["x", "y", "visible"] if value.get("visible") is not None else ["x", "y"]
    columns = [number_list(name, f"keypoints: {key}", value[key]) for key in keys]
    if any(column.ndim != 1 or len(column) != len(columns[0]) for column in columns):
        found = ", ".join(f"{key} {column.shape}" for key, column in zip(keys, columns, strict=True))
        expected(f"{name}: keypoints", f"lists of one length for {', '.join(keys)}", found)
    return np.column_stack(columns)


def parse_labels(texts: dict[str, str]) -> list[list[tuple[Any, np.ndarray]]]:
    """Parse identities and keypoints in the label files of a folder, one list per file.

    A line is `class x y width height`, then x, y and perhaps the visibility of 17 joints, all of them shares
    of the picture, then perhaps the box's confidence, then perhaps the track. Where one number follows the
    keypoints it is the track if it is whole in every line of the folder, or missing in some (the tracker
    lost its people there), and else the confidence.

    Args:
        texts: what each file holds, by its name.

    Raises:
        UserError: a line that is none of that.
    """
    files = [
        [_parse_line(name, line) for line in text.splitlines() if line.strip()]
        for name, text in texts.items()
    ]
    extras = [extra for lines in files for _, extra in lines]
    counts = {len(extra) for extra in extras}
    if counts == {1}:
        tracked = all(whole_number(number) is not None for (number,) in extras)
    else:
        tracked = counts in ({0, 1}, {1, 2}, {2})
    at = max(counts, default=0) - 1
    return [
        [(_track(extra, at) if tracked else None, keypoints) for keypoints, extra in lines] for lines in files
    ]


def _track(extra: Sequence[float], at: int) -> int | None:
    return whole_number(extra[at]) if at < len(extra) else None


def _parse_line(name: str, line: str) -> tuple[np.ndarray, list[float]]:
    """Keypoints of a line, and the numbers after them."""
    words = line.split()
    try:
        values = [float(word) for word in words]
    except ValueError:
        expected(name, "lines of numbers (class x y width height, keypoints)", repr(line[:40]))
    if len(values) <= _BOX + 2:
        expected(name, f"{_JOINTS} keypoints in a line", f"{len(values)} numbers", _USE_A_POSE_MODEL)
    for width in (2, 3):
        end = _BOX + _JOINTS * width
        if end <= len(values) <= end + 2:
            return np.array(values[_BOX:end]).reshape(_JOINTS, width), values[end:]
    expected(
        name,
        f"class x y width height, {_JOINTS} keypoints of 2 or 3 numbers, and perhaps confidence and track",
        f"{len(values)} numbers in a line",
    )
