import numpy as np
import pytest

import repose
from repose.errors import UserError
from repose.export.angles import joint_angles
from repose.fitting.gravity import stated_up
from repose.geometry.joint_angles import ANGLE_FACTORS, DISTANCE_PER_AXIS, measure_angles
from repose.geometry.rotation import axis_to_matrix
from repose.pose import Pose3D
from repose.skeleton import H36M_17, SKELETONS

# Somebody who stands upright and looks along x, their left at y: metres, z up.
STANDING = {
    "pelvis": (0, 0, 0.9),
    "spine": (0, 0, 1.15),
    "thorax": (0, 0, 1.4),
    "nose": (0.05, 0, 1.5),
    "head_top": (0, 0, 1.65),
    **{f"{side}_hip": (0, 0.12 * sign, 0.9) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_knee": (0, 0.12 * sign, 0.5) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_ankle": (0, 0.12 * sign, 0.08) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_shoulder": (0, 0.18 * sign, 1.4) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_elbow": (0, 0.18 * sign, 1.1) for side, sign in (("left", 1), ("right", -1))},
    **{f"{side}_wrist": (0, 0.18 * sign, 0.85) for side, sign in (("left", 1), ("right", -1))},
}


def turned(axis: str, degrees: float, about: np.ndarray, *points: np.ndarray) -> list[np.ndarray]:
    """Points turned about a world axis through `about`, right-handed."""
    R = axis_to_matrix(axis.upper(), np.array(np.radians(degrees)))
    return [R @ (point - about) + about for point in points]


def pose(places: dict[str, object], skeleton: str = "h36m-17", **changes: object) -> Pose3D:
    layout = SKELETONS[skeleton]
    joints = np.array([[np.asarray(places[name], dtype=float) for name in layout.joints]])
    values = {
        "joints_m": joints,
        "seen": np.ones(joints.shape[:2], dtype=bool),
        "frames": np.array([0]),
        "fps": 30,
        "skeleton": skeleton,
        "coordinates": "world",
        "T_cam_world": stated_up(10, 0).T_cam_world(1.5).matrix,
    }
    return Pose3D(**(values | changes))


def bent(changes: dict[str, np.ndarray]) -> dict[str, float]:
    angles = joint_angles(pose({**STANDING, **changes}))
    return {name: round(float(angles[name][0]), 6) + 0.0 for name in angles.names}


def at(name: str) -> np.ndarray:
    return np.array(STANDING[name], dtype=float)


def test_somebody_upright_has_no_angles() -> None:
    angles = bent({})
    planes = {name for name in angles if name.endswith("plane_of_elevation")}
    assert all(np.isnan(angles[name]) for name in planes)  # hanging arms have no plane
    assert {value for name, value in angles.items() if name not in planes} == {0.0}


@pytest.mark.parametrize("side", ["left", "right"])
def test_each_angle_is_positive_in_its_direction(side: str) -> None:
    """One joint at a time, and nothing else changes."""
    out = 1 if side == "left" else -1
    hip, knee, ankle, shoulder, elbow, wrist = (
        at(f"{side}_{name}") for name in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
    )
    leg, arm = (f"{side}_knee", f"{side}_ankle"), (f"{side}_elbow", f"{side}_wrist")

    def changed(names: tuple[str, ...], points: list[np.ndarray]) -> dict[str, float]:
        found = bent(dict(zip(names, points, strict=True)))
        return {name: value for name, value in found.items() if value and not np.isnan(value)}

    # About y, the body's left: positive turns take down to back, so forward is negative.
    assert changed(leg, turned("y", -40, hip, knee, ankle)) == {f"{side}_hip_flexion": 40}
    assert changed(leg, turned("y", 20, hip, knee, ankle)) == {f"{side}_hip_flexion": -20}
    assert changed(leg, turned("x", -15 * out, hip, knee, ankle)) == {f"{side}_hip_adduction": 15}
    assert changed(leg[1:], turned("y", 70, knee, ankle)) == {f"{side}_knee_flexion": 70}
    assert changed(arm[1:], turned("y", -90, elbow, wrist)) == {f"{side}_elbow_flexion": 90}
    assert changed(arm, turned("y", -60, shoulder, elbow, wrist)) == {
        f"{side}_shoulder_elevation": 60,
        f"{side}_shoulder_plane_of_elevation": 90,
    }
    to_the_side = changed(arm, turned("x", 75 * out, shoulder, elbow, wrist))
    assert to_the_side == {f"{side}_shoulder_elevation": 75}  # in the plane of 0 degrees


@pytest.mark.parametrize(
    ("axis", "degrees", "name"),
    [("y", 30, "trunk_flexion"), ("x", 20, "trunk_lateral_bending"), ("z", 25, "trunk_axial_rotation")],
)
def test_the_trunk_leans_and_turns(axis: str, degrees: float, name: str) -> None:
    above = [joint for joint in STANDING if STANDING[joint][2] > 0.9 or joint.endswith(("elbow", "wrist"))]
    found = bent(dict(zip(above, turned(axis, degrees, at("pelvis"), *map(at, above)), strict=True)))
    assert found[name] == pytest.approx(degrees)
    others = {"trunk_flexion", "trunk_lateral_bending", "trunk_axial_rotation"} - {name}
    assert all(found[other] == pytest.approx(0, abs=1e-6) for other in others)
    # The hip is measured against the trunk.
    assert found["left_hip_flexion"] == pytest.approx(30 if name == "trunk_flexion" else 0, abs=0.5)


