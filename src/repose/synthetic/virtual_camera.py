"""Virtual cameras: world joints as a randomly placed camera would see them."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from repose.errors import Within, check_ranges
from repose.skeleton import stature


@dataclass(frozen=True)
class CameraConfig:
    """Where virtual cameras stand. Angles in degrees, ranges uniform unless said otherwise."""

    pitch_deg: Annotated[tuple[float, float], Within(-90, 90, rising=True)] = (-15.0, 45.0)
    """Looking down is positive."""
    roll_sigma_deg: Annotated[float, Within(0, 90)] = 9.0
    """Normal, cut at 30 degrees."""
    distance: Annotated[tuple[float, float], Within(0.5, 100, rising=True)] = (1.4, 6.0)
    """From camera to person in body heights, log-uniform."""
    off_axis_deg: Annotated[float, Within(0, 60)] = 22.0
    """How far from the middle of the picture the person may stand, in each direction."""
    focal_sigma: Annotated[float, Within(0, 1)] = 0.12
    """Log-normal error of the focal length that the lifter will assume."""

    def __post_init__(self) -> None:
        check_ranges(self)


def sample_views(
    joints_m: Float[Tensor, "batch frames joints 3"], config: CameraConfig, generator: Generator
) -> tuple[Float[Tensor, "batch frames joints 2"], Float[Tensor, "batch frames joints 3"]]:
    """See each clip with a camera of its own, which stands still.

    `joints_m`: world frame, z up. Returns the rays x/z, y/z that a lifter with a slightly wrong focal
    length would compute, and the true joints in the camera frame (OpenCV axes) in metres.
    """
    batch = len(joints_m)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    yaw = uniform(-math.pi, math.pi)
    pitch = uniform(*map(math.radians, config.pitch_deg))
    roll = (torch.randn(batch, generator=generator) * math.radians(config.roll_sigma_deg)).clamp(
        -math.radians(30), math.radians(30)
    )
    T_cam_world = world_to_camera(yaw, pitch, roll)
    centre = joints_m.mean(dim=(1, 2), keepdim=True)
    joints = (joints_m - centre) @ T_cam_world.transpose(-1, -2)[:, None]

    near, far = config.distance
    distance = stature(joints_m).mean(dim=1) * (uniform(math.log(near), math.log(far))).exp()
    limit = math.radians(config.off_axis_deg)
    ray = torch.stack([uniform(-limit, limit).tan(), uniform(-limit, limit).tan(), torch.ones(batch)], dim=-1)
    depth = distance / ray.norm(dim=-1)
    # Someone who walks around must not walk through the camera.
    depth = torch.maximum(depth, 0.7 - joints[..., 2].amin(dim=(1, 2)))
    joints = joints + (depth[:, None] * ray)[:, None, None]
    focal = (torch.randn(batch, generator=generator) * config.focal_sigma).exp()
    rays = joints[..., :2] / joints[..., 2:] * focal[:, None, None, None]
    return rays, joints


def world_to_camera(
    yaw: Float[Tensor, " batch"], pitch: Float[Tensor, " batch"], roll: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 3 3"]:
    """Rotation from the world (z up) to a camera (x right, y down, z forward), angles in radians.

    At zero the camera looks along world x. Yaw turns it to the left seen from above, pitch tilts it
    down, roll turns it clockwise about its own axis, seen from behind.
    """
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)

    level = matrix(
        (yaw.sin(), -yaw.cos(), zero),
        (zero, zero, -one),
        (yaw.cos(), yaw.sin(), zero),
    )
    tilt = matrix((one, zero, zero), (zero, pitch.cos(), -pitch.sin()), (zero, pitch.sin(), pitch.cos()))
    turn = matrix((roll.cos(), roll.sin(), zero), (-roll.sin(), roll.cos(), zero), (zero, zero, one))
    return turn @ tilt @ level
