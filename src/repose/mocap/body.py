"""What the body reveals about its file: the length of the unit, and which way is up."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from repose.errors import expected
from repose.files.numbers import check_numbers
from repose.geometry.rotation import unit
from repose.mocap.asf_amc import INCH_M
from repose.skeleton import H36M_17

UNITS_M = {
    "metres": 1.0,
    "centimetres": 0.01,
    "millimetres": 0.001,
    "inches": INCH_M,
    "the CMU database's unit, 0.0564 m": INCH_M / 0.45,
}
_THIGH_M = (0.2, 0.7)
"""Lengths of a human thigh, wide enough for children and giants: anything else is a wrong unit."""
_MIDDLE_M = 0.41
_FARTHEST_M = 10_000.0
_RATES_HZ = (0.1, 10_000.0)


def recognise_unit(path: Path, joints: Float[np.ndarray, "frames 17 3"]) -> tuple[str, float]:
    """Find the unit in which the body has the most human size: its name, and its length in metres.

    Raises UserError where the body is not human in any unit.
    """
    thigh = _thigh(joints)
    fitting = {name: unit_m for name, unit_m in UNITS_M.items() if _THIGH_M[0] < thigh * unit_m < _THIGH_M[1]}
    if not fitting:
        wanted = f"a thigh of {_THIGH_M[0]} to {_THIGH_M[1]} m in {', '.join(UNITS_M)}"
        hint = f"If {thigh:.3g} is a thigh, one unit is about {_MIDDLE_M / thigh:.2g} m: say so as unit_m."
        expected(str(path), wanted, f"one of {thigh:.3g} units", hint if thigh > 0 else "")
    return min(fitting.items(), key=lambda item: abs(np.log(thigh * item[1] / _MIDDLE_M)))


def check_body(
    path: Path, joints_m: Float[np.ndarray, "frames 17 3"], fps: float, unit_m: float = 1.0
) -> None:
    """Check that a recording can be a human body.

    Raises UserError for positions that are not finite or far away, an implausible rate, and a thigh that is
    not human, with the unit that would make it so in place of `unit_m`.
    """
    check_numbers(f"{path}: places in metres", joints_m, largest=_FARTHEST_M, hint="Check the file's unit.")
    if not _RATES_HZ[0] <= fps <= _RATES_HZ[1]:
        rates = f"a frame rate of {_RATES_HZ[0]:g} to {_RATES_HZ[1]:,.0f} Hz"
        expected(str(path), rates, f"{fps:.4g} Hz", "Check the frame time: it is in seconds.")
    thigh_m = _thigh(joints_m)
    if not _THIGH_M[0] < thigh_m < _THIGH_M[1]:
        sizes_m = {name: thigh_m / unit_m * other for name, other in UNITS_M.items()}
        meant = [f"{name} ({size_m:.2f} m)" for name, size_m in sizes_m.items() if 0.3 < size_m < 0.55]
        hint = "Give unit_m, the length of the file's unit in metres (0.01: centimetres)."
        if meant:
            hint = f"It would be human if the numbers were {' or '.join(meant)}. {hint}"
        expected(str(path), f"a thigh of {_THIGH_M[0]} to {_THIGH_M[1]} m", f"{thigh_m:.3g} m", hint)


def z_up(points: Float[np.ndarray, "*axes 3"]) -> Float[np.ndarray, "*axes 3"]:
    """Convert from y up to z up, both right-handed."""
    return np.stack([points[..., 0], -points[..., 2], points[..., 1]], axis=-1)


def upright_axis(joints: Float[np.ndarray, "frames 17 3"]) -> str | None:
    """Return the axis, "y" or "z", along which the person mostly stands; None for one who lies."""
    head, feet = joints[:, H36M_17.index("head_top")], joints[:, H36M_17.indices("left_ankle", "right_ankle")]
    body = head - feet.mean(axis=1)
    body = body[np.isfinite(body).all(axis=-1)]
    if not len(body):
        return None
    x, y, z = np.mean(unit(body), axis=0)
    if max(y, z) < 0.5 or abs(x) > max(y, z):
        return None
    return "z" if z > y else "y"


def _thigh(joints: np.ndarray) -> float:
    sides = [
        np.linalg.norm(joints[:, H36M_17.index(f"{s}_knee")] - joints[:, H36M_17.index(f"{s}_hip")], axis=-1)
        for s in ("left", "right")
    ]
    return float(np.median(sides))
