"""Bodies out of BVH files of any skeleton: names, maps, units, up, rest poses, lost bones."""

import json
from pathlib import Path

import numpy as np
import pytest
from bodies import assert_places, bvh

from repose.errors import UserError
from repose.mocap.joint_map import match_synonyms, read_joint_map
from repose.mocap.recordings import H36M, read_mocap, reading_notes

# Joint -> (parent, offset in cm). y is up; the body looks along +z, so +x is its left. All bones differ.
DAZ = {
    "hip": ("", (0, 100, 0)),
    "abdomen": ("hip", (0, 20, 1)),
    "chest": ("abdomen", (0, 12, 0)),
    "neck": ("chest", (0, 22, -2)),
    "head": ("neck", (0, 8, 0)),
    "rCollar": ("chest", (-3, 19, -5)),
    "rShldr": ("rCollar", (-13, -2, 1)),
    "rForeArm": ("rShldr", (0, -29, 0)),
    "rHand": ("rForeArm", (0, -5, 23)),
    "lCollar": ("chest", (3, 19, -5)),
    "lShldr": ("lCollar", (14, -1, 1)),
    "lForeArm": ("lShldr", (28, 0, 0)),
    "lHand": ("lForeArm", (24, 0, 0)),
    "rButtock": ("hip", (-9, 0, 1)),
    "rThigh": ("rButtock", (-2, -6, -1)),
    "rShin": ("rThigh", (0, 0, 43)),
    "rFoot": ("rShin", (0, -40, 0)),
    "lButtock": ("hip", (8, 0, 1)),
    "lThigh": ("lButtock", (1, -4, -1)),
    "lShin": ("lThigh", (0, -42, 0)),
    "lFoot": ("lShin", (0, -41, -3)),
}
# In metres, z up: the body now looks along -y.
EXPECTED = {
    "pelvis": (-0.01, 0, 0.95),
    "right_hip": (-0.11, 0, 0.94),
    "right_knee": (-0.11, -0.43, 0.94),
    "right_ankle": (-0.11, -0.43, 0.54),
    "left_hip": (0.09, 0, 0.96),
    "left_knee": (0.09, 0, 0.54),
    "left_ankle": (0.09, 0.03, 0.13),
    "thorax": (0, 0.01, 1.54),
    "nose": (0, 0.01, 1.62),
    "head_top": (0, 0.01, 1.79),
    "left_shoulder": (0.17, 0.03, 1.50),
    "left_elbow": (0.45, 0.03, 1.50),
    "left_wrist": (0.69, 0.03, 1.50),
    "right_shoulder": (-0.16, 0.03, 1.49),
    "right_elbow": (-0.16, 0.03, 1.20),
    "right_wrist": (-0.16, -0.20, 1.15),
}
# The same joints in the words of other programs.
# fmt: off
SPELLINGS = {
    "3ds Max": "Bip01 Pelvis|Bip01 Spine|Bip01 Spine1|Bip01 Neck|Bip01 Head|Bip01 {S} Clavicle|"
    "Bip01 {S} UpperArm|Bip01 {S} Forearm|Bip01 {S} Hand|Bip01 {S} Hip|Bip01 {S} Thigh|Bip01 {S} Calf|"
    "Bip01 {S} Foot",
    "Blender": "hips|spine|chest|neck|head|shoulder.{S}|upper_arm.{S}|forearm.{S}|hand.{S}|pelvis.{S}|"
    "thigh.{S}|shin.{S}|foot.{S}",
    "SMPL": "Pelvis|Spine1|Spine2|Neck|Head|{S}_Collar|{S}_Shoulder|{S}_Elbow|{S}_Wrist|{S}_Buttock|{S}_Hip|"
    "{S}_Knee|{S}_Ankle",
    "Unreal": "pelvis|spine_01|spine_02|neck_01|head|clavicle_{s}|upperarm_{s}|lowerarm_{s}|hand_{s}|ik_{s}|"
    "thigh_{s}|calf_{s}|foot_{s}",
    "Xsens": "Hips|Chest|Chest2|Neck|Head|{Side}Collar|{Side}UpperArm|{Side}LowerArm|{Side}Wrist|"
    "{Side}Pelvis|{Side}Thigh|{Side}Shank|{Side}Foot",
}
# fmt: on


def scaled(factor: float) -> dict[str, tuple[str, tuple[float, ...]]]:
    return {name: (up, tuple(factor * x for x in offset)) for name, (up, offset) in DAZ.items()}


def renamed(words: str) -> dict[str, tuple[str, tuple[float, ...]]]:
    middle = dict(zip(("hip", "abdomen", "chest", "neck", "head"), words.split("|"), strict=False))
    limbs = ("Collar", "Shldr", "ForeArm", "Hand", "Buttock", "Thigh", "Shin", "Foot")
    names = {"": ""} | middle
    for side in ("left", "right"):
        for own, word in zip(limbs, words.split("|")[5:], strict=True):
            names[side[0] + own] = word.format(S=side[0].upper(), s=side[0], Side=side.title())
    return {names[name]: (names[parent], offset) for name, (parent, offset) in DAZ.items()}


