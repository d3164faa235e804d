"""FrameFormer: the camera turned to the person, filled gaps, and what the network may not depend on."""

import math
from pathlib import Path

import pytest
import torch
from people import observe, turn
from torch import Tensor

from repose.models import build, find_spec, load_checkpoint, save_checkpoint
from repose.models.frameformer import FrameFormer, FrameFormerConfig, add_feet
from repose.models.registry import PoseModel
from repose.skeleton import ANKLES_OF_FEET

CONFIG = {"width": 64, "depth": 2, "heads": 4}


@pytest.fixture(scope="module")
def model() -> PoseModel:
    """A small one whose output is no mere copy of its input: float64, in evaluation mode."""
    torch.manual_seed(3)
    network = build(find_spec("frameformer").with_config(**CONFIG)).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else None
    return network


# The network


def test_what_a_missing_joint_says_is_not_read(model: PoseModel, keypoints: Tensor) -> None:
    generator = torch.Generator().manual_seed(0)
    lost = torch.rand(keypoints.shape[:3], generator=generator) < 0.3
    lost[0, :, 5] = True  # for the whole clip
    lost[1] = True  # nobody is seen at all
    zeros = torch.where(lost[..., None], torch.zeros_like(keypoints), keypoints)
    noise = torch.where(lost[..., None], torch.full_like(keypoints, float("nan")), keypoints)
    noise[..., 2] = zeros[..., 2]
    out = model(zeros)
    assert out.isfinite().all()
    torch.testing.assert_close(out, model(noise), rtol=0, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2, 3, 27, 128, 300])
def test_any_number_of_frames(frames: int, model: PoseModel) -> None:
    keypoints = torch.rand(2, frames, 17, 3, dtype=torch.float64)
    out = model(keypoints)
    assert out.shape == (2, frames, 17, 4)  # with the logarithm of the deviation
    assert out.isfinite().all()
    assert (out[:, :, 0, :3] == 0).all()  # relative to the pelvis


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_keeps_its_type(dtype: torch.dtype, model: PoseModel, keypoints: Tensor) -> None:
    network = build(model.spec)
    network.load_state_dict(model.state_dict())
    out = network.to(dtype).eval()(keypoints.to(dtype))
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), model(keypoints), atol=2e-4, rtol=0)


def test_clips_of_a_batch_do_not_see_each_other(model: PoseModel, keypoints: Tensor) -> None:
    alone = torch.cat([model(clip[None]) for clip in keypoints])
    torch.testing.assert_close(model(keypoints), alone)


def test_a_person_who_stands_still_gets_one_pose(model: PoseModel, keypoints: Tensor) -> None:
    still = keypoints[:, :1].expand(-1, 9, -1, -1).contiguous()
    out = model(still)
    torch.testing.assert_close(out, out[:, :1].expand_as(out))
    torch.testing.assert_close(out[:, :1], model(still[:, :1]))


def test_frames_are_told_apart_by_their_order(model: PoseModel, keypoints: Tensor) -> None:
    backwards = model(keypoints.flip(1)).flip(1)
    assert (backwards - model(keypoints)).abs().max() > 1e-3


def test_the_answer_turns_with_the_camera(model: PoseModel, bodies: Tensor) -> None:
    """Panning about its own centre turns the answer by the same angle, nearly (see the view above); the
    untrained network is no smoother than a trained one."""
    straight = model(observe(bodies))[..., :3]
    size = straight.norm(dim=-1).mean()
    for R in (turn(yaw=0.25), turn(pitch=0.25)):
        panned = model(observe(bodies @ R.T))[..., :3]
        turned = (panned - straight @ R.T).norm(dim=-1).mean()
        unturned = (panned - straight).norm(dim=-1).mean()
        assert turned < 0.1 * size
        assert turned < 0.6 * unturned


