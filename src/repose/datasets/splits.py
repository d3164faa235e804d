"""Reading a split of a store: its sequences, and windows of them, cut on reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from msgspec import Meta

from repose.errors import expected
from repose.files.structured import Count
from repose.geometry.camera import from_screen
from repose.skeleton import Skeleton

Tail = Literal["drop", "keep", "pad", "back"]


@dataclass(frozen=True)
class StoredSequence:
    """One video, seen by one camera: rows `start` to `stop` of its split's arrays."""

    name: str
    subject: str
    action: str
    camera: str
    image_size: tuple[Annotated[int, Meta(ge=1, le=100_000)], Annotated[int, Meta(ge=1, le=100_000)]]
    """Width and height in pixels."""
    fps: Annotated[float, Meta(gt=0, le=100_000)]
    start: Count
    stop: Count

    def __len__(self) -> int:
        return self.stop - self.start


class Window(NamedTuple):
    """Frames that a model sees at once: rows `start` to `stop`, which may reach beyond the sequence."""

    sequence: StoredSequence
    start: int
    stop: int
    draw: int | None = None
    """Seed by which a shorter window repeats frames at random (MotionBERT's `resample`); None repeats them
    evenly."""

    def rows(self, frames: int) -> Int[np.ndarray, " {frames}"]:
        """Return the `frames` rows to read; beyond its ends the sequence repeats its last frame."""
        length = self.stop - self.start
        rows, between = np.divmod(np.arange(frames) * length, frames)
        if self.draw is not None and length < frames:
            up = np.random.default_rng(self.draw).integers(2, size=frames)
            rows = np.sort(rows + up * (between > 0))
        rows = self.start + rows
        return rows.clip(self.sequence.start, self.sequence.stop - 1)


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a store: sequences, and arrays with one row per frame, memory-mapped and read-only."""

    name: str
    sequences: tuple[StoredSequence, ...]
    arrays: Mapping[str, np.ndarray]
    skeleton: Skeleton

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.arrays["keypoints_norm"])

    def windows(
        self, frames: int, stride: int, *, tail: Tail = "drop", seed: int | None = None
    ) -> list[Window]:
        """Return the windows of `frames` consecutive frames, `stride` apart, in the order of the sequences.

        What is done where a sequence does not end with a full window:
        "drop" leaves the rest out, and stretches a sequence that is shorter than a window to one
        (Human3.6M as MotionBERT and RePOSE cut it; evenly, or at random by `seed`, as theirs does);
        "keep" starts a window at every `stride`, the last ones with fewer frames and stretched
        (MPI-INF-3DHP as MotionAGFormer trains on it);
        "pad" centres a window on every `stride`-th frame, repeating the first and the last frame
        (MPI-INF-3DHP as it is tested);
        "back" begins the last window earlier, so that it ends with the sequence, and repeats the last frame
        of a shorter one (where every frame is scored).
        """
        if frames < 1 or stride < 1:
            expected("windows", "1 or more frames and a stride of 1 or more", f"{frames} and {stride}")
        if tail not in get_args(Tail):
            expected("tail", f"one of {', '.join(get_args(Tail))}", tail)
        windows = []
        for sequence in self.sequences:
            start, stop = sequence.start, sequence.stop
            if tail == "pad":
                padded = range(start - (frames - 1) // 2, stop - (frames - 1) // 2, stride)
                windows += [Window(sequence, first, first + frames) for first in padded]
            elif tail == "keep":
                windows += [
                    Window(sequence, first, min(first + frames, stop)) for first in range(start, stop, stride)
                ]
            elif tail == "back":
                starts = [*range(start, stop - frames, stride), max(start, stop - frames)]
                windows += [Window(sequence, first, first + frames) for first in starts]
            elif len(sequence) < frames:
                draw = None if seed is None else seed * 1_000_003 + start
                windows.append(Window(sequence, start, stop, draw))
            else:
                whole = range(start, stop - frames + 1, stride)
                windows += [Window(sequence, first, first + frames) for first in whole]
        return windows

    def cut(self, array: str, window: Window, frames: int) -> Shaped[np.ndarray, "{frames} *axes"]:
        """Cut a window of `frames` frames from the array of this name; a view where nothing is repeated."""
        sequence, start, stop, _ = window
        if stop - start == frames and sequence.start <= start and stop <= sequence.stop:
            return self.arrays[array][start:stop]
        return self.arrays[array][window.rows(frames)]

    def keypoints_px(self, sequence: StoredSequence) -> Float[np.ndarray, "frames joints 3"]:
        """Return the 2D joints of a sequence in pixels, with confidence."""
        keypoints = self.arrays["keypoints_norm"][sequence.start : sequence.stop].copy()
        keypoints[..., :2] = from_screen(keypoints[..., :2].astype(np.float64), sequence.image_size)
        return keypoints


def stack(
    clips: Sequence[Float[np.ndarray, "frames joints 3"]],
    skeleton: Skeleton,
    mirrored: Sequence[bool] | Bool[np.ndarray, " clips"] | None = None,
) -> Float[np.ndarray, "clips frames joints 3"]:
    """Stack copies of some clips of equal length in one array.

    In those that are `mirrored` x is negated and left and right are exchanged: keypoints and targets alike.
    """
    first = clips[0]
    out = np.empty((len(clips), first.shape[0] * first.shape[1], 3), first.dtype)
    signs, partners = _reflection(skeleton, len(first))
    turned = np.empty_like(out[0])
    for i, clip in enumerate(clips):
        points = clip.reshape(-1, 3)
        if mirrored is not None and mirrored[i]:
            # What comes from far away is read once in order, and put into its new order when it is near.
            np.multiply(points, signs, out=turned)
            turned.take(partners, axis=0, out=out[i], mode="clip")
        else:
            out[i] = points
    return out.reshape(len(clips), *first.shape)


@cache
def _reflection(skeleton: Skeleton, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """For the points of a clip, all joints of all frames in a row: factors, and whose place each takes.

    One factor a number, because NumPy is slow where axes are short.
    """
    joints = len(skeleton)
    signs = np.tile(np.array([-1.0, 1.0, 1.0], np.float32), (frames * joints, 1))
    partners = joints * np.arange(frames)[:, None] + np.array(skeleton.mirror)
    return signs, partners.ravel()
