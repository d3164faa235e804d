"""ASF/AMC against places worked out by hand, and against the CMU recording that exists in two forms."""

from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.mocap.asf_amc import AsfSkeleton, read_amc, read_asf

# A trunk upwards, an arm to the left at its end, a leg to the right and down. The arm's angles are
# given in axes turned by 90 degrees about z. One unit = 1/0.5 inches = 0.0508 m.
ASF = """# by hand
:version 1.10
:name lopsided
:units
  mass 1.0
  length 0.5
  angle deg
:documentation
   anything at all
:root
   order TX TY TZ RX RY RZ
   axis XYZ
   position 0 0 0
   orientation 0 0 0
:bonedata
  begin
     id 1
     name leg
     direction -1 0 0
     length 2
     axis 0 0 0  XYZ
     dof ry rz
     limits (-90 90)
            (-90 90)
  end
  begin
     id 2
     name trunk
     direction 0 1 0
     length 10
     axis 0 0 0  XYZ
  end
  begin
     id 3
     name arm
     direction 1 0 0
     length 3
     axis 0 0 90  XYZ
     dof rx
  end
:hierarchy
  begin
    root leg trunk
    trunk arm
  end
"""

AMC = """#!OML:ASF lopsided
:FULLY-SPECIFIED
:DEGREES
1
root 1 2 3 0 0 0
leg 0 0
arm 0
2
root 1 2 3 0 0 90
leg 0 90
arm 90
3
root 1 2 3 90 0 90
leg 90 90
arm 0
"""
UNIT_M = 0.0508


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, name: str) -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return _write


@pytest.fixture
def skeleton(write) -> AsfSkeleton:
    return read_asf(write(ASF, "01.asf"))


