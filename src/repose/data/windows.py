"""Reading a split of a store: its sequences, and windows of them, cut when they are read."""

from collections.abc import Mapping
from collections.abc import Sequence as Row
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float, Int, Shaped

from repose.errors import expected
from repose.skeleton import Skeleton

Tail = Literal["drop", "keep", "pad"]


@dataclass(frozen=True)
class Sequence:
    """One video, seen by one camera: rows `start` to `stop` of its split's arrays."""

    name: str
    subject: str
    action: str
    camera: str
    image_size: tuple[int, int]
    """Width and height in pixels."""
    fps: float
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Window(NamedTuple):
    """Frames that a model sees at once: rows `start` to `stop`, which may reach beyond the sequence."""

    sequence: Sequence
    start: int
    stop: int

    def rows(self, frames: int) -> Int[np.ndarray, " {frames}"]:
        """The `frames` rows to read. Beyond its ends the sequence stands still; a window with fewer
        frames is stretched by repeating some, evenly."""
        length = self.stop - self.start
        rows = self.start + np.arange(frames) * length // frames
        return rows.clip(self.sequence.start, self.sequence.stop - 1)


@dataclass(frozen=True, eq=False)
class Split:
    """A part of a store: sequences, and arrays with one row a frame, memory-mapped and read-only."""

    name: str
    sequences: tuple[Sequence, ...]
    arrays: Mapping[str, np.ndarray]
    skeleton: Skeleton

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.arrays["keypoints_px"])

    def windows(self, frames: int, stride: int, *, tail: Tail = "drop") -> list[Window]:
        """Windows of `frames` consecutive frames, `stride` apart, in the order of the sequences.

        What is done where a sequence does not end with a full window:
        "drop" leaves the rest out, and stretches a sequence that is shorter than a window to one
        (Human3.6M as MotionBERT and RePOSE cut it; theirs draws the repeated frames at random);
        "keep" starts a window at every `stride`, the last ones with fewer frames and stretched
        (MPI-INF-3DHP as MotionAGFormer trains on it);
        "pad" centres a window on every `stride`-th frame, repeating the first and the last frame
        (MPI-INF-3DHP as it is tested).
        """
        if frames < 1 or stride < 1:
            expected("windows", "1 or more frames and a stride of 1 or more", f"{frames} and {stride}")
        if tail not in get_args(Tail):
            expected("tail", f"one of {', '.join(get_args(Tail))}", tail)
        windows = []
        for sequence in self.sequences:
            start, stop = sequence.start, sequence.stop
            if tail == "pad":
                starts = range(start - (frames - 1) // 2, stop - (frames - 1) // 2, stride)
                windows += [Window(sequence, first, first + frames) for first in starts]
            elif tail == "keep":
                windows += [
                    Window(sequence, first, min(first + frames, stop)) for first in range(start, stop, stride)
                ]
            elif len(sequence) < frames:
                windows.append(Window(sequence, start, stop))
            else:
                starts = range(start, stop - frames + 1, stride)
                windows += [Window(sequence, first, first + frames) for first in starts]
        return windows

    def read(
        self, array: str, windows: Row[Window], frames: int
    ) -> Shaped[np.ndarray, "windows {frames} *axes"]:
        """A copy of the `frames` frames of each window from the array of this name."""
        source = self.arrays[array]
        out = np.empty((len(windows), frames, *source.shape[1:]), source.dtype)
        for i, window in enumerate(windows):
            out[i] = _cut(source, window, frames)
        return out

    def read_screen(
        self, array: str, windows: Row[Window], frames: int, mirrored: Row[bool] | None = None
    ) -> Float[np.ndarray, "windows {frames} joints 3"]:
        """Like `read`, for keypoints and targets of the kind "image", in the units of published models.

        x goes from -1 to 1 over the width of the picture, y is in the same unit with its origin in the
        middle, a target's z is in that unit, and a confidence stays as it is. In windows that are to be
        `mirrored` x is negated and left and right are exchanged.
        """
        source = self.arrays[array]
        joints = source.shape[1]
        out = np.empty((len(windows), frames, joints, 3), source.dtype)
        mirror = (joints * np.arange(frames)[:, None] + np.array(self.skeleton.mirror)).ravel()
        for i, window in enumerate(windows):
            turned = mirrored is not None and bool(mirrored[i])
            size = window.sequence.image_size
            scales, shifts = _to_screen(size, array == "keypoints_px", turned, (frames, joints, 3))
            clip, cut = out[i], _cut(source, window, frames)
            if turned:
                # Of whole points, all in one row, which is faster than along the axis of joints.
                np.take(cut.reshape(-1, 3), mirror, 0, clip.reshape(-1, 3), mode="clip")
                cut = clip
            np.multiply(cut, scales, out=clip)
            np.subtract(clip, shifts, out=clip)
        return out


@cache
def _to_screen(
    size: tuple[int, int], confidence: bool, turned: bool, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Factor and then subtrahend of every number of a window: NumPy is slow where axes are short."""
    unit, sign = 2 / size[0], -1.0 if turned else 1.0
    scale = np.array((sign * unit, unit, 1.0 if confidence else unit), np.float32)
    shift = np.array((sign, size[1] / size[0], 0.0), np.float32)
    return np.broadcast_to(scale, shape).copy(), np.broadcast_to(shift, shape).copy()


def _cut(source: np.ndarray, window: Window, frames: int) -> np.ndarray:
    sequence, start, stop = window
    if stop - start == frames and sequence.start <= start and stop <= sequence.stop:
        return source[start:stop]
    return source[window.rows(frames)]
