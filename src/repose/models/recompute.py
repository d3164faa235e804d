"""Less memory for training: keep what is expensive to compute, recompute the rest in the backward pass.

Kept are each half block's input, the attention's output and the results of the linear maps to no fewer
features; normalisations, activations, sums and transpositions are done again. That costs a few per cent
of time, and nothing of exactness (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016;
Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", 2022, section 5).
"""

import ctypes
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    SelectiveCheckpointContext,
    checkpoint,
    create_selective_checkpoint_contexts,
)

from repose.models.dstformer import Block, DSTformer

_ATTENTION = "scaled_dot_product"


def recompute(model: nn.Module) -> None:
    """Let a DSTformer, from now on, keep less for its backward pass; other models stay as they are."""
    for module in model.modules():
        if isinstance(module, Block):
            _wrap(module, "spatial")
            _wrap(module, "temporal")
        elif isinstance(module, DSTformer):
            _wrap(module, "fuse")


def release_memory() -> None:
    """Give freed memory back to the system; for the end of a training step on a CPU.

    glibc keeps it in holes between what is alive, which aligned tensors seldom fit again: without this a
    process grows by half over its first steps. Elsewhere this does nothing.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def _wrap(module: nn.Module, part: str) -> None:
    setattr(module, part, partial(_run, getattr(module, part)))


def _run(part: Callable[..., Tensor], *inputs: Any) -> Tensor:
    if not torch.is_grad_enabled():
        return part(*inputs)
    contexts = partial(create_selective_checkpoint_contexts, _choose)
    # Nothing in it is random.
    return checkpoint(part, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


def _choose(context: SelectiveCheckpointContext, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    if op == torch.ops.aten.addmm.default:
        features_in, features_out = args[2].shape
        dear = features_out >= features_in
    elif op == torch.ops.aten.mm.default:
        dear = True
    else:
        dear = _ATTENTION in str(op)
    return CheckpointPolicy.MUST_SAVE if dear else CheckpointPolicy.PREFER_RECOMPUTE
