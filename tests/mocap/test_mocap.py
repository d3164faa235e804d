"""Motion capture of every kind as Human3.6M joints: lopsided bodies by hand, and the shared recordings."""

from pathlib import Path

import numpy as np
import pytest
from bodies import assert_places, bvh, place
from hypothesis import given
from hypothesis import strategies as st

from repose.errors import UserError
from repose.mocap.recordings import (
    H36M,
    VALIDATION_SUBJECTS,
    MocapClip,
    hold_out,
    is_cmu_pack,
    read_cmu,
    read_mocap,
    read_split,
    resample,
    split_at_jumps,
)

# Joint -> (parent, offset in cm). y is up; the body looks along +z, so +x is its left. All bones differ.
MIXAMO = {
    "Hips": ("", (0, 100, 0)),
    "Spine": ("Hips", (0, 10, 1)),
    "Spine1": ("Spine", (0, 12, 0)),
    "Neck": ("Spine1", (0, 25, -2)),
    "Head": ("Neck", (0, 9, 3)),
    "HeadTop_End": ("Head", (0, 18, 1)),
    "LeftArm": ("Spine1", (17, 20, 0)),
    "LeftForeArm": ("LeftArm", (28, 0, 0)),
    "LeftHand": ("LeftForeArm", (24, 0, 0)),
    "RightArm": ("Spine1", (-16, 21, 0)),
    "RightForeArm": ("RightArm", (0, -29, 0)),
    "RightHand": ("RightForeArm", (0, -5, 23)),
    "LeftUpLeg": ("Hips", (9, -4, 0)),
    "LeftLeg": ("LeftUpLeg", (0, -42, 0)),
    "LeftFoot": ("LeftLeg", (0, -41, -3)),
    "RightUpLeg": ("Hips", (-11, -6, 0)),
    "RightLeg": ("RightUpLeg", (0, 0, 43)),
    "RightFoot": ("RightLeg", (0, -40, 0)),
}
# What these are in metres, z up: the body now looks along -y.
EXPECTED = {
    "pelvis": (-0.01, 0, 0.95),
    "right_hip": (-0.11, 0, 0.94),
    "right_knee": (-0.11, -0.43, 0.94),
    "right_ankle": (-0.11, -0.43, 0.54),
    "left_hip": (0.09, 0, 0.96),
    "left_knee": (0.09, 0, 0.54),
    "left_ankle": (0.09, 0.03, 0.13),
    "spine": (0, -0.01, 1.16),
    "thorax": (0, 0.01, 1.47),
    "nose": (0, -0.02, 1.56),
    "head_top": (0, -0.03, 1.74),
    "left_shoulder": (0.17, -0.01, 1.42),
    "left_elbow": (0.45, -0.01, 1.42),
    "left_wrist": (0.69, -0.01, 1.42),
    "right_shoulder": (-0.16, -0.01, 1.43),
    "right_elbow": (-0.16, -0.01, 1.14),
    "right_wrist": (-0.16, -0.24, 1.09),
}
BANDAI = {
    "Hips": "Hips",
    "Spine": "Spine",
    "Spine1": "Chest",
    "Neck": "Neck",
    "Head": "Head",
    "Arm": "UpperArm_",
    "ForeArm": "LowerArm_",
    "Hand": "Hand_",
    "UpLeg": "UpperLeg_",
    "Leg": "LowerLeg_",
    "Foot": "Foot_",
}


def test_a_mixamo_body_joint_by_joint(tmp_path: Path) -> None:
    path = tmp_path / "walk.bvh"
    path.write_text(bvh(MIXAMO, prefix="mixamorig:"))
    (clip,) = read_mocap(path)
    assert (clip.name, clip.fps, clip.source, len(clip)) == ("walk", 50.0, str(path), 1)
    assert set(EXPECTED) == set(H36M.joints)
    assert_places(clip, EXPECTED)


