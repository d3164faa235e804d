"""Checkpoints, and the folder of a training run."""

import io
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from safetensors.torch import save

from repose.models import PoseModel, build, find_spec, save_checkpoint

from .packing import dumped, folder_of_its_own


@cache
def model() -> PoseModel:
    """A network of our own, so small that lifting with it takes no time."""
    torch.manual_seed(0)
    spec = find_spec("frameformer").with_config(width=16, depth=1, heads=2)
    return build(replace(spec, window_frames=32)).eval()


def safetensors() -> bytes:
    with folder_of_its_own() as folder:
        save_checkpoint(folder / "model.safetensors", model(), model().spec)
        return (folder / "model.safetensors").read_bytes()


def foreign_safetensors() -> bytes:
    """Of a model that is not known here."""
    return save({"embed.weight": torch.zeros(4, 3), "head.bias": torch.ones(3)}, {"format": "pt"})


def torch_checkpoint(legacy: bool = False) -> bytes:
    """A file of a training program; tensors of no model known here, and few."""
    tensors = {f"module.{name}": tensor for name, tensor in list(model().state_dict().items())[:4]}
    content = {"epoch": 60, "lr": 2e-4, "model_pos": tensors, "min_loss": 41.5, "notes": ["a", {"b": None}]}
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def state() -> bytes:
    """What a run resumes from."""
    optimizer = torch.optim.AdamW(model().parameters())
    buffer = io.BytesIO()
    torch.save(
        {"model": model().state_dict(), "optimizer": optimizer.state_dict(), "step": 7, "best": 50.5}, buffer
    )
    return buffer.getvalue()


def run_config() -> bytes:
    from repose.training.run_folder import as_json, versions
    from repose.training.train_config import TrainConfig

    return dumped({"config": as_json(TrainConfig()), "versions": versions(), "command": ["repose", "train"]})


def run_scores() -> bytes:
    rows = ({"step": step, "mpjpe_mm": 90.0 / step, "p_mpjpe_mm": 60.0 / step} for step in (1, 2, 3))
    return b"".join(dumped(row) + b"\n" for row in rows)


def published_checkpoint() -> bytes:
    """A PyTorch file of a model that is registered here, as training programs write it."""
    torch.manual_seed(0)
    tensors = {f"module.{name}": tensor for name, tensor in build("frameformer-small").state_dict().items()}
    buffer = io.BytesIO()
    torch.save({"epoch": 60, "lr": 2e-4, "model_pos": tensors, "min_loss": 41.5}, buffer)
    return buffer.getvalue()


def onnx_model() -> bytes:
    """What `repose convert` writes, of a model that multiplies what it is given by a matrix."""
    from onnx import TensorProto, helper, numpy_helper

    keypoints, joints = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["people", "frames", 17, 3])
        for name in ("keypoints", "joints")
    )
    weight = numpy_helper.from_array(np.diag([1, 1, 0.5]).astype(np.float32), "weight")
    product = helper.make_node("MatMul", ["keypoints", "weight"], ["joints"])
    graph = helper.make_graph([product], "model", [keypoints], [joints], [weight])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(made, {"repose": model().spec.to_json()})
    return bytes(made.SerializeToString())
