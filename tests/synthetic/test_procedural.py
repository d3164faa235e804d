"""Procedural motion: a human body's limits, checked on the positions of its joints."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from jaxtyping import Float

from repose.errors import UserError
from repose.skeleton import H36M_17, stature
from repose.synthetic import procedural
from repose.synthetic.procedural import ProceduralConfig, make_motion

Motion = Float[np.ndarray, "frames 17 3"]
CONFIG = ProceduralConfig(clips=40, seconds=5.0)
SIDES = ("left", "right")


@pytest.fixture(scope="module")
def clips() -> list[Motion]:
    return list(make_motion(CONFIG, seed=11))


@pytest.fixture(scope="module")
def frames(clips: list[Motion]) -> Motion:
    return np.concatenate(clips)


def bone(joints: Motion, end: str, start: str) -> Float[np.ndarray, "frames 3"]:
    return joints[:, H36M_17.index(end)] - joints[:, H36M_17.index(start)]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1)


def forward_of(joints: Motion) -> Float[np.ndarray, "frames 3"]:
    """Where the person faces, from left, right and up alone: left × up = forward."""
    return unit(np.cross(bone(joints, "left_hip", "right_hip"), bone(joints, "spine", "pelvis")))


def test_clips_and_their_length_follow_the_configuration(clips: list[Motion]) -> None:
    assert [clip.shape for clip in clips] == [(300, 17, 3)] * 40
    assert all(clip.dtype == np.float32 and np.isfinite(clip).all() for clip in clips)
    short = list(make_motion(ProceduralConfig(clips=2, seconds=0.5, fps=24.0), seed=0))
    assert [clip.shape for clip in short] == [(12, 17, 3)] * 2


def test_the_seed_decides_every_clip_on_its_own(clips: list[Motion]) -> None:
    again = list(islice(make_motion(ProceduralConfig(clips=900, seconds=5.0), seed=11), 3))
    for one, other in zip(clips, again, strict=False):
        np.testing.assert_array_equal(one, other)
    other_seed = next(make_motion(CONFIG, seed=12))
    assert np.abs(clips[0] - other_seed).max() > 0.1
    assert np.abs(clips[0] - clips[1]).max() > 0.1


def test_bones_are_rigid_and_of_human_size(clips: list[Motion]) -> None:
    for clip in clips:
        lengths = np.stack([np.linalg.norm(clip[:, c] - clip[:, p], axis=-1) for c, p in H36M_17.bones], -1)
        np.testing.assert_allclose(lengths, np.broadcast_to(lengths[:1], lengths.shape), atol=2e-5)
        partners = [(H36M_17.mirror[child], H36M_17.mirror[parent]) for child, parent in H36M_17.bones]
        order = [H36M_17.bones.index(bone) for bone in partners]
        np.testing.assert_allclose(lengths[0], lengths[0, order], atol=2e-5)
        assert 1.0 < stature(clip)[0] < 2.2


@pytest.mark.parametrize("side", SIDES)
def test_knees_bend_backward_and_only_so_far(frames: Motion, side: str) -> None:
    thigh = unit(bone(frames, f"{side}_knee", f"{side}_hip"))
    shank = unit(bone(frames, f"{side}_ankle", f"{side}_knee"))
    # Down × left is forward for a standing person, and stays the thigh's own front as the hip moves.
    front = np.cross(thigh, bone(frames, "left_hip", "right_hip"))
    assert dot(front, shank).max() < 1e-6
    flexion = np.arccos(dot(thigh, shank).clip(-1, 1))
    assert flexion.max() < 2.41
    assert flexion.max() > 1.0
    assert flexion.min() < 0.1


@pytest.mark.parametrize("side", SIDES)
def test_elbows_bend_only_so_far(frames: Motion, side: str) -> None:
    upper = unit(bone(frames, f"{side}_elbow", f"{side}_shoulder"))
    fore = unit(bone(frames, f"{side}_wrist", f"{side}_elbow"))
    flexion = np.arccos(dot(upper, fore).clip(-1, 1))
    assert flexion.min() > 0.04
    assert flexion.max() < 2.46
    assert flexion.max() > 1.5


@pytest.mark.parametrize("side", SIDES)
def test_elbows_bend_to_the_front(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # With a stiff trunk the shoulder line is parallel to the hips, and with arms below the shoulders
    # the front of the upper arm follows from its direction.
    stiff = dict.fromkeys(("flexion", "side", "twist", "lift"), (0.0, 0.0, 0.0))
    limits = {**procedural._LIMITS, "trunk": stiff, "collar": stiff}
    limits["shoulder"] = {**limits["shoulder"], "abduction": (-0.4, 0.15, 1.4)}
    monkeypatch.setattr(procedural, "_LIMITS", limits)
    joints = np.concatenate(list(make_motion(CONFIG, seed=4)))
    upper = unit(bone(joints, f"{side}_elbow", f"{side}_shoulder"))
    fore = unit(bone(joints, f"{side}_wrist", f"{side}_elbow"))
    front = np.cross(upper, bone(joints, "left_hip", "right_hip"))
    assert dot(front, fore).min() > 0


def test_left_is_the_subjects_own(frames: Motion) -> None:
    forward = forward_of(frames)
    nose = dot(bone(frames, "nose", "thorax"), forward)
    assert (nose > 0).mean() > 0.9
    assert nose.mean() > 0.05
    left = unit(bone(frames, "left_hip", "right_hip"))
    assert dot(bone(frames, "left_shoulder", "right_shoulder"), left).min() > 0
    # A free leg swings farther forward than backward, and outward than inward.
    for side, outward in (("left", left), ("right", -left)):
        thigh = unit(bone(frames, f"{side}_knee", f"{side}_hip"))
        assert dot(thigh, forward).max() > -dot(thigh, forward).min()
        assert dot(thigh, outward).max() > -dot(thigh, outward).min()


def test_sides_move_independently(clips: list[Motion]) -> None:
    """Asymmetric, so that an exchange of left and right anywhere else cannot go unseen."""
    for clip in clips:
        left, right = (
            np.linalg.norm(clip[:, H36M_17.index(f"{s}_wrist")] - clip[:, H36M_17.index("thorax")], axis=-1)
            for s in SIDES
        )
        assert np.abs(left - right).max() > 0.005 * stature(clip)[0]


def test_the_body_stands_on_the_ground(clips: list[Motion]) -> None:
    lowest = np.stack([clip[:, :, 2].min(axis=1) for clip in clips])
    # The lowest joint is an ankle, 8 cm up; hops leave the ground, nobody sinks into it.
    assert lowest.min() == pytest.approx(0.08, abs=1e-6)
    assert lowest.max() < 0.08 + 0.35 + 1e-6
    assert np.median(lowest) == pytest.approx(0.08, abs=1e-6)
    hoppers = (lowest > 0.1).any(axis=1).mean()
    assert 0 < hoppers < 0.4


def test_the_foot_that_carries_the_body_does_not_slide() -> None:
    config = ProceduralConfig(clips=12, p_gait=1.0)
    standing, free = [], []
    for clip in make_motion(config, seed=2):
        ankles = clip[:, H36M_17.indices("left_ankle", "right_ankle")]
        speed = np.linalg.norm(np.gradient(ankles[..., :2], axis=0), axis=-1) * config.fps
        # One ankle low, the other 10 cm higher: the low one carries the body.
        height = ankles[..., 2] - clip[:, :, 2].min(axis=1)[:, None]
        carries = (height < 0.001) & (height[:, ::-1] > 0.10)
        standing.append(speed[carries])
        free.append(speed[carries[:, ::-1]])
    assert len(np.concatenate(standing)) > 500
    assert np.percentile(np.concatenate(standing), 90) < 0.1 * np.median(np.concatenate(free))


def test_gaits_walk() -> None:
    config = ProceduralConfig(clips=12, p_gait=1.0)
    ways = [
        np.linalg.norm(clip[:, 0, :2] - clip[0, 0, :2], axis=-1).max() for clip in make_motion(config, seed=2)
    ]
    assert np.median(ways) > 1.0


def test_motion_is_smooth(clips: list[Motion]) -> None:
    speed = [np.linalg.norm(np.diff(clip, axis=0), axis=-1).max() * CONFIG.fps for clip in clips]
    change = [np.linalg.norm(np.diff(clip, n=2, axis=0), axis=-1).max() * CONFIG.fps**2 for clip in clips]
    assert max(speed) < 25  # m/s; the hand of someone who throws
    assert max(change) < 800  # m/s²
    assert np.median(change) < 150
    assert min(speed) > 0.05


def test_people_face_everywhere_and_some_lie_down(clips: list[Motion]) -> None:
    facing = np.stack([forward_of(clip)[0, :2] for clip in clips])
    angle = np.arctan2(facing[:, 1], facing[:, 0])
    assert all(((angle > low) & (angle < low + np.pi / 2)).any() for low in np.linspace(-np.pi, np.pi / 2, 4))
    trunk = [unit(bone(clip, "thorax", "pelvis"))[:, 2].min() for clip in clips]
    assert np.mean(np.array(trunk) > 0.3) > 0.7
    config = ProceduralConfig(clips=10, p_gait=0.0, p_floor=1.0)
    fallen = [unit(bone(clip, "thorax", "pelvis"))[:, 2].min() for clip in make_motion(config, seed=1)]
    assert np.median(fallen) < 0.3


@pytest.mark.parametrize(("change", "what"), [({"clips": 0}, "clips"), ({"seconds": 0.01}, "seconds")])
def test_an_empty_motion_is_refused(change: dict[str, float], what: str) -> None:
    with pytest.raises(UserError, match=f"{what}.*: expected"):
        ProceduralConfig(**change)


@pytest.mark.parametrize("name", list(procedural.POSTURES))
def test_a_posture_is_taken_and_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(procedural, "POSTURES", {name: procedural.POSTURES[name]})
    config = ProceduralConfig(clips=6, seconds=2.0, p_gait=0.0, p_floor=0.0, p_posture=1.0, p_load=0.0)
    joints = np.concatenate(list(make_motion(config, seed=4)))
    up = unit(bone(joints, "thorax", "pelvis"))[:, 2]
    thighs = unit(bone(joints, "left_knee", "left_hip"))[:, 2]
    wrists, head = joints[:, H36M_17.index("left_wrist"), 2], joints[:, H36M_17.index("head_top"), 2]
    knees = bone(joints, "left_knee", "pelvis")[:, 2]
    expected = {
        "on a chair": np.median(up) > 0.6 and np.median(thighs) > -0.6,
        "on the floor": np.median(thighs) > -0.6,
        "squatting": np.median(thighs) > -0.75,
        "on the back": abs(np.median(up)) < 0.5 and np.median(forward_of(joints)[:, 2]) > 0.6,
        "on the belly": abs(np.median(up)) < 0.5 and np.median(forward_of(joints)[:, 2]) < -0.6,
        "on the side": abs(np.median(up)) < 0.6 and abs(np.median(forward_of(joints)[:, 2])) < 0.6,
        "on hands and knees": np.median(wrists) < 0.35 and np.median(knees) < -0.2,
        "pressing up": np.median(wrists) < np.median(head),
        "hands on a table": 0.1 < np.median(up) < 0.95,
        "hands on the knees": 0.0 < np.median(up) < 0.95,
    }
    assert expected[name]
    assert joints[..., 2].min() > 0.07


def test_a_load_is_carried_on_one_side() -> None:
    config = ProceduralConfig(clips=30, seconds=2.0, p_gait=0.0, p_floor=0.0, p_posture=0.0)
    for load, still in ((1.0, True), (0.0, False)):
        quiet = []
        for clip in make_motion(replace(config, p_load=load), seed=4):
            motion = [
                np.ptp(bone(clip, f"{side}_wrist", "thorax"), axis=0).max() / stature(clip)[0]
                for side in SIDES
            ]
            quiet.append(min(motion) < 0.7 * max(motion))
        if still:
            assert np.mean(quiet) > 0.5
