import numpy as np
import pytest

from repose.fitting.smoothing import OneEuro, follow, low_pass, remove_spikes, stretches

RNG = np.random.default_rng(0)


def sine(times_s: np.ndarray, hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * times_s + 0.7)


@pytest.mark.parametrize("fps", [25, 60, 240])
@pytest.mark.parametrize("hz", [1, 3, 6, 9])
def test_a_sine_passes_as_through_a_butterworth_run_both_ways(fps: int, hz: float) -> None:
    from scipy.signal import butter, sosfiltfilt

    times = np.arange(fps * 8) / fps
    kept = low_pass(sine(times, hz), times, 6.0)
    reference = sosfiltfilt(butter(2, 6.0 * (2**0.5 - 1) ** -0.25, fs=fps, output="sos"), sine(times, hz))
    middle = slice(2 * fps, 6 * fps)
    gain, wanted = (np.std(x[middle]) / np.std(sine(times, hz)[middle]) for x in (kept, reference))
    # With few frames a second the filter that is compared with is not quite itself.
    assert gain == pytest.approx(wanted, abs=0.05 if fps > 25 or hz < 6 else 0.3)
    # Without lag: what is left is the sine itself, smaller.
    np.testing.assert_allclose(kept[middle], gain * sine(times, hz)[middle], atol=0.01)


def test_half_the_power_is_left_at_the_cut_off() -> None:
    times = np.arange(2000) / 200
    kept = low_pass(sine(times, 4.0), times, 4.0)[500:1500]
    assert np.std(kept) / np.std(sine(times, 4.0)[500:1500]) == pytest.approx(0.5**0.5, abs=0.005)


def test_uneven_times_are_no_special_case() -> None:
    times = np.sort(RNG.uniform(0, 8, 600))
    times = times[np.concatenate([[True], np.diff(times) > 0.002])]
    slow = np.stack([sine(times, 0.8), times], axis=-1)
    np.testing.assert_allclose(low_pass(slow, times, 6.0), slow, atol=0.02)
    noisy = slow + 0.05 * RNG.normal(size=slow.shape)
    assert np.abs(low_pass(noisy, times, 3.0) - slow).mean() < 0.5 * np.abs(noisy - slow).mean()


def test_a_straight_line_stays_to_its_ends() -> None:
    times = np.arange(40) / 30
    line = 3 * times[:, None] + [1.0, -2.0]
    np.testing.assert_allclose(low_pass(line, times, 1.0), line, atol=1e-9)


def test_nothing_passes_over_a_gap() -> None:
    times = np.concatenate([np.arange(30) / 30, 5 + np.arange(30) / 30])
    step = (times > 3).astype(float)
    np.testing.assert_allclose(low_pass(step, times, 1.0), step, atol=1e-9)
    assert list(stretches(times)) == [slice(0, 30), slice(30, 60)]
    assert list(stretches(np.arange(5.0))) == [slice(0, 5)]  # one frame a second has no gaps


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_too_few_frames_stay_as_they_are(frames: int) -> None:
    values, times = RNG.normal(size=(frames, 4, 3)), np.arange(frames) / 30
    np.testing.assert_array_equal(low_pass(values, times, 6.0), values)
    np.testing.assert_array_equal(remove_spikes(values, times)[0], values)
    assert follow(values, times, 6.0).shape == values.shape


@pytest.mark.parametrize("fps", [15, 30, 120])
def test_spikes_go_and_nothing_else_moves(fps: int) -> None:
    times = np.arange(4 * fps) / fps
    paths = np.stack([sine(times, hz) for hz in (0.3, 0.7, 1.2)], axis=-1)[:, None] * [[0.3], [0.6]]
    spiky = paths.copy()
    at = np.array([fps // 2, 2 * fps, 3 * fps])
    spiky[at, 0] += [0.3, 0.0, 0.2]
    clean, found = remove_spikes(spiky, times)
    assert found[at, 0].all()
    assert found.sum() <= 2 * len(at)
    assert not found[:, 1].any()
    np.testing.assert_array_equal(clean[~found], spiky[~found])
    np.testing.assert_allclose(clean, paths, atol=0.05)


def test_one_euro_knows_nothing_of_the_future() -> None:
    times = np.arange(90) / 30
    path = np.cumsum(RNG.normal(size=(90, 17, 3)), axis=0) / 50
    whole = follow(path, times, 6.0)
    np.testing.assert_allclose(follow(path[:40], times[:40], 6.0), whole[:40], rtol=0, atol=1e-12)


def test_one_euro_is_still_at_rest_and_prompt_in_motion() -> None:
    times = np.arange(300) / 60
    noise = 0.01 * RNG.normal(size=(300, 1, 3))
    rest, smooth = noise, OneEuro()
    still = np.array([smooth(frame, time) for frame, time in zip(rest, times, strict=True)])
    assert np.std(still[60:]) < 0.5 * np.std(rest)
    smooth = OneEuro()
    fast = 3.0 * times[:, None, None] * [1.0, 0.0, 0.0]
    behind = fast - np.array([smooth(frame, time) for frame, time in zip(fast, times, strict=True)])
    assert np.abs(behind[100:]).max() < 0.08  # under 30 ms at 3 m/s
