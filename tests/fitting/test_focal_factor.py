"""The lens from steps in depth, of walks whose focal length is known."""

from dataclasses import replace

import numpy as np
import pytest

from repose.fitting.focal_factor import (
    DEVIATION,
    GAIN,
    OFFSET,
    PRIOR_DEVIATION,
    FocalFactor,
    find_focal_factor,
)
from repose.geometry.rotation import axis_angle_to_matrix
from repose.pose import Pose3D
from repose.skeleton import H36M_17

FPS, STEPS, STEP_M, STEP_FRAMES = 30.0, 12, 0.7, 18
SHARE = PRIOR_DEVIATION**2 / (PRIOR_DEVIATION**2 + DEVIATION**2)
"""What steps count for beside the assumed lens."""


def walk(stretch: float = 1.0, *, slip: float = 1.0, yaw_deg: float = 0.0) -> Pose3D:
    """Somebody walks away from the camera, the left foot first, as lifted with some lens.

    The root's way along the line of sight is `stretch` times as long as that of the standing foot against
    it, as a focal length makes it that is wrong by that factor; across the line of sight `slip` times.
    """
    frames = STEPS * STEP_FRAMES
    time = np.arange(frames) / STEP_FRAMES
    way = STEP_M * time / 2
    feet = np.zeros((frames, 2, 3))
    for foot in range(2):
        # Each foot stands for one step and swings for one, lifted in the middle of its swing.
        cycle, phase = np.divmod(time + foot, 2)
        swing = np.clip(phase - 1, 0, 1)
        feet[:, foot, 2] = STEP_M * (cycle - foot / 2 + (1 - np.cos(np.pi * swing)) / 2)
        feet[:, foot, 1] = -0.12 * np.sin(np.pi * swing)
    pelvis = np.stack([np.zeros(frames), np.full(frames, -0.9), way], axis=-1)
    trunk = {"pelvis": 0.0, "spine": -0.25, "thorax": -0.5, "nose": -0.6, "head_top": -0.72}
    arms = {"shoulder": -0.45, "elbow": -0.17, "wrist": 0.07}
    around = np.zeros((frames, 17, 3))
    for name, height in trunk.items():
        around[:, H36M_17.index(name), 1] = height
    for side, (sign, foot) in {"left": (-1, 0), "right": (1, 1)}.items():
        for name, height in arms.items():
            around[:, H36M_17.index(f"{side}_{name}")] = [0.19 * sign, height, 0]
        hip, knee, ankle = H36M_17.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        around[:, hip] = [0.1 * sign, 0, 0]
        around[:, ankle] = feet[:, foot] - pelvis + [0.1 * sign, 0, 0]
        around[:, knee] = (around[:, hip] + around[:, ankle]) / 2 + [0, 0, 0.03]
    turn = axis_angle_to_matrix(np.radians([0, yaw_deg, 0]))
    root = (pelvis @ turn.T) * [slip, 1, stretch] + [0.3, 0.4, 6.0]
    joints = around @ turn.T + root[:, None]
    joints += 0.002 * np.random.default_rng(0).normal(size=joints.shape)
    return Pose3D(
        joints, np.ones(joints.shape[:2], bool), np.arange(frames), FPS, H36M_17, coordinates="camera"
    )


@pytest.mark.parametrize("wrong", [0.8, 1.0, 1.25])
def test_steps_tell_the_focal_length(wrong: float) -> None:
    """A root that goes too far by a quarter was lifted with a lens that is too long by a quarter."""
    found = find_focal_factor([walk(wrong * np.exp(OFFSET / GAIN))])
    assert found is not None
    assert found.deviation == DEVIATION
    assert np.log(found.factor) == pytest.approx(-SHARE * GAIN * np.log(wrong), abs=0.05)


def test_two_people_are_asked_together() -> None:
    one, other = walk(1.25), replace(walk(1.25), track_id=1)
    both, alone = find_focal_factor([one, other]), find_focal_factor([one])
    assert isinstance(both, FocalFactor)
    assert isinstance(alone, FocalFactor)
    assert both.factor == pytest.approx(alone.factor, rel=0.01)


def part(pose: Pose3D, frames: int) -> Pose3D:
    rows = {name: getattr(pose, name)[:frames] for name in ("joints_m", "seen", "confidence")}
    return replace(pose, frames=pose.frames[:frames], times_s=pose.times_s[:frames], **rows)


def test_what_tells_nothing_is_not_believed() -> None:
    there = walk()
    noise = np.cumsum(np.random.default_rng(1).normal(0, 0.1, (len(there), 1, 3)), axis=0)
    untold = {
        "nobody walks in depth": walk(yaw_deg=90),
        "nobody walks at all": replace(there, joints_m=there.joints_m - there.joints_m[:, :1] + [0, 0, 5]),
        "a moment": part(there, 12),
        "not seen": replace(there, seen=np.zeros_like(there.seen)),
        "steps contradict each other": replace(there, joints_m=there.joints_m + noise),
        "no lens is that long": walk(0.3),
        "somebody on skates": walk(slip=2.5, yaw_deg=40),
        "where the person stands is not known": replace(
            there, joints_m=there.root_relative_m(), coordinates="camera-root-relative"
        ),
        "the camera turns": replace(there, R_view_cam=np.repeat(np.eye(3)[None], len(there), axis=0)),
    }
    assert {why for why, pose in untold.items() if find_focal_factor([pose]) is not None} == set()