def test_the_skeleton_by_hand(skeleton: AsfSkeleton) -> None:
    assert skeleton.bones == ("root", "leg", "trunk", "arm")
    assert skeleton.parents == (-1, 0, 0, 2)
    assert skeleton.dofs == (("tx", "ty", "tz", "rx", "ry", "rz"), ("ry", "rz"), (), ("rx",))
    assert skeleton.degrees
    np.testing.assert_allclose(skeleton.unit_m, UNIT_M)
    np.testing.assert_allclose(skeleton.offsets_m / UNIT_M, [[0, 0, 0], [-2, 0, 0], [0, 10, 0], [3, 0, 0]])
    # The arm's x axis is the world's y axis.
    np.testing.assert_allclose(skeleton.axes[3] @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_places_worked_out_by_hand(write, skeleton: AsfSkeleton) -> None:
    motion = read_amc(write(AMC, "01_01.amc"), skeleton)
    assert motion.fps == 120.0
    expected_units = [
        # At rest: root, leg, trunk, arm.
        [[1, 2, 3], [-1, 2, 3], [1, 12, 3], [4, 12, 3]],
        # Root Rz(90): x becomes y, y becomes -x. The leg's own Rz(90) first: -x becomes -y, which the
        # root turns to +x. The arm turns about the trunk's y: its x becomes -z, which stays.
        [[1, 2, 3], [3, 2, 3], [-9, 2, 3], [-9, 2, 0]],
        # Root Rz(90) Rx(90): x becomes y, y becomes z, z becomes x. Leg Rz(90) Ry(90): -x to +z, then +z
        # stays; the root turns it to +x.
        [[1, 2, 3], [3, 2, 3], [1, 2, 13], [1, 5, 13]],
    ]
    np.testing.assert_allclose(motion.positions_m / UNIT_M, expected_units, atol=1e-12)


def test_the_unit_can_be_given(write) -> None:
    skeleton = read_asf(write(ASF, "01.asf"), unit_m=0.1)
    motion = read_amc(write(AMC, "01_01.amc"), skeleton, fps=60.0)
    assert motion.fps == 60.0
    np.testing.assert_allclose(motion.positions_m[0, 3], [0.4, 1.2, 0.3])


def test_angles_in_radians(write, skeleton: AsfSkeleton) -> None:
    radians = AMC.replace(":DEGREES", ":RADIANS").replace(" 90", " 1.5707963267948966")
    expected = read_amc(write(AMC, "01_01.amc"), skeleton).positions_m
    np.testing.assert_allclose(
        read_amc(write(radians, "01_02.amc"), skeleton).positions_m, expected, atol=1e-12
    )


def test_bones_that_an_amc_leaves_out_stay_at_rest(write, skeleton: AsfSkeleton) -> None:
    text = "\n".join(line for line in AMC.splitlines() if not line.startswith("arm"))
    motion = read_amc(write(text, "01_01.amc"), skeleton)
    np.testing.assert_allclose(motion.positions_m[1, 3] / UNIT_M, [-9, 5, 3], atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "expected an AMC file, with numbered frames, found an empty file"),
        (lambda text: "hello there", "expected an AMC file, with numbered frames, found 'hello there'"),
        (lambda text: text[:-4], "expected the last frame to be complete, found 12 of 13 words"),
        (lambda text: text.replace("\n3\n", "\n4\n"), "expected frame 3"),
        (lambda text: text.replace("arm 90", "arm x"), "expected a number, found 'x'"),
        (lambda text: text.replace("arm 90", "arm inf"), "expected finite numbers"),
        (lambda text: text.replace("arm", "wing"), "expected bones of its ASF skeleton, found 'wing'"),
        (lambda text: text.replace("leg 0 0\n", "leg 0\n"), "expected 2 values for leg, found 1"),
        (
            lambda text: text.replace("leg 0 90\narm 90", "arm 90\nleg 0 90"),
            "expected leg in frame 2, found 'arm'",
        ),
        (lambda text: text.replace("leg 0 90\n", ""), "expected leg in frame 2, found 'arm'"),
        (lambda text: text.replace("\n1\n", "\n²\n"), "before the first frame, found '²'"),
        (lambda text: text.replace("\n1\n", "\n" + "9" * 5000 + "\n"), "the first frame's number: a whole"),
        (lambda text: text.replace("leg 0 0", "leg ² 0"), "expected a number, found '²'"),
        (lambda text: text.replace("leg 0 0", "leg 1e308 0"), "numbers up to 1,000,000,000"),
        (
            lambda text: text.replace("leg 0 0", "arm 0"),
            "expected each bone once in a frame, found root arm arm",
        ),
    ],
)
def test_broken_motions_say_what_was_expected_and_found(write, skeleton, change, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_amc(write(change(AMC), "01_01.amc"), skeleton)
    assert "01_01.amc: " in error.value.message
    assert message in error.value.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "expected an ASF file, with a section :units, found an empty file"),
        (
            lambda text: "HIERARCHY\nROOT a",
            "expected an ASF file, with sections like :bonedata, found 'HIERARCHY",
        ),
        (lambda text: text[: text.index(":hierarchy")], "with a section :hierarchy"),
        (
            lambda text: text[: text.index("trunk arm")],
            "expected every bone in :hierarchy, found none of arm",
        ),
        (lambda text: text.replace("     length 3\n", ""), "expected name, direction, length and axis"),
        (lambda text: text.replace("direction 1 0 0", "direction 1 0"), "expected 3 numbers, found '1 0'"),
        (lambda text: text.replace("trunk arm", "trunk wing"), "expected bone wing once in :bonedata"),
        (lambda text: text.replace("trunk arm", "trunk arm arm"), "found twice in the hierarchy"),
        (
            lambda text: text.replace("axis 0 0 90  XYZ", "axis 0 0 90  XYX"),
            "expected an axis order like XYZ",
        ),
        (lambda text: text.replace("dof rx", "dof rx l"), "expected degrees of freedom rx, ry, rz of arm"),
        (
            lambda text: text.replace("orientation 0 0 0", "orientation 0 90 0"),
            "expected a root orientation of 0",
        ),
        (lambda text: text.replace("length 0.5", "length 0"), "expected a length in :units of 1e-6 to 1e6"),
        (lambda text: text.replace("direction 1 0 0", "direction 1e308 0 0"), "numbers up to 1,000,000,000"),
    ],
)
def test_broken_skeletons_say_what_was_expected_and_found(write, change, message: str) -> None:
    with pytest.raises(UserError) as error:
        read_asf(write(change(ASF), "01.asf"))
    assert "01.asf: " in error.value.message
    assert message in error.value.message


def test_missing_files_are_refused(tmp_path: Path, skeleton: AsfSkeleton) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_asf(tmp_path / "02.asf")
    with pytest.raises(UserError, match="cannot be read"):
        read_amc(tmp_path / "02_01.amc", skeleton)


def test_a_real_recording_stands_upright_with_constant_limbs(shared: Path) -> None:
    folder = shared / "mocap/cmu_amc/02"
    skeleton = read_asf(folder / "02.asf")
    np.testing.assert_allclose(skeleton.unit_m, 0.056444, atol=1e-6)
    motion = read_amc(folder / "02_01.amc", skeleton)
    assert motion.positions_m.shape == (343, 31, 3)
    place = {bone: motion.positions_m[:, i] for i, bone in enumerate(motion.bones)}
    for end, begin, length_m in (("lfemur", "lhipjoint", 0.429), ("rtibia", "rfemur", 0.407)):
        length = np.linalg.norm(place[end] - place[begin], axis=-1)
        np.testing.assert_allclose(length, length_m, atol=5e-4)
    height = place["head"][:, 1] - np.minimum(place["lfoot"], place["rfoot"])[:, 1]
    assert 1.5 < np.median(height) < 1.6
