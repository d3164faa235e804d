"""Lifting: any length, any rate, gaps, both sides alike, true size, and people where they are seen."""

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import repose
from repose.errors import UserError
from repose.geometry.camera import Camera, normalise
from repose.keypoints.reader import read_keypoints
from repose.lifting import Lifter
from repose.models import ModelSpec, PoseModel, build, find_spec, save_checkpoint
from repose.models.inference import window_starts
from repose.pose import Pose2D
from repose.skeleton import H36M_17, SKELETONS, stature

SIZE = (1280, 720)
WRIST = H36M_17.index("left_wrist")
# A standing figure whose sides differ, root-relative, camera axes, metres.
BODY = np.array(
    [
        [0, 0, 0], [-0.13, 0.02, 0.01], [-0.16, 0.45, -0.05], [-0.20, 0.88, 0.06],
        [0.12, 0.01, -0.02], [0.18, 0.42, -0.12], [0.15, 0.84, 0.10], [0.01, -0.25, 0.02],
        [0.02, -0.50, 0.05], [0.03, -0.60, -0.04], [0.02, -0.72, 0.00], [0.17, -0.47, 0.04],
        [0.32, -0.22, 0.12], [0.40, -0.05, -0.10], [-0.15, -0.49, 0.06], [-0.30, -0.60, -0.10],
        [-0.35, -0.85, -0.2],
    ]
)  # fmt: skip
HEIGHT_M = float(stature(BODY))

Function = Callable[[Tensor], Tensor]


class Fake(PoseModel):
    """A model that is a known function, and remembers the shapes it was given."""

    def __init__(self, function: Function, **changes: Any) -> None:
        super().__init__()
        self.function = function
        self.shapes: list[tuple[int, ...]] = []
        self.spec = replace(find_spec("frameformer"), name="fake", **{"root_relative": False, **changes})

    def forward(self, keypoints: Tensor) -> Tensor:
        self.shapes.append(tuple(keypoints.shape))
        return self.function(keypoints)


def body(keypoints: Tensor) -> Tensor:
    """Whatever is seen, it is `BODY`."""
    return torch.from_numpy(BODY).float().expand(*keypoints.shape[:2], -1, -1).clone()


def echo(keypoints: Tensor) -> Tensor:
    """x and y as they were seen; z is the confidence."""
    return keypoints.clone()


def tiny(architecture: str = "frameformer", window: int = 32) -> PoseModel:
    torch.manual_seed(1)
    if architecture == "frameformer":
        spec = find_spec(architecture).with_config(width=32, depth=1, heads=2)
        return build(replace(spec, window_frames=window))
    spec = find_spec(architecture).with_config(frames=window, width=16, representation=16, depth=1, heads=2)
    return build(spec)


def filmed(root_m: np.ndarray, joints_m: np.ndarray = BODY, **changes: Any) -> Pose2D:
    """The figure at these places, seen by the assumed camera."""
    points = Camera.assumed(SIZE).project(joints_m + root_m[:, None])
    return track(points, **changes)


def track(points_px: np.ndarray, **changes: Any) -> Pose2D:
    count = len(points_px)
    values = {
        "points_px": points_px,
        "confidence": np.full(points_px.shape[:2], 0.9),
        "frames": np.arange(count),
        "fps": 30.0,
        "image_size": SIZE,
        "skeleton": "h36m-17",
    }
    return Pose2D(**(values | changes))


def walk(count: int, fps: float = 30.0) -> np.ndarray:
    """Places of somebody who wanders about, metres, camera frame."""
    t = np.arange(count) / fps
    return np.stack([np.sin(0.5 * t), 0.1 * np.cos(t), 5 + np.cos(0.3 * t)], axis=-1)


def waving(t: np.ndarray, hz: float = 1.5) -> np.ndarray:
    """A figure that waves, in pixels."""
    points = np.tile(Camera.assumed(SIZE).project(BODY + np.array([0, 0, 4.0])), (len(t), 1, 1))
    points[:, WRIST, 0] += 60 * np.sin(2 * np.pi * hz * t + 0.3)
    return points


# Lengths


@pytest.mark.parametrize(
    ("architecture", "count"),
    [
        *(("frameformer", count) for count in (1, 2, 26, 27, 100, 243, 244, 10_000)),
        *(("repose", count) for count in (1, 2, 26, 27, 100, 243, 244)),
    ],
)
def test_n_frames_in_n_frames_out(architecture: str, count: int) -> None:
    pose = filmed(walk(count))
    found = Lifter(tiny(architecture)).lift(pose)
    np.testing.assert_array_equal(found.frames, pose.frames)
    np.testing.assert_array_equal(found.times_s, pose.times_s)
    assert found.joints_m.shape == (count, 17, 3)


