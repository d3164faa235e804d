"""Endless training clips: motion seen by virtual cameras through a detector's errors.

A batch is a function of the seed and the step alone. That makes a resumed run continue exactly, and
lets every process of a distributed run take its own rows of the same batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.utils.data import Dataset

from repose.errors import Within, check_ranges, expected
from repose.mocap.recordings import MocapClip, read_split, resample
from repose.skeleton import H36M_17, H36M_FEET, Skeleton, stature
from repose.synthetic.augment import exchange_arms, mirror, resize_bones, shift_joints
from repose.synthetic.detector_errors import DetectionConfig, detect
from repose.synthetic.occlusion import self_occluded
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.rendered_clips import RenderedBank, rendered_bank
from repose.synthetic.synthetic_feet import at_ankles, detect_feet
from repose.synthetic.virtual_camera import CameraConfig, cut_by_edge, sample_views


@dataclass(frozen=True)
class Batch:
    """Clips for a lifter, as its model's `spec` says: normalisation of the input, unit of the target."""

    keypoints: Float[Tensor, "batch frames joints 3"]
    """x, y and confidence."""
    target: Float[Tensor, "batch frames joints 3"]
    """Joints to learn: x right, y down, z away from the camera."""
    confidence: Float[Tensor, "batch frames joints"] | None = None
    """Given where only x and y of the target are known: how much each counts."""
    known: Bool[Tensor, "batch joints"] | None = None
    """Where the target is the truth; all of it unless given. Recordings may not tell of feet."""
    share: float = 1.0
    """Factor of this device's loss, so that the mean over devices is the mean over clips."""

    def pin_memory(self) -> "Batch":
        """Return the batch in memory that a GPU copies from by itself; `DataLoader` asks for it."""
        confidence = None if self.confidence is None else self.confidence.pin_memory()
        known = None if self.known is None else self.known.pin_memory()
        return Batch(self.keypoints.pin_memory(), self.target.pin_memory(), confidence, known, self.share)


STATURE_M = 1.70
"""Targets are scaled to a person of this height, since one camera cannot know it."""
_BANK_HZ = 60.0
_TOGETHER = 8
"""Clips that are drawn from one seed: a process makes those groups of a batch of which it has rows."""


@dataclass(frozen=True)
class SyntheticConfig:
    """What training clips are made of."""

    mocap: Path | None = None
    """Folder of motion capture: the CMU pack (`cmu_amc`, `cmu_joints17`), or any other; split by subject.
    Without it there is procedural motion alone."""
    joint_map: Path | None = None
    """File that says what the joints of a BVH skeleton are, where names do not tell."""
    procedural: ProceduralConfig = field(default_factory=ProceduralConfig)
    p_procedural: Annotated[float, Within(0, 1)] = 0.35
    """Share of procedural clips where there is motion capture, too."""
    rendered: Path | None = None
    """Folder of rendered people as a detector found them (`scripts/render/clips.py --training`)."""
    p_rendered: Annotated[float, Within(0, 1)] = 0.15
    """Share of these clips where there are any."""
    frame_rate_hz: Annotated[float, Within(1, 1000)] = 30.0
    time_warp: Annotated[tuple[float, float], Within(0.1, 10, rising=True)] = (0.7, 1.5)
    """Slow-down and speed-up of a clip, log-uniform."""
    p_reverse: Annotated[float, Within(0, 1)] = 0.1
    p_exchange_arms: Annotated[float, Within(0, 1)] = 0.3
    bone_spread: Annotated[float, Within(0, 1)] = 0.10
    shift_m: Annotated[float, Within(0, 1)] = 0.025
    """How differently the joints of trunk and head are defined (`repose.synthetic.augment.shift_joints`)."""
    short_clips: Annotated[float, Within(0, 1)] = 0.15
    """Share of batches with clips of fewer frames than the window, down to a single one."""
    camera: CameraConfig = CameraConfig(
        p_steep=0.2, p_rolled=0.2, p_any_distance=0.25, p_wrong_lens=0.2, p_distorted=0.3, p_cut=0.12
    )
    detection: DetectionConfig = DetectionConfig(
        limb_lost_frames=(5, 120), p_limb_gone=0.12, p_measured=0.4, p_no_feet=0.35, p_no_small_toes=0.25
    )

    def __post_init__(self) -> None:
        check_ranges(self)


