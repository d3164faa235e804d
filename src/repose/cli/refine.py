"""`repose refine` and `repose angles`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from repose.cli.terminal import Folder, console, echo, table
from repose.export.notes import camera_note, fit_notes
from repose.export.results import FILES, read_poses, write_poses
from repose.export.upright import up_note
from repose.files.output import check_output
from repose.fitting import RefineConfig, refine
from repose.pose import Pose3D

Result = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]

_MEASURES = {
    "acceleration_m_s2": ("acceleration, m/s²", 1),
    "bone_variation": ("bone length varies by, %", 100),
    "foot_skating_m_s": ("feet on the ground slide, cm/s", 100),
    "foot_height_m": ("feet on the ground are off it, cm", 100),
    "tilt_deg": ("leans against up, degrees", 1),
}


@dataclass(frozen=True)
class Refine:
    """Clean the motion of a result: no jitter, constant bones, upright on the ground, feet that do not slide.

    The camera is assumed to stand still. Every step can be disabled.
    """

    result: Result
    """Folder of a result, or its poses.npz."""
    out: Folder
    """Folder for the results: poses.npz, poses.json, poses.csv."""
    steps: tyro.conf.OmitArgPrefixes[RefineConfig] = field(default_factory=RefineConfig)
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        check_output(self.out, FILES, force=self.force)
        poses = refine(read_poses(self.result), self.steps)
        write_poses(poses, self.out, force=self.force)
        summarise_refined(poses)
        echo(f"Results: {', '.join(str(self.out / name) for name in FILES)}")


@dataclass(frozen=True)
class Angles:
    """Write the joint angles of a result: a table, and a plot for each person.

    Hip, knee, shoulder and elbow; the trunk if up is known (refine the result first); the ankle if the
    layout has heels and toes.
    """

    result: Result
    """Folder of a result, or its poses.npz."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=("-o",))] = None
    """Folder for the results: angles.csv, angles-PERSON.png; default: that of the poses."""
    plot: bool = True
    """Draw the angles over time."""
    opensim: Annotated[Path | None, tyro.conf.arg(metavar="MODEL.osim")] = None
    """Also scale this model of OpenSim to each person and solve inverse kinematics: person_0.mot with its
    angles, the scaled model, and the markers' errors. Rajagopal2016, or a model with the same bodies."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        from repose.export.angles import angle_files, joint_angles, write_angles

        poses = read_poses(self.result)
        tracks = [joint_angles(pose) for pose in poses]
        folder = self.out or (self.result if self.result.is_dir() else self.result.parent)
        check_output(folder, angle_files(tracks, plot=self.plot), force=self.force)
        if self.opensim:
            self._follow(poses, self.opensim, folder)
        write_angles(tracks, folder, plot=self.plot, force=self.force)
        for note in dict.fromkeys(up_note(pose) for pose in poses):
            echo(note)
        for angles in tracks[:1]:
            for why in dict.fromkeys(angles.missing.values()):
                lacking = [name for name, reason in angles.missing.items() if reason == why]
                echo(f"Not computed: {', '.join(lacking)}; {why}.")
        names = angle_files(tracks, plot=self.plot)
        echo(f"{len(tracks[0].names)} angles. Written: {', '.join(str(folder / name) for name in names)}")

    def _follow(self, poses: list[Pose3D], model: Path, folder: Path) -> None:
        from repose.export.inverse_kinematics import ik_files, solve_ik

        for errors in solve_ik(poses, model, folder, force=self.force):
            echo(
                f"{model.name} follows person {errors.track_id}: markers are {errors.rms_mm:.0f} mm off "
                f"(root mean square), {errors.worst_mm:.0f} mm at worst (at {errors.worst_s:.2f} s)."
            )
        echo(f"Written: {', '.join(str(folder / name) for name in ik_files(poses))}")


def summarise_refined(poses: list[Pose3D]) -> None:
    """Print the measures before and after, how up was found, and what was left out."""
    rows = table("person", "", "before", "after", right=("person", "before", "after"))
    for pose in poses:
        refined = pose.record["refined"]
        for number, (measure, (words, factor)) in enumerate(_MEASURES.items()):
            before, after = (refined[when][measure] for when in ("before", "after"))
            if before is not None:
                name = str(pose.track_id) if number == 0 else ""
                rows.add_row(name, words, f"{factor * before:.1f}", f"{factor * after:.1f}")
    console.print(rows)
    for line in refine_notes(poses):
        echo(line)


def refine_notes(poses: list[Pose3D]) -> list[str]:
    """Return what a user must know to read the refined numbers correctly."""
    lines: list[str] = fit_notes([pose for pose in poses if "fit" in pose.record["refined"]["steps"]])
    moving = camera_note(poses[0].record)
    where = len(lines)
    for pose in poses:
        refined = pose.record["refined"]
        if "gravity" in refined["steps"] and len(lines) == where:
            lines.append(
                "Joints in metres in the world frame (z up, the ground at 0). "
                f"{up_note(pose)} The camera looks "
                f"{_towards(refined['camera_pitch_deg'], 'down', 'up')}, vertical lines lean "
                f"{_towards(refined['camera_roll_deg'], 'right', 'left')} (--camera-pitch, --camera-roll)."
            )
        if not refined.get("converged", True):
            lines.append(f"Person {pose.track_id}: the search ended before it was sure to have the best.")
        if refined.get("ground_m"):
            lines.append(
                f"Person {pose.track_id} stands {refined['ground_m']:+.2f} m above the others' ground: "
                "on something else, or not as tall as assumed."
            )
        lines += [
            f"Left out for person {pose.track_id}: {step}; {why}."
            for step, why in refined["left_out"].items()
        ]
    if moving:
        still = "" if poses[0].R_view_cam is not None else " The camera was assumed to stand still."
        lines.append(moving + still)
    return lines


def _towards(angle_deg: float, positive: str, negative: str) -> str:
    return f"{positive if angle_deg >= 0 else negative} by {abs(angle_deg):.1f}°"
