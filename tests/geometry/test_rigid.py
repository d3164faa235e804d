"""Rigid transforms: a group whose neighbours cancel, and the matrices that they stand for."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from repose.geometry.rigid import RigidTransform


def draw(seed: int) -> RigidTransform:
    rng = np.random.default_rng(seed)
    R = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    return RigidTransform(R * np.sign(np.linalg.det(R)), rng.normal(size=3))


@given(st.integers(0, 999))
def test_transforms_are_their_matrices(seed: int) -> None:
    T_a_b, T_b_c = draw(seed), draw(seed + 1000)
    np.testing.assert_allclose((T_a_b @ T_b_c).matrix, T_a_b.matrix @ T_b_c.matrix, atol=1e-12)
    np.testing.assert_allclose(T_a_b.inverse().matrix, np.linalg.inv(T_a_b.matrix), atol=1e-12)
    np.testing.assert_array_equal(RigidTransform.from_matrix(T_a_b.matrix).matrix, T_a_b.matrix)
    points = np.random.default_rng(seed).normal(size=(4, 5, 3))
    homogeneous = np.concatenate([points, np.ones((4, 5, 1))], axis=-1)
    np.testing.assert_allclose(T_a_b.apply(points), (homogeneous @ T_a_b.matrix.T)[..., :3], atol=1e-12)
    np.testing.assert_allclose(
        T_a_b.turn(points[0] - points[1]), T_a_b.apply(points[0]) - T_a_b.apply(points[1]), atol=1e-12
    )
    np.testing.assert_array_equal(RigidTransform().apply(points), points)
