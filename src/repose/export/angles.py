"""Joint angles as a table, and as a picture for each person."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose import palette
from repose.angles import MEANINGS, JointAngles
from repose.errors import UserError
from repose.files.output import stage

_COLOURS = {**palette.SIDES, "trunk": palette.MIDDLE}


def angle_files(tracks: Sequence[JointAngles], *, plot: bool = True) -> tuple[str, ...]:
    """List the names of the files that `write_angles` writes."""
    return ("angles.csv", *(f"angles-{angles.track_id}.png" for angles in tracks if plot))


def write_angles(
    tracks: Sequence[JointAngles], folder: str | Path, *, plot: bool = True, force: bool = False
) -> None:
    """Write `angles.csv`, and with `plot` one picture `angles-<track>.png` per person; all of them or none.

    Args:
        tracks: angles of all tracks (`repose.joint_angles`). The table has one row per frame:
            `track_id`, `frame`, `time_s`, and for every angle `<name>_deg` (empty where it has no
            meaning) and `<name>_seen` (0 where a joint it depends on was inferred).
        folder: where to write.
        plot: also draw the angles over time; needs Matplotlib.
        force: overwrite existing files.

    Raises:
        UserError: existing files without `force`, a folder that cannot be written, tracks with
            different angles, and a plot without Matplotlib.
    """
    if not tracks:
        raise UserError("no angles to write: expected at least one track, found none")
    if len({angles.names for angles in tracks}) > 1:
        raise UserError("tracks have different angles", "Write them to different folders.")
    with stage(folder, angle_files(tracks, plot=plot), force=force) as partial:
        _write_table(tracks, partial / "angles.csv")
        for angles, name in zip(tracks, angle_files(tracks, plot=plot)[1:], strict=False):
            _draw(angles, partial / name)


def _write_table(tracks: Sequence[JointAngles], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        columns = [f"{name}_{column}" for name in tracks[0].names for column in ("deg", "seen")]
        table.writerow(["track_id", "frame", "time_s", *columns])
        for angles in tracks:
            for row in range(len(angles)):
                cells = [str(angles.track_id), str(int(angles.frames[row])), f"{angles.times_s[row]:.6f}"]
                for degrees, seen in zip(angles.degrees[row], angles.seen[row], strict=True):
                    cells += ["" if np.isnan(degrees) else f"{degrees:.2f}", str(int(seen))]
                table.writerow(cells)


def _draw(angles: JointAngles, path: Path) -> None:
    """Draw a panel for one kind of angle: thick where all joints were seen, thin where one was inferred."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError(
            "the plot of the angles needs Matplotlib, which is not installed",
            "Install it with: pip install 'repose3d[data]', or leave the plot out with --no-plot.",
        ) from None
    kinds = [kind for kind in MEANINGS if any(name.endswith(kind) for name in angles.names)]
    rows = -(-len(kinds) // 2)
    figure = Figure(figsize=(12, 2.4 * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False, sharex=True)
    for panel, kind in zip(panels.flat, kinds, strict=False):
        _draw_kind(panel, angles, kind)
    for panel in panels.flat[len(kinds) :]:
        panel.set_axis_off()
    for panel in panels[-1]:
        panel.set_xlabel("time (s)")
    sides = [line for line in panels[0, 0].lines if line.get_label() in _COLOURS]
    figure.legend(handles=sides, loc="outside upper right", ncols=2, fontsize=9)
    figure.suptitle(f"person {angles.track_id}; thin where a joint was inferred", fontsize=10)
    figure.savefig(path, dpi=100)


def _draw_kind(panel: Any, angles: JointAngles, kind: str) -> None:
    for side in ("right", "left", "trunk"):
        name = kind if side == "trunk" else f"{side}_{kind}"
        if name not in angles.names:
            continue
        column = angles.names.index(name)
        degrees, seen = angles.degrees[:, column].copy(), angles.seen[:, column]
        degrees[1:][np.abs(np.diff(degrees)) > 180] = np.nan  # from 180 to -180 is no movement
        panel.plot(angles.times_s, degrees, color=_COLOURS[side], linewidth=0.6)
        sure = np.where(seen, degrees, np.nan)
        panel.plot(angles.times_s, sure, color=_COLOURS[side], linewidth=1.8, label=side)
    panel.set_title(f"{kind.replace('_', ' ')} ({MEANINGS[kind]})", fontsize=9)
    panel.set_ylabel("degrees", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