@dataclass(frozen=True)
class MotionBank:
    """Many motions end to end at 60 Hz. World frame, z up, metres."""

    joints_m: Float[Tensor, "frames joints 3"]
    starts: Int[Tensor, "clips"]
    lengths: Int[Tensor, "clips"]
    weights: Float[Tensor, "clips"]
    """How often a clip is drawn."""

    @classmethod
    def of(
        cls, motions: Sequence[Float[np.ndarray, "_ joints 3"]], kinds: Sequence[str] | None = None
    ) -> "MotionBank":
        """Create a bank; `kinds` says of what kind each motion is, by default all of one.

        A kind is drawn by the square root of its length, and a clip among its kind by that of its own, so
        that what there is much of does not drown the rest.
        """
        lengths = torch.tensor([len(motion) for motion in motions])
        joints = torch.from_numpy(np.concatenate(motions).astype(np.float32))
        names = kinds or [""] * len(motions)
        number = torch.tensor([sorted(set(names)).index(name) for name in names])
        weights = lengths.to(torch.float32).sqrt()
        frames = torch.zeros(len(set(names))).index_add(0, number, lengths.to(torch.float32))
        shares = torch.zeros(len(set(names))).index_add(0, number, weights)
        weights = weights * (frames.sqrt() / shares)[number]
        return cls(joints, lengths.cumsum(0) - lengths, lengths, weights)

    def sample(
        self, count: int, frames: int, step: Float[Tensor, " batch"], generator: Generator
    ) -> Float[Tensor, "batch frames joints 3"]:
        """Sample `count` windows; window i advances `step[i]` bank frames per frame.

        A window longer than its clip runs on backwards from the end, and forwards again from the start.
        """
        clip = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        last = (self.lengths[clip] - 1).to(torch.float32)
        span = step * (frames - 1)
        room = torch.where(span < last, last - span, last)
        start = torch.rand(count, generator=generator) * room
        at = start[:, None] + torch.arange(frames) * step[:, None]
        last = last[:, None].clamp(min=1e-3)
        at = last - (at.remainder(2 * last) - last).abs()
        low = at.floor().long().clamp(max=self.lengths[clip][:, None] - 1)
        high = torch.minimum(low + 1, self.lengths[clip][:, None] - 1)
        first = self.starts[clip][:, None]
        share = (at - low)[..., None, None]
        return torch.lerp(self.joints_m[first + low], self.joints_m[first + high], share)


