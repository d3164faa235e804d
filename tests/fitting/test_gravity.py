import numpy as np
import pytest

from repose.errors import UserError
from repose.fitting.gravity import Up, centre_of_mass, find_up, foot_contacts, stated_up
from repose.geometry.rotation import axis_angle_to_matrix
from repose.pose import Pose3D
from repose.sample import SampleTruth
from repose.skeleton import H36M_17


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


@pytest.mark.parametrize(
    ("pitch", "roll", "direction"),
    [
        (0, 0, [0, -1, 0]),
        (90, 0, [0, 0, -1]),
        (-90, 0, [0, 0, 1]),
        (0, 90, [1, 0, 0]),
        (30, 0, [0, -(0.75**0.5), -0.5]),
    ],
)
def test_up_from_angles(pitch: float, roll: float, direction: list[float]) -> None:
    up = stated_up(pitch, roll)
    np.testing.assert_allclose(up.direction, direction, atol=1e-12)
    assert up.pitch_deg == pytest.approx(pitch)
    if abs(pitch) < 90:
        assert up.roll_deg == pytest.approx(roll)


@pytest.mark.parametrize(("pitch", "roll"), [(91, 0), (0, 181), (float("nan"), 0)])
def test_impossible_angles_are_refused(pitch: float, roll: float) -> None:
    with pytest.raises(UserError, match="degrees"):
        stated_up(pitch, roll)


@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (20, 14), (-30, -60), (90, 0), (-90, 0), (10, 180)])
def test_the_world_is_right_handed_with_the_camera_above_its_origin(pitch: float, roll: float) -> None:
    up = stated_up(pitch, roll)
    T = up.T_cam_world(1.5)
    np.testing.assert_allclose(T.R @ T.R.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T.R) == pytest.approx(1)
    np.testing.assert_allclose(T.inverse().t_m, [0, 0, 1.5], atol=1e-12)
    np.testing.assert_allclose(T.R[:, 2], up.direction, atol=1e-12)
    if abs(pitch) < 90:
        looks = T.R.T @ [0, 0, 1]
        assert looks[0] > 0
        assert looks[1] == pytest.approx(0, abs=1e-12)


def test_up_is_found_from_a_person_who_walks(true_pose: Pose3D, truth: SampleTruth) -> None:
    up = find_up([true_pose.joints_m], [true_pose.times_s])
    assert angle_deg(up.direction, truth.T_cam_world[:3, 2]) < 2
    assert "balance" in up.source
    assert not up.assumed
    assert "ground contacts" in up.source
    assert up.deviation_deg is not None
    assert 2 < up.deviation_deg < 10


@pytest.mark.parametrize("turn", [(0.3, 0, 0), (0, 0, 0.4), (0.5, 0.0, -0.3), (-0.4, 0.2, 0.2)])
def test_the_camera_may_be_tilted(turn: tuple[float, ...], true_pose: Pose3D, truth: SampleTruth) -> None:
    R = axis_angle_to_matrix(np.array(turn))
    up = find_up([true_pose.joints_m @ R.T], [true_pose.times_s])
    assert angle_deg(up.direction, R @ truth.T_cam_world[:3, 2]) < 2


def test_somebody_who_bends_over_is_in_balance() -> None:
    """On one leg, the trunk forward and the other leg back: the trunk alone would be far off."""
    joints = np.zeros((30, 17, 3))
    places = {
        "pelvis": (0, 0, 0.85), "left_hip": (0, 0.1, 0.85), "right_hip": (0, -0.1, 0.85),
        "left_knee": (0.03, 0.05, 0.45), "left_ankle": (-0.05, 0.0, 0.08),
        "right_knee": (-0.4, -0.05, 0.75), "right_ankle": (-0.8, -0.05, 0.7),
        "spine": (0.17, 0, 1.02), "thorax": (0.34, 0, 1.2),
        "nose": (0.42, 0, 1.28), "head_top": (0.47, 0, 1.4),
        "left_shoulder": (0.3, 0.18, 1.2), "left_elbow": (0.3, 0.2, 0.9), "left_wrist": (0.35, 0.2, 0.65),
        "right_shoulder": (0.3, -0.18, 1.2), "right_elbow": (0.3, -0.2, 0.9),
        "right_wrist": (0.35, -0.2, 0.65),
    }  # fmt: skip
    for name, place in places.items():
        joints[:, H36M_17.index(name)] = place
    R = stated_up(15, 5).T_cam_world(0).R
    trunk = joints[0, H36M_17.index("thorax")] - joints[0, H36M_17.index("pelvis")]
    assert angle_deg(trunk / np.linalg.norm(trunk), np.array([0, 0, 1])) > 40
    up = find_up([joints @ R.T + [0, 0, 4]], [np.arange(30) / 30])
    assert angle_deg(up.direction, R[:, 2]) < 8


