"""Bones point where the network says, and the person stands about where it says."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.robust import student_cost, student_weight
from repose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class NetworkPrior:
    """Distance of each bone's vector (child minus parent) from the network's, over its deviation."""

    bones_m: Float[np.ndarray, "frames bones 3"]
    deviation_m: Float[np.ndarray, "frames bones"]
    scale: float
    """Of Student's t, in deviations."""
    skeleton: Skeleton

    def _residual(self, joints_m: np.ndarray) -> np.ndarray:
        children, parents = map(list, zip(*self.skeleton.bones, strict=True))
        return (joints_m[:, children] - joints_m[:, parents] - self.bones_m) / self.deviation_m[..., None]

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return float(student_cost((self._residual(joints_m) ** 2).sum(axis=-1), self.scale).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        residual = self._residual(joints_m)
        weight = student_weight((residual**2).sum(axis=-1), self.scale) / self.deviation_m
        pull = weight[..., None] * residual
        normal.add_bones((weight / self.deviation_m)[..., None, None] * np.eye(3), pull)


@dataclass(frozen=True, eq=False)
class RootPrior:
    """Distance of the root from where it was solved to be, over its deviation."""

    root_m: Float[np.ndarray, "frames 3"]
    deviation_m: Float[np.ndarray, " frames"]
    root: int

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        residual = (joints_m[:, self.root] - self.root_m) / self.deviation_m[:, None]
        return 0.5 * float((residual**2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        certainty = 1 / self.deviation_m**2
        normal.joint[:, self.root] += certainty[:, None, None] * np.eye(3)
        normal.gradient[:, self.root] += certainty[:, None] * (joints_m[:, self.root] - self.root_m)
