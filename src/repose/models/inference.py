"""How models run: the device, the precision, and windows over clips longer than a model takes at once."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from repose.errors import UserError

OVERLAP = 0.25
"""Share of a window that the next one has, too."""


def window_starts(frames: int, window: int, overlap: int) -> list[int]:
    """Return the first frames of windows that cover `frames` evenly and overlap by at least `overlap`."""
    if frames <= window:
        return [0]
    count = int(np.ceil((frames - overlap) / (window - overlap)))
    return [round(i * (frames - window) / (count - 1)) for i in range(count)]


def blend(
    windows: Sequence[Float[Tensor, "length *axes"]], starts: Sequence[int], overlap: int
) -> Float[Tensor, "frames *axes"]:
    """Join windows that begin at `starts`; over `overlap` frames one fades into the next, a raised cosine."""
    length = len(windows[0])
    fade = 0.5 - 0.5 * torch.cos(torch.pi * (torch.arange(overlap) + 0.5) / max(overlap, 1))
    total = torch.zeros(starts[-1] + length, *windows[0].shape[1:])
    weights = torch.zeros(len(total), *[1] * (total.ndim - 1))
    for start, window in zip(starts, windows, strict=True):
        share = torch.ones(length)
        if start != starts[0]:
            share[:overlap] = fade
        if start != starts[-1]:
            share[length - overlap :] = fade.flip(0)
        share = share.reshape(-1, *[1] * (total.ndim - 1))
        total[start : start + length] += share * window
        weights[start : start + length] += share
    return total / weights


Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16"]


def pick_device(name: Device) -> torch.device:
    """Return the device of that name; `auto` is the best available. Raises UserError without it."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(device for device in ("cuda", "mps", "cpu") if there[device]))
    if name not in there or not there[name]:
        raise UserError(
            f"device {name!r}: expected one that is available: {', '.join(d for d in there if there[d])}",
            "Leave --device out to use the best there is.",
        )
    return torch.device(name)
