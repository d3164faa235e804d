"""Every row of the table in docs/fit.md: the network beside the fit, and how often deviations hold.

    python scripts/measure_fit.py --cmu CMU --bandai BVH --aist aist_*.npz --clips CLIPS --rendered RENDERED
        [--model CHECKPOINT] [--every 5] [--json FILE]

Each source is optional. CMU is the pack of motion capture, of which the validation subjects are taken, with
other bodies and joint definitions (as in training) before virtual cameras; BVH is motion capture, of which
`repose benchmark occlusion --quick` takes the same clips. With `--every`, one of so many of these views is
scored. `aist` are the files of scripts/score_detections.py, CLIPS those of `repose benchmark video`, RENDERED
those of `repose benchmark rendered`.

Rows: P-MPJPE of all, hidden and visible joints in mm, errors of knees and elbows in degrees, of acceleration
in m/s². Then per cent of the errors within one and two deviations: of joints that were seen and that were
not, and of each kind of angle by whether all that it depends on was seen.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from score_detections import COCO_17, LIMBS, read_views

import repose
from repose.evaluation import benchmark_rendered, benchmark_video
from repose.evaluation.conditions import CONDITIONS, Condition
from repose.evaluation.models import camera_joints_mm
from repose.evaluation.scores import Poses, Sums, add, mean, measure
from repose.evaluation.views import CAMERAS, FPS, View, choose, project_clips, read_motion
from repose.geometry.joint_angles import SIDES, angle_deviations, angle_joints, measure_angles
from repose.lifting import Lifter
from repose.mocap.recordings import MocapClip
from repose.pipeline import estimate
from repose.pose import Pose2D, Pose3D
from repose.skeleton import H36M_17, Skeleton, conversion_matrix
from repose.synthetic.augment import resize_bones, shift_joints
from repose.synthetic.motions import STATURE_M, SyntheticConfig

SHOWN = {
    "p_mpjpe_mm": ("all", "hidden", "visible"),
    "knee_flexion_error_deg": ("all",),
    "elbow_flexion_error_deg": ("all",),
    "acceleration_error_mm_per_s2": ("all",),
}
TWELVE = Skeleton("limbs", tuple(LIMBS), (-1,) * len(LIMBS))
HARD = ("clean", "detector", "legs lost 40 frames", "legs lost 40 frames, unaware")
HARDER = ("a limb lost, unaware", "own body, unaware", "counter, unaware", "pole, unaware")
Rows = dict[str, dict[str, float]]


@dataclass(frozen=True, eq=False)
class Case:
    """A track and its truth, in the order of the track's frames."""

    row: str
    track: Pose2D
    scene: dict[str, Any]
    skeleton: Skeleton
    truth_mm: Float[np.ndarray, "frames joints 3"]
    hidden: Bool[np.ndarray, "frames joints"]
    up: Float[np.ndarray, "3"] | None = None


@dataclass
class Tally:
    """What a row adds up."""

    sums: list[Mapping[str, Sums]] = field(default_factory=list)
    held: dict[str, list[np.ndarray]] = field(default_factory=lambda: defaultdict(list))
    """Errors over deviations, by what they are of."""

    def row(self) -> dict[str, float]:
        total = add(self.sums)
        found = {
            name.removesuffix("_mm").removesuffix("_deg") + ("" if group == "all" else f" {group}"): mean(
                total[name], group
            )
            for name, groups in SHOWN.items()
            for group in groups
            if name in total
        }
        for name, parts in sorted(self.held.items()):
            ratios = np.concatenate(parts)
            for deviations in (1, 2):
                if len(ratios):
                    found[f"{name} in {deviations}σ"] = 100 * float((ratios < deviations).mean())
        return {name: value for name, value in found.items() if np.isfinite(value)}


def score(case: Case, pose: Pose3D, tally: Tally) -> None:
    """Add a lifted case to a row."""
    joints_mm = camera_joints_mm(pose)
    skeleton, root = case.skeleton, pose.skeleton.parents.index(-1)
    predicted = conversion_matrix(pose.skeleton, skeleton) @ joints_mm
    truth = case.truth_mm
    if skeleton is TWELVE:  # which has no root
        hips = skeleton.indices("left_hip", "right_hip")
        predicted, truth = (x - x[:, hips].mean(axis=1, keepdims=True) for x in (predicted, truth))
    poses = Poses(predicted, truth, case.hidden, case.track.fps, skeleton, up=case.up)
    tally.sums.append(measure(poses, tuple(SHOWN)))
    if skeleton is not H36M_17 or pose.deviation_m is None or case.up is None:
        return
    kept = pose.skeleton.indices(*skeleton.joints)
    deviation_m, seen = pose.deviation_m[:, kept].astype(np.float64), pose.seen[:, kept]
    off = np.linalg.norm(predicted - truth, axis=-1) / np.maximum(1000 * deviation_m, 1e-6)
    inner = np.arange(len(kept)) != root
    for name, which in (("seen", seen & inner), ("not seen", ~seen & inner)):
        tally.held[f"joints {name}"].append(off[which])
    found, true = (measure_angles(x, skeleton, case.up) for x in (predicted, truth))
    spread = angle_deviations(predicted / 1000, deviation_m, skeleton, case.up)
    for angle, uses in angle_joints(skeleton).items():
        ratio = np.abs((found[angle] - true[angle] + 180) % 360 - 180) / np.maximum(spread[angle], 1e-6)
        kind = angle.split("_", 1)[1] if angle.startswith(SIDES) else angle
        all_seen = seen[:, list(uses)].all(axis=1)
        for name, which in (("seen", all_seen), ("not seen", ~all_seen)):
            tally.held[f"{kind} {name}"].append(ratio[which & np.isfinite(ratio)])


