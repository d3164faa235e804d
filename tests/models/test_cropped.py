"""Published backbones behind the person's view."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from repose.models import PoseModel, build, find_spec, load_checkpoint, save_checkpoint
from repose.models.perspective_crop import perspective_crop

SMALL = {
    "repose-cropped": {"frames": 9, "width": 16, "representation": 16, "depth": 1, "heads": 2},
    "motionagformer-xs-cropped": {"frames": 9, "width": 16, "representation": 16, "layers": 1, "heads": 2},
}


def small(name: str) -> PoseModel:
    torch.manual_seed(0)
    spec = find_spec(name)
    config = {**spec.config, "config": {**spec.config["config"], **SMALL[name]}}
    return build(replace(spec, config=config, window_frames=9)).eval()


@pytest.fixture
def keypoints() -> Tensor:
    keypoints = torch.rand(2, 9, 17, 3) + 0.1
    keypoints[1, 3:6, 4] = 0
    return keypoints


@pytest.mark.parametrize("name", SMALL)
def test_joints_are_relative_to_the_pelvis_in_metres(name: str, keypoints: Tensor) -> None:
    model = small(name)
    out = model(keypoints)
    assert out.shape == (2, 9, 17, 3)
    assert (out[:, :, 0] == 0).all()
    assert model.spec.normalisation == "rays"
    assert model.spec.output == "m"
    assert model.spec.fixed_window == find_spec(name.removesuffix("-cropped")).fixed_window


@pytest.mark.parametrize("name", SMALL)
def test_with_a_silent_backbone_the_answer_is_the_picture(name: str, keypoints: Tensor) -> None:
    model = small(name)
    for parameter in model.parameters():
        torch.nn.init.zeros_(parameter)
    view = perspective_crop(keypoints)
    turned = (view.T_camera_view.mT[:, :, None] @ model(keypoints)[..., None])[..., 0]
    points = 0.6 * (view.points - view.points[:, :, :1])
    torch.testing.assert_close(turned[..., :2], points, atol=1e-5, rtol=0)
    torch.testing.assert_close(turned[..., 2], torch.zeros(2, 9, 17), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SMALL)
def test_every_weight_learns_and_goes_through_a_checkpoint(
    name: str, keypoints: Tensor, tmp_path: Path
) -> None:
    model = small(name)
    model(keypoints).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    save_checkpoint(tmp_path / "model.safetensors", model, model.spec)
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert loaded.spec == model.spec
    torch.testing.assert_close(loaded.eval()(keypoints), model(keypoints))


def test_the_sizes_are_the_published_ones() -> None:
    for name in SMALL:
        published = build(find_spec(name.removesuffix("-cropped"))).state_dict()
        viewed = build(name).state_dict()
        assert {key.removeprefix("backbone."): value.shape for key, value in viewed.items()} == {
            key: value.shape for key, value in published.items()
        }


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_is_recognised_though_all_its_names_begin_like_a_wrapper(
    tmp_path: Path, prefix: str
) -> None:
    weights = build("repose-small-cropped").state_dict()
    assert all(name.startswith("backbone.") for name in weights)
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "model.pt")
    loaded = load_checkpoint(tmp_path / "model.pt")
    assert loaded.spec.name == "repose-small-cropped"
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())
