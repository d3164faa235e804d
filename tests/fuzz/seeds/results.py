"""Results of `repose estimate` and `repose refine`."""

import io
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow
import pyarrow.parquet

from repose.batch import VideoRow
from repose.batch.dataset import open_output
from repose.export.parquet import write_frames
from repose.export.results import write_poses
from repose.fitting import refine
from repose.pipeline import EstimateOptions
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


def batch_poses() -> bytes:
    with folder_of_its_own() as folder:
        write_frames([pose(), pose(3)], folder / "a.parquet", "walk-1")
        return (folder / "a.parquet").read_bytes()


def batch_row() -> bytes:
    row = VideoRow(name="walk-1", source="/clips/walk.mp4", status="done", version="0.2.0", took_s=2.5)
    return msgspec.json.encode(row.about([pose()]))


def batch_about() -> bytes:
    with folder_of_its_own() as folder:
        open_output(folder / "out", EstimateOptions())
        return (folder / "out" / "batch.json").read_bytes()


def video_table() -> bytes:
    return b"path,height,person,intrinsics\nwalk.mp4,1.82,largest,500 510 320 240\ns3://b/a.mp4,,2,\n"


def video_table_parquet() -> bytes:
    table = pyarrow.table({"path": ["walk.mp4", "run.mp4"], "height": [1.82, None], "person": ["1", None]})
    data = io.BytesIO()
    pyarrow.parquet.write_table(table, data)
    return data.getvalue()
