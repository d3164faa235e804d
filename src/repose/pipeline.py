"""The whole path: a video or a keypoint file in, 3D tracks out."""

import os
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import tyro

from repose.errors import UserError, Within, check_ranges, override
from repose.export.parquet import frame_columns
from repose.fitting import fit
from repose.fitting.focal_factor import find_focal_factor
from repose.keypoints.reader import holds_keypoints, read_unless_video
from repose.lifting import (
    HEIGHTS_M,
    LONGEST_GAP_S,
    CameraTurn,
    Device,
    Filmed,
    LensOptions,
    Lifter,
    Precision,
    check_scene,
    compare_lenses,
    find_lens,
    follow_camera,
    load,
)
from repose.pose import LARGEST_SIDE_PX, RATES_HZ, Pose2D, Pose3D
from repose.tracking.people import (
    by_prominence,
    choose,
    doubt_upper_body,
    drop_ghosts,
    leave_out_flips,
    parse_person,
)
from repose.tracking.swaps import undo_swaps

if TYPE_CHECKING:
    from repose.detectors import Detector

Progress = Callable[[str, int, int | None], None]
"""Told what is being done, how many frames of it are done, and of how many (None where unknown)."""


@dataclass(frozen=True)
class EstimateOptions(LensOptions):
    """Options of estimation; the defaults are those of the command line."""

    model: str = "default"
    """Model: name of packaged weights (`repose models`) or path of a checkpoint, ours or a published one."""
    architecture: str | None = None
    """Model in a published checkpoint, if its tensors do not determine it."""
    detector: str = "mediapipe"
    """Detector for videos: mediapipe, rtmpose, or a registered one."""
    detector_options: dict[str, str] = field(default_factory=dict)
    """Options of the detector, such as `pose_model rtmpose.onnx` for rtmpose."""
    detect_fps: Annotated[float | None, Within(*RATES_HZ)] = None
    """Detect in so many frames of a video's second at least, such as 30 of 60, and infer those between."""
    workers: Annotated[int | None, Within(1, 10_000)] = None
    """Processes that work at once; default: one for each core."""
    skeleton: str | None = None
    """Joint layout of a keypoint file that does not state it."""
    fps: Annotated[float | None, Within(*RATES_HZ)] = None
    """Frame rate of a keypoint file that does not state it; 30 is assumed."""
    capture_fps: Annotated[float | None, Within(*RATES_HZ)] = None
    """Frame rate at which slow motion was filmed (240 if the file says 30): times and speeds follow it."""
    size: Annotated[tuple[int, int] | None, Within(1, LARGEST_SIDE_PX)] = None
    """Width and height in pixels, if a keypoint file does not state them; default: from the points."""
    person: Annotated[int | str | None, Within(0, 2**53)] = None
    """Only this person: largest, central, an id, or x,y, a point on them in the first frame. Default:
    everybody. A detector that follows one person at a time follows this one."""
    track: Literal["file", "anew"] = "file"
    """Identities in a keypoint file: its own ids, or tracked anew."""
    keep_all: bool = False
    """Keep tracks that are not people: single frames, few joints, upside down for a moment."""
    max_gap_s: Annotated[float, Within(0, LONGEST_GAP_S), tyro.conf.arg(name="max-gap")] = 1.0
    """Longest gap in a track, in seconds, that is filled with inferred frames; longer ones stay empty."""
    height_m: Annotated[float | None, Within(*HEIGHTS_M), tyro.conf.arg(name="height")] = None
    """The person's height in metres; 1.70 is assumed."""
    root: bool = True
    """Solve for the person's position; otherwise joints are relative to the pelvis."""
    fit: bool = True
    """Fit the network's answer to the picture, with bones of one length (`repose.fit`)."""
    undo_swaps: bool = True
    """Detect and undo swaps of left and right by the detector."""
    flip: bool = True
    """Flip averaging: average with the lifted mirror image."""
    device: Device = "auto"
    precision: Precision = "float32"
    """Precision of the computation; sums and weights stay float32 with bfloat16."""

    def __post_init__(self) -> None:
        check_ranges(self)


