"""What a model is, and which models there are.

An *architecture* is a module class with its configuration class. A *model* is a `ModelSpec`: an
architecture with the values of its configuration and everything that must be known to use it
correctly (skeleton, frame rate, 2D normalisation, ...). Third parties add their own:

    register_architecture("mynet", MyConfig, MyNet)
    register(ModelSpec(name="mynet-s", architecture="mynet", config={"width": 64}, ...))
"""

import json
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from repose.errors import UserError
from repose.files.structured import convert
from repose.models.spec import ModelSpec

Shapes = dict[str, tuple[int, ...]]
"""Name of each tensor of a model's state dict -> its shape."""

_EXAMPLE = ModelSpec("", "", {}, "", 0.0, 0, "")


class Lifted(NamedTuple):
    """What a model makes of clips or frames: their joints, and how far off it takes them to be."""

    joints: Float[Tensor, "*clips joints 3"]
    deviation: Float[Tensor, "*clips joints"] | None
    """Standard deviation of each joint in the unit of the joints; None of a model that gives none."""

    @classmethod
    def of(cls, output: Float[Tensor, "*clips joints columns"]) -> "Lifted":
        """Return what the tensor means that `PoseModel.forward` gives."""
        joints, log_deviation = output.split((3, output.shape[-1] - 3), dim=-1)
        return cls(joints, log_deviation.squeeze(-1).exp() if log_deviation.shape[-1] else None)


class PoseModel(nn.Module):
    """Base of every model: 2D joints and their confidence in, 3D joints out.

    `forward` maps `(batch, frames, joints, 3)`, where the last axis is the normalised x and y and the
    detector's confidence, to `(batch, frames, joints, 3)`, x right, y down and z away from the camera,
    in the unit that `spec.output` names. A model that knows its own error adds a fourth column, the
    natural logarithm of its deviation in that unit (`repose.losses.position`); `Lifted.of` gives both
    their names. `build` and `load_checkpoint` set `spec`.
    """

    spec: ModelSpec


def check_window(name: str, x: Float[Tensor, "batch frames joints 3"], frames: int, joints: int) -> None:
    """Refuse clips for a model that takes exactly so many frames of so many joints."""
    if x.shape[1:3] != (frames, joints):
        raise UserError(
            f"{name}: expected exactly {frames} frames of {joints} joints, "
            f"found {x.shape[1]} frames of {x.shape[2]} joints",
            "It learned something of its own for each frame. Cut or pad clips to that length.",
        )


_architectures: dict[str, tuple[type, Callable[[Any], PoseModel]]] = {}
_specs: dict[str, ModelSpec] = {}
_BUILT_IN = ("agformer", "cropped", "dstformer", "frameformer", "mixste", "tcpformer")
"""Modules that register the package's own models when they are imported."""
_FORMER = {"-viewed": "-cropped", "viewed": "cropped"}
"""Ends of names of models and architectures in version 0.1, still understood."""


def _import_built_in() -> None:
    with torch.device("cpu"):  # where the modules' tables belong, whatever the default is meanwhile
        for module in _BUILT_IN:
            import_module(f"repose.models.{module}")


def _present(name: str) -> str:
    """Return the present name of a model or an architecture."""
    for former, present in _FORMER.items():
        if name.endswith(former):
            return name.removesuffix(former) + present
    return name


def register_architecture(name: str, config: type, module: Callable[[Any], PoseModel]) -> None:
    """Make an architecture known: `module(config(**spec.config))` builds it.

    Raises:
        UserError: the name is taken by another architecture.
    """
    if _architectures.setdefault(name, (config, module)) != (config, module):
        raise UserError(f"architecture {name!r} is registered already", "Choose another name.")


def register(spec: ModelSpec) -> None:
    """Make a model known to `build`, and to `load_checkpoint` for recognition by its tensors.

    Raises:
        UserError: the name is taken by another model, or the architecture is not registered.
    """
    _architecture(spec)
    if _specs.setdefault(spec.name, spec) != spec:
        raise UserError(f"model {spec.name!r} is registered already", "Choose another name.")


def registered() -> list[ModelSpec]:
    """List every registered model, in the order of registration."""
    _import_built_in()
    return list(_specs.values())


def find_spec(name: str) -> ModelSpec:
    """Return the registered model of that name.

    Raises:
        UserError: there is none.
    """
    name = _present(name)
    if name not in _specs:
        _import_built_in()
    if name not in _specs:
        raise UserError(f"no model is called {name!r}", f"Known models: {', '.join(_specs)}.")
    return _specs[name]


def build(model: str | ModelSpec) -> PoseModel:
    """Create a freshly initialised model, in training mode, float32.

    Args:
        model: name of a registered model, or a `ModelSpec`, registered or not:
            `build(find_spec("repose").with_config(frames=81))`.

    Raises:
        UserError: unknown name or architecture, or a configuration that does not fit the architecture.
    """
    spec = model if isinstance(model, ModelSpec) else find_spec(model)
    config_type, module_type = _architecture(spec)
    if is_dataclass(config_type):
        convert(f"model {spec.name!r}: configuration", spec.config, config_type)
    try:
        module = module_type(config_type(**spec.config))
    except UserError:
        raise
    except Exception as error:  # whatever PyTorch raises for sizes that do not go together
        raise UserError(
            f"model {spec.name!r}: the configuration does not fit {spec.architecture!r}: {error}"
        ) from error
    module.spec = spec
    return module


def tensor_shapes(spec: ModelSpec) -> Shapes:
    """Compute the shapes of the model's tensors without allocating or initialising any."""
    return dict(_tensor_shapes(spec.architecture, json.dumps(spec.config, sort_keys=True)))


@cache
def _tensor_shapes(architecture: str, config: str) -> Shapes:
    spec = replace(_EXAMPLE, architecture=architecture, config=json.loads(config))
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(spec).state_dict().items()}


def parameter_count(spec: ModelSpec) -> int:
    """Count the trainable values."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(spec).parameters())


def _architecture(spec: ModelSpec) -> tuple[type, Callable[[Any], PoseModel]]:
    if (name := _present(spec.architecture)) not in _architectures:
        _import_built_in()
    if name not in _architectures:
        raise UserError(
            f"model {spec.name!r}: no architecture is called {spec.architecture!r}",
            f"Known architectures: {', '.join(_architectures)}. Others must be registered first "
            "(repose.models.register_architecture).",
        )
    return _architectures[name]
