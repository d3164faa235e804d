"""A motion with a network's faults, fitted to exact and to bad pictures of it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import repose
from repose.errors import UserError
from repose.fitting import FitOptions, fit
from repose.fitting.solver import OVERLAP, WINDOW, window_rows
from repose.geometry.camera import Camera
from repose.geometry.rotation import axis_angle_to_matrix
from repose.metrics import bone_lengths, p_mpjpe
from repose.pose import Pose3D
from repose.skeleton import H36M_17, stature

CAMERA = Camera.assumed((1280, 720))


def seen_by(pose: Pose3D, camera: Camera = CAMERA) -> Pose3D:
    """The pose with the keypoints of its own joints."""
    return replace(
        pose,
        points_px=camera.project(pose.joints_m).astype(np.float32),
        intrinsics_px=camera.intrinsics_px,
        seen=np.ones_like(pose.seen),
        confidence=np.ones(pose.seen.shape, dtype=np.float32),
    )


@pytest.fixture(scope="module")
def exact(true_pose: Pose3D) -> Pose3D:
    return seen_by(true_pose)


@pytest.fixture(scope="module")
def guessed(exact: Pose3D) -> Pose3D:
    """What a network makes of exact keypoints: joints drift about their place, in depth above all."""
    rng = np.random.default_rng(2)
    knots = rng.normal(size=(len(exact) // 15 + 2, 17, 3)) * [0.02, 0.02, 0.05]
    at = np.arange(len(exact)) / 15
    low = at.astype(int)
    drift = knots[low] + (at - low)[:, None, None] * (knots[low + 1] - knots[low])
    return replace(exact, joints_m=(exact.joints_m + drift).astype(np.float32))


def test_the_motion_agrees_with_the_picture_and_with_one_body(guessed: Pose3D, exact: Pose3D) -> None:
    fitted = fit(guessed)
    record = fitted.record["fit"]
    assert record["converged"]
    assert record["frames"] == len(guessed)
    assert record["frames_left"] == []
    assert record["after"]["reprojection"] < 0.3 * record["before"]["reprojection"]
    assert bone_lengths(fitted.joints_m.astype(np.float64), H36M_17).std(axis=0).max() < 1e-4
    error = [p_mpjpe(pose.joints_m.astype(np.float64), exact.joints_m).mean() for pose in (guessed, fitted)]
    assert error[1] < 0.8 * error[0]
    heights = [np.median(stature(pose.joints_m.astype(np.float64))) for pose in (guessed, fitted)]
    assert heights[1] == pytest.approx(heights[0], rel=1e-5)
    for name in ("seen", "confidence", "points_px", "frames", "times_s", "scale", "coordinates"):
        np.testing.assert_array_equal(getattr(fitted, name), getattr(guessed, name), err_msg=name)


def test_a_camera_that_turns_is_fitted_as_one_that_stands_still(guessed: Pose3D) -> None:
    """Each frame's camera sees what the still one sees, once its rays are turned as it is."""
    still = fit(guessed)
    R_view_cam = axis_angle_to_matrix(np.linspace(0, 0.3, len(guessed))[:, None] * [0.1, 1.0, 0.3])
    viewed = np.einsum("fij,fnj->fni", R_view_cam, still.joints_m.astype(np.float64))
    points = CAMERA.project(viewed).astype(np.float32)
    fitted = fit(replace(guessed, R_view_cam=R_view_cam, points_px=points))
    straight = fit(replace(guessed, points_px=CAMERA.project(still.joints_m).astype(np.float32)))
    assert fitted.record["fit"]["frames"] == len(guessed)
    np.testing.assert_allclose(fitted.joints_m, straight.joints_m, atol=0.02)
    assert fitted.record["fit"]["after"]["reprojection"] < 0.004


def test_a_right_answer_stays(exact: Pose3D) -> None:
    fitted = fit(exact)
    assert np.linalg.norm(fitted.joints_m - exact.joints_m, axis=-1).max() < 0.06


