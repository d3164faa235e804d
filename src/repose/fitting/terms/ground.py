"""Feet that touch the ground rest, on its level; hidden ones are not below it."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations


@dataclass(frozen=True, eq=False)
class RestingFeet:
    """Speed of a foot that touches the ground, in each direction, over what is usual."""

    feet: list[int]
    weight: Float[np.ndarray, "steps feet"]
    """What the way from each frame to the next counts for: 0 where the foot is free."""

    @classmethod
    def of(
        cls,
        feet: list[int],
        touching: Bool[np.ndarray, "frames feet"],
        times_s: Float[np.ndarray, " frames"],
        usual_m_s: float,
    ) -> "RestingFeet":
        return cls(feet, (touching[1:] & touching[:-1]) / (np.diff(times_s)[:, None] * usual_m_s))

    def _residual(self, joints_m: np.ndarray) -> np.ndarray:
        return self.weight[..., None] * np.diff(joints_m[:, self.feet], axis=0)

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return 0.5 * float((self._residual(joints_m) ** 2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        certainty = self.weight**2
        pull = self.weight[..., None] * self._residual(joints_m)
        for rows, sign in ((slice(None, -1), -1), (slice(1, None), 1)):
            normal.joint[rows, self.feet] += certainty[..., None, None] * np.eye(3)
            normal.gradient[rows, self.feet] += sign * pull
        normal.next[:-1, self.feet] -= certainty


@dataclass(frozen=True, eq=False)
class Floor:
    """Height of a foot above the floor over what is usual, where it stands on it or would be below it."""

    feet: list[int]
    up: Float[np.ndarray, "3"]
    level_m: float
    """Of a foot that stands on it, along `up` from the origin."""
    usual_m: float
    standing: Bool[np.ndarray, "frames feet"]
    above: Bool[np.ndarray, "frames feet"]
    """Which feet may be anywhere above it."""

    def _residual(self, joints_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        residual = (joints_m[:, self.feet] @ self.up - self.level_m) / self.usual_m
        counts = self.standing | (self.above & (residual < 0))
        return counts * residual, counts

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return 0.5 * float((self._residual(joints_m)[0] ** 2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        residual, counts = self._residual(joints_m)
        block = np.outer(self.up, self.up) / self.usual_m**2
        normal.joint[:, self.feet] += counts[..., None, None] * block
        normal.gradient[:, self.feet] += (residual / self.usual_m)[..., None] * self.up

    def rows(self, rows: slice) -> "Floor":
        """Return the term of some frames."""
        return replace(self, standing=self.standing[rows], above=self.above[rows])
