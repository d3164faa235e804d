"""The rig against the joints that it was fitted to; its rest pose and hinges."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.export.mannequin import build_mannequin
from repose.export.rig import Rig, fit_rig
from repose.export.upright import to_world, y_up
from repose.geometry.rotation import matrix_to_axis_angle
from repose.pose import Pose3D
from repose.skeleton import FEET, H36M_17, H36M_FEET, SKELETONS, Skeleton, walk
from repose.synthetic.procedural import ProceduralConfig, make_motion


def upright(pose: Pose3D) -> np.ndarray:
    return y_up(to_world([pose])[0].joints_m)


def with_constant_bones(joints_m: np.ndarray) -> np.ndarray:
    """The joints with every bone in its own direction and as long as its median: what lengths alone cost."""
    fitted = joints_m.astype(np.float64)
    for child, parent in walk(H36M_17):
        bone = joints_m[:, child] - joints_m[:, parent].astype(np.float64)
        length = np.linalg.norm(bone, axis=-1, keepdims=True)
        fitted[:, child] = fitted[:, parent] + bone / length * np.median(length)
    return fitted


def joint_places(rig: Rig) -> np.ndarray:
    return rig.positions_m()[:, [rig.names.index(joint) for joint in H36M_17.joints]]


def test_joints_are_where_they_were_but_for_the_lengths_of_bones(walker: Pose3D) -> None:
    joints = upright(walker)
    places = joint_places(fit_rig(joints, H36M_17, 30.0))
    beyond = np.linalg.norm(places - with_constant_bones(joints), axis=-1)
    assert beyond.max() < 0.005
    assert np.linalg.norm(places - joints, axis=-1).mean() < 0.02


@pytest.mark.parametrize("clip", ["dash", "byebye", "walk"])
def test_recorded_motion_is_followed(shared: Path, clip: str) -> None:
    from repose.mocap.recordings import read_mocap

    path = sorted((shared / "mocap/bandai_dev").glob(f"*_{clip}_*.bvh"))[0]
    (recording,) = read_mocap(path)
    joints = y_up(recording.joints_m.astype(np.float64))
    beyond = np.linalg.norm(
        joint_places(fit_rig(joints, H36M_17, recording.fps)) - with_constant_bones(joints), axis=-1
    )
    assert beyond.max() < 0.005


def test_at_rest_it_stands_in_a_t_facing_z(walker: Pose3D) -> None:
    rig = fit_rig(upright(walker), H36M_17, 30.0)
    rest = dict(zip(rig.names, rig.rest_m, strict=True))
    for upper, lower in (("head_top", "thorax"), ("thorax", "pelvis"), ("left_hip", "left_knee")):
        assert rest[upper][1] > rest[lower][1] + 0.1
    assert rest["left_wrist"][0] > rest["left_shoulder"][0] > 0.1 > -0.1 > rest["right_shoulder"][0]
    np.testing.assert_allclose([rest["left_wrist"][1], rest["right_wrist"][1]], rest["thorax"][1], atol=1e-6)
    assert np.ptp(rig.rest_m[:, 2]) < 0.01


def test_bones_are_as_long_as_their_median(walker: Pose3D) -> None:
    joints = upright(walker)
    rig = fit_rig(joints, H36M_17, 30.0)
    for joint in ("left_knee", "right_wrist", "head_top"):
        child = H36M_17.index(joint)
        length = np.median(np.linalg.norm(joints[:, child] - joints[:, H36M_17.parents[child]], axis=-1))
        assert np.linalg.norm(rig.offsets_m[rig.names.index(joint)]) == pytest.approx(length, abs=1e-5)


def test_knees_and_elbows_are_hinges(walker: Pose3D) -> None:
    rig = fit_rig(upright(walker), H36M_17, 30.0)
    for joint, axis, bend in (
        ("left_knee", 0, 1),
        ("right_knee", 0, 1),
        ("left_elbow", 1, -1),
        ("right_elbow", 1, 1),
    ):
        turn = np.degrees(matrix_to_axis_angle(rig.rotations[:, rig.names.index(joint)]))
        assert np.abs(np.delete(turn, axis, axis=1)).max() < 15, joint
        assert bend * np.median(turn[:, axis]) > 3, joint


def test_a_straight_or_missing_bone_is_no_trouble(walker: Pose3D) -> None:
    joints = upright(walker)[:4].copy()
    index = {name: i for i, name in enumerate(H36M_17.joints)}
    thigh = joints[:, index["left_knee"]] - joints[:, index["left_hip"]]
    joints[:, index["left_ankle"]] = joints[:, index["left_knee"]] + thigh
    joints[2, index["right_wrist"]] = joints[2, index["right_elbow"]]
    rig = fit_rig(joints, H36M_17, 30.0)
    assert np.isfinite(rig.rotations).all()
    assert np.isfinite(fit_rig(np.zeros((2, 17, 3)), H36M_17, 30.0).positions_m()).all()


def test_other_layouts_are_converted_by_name(walker: Pose3D) -> None:
    mpi = SKELETONS["mpi-17"]
    source = {"neck": "thorax", "head": "nose"}
    order = [H36M_17.index(source.get(joint, joint)) for joint in mpi.joints]
    joints = upright(walker)
    np.testing.assert_allclose(
        fit_rig(joints[:, order], mpi, 30.0).rotations, fit_rig(joints, H36M_17, 30.0).rotations, atol=1e-6
    )
    hand = Skeleton("hand", ("palm", "thumb"), (-1, 0))
    with pytest.raises(UserError, match="no way to derive 'pelvis'"):
        fit_rig(joints[:, :2], hand, 30.0)


def test_one_frame_will_do(walker: Pose3D) -> None:
    single = replace(walker, **{n: getattr(walker, n)[:1] for n in ("joints_m", "seen", "frames", "times_s")},
                     confidence=None, deviation_m=None, points_px=None)  # fmt: skip
    joints = upright(single)
    np.testing.assert_allclose(joint_places(fit_rig(joints, H36M_17, 30.0)), joints, atol=2e-3)


def test_with_toes_and_heels_the_ankle_turns_the_foot() -> None:
    (joints,) = make_motion(ProceduralConfig(clips=1, seconds=3, p_gait=1), 6, H36M_FEET)
    up = y_up(joints.astype(np.float64))
    rig, footless = fit_rig(up, H36M_FEET, 60.0), fit_rig(up[:, :17], H36M_17, 60.0)
    assert set(rig.names) == set(footless.names) | set(FEET)
    np.testing.assert_allclose(joint_places(rig), joint_places(footless), atol=1e-9)
    feet = rig.positions_m()[:, [rig.names.index(joint) for joint in FEET]]
    assert np.linalg.norm(feet - up[:, 17:], axis=-1).mean() < 0.02
    rest = dict(zip(rig.names, rig.rest_m, strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        assert rest[f"{side}_big_toe"][2] > rest[f"{side}_small_toe"][2] > rest[f"{side}_heel"][2]
        assert sign * (rest[f"{side}_small_toe"] - rest[f"{side}_big_toe"])[0] > 0.02
    figure = build_mannequin(rig)
    for side in ("left", "right"):
        foot = figure.points_m[figure.nodes == rig.names.index(f"{side}_ankle")]
        heel, toe = rest[f"{side}_heel"], rest[f"{side}_big_toe"]
        np.testing.assert_allclose(foot.min(axis=0)[1:], heel[1:], atol=0.03)
        assert foot.max(axis=0)[2] == pytest.approx(toe[2], abs=0.03)
