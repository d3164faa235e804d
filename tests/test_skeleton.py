"""Layouts by name: published orders, and conversion of a figure whose left and right differ."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.errors import UserError
from repose.skeleton import (
    DERIVATIONS,
    FEET,
    H36M_17,
    H36M_FEET,
    SKELETONS,
    conversion_matrix,
    convert,
    get_skeleton,
    walk,
)

# One figure facing the camera, arms and legs different left and right; every joint that any layout has.
# Its left is on the image's right. Hips 100 ± 20, shoulders 104 ± 30 and so on, to be checked by hand.
FIGURE = {
    "pelvis": (101, 301), "spine": (103, 251), "thorax": (105, 199), "neck": (106, 198), "head": (104, 165),
    "nose": (103, 171), "head_top": (109, 142),
    "left_eye": (113, 160), "right_eye": (97, 164), "left_ear": (121, 165), "right_ear": (91, 171),
    "left_eye_inner": (109, 160), "left_eye_outer": (117, 160),
    "right_eye_inner": (101, 164), "right_eye_outer": (93, 164),
    "left_mouth": (110, 181), "right_mouth": (98, 183),
    "left_shoulder": (134, 206), "right_shoulder": (74, 198), "left_elbow": (160, 220),
    "right_elbow": (60, 250), "left_wrist": (190, 190), "right_wrist": (62, 300),
    "left_hip": (120, 310), "right_hip": (80, 300),
    "left_knee": (150, 370), "right_knee": (82, 390), "left_ankle": (140, 440), "right_ankle": (84, 480),
    "left_pinky": (197, 186), "right_pinky": (60, 310), "left_index": (199, 182), "right_index": (64, 311),
    "left_thumb": (194, 180), "right_thumb": (67, 306),
    "left_big_toe": (150, 460), "right_big_toe": (80, 500), "left_small_toe": (156, 458),
    "right_small_toe": (74, 498), "left_heel": (136, 448), "right_heel": (86, 488),
}  # fmt: skip

# What each layout's own points make of the joints that it may lack, worked out by hand.
# fmt: off
MID_HIP, MID_SHOULDER = (100, 305), (104, 202)
# Ears (106, 168), eyes (105, 162), tip of the nose (103, 171); shoulders as above, or the neck (106, 198).
TOP_OVER_SHOULDERS = (
    1.2 * 106 + 1.0 * 105 - 0.75 * 103 - 0.45 * 104, 1.2 * 168 + 1.0 * 162 - 0.75 * 171 - 0.45 * 202,
)
TOP_OVER_NECK = (
    1.2 * 106 + 1.0 * 105 - 0.75 * 103 - 0.45 * 106, 1.2 * 168 + 1.0 * 162 - 0.75 * 171 - 0.45 * 198,
)
NOSE_OVER_SHOULDERS = (0.55 * 103 + 0.2 * 106 + 0.25 * 104, 0.55 * 171 + 0.2 * 168 + 0.25 * 202)
NOSE_OVER_NECK = (0.55 * 103 + 0.2 * 106 + 0.25 * 106, 0.55 * 171 + 0.2 * 168 + 0.25 * 198)
# fmt: on
DERIVED = {
    "h36m-17": {},
    "mpi-17": {"thorax": (106, 198), "nose": (104, 165)},
    "coco-17": {
        "pelvis": MID_HIP,
        "thorax": MID_SHOULDER,
        "spine": (102, 253.5),
        "nose": NOSE_OVER_SHOULDERS,
        "head_top": TOP_OVER_SHOULDERS,
    },
    "coco-18": {
        "pelvis": MID_HIP,
        "thorax": (106, 198),
        "spine": (103, 251.5),
        "nose": NOSE_OVER_NECK,
        "head_top": TOP_OVER_NECK,
    },
    "halpe-26": {"thorax": (106, 198), "spine": (103.5, 249.5)},
    "body-25": {
        "thorax": (106, 198),
        "spine": (103.5, 249.5),
        "nose": NOSE_OVER_NECK,
        "head_top": TOP_OVER_NECK,
    },
    "body-25b": {
        "pelvis": MID_HIP,
        "thorax": (106, 198),
        "spine": (103, 251.5),
        "nose": NOSE_OVER_NECK,
    },
    "mediapipe-33": {
        "pelvis": MID_HIP,
        "thorax": MID_SHOULDER,
        "spine": (102, 253.5),
        "nose": NOSE_OVER_SHOULDERS,
        "head_top": TOP_OVER_SHOULDERS,
    },
}  # fmt: skip
DERIVED |= {f"{layout}+feet": DERIVED[layout] for layout in ("h36m-17", "coco-17", "coco-18")}

layouts = pytest.mark.parametrize("layout", SKELETONS)


def figure(layout: str) -> tuple[np.ndarray, np.ndarray]:
    """The figure's points (1, joints, 2) in a layout, and a confidence that differs from joint to joint."""
    joints = SKELETONS[layout].joints
    points = np.array([[FIGURE[joint] for joint in joints]], dtype=np.float64)
    return points, np.linspace(0.2, 0.9, len(joints))[None]


