"""What a result file states about a track besides its numbers per frame: fields, types and bounds.

A key of `Pose3D.record` that any command uses is declared in `Record`, and is thereby checked whenever a
result is read. Other keys are passed on as they are.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from msgspec import Meta, Struct

from repose.errors import UserError, expected
from repose.files.numbers import LARGEST, check_numbers
from repose.files.structured import Count, Text, Whole
from repose.pose import Coordinates, Pose3D
from repose.skeleton import Skeleton

Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Factor = Annotated[float, Meta(gt=0, le=1e6)]
Focal = Annotated[float, Meta(gt=0, le=LARGEST)]
Side = Annotated[int, Meta(ge=1, le=100_000)]
FloatType = Literal["float32", "float64"]
Row = tuple[Number, Number, Number, Number]
FORMAT = "repose-poses"
VERSION = 2
UNITS = {"joints": "m", "deviation": "m", "points": "px", "times": "s", "intrinsics": "px"}
_CAMERA_AXES, _WORLD_AXES = "x right, y down, z forward", "right-handed, z up"
FRAMES = {
    "camera": "camera: the origin is the camera",
    "camera-root-relative": "camera axes: the origin is the root joint of every frame",
    "world": "world: T_cam_world takes it to the camera",
}
Runs = list[tuple[Whole, Whole]]
"""First and last frame of each stretch."""


class Dtypes(Struct):
    """Types that the arrays had; None for what the track lacks."""

    joints_m: FloatType
    confidence: FloatType
    points_px: FloatType | None = None
    deviation_m: FloatType | None = None
    T_cam_world: FloatType | None = None
    R_view_cam: FloatType | None = None


class About(Struct):
    """One entry of `about` (`describe` writes it)."""

    track_id: Whole
    skeleton: Text
    joints: Annotated[list[Text], Meta(min_length=1, max_length=1_000)]
    parents: list[Text | None]
    coordinates: Coordinates
    fps: float
    scale: Text
    model: Text
    image_size: tuple[Side, Side] | None
    intrinsics_px: tuple[Focal, Focal, Number, Number] | None
    record: dict[str, Any]
    dtypes: Dtypes
    T_cam_world: tuple[Row, Row, Row, Row] | None = None
    distortion: tuple[Number, Number, Number, Number, Number] | None = None


class UpRecord(Struct):
    """How up was found."""

    source: Text
    deviation_deg: Annotated[float, Meta(ge=0, le=180)] | None = None
    """Root mean square of its error; None where up was given."""
    assumed: bool = False
    """Whether nothing that was seen supports it."""


class LensRecord(Struct):
    """Which lens filmed, and how it is known."""

    source: Literal["given", "calibration", "video", "estimated", "assumed"]
    fov_deg: Annotated[float, Meta(gt=0, lt=180)]
    """Field of view across the diagonal."""
    words: Text = ""
    """The file that says it, or what it says."""
    focal_length_deviation: Annotated[float, Meta(ge=0, le=10)] | None = None
    """Standard deviation of an estimated focal length, as a share of it."""
    distance_m: tuple[Number, Number] | None = None
    """Median distance of the main person from the camera, if the field of view were 50 and 80 degrees."""
    joints_mm: Annotated[float, Meta(ge=0, le=LARGEST)] | None = None
    """Mean distance between joints, relative to the root, of these two results."""


class CameraRecord(Struct, frozen=True):
    """What the background shows about the camera's motion (`repose.video.CameraMotion`)."""

    moves: bool | None = None
    px_per_s: Annotated[float, Meta(ge=0, le=LARGEST)] | None = None
    first_frame: Count | None = None
    last_frame: Count | None = None
    turned_deg: Annotated[float, Meta(ge=0, le=180)] | None = None
    carried: Annotated[float, Meta(ge=0, le=1)] = 0.0
    not_followed: Text = ""


class FitMeasures(Struct, frozen=True):
    """What fitting is to better."""

    reprojection: Number | None = None
    """Median distance of a joint's projection from its keypoint, as a share of the person's height."""
    bone_variation: Number | None = None
    acceleration_m_s2: Number | None = None


class FitRecord(Struct):
    """What `repose.fit` did."""

    frames: Count = 0
    """So many were fitted."""
    frames_left: Runs = []
    """The others, which stay as the network has them."""
    left_out: Text = ""
    """Why nothing was fitted."""
    converged: bool = True
    steps: Count = 0
    before: FitMeasures = FitMeasures()
    after: FitMeasures = FitMeasures()


