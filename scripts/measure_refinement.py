"""What refining does to lifted motion: on motion capture that virtual cameras film, and on a real clip.

    python scripts/measure_refinement.py FOLDER [--every 1] [--model default] [--seed 0] [--video CLIP]

Every clip of FOLDER (BVH, AMC, joint files), or one of so many, cut to 5 s, is filmed at its own rate (at
most 60) by one still camera: yaw anyhow, pitch -10 to 40 degrees, roll 9 degrees (one sigma), 1.8 to 5 body
heights away, the focal length 5 % wrong (one sigma). The 2D has a detector's errors (`ERRORS`), without
exchanges of left and right. It is lifted, fitted, and refined with the defaults. Rows: errors of each against
the truth in the camera frame.

CLIP is a folder with `gt_single.npz` (see `repose benchmark video`) and `mediapipe_cam01.npz`,
`mediapipe_cam02.npz`: 12 joints, frames 1 to 99; accelerations after one similarity for the clip.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import repose
from repose.errors import UserError
from repose.metrics import acceleration_error, mpjpe, p_mpjpe, procrustes_align
from repose.mocap.recordings import MocapClip, read_mocap, resample
from repose.skeleton import stature
from repose.synthetic.detector_errors import DetectionConfig, detect
from repose.synthetic.virtual_camera import world_to_camera

SIDE_PX, FOCAL_PX, LONGEST_S = 1280, 1400.0, 5.0
ERRORS = DetectionConfig(
    p_clean=0.3,
    p_swap_all=0,
    p_swap_arms=0,
    p_swap_legs=0,
    p_limb_lost=0.05,
    p_wrong_place=0.05,
    wrong_place=(0.03, 0.25),
    together=0.0,
)
COLUMNS = ("P-MPJPE mm", "MPJPE mm", "place mm", "accel. m/s²", "skating m/s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--video", type=Path)
    options = parser.parse_args()
    lifter = repose.load(options.model)
    rng, generator = np.random.default_rng(options.seed), torch.Generator().manual_seed(options.seed)
    rows: dict[str, list[tuple[float, ...]]] = {"lifted": [], "fitted": [], "refined": []}
    tilts = []
    for clip in read_mocap(options.folder)[:: options.every]:
        filmed = sample_views(resample(clip, min(clip.fps, 60.0)), rng, generator)
        if filmed is None:
            continue
        track, height_m, truth, up = filmed
        try:
            lens = (FOCAL_PX, FOCAL_PX, SIDE_PX / 2, SIDE_PX / 2)
            raw = lifter.lift(track, intrinsics_px=lens, height_m=height_m, max_gap_s=LONGEST_S)
        except UserError:  # a short clip whose frames were all lost
            continue
        fitted = repose.fit(raw)
        (clean,), (same,) = repose.refine(fitted), repose.refine(raw)
        truth = truth[raw.frames]
        of = {name: pose.record["refined"] for name, pose in (("fitted", clean), ("lifted", same))}
        measures = {name: record["before"] for name, record in of.items()} | {
            "refined": of["fitted"]["after"]
        }
        for name, pose in (("lifted", raw), ("fitted", fitted), ("refined", clean)):
            joints, skating = pose.camera_joints_m(), measures[name]["foot_skating_m_s"]
            steady = acceleration_error(joints, truth, pose.fps).mean()
            rows[name].append((*errors(joints, truth), steady, np.nan if skating is None else skating))
        tilts.append(angle_deg(clean.T_cam_world[:3, 2], up))
    print(f"{len(tilts)} clips; means over clips")
    print(f"{'':10}" + "".join(f"{column:>13}" for column in COLUMNS))
    for name, values in rows.items():
        print(f"{name:10}" + "".join(f"{value:13.3f}" for value in np.nanmean(values, axis=0)))
    shares = np.quantile(tilts, [0.5, 0.8, 0.95])
    print("up is off by (50, 80, 95 % of the clips are below)" + "".join(f"{x:6.1f}°" for x in shares))
    if options.video:
        for camera in ("cam01", "cam02"):
            score_video(options.video, camera, lifter)


def sample_views(
    clip: MocapClip, rng: np.random.Generator, generator: torch.Generator
) -> tuple[repose.Pose2D, float, np.ndarray, np.ndarray] | None:
    """What a detector sees of the clip, the person's height, the joints in the camera frame, and up there."""
    joints = clip.joints_m[: round(LONGEST_S * clip.fps)].astype(np.float64)
    if len(joints) < 0.8 * clip.fps:
        return None
    yaw, roll = rng.uniform(-np.pi, np.pi), np.clip(rng.normal(0, np.radians(9)), -0.5, 0.5)
    pitch = np.radians(rng.uniform(-10, 40))
    R = world_to_camera(*(torch.tensor([float(angle)]) for angle in (yaw, pitch, roll)))[0].double().numpy()
    height_m = float(np.median(stature(joints)))
    truth = (joints - joints.mean(axis=(0, 1))) @ R.T
    ray = np.array([*np.tan(rng.uniform(-0.2, 0.2, 2)), 1])
    truth = truth + max(height_m * np.exp(rng.uniform(*np.log((1.8, 5)))), 0.8 - truth[..., 2].min()) * ray
    rays = torch.from_numpy((truth[..., :2] / truth[..., 2:])[None]).float()
    apparent = torch.tensor([height_m / truth[..., 2].mean()]).float()
    found = detect(rays, apparent, ERRORS, generator)[0].numpy()
    focal_px = FOCAL_PX * np.exp(rng.normal(0, 0.05))
    track = repose.Pose2D(
        points_px=found[..., :2] * focal_px + SIDE_PX / 2,
        confidence=np.clip(found[..., 2], 0, 1),
        frames=np.arange(len(joints)),
        fps=clip.fps,
        image_size=(SIDE_PX, SIDE_PX),
        skeleton="h36m-17",
    )
    return track, height_m, truth, R[:, 2]


