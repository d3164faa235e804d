"""Trained models on disk.

Our own format is one safetensors file: the weights, and in the header's metadata, under `repose`, the
model's `ModelSpec` as JSON. It rebuilds the model with no flags and can execute nothing. PyTorch files,
among them the published checkpoints of RePOSE, MotionBERT and MotionAGFormer, are opened as they are.
"""

import math
import os
import pickle
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from repose.errors import UserError, expected, reads
from repose.files.output import stage_file
from repose.files.unpickler import check_torch_file
from repose.models.registry import (
    PoseModel,
    build,
    find_spec,
    parameter_count,
    registered,
    tensor_shapes,
)
from repose.models.spec import METADATA, ModelSpec, packaged_weights, read_spec

_WRAPPERS = ("module.", "model.", "_orig_mod.", "backbone.")
"""Prefixes of tensor names: DataParallel, Lightning, `torch.compile`, a backbone with a head elsewhere."""
_CONTAINERS = ("model_pos", "model", "state_dict")
"""Entries that hold the weights: RePOSE and MotionBERT, MotionAGFormer, and the custom of many others."""


@reads("a checkpoint (safetensors or PyTorch)")
def load_checkpoint(path: str | os.PathLike[str], name: str | None = None) -> PoseModel:
    """Open a trained model: our own format, or a PyTorch file of a registered architecture.

    Loading is strict, nothing in the file is executed, and no more is unpickled than tensors, plain
    containers, numbers and text.

    Args:
        path: a safetensors or PyTorch file, recognised by content. A PyTorch file may be a state dict
            or a training checkpoint that holds one under `model_pos`, `model` or `state_dict`; the
            prefixes `module.`, `model.`, `_orig_mod.` and `backbone.` are taken off where all names
            have them, as far as a model is recognised.
        name: the registered model that the file holds; without it the model is recognised by the names
            and shapes of its tensors. Weights that fit several models are taken for the first one
            registered: those of RePOSE and MotionBERT-Lite for `repose`. A published model trained on
            windows of another length is recognised, too.

    Returns:
        The model in evaluation mode, float32, on the CPU. `spec` says how it is used.

    Raises:
        UserError: the file is missing, damaged, no checkpoint, asks for code to be executed, or does
            not have exactly the tensors of a known model (or of the model `name`).
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None
    if not head:
        raise UserError(f"{path}: expected a checkpoint, found an empty file", "Download or copy it again.")
    wanted = find_spec(name) if name else None
    if head[8:] == b"{":
        tensors, stored = _read_safetensors(path)
        if stored and wanted and not _same_model(stored, wanted):
            raise UserError(
                f"{path}: expected the model {name!r}, found {stored.name!r}", "Leave the model's name out."
            )
        if stored is None:
            tensors, stored = _recognise(path, tensors, wanted)
        spec = stored
    elif head.startswith((b"PK\x03\x04", b"\x80")):
        tensors, training = _read_torch(path)
        tensors, spec = _recognise(path, tensors, wanted)
        spec = replace(spec, training=training)
    else:
        raise UserError(
            f"{path}: expected a checkpoint (safetensors or PyTorch), found something else",
            "A downloaded web page or a Git LFS pointer looks like this, too: open the file and see.",
        )
    if difference := _difference(tensors, tensor_shapes(spec)):
        raise UserError(f"{path}: the tensors are not those of {spec.name!r}: {difference}")
    for tensor_name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(
                f"{path}: {tensor_name} holds values that are not finite", "The file cannot be used."
            )
    model = build(spec)
    model.load_state_dict(tensors)
    return model.eval()


def save_checkpoint(
    path: str | os.PathLike[str], model: nn.Module, spec: ModelSpec, dtype: torch.dtype | None = None
) -> None:
    """Write a model in our own format, whole or not at all.

    Args:
        path: usually `<name>.safetensors`; an existing file is replaced.
        model: weights to store.
        spec: how the model is rebuilt and used.
        dtype: type in which floating-point weights are stored, as they are if None. `torch.float16`
            halves the file; loading gives float32 back.

    Raises:
        UserError: the weights do not belong to `spec`, are not finite (in `dtype`), or the file cannot
            be written.
    """
    path = Path(path)
    tensors = {
        name: tensor.detach().to("cpu", dtype if tensor.is_floating_point() else None).contiguous()
        for name, tensor in model.state_dict().items()
    }
    if difference := _difference(tensors, tensor_shapes(spec)):
        raise UserError(f"the model's tensors are not those of {spec.name!r}: {difference}")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise UserError(f"{path}: not written, {name} holds values that are not finite in {tensor.dtype}")
    content = safetensors_bytes(tensors, {"format": "pt", METADATA: spec.to_json()})
    with stage_file(path) as partial:
        partial.write_bytes(content)


_PUBLISHED = {"dstformer": "model_pos", "mixste": "model_pos", "agformer": "model", "tcpformer": "model"}
"""Architecture -> entry of its published checkpoints that holds the weights."""


def save_published(path: str | os.PathLike[str], model: PoseModel) -> None:
    """Write a training checkpoint as the published program of the model's network does, for strict loading.

    The file has no optimizer's state: their programs evaluate and finetune with it, but do not resume.

    Raises:
        UserError: a network that nobody else has published, and a file that cannot be written.
    """
    if model.spec.architecture not in _PUBLISHED:
        expected(
            f"model {model.spec.name}",
            f"a published network ({', '.join(_PUBLISHED)})",
            model.spec.architecture,
            "Convert it to .onnx or .safetensors.",
        )
    # Names as DataParallel gives them, with which the published programs wrap every model on a GPU.
    weights = {f"module.{name}": tensor for name, tensor in model.state_dict().items()}
    entry = _PUBLISHED[model.spec.architecture]
    best = {"min_loss": math.inf} if entry == "model_pos" else {"min_mpjpe": math.inf, "wandb_id": None}
    content = {"epoch": model.spec.training.get("step", 0), "lr": 0.0, "optimizer": None, entry: weights}
    with stage_file(Path(path)) as partial, partial.open("wb") as file:
        torch.save({**content, **best}, file)


@dataclass(frozen=True)
class ListedModel:
    """A line of `repose models`."""

    name: str
    """Name for `build`, or of the packaged weights."""
    spec: ModelSpec
    parameters: int
    """Number of trainable values."""
    weights: Path | None
    """The packaged weights, None for an architecture without any."""


def list_models() -> list[ListedModel]:
    """List the packaged weights, then every registered model."""
    packaged = [(name, spec, path) for name, path in packaged_weights().items() if (spec := read_spec(path))]
    fresh = [(spec.name, spec, None) for spec in registered()]
    return [ListedModel(name, spec, parameter_count(spec), path) for name, spec, path in packaged + fresh]


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], ModelSpec | None]:
    try:
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(METADATA)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        _damaged(path, "safetensors file", error)
    try:
        return tensors, ModelSpec.from_json(described) if described is not None else None
    except UserError as error:
        raise UserError(f"{path}: {error.message}", error.hint) from None


class _NumberType:
    """Stands for `numpy.dtype` while a checkpoint is read, so that the file calls nothing of NumPy's."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[fiu][248]", code):
            raise pickle.UnpicklingError(f"GLOBAL numpy.dtype[{code}] is no type of number")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _number(kind: _NumberType, content: bytes) -> Any:
    return np.frombuffer(content, kind.dtype, count=1).item()


