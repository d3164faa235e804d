"""Refining whole results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import repose
from repose.errors import UserError
from repose.export.upright import to_world, up_note
from repose.fitting import FitOptions, RefineConfig, refine
from repose.metrics import acceleration_error, p_mpjpe, procrustes_align
from repose.pose import Pose2D, Pose3D
from repose.sample import SampleTruth
from repose.skeleton import H36M_17, H36M_FEET, stature
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.viewer.scene import make_scene

RNG = np.random.default_rng(0)


def in_camera(pose: Pose3D) -> np.ndarray:
    T = pose.T_cam_world
    assert T is not None
    return pose.joints_m @ T[:3, :3].T + T[:3, 3]


@pytest.fixture(scope="module")
def jittery(true_pose: Pose3D) -> Pose3D:
    """The truth with a lifter's faults: jitter, depth above all, bones that stretch, and spikes."""
    joints = true_pose.joints_m + 0.01 * RNG.normal(size=true_pose.joints_m.shape)
    joints[..., 2] += 0.05 * RNG.normal(size=(len(joints), 1))
    joints[[40, 120], H36M_17.index("left_wrist")] += 0.4
    return replace(true_pose, joints_m=joints.astype(np.float32))


def test_everything_gets_better_and_is_said(jittery: Pose3D, true_pose: Pose3D, truth: SampleTruth) -> None:
    (clean,) = refine(jittery)
    assert clean.coordinates == "world"
    before, after = clean.record["refined"]["before"], clean.record["refined"]["after"]
    assert after["acceleration_m_s2"] < before["acceleration_m_s2"] / 5
    assert before["bone_variation"] > 0.03
    assert after["bone_variation"] < 1e-6
    assert after["foot_skating_m_s"] < before["foot_skating_m_s"] / 20
    assert after["foot_height_m"] < 0.01
    assert after["tilt_deg"] == pytest.approx(0, abs=1e-5)
    assert before["tilt_deg"] == pytest.approx(9, abs=3)  # the sample's camera looks down by 9 degrees
    assert clean.record["refined"]["spikes"] >= 2
    assert clean.record["refined"]["converged"]
    assert list(clean.record["refined"]["steps"]) == ["spikes", "smoothing", "bones", "gravity", "feet"]
    assert p_mpjpe(in_camera(clean), true_pose.joints_m).mean() < 0.010
    assert p_mpjpe(jittery.joints_m.astype(float), true_pose.joints_m).mean() > 0.014
    assert clean.T_cam_world is not None
    tilt = np.degrees(np.arccos(clean.T_cam_world[:3, 2] @ truth.T_cam_world[:3, 2]))
    assert tilt < 3


def test_the_person_stands_on_the_ground(jittery: Pose3D) -> None:
    (clean,) = refine(jittery)
    ankles = clean.joints_m[:, H36M_17.indices("left_ankle", "right_ankle"), 2]
    height = float(np.median(stature(clean.joints_m.astype(np.float64))))
    assert np.median(ankles.min(axis=1)) == pytest.approx(0.039 * height, abs=0.01)
    assert ankles.min() > 0.0
    assert clean.joints_m[:, H36M_17.index("head_top"), 2].max() > 1.2
    np.testing.assert_allclose(in_camera(clean), jittery.joints_m, atol=0.5)


def test_what_was_seen_stays_what_it_was(jittery: Pose3D) -> None:
    (clean,) = refine(jittery)
    for name in ("seen", "confidence", "points_px", "deviation_m", "frames", "times_s"):
        np.testing.assert_array_equal(getattr(clean, name), getattr(jittery, name), err_msg=name)
    assert clean.joints_m.dtype == jittery.joints_m.dtype
    assert (clean.model, clean.scale, clean.fps) == (jittery.model, jittery.scale, jittery.fps)
    assert clean.record["assumed"] == []
    assert "refined" not in jittery.record


def test_files_keep_it(jittery: Pose3D, tmp_path: Path) -> None:
    (clean,) = refine(jittery)
    repose.write_poses([clean], tmp_path / "out")
    (read,) = repose.read_poses(tmp_path / "out")
    np.testing.assert_array_equal(read.T_cam_world, clean.T_cam_world)
    assert read.coordinates == "world"
    assert read.record["refined"] == clean.record["refined"]


