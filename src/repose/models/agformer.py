"""MotionAGFormer: attention and graph convolution side by side, fused token by token.

Source: Mehraban et al., "MotionAGFormer: Enhancing 3D Human Pose Estimation with a
Transformer-GCNFormer Network" (WACV 2024), section 3. Tensor names are those of the published
checkpoints. The published training uses neither dropout nor stochastic depth.

Every mixer works on `(groups, nodes, width)`: spatially the groups are frames and the nodes joints,
temporally the groups are joints and the nodes frames.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from repose.models.dstformer import MLP, Attention, Representation
from repose.models.registry import PoseModel, check_window, register, register_architecture
from repose.models.spec import Frames, Layers, ModelSpec, Ratio, Width
from repose.skeleton import H36M_17

# Neighbours of each joint in the published graph. It is not symmetric (the pelvis does not see the left
# hip, nor the thorax the shoulders), and the checkpoints assume that.
_NEIGHBOURS = {
    "pelvis": ("right_hip", "spine"),
    "right_hip": ("pelvis", "right_knee"),
    "right_knee": ("right_hip", "right_ankle"),
    "right_ankle": ("right_knee",),
    "left_hip": ("pelvis", "left_knee"),
    "left_knee": ("left_hip", "left_ankle"),
    "left_ankle": ("left_knee",),
    "spine": ("pelvis", "thorax"),
    "thorax": ("spine", "nose"),
    "nose": ("thorax", "head_top"),
    "head_top": ("nose",),
    "left_shoulder": ("thorax", "left_elbow"),
    "left_elbow": ("left_shoulder", "left_wrist"),
    "left_wrist": ("left_elbow",),
    "right_shoulder": ("thorax", "right_elbow"),
    "right_elbow": ("right_shoulder", "right_wrist"),
    "right_wrist": ("right_elbow",),
}


@dataclass(frozen=True)
class AGFormerConfig:
    """Sizes of a MotionAGFormer; the defaults are those of the base size."""

    frames: Frames = 243
    """Length of every clip."""
    width: Width = 128
    """Features a token."""
    representation: Width = 512
    """Features a joint of the motion representation, from which the head reads the pose."""
    layers: Layers = 16
    heads: Layers = 8
    mlp_ratio: Layers = 4
    """Hidden width of the MLPs, in widths."""
    neighbours: Frames = 2
    """Frames that a frame is connected to in the temporal graph, itself included."""
    layer_scale: Ratio = 1e-5
    """Initial weight of each residual branch."""


class GraphConvolution(nn.Module):
    """`relu(x + batch_norm(D^-1/2 A D^-1/2 V x + U x))` (MotionAGFormer, section 3.2).

    D holds the row sums of the adjacency A. Subclasses say what A is.
    """

    def __init__(self, nodes: int, width: int) -> None:
        super().__init__()
        self.U = nn.Linear(width, width)
        self.V = nn.Linear(width, width)
        self.batch_norm = nn.BatchNorm1d(nodes)
        for linear in (self.U, self.V):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / width))

    def adjacency(self, x: Float[Tensor, "groups nodes width"]) -> Float[Tensor, "*groups nodes nodes"]:
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "groups nodes width"]) -> Float[Tensor, "groups nodes width"]:
        adjacency = self.adjacency(x)
        # Scaling rows before and after costs nothing next to two products with a diagonal matrix.
        scale = adjacency.sum(dim=-1, keepdim=True).rsqrt()
        aggregate = scale * (adjacency @ (scale * self.V(x)))
        return F.relu(x + self.batch_norm(aggregate + self.U(x)))


class BoneGraph(GraphConvolution):
    """Joints of a frame, connected along bones."""

    def __init__(self, width: int) -> None:
        joints = H36M_17.joints
        super().__init__(len(joints), width)
        bones = [[float(other in _NEIGHBOURS[joint]) for other in joints] for joint in joints]
        self.register_buffer("bones", torch.tensor(bones), persistent=False)

    def adjacency(self, x: Float[Tensor, "groups nodes width"]) -> Float[Tensor, "*groups nodes nodes"]:
        return self.get_buffer("bones")


class SimilarityGraph(GraphConvolution):
    """Frames of a joint, each connected to those most similar to it.

    A neighbour is any frame at least as similar as the k-th most similar one, so ties all count. Where
    frames are alike except for rounding, as those of a person standing still, the processor's rounding
    decides which of them tie: another processor, or other threads, can give another graph, and so another
    output. That is how the published program defines it; in float64 it is rare.
    """

    def __init__(self, frames: int, width: int, neighbours: int) -> None:
        super().__init__(frames, width)
        self.neighbours = neighbours

    @torch.no_grad()
    def adjacency(self, x: Float[Tensor, "groups nodes width"]) -> Float[Tensor, "*groups nodes nodes"]:
        similarity = x @ x.transpose(1, 2)
        threshold = similarity.topk(self.neighbours, dim=-1).values[..., -1:]
        return (similarity >= threshold).to(x.dtype)


class Block(nn.Module):
    """A mixer of nodes and an MLP, each a residual branch with a learned scale (the MetaFormer form)."""

    def __init__(self, mixer: nn.Module, width: int, mlp_ratio: int, layer_scale: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(width)
        self.mlp = MLP(width, width * mlp_ratio)
        self.layer_scale_1 = nn.Parameter(torch.full((width,), layer_scale))
        self.layer_scale_2 = nn.Parameter(torch.full((width,), layer_scale))

    def forward(self, x: Float[Tensor, "groups nodes width"]) -> Float[Tensor, "groups nodes width"]:
        x = torch.addcmul(x, self.layer_scale_1, self.mixer(self.norm1(x)))
        return torch.addcmul(x, self.layer_scale_2, self.mlp(self.norm2(x)))


class Layer(nn.Module):
    """Two streams, each spatial and then temporal, and their fusion (MotionAGFormer, section 3.1)."""

    def __init__(self, config: AGFormerConfig) -> None:
        super().__init__()
        width = config.width

        def block(mixer: nn.Module) -> Block:
            return Block(mixer, width, config.mlp_ratio, config.layer_scale)

        self.att_spatial = block(Attention(width, config.heads, qkv_bias=False))
        self.att_temporal = block(Attention(width, config.heads, qkv_bias=False))
        self.graph_spatial = block(BoneGraph(width))
        self.graph_temporal = block(SimilarityGraph(config.frames, width, config.neighbours))
        self.fusion = nn.Linear(2 * width, 2)
        nn.init.zeros_(self.fusion.weight)
        nn.init.constant_(self.fusion.bias, 0.5)

    def forward(
        self, x: Float[Tensor, "batch frames joints width"]
    ) -> Float[Tensor, "batch frames joints width"]:
        batch, frames, joints, width = x.shape

        def mix(spatial: nn.Module, temporal: nn.Module) -> Tensor:
            tokens = spatial(x.reshape(batch * frames, joints, width))
            tokens = tokens.view(x.shape).transpose(1, 2).reshape(batch * joints, frames, width)
            return temporal(tokens).view(batch, joints, frames, width)

        attended = mix(self.att_spatial, self.att_temporal)
        convolved = mix(self.graph_spatial, self.graph_temporal)
        weights = self.fusion(torch.cat((attended, convolved), dim=-1)).softmax(dim=-1)
        attended_weight, convolved_weight = weights.split(1, dim=-1)
        return (attended * attended_weight + convolved * convolved_weight).transpose(1, 2)


class AGFormer(PoseModel):
    """MotionAGFormer for the joints of H36M-17, on clips of exactly `config.frames` frames.

    Outputs in float32 can differ between processors by more than rounding: see `SimilarityGraph`.
    """

    def __init__(self, config: AGFormerConfig) -> None:
        super().__init__()
        self.config = config
        self.joints_embed = nn.Linear(3, config.width)
        self.pos_embed = nn.Parameter(torch.zeros(1, len(H36M_17.joints), config.width))
        self.layers = nn.Sequential(*(Layer(config) for _ in range(config.layers)))
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
        check_window("MotionAGFormer", x, self.config.frames, len(H36M_17.joints))
        x = self.joints_embed(x) + self.pos_embed
        return self.rep_logit(self.norm(self.layers(x)))

    def forward(self, x: Float[Tensor, "batch frames joints 3"]) -> Float[Tensor, "batch frames joints 3"]:
        """Lift clips of exactly `config.frames` frames; see `PoseModel`.

        Raises:
            UserError: another number of frames or joints than the model was built for.
        """
        return self.head(self.represent(x))


register_architecture("agformer", AGFormerConfig, AGFormer)

# The published sizes and conventions: Human3.6M at its full rate, 2D divided by the image's width.
for _size, _layers, _width, _frames in (
    ("xs", 12, 64, 27),
    ("s", 26, 64, 81),
    ("b", 16, 128, 243),
    ("l", 26, 128, 243),
):
    register(
        ModelSpec(
            name=f"motionagformer-{_size}",
            architecture="agformer",
            config=asdict(AGFormerConfig(frames=_frames, width=_width, layers=_layers)),
            skeleton="h36m-17",
            frame_rate_hz=50.0,
            window_frames=_frames,
            normalisation="screen",
            root_relative=True,
            fixed_window=True,
        )
    )
