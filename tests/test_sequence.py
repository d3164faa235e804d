"""Interpolation and the filter before a lower rate: exact where they can be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.sequence import interpolate, interpolate_positive, low_pass

SHAPE = (4, 2)


def parabola(t: np.ndarray, degree: int, seed: int = 0) -> np.ndarray:
    terms = np.random.default_rng(seed).normal(size=(degree + 1, *SHAPE))
    return sum(term * t.reshape(-1, 1, 1) ** power for power, term in enumerate(terms))


@given(st.integers(1, 30), st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 99))
def test_interpolation_is_exact_on_what_its_frames_determine(
    frames: int, shares: list[float], seed: int
) -> None:
    degree = min(frames - 1, 2)
    at = np.array(shares) * (frames - 1)
    found = interpolate(parabola(np.arange(frames), degree, seed), at)
    assert found.shape == (len(at), *SHAPE)
    np.testing.assert_allclose(found, parabola(at, degree, seed), rtol=1e-9, atol=1e-9)


def test_interpolation_passes_through_the_frames_and_works_in_one_dimension() -> None:
    values = np.random.default_rng(0).normal(size=20)
    np.testing.assert_allclose(interpolate(values, np.arange(20.0)), values, atol=1e-12)


@given(st.integers(1, 60), st.floats(0.05, 1.0))
def test_the_filter_keeps_what_does_not_move_or_moves_evenly(frames: int, ratio: float) -> None:
    still = np.full((frames, 3), 7.0)
    even = np.arange(frames)[:, None] * np.array([1.0, -2.0]) + 5
    np.testing.assert_allclose(low_pass(still, ratio), still, rtol=1e-12)
    np.testing.assert_allclose(low_pass(even, ratio), even, atol=1e-9)


@pytest.mark.parametrize("ratio", [0.125, 0.25, 0.6])
def test_the_filter_keeps_slow_and_removes_fast_motion_without_delay(ratio: float) -> None:
    t = np.arange(400)
    slow = np.sin(np.pi * 0.5 * ratio * t)
    fast = np.cos(np.pi * 1.6 * ratio * t)
    inner = slice(40, -40)
    np.testing.assert_allclose(low_pass(slow + fast, ratio)[inner], slow[inner], atol=0.02)


@given(st.integers(1, 12), st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 99))
def test_what_is_positive_stays_between_its_frames(frames: int, shares: list[float], seed: int) -> None:
    """Leaps over ten powers of ten, where a cubic overshoots to below 0."""
    values = 10.0 ** np.random.default_rng(seed).uniform(-10, 1, size=(frames, 3))
    at = np.array(shares) * (frames - 1)
    found = interpolate_positive(values, at)
    low = np.minimum(at.astype(int), max(frames - 2, 0))
    around = np.stack([values[low], values[np.minimum(low + 1, frames - 1)]])
    assert (found >= around.min(axis=0) * (1 - 1e-9)).all()
    assert (found <= around.max(axis=0) * (1 + 1e-9)).all()


def test_what_is_positive_grows_by_equal_factors() -> None:
    found = interpolate_positive(np.array([1.0, 16.0]), np.array([0, 0.25, 0.5, 1]))
    np.testing.assert_allclose(found, [1, 2, 4, 16])
    found = interpolate_positive(np.array([0.0, 0.0, 3.0]), np.array([0, 0.5, 2]))
    np.testing.assert_allclose(found, [0, 0, 3])
