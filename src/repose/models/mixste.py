"""MixSTE: attention over the joints of a frame and over the frames of a joint, taking turns.

Source: Zhang et al., "MixSTE: Seq2seq Mixed Spatio-Temporal Encoder for 3D Human Pose Estimation in Video"
(CVPR 2022), section 3. Tensor names are those of the published checkpoints.
"""

from dataclasses import asdict, dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from msgspec import Meta
from torch import Tensor, nn

from repose.models.dstformer import MLP, Attention
from repose.models.registry import PoseModel, check_window, register, register_architecture
from repose.models.spec import Frames, Joints, Layers, ModelSpec, Width


@dataclass(frozen=True)
class MixSTEConfig:
    """Sizes of a MixSTE; the defaults are those of the published one."""

    frames: Frames = 243
    """Length of every clip."""
    joints: Joints = 17
    width: Width = 512
    """Features a token."""
    depth: Layers = 8
    """Pairs of blocks."""
    heads: Layers = 8
    mlp_ratio: Layers = 2
    """Hidden width of the MLPs, in widths."""
    drop_path: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Share of clips that skip the last pair's branches in training; rises from 0 at the first pair."""


class Block(nn.Module):
    """Attention among tokens and an MLP, each a residual branch that training skips now and then."""

    def __init__(self, config: MixSTEConfig, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = MLP(config.width, config.width * config.mlp_ratio)

    def forward(self, x: Float[Tensor, "groups tokens width"]) -> Float[Tensor, "groups tokens width"]:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, branch: Float[Tensor, "groups tokens width"]) -> Float[Tensor, "groups tokens width"]:
        """Stochastic depth (Huang et al., ECCV 2016): whole branches at random, their mean kept."""
        if not (self.training and self.drop_path):
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
        return branch * kept / (1 - self.drop_path)


class MixSTE(PoseModel):
    """MixSTE on clips of exactly `config.frames` frames. It takes no confidence."""

    def __init__(self, config: MixSTEConfig) -> None:
        super().__init__()
        self.config = config
        rates = [config.drop_path * pair / max(config.depth - 1, 1) for pair in range(config.depth)]
        self.Spatial_patch_to_embedding = nn.Linear(2, config.width)
        self.Spatial_pos_embed = nn.Parameter(torch.zeros(1, config.joints, config.width))
        self.Temporal_pos_embed = nn.Parameter(torch.zeros(1, config.frames, config.width))
        self.STEblocks = nn.ModuleList(Block(config, rate) for rate in rates)
        self.TTEblocks = nn.ModuleList(Block(config, rate) for rate in rates)
        # One normalisation for all blocks over joints, and one for all over frames.
        self.Spatial_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.Temporal_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 3))

    def forward(self, x: Float[Tensor, "batch frames joints 3"]) -> Float[Tensor, "batch frames joints 3"]:
        """Lift clips of exactly `config.frames` frames; see `PoseModel`.

        Raises:
            UserError: another number of frames or joints than the model was built for.
        """
        check_window("MixSTE", x, self.config.frames, self.config.joints)
        batch, frames, joints, _ = x.shape
        x = (self.Spatial_patch_to_embedding(x[..., :2]) + self.Spatial_pos_embed).flatten(0, 1)
        for pair, (over_joints, over_frames) in enumerate(zip(self.STEblocks, self.TTEblocks, strict=True)):
            x = self.Spatial_norm(over_joints(x)).view(batch, frames, joints, -1)
            x = x.transpose(1, 2).reshape(batch * joints, frames, -1)
            if pair == 0:  # only the first pair is told which frame is which
                x = x + self.Temporal_pos_embed
            x = self.Temporal_norm(over_frames(x)).view(batch, joints, frames, -1)
            x = x.transpose(1, 2).reshape(batch * frames, joints, -1)
        return self.head(x.view(batch, frames, joints, -1))


register_architecture("mixste", MixSTEConfig, MixSTE)
# The published conventions: VideoPose3D's, with 2D divided by the image's width and 3D in metres.
register(
    ModelSpec(
        name="mixste",
        architecture="mixste",
        config=asdict(MixSTEConfig()),
        skeleton="h36m-17",
        frame_rate_hz=50.0,
        window_frames=243,
        normalisation="screen",
        output="m",
        root_relative=True,
        fixed_window=True,
    )
)
