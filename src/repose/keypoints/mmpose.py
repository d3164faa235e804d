"""MMPose's prediction JSON, as its inferencer and its demos write it."""

from typing import Any

import numpy as np

from repose.errors import expected
from repose.keypoints.detections import Detections, layout_named
from repose.keypoints.json_values import identities, number_list, whole_number


def parse(name: str, content: Any) -> Detections | None:
    """Parse detections of MMPose predictions, None for any other JSON.

    The inferencer writes a list of `{frame_id, instances}` with frames from 0 for a video, and a list of
    instances for an image. The demos write `{meta_info, instance_info}` with frames from 1, which become
    0-based here. An instance has `keypoints` and `keypoint_scores`, and perhaps a `track_id`.
    """
    layout = None
    first = 0
    if isinstance(content, dict) and isinstance(content.get("instance_info"), list):
        meta = content.get("meta_info")
        if isinstance(meta, dict) and isinstance(meta.get("dataset_name"), str):
            layout = layout_named(meta["dataset_name"])
        content = content["instance_info"]
        if all(map(_is_frame, content)):
            first = 1 if min((frame["frame_id"] for frame in content), default=0) == 1 else 0
    if not isinstance(content, list) or not content:
        return None
    if all(map(_is_frame, content)):
        rows = [(frame["frame_id"] - first, instance) for frame in content for instance in frame["instances"]]
    elif all(map(_is_instance, content)):
        rows = [(0, instance) for instance in content]
    else:
        return None
    frames = [int(frame) for frame, _ in rows]
    return Detections(
        kind="MMPose predictions",
        frames=frames,
        keypoints=[read_instance(name, instance) for _, instance in rows],
        people=identities(name, "track_id", [instance.get("track_id") for _, instance in rows], frames),
        layout=layout,
    )


def parse_frame(name: str, content: Any) -> list[tuple[Any, np.ndarray]] | None:
    """Parse identity and keypoints of each person in an image's own file, None for any other JSON.

    Sapiens puts the list of instances under `instance_info`.
    """
    if isinstance(content, dict) and "instance_info" in content:
        content = content["instance_info"]
    if not (isinstance(content, list) and all(map(_is_instance, content))):
        return None
    return [(instance.get("track_id"), read_instance(name, instance)) for instance in content]


def read_instance(name: str, instance: dict[str, Any]) -> np.ndarray:
    """Read keypoints (joints, 2) of an instance, with its scores (joints, 3) where it has them."""
    points = number_list(name, "keypoints", instance["keypoints"])
    if points.ndim != 2 or points.shape[1] != 2:
        expected(f"{name}: keypoints", "x, y for each joint", " × ".join(map(str, points.shape)) + " values")
    if "keypoint_scores" not in instance:
        return points
    scores = number_list(name, "keypoint_scores", instance["keypoint_scores"])
    if scores.shape != points.shape[:1]:
        expected(f"{name}: keypoint_scores", f"{len(points)} scores", scores.size)
    return np.column_stack([points, scores])


def _is_frame(frame: Any) -> bool:
    return (
        isinstance(frame, dict)
        and whole_number(frame.get("frame_id")) is not None
        and isinstance(frame.get("instances"), list)
        and all(map(_is_instance, frame["instances"]))
    )


def _is_instance(instance: Any) -> bool:
    return isinstance(instance, dict) and "keypoints" in instance and "image_id" not in instance