class Record(Struct):
    """The keys of `record` that are used, all of which may be absent."""

    assumed: list[Text] = []
    source: Text = ""
    frames_in: Count = 0
    frames_filled: Count = 0
    gaps_left_empty: Runs = []
    frames_with_interpolated_root: Count = 0
    frames_lost_in_file: list[Count] = []
    frames_damaged_in_file: list[Count] = []
    swaps_undone: dict[str, Runs] = {}
    identities: Text = ""
    ids_change: list[list[Any]] = []
    not_people: list[dict[str, Any]] = []
    upside_down_left_out: Runs = []
    detector: Text = ""
    detected_every: Annotated[int, Meta(ge=1, le=10_000)] = 1
    """Of so many frames one was looked at."""
    video: Text | None = None
    video_signature: Text = ""
    camera_motion: CameraRecord = CameraRecord()
    world: Text = ""
    up: UpRecord | None = None
    fit: FitRecord | None = None
    lens: LensRecord | None = None
    refined: dict[str, Any] = {}
    capture_fps: Factor | None = None
    slow_motion: Factor = 1.0
    repose: Text = ""


def describe(pose: Pose3D) -> dict[str, Any]:
    """Describe a track (`about`): everything except its numbers per frame, as plain JSON values.

    Tuples in `record` become lists, NumPy values plain ones, and numbers that are not finite null.
    """
    skeleton = pose.skeleton
    intrinsics = pose.intrinsics_px
    return {
        "format": FORMAT,
        "version": VERSION,
        "track_id": pose.track_id,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "parents": [skeleton.joints[parent] if parent >= 0 else None for parent in skeleton.parents],
        "units": UNITS,
        "axes": _WORLD_AXES if pose.coordinates == "world" else _CAMERA_AXES,
        "coordinates": pose.coordinates,
        "coordinate_frame": FRAMES[pose.coordinates],
        "fps": pose.fps,
        "scale": pose.scale,
        "model": pose.model,
        "image_size": None if pose.image_size is None else [int(side) for side in pose.image_size],
        "intrinsics_px": None if intrinsics is None else [float(number) for number in intrinsics],
        "distortion": None if pose.distortion is None else [float(number) for number in pose.distortion],
        "T_cam_world": None if pose.T_cam_world is None else pose.T_cam_world.tolist(),
        "record": _plain(pose.record),
    }


def take_track(about: About, arrays: dict[str, np.ndarray], rows: slice) -> Pose3D:
    """Return the track that `about` and these rows describe; ValueError for joints that are no skeleton."""
    joints, dtypes = tuple(about.joints), about.dtypes
    parents = tuple(-1 if parent is None else joints.index(parent) for parent in about.parents)

    def exact(key: str) -> Any:
        if (dtype := getattr(dtypes, key)) is None:
            return None
        check_numbers(key, arrays[key][rows])
        return arrays[key][rows].astype(dtype)

    T_cam_world = about.T_cam_world
    return Pose3D(
        joints_m=exact("joints_m"),
        seen=arrays["seen"][rows],
        frames=arrays["frames"][rows],
        fps=about.fps,
        skeleton=Skeleton(about.skeleton, joints, parents),
        track_id=about.track_id,
        coordinates=about.coordinates,
        scale=about.scale,
        confidence=exact("confidence"),
        points_px=exact("points_px"),
        deviation_m=exact("deviation_m"),
        T_cam_world=None if dtypes.T_cam_world is None else np.array(T_cam_world, dtypes.T_cam_world),
        R_view_cam=exact("R_view_cam"),
        times_s=arrays["times_s"][rows],
        image_size=about.image_size,
        intrinsics_px=about.intrinsics_px,
        distortion=about.distortion,
        model=about.model,
        record=about.record,
    )


def one_skeleton(poses: Sequence[Pose3D]) -> Skeleton:
    if not poses:
        raise UserError("no poses to write: expected at least one track, found none")
    names = sorted({pose.skeleton.name for pose in poses})
    if len({pose.skeleton for pose in poses}) > 1:
        expected("poses", "one skeleton for all tracks", " and ".join(names), "Write them to two folders.")
    return poses[0].skeleton


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
