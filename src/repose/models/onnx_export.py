"""A model as ONNX: a graph for any number of people and frames, that describes itself.

The file's metadata hold the model's `ModelSpec` as JSON under `repose`, as our checkpoints do, so that
`repose.load` needs nothing else; the other entries say the same in words for other programs.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import load_file
from torch import Tensor, nn

from repose.errors import UserError
from repose.files.output import stage_file
from repose.models.registry import Lifted, PoseModel, build
from repose.models.spec import METADATA, ModelSpec

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

OPSET = 18
Quantisation = Literal["none", "float16", "int8"]
_LARGE_BYTES = 1024
_UNITS = {"m": "metres of a person 1.70 m tall", "input": "units of the normalised 2D points"}


class _Named(nn.Module):
    """A model whose output has a name for each of its parts."""

    def __init__(self, model: PoseModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, keypoints: Float[Tensor, "people frames joints 3"]) -> tuple[Tensor, ...]:
        lifted = Lifted.of(self.model(keypoints))
        return (lifted.joints,) if lifted.deviation is None else (lifted.joints, lifted.deviation)


def export_onnx(model: PoseModel, path: Path, quantise: Quantisation = "none") -> None:
    """Write a model as one ONNX file, whole or not at all.

    Input `keypoints` (people, frames, joints, 3): normalised x and y, and confidence. Outputs: `joints`
    (people, frames, joints, 3) and, of a model that knows it, `deviation` (people, frames, joints).

    Args:
        model: any model; its `spec` goes into the file.
        path: usually `<name>.onnx`; an existing file is replaced.
        quantise: `float16` stores weights so and computes in float32; `int8` multiplies matrices of bytes.

    Raises:
        UserError: the exporter is not installed, or cannot express the model.
    """
    with stage_file(path) as partial:
        graph = make_graph(model)
        if quantise == "float16":
            _halve(graph.graph)
        partial.write_bytes(graph.SerializeToString())
        if quantise == "int8":
            _to_bytes(partial)


def export_graph(spec: ModelSpec, path: Path) -> None:
    """Write a model without its weights, which `OnnxNetwork` adds from a checkpoint by their names.

    Raises:
        UserError: as `export_onnx`.
    """
    model = build(spec).eval()
    with torch.no_grad():
        for tensor in model.state_dict().values():  # so that each is known by its values
            if tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
    graph = make_graph(model)
    _leave_out_weights(graph.graph, {name: t.numpy() for name, t in model.state_dict().items()})
    with stage_file(path) as partial:
        partial.write_bytes(graph.SerializeToString())


def fill_graph(graph: Path, weights: Path, path: Path) -> None:
    """Write a graph of `export_graph` with its weights, stored as float16: one file, as `export_onnx` writes.

    Raises:
        UserError: the package onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise UserError(
            "putting weights into a graph needs the package onnx, which is not installed",
            "Install the extra: pip install 'repose3d[convert]'.",
        ) from None
    proto, tensors = onnx.load(graph, load_external_data=False), load_file(weights)
    for tensor in proto.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            values = tensors[tensor.name.removeprefix("weights/")].astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    _halve(proto.graph)
    with stage_file(path) as partial:
        partial.write_bytes(proto.SerializeToString())


def make_graph(model: PoseModel) -> "ModelProto":
    """Return a model as ONNX, with all its weights in float32."""
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"converting to ONNX needs the package {error.name}, which is not installed",
            "Install the extra: pip install 'repose3d[convert]'.",
        ) from None
    spec = model.spec
    any_number = torch.export.Dim.DYNAMIC
    dynamic = {0: any_number} if spec.fixed_window else {0: any_number, 1: any_number}
    # Whatever is not 0 or 1, which tracing takes for constants, nor the longest clip.
    frames = spec.window_frames if spec.fixed_window else max(2, spec.window_frames - 3)
    skeleton = spec.layout
    example = torch.rand(2, frames, len(skeleton), 3)
    with _quiet():
        program = torch.onnx.export(
            _Named(model).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(dynamic,),
            input_names=["keypoints"],
            output_names=["joints", "deviation"],
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    _tidy(proto.graph)
    del proto.metadata_props[:]
    proto.producer_name = "repose"
    onnx.helper.set_model_props(
        proto,
        {
            METADATA: spec.to_json(),
            "skeleton": spec.skeleton,
            "joints": " ".join(skeleton.joints),
            "frame_rate_hz": f"{spec.frame_rate_hz:g}",
            "window_frames": str(spec.window_frames),
            "normalisation": spec.normalisation,
            "units": _UNITS[spec.output],
            "axes": "x right, y down, z away from the camera",
        },
    )
    return proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what PyTorch says of its own future, and of packages that it could use."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _tidy(graph: "GraphProto") -> None:
    """Leave out where in the source each node came from, which is longer than the graph; name the axes."""
    del graph.value_info[:], graph.metadata_props[:]
    for entry in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del entry.metadata_props[:]
        entry.doc_string = ""
    for value in (*graph.input, *graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, ("people", "frames"), strict=False):
            if axis.dim_param:
                axis.dim_param = name


def _halve(graph: "GraphProto") -> None:
    """Store large weights as float16, which the runtime widens when it loads them."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.raw_data) > _LARGE_BYTES:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype("float16")
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def _leave_out_weights(graph: "GraphProto", weights: dict[str, np.ndarray]) -> None:
    """Replace what a graph has of these weights by their names; it may have matrices transposed."""
    from onnx import TensorProto, helper

    known: dict[bytes, tuple[str, bool]] = {}
    for name, values in weights.items():
        known[values.tobytes()] = name, False
        if values.ndim == 2:
            known[np.ascontiguousarray(values.T).tobytes()] = name, True
    nodes = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.raw_data not in known:
            continue
        (name, turned), as_used = known[tensor.raw_data], tensor.name
        tensor.Clear()
        tensor.name = f"weights/{name}"
        tensor.data_type = TensorProto.FLOAT
        tensor.dims.extend(weights[name].shape)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="weights-by-name")
        nodes.append(helper.make_node("Transpose" if turned else "Identity", [tensor.name], [as_used]))
    nodes += graph.node
    del graph.node[:]
    graph.node.extend(nodes)


def _to_bytes(path: Path) -> None:
    """Multiply matrices of bytes: weights by column, inputs scaled anew for each clip."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(path, path, ["MatMul", "Gemm"], per_channel=True, weight_type=QuantType.QInt8)
