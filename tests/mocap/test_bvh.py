"""BVH against places worked out by hand, and against the shared Bandai-Namco recordings."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.errors import UserError
from repose.geometry.rotation import matrix_to_euler
from repose.mocap.bvh import read_bvh

# One arm to the left, one leg down: nothing symmetric. Two channel orders, an End Site on each.
LOPSIDED = """HIERARCHY
ROOT Hips
{
  OFFSET 0.0 0.0 0.0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Left Arm
  {
    OFFSET 20.0 50.0 0.0
    CHANNELS 3 Yrotation Zrotation Xrotation
    End Site
    {
      OFFSET 30.0 0.0 0.0
    }
  }
  JOINT RightLeg
  {
    OFFSET -10.0 0.0 0.0
    CHANNELS 1 Xrotation
    End Site
    {
      OFFSET 0.0 -40.0 0.0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.0333333
1 90 3  0 0 0   0 0 0   0
1 90 3  90 0 0  0 0 0   0
1 90 3  0 0 0   90 90 0 90
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str = "motion.bvh") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


def test_places_worked_out_by_hand(write) -> None:
    motion = read_bvh(write(LOPSIDED))
    assert motion.joints == ("Hips", "Left Arm", "Left Arm_end", "RightLeg", "RightLeg_end")
    assert motion.parents == (-1, 0, 1, 0, 3)
    assert motion.fps == 30.0
    np.testing.assert_allclose(motion.offsets_m[1], [0.2, 0.5, 0])
    expected_cm = [
        # At rest.
        [[1, 90, 3], [21, 140, 3], [51, 140, 3], [-9, 90, 3], [-9, 50, 3]],
        # The root turns a quarter about z: x becomes y, y becomes -x.
        [[1, 90, 3], [-49, 110, 3], [-49, 140, 3], [1, 80, 3], [41, 80, 3]],
        # Arm Ry(90) Rz(90): its x becomes y, and stays so. Leg Rx(90): -y becomes -z.
        [[1, 90, 3], [21, 140, 3], [21, 170, 3], [-9, 90, 3], [-9, 90, -37]],
    ]
    np.testing.assert_allclose(motion.positions_m, np.array(expected_cm) / 100, atol=1e-12)


def test_the_unit_is_the_readers_to_say(write) -> None:
    path = write(LOPSIDED)
    np.testing.assert_allclose(
        read_bvh(path, unit_m=0.0254).positions_m, read_bvh(path).positions_m * 2.54, atol=1e-12
    )


@given(st.permutations("XYZ"), st.tuples(*[st.floats(-80, 80)] * 3))
def test_channels_of_any_order_multiply_as_they_stand(tmp_path_factory, axes, degrees) -> None:
    text = f"""HIERARCHY ROOT a {{ OFFSET 0 0 0
    CHANNELS 5 {axes[0]}rotation Zposition {axes[1]}rotation Xposition {axes[2]}rotation }}
    \nMOTION\nFrames: 1\nFrame Time: 0.04\n{degrees[0]!r} 300 {degrees[1]!r} 100 {degrees[2]!r}\n"""
    path = tmp_path_factory.getbasetemp() / "any_order.bvh"
    path.write_text(text)
    motion = read_bvh(path)
    found = np.degrees(matrix_to_euler(motion.rotations[0, 0], "".join(axes)))
    np.testing.assert_allclose(found, degrees, atol=1e-9)
    np.testing.assert_allclose(motion.positions_m[0, 0], [1, 0, 3])
    assert motion.fps == 25.0


def six_channels(root_offset: str, values: str) -> str:
    channels = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    return f"""HIERARCHY
ROOT Hips {{ OFFSET {root_offset} {channels}
  JOINT Knee {{ OFFSET 0 -40 5 {channels}
    JOINT Foot {{ OFFSET 0 -45 0 {channels} End Site {{ OFFSET 0 0 10 }} }} }} }}
MOTION
Frames: 1
Frame Time: 0.008333
{values}
"""


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        # Below the root the positions repeat the offsets (give or take a stretch): they replace them.
        ("1 95 2 0 0 0  0 -41 5 0 0 0  0 -45 0 0 0 0", "replace"),
        # Below the root the positions are little corrections: they are added.
        ("1 95 2 0 0 0  0 -1 0 0 0 0  0 0 0 0 0 0", "add"),
    ],
)
def test_position_channels_replace_or_add(write, values: str, rule: str) -> None:
    # The root's offset is some place in the studio, as in the Bandai-Namco files.
    path = write(six_channels("500 0 -400", values))
    root = np.array([1, 95, 2]) + (np.array([500, 0, -400]) if rule == "add" else 0)
    expected_cm = root + np.array([[0, 0, 0], [0, -41, 5], [0, -86, 5], [0, -86, 15]])
    for position_channels in ("auto", rule):
        motion = read_bvh(path, position_channels=position_channels)
        np.testing.assert_allclose(motion.positions_m[0], expected_cm / 100, atol=1e-12)
    other = "replace" if rule == "add" else "add"
    assert not np.allclose(read_bvh(path, position_channels=other).positions_m[0], expected_cm / 100)


