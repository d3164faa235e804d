"""People rendered behind things, with exact truth, as a real detector found them: to train on, and to score.

`scripts/render/clips.py` makes the folder, one file a clip: its name is the kind of object and a number.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from repose.errors import expected
from repose.files.arrays import Layout, read_layout
from repose.pose import CONFIDENCE_EXPONENT, Pose2D
from repose.skeleton import H36M_17, SKELETONS, Skeleton, stature

ASTRAY = 0.2
"""A clip in which half of the points are farther from the truth than this share of the height is about
somebody else: the detector followed who walked past. Nobody learns from it."""
_BLAZEPOSE = SKELETONS["mediapipe-33"]
_LAYOUT: Layout = {
    "joints_m": ("frames", 17, 3),
    "covered": ("frames", 17),
    "up": (3,),
    "fps": (),
    "image_size": (2,),
    "focal_px": (),
    "focal_told_px": (),
    "frames": ("found",),
    "points_px": ("found", 33, 2),
    "confidence": ("found", 33),
    "world_m": ("frames", 33, 3),
    "detected": ("frames",),
}


@dataclass(frozen=True, eq=False)
class RenderedClip:
    """A rendered person, and what MediaPipe found."""

    name: str
    kind: str
    """What stands before the person."""
    joints_m: Float[np.ndarray, "frames 17 3"]
    """H36M-17, camera frame."""
    covered: Bool[np.ndarray, "frames 17"]
    up: Float[np.ndarray, "3"]
    fps: float
    focal_px: float
    focal_told_px: float
    """Of a camera that is known to a tenth."""
    image_size: tuple[int, int]
    track: Pose2D | None
    """None where MediaPipe found nobody."""
    world_m: Float[np.ndarray, "frames 33 3"]
    """MediaPipe's own 3D, about the hips."""
    detected: Bool[np.ndarray, " frames"]

    def intrinsics_px(self, focal_px: float) -> tuple[float, float, float, float]:
        """Return fx, fy, cx, cy of a lens of this focal length, its axis in the middle of the picture."""
        width, height = self.image_size
        return focal_px, focal_px, (width - 1) / 2, (height - 1) / 2


def read_rendered(path: Path) -> RenderedClip:
    """Read a clip; raises UserError for a file with other arrays."""
    found = read_layout(path, _LAYOUT)
    frames = found["frames"].astype(np.int64)
    if len(frames) and not (frames[0] >= 0 and frames[-1] < len(found["joints_m"])):
        expected(f"{path}: frames", f"0 to {len(found['joints_m']) - 1}", f"{frames[0]} to {frames[-1]}")
    width, height = found["image_size"].astype(int).tolist()
    track = None
    if len(frames):
        track = Pose2D(
            points_px=found["points_px"].astype(np.float32),
            confidence=found["confidence"].astype(np.float32),
            frames=frames,
            fps=float(found["fps"]),
            image_size=(width, height),
            skeleton=_BLAZEPOSE,
            source=path.name,
        )
    return RenderedClip(
        name=path.stem,
        kind=path.stem.rpartition("_")[0].replace("-", " "),
        joints_m=found["joints_m"],
        covered=found["covered"] > 0,
        up=found["up"],
        fps=float(found["fps"]),
        focal_px=float(found["focal_px"]),
        focal_told_px=float(found["focal_told_px"]),
        image_size=(width, height),
        track=track,
        world_m=found["world_m"],
        detected=found["detected"] > 0,
    )


