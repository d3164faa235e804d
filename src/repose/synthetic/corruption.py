"""Clean 2D joints as a detector would report them: the corruption that MotionBERT is pretrained against.

Zhu et al., "MotionBERT: A Unified Perspective on Learning Human Motion Representations", ICCV 2023,
section 4.1 and its published training program. Errors are in units of the normalised picture, whose
width is 2. Everything draws from the given generator, so that a seed fixes the result.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from repose.errors import expected
from repose.skeleton import Skeleton

Keypoints = Float[Tensor, "batch frames joints 3"]

KEY_FRAMES = 27
"""Errors are drawn at this many moments of a clip and interpolated, since a detector's errors persist."""
UNIFORM_RANGE = 0.06
"""Width of the square in which the wrong place of a missing joint lies."""
JITTER = 0.002
"""Standard deviation of the error that is new in every frame."""

# How Stacked Hourglass detections lie about the truth on Human3.6M, as MotionBERT measured it, in 1/1000:
# mean of x and y, standard deviation of x and y, and the share that is not missing.
_ERRORS: dict[str, tuple[float, float, float, float, float]] = {
    "pelvis": (0.8, 0.2, 3.7, 3.6, 0.999),
    "right_hip": (-0.1, 2.0, 7.1, 5.1, 0.967),
    "right_knee": (2.0, -1.5, 6.1, 5.0, 0.890),
    "right_ankle": (0.9, 0.9, 9.0, 5.3, 0.894),
    "left_hip": (1.9, -0.7, 6.7, 5.3, 0.975),
    "left_knee": (1.9, -5.2, 7.0, 4.9, 0.877),
    "left_ankle": (0.9, -1.9, 9.5, 5.6, 0.821),
    "spine": (2.5, 2.3, 6.6, 5.0, 0.958),
    "thorax": (2.1, -6.5, 5.5, 5.3, 0.918),
    "nose": (1.7, 1.7, 5.3, 4.9, 0.968),
    "head_top": (0.8, 1.6, 3.4, 3.5, 0.984),
    "left_shoulder": (0.8, -4.6, 8.0, 6.1, 0.891),
    "left_elbow": (1.5, 0.3, 5.2, 4.8, 0.802),
    "left_wrist": (1.2, 1.6, 5.0, 5.1, 0.703),
    "right_shoulder": (2.1, -3.2, 7.8, 7.9, 0.881),
    "right_elbow": (1.7, -0.3, 6.0, 5.7, 0.825),
    "right_wrist": (1.7, 1.3, 5.4, 5.7, 0.729),
}


class Rows(NamedTuple):
    """Which clips of a batch there are: they get what they would get in the whole of it."""

    own: slice
    batch: int


def displace(
    keypoints: Keypoints, skeleton: Skeleton, generator: Generator, rows: Rows | None = None
) -> Keypoints:
    """Move the joints as a detector would, and give each the confidence that goes with its displacement.

    `rows` says which clips of a batch these are, all unless given. Raises UserError for a skeleton with
    joints whose errors were not measured.
    """
    if unknown := [joint for joint in skeleton.joints if joint not in _ERRORS]:
        expected("noise: joints", f"some of {', '.join(_ERRORS)}", ", ".join(unknown))
    errors = keypoints.new_tensor([_ERRORS[joint] for joint in skeleton.joints])
    mean, deviation, kept = errors[:, :2] / 1000, errors[:, 2:4] / 1000, errors[:, 4:]
    clips, frames, joints, _ = keypoints.shape
    own, batch = rows or Rows(slice(None), clips)
    like: dict[str, Any] = {"generator": generator, "dtype": keypoints.dtype}
    near = torch.rand(batch, KEY_FRAMES, joints, 1, **like)[own] < kept
    gaussian = mean + deviation * torch.randn(batch, KEY_FRAMES, joints, 2, **like)[own]
    uniform = (torch.rand(batch, KEY_FRAMES, joints, 2, **like)[own] - 0.5) * UNIFORM_RANGE
    at_keys = torch.where(near, gaussian, uniform).flatten(2).transpose(1, 2)
    moved = F.interpolate(at_keys, frames, mode="linear", align_corners=True)
    moved = moved.transpose(1, 2).unflatten(2, (joints, 2))
    # As published, the jitter of a batch's clips is one and the same.
    moved = moved + JITTER * torch.randn(frames, joints, 2, **like)
    noise = torch.randn(batch, frames, joints, **like)[own]
    confidence = confidence_of(moved.norm(dim=-1), noise)
    return torch.cat([keypoints[..., :2] + moved, confidence[..., None]], dim=-1)


def confidence_of(
    distance: Float[Tensor, "*batch"], noise: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Return a detector's confidence for an error of `distance`: near 1 at 0, about a third at 0.1.

    `noise` is standard normal.
    """
    return (0.028 / (distance + 0.028) + 1.1 * distance + 0.143 * noise - 0.0046).clamp(0, 1)


def hide(
    keypoints: Keypoints, joints: float, frames: float, generator: Generator, rows: Rows | None = None
) -> Keypoints:
    """Zero a share of single joints, and of whole frames (the same in all clips, as published).

    `rows` as in `displace`.
    """
    like: dict[str, Any] = {"generator": generator, "dtype": keypoints.dtype}
    own, batch = rows or Rows(slice(None), len(keypoints))
    seen = torch.rand(batch, *keypoints.shape[1:3], 1, **like)[own] > joints
    shown = torch.rand(1, keypoints.shape[1], 1, 1, **like) > frames
    return keypoints * (seen & shown)