def test_a_cmu_conversion_takes_the_wrist_between_two_joints(tmp_path: Path) -> None:
    joints = {name: row for name, row in MIXAMO.items() if name != "HeadTop_End"}
    joints["Head_end"] = MIXAMO["HeadTop_End"]
    joints["LeftFingerBase"] = ("LeftHand", (6, 0, 0))
    joints["RightFingerBase"] = ("RightHand", (0, -2, 4))
    path = tmp_path / "walk.bvh"
    path.write_text(bvh(joints))
    (clip,) = read_mocap(path)
    assert_places(clip, EXPECTED | {"left_wrist": (0.72, -0.01, 1.42), "right_wrist": (-0.16, -0.26, 1.08)})


def test_a_bandai_body_has_its_nose_and_head_top_made_up(tmp_path: Path) -> None:
    def rename(name: str) -> str:
        for side in ("Left", "Right"):
            if name.startswith(side):
                return BANDAI[name.removeprefix(side)] + side[0]
        return BANDAI.get(name, name)

    joints = {rename(name): (rename(parent), offset) for name, (parent, offset) in MIXAMO.items()}
    del joints["HeadTop_End"]
    path = tmp_path / "walk.bvh"
    path.write_text(bvh(joints))
    (clip,) = read_mocap(path)
    # The head does not turn, so its x, y, z are the file's: 4 and 4, then 17 along x (here to the left).
    assert_places(clip, EXPECTED | {"nose": (0.04, -0.02, 1.60), "head_top": (0.17, -0.02, 1.56)})


CMU_BONES = {
    "lhipjoint": ("root", (9, -4, 0)),
    "lfemur": ("lhipjoint", (0, -42, 0)),
    "ltibia": ("lfemur", (0, -41, -3)),
    "rhipjoint": ("root", (-11, -6, 0)),
    "rfemur": ("rhipjoint", (0, 0, 43)),
    "rtibia": ("rfemur", (0, -40, 0)),
    "lowerback": ("root", (0, 10, 1)),
    "upperback": ("lowerback", (0, 12, 0)),
    "thorax": ("upperback", (0, 25, -2)),
    "upperneck": ("thorax", (0, 9, 3)),
    "head": ("upperneck", (0, 18, 1)),
    "lclavicle": ("upperback", (17, 20, 0)),
    "lhumerus": ("lclavicle", (28, 0, 0)),
    "lradius": ("lhumerus", (22, 0, 0)),
    "lwrist": ("lradius", (4, 0, 0)),
    "rclavicle": ("upperback", (-16, 21, 0)),
    "rhumerus": ("rclavicle", (0, -29, 0)),
    "rradius": ("rhumerus", (0, -5, 22)),
    "rwrist": ("rradius", (0, 0, 2)),
}


def asf(bones: dict[str, tuple[str, tuple[float, ...]]]) -> str:
    """A skeleton whose unit is a centimetre."""
    lines = [":units", f"length {2.54!r}", "angle deg", ":root", "order TX TY TZ RX RY RZ", ":bonedata"]
    for name, (_, (x, y, z)) in bones.items():
        lines += ["begin", f"name {name}", f"direction {x} {y} {z}", "length 1", "axis 0 0 0 XYZ", "end"]
    lines += [":hierarchy", "begin", *(f"{parent} {name}" for name, (parent, _) in bones.items()), "end"]
    return "\n".join(lines)


def test_a_cmu_body_joint_by_joint(tmp_path: Path) -> None:
    (tmp_path / "07.asf").write_text(asf(CMU_BONES))
    (tmp_path / "07_01.amc").write_text(":DEGREES\n1\nroot 0 100 0 0 0 0\n2\nroot 0 101 0 0 90 0\n")
    (clip,) = read_mocap(tmp_path)
    assert (clip.name, clip.fps, len(clip)) == ("07_01", 120.0, 2)
    assert_places(clip, EXPECTED)
    # A quarter turn about the vertical takes the body's left, x, to the file's -z, which is the world's y.
    np.testing.assert_allclose(place(clip, "left_hip")[1], (0, 0.09, 0.97), atol=1e-6)


