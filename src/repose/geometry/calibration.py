"""Calibration files: lenses as OpenCV (YAML, JSON), Pose2Sim (TOML) and COLMAP (cameras.txt) have them."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import UserError, expected, reads
from repose.files.numbers import LARGEST, check_numbers
from repose.files.text import beginning, read_text
from repose.geometry.camera import Camera

Intrinsics = tuple[float, float, float, float]
_LARGEST_BYTES = 1 << 20
_CALIBRATE = "Calibrate the camera with pictures or videos of this size."
_SAME_SHAPE = 0.015
"""Two pictures have one shape if the ratios of their sides differ by less than this share."""

# OpenCV prescribes no names: these are of its samples and tutorials, of ROS and of Kalibr.
_MATRIX = ("camera_matrix", "cameraMatrix", "Camera_Matrix", "intrinsic_matrix", "matrix", "mtx", "K")
_DISTORTION = (
    *("distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "dist_coeff", "distCoeffs"),
    *("distortion_coeffs", "distortions", "distortion", "dist", "D"),
)
_SIZES = (("image_width", "image_height"), ("image_Width", "image_Height"), ("width", "height"))
_SIZE = ("image_size", "imageSize", "img_size", "resolution", "size")
_MODEL = ("distortion_model", "camera_model", "model")

# COLMAP's models: the places of fx, fy, cx, cy and k1, k2, p1, p2 among their numbers; -1 is zero.
_COLMAP = {
    "SIMPLE_PINHOLE": (0, 0, 1, 2, -1, -1, -1, -1),
    "PINHOLE": (0, 1, 2, 3, -1, -1, -1, -1),
    "SIMPLE_RADIAL": (0, 0, 1, 2, 3, -1, -1, -1),
    "RADIAL": (0, 0, 1, 2, 3, 4, -1, -1),
    "OPENCV": (0, 1, 2, 3, 4, 5, 6, 7),
}
_COLMAP_LINE = re.compile(r"^\s*(\d+)\s+([A-Z_]+)\s+(\d+)\s+(\d+)\s+(.*)$", re.ASCII)


@dataclass(frozen=True)
class Calibration:
    """A calibrated lens."""

    name: str
    """Of the camera in its file; "" where the file has one camera without a name."""
    intrinsics_px: Intrinsics
    """fx, fy, cx, cy."""
    distortion: tuple[float, ...]
    """k1, k2, p1, p2, k3."""
    image_size: tuple[int, int] | None
    """Width and height of the pictures that were calibrated with; None where the file does not say."""

    def scaled(self, image_size: tuple[int, int]) -> "Calibration":
        """Convert to pictures of another resolution; raises UserError for those of another shape."""
        if self.image_size is None or self.image_size == image_size:
            return replace(self, image_size=image_size)
        across, down = (new / old for new, old in zip(image_size, self.image_size, strict=True))
        if abs(across / down - 1) > _SAME_SHAPE:
            found = f"one of {self.image_size[0]} × {self.image_size[1]}"
            wanted = f"a calibration for the picture of {image_size[0]} × {image_size[1]}, or of its shape"
            turned = "One is upright, the other is not. " if abs(across * down - 1) < 0.1 else ""
            expected("calibration", wanted, found, turned + _CALIBRATE)
        fx, fy, cx, cy = self.intrinsics_px
        scaled = (fx * across, fy * down, cx * across, cy * down)
        return replace(self, intrinsics_px=scaled, image_size=image_size)


@reads("a calibration of OpenCV (YAML or JSON), Pose2Sim (TOML) or COLMAP (cameras.txt)")
def read_calibration(path: str | Path, camera: str | None = None, video: str = "") -> Calibration:
    """Read one camera's lens from a calibration file.

    Args:
        path: the file; its content decides what it is.
        camera: which one, by its name in the file (COLMAP: its number), if there are several.
        video: the name of the video without its suffix: of several cameras, the one called the same.

    Raises:
        UserError: a file that is none of these or damaged, a lens that is no pinhole camera with OpenCV's
            five coefficients, such as a fisheye, a camera that is not there, and several of which none is
            named.
    """
    path = Path(path)
    if path.stat().st_size > _LARGEST_BYTES:
        expected(str(path), "a calibration file of less than 1 MB", f"{path.stat().st_size:,} bytes")
    text = read_text(path)
    found = list(_cameras(path, text))
    if not found:
        wanted = "a calibration of OpenCV (YAML or JSON), Pose2Sim (TOML) or COLMAP (cameras.txt)"
        expected(str(path), wanted, beginning(text), "It needs a camera_matrix, or what the others call it.")
    names = [name for names, _ in found for name in names[:1]]
    name = video if camera is None and len(found) > 1 else camera
    chosen = found if name is None else [one for one in found if name in one[0]]
    if len(chosen) != 1:
        what = "the name of one of its cameras" if camera is None else f"a camera {camera!r}"
        expected(f"{path.name}", what, ", ".join(names)[:300], "Name it: --calibration-camera NAME.")
    ((names, values),) = chosen
    return _checked(path, names[0], _colmap(path, **values) if "colmap" in values else values)


def _cameras(path: Path, text: str) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Yield each camera's names and what the file says of it."""
    if text.lstrip().startswith("{"):
        yield from _sections(json.loads(text))
    elif lines := [match for line in text.splitlines() if (match := _COLMAP_LINE.match(line))]:
        yield from (([match[1]], {"colmap": match}) for match in lines)
    else:
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            values = _opencv_yaml(text)
        yield from _sections(values)


