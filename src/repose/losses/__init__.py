"""Losses for lifting: plain tensors in, a scalar out, independent of the model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
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
    match,
    mpjpe,
    n_mpjpe,
    projection_2d,
    velocity,
    weighted_mpjpe,
)
from repose.losses.relational import spatial_rank, temporal_rank
from repose.skeleton import ANKLES_OF_FEET, H36M_17, H36M_FEET, Skeleton


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
    feet: Annotated[float, Within(0, 1e6)] = 0.0
    """Of `feet_loss`, for models with feet: all the others look at the joints of H36M-17 alone."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.factors():
            expected("loss weights", "at least one above 0", "all 0")

    def factors(self) -> dict[str, float]:
        """Return the losses that count, by name, with their factors."""
        return {
            name: value
            for name, value in asdict(self).items()
            if value and name not in ("rank_margin", "feet")
        }


def total_loss(
    output: Float[Tensor, "batch frames joints 3"] | Float[Tensor, "batch frames joints 4"],
    target: Float[Tensor, "batch frames joints 3"],
    weights: LossWeights,
    skeleton: Skeleton = H36M_17,
    known: Bool[Tensor, "batch joints"] | None = None,
) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
    """Compute the weighted sum of all losses with a weight.

    Args:
        output: joints; a fourth column is the logarithm of their deviation.
        target: joints in the same unit.
        weights: factor of each loss.
        skeleton: layout of the joints, for the losses on bones.
        known: where the target is the truth; everywhere unless given. Only feet may be unknown.

    Returns:
        The sum, and each loss in it by name: unweighted, without gradient, for the curves.

    Raises:
        UserError: a weight on the deviation for a model that does not predict one.
    """
    whole, whole_target = output, target
    if skeleton == H36M_FEET:
        output, target, skeleton = output[:, :, : len(H36M_17)], target[:, :, : len(H36M_17)], H36M_17
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
    if weights.feet and whole.shape[2] > output.shape[2]:
        values["feet"] = feet_loss(whole, whole_target, weights, known)
    total = sum(getattr(weights, name) * value for name, value in values.items())
    return total, {name: value.detach() for name, value in values.items()}


def feet_loss(
    output: Float[Tensor, "batch frames 23 columns"],
    target: Float[Tensor, "batch frames 23 3"],
    weights: LossWeights,
    known: Bool[Tensor, "batch 23"] | None = None,
) -> Float[Tensor, ""]:
    """Sum the losses on toes and heels: of position, also relative to their ankles, velocity and deviation.

    The mean over all feet, 0 for those that are not known; each loss weighted by `weights`.
    """
    feet = slice(len(H36M_17), None)
    wanted = torch.ones_like(target[:, 0, feet, 0]) if known is None else known[:, feet].to(target.dtype)
    predicted, truth = match(output[..., :3], target)

    def mean(distance: Float[Tensor, "batch frames feet"]) -> Float[Tensor, ""]:
        return (distance.mean(dim=1) * wanted).mean()

    astray = predicted - truth
    loss = weights.position * mean(astray[:, :, feet].norm(dim=-1))
    loss = loss + weights.position * mean((astray[:, :, feet] - astray[:, :, ANKLES_OF_FEET]).norm(dim=-1))
    if astray.shape[1] > 1:
        loss = loss + weights.velocity * mean(astray[:, :, feet].diff(dim=1).norm(dim=-1))
    if weights.deviation:
        log_deviation = output[:, :, feet, 3]
        own = deviation(log_deviation, predicted[:, :, feet], truth[:, :, feet], wanted)
        loss = loss + weights.deviation * own
    return loss


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
