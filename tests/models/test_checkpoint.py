"""Checkpoints: what opens, what is refused, and the words it is refused with."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from repose.errors import UserError
from repose.models import (
    ModelSpec,
    PoseModel,
    build,
    find_spec,
    list_models,
    load_checkpoint,
    register,
    registry,
    save_checkpoint,
    spec,
)

TINY = find_spec("repose").with_config(width=16, representation=8, depth=1, heads=2, frames=9)
TINY_AG = find_spec("motionagformer-xs").with_config(width=16, representation=8, layers=1, heads=2, frames=9)

TINY_MIXSTE = find_spec("mixste").with_config(frames=9, width=16, depth=1, heads=2)
TINY_TCP = find_spec("tcpformer").with_config(frames=9, width=16, representation=8, layers=1, heads=2)


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of small models in the place of the published ones, so that these tests are quick."""
    monkeypatch.setattr(registry, "_specs", {})
    register(replace(TINY, name="repose"))
    register(replace(TINY, name="motionbert-lite"))
    register(replace(TINY.with_config(width=32), name="motionbert"))
    register(replace(TINY_AG, name="motionagformer-xs"))
    register(replace(TINY_AG.with_config(layers=2), name="motionagformer-s"))
    register(TINY_MIXSTE)
    register(TINY_TCP)


INPUTS = Path(__file__).parent / "inputs"


def trained(name: str) -> PoseModel:
    """A model none of whose tensors has its initial value, BatchNorm statistics included."""
    model = build(name).train()
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, model.config.frames, 17, 3)).square().sum().backward()
    optimizer.step()
    model.optimizer_state = optimizer.state_dict()
    return model.eval()


def container(model: PoseModel, best: Any, agformer: bool = False) -> dict[str, Any]:
    """A training checkpoint as the published programs write it."""
    weights = OrderedDict((f"module.{name}", tensor) for name, tensor in model.state_dict().items())
    common = {"epoch": 60, "lr": 2e-4, "optimizer": model.optimizer_state}
    if agformer:
        return {**common, "model": weights, "min_mpjpe": best, "wandb_id": "a1b2c3"}
    return {**common, "model_pos": weights, "min_loss": best}


def assert_same(one: torch.nn.Module, other: torch.nn.Module) -> None:
    left, right = one.state_dict(), other.state_dict()
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