class Estimator:
    """Estimation with its model loaded once, for many videos, processes and machines.

    `Estimator(height_m=1.82)("walk.mp4")`: options are the fields of `EstimateOptions`. It is called with
    whatever `estimate` takes. It can be pickled: only its options travel, and each process that it comes to
    loads the model once.
    """

    def __init__(
        self, options: EstimateOptions | None = None, *, lifter: Lifter | None = None, **overrides: Any
    ) -> None:
        """Load the model, unless a `lifter` has it; raises UserError as `estimate`."""
        self.options = options = override(options or EstimateOptions(), overrides)
        # Scene and model first: a wrong number or name should not be found after minutes of detection.
        _check(options)
        self._lifter_given = lifter is not None
        self.lifter = lifter or load(
            options.model,
            architecture=options.architecture,
            device=options.device,
            precision=options.precision,
            flip=options.flip,
        )

    def __reduce__(self) -> tuple[Callable[[bytes], "Estimator"], tuple[bytes]]:
        if self._lifter_given:
            raise UserError(
                "an Estimator with a lifter of its own cannot be pickled", "Name the model in its options."
            )
        return _arrive, (pickle.dumps(self.options),)

    @cached_property
    def detector(self) -> "Detector":
        """The detector for videos, loaded when it is first used; raises UserError where it cannot be."""
        from repose.detectors import get_detector

        return get_detector(self.options.detector, **self.options.detector_options)

    def __call__(
        self,
        input: str | Path | Pose2D | Iterable[Pose2D] | Mapping[str, Any],
        *,
        progress: Progress | None = None,
        **overrides: Any,
    ) -> Any:
        """Estimate as `estimate`, with `overrides` of options that do not choose detector or model.

        A mapping is a batch of a table, as Ray Data has it: of the videos in its column `path` come the
        columns `path` and those of `repose.export.parquet.frame_columns`.

        Raises UserError as `estimate`.
        """
        if isinstance(input, Mapping):
            return self._table([str(path) for path in input["path"]])
        return self._estimate(input, progress, overrides)

    def _table(self, paths: list[str]) -> dict[str, np.ndarray]:
        found = [(path, self._estimate(path, None, {})) for path in paths]
        columns = frame_columns([pose for _, poses in found for pose in poses])
        counts = [sum(map(len, poses)) for _, poses in found]
        return {"path": np.repeat(paths, counts), **columns}

    def _estimate(self, input: Any, progress: Progress | None, overrides: dict[str, Any]) -> list[Pose3D]:
        if loaded := _LOADED & overrides.keys():
            raise UserError(
                f"{', '.join(sorted(loaded))}: is loaded already", "Give it to Estimator(…) or estimate(…)."
            )
        options = override(self.options, overrides)
        _check(options)
        facts, filmed = dict[str, Any](), Filmed()
        if isinstance(input, str | Path):
            tracks, facts, filmed = find_tracks(Path(input), options, progress, lambda: self.detector)
        else:
            tracks = [input] if isinstance(input, Pose2D) else list(input)
            if options.capture_fps is not None:
                tracks = [at_capture_rate(track, options.capture_fps) for track in tracks]
        if options.capture_fps is not None:
            facts = {**facts, "capture_fps": options.capture_fps}
        if not options.keep_all:
            tracks, dropped = drop_ghosts([doubt_upper_body(leave_out_flips(track)) for track in tracks])
            if dropped:
                facts = {**facts, "not_people": [vars(ghost) for ghost in dropped]}
        tracks = by_prominence(tracks) if options.person is None else [choose(tracks, options.person)]
        return _lift_all(tracks, self.lifter, options, facts, filmed, progress) if tracks else []


@lru_cache(maxsize=1)
def _arrive(options: bytes) -> Estimator:
    """Return the estimator of this process with these options."""
    return Estimator(pickle.loads(options))


_LOADED = {"model", "architecture", "device", "precision", "flip", "detector", "detector_options"}