def errors(joints: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    """P-MPJPE, MPJPE and error of the root after one factor, in millimetres."""
    root, goal = joints[:, 0], truth[:, 0]
    factor = np.median(np.linalg.norm(goal, axis=-1) / np.linalg.norm(root, axis=-1))
    place = np.linalg.norm(factor * root - goal, axis=-1).mean()
    relative = mpjpe(joints - joints[:, :1], truth - truth[:, :1]).mean()
    return 1000 * float(p_mpjpe(joints, truth).mean()), 1000 * float(relative), 1000 * float(place)


def score_video(folder: Path, camera: str, lifter: repose.Lifter) -> None:
    truth, found = np.load(folder / "gt_single.npz"), np.load(folder / f"mediapipe_{camera}.npz")
    frames = np.flatnonzero(found["detected"])
    width, height = found["size"].tolist()
    track = repose.Pose2D(
        found["xy_px"][frames],
        np.clip(found["visibility"][frames], 0, 1),
        frames,
        float(found["fps"]),
        (width, height),
        "mediapipe-33",
    )
    (raw,) = repose.estimate(track, lifter=lifter, fit=False)
    (fitted,) = repose.estimate(track, lifter=lifter)
    (clean,) = repose.refine(fitted)
    target = truth["joints_m"][raw.frames][1:].astype(np.float64)
    for name, pose in (("lifted", raw), ("fitted", fitted), ("refined", clean)):
        joints = pose.joints_m[1:, pose.skeleton.indices(*truth["joint_names"].tolist())].astype(np.float64)
        aligned = procrustes_align(joints.reshape(1, -1, 3), target.reshape(1, -1, 3)).reshape(joints.shape)
        steady = acceleration_error(aligned, target, raw.fps).mean()
        print(f"{camera} {name:8} P-MPJPE {1000 * p_mpjpe(joints, target).mean():6.1f} mm", end="")
        print(f"  acceleration error {steady:6.1f} m/s²")
    off = angle_deg(clean.T_cam_world[:3, 2], truth[f"{camera}_R"] @ [0, 0, 1])
    print(f"{camera} up is off by {off:.1f}°")


def angle_deg(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))


if __name__ == "__main__":
    main()
