"""What a live session is made of, from its options."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from repose.detectors import FrameDetector, get_detector
from repose.errors import UserError, Within, check_ranges
from repose.lifting import HEIGHTS_M, LensOptions, check_scene, find_lens, load
from repose.live.stages import Frame, Session, Sink, Status
from repose.pose import LARGEST_SIDE_PX, RATES_HZ
from repose.video import Feed, open_feed
from repose.video.origin import note_video

Show = Callable[[Frame, Status], None]


@dataclass(frozen=True)
class LiveOptions(LensOptions):
    """Options of a live session; the defaults are those of the command line."""

    camera: Annotated[int, Within(0, 1000)] = 0
    """Number of the camera."""
    camera_size: Annotated[tuple[int, int] | None, Within(1, LARGEST_SIDE_PX)] = None
    """Width and height in pixels that the camera is asked for."""
    camera_fps: Annotated[float | None, Within(*RATES_HZ)] = None
    """Frames per second that the camera is asked for."""
    lookahead: Annotated[int, Within(0, 100)] = 4
    """Frames that are waited for, for accuracy: each is one frame of latency (docs/streaming.md)."""
    model: str = "default"
    """Model: name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one."""
    detector: str = "mediapipe"
    """Detector for videos: mediapipe (one person), rtmpose (several), or a registered one."""
    detector_options: dict[str, str] = field(default_factory=dict)
    """Options of the detector, such as `pose_model rtmpose.onnx` for rtmpose."""
    height_m: Annotated[float | None, Within(*HEIGHTS_M), tyro.conf.arg(name="height")] = None
    """The person's height in metres; 1.70 is assumed."""

    def __post_init__(self) -> None:
        check_ranges(self)


def open_session(
    options: LiveOptions,
    source: str | None = None,
    sinks: Sequence[Sink] = (),
    show: Callable[[Feed], Show] | None = None,
) -> Session:
    """Load the models, open the camera, or `source` in its stead (see `open_feed`), and prepare a session.

    `show` is told the source, and returns what shows its frames. Raises UserError as `open_feed`, for a
    detector that cannot look at single frames, and whatever detector, model and lens find wrong.
    """
    check_scene(options.intrinsics_px, options.fov_deg, options.height_m, 1.0)
    detector = get_detector(options.detector, **options.detector_options)
    if not isinstance(detector, FrameDetector):
        raise UserError(
            f"detector {options.detector!r} looks at whole videos: expected one with a `finder`",
            "Use mediapipe or rtmpose, or give yours one (docs/own-detector.md).",
        )
    lifter = load(options.model, flip=False)
    where = options.camera if source is None else source
    feed = open_feed(where, fps=options.camera_fps, size=options.camera_size)
    try:
        size = feed.info.width, feed.info.height
        lens = find_lens(options, size, name=feed.info.path.stem)
        facts: dict[str, Any] = {"detector": options.detector, "lens": lens.record}
        if source is not None and Path(source).is_file():
            facts |= note_video(Path(source))
        return Session(
            feed,
            detector,
            lifter,
            sinks,
            show=show(feed) if show else None,
            facts=facts,
            lookahead=options.lookahead,
            height_m=options.height_m,
            **lens.scene,
        )
    except BaseException:
        feed.close()
        raise
