"""COCO JSON whose values are not what they should be."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.keypoints.reader import read_keypoints

WRONG = [[1, 2], [], [[[]]], {"a": 1}, None, True, 1.5, 1e300, "x"]


def row(**values: Any) -> dict[str, Any]:
    x, y = np.random.default_rng(1).uniform(50, 400, (2, 17)).round(2)
    keypoints = np.column_stack([x, y, np.full(17, 0.8)]).ravel().tolist()
    return {"image_id": 1, "category_id": 1, "keypoints": keypoints, "score": 0.9, **values}


def refusal(path: Path, content: Any) -> str:
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_keypoints(path)
    assert "cannot be read" not in caught.value.message  # a message of ours, not the last resort's
    return caught.value.message


@pytest.mark.parametrize("wrong", WRONG)
def test_values_of_results(tmp_path: Path, wrong: Any) -> None:
    file = tmp_path / "a.json"
    if wrong != "x":  # a name, of one picture
        assert refusal(file, [row(image_id=wrong), row(image_id=2)]).startswith("a.json: image_id: expected")
    assert refusal(file, [row(keypoints=wrong)]).startswith("a.json: ")
    if wrong != [1, 2]:  # an id in a list, as AlphaPose nests it
        message = refusal(file, [row(track_id=wrong), row(image_id=2, track_id=1)])
        assert message.startswith("a.json: expected 'track_id'")


@pytest.mark.parametrize("wrong", WRONG)
def test_values_of_annotations(tmp_path: Path, wrong: Any) -> None:
    file, image = tmp_path / "a.json", {"id": 1, "file_name": "a1.jpg"}
    for images, rows in (
        ([image | {"id": wrong}], [row(image_id=wrong)]),
        ([image | {"id": wrong}], [row()]),
        ([image], [row(image_id=wrong)]),
    ):
        message = refusal(file, {"images": images, "annotations": rows})
        assert message.startswith("a.json: image_id: expected the id of one of the images")
    if wrong != "x":
        message = refusal(file, {"images": [image | {"file_name": wrong}], "annotations": [row()]})
        assert message.startswith("a.json: image_id: expected a frame number or a name that ends with one")
    if wrong is not None:  # not said
        message = refusal(file, {"images": [image | {"height": wrong}], "annotations": [row()]})
        assert message.startswith("a.json: height: expected a number of pixels")
