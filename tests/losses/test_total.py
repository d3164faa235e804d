import pytest
import torch

from repose import losses
from repose.errors import UserError
from repose.losses import LossWeights, total_loss
from repose.skeleton import H36M_FEET

PREDICTED, TARGET = torch.randn(2, 2, 9, 17, 3, dtype=torch.float64)


def test_published_default():
    total, values = total_loss(PREDICTED, TARGET, LossWeights())
    assert set(values) == {"position", "scale", "velocity"}
    torch.testing.assert_close(
        total,
        losses.mpjpe(PREDICTED, TARGET)
        + 0.5 * losses.n_mpjpe(PREDICTED, TARGET)
        + 20 * losses.velocity(PREDICTED, TARGET),
    )


@pytest.mark.parametrize(
    "name", ["limb_variance", "limb_length", "angle", "angle_velocity", "spatial_rank", "temporal_rank"]
)
def test_each_weight_weighs_its_own_loss(name):
    predicted = PREDICTED.clone().requires_grad_()
    total, values = total_loss(predicted, TARGET, LossWeights(0.0, 0.0, 0.0, **{name: 3.0}))
    loss = getattr(losses, name)
    expected = loss(PREDICTED) if name == "limb_variance" else loss(PREDICTED, TARGET)
    torch.testing.assert_close(values, {name: expected})
    torch.testing.assert_close(total.detach(), 3 * expected)
    assert total.requires_grad
    assert not values[name].requires_grad


@pytest.mark.parametrize("bad", [{"velocity": -1.0}, {"angle": float("nan")}, {"scale": float("inf")}])
def test_weights_are_finite_and_not_negative(bad):
    with pytest.raises(UserError, match=f"{next(iter(bad))}: expected"):
        LossWeights(**bad)


def test_some_weight_is_needed():
    with pytest.raises(UserError, match="at least one above 0, found all 0"):
        LossWeights(0.0, 0.0, 0.0)


def test_margin_goes_to_the_relational_losses_and_is_no_loss_itself():
    weights = LossWeights(0.0, 0.0, 0.0, spatial_rank=2.0, temporal_rank=3.0, rank_margin=0.5)
    total, values = total_loss(PREDICTED, TARGET, weights)
    spatial = losses.spatial_rank(PREDICTED, TARGET, margin=0.5)
    temporal = losses.temporal_rank(PREDICTED, TARGET, margin=0.5)
    torch.testing.assert_close(values, {"spatial_rank": spatial, "temporal_rank": temporal})
    torch.testing.assert_close(total, 2 * spatial + 3 * temporal)
    with pytest.raises(UserError, match="at least one above 0, found all 0"):
        LossWeights(0.0, 0.0, 0.0, rank_margin=1.0)


def test_a_fourth_column_is_the_deviation_and_touches_no_other_loss():
    log_deviation = torch.randn(2, 9, 17, 1, dtype=torch.float64)
    output = torch.cat([PREDICTED, log_deviation], dim=-1)
    weights = LossWeights(deviation=0.1)
    total, values = total_loss(output, TARGET, weights)
    plain, _ = total_loss(PREDICTED, TARGET, LossWeights())
    torch.testing.assert_close(total, plain + 0.1 * values["deviation"])
    with pytest.raises(UserError, match="one that predicts a deviation, found joints alone"):
        total_loss(PREDICTED, TARGET, weights)


def test_feet_count_apart_and_only_where_they_are_known() -> None:
    torch.manual_seed(1)
    output, target = torch.randn(3, 5, 23, 4), torch.randn(3, 5, 23, 3)
    weights = LossWeights(deviation=0.1, angle=0.1, feet=0.5)
    known = torch.ones(3, 23, dtype=torch.bool)
    known[1, 17:] = False
    body, _ = total_loss(output[:, :, :17], target[:, :, :17], weights)
    total, parts = total_loss(output, target, weights, H36M_FEET, known)
    torch.testing.assert_close(total, body + 0.5 * parts["feet"])
    rest = torch.tensor([0, 2])
    _, others = total_loss(output[rest], target[rest], weights, H36M_FEET)
    torch.testing.assert_close(parts["feet"], others["feet"] * 2 / 3)
    astray = target.clone()
    astray[1, :, 17:] += 5
    torch.testing.assert_close(total_loss(output, astray, weights, H36M_FEET, known)[0], total)
    assert "feet" not in total_loss(output[:, :, :17], target[:, :, :17], weights)[1]
    nothing, _ = total_loss(output, target, weights, H36M_FEET, known & (torch.arange(23) < 17))
    torch.testing.assert_close(nothing, body)