@dataclass(frozen=True)
class RenderedBank:
    """Rendered clips end to end, as the input and the target of a model of camera rays."""

    keypoints: Float[Tensor, "frames joints 3"]
    """x/z and y/z of the camera that is known to a tenth, and the confidence; 0 where nothing was found."""
    target: Float[Tensor, "frames joints 3"]
    """Joints minus the pelvis, camera frame, in metres of a person of the stature asked for."""
    starts: Int[Tensor, " clips"]
    lengths: Int[Tensor, " clips"]
    step: float
    """How many of these frames are one of the model's."""
    skeleton: Skeleton

    def sample(
        self, count: int, frames: int, generator: Generator
    ) -> tuple[Float[Tensor, "count frames joints 3"], Float[Tensor, "count frames joints 3"]]:
        """Draw `count` windows of keypoints and target, half of them mirrored; all clips are as likely.

        A window longer than its clip runs on backwards from the end, and forwards again from the start.
        """
        clip = torch.randint(len(self.starts), (count,), generator=generator)
        last = self.lengths[clip] - 1
        start = torch.rand(count, generator=generator) * (last + 1 - self.step * (frames - 1)).clamp(min=1)
        at = (start.floor()[:, None] + self.step * torch.arange(frames)).round().long()
        period = (2 * last).clamp(min=1)[:, None]
        at = last[:, None] - (at.remainder(period) - last[:, None]).abs()
        rows = self.starts[clip][:, None] + at
        mirrored = torch.rand(count, generator=generator) < 0.5
        flip = torch.tensor([-1.0, 1.0, 1.0])
        keypoints, target = (
            torch.where(
                mirrored[:, None, None, None], flip * values[:, :, list(self.skeleton.mirror)], values
            )
            for values in (self.keypoints[rows], self.target[rows])
        )
        return keypoints, target


@cache
def rendered_bank(folder: Path, skeleton: Skeleton, rate_hz: float, stature_m: float) -> RenderedBank:
    """Read a folder of rendered clips for a model of that layout and frame rate.

    Raises UserError for a folder without clips, other files, and clips of several frame rates.
    """
    files = sorted(folder.glob("*_*.npz")) if folder.is_dir() else []
    clips = [clip for clip in map(read_rendered, files) if not _astray(clip)]
    rates = sorted({clip.fps for clip in clips})
    if len(rates) != 1:
        found = f"{len(files)} files, {len(clips)} about the person, at {rates} frames/s"
        expected(str(folder), "rendered clips (KIND_NUMBER.npz) of one frame rate", found)
    lengths = torch.tensor([len(clip.joints_m) for clip in clips])
    joints = [clip.joints_m.astype(np.float64) for clip in clips]
    target = [(each - each[:, :1]) * (stature_m / stature(each).mean()) for each in joints]
    return RenderedBank(
        torch.from_numpy(np.concatenate([_keypoints(clip, skeleton) for clip in clips])),
        torch.nn.functional.pad(
            torch.from_numpy(np.concatenate(target).astype(np.float32)),
            (0, 0, 0, len(skeleton) - len(H36M_17)),
        ),
        lengths.cumsum(0) - lengths,
        lengths,
        rates[0] / rate_hz,
        skeleton,
    )


def _keypoints(clip: RenderedClip, skeleton: Skeleton) -> Float[np.ndarray, "frames joints 3"]:
    """Return what the lifter would give a model of rays and the clip's frame rate."""
    keypoints = np.zeros((len(clip.joints_m), len(skeleton), 3), np.float32)
    if clip.track is not None:
        sure = clip.track.confidence ** CONFIDENCE_EXPONENT[_BLAZEPOSE.name]
        found = replace(clip.track, confidence=sure).to(skeleton)
        fx, fy, cx, cy = clip.intrinsics_px(clip.focal_told_px)
        rays = (found.points_px - [cx, cy]) / [fx, fy]
        seen = found.confidence[..., None] > 0
        keypoints[found.frames] = np.concatenate([rays * seen, found.confidence[..., None]], axis=-1)
    return keypoints


def _astray(clip: RenderedClip) -> bool:
    if clip.track is None:
        return False
    body = clip.track.to(H36M_17)
    fx, fy, cx, cy = clip.intrinsics_px(clip.focal_px)
    true = clip.joints_m[body.frames].astype(np.float64)
    pixels = true[..., :2] / true[..., 2:] * [fx, fy] + [cx, cy]
    height_px = fx * stature(true) / true[..., 2].mean(axis=1)
    off = np.linalg.norm(body.points_px - pixels, axis=-1) / height_px[:, None]
    return bool(np.median(off) > ASTRAY)
