"""Compare ways to lift a stream: whole windows of several lengths and strides, and kept keys and values.

    python scripts/compare_streams.py MOTION... [--frames 900] [--lookahead 4]

Choose on the validation subjects of the CMU pack (MOTION is its folder), report on other motion. Scores are
those of measure_streaming.py. "kept" is the network with a memory: new frames attend to the keys and values
that older frames had when they were new, in the view that the person was seen by when the memory was last
filled; every so many frames it is filled anew by a whole window. Refreshed after every frame it is whole
windows by the same code, and so checks it.
"""

import argparse
from copy import copy
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from measure_streaming import compare, frames_of, offline
from torch import Tensor

import repose
from repose.geometry.camera import Camera
from repose.lifting import Lifter
from repose.lifting.streaming import Stream
from repose.models import find_checkpoint, load_checkpoint
from repose.models.frameformer import FrameFormer, turn_in_time
from repose.models.perspective_crop import USUAL_SIZE_M, perspective_crop, rotate
from repose.pose import Pose2D

WINDOW = 128


def windows(lifter: Lifter, pose: Pose2D, lookahead: int, stride: int, window: int) -> np.ndarray:
    """Lift by `Stream`, with the window and stride given in frames."""
    stream = Stream(
        partial(copy(lifter).lift, root=False),
        fps=pose.fps,
        skeleton=lifter.skeleton,
        lookahead=lookahead,
        window_s=window / pose.fps,
        stride_s=stride / pose.fps,
    )
    parts = [part for frame in frames_of(pose) for part in stream.push(frame)] + stream.flush()
    return np.concatenate([part.joints_m for part in parts])


class Memory:
    """The network with the keys and values of the frames before."""

    def __init__(self, model: FrameFormer, refresh: int) -> None:
        self.model, self.refresh, self.since = model, refresh, refresh
        width = model.config.width // model.config.heads
        self.speed = 1000.0 ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
        self.past: list[tuple[Tensor, Tensor] | None] = []

    @torch.inference_mode()
    def lift(self, window: Tensor, first: int, new: int, final: int) -> Tensor:
        """Joints of the last `new` frames of the window, whose first has number `first`.

        The first `final` of the new ones become final, and are remembered.
        """
        model, view, frames = self.model, perspective_crop(window[None]), len(window)
        fill = self.since >= self.refresh
        if fill:
            self.past, self.since, new_here = [None] * len(model.blocks), 0, frames
            self.size, self.track = view.size, view.track[:, :1]
            self.known = first
        else:
            new_here = new
        scale = view.size / self.size
        track = view.track * scale[..., None]
        # The centre's track is counted from the mean of the window that filled the memory.
        at = max(self.known - first, 0)
        track = track - track[:, at : at + 1] + self.track
        points = view.points * scale[:, None, None]
        size = (self.size.log() + 1.5)[:, None].expand(1, frames, 1)
        x = torch.cat([points.flatten(2), window[None, ..., 2], track, size], dim=-1)[:, frames - new_here :]
        last = frames - (new - final)
        self.known, self.track = first + last - 1, track[:, last - 1 : last]
        joints = self._attend(x, torch.arange(first + frames - new_here, first + frames), new - final)
        self.since += final
        count = model.config.joints
        out = joints[..., : 3 * count].unflatten(-1, (count, 3))
        magnified = points[:, -new_here:] * (USUAL_SIZE_M * joints[..., -1:, None].exp())
        out = out + F.pad(magnified, (0, 1))
        return rotate(view.T_camera_view[:, -new_here:], out - out[..., :1, :])[0, -new:]

    def _attend(self, x: Tensor, numbers: Tensor, ahead: int) -> Tensor:
        """Run the blocks; all frames but the last `ahead` are remembered, a window of them."""
        x = self.model.embed(x)
        angle = numbers.to(torch.float32)[:, None] * self.speed
        turn = angle.cos(), angle.sin()
        for i, block in enumerate(self.model.blocks):
            q, k, v = block.qkv(block.norm1(x)).unflatten(-1, (3, block.heads, -1)).permute(2, 0, 3, 1, 4)
            q, k = turn_in_time(q, turn), turn_in_time(k, turn)
            if (past := self.past[i]) is not None:
                k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
            stop = k.shape[2] - ahead
            kept = slice(max(0, stop - (WINDOW - ahead - 1)), stop)
            self.past[i] = k[:, :, kept], v[:, :, kept]
            attended = F.scaled_dot_product_attention(q, k, v)
            x = x + block.proj(attended.transpose(1, 2).flatten(2))
            x = x + block.fc2(F.gelu(block.fc1(block.norm2(x)), approximate="tanh"))
        return self.model.head(self.model.norm(x))


def kept(lifter: Lifter, pose: Pose2D, lookahead: int, stride: int, refresh: int) -> np.ndarray:
    """Lift with a memory, cross-faded as `Stream` does."""
    rays = Camera.assumed(pose.image_size).rays(pose.points_px)
    keypoints = torch.from_numpy(np.concatenate([rays, pose.confidence[..., None]], -1).astype(np.float32))
    memory = Memory(load_checkpoint(find_checkpoint(lifter.name)), refresh)  # type: ignore[arg-type]
    out, before, done = [], np.zeros((0, 17, 3)), 0
    while done < len(pose):
        stop = min(done + stride, len(pose))
        end = min(stop + lookahead, len(pose))
        first = max(0, end - WINDOW)
        joints = memory.lift(keypoints[first:end], first, end - done, stop - done).numpy().astype(np.float64)
        both = min(len(before), stop - done)
        share = ((np.arange(both) + 1) / (min(lookahead, len(before)) + 1)).clip(max=1)[:, None, None]
        joints[:both] = share * joints[:both] + (1 - share) * before[:both]
        out.append(joints[: stop - done])
        before, done = joints[stop - done :], stop
    return np.concatenate(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("motion", nargs="+")
    parser.add_argument("--frames", type=int, default=900)
    parser.add_argument("--lookahead", type=int, default=4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lifter = repose.load("default", flip=False)
    ahead = arguments.lookahead
    rows = {"offline": lambda pose: offline(lifter, pose)}
    for stride, window in ((5, 128), (5, 64), (2, 128), (2, 64), (1, 32)):
        rows[f"{window} frames, every {stride}"] = partial(
            windows, lifter, lookahead=ahead, stride=stride, window=window
        )
    for stride, refresh in ((5, 1), (5, 15), (5, 64), (2, 16), (2, 64)):
        rows[f"kept, every {stride}, refreshed {refresh}"] = partial(
            kept, lifter, lookahead=ahead, stride=stride, refresh=refresh
        )
    compare(arguments.motion, arguments.frames, rows)


if __name__ == "__main__":
    main()
