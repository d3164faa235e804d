"""Rotation matrices, the forms they are made from and turned into, and forward kinematics.

A rotation is a matrix (..., 3, 3) that takes column vectors, `v_parent = R @ v_child`; leading axes are
batch axes. Angles are radians. Every function keeps the floating dtype that it is given. SciPy has neither
Euler angles of any number and order nor those that give a rotation back near gimbal lock: these are our own.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

Rotation = Float[np.ndarray, "*batch 3 3"]
Vector = Float[np.ndarray, "*batch 3"]
Quaternion = Float[np.ndarray, "*batch 4"]


def unit(vectors: Vector, empty: float = 0.0) -> Vector:
    """Normalise vectors to length 1; those without length become `empty`."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.full_like(vectors, empty), where=length != 0)


def axis_to_matrix(axis: str, angle_rad: Float[np.ndarray, "*batch"]) -> Rotation:
    """Rotate by `angle_rad` about one coordinate axis, "X", "Y" or "Z" (right-hand rule)."""
    fixed = "XYZ".index(axis)
    after, last = (fixed + 1) % 3, (fixed + 2) % 3
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    matrix = np.zeros((*angle_rad.shape, 3, 3), angle_rad.dtype)
    matrix[..., fixed, fixed] = 1
    matrix[..., after, after] = matrix[..., last, last] = cosine
    matrix[..., last, after] = sine
    matrix[..., after, last] = -sine
    return matrix


def euler_to_matrix(angles_rad: Float[np.ndarray, "*batch angles"], order: str) -> Rotation:
    """Convert intrinsic Euler angles: order "ZXY" gives Rz(angles[0]) @ Rx(angles[1]) @ Ry(angles[2]).

    This is the order of a BVH file's channels. `order` holds one letter X, Y or Z per angle, of any
    number and with repetitions; with none the rotation is the identity. Extrinsic angles (about fixed
    axes, as in ASF files) are the same with angles and order reversed.
    """
    if angles_rad.shape[-1] != len(order) or set(order) - set("XYZ"):
        found = f"{order!r} and {angles_rad.shape[-1]} angles"
        raise ValueError(f"order: expected letters X, Y and Z, one per angle, found {found}")
    matrix = np.broadcast_to(np.eye(3, dtype=angles_rad.dtype), (*angles_rad.shape[:-1], 3, 3))
    for i, axis in enumerate(order):
        factor = axis_to_matrix(axis, angles_rad[..., i])
        matrix = matrix @ factor if i else factor
    return matrix


def matrix_to_euler(rotation: Rotation, order: str) -> Vector:
    """Convert to intrinsic Euler angles in radians about three different axes; inverts `euler_to_matrix`.

    The middle angle lies in [-π/2, π/2]. At gimbal lock, where the first and the last axis coincide,
    the first angle is arbitrary and the last makes up for it, so the angles always give the rotation back.
    """
    if sorted(order) != ["X", "Y", "Z"]:
        raise ValueError(f"order {order!r}: expected the letters X, Y and Z once each")
    first, middle, last = map("XYZ".index, order)
    sign = 1 if (middle - first) % 3 == 1 else -1
    a = np.arctan2(-sign * rotation[..., middle, last], rotation[..., last, last])
    b = np.arctan2(
        sign * rotation[..., first, last], np.hypot(rotation[..., first, first], rotation[..., first, middle])
    )
    # The row of the middle axis once the first rotation is undone: it is that of the last one alone.
    cosine, sine = np.cos(a)[..., None], sign * np.sin(a)[..., None]
    row = cosine * rotation[..., middle, :] + sine * rotation[..., last, :]
    c = np.arctan2(sign * row[..., first], row[..., middle])
    return np.stack([a, b, c], axis=-1)


def axis_angle_to_matrix(axis_angle_rad: Vector) -> Rotation:
    """Rotate about the vector's direction by its length."""
    turns = _scipy().from_rotvec(axis_angle_rad.reshape(-1, 3))
    return _like(axis_angle_rad, turns.as_matrix(), (*axis_angle_rad.shape[:-1], 3, 3))


def matrix_to_axis_angle(rotation: Rotation) -> Vector:
    """Convert to axis times angle, with the angle in [0, π]."""
    turns = _scipy().from_matrix(rotation.reshape(-1, 3, 3))
    return _like(rotation, turns.as_rotvec(), rotation.shape[:-1])


