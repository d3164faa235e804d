"""Real clips with 3D truth, as `repose benchmark video` reads them.

A folder holds `gt_*.npz` (joints_m (frames, joints, 3) in a world frame, z up, joint_names, fps, valid
(frames,), and of each camera NAME its NAME_K, NAME_dist, NAME_R, NAME_t), and for each camera NAME.mp4 and,
each optional, NAME_occluded.mp4 (the same video with joints hidden) with NAME_occlusion.npz (joint_occluded
(frames, joints)), and MediaPipe's results on either: mediapipe_NAME.npz (xy_px, visibility, world_m,
detected, size, fps).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import UserError, expected
from repose.files.arrays import Layout, check_layout, load_arrays, read_layout
from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.pose import Pose2D
from repose.skeleton import SKELETONS, Skeleton

BLAZEPOSE = SKELETONS["mediapipe-33"]
_COVERED = "_occluded"

_TRUTH: Layout = {
    "joints_m": ("frames", "joints", 3),
    "joint_names": ("joints",),
    "fps": (),
    "valid": ("frames",),
}
_CAMERA: Layout = {"K": (3, 3), "dist": (4,), "R": (3, 3), "t": (3,)}
_MEDIAPIPE: Layout = {
    "xy_px": ("frames", 33, 2),
    "world_m": ("frames", 33, 3),
    "visibility": ("frames", 33),
    "detected": ("frames",),
    "size": (2,),
    "fps": (),
}


@dataclass(frozen=True, eq=False)
class Truth:
    """Where somebody's joints were, and the cameras that saw them."""

    joints_m: Float[np.ndarray, "frames joints 3"]
    names: list[str]
    fps: float
    valid: Bool[np.ndarray, " frames"]
    cameras: dict[str, Camera]

    @property
    def skeleton(self) -> Skeleton:
        """Its joints, without bones."""
        return Skeleton("truth", tuple(self.names), (-1,) * len(self.names))


@dataclass(frozen=True, eq=False)
class VideoClip:
    """What one camera saw, or MediaPipe found in it."""

    name: str
    camera: Camera
    video: Path
    mediapipe: Path
    hidden: Bool[np.ndarray, "frames joints"]


def read_truth(folder: Path) -> Truth:
    """Read the truth of a folder of clips; raises UserError for another layout."""
    if not folder.is_dir():
        expected(
            str(folder), "a folder of clips with 3D truth", "a file" if folder.exists() else "nothing there"
        )
    files = sorted(folder.glob("gt_*.npz"))
    if len(files) != 1:
        expected(str(folder), "one gt_*.npz with the truth", ", ".join(file.name for file in files) or "none")
    arrays = load_arrays(str(files[0]), files[0])
    truth = check_layout(files[0], arrays, _TRUTH)
    names = truth["joint_names"].tolist()
    for name in (*names, "left_hip", "right_hip"):
        BLAZEPOSE.index(name)
        if names.count(name) != 1:
            expected(f"{files[0]}: joint_names", f"{name} once", f"{names.count(name)} times")
    cameras = {}
    for key in arrays:
        camera = key.removesuffix("_R")
        parts = {f"{camera}_{part}": axes for part, axes in _CAMERA.items()}
        if key.endswith("_R") and parts.keys() <= arrays.keys():
            K, distortion, R, t = check_layout(files[0], arrays, parts).values()
            cameras[camera] = Camera(K, distortion, RigidTransform(R, t))
    if not cameras:
        expected(str(files[0]), "a camera's NAME_K, NAME_dist, NAME_R and NAME_t", "none")
    return Truth(truth["joints_m"], names, float(truth["fps"]), truth["valid"].astype(bool), cameras)


def find_clips(folder: Path, truth: Truth) -> Iterator[VideoClip]:
    """Find the clips of each camera, with what is hidden in them."""
    for name, camera in truth.cameras.items():
        for suffix in ("", _COVERED):
            video, mediapipe = folder / f"{name}{suffix}.mp4", folder / f"mediapipe_{name}{suffix}.npz"
            if not video.is_file() and not mediapipe.is_file():
                continue
            hidden = np.zeros(truth.joints_m.shape[:2], dtype=bool)
            if suffix:
                hidden = read_layout(folder / f"{name}_occlusion.npz", {"joint_occluded": hidden.shape})[
                    "joint_occluded"
                ]
            yield VideoClip(name + suffix, camera, video, mediapipe, hidden.astype(bool))


def read_stored(path: Path) -> Pose2D:
    """MediaPipe's 2D as `repose estimate` would see it."""
    found = read_mediapipe(path)
    frames = np.flatnonzero(found["detected"])
    if not len(frames):
        raise UserError(f"{path}: nobody was detected in any frame")
    width, height = found["size"].tolist()
    return Pose2D(
        points_px=found["xy_px"][frames],
        confidence=np.clip(found["visibility"][frames], 0, 1),
        frames=frames,
        fps=float(found["fps"]),
        image_size=(width, height),
        skeleton=BLAZEPOSE,
        source=path.name,
    )


def read_mediapipe(path: Path) -> dict[str, np.ndarray]:
    """Read MediaPipe's stored results on a video; raises UserError for other arrays."""
    return read_layout(path, _MEDIAPIPE)
