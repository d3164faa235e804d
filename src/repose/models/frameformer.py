"""FrameFormer: the project's own lifter, one token per frame, small and fast.

All joints of a frame share one token and attention runs over time alone, so that a frame costs a
hundredth of what a token per joint costs. The network sees the clip by a camera that looks straight at
the person (`repose.models.perspective_crop`), and its answer is turned back.
Positions in time enter attention by rotation (RoPE, Su et al. 2021), so any number of frames will do.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from repose.models.perspective_crop import USUAL_SIZE_M, perspective_crop, rotate
from repose.models.registry import PoseModel, register, register_architecture
from repose.models.spec import Joints, Layers, ModelSpec, Ratio, Width
from repose.skeleton import ANKLES_OF_FEET, H36M_17, H36M_FEET


@dataclass(frozen=True)
class FrameFormerConfig:
    width: Width = 256
    depth: Layers = 8
    heads: Layers = 8
    mlp_ratio: Ratio = 3.0
    joints: Joints = 17
    deviation: bool = False
    """Whether the model says how far off each joint may be."""


class FrameFormer(PoseModel):
    """Rays and confidence of a clip in, root-relative joints in metres of a person 1.70 m tall out."""

    def __init__(self, config: FrameFormerConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FrameFormerConfig()
        # Per joint x, y and confidence; per frame the centre's track and the apparent size.
        self.embed = nn.Linear(config.joints * 3 + 3, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.joints * (4 if config.deviation else 3) + 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(cast(Tensor, module.bias))

    def forward(
        self, keypoints: Float[Tensor, "batch frames joints 3"]
    ) -> Float[Tensor, "batch frames joints _"]:
        """Lift a clip.

        `keypoints`: rays x/z, y/z of the camera (x right, y down) and confidence, 0 where missing.
        Returns joints minus the pelvis in the camera frame, in metres of a person 1.70 m tall, and with
        `config.deviation` the logarithm of each joint's deviation as a fourth column.
        """
        view = perspective_crop(keypoints)
        batch, frames = keypoints.shape[:2]
        size = (view.size.log() + 1.5)[:, None].expand(batch, frames, 1)
        x = torch.cat([view.points.flatten(2), keypoints[..., 2], view.track, size], dim=-1)
        x = self.embed(x)
        turn = rotary_angles(frames, self.config.width // self.config.heads, x)
        for block in self.blocks:
            x = block(x, turn)
        out = self.head(self.norm(x)).to(view.points.dtype)
        count = self.config.joints
        joints = out[..., : 3 * count].unflatten(-1, (count, 3))
        # Most of x and y is the picture itself, magnified.
        magnified = view.points * (USUAL_SIZE_M * out[..., -1:, None].exp())
        joints = joints + F.pad(magnified, (0, 1))
        joints = rotate(view.T_camera_view, joints - joints[..., :1, :])
        if not self.config.deviation:
            return joints
        # 5 cm is the usual deviation: training starts from there.
        log_deviation = out[..., 3 * count : 4 * count, None] + math.log(0.05)
        return torch.cat([joints, log_deviation], dim=-1)


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
            # long (perf/training.py).
            scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
            attended = scores.softmax(dim=-1).to(v.dtype) @ v
        else:
            attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(attended.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x)), approximate="tanh"))


def rotary_angles(frames: int, width: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Compute cosine and sine (frames, width / 2) that rotate queries and keys by their position in time."""
    # Periods from 2π frames to 2π · 1000: clips are short, so the usual 10 000 would leave half unused.
    speed = 1000.0 ** (-torch.arange(0, width, 2, device=like.device, dtype=torch.float32) / width)
    angle = torch.arange(frames, device=like.device, dtype=torch.float32)[:, None] * speed
    return angle.cos().to(like.dtype), angle.sin().to(like.dtype)


def turn_in_time(x: Float[Tensor, "batch heads frames width"], turn: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = turn
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def add_feet(weights: Mapping[str, Tensor], deviation: bool) -> dict[str, Tensor]:
    """Return the weights of a model for H36M-17 as those of one for h36m-17+feet.

    Its first 17 joints come out as before, whatever it is told of the feet: these enter with a weight of 0.
    What comes out for them, with their deviation, is at first what comes out for their ankle.
    """
    body, feet = len(H36M_17), len(ANKLES_OF_FEET)
    grown = dict(weights)
    points, confidence, rest = weights["embed.weight"].split((2 * body, body, 3), dim=1)
    grown["embed.weight"] = torch.cat(
        [F.pad(points, (0, 2 * feet)), F.pad(confidence, (0, feet)), rest], dim=1
    )
    order = [3 * joint + axis for joint in [*range(body), *ANKLES_OF_FEET] for axis in range(3)]
    if deviation:
        order += [3 * body + joint for joint in [*range(body), *ANKLES_OF_FEET]]
    for name in ("head.weight", "head.bias"):
        grown[name] = torch.cat([weights[name][order], weights[name][-1:]])
    return grown


register_architecture("frameformer", FrameFormerConfig, FrameFormer)
_SPEC = ModelSpec(
    name="frameformer",
    architecture="frameformer",
    config=asdict(FrameFormerConfig(deviation=True)),
    skeleton="h36m-17",
    frame_rate_hz=30.0,
    window_frames=128,
    normalisation="rays",
    output="m",
    root_relative=True,
)
register(_SPEC)
register(replace(_SPEC.with_config(width=128, depth=4), name="frameformer-small"))
register(replace(_SPEC.with_config(joints=len(H36M_FEET)), name="frameformer-feet", skeleton=H36M_FEET.name))
