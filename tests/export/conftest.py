"""A person to export: the sample's true motion, a little unsteady, with frames that are missing."""

from dataclasses import replace

import numpy as np
import pytest

from repose.pose import Pose3D
from repose.sample import load_sample_truth


@pytest.fixture(scope="session")
def walker() -> Pose3D:
    """90 frames of the sample in the frame of its camera, up unknown; bones vary by a centimetre."""
    truth, rng = load_sample_truth(), np.random.default_rng(0)
    joints = truth.joints_m[60:150] + rng.normal(0, 0.006, (90, 17, 3))
    pelvis, *hips = truth.skeleton.indices("pelvis", "left_hip", "right_hip")
    joints[:, pelvis] = joints[:, hips].mean(axis=1)
    return Pose3D(
        joints_m=joints.astype(np.float32),
        seen=~truth.hidden[60:150],
        frames=np.arange(60, 150),
        fps=truth.fps,
        skeleton="h36m-17",
        track_id=3,
        coordinates="camera",
        scale="the truth",
        confidence=rng.uniform(0.3, 1, (90, 17)),
        deviation_m=rng.uniform(0.01, 0.2, (90, 17)).astype(np.float32),
        points_px=truth.points_px[60:150],
        image_size=truth.image_size,
    )


@pytest.fixture(scope="session")
def halting(walker: Pose3D) -> Pose3D:
    """The same without frames 80 to 99."""
    there = (walker.frames < 80) | (walker.frames > 99)
    rows = {
        name: getattr(walker, name)[there]
        for name in ("joints_m", "seen", "frames", "times_s", "confidence", "deviation_m", "points_px")
    }
    return replace(walker, **rows)
