"""The One-Euro filter: steady where a joint rests, quick where it moves."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from repose.errors import expected


@dataclass(frozen=True)
class OneEuro:
    """The One-Euro filter (Casiez et al. 2012): steady where a joint rests, quick where it moves.

    A joint at rest is low-passed at `cutoff_hz`; its speed in m/s times `beta` is added to that.
    """

    cutoff_hz: float = 3.0
    beta: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.cutoff_hz < math.inf:
            expected("cutoff_hz", "a frequency above 0 Hz", self.cutoff_hz)
        if not 0 <= self.beta < math.inf:
            expected("beta", "0 or more", self.beta)

    @property
    def lag_ms(self) -> float:
        """Delay of a slow motion, the longest there is: the time constant of the low-pass at rest."""
        return 1000 / (2 * math.pi * self.cutoff_hz)


@dataclass(eq=False)
class Smoother:
    """The state of a One-Euro filter for all joints of a person."""

    filter: OneEuro
    time_s: float = math.nan
    joints_m: np.ndarray = field(default_factory=lambda: np.zeros(0))
    velocity_m_per_s: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __call__(
        self, joints_m: Float[np.ndarray, "joints 3"], time_s: float
    ) -> Float[np.ndarray, "joints 3"]:
        if math.isnan(self.time_s):
            self.joints_m, self.velocity_m_per_s = joints_m, np.zeros_like(joints_m)
        else:
            step_s = time_s - self.time_s
            velocity = (joints_m - self.joints_m) / step_s
            # 1 Hz for the speed itself is the published choice.
            self.velocity_m_per_s = self.velocity_m_per_s + _share(1.0, step_s) * (
                velocity - self.velocity_m_per_s
            )
            speed = np.linalg.norm(self.velocity_m_per_s, axis=-1, keepdims=True)
            share = _share(self.filter.cutoff_hz + self.filter.beta * speed, step_s)
            self.joints_m = self.joints_m + share * (joints_m - self.joints_m)
        self.time_s = time_s
        return self.joints_m


def _share(cutoff_hz: Any, step_s: float) -> Any:
    turn = 2 * math.pi * cutoff_hz * step_s
    return turn / (turn + 1)
