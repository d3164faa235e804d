"""Results as files of other programs, chosen by suffix."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repose.errors import expected
from repose.export.about import FRAMES
from repose.export.bvh import Unit, write_bvh
from repose.export.c3d import write_c3d
from repose.export.glb import write_glb
from repose.export.opensim import MODEL, opensim_files, write_opensim
from repose.export.parquet import write_parquet
from repose.export.results import write_csv, write_json
from repose.export.trc import write_trc
from repose.export.upright import at_constant_rate, to_world
from repose.export.usd import write_usd
from repose.files.output import check_absent, stage
from repose.pose import Pose3D, check_span
from repose.sequence import missing


@dataclass(frozen=True)
class _Format:
    write: Callable[..., None]
    """Takes the people, or the one person, and the path."""
    people: bool
    """Whether one file holds several people."""
    missing: str = ""
    """What becomes of frames that a person lacks."""
    own_times: bool = True
    """Whether frames have times of their own rather than a rate."""
    upright: bool = True


_FORMATS = {
    ".bvh": _Format(write_bvh, people=False, missing="passed through in a straight line", own_times=False),
    ".trc": _Format(write_trc, people=False, missing="left empty", own_times=False),
    ".c3d": _Format(write_c3d, people=False, missing="marked as invalid", own_times=False),
    ".glb": _Format(write_glb, people=True, missing="invisible"),
    ".usd": _Format(write_usd, people=True, missing="invisible"),
    ".usda": _Format(write_usd, people=True, missing="invisible"),
    ".csv": _Format(write_csv, people=True, upright=False),
    ".parquet": _Format(write_parquet, people=True, upright=False),
    ".json": _Format(write_json, people=True, upright=False),
}
_OPENSIM = _Format(write_opensim, people=True, missing="left out", own_times=False)


@dataclass(frozen=True)
class Export:
    """What was written, and notes for whoever reads it."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def export_poses(
    poses: Sequence[Pose3D], path: str | Path, *, unit: Unit | None = None, force: bool = False
) -> Export:
    """Write 3D tracks in the format that the suffix of `path` names, whole or not at all.

    `.bvh`, `.trc` and `.c3d` hold one person: several are written to one file each, `walk_person_0.bvh`
    for `walk.bvh`. `.glb`, `.usd` (binary) and `.usda` (text) hold all of them. These formats are upright,
    y up (`repose.export.upright.to_world`). `.csv`, `.parquet` and `.json` hold the numbers unchanged, in
    the result's own coordinates, with their `about`.

    Args:
        poses: tracks of one result.
        path: the file to write.
        unit: unit of a BVH file, centimetres by default.
        force: overwrite existing files.

    Returns:
        The files, and notes for whoever reads them: which way is up, the scale, gaps.

    Raises:
        UserError: an unknown suffix, no tracks or tracks that the format cannot hold, a missing optional
            package, existing files without `force`, and an output that cannot be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        wanted = f"a name ending in {', '.join(_FORMATS)}"
        expected(str(path), wanted, repr(suffix or "none"), "For OpenSim's setups: --to opensim.")
    if unit is not None and suffix != ".bvh":
        expected("unit", "a BVH file, the only one whose unit can be chosen", path.name)
    _check(poses)
    form = _FORMATS[suffix]
    options: dict[str, Any] = {} if unit is None else {"unit": unit}
    if form.upright:
        poses, notes = _upright(poses, form)
    else:
        frames = dict.fromkeys(FRAMES[pose.coordinates] for pose in poses)
        notes = [f"Coordinates as in the result ({'; '.join(frames)})."]
    names = [path.name]
    if not form.people and len(poses) > 1:
        names = [f"{path.stem}_person_{pose.track_id}{path.suffix}" for pose in poses]
        notes.append(f"A {suffix} file holds one person: there is one for each.")
    if not force:
        for name in names:
            check_absent(path.parent / name)
    with stage(path.parent, names, force=True) as folder:
        if form.people:
            form.write(poses, folder / path.name)
        else:
            for pose, name in zip(poses, names, strict=True):
                form.write(pose, folder / name, **options)
    return Export(tuple(path.parent / name for name in names), tuple(notes))


def export_opensim(
    poses: Sequence[Pose3D], folder: str | Path, *, model: str = MODEL, force: bool = False
) -> Export:
    """Write a folder for OpenSim's scaling and inverse kinematics, whole or not at all.

    Args:
        poses: tracks of one result.
        folder: where to write; `repose.export.opensim.write_opensim` lists the files.
        model: the generic model to scale, Rajagopal2016 or one with the same bodies, as a path relative
            to `folder`; it ships with OpenSim.
        force: overwrite existing files.

    Returns:
        The files, and notes for whoever reads them.

    Raises:
        UserError: as `export_poses`.
    """
    _check(poses)
    poses, notes = _upright(poses, _OPENSIM)
    names = opensim_files(poses)
    with stage(folder, names, force=force) as partial:
        write_opensim(poses, partial, model)
    notes.append("Each person is turned to face +x, as OpenSim's models do.")
    return Export(tuple(Path(folder) / name for name in names), tuple(notes))


def _check(poses: Sequence[Pose3D]) -> None:
    if not poses:
        expected("poses", "at least one track", "none")
    for pose in poses:
        if not len(pose):
            expected(f"person {pose.track_id}", "at least one frame", "none", "Leave this person out.")
    number, count = Counter(pose.track_id for pose in poses).most_common(1)[0]
    if count > 1:
        expected("poses", "a distinct track_id for each track", f"{count} tracks called {number}")


def _upright(poses: Sequence[Pose3D], form: _Format) -> tuple[Sequence[Pose3D], list[str]]:
    """Bring the poses to one world and, if the format has no times, a constant rate; with notes on that."""
    check_span(poses)
    poses = to_world(poses)
    worlds = list(dict.fromkeys(pose.record["world"] for pose in poses))
    scales = list(dict.fromkeys(pose.scale for pose in poses))
    notes = [f"y is up. {' '.join(worlds)}", f"Scale: {'; '.join(scales)}."]
    for pose in poses:
        if empty := [f"{first}–{last}" for first, last in missing(pose.frames)]:
            notes.append(f"Person {pose.track_id} has no pose in frames {', '.join(empty)}: {form.missing}.")
    if form.own_times:
        return poses, notes
    even = [at_constant_rate(pose) for pose in poses]
    for pose, steady in zip(poses, even, strict=True):
        if steady is not pose:
            notes.append(f"Person {pose.track_id}: the frame rate varies; interpolated at {pose.fps:g} Hz.")
    return even, notes
