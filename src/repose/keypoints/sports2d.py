"""Sports2D's TRC of 2D keypoints in pixels (`…_px_person00.trc`), one person per file."""

import numpy as np

from repose.errors import UserError
from repose.keypoints.detections import Detections
from repose.keypoints.tables import name_joints
from repose.mocap.trc import parse_trc

_MEANINGS = {"Hip": "pelvis", "Head": "head_top"}
_LARGEST_ROOM_M = 50.0


def recognises(start: bytes) -> bool:
    """Return whether a file that begins so is a TRC."""
    return start.removeprefix(b"\xef\xbb\xbf").startswith(b"PathFileType")


def parse(name: str, data: bytes) -> Detections:
    """Parse detections of a TRC in pixels.

    Its header says metres as that of any TRC of Sports2D; that pixels are meant shows where z is 0 throughout
    and places lie farther apart than in a room. y is down, as in the picture. Frames are counted from the
    first, as the header's OrigDataStartFrame counts it.

    Raises:
        UserError: places in metres, flat or in space.
    """
    text = data.decode("utf-8-sig", errors="replace")
    motion = parse_trc(name, text)
    places = motion.positions_m
    found = places[np.isfinite(places).all(axis=-1)]
    if len(found) and (found[:, 2] != 0).any():
        raise UserError(
            f"{name}: expected 2D keypoints in pixels, found 3D motion capture (a TRC of "
            f"{len(motion.markers)} markers in space)",
            "It is 3D already. RePOSE makes 3D from 2D: give the video, or the 2D keypoints of one camera.",
        )
    if len(found) and np.ptp(found, axis=0).max() < _LARGEST_ROOM_M:
        raise UserError(
            f"{name}: expected keypoints in pixels, found a TRC in metres (flat motion, as of Sports2D)",
            "Give the file in pixels that Sports2D writes beside it (…_px_person00.trc).",
        )
    lines = text.splitlines()
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    numbers = [int(line.split("\t")[0]) for line in lines[5:] if line.strip()]
    first = int(header.get("OrigDataStartFrame") or 0)
    return name_joints(
        name,
        "TRC in pixels",
        motion.markers,
        places[..., :2],
        [number - first if first == 1 else number for number in numbers],
        [0] * len(numbers),
        meanings=_MEANINGS,
        fps=motion.fps,
    )
