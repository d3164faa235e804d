"""Cameras: projection and rays are each other's inverse, and exact joints put the root in its exact place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.errors import UserError
from repose.geometry.camera import ASSUMED_FOV_DEG, Camera, solve_root
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import axis_angle_to_matrix

RNG = np.random.default_rng(5)
BODY = RNG.normal(size=(17, 3)) * [0.25, 0.5, 0.2]
BODY -= BODY[0]
SURE = np.ones((1, 17))


def camera_at(distortion: list[float], turn: np.ndarray, shift: np.ndarray) -> Camera:
    K = np.array([[1100.0, 0, 640], [0, 1050, 360], [0, 0, 1]])
    return Camera(K, np.array(distortion, dtype=np.float64), RigidTransform(turn, shift))


@given(
    st.lists(st.floats(-0.1, 0.1), min_size=2, max_size=2),
    st.lists(st.floats(-0.01, 0.01), min_size=2, max_size=2),
    st.integers(0, 999),
)
def test_rays_undo_projection(radial: list[float], tangential: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    shift = rng.normal(size=3)
    camera = camera_at([*radial, *tangential], turn, shift)
    seen = np.concatenate([rng.uniform(-0.6, 0.6, (5, 4, 2)), np.ones((5, 4, 1))], axis=-1)
    points = seen * rng.uniform(0.5, 20, (5, 4, 1))
    world = (points - shift) @ turn
    np.testing.assert_allclose(camera.rays(camera.project(world)), seen[..., :2], atol=1e-7)


def test_axes_are_right_down_and_forward() -> None:
    camera = Camera.assumed((640, 480))
    middle, right, below = camera.project(np.array([[0.0, 0, 2], [0.5, 0, 2], [0, 0.5, 2]]))
    np.testing.assert_allclose(middle, [320, 240])
    assert right[0] > 320
    assert right[1] == 240
    assert below[0] == 320
    assert below[1] > 240
    nearer = camera.project(np.array([0.5, 0, 1]))
    assert nearer[0] - 320 == pytest.approx(2 * (right[0] - 320))


def test_distortion_is_opencvs() -> None:
    """Worked by hand at x = 0.5, y = 0: k1 and p2 act along x, p1 along y."""
    turn = np.eye(3)
    ray = np.array([0.5, 0.0, 1.0])
    radial = camera_at([0.2, 0.1, 0, 0], turn, np.zeros(3)).project(ray)
    np.testing.assert_allclose(radial, [640 + 1100 * 0.5 * (1 + 0.2 * 0.25 + 0.1 * 0.0625), 360])
    tangential = camera_at([0, 0, 0.01, 0.02], turn, np.zeros(3)).project(ray)
    np.testing.assert_allclose(
        tangential, [640 + 1100 * (0.5 + 0.02 * (0.25 + 0.5)), 360 + 1050 * 0.01 * 0.25]
    )


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (500, 500)])
def test_the_assumed_field_of_view_spans_the_diagonal(size: tuple[int, int]) -> None:
    camera = Camera.assumed(size)
    a, b = camera.rays(np.array([[0.0, 0.0], [*size]]))
    across = np.degrees(np.arctan(np.linalg.norm(a)) + np.arctan(np.linalg.norm(b)))
    assert across == pytest.approx(ASSUMED_FOV_DEG)
    assert camera.intrinsics_px[2:] == (size[0] / 2, size[1] / 2)
    assert Camera.from_intrinsics(camera.intrinsics_px).intrinsics_px == camera.intrinsics_px


@pytest.mark.parametrize("fov", [0, 0.99, 170.1, -60, float("nan"), float("inf")])
def test_an_impossible_field_of_view_is_refused(fov: float) -> None:
    with pytest.raises(UserError, match="field of view: expected 1 to 170 degrees"):
        Camera.assumed((640, 480), fov)


@pytest.mark.parametrize(
    "intrinsics", [(0, 1, 2, 3), (1000, -1, 2, 3), (1000, 1000, float("nan"), 3), (float("inf"), 1, 2, 3)]
)
def test_impossible_intrinsics_are_refused(intrinsics: tuple[float, float, float, float]) -> None:
    with pytest.raises(UserError, match="intrinsics: expected fx, fy, cx, cy in pixels"):
        Camera.from_intrinsics(intrinsics)


@given(st.floats(0.9, 60), st.floats(-0.7, 0.7), st.floats(-0.7, 0.7), st.integers(0, 99))
def test_the_root_of_exact_joints_is_exact(depth: float, x: float, y: float, seed: int) -> None:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    body = BODY * 0.3 @ turn
    root = np.array([x * depth, y * depth, depth])
    joints = body + root
    weights = np.random.default_rng(seed).uniform(0.1, 1, (1, 17))
    found, where = solve_root(body[None], (joints[:, :2] / joints[:, 2:])[None], weights)
    assert where.all()
    np.testing.assert_allclose(found[0], root, atol=1e-6 * depth**2)


def test_joints_of_weight_zero_do_not_count_and_noise_is_averaged() -> None:
    root = np.array([0.4, -0.2, 4.0])
    joints = BODY + root
    rays = np.repeat((joints[:, :2] / joints[:, 2:])[None], 3, axis=0)
    weights = np.repeat(SURE, 3, axis=0)
    rays[0, 4:] = 1e6  # never found, coordinates mean nothing
    weights[0, 4:] = 0
    rays[1] += np.random.default_rng(1).normal(size=(17, 2)) * 0.001
    found, where = solve_root(np.repeat(BODY[None], 3, axis=0), rays, weights)
    assert where.all()
    np.testing.assert_allclose(found[0], root, atol=1e-8)
    np.testing.assert_allclose(found[1], root, atol=0.05)


def test_frames_that_cannot_tell_are_marked() -> None:
    joints = BODY + np.array([0.0, 0.0, 4.0])
    rays = np.repeat((joints[:, :2] / joints[:, 2:])[None], 5, axis=0)
    weights = np.zeros((5, 17))
    weights[1, 3] = 1  # a single joint
    weights[2] = 1
    rays[2] = 0.3  # everything in one place
    weights[3] = 1
    rays[3] *= -1  # upside down: behind the camera
    weights[4, [3, 11]] = 0.5  # two joints are enough
    found, where = solve_root(np.repeat(BODY[None], 5, axis=0), rays, weights)
    assert where.tolist() == [False, False, False, False, True]
    np.testing.assert_array_equal(found[:4], 0)
    np.testing.assert_allclose(found[4], [0, 0, 4], atol=1e-8)


def test_a_turned_camera_sees_the_world_turned() -> None:
    """A camera that looks along world y, z up: world x is right, world -z is down."""
    turn = axis_angle_to_matrix(np.array([np.pi / 2, 0.0, 0.0]))
    camera = camera_at([0, 0, 0, 0], np.asarray(turn), np.zeros(3))
    right = camera.project(np.array([1.0, 5.0, 0.0]))
    below = camera.project(np.array([0.0, 5.0, -1.0]))
    np.testing.assert_allclose(right, [640 + 220, 360], atol=1e-9)
    np.testing.assert_allclose(below, [640, 360 + 210], atol=1e-9)


def test_what_is_behind_the_camera_lies_far_outside_the_picture() -> None:
    camera = Camera.assumed((640, 480))
    points, depths_m = camera.project_with_depth(np.array([[0.5, 0.25, 2.0], [0.5, 0.25, -2.0]]))
    np.testing.assert_allclose(points[0], camera.project(np.array([0.5, 0.25, 2.0])))
    assert np.abs(points[1] - 320).min() > 1e4
    np.testing.assert_allclose(depths_m, [2.0, 1e-3])
