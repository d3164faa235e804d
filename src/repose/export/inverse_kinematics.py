"""Joint angles of a musculoskeletal model: OpenSim scales it to a person and makes it follow their joints."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import copyfile

import numpy as np

from repose.errors import UserError, expected
from repose.export.formats import export_opensim
from repose.files.output import check_output, stage
from repose.pose import Pose3D

_MODEL = "model.osim"
_LONGEST_S = 3600
# In a process of its own: OpenSim is C++ that writes to the terminal and to a log, and may end it all.
_RUN = """
import sys
import opensim
opensim.Logger.setLevelString("error")
opensim.Logger.removeFileSink()
for person in sys.argv[1:]:
    for tool, what in ((opensim.ScaleTool, "scale"), (opensim.InverseKinematicsTool, "ik")):
        if not tool(f"{person}_{what}.xml").run():
            raise SystemExit(f"{tool.__name__} failed")
"""


@dataclass(frozen=True)
class MarkerErrors:
    """How far the scaled model's markers stay from a person's joints."""

    track_id: int
    rms_mm: float
    """Root mean square over markers and frames."""
    worst_mm: float
    """Of the marker and frame where it is largest."""
    worst_s: float
    """The time of that frame."""


def ik_files(poses: Sequence[Pose3D]) -> tuple[str, ...]:
    """List the names of the files that `solve_ik` writes."""
    endings = (".mot", ".osim", "_marker_errors.sto")
    return tuple(f"person_{pose.track_id}{ending}" for pose in poses for ending in endings)


def check_opensim(model: str | Path) -> None:
    """Raise UserError where OpenSim is not installed, or `model` is no model of it."""
    if find_spec("opensim") is None:
        raise UserError(
            "inverse kinematics needs OpenSim, which is not installed", "pip install 'repose3d[opensim]'"
        )
    path = Path(model)
    if not path.is_file():
        hint = "OpenSim's distribution has Rajagopal2016.osim, Pose2Sim's package Model_Pose2Sim_simple.osim."
        raise UserError(f"{path}: no such model", hint)
    with path.open("rb") as file:
        if b"<OpenSimDocument" not in file.read(2000):
            expected(str(path), "a model of OpenSim (.osim)", "another file")


def solve_ik(
    poses: Sequence[Pose3D], model: str | Path, folder: str | Path, *, force: bool = False
) -> list[MarkerErrors]:
    """Scale a model to each person, and find the angles at which it follows their joints.

    Args:
        poses: tracks of one result, which are brought upright and turned to face +x (`export_opensim`).
        model: Rajagopal's full-body model, or one with the same bodies.
        folder: where to write, for each person, `person_0.mot` (angles in degrees, OpenSim's names),
            `person_0.osim` (the scaled model) and `person_0_marker_errors.sto`.
        force: overwrite existing files.

    Returns:
        How well the model follows each person.

    Raises:
        UserError: as `check_opensim` and `export_opensim`; a model without the bodies that the markers are
            on, and whatever else OpenSim refuses.
    """
    check_opensim(model)
    names = ik_files(poses)
    check_output(folder, names, force=force)
    people = [f"person_{pose.track_id}" for pose in poses]
    with tempfile.TemporaryDirectory() as place:
        there = Path(place)
        export_opensim(poses, there, model=_MODEL)
        copyfile(model, there / _MODEL)
        _run(people, there, Path(model))
        errors = []
        for pose, person in zip(poses, people, strict=True):
            (found,) = there.glob(f"{person}*ik_marker_errors.sto")
            found.rename(there / f"{person}_marker_errors.sto")
            errors.append(_read_errors(pose.track_id, there / f"{person}_marker_errors.sto"))
        with stage(folder, names, force=force) as partial:
            for name in names:
                copyfile(there / name, partial / name)
    return errors


def _run(people: list[str], folder: Path, model: Path) -> None:
    hint = (
        "It needs Rajagopal2016's bodies: pelvis, torso; femur, tibia, talus, humerus, ulna, hand (_r, _l)."
    )
    try:
        run = subprocess.run(
            [sys.executable, "-c", _RUN, *people],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LONGEST_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{model.name}: OpenSim did not finish within an hour", hint) from None
    made = all((folder / f"{person}.mot").is_file() for person in people)
    if run.returncode or not made:
        said = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        why = next((line for line in said if "error" in line.lower()), said[-1] if said else "it ended early")
        raise UserError(f"{model.name}: OpenSim could not follow the joints ({why.strip()[:300]})", hint)


def _read_errors(track_id: int, path: Path) -> MarkerErrors:
    lines = path.read_text().split("endheader\n", 1)[1].splitlines()
    table = np.array([line.split() for line in lines[1:]], dtype=float)
    columns = dict(zip(lines[0].split(), table.T, strict=True))
    worst = columns["marker_error_max"]
    at = int(worst.argmax())
    rms_mm = 1000 * float(np.sqrt((columns["marker_error_RMS"] ** 2).mean()))
    return MarkerErrors(track_id, rms_mm, 1000 * float(worst[at]), float(columns["time"][at]))
