"""TCPFormer: two streams of attention, and a few learned poses through which frames exchange.

Source: Liu et al., "TCPFormer: Learning Temporal Correlation with Implicit Pose Proxy for 3D Human Pose
Estimation" (AAAI 2025), section 3. Tensor names are those of the published program, spelling included. The
published training uses neither dropout nor stochastic depth.
"""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from repose.models.agformer import Block
from repose.models.dstformer import MLP, Attention, Representation
from repose.models.registry import PoseModel, check_window, register, register_architecture
from repose.models.spec import Frames, Joints, Layers, ModelSpec, Ratio, Width

PARTS = 3
"""A clip is cut into so many parts, each of which attends to itself; there is a proxy for as many frames."""

Tokens = Float[Tensor, "groups tokens width"]


@dataclass(frozen=True)
class TCPFormerConfig:
    """Sizes of a TCPFormer; the defaults are those published for 243 frames."""

    frames: Frames = 243
    """Length of every clip."""
    joints: Joints = 17
    width: Width = 128
    """Features a token."""
    representation: Width = 512
    """Features a joint of the motion representation, from which the head reads the pose."""
    layers: Layers = 16
    heads: Layers = 8
    mlp_ratio: Layers = 4
    """Hidden width of the MLPs, in widths."""
    layer_scale: Ratio = 1e-5
    """Initial weight of each residual branch."""


class Streams(nn.Module):
    """Joints, then frames; beside them frames, then joints; fused token by token."""

    def __init__(self, config: TCPFormerConfig) -> None:
        super().__init__()

        def block() -> Block:
            mixer = Attention(config.width, config.heads, qkv_bias=False)
            return Block(mixer, config.width, config.mlp_ratio, config.layer_scale)

        # The published program calls the second stream a graph. It is none, and begins with the frames.
        self.att_spatial, self.att_temporal = block(), block()
        self.graph_spatial, self.graph_temporal = block(), block()
        self.fusion = nn.Linear(2 * config.width, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(
        self, x: Float[Tensor, "batch frames joints width"]
    ) -> Float[Tensor, "batch frames joints width"]:
        one = over_frames(self.att_temporal, over_joints(self.att_spatial, x))
        other = over_joints(self.graph_temporal, over_frames(self.graph_spatial, x))
        weights = self.fusion(torch.cat((one, other), dim=-1)).softmax(dim=-1)
        return one * weights[..., :1] + other * weights[..., 1:]


class CrossAttention(nn.Module):
    """Multi-head attention of some tokens to others; gives its weights, too."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.wq = nn.Linear(width, width, bias=False)
        self.wk = nn.Linear(width, width, bias=False)
        self.wv = nn.Linear(width, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x: Float[Tensor, "groups tokens width"], to: Float[Tensor, "groups others width"]
    ) -> tuple[Float[Tensor, "groups heads tokens others"], Float[Tensor, "groups tokens width"]]:
        q, k, v = (split_heads(values, self.heads) for values in (self.wq(x), self.wk(to), self.wv(to)))
        weights = attention_weights(q, k)
        return weights, self.proj(join_heads(weights @ v))


class BlendedAttention(nn.Module):
    """Self-attention whose weights are blended with given ones."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(
        self,
        x: Tokens,
        given: Float[Tensor, "groups heads tokens tokens"],
        own_share: Float[Tensor, "1"],
    ) -> Tokens:
        q, k, v = (split_heads(values, self.heads) for values in self.qkv(x).chunk(3, dim=-1))
        weights = torch.lerp(given, attention_weights(q, k), own_share)
        return self.proj(join_heads(weights @ v))