def test_given_angles_win(jittery: Pose3D) -> None:
    (clean,) = refine(jittery, camera_pitch_deg=9, camera_roll_deg=0)
    assert clean.record["refined"]["camera_pitch_deg"] == 9
    assert clean.record["refined"]["up_deviation_deg"] is None
    (other,) = refine(clean, camera_pitch_deg=30, camera_roll_deg=5)
    assert other.record["refined"]["camera_pitch_deg"] == 30
    assert other.record["refined"]["before"]["tilt_deg"] == pytest.approx(21.5, abs=0.5)


def test_a_refined_result_keeps_its_world(jittery: Pose3D) -> None:
    (once,) = refine(jittery)
    (twice,) = refine(once)
    np.testing.assert_allclose(twice.T_cam_world, once.T_cam_world)
    assert twice.record["refined"]["steps"]["gravity"] == "known already"
    assert np.linalg.norm(twice.joints_m - once.joints_m, axis=-1).mean() < 0.01


def test_a_given_height_scales_everything(jittery: Pose3D) -> None:
    (clean,) = refine(jittery, height_m=1.9)
    (plain,) = refine(jittery)
    was = float(np.median(stature(jittery.joints_m.astype(np.float64))))
    assert np.median(stature(clean.joints_m.astype(np.float64))) == pytest.approx(1.9, abs=0.01)
    assert clean.scale == "given height 1.9 m"
    np.testing.assert_allclose(clean.deviation_m, 0.05 * 1.9 / was, rtol=1e-5)
    assert clean.T_cam_world is not None
    assert plain.T_cam_world is not None
    taller = np.linalg.norm(clean.T_cam_world[:3, 3]) / np.linalg.norm(plain.T_cam_world[:3, 3])
    assert taller == pytest.approx(1.9 / was, rel=0.02)
    (again,) = refine(plain, height_m=1.9)
    assert again.T_cam_world is not None
    np.testing.assert_allclose(again.T_cam_world[:3, 3], plain.T_cam_world[:3, 3] * 1.9 / was, rtol=0.01)


STEPS = {"spikes": False, "smoothing": "off", "bones": False, "gravity": False, "feet": False}


@pytest.mark.parametrize("step", STEPS)
def test_every_step_can_be_left_out(step: str, jittery: Pose3D) -> None:
    (clean,) = refine(jittery, **{step: STEPS[step]})
    done = clean.record["refined"]["steps"]
    assert step not in done
    if step == "gravity":
        assert clean.record["refined"]["left_out"] == {"feet": "needs gravity"}
        assert clean.coordinates == "camera"
        assert clean.T_cam_world is None
    else:
        assert set(done) == {"spikes", "smoothing", "bones", "gravity", "feet"} - {step}


def test_a_step_left_out_is_left_out_of_the_fit_before() -> None:
    assert RefineConfig().fit_options == FitOptions()
    without = RefineConfig(bones=False, smoothing="off").fit_options
    assert without == FitOptions(bone_deviation_m=None, symmetry_deviation_m=None, acceleration_m_s2=None)


def test_without_any_step_nothing_changes(jittery: Pose3D) -> None:
    (same,) = refine(jittery, RefineConfig(**STEPS))
    np.testing.assert_array_equal(same.joints_m, jittery.joints_m)
    assert same.record["refined"]["before"] == same.record["refined"]["after"]


def test_relative_to_the_root_there_is_no_ground_and_that_is_said(jittery: Pose3D) -> None:
    relative = replace(jittery, joints_m=jittery.root_relative_m(), coordinates="camera-root-relative")
    (clean,) = refine(relative)
    refined = clean.record["refined"]
    assert clean.coordinates == "camera-root-relative"
    assert list(refined["steps"]) == ["spikes", "smoothing", "bones"]
    assert set(refined["left_out"]) == {"gravity", "feet"}
    assert "relative to the root" in refined["left_out"]["feet"]
    assert refined["after"]["foot_skating_m_s"] is None
    assert refined["after"]["acceleration_m_s2"] < refined["before"]["acceleration_m_s2"] / 3
    np.testing.assert_allclose(clean.joints_m[:, 0], 0, atol=1e-6)