def test_h36m_17_has_the_published_order() -> None:
    assert H36M_17.joints == (
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "spine",
        "thorax", "nose", "head_top", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
        "right_elbow", "right_wrist",
    )  # fmt: skip
    assert H36M_17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert H36M_17.mirror == (0, 4, 5, 6, 1, 2, 3, 7, 8, 9, 10, 14, 15, 16, 11, 12, 13)


@pytest.mark.parametrize(
    ("layout", "places"),
    [
        ("mpi-17", {0: "head_top", 1: "neck", 2: "right_shoulder", 5: "left_shoulder", 8: "right_hip",
                    11: "left_hip", 14: "pelvis", 15: "spine", 16: "head"}),
        ("coco-17", {0: "nose", 1: "left_eye", 4: "right_ear", 5: "left_shoulder", 10: "right_wrist",
                     11: "left_hip", 16: "right_ankle"}),
        ("coco-18", {0: "nose", 1: "neck", 2: "right_shoulder", 7: "left_wrist", 8: "right_hip",
                     13: "left_ankle", 14: "right_eye", 17: "left_ear"}),
        ("coco-17+feet", {16: "right_ankle", 17: "left_big_toe", 18: "left_small_toe", 19: "left_heel",
                          20: "right_big_toe", 22: "right_heel"}),
        ("halpe-26", {16: "right_ankle", 17: "head_top", 18: "neck", 19: "pelvis", 20: "left_big_toe",
                      23: "right_small_toe", 25: "right_heel"}),
        ("body-25", {1: "neck", 2: "right_shoulder", 5: "left_shoulder", 8: "pelvis", 9: "right_hip",
                     12: "left_hip", 15: "right_eye", 18: "left_ear", 19: "left_big_toe", 24: "right_heel"}),
        ("body-25b", {1: "left_eye", 5: "left_shoulder", 12: "right_hip", 17: "neck", 18: "head_top",
                      19: "left_big_toe", 22: "right_big_toe", 24: "right_heel"}),
        ("mediapipe-33", {2: "left_eye", 5: "right_eye", 7: "left_ear", 11: "left_shoulder",
                          12: "right_shoulder", 16: "right_wrist", 23: "left_hip",
                          28: "right_ankle", 29: "left_heel",
                          32: "right_big_toe"}),
    ],
)  # fmt: skip
def test_detector_layouts_have_their_published_places(layout: str, places: dict[int, str]) -> None:
    joints = SKELETONS[layout].joints
    assert len(joints) == int(layout.rstrip("b").split("-")[1].partition("+")[0]) + 6 * layout.endswith(
        "feet"
    )
    assert {place: joints[place] for place in places} == places


@layouts
def test_mirror_exchanges_sides_and_nothing_else(layout: str) -> None:
    skeleton = SKELETONS[layout]
    mirror = skeleton.mirror
    assert [mirror[i] for i in mirror] == list(range(len(skeleton)))
    for i, joint in enumerate(skeleton.joints):
        swapped = joint.replace("left", "RIGHT").replace("right", "left").replace("RIGHT", "right")
        assert skeleton.joints[mirror[i]] == swapped
    assert sorted(mirror[i] for i in skeleton.side("left")) == skeleton.side("right")