def _sections(values: dict[str, Any]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    if _first(values, _MATRIX) is not None:
        yield [str(values.get("camera_name", values.get("name", "")))], values
        return
    for key, inner in values.items():
        if isinstance(inner, dict) and _first(inner, _MATRIX) is not None:
            yield [key, str(inner.get("name", key))], inner


def _first(values: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((values[key] for key in keys if key in values), None)


def _colmap(path: Path, colmap: re.Match[str]) -> dict[str, Any]:
    """Read a line of cameras.txt; COLMAP's first pixel has its middle at 0.5, OpenCV's at 0."""
    _, model, width, height, rest = colmap.groups()
    numbers = [float(word) for word in rest.split()]
    if model == "FULL_OPENCV" and len(numbers) == 12:
        return {
            "matrix": _matrix(*numbers[:4]),
            "distortion": [*numbers[4:8], *numbers[8:]],
            "size": [int(width), int(height)],
        }
    if model not in _COLMAP:
        known = f"{', '.join(_COLMAP)} or FULL_OPENCV"
        expected(f"{path}: model", known, model, "Undistort the video first.")
    places = _COLMAP[model]
    if len(numbers) != max(places) + 1:
        expected(f"{path}: {model}", f"{max(places) + 1} numbers", len(numbers))
    numbers = [*numbers, 0.0]  # which the place -1 is
    taken = [numbers[place] for place in places]
    return {
        "matrix": _matrix(*taken[:4]),
        "distortion": taken[4:],
        "size": [int(width), int(height)],
    }


def _matrix(fx: float, fy: float, cx: float, cy: float) -> list[list[float]]:
    return [[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]]


def _opencv_yaml(text: str) -> dict[str, Any]:
    """Read the numbers of a YAML file of one level, as OpenCV, ROS and PyYAML write matrices.

    OpenCV's own is no sound YAML (its first line), and of YAML no more is needed than numbers by name.
    """
    values: dict[str, Any] = {}
    for part in re.split(r"\n(?=[A-Za-z_])", "\n" + text):
        key, colon, content = part.strip().partition(":")
        if not colon or not re.fullmatch(r"\w+", key):
            continue
        inside = re.search(r"\bdata\s*:(.*)", content, re.DOTALL)
        if inside is None and not re.search(r"[\[\n]", content):
            word = content.strip().strip("\"'")
            values[key] = float(word) if re.fullmatch(r"[-+.\deE]+", word, re.ASCII) else word
            continue
        words = re.sub(r"(?m)^[ \t]*(?:- )+|[\[\],]|^[ \t]*-$", " ", inside[1] if inside else content).split()
        values[key] = [float(word.rstrip(".") or "nan") for word in words if word != "-"]
    return values


def _checked(path: Path, name: str, values: dict[str, Any]) -> Calibration:
    K = np.ravel(np.array(_plain(_first(values, _MATRIX)), dtype=np.float64))
    check_numbers(f"{path}: camera matrix", K)
    if K.shape != (9,) or (K[[3, 6, 7]] != 0).any() or K[8] != 1:
        expected(f"{path}: camera matrix", "fx 0 cx, 0 fy cy, 0 0 1", np.round(K[:12], 3).tolist())
    given = _plain(_first(values, _DISTORTION))
    distortion = np.ravel(np.array([] if given is None else given, dtype=np.float64))
    check_numbers(f"{path}: distortion", distortion, largest=1e6)
    model = str(_first(values, _MODEL) or "")
    fisheye = values.get("fisheye") is True or any(word in model for word in ("fish", "equi", "omni"))
    if fisheye or len(distortion) > 14 or distortion[5:].any():
        found = "a fisheye lens" if fisheye else f"{len(distortion)} coefficients"
        wanted = "OpenCV's five coefficients of distortion, k1 k2 p1 p2 k3"
        expected(str(path), wanted, found, "Undistort the video first, e.g. with OpenCV.")
    size = _first(values, _SIZE)
    for wide, high in _SIZES:
        if size is None and wide in values and high in values:
            size = [values[wide], values[high]]
    if size is not None:
        size = np.ravel(np.array(_plain(size), dtype=np.float64))
        check_numbers(f"{path}: size", size, largest=LARGEST)
        if size.shape != (2,) or (size < 1).any():
            expected(f"{path}: size", "the picture's width and height", size.tolist())
    intrinsics = (float(K[0]), float(K[4]), float(K[2]), float(K[5]))
    coefficients = tuple(np.pad(distortion, (0, 5))[:5].tolist())
    Camera.from_intrinsics(intrinsics, coefficients)
    return Calibration(
        name, intrinsics, coefficients, None if size is None else (round(size[0]), round(size[1]))
    )


def _plain(values: Any) -> Any:
    """Take the numbers of OpenCV's and ROS's matrices, which have their sides beside them."""
    return values["data"] if isinstance(values, dict) and "data" in values else values


def check_picture(intrinsics_px: Intrinsics, image_size: tuple[int, int]) -> None:
    """Raise UserError for intrinsics that are those of a picture about twice, or half, as large."""
    factors = [2 * centre / side for centre, side in zip(intrinsics_px[2:], image_size, strict=True)]
    if max(factors) < 1.6 * max(min(factors), 0) and not 0.65 < np.mean(factors) < 1.5:
        factor = float(np.mean(factors))
        width, height = (round(side * factor) for side in image_size)
        raise UserError(
            f"intrinsics: expected a principal point near the middle of this picture of {image_size[0]} × "
            f"{image_size[1]}, found {intrinsics_px[2]:g}, {intrinsics_px[3]:g}, as of one of about "
            f"{width} × {height}",
            f"Divide all four numbers by {factor:.3g}, or give a calibration file that states its size.",
        )
