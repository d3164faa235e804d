"""Results of Ultralytics' pose models, as `Results.to_json` and `save_txt` write them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose import estimate
from repose.errors import UserError
from repose.keypoints.reader import read_keypoints
from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS

SIZE = (854, 480)
FRAMES = 12


def walk(shift_px: float = 0.0) -> np.ndarray:
    """(frames, 17, 3) of the sample's person in COCO's order, who is not symmetric; an ear is not found."""
    truth = load_sample_truth()
    places = dict(zip(truth.skeleton.joints, truth.points_px[:FRAMES].swapaxes(0, 1), strict=True))
    head = {"left_eye": (4, -6), "right_eye": (-3, -7), "left_ear": (8, -4), "right_ear": (-9, -3)}
    joints = [
        places[joint] if joint in places else places["nose"] + head[joint]
        for joint in SKELETONS["coco-17"].joints
    ]
    points = np.stack(joints, axis=1) + np.array([shift_px, 0.0])
    confidence = np.linspace(0.6, 0.95, 17) * np.ones((FRAMES, 1))
    body = np.concatenate([points, confidence[..., None]], axis=-1)
    body[:, 3] = 0
    return body.round(5)


def detection(body: np.ndarray, track: int | None, visible: bool = True) -> dict[str, Any]:
    keypoints = {"x": body[:, 0].tolist(), "y": body[:, 1].tolist()}
    if visible:
        keypoints["visible"] = body[:, 2].tolist()
    known = {} if track is None else {"track_id": track}
    box = {"x1": 1.5, "y1": 2.5, "x2": 300.0, "y2": 400.0}
    return {"name": "person", "class": 0, "confidence": 0.91, "box": box, **known, "keypoints": keypoints}


def line(body: np.ndarray, *after: float, visible: bool = True) -> str:
    shares = body / [*SIZE, 1]
    numbers = [0, 0.5, 0.5, 0.2, 0.4, *(shares if visible else shares[:, :2]).ravel(), *after]
    return " ".join(f"{number:g}" for number in numbers)


def save_labels(folder: Path, lines: dict[int, list[str]]) -> Path:
    folder.mkdir(exist_ok=True)
    for frame, rows in lines.items():
        (folder / f"clip_{frame}.txt").write_text("".join(row + "\n" for row in rows))
    return folder


def check(pose: Pose2D, bodies: np.ndarray, atol: float = 1e-3) -> None:
    assert pose.skeleton is SKELETONS["coco-17"]
    found = bodies[..., :2].any(axis=-1)
    np.testing.assert_allclose(pose.points_px[found], bodies[found][:, :2], atol=atol)
    np.testing.assert_allclose(pose.confidence, np.where(found, bodies[..., 2], 0), atol=1e-5)


def test_json_of_a_video_with_tracks(tmp_path: Path) -> None:
    """A list of the frames' lists. The second person enters late; one frame has nobody."""
    first, second = walk(), walk(200.0)
    frames = [[detection(first[i], 7)] + [detection(second[i], 3)] * (i >= 4) for i in range(FRAMES)]
    frames[2] = []
    (tmp_path / "a.json").write_text(json.dumps(frames))
    three, seven = read_keypoints(tmp_path / "a.json", fps=25, image_size=SIZE)
    assert (three.track_id, three.frames.tolist()) == (3, list(range(4, FRAMES)))
    assert (seven.track_id, seven.frames.tolist()) == (7, [0, 1, *range(3, FRAMES)])
    check(three, second[4:])
    check(seven, np.delete(first, 2, axis=0))
    assert three.source == "a.json: Ultralytics results"


def test_json_of_one_picture_and_one_file_per_frame(tmp_path: Path) -> None:
    body = walk()
    for frame in (3, 4):
        (tmp_path / f"frame_{frame:04d}.json").write_text(json.dumps([detection(body[frame], None)]))
    (pose,) = read_keypoints(tmp_path / "frame_0003.json")
    check(pose, body[3:4])
    (pose,) = read_keypoints(tmp_path)
    assert pose.frames.tolist() == [3, 4]
    check(pose, body[3:5])


def test_json_whose_detections_say_their_frame(tmp_path: Path) -> None:
    rows = [detection(body, 7) | {"frame": 5 + i} for i, body in enumerate(walk())]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (pose,) = read_keypoints(tmp_path / "a.json")
    assert pose.frames.tolist() == list(range(5, 5 + FRAMES))
    check(pose, walk())
    rows[3]["frame"] = "four"
    (tmp_path / "a.json").write_text(json.dumps(rows))
    with pytest.raises(
        UserError, match=r"a\.json: frame: expected a whole number for every detection, found 'four'"
    ):
        read_keypoints(tmp_path / "a.json")
    (tmp_path / "a.json").write_text(json.dumps([detection(body, 7) for body in walk()]))
    with pytest.raises(UserError, match="each track once in a picture, found 12 detections of 1 tracks"):
        read_keypoints(tmp_path / "a.json")


