"""Whole-body layouts: the joints of the body by name, whatever order they have among faces and hands."""

import json
from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.keypoints.reader import read_keypoints
from repose.pose import Pose2D
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS

# As the layouts' own documents number them. The sample's person is not symmetric.
COCO = {
    "nose": 0, "left_eye": 1, "right_eye": 2, "left_ear": 3, "right_ear": 4, "left_shoulder": 5,
    "right_shoulder": 6, "left_elbow": 7, "right_elbow": 8, "left_wrist": 9, "right_wrist": 10,
    "left_hip": 11, "right_hip": 12, "left_knee": 13, "right_knee": 14, "left_ankle": 15, "right_ankle": 16,
}  # fmt: skip
FEET = {
    "left_big_toe": 19, "left_small_toe": 20, "left_heel": 21,
    "right_big_toe": 22, "right_small_toe": 23, "right_heel": 24,
}  # fmt: skip
MHR = {
    **{joint: number for joint, number in COCO.items() if number <= 8},
    "left_hip": 9, "right_hip": 10, "left_knee": 11, "right_knee": 12, "left_ankle": 13, "right_ankle": 14,
    "left_big_toe": 15, "left_small_toe": 16, "left_heel": 17, "right_big_toe": 18, "right_small_toe": 19,
    "right_heel": 20, "left_wrist": 62, "right_wrist": 41, "neck": 69,
}  # fmt: skip
LAYOUTS = {
    70: ("coco-18+feet", MHR),
    133: ("coco-17+feet", {**COCO, **{joint: number - 2 for joint, number in FEET.items()}}),
    135: ("body-25b", {**COCO, **FEET, "neck": 17, "head_top": 18}),
    308: ("coco-18+feet", MHR),
}


def places() -> dict[str, tuple[float, float]]:
    """A place in the picture for each joint, in pixels, no two alike and no side the mirror of the other."""
    names = sorted({joint for _, numbers in LAYOUTS.values() for joint in numbers})
    x, y = np.random.default_rng(3).uniform(40, 600, (2, len(names))).round(2)
    truth = load_sample_truth()
    known = dict(zip(truth.skeleton.joints, truth.points_px[0].round(2).tolist(), strict=True))
    return {name: tuple(known.get(name, (x[i], y[i]))) for i, name in enumerate(names)}


def whole_body(points: int) -> np.ndarray:
    """Keypoints (points, 3): the body's joints where `places` has them, all else in one corner."""
    body = np.tile([630.0, 470.0, 0.9], (points, 1))
    for joint, number in LAYOUTS[points][1].items():
        body[number] = (*places()[joint], 0.5)
    return body


def check(pose: Pose2D, points: int) -> None:
    skeleton, numbers = LAYOUTS[points]
    assert pose.skeleton is SKELETONS[skeleton]
    assert set(pose.skeleton.joints) == set(numbers)
    np.testing.assert_allclose(
        pose.points_px[0], [places()[joint] for joint in pose.skeleton.joints], rtol=1e-6
    )
    assert (pose.confidence == 0.5).all()
    assert pose.source.endswith(f"; the {len(numbers)} body joints of {points}")


@pytest.mark.parametrize("points", LAYOUTS)
def test_bodies_of_openpose_mmpose_and_arrays(tmp_path: Path, points: int) -> None:
    body = whole_body(points)
    folder = tmp_path / "openpose"
    folder.mkdir()
    frame = {"version": 1.3, "people": [{"pose_keypoints_2d": body.ravel().tolist()}]}
    (folder / "a_000000000000_keypoints.json").write_text(json.dumps(frame))
    check(*read_keypoints(folder), points)
    instance = {"keypoints": body[:, :2].tolist(), "keypoint_scores": body[:, 2].tolist()}
    demo = {
        "meta_info": {"dataset_name": "goliath"},
        "instance_info": [{"frame_id": 1, "instances": [instance]}],
    }
    (tmp_path / "mmpose.json").write_text(json.dumps(demo))
    check(*read_keypoints(tmp_path / "mmpose.json"), points)
    np.save(tmp_path / "a.npy", body[None])
    check(*read_keypoints(tmp_path / "a.npy"), points)


def test_sapiens_writes_one_file_per_frame(tmp_path: Path) -> None:
    body = whole_body(308)
    instance = {"keypoints": body[:, :2].tolist(), "keypoint_scores": body[:, 2].tolist()}
    for frame, instances in ((3, [instance]), (4, []), (5, [instance])):
        content = {"meta_info": {"dataset_name": "goliath"}, "instance_info": instances}
        (tmp_path / f"{frame:06d}.json").write_text(json.dumps(content))
    (pose,) = read_keypoints(tmp_path)
    assert pose.frames.tolist() == [3, 5]
    check(pose, 308)


def test_another_skeleton_than_that_of_the_body_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", whole_body(70)[None])
    with pytest.raises(UserError, match="expected 17 joints per person for skeleton h36m-17, found 70"):
        read_keypoints(tmp_path / "a.npy", skeleton="h36m-17")
