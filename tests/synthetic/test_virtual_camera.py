"""Virtual cameras: axes by hand-made points, and what holds for every camera drawn."""

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from repose.skeleton import H36M_17, stature
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig, cut_by_edge, sample_views, world_to_camera

CONFIG = CameraConfig()
TURN = 2 * math.pi


def rotation(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Tensor:
    return world_to_camera(*(torch.tensor([angle], dtype=torch.float64) for angle in (yaw, pitch, roll)))[0]


def seen(world: list[float], **angles: float) -> list[float]:
    return (rotation(**angles) @ torch.tensor(world, dtype=torch.float64)).tolist()


@pytest.fixture(scope="module")
def joints() -> Tensor:
    clips = list(make_motion(ProceduralConfig(clips=200, seconds=0.5), seed=1))
    return torch.from_numpy(np.stack(clips))


@pytest.fixture(scope="module")
def views(joints: Tensor) -> tuple[Tensor, Tensor]:
    return sample_views(joints, CONFIG, Generator().manual_seed(5))


def test_axes_of_a_level_camera() -> None:
    # It looks along world x: what is ahead has z, what lies to world -y is on the right, up is -y.
    assert seen([1, 0, 0]) == pytest.approx([0, 0, 1])
    assert seen([0, -1, 0]) == pytest.approx([1, 0, 0])
    assert seen([0, 0, 1]) == pytest.approx([0, -1, 0])


def test_yaw_turns_to_the_left() -> None:
    assert seen([0, 1, 0], yaw=TURN / 4) == pytest.approx([0, 0, 1])
    x, _, z = seen([1, 0, 0], yaw=0.1)
    assert x > 0  # what was ahead moves to the right
    assert z > 0


def test_pitch_looks_down() -> None:
    x, y, z = seen([1, 0, 0], pitch=0.1)
    assert y < 0  # what was ahead moves up in the picture
    assert (x, z) == pytest.approx((0, math.cos(0.1)))
    assert seen([0, 0, -1], pitch=TURN / 4) == pytest.approx([0, 0, 1])


def test_roll_turns_clockwise_seen_from_behind() -> None:
    # The camera's right side goes down, so what was above moves to the left in its picture.
    x, y, z = seen([0, 0, 1], roll=0.1)
    assert x < 0
    assert y < 0
    assert z == pytest.approx(0)
    assert seen([0, 0, 1], roll=TURN / 4) == pytest.approx([-1, 0, 0])


def test_rotations_are_proper() -> None:
    angles = (torch.rand(3, 500, generator=Generator().manual_seed(1), dtype=torch.float64) - 0.5) * TURN
    R = world_to_camera(*angles)
    torch.testing.assert_close(R @ R.mT, torch.eye(3, dtype=R.dtype).expand(500, 3, 3))
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(500, dtype=R.dtype))


def test_projecting_moves_the_body_rigidly(joints: Tensor, views: tuple[Tensor, Tensor]) -> None:
    _, camera = views
    # One rotation, proper, and one translation a clip: the camera stands still.
    before = (joints - joints.mean((1, 2), keepdim=True)).double().flatten(1, 2)
    after = (camera - camera.mean((1, 2), keepdim=True)).double().flatten(1, 2)
    U, _, Vh = torch.linalg.svd(before.mT @ after)
    R = (U @ Vh).mT
    torch.testing.assert_close(torch.linalg.det(R), torch.ones(len(R), dtype=R.dtype))
    torch.testing.assert_close(before @ R.mT, after, atol=1e-4, rtol=0)


def test_rays_are_the_joints_seen_with_one_wrong_focal_length(views: tuple[Tensor, Tensor]) -> None:
    rays, camera = views
    true = camera[..., :2] / camera[..., 2:]
    factor = (rays * true).sum((1, 2, 3)) / true.square().sum((1, 2, 3))
    torch.testing.assert_close(rays, true * factor[:, None, None, None], atol=1e-5, rtol=1e-4)
    log = factor.log()
    assert log.std().item() == pytest.approx(CONFIG.focal_sigma, rel=0.2)
    assert abs(log.mean().item()) < 0.03


def test_all_is_in_front_of_the_camera() -> None:
    # Even someone who crosses a hall towards a camera that stands near.
    walk = torch.zeros(20, 30, 17, 3) + torch.rand(17, 3, generator=Generator().manual_seed(0))
    walk[..., 0] += torch.linspace(-8, 8, 30)[:, None]
    near = CameraConfig(distance=(1.4, 1.5), pitch_deg=(0.0, 0.0))
    _, camera = sample_views(walk, near, Generator().manual_seed(3))
    assert camera[..., 2].min() >= 0.7 - 1e-4


def test_people_stand_where_the_configuration_says(joints: Tensor, views: tuple[Tensor, Tensor]) -> None:
    _, camera = views
    assert camera[..., 2].min() > 0.5
    centre = camera.mean((1, 2))
    heights = centre.norm(dim=-1) / stature(joints).mean(1)
    near, far = CONFIG.distance
    assert heights.min() > near * 0.999
    assert heights.max() < far * 1.001
    assert heights.log().std() > 0.3
    angle = torch.atan2(centre[:, :2].abs(), centre[:, 2:])
    assert angle.max() <= math.radians(CONFIG.off_axis_deg) + 1e-4
    assert (centre[:, 0] > 0).float().mean().item() == pytest.approx(0.5, abs=0.15)


