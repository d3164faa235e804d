"""Input checks that every loss starts with."""

import torch
from torch import Tensor

from repose.errors import expected


def match(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Convert both tensors to float32 or better; raises UserError unless their shapes are equal.

    Half precision is widened because the losses divide small differences by each other and add up
    thousands of terms; the gradient comes back in the precision of the input. Equal shapes are asked
    for because broadcasting would give a number, and a wrong one.
    """
    if predicted.shape != target.shape:
        expected("shape of the target", f"the prediction's, {tuple(predicted.shape)}", tuple(target.shape))
    return widen(predicted), widen(target)


def widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
