"""`repose estimate` and `repose demo`."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import tyro

from repose.cli.refine import summarise_refined
from repose.cli.terminal import Folder, Input, ProgressBars, console, echo, table
from repose.export.notes import abbreviate, notes
from repose.export.results import FILES, write_poses
from repose.files.output import check_output
from repose.fitting import refine
from repose.pipeline import EstimateOptions, estimate
from repose.pose import Pose3D


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
            poses = refine(poses, fit=self.estimation.fit)
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
        true_pose = truth.pose()
        write_poses([true_pose], self.out / "truth", force=True)
        summarise(poses)
        console.print("Error of the main track against the truth, mean over frames and joints in mm:")
        scores = table("joints", "MPJPE", "P-MPJPE", "share", right=("MPJPE", "P-MPJPE", "share"))
        main = max(poses, key=len).to(true_pose.skeleton)
        for row in score_track(main, truth.joints_m, truth.hidden):
            scores.add_row(row.joints, f"{row.mpjpe_mm:.0f}", f"{row.p_mpjpe_mm:.0f}", f"{row.share:.0%}")
        console.print(scores)
        echo(f"Results: {', '.join(str(self.out / name) for name in FILES)}")
        echo(f"View them with the truth: repose view {self.out} --compare {self.out / 'truth'}")


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


def people(poses: list[Pose3D]) -> str:
    return "1 person" if len(poses) == 1 else f"{len(poses)} people"
