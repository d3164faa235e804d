"""Virtual cameras: world joints as a randomly placed camera would see them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.errors import Within, check_ranges
from repose.skeleton import H36M_17, stature

BODY = slice(len(H36M_17))
"""Joints by which cameras are placed: feet change nothing about that."""


@dataclass(frozen=True)
class CameraConfig:
    """Placement of virtual cameras. Angles in degrees, ranges uniform unless stated otherwise.

    A share of them (`p_…`, none unless said) differs in one respect or in several.
    """

    pitch_deg: Annotated[tuple[float, float], Within(-90, 90, rising=True)] = (-15.0, 45.0)
    """Looking down is positive."""
    roll_sigma_deg: Annotated[float, Within(0, 90)] = 9.0
    """Normal, cut at 30 degrees."""
    roll_deg: Annotated[float, Within(-180, 180)] = 0.0
    """By this every camera is turned about its axis in the end: the same view, rolled."""
    distance: Annotated[tuple[float, float], Within(0.5, 100, rising=True)] = (1.4, 6.0)
    """From camera to person in body heights, log-uniform."""
    off_axis_deg: Annotated[float, Within(0, 60)] = 22.0
    """How far from the middle of the picture the person may stand, in each direction."""
    focal_sigma: Annotated[float, Within(0, 1)] = 0.12
    """Log-normal error of the focal length that the lifter will assume."""
    p_steep: Annotated[float, Within(0, 1)] = 0.0
    steep_deg: Annotated[tuple[float, float], Within(-90, 90, rising=True)] = (-50.0, 75.0)
    """Pitch of cameras on the floor and under the ceiling."""
    p_rolled: Annotated[float, Within(0, 1)] = 0.0
    """Cameras turned by any angle, half of them by about a right one or two."""
    p_any_distance: Annotated[float, Within(0, 1)] = 0.0
    any_distance: Annotated[tuple[float, float], Within(0.5, 100, rising=True)] = (0.8, 30.0)
    p_wrong_lens: Annotated[float, Within(0, 1)] = 0.0
    wrong_lens: Annotated[float, Within(0, 0.9)] = 0.3
    """By how much the focal length may be wrong, either way."""
    p_distorted: Annotated[float, Within(0, 1)] = 0.0
    distortion: Annotated[float, Within(0, 0.2)] = 0.08
    """Largest radial distortion k1 that nobody corrects, either way."""
    p_cut: Annotated[float, Within(0, 1)] = 0.0
    """Pictures that show a part of the person only: one edge cuts through (`cut_by_edge`)."""
    cut: Annotated[tuple[float, float], Within(0, 1, rising=True)] = (0.25, 0.85)
    """The part that is left, as a share of the person's extent."""

    def __post_init__(self) -> None:
        check_ranges(self)


