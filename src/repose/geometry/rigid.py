"""Rigid transforms between frames of reference (SE(3)).

`T_a_b` takes points of frame b to frame a, so that neighbours cancel: `T_a_b @ T_b_c` is `T_a_c`.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class RigidTransform:
    """A rotation, then a translation, both in double precision."""

    R: Float[np.ndarray, "3 3"] = field(default_factory=lambda: np.eye(3))
    """Takes column vectors."""
    t_m: Float[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))
    """Position of the one frame's origin in the other."""

    @classmethod
    def from_matrix(cls, T: Float[np.ndarray, "4 4"]) -> "RigidTransform":
        """Create the transform of a homogeneous matrix."""
        T = T.astype(np.float64)
        return cls(T[:3, :3], T[:3, 3])

    @property
    def matrix(self) -> Float[np.ndarray, "4 4"]:
        """The homogeneous matrix."""
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = self.R, self.t_m
        return T

    def __matmul__(self, other: "RigidTransform") -> "RigidTransform":
        """Compose: first `other`, then this one."""
        return RigidTransform(self.R @ other.R, self.apply(other.t_m))

    def inverse(self) -> "RigidTransform":
        """Return `T_b_a` of a `T_a_b`."""
        return RigidTransform(self.R.T, -self.R.T @ self.t_m)

    def apply(self, points_m: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Transform positions to the other frame."""
        return self.turn(points_m) + self.t_m

    def turn(self, vectors: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
        """Rotate directions to the other frame, without the shift."""
        return vectors @ self.R.T
