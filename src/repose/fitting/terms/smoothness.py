"""Joints move without jolts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.smoothing import stretches


@dataclass(frozen=True, eq=False)
class Smoothness:
    """Acceleration of each joint over what is usual; nothing is said across a gap."""

    stencil: Float[np.ndarray, "frames 3"]
    """What the places before, at and after each frame count for in its acceleration; 0 where it has none."""

    @classmethod
    def of(cls, times_s: Float[np.ndarray, " frames"], usual_m_s2: float) -> "Smoothness":
        stencil = np.zeros((len(times_s), 3))
        for rows in stretches(times_s):
            steps = np.diff(times_s[rows])
            if len(steps) < 2:
                continue
            before, after = steps[:-1], steps[1:]
            second = np.stack([1 / before, -1 / before - 1 / after, 1 / after], axis=-1)
            stencil[rows.start + 1 : rows.stop - 1] = second / ((before + after) / 2 * usual_m_s2)[:, None]
        return cls(stencil)

    def _residual(self, joints_m: np.ndarray) -> np.ndarray:
        weights = self.stencil[1:-1, :, None, None]
        return weights[:, 0] * joints_m[:-2] + weights[:, 1] * joints_m[1:-1] + weights[:, 2] * joints_m[2:]

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return 0.5 * float((self._residual(joints_m) ** 2).sum())

    def add(self, joints_m: Joints, lengths_m: Lengths, normal: NormalEquations) -> None:
        frames = len(joints_m)
        if frames < 3:
            return
        residual = self._residual(joints_m)
        before, here, after = self.stencil[1:-1].T
        for shift, weight in enumerate((before, here, after)):
            rows = slice(shift, shift + frames - 2)
            normal.gradient[rows] += weight[:, None, None] * residual
            normal.joint[rows] += (weight**2)[:, None, None, None] * np.eye(3)
        normal.next[: frames - 2] += (before * here)[:, None]
        normal.next[1 : frames - 1] += (here * after)[:, None]
        normal.after_next[: frames - 2] += (before * after)[:, None]
