"""World-space motion as recordings: projected by virtual cameras, and reported by a simulated detector.

Pictures have 1000 × 1000 pixels.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator

from repose.datasets.human36m import FPS, TEST_SUBJECTS
from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress
from repose.errors import Within, check_ranges, expected
from repose.geometry.camera import Camera
from repose.mocap.recordings import MocapClip, read_split, reading_notes, resample
from repose.skeleton import H36M_17, stature
from repose.synthetic.detector_errors import DetectionConfig, detect
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig, sample_views

_SIDE_PX = 1000
_SAMPLE_FOCAL_PX = 1145.0
"""About that of Human3.6M."""
_ROOM_M = 1.2
"""How far people of the sample go from the middle, about the recording area of Human3.6M."""
_NEAR_LEVEL = CameraConfig(
    pitch_deg=(-5.0, 15.0), roll_sigma_deg=0.0, distance=(2.8, 3.6), off_axis_deg=3.0, focal_sigma=0.0
)
"""Cameras of the sample: they stand about as those of Human3.6M do."""
_SAMPLE_ACTIONS = {"Walking": ("act_14", 1.0), "Posing": ("act_07", 0.0)}
"""Number in the names of sequences, and share of clips that walk."""
_SAMPLE_CAMERAS = 4


@dataclass(frozen=True)
class ProjectionConfig:
    """How motion capture is projected."""

    cameras: Annotated[int, Within(1, 1000)] = 4
    """Virtual cameras for every clip, each in a place of its own."""
    seed: Annotated[int, Within(0, 2**32 - 1)] = 0
    detector_noise: bool = False
    """Give the 2D joints a detector's errors and confidence; without it they are exact."""
    joint_map: Path | None = None
    """File that says what the joints of a BVH skeleton are, where names do not tell."""
    fps: Annotated[float, Within(1, 1000)] = FPS
    focal_px: Annotated[float, Within(10, 100_000)] = 500.0
    """A picture 90 degrees wide, so that people who walk about stay in it."""
    camera: CameraConfig = field(default_factory=lambda: CameraConfig(focal_sigma=0.0))
    detection: DetectionConfig = field(default_factory=DetectionConfig)

    def __post_init__(self) -> None:
        check_ranges(self)