def quaternion_to_matrix(quaternion: Quaternion) -> Rotation:
    """Convert a quaternion (w, x, y, z) of any non-zero length."""
    turns = _scipy().from_quat(quaternion.reshape(-1, 4), scalar_first=True)
    return _like(quaternion, turns.as_matrix(), (*quaternion.shape[:-1], 3, 3))


def matrix_to_quaternion(rotation: Rotation) -> Quaternion:
    """Convert to a unit quaternion (w, x, y, z) with w ≥ 0."""
    turns = _scipy().from_matrix(rotation.reshape(-1, 3, 3))
    return _like(rotation, turns.as_quat(canonical=True, scalar_first=True), (*rotation.shape[:-2], 4))


def shortest_arc(
    source: Float[np.ndarray, "*#batch 3"], target: Float[np.ndarray, "*#batch 3"]
) -> Float[np.ndarray, "*#batch 3 3"]:
    """Find the smallest rotation from the direction of `source` to that of `target`.

    For opposite directions, where every axis at right angles serves, one of them. Lengths are ignored; a
    vector without length has no direction, and nothing is turned.
    """
    source, target = np.broadcast_arrays(source, target)
    nowhere = ~(source.any(axis=-1, keepdims=True) & target.any(axis=-1, keepdims=True))
    source, target = (
        unit(np.where(nowhere, np.eye(3, dtype=vector.dtype)[0], vector)) for vector in (source, target)
    )
    cosine = _dot(source, target)
    across = target - cosine * source
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    # Same or opposite directions: the coordinate axis least along `source` leads to one across it.
    other = np.eye(3, dtype=source.dtype)[np.argmin(np.abs(source), axis=-1)]
    parallel = sine < 8 * np.finfo(source.dtype).eps
    across = unit(np.where(parallel, np.cross(source, other), across))
    across = unit(across - _dot(across, source) * source)
    # The plane of `source` and `across` turns, the line at right angles to it stays.
    size = np.hypot(cosine, sine)[..., None]
    cosine, sine = cosine[..., None] / size, sine[..., None] / size
    u, v = source[..., :, None], across[..., :, None]
    ut, vt = source[..., None, :], across[..., None, :]
    return np.eye(3, dtype=source.dtype) + (cosine - 1) * (u * ut + v * vt) + sine * (v * ut - u * vt)


def forward_kinematics(
    rotations: Float[np.ndarray, "*batch joints 3 3"],
    offsets_m: Float[np.ndarray, "*#batch joints 3"],
    parents: Sequence[int],
    root_m: Float[np.ndarray, "*#batch 3"],
) -> tuple[Float[np.ndarray, "*batch joints 3"], Float[np.ndarray, "*batch joints 3 3"]]:
    """Compute positions and rotations of all joints in the world.

    `rotations` are relative to the parent joint, `offsets_m` the place of each joint in its parent's
    frame (with batch axes where bones stretch). `root_m` is added to the offset of every root.
    A parent comes before its children; -1 marks a root.
    """
    if len(parents) != rotations.shape[-3] or any(parent >= child for child, parent in enumerate(parents)):
        raise ValueError("parents: expected one per joint, each before its children")
    turned = np.empty_like(rotations)
    placed = np.empty(rotations.shape[:-1], rotations.dtype)
    for joint, parent in enumerate(parents):
        if parent < 0:
            turned[..., joint, :, :] = rotations[..., joint, :, :]
            placed[..., joint, :] = root_m + offsets_m[..., joint, :]
        else:
            above = turned[..., parent, :, :]
            turned[..., joint, :, :] = above @ rotations[..., joint, :, :]
            step = (above @ offsets_m[..., joint, :, None])[..., 0]
            placed[..., joint, :] = placed[..., parent, :] + step
    return placed, turned


def _scipy() -> Any:
    from scipy.spatial.transform import Rotation

    return Rotation


def _like(given: np.ndarray, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """SciPy's answer, which has one batch axis and double precision, in the shape and dtype that are due."""
    return values.reshape(shape).astype(given.dtype)


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first * second).sum(axis=-1, keepdims=True)