@layouts
def test_walk_visits_every_bone_after_its_parent(layout: str) -> None:
    skeleton = SKELETONS[layout]
    done = {i for i, parent in enumerate(skeleton.parents) if parent < 0}
    for child, parent in walk(skeleton):
        assert parent in done
        done.add(child)
    assert done == set(range(len(skeleton)))


@layouts
def test_every_derived_joint_is_where_its_documentation_says(layout: str) -> None:
    points, confidence = figure(layout)
    made, _ = convert(points, confidence, SKELETONS[layout], H36M_17)
    own = SKELETONS[layout].joints
    wanted: dict[str, tuple[float, float]] = {
        joint: FIGURE[joint] for joint in H36M_17.joints if joint in own
    } | DERIVED[layout]
    assert set(wanted) == set(H36M_17.joints)
    for joint, place in wanted.items():
        np.testing.assert_allclose(made[0, H36M_17.index(joint)], place, atol=1e-9, err_msg=joint)


@layouts
def test_left_stays_left(layout: str) -> None:
    points, confidence = figure(layout)
    made, sureness = convert(points, confidence, SKELETONS[layout], H36M_17)
    for joint in H36M_17.joints:
        if joint.startswith(("left_", "right_")):
            assert made[0, H36M_17.index(joint)].tolist() == list(FIGURE[joint]), joint
            assert sureness[0, H36M_17.index(joint)] == confidence[0, SKELETONS[layout].index(joint)], joint


@layouts
def test_mirroring_before_and_after_conversion_is_the_same(layout: str) -> None:
    source = SKELETONS[layout]
    points, confidence = figure(layout)
    flip = np.array([-1.0, 1.0])
    before, sure_before = convert(
        (points * flip)[:, source.mirror], confidence[:, source.mirror], source, H36M_17
    )
    after, sure_after = convert(points, confidence, source, H36M_17)
    np.testing.assert_allclose(before, (after * flip)[:, H36M_17.mirror], atol=1e-9)
    np.testing.assert_allclose(sure_before, sure_after[:, H36M_17.mirror], atol=1e-12)


@layouts
def test_a_joint_is_missing_where_it_was_not_found_and_nothing_else_makes_it(layout: str) -> None:
    source = SKELETONS[layout]
    points, confidence = figure(layout)
    matrix = conversion_matrix(source, H36M_17)
    elsewhere = {"neck": {"thorax", "spine", "nose", "head_top"}} | {
        joint: {"nose", "head_top"}
        for joint in ("left_ear", "right_ear", "left_eye", "right_eye")
        if layout != "mpi-17"
    }
    elsewhere["nose"] = {"head_top"}
    if "neck" not in source.joints:  # without shoulders there is no thorax, but there are the eyes
        elsewhere |= {"left_shoulder": {"head_top"}, "right_shoulder": {"head_top"}}
    for lost, joint in enumerate(source.joints):
        holes = confidence.copy()
        holes[0, lost] = 0
        _, sureness = convert(points, holes, source, H36M_17)
        missing = {H36M_17.joints[i] for i in np.flatnonzero(sureness[0] == 0)}
        needing = {H36M_17.joints[i] for i in np.flatnonzero(matrix[:, lost])}
        other_way = set() if joint in H36M_17.joints and layout == "halpe-26" else elsewhere.get(joint, set())
        assert missing == needing - other_way, joint


def test_a_head_seen_from_the_side_is_made_of_the_side_that_is_seen() -> None:
    body = SKELETONS["body-25"]
    points, confidence = figure("body-25")
    confidence[0, body.indices("left_ear", "left_eye")] = 0
    made, sureness = convert(points, confidence, body, H36M_17)
    ear, eye, nose, neck = (np.array(FIGURE[joint]) for joint in ("right_ear", "right_eye", "nose", "neck"))
    np.testing.assert_allclose(
        made[0, H36M_17.index("head_top")], 1.2 * ear + eye - 0.75 * nose - 0.45 * neck
    )
    np.testing.assert_allclose(made[0, H36M_17.index("nose")], 0.7 * nose + 0.3 * neck)
    assert (sureness > 0).all()