def test_a_sitting_person_is_not_in_balance_over_the_feet(true_pose: Pose3D) -> None:
    """On a chair trunk and picture have to do, and it is said."""
    joints = true_pose.joints_m.copy()
    index = H36M_17.index
    for side in ("left", "right"):
        hip = joints[:, index(f"{side}_hip")]
        joints[:, index(f"{side}_knee")] = hip + np.array([0, 0.0, -0.4])
        joints[:, index(f"{side}_ankle")] = hip + np.array([0, 0.40, -0.4])
    up = find_up([joints], [true_pose.times_s])
    assert "trunks" in up.source
    assert up.assumed
    assert angle_deg(up.direction, np.array([0, -1, 0])) < 25


def test_somebody_who_lies_does_not_turn_the_world(true_pose: Pose3D) -> None:
    lying = true_pose.joints_m @ axis_angle_to_matrix(np.array([0, 0, np.pi / 2])).T
    up = find_up([lying], [true_pose.times_s])
    assert "picture" in up.source
    assert up.assumed
    np.testing.assert_allclose(up.direction, [0, -1, 0], atol=1e-12)


def test_two_people_are_asked_together(true_pose: Pose3D, truth: SampleTruth) -> None:
    other = true_pose.joints_m + np.array([1.0, 0, 0.5])
    up = find_up([true_pose.joints_m, other[:20]], [true_pose.times_s, true_pose.times_s[:20]])
    assert angle_deg(up.direction, truth.T_cam_world[:3, 2]) < 3


def test_who_leans_alone_is_not_believed_beside_others(true_pose: Pose3D, truth: SampleTruth) -> None:
    """Somebody on a poster, at 35 degrees to the scene, does not turn the world of who walks past."""
    joints, times, up = true_pose.joints_m, true_pose.times_s, truth.T_cam_world[:3, 2]
    turn = axis_angle_to_matrix(np.array([0, 0, np.radians(35)]))
    centre = joints.mean(axis=(0, 1))
    poster = (joints - centre) @ turn.T + centre + [1.0, 0, 0]
    assert angle_deg(find_up([poster], [times]).direction, up) > 25
    for people in ([joints, poster], [poster, joints]):
        found = find_up(people, [times, times])
        assert angle_deg(found.direction, up) < 3
        assert angle_deg(find_up([joints], [times]).direction, found.direction) < 2


def test_the_centre_of_mass_lies_in_the_trunk(true_pose: Pose3D) -> None:
    standing = true_pose.joints_m[-1:]
    pelvis, thorax = (standing[:, H36M_17.index(name)] for name in ("pelvis", "thorax"))
    along = (centre_of_mass(standing) - pelvis) @ (thorax - pelvis)[0] / ((thorax - pelvis) ** 2).sum()
    assert 0 < along[0] < 0.6


def test_up_says_its_angles() -> None:
    up = Up(np.array([0.0, -1.0, 0.0]), "test", None)
    assert (up.pitch_deg, up.roll_deg) == (0, 0)


TIMES_S = np.arange(120) / 30
TURN = stated_up(10, 6).T_cam_world(0).R
"""From a world with z up, in which people face x, to a camera that looks down and is rolled."""


def in_view(joints_m: np.ndarray) -> np.ndarray:
    return joints_m @ TURN.T + [0.2, 0.1, 4.0]