def _check(options: EstimateOptions) -> None:
    check_scene(options.intrinsics_px, options.fov_deg, options.height_m, options.max_gap_s)
    if options.person is not None:
        parse_person(options.person)


def estimate(
    input: str | Path | Pose2D | Iterable[Pose2D],
    options: EstimateOptions | None = None,
    *,
    lifter: Lifter | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> list[Pose3D]:
    """Estimate 3D tracks of everybody in a video, a keypoint file or folder, or existing 2D tracks.

    The most prominent person comes first (`repose.tracking.people.prominence`).

    `repose.estimate("walk.mp4", height_m=1.82)`: options are the fields of `EstimateOptions`. A `lifter`
    that is loaded already saves loading the model; so does `Estimator`, for many videos. See
    `repose.lifting.Lifter.lift` for what comes out, and `repose.fit` for what fitting makes of it.

    Raises UserError for input that cannot be read or holds nobody, unknown options, and whatever the
    detector, the model and the options find wrong.
    """
    poses: list[Pose3D] = Estimator(options, lifter=lifter, **overrides)(input, progress=progress)
    return poses


def _lift_all(
    tracks: list[Pose2D],
    lifter: Lifter,
    options: EstimateOptions,
    facts: dict[str, Any],
    filmed: Filmed,
    progress: Progress | None,
) -> list[Pose3D]:
    """Lift the tracks of one camera, which have one lens and one turn of it in common."""
    lens = find_lens(
        options,
        tracks[0].image_size,
        name=filmed.name,
        focal_length_mm=filmed.focal_length_mm,
        size_known="image_size" not in tracks[0].assumed,
    )
    turn: CameraTurn | None = None
    if filmed.background:
        lens, followed = follow_camera(filmed, lens, tracks[0].image_size)
        turn = followed if isinstance(followed, CameraTurn) else None
        told = {"not_followed": followed} if turn is None else turn.record
        facts["camera_motion"] = {**facts["camera_motion"], **told}
    lift = partial(_lift, lifter=lifter, options=options)
    poses = [lift(track, lens.scene, turn, progress=progress) for track in tracks]
    if lens.source == "assumed" and (found := find_focal_factor(poses)) is not None:
        camera = lens.camera.zoomed(found.factor)
        lens = lens.estimated(camera, tracks[0].image_size, "how people walk in depth", found.deviation)
        poses = [lift(track, lens.scene, turn, progress=progress) for track in tracks]
    facts["lens"] = lens.record
    if lens.source == "assumed":
        quick = partial(_lift, lifter=lifter.averaging(False), options=options)
        facts["lens"] |= compare_lenses(tracks[0], quick)
    poses = [_fit(pose, options=options, progress=progress) for pose in poses]
    return [replace(pose, record={**pose.record, **facts}) for pose in poses]


def at_capture_rate(track: Pose2D, capture_fps: float) -> Pose2D:
    """Return the track in the times of life, where its own are those of slow motion."""
    slow_motion = capture_fps / track.fps
    return replace(track, fps=capture_fps, times_s=track.times_s / slow_motion)


def is_video(path: str | Path) -> bool:
    """Whether the file at `path` is to be read as a video, and not as keypoints."""
    return Path(path).exists() and not holds_keypoints(path)


def find_tracks(
    path: Path,
    options: EstimateOptions,
    progress: Progress | None = None,
    load_detector: "Callable[[], Detector] | None" = None,
) -> tuple[list[Pose2D], dict[str, Any], Filmed]:
    """Find the 2D tracks of a video or keypoint file, facts about it for the record, and its camera.

    The detector is the one that the options name, loaded here unless `load_detector` gives it.
    """
    read = read_unless_video(
        path,
        fps=options.capture_fps or options.fps,
        image_size=options.size,
        skeleton=options.skeleton,
        track=options.track,
    )
    if read is not None:
        return read, {}, Filmed(path.stem)
    _check_video_options(path, options)
    return _find_in_video(path, options, progress, load_detector)


def _find_in_video(
    path: Path, options: EstimateOptions, progress: Progress | None, make: "Callable[[], Detector] | None"
) -> tuple[list[Pose2D], dict[str, Any], Filmed]:
    # Whoever has keypoints need not wait for FFmpeg.
    from repose.detectors import check_detector
    from repose.detectors.detection import Detection, detect
    from repose.video import open_video
    from repose.video.background import follow_background
    from repose.video.origin import note_video

    check_detector(options.detector, **options.detector_options)
    video = open_video(path)
    find_lens(options, (video.info.width, video.info.height), name=path.stem)
    how = Detection(
        options.detector,
        options.detector_options,
        None if options.person is None else str(options.person),
        options.capture_fps,
        options.detect_fps,
    )
    facts: dict[str, Any] = {**note_video(path), "detector": options.detector}
    if options.capture_fps is not None:
        facts["slow_motion"] = options.capture_fps / video.info.fps
    found = detect(
        video,
        how,
        detector=make() if make else None,
        workers=options.workers or os.cpu_count() or 1,
        progress=progress and partial(progress, "finding people"),
    )
    if not found.tracks:
        raise UserError(
            f"{path.name}: the detector {options.detector} found nobody in this video",
            "Try another detector (--detector), or a part of the video in which a whole person can be seen.",
        )
    motion = found.camera_motion()
    facts["camera_motion"] = asdict(motion)
    unsound = {"frames_lost_in_file": found.lost, "frames_damaged_in_file": found.damaged}
    facts |= {what: frames for what, frames in unsound.items() if frames}
    filmed = Filmed(path.stem, video.info.focal_length_mm)
    if motion.moves:
        last_frame = max(int(track.frames[-1]) for track in found.tracks)
        boxes_px, report = found.boxes_px(), progress and partial(progress, "following the camera")
        try:
            background = tuple(follow_background(video, boxes_px, last_frame, progress=report))
        except UserError as error:  # without OpenCV
            facts["camera_motion"]["not_followed"] = error.message
        else:
            filmed = replace(filmed, background=background, last_frame=last_frame)
    return found.tracks, facts, filmed


def _check_video_options(path: Path, options: EstimateOptions) -> None:
    for name, value in (("fps", options.fps), ("size", options.size), ("skeleton", options.skeleton)):
        if value is not None:
            raise UserError(
                f"{path.name} is a video, which states its own {name}",
                f"Leave --{name} out; it is for keypoint files.",
            )


def _lift(
    track: Pose2D,
    scene: dict[str, Any],
    turn: CameraTurn | None = None,
    *,
    lifter: Lifter,
    options: EstimateOptions,
    progress: Progress | None = None,
) -> Pose3D:
    """Lift a track; `scene` says of the lens what `Lifter.lift` is to know, `turn` how the camera turned."""
    swaps: dict[str, list[tuple[int, int]]] = {}
    if options.undo_swaps:
        track, swaps = undo_swaps(track)

    pose = lifter.lift(
        track,
        **scene,
        height_m=options.height_m,
        root=options.root or options.fit,  # only who stands somewhere is seen somewhere
        max_gap_s=options.max_gap_s,
        on_progress=progress and partial(progress, f"lifting person {track.track_id}"),
    )
    if turn is not None:
        R_view_cam = turn.at(pose.frames)
        still_m = np.einsum("fji,fnj->fni", R_view_cam, pose.joints_m.astype(np.float64))
        pose = replace(pose, joints_m=still_m.astype(pose.joints_m.dtype), R_view_cam=R_view_cam)
    seen = pose.seen & (pose.frames % track.record.get("detected_every", 1) == 0)[:, None]
    return replace(pose, seen=seen, record={**pose.record, "swaps_undone": swaps})


def _fit(pose: Pose3D, *, options: EstimateOptions, progress: Progress | None = None) -> Pose3D:
    """Fit a lifted pose, if that is wanted."""
    if options.fit:
        pose = fit(pose, on_progress=progress and partial(progress, f"fitting person {pose.track_id}"))
        if not options.root:
            pose = replace(
                pose,
                joints_m=pose.root_relative_m(),
                coordinates="camera-root-relative",
                intrinsics_px=None,
                distortion=None,
            )
    return pose
