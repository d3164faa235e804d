"""The weighted sum of losses that a training run minimises."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

from jaxtyping import Float
from torch import Tensor

from repose.errors import expected
from repose.losses.position import (
    angle,
    angle_velocity,
    limb_length,
    limb_variance,
    mpjpe,
    n_mpjpe,
    velocity,
)
from repose.losses.relational import spatial_rank, temporal_rank
from repose.skeleton import H36M_17, Skeleton


@dataclass(frozen=True)
class LossWeights:
    """Factor of each loss in the total; a loss with factor 0 is not computed.

    The defaults are those published for MotionBERT. Raises UserError for a factor that is negative or
    not finite, and when all are 0.
    """

    position: float = 1.0
    """Of `mpjpe`."""
    scale: float = 0.5
    """Of `n_mpjpe`."""
    velocity: float = 20.0
    limb_variance: float = 0.0
    limb_length: float = 0.0
    angle: float = 0.0
    angle_velocity: float = 0.0
    spatial_rank: float = 0.0
    temporal_rank: float = 0.0

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            if not (weight >= 0 and math.isfinite(weight)):
                expected(f"loss weight {name}", "a finite number, 0 or more", weight)
        if not any(asdict(self).values()):
            expected("loss weights", "at least one above 0", "all 0")


def total_loss(
    predicted: Float[Tensor, "batch frames joints 3"],
    target: Float[Tensor, "batch frames joints 3"],
    weights: LossWeights,
    skeleton: Skeleton = H36M_17,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """The weighted sum, and by name each loss in it: unweighted, without gradient, for the curves."""
    losses: dict[str, Callable[[], Tensor]] = {
        "position": lambda: mpjpe(predicted, target),
        "scale": lambda: n_mpjpe(predicted, target),
        "velocity": lambda: velocity(predicted, target),
        "limb_variance": lambda: limb_variance(predicted, skeleton),
        "limb_length": lambda: limb_length(predicted, target, skeleton),
        "angle": lambda: angle(predicted, target, skeleton),
        "angle_velocity": lambda: angle_velocity(predicted, target, skeleton),
        "spatial_rank": lambda: spatial_rank(predicted, target),
        "temporal_rank": lambda: temporal_rank(predicted, target),
    }
    values = {name: losses[name]() for name, weight in asdict(weights).items() if weight}
    total = sum(getattr(weights, name) * value for name, value in values.items())
    return total, {name: value.detach() for name, value in values.items()}
