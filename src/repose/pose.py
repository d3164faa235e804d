"""The two values that parts exchange: one person's 2D track, and one person's 3D track.

Both validate what they are given and say what is wrong in words that users meet, so the shape checks of
the test run leave them alone (`no_type_check`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, Literal, cast, get_args, no_type_check

import numpy as np
from jaxtyping import Bool, Float, Int

from repose.errors import expected
from repose.files.numbers import LARGEST, LARGEST_M, check_numbers
from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.skeleton import Skeleton, conversion_matrix, convert, get_skeleton

LAST_FRAME = 10_000_000
"""92 hours at 30 frames per second. Larger numbers in files are dates, milliseconds or identities."""
RATES_HZ = (0.1, 10_000)
"""Frame rates that a source may have: time lapse to the fastest cameras that film people."""
LARGEST_SIDE_PX = 100_000
LARGEST_TIME_S = 1e10
"""Seconds since 1970 are 2e9. Larger numbers are milliseconds."""
SMALLEST_STEP_S = 1e-7
"""From one frame to the next: a tenth of the step that a video's frames of one time are put apart by."""

Coordinates = Literal["camera", "camera-root-relative", "world"]

SEEN_CONFIDENCE = 0.3
"""A joint counts as seen from this confidence on."""
CONFIDENCE_EXPONENT = {"mediapipe-33": 4.0}
"""Layouts whose detector is more confident than others, and the power its confidence is raised to for models:
so much of it is as often right as that of the detector whose errors training simulates (docs/detector.md)."""


@no_type_check
@dataclass(frozen=True, eq=False, repr=False)
class Pose2D:
    """The 2D keypoints of one person, in the frames in which they were detected.

    Frames without a detection are simply absent from `frames`; a missing joint has
    confidence 0, and its coordinates then mean nothing. Construction validates: wrong shapes, NaN or
    infinite numbers, negative, duplicate or unsorted frames and unknown skeletons raise `UserError`.
    """

    points_px: Float[np.ndarray, "frames joints 2"]
    """Pixels of the upright image: x right, y down, origin at the top left corner."""
    confidence: Float[np.ndarray, "frames joints"]
    """The detector's own certainty, 0 (missing) to 1."""
    frames: Int[np.ndarray, " frames"]
    """0-based frame numbers of the source, strictly increasing."""
    fps: float
    """Frames per second of the source."""
    image_size: tuple[int, int]
    """Width and height of the source in pixels."""
    skeleton: Skeleton
    """The layout of the joints; its name is accepted too."""
    track_id: int = 0
    """Number of the person, from 0."""
    times_s: Float[np.ndarray, " frames"] = cast(np.ndarray, None)
    """Time of each frame in seconds; `frames / fps` unless given (variable frame rates)."""
    assumed: tuple[str, ...] = ()
    """What the source did not say and was assumed: "fps", "image_size", "confidence"."""
    source: str = ""
    """Where the keypoints came from, for the record: a file, a detector."""
    record: dict[str, Any] = field(default_factory=dict)
    """Further facts for `Pose3D.record`: what was left out, which ids a file exchanges."""

    def __post_init__(self) -> None:
        skeleton = get_skeleton(self.skeleton)
        points = _floats("points_px", self.points_px, (None, len(skeleton), 2), skeleton)
        frames = _frames(self.frames, len(points))
        confidence = _floats("confidence", self.confidence, (len(points), len(skeleton)), skeleton)
        if confidence.size and not (confidence.min() >= 0 and confidence.max() <= 1):
            found = f"{confidence.min():g} to {confidence.max():g}"
            expected(
                "confidence", "values from 0 to 1", found, "Divide the detector's scores by their maximum."
            )
        _set(
            self,
            points_px=points,
            confidence=confidence,
            frames=frames,
            fps=check_rate(self.fps),
            image_size=_size(self.image_size),
            skeleton=skeleton,
            track_id=int(self.track_id),
            times_s=_times(self.times_s, frames, check_rate(self.fps)),
        )

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        width, height = self.image_size
        return f"Pose2D({_span(self)}, {width} × {height})"

    def to(self, skeleton: "str | Skeleton") -> "Pose2D":
        """Convert the track to another layout, joint by name (see `repose.skeleton`).

        Raises UserError where a joint of `skeleton` cannot be made from this track's joints.
        """
        target = get_skeleton(skeleton)
        if target == self.skeleton:
            return self
        points, confidence = convert(self.points_px, self.confidence, self.skeleton, target)
        return replace(self, points_px=points, confidence=confidence, skeleton=target)


