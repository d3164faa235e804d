"""Knees are straight where the picture shows the leg at its full length."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms.robust import student_cost, student_weight
from repose.fitting.trust import NEAR_S, average
from repose.skeleton import Skeleton

_LEGS = tuple(tuple(f"{side}_{part}" for part in ("hip", "knee", "ankle")) for side in ("left", "right"))
SHORT, FULL = 0.75, 0.92
"""A leg that is so long in the picture, as a share of its bones, may be bent anyhow, or is about straight."""
BENT = np.radians(8)
"""A knee that bends by this in the picture itself counts for half."""


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
        trust: Float[np.ndarray, "frames joints"],
        times_s: Float[np.ndarray, " frames"],
    ) -> "StraightKnees":
        """The term, given bones and the keypoints as they lie in a plane at the person's distance.

        `trust` is what each keypoint counts for. What the picture shows is averaged over a third of a second.
        """
        legs = tuple(skeleton.indices(*leg) for leg in _LEGS if set(leg) <= set(skeleton.joints))
        bones = {child: length for (child, _), length in zip(skeleton.bones, lengths_m, strict=True)}
        lengths = np.maximum([[bones[knee], bones[ankle]] for _, knee, ankle in legs], 0.01).reshape(-1, 2)
        each = np.zeros((len(trust), len(legs)))
        for number, leg in enumerate(legs):
            seen = np.broadcast_to(trust[:, leg].min(axis=1)[:, None] > 0, (len(trust), 2))
            thigh, shank = (
                average(places_m[:, below] - places_m[:, above], seen, NEAR_S, times_s)
                for above, below in pairwise(leg)
            )
            long = np.linalg.norm(thigh + shank, axis=-1) / lengths[number].sum()
            across = thigh[:, 0] * shank[:, 1] - thigh[:, 1] * shank[:, 0]
            bend = np.arctan2(across, (thigh * shank).sum(axis=-1))
            full = np.clip((long - SHORT) / (FULL - SHORT), 0, 1) / (1 + (bend / BENT) ** 4)
            each[:, number] = trust[:, leg].min(axis=1) * full
        return cls(usual, scale, legs, lengths, each)

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
