"""The lifter on a real detector's keypoints of people whose 3D is known: how much is the detector's error?

    python scripts/score_detections.py aist_*.npz [--model default --model mine.safetensors] [--json FILE]

Each FILE has one person seen by several calibrated cameras: `keypoints2d_px` (cameras, frames, 17, 3),
COCO-17 points and scores, `joints3d_cm` (frames, 17, 3) in a world frame, `fps`, `size`, and for each camera
`K`, `distortion` (k1, k2, p1, p2, …), `R_cam_world` and `t_cam_world_cm`: published annotations of AIST++ (Li
et al., ICCV 2021) by other names. Every view is lifted from the detector's points and from the truth's own
projections with confidence 1, the camera given; both by the network alone and fitted to the picture. P-MPJPE
of the twelve joints of the limbs, all frames and cameras, and the mean error of the angles at knees and
elbows; `flat` is the picture without depth.
"""

import argparse
import json
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from jaxtyping import Float

import repose
from repose.files.arrays import load_arrays
from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.lifting import Lifter
from repose.metrics import per_joint_error, procrustes_align
from repose.pipeline import estimate
from repose.pose import Pose2D
from repose.skeleton import H36M_17, SKELETONS

COCO_17 = SKELETONS["coco-17"]
LIMBS = [
    f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
]
HINGES = {"knee": ("hip", "knee", "ankle"), "elbow": ("shoulder", "elbow", "wrist")}


@dataclass(frozen=True, eq=False)
class View:
    """One camera's part of a file."""

    name: str
    camera: Camera
    truth_mm: Float[np.ndarray, "frames 17 3"]
    """COCO-17, camera frame."""
    detected: Pose2D
    projected: Pose2D


def read_views(path: Path) -> list[View]:
    arrays = load_arrays(str(path), path)
    size = tuple(int(side) for side in arrays["size"])
    views = []
    for number, found in enumerate(arrays["keypoints2d_px"].astype(np.float64)):
        turn, place = arrays["R_cam_world"][number], arrays["t_cam_world_cm"][number]
        pose = RigidTransform(turn.astype(np.float64), place.astype(np.float64) / 100)
        camera = Camera(arrays["K"][number], arrays["distortion"][number, :4], pose)
        truth_m = arrays["joints3d_cm"].astype(np.float64) / 100
        score = np.nan_to_num(found[..., 2]).clip(0, 1)
        score[~np.isfinite(found[..., :2]).all(axis=-1)] = 0

        def track(points: np.ndarray, confidence: np.ndarray) -> Pose2D:
            return Pose2D(
                points_px=np.where(confidence[..., None] > 0, points, 0).astype(np.float32),
                confidence=confidence.astype(np.float32),
                frames=np.arange(len(points)),
                fps=float(arrays["fps"]),
                image_size=size,
                skeleton=COCO_17,
            )

        views.append(
            View(
                f"{path.stem}, camera {number}",
                camera,
                1000 * (truth_m @ turn.T + place / 100),
                track(np.nan_to_num(found[..., :2]), score),
                track(camera.project(truth_m), np.ones_like(score)),
            )
        )
    return views


def lift(view: View, track: Pose2D, lifter: Lifter, fit: bool) -> Float[np.ndarray, "frames 12 3"]:
    """As `repose estimate` with the camera given."""
    K = view.camera.intrinsics_px
    (pose,) = estimate(track, lifter=lifter, intrinsics_px=K, root=False, fit=fit)
    return 1000 * pose.joints_m[:, H36M_17.indices(*LIMBS)].astype(np.float64)


def angle_deg(
    joints: Float[np.ndarray, "frames 12 3"], side: str, hinge: str
) -> Float[np.ndarray, " frames"]:
    """Angle at a hinge, 180 for a straight limb."""
    above, here, below = (joints[:, LIMBS.index(f"{side}_{joint}")] for joint in HINGES[hinge])
    one, other = above - here, below - here
    cosine = (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def errors(
    found: Float[np.ndarray, "frames 12 3"], true: Float[np.ndarray, "frames 12 3"]
) -> dict[str, float]:
    scores = {"P-MPJPE mm": float(per_joint_error(procrustes_align(found, true), true).mean())}
    for hinge in HINGES:
        off = [
            np.abs(angle_deg(found, side, hinge) - angle_deg(true, side, hinge)).mean()
            for side in ("left", "right")
        ]
        scores[f"{hinge} deg"] = float(np.mean(off))
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--model", action="append", help="packaged weights or a checkpoint; several times")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    for path in options.files:
        views = read_views(path)
        for model in options.model or ["default"]:
            lifter = repose.load(model)
            for source, fit in product(("detected", "projected"), (False, True)):
                scores = []
                for view in views:
                    true = view.truth_mm[:, COCO_17.indices(*LIMBS)]
                    scores.append(errors(lift(view, getattr(view, source), lifter, fit), true))
                name = f"{path.stem} | {model}{', fitted' if fit else ''} | {source}"
                rows[name] = {key: float(np.mean([score[key] for score in scores])) for key in scores[0]}
        flat = []
        for view in views:
            points = view.projected.points_px[:, COCO_17.indices(*LIMBS)].astype(np.float64)
            picture = np.concatenate([points, np.zeros_like(points[..., :1])], axis=-1)
            true = view.truth_mm[:, COCO_17.indices(*LIMBS)]
            flat.append(per_joint_error(procrustes_align(picture, true), true).mean())
        rows[f"{path.stem} | flat | projected"] = {"P-MPJPE mm": float(np.mean(flat))}
    for name, scores in rows.items():
        print(f"{name:70} " + "  ".join(f"{key} {value:6.1f}" for key, value in scores.items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
