"""OpenPose's JSON: one file per frame, `{version, people: [{person_id, pose_keypoints_2d, …}]}`."""

from typing import Any

import numpy as np

from repose.keypoints.json_values import read_points


def parse_frame(name: str, content: Any) -> list[tuple[Any, np.ndarray]] | None:
    """Parse identity (None if unknown) and keypoints of each person in a frame; None for any other JSON.

    A person of whom only the face or the hands were found has no body keypoints, and is left out.
    """
    if not (isinstance(content, dict) and isinstance(content.get("people"), list)):
        return None
    people = []
    for person in content["people"]:
        key = next(
            (k for k in ("pose_keypoints_2d", "pose_keypoints") if isinstance(person, dict) and k in person),
            "",
        )
        if not key:
            return None
        if person[key] != []:
            people.append((person.get("person_id"), read_points(name, person[key])))
    return people