def test_two_people_share_a_world(jittery: Pose3D) -> None:
    other = replace(jittery, joints_m=jittery.joints_m + np.float32([0.8, 0, 0]), track_id=7)
    relative = replace(
        jittery, joints_m=jittery.root_relative_m(), coordinates="camera-root-relative", track_id=8
    )
    clean = refine([jittery, other, relative])
    assert [pose.track_id for pose in clean] == [0, 7, 8]
    np.testing.assert_array_equal(clean[0].T_cam_world, clean[1].T_cam_world)
    assert [pose.coordinates for pose in clean] == ["world", "world", "camera-root-relative"]


def test_somebody_on_a_roof_stays_there(jittery: Pose3D) -> None:
    short = {
        name: getattr(jittery, name)[:100]
        for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px", "deviation_m")
    }
    short["joints_m"] = short["joints_m"] + np.float32([0, -2, 0])
    roof = replace(jittery, track_id=1, **short)
    ground, above = refine([jittery, roof])
    assert above.record["refined"]["ground_m"] == pytest.approx(2, abs=0.15)
    assert ground.record["refined"]["ground_m"] == 0
    assert above.record["refined"]["after"]["foot_height_m"] < 0.03


@pytest.mark.parametrize("fps", [12.5, 25, 120])
def test_other_frame_rates(fps: float, truth: SampleTruth, true_pose: Pose3D) -> None:
    times = np.arange(0, (len(true_pose) - 1) / truth.fps, 1 / fps)
    flat = true_pose.joints_m.reshape(len(true_pose), -1)
    joints = np.stack([np.interp(times, true_pose.times_s, column) for column in flat.T], axis=-1)
    joints = joints.reshape(-1, 17, 3)
    noisy = joints + 0.01 * RNG.normal(size=joints.shape)
    pose = Pose3D(
        noisy, np.ones(joints.shape[:2], bool), np.arange(len(times)), fps, H36M_17, coordinates="camera"
    )
    (clean,) = refine(pose)
    assert p_mpjpe(in_camera(clean), joints).mean() < p_mpjpe(noisy, joints).mean()
    assert clean.record["refined"]["after"]["foot_skating_m_s"] < 0.03
    assert clean.T_cam_world is not None
    assert np.degrees(np.arccos(clean.T_cam_world[:3, 2] @ truth.T_cam_world[:3, 2])) < 4


def test_gaps_and_missing_frames(jittery: Pose3D, true_pose: Pose3D) -> None:
    kept = np.r_[0:50, 51:52, 53:100, 190:288]
    cut = replace(
        jittery,
        **{
            name: getattr(jittery, name)[kept]
            for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px", "deviation_m")
        },
    )
    (clean,) = refine(cut)
    np.testing.assert_array_equal(clean.frames, cut.frames)
    assert p_mpjpe(in_camera(clean), true_pose.joints_m[kept]).mean() < 0.010
    assert clean.record["refined"]["after"]["bone_variation"] < 1e-6


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_a_handful_of_frames(frames: int, jittery: Pose3D) -> None:
    few = replace(
        jittery,
        **{
            name: getattr(jittery, name)[:frames]
            for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px", "deviation_m")
        },
    )
    (clean,) = refine(few)
    assert len(clean) == frames
    assert np.isfinite(clean.joints_m).all()


