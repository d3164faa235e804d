"""The camera turned to the person, and filled gaps."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from people import observe, turn
from torch import Tensor

from repose.models.perspective_crop import fill_gaps, perspective_crop, rotate
from repose.skeleton import H36M_17

# The view


def test_the_turned_camera_looks_at_the_person(keypoints: Tensor) -> None:
    view = perspective_crop(keypoints)
    R = view.T_camera_view
    torch.testing.assert_close(R.mT @ R, torch.eye(3, dtype=R.dtype).expand_as(R))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(R.shape[:2], dtype=R.dtype))
    trunk = H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    centre = keypoints[:, :, trunk, :2].mean(2)
    ahead = R[..., 2]
    torch.testing.assert_close(ahead[..., :2] / ahead[..., 2:], centre)
    # The shortest way there: no roll about the line of sight.
    trace = R.diagonal(dim1=-2, dim2=-1).sum(-1)
    torch.testing.assert_close((trace - 1) / 2, ahead[..., 2])


def test_the_view_shows_the_same_rays(keypoints: Tensor) -> None:
    view = perspective_crop(keypoints)
    tangents = view.points * view.size[..., None, None]
    back = rotate(view.T_camera_view, torch.nn.functional.pad(tangents, (0, 1), value=1.0))
    torch.testing.assert_close(back[..., :2] / back[..., 2:], keypoints[..., :2])
    spread = view.points.square().sum(-1).mean((1, 2)).sqrt()
    torch.testing.assert_close(spread, torch.ones_like(spread))


def test_the_view_does_not_depend_on_where_the_camera_points(bodies: Tensor) -> None:
    """Panned cameras see the same person. What differs is small: a centre of tangents is not the tangent
    of a centre, and the shortest rotation adds a little roll."""
    straight = perspective_crop(observe(bodies))
    for R in (turn(yaw=0.3), turn(pitch=-0.3)):
        panned = perspective_crop(observe(bodies @ R.T))
        torch.testing.assert_close(panned.points, straight.points, atol=0.1, rtol=0)
        torch.testing.assert_close(panned.size, straight.size, rtol=0.05, atol=0)
        raw = observe(bodies @ R.T)[..., :2] - observe(bodies)[..., :2]
        assert raw.abs().max() > 0.3


def test_a_person_in_the_middle_needs_no_turn() -> None:
    points = torch.randn(1, 1, 17, 2, dtype=torch.float64) * 0.1
    points[:, :, H36M_17.index("head_top"), 1] = -2.0
    trunk = H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    points -= points[:, :, trunk].mean(2, keepdim=True)
    view = perspective_crop(torch.nn.functional.pad(points, (0, 1), value=1.0))
    torch.testing.assert_close(view.T_camera_view[0, 0], torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close(view.points * view.size[..., None, None], points)


def test_the_track_is_where_the_person_walks(bodies: Tensor) -> None:
    still = bodies[:, :1].expand(-1, 12, -1, -1)
    assert perspective_crop(observe(still)).track.abs().max() < 1e-12
    way = torch.linspace(0, 1, 12, dtype=torch.float64)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    track = perspective_crop(observe(still + way)).track
    torch.testing.assert_close(track.mean(1), torch.zeros(3, 2, dtype=torch.float64))
    assert (track[..., 0].diff(dim=1) > 0).all()


def test_joints_behind_the_turned_camera_stay_finite() -> None:
    keypoints = torch.ones(1, 4, 17, 3)
    keypoints[..., :2] = 8.0  # tangents: 83 degrees off, and one joint at the other side
    keypoints[:, :, 16, :2] = -8.0
    view = perspective_crop(keypoints)
    assert view.points.isfinite().all()


# Roll

QUARTERS = [0, 1, 2, 3]


@pytest.mark.parametrize("quarters", QUARTERS)
def test_a_camera_rolled_by_right_angles_shows_the_same_view(bodies: Tensor, quarters: int) -> None:
    R = turn(roll=quarters * np.pi / 2)
    straight, rolled = perspective_crop(observe(bodies)), perspective_crop(observe(bodies @ R.T))
    torch.testing.assert_close(rolled.points, straight.points)
    torch.testing.assert_close(rolled.track, straight.track)
    torch.testing.assert_close(R @ straight.T_camera_view, rolled.T_camera_view)


@pytest.mark.parametrize("quarters", QUARTERS)
def test_the_head_is_up_whatever_part_of_the_body_is_seen(bodies: Tensor, quarters: int) -> None:
    legs = H36M_17.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")))
    head = H36M_17.indices("thorax", "nose", "head_top", "left_shoulder", "right_shoulder")
    standing = bodies.clone()
    standing[:, :, legs] = bodies[:, :, legs].mean((0, 1))
    for part in (legs, head):
        keypoints = observe(standing @ turn(roll=quarters * np.pi / 2).T)
        others = [joint for joint in range(17) if joint not in part]
        keypoints[:, :, others] = 0
        points = perspective_crop(keypoints).points.mean(dim=1)
        high, low = (
            points[:, joint, 1] for joint in ((part[0], part[2]) if part == legs else (part[2], part[0]))
        )
        assert (high < low).all()


def test_a_clip_that_tells_nothing_of_up_stays_as_it_is() -> None:
    keypoints = torch.zeros(1, 3, 17, 3)
    keypoints[:, :, H36M_17.index("right_wrist")] = torch.tensor([0.3, 0.2, 1.0])
    view = perspective_crop(keypoints)
    assert (view.T_camera_view.diagonal(dim1=-2, dim2=-1) > 0.9).all()


# Gaps


def fill_naively(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    filled = np.zeros_like(points)
    frames = np.arange(points.shape[1])
    for clip, joint in np.ndindex(points.shape[0], points.shape[2]):
        known = seen[clip, :, joint]
        if known.any():
            for axis in range(points.shape[3]):
                filled[clip, :, joint, axis] = np.interp(
                    frames, frames[known], points[clip, known, joint, axis]
                )
    return filled


@settings(max_examples=60, deadline=None)
@given(
    seen=hnp.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 4))),
    seed=st.integers(0, 1000),
)
def test_gaps_are_filled_linearly_and_held_at_the_ends(seen: np.ndarray, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(*seen.shape, 2))
    filled = fill_gaps(torch.from_numpy(points), torch.from_numpy(seen))
    np.testing.assert_allclose(filled.numpy(), fill_naively(points, seen), atol=1e-12)
    np.testing.assert_array_equal(filled.numpy()[seen], points[seen])


def test_a_joint_never_seen_stands_at_the_centre(keypoints: Tensor) -> None:
    wrist = H36M_17.index("left_wrist")
    keypoints = keypoints.clone()
    keypoints[:, :, wrist] = 0
    assert (perspective_crop(keypoints).points[:, :, wrist] == 0).all()


def test_a_person_seen_only_in_part_has_a_centre(keypoints: Tensor) -> None:
    keypoints = keypoints.clone()
    keypoints[:, :, H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder"), 2] = 0
    view = perspective_crop(keypoints)
    seen = keypoints[..., 2] > 0
    torch.testing.assert_close(
        (view.points.square().sum(-1) * seen).sum((1, 2)) / seen.sum((1, 2)),
        torch.ones(3, dtype=torch.float64),
    )
    assert view.points.abs().max() < 10


def test_magnifying_the_picture_changes_only_the_size_it_is_told(keypoints: Tensor) -> None:
    points = keypoints[..., :2] - keypoints[..., :2].mean((1, 2), keepdim=True)
    points = points[:, :1]
    trunk = H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
    points = points - points[:, :, trunk].mean(2, keepdim=True)
    one, two = (perspective_crop(torch.nn.functional.pad(k * points, (0, 1), value=1.0)) for k in (1.0, 2.0))
    torch.testing.assert_close(one.points, two.points)
    torch.testing.assert_close(2 * one.size, two.size)
