"""DSTformer, the dual-stream spatio-temporal transformer of MotionBERT and RePOSE.

Source: Zhu et al., "MotionBERT: A Unified Perspective on Learning Human Motion Representations"
(ICCV 2023), section 3.2; RePOSE trains the light size with relational losses. Tensor names are those
of the published checkpoints. The published training uses neither dropout nor stochastic depth.
"""

from dataclasses import asdict, dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from repose.errors import UserError
from repose.models.registry import PoseModel, register, register_architecture
from repose.models.spec import Frames, Joints, Layers, ModelSpec, Width


class Attention(nn.Module):
    """Multi-head self-attention among the tokens of each group (MotionBERT, equations 1 and 2)."""

    def __init__(self, width: int, heads: int, qkv_bias: bool = True) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "groups tokens width"]) -> Float[Tensor, "groups tokens width"]:
        groups, tokens, width = x.shape
        qkv = self.qkv(x).view(groups, tokens, 3, self.heads, width // self.heads)
        # Four axes each: with five, torch.compile gave wrong values on CPU and ONNX export refused.
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(groups, tokens, width))


class MLP(nn.Module):
    """Two linear maps with a GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens width"]:
        return self.fc2(F.gelu(self.fc1(x)))


class Representation(nn.Module):
    """The motion representation: a linear map and tanh (MotionBERT, section 3.2)."""

    def __init__(self, width: int, representation: int) -> None:
        super().__init__()
        self.fc = nn.Linear(width, representation)

    def forward(self, x: Float[Tensor, "*tokens width"]) -> Float[Tensor, "*tokens representation"]:
        return torch.tanh(self.fc(x))


@dataclass(frozen=True)
class DSTformerConfig:
    """Sizes of a DSTformer; the defaults are those of RePOSE."""

    frames: Frames = 243
    """Longest clip: number of learned time embeddings."""
    joints: Joints = 17
    width: Width = 256
    """Features a token."""
    representation: Width = 512
    """Features a joint of the motion representation, from which the head reads the pose."""
    depth: Layers = 5
    """Pairs of blocks."""
    heads: Layers = 8
    mlp_ratio: Layers = 4
    """Hidden width of the MLPs, in widths."""


class Block(nn.Module):
    """Attention over joints and attention over frames, one after the other, each with its MLP.

    Spatial first in one stream, temporal first in the other (MotionBERT, equation 3).
    """

    def __init__(self, config: DSTformerConfig, temporal_first: bool) -> None:
        super().__init__()
        width, heads, hidden = config.width, config.heads, config.width * config.mlp_ratio
        self.temporal_first = temporal_first
        self.norm1_s = nn.LayerNorm(width, eps=1e-6)
        self.norm1_t = nn.LayerNorm(width, eps=1e-6)
        self.attn_s = Attention(width, heads)
        self.attn_t = Attention(width, heads)
        self.norm2_s = nn.LayerNorm(width, eps=1e-6)
        self.norm2_t = nn.LayerNorm(width, eps=1e-6)
        self.mlp_s = MLP(width, hidden)
        self.mlp_t = MLP(width, hidden)

    def forward(
        self, x: Float[Tensor, "batch frames joints width"]
    ) -> Float[Tensor, "batch frames joints width"]:
        if self.temporal_first:
            return self.spatial(self.temporal(x))
        return self.temporal(self.spatial(x))

    def spatial(
        self, x: Float[Tensor, "batch frames joints width"]
    ) -> Float[Tensor, "batch frames joints width"]:
        """Attend over the joints of each frame."""
        tokens = x.flatten(0, 1)
        tokens = tokens + self.attn_s(self.norm1_s(tokens))
        tokens = tokens + self.mlp_s(self.norm2_s(tokens))
        return tokens.view_as(x)

    def temporal(
        self, x: Float[Tensor, "batch frames joints width"]
    ) -> Float[Tensor, "batch frames joints width"]:
        """Attend over the frames of each joint."""
        batch, frames, joints, width = x.shape
        tokens = x.transpose(1, 2).reshape(batch * joints, frames, width)
        tokens = tokens + self.attn_t(self.norm1_t(tokens))
        tokens = tokens + self.mlp_t(self.norm2_t(tokens))
        return tokens.view(batch, joints, frames, width).transpose(1, 2)


class DSTformer(PoseModel):
    """Two streams of blocks, fused after each pair by learned weights (MotionBERT, equations 3 and 4)."""

    def __init__(self, config: DSTformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.joints_embed = nn.Linear(3, width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.joints, width))
        self.temp_embed = nn.Parameter(torch.zeros(1, config.frames, 1, width))
        self.blocks_st = nn.ModuleList(Block(config, temporal_first=False) for _ in range(config.depth))
        self.blocks_ts = nn.ModuleList(Block(config, temporal_first=True) for _ in range(config.depth))
        self.ts_attn = nn.ModuleList(nn.Linear(2 * width, 2) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pre_logits = Representation(width, config.representation)
        self.head = nn.Linear(config.representation, 3)
        self._initialise()

    def _initialise(self) -> None:
        """As published: normal weights (0.02), zero biases, and both streams weighted equally."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.temp_embed, std=0.02)
        for name, parameter in self.ts_attn.named_parameters():
            nn.init.constant_(parameter, 0.5 if name.endswith("bias") else 0.0)

    def represent(
        self, x: Float[Tensor, "batch frames joints 3"]
    ) -> Float[Tensor, "batch frames joints representation"]:
        """Compute the motion representation of a clip, from which other tasks can be learned.

        Raises:
            UserError: more frames than the model has time embeddings, or another number of joints.
        """
        frames, joints = x.shape[1:3]
        if frames > self.config.frames or joints != self.config.joints:
            raise UserError(
                f"DSTformer: expected at most {self.config.frames} frames of {self.config.joints} joints, "
                f"found {frames} frames of {joints} joints",
                "Cut longer clips into windows.",
            )
        x = self.joints_embed(x) + self.pos_embed + self.temp_embed[:, :frames]
        for block_st, block_ts, weigh in zip(self.blocks_st, self.blocks_ts, self.ts_attn, strict=True):
            x = self.fuse(weigh, block_st(x), block_ts(x))
        return self.pre_logits(self.norm(x))

    def fuse(
        self,
        weigh: nn.Module,
        x_st: Float[Tensor, "batch frames joints width"],
        x_ts: Float[Tensor, "batch frames joints width"],
    ) -> Float[Tensor, "batch frames joints width"]:
        """Average both streams, weighted token by token (MotionBERT, equation 4)."""
        weight_st, weight_ts = weigh(torch.cat((x_st, x_ts), dim=-1)).softmax(dim=-1).split(1, dim=-1)
        return x_st * weight_st + x_ts * weight_ts

    def forward(self, x: Float[Tensor, "batch frames joints 3"]) -> Float[Tensor, "batch frames joints 3"]:
        """Lift clips of any length up to `config.frames`; see `PoseModel`.

        Raises:
            UserError: more frames than the model has time embeddings, or another number of joints.
        """
        return self.head(self.represent(x))


register_architecture("dstformer", DSTformerConfig, DSTformer)

# The published conventions: Human3.6M at its full rate, and MotionBERT's input "in the wild".
_REPOSE = ModelSpec(
    name="repose",
    architecture="dstformer",
    config=asdict(DSTformerConfig()),
    skeleton="h36m-17",
    frame_rate_hz=50.0,
    window_frames=243,
    normalisation="crop-scaled",
)
register(_REPOSE)
# Its published checkpoint for Human3.6M predicts root-relative joints; that of the light size does not.
register(replace(_REPOSE.with_config(width=512, mlp_ratio=2), name="motionbert", root_relative=True))
register(replace(_REPOSE, name="motionbert-lite"))
