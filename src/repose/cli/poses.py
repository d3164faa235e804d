"""`repose estimate`, `repose demo` and `repose models`."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from repose.cli.refine import summarise_refined
from repose.cli.terminal import Folder, Input, ProgressBars, abbreviate, console, echo, table
from repose.export.about import camera_note, lens_note
from repose.export.results import FILES, write_poses
from repose.files.output import check_output
from repose.fitting import refine
from repose.pipeline import EstimateOptions, estimate
from repose.pose import Pose3D
from repose.tracking.people import Dropped


@dataclass(frozen=True)
class Estimate:
    """Turn a video, or the 2D keypoints of any detector, into 3D poses."""

    input: Input
    """A video, a keypoint file, or a folder of OpenPose files."""
    out: Folder
    """Folder for the results: poses.npz, poses.json, poses.csv."""
    estimation: tyro.conf.OmitArgPrefixes[EstimateOptions] = field(default_factory=EstimateOptions)
    refine: bool = False
    """Also clean the motion, as `repose refine` does by default."""
    force: bool = False
    """Overwrite existing files."""

    def run(self) -> None:
        check_output(self.out, FILES, force=self.force)
        started = time.monotonic()
        with ProgressBars() as bars:
            poses = estimate(self.input, self.estimation, progress=bars.report)
        if self.refine:
            poses = refine(poses)
        write_poses(poses, self.out, force=self.force)
        summarise(poses)
        if self.refine:
            summarise_refined(poses)
        frames = sum(len(pose) for pose in poses)
        echo(
            f"{frames} frames of {people(poses)} in {time.monotonic() - started:.1f} s. "
            f"Results: {', '.join(str(self.out / name) for name in FILES)}"
        )


@dataclass(frozen=True)
class Demo:
    """Lift the packaged sample video and compare the result with its ground truth."""

    out: Folder = Path("demo-result")
    """Folder for the results; results of an earlier demo are overwritten."""

    def run(self) -> None:
        from repose.evaluation import score_track
        from repose.sample import load_sample_truth, sample_video

        truth = load_sample_truth()
        console.print("A rendered figure walks behind a counter; its true joints are known.")
        with ProgressBars() as bars:
            poses = estimate(sample_video(), progress=bars.report)
        write_poses(poses, self.out, force=True)
        write_poses([truth.pose()], self.out / "truth", force=True)
        summarise(poses)
        console.print("Error of the main track against the truth, mean over frames and joints in mm:")
        scores = table("joints", "MPJPE", "P-MPJPE", "share", right=("MPJPE", "P-MPJPE", "share"))
        for row in score_track(max(poses, key=len), truth.joints_m, truth.hidden):
            scores.add_row(row.joints, f"{row.mpjpe_mm:.0f}", f"{row.p_mpjpe_mm:.0f}", f"{row.share:.0%}")
        console.print(scores)
        echo(f"Results: {', '.join(str(self.out / name) for name in FILES)}")
        echo(f"View them with the truth: repose view {self.out} --compare {self.out / 'truth'}")


@dataclass(frozen=True)
class Models:
    """List the packaged weights, and the architectures that checkpoints may have."""

    def run(self) -> None:
        from repose.models import list_models

        rows = table(
            "name",
            "parameters",
            "frames",
            "Hz",
            "2D input",
            "weights",
            right=("parameters", "frames", "Hz"),
        )
        for model in list_models():
            spec = model.spec
            rows.add_row(
                model.name,
                f"{model.parameters / 1e6:.1f} M",
                str(spec.window_frames),
                f"{spec.frame_rate_hz:g}",
                spec.normalisation,
                "packaged" if model.weights else "yours",
            )
        console.print(rows)
        console.print("Select packaged weights by name (--model NAME), your own by the path of a checkpoint.")


def summarise(poses: list[Pose3D]) -> None:
    """Print what was seen, inferred and assumed: one row per person, frames by number."""
    rows = table(
        "person",
        "frames",
        "seconds",
        "seen",
        "filled in",
        "left empty",
        "sides put back",
        right=("person", "frames", "seconds", "seen", "filled in", "left empty"),
    )
    for pose in poses:
        record = pose.record
        empty = [f"{first}–{last}" for first, last in record["gaps_left_empty"]]
        swaps = [
            f"{limb} {first}–{last}"
            for limb, runs in record.get("swaps_undone", {}).items()
            for first, last in runs
        ]
        rows.add_row(
            str(pose.track_id),
            *(
                (
                    f"{pose.frames[0]}–{pose.frames[-1]}",
                    f"{pose.times_s[0]:.1f}–{pose.times_s[-1]:.1f}",
                    f"{pose.seen.mean():.0%}",
                )
                if len(pose)
                else ("none", "–", "–")
            ),
            str(record["frames_filled"]),
            abbreviate(empty),
            abbreviate(swaps),
        )
    console.print(rows)
    for line in notes(poses):
        echo(line)


def notes(poses: list[Pose3D]) -> list[str]:
    """Return what a user must know to read the numbers correctly."""
    first = poses[0]
    record = first.record
    lines = [f"Read {record['source']}."] if "source" in record and "detector" not in record else []
    lines += who_is_who(poses)
    place = {
        "camera": "Joints in metres in the camera frame (x right, y down, z forward)",
        "camera-root-relative": "Joints in metres relative to the pelvis, camera axes "
        "(x right, y down, z forward)",
        "world": "Joints in metres in the world frame (z up)",
    }[first.coordinates]
    lines.append(f"{place}; scale: {first.scale}.")
    options = {
        "fps": f"--fps ({first.fps:g})",
        "image_size": f"--size ({first.image_size[0]} {first.image_size[1]})"
        if first.image_size
        else "--size",
        "height": "--height",
        "field of view": "--fov or --intrinsics",
        "confidence": "a confidence per joint",
    }
    if rate := record.get("capture_fps"):
        lines.append(f"Times are real time, filmed at {rate:g} frames per second (--capture-fps).")
    if assumed := [options.get(what, what) for what in record["assumed"]]:
        lines.append(f"Assumed, since not given: {', '.join(assumed)}.")
    if lens := lens_note(record):
        lines.append(lens)
    lines += fit_notes(poses)
    for key, what in (
        ("frames_lost_in_file", "could not be decoded"),
        ("frames_damaged_in_file", "are damaged"),
    ):
        if key in record:
            lines.append(
                f"{len(record[key])} frames of the video {what}: {abbreviate([str(f) for f in record[key]])}."
            )
    if moving := camera_note(record):
        lines.append(moving)
    if record.get("detector") == "mediapipe":
        lines.append(
            "MediaPipe follows one person at a time: choose with --person largest, central or x,y. "
            "--detector rtmpose detects several."
        )
    return lines


def fit_notes(poses: list[Pose3D]) -> list[str]:
    """Say what fitting made of each person."""
    lines = []
    for pose in poses:
        if not (fitted := pose.record.get("fit")):
            continue
        who = f"Person {pose.track_id}" if len(poses) > 1 else "The person"
        if fitted.get("left_out"):
            lines.append(
                f"{who} is as the network has them, not fitted to the picture: {fitted['left_out']}."
            )
            continue
        before, after = fitted["before"], fitted["after"]
        lines.append(
            f"{who} was fitted to the picture: joints are {100 * after['reprojection']:.1f} % of the height "
            f"from their keypoints ({100 * before['reprojection']:.1f} % before), and bones vary by up to "
            f"{100 * after['bone_variation']:.1f} % ({100 * before['bone_variation']:.1f} % before)"
            + ("." if fitted["converged"] else "; the search ended before it was sure to have the best.")
        )
        if fitted["frames_left"]:
            frames = abbreviate([f"{first}–{last}" for first, last in fitted["frames_left"]])
            lines.append(
                f"{who} is as the network has them in frames {frames}: nothing near that agrees with the "
                "picture there."
            )
    return lines


def who_is_who(poses: list[Pose3D]) -> list[str]:
    """Say who the main person is, and what happened to detections and ids that are not people's."""
    record, lines = poses[0].record, []
    if len(poses) > 1:
        lines.append(
            f"The main person is {poses[0].track_id}: people are listed by their size in the "
            "picture and how long they are in it. Choose one with --person."
        )
    if ghosts := [Dropped(**ghost) for ghost in record.get("not_people", ())]:
        lines.append(
            f"Not people, and left out (--keep-all keeps them): {abbreviate([str(g) for g in ghosts])}."
        )
    for pose in poses:
        if flips := pose.record.get("upside_down_left_out"):
            frames = abbreviate([f"{first}–{last}" for first, last in flips])
            lines.append(
                f"Person {pose.track_id} upside down for a moment, left out (--keep-all keeps it): {frames}."
            )
        if "no_room_for_upper_body" in pose.record:
            lines.append(
                f"Person {pose.track_id}: the picture shows only legs. Trunk, arms and head are inferred, "
                "whatever the detector reports (--keep-all trusts it)."
            )
    if "because" in record.get("identities", ""):
        lines.append("The person ids in the file change from frame to frame: people were tracked instead.")
    if changes := record.get("ids_change"):
        told = abbreviate([f"{before} becomes {after} in frame {frame}" for frame, before, after in changes])
        lines.append(f"The person ids in the file change: {told}. --track anew ignores them.")
    if count := record.get("second_detections_left_out"):
        lines.append(f"Second detections of the same person in a frame, left out: {count}.")
    return lines


def people(poses: list[Pose3D]) -> str:
    return "1 person" if len(poses) == 1 else f"{len(poses)} people"
