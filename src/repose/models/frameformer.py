"""FrameFormer: the project's own lifter, one token a frame, small and quick.

All 17 joints of a frame share one token and attention runs over time alone, so that a frame costs a
hundredth of what a token per joint costs. Before the network sees a clip, a virtual camera is turned
to look straight at the person in every frame (the idea of perspective crop layers, Yu et al., CVPR
2021): where the person stands in the picture then no longer matters, and the answer is turned back.
Positions in time enter attention by rotation (RoPE, Su et al. 2021), so any number of frames will do.
"""

from dataclasses import asdict, dataclass
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from repose.models.registry import ModelSpec, PoseModel, register, register_architecture
from repose.skeleton import H36M_17

TRUNK = H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")


@dataclass(frozen=True)
class FrameFormerConfig:
    width: int = 256
    depth: int = 6
    heads: int = 8
    mlp_ratio: float = 3.0
    joints: int = 17


@dataclass(frozen=True)
class PersonView:
    """A clip as virtual cameras see it that look straight at the person."""

    points: Float[Tensor, "batch frames joints 2"]
    """Rays of the turned camera, divided by the clip's `size`; gaps interpolated over time."""
    track: Float[Tensor, "batch frames 2"]
    """Where the person's centre moves in the picture, from its mean over the clip, divided by `size`."""
    size: Float[Tensor, "batch 1"]
    """Apparent size: root mean square distance of the joints from their centre, as a tangent."""
    T_camera_view: Float[Tensor, "batch frames 3 3"]
    """Rotation from the turned camera back to the real one."""


def person_view(keypoints: Float[Tensor, "batch frames joints 3"]) -> PersonView:
    """Turn the camera to the person, frame by frame.

    `keypoints` are rays x/z, y/z of the real camera (OpenCV axes) and a confidence that is 0 for a
    missing joint. A joint missing for a while is interpolated over time, one that is missing for the
    whole clip stands at the person's centre.
    """
    observed = keypoints[..., 2] > 0
    points = fill_gaps(keypoints[..., :2], observed)
    known = observed.any(dim=1, keepdim=True)  # batch 1 joints
    trunk = torch.zeros_like(known)
    trunk[..., TRUNK] = known[..., TRUNK]
    anchor = torch.where(trunk.any(dim=-1, keepdim=True), trunk, known).to(points.dtype)[..., None]
    centre = (points * anchor).sum(dim=2) / anchor.sum(dim=2).clamp(min=1)  # batch frames 2

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
    points = torch.where(known[..., None], points, torch.zeros_like(points))
    weight = observed.to(points.dtype)
    square = (points.square().sum(-1) * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1)
    size = square.sqrt().clamp(min=1e-4)[:, None]
    track = (centre - centre.mean(dim=1, keepdim=True)) / size[..., None]
    return PersonView(points / size[..., None, None], track, size, T_camera_view)


def fill_gaps(
    points: Float[Tensor, "batch frames joints axes"], observed: Bool[Tensor, "batch frames joints"]
) -> Float[Tensor, "batch frames joints axes"]:
    """Interpolate each joint linearly over time where it is not observed; hold it at the ends.

    A joint that is never observed becomes 0.
    """
    frames = points.shape[1]
    time = torch.arange(frames, device=points.device)[None, :, None].expand(observed.shape)
    before = torch.where(observed, time, -1).cummax(dim=1).values
    after = torch.where(observed, time, frames).flip(1).cummin(dim=1).values.flip(1)
    known = (before >= 0) | (after < frames)
    first = torch.where(before >= 0, before, after).clamp(max=frames - 1)
    last = torch.where(after < frames, after, before).clamp(min=0)
    span = (last - first).clamp(min=1)
    share = ((time - first).to(points.dtype) / span)[..., None]
    index = [i[..., None].expand(points.shape) for i in (first, last)]
    filled = torch.lerp(points.gather(1, index[0]), points.gather(1, index[1]), share)
    return torch.where(known[..., None], filled, torch.zeros_like(filled))


def rotate(
    rotation: Float[Tensor, "batch frames 3 3"], points: Float[Tensor, "batch frames joints 3"]
) -> Float[Tensor, "batch frames joints 3"]:
    """Rotate the points of each frame; written out, because autocast would round a matrix product."""
    return (rotation[:, :, None] * points[..., None, :]).sum(-1)


class FrameFormer(PoseModel):
    """Rays and confidence of a clip in, root-relative joints in metres of a person 1.70 m tall out."""

    def __init__(self, config: FrameFormerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FrameFormerConfig()
        # Per joint x, y and confidence; per frame the centre's track and the apparent size.
        self.embed = nn.Linear(config.joints * 3 + 3, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.joints * 3 + 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(self, keypoints: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, "batch frames 17 3"]:
        """Lift a clip.

        `keypoints`: rays x/z, y/z of the camera (x right, y down) and confidence, 0 where missing.
        Returns joints minus the pelvis in the camera frame, in metres of a person 1.70 m tall.
        """
        view = person_view(keypoints)
        batch, frames = keypoints.shape[:2]
        size = (view.size.log() + 1.5)[:, None].expand(batch, frames, 1)
        x = torch.cat([view.points.flatten(2), keypoints[..., 2], view.track, size], dim=-1)
        x = self.embed(x)
        turn = rotary_angles(frames, self.config.width // self.config.heads, x)
        for block in self.blocks:
            x = block(x, turn)
        out = self.head(self.norm(x)).to(view.points.dtype)
        joints = out[..., :-1].unflatten(-1, (self.config.joints, 3))
        # Most of x and y is the picture itself, magnified: 0.6 m is the usual size of `view.size`.
        magnified = view.points * (0.6 * out[..., -1:, None].exp())
        joints = joints + F.pad(magnified, (0, 1))
        return rotate(view.T_camera_view, joints - joints[..., :1, :])


class Block(nn.Module):
    """Pre-norm transformer block over the frames of a clip."""

    def __init__(self, config: FrameFormerConfig) -> None:
        super().__init__()
        hidden = int(config.width * config.mlp_ratio)
        self.heads = config.heads
        self.norm1 = nn.LayerNorm(config.width)
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)
        self.norm2 = nn.LayerNorm(config.width)
        self.fc1 = nn.Linear(config.width, hidden)
        self.fc2 = nn.Linear(hidden, config.width)

    def forward(
        self, x: Float[Tensor, "batch frames width"], turn: tuple[Tensor, Tensor]
    ) -> Float[Tensor, "batch frames width"]:
        q, k, v = self.qkv(self.norm1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = turn_in_time(q, turn), turn_in_time(k, turn)
        if self.training:
            # Written out: with PyTorch 2.13's fused attention a step in bfloat16 on CPU takes 1.7 times as
            # long (benchmarks/training.py).
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            attended = scores.softmax(dim=-1).to(v.dtype) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(attended.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


def rotary_angles(frames: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine (frames, width / 2) that turn queries and keys by their place in time."""
    # Periods from 2π frames to 2π · 1000: clips are short, so the usual 10 000 would leave half unused.
    speed = 1000.0 ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angle = torch.arange(frames, device=like.device, dtype=torch.float32)[:, None] * speed
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def turn_in_time(x: Float[Tensor, "batch heads frames width"], turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


register_architecture("frameformer", FrameFormerConfig, FrameFormer)
register(
    ModelSpec(
        name="frameformer",
        architecture="frameformer",
        config=asdict(FrameFormerConfig()),
        skeleton="h36m-17",
        frame_rate_hz=30.0,
        window_frames=128,
        normalisation="rays",
        output="m",
        root_relative=True,
    )
)