@pytest.mark.parametrize("count", [1, 26, 27, 100])
def test_a_model_of_one_window_length_takes_any_number_of_frames(count: int) -> None:
    torch.manual_seed(0)
    model = build("motionagformer-xs")
    found = Lifter(model, flip=False).lift(filmed(walk(count)))
    assert len(found) == count


def test_models_with_fixed_windows_only_ever_see_such() -> None:
    for fixed in (True, False):
        model = Fake(body, window_frames=27, fixed_window=fixed)
        for count in (1, 26, 27, 28, 100):
            Lifter(model).lift(filmed(walk(count)))
        lengths = {shape[1] for shape in model.shapes}
        assert lengths == ({27} if fixed else {1, 26, 27})


def test_a_pass_through_the_model_is_bounded_however_long_the_video() -> None:
    model = Fake(body, window_frames=50)
    for count in (5_000, 20_000):
        Lifter(model).lift(filmed(walk(count)))
        assert max(shape[0] * shape[1] for shape in model.shapes) <= 2 * 2048
    assert len(model.shapes) > 5


@given(st.integers(1, 3000), st.integers(1, 300), st.floats(0, 0.9))
def test_windows_cover_every_frame_and_overlap(frames: int, window: int, share: float) -> None:
    overlap = int(window * share)
    starts = window_starts(frames, window, overlap)
    assert starts[0] == 0
    assert starts[-1] + window >= frames
    if frames > window:
        assert starts[-1] + window == frames
        steps = np.diff(starts)
        assert steps.min() > 0
        assert steps.max() <= window - overlap
        assert len(starts) == -((overlap - frames) // (window - overlap)), "more windows than needed"


def test_progress_counts_frames_up_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repose.lifting.lifter._FRAMES_AT_ONCE", 64)
    frames = np.r_[0:500, 900:1000]
    told: list[tuple[int, int]] = []
    Lifter(Fake(body, window_frames=16)).lift(
        filmed(walk(600), frames=frames), on_progress=lambda done, total: told.append((done, total))
    )
    assert len(told) > 2
    assert told == sorted(told)
    assert told[-1] == (600, 600)
    assert {total for _, total in told} == {600}


# Seams


def speeds(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean(axis=-1)


def test_no_seam_where_windows_meet() -> None:
    """A model with a place in the window for everything, as published ones have: learned time embeddings."""
    window, count = 64, 1000
    model = tiny("repose", window)
    clip = torch.from_numpy(
        np.concatenate([walk(count)[:, None, :2] / 5 + BODY[:, :2], np.ones((count, 17, 1))], -1)
    )
    lifter = Lifter(model)
    steps = speeds(lifter.lift_keypoints(clip.float().numpy()))
    starts = window_starts(count, window, window // 4)
    near = np.zeros(count - 1, dtype=bool)
    for start in starts[1:]:
        near[start - 1 : start + window // 4 + 1] = True
    assert steps[near].max() <= steps[~near].max()
    assert steps[near].mean() <= 1.05 * steps[~near].mean()


def test_what_depends_on_the_place_in_the_window_is_blended() -> None:
    """The worst model there is: it drifts by 1 m within each window. A hard cut would jump by that much."""

    def drifting(keypoints: Tensor) -> Tensor:
        joints = body(keypoints)
        joints[:, :, WRIST, 2] += torch.linspace(0, 1, keypoints.shape[1])
        return joints

    model = Fake(drifting, window_frames=64)
    steps = np.diff(Lifter(model, flip=False).lift_keypoints(np.ones((500, 17, 3), np.float32))[:, WRIST, 2])
    assert np.abs(steps).max() < 0.1


# Time


@pytest.mark.parametrize("fps", [24.0, 25.0, 29.97, 30.0, 50.0, 60.0, 120.0])
def test_any_rate_comes_back_at_its_own_times(fps: float) -> None:
    count = round(5 * fps)
    t = np.arange(count) / fps
    model = Fake(echo)
    found = Lifter(model, flip=False).lift(track(waving(t), fps=fps), root=False, height_m=1.0)
    assert len(found) == count
    factor = 1.0 / stature(_rays(waving(t)))[:, None, None]
    wanted = _rays(waving(t)) * factor
    np.testing.assert_allclose(found.joints_m[..., :2], wanted[..., :2], atol=0.012 * np.abs(wanted).max())
    assert abs(sum(shape[1] for shape in model.shapes) - 150) < 80  # the model saw its own rate


def _rays(points_px: np.ndarray) -> np.ndarray:
    rays = Camera.assumed(SIZE).rays(points_px)
    rays = np.concatenate([rays, np.zeros((*rays.shape[:2], 1))], axis=-1)
    return rays - rays[:, :1]


def test_variable_frame_rates_go_by_their_times() -> None:
    rng = np.random.default_rng(0)
    t = np.cumsum(rng.uniform(0.5, 1.5, 200) / 40)
    found = Lifter(Fake(echo), flip=False).lift(
        track(waving(t), fps=40.0, times_s=t), root=False, height_m=1.0
    )
    wanted = _rays(waving(t))
    wanted = wanted / stature(wanted)[:, None, None]
    np.testing.assert_array_equal(found.times_s, t)
    error = np.abs(found.joints_m - wanted)[..., :2]
    assert error.max() < 0.08 * np.abs(wanted[:, WRIST, 0]).max()
    assert error.mean() < 1e-3


@pytest.mark.parametrize("times", ["29.97", "milliseconds"])
def test_frames_that_have_the_models_rate_go_in_as_they_are(times: str) -> None:
    """29.97 Hz, and 30 Hz whose times were rounded to milliseconds by the container."""
    seen: list[Tensor] = []

    def remember(keypoints: Tensor) -> Tensor:
        seen.append(keypoints)
        return body(keypoints)

    points = waving(np.arange(90) / 30)
    t = np.arange(90) / 29.97 if times == "29.97" else np.round(np.arange(90) / 30, 3)
    Lifter(Fake(remember), flip=False).lift(track(points, times_s=t))
    np.testing.assert_allclose(seen[0][0, :, :, :2], Camera.assumed(SIZE).rays(points), atol=1e-6)


def test_fast_motion_is_filtered_before_the_rate_is_lowered() -> None:
    """At 120 Hz a tremor of 31 Hz would come out of 30 Hz as one of 1 Hz."""
    t = np.arange(480) / 120
    found = Lifter(Fake(echo), flip=False).lift(track(waving(t, hz=31.0), fps=120.0), root=False)
    still = np.ptp(found.joints_m[60:-60, WRIST, 0])
    assert still < 0.05 * np.ptp(_rays(waving(t, 31.0))[:, WRIST, 0]) / 0.4


# What is missing


def remembering(seen: list[Tensor]) -> Function:
    def model(keypoints: Tensor) -> Tensor:
        seen.append(keypoints.clone())
        return body(keypoints)

    return model


def test_missing_joints_are_marked_and_interpolated_never_zero() -> None:
    points = waving(np.arange(60) / 30)
    clean = Camera.assumed(SIZE).rays(points)
    confidence = np.full((60, 17), 0.9)
    confidence[20:30, WRIST] = 0
    confidence[:, 3] = 0  # an ankle that is never seen
    points[20:30, WRIST] = 0
    points[:, 3] = 0
    seen: list[Tensor] = []
    found = Lifter(Fake(remembering(seen)), flip=False).lift(track(points, confidence=confidence))
    given = seen[0][0].numpy()
    np.testing.assert_allclose(given[..., 2], confidence, atol=1e-6)
    share = (np.arange(20, 30) - 19)[:, None] / 11
    line = clean[19, WRIST] * (1 - share) + clean[30, WRIST] * share
    np.testing.assert_allclose(given[20:30, WRIST, :2], line, atol=1e-6)
    others = [j for j in range(17) if j != 3]
    assert (given[:, 3, :2] >= given[:, others, :2].min(axis=1)).all()
    assert (given[:, 3, :2] <= given[:, others, :2].max(axis=1)).all()
    assert not found.seen[20:30, WRIST].any()
    assert not found.seen[:, 3].any()
    np.testing.assert_array_equal(found.seen.sum(), 60 * 16 - 10)
    np.testing.assert_allclose(found.confidence, confidence, atol=1e-6)
    assert (found.points_px > 0).all()


def test_a_joint_that_is_never_seen_at_the_models_rate_is_no_trouble() -> None:
    """At 60 Hz the model sees every other frame; here nobody is found in those."""
    confidence = np.zeros((41, 17))
    confidence[1::2] = 0.9
    for normalisation in ("rays", "crop-scaled", "pixel-scaled", "screen"):
        found = Lifter(Fake(body, normalisation=normalisation)).lift(
            filmed(walk(41, 60.0), fps=60.0, confidence=confidence)
        )
        np.testing.assert_array_equal(found.seen, confidence > 0)


def test_short_gaps_are_filled_and_marked_long_ones_stay_empty() -> None:
    frames = np.r_[10:40, 70:100, 131:140]  # 30 frames missing, then 31
    found = Lifter(Fake(body)).lift(filmed(walk(len(frames)), frames=frames))
    np.testing.assert_array_equal(found.frames, np.r_[10:100, 131:140])
    np.testing.assert_array_equal(found.seen.all(axis=1), np.isin(found.frames, frames))
    np.testing.assert_array_equal(found.seen.any(axis=1), np.isin(found.frames, frames))
    assert found.record["frames_in"] == len(frames)
    assert found.record["frames_filled"] == 30
    assert found.record["gaps_left_empty"] == [[100, 130]]
    np.testing.assert_allclose(found.times_s, found.frames / 30)


def test_a_model_whose_numbers_overflow_is_refused() -> None:
    spec = find_spec("frameformer").with_config(width=16, depth=1, heads=2)
    model = build(replace(spec, window_frames=32))
    with torch.no_grad():
        model.embed.weight.fill_(1e38)
    with pytest.raises(UserError, match="model frameformer: joints: expected finite numbers, found nan"):
        Lifter(model, device="cpu").lift(filmed(walk(20)))


def test_times_that_leave_no_room_for_a_gap_do_not_fill_it() -> None:
    frames = np.r_[0:6, 65_536:65_540]
    track = replace(filmed(walk(len(frames)), frames=frames), times_s=np.arange(len(frames)) / 30)
    found = Lifter(Fake(body)).lift(track)
    np.testing.assert_array_equal(found.frames, frames)
    assert found.record["gaps_left_empty"] == [[6, 65_535]]


def test_work_follows_the_frames_and_not_the_times_between_them() -> None:
    frames = np.arange(20)
    track = replace(filmed(walk(20), frames=frames), times_s=frames * 4e8)
    found = Lifter(Fake(body)).lift(track)
    np.testing.assert_array_equal(found.frames, frames)
    np.testing.assert_array_equal(found.times_s, track.times_s)


@pytest.mark.parametrize(("max_gap_s", "count"), [(0.0, 20), (0.1, 23), (5.0, 73)])
def test_the_longest_gap_is_a_choice(max_gap_s: float, count: int) -> None:
    frames = np.r_[0:10, 13:18, 68:73]
    found = Lifter(Fake(body)).lift(filmed(walk(20), frames=frames), max_gap_s=max_gap_s)
    assert len(found) == count


def test_a_filled_gap_moves_from_one_end_to_the_other() -> None:
    root = np.stack([np.linspace(-1, 1, 41), np.zeros(41), np.full(41, 5.0)], axis=-1)
    kept = np.r_[0:15, 25:41]
    found = Lifter(Fake(body), flip=False).lift(filmed(root[kept], frames=kept), height_m=HEIGHT_M)
    np.testing.assert_allclose(found.joints_m[:, 0], root, atol=0.02)
    assert found.record["frames_with_interpolated_root"] == 10


def test_frames_without_a_detection_stay_and_are_inferred() -> None:
    confidence = np.full((60, 17), 0.9)
    confidence[:7] = confidence[-5:] = 0
    pose = filmed(walk(60), confidence=confidence)
    points = pose.points_px.copy()
    points[:7] = points[-5:] = 0
    found = Lifter(Fake(body)).lift(replace(pose, points_px=points))
    np.testing.assert_array_equal(found.frames, np.arange(60))
    np.testing.assert_array_equal(found.seen.any(axis=1), confidence.any(axis=1))
    np.testing.assert_allclose(found.points_px[:7], found.points_px[[7] * 7])
    np.testing.assert_allclose(found.joints_m[:7], found.joints_m[[7] * 7], atol=1e-5)


def test_a_far_stretch_without_a_single_joint_is_reported_as_empty() -> None:
    frames = np.r_[0:30, 200:230]
    confidence = np.where(frames < 100, 0.9, 0.0)[:, None] * np.ones((1, 17))
    found = Lifter(Fake(body)).lift(filmed(walk(60), frames=frames, confidence=confidence))
    np.testing.assert_array_equal(found.frames, np.arange(30))
    assert found.record["gaps_left_empty"] == [[30, 229]]


def test_nobody_at_all_is_an_error() -> None:
    with pytest.raises(UserError, match="person 7: no joint is seen in any of 5 frames"):
        Lifter(Fake(body)).lift(filmed(walk(5), confidence=np.zeros((5, 17)), track_id=7))


# Both sides alike


def mirrored(pose: Pose2D) -> Pose2D:
    points = pose.points_px[:, list(H36M_17.mirror)].copy()
    points[..., 0] = SIZE[0] - points[..., 0]
    return replace(pose, points_px=points, confidence=pose.confidence[:, list(H36M_17.mirror)])


@pytest.mark.parametrize("normalisation", ["rays", "screen", "crop-scaled", "pixel-scaled"])
def test_the_mirror_image_is_lifted_to_the_mirror_image(normalisation: str) -> None:
    model = tiny()
    model.spec = replace(model.spec, normalisation=normalisation)
    rng = np.random.default_rng(3)
    confidence = np.where(rng.random((80, 17)) < 0.1, 0, rng.random((80, 17)))
    pose = filmed(walk(80), BODY + rng.normal(size=(80, 17, 3)) * 0.03, confidence=confidence)
    straight, reflected = (Lifter(model).lift(p, root=False).joints_m for p in (pose, mirrored(pose)))
    np.testing.assert_allclose(reflected[:, list(H36M_17.mirror)] * np.array([-1, 1, 1]), straight, atol=1e-5)
    alone = [Lifter(model, flip=False).lift(p, root=False).joints_m for p in (pose, mirrored(pose))]
    assert np.abs(alone[1][:, list(H36M_17.mirror)] * [-1, 1, 1] - alone[0]).max() > 1e-3


def test_flip_averaging_is_one_pass_of_twice_the_batch() -> None:
    model = Fake(body, window_frames=50)
    Lifter(model).lift(filmed(walk(120)))
    assert model.shapes == [(6, 50, 17, 3)]


# Parity with the published programs


def test_normalisation_is_the_published_one(parity: Path) -> None:
    expected = np.load(parity / "alphapose" / "expected.npz")
    pose = read_keypoints(parity / "alphapose" / "alphapose-results.json")[0].to("h36m-17")
    for name in ("crop_scaled", "pixel_scaled"):
        found = normalise(
            pose.points_px, pose.confidence, (854, 480), name.replace("_", "-"), np.empty_like(pose.points_px)
        )
        np.testing.assert_allclose(found, expected[name][..., :2], atol=1e-5)
        np.testing.assert_allclose(pose.confidence, expected[name][..., 2], atol=1e-6)


def test_clips_are_lifted_as_by_the_published_program(parity: Path) -> None:
    expected = np.load(parity / "alphapose" / "expected.npz")
    spec = importlib.util.spec_from_file_location("weights", parity / "weights.py")
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)
    model = build("repose")
    model.load_state_dict(weights.deterministic_state_dict(model))
    lifter = Lifter(model)
    rest = slice(243, 301)  # its second clip; the models' own tests have one of 243 frames
    found = lifter.lift_clips(expected["crop_scaled"][None, rest])[0]
    wanted = expected["repose_flip_output_clips_of_243"][rest]
    wanted = wanted - wanted[:, :1]
    # The published program moves the root of a clip's first frame, which spoils that frame's depths.
    np.testing.assert_allclose(found[1:], wanted[1:], atol=1e-5)
    np.testing.assert_allclose(found[0, :, :2], wanted[0, :, :2], atol=1e-5)


def test_screen_coordinates_are_human36ms() -> None:
    found = normalise(
        np.array([[[0.0, 0], [1000, 1002]]]), np.ones((1, 2)), (1000, 1002), "screen", np.empty((1, 2, 2))
    )
    np.testing.assert_allclose(found, [[[-1, -1.002], [1, 1.002]]])


def test_an_unknown_normalisation_is_refused() -> None:
    with pytest.raises(UserError, match="normalisation 'fancy': expected rays, screen"):
        Lifter(Fake(body, normalisation="fancy")).lift(filmed(walk(3)))


# Deviation


def uncertain(keypoints: Tensor) -> Tensor:
    """`BODY`, 2 cm uncertain in the right half of the picture, and 8 cm in the left one."""
    mirrored = keypoints[..., :1].mean(dim=(1, 2), keepdim=True) < 0
    deviation = torch.where(mirrored, 0.08, 0.02).expand(*keypoints.shape[:3], 1)
    return torch.cat([body(keypoints), deviation.log()], dim=-1)


def test_a_deviation_goes_with_the_joints_and_with_their_size() -> None:
    pose = filmed(walk(60))
    lifter = Lifter(Fake(uncertain), flip=False)
    found = lifter.lift(pose, height_m=HEIGHT_M / 2)
    one = lifter.lift(pose, height_m=HEIGHT_M)
    for lifted, size in ((found, 0.5), (one, 1.0)):
        assert lifted.deviation_m is not None
        moving = lifted.deviation_m[:, 1:]
        np.testing.assert_allclose(moving, moving[0, 0], rtol=1e-5)
        assert moving[0, 0] in (pytest.approx(0.02 * size, rel=1e-4), pytest.approx(0.08 * size, rel=1e-4))
    both = Lifter(Fake(uncertain)).lift(pose, height_m=HEIGHT_M)
    # Averaged as logarithms are.
    np.testing.assert_allclose(both.deviation_m[:, 1:], 0.04, rtol=1e-2)  # type: ignore[index]
    assert Lifter(Fake(body)).lift(pose).deviation_m is None


def leaping(keypoints: Tensor) -> Tensor:
    """`BODY`, a millimetre uncertain until half of the clip and a metre afterwards."""
    late = torch.arange(keypoints.shape[1]) >= keypoints.shape[1] // 2
    deviation = torch.where(late, 1.0, 0.001)[None, :, None, None].expand(*keypoints.shape[:3], 1)
    return torch.cat([body(keypoints), deviation.log()], dim=-1)


@pytest.mark.parametrize("fps", [23.976, 50.0, 120.0])
def test_a_deviation_is_positive_at_every_frame_rate(fps: float) -> None:
    pose = replace(filmed(walk(80)), fps=fps, times_s=np.arange(80) / fps)
    deviation = Lifter(Fake(leaping)).lift(pose).deviation_m
    assert deviation is not None
    moving = deviation[:, 1:]
    assert moving.min() > 0
    assert moving.max() / moving.min() == pytest.approx(1000, rel=0.01)


def test_the_root_is_where_it_is_by_definition() -> None:
    relative = Lifter(Fake(uncertain, root_relative=True)).lift(filmed(walk(9)))
    assert relative.deviation_m is not None
    assert (relative.deviation_m[:, 0] == 0).all()
    assert (relative.deviation_m[:, 1:] > 0).all()


def test_factors_apply_to_what_was_seen_and_what_was_hidden() -> None:
    knee = 5
    confidence = np.full((40, 17), 0.9)
    confidence[10:20, knee] = 0
    pose = filmed(walk(40), confidence=confidence)
    plain, scaled = (
        Lifter(Fake(uncertain, deviation_factors=factors)).lift(pose, height_m=HEIGHT_M).deviation_m
        for factors in ({}, {"seen": 2.0, "hidden": 5.0})
    )
    assert plain is not None
    assert scaled is not None
    factor = scaled[:, 1:] / plain[:, 1:]
    np.testing.assert_allclose(factor[10:20, knee - 1], 5.0, rtol=1e-5)
    np.testing.assert_allclose(factor[:10], 2.0, rtol=1e-5)
    np.testing.assert_allclose(np.delete(factor, knee - 1, axis=1), 2.0, rtol=1e-5)


def test_mediapipe_is_surer_of_itself_than_others() -> None:
    """Its confidence reaches the model, `seen` and the result on the scale of the other detectors."""
    knee = SKELETONS["mediapipe-33"].index("left_knee")
    points = np.random.default_rng(0).uniform(200, 500, (9, 33, 2))
    confidence = np.full((9, 33), 0.98)
    confidence[:, knee] = np.linspace(0, 1, 9)
    given: list[Tensor] = []

    def remember(keypoints: Tensor) -> Tensor:
        given.append(keypoints[0, :, 5, 2])
        return body(keypoints)

    pose = Pose2D(points, confidence, np.arange(9), 30.0, SIZE, SKELETONS["mediapipe-33"])
    lifted = Lifter(Fake(remember), flip=False).lift(pose)
    wanted = confidence[:, knee] ** 4
    np.testing.assert_allclose(given[0], wanted, rtol=1e-6)
    np.testing.assert_allclose(lifted.confidence[:, 5], wanted, rtol=1e-6)
    assert lifted.seen[:, 5].tolist() == [value >= 0.75 for value in confidence[:, knee]]
    other = Lifter(Fake(body)).lift(pose.to("h36m-17"))
    np.testing.assert_allclose(other.confidence[:, 5], confidence[:, knee], rtol=1e-6)


def test_keypoints_are_lifted_with_deviation_on_demand() -> None:
    keypoints = torch.rand(70, 17, 3).numpy()
    joints, deviation = Lifter(Fake(uncertain)).lift_with_deviation(keypoints)
    np.testing.assert_array_equal(joints, Lifter(Fake(uncertain)).lift_keypoints(keypoints))
    assert deviation.shape == (70, 17)
    with pytest.raises(UserError, match="one that gives a deviation, found joints alone"):
        Lifter(Fake(body)).lift_with_deviation(keypoints)


# Size and place


@pytest.mark.parametrize("height_m", [None, 1.2, 1.93])
def test_the_person_has_the_height(height_m: float | None) -> None:
    found = Lifter(tiny()).lift(filmed(walk(90)), height_m=height_m)
    assert np.median(stature(found.joints_m)) == pytest.approx(height_m or 1.7, rel=1e-5)
    assert found.scale == (f"given height {height_m} m" if height_m else "assumed height 1.70 m")
    assert ("height" in found.record["assumed"]) == (height_m is None)


def test_exact_joints_are_put_where_they_are() -> None:
    root = walk(200)
    pose = filmed(root)
    found = Lifter(Fake(body), flip=False).lift(pose, height_m=HEIGHT_M)
    assert found.coordinates == "camera"
    np.testing.assert_allclose(found.joints_m, BODY + root[:, None], atol=1e-4)
    np.testing.assert_allclose(Camera.assumed(SIZE).project(found.joints_m), pose.points_px, atol=0.02)
    assert found.intrinsics_px == Camera.assumed(SIZE).intrinsics_px
    assert found.record["assumed"] == ["field of view"]


def test_given_intrinsics_put_the_person_where_they_are() -> None:
    camera = Camera.from_intrinsics((900.0, 950.0, 600.0, 400.0))
    root = walk(30)
    pose = track(camera.project(BODY + root[:, None]))
    found = Lifter(Fake(body), flip=False).lift(pose, height_m=HEIGHT_M, intrinsics_px=camera.intrinsics_px)
    np.testing.assert_allclose(found.joints_m[:, 0], root, atol=1e-4)
    assert found.record["assumed"] == []
    assert found.intrinsics_px == camera.intrinsics_px


def test_hidden_joints_do_not_move_the_root() -> None:
    root = walk(60)
    pose = filmed(root)
    points, confidence = pose.points_px.copy(), pose.confidence.copy()
    legs = H36M_17.indices("left_knee", "left_ankle", "right_knee", "right_ankle")
    points[10:50, legs] = 0
    confidence[10:50, legs] = 0
    found = Lifter(Fake(body), flip=False).lift(
        replace(pose, points_px=points, confidence=confidence), height_m=HEIGHT_M
    )
    np.testing.assert_allclose(found.joints_m[:, 0], root, atol=1e-4)


def test_joints_that_are_never_seen_are_in_the_picture_where_the_answer_is() -> None:
    pose = filmed(walk(60))
    confidence = pose.confidence.copy()
    confidence[:, H36M_17.indices("left_knee", "left_ankle")] = 0
    confidence[20:30, H36M_17.index("right_wrist")] = 0
    found = Lifter(Fake(body), flip=False).lift(replace(pose, confidence=confidence), height_m=HEIGHT_M)
    assert found.points_px is not None
    np.testing.assert_allclose(found.points_px[:20], pose.points_px[:20], atol=0.1)
    wrist = found.points_px[20:30, H36M_17.index("right_wrist")]  # on a line, as before
    np.testing.assert_allclose(np.diff(wrist, n=2, axis=0), 0, atol=1e-3)


def test_without_the_root_joints_are_relative_to_the_pelvis() -> None:
    found = Lifter(Fake(body), flip=False).lift(filmed(walk(10)), root=False, height_m=HEIGHT_M)
    assert found.coordinates == "camera-root-relative"
    assert found.intrinsics_px is None
    np.testing.assert_allclose(found.joints_m, np.tile(BODY, (10, 1, 1)), atol=1e-6)
    # The default model's input depends on the lens, too.
    assert found.record["assumed"] == ["field of view"]
    plain = Lifter(Fake(body, normalisation="crop-scaled")).lift(filmed(walk(10)), root=False)
    assert plain.record["assumed"] == ["height"]


def test_a_body_in_units_of_the_picture_keeps_its_size_as_it_walks_away() -> None:
    """Published models answer in units of the picture, in which somebody far away is small."""

    def as_seen(keypoints: Tensor) -> Tensor:
        height = (keypoints[..., 1].amax(-1) - keypoints[..., 1].amin(-1))[..., None, None]
        return body(keypoints) * height

    root = np.stack([np.zeros(240), np.zeros(240), np.linspace(4, 10, 240)], axis=-1)
    model = Fake(as_seen, normalisation="screen", output="input")
    found = Lifter(model, flip=False).lift(filmed(root), height_m=HEIGHT_M)
    np.testing.assert_allclose(stature(found.joints_m), HEIGHT_M, rtol=0.01)
    np.testing.assert_allclose(found.joints_m[:, 0], root, atol=0.1)


def test_what_is_recorded_is_complete() -> None:
    pose = filmed(walk(40, 50.0), fps=50.0, track_id=3, assumed=("fps",), source="a.json: COCO results")
    found = Lifter(Fake(body), name="mine").lift(pose)
    assert (found.skeleton, found.fps, found.track_id, found.model) == (H36M_17, 50.0, 3, "mine")
    assert found.image_size == SIZE
    np.testing.assert_allclose(found.points_px, pose.points_px, atol=1e-3)
    assert found.record["assumed"] == ["fps", "height", "field of view"]
    assert found.record["source"] == "a.json: COCO results"
    assert found.record["model_frame_rate_hz"] == 30.0
    assert found.record["repose"]
    for array in (found.joints_m, found.confidence, found.points_px):
        assert array.dtype == np.float32


def test_other_layouts_are_converted_by_name(parity: Path) -> None:
    pose = read_keypoints(parity / "alphapose" / "alphapose-results.json", image_size=(854, 480))[0]
    assert pose.skeleton.name == "halpe-26"
    found = Lifter(tiny()).lift(pose)
    assert found.skeleton == H36M_17
    np.testing.assert_allclose(found.points_px[0], pose.to("h36m-17").points_px[0], atol=1e-3)


# Opening


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    model = tiny()
    save_checkpoint(tmp_path / "small.safetensors", model, model.spec)
    return tmp_path / "small.safetensors"


def test_a_checkpoint_is_opened_by_its_path(checkpoint: Path) -> None:
    pose = filmed(walk(40))
    found = repose.load(checkpoint).lift(pose)
    np.testing.assert_allclose(found.joints_m, Lifter(tiny()).lift(pose).joints_m, rtol=0, atol=1e-5)
    assert found.model == "small.safetensors"
    assert isinstance(repose.load(str(checkpoint)).spec, ModelSpec)


def test_bfloat16_is_near_float32(checkpoint: Path) -> None:
    pose = filmed(walk(40))
    exact = repose.load(checkpoint).lift(pose, root=False)
    rough = repose.load(checkpoint, precision="bfloat16").lift(pose, root=False)
    assert 0 < np.abs(exact.joints_m - rough.joints_m).max() < 0.05


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(
    device: Any, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"device '{device}': expected one that is available: cpu"):
        repose.load(checkpoint, device=device)


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(
        UserError, match=r"model 'defualt': expected a checkpoint file or one of .*, found neither"
    ):
        repose.load("defualt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"fov_deg": 60, "intrinsics_px": (1000, 1000, 640, 360)},
            "both intrinsics and a field of view were given",
        ),
        ({"height_m": 170}, "height_m: expected a person's height, 0.3 to 3 m, found 170"),
        ({"height_m": 0}, "height_m: expected a person's height, 0.3 to 3 m, found 0"),
        ({"max_gap_s": -1}, "max_gap_s: expected 0 to 60 seconds, found -1"),
        ({"max_gap_s": float("nan")}, "max_gap_s: expected 0 to 60 seconds, found nan"),
        ({"fov_deg": 0.0}, "field of view: expected 1 to 170 degrees"),
    ],
)
def test_nonsense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Lifter(Fake(body)).lift(filmed(walk(3)), **options)


def test_what_mediapipe_places_outside_the_picture_was_not_seen() -> None:
    """Its ankles lie under the lower edge; the same ankles are taken at their word from another detector."""
    for layout in ("mediapipe-33", "coco-17"):
        skeleton = SKELETONS[layout]
        points = np.full((8, len(skeleton), 2), [300.0, 200.0]) + np.arange(len(skeleton))[:, None]
        points[:, skeleton.indices("left_ankle", "right_ankle"), 1] = 500
        pose = Pose2D(points, np.ones(points.shape[:2]), np.arange(8), 30.0, (640, 480), skeleton)
        lifted = Lifter(tiny()).lift(pose)
        ankles = lifted.skeleton.indices("left_ankle", "right_ankle")
        assert lifted.seen[:, ankles].any() == (layout == "coco-17")
        assert lifted.seen[:, lifted.skeleton.index("left_knee")].all()
