"""COCO keypoint JSON: results (a list of detections) and annotations (a data set's ground truth)."""

from collections.abc import Mapping, Sequence
from typing import Any

from repose.errors import expected
from repose.formats.detections import Detections, frame_numbers, identities, read_points


def parse(name: str, content: Any) -> Detections | None:
    """Detections of COCO results or annotations, None for any other JSON.

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
    """Detections of rows with `image_id`, `keypoints` and perhaps the key `identity`."""
    frames = frame_numbers(name, [row["image_id"] for row in rows])
    return Detections(
        kind=kind,
        frames=frames,
        keypoints=[read_points(name, row["keypoints"]) for row in rows],
        people=identities(name, identity, [row.get(identity) for row in rows], frames),
    )


def _parse_annotations(name: str, rows: list[dict[str, Any]], images: list[Any]) -> Detections:
    known = [image for image in images if isinstance(image, dict) and isinstance(image.get("id"), int)]
    by_id = {image["id"]: image for image in known}
    sizes = {(image.get("width"), image.get("height")) for image in known}
    named = []
    for row in rows:
        if not isinstance(row["image_id"], int) or row["image_id"] not in by_id:
            expected(f"{name}: image_id", "the id of one of the images", repr(row["image_id"]))
        named.append({**row, "image_id": by_id[row["image_id"]].get("file_name", row["image_id"])})
    detections = parse_rows(name, "COCO annotations", named, "track_id")
    width, height = sizes.pop() if len(sizes) == 1 else (None, None)
    return Detections(
        kind=detections.kind,
        frames=detections.frames,
        keypoints=detections.keypoints,
        people=detections.people,
        image_size=(width, height) if isinstance(width, int) and isinstance(height, int) else None,
    )