class ProxyBlock(nn.Module):
    """Frames and proxy exchange (TCPFormer, sections 3.3 and 3.4); the names are the published ones."""

    layer_scale_1: nn.Parameter
    layer_scale_2: nn.Parameter
    layer_scale_3: nn.Parameter
    layer_scale_4: nn.Parameter
    layer_scale_5: nn.Parameter
    layer_scale_6: nn.Parameter
    layer_scale_7: nn.Parameter
    layer_scale_8: nn.Parameter

    def __init__(self, config: TCPFormerConfig) -> None:
        super().__init__()
        width, heads, hidden = config.width, config.heads, config.width * config.mlp_ratio
        self.norm_full, self.norm_center = nn.LayerNorm(width), nn.LayerNorm(width)
        self.full_center = CrossAttention(width, heads)
        self.center_full = CrossAttention(width, heads)
        self.mlp_1, self.mlp_2 = MLP(width, hidden), MLP(width, hidden)
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        for number in range(1, 9):
            scale = nn.Parameter(torch.full((width,), config.layer_scale))
            self.register_parameter(f"layer_scale_{number}", scale)
        self.norm_sa_self = nn.LayerNorm(width)
        self.map_sa_self = Attention(width, heads, qkv_bias=False)
        self.norm_mlp_self = nn.LayerNorm(width)
        self.mlp_sa_self = MLP(width, hidden)
        self.norm_sa_1 = nn.LayerNorm(width)
        self.map_sum = BlendedAttention(width, heads)
        self.norm_sa_2 = nn.LayerNorm(width)
        self.mlp_sa = MLP(width, hidden)
        self.att_weight = nn.Parameter(torch.rand(1))

    def forward(
        self, x: Tokens, proxy: Float[Tensor, "groups proxies width"]
    ) -> tuple[Tokens, Float[Tensor, "groups proxies width"]]:
        to_frames, found = self.center_full(self.norm_center(proxy), self.norm_full(x))
        proxy = torch.addcmul(proxy, self.layer_scale_1, found)
        proxy = torch.addcmul(proxy, self.layer_scale_2, self.mlp_1(self.norm_1(proxy)))
        to_proxy, found = self.full_center(self.norm_full(x), self.norm_center(proxy))
        x = torch.addcmul(x, self.layer_scale_3, found)
        x = torch.addcmul(x, self.layer_scale_4, self.mlp_2(self.norm_2(x)))
        x = torch.addcmul(x, self.layer_scale_7, self.map_sa_self(self.norm_sa_self(x)))
        x = torch.addcmul(x, self.layer_scale_8, self.mlp_sa_self(self.norm_mlp_self(x)))
        # From frame to frame by way of the proxy.
        blended = self.map_sum(self.norm_sa_1(x), to_proxy @ to_frames, self.att_weight.sigmoid())
        x = torch.addcmul(x, self.layer_scale_5, blended)
        x = torch.addcmul(x, self.layer_scale_6, self.mlp_sa(self.norm_sa_2(x)))
        return x, proxy


class MemoryBlock(nn.Module):
    """Each third of the clip attends to itself; then frames and proxy exchange."""

    def __init__(self, config: TCPFormerConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.width * config.mlp_ratio
        # Neither in the published checkpoints nor learned: a plain list held it.
        self.scale = config.layer_scale
        self.local_attention_list = nn.ModuleList(
            Attention(width, config.heads, qkv_bias=False) for _ in range(PARTS)
        )
        self.loacl_mlps = nn.ModuleList(MLP(width, hidden) for _ in range(PARTS))
        self.local_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * PARTS))
        self.cross_temporal = ProxyBlock(config)

    def forward(
        self, x: Tokens, proxy: Float[Tensor, "groups proxies width"]
    ) -> tuple[Tokens, Float[Tensor, "groups proxies width"]]:
        parts = []
        for i, part in enumerate(x.chunk(PARTS, dim=1)):
            part = part + self.scale * self.local_attention_list[i](self.local_norms[i](part))
            parts.append(part + self.scale * self.loacl_mlps[i](self.local_norms[i + PARTS](part)))
        return self.cross_temporal(torch.cat(parts, dim=1), proxy)