def sample_views(
    joints_m: Float[Tensor, "batch frames joints 3"], config: CameraConfig, generator: Generator
) -> tuple[Float[Tensor, "batch frames joints 2"], Float[Tensor, "batch frames joints 3"]]:
    """Project each clip with its own virtual camera, which stands still.

    Args:
        joints_m: world frame, z up.
        config: placement of the cameras.
        generator: source of randomness.

    Returns:
        The rays x/z, y/z that a lifter with a slightly wrong focal length would compute, and the true
        joints in the camera frame (OpenCV axes) in metres.
    """
    batch = len(joints_m)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(batch, generator=generator)

    def some(p: float, usual: Tensor, other: Callable[[], Tensor]) -> Tensor:
        # Nothing is drawn where nothing differs, so that such cameras stand where they always stood.
        return torch.where(uniform(0, 1) < p, other(), usual) if p else usual

    def log_uniform(low: float, high: float) -> Tensor:
        return uniform(math.log(low), math.log(high)).exp()

    yaw = uniform(-math.pi, math.pi)
    pitch = uniform(*map(math.radians, config.pitch_deg))
    roll = (torch.randn(batch, generator=generator) * math.radians(config.roll_sigma_deg)).clamp(
        -math.radians(30), math.radians(30)
    )
    distance = log_uniform(*config.distance)
    limit = math.radians(config.off_axis_deg)
    ray = torch.stack([uniform(-limit, limit).tan(), uniform(-limit, limit).tan(), torch.ones(batch)], dim=-1)
    focal = (torch.randn(batch, generator=generator) * config.focal_sigma).exp()
    pitch = some(config.p_steep, pitch, lambda: uniform(*map(math.radians, config.steep_deg)))
    roll = some(config.p_rolled / 2, roll, lambda: roll + uniform(1, 4).floor() * math.pi / 2)
    roll = some(config.p_rolled / 2, roll, lambda: uniform(-math.pi, math.pi))
    distance = some(config.p_any_distance, distance, lambda: log_uniform(*config.any_distance))
    wrong = config.wrong_lens
    focal = some(config.p_wrong_lens, focal, lambda: log_uniform(1 - wrong, 1 + wrong))
    bent = some(
        config.p_distorted, torch.zeros(batch), lambda: uniform(-config.distortion, config.distortion)
    )

    T_cam_world = world_to_camera(yaw, pitch, roll)
    centre = joints_m[:, :, BODY].mean(dim=(1, 2), keepdim=True)
    joints = (joints_m - centre) @ T_cam_world.transpose(-1, -2)[:, None]
    size_m = stature(joints_m).mean(dim=1)
    depth = distance * size_m / ray.norm(dim=-1)
    # Someone who walks around must not walk through the camera.
    depth = torch.maximum(depth, 0.41 * size_m - joints[:, :, BODY, 2].amin(dim=(1, 2)))
    joints = joints + (depth[:, None] * ray)[:, None, None]
    joints = joints @ rolled(math.radians(config.roll_deg)).T
    rays = joints[..., :2] / joints[..., 2:]
    # Radial distortion turns back far from the axis; nothing is filmed there.
    radius2 = rays.square().sum(dim=-1, keepdim=True).clamp(max=2.0)
    rays = rays * (1 + bent[:, None, None, None] * radius2)
    return rays * focal[:, None, None, None], joints


def rolled(roll: float) -> Float[Tensor, "3 3"]:
    """Rotate camera coordinates as when the camera rolls clockwise, seen from behind, by `roll` radians."""
    sine, cosine = math.sin(roll), math.cos(roll)
    return torch.tensor([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])


def cut_by_edge(
    rays: Float[Tensor, "batch frames joints 2"], config: CameraConfig, generator: Generator
) -> Bool[Tensor, "batch frames joints"]:
    """Choose joints beyond an edge of the picture (left, right, above or below) in a share of the clips.

    The edge stays where it is, and leaves a part of the extent that the person has in the mean of the clip.
    """
    batch = len(rays)
    happens, side, share = torch.rand(3, batch, generator=generator)
    middle = rays[:, :, BODY].mean(dim=1)
    low, high = middle.amin(dim=1), middle.amax(dim=1)
    left = config.cut[0] + (config.cut[1] - config.cut[0]) * share
    number = (4 * side).long()
    axis, flip = number // 2, (number % 2).to(rays.dtype) * 2 - 1
    at, first, last = (
        part.gather(-1, axis.reshape(-1, *[1] * (part.ndim - 1)).expand(*part.shape[:-1], 1))[..., 0]
        for part in (rays, low, high)
    )
    edge = torch.where(flip > 0, torch.lerp(first, last, left), torch.lerp(last, first, left))
    beyond = flip[:, None, None] * (at - edge[:, None, None]) > 0
    return beyond & (happens < config.p_cut)[:, None, None]


def world_to_camera(
    yaw: Float[Tensor, " batch"], pitch: Float[Tensor, " batch"], roll: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 3 3"]:
    """Build the rotation from the world (z up) to a camera (x right, y down, z forward), angles in radians.

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