def test_where_somebody_stands_and_looks_is_no_matter() -> None:
    knee, ankle = turned("y", -50, at("left_hip"), at("left_knee"), at("left_ankle"))
    places = {**STANDING, "left_knee": knee, "left_ankle": ankle}
    R = axis_to_matrix("Z", np.array(2.0))
    away = {name: R @ np.asarray(place, dtype=float) + [3, -1, 0] for name, place in places.items()}
    here, there = joint_angles(pose(places)), joint_angles(pose(away))
    np.testing.assert_allclose(there.degrees, here.degrees, atol=1e-6)


def test_up_in_the_camera_frame_serves_too() -> None:
    T = stated_up(20, 10).T_cam_world(1.5).matrix
    world = pose({**STANDING, "thorax": (0.3, 0.1, 1.3)})
    seen = Pose3D(
        world.joints_m @ T[:3, :3].T + T[:3, 3],
        world.seen,
        world.frames,
        30,
        world.skeleton,
        coordinates="camera",
        T_cam_world=T,
    )
    np.testing.assert_allclose(joint_angles(seen).degrees, joint_angles(world).degrees, atol=1e-6)


def test_without_up_the_trunk_has_no_angles_and_without_toes_the_ankle() -> None:
    angles = joint_angles(pose(STANDING, coordinates="camera", T_cam_world=None))
    assert not any(name.startswith("trunk") for name in angles.names)
    assert "refine" in angles.missing["trunk_flexion"]
    assert "toes" in angles.missing["left_ankle_dorsiflexion"]
    with pytest.raises(UserError, match="toes"):
        angles["left_ankle_dorsiflexion"]
    with pytest.raises(UserError, match="no angle 'left_ear'"):
        angles["left_ear"]


@pytest.mark.parametrize("degrees", [-20, 0, 15])
def test_the_ankle_where_there_are_toes(degrees: float) -> None:
    places = {name: np.zeros(3) for name in SKELETONS["halpe-26"].joints}
    places |= {name: place for name, place in STANDING.items() if name in places}
    places["neck"] = STANDING["thorax"]
    for side in ("left", "right"):
        ankle = at(f"{side}_ankle")
        heel = ankle + np.array([-0.05, 0, -0.06])
        (toe,) = turned("y", -degrees, heel, heel + np.array([0.2, 0, 0]))
        places |= {f"{side}_heel": heel, f"{side}_big_toe": toe}
    angles = joint_angles(pose(places, "halpe-26"))
    for side in ("left", "right"):
        assert angles[f"{side}_ankle_dorsiflexion"][0] == pytest.approx(degrees)
        assert angles[f"{side}_hip_flexion"][0] == pytest.approx(0, abs=1e-6)
    assert not any("ankle" in name for name in angles.missing)


def test_an_angle_is_seen_where_its_joints_are() -> None:
    seen = np.ones((1, 17), dtype=bool)
    seen[0, H36M_17.index("left_knee")] = False
    angles = joint_angles(pose(STANDING, seen=seen))
    hidden = {name for name, ok in zip(angles.names, angles.seen[0], strict=True) if not ok}
    assert hidden == {"left_hip_flexion", "left_hip_adduction", "left_knee_flexion"}


def test_joints_in_one_place_have_no_angle() -> None:
    angles = joint_angles(pose({**STANDING, "left_wrist": STANDING["left_elbow"]}))
    assert np.isnan(angles["left_elbow_flexion"][0])
    assert np.isfinite(angles["right_elbow_flexion"][0])


def test_two_lines_of_python() -> None:
    angles = repose.joint_angles(pose(STANDING))
    assert angles["left_knee_flexion"].shape == (len(angles),) == (1,)


@pytest.mark.parametrize("knee_deg", [20.0, 60.0])
def test_the_deviation_of_an_angle_follows_from_that_of_its_joints(knee_deg: float) -> None:
    """Ankles and wrists in doubt, hips and knees less: as many trials say."""
    ahead = np.array([np.sin(np.radians(knee_deg)), 0, -np.cos(np.radians(knee_deg))])
    places = {**STANDING, "left_ankle": np.array(STANDING["left_knee"]) - 0.42 * ahead * [1, 0, -1]}
    deviation_m = np.full((1, 17), 0.01)
    deviation_m[:, H36M_17.indices("left_ankle", "left_wrist")] = 0.03
    still = pose(places, deviation_m=deviation_m)
    found = joint_angles(still)
    assert found.deviation_deg is not None
    rng = np.random.default_rng(1)
    count = 2000
    noise_m = rng.normal(size=(count, 17, 3)) * deviation_m[..., None] / DISTANCE_PER_AXIS
    tried = measure_angles(still.joints_m + noise_m, H36M_17, np.array([0.0, 0.0, 1.0]))
    for name in ("left_knee_flexion", "left_hip_flexion", "trunk_flexion"):
        off_deg = np.quantile(np.abs(tried[name] - found[name][0]), 0.683)
        factor = ANGLE_FACTORS[name.split("_", 1)[1] if name.startswith(("left", "right")) else name]
        expected_deg = found.deviation_deg[0, found.names.index(name)] / factor
        assert 0.8 * off_deg < expected_deg < 1.25 * off_deg, (name, off_deg, expected_deg)


def test_a_pose_without_deviations_has_angles_without() -> None:
    assert joint_angles(pose(STANDING)).deviation_deg is None
