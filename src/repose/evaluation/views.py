"""The motion of the benchmark, and the virtual cameras that project it."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.transform import Rotation
from torch import Generator, Tensor

from repose.datasets.store import MANIFEST, ClipStore
from repose.errors import expected
from repose.mocap.recordings import MocapClip, is_cmu_pack, read_cmu, read_mocap, resample, split_at_jumps
from repose.pose import Pose2D
from repose.skeleton import H36M_17, conversion_matrix, stature
from repose.synthetic.motions import STATURE_M
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig, sample_views

FPS = 30.0
SIDE_PX = 1000
"""Pictures are square."""
_FILLED = 0.9
"""Share of the picture's half that the farthest joint may reach."""
_FOCAL_PX = (300.0, 1200.0)
_PROCEDURAL = ProceduralConfig(clips=48, seconds=6.0, fps=FPS)
_PROCEDURAL_SEED = 20_250_101
"""Motion that no run trains on."""

CamerasName = Literal["ordinary", "hard", "sideways", "upside-down"]
# Somebody films a person: from the hand, a tripod, a balcony at most, about level, the whole body in the
# picture, with a lens that is known to a tenth.
_ORDINARY = CameraConfig(
    pitch_deg=(-5.0, 30.0), roll_sigma_deg=3.0, distance=(2.5, 6.0), off_axis_deg=15.0, focal_sigma=0.1
)
CAMERAS: dict[CamerasName, CameraConfig] = {
    "ordinary": _ORDINARY,
    # Nearer, steeper and more tilted than most films.
    "hard": CameraConfig(),
    # The ordinary cameras, turned about their axis: the same views, and the same 3D.
    "sideways": replace(_ORDINARY, roll_deg=90.0),
    "upside-down": replace(_ORDINARY, roll_deg=180.0),
}
"""Where the benchmark's cameras stand."""


@dataclass(frozen=True, eq=False)
class View:
    """A clip as one virtual camera sees it, at `FPS`."""

    clip: int
    """Number of the clip: its views are of the same motion."""
    name: str
    camera: int
    joints_m: Float[Tensor, "frames 17 3"]
    """Camera frame; the person is made 1.70 m tall, the camera's distance in proportion."""
    rays: Float[Tensor, "frames 17 2"]
    """x/z and y/z as a lens gives them whose focal length is not known exactly."""
    focal_px: float
    up: Float[np.ndarray, "3"] = field(default_factory=lambda: np.array([0.0, -1.0, 0.0]))
    """The world's up, in the camera's axes; a level camera's unless given."""

    def __len__(self) -> int:
        return len(self.joints_m)

    @property
    def apparent_height(self) -> float:
        """The person's height in the picture, as a tangent."""
        return STATURE_M / float(self.joints_m[..., 2].mean())

    @property
    def truth_mm(self) -> Float[np.ndarray, "frames 17 3"]:
        """Joints minus the pelvis."""
        return 1000 * (self.joints_m - self.joints_m[:, :1]).numpy().astype(np.float64)

    @property
    def intrinsics_px(self) -> tuple[float, float, float, float]:
        return self.focal_px, self.focal_px, SIDE_PX / 2, SIDE_PX / 2

    def track(self, keypoints: Float[Tensor, "frames 17 3"]) -> Pose2D:
        """Convert rays and confidence to pixels, as a detector would report them."""
        points = keypoints[..., :2].numpy() * self.focal_px + SIDE_PX / 2
        confidence = keypoints[..., 2].numpy()
        return Pose2D(
            points_px=np.where(confidence[..., None] > 0, points, 0.0).astype(np.float32),
            confidence=confidence,
            frames=np.arange(len(self)),
            fps=FPS,
            image_size=(SIDE_PX, SIDE_PX),
            skeleton=H36M_17,
        )


def seeded(*names: object) -> Generator:
    """Create a generator that depends only on these names."""
    return Generator().manual_seed(zlib.crc32("/".join(map(str, names)).encode()))


