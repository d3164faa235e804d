"""Clips of prepared data sets as training batches, normalised and augmented as published.

A batch is a function of the seed and the step alone, as in `synthetic`: an epoch is a permutation of all
windows, drawn from the seed and the epoch's number, and a step takes its part of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.data import Dataset

from repose.datasets.pretraining_2d import POSETRACK_FRAMES
from repose.datasets.splits import Split, Window, stack
from repose.datasets.store import ClipStore
from repose.errors import UserError, Within, check_ranges, expected
from repose.models import ModelSpec
from repose.skeleton import Skeleton
from repose.synthetic.corruption import Rows, displace, hide
from repose.synthetic.motions import Batch


@dataclass(frozen=True)
class StoreConfig:
    """Where training clips are read from, and how they are augmented."""

    store: Path | None = None
    """A prepared data set (`repose prepare`): its split "train" trains, its split "test" examines."""
    more: tuple[Path, ...] = ()
    """Other stores to train on, too."""
    stride: Annotated[int | None, Within(1, 10_000)] = None
    """Frames from the start of one window to the next; a third of the window by default."""
    tail: Literal["drop", "keep"] = "drop"
    """The end of a video that fills no window: left out (Human3.6M), or stretched to one (MPI-INF-3DHP)."""
    flip: bool = True
    """Mirror half of the clips."""
    projected: bool = False
    """Put the truth's own x and y, with confidence 1, in place of the detections."""
    gt_2d: bool = False
    """The same, and validate on it, too."""
    no_conf: bool = False
    """Keep from the model how sure the detector is of each joint: it sees 1 everywhere, and is marked so."""
    noise: bool = False
    """Displace joints as a detector would, and set confidence from the displacement."""
    mask_joints: Annotated[float, Within(0, 1)] = 0.0
    """Share of single joints that are hidden."""
    mask_frames: Annotated[float, Within(0, 1)] = 0.0
    """Share of whole frames that are hidden."""
    stores_2d: tuple[Path, ...] = ()
    """Stores of which only the keypoints are used (`repose prepare posetrack18`, `instavariety` and
    `keypoints` make some that have no more): the model learns to return them where they are sure. Each has
    its own batches, in this order."""
    first_epoch_2d: Annotated[int, Within(0, 100_000)] = 30
    """Epochs before that train on 3D alone."""
    frames_2d: Annotated[int | None, Within(1, 10_000)] = None
    """Frames of a 2D clip; by default 30 of PoseTrack18, whose recordings have no more, and 81 of others."""
    stride_2d: Annotated[int | None, Within(1, 10_000)] = None
    """Frames from the start of one 2D clip to the next; a third of the clip by default."""
    crop_2d: Annotated[tuple[float, float], Within(0.01, 1, rising=True)] = (0.25, 1.0)
    """Side of the square that is cut out of a 2D clip, in sides of the square around all its joints."""

    def __post_init__(self) -> None:
        check_ranges(self)