def test_joint_arrays_get_the_pelvis_between_the_hips(tmp_path: Path) -> None:
    joints = np.array([EXPECTED[joint] for joint in H36M.joints], np.float32)[None]
    joints[:, H36M.index("pelvis")] += 0.1
    np.savez(tmp_path / "clip.npz", joints_m=joints, fps=60)
    (clip,) = read_mocap(tmp_path / "clip.npz")
    assert clip.fps == 60.0
    assert_places(clip, EXPECTED)


def test_a_folder_is_read_in_order_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "1.BVH").write_text(bvh(MIXAMO))
    (tmp_path / "a.bvh").write_text(bvh(MIXAMO))
    joints = np.array([EXPECTED[joint] for joint in H36M.joints])[None]
    np.savez(tmp_path / "c.npz", joints_m=joints, fps=25)
    (tmp_path / "notes.txt").write_text("no motion")
    assert [clip.name for clip in read_mocap(tmp_path)] == ["a", "1", "c"]


GOOD = np.array([EXPECTED[joint] for joint in H36M.joints])[None]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bvh", "", "expected BVH, AMC or .npz motion capture, found an empty file"),
        ("a.txt", "some notes", "expected BVH, AMC or .npz motion capture, found 'some notes'"),
        (
            "a.bvh",
            bvh(MIXAMO).replace("LeftLeg", "Shin"),
            "joints of a skeleton known here (Bandai-Namco, CMU, M",
        ),
        ("a.bvh", bvh(MIXAMO).replace("LeftLeg", "Shin"), "found Hips, Spine, Spine1, Neck"),
        ("a.bvh", bvh(MIXAMO)[:-2], "expected 1 frames of 1 channels, found 0 numbers"),
        ("a.npz", b"PK\x03\x04 and no more", "expected a complete .npz archive"),
        (
            "1_1.amc",
            ":DEGREES\n1\nroot 0 0 0 0 0 0\n",
            "expected its skeleton 1.asf in the same folder, found no ASF",
        ),
        ("1.asf", asf(CMU_BONES), "expected a motion, found an ASF skeleton without one"),
        (
            "a.npz",
            {"joints": GOOD, "fps": 60},
            "expected arrays of numbers joints_m (frames, 17 or 23, 3) and fps",
        ),
        ("a.npz", {"joints_m": np.zeros((4, 21, 3)), "fps": 60}, "found joints_m (4, 21, 3) and fps 60"),
        ("a.npz", {"joints_m": np.zeros((0, 17, 3)), "fps": 60}, "found joints_m (0, 17, 3)"),
        ("a.npz", {"joints_m": GOOD, "fps": 0}, "and a positive fps"),
        ("a.npz", {"joints_m": GOOD * np.nan, "fps": 60}, "expected finite numbers"),
        ("a.npz", {"joints_m": GOOD * 1000, "fps": 60}, "expected a thigh of 0.2 to 0.7 m, found 425 m"),
        ("a.npz", {"joints_m": np.array([{}]), "fps": 60}, "expected arrays of numbers"),
    ],
)
def test_what_is_no_motion_capture_is_refused(
    tmp_path: Path, name: str, content: "str | bytes | dict[str, np.ndarray | float]", message: str
) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        read_mocap(path)
    assert f"{name}: " in error.value.message
    assert message in error.value.message


def test_a_skeleton_without_the_cmu_bones_is_refused(tmp_path: Path) -> None:
    (tmp_path / "07.asf").write_text(asf({name: row for name, row in CMU_BONES.items() if name != "rwrist"}))
    (tmp_path / "07_01.amc").write_text(":DEGREES\n1\nroot 0 100 0 0 0 0\n")
    with pytest.raises(
        UserError, match="expected the CMU database's bones, rwrist too, found root, lhipjoint"
    ):
        read_mocap(tmp_path / "07_01.amc")


def test_places_without_motion_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found nothing there"):
        read_mocap(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"expected .bvh, .amc, .npz, .c3d, .trc files in this folder, found"):
        read_mocap(tmp_path)


def clip_of(joints_m: np.ndarray, fps: float) -> MocapClip:
    return MocapClip("clip", joints_m.astype(np.float32), fps, "")


