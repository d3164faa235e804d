"""C3D out: marker positions as exchanged by motion-capture laboratories."""

import struct
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected, needing
from repose.export.upright import y_up
from repose.pose import Pose3D
from repose.skeleton import marker_names

_LAST_FRAME = 65_535


def write_c3d(pose: Pose3D, path: Path) -> None:
    """Write a person in a world frame and at a constant rate (`repose.export.upright`) as markers.

    There is one at each joint, named as Pose2Sim does. Millimetres and y up, both stated (`POINT:UNITS`,
    `POINT:Y_SCREEN`); frames counted from 1 with the first of the source. A joint that was seen is one
    that camera 1 saw; its residual is `deviation_m` in whole millimetres, at most 255, or 0. Where the pose
    lacks a frame the markers are invalid (residual −1).

    Raises UserError where ezc3d is not installed, and for more frames than the format can count.
    """
    ezc3d = _import_ezc3d()
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
    with needing("C3D files need ezc3d", "pip install ezc3d; it is in RePOSE's extra “export”."):
        import ezc3d
    return ezc3d
