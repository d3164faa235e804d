"""A published backbone behind a perspective crop, so that virtual cameras can train it.

The backbones of RePOSE and MotionAGFormer know a picture, not a camera. Here they get the points of
`repose.models.perspective_crop` in place of the picture, and what they answer is added to these points and
turned back to the real camera. Nothing in the backbones is changed.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from repose.models.dstformer import DSTformerConfig
from repose.models.perspective_crop import USUAL_SIZE_M, perspective_crop, rotate
from repose.models.registry import PoseModel, build, find_spec, register, register_architecture
from repose.models.spec import ModelSpec


@dataclass(frozen=True)
class CroppedConfig:
    backbone: str
    """Name of a registered model with a published backbone."""
    config: dict[str, Any]
    """The backbone's configuration."""


class Cropped(PoseModel):
    """Rays and confidence of a clip in, root-relative joints in metres of a person 1.70 m tall out."""

    def __init__(self, config: CroppedConfig) -> None:
        super().__init__()
        self.backbone = build(replace(find_spec(config.backbone), config=config.config))

    def forward(self, keypoints: Float[Tensor, "batch frames 17 3"]) -> Float[Tensor, "batch frames 17 3"]:
        """Lift as `repose.models.frameformer.FrameFormer`, without a deviation."""
        view = perspective_crop(keypoints)
        points = torch.cat([view.points, keypoints[..., 2:]], dim=-1)
        joints = self.backbone(points).to(view.points.dtype) + F.pad(view.points, (0, 1))
        return rotate(view.T_camera_view, USUAL_SIZE_M * (joints - joints[..., :1, :]))


register_architecture("cropped", CroppedConfig, Cropped)


def _cropped(backbone: ModelSpec, name: str) -> ModelSpec:
    return replace(
        backbone,
        name=name,
        architecture="cropped",
        config={"backbone": backbone.name, "config": backbone.config},
        frame_rate_hz=30.0,
        normalisation="rays",
        output="m",
        root_relative=True,
    )


register(_cropped(find_spec("repose"), "repose-cropped"))
_SMALL = asdict(DSTformerConfig(frames=27, width=64, representation=64, depth=3))
register(_cropped(replace(find_spec("repose"), config=_SMALL, window_frames=27), "repose-small-cropped"))
register(_cropped(find_spec("motionagformer-xs"), "motionagformer-xs-cropped"))