def read_motion(paths: Sequence[str | Path], joint_map: str | Path | None = None) -> list[MocapClip]:
    """Read motion at `FPS`, split where a marker jumps (`split_at_jumps`); procedural without any path.

    A path is a prepared store (`repose prepare`; its test or validation data), the CMU pack (its validation
    recordings, which no model was trained on), or any other file or folder of motion capture. A store has
    no record of which way is up: its cameras are treated as level.

    Raises UserError as `repose.mocap.recordings.read_mocap` and `ClipStore.open`.
    """
    clips: list[MocapClip] = []
    for path in map(Path, paths):
        if (path / MANIFEST).is_file():
            found = _of_store(path)
        elif is_cmu_pack(path):
            found = read_cmu(path)[1]
        else:
            found = read_mocap(path, joint_map=joint_map)
        clips += [resample(piece, FPS) for clip in found for piece in split_at_jumps(clip)]
    if not paths:
        for number, joints in enumerate(make_motion(_PROCEDURAL, _PROCEDURAL_SEED)):
            clips.append(MocapClip(f"procedural_{number:02d}", joints, FPS, "procedural"))
    if not any(len(clip) > 2 for clip in clips):
        expected(", ".join(map(str, paths)), "clips of three frames or more", f"{len(clips)} shorter ones")
    return [clip for clip in clips if len(clip) > 2]


def _of_store(path: Path) -> list[MocapClip]:
    store = ClipStore.open(path)
    names = [name for name in ("test", "validation") if name in store.splits]
    if not names:
        expected(f"{path}: splits", "test or validation among them", ", ".join(store.splits))
    split = store.split(names[0])
    if "truth_mm" in split.arrays:
        truth, unit_m = split.arrays["truth_mm"], 0.001
    elif store.target_kind == "camera":
        truth, unit_m = split.arrays["target"], 1.0
    else:
        expected(str(path), "the truth in millimetres", "image units only")
    convert = conversion_matrix(store.skeleton, H36M_17)
    clips = []
    for sequence in split.sequences:
        joints = convert @ truth[sequence.start : sequence.stop] * unit_m
        # From x right, y down, z forward to x right, y forward, z up.
        world = np.stack([joints[..., 0], joints[..., 2], -joints[..., 1]], axis=-1).astype(np.float32)
        clips.append(MocapClip(sequence.name, world, sequence.fps, str(path)))
    return clips


def choose(clips: Sequence[MocapClip], frames: int, seed: int) -> list[MocapClip]:
    """Choose whole clips, drawn by the seed, of at least `frames` frames in total; all if there are fewer."""
    chosen: list[int] = []
    for i in torch.randperm(len(clips), generator=seeded(seed, "choice")).tolist():
        if sum(len(clips[j]) for j in chosen) >= frames:
            break
        chosen.append(i)
    return [clips[i] for i in sorted(chosen)]


def project_clips(
    clips: Sequence[MocapClip], camera: CameraConfig, views: int, seed: int
) -> list[list[View]]:
    """Project each clip from this many views; only seed, name and number of a clip decide on its cameras."""
    projected = []
    for number, clip in enumerate(clips):
        generator = seeded(seed, number, clip.name, "camera")
        rays, joints = sample_views(
            torch.from_numpy(clip.joints_m).expand(views, -1, -1, -1), camera, generator
        )
        size = STATURE_M / stature(joints).mean(dim=1)
        projected.append(
            [
                View(
                    clip=number,
                    name=clip.name,
                    camera=view,
                    joints_m=joints[view] * size[view],
                    rays=rays[view],
                    focal_px=_focal_px(rays[view]),
                    up=_up(clip.joints_m, joints[view].numpy()),
                )
                for view in range(views)
            ]
        )
    return projected


def _up(
    world_m: Float[np.ndarray, "frames 17 3"], camera_m: Float[np.ndarray, "frames 17 3"]
) -> Float[np.ndarray, "3"]:
    """Return the world's z axis in the axes of the camera that sees the same joints."""
    seen, there = (joints.reshape(-1, 3) - joints.mean(axis=(0, 1)) for joints in (camera_m, world_m))
    R_cam_world, _ = Rotation.align_vectors(seen, there)
    return R_cam_world.as_matrix()[:, 2]


def _focal_px(rays: Float[Tensor, "frames 17 2"]) -> float:
    """Return the lens that fills the picture with what the person does."""
    low, high = _FOCAL_PX
    return float(np.clip(_FILLED * SIDE_PX / 2 / float(rays.abs().max()), low, high))
