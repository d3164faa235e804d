"""Which lens filmed: the given one, a calibrated one, the one that the video names, or an assumed one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from repose.errors import UserError, Within
from repose.files.numbers import LARGEST
from repose.geometry.calibration import check_picture, read_calibration
from repose.geometry.camera import ASSUMED_FOV_DEG, FIELDS_OF_VIEW_DEG, Camera
from repose.geometry.camera_turn import LEAST_TURN_DEG, CameraTurn, Matched, find_fov, find_turn
from repose.pose import Pose2D, Pose3D

COMPARED_FOVS_DEG = (50.0, 80.0)
"""Between these lie the lenses of most cameras that film people."""
COMPARED_FRAMES = 224
"""Of a track, its middle: two windows of the default model."""

Source = Literal["given", "calibration", "video", "estimated", "assumed"]


@dataclass(frozen=True)
class LensOptions:
    """What is known of the lens."""

    fov_deg: Annotated[float | None, Within(*FIELDS_OF_VIEW_DEG), tyro.conf.arg(name="fov")] = None
    """The camera's field of view across the diagonal, in degrees; default: what the video says, else 65."""
    intrinsics_px: Annotated[
        tuple[float, float, float, float] | None,
        Within(-LARGEST, LARGEST),
        tyro.conf.arg(name="intrinsics"),
    ] = None
    """The camera's fx fy cx cy in pixels, instead of a field of view."""
    distortion: Annotated[tuple[float, float, float, float, float] | None, Within(-1e6, 1e6)] = None
    """The lens's k1 k2 p1 p2 k3, as OpenCV has them."""
    calibration: Path | None = None
    """Intrinsics and distortion in a file of OpenCV (YAML, JSON), Pose2Sim (TOML) or COLMAP (cameras.txt)."""
    calibration_camera: str | None = None
    """Which camera of the calibration file; default: its only one, or the one called as the video is."""


@dataclass(frozen=True)
class Lens:
    """A lens for pictures of one size, and how it is known."""

    source: Source
    camera: Camera
    fov_deg: float
    words: str = ""
    """The file, or what it says, or what an estimate is from."""
    deviation: float | None = None
    """Of an estimated focal length's logarithm."""

    @property
    def scene(self) -> dict[str, Any]:
        """Arguments of `Lifter.lift`; none for an assumed lens, which the lifter assumes by itself."""
        if self.source == "assumed" and not self.camera.distortion.any():
            return {}
        distortion = tuple(self.camera.distortion.tolist()) if self.camera.distortion.any() else None
        return {"intrinsics_px": self.camera.intrinsics_px, "distortion": distortion}

    def estimated(
        self, pinhole: Camera, image_size: tuple[int, int], words: str, deviation: float | None = None
    ) -> "Lens":
        """Return the lens that was found in the place of an assumed one; distortion stays."""
        camera = Camera.from_intrinsics(pinhole.intrinsics_px, self.camera.distortion.tolist())
        return Lens("estimated", camera, camera.fov_deg(image_size), words, deviation)

    @property
    def record(self) -> dict[str, Any]:
        """What a result says of it."""
        told = {"source": self.source, "fov_deg": round(self.fov_deg, 2), "words": self.words}
        return told if self.deviation is None else {**told, "focal_length_deviation": self.deviation}


@dataclass(frozen=True, eq=False)
class Filmed:
    """What a video tells of its camera."""

    name: str = ""
    """Of the video, without its suffix."""
    focal_length_mm: float | None = None
    """35 mm equivalent, where the file says it."""
    background: tuple[Matched, ...] = ()
    """Points of the background in each frame up to `last_frame`, if the camera moves."""
    last_frame: int = 0


