"""A clip as seen by a virtual camera that is rotated, frame by frame, to look straight at the person.

Where the person stands in the picture then no longer matters, and a network need not learn that a place
in the picture means a direction of view (the idea of perspective crop layers, Yu et al., CVPR 2021).
Neither does it matter by how many right angles the camera is rolled: the whole clip is turned by as many
as bring the head up, so that a phone held sideways or somebody who lies is no other case.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from repose.skeleton import ANKLES_OF_FEET, H36M_17

BODY = len(H36M_17)
"""Joints of H36M-17, which alone decide about the view; those of feet may follow."""
TRUNK = H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")
_SIDED = {"ankle": 0.04, "knee": 0.285, "hip": 0.53, "shoulder": 0.82}
LONGEST_CLIP = 16_384
"""Frames that a clip may have in an exported graph."""
USUAL_SIZE_M = 0.6
"""What a `PerspectiveCrop.size` of 1 at a distance of 1 usually is, of a person 1.70 m tall."""
# How high joints are of somebody who stands, in statures (Winter 2009). Arms do not tell which way is up.
_STANDING = {
    **{f"{side}_{joint}": height for side in ("left", "right") for joint, height in _SIDED.items()},
    "pelvis": 0.53,
    "spine": 0.67,
    "thorax": 0.82,
    "nose": 0.90,
    "head_top": 1.0,
}
_IN_TRUNK = torch.tensor([float(joint in TRUNK) for joint in range(BODY)])
_TELLING = H36M_17.indices(*_STANDING)
_HEIGHTS = torch.tensor(list(_STANDING.values()))


@dataclass(frozen=True)
class PerspectiveCrop:
    """A clip as seen by virtual cameras that look straight at the person."""

    points: Float[Tensor, "batch frames joints 2"]
    """Rays of the turned camera, divided by the clip's `size`; gaps interpolated over time."""
    track: Float[Tensor, "batch frames 2"]
    """Where the person's centre moves in the picture, from its mean over the clip, divided by `size`; rolled
    as the points are."""
    size: Float[Tensor, "batch 1"]
    """Apparent size: root mean square distance of the joints from their centre, as a tangent."""
    T_camera_view: Float[Tensor, "batch frames 3 3"]
    """Rotation from the turned and rolled camera back to the real one."""


def perspective_crop(keypoints: Float[Tensor, "batch frames joints 3"]) -> PerspectiveCrop:
    """Turn the camera to the person, frame by frame, and roll it by right angles until the head is up.

    `keypoints` are rays x/z, y/z of the real camera (OpenCV axes) and a confidence that is 0 for a
    missing joint. A joint missing for a while is interpolated over time, one that is missing for the
    whole clip stands at the person's centre, and one of a foot at its ankle. Joints are those of H36M-17 or
    of h36m-17+feet.
    """
    seen = keypoints[..., 2] > 0
    points = fill_gaps(keypoints[..., :2], seen)
    ever_seen = seen.any(dim=1, keepdim=True)  # batch 1 joints
    there = ever_seen[..., :BODY].to(points.dtype)
    trunk = there * _IN_TRUNK.to(there)
    # Chosen as numbers: runtimes of ONNX do not choose between booleans.
    anchor = torch.where(trunk.any(dim=-1, keepdim=True), trunk, there)[..., None]
    centre = (points[:, :, :BODY] * anchor).sum(dim=2) / anchor.sum(dim=2).clamp(min=1)

    x, y = centre.unbind(-1)
    norm = torch.sqrt(x * x + y * y + 1)
    # The shortest rotation that takes the optical axis z to d = (x, y, 1) / norm, written out:
    # R = I + [v]× + [v]×² / (1 + cos) with v = z × d and cos = 1 / norm.
    dx, dy, dz = x / norm, y / norm, 1 / norm
    k = 1 / (1 + dz)
    rows = (1 - k * dx * dx, -k * dx * dy, dx, -k * dx * dy, 1 - k * dy * dy, dy, -dx, -dy, dz)
    T_camera_view = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))

    rays = rotate(T_camera_view.transpose(-1, -2), F.pad(points, (0, 1), value=1.0))
    points = rays[..., :2] / rays[..., 2:].clamp(min=0.1)
    points = torch.where(ever_seen[..., None], points, torch.zeros_like(points))
    if points.shape[2] > BODY:
        feet = torch.where(ever_seen[..., BODY:, None], points[:, :, BODY:], points[:, :, ANKLES_OF_FEET])
        points = torch.cat([points[:, :, :BODY], feet], dim=2)
    upright = upright_roll(points, ever_seen)
    points = roll(points, upright)
    T_camera_view = torch.cat([roll(T_camera_view[..., :2], upright), T_camera_view[..., 2:]], dim=-1)
    weight = seen[..., :BODY].to(points.dtype)
    square = (points[:, :, :BODY].square().sum(-1) * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    size = square.sqrt().clamp(min=1e-4)[:, None]
    track = (centre - centre.mean(dim=1, keepdim=True)) / size[..., None]
    return PerspectiveCrop(points / size[..., None, None], roll(track, upright), size, T_camera_view)


def upright_roll(
    points: Float[Tensor, "batch frames joints 2"], ever_seen: Bool[Tensor, "batch 1 joints"]
) -> Float[Tensor, "batch 2"]:
    """Return cosine and sine of the multiple of 90° by which `roll` turns the body upright in the picture.

    `points` have y down. Up is where those joints are that are high in somebody who stands: the covariance of
    place and standing height over the joints ever seen and all frames; without any it is no roll.
    """
    heights = _HEIGHTS.to(points)
    weight = ever_seen[:, 0, _TELLING].to(points.dtype)
    mean = (weight * heights).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True).clamp(min=1)
    x, y = ((weight * (heights - mean))[..., None] * points[:, :, _TELLING].mean(dim=1)).sum(dim=1).unbind(-1)
    aside = x.abs() > y.abs()
    cosine = torch.where(aside, 0.0, torch.where(y > 0, -1.0, 1.0))
    sine = torch.where(aside, -x.sign(), 0.0)
    return torch.stack([cosine, sine], dim=-1).to(points.dtype)


