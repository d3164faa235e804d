"""People before a camera for the tests of networks, and ways to turn the camera."""

import torch
from torch import Tensor


def observe(joints: Tensor) -> Tensor:
    return torch.cat([joints[..., :2] / joints[..., 2:], torch.ones_like(joints[..., :1])], dim=-1)


def turn(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Tensor:
    def about(axis: int, angle: float) -> Tensor:
        cross = torch.zeros(3, 3, dtype=torch.float64)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        cross[b, a], cross[a, b] = angle, -angle
        return torch.linalg.matrix_exp(cross)

    return about(2, roll) @ about(0, pitch) @ about(1, yaw)
