"""Which lens filmed: the given one, a calibrated one, the one that the video names, or an assumed one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from repose.errors import UserError, Within
from repose.files.numbers import LARGEST
from repose.geometry.calibration import check_picture, read_calibration
from repose.geometry.camera import ASSUMED_FOV_DEG, FIELDS_OF_VIEW_DEG, Camera

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
    """The file, or what it says."""

    @property
    def scene(self) -> dict[str, Any]:
        """Arguments of `Lifter.lift`; none for an assumed lens, which the lifter assumes by itself."""
        if self.source == "assumed" and not self.camera.distortion.any():
            return {}
        distortion = tuple(self.camera.distortion.tolist()) if self.camera.distortion.any() else None
        return {"intrinsics_px": self.camera.intrinsics_px, "distortion": distortion}

    @property
    def record(self) -> dict[str, Any]:
        """What a result says of it."""
        return {"source": self.source, "fov_deg": round(self.fov_deg, 2), "words": self.words}


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