class SyntheticClips(Dataset[Batch]):
    """Item number `step` is the batch of that training step.

    Joints are those of `skeleton`, h36m-17 or h36m-17+feet; the first 17 are the same in both.
    """

    def __init__(
        self,
        config: SyntheticConfig,
        *,
        seed: int,
        batch: int,
        frames: int,
        rank: int = 0,
        ranks: int = 1,
        skeleton: Skeleton = H36M_17,
    ) -> None:
        if skeleton not in (H36M_17, H36M_FEET):
            expected("skeleton of synthetic motion", f"{H36M_17.name} or {H36M_FEET.name}", skeleton.name)
        self.config = config
        self.skeleton = skeleton
        self.seed = seed
        self.batch = batch
        self.frames = frames
        self.rows = slice(rank * batch // ranks, (rank + 1) * batch // ranks)
        training, self.validation = mocap_split(config.mocap, config.joint_map)
        self.mocap = _bank(training) if training else None
        self.procedural = _procedural_bank(config.procedural, seed)
        self.rendered = None
        if config.rendered is not None:
            self.rendered = rendered_bank(config.rendered, skeleton, config.frame_rate_hz, STATURE_M)

    def __getitem__(self, step: int) -> Batch:
        generator = Generator().manual_seed(self.seed * 1_000_003 + step)
        frames = self.frames
        if torch.rand((), generator=generator) < self.config.short_clips:
            # Short clips are log-uniform in length: half of them have fewer than √frames.
            frames = int(frames ** float(torch.rand((), generator=generator)))
        seeds = torch.randint(2**40, (-(-self.batch // _TOGETHER),), generator=generator).tolist()
        first, last = self.rows.start // _TOGETHER, -(-self.rows.stop // _TOGETHER)
        made = [self._make(number, seeds[number], frames) for number in range(first, last)]
        own = slice(self.rows.start - first * _TOGETHER, self.rows.stop - first * _TOGETHER)
        known = [part.known for part in made if part.known is not None]
        return Batch(
            torch.cat([part.keypoints for part in made])[own],
            torch.cat([part.target for part in made])[own],
            known=torch.cat(known)[own] if known else None,
        )

    def _make(self, number: int, seed: int, frames: int) -> Batch:
        """Make the clips that are drawn together with this seed."""
        config, generator = self.config, Generator().manual_seed(seed)
        count = min(_TOGETHER, self.batch - number * _TOGETHER)
        low, high = config.time_warp
        warp = low * (high / low) ** torch.rand(count, generator=generator)
        speed = warp * _BANK_HZ / config.frame_rate_hz
        joints = self.procedural.sample(count, frames, speed, generator)
        if self.mocap is not None:
            made = torch.rand(count, generator=generator) < config.p_procedural
            real = self.mocap.sample(count, frames, speed, generator)
            joints = torch.where(made[:, None, None, None], joints, real)
        joints = joints[:, :, : len(self.skeleton)]
        reverse = torch.rand(count, generator=generator) < config.p_reverse
        joints = torch.where(reverse[:, None, None, None], joints.flip(1), joints)
        joints = mirror(joints, torch.rand(count, generator=generator) < 0.5, self.skeleton)
        exchanged = torch.rand(count, generator=generator) < config.p_exchange_arms
        joints = exchange_arms(joints, exchanged, generator)
        joints = resize_bones(joints, config.bone_spread, generator)
        joints = shift_joints(joints, config.shift_m, generator)
        batch = observe(joints, config.camera, config.detection, generator)
        return batch if self.rendered is None else self._mix(batch, self.rendered, seed)

    def _mix(self, batch: Batch, rendered: RenderedBank, seed: int) -> Batch:
        """Put rendered clips in the place of some others."""
        # With randomness of their own: the others are those of a run without.
        generator = Generator().manual_seed(seed + 2**41)
        count, frames = batch.keypoints.shape[:2]
        here = torch.rand(count, generator=generator) < self.config.p_rendered
        keypoints, target = (
            torch.where(here[:, None, None, None], there, values)
            for there, values in zip(
                rendered.sample(count, frames, generator), (batch.keypoints, batch.target), strict=True
            )
        )
        known = batch.known
        if known is not None:  # the truth of rendered clips has no feet
            body = torch.arange(known.shape[1]) < len(H36M_17)
            known = torch.where(here[:, None], body, known)
        return Batch(keypoints, target, known=known)


def observe(
    joints_m: Float[Tensor, "batch frames joints 3"],
    camera: CameraConfig,
    detection: DetectionConfig,
    generator: Generator,
) -> Batch:
    """Observe world joints by a detector behind a virtual camera; returns its report and the target.

    Keypoints are rays x/z, y/z and confidence (see `models.perspective_crop`); targets are joints minus
    the pelvis in the camera frame, in metres of a person 1.70 m tall. Joints are those of h36m-17 or of
    h36m-17+feet, feet that are not known NaN; their target means nothing.
    """
    body, feet = slice(len(H36M_17)), slice(len(H36M_17), None)
    known = joints_m.isfinite().all(dim=-1).all(dim=1) if joints_m.shape[2] > len(H36M_17) else None
    if known is not None:
        joints_m = at_ankles(joints_m)
    rays, joints = sample_views(joints_m, camera, generator)
    height = stature(joints_m).mean(dim=1)
    hidden = self_occluded(joints)
    apparent = height / joints[:, :, body, 2].mean(dim=(1, 2))
    keypoints = detect(rays[:, :, body], apparent, detection, generator, hidden[:, :, body])
    beyond = cut_by_edge(rays, camera, generator) if camera.p_cut else torch.zeros_like(hidden)
    if known is not None:
        # With randomness of their own: the body is seen as it is without feet.
        own = Generator().manual_seed(generator.initial_seed() + 2**40)
        found = detect_feet(rays, keypoints, apparent, hidden[:, :, feet], known[:, feet], detection, own)
        keypoints = torch.cat([keypoints, found], dim=2)
    keypoints = keypoints * ~beyond[..., None]
    relative = (joints - joints[:, :, :1]) * (STATURE_M / height)[:, None, None, None]
    return Batch(keypoints, relative, known=known)


def _bank(clips: Sequence[MocapClip]) -> MotionBank:
    return MotionBank.of([clip.with_feet_m() for clip in clips], [clip.kind for clip in clips])


@cache
def _procedural_bank(config: ProceduralConfig, seed: int) -> MotionBank:
    """Made once in a process, which may train many models."""
    return MotionBank.of(list(make_motion(config, seed, H36M_FEET)))


@cache
def mocap_split(
    folder: Path | None, joint_map: Path | None = None
) -> tuple[list[MocapClip], list[MocapClip]]:
    """Read training and validation clips at 60 Hz; both empty without a folder.

    Raises UserError where the folder holds no motion capture.
    """
    if folder is None:
        return [], []
    training, validation = read_split(folder, joint_map)
    return [resample(c, _BANK_HZ) for c in training], [resample(c, _BANK_HZ) for c in validation]
