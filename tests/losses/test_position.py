import json

import numpy as np
import pytest
import torch
from jaxtyping import config

from repose import losses
from repose.errors import UserError
from repose.skeleton import SKELETONS, Skeleton

CASES = ("short", "clip", "single_frame")
NAMES = (
    "mpjpe", "n_mpjpe", "velocity", "limb_variance", "limb_length", "joint_l1", "angle", "angle_velocity",
    "weighted_mpjpe", "projection_2d_weighted", "spatial_rank", "temporal_rank",
)  # fmt: skip
MOTION = ("velocity", "limb_variance", "angle_velocity", "temporal_rank")


@pytest.fixture(scope="module")
def arrays(parity):
    with np.load(parity / "losses.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file}


@pytest.fixture(scope="module")
def values(parity):
    return json.loads((parity / "losses.json").read_text())


def call(name, predicted, arrays, case):
    target = arrays[f"{case}/gt"]
    if name == "limb_variance":
        return losses.limb_variance(predicted)
    if name == "weighted_mpjpe":
        return losses.weighted_mpjpe(predicted, target, arrays[f"{case}/weight"])
    if name == "projection_2d_weighted":
        return losses.projection_2d(predicted, target, arrays[f"{case}/confidence"])
    return getattr(losses, name)(predicted, target)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_the_published_ones(name, case, arrays, values):
    predicted = arrays[f"{case}/pred"].clone().requires_grad_()
    loss = call(name, predicted, arrays, case)
    loss.backward()
    assert loss.item() == pytest.approx(values[f"{case}/{name}"], abs=1e-9)
    gradient = arrays.get(f"{case}/{name}/grad")
    if gradient is not None:
        torch.testing.assert_close(predicted.grad, gradient, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", MOTION)
def test_one_frame_has_no_motion_and_no_gradient_of_it(name, arrays):
    predicted = arrays["single_frame/pred"].clone().requires_grad_()
    loss = call(name, predicted, arrays, "single_frame")
    loss.backward()
    assert loss.item() == 0
    assert not predicted.grad.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_widened_and_finite(name, dtype, arrays, values):
    predicted = arrays["clip/pred"].to(dtype).requires_grad_()
    lower = {key: value.to(dtype) for key, value in arrays.items()}
    loss = call(name, predicted, lower, "clip")
    loss.backward()
    assert loss.dtype == torch.float32
    assert predicted.grad.dtype == dtype
    assert predicted.grad.isfinite().all()
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    assert loss.item() == pytest.approx(values[f"clip/{name}"], rel=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_changes_nothing(name, arrays):
    single = {key: value.float() for key, value in arrays.items()}
    plain = call(name, single["clip/pred"], single, "clip")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = call(name, single["clip/pred"], single, "clip")
    torch.testing.assert_close(cast, plain)


def test_confidence_with_and_without_its_last_axis(arrays):
    predicted, target, confidence = (arrays[f"short/{key}"] for key in ("pred", "gt", "confidence"))
    torch.testing.assert_close(
        losses.projection_2d(predicted, target, confidence[..., 0]),
        losses.projection_2d(predicted, target, confidence),
    )


def test_zero_prediction_has_a_finite_scale_gradient():
    predicted = torch.zeros(1, 2, 17, 3, requires_grad=True)
    losses.n_mpjpe(predicted, torch.randn(1, 2, 17, 3)).backward()
    assert predicted.grad.isfinite().all()


def test_straight_limbs_have_a_finite_angle_gradient():
    line = torch.arange(17.0)[:, None] * torch.tensor([0.0, 1.0, 0.0])
    predicted = line.expand(1, 2, 17, 3).clone().requires_grad_()
    losses.angle(predicted, torch.randn(1, 2, 17, 3)).backward()
    assert predicted.grad.isfinite().all()


def test_bones_follow_the_skeleton():
    """The same bodies in another order of joints have the same bones, so the same losses."""
    human = SKELETONS["h36m-17"]
    shuffle = [5, 3, 16, 0, 2, 10, 7, 1, 12, 14, 4, 9, 6, 15, 11, 8, 13]
    parents = tuple(-1 if human.parents[i] < 0 else shuffle.index(human.parents[i]) for i in shuffle)
    other = Skeleton("shuffled", tuple(human.joints[i] for i in shuffle), parents)
    predicted, target = torch.randn(2, 1, 5, 17, 3, dtype=torch.float64)
    for name in ("limb_length", "angle", "angle_velocity"):
        loss = getattr(losses, name)
        torch.testing.assert_close(
            loss(predicted[:, :, shuffle], target[:, :, shuffle], other), loss(predicted, target)
        )
    torch.testing.assert_close(
        losses.limb_variance(predicted[:, :, shuffle], other), losses.limb_variance(predicted)
    )


def test_another_joint_count_than_the_skeletons_is_refused():
    with pytest.raises(UserError, match="joints of skeleton h36m-17: expected 17, found 26"):
        losses.limb_variance(torch.zeros(1, 2, 26, 3))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "limb_variance"])
def test_shapes_that_would_broadcast_are_refused(name, arrays):
    config.update("jaxtyping_disable", True)  # as users run it
    try:
        with pytest.raises(
            UserError, match=r"target: expected the prediction's, \(2, 1, .*, found \(2, 81, "
        ):
            call(name, arrays["clip/pred"][:, :1], arrays, "clip")
    finally:
        config.update("jaxtyping_disable", False)
