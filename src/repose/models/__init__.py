"""Networks that lift 2D joints to 3D, and their checkpoints.

`build(name)` makes a fresh model, `load_checkpoint(path)` opens a trained one; both are `PoseModel`s
whose `spec` says how they are used. `list_models()` says what is there.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from repose.errors import without_torch

if TYPE_CHECKING:
    from repose.models.agformer import AGFormer, AGFormerConfig
    from repose.models.checkpoint import (
        ListedModel,
        list_models,
        load_checkpoint,
        save_checkpoint,
        save_published,
    )
    from repose.models.cropped import Cropped, CroppedConfig
    from repose.models.dstformer import DSTformer, DSTformerConfig
    from repose.models.frameformer import FrameFormer, FrameFormerConfig
    from repose.models.mixste import MixSTE, MixSTEConfig
    from repose.models.onnx_export import export_onnx
    from repose.models.registry import (
        Lifted,
        PoseModel,
        build,
        find_spec,
        register,
        register_architecture,
        registered,
    )
    from repose.models.spec import ModelSpec, find_checkpoint, packaged_weights
    from repose.models.tcpformer import TCPFormer, TCPFormerConfig
else:
    # Imported when first used: lifting with ONNX does without PyTorch, which most of this needs.
    _MODULES = (
        "spec",
        "registry",
        "checkpoint",
        "onnx_export",
        "agformer",
        "cropped",
        "dstformer",
        "frameformer",
        "mixste",
        "tcpformer",
    )

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in _MODULES:
                try:
                    found = vars(import_module(f"repose.models.{module}"))
                except ModuleNotFoundError as error:
                    raise without_torch(error, f"repose.models.{name}") from None
                if name in found:
                    return found[name]
        raise AttributeError(f"module 'repose.models' has no attribute {name!r}")


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
    "MixSTE",
    "MixSTEConfig",
    "ModelSpec",
    "PoseModel",
    "TCPFormer",
    "TCPFormerConfig",
    "build",
    "export_onnx",
    "find_checkpoint",
    "find_spec",
    "list_models",
    "load_checkpoint",
    "packaged_weights",
    "register",
    "register_architecture",
    "registered",
    "save_checkpoint",
    "save_published",
]
