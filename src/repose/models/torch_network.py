"""Models that PyTorch runs."""

from contextlib import nullcontext

import numpy as np
import torch

from repose.errors import UserError
from repose.models.inference import Clips, Deviations, Device, Network, Precision
from repose.models.registry import Lifted, PoseModel


class TorchNetwork(Network):
    """A `PoseModel` in evaluation mode."""

    def __init__(self, model: PoseModel, device: Device = "auto", precision: Precision = "float32") -> None:
        where = pick_device(device)
        self.device = where.type
        self.model = model.eval().to(where)
        self.spec = model.spec
        self._half = precision == "bfloat16"

    @torch.inference_mode()
    def __call__(self, clips: Clips) -> tuple[Clips, Deviations | None]:
        with torch.autocast(self.device, torch.bfloat16) if self._half else nullcontext():
            output = self.model(torch.from_numpy(np.ascontiguousarray(clips)).to(self.device))
        joints, deviation = Lifted.of(output.float().cpu())
        return joints.numpy(), None if deviation is None else deviation.numpy()


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