def test_confidence_of_a_derived_joint_is_the_mean_of_what_it_is_made_of() -> None:
    coco = SKELETONS["coco-17"]
    points, confidence = figure("coco-17")
    _, sureness = convert(points, confidence, coco, H36M_17)
    hips = confidence[0, coco.indices("left_hip", "right_hip")].mean()
    shoulders = confidence[0, coco.indices("left_shoulder", "right_shoulder")].mean()
    assert sureness[0, H36M_17.index("pelvis")] == pytest.approx(hips)
    assert sureness[0, H36M_17.index("spine")] == pytest.approx((hips + shoulders) / 2)


@given(
    layout=st.sampled_from(sorted(SKELETONS)),
    angle=st.floats(-3.1, 3.1),
    scale=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)),
)
def test_conversion_commutes_with_similarities(
    layout: str, angle: float, scale: float, shift: tuple[float, float]
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points, confidence = figure(layout)
    source = SKELETONS[layout]
    moved, _ = convert(points @ turn.T + shift, confidence, source, H36M_17)
    still, _ = convert(points, confidence, source, H36M_17)
    np.testing.assert_allclose(moved, still @ turn.T + shift, atol=1e-8)


def test_every_derivation_is_a_mean() -> None:
    for ways in DERIVATIONS.values():
        for weights in ways:
            assert sum(weights.values()) == pytest.approx(1)
    for source in SKELETONS.values():
        np.testing.assert_allclose(conversion_matrix(source, H36M_17).sum(axis=1), 1)


@layouts
def test_conversion_to_the_same_layout_changes_nothing(layout: str) -> None:
    points, confidence = figure(layout)
    made, sureness = convert(points, confidence, SKELETONS[layout], SKELETONS[layout])
    assert made.tolist() == points.tolist()
    assert sureness.tolist() == confidence.tolist()


def test_a_joint_that_cannot_be_made_is_named() -> None:
    with pytest.raises(
        UserError, match="skeleton coco-17 cannot be converted to halpe-26: no way to derive 'left_big_toe'"
    ):
        conversion_matrix(SKELETONS["coco-17"], SKELETONS["halpe-26"])


def test_names_are_forgiving_about_case_and_underscores() -> None:
    assert get_skeleton("COCO_17") is SKELETONS["coco-17"]
    assert get_skeleton(H36M_17) is H36M_17


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(UserError) as error:
        get_skeleton("smpl")
    assert error.value.message == (
        "unknown skeleton 'smpl': expected one of h36m-17, h36m-17+feet, mpi-17, coco-17, "
        "coco-17+feet, coco-18, coco-18+feet, halpe-26, body-25, body-25b, mediapipe-33"
    )
    with pytest.raises(UserError, match="skeleton h36m-17 has no joint 'tail'"):
        H36M_17.index("tail")


def test_feet_follow_the_joints_of_human36m_and_come_from_layouts_that_have_them() -> None:
    assert H36M_FEET.joints[:17] == H36M_17.joints
    assert {H36M_FEET.joints[H36M_FEET.parents[H36M_FEET.index(joint)]] for joint in FEET} == {
        "left_ankle", "right_ankle",
    }  # fmt: skip
    rng = np.random.default_rng(1)
    seen = {"halpe-26": 6, "body-25": 6, "body-25b": 6, "mediapipe-33": 4, "coco-17": 0, "coco-18": 0}
    seen |= {"coco-17+feet": 6, "coco-18+feet": 6}
    for layout, count in seen.items():
        source = SKELETONS[layout]
        points, confidence = rng.random((2, len(source), 2)), rng.uniform(0.2, 1, (2, len(source)))
        made, sureness = convert(points, confidence, source, H36M_FEET)
        body, body_sureness = convert(points, confidence, source, H36M_17)
        assert made[:, :17].tolist() == body.tolist()
        assert sureness[:, :17].tolist() == body_sureness.tolist()
        found = [joint for joint in FEET if joint in source.joints]
        assert len(found) == count
        for joint in FEET:
            if joint in found:
                at = source.index(joint)
                assert made[:, H36M_FEET.index(joint)].tolist() == points[:, at].tolist()
                assert sureness[:, H36M_FEET.index(joint)].tolist() == confidence[:, at].tolist()
            else:
                assert not sureness[:, H36M_FEET.index(joint)].any()
    with pytest.raises(
        UserError, match=r"coco-17 cannot be converted to h36m-17.feet: no way to derive 'left_big"
    ):
        conversion_matrix(SKELETONS["coco-17"], H36M_FEET)
