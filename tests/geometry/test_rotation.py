"""Rotations by their axioms, over batch axes, dtypes and the neighbourhood of every singular place."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from repose.geometry import rotation as rot

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")

orders = st.sampled_from(ORDERS)
batches = st.sampled_from([(), (1,), (3,), (2, 3), (0,)])
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
# Angles at and beside the places where formulas break: 0, quarter and half turns.
critical = st.builds(
    lambda quarter, nudge: quarter * math.pi / 2 + nudge,
    st.integers(-4, 4),
    st.sampled_from([0.0, 1e-300, 1e-16, 1e-12, -1e-9, 1e-8, -1e-7, 1e-5, -1e-3]),
)
angles = st.one_of(st.floats(-7, 7), critical)
unit_vectors = st.builds(
    lambda v: np.array(v) / np.linalg.norm(v),
    st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3),
)


def draw(seed: int, batch: tuple[int, ...], dtype: type = np.float64) -> np.ndarray:
    """Random rotations, from normal quaternions: evenly spread."""
    quaternions = np.random.default_rng(seed).normal(size=(*batch, 4)).astype(dtype)
    return rot.quaternion_to_matrix(quaternions)


def tolerance(dtype: type) -> float:
    return 40 * float(np.finfo(dtype).eps)


def assert_rotation(matrix: np.ndarray) -> None:
    close = {"rtol": 0, "atol": tolerance(matrix.dtype.type)}
    identity = np.broadcast_to(np.eye(3), matrix.shape)
    np.testing.assert_allclose(matrix @ np.swapaxes(matrix, -1, -2), identity, **close)
    np.testing.assert_allclose(np.linalg.det(matrix), 1, **close)


@pytest.mark.parametrize(
    ("axis", "turned"),
    [
        ("X", ([1, 0, 0], [0, 0, 1], [0, -1, 0])),
        ("Y", ([0, 0, -1], [0, 1, 0], [1, 0, 0])),
        ("Z", ([0, 1, 0], [-1, 0, 0], [0, 0, 1])),
    ],
)
def test_a_quarter_turn_follows_the_right_hand(axis: str, turned: tuple[list[int], ...]) -> None:
    matrix = rot.axis_to_matrix(axis, np.array(math.pi / 2))
    # The columns are what becomes of x, y and z.
    np.testing.assert_allclose(matrix.T, np.array(turned), atol=1e-15)


def test_euler_angles_multiply_in_the_order_of_their_letters() -> None:
    z, x = np.radians(30), np.radians(50)
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    np.testing.assert_allclose(rot.euler_to_matrix(np.array([z, x]), "ZX"), rz @ rx, atol=1e-15)
    np.testing.assert_allclose(rot.euler_to_matrix(np.array([x, z]), "XZ"), rx @ rz, atol=1e-15)
    np.testing.assert_array_equal(rot.euler_to_matrix(np.zeros((4, 0)), ""), np.tile(np.eye(3), (4, 1, 1)))


@given(seeds, batches, dtypes, st.text("XYZ", min_size=1, max_size=4))
def test_euler_angles_make_rotations_of_their_batch_and_dtype(
    seed: int, batch: tuple[int, ...], dtype: type, order: str
) -> None:
    turns = np.random.default_rng(seed).uniform(-7, 7, (*batch, len(order))).astype(dtype)
    matrix = rot.euler_to_matrix(turns, order)
    assert matrix.shape == (*batch, 3, 3)
    assert matrix.dtype == dtype
    assert_rotation(matrix)


@given(st.tuples(angles, angles, angles), orders)
def test_reversed_euler_angles_invert(turns: tuple[float, ...], order: str) -> None:
    matrix = rot.euler_to_matrix(np.array(turns), order)
    inverse = rot.euler_to_matrix(-np.array(turns)[::-1], order[::-1])
    np.testing.assert_allclose(matrix @ inverse, np.eye(3), atol=1e-14)


@given(st.tuples(angles, angles, angles), orders, dtypes)
@example((0.3, math.pi / 2, 0.4), "ZXY", np.float64)
@example((0.3, -math.pi / 2, 0.4), "XYZ", np.float64)
@example((0.3, math.pi / 2 - 1e-8, -2.0), "YXZ", np.float64)
def test_euler_angles_come_back_even_at_gimbal_lock(
    turns: tuple[float, ...], order: str, dtype: type
) -> None:
    matrix = rot.euler_to_matrix(np.array(turns, dtype), order)
    found = rot.matrix_to_euler(matrix, order)
    assert found.dtype == dtype
    assert abs(found[1]) <= np.float32(np.pi / 2)
    np.testing.assert_allclose(rot.euler_to_matrix(found, order), matrix, atol=tolerance(dtype))


@given(st.tuples(st.floats(-3, 3), st.floats(-1.5, 1.5), st.floats(-3, 3)), orders)
def test_euler_angles_away_from_gimbal_lock_are_the_same_angles(turns: tuple[float, ...], order: str) -> None:
    found = rot.matrix_to_euler(rot.euler_to_matrix(np.array(turns), order), order)
    np.testing.assert_allclose(found, turns, atol=1e-13)


@pytest.mark.parametrize("order", ["XYX", "XY", "", "xyz", "ABC"])
def test_orders_without_three_axes_are_refused(order: str) -> None:
    with pytest.raises(ValueError, match="X, Y and Z once each"):
        rot.matrix_to_euler(np.eye(3), order)


@pytest.mark.parametrize(("order", "count"), [("XYZ", 2), ("", 1), ("xyz", 3), ("XW", 2)])
def test_orders_that_do_not_fit_the_angles_are_refused(order: str, count: int) -> None:
    with pytest.raises(ValueError, match="one per angle"):
        rot.euler_to_matrix(np.zeros(count), order)


@given(unit_vectors, angles)
def test_axis_angle_keeps_its_axis_and_turns_by_its_angle(axis: np.ndarray, angle: float) -> None:
    matrix = rot.axis_angle_to_matrix(axis * angle)
    assert_rotation(matrix)
    np.testing.assert_allclose(matrix @ axis, axis, atol=1e-14)
    np.testing.assert_allclose(np.trace(matrix), 1 + 2 * np.cos(angle), atol=1e-14)
    half = rot.axis_angle_to_matrix(axis * angle / 2)
    np.testing.assert_allclose(half @ half, matrix, atol=1e-14)


@given(unit_vectors, angles)
@example(np.array([0.0, 0.6, -0.8]), math.pi)
@example(np.array([0.6, -0.8, 0.0]), math.pi - 1e-9)
def test_axis_angle_comes_back(axis: np.ndarray, angle: float) -> None:
    matrix = rot.axis_angle_to_matrix(axis * angle)
    found = rot.matrix_to_axis_angle(matrix)
    assert np.linalg.norm(found) <= np.pi + 1e-15
    np.testing.assert_allclose(rot.axis_angle_to_matrix(found), matrix, atol=1e-14)


@given(st.floats(1e-12, 1e-6), unit_vectors)
def test_tiny_axis_angles_keep_their_digits(angle: float, axis: np.ndarray) -> None:
    found = rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(axis * angle))
    np.testing.assert_allclose(found, axis * angle, rtol=1e-6, atol=angle * 1e-9)


@given(seeds, batches, dtypes)
def test_every_form_comes_back(seed: int, batch: tuple[int, ...], dtype: type) -> None:
    matrix = draw(seed, batch, dtype)
    assert_rotation(matrix)
    quaternion = rot.matrix_to_quaternion(matrix)
    axis_angle = rot.matrix_to_axis_angle(matrix)
    assert {form.dtype for form in (quaternion, axis_angle)} == {np.dtype(dtype)}
    assert (quaternion[..., 0] >= 0).all()
    for again in (
        rot.quaternion_to_matrix(quaternion),
        rot.axis_angle_to_matrix(axis_angle),
    ):
        assert again.shape == matrix.shape
        assert again.dtype == dtype
        np.testing.assert_allclose(again, matrix, atol=tolerance(dtype))


@given(unit_vectors, angles)
def test_quaternion_of_an_axis_and_an_angle(axis: np.ndarray, angle: float) -> None:
    quaternion = rot.matrix_to_quaternion(rot.axis_angle_to_matrix(axis * angle))
    stated = np.array([np.cos(angle / 2), *(np.sin(angle / 2) * axis)])
    # A quaternion and its negative are one rotation.
    np.testing.assert_allclose(np.outer(quaternion, quaternion), np.outer(stated, stated), atol=1e-14)


@given(seeds, st.floats(0.01, 100))
def test_quaternions_of_any_length_are_accepted(seed: int, size: float) -> None:
    matrix = draw(seed, ())
    longer = rot.quaternion_to_matrix(-size * rot.matrix_to_quaternion(matrix))
    np.testing.assert_allclose(longer, matrix, atol=1e-14)


@given(unit_vectors, unit_vectors, dtypes)
@example(np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0]), np.float64)
@example(np.array([0.6, 0.0, 0.8]), np.array([-0.6, 1e-9, -0.8]), np.float64)
@example(np.array([0.6, 0.0, 0.8]), np.array([0.6, 1e-12, 0.8]), np.float64)
def test_the_shortest_arc_arrives_and_turns_no_further(
    source: np.ndarray, target: np.ndarray, dtype: type
) -> None:
    source, target = (3 * source).astype(dtype), (0.2 * target).astype(dtype)
    matrix = rot.shortest_arc(source, target)
    assert matrix.dtype == dtype
    assert_rotation(matrix)
    goal = target / np.linalg.norm(target)
    start = source / np.linalg.norm(source)
    np.testing.assert_allclose(matrix @ start, goal, atol=tolerance(dtype))
    np.testing.assert_allclose(np.trace(matrix), 1 + 2 * start @ goal, atol=tolerance(dtype))
    back = rot.shortest_arc(target, source) @ goal
    np.testing.assert_allclose(back, start, atol=tolerance(dtype))


def test_the_shortest_arc_broadcasts() -> None:
    sources = np.random.default_rng(0).normal(size=(4, 1, 3))
    targets = np.random.default_rng(1).normal(size=(5, 3))
    arcs = rot.shortest_arc(sources, targets)
    assert arcs.shape == (4, 5, 3, 3)
    np.testing.assert_allclose(arcs[2, 3], rot.shortest_arc(sources[2, 0], targets[3]), atol=1e-15)


def test_forward_kinematics_of_an_arm_by_hand() -> None:
    # Root turned a quarter about z, then the elbow a quarter about x: written out on paper.
    offsets = np.array([[0.0, 0.0, 1.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 5.0]])
    quarter = np.array(math.pi / 2)
    local = np.stack(
        [rot.axis_to_matrix("Z", quarter), rot.axis_to_matrix("X", quarter), np.eye(3), np.eye(3)]
    )
    placed, turned = rot.forward_kinematics(local, offsets, (-1, 0, 1, 0), np.array([7.0, 0.0, 0.0]))
    expected = [[7, 0, 1], [7, 2, 1], [7, 2, 4], [7, 0, 6]]
    np.testing.assert_allclose(placed, expected, atol=1e-14)
    np.testing.assert_allclose(turned[2], local[0] @ local[1], atol=1e-14)


@given(seeds, st.sampled_from([(), (4,), (2, 3)]))
def test_forward_kinematics_commutes_with_moving_the_whole_body(seed: int, batch: tuple[int, ...]) -> None:
    generator = np.random.default_rng(seed)
    parents = (-1, 0, 1, 1, 3, 0)
    offsets = generator.normal(size=(6, 3))
    offsets[0] = 0
    local, move = draw(seed, (*batch, 6)), draw(seed + 1, ())
    root, shift = generator.normal(size=(*batch, 3)), generator.normal(size=3)
    placed, turned = rot.forward_kinematics(local, offsets, parents, root)
    moved = local.copy()
    moved[..., 0, :, :] = move @ local[..., 0, :, :]
    placed_2, turned_2 = rot.forward_kinematics(moved, offsets, parents, root @ move.T + shift)
    np.testing.assert_allclose(placed_2, placed @ move.T + shift, atol=1e-12)
    np.testing.assert_allclose(turned_2, move @ turned, atol=1e-12)
    for child, parent in enumerate(parents[1:], start=1):
        bone = np.linalg.norm(placed[..., child, :] - placed[..., parent, :], axis=-1)
        np.testing.assert_allclose(bone, np.linalg.norm(offsets[child]), rtol=1e-12)


def test_forward_kinematics_refuses_children_before_their_parents() -> None:
    with pytest.raises(ValueError, match="before its children"):
        rot.forward_kinematics(np.tile(np.eye(3), (2, 1, 1)), np.zeros((2, 3)), (1, -1), np.zeros(3))


def test_a_vector_without_length_turns_nothing() -> None:
    vectors = np.array([[0.0, 0, 0], [0, 2, 0], [0, 0, 0]])
    turns = rot.shortest_arc(vectors, np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]))
    np.testing.assert_array_equal(turns, np.broadcast_to(np.eye(3), (3, 3, 3)))


def test_unit_vectors_have_length_one_and_those_without_length_are_marked() -> None:
    vectors = np.array([[3.0, 0, 4], [0, 0, 0], [np.nan, 0, 1]])
    found = rot.unit(vectors)
    np.testing.assert_allclose(found[:2], [[0.6, 0, 0.8], [0, 0, 0]])
    assert np.isnan(found[2]).all()
    assert np.isnan(rot.unit(vectors, np.nan)[1]).all()
