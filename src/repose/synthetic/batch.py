"""The input of a training step."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Clips for a lifter, as its model's `spec` says: normalisation of the input, unit of the target."""

    keypoints: Float[Tensor, "batch frames joints 3"]
    """x, y and confidence."""
    target: Float[Tensor, "batch frames joints 3"]
    """Joints to learn: x right, y down, z away from the camera."""
    confidence: Float[Tensor, "batch frames joints"] | None = None
    """Given where only x and y of the target are known: how much each counts."""
    share: float = 1.0
    """Factor of this device's loss, so that the mean over devices is the mean over clips."""