def test_keypoints_far_off_count_for_little(guessed: Pose3D, exact: Pose3D) -> None:
    """A wrist that the detector sees elsewhere for a second, sure of itself."""
    wrist = H36M_17.index("right_wrist")
    points = exact.points_px.copy()  # type: ignore[union-attr]
    points[100:130, wrist] += [150.0, -90.0]
    fitted = fit(replace(guessed, points_px=points))
    off_m = np.linalg.norm(fitted.joints_m - exact.joints_m, axis=-1)
    assert np.median(off_m[100:130, wrist]) < 0.12
    assert p_mpjpe(fitted.joints_m.astype(np.float64), exact.joints_m).mean() < 0.03


def test_a_wrong_place_that_the_detector_is_sure_of_is_not_believed(guessed: Pose3D, exact: Pose3D) -> None:
    """Knees and ankles lie at wrong places for a second; the network does not follow."""
    rng = np.random.default_rng(3)
    legs = H36M_17.indices("left_knee", "left_ankle", "right_knee", "right_ankle")
    points = exact.points_px.copy()  # type: ignore[union-attr]
    points[100:140, legs] += 45 * rng.normal(size=(4, 2))
    wrong = replace(guessed, points_px=points)
    off_m = {}
    for name, pose in (("fitted", fit(wrong)), ("believing", fit(wrong, doubt=False))):
        around = pose.root_relative_m() - exact.root_relative_m()
        off_m[name] = np.linalg.norm(around[100:140, legs], axis=-1).mean()
    assert off_m["fitted"] < 0.6 * off_m["believing"]


@pytest.mark.parametrize("bend_deg", [0.0, 50.0])
@pytest.mark.parametrize("yaw_deg", [0.0, 40.0, 80.0])
def test_legs_are_straight_where_the_picture_shows_straight_legs(
    exact: Pose3D, yaw_deg: float, bend_deg: float
) -> None:
    """Somebody stands still, seen from many sides; the network bends straight legs towards the camera.

    A leg that is bent stays so where the picture shows it.
    """
    standing = part(exact, slice(0, 60))
    joints = np.repeat(np.median(standing.joints_m, axis=0)[None], 60, axis=0)
    yaw = np.radians(yaw_deg)
    turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    ahead = np.cross(joints[0, 4] - joints[0, 1], [0, -1, 0]) @ turn.T
    ahead /= np.linalg.norm(ahead)

    def bent(degrees: float, ahead: np.ndarray) -> np.ndarray:
        body = (joints - joints[:, :1]) @ turn.T
        half = np.radians(degrees / 2)
        for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
            body[:, knee] = body[:, hip] + 0.43 * (np.cos(half) * np.array([0, 1, 0]) + np.sin(half) * ahead)
            body[:, ankle] = body[:, knee] + 0.42 * (
                np.cos(half) * np.array([0, 1, 0]) - np.sin(half) * ahead
            )
        return body + np.array([0.0, 0.0, 4.0])

    true = seen_by(replace(standing, joints_m=bent(bend_deg, ahead)))
    guess = bent(18.0, np.array([0, 0, -1])) if bend_deg == 0 else bent(35.0, ahead)
    fitted = fit(replace(true, joints_m=guess, deviation_m=np.full(true.seen.shape, 0.07)))
    thigh, shank = (
        fitted.joints_m[:, [b, b + 3]] - fitted.joints_m[:, [a, a + 3]] for a, b in ((1, 2), (2, 3))
    )
    cosine = (thigh * shank).sum(-1) / np.linalg.norm(thigh, axis=-1) / np.linalg.norm(shank, axis=-1)
    flexion_deg = np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean()
    assert flexion_deg < 8 if bend_deg == 0 else flexion_deg > 25


def test_a_root_that_leaps_is_put_right(guessed: Pose3D, exact: Pose3D) -> None:
    """Where a network is at a loss, the root may be solved to be anywhere along the line of sight."""
    leaping = guessed.joints_m.astype(np.float64)
    for rows, share in ((slice(100, 112), 0.2), (slice(115, 118), 2.5)):
        root = leaping[rows, :1]
        leaping[rows] += (share - 1) * root
    fitted = fit(replace(guessed, joints_m=leaping.astype(np.float32)))
    assert fitted.record["fit"]["frames_left"] == []
    distance_m = np.linalg.norm(fitted.joints_m[:, 0], axis=-1)
    np.testing.assert_allclose(distance_m, np.linalg.norm(exact.joints_m[:, 0], axis=-1), rtol=0.1)
    assert p_mpjpe(fitted.joints_m.astype(np.float64), exact.joints_m).mean() < 0.03