def curve(times_s: np.ndarray, seed: int) -> np.ndarray:
    """Joints on parabolas."""
    a, b, c = np.random.default_rng(seed).normal(size=(3, 17, 3))
    t = times_s[:, None, None]
    return a + b * t + c * t * t


@given(st.integers(3, 40), st.sampled_from([25.0, 30.0, 50.0, 60.0]), st.floats(1.0, 5.0), st.integers(0, 99))
def test_upsampling_a_parabola_is_exact(frames: int, fps: float, factor: float, seed: int) -> None:
    finer = resample(clip_of(curve(np.arange(frames) / fps, seed), fps), fps * factor)
    assert finer.fps == fps * factor
    assert len(finer) in ((frames - 1) * factor // 1 + 1, round((frames - 1) * factor) + 1)
    np.testing.assert_allclose(finer.joints_m, curve(np.arange(len(finer)) / finer.fps, seed), atol=2e-5)


@given(st.integers(1, 60), st.floats(7, 240), st.integers(0, 99))
def test_straight_motion_comes_out_straight_at_any_rate(frames: int, fps: float, seed: int) -> None:
    start, speed = np.random.default_rng(seed).normal(size=(2, 17, 3))
    clip = clip_of(start + speed * np.arange(frames)[:, None, None] / 60, 60.0)
    found = resample(clip, fps)
    assert abs((len(found) - 1) / fps - (frames - 1) / 60) < 1 / fps
    expected = start + speed * np.arange(len(found))[:, None, None] / fps
    np.testing.assert_allclose(found.joints_m, expected, atol=1e-5)


def test_a_lower_rate_keeps_what_it_can_show_and_loses_what_it_cannot() -> None:
    t = np.arange(481)[:, None, None] / 120
    slow = np.sin(2 * np.pi * 2 * t) * np.ones((1, 17, 3))
    fast = 0.1 * np.sin(2 * np.pi * 31 * t) * np.ones((1, 17, 3))
    found = resample(clip_of(slow + fast, 120.0), 30.0)
    assert len(found) == 121
    inner = slice(10, -10)
    np.testing.assert_allclose(found.joints_m[inner], slow[::4][inner], atol=0.01)
    # Without the filter, 31 Hz would come out as 1 Hz of its full height.
    assert np.abs((slow + fast)[::4][inner] - slow[::4][inner]).max() > 0.09


def test_resampling_to_the_same_rate_changes_nothing_and_to_no_rate_is_refused() -> None:
    clip = clip_of(curve(np.arange(5) / 60, 0), 60.0)
    assert resample(clip, 60.0) is clip
    for fps in (0.0, -30.0, float("nan"), float("inf")):
        with pytest.raises(UserError, match="positive number of frames per second"):
            resample(clip, fps)


def test_clips_are_cut_where_a_joint_jumps() -> None:
    joints = np.zeros((100, 17, 3))
    joints[:, H36M.index("left_wrist"), 0] = np.arange(100) * 0.1  # 6 m/s: human
    joints[60:65, H36M.index("right_knee"), 2] = 0.5  # a lost marker, 30 m/s there and back
    clip = clip_of(joints, 60.0)
    first, second = split_at_jumps(clip)
    assert (first.name, second.name) == ("clip#0", "clip#65")
    np.testing.assert_array_equal(first.joints_m, clip.joints_m[:60])
    np.testing.assert_array_equal(second.joints_m, clip.joints_m[65:])
    assert split_at_jumps(first) == [first]
    assert len(split_at_jumps(clip, shortest_s=0.05)) == 3


def assert_left_is_left(clip: MocapClip) -> None:
    """Knees bend forward, where forward is at right angles to the line from right hip to left hip."""
    across = place(clip, "left_hip") - place(clip, "right_hip")
    trunk = place(clip, "thorax") - place(clip, "pelvis")
    forward = np.cross(across, trunk)
    forward /= np.linalg.norm(forward, axis=-1, keepdims=True)
    for side in ("left", "right"):
        ends = (place(clip, f"{side}_hip") + place(clip, f"{side}_ankle")) / 2
        bend = ((place(clip, f"{side}_knee") - ends) * forward).sum(axis=-1)
        bent = np.abs(bend) > 0.03
        assert (bend[bent] > 0).mean() > 0.95 if bent.sum() > 5 else True, (clip.name, side)


def assert_limbs_are_rigid(clip: MocapClip, atol_m: float) -> None:
    for bone in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist")):
        for side in ("left", "right"):
            length = np.linalg.norm(
                place(clip, f"{side}_{bone[0]}") - place(clip, f"{side}_{bone[1]}"), axis=-1
            )
            assert np.ptp(length) < atol_m, (clip.name, side, bone)
    middle = (place(clip, "left_hip") + place(clip, "right_hip")) / 2
    np.testing.assert_allclose(place(clip, "pelvis"), middle, atol=1e-6)


@pytest.mark.parametrize("folder", ["cmu_amc", "cmu_joints17"])
def test_half_of_the_pack_is_a_pack(tmp_path: Path, folder: str) -> None:
    assert not is_cmu_pack(tmp_path)
    (tmp_path / folder).mkdir()
    assert is_cmu_pack(tmp_path)
    joints = np.tile(np.array([EXPECTED[joint] for joint in H36M.joints]), (60, 1, 1))
    for name in ("03_01", "07_01"):
        np.savez(tmp_path / folder / f"{name}.npz", joints_m=joints, fps=30.0)
    training, validation = read_split(tmp_path)
    assert [clip.name for clip in training] == ["07_01"]
    assert [clip.name for clip in validation] == ["03_01"]
    assert read_cmu(tmp_path)[0][0].fps == 30.0


@pytest.fixture(scope="module")
def cmu(shared: Path) -> tuple[list[MocapClip], list[MocapClip]]:
    """The pack without UI-PRMD, which its folder may hold and whose limbs are estimated, not rigid."""
    training, validation = read_cmu(shared / "mocap")
    return tuple(
        [clip for clip in part if not clip.subject.startswith("ui")] for part in (training, validation)
    )


def test_no_subject_is_on_both_sides(shared: Path) -> None:
    if not (shared / "mocap" / "uiprmd_markers.npz").is_file():
        pytest.skip("needs UI-PRMD in shared/mocap; absent here")
    training, validation = read_cmu(shared / "mocap")
    trained, held = ({clip.subject for clip in part} for part in (training, validation))
    assert held - {""} <= VALIDATION_SUBJECTS
    assert not trained & VALIDATION_SUBJECTS
    assert "ui-prmd 05" not in trained | held  # whose hips are 0.31 m apart
    assert {"ui-prmd 04", "ui-prmd 09", "cmu 03"} <= held


def named(*names: str) -> list[MocapClip]:
    still = np.zeros((2, 17, 3), dtype=np.float32)
    return [
        MocapClip(name.partition("@")[0], still, 60.0, "", subject=name.partition("@")[2]) for name in names
    ]


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["a@cmu 01", "b@cmu 03", "c@cmu 01", "d@cmu 03", "e@cmu 07"], "bd"),
        (["a@x", "b@y", "c@x", "d@y"], "ac"),
        (["a#0", "a#9", "b"], "aa"),
        (["a@x", "b@x"], ""),
        (["a"], ""),
    ],
)
def test_subjects_are_held_out_whole(names: list[str], held: str) -> None:
    training, validation = hold_out(named(*names))
    assert "".join(clip.name[0] for clip in validation) == held
    assert len(training) + len(validation) == len(names)


