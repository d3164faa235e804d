"""Joints move without jolts."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.sequence import unbroken


@dataclass(frozen=True, eq=False)
class Smoothness:
    """Acceleration of each joint over what is usual; nothing is said across a gap."""

    stencil: Float[np.ndarray, "frames 3"]
    """What the places before, at and after each frame count for in its acceleration; 0 where it has none."""
    about_m: Joints | None = None
    """The motion whose own acceleration is as it should be; None where there should be none."""

    @classmethod
    def of(
        cls, times_s: Float[np.ndarray, " frames"], usual_m_s2: float, about_m: Joints | None = None
    ) -> "Smoothness":
        stencil = np.zeros((len(times_s), 3))
        for rows in unbroken(times_s):
            steps = np.diff(times_s[rows])
            if len(steps) < 2:
                continue
            before, after = steps[:-1], steps[1:]
            second = np.stack([1 / before, -1 / before - 1 / after, 1 / after], axis=-1)
            stencil[rows.start + 1 : rows.stop - 1] = second / ((before + after) / 2 * usual_m_s2)[:, None]
        return cls(stencil, about_m)

    def _residual(self, joints_m: np.ndarray) -> np.ndarray:
        if self.about_m is not None:
            joints_m = joints_m - self.about_m
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


def usual_acceleration(deviation_m: float, cutoff_hz: float, step_s: float) -> float:
    """Find the acceleration in m/s² that takes out of places what is faster than `cutoff_hz`.

    Places of that deviation in each of even frames come out as of a low-pass without lag that leaves half the
    power at `cutoff_hz`: a sine of frequency f passes by 1 / (1 + (deviation · D(f) / acceleration)²), where
    D(f) = (2 sin(π f Δt) / Δt)², as through the filter of biomechanics, a Butterworth of the second order run
    forwards and backwards (Winter, Biomechanics and Motor Control of Human Movement, 2009, section 3.4.4.2;
    Eilers, "A perfect smoother", 2003). Frames cannot carry more than half of their rate.
    """
    cutoff_hz = min(cutoff_hz, 0.5 / step_s)
    return deviation_m * (2 * np.sin(np.pi * cutoff_hz * step_s) / step_s) ** 2 / (2**0.5 - 1) ** 0.5