def test_pitch_and_roll_stay_in_their_ranges() -> None:
    # A vertical pole: its direction in the camera frame tells pitch and roll.
    pole = torch.zeros(400, 1, 17, 3)
    pole[..., 2] = torch.arange(17)[None, None] / 10
    config = CameraConfig(roll_sigma_deg=40.0)
    _, camera = sample_views(pole, config, Generator().manual_seed(7))
    up = camera[:, 0, -1] - camera[:, 0, 0]
    up = up / up.norm(dim=-1, keepdim=True)
    pitch = torch.rad2deg(torch.asin(-up[:, 2]))
    roll = torch.rad2deg(torch.atan2(-up[:, 0], -up[:, 1]))
    assert -15.01 <= pitch.min() < -10
    assert 40 < pitch.max() <= 45.01
    assert roll.abs().max() <= 30.01
    assert (roll.abs() > 29.9).float().mean() > 0.3  # cut, not drawn again


def test_cameras_come_from_all_sides(views: tuple[Tensor, Tensor], joints: Tensor) -> None:
    _, camera = views
    left, right = H36M_17.indices("left_hip", "right_hip")
    on_the_left = (camera[:, 0, left, 0] < camera[:, 0, right, 0]).float().mean()
    assert on_the_left.item() == pytest.approx(0.5, abs=0.15)


def test_the_generator_decides(joints: Tensor, views: tuple[Tensor, Tensor]) -> None:
    again = sample_views(joints, CONFIG, Generator().manual_seed(5))
    assert all(torch.equal(one, other) for one, other in zip(views, again, strict=True))
    other = sample_views(joints, CONFIG, Generator().manual_seed(6))
    assert not torch.equal(views[0], other[0])


def rolls_deg(config: CameraConfig) -> Tensor:
    """By how much the picture of a vertical pole is rolled, of many level cameras."""
    pole = torch.zeros(2000, 1, 17, 3)
    pole[..., 2] = torch.arange(17)[None, None] / 10
    _, camera = sample_views(pole, config, Generator().manual_seed(7))
    up = camera[:, 0, -1] - camera[:, 0, 0]
    return torch.rad2deg(torch.atan2(-up[:, 0], -up[:, 1]))


def test_a_share_of_cameras_is_rolled() -> None:
    level = CameraConfig(pitch_deg=(0.0, 0.0), roll_sigma_deg=1.0)
    roll = rolls_deg(CameraConfig(pitch_deg=(0.0, 0.0), roll_sigma_deg=1.0, p_rolled=0.4))
    turned = roll.abs() > 5
    assert turned.float().mean().item() == pytest.approx(0.39, abs=0.04)
    quarters = (roll.abs() - 90).abs().lt(5) | roll.abs().gt(175)
    assert quarters.float().mean().item() == pytest.approx(0.21, abs=0.04)
    assert (rolls_deg(level).abs() < 5).all()


def test_a_share_of_cameras_stands_anywhere_near_or_far(joints: Tensor) -> None:
    config = CameraConfig(p_any_distance=1.0, any_distance=(0.8, 30.0))
    _, camera = sample_views(joints, config, Generator().manual_seed(5))
    heights = camera.mean((1, 2)).norm(dim=-1) / stature(joints).mean(1)
    assert 0.7 < heights.min() < 1.3
    assert 20 < heights.max() < 31


def test_a_wrong_lens_and_distortion_magnify_the_rays(joints: Tensor) -> None:
    exact = CameraConfig(focal_sigma=0.0)
    for config, low, high in (
        (CameraConfig(focal_sigma=0.0, p_wrong_lens=1.0, wrong_lens=0.3), 0.7, 1.3),
        (CameraConfig(focal_sigma=0.0, p_distorted=1.0, distortion=0.1), 0.8, 1.2),
    ):
        rays, camera = sample_views(joints, config, Generator().manual_seed(5))
        plain, _ = sample_views(joints, exact, Generator().manual_seed(5))
        ratio = rays.norm(dim=-1) / (camera[..., :2] / camera[..., 2:]).norm(dim=-1)
        assert low - 1e-4 <= ratio.min() < 0.98
        assert 1.02 < ratio.max() <= high + 1e-4
        assert plain.shape == rays.shape
        constant = ratio.amax((1, 2)) - ratio.amin((1, 2)) < 1e-3
        assert constant.all() == bool(config.p_wrong_lens)  # distortion grows outward


def test_an_edge_cuts_a_part_of_the_person_for_the_whole_clip(views: tuple[Tensor, Tensor]) -> None:
    rays = views[0]
    config = CameraConfig(p_cut=1.0, cut=(0.3, 0.7))
    beyond = cut_by_edge(rays, config, Generator().manual_seed(1))
    assert beyond.any(dim=2).any(dim=1).all()
    assert not beyond.all(dim=2).all(dim=1).any()
    sides = set()
    for clip in range(len(rays)):
        for axis in (0, 1):
            inside, outside = rays[clip, ..., axis][~beyond[clip]], rays[clip, ..., axis][beyond[clip]]
            if outside.min() > inside.max():
                sides.add((axis, "high"))
            elif outside.max() < inside.min():
                sides.add((axis, "low"))
    assert len(sides) == 4
    assert not cut_by_edge(rays, CameraConfig(), Generator().manual_seed(1)).any()