@pytest.mark.parametrize("fps", [15, 30, 120])
def test_spikes_go_and_nothing_else_moves(fps: int, true_pose: Pose3D) -> None:
    """Without smoothing: a wrist somewhere else for a frame, and somebody somewhere else."""
    times = np.arange(0, (len(true_pose) - 1) / true_pose.fps, 1 / fps)
    flat = true_pose.joints_m.reshape(len(true_pose), -1)
    joints = np.stack([np.interp(times, true_pose.times_s, column) for column in flat.T], axis=-1)
    joints = joints.reshape(-1, 17, 3)
    spiky, wrist = joints.copy(), H36M_17.index("left_wrist")
    spiky[[2 * fps, 5 * fps], wrist] += [0.4, 0.0, -0.3]
    spiky[3 * fps] += [1.0, 0.0, 0.0]
    pose = Pose3D(spiky, np.ones(spiky.shape[:2], bool), np.arange(len(times)), fps, H36M_17)
    pose = replace(pose, coordinates="camera")
    (clean,) = refine(pose, **{**STEPS, "spikes": True})
    off_m = np.linalg.norm(clean.joints_m - joints, axis=-1)
    assert clean.record["refined"]["spikes"] == 2
    assert off_m[[2 * fps, 5 * fps], wrist].max() < 0.12
    assert np.linalg.norm(clean.joints_m[3 * fps, 0] - joints[3 * fps, 0]) < 0.25
    usual = np.delete(
        off_m, np.r_[2 * fps - 2 : 2 * fps + 3, 3 * fps - 2 : 3 * fps + 3, 5 * fps - 2 : 5 * fps + 3], axis=0
    )
    assert usual.max() < 0.01


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"height_m": 17}, "height"),
        ({"cutoff_hz": 0}, "cutoff"),
        ({"depth_cutoff_hz": float("nan")}, "depth_cutoff_hz"),
        ({"smoothing": "median"}, "smoothing"),
        ({"camera_pitch_deg": 10}, "pitch and camera roll"),
        ({"camera_pitch_deg": 100, "camera_roll_deg": 0}, "camera_pitch_deg"),
        ({"cutof_hz": 3}, "unknown option cutof_hz"),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], words: str, jittery: Pose3D) -> None:
    with pytest.raises(UserError, match=words):
        refine(jittery, **options)


def mediapipe(folder: Path, clip: str) -> Pose2D:
    found = np.load(folder / f"mediapipe_{clip}.npz")
    width, height = found["size"].tolist()
    frames = np.flatnonzero(found["detected"])
    confidence = np.clip(found["visibility"][frames], 0, 1)
    points, fps = found["xy_px"][frames], float(found["fps"])
    return Pose2D(points, confidence, frames, fps, (width, height), "mediapipe-33")


def real_man(clip: str, shared: Path, *, fit: bool) -> tuple[Pose3D, np.ndarray, np.ndarray, list[int]]:
    """The pose of Pose2Sim's clip, the true joints, true up, and which joints are known."""
    if "default" not in repose.models.packaged_weights():
        pytest.skip("needs the packaged weights (src/repose/models/weights/default.safetensors)")
    folder = shared / "video" / "pose2sim_single"
    truth = np.load(folder / "gt_single.npz")
    (pose,) = repose.estimate(mediapipe(folder, clip), fit=fit)
    joints = pose.skeleton.indices(*truth["joint_names"].tolist())
    return pose, truth["joints_m"][pose.frames].astype(np.float64), truth[f"{clip}_R"] @ [0, 0, 1], joints


def errors(pose: Pose3D, target: np.ndarray, joints: list[int]) -> tuple[float, float]:
    """P-MPJPE in metres and error of the acceleration in m/s², 12 joints, frames 1 to 99."""
    found = pose.joints_m[:, joints].astype(np.float64)[1:]
    aligned = procrustes_align(found.reshape(1, -1, 3), target[1:].reshape(1, -1, 3)).reshape(found.shape)
    steady = acceleration_error(aligned, target[1:], pose.fps).mean()
    return float(p_mpjpe(found, target[1:]).mean()), float(steady)


@pytest.mark.parametrize("clip", ["cam01", "cam02"])
def test_a_real_man_in_balance(clip: str, shared: Path) -> None:
    """Up within 3.5°, no higher P-MPJPE, a fifth of the acceleration error, also without the keypoints."""
    raw, target, true_up, joints = real_man(clip, shared, fit=False)
    raw_m, raw_m_s2 = errors(raw, target, joints)
    for fitted in (True, False):
        (clean,) = refine(raw, fit=fitted)
        clean_m, clean_m_s2 = errors(clean, target, joints)
        assert clean_m <= raw_m
        assert clean_m_s2 <= raw_m_s2 / 5
        assert clean.T_cam_world is not None
        assert np.degrees(np.arccos(clean.T_cam_world[:3, 2] @ true_up)) < 3.5
        assert clean.record["refined"]["after"]["bone_variation"] < 0.01
        assert clean.record["refined"]["after"]["foot_skating_m_s"] < 0.01
        assert ("fit" in clean.record) == fitted