def find_lens(
    options: LensOptions,
    image_size: tuple[int, int],
    *,
    name: str = "",
    focal_length_mm: float | None = None,
    size_known: bool = True,
) -> Lens:
    """Find the lens of a video or keypoint file.

    Args:
        options: what the user gave.
        image_size: width and height of the picture.
        name: of the video, without its suffix: of several calibrated cameras, the one called the same.
        focal_length_mm: on 35 mm film, where the video says it.
        size_known: False where the picture's size is assumed, and so contradicts nothing.

    Raises:
        UserError: several lenses, a calibration that cannot be read, is of a picture of another shape, or
            has a distortion that no lens has, and intrinsics of a picture of another size.
    """
    given = [f"--{what}" for what in ("calibration", "intrinsics_px", "fov_deg") if getattr(options, what)]
    if len(given) > 1:
        both = " and ".join(given).replace("_px", "").replace("_deg", "")
        raise UserError(f"{both} were given", "Give one of them.")
    source: Source = "given"
    distortion: tuple[float, ...] | None = options.distortion
    words = ""
    if options.calibration is not None:
        if distortion is not None:
            raise UserError("--calibration and --distortion were given", "Give one of them.")
        read = read_calibration(options.calibration, options.calibration_camera, name)
        found = read.scaled(image_size) if size_known else read
        source, distortion = "calibration", found.distortion
        words = options.calibration.name + (f", camera {found.name}" if found.name else "")
        camera = Camera.from_intrinsics(found.intrinsics_px, distortion)
    elif options.intrinsics_px is not None:
        camera = Camera.from_intrinsics(options.intrinsics_px, distortion)
    elif options.fov_deg is None and focal_length_mm is not None:
        source, words = "video", f"{focal_length_mm:g} mm"
        pinhole = Camera.from_focal_length(image_size, focal_length_mm)
        camera = Camera.from_intrinsics(pinhole.intrinsics_px, distortion)
    else:
        source = "assumed" if options.fov_deg is None else "given"
        pinhole = Camera.assumed(image_size, options.fov_deg or ASSUMED_FOV_DEG)
        camera = Camera.from_intrinsics(pinhole.intrinsics_px, distortion)
    if size_known:
        check_picture(camera.intrinsics_px, image_size)
        camera.check_distortion(image_size)
    return Lens(source, camera, camera.fov_deg(image_size), words)


def follow_camera(filmed: Filmed, lens: Lens, image_size: tuple[int, int]) -> tuple[Lens, CameraTurn | str]:
    """Find the turn of a camera, or why it is not known, and the lens, which a turn may show."""
    background = filmed.background
    if lens.source == "assumed" and (fov_deg := find_fov(background, image_size)) is not None:
        lens = lens.estimated(Camera.assumed(image_size, fov_deg), image_size, "how the background turns")
    turn = find_turn(background, lens.camera, filmed.last_frame)
    if isinstance(turn, CameraTurn) and turn.largest_deg < LEAST_TURN_DEG:
        turn = f"it turns by less than {LEAST_TURN_DEG:g}°"
    return lens, turn


def compare_lenses(track: Pose2D, lift: Callable[[Pose2D, dict[str, Any]], Pose3D]) -> dict[str, Any]:
    """Measure how much the result of an assumed lens hangs on it, on an excerpt of a track.

    Returns `distance_m`, the root's median distance from the camera (None where it is not known), and
    `joints_mm`, the mean distance between the two results' joints relative to the root, for the narrowest
    and the widest lens of `COMPARED_FOVS_DEG`. `lift` may be quick: both answers have its faults.
    """
    start = max(0, (len(track) - COMPARED_FRAMES) // 2)
    rows = slice(start, start + COMPARED_FRAMES)
    excerpt = replace(
        track,
        points_px=track.points_px[rows],
        confidence=track.confidence[rows],
        frames=track.frames[rows],
        times_s=track.times_s[rows],
    )
    if not (excerpt.confidence > 0).any():
        return {}
    narrow, wide = (lift(excerpt, {"fov_deg": fov_deg}) for fov_deg in COMPARED_FOVS_DEG)
    apart_m = np.linalg.norm(narrow.root_relative_m() - wide.root_relative_m(), axis=-1)
    distance_m = None
    if narrow.coordinates == wide.coordinates == "camera":
        root = narrow.skeleton.parents.index(-1)
        distance_m = [
            round(float(np.median(np.linalg.norm(pose.joints_m[:, root], axis=-1))), 2)
            for pose in (narrow, wide)
        ]
    return {"distance_m": distance_m, "joints_mm": round(1000 * float(apart_m.mean()), 1)}