def test_json_of_shares_and_without_visibility(tmp_path: Path) -> None:
    body = walk()
    shares = body / [*SIZE, 1]
    (tmp_path / "a.json").write_text(json.dumps([[detection(row, None, visible=False)] for row in shares]))
    with pytest.raises(UserError, match="found points between 0 and 1"):
        read_keypoints(tmp_path / "a.json")
    (pose,) = read_keypoints(tmp_path / "a.json", image_size=SIZE)
    assert pose.assumed == ("confidence", "fps")
    body[..., 2] = 1
    check(pose, body)


@pytest.mark.parametrize(
    ("after", "tracks"),
    [((), [0, 0]), ((0.91,), [0, 0]), ((1.0, 5.0), [5, 9]), ((5.0,), [5, 9]), ((0.91, 5.0), [5, 9])],
)
@pytest.mark.parametrize("visible", [True, False])
def test_labels_with_and_without_confidence_and_track(
    tmp_path: Path, after: tuple[float, ...], tracks: list[int], visible: bool
) -> None:
    first, second = walk(), walk(200.0)
    other = tuple(9.0 if number == 5 else number for number in after)
    lines = {
        i + 1: [line(first[i], *after, visible=visible), line(second[i], *other, visible=visible)]
        for i in range(FRAMES)
        if i != 5
    }
    folder = save_labels(tmp_path / "labels", lines)
    poses = read_keypoints(folder, image_size=SIZE)
    expected = [np.delete(body, 5, axis=0) for body in (first, second)]
    if tracks == [0, 0]:
        poses = sorted(poses, key=lambda pose: float(pose.points_px[0, 5, 0]))
    else:
        assert [pose.track_id for pose in poses] == tracks
    for pose, body in zip(poses, expected, strict=True):
        assert pose.frames.tolist() == [1, 2, 3, 4, 5, *range(7, FRAMES + 1)]
        if not visible:
            body[..., 2] = 1
        check(pose, body, atol=0.01)
        assert pose.source == "labels: Ultralytics labels; points between 0 and 1 scaled to 854 × 480"
    with pytest.raises(UserError, match="give its size in pixels with --size"):
        read_keypoints(folder)


@pytest.mark.parametrize("confidence", [(), (0.91,)])
def test_people_without_ids_are_tracked_anew(tmp_path: Path, confidence: tuple[float, ...]) -> None:
    body = walk()
    lines = {i + 1: [line(row, *confidence, *([4] if i != 6 else []))] for i, row in enumerate(body)}
    (pose,) = read_keypoints(save_labels(tmp_path / "labels", lines), image_size=SIZE)
    check(pose, body, atol=0.01)
    assert "; ids not used, because 1 of 12 have none" in pose.source
    assert pose.record["identities"] == "tracked"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0.5 0.5 0.2 0.4\n", "labels/a_1.txt: expected 17 keypoints in a line, found 5 numbers"),
        ("person 1 2\n", "labels/a_1.txt: expected lines of numbers"),
        ("0 " * 100, "labels/a_1.txt: expected class x y width height, 17 keypoints of 2 or 3 numbers"),
        ("", "labels: nobody in it"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a_1.txt").write_text(text)
    with pytest.raises(UserError) as caught:
        read_keypoints(tmp_path / "labels", image_size=SIZE)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"keypoints": None},
            "a.json: expected keypoints with x and y for each detection, found one without",
        ),
        ({"keypoints": {"x": [1.0, 2.0], "y": [1.0]}}, "a.json: keypoints: expected lists of one length"),
        ({"keypoints": {"x": "1", "y": "2"}}, "a.json: keypoints: x: expected a list of numbers"),
    ],
)
def test_json_that_is_none(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps([[detection(walk()[0], None) | change]]))
    with pytest.raises(UserError) as caught:
        read_keypoints(tmp_path / "a.json")
    assert caught.value.message.startswith(message)


def test_labels_become_poses(tmp_path: Path) -> None:
    lines = {i + 1: [line(row, 0.9, 2)] for i, row in enumerate(walk())}
    (pose,) = estimate(save_labels(tmp_path / "labels", lines), fps=25, size=SIZE)
    assert (pose.track_id, len(pose)) == (2, FRAMES)
    assert np.isfinite(pose.joints_m).all()