def score_all(cases: Iterator[Case], lifter: Lifter) -> Rows:
    """Lift every case once, fit it, and print the rows."""
    tallies: dict[str, tuple[Tally, Tally]] = defaultdict(lambda: (Tally(), Tally()))
    for case in cases:
        (bare,) = estimate(case.track, lifter=lifter, fit=False, **case.scene)
        for pose, tally in zip((bare, repose.fit(bare)), tallies[case.row], strict=True):
            score(case, pose, tally)
    rows: Rows = {}
    for name, pair in tallies.items():
        network, fitted = (tally.row() for tally in pair)
        rows |= {name: network, f"{name}, fitted": fitted}
        pairs = (f"{key} {network[key]:.1f} → {fitted[key]:.1f}" for key in fitted if "σ" not in key)
        print(f"{name}: {'; '.join(pairs)}", flush=True)
        held = [key.removesuffix(" in 1σ") for key in fitted if key.endswith("1σ")]
        shares = (f"{key} {fitted[f'{key} in 1σ']:.0f}/{fitted[f'{key} in 2σ']:.0f}" for key in held)
        print(f"    within 1σ/2σ: {'; '.join(shares)}", flush=True)
    return rows


def views(clips: list[MocapClip], seed: int, every: int) -> list[View]:
    return [one for one, *_ in project_clips(clips, CAMERAS["ordinary"], 1, seed)][::every]


def seen_as(title: str, filmed: list[View], labels: tuple[str, ...]) -> Iterator[Case]:
    """The views under conditions of the occlusion benchmark, each with its camera known."""
    by_label: dict[str, Condition] = {condition.label: condition for condition in CONDITIONS}
    for label in labels:
        for view in filmed:
            if (found := by_label[label].observe(view, 0)) is not None:
                yield Case(
                    f"{title}, {label}",
                    view.track(found.keypoints),
                    {"intrinsics_px": view.intrinsics_px, "height_m": STATURE_M},
                    H36M_17,
                    view.truth_mm,
                    found.hidden.numpy(),
                    view.up,
                )


def other_bodies(clips: list[MocapClip], seed: int) -> list[MocapClip]:
    """The clips with bones and joint definitions drawn as in training."""
    config, generator = SyntheticConfig(), torch.Generator().manual_seed(seed)
    changed = []
    for clip in clips:
        joints = resize_bones(torch.from_numpy(clip.joints_m)[None], config.bone_spread, generator)
        joints = shift_joints(joints, config.shift_m, generator)
        changed.append(replace(clip, joints_m=joints[0].numpy()))
    return changed


def straightened(clip: MocapClip) -> MocapClip:
    """Both shanks in line with their thighs."""
    joints = clip.joints_m[: int(5 * FPS)].copy()
    for side in SIDES:
        hip, knee, ankle = H36M_17.indices(*(f"{side}_{part}" for part in ("hip", "knee", "ankle")))
        thigh = joints[:, knee] - joints[:, hip]
        shank = np.linalg.norm(joints[:, ankle] - joints[:, knee], axis=-1, keepdims=True)
        joints[:, ankle] = joints[:, knee] + shank * thigh / np.linalg.norm(thigh, axis=-1, keepdims=True)
    return replace(clip, joints_m=joints)


def dances(paths: list[Path]) -> Iterator[Case]:
    joints = COCO_17.indices(*LIMBS)
    for path in paths:
        for view in read_views(path):
            truth = view.truth_mm[:, joints]
            scene = {"intrinsics_px": view.camera.intrinsics_px}
            yield Case(path.stem, view.detected, scene, TWELVE, truth, np.zeros(truth.shape[:2], dtype=bool))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="default")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--json", type=Path)
    for source in ("cmu", "bandai", "clips", "rendered"):
        parser.add_argument(f"--{source}", type=Path)
    parser.add_argument("--aist", nargs="*", type=Path, default=[])
    options = parser.parse_args()
    lifter, rows = repose.load(options.model), Rows()
    scored = partial(score_all, lifter=lifter)
    if options.cmu:
        clips = choose(other_bodies(read_motion([options.cmu]), 7), 3000, 3)
        rows |= scored(seen_as("CMU validation", views(clips, 3, options.every), HARD + HARDER))
        straight = views([straightened(clip) for clip in clips], 5, options.every)
        rows |= scored(seen_as("legs made straight", straight, HARD[:2]))
    if options.bandai:
        clips = choose(read_motion([options.bandai]), 2500, 0)
        rows |= scored(seen_as(options.bandai.name, views(clips, 0, options.every), HARD))
    if options.aist:
        rows |= scored(dances(options.aist))
    reports = (
        [benchmark_video(options.clips, [lifter], lens=lens) for lens in ("assumed", "given")]
        if options.clips
        else []
    )
    reports += [benchmark_rendered(options.rendered, [lifter])] if options.rendered else []
    for report in reports:
        print(report.to_markdown(), flush=True)
    if options.json:
        content = {"rows": rows, "reports": [report.content() for report in reports]}
        options.json.write_text(json.dumps(content, indent=1, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
