"""How well a model knows its own error: the loss of a predicted standard deviation."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from repose.losses.matching import match, widen

WITHIN = ((1.0, 0.6827), (2.0, 0.9545))
"""Share of errors within this many deviations, as of a normal distribution."""
_LEAST_M = 1e-3


def deviation(
    log_deviation: Float[Tensor, "batch frames joints"],
    predicted: Float[Tensor, "batch frames joints 3"],
    target: Float[Tensor, "batch frames joints 3"],
) -> Float[Tensor, ""]:
    """Fit e^log_deviation so that 68 % of the distances from the truth are below it, and 95 % below twice it.

    The sum of two quantile losses (Koenker and Bassett 1978) of the logarithm of the distance. The joints
    themselves get no gradient, only their deviation does. Distances below 1 mm count as 1 mm.
    """
    predicted, target = match(predicted, target)
    distance = torch.linalg.vector_norm(predicted - target, dim=-1).detach().clamp_min(_LEAST_M).log()
    beyond = distance - widen(log_deviation)
    loss = beyond.new_zeros(())
    for deviations, share in WITHIN:
        over = beyond - math.log(deviations)
        loss = loss + torch.maximum(share * over, (share - 1) * over).mean()
    return loss
