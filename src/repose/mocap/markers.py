"""Names of joints as markers: those that Pose2Sim gives them (HALPE_26 and the like)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected
from repose.skeleton import Skeleton

_NAMES = {"pelvis": "Hip", "thorax": "Neck", "head_top": "Head", "head": "Nose"}


def marker_names(skeleton: Skeleton) -> tuple[str, ...]:
    """Name the markers of a layout's joints: `left_knee` is LKnee, `right_big_toe` RBigToe, `head_top` Head.

    Pose2Sim has no marker at H36M-17's `spine`; it is called Spine.
    """
    return tuple(_NAMES.get(joint) or _name(joint) for joint in skeleton.joints)


def _name(joint: str) -> str:
    side, _, rest = joint.partition("_")
    if side in ("left", "right"):
        return side[0].upper() + _name(rest)
    return joint.title().replace("_", "")


@dataclass(frozen=True, eq=False)
class MarkerMotion:
    """The content of a marker file. Axes are the file's own."""

    markers: tuple[str, ...]
    positions_m: Float[np.ndarray, "frames markers 3"]
    """NaN where a marker was not found."""
    fps: float
    up: str | None
    """The axis that points up, "y" or "z", where the file says it."""


def length_of_unit(path: Path, unit: str) -> float:
    """Convert a unit's name to metres; raises UserError for an unknown unit."""
    units_m = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "meters": 1.0, "millimeters": 0.001}
    if unit.strip().lower() not in units_m:
        expected(str(path), f"a unit among {', '.join(units_m)}", repr(unit[:40]))
    return units_m[unit.strip().lower()]