class TCPFormer(PoseModel):
    """TCPFormer on clips of exactly `config.frames` frames."""

    def __init__(self, config: TCPFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.joints_embed = nn.Linear(3, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, config.joints, config.width))
        self.layers = nn.Sequential(*(Streams(config) for _ in range(config.layers)))
        self.temporal_layers = nn.Sequential(*(MemoryBlock(config) for _ in range(config.layers)))
        self.center_pose = nn.Parameter(torch.randn(config.frames // PARTS, config.joints, config.width))
        self.center_pos_embed = nn.Parameter(torch.zeros(1, config.joints, config.width))
        self.norm = nn.LayerNorm(config.width)
        self.rep_logit = Representation(config.width, config.representation)
        self.head = nn.Linear(config.representation, 3)

    def represent(
        self, x: Float[Tensor, "batch frames joints 3"]
    ) -> Float[Tensor, "batch frames joints representation"]:
        """Compute the motion representation of a clip, from which other tasks can be learned.

        Raises:
            UserError: another number of frames or joints than the model was built for.
        """
        check_window("TCPFormer", x, self.config.frames, self.config.joints)
        x = self.joints_embed(x) + self.pos_embed
        batch, frames, joints, width = x.shape
        proxy = (self.center_pose + self.center_pos_embed).transpose(0, 1).repeat(batch, 1, 1)
        for streams, memory in zip(self.layers, self.temporal_layers, strict=True):
            tokens = streams(x).transpose(1, 2).reshape(batch * joints, frames, width)
            tokens, proxy = memory(tokens, proxy)
            x = tokens.view(batch, joints, frames, width).transpose(1, 2)
        return self.rep_logit(self.norm(x))

    def forward(self, x: Float[Tensor, "batch frames joints 3"]) -> Float[Tensor, "batch frames joints 3"]:
        """Lift clips of exactly `config.frames` frames; see `PoseModel`.

        Raises:
            UserError: another number of frames or joints than the model was built for.
        """
        return self.head(self.represent(x))


def over_joints(
    block: nn.Module, x: Float[Tensor, "batch frames joints width"]
) -> Float[Tensor, "batch frames joints width"]:
    """Run a block of tokens over the joints of each frame."""
    return block(x.flatten(0, 1)).view(x.shape)


def over_frames(
    block: nn.Module, x: Float[Tensor, "batch frames joints width"]
) -> Float[Tensor, "batch frames joints width"]:
    """Run a block of tokens over the frames of each joint."""
    batch, frames, joints, width = x.shape
    tokens = block(x.transpose(1, 2).reshape(batch * joints, frames, width))
    return tokens.view(batch, joints, frames, width).transpose(1, 2)


def split_heads(x: Tokens, heads: int) -> Float[Tensor, "groups heads tokens features"]:
    groups, tokens, width = x.shape
    return x.view(groups, tokens, heads, width // heads).transpose(1, 2)


def join_heads(x: Float[Tensor, "groups heads tokens features"]) -> Tokens:
    groups, heads, tokens, features = x.shape
    return x.transpose(1, 2).reshape(groups, tokens, heads * features)


def attention_weights(
    q: Float[Tensor, "groups heads tokens features"], k: Float[Tensor, "groups heads others features"]
) -> Float[Tensor, "groups heads tokens others"]:
    return (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)


register_architecture("tcpformer", TCPFormerConfig, TCPFormer)

# Human3.6M at its full rate with 243 and 81 frames; MPI-INF-3DHP with 81, 27 and 9.
for _name, _frames in (("tcpformer", 243), ("tcpformer-81", 81), ("tcpformer-27", 27), ("tcpformer-9", 9)):
    register(
        ModelSpec(
            name=_name,
            architecture="tcpformer",
            config=asdict(TCPFormerConfig(frames=_frames)),
            skeleton="h36m-17",
            frame_rate_hz=50.0,
            window_frames=_frames,
            normalisation="screen",
            root_relative=True,
            fixed_window=True,
        )
    )
