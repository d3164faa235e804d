"""From a 2D track to a 3D track, whole or while it is filmed."""

from repose.lifting.lens import (
    CameraTurn,
    Filmed,
    Lens,
    LensOptions,
    compare_lenses,
    find_lens,
    follow_camera,
)
from repose.lifting.lifter import (
    ASSUMED_HEIGHT_M,
    HEIGHTS_M,
    LONGEST_GAP_S,
    Device,
    Lifter,
    Precision,
    check_scene,
    load,
)
from repose.lifting.streaming import OneEuro, Stream

__all__ = [
    "ASSUMED_HEIGHT_M",
    "HEIGHTS_M",
    "LONGEST_GAP_S",
    "CameraTurn",
    "Device",
    "Filmed",
    "Lens",
    "LensOptions",
    "Lifter",
    "OneEuro",
    "Precision",
    "Stream",
    "check_scene",
    "compare_lenses",
    "find_lens",
    "follow_camera",
    "load",
]
