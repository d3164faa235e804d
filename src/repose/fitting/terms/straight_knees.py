"""Knees are straight where the picture shows the leg at its full length."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.robust import student_cost, student_weight
from repose.skeleton import Skeleton

_LEGS = tuple(tuple(f"{side}_{part}" for part in ("hip", "knee", "ankle")) for side in ("left", "right"))
SHORT, FULL = 0.75, 0.92
"""A leg that is so long in the picture, as a share of its bones, may be bent anyhow, or is about straight."""


@dataclass(frozen=True, eq=False)
class StraightKnees:
    """Difference of the directions of thigh and shank, in radians for small angles, over what is usual.

    A single camera hardly sees a knee bend in depth, and a network that has to guess answers with the mean of
    what is possible, which is never straight. Student's t leaves a leg bent that is seen to be.
    """

    usual: float
    scale: float
    """Of Student's t, in usual differences."""
    legs: tuple[list[int], ...]
    """Hip, knee and ankle."""
    lengths_m: Float[np.ndarray, "legs 2"]
    """Of thighs and shanks."""
    trust: Float[np.ndarray, "frames legs"]
    """What each leg in each frame counts for."""

    @classmethod
    def of(
        cls,
        usual: float,
        scale: float,
        skeleton: Skeleton,
        lengths_m: Lengths,
        places_m: Float[np.ndarray, "frames joints 2"],
        seen: Bool[np.ndarray, "frames joints"],
    ) -> "StraightKnees":
        """The term, given bones and the keypoints as they lie in a plane at the person's distance.

        `seen` is what each keypoint counts for.
        """
        legs = tuple(skeleton.indices(*leg) for leg in _LEGS if set(leg) <= set(skeleton.joints))
        bones = {child: length for (child, _), length in zip(skeleton.bones, lengths_m, strict=True)}
        lengths = np.maximum([[bones[knee], bones[ankle]] for _, knee, ankle in legs], 0.01).reshape(-1, 2)
        trust = np.zeros((len(seen), len(legs)))
        for number, leg in enumerate(legs):
            long = np.linalg.norm(places_m[:, leg[0]] - places_m[:, leg[2]], axis=-1) / lengths[number].sum()
            trust[:, number] = seen[:, leg].all(axis=1) * np.clip((long - SHORT) / (FULL - SHORT), 0, 1)
        return cls(usual, scale, legs, lengths, trust)

    def _residuals(
        self, joints_m: np.ndarray
    ) -> Iterator[tuple[list[int], np.ndarray, np.ndarray, np.ndarray]]:
        for leg, (thigh, shank), trust in zip(self.legs, self.lengths_m, self.trust.T, strict=True):
            factors = np.array([-1 / thigh, 1 / thigh + 1 / shank, -1 / shank]) / self.usual
            yield leg, factors, trust, np.tensordot(joints_m[:, leg], factors, axes=(1, 0))

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return sum(
            float((trust * student_cost((residual**2).sum(axis=-1), self.scale)).sum())
            for _, _, trust, residual in self._residuals(joints_m)
        )

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        for leg, factors, trust, residual in self._residuals(joints_m):
            weight = trust * student_weight((residual**2).sum(axis=-1), self.scale)
            normal.add_sum(leg, factors, weight, residual)