def test_hidden_joints_are_not_drawn_to_their_filled_points(guessed: Pose3D) -> None:
    ankle = H36M_17.index("left_ankle")
    seen, points = guessed.seen.copy(), guessed.points_px.copy()  # type: ignore[union-attr]
    seen[:, ankle] = False
    moved = points.copy()
    moved[:, ankle] += 200.0
    one, other = (fit(replace(guessed, seen=seen, points_px=place)) for place in (points, moved))
    np.testing.assert_allclose(one.joints_m, other.joints_m, atol=1e-6)


def test_windows_agree(guessed: Pose3D) -> None:
    """A long track, of which most windows come after the lengths are known, is as good as a short one."""
    times = 12
    long = replace(
        guessed,
        joints_m=np.concatenate([guessed.joints_m] * times),
        seen=np.concatenate([guessed.seen] * times),
        confidence=np.concatenate([guessed.confidence] * times),
        points_px=np.concatenate([guessed.points_px] * times),
        deviation_m=np.concatenate([guessed.deviation_m] * times),
        frames=np.arange(times * len(guessed)),
        # A pause between the pieces, over which nothing is smooth.
        times_s=(np.arange(times)[:, None] * 30 + guessed.times_s).ravel(),
    )
    done: list[tuple[int, int]] = []
    fitted = fit(long, on_progress=lambda now, total: done.append((now, total)))
    assert len(list(window_rows(len(long)))) > 8
    assert done[-1] == (len(long), len(long))
    assert bone_lengths(fitted.joints_m.astype(np.float64), H36M_17).std(axis=0).max() < 1e-4
    pieces = fitted.joints_m.reshape(times, *guessed.joints_m.shape)
    assert np.abs(pieces - fit(guessed).joints_m).max() < 0.05
    assert np.abs(pieces - fit(guessed).joints_m).mean() < 0.003


def test_the_same_every_time(guessed: Pose3D) -> None:
    np.testing.assert_array_equal(fit(guessed).joints_m, fit(guessed).joints_m)


@given(st.integers(1, 5000))
def test_windows_cover_every_frame_and_overlap(frames: int) -> None:
    rows = list(window_rows(frames))
    assert rows[0].start == 0
    assert rows[-1].stop == frames
    assert all(rows.stop - rows.start <= WINDOW + 1 for rows in rows)
    for first, second in pairwise(rows):
        assert first.stop - second.start == OVERLAP


@pytest.mark.parametrize("term", ["bone_deviation_m", "symmetry_deviation_m", "acceleration_m_s2"])
def test_each_term_can_be_left_out(guessed: Pose3D, term: str) -> None:
    without, fitted = fit(guessed, **{term: None}), fit(guessed)
    assert np.isfinite(without.joints_m).all()
    assert np.abs(without.joints_m - fitted.joints_m).max() > 1e-3


def test_options_are_checked(guessed: Pose3D) -> None:
    with pytest.raises(UserError, match=r"acceleration_m_s2: expected 0\.01 to 10000"):
        fit(guessed, acceleration_m_s2=-1.0)
    with pytest.raises(UserError, match="unknown option speed"):
        fit(guessed, speed=1)
    with pytest.raises(UserError, match="keypoint_scale"):
        FitOptions(keypoint_scale=float("nan"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"coordinates": "camera-root-relative"}, "where the person stands is not known"),
        ({"intrinsics_px": None}, "where the person stands is not known"),
        ({"points_px": None}, "the result has no keypoints"),
        ({"seen": np.zeros((4, 17), dtype=bool)}, "no frame has 4 joints"),
    ],
)
def test_what_cannot_be_fitted_comes_back_and_says_why(
    guessed: Pose3D, change: dict[str, object], why: str
) -> None:
    few = part(guessed, slice(0, 4))
    same = fit(replace(few, **change))  # type: ignore[arg-type]
    np.testing.assert_array_equal(same.joints_m, few.joints_m)
    assert why in same.record["fit"]["left_out"]


