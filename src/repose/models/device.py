"""Where models compute, and with which numbers."""

from typing import Literal

import torch

from repose.errors import UserError

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
