"""A little motion, and models that are quick because nobody trained them."""

from pathlib import Path

import numpy as np
import pytest

from repose.evaluation.views import View, project_clips, read_motion
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig

CAMERA = CameraConfig(
    pitch_deg=(0.0, 10.0), roll_sigma_deg=0.0, distance=(3.0, 4.0), off_axis_deg=5.0, focal_sigma=0.0
)


@pytest.fixture(scope="session")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three clips of 5 s at 50 Hz, and one of a second."""
    folder = tmp_path_factory.mktemp("motion")
    for number, joints in enumerate(make_motion(ProceduralConfig(clips=4, seconds=5.0, fps=50.0), 11)):
        np.savez(folder / f"clip_{number}.npz", joints_m=joints[: 250 if number < 3 else 50], fps=50.0)
    return folder


@pytest.fixture(scope="session")
def views(motion: Path) -> list[list[View]]:
    return project_clips(read_motion([motion]), CAMERA, 2, seed=0)