def test_a_daz_body_joint_by_joint(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(bvh(DAZ))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert_places(clip, EXPECTED)
    # Half-way along the chain of 0.05, 0.2005, 0.12 and 0.22 m, on the bone from abdomen to chest.
    spine = clip.joints_m[0, H36M.index("spine")]
    assert 1.19 < spine[2] < 1.32
    said = " ".join(reading_notes([clip]))
    assert "joints identified by name: 1 of 1 recordings" in said
    assert "head's top made up" in said


@pytest.mark.parametrize("words", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_usual_names_are_understood(tmp_path: Path, words: str) -> None:
    (tmp_path / "a.bvh").write_text(bvh(renamed(words)))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert_places(clip, EXPECTED)


def test_names_that_say_no_side_or_half_a_body_are_not_guessed() -> None:
    assert match_synonyms(["hip", "thigh", "shin", "foot", "arm", "forearm", "hand"]) is None
    assert match_synonyms([name for name in DAZ if name != "rShin"]) is None
    assert match_synonyms(["".join(word) for word in ("left", "right", "lr", "")]) is None


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(0.01, "metres"), (10, "millimetres"), (1 / 2.54, "inches"), (0.45 / 2.54, "the CMU database's unit")],
)
def test_the_unit_is_recognised_by_the_body_and_said(tmp_path: Path, factor: float, unit: str) -> None:
    (tmp_path / "a.bvh").write_text(bvh(scaled(factor)))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert_places(clip, EXPECTED)
    assert any(f"the unit is {unit}" in note for note in clip.notes)


def test_a_body_of_no_human_size_is_refused_with_what_would_make_sense(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(bvh(scaled(1e4)))
    with pytest.raises(UserError, match=r"expected a thigh of 0.2 to 0.7 m in metres, cent") as error:
        read_mocap(tmp_path / "a.bvh")
    assert "one unit is about 9.6e-07 m" in error.value.hint
    (tmp_path / "a.bvh").write_text(bvh(scaled(10)))
    with pytest.raises(UserError, match=r"found 4.25 m") as error:
        read_mocap(tmp_path / "a.bvh", unit_m=0.01)
    assert "if the numbers were millimetres (0.4" in error.value.hint


def test_z_may_be_up_but_somebody_who_lies_does_not_make_it_so(tmp_path: Path) -> None:
    turned = {name: (up, (x, -z, y)) for name, (up, (x, y, z)) in DAZ.items()}
    (tmp_path / "a.bvh").write_text(bvh(turned))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert_places(clip, EXPECTED)
    assert "z is up" in clip.notes
    # The y-up body turned by 90 degrees about x lies with its head along the file's z, the world's -y.
    (tmp_path / "a.bvh").write_text(bvh(DAZ, rows="90\n"))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    body = clip.joints_m[0, H36M.index("head_top")] - clip.joints_m[0, H36M.index("left_ankle")]
    assert body[1] < -1.5
    assert "z is up" not in clip.notes


def test_a_rest_pose_at_the_beginning_is_left_out(tmp_path: Path) -> None:
    rows = "0\n" + "".join(f"{60 + i}\n" for i in range(20))
    (tmp_path / "a.bvh").write_text(bvh(DAZ, rows=rows))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert len(clip) == 20
    assert "a rest pose at the beginning left out" in clip.notes
    (tmp_path / "a.bvh").write_text(bvh(DAZ, rows=rows.removeprefix("0\n")))
    assert len(read_mocap(tmp_path / "a.bvh")[0]) == 20


MAP = {
    "left_hip": "a7", "left_knee": "a8", "left_ankle": "a9", "right_hip": "b7", "right_knee": "b8",
    "right_ankle": "b9", "left_shoulder": "a1", "left_elbow": "a2", "left_wrist": "a3",
    "right_shoulder": "b1", "right_elbow": "b2", "right_wrist": "b3", "thorax": "c3", "nose": ["c4"],
}  # fmt: skip


def write_map(tmp_path: Path, **content: object) -> Path:
    (tmp_path / "map.json").write_text(json.dumps({"joints": MAP} | content))
    return tmp_path / "map.json"


def test_a_joint_map_says_what_joints_are(tmp_path: Path) -> None:
    limbs = "{s}0|{s}1|{s}2|{s}3|{s}6|{s}7|{s}8|{s}9"
    names = renamed("c0|c1|c2|c3|c4|" + limbs.replace("{s}", "{s}"))
    swap = {"l": "a", "r": "b"}
    joints = {
        swap.get(name[0], name[0]) + name[1:]: (swap.get(up[:1], up[:1]) + up[1:], offset)
        for name, (up, offset) in names.items()
    }
    (tmp_path / "a.bvh").write_text(bvh(joints))
    with pytest.raises(UserError, match="or a joint map, found c0, c1") as error:
        read_mocap(tmp_path / "a.bvh")
    assert "--joint-map FILE" in error.value.hint
    (clip,) = read_mocap(tmp_path, joint_map=write_map(tmp_path))
    assert_places(clip, EXPECTED)
    (clip,) = read_mocap(tmp_path, joint_map=write_map(tmp_path, unit_m=0.009, up="z"))
    # As the file has it: y stays y, 0.009 m a unit.
    np.testing.assert_allclose(clip.joints_m[0, H36M.index("left_wrist")], (0.621, 1.35, -0.027), atol=1e-6)
    (tmp_path / "a.bvh").write_text(bvh(DAZ))
    with pytest.raises(UserError, match="found none that has them all"):
        read_mocap(tmp_path, joint_map=tmp_path / "map.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "joint map: expected `object`, found `array`"),
        ("[" * 100_000, "joint map: expected"),
        ('{"joints": {"left_knee": 5}}', "expected `str | array`, found `int`"),
        (json.dumps({"joints": MAP | {"spine": []}}), "joints: spine: expected the names of joints"),
        (json.dumps({"joints": MAP | {"spine": ["a", ""]}}), "joints: spine: expected the names of joints"),
        (json.dumps({"joints": MAP | {"tail": "c9"}}), "found tail"),
        (json.dumps({"joints": {"left_hip": "a"}}), "expected left_knee, left_ankle"),
        (json.dumps({"joints": MAP, "unit_m": -1}), "the length of the unit in metres, found -1"),
    ],
)
def test_maps_that_say_nothing_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "map.json").write_text(content)
    with pytest.raises(UserError) as error:
        read_joint_map(tmp_path / "map.json")
    assert message in error.value.message


