"""RTMPose through rtmlib: several people, 26 joints with feet, ONNX models."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from repose.detectors.recorder import Finder, TrackRecorder
from repose.errors import UserError
from repose.pose import Pose2D
from repose.skeleton import get_skeleton
from repose.video import VideoFrame, VideoInfo

_INSTALL = (
    "Install it with: pip install --no-deps rtmlib && pip install onnxruntime tqdm opencv-python-headless"
)
_LOCAL = "Give the paths of the person_model and the pose_model (.onnx), or a network for the download."


class RTMPoseDetector:
    """Detects everybody with YOLOX, and their Halpe-26 joints with RTMPose.

    Confidence is the height of RTMPose's peak, cut to 0..1. People are told apart from frame to frame by
    `repose.tracking.tracker`. Models are rtmlib's own for its `mode` (lightweight,
    balanced or performance), downloaded on first use, or local ONNX
    files: a YOLOX person detector and an RTMPose network with 26 joints.
    """

    def __init__(
        self,
        person_model: str | Path | None = None,
        pose_model: str | Path | None = None,
        mode: str = "balanced",
        device: str = "cpu",
    ) -> None:
        """Raise UserError if rtmlib is missing, a model is absent or unusable, or its download fails."""
        self.skeleton = get_skeleton("halpe-26")
        try:
            import onnxruntime
            import rtmlib
        except ImportError as error:
            raise UserError(f"detector 'rtmpose' cannot be loaded: {error}", _INSTALL) from error
        if mode not in rtmlib.BodyWithFeet.MODE:
            modes = ", ".join(sorted(rtmlib.BodyWithFeet.MODE))
            raise UserError(f"detector 'rtmpose': expected mode {modes}, found {mode!r}")
        given: dict[str, Any] = {}
        for part, path in (("det", person_model), ("pose", pose_model)):
            if path is not None:
                height, width = _input_size(onnxruntime, Path(path))
                given[part] = str(path)
                given[f"{part}_input_size"] = (height, width) if part == "det" else (width, height)
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it announces every model it loads
                models = rtmlib.BodyWithFeet(mode=mode, backend="onnxruntime", device=device, **given)
        except OSError as error:
            raise UserError(f"detector 'rtmpose': its models cannot be obtained: {error}", _LOCAL) from error
        self._find_people, self._find_joints = models.det_model, models.pose_model
        self._source = "rtmpose " + "+".join(
            Path(model.onnx_model).stem for model in (self._find_people, self._find_joints)
        )

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        """Track everybody in the video; see `repose.detectors.Detector`."""
        recorder = TrackRecorder(info, self.skeleton, self._source)
        with self.finder() as find:
            for frame in frames:
                recorder.add(frame, *find(frame.rgb))
        return recorder.tracks()

    @contextlib.contextmanager
    def finder(self) -> Iterator[Finder]:
        """Find everybody in each frame by itself; see `repose.detectors.FrameDetector`."""
        yield self._find

    def _find(self, rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        joints = len(self.skeleton)
        # YOLOX was trained on BGR, RTMPose on RGB (`bgr_to_rgb` in its configuration).
        boxes = self._find_people(np.ascontiguousarray(rgb[..., ::-1]))
        if len(boxes) == 0:  # RTMPose would take the whole picture for a person
            return np.zeros((0, joints, 2)), np.zeros((0, joints))
        points_px, peaks = self._find_joints(rgb, bboxes=boxes)
        if points_px.shape[1] != joints:
            raise UserError(
                f"detector 'rtmpose': expected a pose_model with {joints} joints "
                f"(Halpe-26), found {points_px.shape[1]}",
                "Use a body model of RTMPose that was trained on Halpe-26.",
            )
        return points_px, peaks.clip(0, 1)


def _input_size(onnxruntime: Any, path: Path) -> tuple[int, int]:
    """Height and width of the picture that a network takes."""
    if not path.is_file():
        raise UserError(f"detector 'rtmpose': no model at {path}", _LOCAL)
    try:
        shape = (
            onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).get_inputs()[0].shape
        )
    except Exception as error:  # onnxruntime's own errors have no public common base
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{path}: expected an ONNX model, found {reason}", _LOCAL) from error
    if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
        raise UserError(f"{path}: expected a model with a fixed picture size, found input {shape}", _LOCAL)
    return int(shape[2]), int(shape[3])
