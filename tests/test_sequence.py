"""Interpolation and the filter before a lower rate: exact where they can be."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from repose.sequence import (
    around,
    fill_gaps,
    interpolate,
    interpolate_linear,
    interpolate_positive,
    low_pass,
    missing,
    runs,
    stretches,
    unbroken,
)

SHAPE = (4, 2)


@pytest.mark.parametrize(("frames", "window"), [(1, 3), (2, 7), (40, 6), (40, 7), (5000, 3)])
def test_statistics_around_frames_are_those_of_scipy(frames: int, window: int) -> None:
    values = np.random.default_rng(0).normal(size=(frames, *SHAPE))
    mean, median = (around(values, window, partial(of, axis=-1)) for of in (np.mean, np.median))
    np.testing.assert_allclose(mean, ndimage.uniform_filter1d(values, window, axis=0, mode="nearest"))
    if window % 2:
        assert (median == ndimage.median_filter(values, (window, 1, 1), mode="nearest")).all()
        back = around(values, window, partial(np.mean, axis=-1), "symmetric")
        np.testing.assert_allclose(back, ndimage.uniform_filter1d(values, window, axis=0, mode="reflect"))


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


def test_runs_stretches_and_gaps_name_the_same_rows() -> None:
    there = np.array([True, True, False, False, True, False, True])
    assert runs(there) == [(0, 2), (4, 5), (6, 7)]
    assert runs(~there) == [(2, 4), (5, 6)]
    assert runs(np.zeros(3, dtype=bool)) == []
    frames = np.flatnonzero(there)
    assert stretches(np.diff(frames) > 1) == [slice(0, 2), slice(2, 3), slice(3, 4)]
    assert missing(frames) == [(2, 3), (5, 5)]
    assert stretches(np.zeros(0, dtype=bool)) == [slice(0, 1)]


@given(st.integers(1, 25), st.integers(0, 999))
def test_gaps_are_filled_straight_in_time_and_held_at_the_ends(frames: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, known = rng.normal(size=(frames, 3, 2)), rng.random((frames, 3)) < 0.5
    times_s = np.cumsum(rng.uniform(0.1, 1, frames))
    for times, given_times in ((np.arange(frames), None), (times_s, times_s)):
        filled = fill_gaps(values, known, times_s=given_times)
        for joint in range(3):
            there = known[:, joint]
            for axis in range(2):
                path = values[:, joint, axis]
                if there.any():
                    path = np.interp(times, times[there], path[there])
                np.testing.assert_allclose(filled[:, joint, axis], path, atol=1e-12)


def test_long_gaps_and_those_at_the_ends_stay() -> None:
    known = np.array([False, True, False, True, False, False, True, False])
    values = np.where(known, np.arange(8.0), np.nan)
    filled = fill_gaps(values, known, longest=1)
    np.testing.assert_array_equal(filled, [np.nan, 1, 2, 3, np.nan, np.nan, 6, np.nan])
    filled = fill_gaps(values, known, longest=2)
    np.testing.assert_allclose(filled, [np.nan, 1, 2, 3, 4, 5, 6, np.nan])


def test_linear_interpolation_is_that_of_each_column() -> None:
    rng = np.random.default_rng(3)
    values, places = rng.normal(size=(6, 3, 2)), np.array([2, 3, 5, 9, 10, 20])
    at = rng.uniform(0, 22, 40)
    found = interpolate_linear(values, places, at)
    for joint, axis in np.ndindex(3, 2):
        np.testing.assert_allclose(
            found[:, joint, axis], np.interp(at, places, values[:, joint, axis]), atol=1e-12
        )


def test_long_and_short_kernels_are_one_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(900, 3, 2)).cumsum(axis=0)
    by_fourier = low_pass(values, 0.03)
    monkeypatch.setattr("repose.sequence._LONG_KERNEL", 10_000)
    np.testing.assert_allclose(by_fourier, low_pass(values, 0.03), atol=1e-9)


def test_a_pause_parts_frames_and_a_low_rate_does_not() -> None:
    times = np.concatenate([np.arange(30) / 30, 5 + np.arange(30) / 30])
    assert unbroken(times) == [slice(0, 30), slice(30, 60)]
    assert unbroken(np.arange(5.0)) == [slice(0, 5)]
    assert unbroken(np.zeros(1)) == [slice(0, 1)]
    assert unbroken(np.zeros(0)) == []
