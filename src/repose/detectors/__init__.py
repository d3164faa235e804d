"""Detectors: from the frames of a video to the 2D tracks of its people.

A detector of your own is any object with the members of `Detector`. Give it a name to choose it by:

    repose.detectors.register("mine", MyDetector)
    repose.estimate("video.mp4", detector="mine")
"""

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from repose.detectors.mediapipe import MediaPipeDetector
from repose.detectors.recorder import Finder, FrameTracks, TrackRecorder
from repose.detectors.rtmpose import RTMPoseDetector
from repose.errors import UserError
from repose.pose import Pose2D
from repose.skeleton import Skeleton
from repose.video import VideoFrame, VideoInfo

__all__ = [
    "Detector",
    "Finder",
    "Follower",
    "FrameDetector",
    "FrameTracks",
    "TrackRecorder",
    "detector_names",
    "get_detector",
    "register",
]


@runtime_checkable
class Detector(Protocol):
    """Finds people in the frames of one video."""

    skeleton: Skeleton
    """Layout of the joints."""

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        """Return one track per person, in pixels of the upright frames.

        Frames arrive once, in order, with gaps where a frame could not be decoded. A frame without the
        person is absent from the track; a missing joint has
        confidence 0. `TrackRecorder` turns detections of single frames into such tracks. A video with
        nobody in it gives an empty list.
        """
        ...


@runtime_checkable
class Follower(Detector, Protocol):
    """A detector that follows one person at a time, and can be told which one."""

    def follow(self, frames: Iterable[VideoFrame], info: VideoInfo, person: str) -> list[Pose2D]:
        """Detect only the person meant by "largest", "central" or "x,y".

        See `repose.tracking.people.choose`. Raises UserError where nobody is at the point.
        """
        ...


@runtime_checkable
class FrameDetector(Detector, Protocol):
    """A detector that finds people in one frame after the other, as `repose live` needs it."""

    def finder(self) -> AbstractContextManager[Finder]:
        """Return a context with a function that finds the people in the next frame, an upright RGB picture.

        It returns their points in pixels (people, joints, 2) and confidence (people, joints), nobody
        included, and is called by one thread.
        """
        ...


_factories: dict[str, Callable[..., Detector]] = {"mediapipe": MediaPipeDetector, "rtmpose": RTMPoseDetector}


def register(name: str, factory: Callable[..., Detector]) -> None:
    """Make `factory(**options)` available as detector `name`; raises UserError if the name is taken."""
    if name in _factories:
        raise UserError(f"detector {name!r} is registered already", "Choose another name.")
    _factories[name] = factory


def detector_names() -> list[str]:
    """List the names that `get_detector` knows."""
    return sorted(_factories)


def get_detector(name: str, **options: Any) -> Detector:
    """Create the detector called `name`.

    Args:
        name: "mediapipe", "rtmpose", or a registered name.
        options: the detector's own, such as `mode` of `RTMPoseDetector`.

    Raises:
        UserError: as `check_detector`, and for packages that are not installed (the hint says what to
            install).
    """
    check_detector(name, **options)
    return _factories[name](**options)


def check_detector(name: str, **options: Any) -> None:
    """Raise UserError for an unknown name, and for options that the detector does not have."""
    if name not in _factories:
        raise UserError(
            f"unknown detector {name!r}: expected one of {', '.join(detector_names())}",
            "A detector of your own needs repose.detectors.register(name, factory) first.",
        )
    signature = inspect.signature(_factories[name])
    try:
        signature.bind(**options)
    except TypeError as error:
        found = ", ".join(options) or "none"
        raise UserError(
            f"detector {name!r}: expected options {signature.replace(return_annotation=signature.empty)}, "
            f"found {found} ({error})"
        ) from error