CGSPEED = {
    "Hips": ("", (0, 17, 0)),
    "LHipJoint": ("Hips", (0, 0, 0)),
    "LeftUpLeg": ("LHipJoint", (1.7, -1.8, 0.5)),
    "LeftLeg": ("LeftUpLeg", (2.5, -7, 0)),
    "LeftFoot": ("LeftLeg", (2.7, -7.4, 0)),
    "RHipJoint": ("Hips", (0, 0, 0)),
    "RightUpLeg": ("RHipJoint", (-1.6, -1.9, 0.5)),
    "RightLeg": ("RightUpLeg", (-2.6, -7.1, 0)),
    "RightFoot": ("RightLeg", (-2.7, -7.5, 0)),
    "LowerBack": ("Hips", (0, 0, 0)),
    "Spine": ("LowerBack", (0, 2, 0)),
    "Spine1": ("Spine", (0.1, 2.1, 0)),
    "Neck": ("Spine1", (0, 0, 0)),
    "Neck1": ("Neck", (0, 1.7, 0.2)),
    "Head": ("Neck1", (0, 1.7, -0.2)),
    "Head_end": ("Head", (0, 1.8, 0)),
    "LeftShoulder": ("Spine1", (0, 0, 0)),
    "LeftArm": ("LeftShoulder", (3.4, 1, -0.4)),
    "LeftForeArm": ("LeftArm", (5, 0, 0)),
    "LeftHand": ("LeftForeArm", (3.6, 0, 0)),
    "LeftFingerBase": ("LeftHand", (0, 0, 0)),
    "RightShoulder": ("Spine1", (0, 0, 0)),
    "RightArm": ("RightShoulder", (-3.5, 0.8, -0.7)),
    "RightForeArm": ("RightArm", (-5.4, 0, 0)),
    "RightHand": ("RightForeArm", (-3.4, 0, 0)),
    "RightFingerBase": ("RightHand", (0, 0, 0)),
}


def test_bones_that_the_cmu_conversion_lost_are_put_back(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").write_text(bvh(CGSPEED))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    unit = 0.0254 / 0.45
    places = {
        # Spine1 is at (0.1, 21.1, 0), and the lost bone goes on by (0.1, 2.1, 0).
        "thorax": (0.2, 0, 23.2),
        "nose": (0.2, 0, 26.6),
        "head_top": (0.2, 0, 28.4),
        "left_shoulder": (3.6, 0.4, 24.2),
        # Half-way from the wrist's joint, 8.6 from the shoulder, to the end of the lost bone 1.8 further.
        "left_wrist": (3.6 + 8.6 + 0.9, 0.4, 24.2),
        "right_wrist": (-3.3 - 8.8 - 0.85, 0.7, 24.0),
        "left_knee": (4.2, -0.5, 8.2),
    }
    assert_places(clip, {joint: tuple(unit * x for x in place) for joint, place in places.items()})
    whole = CGSPEED | {"Neck": ("Spine1", (0, 2, 0)), "LeftFingerBase": ("LeftHand", (1, 0, 0))}
    (tmp_path / "a.bvh").write_text(bvh(whole | {"RightFingerBase": ("RightHand", (-1, 0, 0))}))
    (clip,) = read_mocap(tmp_path / "a.bvh")
    assert not any("lost" in note for note in clip.notes)