def part(pose: Pose3D, rows: slice) -> Pose3D:
    return replace(
        pose,
        joints_m=pose.joints_m[rows],
        seen=pose.seen[rows],
        confidence=pose.confidence[rows],
        points_px=None if pose.points_px is None else pose.points_px[rows],
        deviation_m=None if pose.deviation_m is None else pose.deviation_m[rows],
        frames=pose.frames[rows],
        times_s=pose.times_s[rows],
    )


@settings(max_examples=25, deadline=None)
@given(
    first=st.integers(0, 280),
    frames=st.integers(1, 8),
    seed=st.integers(0, 1000),
    share=st.floats(0, 1),
    far_px=st.sampled_from([0.0, 5.0, 300.0, 1e5]),
    lens=st.sampled_from([0.5, 1.0, 2.0]),
    place_m=st.sampled_from([0.0, 0.9, -30.0]),
)
def test_no_input_moves_anybody_by_metres(
    guessed: Pose3D,
    first: int,
    frames: int,
    seed: int,
    share: float,
    far_px: float,
    lens: float,
    place_m: float,
) -> None:
    """Single frames, hidden and misplaced joints, a lens twice too long or short, people near the camera."""
    rng = np.random.default_rng(seed)
    pose = part(guessed, slice(first, first + frames))
    fx, fy, cx, cy = CAMERA.intrinsics_px
    near = pose.joints_m - [0, 0, max(min(place_m, pose.joints_m[..., 2].min() - 0.2), -30.0)]
    pose = replace(
        pose,
        joints_m=near.astype(np.float32),
        seen=rng.random(pose.seen.shape) < share,
        points_px=(pose.points_px + far_px * rng.normal(size=(*pose.seen.shape, 2))).astype(np.float32),
        intrinsics_px=(lens * fx, lens * fy, cx, cy),
    )
    fitted = fit(pose)
    assert np.isfinite(fitted.joints_m).all()
    assert fitted.deviation_m is not None
    assert np.isfinite(fitted.deviation_m).all()
    around = fitted.root_relative_m() - pose.root_relative_m()
    assert np.linalg.norm(around, axis=-1).max() < 0.7
    distance = np.linalg.norm(pose.joints_m[:, 0], axis=-1)
    assert (np.linalg.norm((fitted.joints_m - pose.joints_m)[:, 0], axis=-1) < 0.4 * distance).all()
    record = fitted.record["fit"]
    left = sum(last - first + 1 for first, last in record.get("frames_left", []))
    assert record["frames"] + left == len(pose) or record["left_out"]


def test_estimate_fits_unless_told_not_to(track_of_sample: repose.Pose2D, lifter: repose.Lifter) -> None:
    """As its user runs it; the network alone is what `Lifter.lift` gives."""
    (fitted,) = repose.estimate(track_of_sample, lifter=lifter)
    (bare,) = repose.estimate(track_of_sample, lifter=lifter, fit=False)
    assert "fit" not in bare.record
    np.testing.assert_allclose(bare.joints_m, lifter.lift(track_of_sample).joints_m, atol=1e-5)
    assert fitted.record["fit"]["after"]["bone_variation"] < 1e-4
    (relative,) = repose.estimate(track_of_sample, lifter=lifter, root=False)
    assert relative.coordinates == "camera-root-relative"
    np.testing.assert_allclose(relative.joints_m, fitted.root_relative_m(), atol=1e-6)


@pytest.fixture(scope="module")
def lifter() -> repose.Lifter:
    return repose.load()


@pytest.fixture(scope="module")
def track_of_sample(exact: Pose3D) -> repose.Pose2D:
    return repose.Pose2D(
        points_px=exact.points_px[:120],  # type: ignore[index]
        confidence=exact.confidence[:120],
        frames=exact.frames[:120],
        fps=exact.fps,
        image_size=(1280, 720),
        skeleton=H36M_17,
    )
