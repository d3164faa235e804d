"""Models in ONNX, which onnxruntime runs; nothing here needs PyTorch.

They are what `repose convert` writes (`repose.models.onnx_export` says what is in them).
"""

import os
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from repose.errors import UserError, expected, reads
from repose.models.inference import Clips, Deviations, Device, Network
from repose.models.spec import METADATA, ModelSpec, read_spec

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Devices, and what onnxruntime calls them."""
_BY_ITSELF = ("cuda", "cpu")
"""Devices that are taken without being named: the others round as they like, and are not tested here."""
_QUIET = 4
_CONVERT = "Convert the model from its checkpoint: repose convert MODEL FILE.onnx."


def is_onnx(path: Path) -> bool:
    """Whether a file begins as ONNX does, with the version of its format."""
    with suppress(OSError), path.open("rb") as file:
        head = file.read(9)
        return len(head) > 2 and head[0] == 8 and head[1] < 64 and head[8:] != b"{"
    return False


@reads("an ONNX model", _CONVERT)
def open_onnx(path: Path, device: Device = "auto", weights: Path | None = None) -> "OnnxNetwork":
    """Open a model that `repose convert` wrote, or the graph of packaged `weights`.

    Raises:
        UserError: onnxruntime or the device is not there, and a file that is damaged, of a format or with
            operations that are newer than onnxruntime, that needs files that are not beside it, or that
            does not say how the model is used.
    """
    return OnnxNetwork(path, device, weights)


class OnnxNetwork(Network):
    """A session of onnxruntime; see `open_onnx`."""

    def __init__(self, path: Path, device: Device = "auto", weights: Path | None = None) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise UserError(
                f"{path.name}: an ONNX model needs onnxruntime, which is not installed",
                "pip install 'repose3d[onnx]'",
            ) from None
        there = [
            name for name, provider in PROVIDERS.items() if provider in onnxruntime.get_available_providers()
        ]
        self.device = next(name for name in there if name in _BY_ITSELF) if device == "auto" else device
        if self.device not in there:
            raise UserError(
                f"device {device!r}: expected one that onnxruntime has here: {', '.join(there)}",
                "Leave --device out; or install its build for this device in place of onnxruntime: "
                "onnxruntime-gpu, onnxruntime-directml.",
            )
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _QUIET
        # Planning which buffers could be reused takes most of the start, and saves nothing: freed ones are.
        options.enable_mem_reuse = False
        # As many threads as PyTorch would take.
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
        if weights is not None:
            tensors = {
                f"weights/{name}": values.astype(np.float32) for name, values in load_file(weights).items()
            }
            values = [onnxruntime.OrtValue.ortvalue_from_numpy(tensor) for tensor in tensors.values()]
            options.add_external_initializers(list(tensors), values)
        providers = [PROVIDERS[name] for name in dict.fromkeys((self.device, "cpu"))]
        try:
            self._session = onnxruntime.InferenceSession(os.fspath(path), options, providers=providers)
        except Exception as error:  # onnxruntime's own kinds, for damage as for what it does not know
            reason = (
                str(error).split(" : ")[-1].rpartition(f"{path} failed:")[2].replace(f"{path.parent}", ".")
            )
            raise UserError(
                f"{path}: onnxruntime {onnxruntime.__version__} does not open it: {reason}", _CONVERT
            ) from None
        if self._session.get_providers()[0] != providers[0]:
            raise UserError(
                f"device {device!r}: onnxruntime has it, but cannot start it here",
                "Its driver or libraries are missing. Leave --device out.",
            )
        self.spec = self._read_spec(path, weights)
        self._check(path)

    def _read_spec(self, path: Path, weights: Path | None) -> ModelSpec:
        described = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        if described is None:
            raise UserError(
                f"{path}: expected an ONNX model with {METADATA!r} in its metadata, found one without",
                _CONVERT,
            )
        spec = ModelSpec.from_json(described)
        if weights is None:
            return spec
        own = read_spec(weights)
        if own is None or (own.architecture, own.config) != (spec.architecture, spec.config):
            raise UserError(f"{path}: not the graph of {weights}", "Make it: python scripts/package_graph.py")
        return own

    def _check(self, path: Path) -> None:
        """Refuse a graph that takes or gives something else than its description says."""
        joints = len(self.spec.layout)
        inputs = [(value.name, value.shape[2:]) for value in self._session.get_inputs()]
        outputs = [value.name for value in self._session.get_outputs()]
        if inputs != [("keypoints", [joints, 3])] or outputs not in (["joints"], ["joints", "deviation"]):
            found = f"{', '.join(name for name, _ in inputs)} and {', '.join(outputs)}"
            expected(
                str(path),
                f"keypoints of {joints} joints in, joints and perhaps deviation out",
                found,
                _CONVERT,
            )

    def __call__(self, clips: Clips) -> tuple[Clips, Deviations | None]:
        try:
            found = self._session.run(None, {"keypoints": np.ascontiguousarray(clips, dtype=np.float32)})
        except Exception as error:  # whatever onnxruntime raises for what a graph cannot do
            raise UserError(
                f"model {self.spec.name!r}: onnxruntime cannot run it: {error}", _CONVERT
            ) from None
        joints, deviation = (*found, None)[:2]
        if joints.shape != clips.shape or (deviation is not None and deviation.shape != clips.shape[:3]):
            expected(f"model {self.spec.name!r}", f"joints {clips.shape}", joints.shape, _CONVERT)
        return joints, deviation