@no_type_check
@dataclass(frozen=True, eq=False, repr=False)
class Pose3D:
    """The 3D joints of one person, and how they were obtained.

    Camera frame, OpenCV axes: x right, y down, z forward (away from the camera), in metres. With
    `coordinates == "camera"` the camera stands at the origin; with "camera-root-relative" the root
    joint is the origin of every frame. With "world" the joints are in the right-handed world frame, z up,
    that `T_cam_world` leads from. Construction validates like `Pose2D`.
    """

    joints_m: Float[np.ndarray, "frames joints 3"]
    """Places of the joints in metres."""
    seen: Bool[np.ndarray, "frames joints"]
    """True where the detector saw the joint, False where its place was inferred."""
    frames: Int[np.ndarray, " frames"]
    """0-based frame numbers of the source, strictly increasing."""
    fps: float
    """Frames per second of the source."""
    skeleton: Skeleton
    """The layout of the joints; its name is accepted too."""
    track_id: int = 0
    """Number of the person, from 0."""
    coordinates: Coordinates = "camera-root-relative"
    """Where the origin is and where the axes point: "camera", "camera-root-relative" or "world"."""
    scale: str = "relative"
    """How the size in metres was obtained, in words; "relative" if it was not."""
    confidence: Float[np.ndarray, "frames joints"] = cast(np.ndarray, None)
    """The confidence that went into the model, 0 for what was inferred from nothing; `seen` unless given."""
    points_px: Float[np.ndarray, "frames joints 2"] | None = None
    """The 2D keypoints that were lifted (this skeleton's joints); gaps are filled, see `seen`."""
    times_s: Float[np.ndarray, " frames"] = cast(np.ndarray, None)
    """Time of each frame in seconds; `frames / fps` unless given."""
    image_size: tuple[int, int] | None = None
    """Width and height of the source in pixels."""
    intrinsics_px: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy that the root was solved with."""
    distortion: tuple[float, ...] | None = None
    """k1, k2, p1, p2, k3 of the lens (OpenCV), which `points_px` have and rays lack; None without any."""
    deviation_m: Float[np.ndarray, "frames joints"] | None = None
    """Standard deviation of each joint's distance from the truth, relative to the root: a joint's error is
    below one deviation in 68 % and below two in 95 % of the cases. None where the model gives none."""
    T_cam_world: Float[np.ndarray, "4 4"] | None = None
    """Takes world coordinates (z up, metres) to the camera's; None while up is not known."""
    R_view_cam: Float[np.ndarray, "frames 3 3"] | None = None
    """Takes directions of the camera frame, which is that of the video's first frame, to the axes of the
    camera in each frame; None for a camera that stands still, or whose turning is not known."""
    model: str = ""
    """Name and version of the model."""
    record: dict[str, Any] = field(default_factory=dict)
    """Further facts for the files: what was assumed, filled, exchanged."""

    def __post_init__(self) -> None:
        skeleton = get_skeleton(self.skeleton)
        joints = _floats("joints_m", self.joints_m, (None, len(skeleton), 3), skeleton)
        shape = (len(joints), len(skeleton))
        frames = _frames(self.frames, len(joints))
        seen = np.asarray(self.seen)
        if seen.shape != shape or seen.dtype != np.bool_:
            expected("seen", f"a boolean array {shape}", f"{seen.dtype} {seen.shape}")
        confidence = seen.astype(np.float32) if self.confidence is None else self.confidence
        if self.coordinates not in get_args(Coordinates):
            expected("coordinates", " or ".join(get_args(Coordinates)), repr(self.coordinates))
        if self.intrinsics_px is not None:
            Camera.from_intrinsics(self.intrinsics_px, self.distortion)
        points, deviation, T_cam_world = self.points_px, self.deviation_m, self.T_cam_world
        if deviation is not None:
            deviation = _floats("deviation_m", deviation, shape, skeleton)
            if deviation.size and deviation.min() < 0:
                expected("deviation_m", "0 or more", float(deviation.min()))
        if T_cam_world is not None:
            T_cam_world = _floats("T_cam_world", T_cam_world, (4, 4), skeleton)
        elif self.coordinates == "world":
            expected("T_cam_world", "the transform from the world to the camera", None)
        turns = self.R_view_cam
        if turns is not None:
            turns = _floats("R_view_cam", turns, (len(joints), 3, 3), skeleton)
        _set(
            self,
            joints_m=joints,
            seen=_readonly(seen),
            frames=frames,
            fps=check_rate(self.fps),
            skeleton=skeleton,
            track_id=int(self.track_id),
            confidence=_floats("confidence", confidence, shape, skeleton),
            points_px=None if points is None else _floats("points_px", points, (*shape, 2), skeleton),
            times_s=_times(self.times_s, frames, check_rate(self.fps)),
            deviation_m=deviation,
            image_size=None if self.image_size is None else _size(self.image_size),
            T_cam_world=T_cam_world,
            R_view_cam=turns,
        )

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"Pose3D({_span(self)}, {self.coordinates} frame)"

    def camera(self) -> Camera:
        """Return the lens that filmed, in the camera frame; raises UserError where it is not known."""
        if self.intrinsics_px is None:
            expected("intrinsics", "a result that says where people stand before the camera", None)
        return Camera.from_intrinsics(self.intrinsics_px, self.distortion)

    def to(self, skeleton: "str | Skeleton") -> "Pose3D":
        """Convert to another layout, joint by name: `pose.to("h36m-17")` leaves the feet out.

        A joint made of several is seen where all of them are, and has their mean confidence and deviation.
        Raises UserError where a joint of `skeleton` cannot be made from this pose's joints.
        """
        target = get_skeleton(skeleton)
        if target == self.skeleton:
            return self
        weights = conversion_matrix(self.skeleton, target)
        shares = np.abs(weights) / np.abs(weights).sum(axis=1, keepdims=True)

        def made(points: np.ndarray) -> np.ndarray:
            return (weights @ points).astype(np.float32)

        def mean(values: np.ndarray) -> np.ndarray:
            return (values @ shares.T).astype(np.float32)

        return replace(
            self,
            joints_m=made(self.joints_m),
            points_px=None if self.points_px is None else made(self.points_px),
            seen=(self.seen[:, None] | (weights == 0)).all(axis=-1),
            confidence=mean(self.confidence),
            deviation_m=None if self.deviation_m is None else mean(self.deviation_m),
            skeleton=target,
        )

    def world_to_camera(self) -> RigidTransform:
        """`T_cam_world` as a transform; raises UserError where it is not known."""
        if self.T_cam_world is None:
            expected("T_cam_world", "the way from the world to the camera", None)
        return RigidTransform.from_matrix(self.T_cam_world)

    def camera_joints_m(self) -> Float[np.ndarray, "frames joints 3"]:
        """Return the joints in camera axes, from the camera or relative to the root (any `coordinates`)."""
        joints = self.joints_m.astype(np.float64)
        return self.world_to_camera().apply(joints) if self.coordinates == "world" else joints

    def view_joints_m(self) -> Float[np.ndarray, "frames joints 3"]:
        """Return the joints in the axes of the camera as it stood in each frame: what `camera` projects."""
        joints = self.camera_joints_m()
        if self.R_view_cam is None:
            return joints
        return np.einsum("fij,fnj->fni", self.R_view_cam.astype(np.float64), joints)

    def root_relative_m(self) -> Float[np.ndarray, "frames joints 3"]:
        """Subtract the root joint of each frame."""
        root = self.skeleton.parents.index(-1)
        return self.joints_m - self.joints_m[:, root : root + 1]


