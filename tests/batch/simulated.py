"""An estimator that needs no model: the text of its "videos" says what becomes of them."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import repose
from repose.errors import UserError
from repose.pipeline import EstimateOptions
from repose.pose import Pose3D
from repose.skeleton import H36M_17

HERE = Path(__file__).parent
SIMULATED = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
"""Environment of a process that is to find this module."""


def calls(clips: Path) -> list[str]:
    """Names of the videos that were begun, each time that they were."""
    log = [file.read_text().split() for file in (clips / "log", clips / "sub" / "log") if file.exists()]
    return sorted(name for names in log for name in names)


class Simulated:
    def __init__(self, options: EstimateOptions) -> None:
        self.options = options

    def __call__(self, path: Path, **overrides: Any) -> list[Pose3D]:
        """Note the call in `log` beside the file, and do as its text says."""
        with (path.parent / "log").open("a") as log:
            log.write(f"{path.name}\n")
        match path.read_text().split():
            case ["broken"]:
                raise UserError("no frame can be decoded", "Copy it again.")
            case ["bug"]:
                raise ZeroDivisionError("by nothing")
            case ["kill"]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["kill", "once"]:
                path.write_text("30")
                os.kill(os.getpid(), signal.SIGKILL)
            case ["sleep", seconds]:
                time.sleep(float(seconds))
                return [make_pose(path.name, 3)]
            case [frames]:
                return [make_pose(path.name, int(frames)), make_pose(path.name + "2", 5, track_id=1)]
        raise AssertionError


def make_pose(seed: str, frames: int, **values: Any) -> Pose3D:
    """A track of random numbers, with a joint that is never seen."""
    noise = np.random.default_rng(list(seed.encode()))
    shape = (frames, len(H36M_17))
    seen = noise.random(shape) < 0.8
    seen[:, 4] = False
    given: dict[str, Any] = {
        "joints_m": noise.normal(loc=(0, 0, 4), size=(*shape, 3)).astype(np.float32),
        "seen": seen,
        "frames": np.arange(3, frames + 3),
        "fps": 25.0,
        "skeleton": H36M_17,
        "track_id": 0,
        "coordinates": "camera",
        "scale": "assumed height 1.70 m",
        "confidence": noise.random(shape).astype(np.float32),
        "deviation_m": noise.random(shape).astype(np.float32),
        "points_px": noise.random((*shape, 2)).astype(np.float32),
        "image_size": (640, 480),
        "intrinsics_px": (500.0, 500.0, 320.0, 240.0),
        "model": "default",
        "record": {
            "assumed": ["height"],
            "frames_filled": 0,
            "gaps_left_empty": [],
            "swaps_undone": {"arms": [[4, 5]], "legs": [[5, 6]]},
        },
    }
    return Pose3D(**{**given, **values})


if __name__ == "__main__":  # a run to be killed
    repose.run_batch([sys.argv[1]], sys.argv[2], workers=2, estimator=Simulated)