@pytest.mark.parametrize("clip", ["cam01", "cam02"])
def test_a_fitted_result_gets_no_worse(clip: str, shared: Path) -> None:
    """Keypoints that were fitted are not asked twice."""
    fitted, target, _, joints = real_man(clip, shared, fit=True)
    (clean,) = refine(fitted)
    assert "fit" not in clean.record["refined"]["steps"]
    for after, before in zip(errors(clean, target, joints), errors(fitted, target, joints), strict=True):
        assert after < 1.003 * before


def test_three_people_share_lens_up_and_ground(shared: Path) -> None:
    """The same man, a bystander, and a rendered woman whose camera is another: she leans by 50°."""
    if "default" not in repose.models.packaged_weights():
        pytest.skip("needs the packaged weights (src/repose/models/weights/default.safetensors)")
    folder = shared / "video" / "pose2sim_multi"
    true_up = np.load(folder / "gt_adult.npz")["cam01_R"] @ [0, 0, 1]
    lifted = repose.estimate(folder / "openpose_json" / "cam01")
    assert len(lifted) == 3
    assert len({pose.intrinsics_px for pose in lifted}) == 1
    for people in (lifted, lifted[::-1]):
        clean = refine(people)
        for pose in clean:
            np.testing.assert_array_equal(pose.T_cam_world, clean[0].T_cam_world)
        assert clean[0].T_cam_world is not None
        assert np.degrees(np.arccos(clean[0].T_cam_world[:3, 2] @ true_up)) < 7
        assert sum(pose.record["refined"]["ground_m"] == 0 for pose in clean) == 2


def test_a_floor_above_the_head_moves_nobody(jittery: Pose3D) -> None:
    """A world that is not this one's has its ground three metres above somebody whose feet are hidden."""
    up = np.array([0.0, -1.0, 0.0])
    T_cam_world = np.eye(4)
    T_cam_world[:3, :3] = np.stack([[0, 0, 1], [-1, 0, 0], up], axis=1)
    T_cam_world[:3, 3] = 3.0 * up + [0, jittery.joints_m[..., 1].min(), 0]
    seen = jittery.seen.copy()
    seen[100:180, H36M_17.indices("left_ankle", "right_ankle")] = False
    for given in (jittery, replace(jittery, seen=seen)):
        (clean,) = refine(replace(given, T_cam_world=T_cam_world))
        np.testing.assert_allclose(clean.T_cam_world, T_cam_world)
        (free,) = refine(replace(given, T_cam_world=T_cam_world), feet=False)
        assert np.linalg.norm(clean.joints_m - free.joints_m, axis=-1).max() < 0.5
        assert clean.record["refined"]["ground_m"] < -3
        assert clean.record["refined"]["after"]["foot_height_m"] < 0.05


def test_who_goes_below_the_ground_unseen_stays_there(jittery: Pose3D) -> None:
    """Down some stairs behind a wall: feet that are metres below the ground are not raised to it."""
    joints, seen = jittery.joints_m.copy(), np.ones_like(jittery.seen)
    down = slice(150, len(joints))
    joints[down] += np.float32([0, 2.5, 0])
    seen[down, H36M_17.indices("left_ankle", "right_ankle")] = False
    (clean,) = refine(replace(jittery, joints_m=joints, seen=seen), camera_pitch_deg=9, camera_roll_deg=0)
    (free,) = refine(
        replace(jittery, joints_m=joints, seen=seen), feet=False, camera_pitch_deg=9, camera_roll_deg=0
    )
    assert np.linalg.norm(clean.joints_m - free.joints_m, axis=-1).max() < 0.3


