"""Relational losses: the order of depths, in space and in time.

For every ordered pair (i, j) whose true depths satisfy z_i < z_j, the loss charges max(ẑ_i − ẑ_j, 0) of
the predicted depths, and takes the mean over all pairs, the uncharged ones included. `spatial_rank`
pairs the joints of one frame, `temporal_rank` the frames of one joint (RePOSE, its relational loss).

With a `margin` m, a pair is charged max(ẑ_i − ẑ_j + m (z_j − z_i), 0): its depths have to lie apart by that
share of the true gap. The published form has m = 0, which a prediction without any depth meets as well;
with m = 1 every gap predicted too small is charged by what it lacks.

Written down, this is a frames × frames table. Here it is three sorts of each row, O(n log n) time and
O(n) memory, and exact: docs/relational-loss.md has the derivation.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from repose.losses.position import match

Joints = Float[Tensor, "batch frames joints 3"]
Mask = Bool[Tensor, "batch frames joints"]
Scalar = Float[Tensor, ""]


def spatial_rank(
    predicted: Joints, target: Joints, mask: Mask | None = None, *, margin: float = 0.0
) -> Scalar:
    """Charge joints of one frame whose predicted depths are in the wrong order.

    The gradient is the exact one of the formula wherever that has one. At exactly equal predicted depths
    it has none: the published form, `maximum`, passes half of the pair's gradient there; this one passes
    nothing, which is as valid a subgradient. A constant prediction therefore gets no gradient at all.

    Args:
        predicted: depth is the third coordinate, in any unit; the loss is in that unit.
        target: must be finite where `mask` is true.
        mask: where the target is known. Pairs with an unknown joint are left out of sum and mean; their
            values may be anything, even NaN.
        margin: share of the true gap by which predicted depths must differ; 0 is the published form.

    Raises:
        UserError: different shapes.
    """
    predicted, target = match(predicted, target)
    return _rank(predicted[..., 2], target[..., 2], mask, margin)


def temporal_rank(
    predicted: Joints, target: Joints, mask: Mask | None = None, *, margin: float = 0.0
) -> Scalar:
    """Charge for frames in which one joint's predicted depths are in the wrong order.

    As `spatial_rank`, with pairs of frames of one joint in place of pairs of joints of one frame.
    """
    predicted, target = match(predicted, target)
    if mask is not None:
        mask = mask.transpose(1, 2)
    return _rank(predicted[..., 2].transpose(1, 2), target[..., 2].transpose(1, 2), mask, margin)


def _rank(predicted: Tensor, target: Tensor, mask: Tensor | None, margin: float) -> Tensor:
    """Return the loss over pairs along the last axis."""
    if margin:
        # ẑ_i − ẑ_j + m (z_j − z_i) = (ẑ − m z)_i − (ẑ − m z)_j: the published form, of other numbers.
        predicted = predicted - margin * target
    if mask is None:
        pairs: Tensor | int = predicted.numel() * predicted.shape[-1]
        wrong = count_inversions(predicted, target)
    else:
        # Farthest in both orders, an unknown joint is in the wrong order with nobody.
        pairs = mask.sum(dim=-1).square().sum().clamp_min(1)
        unknown = ~mask
        wrong = count_inversions(
            predicted.masked_fill(unknown, torch.inf), target.masked_fill(unknown, torch.inf)
        )
        predicted = predicted.masked_fill(unknown, 0.0)
    return (predicted * wrong.to(predicted.dtype)).sum() / pairs


@torch.no_grad()
def count_inversions(
    predicted: Float[Tensor, "*rows n"], target: Float[Tensor, "*rows n"]
) -> Int[Tensor, "*rows n"]:
    """Count for each entry those that it is wrongly behind, minus those that it is wrongly in front of.

    Per row: c_i = #{j: z_i < z_j, ẑ_i > ẑ_j} − #{j: z_i > z_j, ẑ_i < ẑ_j}, which is the rank of i by
    (ẑ, then z) less its rank by (z, then ẑ). Equal pairs (ẑ, z) need no care: both stable sorts keep
    them in the same succession, so that they all see the same difference.
    """
    by_target = target.argsort(dim=-1)
    order = by_target.gather(-1, predicted.gather(-1, by_target).argsort(dim=-1, stable=True))
    rank = target.gather(-1, order).argsort(dim=-1, stable=True)
    difference = rank - torch.arange(rank.shape[-1], device=rank.device)
    return torch.empty_like(rank).scatter_(-1, order.gather(-1, rank), difference)
