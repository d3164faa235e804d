"""The sample's true motion as a result: a figure that walks, squats and walks on, seen by a still camera."""

import numpy as np
import pytest

from repose.pose import Pose3D
from repose.sample import SampleTruth, load_sample_truth


@pytest.fixture(scope="session")
def truth() -> SampleTruth:
    return load_sample_truth()


@pytest.fixture(scope="session")
def true_pose(truth: SampleTruth) -> Pose3D:
    """Exact joints in the camera frame."""
    return Pose3D(
        joints_m=truth.joints_m.astype(np.float64),
        seen=~truth.hidden,
        frames=np.arange(len(truth.joints_m)),
        fps=truth.fps,
        skeleton=truth.skeleton,
        coordinates="camera",
        deviation_m=np.full(truth.hidden.shape, 0.05),
        points_px=truth.points_px,
        image_size=truth.image_size,
        model="truth",
        record={"assumed": []},
    )
