"""A camera, a detector and a lifter that do as the tests tell them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

import repose
from repose.detectors import Finder
from repose.errors import UserError
from repose.lifting import Lifter
from repose.live import Frame
from repose.pose import Pose2D, Pose3D
from repose.sample import load_sample_truth
from repose.video import Feed, FeedFrame, VideoInfo, write_video

SIZE = (64, 48)


class Camera(Feed):
    """Gives numbered frames as fast as they are taken, each once `go` says so."""

    def __init__(
        self, frames: int, go: Callable[[int], object] = lambda _: None, lost: UserError | None = None
    ) -> None:
        info = VideoInfo(Path("camera"), *SIZE, 30.0, None, None, 0, "", False)
        super().__init__("camera 0", info, None, None, iter(()))
        self._count, self._go, self._lost_by = frames, go, lost

    def __iter__(self) -> Iterator[FeedFrame]:
        for number in range(self._count):
            self._go(number)
            if self._closed.is_set():
                return
            yield FeedFrame(number / 30, 100.0 + number / 30, lambda *_, n=number: picture(n))
        if self._lost_by:
            raise self._lost_by


def picture(number: int) -> np.ndarray:
    """A picture that says which it is."""
    colour = 4 + 4 * (number % 60), 4 * (number // 60), 128
    return np.full((SIZE[1], SIZE[0], 3), colour, np.uint8)


class People:
    """A detector for pictures by `picture`: the walker of the sample, as often and when it is told."""

    def __init__(self, where: Callable[[int], list[int]] = lambda _: [0]) -> None:
        truth = load_sample_truth()
        self.skeleton = truth.skeleton
        self._points_px, self._where = truth.points_px * 0.1, where
        self.found = threading.Event()
        self.seen: list[int] = []

    def detect(self, frames: object, info: VideoInfo) -> list[Pose2D]:
        raise NotImplementedError

    @contextmanager
    def finder(self) -> Iterator[Finder]:
        def find(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            red, green, _ = np.round(np.median(rgb, axis=(0, 1)) / 4).astype(int).tolist()
            number = 60 * green + red - 1
            if number < 0:  # the empty picture that loads a model
                return np.zeros((0, 17, 2)), np.zeros((0, 17))
            self.seen.append(number)
            self.found.set()
            points = [self._points_px[number % 200] + np.array([500.0 * x, 0.0]) for x in self._where(number)]
            return np.array(points).reshape(-1, 17, 2), np.full((len(points), 17), 0.9)

        yield find


@cache
def lifter() -> Lifter:
    return repose.load("default", device="cpu", flip=False)


def film(path: Path, frames: int) -> Path:
    """Write a video of pictures by `picture`, 30 a second."""
    write_video(path, (picture(number) for number in range(frames)), 30.0, crf=0)
    return path


def pieces(count: int = 40, track_id: int = 0, first: int = 0) -> list[Pose3D]:
    """The walker of the sample in pieces of two frames."""
    truth = load_sample_truth().pose()
    out = []
    for start in range(0, count, 2):
        rows = slice(start, start + 2)
        frames = np.arange(first + start, first + start + 2)
        out.append(
            Pose3D(
                joints_m=truth.joints_m[rows].astype(np.float32),
                seen=truth.seen[rows],
                frames=frames,
                fps=30.0,
                skeleton=truth.skeleton,
                track_id=track_id,
                coordinates="camera",
                scale="the truth",
                times_s=frames / 29.5,
                image_size=truth.image_size,
                intrinsics_px=truth.intrinsics_px,
                record={"assumed": ["height"], "source": "camera 0, live"},
            )
        )
    return out


def frame(*poses: Pose3D) -> Frame:
    number = int(poses[0].frames[-1])
    return Frame(number, number / 30, 100.0, lambda *_: np.zeros((4, 4, 3), np.uint8), poses)
