"""Joints are seen where the detector saw them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.robust import student_cost, student_weight

NEAREST_M = 0.1
"""What is nearer to the camera, or behind it, is taken to be so far from it."""


@dataclass(frozen=True, eq=False)
class Reprojection:
    """Distance from a joint's projection to its keypoint, in tangents, over its deviation."""

    rays: Float[np.ndarray, "frames joints 2"]
    """x/z and y/z of the keypoints."""
    deviation: Float[np.ndarray, "frames joints"]
    """Of a keypoint in each direction, as a tangent."""
    trust: Float[np.ndarray, "frames joints"]
    """What a keypoint counts for; 0 where none was seen."""
    scale: float
    """Of Student's t, in deviations."""
    R_view_cam: Float[np.ndarray, "frames 3 3"] | None = None
    """How the camera turned; None where it stands still."""

    def _residual(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth = np.maximum(joints_m[..., 2], NEAREST_M)
        return (joints_m[..., :2] / depth[..., None] - self.rays) / self.deviation[..., None], depth

    def _viewed(self, joints_m: np.ndarray) -> np.ndarray:
        """In the axes of each frame's camera."""
        return joints_m if self.R_view_cam is None else joints_m @ self.R_view_cam.swapaxes(-1, -2)

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        residual, _ = self._residual(self._viewed(joints_m))
        return float((self.trust * student_cost((residual**2).sum(axis=-1), self.scale)).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        viewed_m = self._viewed(joints_m)
        residual, depth = self._residual(viewed_m)
        weight = self.trust * student_weight((residual**2).sum(axis=-1), self.scale)
        # With u = x/z and v = y/z: ∂u/∂(x, y, z) = (1, 0, −u)/z, ∂v/∂(x, y, z) = (0, 1, −v)/z.
        u, v = viewed_m[..., 0] / depth, viewed_m[..., 1] / depth
        slope = weight / (depth * self.deviation) ** 2
        across = np.stack([u, v], axis=-1)
        block = np.zeros((*slope.shape, 3, 3))
        block[..., 0, 0] = block[..., 1, 1] = slope
        block[..., 2, :2] = block[..., :2, 2] = -slope[..., None] * across
        block[..., 2, 2] = slope * (u**2 + v**2)
        pull = (weight / (depth * self.deviation))[..., None] * residual
        gradient = np.concatenate([pull, -(pull * across).sum(axis=-1, keepdims=True)], axis=-1)
        if self.R_view_cam is not None:
            turns = self.R_view_cam[:, None]
            block = turns.swapaxes(-1, -2) @ block @ turns
            gradient = gradient @ self.R_view_cam
        normal.joint += block
        normal.gradient += gradient
