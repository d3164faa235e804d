"""AlphaPose's `alphapose-results.json` in its three forms, and its folder `sep-json`."""

from typing import Any

import numpy as np

from repose.errors import expected
from repose.keypoints.coco import is_detection, parse_rows
from repose.keypoints.detections import Detections
from repose.keypoints.json_values import frame_numbers, read_points
from repose.skeleton import SKELETONS


def parse(name: str, content: Any) -> Detections | None:
    """Parse detections of AlphaPose results, None for any other JSON.

    The default form is a list like COCO's results, told by `idx`, `box` or images given by file name.
    `idx` is the track; AlphaPose writes it as a number, or nested in lists when its tracker ran before
    its suppression of duplicates, and as zeros when nothing tracked. `--format cmu` and `--format open`
    give `{image: {version, bodies | people}}` in the order of COCO-18.
    """
    if isinstance(content, list) and content and all(is_detection(row) for row in content):
        marked = any("idx" in row or "box" in row or isinstance(row["image_id"], str) for row in content)
        return parse_rows(name, "AlphaPose results", content, "idx") if marked else None
    if isinstance(content, dict) and content:
        frames = {image: _bodies(frame) for image, frame in content.items()}
        if all(bodies is not None for bodies in frames.values()):
            rows = [(image, body) for image, bodies in frames.items() for body in bodies or ()]
            return Detections(
                kind="AlphaPose results",
                frames=frame_numbers(name, [image for image, _ in rows]),
                keypoints=[_mend_neck(name, read_points(name, body)) for _, body in rows],
                layout="coco-18",
            )
    return None


def parse_frame(name: str, content: Any) -> list[np.ndarray] | None:
    """Parse keypoints of the people in one file of `sep-json` in the CMU form, None for any other JSON."""
    if not (isinstance(content, dict) and "bodies" in content):
        return None
    return [_mend_neck(name, read_points(name, body)) for body in _bodies(content) or ()]


def _bodies(frame: Any) -> list[Any] | None:
    """Return the keypoint lists in one frame of the CMU or OpenPose form; None if it is neither."""
    for people, joints in (("bodies", "joints"), ("people", "pose_keypoints_2d")):
        found = frame.get(people) if isinstance(frame, dict) else None
        if isinstance(found, list) and all(isinstance(p, dict) and joints in p for p in found):
            return [person[joints] for person in found]
    return None


def _mend_neck(name: str, keypoints: np.ndarray) -> np.ndarray:
    """Return the neck as the shoulders' mean, which AlphaPose writes there for COCO-17 models.

    For Halpe models it writes the head's top in the same place, because it appends the mean at the end
    and still takes the 18th joint.
    """
    coco_18 = SKELETONS["coco-18"]
    if keypoints.shape != (len(coco_18), 3):
        found = " × ".join(map(str, keypoints.shape))
        expected(f"{name}: joints of a body", "18 × 3 numbers (x, y, confidence)", found)
    mended = keypoints.copy()
    mended[coco_18.index("neck")] = keypoints[coco_18.indices("left_shoulder", "right_shoulder")].mean(axis=0)
    return mended
