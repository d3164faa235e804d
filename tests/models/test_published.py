"""The published architectures: tensor names, outputs, window lengths, initialisation."""

import copy
import importlib.util
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from repose.cli import main
from repose.errors import UserError
from repose.models import build, find_spec, load_checkpoint, save_checkpoint, save_published

PARITY = Path(__file__).resolve().parents[1] / "parity"
STATE_DICTS = json.loads((PARITY / "state_dicts.json").read_text())
OUTPUTS = {**np.load(PARITY / "models.npz"), **np.load(PARITY / "rivals.npz")}
CLIPS = [key.removesuffix("/input") for key in OUTPUTS if key.endswith("/input")]

_spec = importlib.util.spec_from_file_location("parity_weights", PARITY / "weights.py")
parity_weights = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(parity_weights)


PUBLISHED = [key.replace("_", "-") for key in STATE_DICTS]


@cache
def published(key: str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    """The model of a clip, such as `mixste/27`, with the weights of the fixtures."""
    if dtype != torch.float32:
        return copy.deepcopy(published(key)).to(dtype)
    name, frames = key.split("/")
    spec = find_spec(name.replace("_", "-"))
    model = build(spec.with_config(frames=int(frames)) if spec.fixed_window else spec).eval()
    model.load_state_dict(parity_weights.deterministic_state_dict(model))
    return model


def small(name: str, **changes: int) -> torch.nn.Module:
    spec = find_spec(name)
    sizes = {"width": 32, "representation": 16, "depth": 1, "layers": 1, **changes}
    return build(spec.with_config(**{name: size for name, size in sizes.items() if name in spec.config}))


@pytest.mark.parametrize("key", STATE_DICTS)
def test_tensor_names_and_shapes_are_the_published_ones(key: str) -> None:
    with torch.device("meta"):
        model = build(key.replace("_", "-"))
    tensors = {
        name: [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
        for name, tensor in model.state_dict().items()
    }
    assert tensors == STATE_DICTS[key]["state_dict"]
    assert sum(parameter.numel() for parameter in model.parameters()) == STATE_DICTS[key]["parameters"]


@pytest.mark.parametrize("clip", CLIPS)
@torch.no_grad()
def test_float64_outputs_are_the_published_ones(clip: str) -> None:
    model = published(clip, torch.float64)
    output = model(torch.from_numpy(OUTPUTS[f"{clip}/input"]).double())
    np.testing.assert_allclose(output.numpy(), OUTPUTS[f"{clip}/output_float64"], rtol=0, atol=1e-9)


# In float32, rounding flips neighbours in MotionAGFormer's temporal graph: see the fixtures' README.
@pytest.mark.parametrize("clip", [clip for clip in CLIPS if "agformer" not in clip])
@torch.no_grad()
def test_float32_outputs_are_the_published_ones(clip: str) -> None:
    output = published(clip)(torch.from_numpy(OUTPUTS[f"{clip}/input"]))
    np.testing.assert_allclose(output.numpy(), OUTPUTS[f"{clip}/output"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_representation_is_the_published_one() -> None:
    features = published("repose/100").represent(torch.from_numpy(OUTPUTS["repose/100/input"]))
    assert features.shape == (2, 100, 17, 512)
    np.testing.assert_allclose(
        features[:1, :10].numpy(), OUTPUTS["repose/100/representation"], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", PUBLISHED)
@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(name: str) -> None:
    model = small(name, frames=9).eval()
    clips = torch.randn(3, 9, 17, 3)
    together, alone = model(clips), model(clips[1:2])
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-5)


def test_dstformer_refuses_more_frames_than_it_was_trained_with() -> None:
    model = small("repose", frames=27)
    assert model(torch.zeros(2, 27, 17, 3)).shape == (2, 27, 17, 3)
    with pytest.raises(UserError, match="at most 27 frames of 17 joints, found 28 frames of 17 joints"):
        model(torch.zeros(2, 28, 17, 3))


@pytest.mark.parametrize("name", ["motionagformer-xs", "mixste", "tcpformer"])
@pytest.mark.parametrize("shape", [(1, 26, 17, 3), (1, 28, 17, 3), (1, 27, 16, 3)])
def test_a_fixed_window_is_the_only_one(name: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=f"exactly 27 frames of 17 joints, found {shape[1]} frames"):
        small(name, frames=27)(torch.zeros(shape))


def test_frames_that_are_all_alike_are_all_neighbours() -> None:
    """A still person ties every similarity; the graph is then complete, and its rows average.

    Sums of products of whole numbers are exact in whichever order a processor takes them.
    """
    graph = small("motionagformer-xs").double().layers[0].graph_temporal.mixer
    x = torch.randint(-9, 10, (4, 1, 32)).double().expand(4, 27, 32)
    assert torch.equal(graph.adjacency(x), torch.ones(4, 27, 27, dtype=torch.float64))


def test_published_conventions() -> None:
    conventions = {
        name: (spec.window_frames, spec.normalisation, spec.root_relative, spec.fixed_window)
        for name, spec in ((name, find_spec(name)) for name in PUBLISHED)
    }
    assert {find_spec(name).frame_rate_hz for name in PUBLISHED} == {50.0}
    assert {find_spec(name).skeleton for name in PUBLISHED} == {"h36m-17"}
    assert conventions == {
        "repose": (243, "crop-scaled", False, False),
        "motionbert": (243, "crop-scaled", True, False),
        "motionbert-lite": (243, "crop-scaled", False, False),
        "motionagformer-xs": (27, "screen", True, True),
        "motionagformer-s": (81, "screen", True, True),
        "motionagformer-b": (243, "screen", True, True),
        "motionagformer-l": (243, "screen", True, True),
        "mixste": (243, "screen", True, True),
        "tcpformer": (243, "screen", True, True),
    }
    assert {name for name in PUBLISHED if find_spec(name).output == "m"} == {"mixste"}


def test_initialisation_is_the_published_one() -> None:
    torch.manual_seed(0)
    repose, agformer = build("repose"), build("motionagformer-b")
    for tensor in (
        repose.temp_embed,
        repose.pos_embed,
        repose.blocks_ts[3].mlp_t.fc1.weight,
        repose.head.weight,
    ):
        assert abs(tensor.std().item() - 0.02) < 0.002
    assert not repose.blocks_st[0].attn_s.qkv.bias.any()
    for fusion in (repose.ts_attn[4], agformer.layers[3].fusion):
        assert not fusion.weight.any()
        assert torch.equal(fusion.bias, torch.full((2,), 0.5))
    layer = agformer.layers[0]
    assert torch.equal(layer.att_spatial.layer_scale_1, torch.full((128,), 1e-5))
    assert not agformer.pos_embed.any()
    assert abs(layer.graph_temporal.mixer.U.weight.std().item() - (2 / 128) ** 0.5) < 0.005


@pytest.mark.parametrize("name", ["repose", "motionagformer-xs", "mixste", "tcpformer"])
def test_every_parameter_learns(name: str) -> None:
    model = small(name, frames=9)
    # From the initial values some gradients are exactly 0: nudge them as a first step would.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    model(torch.randn(2, 9, 17, 3)).square().sum().backward()
    idle = [name for name, parameter in model.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert idle == []


def test_mixste_skips_branches_in_training_alone() -> None:
    """Whole branches of some clips, their mean kept; none of the first pair's."""
    torch.manual_seed(0)
    model = build(find_spec("mixste").with_config(frames=9, width=16, depth=2, heads=2, drop_path=0.5))
    first, last = model.STEblocks
    branch = torch.ones(4000, 3, 16)
    kept = last._kept(branch)
    assert set(kept.unique().tolist()) == {0.0, 2.0}
    assert kept.mean().item() == pytest.approx(1, abs=0.1)
    assert (kept == kept[:, :1, :1]).all()
    assert first._kept(branch) is branch
    assert last.eval()._kept(branch) is branch


@pytest.mark.parametrize("name", ["repose", "motionagformer-xs", "mixste", "tcpformer"])
def test_what_is_exported_loads_strictly_in_the_official_programs(name: str, tmp_path: Path) -> None:
    """They load the entry below, of a model in DataParallel, and want just these names and shapes."""
    model = small(name).eval()
    save_published(tmp_path / "best_epoch.bin", model)
    content = torch.load(tmp_path / "best_epoch.bin", weights_only=True)
    entry = "model" if "former" in name else "model_pos"
    wanted = STATE_DICTS[name.replace("-", "_")]["state_dict"]
    assert {key.removeprefix("module.") for key in content[entry]} <= set(wanted)
    theirs = torch.nn.DataParallel(small(name))
    theirs.load_state_dict(content[entry], strict=True)
    for key, tensor in model.state_dict().items():
        assert torch.equal(theirs.module.state_dict()[key], tensor), key
    assert content["epoch"] == 0


def test_our_own_network_has_no_official_program(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a published network"):
        save_published(tmp_path / "best_epoch.bin", build(find_spec("frameformer-small")))
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_kind_that_the_file_s_ending_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = small("tcpformer").eval()
    save_checkpoint(tmp_path / "own.safetensors", model, model.spec)
    main(["convert", str(tmp_path / "own.safetensors"), str(tmp_path / "best_epoch.pth.tr")])
    assert "module.center_pose" in torch.load(tmp_path / "best_epoch.pth.tr", weights_only=True)["model"]
    main(["convert", str(tmp_path / "own.safetensors"), str(tmp_path / "again.safetensors")])
    assert load_checkpoint(tmp_path / "again.safetensors").spec == model.spec
    capsys.readouterr()
    for arguments, words in (
        (["own.safetensors", "x.txt"], "expected a file that ends in .onnx"),
        (
            ["own.safetensors", "x.bin", "--quantize", "float16"],
            "--quantize: expected a file that ends in .onnx",
        ),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["convert", str(tmp_path / arguments[0]), str(tmp_path / arguments[1]), *arguments[2:]])
        assert stop.value.code == 2
        assert words in " ".join(capsys.readouterr().err.split())
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("x")]
