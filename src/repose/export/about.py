"""What a result file states about a track besides its numbers per frame: fields, types and bounds.

A key of `Pose3D.record` that any command uses is declared in `Record`, and is thereby checked whenever a
result is read. Other keys are passed on as they are.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from repose.files.numbers import LARGEST
from repose.files.structured import Count, Text, Whole, convert
from repose.pose import Coordinates

Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
Factor = Annotated[float, Meta(gt=0, le=1e6)]
Focal = Annotated[float, Meta(gt=0, le=LARGEST)]
Side = Annotated[int, Meta(ge=1, le=100_000)]
CARRIED = 0.25
"""Share of the background beyond which the camera is said to have been carried."""
FloatType = Literal["float32", "float64"]
Row = tuple[Number, Number, Number, Number]
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
    """One entry of `about` (`repose.export.results.describe` writes it)."""

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


def lens_note(record: Mapping[str, Any]) -> str:
    """Say how the lens is known, and what hangs on it where it is assumed; "" for a given one."""
    lens = record.get("lens")
    if lens is None:
        return ""
    lens = convert("lens", lens, LensRecord)
    field_of_view = f"a field of view of {lens.fov_deg:.0f}° across the diagonal"
    if lens.source == "calibration":
        return f"The lens is from {lens.words}: {field_of_view}."
    if lens.source == "estimated":
        doubt = lens.focal_length_deviation
        give_or_take = f"; the focal length give or take {doubt:.0%}" if doubt else ""
        return f"The lens is estimated from {lens.words}: {field_of_view}{give_or_take}."
    if lens.source == "video":
        return (
            f"The lens is the one that the video names, {lens.words} on 35 mm film: {field_of_view}. "
            "Stabilisation may have cropped it (--fov)."
        )
    if lens.source != "assumed" or lens.joints_mm is None:
        return ""
    place = ""
    if lens.distance_m is not None:
        near, far = sorted(lens.distance_m)
        place = f"the person's distance from the camera goes from {far:.1f} to {near:.1f} m, and "
    return (
        f"The lens is assumed, {field_of_view}. Between 50° and 80° {place}joints relative to the pelvis "
        f"change by {lens.joints_mm:.0f} mm (MPJPE)."
    )


def camera_note(record: Mapping[str, Any]) -> str:
    """Say what readers of positions must know of the camera, from a track's record; "" unless it moves."""
    found = convert("camera_motion", record.get("camera_motion", {}), CameraRecord)
    if not found.moves:
        return ""
    if found.turned_deg is not None:
        note = (
            f"The camera turns by up to {found.turned_deg:.0f}°, as the background shows. It was held still: "
            "positions are in the frame of the camera in the first frame. "
        )
        if found.carried > CARRIED:
            return (
                f"{note}{found.carried:.0%} of the background moves as no turn explains: the camera was "
                "carried, too. One camera cannot tell by how much, and paths lack that."
            )
        return f"{note}If it was also carried, paths lack that: one camera cannot tell."
    why = f" It was not followed: {found.not_followed}." if found.not_followed else ""
    speed = "" if found.px_per_s is None else f"about {found.px_per_s:.0f} px/s "
    return (
        f"The camera moves ({speed}in frames {found.first_frame}–{found.last_frame}): positions, and "
        f"the path, ground and up derived from them, cannot be trusted; poses can.{why}"
    )