def as_written_by_numpy_1(path: Path) -> None:
    """Rewrite the pickle inside a PyTorch file with the module name that NumPy 1 gave its scalars."""
    with zipfile.ZipFile(path) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    assert any(b"numpy._core.multiarray" in content for _, content in entries)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in entries:
            archive.writestr(entry, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("numpy_1", [False, True])
@pytest.mark.parametrize("best", [np.float64(37.25), np.float32(37.25), 37.25])
def test_repose_and_motionbert_files_open_as_they_are(
    tmp_path: Path, best: Any, numpy_1: bool, legacy: bool
) -> None:
    model, path = trained("repose"), tmp_path / "best_epoch.bin"
    torch.save(container(model, best), path, _use_new_zipfile_serialization=not legacy)
    if numpy_1 and isinstance(best, np.generic):
        if legacy:
            content = path.read_bytes()
            path.write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
        else:
            as_written_by_numpy_1(path)
    loaded = load_checkpoint(path)
    assert_same(loaded, model)
    assert not loaded.training
    assert loaded.spec.name == "repose"
    assert loaded.spec.training == {"epoch": 60, "lr": 2e-4, "min_loss": 37.25}
    assert load_checkpoint(path, "motionbert-lite").spec.name == "motionbert-lite"


@pytest.mark.parametrize(
    "prefix", ["module.", "model.", "_orig_mod.", "backbone.", "module._orig_mod.", "model.backbone."]
)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_a_model_was_wrapped_in_does_not_change_which_it_is(
    tmp_path: Path, prefix: str, suffix: str
) -> None:
    viewed = {"backbone": "repose", "config": TINY.config}
    register(replace(TINY, name="repose-cropped", architecture="cropped", config=viewed))
    model, path = trained("repose"), tmp_path / f"wrapped.{suffix}"
    weights = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    if suffix == "pt":
        torch.save({"state_dict": weights}, path)
    else:
        safetensors.torch.save_file(weights, path)
    loaded = load_checkpoint(path)
    assert loaded.spec.name == "repose"
    assert_same(loaded, model)
    if prefix.endswith("backbone."):
        assert load_checkpoint(path, "repose-cropped").spec.name == "repose-cropped"


@pytest.mark.parametrize("numpy", ["numpy._core", "numpy.core"])
def test_mixste_s_files_open_with_the_random_state_in_them(tmp_path: Path, numpy: str) -> None:
    model, path = trained("mixste"), tmp_path / "best_epoch.bin"
    content = container(model, np.float64(40.9))
    torch.save({**content, "random_state": np.random.RandomState(1234)}, path)
    if numpy == "numpy.core":
        as_written_by_numpy_1(path)
    loaded = load_checkpoint(path)
    assert_same(loaded, model)
    assert loaded.spec.name == "mixste"
    assert loaded.spec.training == {"epoch": 60, "lr": 2e-4, "min_loss": 40.9}


@pytest.mark.parametrize("name", ["motionagformer-xs", "motionagformer-s", "tcpformer"])
def test_motionagformer_files_open_as_they_are(tmp_path: Path, name: str) -> None:
    model, path = trained(name), tmp_path / "best_epoch.pth.tr"
    torch.save(container(model, np.float64(45.1), agformer=True), path)
    loaded = load_checkpoint(path)
    assert_same(loaded, model)
    assert loaded.spec.name == name
    assert loaded.spec.training == {"epoch": 60, "lr": 2e-4, "min_mpjpe": 45.1, "wandb_id": "a1b2c3"}
    clip = torch.randn(1, 9, 17, 3)
    torch.testing.assert_close(loaded(clip), model(clip))


@pytest.mark.parametrize("name", ["motionbert", "motionagformer-s"])
def test_bare_state_dicts_open(tmp_path: Path, name: str) -> None:
    model = trained(name)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    safetensors.torch.save_file(model.state_dict(), tmp_path / "model.safetensors")
    for file in ("model.pt", "model.safetensors"):
        loaded = load_checkpoint(tmp_path / file)
        assert_same(loaded, model)
        assert loaded.spec == find_spec(name)


@pytest.mark.parametrize("name", ["motionbert", "motionagformer-s"])
def test_a_model_trained_on_other_windows_is_recognised(tmp_path: Path, name: str) -> None:
    """As MotionAGFormer-B and -L are for MPI-INF-3DHP: 81 frames in the place of 243."""
    model = build(find_spec(name).with_config(frames=5)).eval()
    torch.save(model.state_dict(), tmp_path / "model.pt")
    loaded = load_checkpoint(tmp_path / "model.pt")
    assert (loaded.spec.name, loaded.spec.window_frames) == (name, 5)
    clip = torch.randn(1, 5, 17, 3)
    torch.testing.assert_close(loaded(clip), model(clip))


def test_published_sizes_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model = build("motionagformer-xs")
    torch.save(model.state_dict(), tmp_path / "model.pt")
    assert load_checkpoint(tmp_path / "model.pt").spec == find_spec("motionagformer-xs")


def test_own_format_round_trip(tmp_path: Path) -> None:
    """All that is needed to use the model is in the file, registered or not, and no flag is."""
    spec = ModelSpec(
        name="left-out-of-the-registry",
        architecture="agformer",
        config=dict(TINY_AG.config),
        skeleton="mpi-17",
        frame_rate_hz=25.0,
        window_frames=9,
        normalisation="rays",
        output="m",
        root_relative=True,
        fixed_window=True,
        training={"data": ["CMU"], "seed": 3, "p_mpjpe_mm": 48.5, "text": "läuft — 走"},
    )
    model, path = trained("motionagformer-xs"), tmp_path / "own.safetensors"
    save_checkpoint(path, model, spec)
    loaded = load_checkpoint(path)
    assert_same(loaded, model)
    assert loaded.spec == spec
    assert not loaded.training
    assert os.listdir(tmp_path) == ["own.safetensors"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halved_weights_come_back_as_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    model = trained("motionagformer-xs")
    save_checkpoint(tmp_path / "full.safetensors", model, find_spec("motionagformer-xs"))
    save_checkpoint(tmp_path / "half.safetensors", model, find_spec("motionagformer-xs"), dtype)
    full, half = (os.path.getsize(tmp_path / f"{name}.safetensors") for name in ("full", "half"))
    weights = sum(4 * parameter.numel() for parameter in model.parameters())
    assert full - half >= weights / 2
    loaded = load_checkpoint(tmp_path / "half.safetensors")
    for name, tensor in loaded.state_dict().items():
        original = model.state_dict()[name]
        assert tensor.dtype == original.dtype
        assert torch.equal(tensor, original.to(dtype).float() if original.is_floating_point() else original)


def test_saving_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"what was there")

    def full_disk(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match=r"model.safetensors: cannot be written: No space left on device"):
        save_checkpoint(path, trained("repose"), find_spec("repose"))
    assert path.read_bytes() == b"what was there"
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_saving_into_a_missing_folder_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder to write to, found none"):
        save_checkpoint(tmp_path / "absent" / "model.safetensors", trained("repose"), find_spec("repose"))


def test_weights_are_saved_under_a_description_that_rebuilds_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"tensors are not those of 'motionbert'.* of another shape"):
        save_checkpoint(tmp_path / "model.safetensors", trained("repose"), find_spec("motionbert"))


