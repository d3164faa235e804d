"""C3D: marker places as motion-capture laboratories exchange them."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import UserError, expected, reads
from repose.formats.markers import MarkerMotion, length_of_unit, marker_names
from repose.formats.upright import at_constant_rate, y_up
from repose.pose import Pose3D

_LAST_FRAME = 65_535


def write_c3d(pose: Pose3D, path: Path) -> None:
    """Write a person in a world frame (`repose.formats.upright.to_world`) as markers at the joints.

    Millimetres and y up, both stated (`POINT:UNITS`, `POINT:Y_SCREEN`); markers as Pose2Sim names them,
    frames counted from 1 with the first of the source, at a constant rate. A joint that was seen is one
    that camera 1 saw; its residual is `deviation_m` in whole millimetres, at most 255, or 0. Where the pose
    lacks a frame the markers are invalid (residual −1).

    Raises UserError where ezc3d is not installed, and for more frames than the format can count.
    """
    ezc3d = _import_ezc3d()
    pose = at_constant_rate(pose)
    if pose.frames[-1] >= _LAST_FRAME:
        wanted = f"frame numbers below {_LAST_FRAME}, all that C3D can count"
        expected(str(path), wanted, int(pose.frames[-1]), "TRC files have no such limit.")
    markers = marker_names(pose.skeleton)
    rows = pose.frames - pose.frames[0]
    points = np.zeros((4, len(markers), int(rows[-1]) + 1))
    points[:3, :, rows] = 1000 * y_up(pose.joints_m).transpose(2, 1, 0)
    file = ezc3d.c3d()
    file["header"]["points"]["first_frame"] = int(pose.frames[0])
    for group, name, value in (
        ("POINT", "RATE", [pose.fps]),
        ("POINT", "LABELS", list(markers)),
        ("POINT", "DESCRIPTIONS", list(pose.skeleton.joints)),
        ("POINT", "UNITS", ["mm"]),
        ("POINT", "X_SCREEN", ["+X"]),
        ("POINT", "Y_SCREEN", ["+Y"]),
        ("MANUFACTURER", "SOFTWARE", ["RePOSE"]),
    ):
        file.add_parameter(group, name, value)
    file["data"]["points"] = points
    file.write(str(path))
    words = np.full((points.shape[2], len(markers)), -1, np.float32)
    residuals = 0 if pose.deviation_m is None else np.minimum(np.round(1000 * pose.deviation_m), 255)
    words[rows] = residuals + 256 * pose.seen
    _set_fourth_words(path, words)


@reads("a C3D file")
def read_c3d(path: str | Path) -> MarkerMotion:
    """Read the points of a file; a point without a valid place is NaN. Up is what `POINT:Y_SCREEN` says.

    Raises UserError for a file that is missing, cut short or no C3D, and where ezc3d is not installed.
    """
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(512)
    if len(start) < 512 or start[1] != 0x50:
        expected(str(path), "a C3D file", "another kind of file")
    if start[:2] != b"\x02\x50":
        wanted = "a C3D file whose parameters begin in its second block"
        expected(str(path), wanted, f"block {start[0]}", "Write it again with another program.")
    count, _, first, last = struct.unpack("<4H", start[2:10])
    scale, block = struct.unpack("<fH", start[12:18])
    wanted_bytes = 512 * (block - 1) + count * (last - first + 1) * (16 if scale < 0 else 8)
    if last < first or block < 2 or wanted_bytes > path.stat().st_size:
        found = f"a file of {path.stat().st_size:,} bytes"
        expected(str(path), f"{wanted_bytes:,} bytes of {count} points", found, "It is cut short.")
    ezc3d = _import_ezc3d()
    content = ezc3d.c3d(str(path))
    points, parameters = content["data"]["points"], content["parameters"]["POINT"]
    names = [
        name.strip() for key in ("LABELS", "LABELS2") for name in parameters.get(key, {}).get("value", [])
    ]
    names = names[: points.shape[1]]
    if not names or len(set(names)) != points.shape[1] or not points.shape[2]:
        expected(
            str(path), "frames of points, each with a label of its own", f"{', '.join(names[:20]) or 'none'}"
        )
    units = parameters.get("UNITS", {}).get("value", [])
    screen = parameters.get("Y_SCREEN", {}).get("value", [])
    up = str(screen[0]).strip("+- ").lower() if screen else ""
    fps = float(content["header"]["points"]["frame_rate"])
    places = np.moveaxis(points[:3].astype(np.float64), 0, -1).swapaxes(0, 1)
    unit_m = length_of_unit(path, units[0] if units else "mm")
    return MarkerMotion(tuple(names), places * unit_m, fps, up if up in ("y", "z") else None)


def _set_fourth_words(path: Path, words: Float[np.ndarray, "frames points"]) -> None:
    """Write the number beside each point's coordinates: residual, 256 for camera 1, or −1 for no point.

    C3D.org, "3D data - floating-point format". ezc3d exchanges the two bytes of these words in such
    files (https://github.com/pyomeca/ezc3d/issues/386), so they are set here.
    """
    with path.open("rb") as file:
        (first_block,) = struct.unpack("<H", file.read(18)[16:])
    shape = (*words.shape, 4)
    points = np.memmap(path, "<f4", mode="r+", offset=512 * (first_block - 1), shape=shape)
    points[..., 3] = words
    points.flush()


def _import_ezc3d():  # type: ignore[no-untyped-def]
    try:
        import ezc3d
    except ImportError:
        raise UserError(
            "C3D files need ezc3d, which is not installed",
            "pip install ezc3d; it is in RePOSE's extra “export”.",
        ) from None
    return ezc3d
