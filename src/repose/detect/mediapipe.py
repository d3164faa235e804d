"""MediaPipe Pose (BlazePose): one person, 33 landmarks, its model inside the package."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from repose.detect.recorder import TrackRecorder
from repose.errors import UserError
from repose.pose import Pose2D
from repose.skeleton import get_skeleton
from repose.video import VideoFrame, VideoInfo

_INSTALL = (
    "Install it with: pip install --no-deps mediapipe==0.10.21 && "
    "pip install attrs matplotlib 'protobuf>=4.25.3,<5' opencv-python-headless"
)


class MediaPipeDetector:
    """The person whom MediaPipe Pose follows through a video.

    MediaPipe follows one person at a time and may go over to another one, when the first leaves or is
    covered. Such a jump starts a new track (see `TrackRecorder`), so one track is one person.
    Confidence is MediaPipe's visibility. A landmark outside the picture keeps its place there. The
    tracker's own smoothing takes every frame for a thirtieth of a second, whatever the true rate.
    """

    def __init__(self) -> None:
        """Raises UserError if mediapipe is missing or cannot be imported."""
        self.skeleton = get_skeleton("mediapipe-33")
        try:
            with _quiet():
                import mediapipe
        except ImportError as error:
            raise UserError(f"detector 'mediapipe' cannot be loaded: {error}", _INSTALL) from error
        if not hasattr(mediapipe, "solutions"):
            raise UserError(
                f"detector 'mediapipe': expected mediapipe 0.10.21, found {mediapipe.__version__}, which has "
                "no pose model of its own",
                _INSTALL,
            )
        self._pose = mediapipe.solutions.pose.Pose
        self._source = f"mediapipe {mediapipe.__version__}"

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        """Tracks of the people followed, see `repose.detect.Detector`."""
        recorder = TrackRecorder(info, self.skeleton, self._source)
        with contextlib.ExitStack() as stack:
            pose = None
            for frame in frames:
                with _quiet():
                    # Made with the first frame, because its threads speak until they have seen one.
                    pose = pose or stack.enter_context(self._pose(model_complexity=1, smooth_landmarks=True))
                    found = pose.process(frame.rgb).pose_landmarks
                if found is not None:
                    recorder.add(frame, *_points(found.landmark, frame))
        return recorder.tracks()


def _points(landmarks: Any, frame: VideoFrame) -> tuple[np.ndarray, np.ndarray]:
    height, width = frame.rgb.shape[:2]
    table = np.array([(mark.x * width, mark.y * height, mark.visibility) for mark in landmarks])
    return table[None, :, :2], table[None, :, 2].clip(0, 1)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No words from MediaPipe's C++ side, which writes to the file behind stderr and offers no switch."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