class _Left:
    """Stands for the parts of NumPy's random state, of which nothing is read."""

    def __init__(self, *_: object) -> None:
        pass

    __setstate__ = __init__


# The published checkpoints keep their best error as a NumPy scalar, which NumPy 1 and 2 pickle under
# two names; MixSTE's keep the state of a random generator. Nothing else is allowed beyond what torch allows
# itself: tensors and plain containers.
_ALLOWED: list[Callable[..., Any] | tuple[Callable[..., Any], str]] = [
    (_NumberType, "numpy.dtype"),
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
    *(
        (_Left, f"numpy.{name}")
        for name in (
            "ndarray",
            "core.multiarray._reconstruct",
            "_core.multiarray._reconstruct",
            "random._pickle.__randomstate_ctor",
            "random._pickle.__bit_generator_ctor",
            "random._mt19937.MT19937",
        )
    ),
]


def _read_torch(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights, and the numbers and text beside them (epoch, errors reached)."""
    check_torch_file(path)
    try:
        with torch.serialization.safe_globals(_ALLOWED), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle protocols; what cannot be read raises
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle can raise nearly anything
        if refused := re.search(r"GLOBAL (\S+)", str(error)):
            _refuse(path, refused[1])
        _damaged(path, "PyTorch file", error)
    if isinstance(content, Mapping):
        arrays = [key for key, value in content.items() if isinstance(value, _Left) and key != "random_state"]
        if arrays:
            _refuse(path, f"numpy.ndarray, as {arrays[0]}")
    else:
        raise UserError(f"{path}: expected a state dict or a training checkpoint, found {_kind(content)}")
    container = next((content[key] for key in _CONTAINERS if isinstance(content.get(key), Mapping)), content)
    training = {
        key: value
        for key, value in content.items()
        if container is not content and isinstance(value, int | float | str)
    }
    if not container:
        raise UserError(f"{path}: expected tensors, found an empty state dict")
    for key, value in container.items():
        if not isinstance(key, str) or not _plain(value):
            raise UserError(
                f"{path}: expected a state dict, or a training checkpoint with one under "
                f"{', '.join(_CONTAINERS)}; found a dictionary whose entry {key!r} is {_kind(value)}"
            )
    return {key: value.detach() for key, value in container.items()}, training


def _recognise(
    path: Path, tensors: dict[str, Tensor], wanted: ModelSpec | None
) -> tuple[dict[str, Tensor], ModelSpec]:
    """Return the tensors under the model's own names, and the model; `wanted`, if given, must be it."""
    for inner in (stages := _unwrapped(tensors)):
        for spec in (wanted,) if wanted else registered():
            if found := _fitting(spec, inner):
                return inner, found
    tensors = stages[0]
    if wanted:
        other = next(filter(None, (_fitting(spec, tensors) for spec in registered())), None)
        what = f"those of {other.name!r}" if other else "others"
        raise UserError(
            f"{path}: expected the tensors of {wanted.name!r}, found {what}: "
            f"{_difference(tensors, tensor_shapes(wanted))}",
            "Leave the model's name out, or give the right one.",
        )
    nearest = max(registered(), key=lambda spec: _likeness(tensors, tensor_shapes(spec)))
    raise UserError(
        f"{path}: no known model has these tensors. The nearest is {nearest.name!r}: "
        f"{_difference(tensors, tensor_shapes(nearest))}",
        f"Known models: {', '.join(spec.name for spec in registered())}. Others must be registered first "
        "(repose.models.register).",
    )


def _unwrapped(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """Take off what all names begin with because the model was part of something else: least wrapped first.

    Some models have `backbone.` in their own names.
    """
    stages = [tensors]
    while prefix := next((p for p in _WRAPPERS if tensors and all(n.startswith(p) for n in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
        stages.insert(0, tensors)
    return stages


def _fitting(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> ModelSpec | None:
    """Return the model, perhaps with another window length, if it has these tensors."""
    for candidate in (spec, _with_window_of(spec, tensors)):
        if candidate and not _difference(tensors, tensor_shapes(candidate)):
            return candidate
    return None


def _with_window_of(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> ModelSpec | None:
    """Return the model with the window length of these tensors, if only that differs."""
    lengths = set()
    for name, wanted in tensor_shapes(spec).items():
        found = tuple(tensors[name].shape) if name in tensors else ()
        if len(found) != len(wanted):
            return None
        lengths |= {
            length
            for length, expected in zip(found, wanted, strict=True)
            if length != expected and expected == spec.window_frames
        }
    if len(lengths) == 1 and "frames" in spec.config:
        return spec.with_config(frames=lengths.pop())
    return None


def _same_model(one: ModelSpec, other: ModelSpec) -> bool:
    return one.name == other.name or (one.architecture, one.config) == (other.architecture, other.config)


def _likeness(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """How many tensors agree in name and shape, and in name."""
    common = [name for name in tensors if name in shapes]
    return sum(tuple(tensors[name].shape) == shapes[name] for name in common), len(common)


def _difference(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Say why these tensors cannot be loaded; empty if they can."""
    missing = [name for name in shapes if name not in tensors]
    unexpected = [name for name in tensors if name not in shapes]
    reshaped = [
        f"{name}: expected {shapes[name]}, found {tuple(tensor.shape)}"
        for name, tensor in tensors.items()
        if name in shapes and tuple(tensor.shape) != shapes[name]
    ]
    parts = [
        f"{len(names)} {what} (first: {names[0]})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    return ", ".join(parts)


def _refuse(path: Path, called: str) -> NoReturn:
    raise UserError(
        f"{path}: refused, because it asks for {called!r}: expected tensors, plain containers, numbers, text",
        "Such a file can run code. If you trust it, save its state dict alone with torch.save.",
    ) from None


def _damaged(path: Path, what: str, error: Exception) -> NoReturn:
    # What torch adds around the cause of a failed unpickling is advice to unpickle without safety.
    cause = str(error).split("WeightsUnpickler error:")[-1].strip()
    reason = cause.split("\n")[0].split(". ")[0] or type(error).__name__
    hint = "It is probably damaged or incomplete: download or copy it again."
    if "TorchScript" in cause or "Unsupported operand" in cause:
        hint = "Save the state dict alone, with torch.save(model.state_dict(), FILE)."
    raise UserError(f"{path}: expected a {what}, found one that cannot be read ({reason})", hint) from None


def _plain(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not (value.is_complex() or value.is_quantized)
        # One value may stand for a whole tensor (a stride of 0), which then costs what it never held.
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"
