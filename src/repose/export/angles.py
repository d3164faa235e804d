"""Joint angles of a track: for Python, as a table, and as a picture for each person."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from repose import palette
from repose.errors import UserError, needing
from repose.files.output import stage
from repose.geometry.joint_angles import (
    SIDES,
    TRUNK_ANGLES,
    angle_deviations,
    angle_joints,
    measure_angles,
)
from repose.pose import Pose3D

_COLOURS = {**palette.SIDES, "trunk": palette.MIDDLE}

MEANINGS = {
    "hip_flexion": "thigh forward of the trunk",
    "hip_adduction": "thigh towards the midline",
    "knee_flexion": "0 is straight",
    "ankle_dorsiflexion": "toes up, 0 is a right angle",
    "shoulder_elevation": "upper arm away from the trunk, 0 hangs",
    "shoulder_plane_of_elevation": "0 to the side, 90 to the front",
    "elbow_flexion": "0 is straight",
    "trunk_flexion": "forward of the vertical",
    "trunk_lateral_bending": "to the right of the vertical",
    "trunk_axial_rotation": "shoulders to the left of the hips",
}
"""What is positive, and where zero is."""


@dataclass(frozen=True, eq=False, repr=False)
class JointAngles:
    """Angles of one track in degrees; NaN where an angle has no meaning. `angles["left_knee_flexion"]`."""

    names: tuple[str, ...]
    degrees: Float[np.ndarray, "frames angles"]
    seen: Bool[np.ndarray, "frames angles"]
    """True where every joint that the angle depends on was seen."""
    frames: Int[np.ndarray, " frames"]
    times_s: Float[np.ndarray, " frames"]
    track_id: int
    missing: dict[str, str]
    """Angles that this result does not have, and why."""
    deviation_deg: Float[np.ndarray, "frames angles"] | None = None
    """Standard deviation of each angle: its error is below one in 68 % and below two in 95 % of the cases.
    None where the pose has none."""

    def __len__(self) -> int:
        return len(self.frames)

    def __repr__(self) -> str:
        return f"JointAngles(person {self.track_id}: {len(self)} frames, degrees: {', '.join(self.names)})"

    def __getitem__(self, name: str) -> Float[np.ndarray, " frames"]:
        """Return the angle called `name`; raises UserError with the names there are."""
        if name not in self.names:
            why = self.missing.get(name, "")
            raise UserError(
                f"no angle {name!r}" + (f": {why}" if why else ""), f"There are {', '.join(self.names)}."
            )
        return self.degrees[:, self.names.index(name)]


def joint_angles(pose: Pose3D) -> JointAngles:
    """Return the angles of hip, knee, ankle, shoulder, elbow and trunk; `MEANINGS` says what is positive.

    The ankle's need a layout with heels and big toes; the trunk's need to know up.

    Args:
        pose: a track in any frame of reference. In the world frame, or with `T_cam_world`
            (`repose.refine` finds it), up is known.

    Returns:
        Degrees per frame, NaN where an angle has no meaning; `missing` says why an angle is left out.

    Raises:
        UserError: as `angle_joints`.
    """
    up = _up(pose)
    degrees = measure_angles(pose.joints_m, pose.skeleton, up)
    deviation = None
    if pose.deviation_m is not None:
        of_angle = angle_deviations(pose.joints_m, pose.deviation_m, pose.skeleton, up)
        deviation = np.stack([of_angle[name] for name in degrees], axis=-1)
    joints = angle_joints(pose.skeleton)
    why_no_ankle = f"the layout {pose.skeleton.name} has no heels and toes"
    missing = {
        name: "what is up is not known: refine the result first" if name in TRUNK_ANGLES else why_no_ankle
        for name in (*(f"{side}_ankle_dorsiflexion" for side in SIDES), *TRUNK_ANGLES)
        if name not in degrees
    }
    return JointAngles(
        names=tuple(degrees),
        degrees=np.stack([*degrees.values()], axis=-1),
        seen=np.stack([pose.seen[:, list(joints[name])].all(axis=1) for name in degrees], axis=-1),
        frames=pose.frames,
        times_s=pose.times_s,
        track_id=pose.track_id,
        missing=missing,
        deviation_deg=deviation,
    )


def _up(pose: Pose3D) -> Float[np.ndarray, "3"] | None:
    """Up in the frame of the joints, where it is known."""
    if pose.coordinates == "world":
        return np.array([0.0, 0.0, 1.0])
    return None if pose.T_cam_world is None else pose.T_cam_world[:3, 2].astype(np.float64)


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
            meaning), `<name>_seen` (0 where a joint it depends on was inferred) and
            `<name>_deviation_deg` (empty where it is not known).
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
        columns = [
            f"{name}_{column}" for name in tracks[0].names for column in ("deg", "seen", "deviation_deg")
        ]
        table.writerow(["track_id", "frame", "time_s", *columns])
        for angles in tracks:
            deviation = angles.deviation_deg
            if deviation is None:
                deviation = np.full(angles.degrees.shape, np.nan)
            for row in range(len(angles)):
                cells = [str(angles.track_id), str(int(angles.frames[row])), f"{angles.times_s[row]:.6f}"]
                for value, seen, spread in zip(
                    angles.degrees[row], angles.seen[row], deviation[row], strict=True
                ):
                    cells += [_cell(value), str(int(seen)), _cell(spread)]
                table.writerow(cells)


def _cell(degrees: float) -> str:
    return "" if np.isnan(degrees) else f"{degrees:.2f}"


def _draw(angles: JointAngles, path: Path) -> None:
    """Draw a panel for one kind of angle: thick where all joints were seen, thin where one was inferred."""
    with needing(
        "the plot of the angles needs Matplotlib",
        "Install it with: pip install 'repose3d[data]', or leave the plot out with --no-plot.",
    ):
        from matplotlib.figure import Figure
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
    figure.suptitle(
        f"person {angles.track_id}; thin where a joint was inferred, shaded by one standard deviation",
        fontsize=10,
    )
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
        if angles.deviation_deg is not None:
            spread = np.minimum(angles.deviation_deg[:, column], 180)
            panel.fill_between(
                angles.times_s,
                degrees - spread,
                degrees + spread,
                color=_COLOURS[side],
                alpha=0.15,
                linewidth=0,
            )
        sure = np.where(seen, degrees, np.nan)
        panel.plot(angles.times_s, sure, color=_COLOURS[side], linewidth=1.8, label=side)
    panel.set_title(f"{kind.replace('_', ' ')} ({MEANINGS[kind]})", fontsize=9)
    panel.set_ylabel("degrees", fontsize=8)
    panel.tick_params(labelsize=8)
    panel.grid(alpha=0.3)
