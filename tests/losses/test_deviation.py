import math

import pytest
import torch

from repose.losses import deviation


def errors(size, seed=0):
    """Predictions at normally distributed distances from a truth at 0, `size` the standard deviation."""
    distance = size * torch.randn(1, 20_000, 1, generator=torch.Generator().manual_seed(seed)).abs()
    predicted = torch.zeros(1, 20_000, 1, 3)
    predicted[..., 1] = distance
    return predicted, torch.zeros_like(predicted)


def loss_of(deviation_m, predicted, target):
    return deviation(torch.full(predicted.shape[:3], math.log(deviation_m)), predicted, target)


@pytest.mark.parametrize("size", [0.02, 0.3])
def test_it_is_least_at_the_standard_deviation_of_normal_errors(size):
    predicted, target = errors(size)
    guesses = torch.linspace(0.7, 1.4, 29) * size
    best = min(guesses.tolist(), key=lambda guess: loss_of(guess, predicted, target).item())
    assert best == pytest.approx(size, rel=0.05)
    within = predicted.norm(dim=-1) <= best
    assert within.float().mean().item() == pytest.approx(0.68, abs=0.03)


def test_too_sure_costs_more_than_too_cautious():
    predicted, target = errors(0.05)
    assert loss_of(0.05 / 2, predicted, target) > loss_of(0.05 * 2, predicted, target)


def test_each_joint_has_a_deviation_of_its_own():
    predicted, target = torch.zeros(2, 1, 2, 2, 3)
    predicted[0, 0, 1, 2] = 0.4
    right = torch.full((1, 2, 2), 0.001).log()
    right[0, 0, 1] = math.log(0.4)
    assert deviation(right, predicted, target) < deviation(right.flip(1), predicted, target)
    assert deviation(right, predicted, target) < deviation(right.flip(2), predicted, target)


def test_joints_get_no_gradient_and_a_perfect_answer_is_finite():
    predicted = torch.zeros(1, 3, 17, 3, requires_grad=True)
    log_deviation = torch.zeros(1, 3, 17, requires_grad=True)
    value = deviation(log_deviation, predicted, torch.zeros(1, 3, 17, 3))
    value.backward()
    assert value.isfinite()
    assert predicted.grad is None
    assert (log_deviation.grad > 0).all()  # less is right