def test_training_and_evaluation_compute_the_same(model: PoseModel, keypoints: Tensor) -> None:
    network = build(model.spec)
    network.load_state_dict(model.state_dict())
    trained = network.train()(keypoints.float())
    lifted = network.eval()(keypoints.float())
    torch.testing.assert_close(trained, lifted, atol=1e-5, rtol=0)
    torch.testing.assert_close(model.train()(keypoints), model.eval()(keypoints), atol=1e-12, rtol=0)


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_stays_close(training: bool, keypoints: Tensor) -> None:
    torch.manual_seed(0)
    network = build(find_spec("frameformer").with_config(**CONFIG)).train(training)
    exact = network(keypoints.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(keypoints.float())
    assert rounded.dtype == torch.float32  # the turning is never rounded
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.01, rtol=0)


def test_every_weight_is_used(keypoints: Tensor) -> None:
    network = build(find_spec("frameformer").with_config(**CONFIG))
    network(keypoints.float()).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_gradients_are_right() -> None:
    torch.manual_seed(1)
    network = FrameFormer(FrameFormerConfig(width=8, depth=1, heads=2)).double()
    keypoints = torch.rand(1, 3, 17, 3, dtype=torch.float64) + 0.1
    weight = network.blocks[0].qkv.weight

    def loss(value: Tensor) -> Tensor:
        out = torch.func.functional_call(network, {"blocks.0.qkv.weight": value}, (keypoints,))
        return out.square().sum()

    assert torch.autograd.gradcheck(loss, (weight.detach().clone().requires_grad_(),))


def test_the_deviation_starts_at_5_cm_and_leaves_the_joints_alone(keypoints: Tensor) -> None:
    torch.manual_seed(0)
    network = build(find_spec("frameformer").with_config(**CONFIG))
    with torch.no_grad():
        out = network(keypoints.float())
        torch.testing.assert_close(out[..., 3].exp(), torch.full(out.shape[:3], 0.05), rtol=0.5, atol=0)
        plain = build(find_spec("frameformer").with_config(**CONFIG, deviation=False))
        weights = network.state_dict()
        rows = torch.arange(weights["head.bias"].numel())
        joints = (rows < 51) | (rows == len(rows) - 1)
        plain.load_state_dict(weights | {k: weights[k][joints] for k in ("head.weight", "head.bias")})
        torch.testing.assert_close(plain(keypoints.float()), out[..., :3])


def test_it_goes_through_a_checkpoint_in_half_precision(
    model: PoseModel, keypoints: Tensor, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, model.spec, dtype=torch.float16)
    loaded = load_checkpoint(path)
    assert loaded.spec == model.spec
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    expected = model(keypoints)
    torch.testing.assert_close(loaded(keypoints.float()).double(), expected, atol=0.02, rtol=0)
    assert path.stat().st_size < 2.2 * sum(parameter.numel() for parameter in model.parameters()) + 4096


def test_its_description() -> None:
    spec = find_spec("frameformer")
    assert (spec.normalisation, spec.output, spec.skeleton) == ("rays", "m", "h36m-17")
    assert spec.root_relative
    assert not spec.fixed_window
    assert math.isclose(spec.frame_rate_hz, 30.0)


def test_a_model_that_grows_feet_says_the_same_of_the_body() -> None:
    torch.manual_seed(5)
    body = build(find_spec("frameformer-small")).eval()
    for parameter in body.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    grown = build(find_spec("frameformer-feet").with_config(width=128, depth=4)).eval()
    grown.load_state_dict(add_feet(body.state_dict(), deviation=True))
    keypoints = torch.rand(2, 9, 23, 3)
    keypoints[0, :, 17:] = 0
    with torch.inference_mode():
        before, after = body(keypoints[:, :, :17]), grown(keypoints)
    torch.testing.assert_close(after[:, :, :17], before, atol=1e-6, rtol=1e-5)
    # Feet begin at their ankles: without any seen exactly there, with the ankle's deviation.
    torch.testing.assert_close(after[0, :, 17:], before[0][:, ANKLES_OF_FEET], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(after[1, :, 17:, 3], before[1][:, ANKLES_OF_FEET, 3], atol=1e-6, rtol=1e-5)
