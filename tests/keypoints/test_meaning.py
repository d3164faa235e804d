"""What the numbers of a keypoint file mean: missing joints, scores, shares of the picture, axes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose import read_keypoints
from repose.errors import UserError

RNG = np.random.default_rng(3)
WALK = np.cumsum(RNG.normal(0, 2, (12, 17, 2)), axis=0) + RNG.uniform(100, 400, (17, 2))
"""Joints (frames, joints, 2) of somebody who moves little from frame to frame."""
OTHER = WALK + np.array([900, 9])
SCORES = RNG.uniform(0.4, 0.9, (12, 17))


def coco(path: Path, keypoints: Any) -> Path:
    rows = [{"image_id": frame, "keypoints": body} for frame, body in enumerate(keypoints)]
    path.write_text(json.dumps(rows))
    return path


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("what", ["x", "score", "joint"])
def test_null_and_nan_are_missing_joints(tmp_path: Path, missing: float | None, what: str) -> None:
    bodies: list[Any] = np.concatenate([WALK, SCORES[..., None]], axis=-1).tolist()
    if what == "joint":
        bodies[2][5] = None if missing is None else [missing] * 3
    else:
        bodies[2][5][["x", "y", "score"].index(what)] = missing
    for content in (bodies, [[value for joint in body for value in joint or [None] * 3] for body in bodies]):
        (pose,) = read_keypoints(coco(tmp_path / "a.json", content))
        assert np.argwhere(pose.confidence == 0).tolist() == [[2, 5]]
        assert np.isfinite(pose.points_px).all()


def test_nan_in_arrays_is_a_missing_joint(tmp_path: Path) -> None:
    points = WALK.copy()
    points[4, 3] = np.nan
    np.save(tmp_path / "a.npy", points)
    np.savez(tmp_path / "own.npz", points_px=points)
    for name in ("a.npy", "own.npz"):
        (pose,) = read_keypoints(tmp_path / name)
        assert np.argwhere(pose.confidence == 0).tolist() == [[4, 3]]


def test_a_person_of_missing_joints_alone_is_absent_from_the_frame(tmp_path: Path) -> None:
    points = WALK.copy()
    points[4] = np.nan
    np.save(tmp_path / "a.npy", points)
    (pose,) = read_keypoints(tmp_path / "a.npy")
    assert pose.frames.tolist() == [0, 1, 2, 3, *range(5, 12)]


@pytest.mark.parametrize("points", ["keypoints", "kpts"])
@pytest.mark.parametrize("scores", ["scores", "confidence", "keypoint_scores"])
@pytest.mark.parametrize("people", [(), (1,)])
def test_scores_in_an_array_of_their_own(
    tmp_path: Path, points: str, scores: str, people: tuple[int, ...]
) -> None:
    shape = (12, *people, 17)
    arrays: dict[str, Any] = {points: WALK.reshape(*shape, 2), scores: SCORES.reshape(shape)}
    np.savez(tmp_path / "a.npz", **arrays, fps=25, image_size=(800, 600))
    (pose,) = read_keypoints(tmp_path / "a.npz")
    np.testing.assert_allclose(pose.confidence, SCORES, rtol=1e-6)
    np.testing.assert_allclose(pose.points_px, WALK, rtol=1e-6)
    assert (pose.fps, pose.image_size, pose.assumed) == (25, (800, 600), ())


def test_scores_beside_several_people(tmp_path: Path) -> None:
    both = np.stack([WALK, OTHER], axis=1)
    np.savez(tmp_path / "a.npz", keypoints=both, scores=np.stack([SCORES, SCORES / 2], axis=1))
    first, second = read_keypoints(tmp_path / "a.npz")
    np.testing.assert_allclose(second.points_px, OTHER, rtol=1e-6)
    np.testing.assert_allclose(second.confidence, SCORES / 2, rtol=1e-6)
    assert len(first) == 12


def test_one_person_in_the_second_axis_is_one_person(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", WALK[:, None])
    (pose,) = read_keypoints(tmp_path / "a.npy")
    np.testing.assert_allclose(pose.points_px, WALK, rtol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_people_are_told_from_frames_by_how_little_a_person_moves(tmp_path: Path, axis: int) -> None:
    np.save(tmp_path / "a.npy", np.stack([WALK, OTHER], axis=axis))
    first, second = read_keypoints(tmp_path / "a.npy")
    np.testing.assert_allclose(first.points_px, WALK, rtol=1e-6)
    np.testing.assert_allclose(second.points_px, OTHER, rtol=1e-6)


def test_shares_take_the_size_from_the_file_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", points_px=WALK / (800, 600), image_size=(800, 600))
    np.savez(tmp_path / "foreign.npz", keypoints=WALK / (800, 600), image_size=(800, 600))
    for name in ("own.npz", "foreign.npz"):
        (pose,) = read_keypoints(tmp_path / name)
        np.testing.assert_allclose(pose.points_px, WALK, rtol=1e-5)
        assert pose.source.endswith("points between 0 and 1 scaled to 800 × 600")
    np.savez(tmp_path / "unsized.npz", points_px=WALK / (800, 600))
    with pytest.raises(UserError, match="points between 0 and 1"):
        read_keypoints(tmp_path / "unsized.npz")


def test_a_point_outside_the_picture_does_not_make_shares_pixels(tmp_path: Path) -> None:
    shares = np.concatenate([WALK / (800, 600), SCORES[..., None]], axis=-1)
    shares[:, 16] = -0.4, 3.1, 0.05
    np.save(tmp_path / "a.npy", shares)
    (pose,) = read_keypoints(tmp_path / "a.npy", image_size=(800, 600))
    np.testing.assert_allclose(pose.points_px[:, :16], WALK[:, :16], rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 80.0])
def test_single_scores_do_not_change_the_others(tmp_path: Path, scale: float) -> None:
    scores = SCORES * scale
    scores[3, 4] = 9 * scale
    np.savez(tmp_path / "a.npz", keypoints=WALK, scores=scores)
    (pose,) = read_keypoints(tmp_path / "a.npz")
    others = np.arange(scores.size).reshape(scores.shape) != 3 * 17 + 4
    top = 1.0 if scale == 1 else scores[others].max()
    np.testing.assert_allclose(pose.confidence[others], (scores / top)[others], rtol=1e-6)
    assert pose.confidence[3, 4] == 1


def test_frames_in_steps_of_milliseconds_are_noticed(tmp_path: Path) -> None:
    frames = (np.arange(20) * 33.3667).astype(int)
    points = np.random.default_rng(0).uniform(100, 400, (20, 17, 2))
    np.savez(tmp_path / "ms.npz", points_px=points, frames=frames)
    with pytest.raises(UserError, match=r"steps of 33, as of milliseconds"):
        read_keypoints(tmp_path / "ms.npz")
    (track,) = read_keypoints(tmp_path / "ms.npz", fps=240)
    assert track.frames.tolist() == frames.tolist()