def test_the_position_of_a_root_alone_is_absolute(write) -> None:
    path = write(LOPSIDED.replace("OFFSET 0.0 0.0 0.0", "OFFSET 4.0 100.0 -5.0"))
    np.testing.assert_allclose(read_bvh(path).positions_m[0, 0], [0.01, 0.90, 0.03])
    added = read_bvh(path, position_channels="add").positions_m[0, 0]
    np.testing.assert_allclose(added, [0.05, 1.90, -0.02])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "expected a BVH file, which begins with HIERARCHY, found an empty file"),
        (lambda text: "\x00\x01PNG", "expected a BVH file"),
        (lambda text: text[: text.index("MOTION")], "expected a MOTION section, found none"),
        (lambda text: text[: text.index("RightLeg")], "expected a MOTION section"),
        (
            lambda text: text[:-20],
            "expected 3 frames of 10 channels, found 23 numbers, enough for 2.3 frames",
        ),
        (lambda text: text.replace("Frames: 3", "Frames: 4"), "expected 4 frames of 10 channels, found 30"),
        (lambda text: text.replace("Frames: 3", "Frames: 2"), "expected 2 frames of 10 channels, found 30"),
        (lambda text: text.replace("Frames: 3", "Frames: many"), "expected Frames: and Frame Time:"),
        (lambda text: text.replace("Frames: 3", "Frames: 0"), "at least one frame"),
        (lambda text: text.replace("0.0333333", "0"), "a positive Frame Time, found 0"),
        (lambda text: text.replace("0.0333333", "1e10"), "of 1 to 2000 frames per second, found 1e10"),
        (lambda text: text.replace("0.0333333", "33.3333"), "of 1 to 2000 frames per second, found 33.3333"),
        (lambda text: text.replace("Frames: 3", "Frames: " + "9" * 5000), "Frames: a whole number up to"),
        (lambda text: text.replace("Frames: 3", "Frames: ٣"), "expected Frames: and Frame Time:"),
        (lambda text: text.replace("CHANNELS 1", "CHANNELS 1e308"), "CHANNELS: a whole number up to 6"),
        (lambda text: text.replace("CHANNELS 1", "CHANNELS -1"), "up to 6, found '-1'"),
        (
            lambda text: text.replace("OFFSET 30.0", "OFFSET 1e308"),
            "numbers up to 1,000,000,000, found 1e+308",
        ),
        (lambda text: text.replace("1 90 3  90", "1 90 3  x"), "expected a number, found 'x'"),
        (lambda text: text.replace("1 90 3  90", "1 90 3  nan"), "expected finite numbers"),
        (lambda text: text.replace("Xrotation\n    End", "Wrotation\n    End"), "found 'Wrotation'"),
        (lambda text: text.replace("OFFSET 30.0 0.0 0.0", "OFFSET 30.0 0.0"), "expected a number, found '}'"),
        (lambda text: text.replace("}\n}\nMOTION", "}\nMOTION"), "a } for every {, found 1 not closed"),
        (lambda text: text.replace("CHANNELS 1", "CHAINS 1"), "found 'CHAINS'"),
        (lambda text: text.replace("ROOT Hips\n{", ""), "found 'OFFSET'"),
    ],
)
def test_broken_files_say_what_was_expected_and_found(write, change, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_bvh(write(change(LOPSIDED)))
    assert "motion.bvh: " in error.value.message
    assert message in error.value.message


@pytest.mark.parametrize(
    ("frame_time", "hint"),
    [("33.3333", "If it is meant in milliseconds, write 0.0333333."), ("120", "milliseconds, write 0.12.")],
)
def test_a_frame_time_in_another_unit_is_refused_with_what_it_would_be(write, frame_time, hint) -> None:
    with pytest.raises(UserError) as error:
        read_bvh(write(LOPSIDED.replace("0.0333333", frame_time)))
    assert hint in error.value.hint


def test_joints_that_never_move_do_not_drive_memory(write) -> None:
    still = "JOINT a { OFFSET 0 0 0 } " * 20_000
    text = f"HIERARCHY ROOT r {{ OFFSET 0 0 0 CHANNELS 1 Xrotation {still} }}\nMOTION\n"
    with pytest.raises(UserError, match="expected CHANNELS for most joints, found 1 of 20001"):
        read_bvh(write(text + "Frames: 2000\nFrame Time: 0.01\n" + "0\n" * 2000))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_bvh(tmp_path / "nothing.bvh")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_bvh(tmp_path)


def test_a_real_recording_has_constant_limbs_and_stands_on_the_ground(shared: Path) -> None:
    motion = read_bvh(shared / "mocap/bandai_dev/dataset-1_dash_normal_001.bvh")
    assert motion.fps == 30.0
    assert len(motion.joints) == 22 + 5
    for child, parent, length_m in (
        ("LowerLeg_L", "UpperLeg_L", 0.391),
        ("Foot_R", "LowerLeg_R", 0.410),
        ("LowerArm_R", "UpperArm_R", 0.243),
        ("Hand_L", "LowerArm_L", 0.223),
    ):
        bone = (
            motion.positions_m[:, motion.joints.index(child)]
            - motion.positions_m[:, motion.joints.index(parent)]
        )
        np.testing.assert_allclose(np.linalg.norm(bone, axis=-1), length_m, atol=5e-4)
    toes = motion.positions_m[:, [motion.joints.index(f"Toes_{side}") for side in "LR"], 1].min(axis=1)
    assert abs(np.median(toes) - 0.04) < 0.02
