"""Results of `repose estimate` and `repose refine`."""

from dataclasses import replace

import numpy as np

from repose.export.results import write_poses
from repose.fitting import refine
from repose.pose import Pose3D
from repose.sample import load_sample_truth

from .keypoints import FRAMES
from .packing import folder_of_its_own


def pose(track_id: int = 0) -> Pose3D:
    truth = load_sample_truth().pose()
    rows = {
        name: getattr(truth, name)[:FRAMES]
        for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px")
    }
    record = {
        "assumed": ["fps", "height"], "frames_filled": 0, "gaps_left_empty": [[3, 4]], "video": "walk.mp4",
        "detector": "mediapipe", "swaps_undone": {"legs": [[2, 3]]}, "frames_lost_in_file": [5],
    }  # fmt: skip
    deviation = np.full(rows["seen"].shape, 0.05, np.float32)
    return replace(
        truth,
        **rows,
        deviation_m=deviation,
        record=record,
        track_id=track_id,
        model="default",
        T_cam_world=None,
    )


def result(*poses: Pose3D) -> bytes:
    with folder_of_its_own() as folder:
        write_poses(poses, folder / "result")
        return (folder / "result" / "poses.npz").read_bytes()


def refined() -> Pose3D:
    return refine([pose()])[0]
