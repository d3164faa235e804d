"""The packaged sample: a rendered figure behind a counter, and its true joints.

Made by `scripts/render/sample.py`; the motion is procedural, so the truth is exact.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from repose.pose import Pose3D
from repose.skeleton import H36M_17, Skeleton

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class SampleTruth:
    """Every frame of the sample, from its motion and its camera."""

    joints_m: Float[np.ndarray, "frames 17 3"]
    """Camera frame: x right, y down, z forward, metres."""
    hidden: Bool[np.ndarray, "frames 17"]
    """True where the counter stands between the camera and the joint; the body's own parts do not count."""
    K: Float[np.ndarray, "3 3"]
    """Intrinsics in pixels; no distortion."""
    T_cam_world: Float[np.ndarray, "4 4"]
    """World (z up, floor at 0) to camera, metres."""
    image_size: tuple[int, int]
    fps: float
    skeleton: Skeleton

    @property
    def points_px(self) -> Float[np.ndarray, "frames 17 2"]:
        """The joints in the picture."""
        image = self.joints_m.astype(np.float64) @ self.K.T
        return image[..., :2] / image[..., 2:]

    def pose(self) -> Pose3D:
        """Return the truth as a track, to be shown next to a result."""
        return Pose3D(
            joints_m=self.joints_m,
            seen=~self.hidden,
            frames=np.arange(len(self.joints_m)),
            fps=self.fps,
            skeleton=self.skeleton,
            coordinates="camera",
            scale="the truth",
            image_size=self.image_size,
            intrinsics_px=(self.K[0, 0], self.K[1, 1], self.K[0, 2], self.K[1, 2]),
            points_px=self.points_px,
            T_cam_world=self.T_cam_world,
        )


def sample_video() -> Path:
    """Return the path of the sample video."""
    return _FOLDER / "sample.mp4"


def load_sample_truth() -> SampleTruth:
    """Load the true joints of the sample video, one row per frame."""
    with np.load(_FOLDER / "truth.npz") as file:
        truth = dict(file)
    if tuple(truth["joints"]) != H36M_17.joints:
        raise ValueError("truth.npz and the skeleton h36m-17 differ in their joints")
    width, height = truth["image_size"].tolist()
    return SampleTruth(
        joints_m=truth["joints_m"],
        hidden=truth["hidden"],
        K=truth["K"],
        T_cam_world=truth["T_cam_world"],
        image_size=(width, height),
        fps=float(truth["fps"]),
        skeleton=H36M_17,
    )