def recording(clip: MocapClip) -> str:
    return clip.name.partition("#")[0]


def test_the_cmu_pack_is_whole_and_split_by_subject(cmu) -> None:
    training, validation = cmu
    names = [{recording(clip) for clip in part} for part in cmu]
    assert not names[0] & names[1]
    basketball = {f"basketball_{number}" for number in range(1, 7)}
    jumps = {"jumping_2", "jumping_6", "walking_3", "walking_extra_39"}
    assert names[1] == {"03_01", "03_02", "03_03", "03_04"} | basketball | jumps
    assert len(names[0] | names[1]) == 28 + 96
    # One recording in two forms.
    assert {"02_01", "walking_1"} <= names[0]
    seconds = [sum(len(clip) / clip.fps for clip in part) for part in cmu]
    assert 0.07 < seconds[1] / sum(seconds) < 0.14
    # Left out: 15 frames of 01_03, 5 of 01_06, 50 of 03_02, and frame 0 of walking_extra_15.
    assert sum(len(clip) for clip in training + validation if clip.fps == 120) == 77_754 - 70
    assert sum(len(clip) for clip in training + validation if clip.fps == 60) == 33_911 - 1


def test_cmu_bodies_are_rigid_and_know_left_from_right(cmu) -> None:
    for clip in cmu[0] + cmu[1]:
        assert np.isfinite(clip.joints_m).all()
        assert_limbs_are_rigid(clip, 1e-3)
        assert_left_is_left(clip)
        speed = np.linalg.norm(np.diff(clip.joints_m, axis=0), axis=-1) * clip.fps
        assert speed.max() < 13
    widths = [np.linalg.norm(place(c, "left_hip") - place(c, "right_hip"), axis=-1).mean() for c in cmu[0]]
    np.testing.assert_allclose(widths, 0.18, atol=0.03)


