"""Losses for lifting: plain tensors in, a scalar out, independent of the model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

from jaxtyping import Float
from torch import Tensor

from repose.errors import Within, check_ranges, expected
from repose.losses.position import (
    WITHIN,
    angle,
    angle_velocity,
    deviation,
    joint_l1,
    limb_length,
    limb_variance,
    mpjpe,
    n_mpjpe,
    projection_2d,
    velocity,
    weighted_mpjpe,
)
from repose.losses.relational import spatial_rank, temporal_rank
from repose.skeleton import H36M_17, Skeleton


@dataclass(frozen=True)
class LossWeights:
    """Factor of each loss in the total; a loss with factor 0 is not computed.

    The defaults are those published for MotionBERT. Raises UserError for a number that is negative or
    not finite, and when all factors are 0.
    """

    position: Annotated[float, Within(0, 1e6)] = 1.0
    """Of `mpjpe`."""
    scale: Annotated[float, Within(0, 1e6)] = 0.5
    """Of `n_mpjpe`."""
    velocity: Annotated[float, Within(0, 1e6)] = 20.0
    limb_variance: Annotated[float, Within(0, 1e6)] = 0.0
    limb_length: Annotated[float, Within(0, 1e6)] = 0.0
    angle: Annotated[float, Within(0, 1e6)] = 0.0
    angle_velocity: Annotated[float, Within(0, 1e6)] = 0.0
    spatial_rank: Annotated[float, Within(0, 1e6)] = 0.0
    temporal_rank: Annotated[float, Within(0, 1e6)] = 0.0
    rank_margin: Annotated[float, Within(0, 1e6)] = 0.0
    """No factor: the share of the true gap by which the two relational losses want depths apart."""
    deviation: Annotated[float, Within(0, 1e6)] = 0.0
    """Of `deviation`, for models that predict one."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.factors():
            expected("loss weights", "at least one above 0", "all 0")

    def factors(self) -> dict[str, float]:
        """Return the losses that count, by name, with their factors."""
        return {name: value for name, value in asdict(self).items() if value and name != "rank_margin"}


def total_loss(
    output: Float[Tensor, "batch frames joints 3"] | Float[Tensor, "batch frames joints 4"],
    target: Float[Tensor, "batch frames joints 3"],
    weights: LossWeights,
    skeleton: Skeleton = H36M_17,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """Compute the weighted sum of all losses with a weight.

    Args:
        output: joints; a fourth column is the logarithm of their deviation.
        target: joints in the same unit.
        weights: factor of each loss.
        skeleton: layout of the joints, for the losses on bones.

    Returns:
        The sum, and each loss in it by name: unweighted, without gradient, for the curves.

    Raises:
        UserError: a weight on the deviation for a model that does not predict one.
    """
    predicted, log_deviation = output.split((3, output.shape[-1] - 3), dim=-1)
    margin = weights.rank_margin
    if weights.deviation and not log_deviation.shape[-1]:
        expected("model", "one that predicts a deviation", "joints alone", "Use --losses.deviation 0.")
    losses: dict[str, Callable[[], Tensor]] = {
        "position": lambda: mpjpe(predicted, target),
        "scale": lambda: n_mpjpe(predicted, target),
        "velocity": lambda: velocity(predicted, target),
        "limb_variance": lambda: limb_variance(predicted, skeleton),
        "limb_length": lambda: limb_length(predicted, target, skeleton),
        "angle": lambda: angle(predicted, target, skeleton),
        "angle_velocity": lambda: angle_velocity(predicted, target, skeleton),
        "spatial_rank": lambda: spatial_rank(predicted, target, margin=margin),
        "temporal_rank": lambda: temporal_rank(predicted, target, margin=margin),
        "deviation": lambda: deviation(log_deviation.squeeze(-1), predicted, target),
    }
    values = {name: losses[name]() for name in weights.factors()}
    total = sum(getattr(weights, name) * value for name, value in values.items())
    return total, {name: value.detach() for name, value in values.items()}


__all__ = [
    "WITHIN",
    "LossWeights",
    "angle",
    "angle_velocity",
    "deviation",
    "joint_l1",
    "limb_length",
    "limb_variance",
    "mpjpe",
    "n_mpjpe",
    "projection_2d",
    "spatial_rank",
    "temporal_rank",
    "total_loss",
    "velocity",
    "weighted_mpjpe",
]
