"""What a model is, in plain data; and the weights that come with the package. Nothing here needs PyTorch."""

import json
import os
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta
from safetensors import SafetensorError, safe_open

from repose.errors import UserError, reads
from repose.files.structured import Text, convert, decode
from repose.skeleton import Skeleton, get_skeleton

PACKAGED = Path(__file__).resolve().parent / "weights"
"""Folder of the weights that come with the package, one `<name>.safetensors` each, and their graphs for
ONNX (`<name>.onnx`), which take the weights from there."""
METADATA = "repose"
"""Entry of a file's metadata that has the `ModelSpec` as JSON."""

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
    confidence: bool = True
    """Whether the model is told how sure the detector is of each joint; otherwise it sees 1 everywhere."""
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


def packaged_weights() -> dict[str, Path]:
    """List the packaged weights: names and files."""
    return {path.stem: path for path in sorted(PACKAGED.glob("*.safetensors"))}


def find_checkpoint(model: str | os.PathLike[str]) -> Path:
    """Return the file of packaged weights by their name, or the file at a path.

    Raises UserError where there is neither.
    """
    packaged = packaged_weights()
    path = packaged.get(str(model), Path(model))
    if not path.exists():
        raise UserError(
            f"model {str(model)!r}: expected a checkpoint file or one of {', '.join(packaged) or 'none'}, "
            "found neither",
            "List what there is with `repose models`.",
        )
    return path


@reads("a checkpoint (safetensors or PyTorch)")
def read_spec(path: str | os.PathLike[str]) -> ModelSpec | None:
    """Read the description in a checkpoint of our own; None for any other file.

    Raises:
        UserError: the description is damaged.
    """
    try:
        with safe_open(path, framework="np") as file:
            described = (file.metadata() or {}).get(METADATA)
    except (SafetensorError, OSError):
        return None
    return None if described is None else ModelSpec.from_json(described)
