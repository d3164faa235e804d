import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from repose.losses import spatial_rank, temporal_rank
from repose.losses.relational import count_inversions

# Few distinct depths make many ties, in the truth, in the prediction and in both.
DEPTHS = arrays("float64", st.tuples(st.just(2), array_shapes(min_dims=2, max_dims=2, max_side=12)).map(
    lambda sides: (sides[0], *sides[1])), elements=st.integers(-4, 4).map(lambda z: z / 4 + 0.0))  # fmt: skip


def inversions_by_table(predicted, target):
    wrong = (target.unsqueeze(-1) < target.unsqueeze(-2)) & (
        predicted.unsqueeze(-1) > predicted.unsqueeze(-2)
    )
    return wrong.sum(dim=-1) - wrong.sum(dim=-2)


def loss_by_table(predicted, target, axis, mask=None, margin=0.0):
    z, truth = predicted[..., 2].movedim(axis, -1), target[..., 2].movedim(axis, -1)
    gap = truth.unsqueeze(-2) - truth.unsqueeze(-1)
    charged = (z.unsqueeze(-1) - z.unsqueeze(-2) + margin * gap).clamp_min(0) * (gap > 0)
    if mask is None:
        return charged.mean()
    known = mask.movedim(axis, -1)
    return charged[known.unsqueeze(-1) & known.unsqueeze(-2)].mean()


LOSSES = pytest.mark.parametrize(("loss", "axis"), [(spatial_rank, 2), (temporal_rank, 1)])


@settings(deadline=None, max_examples=200)
@given(DEPTHS)
def test_two_ranks_count_the_inverted_pairs(depths):
    predicted, target = torch.from_numpy(depths)
    assert torch.equal(count_inversions(predicted, target), inversions_by_table(predicted, target))


@settings(deadline=None, max_examples=50)
@given(DEPTHS)
def test_value_survives_ties_in_both(depths):
    poses = torch.randn(2, 1, *depths.shape[1:], 3, dtype=torch.float64)
    poses[:, 0, ..., 2] = torch.from_numpy(depths)
    for loss, axis in ((spatial_rank, 2), (temporal_rank, 1)):
        torch.testing.assert_close(loss(*poses), loss_by_table(*poses, axis))


@LOSSES
def test_value_and_gradient_of_the_table(loss, axis):
    predicted = torch.randn(3, 20, 7, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 20, 7, 3, dtype=torch.float64).round(decimals=1)
    ours, table = loss(predicted, target), loss_by_table(predicted, target, axis)
    torch.testing.assert_close(ours, table)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, predicted)[0] for value in (ours, table)), rtol=0, atol=1e-12
    )


@LOSSES
@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0])
def test_margin_is_a_share_of_the_true_gap(loss, axis, margin):
    predicted = torch.randn(3, 20, 7, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(3, 20, 7, 3, dtype=torch.float64).round(decimals=1)
    mask = torch.rand(3, 20, 7) > 0.3
    for known in (None, mask):
        ours = loss(predicted, target, known, margin=margin)
        table = loss_by_table(predicted, target, axis, known, margin)
        torch.testing.assert_close(ours, table)
        torch.testing.assert_close(*(torch.autograd.grad(value, predicted)[0] for value in (ours, table)))
    assert loss(margin * target, target, margin=margin).item() == pytest.approx(0, abs=1e-12)
    assert loss(0.9 * margin * target, target, margin=margin) > 0.01


@LOSSES
def test_mask_leaves_pairs_out_and_may_hide_nan(loss, axis):
    predicted = torch.randn(2, 11, 5, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 11, 5, 3, dtype=torch.float64)
    mask = torch.rand(2, 11, 5) > 0.4
    table = loss_by_table(predicted, target, axis, mask)
    ours = loss(predicted, target.masked_fill(~mask.unsqueeze(-1), torch.nan), mask)
    torch.testing.assert_close(ours, table)
    torch.testing.assert_close(*(torch.autograd.grad(value, predicted)[0] for value in (ours, table)))
    assert loss(predicted, target, torch.zeros_like(mask)).item() == 0


@LOSSES
def test_only_order_matters(loss, axis):
    target = torch.randn(2, 9, 6, 3)
    stretched = target.clone()
    stretched[..., 2] = target[..., 2].exp() * 3 - 50
    predicted = torch.randn(2, 9, 6, 3)
    assert loss(stretched, target).item() == pytest.approx(0, abs=1e-5)
    assert loss(-target, target) > 0.1
    torch.testing.assert_close(loss(predicted, stretched), loss(predicted, target))
    torch.testing.assert_close(loss(2 * predicted, target), 2 * loss(predicted, target))


def test_space_and_time_are_not_exchanged():
    """Frame 1 is wholly behind frame 0; the prediction says so the other way round."""
    target, predicted = torch.zeros(1, 2, 3, 3), torch.zeros(1, 2, 3, 3)
    target[0, 1, :, 2], predicted[0, 0, :, 2] = 1.0, 0.5
    assert spatial_rank(predicted, target) == 0
    assert temporal_rank(predicted, target).item() == pytest.approx(0.5 / 4)


@LOSSES
def test_equal_predictions_pass_no_gradient(loss, axis):
    predicted = torch.ones(1, 8, 5, 3, requires_grad=True)
    value = loss(predicted, torch.randn(1, 8, 5, 3))
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6)
    assert not predicted.grad.any()


def test_a_long_clip_needs_no_table():
    """A 100 000 × 100 000 table of one joint would take 40 GB."""
    predicted = torch.randn(1, 100_000, 2, 3, requires_grad=True)
    loss = temporal_rank(predicted, torch.randn(1, 100_000, 2, 3))
    loss.backward()
    # Independent normal depths: half of the pairs charged by E max(a − b, 0) = 1/√π.
    assert loss.item() == pytest.approx(0.5 / torch.pi**0.5, rel=0.01)