@pytest.mark.parametrize(("value", "dtype"), [(float("nan"), None), (1e6, torch.float16)])
def test_weights_that_are_not_finite_are_not_saved(
    tmp_path: Path, value: float, dtype: torch.dtype | None
) -> None:
    model = trained("repose")
    with torch.no_grad():
        model.head.bias[1] = value
    with pytest.raises(UserError, match=r"not written, head.bias holds values that are not finite in"):
        save_checkpoint(tmp_path / "model.safetensors", model, find_spec("repose"), dtype)
    assert os.listdir(tmp_path) == []


def test_tensors_must_be_exactly_those_of_the_model(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    tensors = dict(trained("repose").state_dict())
    del tensors["pre_logits.fc.bias"]
    tensors["surplus"] = torch.zeros(2)
    tensors["head.bias"] = torch.zeros(4)
    torch.save(tensors, path)
    message = (
        r"'repose': 1 missing \(first: pre_logits.fc.bias\), 1 unexpected \(first: surplus\), "
        r"1 of another shape \(first: head.bias: expected \(3,\), found \(4,\)\)"
    )
    with pytest.raises(UserError, match=message):
        load_checkpoint(path)
    with pytest.raises(UserError, match=message.replace("'repose'", "'repose', found others")):
        load_checkpoint(path, "repose")


def test_a_name_that_contradicts_the_tensors_is_refused(tmp_path: Path) -> None:
    torch.save(container(trained("repose"), 1.0), tmp_path / "model.bin")
    with pytest.raises(UserError, match=r"expected the tensors of 'motionbert', found those of 'repose': "):
        load_checkpoint(tmp_path / "model.bin", "motionbert")
    save_checkpoint(tmp_path / "model.safetensors", trained("repose"), find_spec("repose"))
    with pytest.raises(UserError, match="expected the model 'motionbert', found 'repose'"):
        load_checkpoint(tmp_path / "model.safetensors", "motionbert")
    assert load_checkpoint(tmp_path / "model.safetensors", "repose").spec == find_spec("repose")
    with pytest.raises(UserError, match="no model is called 'resnet'") as caught:
        load_checkpoint(tmp_path / "model.safetensors", "resnet")
    assert "repose, motionbert-lite" in caught.value.hint


class Attack:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    ("function", "called"),
    [(os.mkdir, rf"{os.name}.mkdir"), (eval, r"(builtins\.)?eval"), (io.open, r"_?io.open")],
)
def test_a_file_that_runs_code_is_refused_by_name(
    tmp_path: Path, function: Any, called: str, legacy: bool
) -> None:
    victim = tmp_path / "victim"
    argument = {os.mkdir: (str(victim),), eval: (f"__import__('os').mkdir({str(victim)!r})",)}.get(
        function, (str(victim), "w")
    )
    content = container(trained("repose"), Attack(function, *argument))
    torch.save(content, tmp_path / "model.bin", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(UserError, match=f"refused, because it asks for '{called}'"):
        load_checkpoint(tmp_path / "model.bin")
    assert not victim.exists()


def test_numpy_arrays_and_object_scalars_are_refused(tmp_path: Path) -> None:
    """Numbers are on the allow-list; whole arrays, and types that could hold objects, are not."""
    torch.save(container(trained("repose"), np.zeros(3)), tmp_path / "array.bin")
    with pytest.raises(UserError, match=r"asks for 'numpy.ndarray, as min_loss'"):
        load_checkpoint(tmp_path / "array.bin")
    torch.save(container(trained("repose"), np.datetime64(3, "s")), tmp_path / "time.bin")
    with pytest.raises(UserError, match=r"asks for 'numpy.dtype\[M8\]'"):
        load_checkpoint(tmp_path / "time.bin")


def test_the_allow_list_is_not_left_behind(tmp_path: Path) -> None:
    before = set(torch.serialization.get_safe_globals())
    torch.save(container(trained("repose"), np.float64(1)), tmp_path / "model.bin")
    load_checkpoint(tmp_path / "model.bin")
    assert set(torch.serialization.get_safe_globals()) == before


def web_page() -> bytes:
    return b"<!DOCTYPE html><html><body>Sign in to download</body></html>"


def safetensors_of(metadata: dict[str, str] | None, tensors: dict[str, torch.Tensor] | None = None) -> bytes:
    return safetensors.torch.save(tensors or {"a": torch.zeros(2)}, metadata)


def torch_of(content: Any, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


BAD = {
    "empty": (b"", "expected a checkpoint, found an empty file"),
    "web page": (web_page(), r"expected a checkpoint \(safetensors or PyTorch\), found something else"),
    "nine bytes": (b"\x00" * 9, "found something else"),
    "npz": (npz(), r"expected a PyTorch file, found .* cannot be read \(an archive of a.npy"),
    "plain pickle": (pickle.dumps({"a": 1}), r"expected a PyTorch file, found .* cannot be read \(it ends"),
    "cut zip": (torch_of({"a": torch.zeros(99)})[:-40], "PyTorch file, found .* cannot be read .the end of"),
    "cut legacy": (
        torch_of({"a": torch.zeros(99)}, True)[:-40],
        "expected a PyTorch file, found one that cannot",
    ),
    "zip start": (b"PK\x03\x04", "expected a PyTorch file, found .* cannot be read"),
    "legacy start": (b"\x80\x02", "expected a PyTorch file, found .* cannot be read"),
    "cut safetensors": (
        safetensors_of(None)[:-1],
        "expected a safetensors file, found one that cannot be read",
    ),
    "safetensors header": (struct.pack("<Q", 1 << 40) + b"{}", "expected a safetensors file, found one that"),
    "tensor": (torch_of(torch.zeros(3)), "expected a state dict or a training checkpoint, found a Tensor"),
    "no tensors": (torch_of({}), "expected tensors, found an empty state dict"),
    "settings": (torch_of({"lr": 0.1}), "a dictionary whose entry 'lr' is a float"),
    "numbered": (torch_of({3: torch.zeros(1)}), "a dictionary whose entry 3 is a Tensor"),
    "sparse": (torch_of({"a": torch.eye(2).to_sparse()}), "a dictionary whose entry 'a' is a Tensor"),
    "other network": (torch_of({"a": torch.zeros(1)}), "no known model has these tensors"),
    "bad description": (safetensors_of({"repose": "{"}), "model description: expected JSON"),
    "list": (safetensors_of({"repose": "[]"}), "model description: expected `object`, found `array`"),
    "lacking": (safetensors_of({"repose": "{}"}), "model description: object missing required field `name`"),
}


@pytest.mark.parametrize("case", BAD)
def test_files_that_are_no_checkpoint(tmp_path: Path, case: str) -> None:
    content, message = BAD[case]
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(path)
    assert caught.value.message.startswith(str(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file or directory"):
        load_checkpoint(tmp_path / "absent.bin")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architecture": "resnet"}, "no architecture is called 'resnet'"),
        ({"config": {"colour": 3}}, "the configuration does not fit 'dstformer'"),
        ({"config": {"heads": 3, "width": 16}}, "the tensors are not those of 'repose'"),
        ({"config": {"width": "wide"}}, "configuration: width: expected `int`, found `str`"),
        ({"frame_rate_hz": "fast"}, "frame_rate_hz: expected `float`, found `str`"),
        ({"window_frames": 1.5}, "window_frames: expected `int`, found `float`"),
        ({"output": "feet"}, "output: invalid enum value 'feet'"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"config": {"depth": 10**7}}, "depth: expected `int` <= 256"),
        ({"config": {"heads": 0}}, "heads: expected `int` >= 1"),
        ({"window_frames": 10**12}, "window_frames: expected `int` <= 10000"),
        ({"frame_rate_hz": 1e9}, "frame_rate_hz: expected `float` <= 1000"),
        ({"frame_rate_hz": float("nan")}, "expected JSON"),
        ({"deviation_factors": {"seen": "x"}}, "deviation_factors.*: expected `float`, found `str`"),
    ],
)
def test_descriptions_that_rebuild_no_model(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    described = json.dumps({**json.loads(find_spec("repose").to_json()), **change})
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors_of({"repose": described}, build("repose").state_dict()))
    with pytest.raises(UserError, match=message):
        load_checkpoint(path)


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    tensors = build("repose").state_dict()
    tensors["norm.bias"][2] = float("inf")
    torch.save(tensors, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"norm.bias holds values that are not finite"):
        load_checkpoint(tmp_path / "model.pt")


def test_packaged_weights_are_listed_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec, "PACKAGED", tmp_path)
    save_checkpoint(tmp_path / "default.safetensors", trained("motionbert"), find_spec("motionbert"))
    listed = list_models()
    assert [entry.name for entry in listed] == [
        "default", "repose", "motionbert-lite", "motionbert", "motionagformer-xs", "motionagformer-s",
        "mixste", "tcpformer",
    ]  # fmt: skip
    assert listed[0].weights == tmp_path / "default.safetensors"
    assert all(entry.weights is None for entry in listed[1:])
    assert listed[0].spec == find_spec("motionbert")
    parameters = sum(parameter.numel() for parameter in build("motionbert").parameters())
    assert listed[0].parameters == listed[3].parameters == parameters


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.json")), ids=lambda path: path.name)
def test_descriptions_that_once_escaped(path: Path) -> None:
    with pytest.raises(UserError, match="model description: "):
        ModelSpec.from_json(path.read_text())


@pytest.mark.parametrize("path", sorted(INPUTS.glob("*.pt")), ids=lambda path: path.name)
def test_checkpoints_that_once_escaped(path: Path) -> None:
    with pytest.raises(UserError):
        load_checkpoint(path)


def test_a_tensor_larger_than_what_the_file_holds_is_refused(tmp_path: Path) -> None:
    tensors = build("repose").state_dict()
    tensors["norm.bias"] = torch.zeros(1).expand(10**9)
    torch.save(tensors, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"entry 'norm.bias' is a Tensor"):
        load_checkpoint(tmp_path / "model.pt")


LOADED_FIRST = """
import torch
from repose.models import load_checkpoint
from repose.models.spec import packaged_weights
model = load_checkpoint(packaged_weights()["default"])
with torch.inference_mode():
    out = model(torch.rand(1, 4, len(model.spec.layout), 3))
assert all(t.isfinite().all() for t in out), out
"""


def test_packaged_weights_open_before_anything_else_is_imported() -> None:
    """Tables that are made when an architecture is first imported must not be made on the meta device."""
    subprocess.run([sys.executable, "-c", LOADED_FIRST], check=True, env=dict(os.environ))