class StoreClips(Dataset[Batch]):
    """Item number `step` is the batch of that training step: this rank's rows of it.

    Input is in units of the picture (`screen`). Targets of the kind "image" are in the same units and made
    relative to the root, or only in depth to the first frame's root, as `spec` says. Those of the kind
    "camera" are relative to the root, in millimetres, and take the same factor 2 / width (MPI-INF-3DHP as
    MotionAGFormer trains on it). Windows with a frame that is marked as not valid are left out.

    Raises UserError where no store is named, a store cannot be opened or has no window, for a store of
    another skeleton than the model's, and for a model that this input does not suit.
    """

    def __init__(
        self, config: StoreConfig, spec: ModelSpec, *, seed: int, batch: int, rank: int = 0, ranks: int = 1
    ) -> None:
        if config.store is None:
            raise UserError("no data set to train on", "Name a prepared one: --data.store STORE.")
        self.config, self.seed, self.batch, self.rank, self.ranks = config, seed, batch, rank, ranks
        stores = [ClipStore.open(path) for path in (config.store, *config.more)]
        self.store = stores[0]
        for store in stores:
            if store.target_kind is None:
                expected(
                    f"{store.path}: targets", "3D joints", "a store of 2D", "It serves as --data.stores-2d."
                )
            if store.target_kind != self.store.target_kind:
                expected(
                    f"{store.path}: targets", f'of the kind "{self.store.target_kind}"', store.target_kind
                )
        self.skeleton = spec.layout
        self.spec = spec_for(self.store, spec)
        if config.no_conf:
            self.spec = replace(self.spec, confidence=False)
        self.frames = spec.window_frames
        self.full = Pool.of(
            stores,
            self.skeleton,
            self.frames,
            config.stride or max(self.frames // 3, 1),
            config.tail,
            seed,
        )
        self.flat = [self._open_2d(ClipStore.open(path)) for path in config.stores_2d]
        self._drawn: tuple[tuple[int, int], np.ndarray] | None = None

    def _open_2d(self, store: ClipStore) -> "Pool":
        annotated = store.dataset == "posetrack18"
        frames = self.config.frames_2d or (POSETRACK_FRAMES if annotated else 81)
        if frames > self.frames or (self.spec.fixed_window and frames != self.frames):
            expected("data.frames-2d", f"what {self.spec.name} takes, {self.frames}", frames)
        stride = self.config.stride_2d or max(frames // 3, 1)
        pool = Pool.of([store], self.skeleton, frames, stride, "drop", self.seed, rooted=True)
        return replace(pool, annotated=annotated)

    def steps(self, epochs: int) -> int:
        """Return the number of steps in the first epochs."""
        mixed = max(epochs - self.config.first_epoch_2d, 0)
        return epochs * self._steps_of(self.full) + mixed * sum(map(self._steps_of, self.flat))

    def epoch(self, step: int) -> int:
        """Return the number of the epoch to which a step belongs, from 0."""
        short = self._steps_of(self.full)
        if step < self.config.first_epoch_2d * short:
            return step // short
        later = step - self.config.first_epoch_2d * short
        return self.config.first_epoch_2d + later // (short + sum(map(self._steps_of, self.flat)))

    def __getitem__(self, step: int) -> Batch:
        epoch = self.epoch(step)
        index = step - self.steps(epoch)
        # Within an epoch 2D comes first, so that it ends with what it is examined on.
        flat = self.flat if epoch >= self.config.first_epoch_2d else []
        for number, pool in enumerate([*flat, self.full], start=1):  # noqa: B007  the last one it is
            if index < self._steps_of(pool):
                break
            index -= self._steps_of(pool)
        order = self._order(epoch, 0 if pool is self.full else number, len(pool))
        chosen = order[index * self.batch : (index + 1) * self.batch]
        generator = Generator().manual_seed(self.seed * 1_000_003 + step)
        own = slice(self.rank * len(chosen) // self.ranks, (self.rank + 1) * len(chosen) // self.ranks)
        share = (own.stop - own.start) * self.ranks / len(chosen)
        if not share:  # Every device takes part in every step, if only with a factor of 0.
            own = slice(0, 1)
        rows, chosen = Rows(own, len(chosen)), chosen[own]
        if pool is self.full:
            return replace(self._read(chosen, generator, rows), share=share)
        return replace(self._read_2d(pool, chosen, generator, rows), share=share)

    def _steps_of(self, pool: "Pool") -> int:
        return -(-len(pool) // self.batch)

    def _order(self, epoch: int, pool: int, windows: int) -> np.ndarray:
        which = (epoch, pool)
        if self._drawn is None or self._drawn[0] != which:
            self._drawn = which, np.random.default_rng((self.seed, *which)).permutation(windows)
        return self._drawn[1]

    def _read(self, chosen: np.ndarray, generator: Generator, rows: Rows | None = None) -> Batch:
        pool, config = self.full, self.config
        rows = rows or Rows(slice(None), len(chosen))
        mirrored = self._mirrored(rows, generator)
        keypoints, target = (
            torch.from_numpy(pool.read(array, chosen, mirrored)).to(torch.get_default_dtype())
            for array in ("keypoints_norm", "target")
        )
        root = self.skeleton.parents.index(-1)
        camera = self.store.target_kind == "camera"
        if config.projected or config.gt_2d:  # What lies before the camera is annotated in the picture, too.
            exact = "exact_norm" in pool.splits[0].arrays
            points = torch.from_numpy(pool.read("exact_norm", chosen, mirrored)) if exact else target
            if camera and not exact:
                points = keypoints
            keypoints = torch.cat([points[..., :2], torch.ones_like(points[..., 2:])], dim=-1)
        if self.spec.root_relative:
            target -= target[:, :, root : root + 1].clone()
        else:
            target[..., 2] -= target[:, :1, root : root + 1, 2].clone()
        if camera:
            widths = torch.from_numpy(pool.widths[chosen]).to(target.dtype)
            target *= (1000 * 2 / widths)[:, None, None, None]
        if config.noise:
            keypoints = displace(keypoints, self.skeleton, generator, rows)
        return Batch(self._hide(keypoints, rows, generator), target)

    def _read_2d(self, pool: "Pool", chosen: np.ndarray, generator: Generator, rows: Rows) -> Batch:
        low, high = self.config.crop_2d
        if pool.annotated:  # as published, cut out once for all epochs
            once = torch.rand(len(pool), generator=Generator().manual_seed(self.seed))
            share = low + (high - low) * once[torch.from_numpy(chosen)]
        else:
            share = low + (high - low) * torch.rand(rows.batch, generator=generator)[rows.own]
        mirrored = self._mirrored(rows, generator)
        keypoints = torch.from_numpy(pool.read("keypoints_norm", chosen, mirrored))
        keypoints = keypoints.to(torch.get_default_dtype())
        points = crop(keypoints, share.to(keypoints.dtype))
        root = self.skeleton.parents.index(-1)
        target = points - points[:, :, root : root + 1] if self.spec.root_relative else points
        # Depth is not known and does not count; x and y count as much as they are sure.
        target = torch.cat([target[..., :2], torch.zeros_like(target[..., 2:])], dim=-1)
        # Annotations get a detector's errors, detections have them. As published, joints that are not visible
        # are displaced from the middle and get a confidence, too; they do not count in the loss.
        noisy = pool.annotated and self.config.noise
        seen = displace(points, self.skeleton, generator, rows) if noisy else points
        return Batch(self._hide(seen, rows, generator), target, confidence=points[..., 2])

    def _mirrored(self, rows: Rows, generator: Generator) -> list[bool] | None:
        if not self.config.flip:
            return None
        return (torch.rand(rows.batch, generator=generator) < 0.5)[rows.own].tolist()

    def _hide(self, keypoints: Tensor, rows: Rows, generator: Generator) -> Tensor:
        joints, frames = self.config.mask_joints, self.config.mask_frames
        hidden = hide(keypoints, joints, frames, generator, rows) if joints or frames else keypoints
        if self.config.no_conf:
            hidden = torch.cat([hidden[..., :2], torch.ones_like(hidden[..., 2:])], dim=-1)
        return hidden


@dataclass(frozen=True, eq=False)
class Pool:
    """The training windows of some stores, end to end."""

    splits: Sequence[Split]
    windows: Sequence[Window]
    sources: Sequence[int]
    """For each window, which split it is from."""
    widths: Float[np.ndarray, " windows"]
    """Of each window's picture, in pixels."""
    frames: int
    skeleton: Skeleton
    annotated: bool = False
    """Whether the keypoints are a person's annotations, without a detector's errors."""

    @classmethod
    def of(
        cls,
        stores: Sequence[ClipStore],
        skeleton: Skeleton,
        frames: int,
        stride: int,
        tail: Literal["drop", "keep"],
        seed: int,
        *,
        rooted: bool = False,
    ) -> "Pool":
        """`rooted`: leave out windows without the root in their first frame, as MotionBERT does in 2D."""
        root = skeleton.parents.index(-1)
        windows: list[Window] = []
        sources: list[int] = []
        for i, store in enumerate(stores):
            if store.skeleton != skeleton:
                expected(
                    f"{store.path}: skeleton",
                    f"the model's, {skeleton.name}",
                    store.skeleton.name,
                    f"Choose a preset for {store.dataset}, or let the model learn it: --target-skeleton "
                    f"{store.skeleton.name}.",
                )
            split = store.split("train")
            found = split.windows(frames, stride, tail=tail, seed=seed)
            if "valid" in split.arrays:
                found = [w for w in found if split.arrays["valid"][w.rows(frames)].all()]
            if rooted:
                found = [w for w in found if split.arrays["keypoints_norm"][w.start, root, 2] > 0]
            if not found:
                expected(f"{store.path}: training windows", f"at least one of {frames} frames", "none")
            windows += found
            sources += [i] * len(found)
        widths = np.array([window.sequence.image_size[0] for window in windows], np.float64)
        splits = [store.split("train") for store in stores]
        return cls(splits, windows, sources, widths, frames, skeleton)

    def __len__(self) -> int:
        return len(self.windows)

    def read(
        self, array: str, chosen: np.ndarray, mirrored: Sequence[bool] | None = None
    ) -> Float[np.ndarray, "chosen frames joints 3"]:
        """Read a copy of the chosen windows' frames, some of them mirrored."""
        clips = [
            self.splits[self.sources[i]].cut(array, self.windows[i], self.frames) for i in chosen.tolist()
        ]
        return stack(clips, self.skeleton, mirrored)


def spec_for(store: ClipStore, spec: ModelSpec) -> ModelSpec:
    """Return the description of a model that is trained on a store: what its input and output will mean."""
    if spec.normalisation == "rays":
        expected(
            f"model {spec.name}: input",
            "keypoints normalised by the picture",
            "camera rays",
            "A store does not say what camera filmed; train this model from motion (presets default, tiny).",
        )
    if spec.output != "input":
        expected(f"model {spec.name}: output", "in units of the input", spec.output)
    rates = np.array([sequence.fps for sequence in store.split("train").sequences])
    lengths = [len(sequence) for sequence in store.split("train").sequences]
    values, which = np.unique(rates, return_inverse=True)
    return replace(
        spec,
        normalisation="screen",
        root_relative=spec.root_relative or store.target_kind == "camera",
        frame_rate_hz=float(values[np.bincount(which, lengths).argmax()]),
    )


def crop(
    keypoints: Float[Tensor, "batch frames joints 3"], share: Float[Tensor, " batch"]
) -> Float[Tensor, "batch frames joints 3"]:
    """Cut a square around the middle of each clip's joints and map it to [-1, 1].

    Its side is `share` of the larger side of the box around all joints seen; what lies outside
    comes to lie on its edge. Missing joints become 0, and so does a clip with fewer than four
    joints seen or none apart from another.
    """
    seen = keypoints[..., 2:] != 0
    points = keypoints[..., :2]
    low = torch.where(seen, points, torch.inf).amin((1, 2))
    high = torch.where(seen, points, -torch.inf).amax((1, 2))
    side = (high - low).amax(-1) * share
    usable = (seen.sum((1, 2, 3)) >= 4) & (side > 0)
    middle = torch.where(usable[:, None], (low + high) / 2, torch.zeros_like(low))
    side = torch.where(usable, side, torch.ones_like(side))
    points = (points - middle[:, None, None]) / side[:, None, None, None] * 2
    cropped = torch.cat([points, keypoints[..., 2:]], dim=-1).clamp(-1, 1)
    return cropped * (seen & usable[:, None, None, None])