def read_projected_mocap(
    folder: str | Path, config: ProjectionConfig, *, progress: Progress | None = None
) -> Source:
    """Read motion capture (BVH, AMC with ASF, joint files) seen by virtual cameras.

    It is split by the people in it (`repose.mocap.recordings.read_split`). Raises UserError where the folder
    holds no motion capture, or some that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        expected(str(folder), "a folder of motion capture", "a file" if folder.exists() else "nothing there")
    if progress:
        progress("reading motion capture", 0, None)
    parts = dict(zip(("train", "validation"), read_split(folder, config.joint_map), strict=True))
    read = [clip for clips in parts.values() for clip in clips]
    parts = {name: [resample(clip, config.fps) for clip in clips] for name, clips in parts.items() if clips}
    total = config.cameras * sum(len(clip) for clips in parts.values() for clip in clips)
    count = count_progress("projecting", total, progress)
    return Source(
        dataset="mocap",
        skeleton=H36M_17.name,
        target="camera",
        licence="That of the motion capture it is made from.",
        splits={
            name: (recording for clip in clips for recording in _project(clip, config, count))
            for name, clips in parts.items()
        },
        notes=(
            f"virtual cameras ({config.cameras} a clip, seed {config.seed})",
            "2D joints with a detector's errors" if config.detector_noise else "2D joints are exact",
            *reading_notes(read),
        ),
    )


def make_sample(*, seed: int = 0, seconds: float = 12.0, progress: Progress | None = None) -> Source:
    """Create procedural motion like `h36m_sh_conf_cam_source_final.pkl`: image units, 2.5D truth, names.

    Subjects S1 and S5 to train on, S9 and S11 to test; every one walks and poses before four cameras and
    is seen through a detector's errors.
    """
    subjects = {"train": ("S1", "S5"), "test": TEST_SUBJECTS}
    camera = Camera.from_intrinsics((_SAMPLE_FOCAL_PX, _SAMPLE_FOCAL_PX, _SIDE_PX / 2, _SIDE_PX / 2))
    views = _SAMPLE_CAMERAS * len(_SAMPLE_ACTIONS) * sum(map(len, subjects.values()))
    count = count_progress("inventing motion", views * round(seconds * FPS), progress)

    def recordings(split: str) -> Iterator[Recording]:
        for subject in subjects[split]:
            for action, (number, p_gait) in _SAMPLE_ACTIONS.items():
                motion = ProceduralConfig(
                    clips=1, seconds=seconds, fps=FPS, p_gait=p_gait, p_floor=0.0, p_posture=0.0
                )
                name = f"s_{int(subject[1:]):02d}_{number}_subact_01"
                own_seed = _seed_of(seed, name)
                joints_m = _stay(next(make_motion(motion, own_seed)))
                projection = ProjectionConfig(
                    _SAMPLE_CAMERAS,
                    own_seed,
                    detector_noise=True,
                    camera=_NEAR_LEVEL,
                    focal_px=_SAMPLE_FOCAL_PX,
                )
                for view, (keypoints_px, joints_cam_m) in enumerate(
                    _views(joints_m, projection, own_seed), 1
                ):
                    depth_m = joints_cam_m[..., 2]
                    root_m = depth_m[:, H36M_17.indices("pelvis")]
                    target = np.empty_like(joints_cam_m)
                    target[..., :2] = camera.project(joints_cam_m)
                    target[..., 2] = _SAMPLE_FOCAL_PX * (depth_m - root_m) / root_m
                    factor = 1000 * root_m[:, 0].astype(np.float64) / _SAMPLE_FOCAL_PX
                    yield Recording(
                        name=f"{name}_ca_{view:02d}",
                        subject=subject,
                        action=action,
                        camera=f"virtual {view}",
                        image_size=(_SIDE_PX, _SIDE_PX),
                        fps=FPS,
                        keypoints_px=keypoints_px,
                        target=target,
                        optional={"truth_mm": target * factor[:, None, None], "factor": factor},
                    )
                    count(len(target))

    return Source(
        dataset="sample",
        skeleton=H36M_17.name,
        target="image",
        licence="None needed: the motion is made by a program.",
        splits={name: recordings(name) for name in subjects},
        notes=("procedural motion of nobody: scores on it say nothing about Human3.6M",),
    )


def _project(clip: MocapClip, config: ProjectionConfig, count: Callable[[int], None]) -> Iterator[Recording]:
    folder = Path(clip.source).parent.name
    for view, (keypoints_px, target) in enumerate(
        _views(clip.joints_m, config, _seed_of(config.seed, f"{folder}/{clip.name}")), 1
    ):
        yield Recording(
            name=f"{clip.name} {view}",
            subject=folder,
            # What is left of a name without the number of the take: walking_3 and walking_4 are walking.
            action=re.sub(r"(_?\d+)?(#\d+)?$", "", clip.name) or clip.name,
            camera=f"virtual {view}",
            image_size=(_SIDE_PX, _SIDE_PX),
            fps=clip.fps,
            keypoints_px=keypoints_px,
            target=target,
        )
        count(len(clip))


def _views(
    joints_m: Float[np.ndarray, "frames 17 3"], config: ProjectionConfig, seed: int
) -> Iterator[tuple[Float[np.ndarray, "frames 17 3"], Float[np.ndarray, "frames 17 3"]]]:
    """For each camera the 2D joints with confidence, in pixels, and the joints in the camera frame."""
    generator = Generator().manual_seed(seed)
    world = torch.from_numpy(joints_m).expand(config.cameras, -1, -1, -1)
    rays, joints = sample_views(world, config.camera, generator)
    keypoints = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    if config.detector_noise:
        height = stature(world).mean(dim=1) / joints[..., 2].mean(dim=(1, 2))
        keypoints = detect(rays, height, config.detection, generator)
    missing = keypoints[..., 2:] == 0
    pixels = (keypoints[..., :2] * config.focal_px + _SIDE_PX / 2).masked_fill(missing, 0.0)
    keypoints = torch.cat([pixels, keypoints[..., 2:]], dim=-1)
    yield from zip(keypoints.numpy(), joints.numpy(), strict=True)


def _stay(joints_m: Float[np.ndarray, "frames 17 3"]) -> Float[np.ndarray, "frames 17 3"]:
    """Squeeze the path into the recording area; people who walk far walk as on a treadmill."""
    path = joints_m[:, H36M_17.indices("pelvis"), :2]
    away = path - path.mean(axis=0)
    distance = np.linalg.norm(away, axis=-1, keepdims=True)
    moved = away * (_ROOM_M * np.tanh(distance / _ROOM_M) / np.maximum(distance, 1e-6) - 1)
    return joints_m + np.pad(moved, ((0, 0), (0, 0), (0, 1)))


def _seed_of(seed: int, name: str) -> int:
    """Derive a seed from each name, whatever else is projected."""
    return seed * 1_000_003 + zlib.crc32(name.encode())
