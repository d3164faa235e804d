"""Feet of recordings: their proportions, and that soles lie on the floor."""

from pathlib import Path

import numpy as np
import pytest

from repose.geometry.rotation import euler_to_matrix
from repose.mocap.foot_bones import (
    BALL,
    BALL_DROP,
    FOOT_BREADTH,
    FOOT_LENGTH,
    FootBones,
    add_feet,
    place_foot,
    resting_foot,
)
from repose.mocap.recordings import MocapClip, read_mocap, resample, split_at_jumps
from repose.skeleton import ANKLE_HEIGHT, FEET, H36M_17, stature
from repose.synthetic.procedural import ProceduralConfig, make_motion

X, Y, Z = np.eye(3)


@pytest.mark.parametrize(("side", "sign"), [("left", 1.0), ("right", -1.0)])
def test_a_foot_has_the_published_proportions(side: str, sign: float) -> None:
    # It points along x, so that the left is along y; the ankle is above the origin.
    ankle = ANKLE_HEIGHT * 2.0 * Z
    foot = place_foot(side, ankle, X, Z, 2.0)
    assert all(abs(place[2]) < 1e-12 for place in foot.values())
    big, small, heel = (foot[f"{side}_{joint}"] for joint in ("big_toe", "small_toe", "heel"))
    np.testing.assert_allclose(big[0] - heel[0], FOOT_LENGTH * 2.0)
    assert heel[0] < 0 < small[0] < big[0]
    assert sign * small[1] > 0 > sign * big[1]
    np.testing.assert_allclose(abs(small[1] - big[1]), 0.625 * FOOT_BREADTH * 2.0)
    bent = place_foot(side, ankle, X, Z, 2.0, np.pi / 6)
    np.testing.assert_allclose(bent[f"{side}_heel"], heel)
    assert bent[f"{side}_big_toe"][2] > bent[f"{side}_small_toe"][2] > 0


def test_a_skeleton_at_rest_tells_where_its_sole_faces() -> None:
    # A leg spread by 20° with its foot square to it, as the CMU database's skeletons stand at rest; y up.
    tilt = euler_to_matrix(np.array([np.radians(20)]), "Z")
    foot = tilt @ np.array([0.0, -BALL_DROP, BALL]) * 1.8
    forward, up = resting_foot(tilt @ np.array([0.0, -0.4, 0.0]), foot, 1.8)
    np.testing.assert_allclose(forward, tilt @ Z, atol=1e-9)
    np.testing.assert_allclose(up, tilt @ Y, atol=1e-9)


def test_a_sole_that_a_skeleton_tilts_lies_level_where_the_person_stands() -> None:
    (body,) = make_motion(ProceduralConfig(clips=1, seconds=1), seed=2)
    joints = np.repeat(body[:1], 120, axis=0).astype(np.float64)
    tilted = euler_to_matrix(np.radians(np.full((120, 1), 7.0)), "Y")  # nose down
    height_m = float(stature(joints[0]))
    bones = FootBones(-0.4 * Z, height_m * (BALL * X - BALL_DROP * Z), tilted, tilted)
    feet = add_feet(joints, {"left": bones, "right": None}, 60.0)[:, len(H36M_17) :]
    own = [FEET.index(joint) for joint in FEET if joint.startswith("left")]
    ankle = joints[0, H36M_17.index("left_ankle")]
    np.testing.assert_allclose(feet[:, own, 2], ankle[2] - ANKLE_HEIGHT * height_m, atol=1e-6)
    assert np.isnan(np.delete(feet, own, axis=1)).all()


def test_feet_go_with_their_clip() -> None:
    joints = np.zeros((9, 17, 3), np.float32)
    joints[5:, 3] = 9.0  # a jump
    feet = np.arange(9, dtype=np.float32)[:, None, None] * np.ones((9, 6, 3), np.float32)
    clip = MocapClip("clip", joints, 12.0, "", feet_m=feet)
    assert [piece.feet_m[0, 0, 0] for piece in split_at_jumps(clip) if piece.feet_m is not None] == [0, 5]
    halved = resample(clip, 24.0)
    assert halved.feet_m is not None
    np.testing.assert_allclose(halved.feet_m[4:8, 0, 0], [2, 2.5, 3, 3.5], atol=1e-5)
    assert clip.with_feet_m().shape == (9, 23, 3)
    unknown = MocapClip("clip", joints, 12.0, "").with_feet_m()
    assert np.isnan(unknown[:, 17:]).all()
    assert (unknown[:, :17] == joints).all()


def test_soles_of_the_cmu_database_lie_on_the_floor(shared: Path) -> None:
    (clip,) = read_mocap(shared / "mocap/cmu_amc/02/02_01.amc")
    assert clip.feet_m is not None
    speed_m_s = np.linalg.norm(np.gradient(clip.feet_m, axis=0), axis=-1) * clip.fps
    for side in ("left", "right"):
        own = [FEET.index(joint) for joint in FEET if joint.startswith(side)]
        stands = (speed_m_s[:, own] < 0.1).all(axis=1)
        assert stands.sum() > 20
        heights_m = clip.feet_m[stands][:, own, 2]
        assert np.abs(np.median(np.ptp(heights_m, axis=1))) < 0.02
        assert np.abs(np.median(heights_m)) < 0.03