def roll(
    vectors: Float[Tensor, "batch *axes 2"], by: Float[Tensor, "batch 2"]
) -> Float[Tensor, "batch *axes 2"]:
    """Turn by an angle whose cosine and sine are given; written out as in `rotate`."""
    x, y = vectors.unbind(-1)
    cosine, sine = (part.reshape(-1, *[1] * (x.ndim - 1)) for part in by.unbind(-1))
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], dim=-1)


def fill_gaps(
    points: Float[Tensor, "batch frames joints axes"], seen: Bool[Tensor, "batch frames joints"]
) -> Float[Tensor, "batch frames joints axes"]:
    """Interpolate each joint linearly over time where it is not seen; hold it at the ends.

    A joint that is never seen becomes 0.
    """
    frames = points.shape[1]
    time = torch.arange(frames, device=points.device)[None, :, None].expand(seen.shape)
    before = running_max(torch.where(seen, time, -1))
    after = -running_max(torch.where(seen, -time, -frames).flip(1)).flip(1)
    ever_seen = (before >= 0) | (after < frames)
    first = torch.where(before >= 0, before, after).clamp(max=frames - 1)
    last = torch.where(after < frames, after, before).clamp(min=0)
    span = (last - first).clamp(min=1)
    share = ((time - first).to(points.dtype) / span)[..., None]
    index = [i[..., None].expand(points.shape) for i in (first, last)]
    filled = torch.lerp(points.gather(1, index[0]), points.gather(1, index[1]), share)
    return torch.where(ever_seen[..., None], filled, torch.zeros_like(filled))


def running_max(values: Int[Tensor, "batch frames joints"]) -> Int[Tensor, "batch frames joints"]:
    """Compute `cummax` over time, which ONNX lacks, by steps of twice the length each."""
    frames = values.shape[1]
    # A graph is for clips of any length, so its steps are those of the longest that a model may take.
    longest = LONGEST_CLIP if torch.compiler.is_exporting() else frames
    step = 1
    while step < longest:
        values = torch.maximum(values, F.pad(values, (0, 0, step, 0), value=-LONGEST_CLIP)[:, :frames])
        step *= 2
    return values


def rotate(
    rotation: Float[Tensor, "batch frames 3 3"], points: Float[Tensor, "batch frames joints 3"]
) -> Float[Tensor, "batch frames joints 3"]:
    """Rotate the points of each frame; written out, because autocast would round a matrix product."""
    return (rotation[:, :, None] * points[..., None, :]).sum(-1)
