"""Parquet: the table of `poses.csv` with its types, for pandas, Polars, DuckDB, R and the like."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from repose.errors import UserError
from repose.export.results import describe, one_skeleton
from repose.pose import Pose3D


def write_parquet(poses: Sequence[Pose3D], path: Path) -> None:
    """Write one row per track and frame, with the columns of `repose.export.results.write_csv`, unrounded.

    The schema's metadata hold the tracks' `about`, a JSON list, under `repose`. What a track lacks is null.

    Raises UserError where pyarrow is not installed, for no tracks, and for tracks of several skeletons.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UserError(
            "Parquet files need pyarrow, which is not installed",
            "pip install pyarrow; it is in RePOSE's extra “export”.",
        ) from None
    skeleton = one_skeleton(poses)

    def rows(name: str, joint: int, axis: int | None = None) -> np.ndarray:
        """One column of the array `name` of all tracks; NaN for those without."""
        parts = []
        for pose in poses:
            values = getattr(pose, name)
            if values is None:
                parts.append(np.full(len(pose), np.nan, np.float32))
            else:
                parts.append(values[:, joint] if axis is None else values[:, joint, axis])
        return np.concatenate(parts)

    columns: dict[str, np.ndarray] = {
        "track_id": np.repeat([pose.track_id for pose in poses], [len(pose) for pose in poses]),
        "frame": np.concatenate([pose.frames for pose in poses]),
        "time_s": np.concatenate([pose.times_s for pose in poses]),
    }
    for joint, name in enumerate(skeleton.joints):
        for axis, letter in enumerate("xyz"):
            columns[f"{name}_{letter}_m"] = rows("joints_m", joint, axis)
        columns[f"{name}_deviation_m"] = rows("deviation_m", joint)
        columns[f"{name}_seen"] = rows("seen", joint)
        columns[f"{name}_confidence"] = rows("confidence", joint)
        for axis, letter in enumerate("uv"):
            columns[f"{name}_{letter}_px"] = rows("points_px", joint, axis)
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}
    table = pyarrow.table(arrays)
    about = json.dumps([describe(pose) for pose in poses])
    pyarrow.parquet.write_table(table.replace_schema_metadata({"repose": about}), path)
