"""Joints are about where a result has them."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.robust import student_cost, student_weight
from repose.geometry.rotation import unit
from repose.skeleton import Skeleton, walk


@dataclass(frozen=True, eq=False)
class GivenMotion:
    """Distance of each joint from where it was given, against the root, and of the root, over what is usual.

    Heels and toes are given against their ankle.
    """

    joints_m: Joints
    usual_m: Float[np.ndarray, "frames joints"]
    """Of the joints against the root."""
    across_m: float
    """Of the root, across the line of sight."""
    along_m: float
    """Of the root, along it: a camera sees where somebody is, but not how far away."""
    scale: float
    """Of Student's t, in usual distances."""
    root: int
    anchors: list[int]
    """The joint against which each was given."""

    @classmethod
    def of(
        cls,
        joints_m: Joints,
        usual_m: Float[np.ndarray, "frames joints"],
        across_m: float,
        along_m: float,
        scale: float,
        skeleton: Skeleton,
    ) -> "GivenMotion":
        root = skeleton.parents.index(-1)
        anchors = [root] * len(skeleton)
        for child, parent in walk(skeleton):
            if skeleton.joints[parent].endswith("ankle"):
                anchors[child] = parent
            elif anchors[parent] != root:
                anchors[child] = anchors[parent]
        return cls(joints_m, usual_m, across_m, along_m, scale, root, anchors)

    def _around(self, joints_m: np.ndarray) -> np.ndarray:
        off = joints_m - self.joints_m
        return off - off[:, self.anchors]

    def _squared(self, joints_m: np.ndarray) -> np.ndarray:
        return (self._around(joints_m) ** 2).sum(axis=-1) / self.usual_m**2

    def _certainty(self) -> Float[np.ndarray, "frames 3 3"]:
        """Of the root."""
        sight = unit(self.joints_m[:, self.root])
        along = sight[:, :, None] * sight[:, None]
        return np.eye(3) / self.across_m**2 + (self.along_m**-2 - self.across_m**-2) * along

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        root = joints_m[:, self.root] - self.joints_m[:, self.root]
        squared = np.einsum("fi,fij,fj->f", root, self._certainty(), root)
        around = student_cost(self._squared(joints_m), self.scale).sum()
        return float(around + student_cost(squared, self.scale).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        weight = student_weight(self._squared(joints_m), self.scale) / self.usual_m**2
        around = self._around(joints_m)
        for joint, anchor in enumerate(self.anchors):
            if joint != anchor:
                normal.add_sum([joint, anchor], np.array([1.0, -1.0]), weight[:, joint], around[:, joint])
        root = joints_m[:, self.root] - self.joints_m[:, self.root]
        certainty = self._certainty()
        pull = np.einsum("fij,fj->fi", certainty, root)
        trust = student_weight((pull * root).sum(axis=-1), self.scale)
        normal.joint[:, self.root] += trust[:, None, None] * certainty
        normal.gradient[:, self.root] += trust[:, None] * pull

    def outliers(self, joints_m: Joints) -> Bool[np.ndarray, "frames joints"]:
        """Which given joints these ones leave alone: they count for less than a fifth."""
        return student_weight(self._squared(joints_m), self.scale) < 0.2
