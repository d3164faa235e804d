"""VideoPose3D's keypoint files, as its `prepare_data_2d_custom.py` writes them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose import estimate
from repose.errors import UserError
from repose.keypoints.reader import read_keypoints
from repose.sample import load_sample_truth
from repose.skeleton import SKELETONS

COCO = {
    "layout_name": "coco",
    "num_joints": 17,
    "keypoints_symmetry": [[1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]],
}
H36M = {
    "layout_name": "h36m",
    "num_joints": 17,
    "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
}
VIDEO = {"w": 854, "h": 480, "fps": 25.0}


def walk() -> np.ndarray:
    """(frames, 17, 2) in pixels: the sample's person, who is not symmetric, in the order of H36M."""
    truth = load_sample_truth()
    order = truth.skeleton.indices(*SKELETONS["h36m-17"].joints)
    return truth.points_px[:9, order].astype(np.float32)


def save(path: Path, positions: Any, layout: dict[str, Any], video: dict[str, Any] | None = None) -> Path:
    metadata = {**layout, "video_metadata": {"clip.mp4": VIDEO if video is None else video}}
    np.savez_compressed(path, positions_2d=positions, metadata=metadata)
    return path


@pytest.mark.parametrize(("layout", "skeleton"), [(COCO, "coco-17"), (H36M, "h36m-17")])
def test_a_custom_video(tmp_path: Path, layout: dict[str, Any], skeleton: str) -> None:
    file = save(tmp_path / "data_2d_custom_a.npz", {"clip.mp4": {"custom": [walk()]}}, layout)
    (pose,) = read_keypoints(file)
    assert pose.skeleton is SKELETONS[skeleton]
    np.testing.assert_allclose(pose.points_px, walk(), rtol=1e-6)
    assert (pose.fps, pose.image_size, pose.assumed) == (25.0, (854, 480), ("confidence",))
    assert pose.frames.tolist() == list(range(9))
    assert pose.source == "data_2d_custom_a.npz: VideoPose3D keypoints"
    (pose,) = read_keypoints(file, fps=50, image_size=(1920, 1080), skeleton="mpi-17")
    assert (pose.fps, pose.image_size, pose.skeleton.name) == (50, (1920, 1080), "mpi-17")


def test_what_the_file_does_not_say_is_assumed(tmp_path: Path) -> None:
    file = save(tmp_path / "a.npz", {"clip.mp4": {"custom": [walk()]}}, H36M, {})
    assert read_keypoints(file)[0].assumed == ("confidence", "fps", "image_size")


def test_it_becomes_poses(tmp_path: Path) -> None:
    (pose,) = estimate(save(tmp_path / "a.npz", {"clip.mp4": {"custom": [walk()]}}, H36M))
    assert len(pose) == 9
    assert np.isfinite(pose.joints_m).all()


@pytest.mark.parametrize(
    ("positions", "layout", "message"),
    [
        (
            {"a.mp4": {"custom": [walk()]}, "b.mp4": {"custom": [walk()]}},
            COCO,
            "a.npz: expected one recording, found 2: a.mp4 custom, b.mp4 custom",
        ),
        (
            {"S1": {"Walking": [walk(), walk()]}},
            H36M,
            "a.npz: expected one recording, found 2: S1 Walking camera 0, S1 Walking camera 1",
        ),
        ({}, COCO, "a.npz: expected one recording, found none"),
        (
            {"a": {"b": [walk()[0]]}},
            COCO,
            "a.npz: a b: expected an array (frames, joints, 2 or 3), found float32",
        ),
        ({"a": {"b": [[1, 2]]}}, COCO, "a.npz: a b: expected an array (frames, joints, 2 or 3), found list"),
        (
            {"a": {"b": [walk()]}},
            {**H36M, "layout_name": "coco"},
            "a.npz: expected metadata with a layout_name and keypoints_symmetry of one known layout",
        ),
        ({"a": {"b": [walk()]}}, {"layout_name": "my own"}, "a.npz: expected metadata with a layout_name"),
        ({"a": {"b": [walk()]}}, {}, "a.npz: expected metadata with a layout_name"),
        ({"a": {"b": [walk()]}}, {"keypoints_symmetry": 3}, "a.npz: expected"),
        (
            {"a": {"b": [walk()[:, :16]]}},
            H36M,
            "a.npz: expected 17 joints per person for skeleton h36m-17, found 16",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, positions: Any, layout: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_keypoints(save(tmp_path / "a.npz", positions, layout))
    assert caught.value.message.removeprefix(f"{tmp_path}/").startswith(message)


@pytest.mark.parametrize("value", [0, -1, "854", float("nan"), True, [854]])
def test_a_size_that_is_none(tmp_path: Path, value: Any) -> None:
    file = save(tmp_path / "a.npz", {"clip.mp4": {"custom": [walk()]}}, H36M, {"w": value, "h": 480})
    with pytest.raises(UserError, match=r"a\.npz: video_metadata: w: expected a positive number"):
        read_keypoints(file)


class Runs:
    """What pickles to a call of a function of the system."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("ran",)


def test_no_code_of_the_file_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = save(tmp_path / "a.npz", {"clip.mp4": {"custom": [walk()], "x": Runs()}}, H36M)
    with pytest.raises(UserError, match="refused, because it asks for"):
        read_keypoints(file)
    assert not (tmp_path / "ran").exists()
