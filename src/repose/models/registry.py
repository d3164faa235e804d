"""What a model is, and which models there are.

An *architecture* is a module class with its configuration class. A *model* is a `ModelSpec`: an
architecture with the values of its configuration and everything that must be known to use it
correctly (skeleton, frame rate, 2D normalisation, ...). Third parties add their own:

    register_architecture("mynet", MyConfig, MyNet)
    register(ModelSpec(name="mynet-s", architecture="mynet", config={"width": 64}, ...))
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple

import torch
from jaxtyping import Float
from msgspec import Meta
from torch import Tensor, nn

from repose.errors import UserError
from repose.files.structured import Text, convert, decode
from repose.skeleton import Skeleton, get_skeleton

Shapes = dict[str, tuple[int, ...]]
"""Name of each tensor of a model's state dict -> its shape."""


Width = Annotated[int, Meta(ge=1, le=16_384)]
Layers = Annotated[int, Meta(ge=1, le=256)]
Joints = Annotated[int, Meta(ge=1, le=1_000)]
Frames = Annotated[int, Meta(ge=1, le=10_000)]
Ratio = Annotated[float, Meta(ge=0, le=1_000)]
"""Bounds of what a configuration may ask for, so that no number in a file builds a model of any size."""


@dataclass(frozen=True)
class ModelSpec:
    """A model, and what its input and output mean. Plain data, written into checkpoints as JSON."""

    name: Text
    """Name under which `build` finds it, such as `repose`."""
    architecture: Text
    """Name of the registered architecture."""
    config: dict[str, Any]
    """Fields of the architecture's configuration (values that JSON can hold)."""
    skeleton: Text
    """Name of the skeleton of input and output."""
    frame_rate_hz: Annotated[float, Meta(ge=1, le=1_000)]
    """Frame rate of the training clips; input at another rate is resampled to it."""
    window_frames: Frames
    """Frames of one window: the longest clip that the model takes at once."""
    normalisation: Text
    """How 2D input is normalised: `screen` (by the image's width), `crop-scaled` (to the sequence's
    bounding box), `pixel-scaled` (by the image's shorter side), `rays` (x/z, y/z of the camera)."""
    output: Literal["input", "m"] = "input"
    """Unit of the output: `input` (x, y and z in units of the normalised 2D input) or `m` (metres)."""
    root_relative: bool = False
    """Whether the model was trained on joints relative to the root (its root output means nothing then)."""
    fixed_window: bool = False
    """Whether every clip must have exactly `window_frames` frames."""
    training: dict[str, Any] = field(default_factory=dict)
    """Record of the training: data, licence, seed, errors reached."""
    deviation_factors: dict[str, Ratio] = field(default_factory=dict)
    """What the model's deviation is multiplied by for joints that were `seen` and for those that were
    `hidden`, so that it holds for motion the model was not trained on; 1 where there is none."""

    @property
    def layout(self) -> Skeleton:
        """The skeleton itself; raises UserError for a name that is not known."""
        return get_skeleton(self.skeleton)

    def with_config(self, **changes: Any) -> "ModelSpec":
        """Change some fields of the model's configuration; `frames` sets the window, too."""
        return replace(
            self,
            config={**self.config, **changes},
            window_frames=changes.get("frames", self.window_frames),
        )

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Invert `to_json`.

        Raises:
            UserError: the text is no JSON, or a field is missing, unknown or of another type.
        """
        what = "model description"
        values = decode(what, text, dict[str, Any])
        if unknown := sorted(values.keys() - {entry.name for entry in fields(cls)}):
            raise UserError(
                f"model description: unknown field {unknown[0]!r}",
                "The file was probably written by a newer version of repose: update repose.",
            )
        spec: ModelSpec = convert(what, values, cls)
        return spec


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


_architectures: dict[str, tuple[type, Callable[[Any], PoseModel]]] = {}
_specs: dict[str, ModelSpec] = {}
_FORMER = {"-viewed": "-cropped", "viewed": "cropped"}
"""Ends of names of models and architectures in version 0.1, still understood."""


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
    return list(_specs.values())


def find_spec(name: str) -> ModelSpec:
    """Return the registered model of that name.

    Raises:
        UserError: there is none.
    """
    name = _present(name)
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
        raise UserError(
            f"model {spec.name!r}: no architecture is called {spec.architecture!r}",
            f"Known architectures: {', '.join(_architectures)}. Others must be registered first "
            "(repose.models.register_architecture).",
        )
    return _architectures[name]
