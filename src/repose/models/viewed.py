"""A published backbone behind the person's view, so that virtual cameras can train it.

The backbones of RePOSE and MotionAGFormer know a picture, not a camera. Here they get the points of
`repose.models.person_view` in place of the picture, and what they answer is added to these points and
turned back to the real camera. Nothing in the backbones is changed.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from repose.models.dstformer import DSTformerConfig
from repose.models.person_view import USUAL_SIZE_M, person_view, rotate
from repose.models.registry import ModelSpec, PoseModel, build, find_spec, register, register_architecture


@dataclass(frozen=True)
class ViewedConfig:
    backbone: str
    """Name of a registered model with a published backbone."""
    config: dict[str, Any]
    """The backbone's configuration."""


class Viewed(PoseModel):
    """Rays and confidence of a clip in, root-relative joints in metres of a person 1.70 m tall out."""

    def __init__(self, config: ViewedConfig) -> None:
        super().__init__()
        self.backbone = build(replace(find_spec(config.backbone), config=config.config))

    def forward(self, keypoints: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, "batch frames 17 3"]:
        """As `repose.models.frameformer.FrameFormer`, without a deviation."""
        view = person_view(keypoints)
        points = torch.cat([view.points, keypoints[..., 2:]], dim=-1)
        joints = self.backbone(points).to(view.points.dtype) + F.pad(view.points, (0, 1))
        return rotate(view.T_camera_view, USUAL_SIZE_M * (joints - joints[..., :1, :]))


register_architecture("viewed", ViewedConfig, Viewed)


def _viewed(backbone: ModelSpec, name: str) -> ModelSpec:
    return replace(
        backbone,
        name=name,
        architecture="viewed",
        config={"backbone": backbone.name, "config": backbone.config},
        frame_rate_hz=30.0,
        normalisation="rays",
        output="m",
        root_relative=True,
    )


register(_viewed(find_spec("repose"), "repose-viewed"))
_SMALL = asdict(DSTformerConfig(frames=27, width=64, representation=64, depth=3))
register(_viewed(replace(find_spec("repose"), config=_SMALL, window_frames=27), "repose-small-viewed"))
register(_viewed(find_spec("motionagformer-xs"), "motionagformer-xs-viewed"))