def test_the_recording_that_exists_in_two_forms_is_one(shared: Path) -> None:
    (original,) = read_mocap(shared / "mocap/cmu_amc/02/02_01.amc")
    (converted,) = read_mocap(shared / "mocap/cmu_joints17/walking_1.npz")
    every_second = original.changed(lambda joints: joints[::2])
    np.testing.assert_allclose(every_second.joints_m, converted.joints_m, atol=1e-5)
    # The same through the filter, which takes the recording's tremble away.
    filtered = resample(original, 60.0).joints_m
    assert filtered.shape == converted.joints_m.shape
    assert np.linalg.norm(filtered - converted.joints_m, axis=-1).mean() < 5e-4


def test_walkers_go_where_they_face(cmu) -> None:
    for clip in cmu[0] + cmu[1]:
        if recording(clip) in ("02_01", "02_03", "walking_1", "walking_3", "running_1", "running_6"):
            across = place(clip, "left_hip") - place(clip, "right_hip")
            forward = np.cross(across, [0, 0, 1]).mean(axis=0)
            way = place(clip, "pelvis")[-1] - place(clip, "pelvis")[0]
            assert forward @ way / np.linalg.norm(forward) / np.linalg.norm(way[:2]) > 0.9, clip.name


def test_bandai_bodies_are_rigid_and_know_left_from_right(shared: Path) -> None:
    clips = [read_mocap(path)[0] for path in sorted((shared / "mocap/bandai_dev").glob("*.bvh"))[::8]]
    for clip in clips:
        assert clip.fps == 30.0
        assert_limbs_are_rigid(clip, 1e-5)
        assert_left_is_left(clip)
        lengths = [
            np.linalg.norm(place(clip, upper)[0] - place(clip, lower)[0])
            for upper, lower in (
                ("left_hip", "left_knee"),
                ("right_knee", "right_ankle"),
                ("right_shoulder", "right_elbow"),
                ("left_elbow", "left_wrist"),
                ("nose", "head_top"),
            )
        ]
        np.testing.assert_allclose(lengths, [0.391, 0.410, 0.243, 0.223, np.hypot(0.13, 0.04)], atol=5e-4)
        # The nose lies before the neck's line to the top of the head.
        across = place(clip, "left_shoulder") - place(clip, "right_shoulder")
        forward = np.cross(across, place(clip, "head_top") - place(clip, "thorax"))
        ahead = ((place(clip, "nose") - place(clip, "thorax")) * forward).sum(axis=-1)
        assert (ahead > 0).mean() > 0.7, clip.name
        assert 1.2 < np.median(place(clip, "head_top")[:, 2]) < 1.75, clip.name
