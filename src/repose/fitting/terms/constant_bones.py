"""Bones keep their length, and are as long on the left as on the right."""

from dataclasses import dataclass

import numpy as np

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.metrics import paired_bones
from repose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class ConstantBones:
    """Difference of each bone's length in each frame from its one length, over what is usual."""

    usual_m: float
    skeleton: Skeleton

    def _vectors(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        children, parents = map(list, zip(*self.skeleton.bones, strict=True))
        bones = joints_m[:, children] - joints_m[:, parents]
        lengths = np.sqrt((bones**2).sum(axis=-1))
        return bones / np.maximum(lengths, 1e-6)[..., None], lengths

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        _, lengths = self._vectors(joints_m)
        return 0.5 * float((((lengths - lengths_m) / self.usual_m) ** 2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        along, lengths = self._vectors(joints_m)
        certainty = self.usual_m**-2
        excess = certainty * (lengths - lengths_m)
        normal.add_bones(certainty * along[..., :, None] * along[..., None, :], excess[..., None] * along)
        normal.cross -= certainty * along
        normal.length[np.diag_indices(len(lengths_m))] += certainty * len(joints_m)
        normal.length_gradient -= excess.sum(axis=0)


@dataclass(frozen=True, eq=False)
class Symmetry:
    """Difference of a left bone's length from the right one's, over what is usual."""

    usual_m: float
    skeleton: Skeleton

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        left, right = np.array(paired_bones(self.skeleton)).reshape(-1, 2).T
        return 0.5 * float((((lengths_m[left] - lengths_m[right]) / self.usual_m) ** 2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        certainty = self.usual_m**-2
        for left, right in paired_bones(self.skeleton):
            normal.length[[left, right], [left, right]] += certainty
            normal.length[[left, right], [right, left]] -= certainty
            pull = certainty * (lengths_m[left] - lengths_m[right])
            normal.length_gradient[left] += pull
            normal.length_gradient[right] -= pull