def stretched() -> np.ndarray:
    """Somebody straight, arms up, the ankles 0.08 m above the origin; the right hand is a little higher."""
    places = {
        "pelvis": (0, 0, 0.93), "left_hip": (0, 0.12, 0.93), "right_hip": (0, -0.12, 0.93),
        "left_knee": (0.01, 0.12, 0.5), "right_knee": (0.01, -0.12, 0.5),
        "left_ankle": (0, 0.12, 0.08), "right_ankle": (0, -0.12, 0.08),
        "spine": (0, 0, 1.17), "thorax": (0, 0, 1.4), "nose": (0.08, 0, 1.5), "head_top": (0, 0, 1.62),
        "left_shoulder": (0, 0.17, 1.38), "left_elbow": (0, 0.2, 1.66), "left_wrist": (0, 0.22, 1.9),
        "right_shoulder": (0, -0.17, 1.38), "right_elbow": (0, -0.2, 1.67), "right_wrist": (0, -0.22, 1.92),
    }  # fmt: skip
    return np.array([places[name] for name in H36M_17.joints])


def hanging(swing_rad: float) -> np.ndarray:
    """A man whose hands hold a bar along y while the body swings below it."""
    body = stretched() - [0, 0, 1.91]
    swing = swing_rad * np.sin(2 * np.pi * TIMES_S / 1.8)
    return np.stack([body @ axis_angle_to_matrix(np.array([0, angle, 0])).T for angle in swing])


def handstand() -> np.ndarray:
    """Upside down on the hands, which are at rest; the feet are not."""
    body = np.repeat(stretched()[None] * [-1, 1, -1] + [0, 0, 1.98], len(TIMES_S), axis=0)
    shaky = H36M_17.indices("left_ankle", "right_ankle")
    body[:, shaky, 0] += 0.06 * np.sin(2 * np.pi * TIMES_S)[:, None]
    return body


@pytest.mark.parametrize("swing_rad", [0.0, 0.15, 0.4])
def test_somebody_who_hangs_is_not_on_their_feet(swing_rad: float) -> None:
    joints = in_view(hanging(swing_rad))
    up = find_up([joints], [TIMES_S])
    assert up.assumed
    assert "trunks" in up.source
    assert angle_deg(up.direction, TURN[:, 2]) < 16
    assert not foot_contacts(joints, TIMES_S, np.ones(joints.shape[:2], bool), up.direction).any()


@pytest.mark.parametrize("hidden", [("knee", "ankle"), ("ankle",), ("hip", "knee", "ankle")])
def test_legs_that_were_not_seen_tell_nothing(hidden: tuple[str, ...], true_pose: Pose3D) -> None:
    seen = np.ones(true_pose.seen.shape, dtype=bool)
    seen[:, H36M_17.indices(*(f"{side}_{joint}" for side in ("left", "right") for joint in hidden))] = False
    up = find_up([true_pose.joints_m], [true_pose.times_s], [seen])
    assert up.assumed
    assert "balance" not in up.source
    assert not foot_contacts(true_pose.joints_m, true_pose.times_s, seen, up.direction).any()


def test_nobody_seen_at_all_leaves_the_picture(true_pose: Pose3D) -> None:
    up = find_up([true_pose.joints_m], [true_pose.times_s], [np.zeros(true_pose.seen.shape, dtype=bool)])
    assert up.assumed
    assert "no trunk was seen" in up.source


def test_a_handstand_is_balance_on_the_hands() -> None:
    joints = in_view(handstand())
    up = find_up([joints], [TIMES_S])
    assert not up.assumed
    assert "on their hands" in up.source
    assert "feet" not in up.source
    assert angle_deg(up.direction, TURN[:, 2]) < 5
    seen = np.ones(joints.shape[:2], dtype=bool)
    assert not foot_contacts(joints, TIMES_S, seen, up.direction).any()
    seen[:, H36M_17.indices("left_wrist", "right_wrist")] = False
    assert find_up([joints], [TIMES_S], [seen]).assumed