def test_hidden_feet_do_not_go_below_the_ground(true_pose: Pose3D, truth: SampleTruth) -> None:
    """The legs of somebody who squats behind a counter, lifted as if they stood; seen feet stay."""
    up, ankles = truth.T_cam_world[:3, 2], H36M_17.indices("left_ankle", "right_ankle")
    sunk_m = 0.3 * np.exp(-((true_pose.times_s - 5) ** 2))[:, None, None]
    sunk = replace(true_pose, joints_m=true_pose.joints_m - sunk_m * up)
    lowest = {}
    for name, hidden in (("seen", False), ("hidden", True)):
        seen = np.ones_like(sunk.seen)
        seen[sunk_m[:, 0, 0] > 0.02] = ~np.isin(np.arange(17), ankles) | (not hidden)
        (clean,) = refine(replace(sunk, seen=seen), camera_pitch_deg=9, camera_roll_deg=0)
        soles = clean.joints_m[:, ankles, 2] - 0.039 * np.median(stature(clean.joints_m.astype(float)))
        lowest[name] = soles.min()
        assert np.isfinite(clean.joints_m).all()
    assert lowest["seen"] < -0.2
    assert lowest["hidden"] > -0.03


def test_feet_that_slide_are_stopped_by_moving_the_person(true_pose: Pose3D, truth: SampleTruth) -> None:
    """Depth drifts to and fro, as that of a lifted person does; the truth comes out."""
    drift = 0.15 * np.sin(2 * np.pi * 0.7 * true_pose.times_s)[:, None, None] * [0, 0, 1.0]
    seen = np.ones_like(true_pose.seen)
    adrift = replace(true_pose, joints_m=true_pose.joints_m + drift, seen=seen)
    free, held = (in_camera(refine(adrift, feet=feet)[0]) for feet in (False, True))
    wobble = [
        np.std(np.linalg.norm(joints - true_pose.joints_m, axis=-1), axis=0).mean() for joints in (free, held)
    ]
    assert wobble[1] < 0.6 * wobble[0]


def test_heels_and_toes_rest_on_the_ground() -> None:
    """Of a layout with feet; of its ankles, those of tiptoes move."""
    (world,) = make_motion(ProceduralConfig(clips=1, seconds=4, p_gait=1), 6, H36M_FEET)
    joints = world[..., [0, 2, 1]] * [1, -1, 1] - world[0, 0, [0, 2, 1]] * [1, -1, 1] + [0, 0, 5]
    drift = 0.1 * np.sin(4 * np.arange(len(world)) / 60)[:, None, None] * [0.3, 0, 1.0]
    there = np.ones(joints.shape[:2], bool)
    pose = Pose3D(joints + drift, there, np.arange(len(world)), 60.0, H36M_FEET, coordinates="camera")
    (clean,) = refine(pose)
    feet = H36M_FEET.indices("left_heel", "right_heel", "left_big_toe", "right_big_toe")
    speed = np.linalg.norm(np.diff(world[:, feet], axis=0), axis=-1) * 60
    rests = (speed < 0.15) & (world[1:, feet, 2] < 0.04)
    assert rests.any(axis=0).all()
    found, given = (
        np.linalg.norm(np.diff(each[:, feet], axis=0), axis=-1)[rests].mean() * 60
        for each in (clean.joints_m, pose.joints_m)
    )
    assert found < given / 4
    assert np.abs(clean.joints_m[1:, feet, 2][rests]).mean() < 0.02
    lengths = [
        np.linalg.norm(clean.joints_m[:, c] - clean.joints_m[:, p], axis=-1) for c, p in H36M_FEET.bones
    ]
    assert np.ptp(lengths, axis=1).max() < 1e-4


def test_every_output_says_the_same_of_up(jittery: Pose3D) -> None:
    seen = jittery.seen.copy()
    seen[:, H36M_17.indices("left_knee", "left_ankle", "right_knee", "right_ankle")] = False
    for pose, words in ((jittery, "Up is from balance"), (replace(jittery, seen=seen), "Up is not known.")):
        (clean,) = refine(pose)
        note = up_note(clean)
        assert note.startswith(words)
        assert "give or take" in note
        assert note in make_scene([clean]).notes
        assert to_world([clean])[0].record["world"] == note
        (again,) = refine(clean)
        assert up_note(again) == note
        (given,) = refine(clean, camera_pitch_deg=9, camera_roll_deg=0)
        assert up_note(given) == "Up is from camera pitch and roll as given."