def _span(pose: Pose2D | Pose3D) -> str:
    ends = f" {pose.frames[0]}–{pose.frames[-1]}" if len(pose) else ""
    return f"person {pose.track_id}: {len(pose)} frames{ends} at {pose.fps:g} fps, {pose.skeleton.name}"


def _set(pose: Pose2D | Pose3D, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(pose, name, value)


def _readonly(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _floats(name: str, array: object, shape: tuple[int | None, ...], skeleton: Skeleton) -> np.ndarray:
    values = np.asarray(array)
    if values.ndim != len(shape) or any(
        w is not None and w != f for w, f in zip(shape, values.shape, strict=True)
    ):
        wanted = " × ".join("frames" if side is None else str(side) for side in shape)
        expected(
            name, f"{wanted} for skeleton {skeleton.name}", " × ".join(map(str, values.shape)) or "a number"
        )
    if values.dtype.kind not in "fiu":
        expected(name, "numbers", f"dtype {values.dtype}")
    largest = LARGEST_M if name.endswith("_m") else LARGEST
    hint = "Give a missing joint confidence 0 and any finite place."
    check_numbers(name, values, largest=largest, hint=hint)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float32)
    return _readonly(values)


def _frames(frames: object, count: int) -> np.ndarray:
    numbers = np.asarray(frames)
    if numbers.shape != (count,) or (count and numbers.dtype.kind not in "iu"):
        expected("frames", f"{count} whole numbers", f"{numbers.dtype} {numbers.shape}")
    numbers = numbers.astype(np.int64)
    if count and numbers[0] < 0:
        expected("frames", "0-based frame numbers", int(numbers[0]))
    if count and numbers.max() > LAST_FRAME:
        expected(
            "frames",
            f"frame numbers up to {LAST_FRAME:,}",
            f"{numbers.max()}, which looks like a date, a time or an identity",
            "Number the frames in their order, from 0.",
        )
    steps = np.diff(numbers)
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        expected(
            "frames",
            "strictly increasing frame numbers",
            f"{numbers[at]} followed by {numbers[at + 1]}",
            "Sort the frames, and give each person a track of their own.",
        )
    return _readonly(numbers)


def check_rate(fps: object) -> float:
    """Return frames per second as a float; raises UserError outside `RATES_HZ`."""
    slowest, fastest = RATES_HZ
    if not (isinstance(fps, Real) and slowest <= float(fps) <= fastest):
        expected("fps", f"{slowest:g} to {fastest:,} frames per second", fps)
    return float(fps)


def _size(image_size: tuple[Any, Any]) -> tuple[int, int]:
    width, height = (int(side) for side in image_size)
    if not (0 < width <= LARGEST_SIDE_PX and 0 < height <= LARGEST_SIDE_PX):
        found = f"({width}, {height})"
        expected("image_size", f"a (width, height) of 1 to {LARGEST_SIDE_PX:,} pixels", found)
    return width, height


def _times(times_s: object, frames: np.ndarray, fps: float) -> np.ndarray:
    if times_s is None:
        return _readonly(frames / fps)
    times = np.asarray(times_s)
    check_numbers("times_s", times, largest=LARGEST_TIME_S, hint="Give seconds.")
    times = times.astype(np.float64)
    if times.shape != frames.shape or (np.diff(times) < SMALLEST_STEP_S).any():
        expected("times_s", f"{len(frames)} increasing times in seconds", f"shape {times.shape}")
    return _readonly(times)


PER_FRAME = ("joints_m", "seen", "frames", "confidence", "deviation_m", "points_px", "times_s")
"""The fields of a `Pose3D` that have a row for each frame."""


def concatenate(pieces: Sequence[Pose3D]) -> Pose3D:
    """Put pieces of one person's track together, in order; all else is the last one's."""
    there = [name for name in PER_FRAME if getattr(pieces[-1], name) is not None]
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in there
    }
    return replace(pieces[-1], **joined)


def check_span(poses: Sequence[Pose3D]) -> None:
    """Refuse tracks of few frames over a long time, for what has a row or a picture for every frame between.

    Raises UserError where there are more than 200,000 frames between the first and the last, and a hundred
    times as many as there are poses.
    """
    there = [pose for pose in poses if len(pose)]
    if not there:
        return
    first, last = min(int(pose.frames[0]) for pose in there), max(int(pose.frames[-1]) for pose in there)
    times_s = min(pose.times_s[0] for pose in there), max(pose.times_s[-1] for pose in there)
    span = max(last - first, (times_s[1] - times_s[0]) * max(pose.fps for pose in there))
    held = sum(map(len, there))
    if span > 200_000 + 100 * held:
        expected(
            "frames",
            "poses at most a hundred frames apart on average",
            f"{held:,} over {span:,.0f} frames",
            "If the frame numbers are milliseconds, a date or identities, number the frames from 0 and "
            "estimate again.",
        )
