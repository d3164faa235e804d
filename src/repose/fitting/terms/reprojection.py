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

    def _residual(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        depth = np.maximum(joints_m[..., 2], NEAREST_M)
        return (joints_m[..., :2] / depth[..., None] - self.rays) / self.deviation[..., None], depth

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        residual, _ = self._residual(joints_m)
        return float((self.trust * student_cost((residual**2).sum(axis=-1), self.scale)).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        residual, depth = self._residual(joints_m)
        weight = self.trust * student_weight((residual**2).sum(axis=-1), self.scale)
        # With u = x/z and v = y/z: ∂u/∂(x, y, z) = (1, 0, −u)/z, ∂v/∂(x, y, z) = (0, 1, −v)/z.
        u, v = joints_m[..., 0] / depth, joints_m[..., 1] / depth
        slope = weight / (depth * self.deviation) ** 2
        across = np.stack([u, v], axis=-1)
        normal.joint[..., 0, 0] += slope
        normal.joint[..., 1, 1] += slope
        normal.joint[..., 2, :2] -= slope[..., None] * across
        normal.joint[..., :2, 2] -= slope[..., None] * across
        normal.joint[..., 2, 2] += slope * (u**2 + v**2)
        pull = (weight / (depth * self.deviation))[..., None] * residual
        normal.gradient[..., :2] += pull
        normal.gradient[..., 2] -= (pull * across).sum(axis=-1)
