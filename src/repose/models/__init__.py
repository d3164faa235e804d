"""Networks that lift 2D joints to 3D, and their checkpoints.

`build(name)` makes a fresh model, `load_checkpoint(path)` opens a trained one; both are `PoseModel`s
whose `spec` says how they are used. `list_models()` says what is there.
"""

from repose.models.agformer import AGFormer, AGFormerConfig
from repose.models.checkpoint import (
    ListedModel,
    list_models,
    load_checkpoint,
    packaged_weights,
    save_checkpoint,
)
from repose.models.cropped import Cropped, CroppedConfig
from repose.models.dstformer import DSTformer, DSTformerConfig
from repose.models.frameformer import FrameFormer, FrameFormerConfig
from repose.models.registry import (
    Lifted,
    ModelSpec,
    PoseModel,
    build,
    find_spec,
    register,
    register_architecture,
    registered,
)

__all__ = [
    "AGFormer",
    "AGFormerConfig",
    "Cropped",
    "CroppedConfig",
    "DSTformer",
    "DSTformerConfig",
    "FrameFormer",
    "FrameFormerConfig",
    "Lifted",
    "ListedModel",
    "ModelSpec",
    "PoseModel",
    "build",
    "find_spec",
    "list_models",
    "load_checkpoint",
    "packaged_weights",
    "register",
    "register_architecture",
    "registered",
    "save_checkpoint",
]
