"""Models in ONNX: equal to PyTorch's, open without PyTorch, and what is said of files that do not open."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import config as jaxtyping_config

import repose
from repose.errors import UserError
from repose.models import ModelSpec, PoseModel, build, export_onnx, find_spec, packaged_weights, registered
from repose.models.inference import Network
from repose.models.onnx_network import open_onnx
from repose.models.torch_network import TorchNetwork
from repose.pose import Pose2D
from repose.skeleton import H36M_17

onnx = pytest.importorskip("onnx")

SMALL = {
    "width": 16,
    "representation": 8,
    "depth": 1,
    "layers": 1,
    "heads": 2,
    "frames": 9,
    "mlp_ratio": 2,
}
SOURCE = Path(repose.__file__).parents[1]
"""Other sizes than those of the published models; the graph is built of the same parts."""


def shrunk(spec: ModelSpec) -> ModelSpec:
    def smaller(config: dict[str, Any]) -> dict[str, Any]:
        return {k: smaller(v) if isinstance(v, dict) else SMALL.get(k, v) for k, v in config.items()}

    config = smaller(spec.config)
    if spec.architecture == "frameformer":
        return replace(spec, config=config)
    if config.get("backbone") == "repose":  # whichever of its sizes
        config["config"] = smaller(find_spec("repose").config)
    return replace(spec, config=config, window_frames=9)


DIFFERENT = list({json.dumps([s.architecture, shrunk(s).config]): s.name for s in registered()}.values())
"""Registered models that are not the same when shrunk."""


def some(spec: ModelSpec) -> PoseModel:
    torch.manual_seed(0)
    model = build(spec).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def observed(people: int, frames: int, joints: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    confidence = (rng.random((people, frames, joints, 1)) > 0.3) * 0.9
    confidence[:, :, 4] = 0  # never seen
    points = rng.normal(0, 0.3, (people, frames, joints, 2))
    return np.concatenate([points, confidence], axis=-1).astype(np.float32)


def assert_equal(one: Network, other: Network, clips: np.ndarray) -> None:
    for ours, theirs in zip(one(clips), other(clips), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)


@pytest.fixture(scope="module", autouse=True)
def no_shape_checks() -> Iterator[None]:
    """The checks of shapes would make the number of frames a constant of the graph."""
    before = jaxtyping_config.jaxtyping_disable
    jaxtyping_config.update("jaxtyping_disable", True)
    yield
    jaxtyping_config.update("jaxtyping_disable", before)


@pytest.mark.parametrize("name", DIFFERENT)
def test_every_model_is_the_same_in_onnx(name: str, tmp_path: Path) -> None:
    model = some(shrunk(find_spec(name)))
    export_onnx(model, tmp_path / "model.onnx")
    found = open_onnx(tmp_path / "model.onnx", "cpu")
    assert found.spec == model.spec
    spec, joints = model.spec, len(model.spec.layout)
    for people, frames in ((1, 9), (3, 9)) if spec.fixed_window else ((1, 9), (3, 4), (2, 1)):
        assert_equal(found, TorchNetwork(model, "cpu"), observed(people, frames, joints))
    text = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert text["joints"].split() == list(spec.layout.joints)
    assert text["normalisation"] == spec.normalisation


@pytest.mark.parametrize("name", packaged_weights())
def test_the_packaged_graph_is_that_of_the_packaged_weights(name: str) -> None:
    """If not: python scripts/package_graph.py."""
    found = repose.load(name, device="cpu").network
    assert not isinstance(found, TorchNetwork)
    theirs = repose.load(name, architecture=found.spec.name, device="cpu").network
    assert isinstance(theirs, TorchNetwork)
    assert found.spec == theirs.spec
    for frames in (1, 40, 128):
        assert_equal(found, theirs, observed(2, frames, len(found.spec.layout)))


WITHOUT_TORCH = '''
import sys
from importlib.machinery import PathFinder


class Without:
    """As if they were not installed."""

    find_distributions = staticmethod(PathFinder.find_distributions)

    def __init__(self, finders):
        self.finders = finders

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "onnx"):
            return None
        found = (finder.find_spec(name, path, target) for finder in self.finders)
        return next(filter(None, found), None)

sys.meta_path[:] = [Without(sys.meta_path[:])]
import repose
from repose.cli import main

main(["estimate", "walk.npz", "-o", "result", "--model", "default"])
assert not {"av", "scipy.ndimage", "repose.detectors"} & set(sys.modules), "slow to import, and not needed"
poses = repose.estimate("walk.npz", repose.EstimateOptions(fit=True), max_gap_s=0.5)
repose.export_poses(repose.refine(poses), "walk.bvh")
assert not any(name.startswith("torch.") for name in sys.modules)
try:
    repose.load("walk.safetensors")
except repose.UserError as error:
    print(error)
main(["train", "tiny", "-o", "run"])
'''


def test_poses_are_estimated_without_pytorch(tmp_path: Path) -> None:
    truth = repose.sample.load_sample_truth()
    points = truth.joints_m @ truth.K.T
    np.savez(
        tmp_path / "walk.npz",
        keypoints=(points[:40, :, :2] / points[:40, :, 2:]).astype(np.float32),
        fps=truth.fps,
        skeleton="h36m-17",
        image_size=truth.image_size,
    )
    (tmp_path / "walk.safetensors").write_bytes(packaged_weights()["default"].read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCE), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert "walk.safetensors: this checkpoint needs PyTorch, which is not installed" in done.stdout, (
        done.stderr
    )
    assert "Error: this command needs PyTorch, which is not installed" in done.stderr
    assert done.returncode == 2
    assert (tmp_path / "result" / "poses.npz").is_file()
    assert (tmp_path / "walk.bvh").is_file()


# Files that do not open


def small_onnx(**changes: Any) -> bytes:
    """A graph that multiplies what it is given by a matrix."""
    from onnx import TensorProto, helper, numpy_helper

    axes = ["people", "frames", 17, 3]
    keypoints = helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, axes)
    joints = helper.make_tensor_value_info("joints", TensorProto.FLOAT, axes)
    weight = numpy_helper.from_array(np.diag([1, 1, 0.5]).astype(np.float32), "weight")
    if place := changes.get("weights_in"):
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)
    product = helper.make_node(changes.get("operation", "MatMul"), ["keypoints", "weight"], ["joints"])
    graph = helper.make_graph([product], "model", [keypoints], [joints], [weight])
    opset = helper.make_opsetid("", changes.get("opset", 18))
    made = helper.make_model(graph, opset_imports=[opset], ir_version=10)
    made.metadata_props.add(key=changes.get("key", "repose"), value=changes.get("spec", SPEC.to_json()))
    return bytes(made.SerializeToString())


SPEC = find_spec("frameformer")


def test_a_file_with_its_weights_beside_it_opens(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(np.diag([1, 1, 0.5]).astype(np.float32).tobytes())
    (tmp_path / "model.onnx").write_bytes(small_onnx(weights_in="weights.bin"))
    joints, deviation = open_onnx(tmp_path / "model.onnx", "cpu")(np.ones((1, 2, 17, 3), np.float32))
    np.testing.assert_allclose(joints[0, 0, 0], [1, 1, 0.5])
    assert deviation is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (small_onnx(key="other"), "expected an ONNX model with 'repose' in its metadata, found one without"),
        (small_onnx()[:-20], r"onnxruntime [\d.]+ does not open it: Protobuf parsing failed"),
        (small_onnx(opset=99), r"onnxruntime [\d.]+ does not open it: .*Opset 99"),
        (small_onnx(operation="Magic"), "does not open it: .*Magic"),
        (small_onnx(weights_in="weights.bin"), r"does not open it: .*weights.bin"),
        (small_onnx(weights_in="../weights.bin"), r"does not open it: .*weights.bin"),
        (small_onnx(spec="{}"), "model description"),
        (small_onnx(spec=replace(SPEC, skeleton="coco-25").to_json()), "coco-25"),
        (small_onnx(spec=replace(SPEC, skeleton="halpe-26").to_json()), "expected keypoints of 26 joints in"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(36))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match=words):
        repose.load(folder / "model.onnx")


def test_options_that_an_onnx_file_does_not_have_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(small_onnx())
    with pytest.raises(UserError, match="an ONNX model has no precision 'bfloat16'"):
        repose.load(tmp_path / "model.onnx", precision="bfloat16")
    with pytest.raises(UserError, match="an ONNX model has no architecture 'repose'"):
        repose.load(tmp_path / "model.onnx", architecture="repose")


@pytest.mark.parametrize("device", ["cuda", "mps", "coreml", "directml"])
def test_a_device_that_onnxruntime_lacks_is_named(
    device: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    (tmp_path / "model.onnx").write_bytes(small_onnx())
    with pytest.raises(UserError, match=f"device '{device}': expected one that onnxruntime has here: cpu"):
        repose.load(tmp_path / "model.onnx", device=device)


def test_an_onnx_file_is_lifted_with(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(small_onnx())
    points = np.random.default_rng(0).uniform(0, 500, (20, 17, 2))
    track = Pose2D(points, np.ones((20, 17)), np.arange(20), 30.0, (640, 480), H36M_17)
    (pose,) = repose.estimate(track, model=str(tmp_path / "model.onnx"), undo_swaps=False, keep_all=True)
    assert (pose.model, len(pose)) == ("model.onnx", 20)
