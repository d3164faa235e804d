"""COCO keypoint JSON: results (a list of detections) and annotations (a data set's ground truth)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from repose.errors import expected
from repose.keypoints.detections import Detections
from repose.keypoints.json_values import frame_numbers, identities, read_points, whole_number


def parse(name: str, content: Any) -> Detections | None:
    """Parse detections of COCO results or annotations, None for any other JSON.

    Results: `[{image_id, keypoints: [x, y, score, …], …}]`. Annotations: `{images, annotations}`, whose
    frames are the numbers in the images' file names. `track_id` (as in PoseTrack) says who it is. An
    empty list is a result with nobody in it.
    """
    if isinstance(content, list) and all(is_detection(row) for row in content):
        return parse_rows(name, "COCO results", content, "track_id")
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        rows = [row for row in content["annotations"] if is_detection(row)]
        images = content.get("images")
        if not rows or len(rows) < len(content["annotations"]) or not isinstance(images, list):
            return None
        return _parse_annotations(name, rows, images)
    return None


def is_detection(row: Any) -> bool:
    return isinstance(row, dict) and "image_id" in row and "keypoints" in row


def parse_rows(name: str, kind: str, rows: Sequence[Mapping[str, Any]], identity: str) -> Detections:
    """Parse detections of rows with `image_id`, `keypoints` and perhaps the key `identity`."""
    frames = frame_numbers(name, [row["image_id"] for row in rows])
    return Detections(
        kind=kind,
        frames=frames,
        keypoints=[read_points(name, row["keypoints"]) for row in rows],
        people=identities(name, identity, [row.get(identity) for row in rows], frames),
    )


def _parse_annotations(name: str, rows: list[dict[str, Any]], images: list[Any]) -> Detections:
    by_id = {
        number: image
        for image in images
        if isinstance(image, dict) and (number := whole_number(image.get("id"))) is not None
    }
    named = []
    for row in rows:
        number = whole_number(row["image_id"])
        if number is None or number not in by_id:
            expected(f"{name}: image_id", "the id of one of the images", repr(row["image_id"]))
        named.append({**row, "image_id": by_id[number].get("file_name", number)})
    detections = parse_rows(name, "COCO annotations", named, "track_id")
    sizes = {tuple(_length(name, image, key) for key in ("width", "height")) for image in by_id.values()}
    width, height = sizes.pop() if len(sizes) == 1 else (None, None)
    return replace(detections, image_size=None if width is None or height is None else (width, height))


def _length(name: str, image: dict[str, Any], key: str) -> int | None:
    """Width or height of an image in pixels, None where not said; raises UserError for anything else."""
    value = image.get(key)
    length = whole_number(value)
    if value is not None and (length is None or length <= 0):
        expected(f"{name}: {key}", "a number of pixels", repr(value))
    return length
