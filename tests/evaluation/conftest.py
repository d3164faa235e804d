"""The parity fixtures as stores, models with the fixtures' weights, and a little motion."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from repose.datasets.prepare import prepare_human36m, prepare_mpi_inf_3dhp
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.evaluation.views import View, project_clips, read_motion
from repose.models import build
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig

CAMERA = CameraConfig(
    pitch_deg=(0.0, 10.0), roll_sigma_deg=0.0, distance=(3.0, 4.0), off_axis_deg=5.0, focal_sigma=0.0
)


@pytest.fixture(scope="session")
def human36m(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    file = parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl"
    return prepare_human36m(file, None, tmp_path_factory.mktemp("stores") / "human36m")


@pytest.fixture(scope="session")
def mpi_inf_3dhp(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    file = parity / "mpi_inf_3dhp" / "data_test_3dhp.npz"
    return prepare_mpi_inf_3dhp(file, tmp_path_factory.mktemp("stores") / "mpi")


@pytest.fixture(scope="session")
def published(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file as the authors publish theirs, with the weights of the fixtures."""
    sys.path.insert(0, str(parity))
    from weights import deterministic_state_dict

    sys.path.remove(str(parity))
    folder = tmp_path_factory.mktemp("checkpoints")

    def save(name: str) -> Path:
        path = folder / f"{name}.bin"
        if not path.exists():
            weights = deterministic_state_dict(build(name))
            torch.save({"epoch": 3, "model": {f"module.{k}": v for k, v in weights.items()}}, path)
        return path

    return save


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    """Two short videos of unequal frame rate and size, truth in the camera frame."""
    random = np.random.default_rng(5)

    def recordings(names: tuple[str, ...]):
        for name, frames, fps, size in zip(
            names, (40, 31), (50.0, 25.0), ((1000, 800), (640, 480)), strict=True
        ):
            shape = 0.3 * random.normal(size=(17, 3))
            joints = shape + np.cumsum(0.01 * random.normal(size=(frames, 17, 3)), axis=0) + (0.2, 0.1, 4.0)
            points = joints[..., :2] / joints[..., 2:] * size[0] + np.array(size) / 2
            confidence = random.uniform(0.05, 1.0, size=(frames, 17, 1))
            keypoints = np.concatenate([points, confidence], axis=-1)
            yield Recording(
                name, "S1", name, "0", size, fps, keypoints.astype(np.float32), joints.astype(np.float32)
            )

    info = StoreInfo("mocap", "h36m-17", "camera", "none")
    path = tmp_path_factory.mktemp("stores") / "tiny"
    return write_store(path, info, {"validation": recordings(("Walking", "Sitting"))})


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
