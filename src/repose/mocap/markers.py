"""What every reader of marker files returns, and the units that such files name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected


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
