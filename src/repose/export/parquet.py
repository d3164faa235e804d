"""Parquet, for pandas, Polars, DuckDB, R and the like.

`write_parquet` writes the table of `poses.csv` with its types, a column a number; `write_frames` the data
set of a batch, with the joints of a frame as one list, which `read_frames` reads back.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import expected, needing, reads
from repose.export.about import About, describe, one_skeleton, take_track
from repose.files.structured import decode
from repose.pose import Pose3D

_JOINTS = 0
LISTS = {
    "joints_m": (
        (_JOINTS, 3),
        "float32",
        "x, y, z of each joint in metres; axes and frame: see the metadata `repose`",
    ),
    "seen": ((_JOINTS,), "bool", "for each joint, true where it was seen, false where it was inferred"),
    "confidence": ((_JOINTS,), "float32", "for each joint, of its 2D keypoint, 0 to 1"),
    "deviation_m": ((_JOINTS,), "float32", "standard deviation of each joint in metres; NaN where not known"),
    "points_px": ((_JOINTS, 2), "float32", "x, y of each joint's 2D keypoint in pixels; NaN where not known"),
    "R_view_cam": ((3, 3), "float32", "turn of a camera that moves, row by row; NaN for one that stands"),
}
"""Columns of `write_frames` that hold a list of fixed size: shape (0: number of joints), type and meaning."""
_NUMBERS = {
    "video": ("string", "name of the video"),
    "track_id": ("int64", "person"),
    "frame": ("int64", "number of the frame in the video, from 0"),
    "time_s": ("float64", "time of the frame in seconds"),
}
_ROW_BYTES = 64


def write_parquet(poses: Sequence[Pose3D], path: Path) -> None:
    """Write one row per track and frame, with the columns of `repose.export.results.write_csv`, unrounded.

    The schema's metadata hold the tracks' `about`, a JSON list, under `repose`. What a track lacks is null.

    Raises UserError where pyarrow is not installed, for no tracks, and for tracks of several skeletons.
    """
    pyarrow = import_pyarrow()
    skeleton = one_skeleton(poses)

    def rows(name: str, joint: int, axis: int | None = None) -> np.ndarray:
        """One column of the array `name` of all tracks (joint: or row); NaN for those without."""
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
    if any(pose.R_view_cam is not None for pose in poses):
        columns |= {f"R_view_cam_{number}": rows("R_view_cam", *divmod(number, 3)) for number in range(9)}
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}
    table = pyarrow.table(arrays)
    about = json.dumps([describe(pose) for pose in poses])
    pyarrow.parquet.write_table(table.replace_schema_metadata({"repose": about}), path)


def frame_columns(poses: Sequence[Pose3D]) -> dict[str, np.ndarray]:
    """Return one row a frame and person: `track_id`, `frame`, `time_s`, and the columns of `LISTS`.

    Those are arrays (rows, joints, values), NaN for a track without. Raises UserError for no tracks, and
    for tracks of several skeletons.
    """
    skeleton = one_skeleton(poses)
    lengths = [len(pose) for pose in poses]
    columns: dict[str, np.ndarray] = {
        "track_id": np.repeat([pose.track_id for pose in poses], lengths),
        "frame": np.concatenate([pose.frames for pose in poses]),
        "time_s": np.concatenate([pose.times_s for pose in poses]),
    }
    for name, (_, dtype, _) in LISTS.items():
        shape = _shape(name, len(skeleton))
        parts = [getattr(pose, name) for pose in poses]
        columns[name] = np.concatenate(
            [
                np.full((length, *shape), np.nan, dtype) if part is None else part.astype(dtype)
                for part, length in zip(parts, lengths, strict=True)
            ]
        )
    return columns


def write_frames(poses: Sequence[Pose3D], path: Path, video: str) -> None:
    """Write one row a frame and person, with the joints as lists of fixed size (`LISTS`).

    A list runs over the joints, and for each over its values, so that reshaping a column to (rows, joints,
    values) gives arrays. Each field's metadata have its meaning and shape; those of the schema have under
    `repose` the tracks' `about`, a JSON list, with joints, parents, units, axes and coordinate frame.

    Raises UserError where pyarrow is not installed, for no tracks, and for tracks of several skeletons.
    """
    pyarrow = import_pyarrow()
    columns = {"video": np.full(sum(map(len, poses)), video), **frame_columns(poses)}
    fields, arrays = [], []
    for name, values in columns.items():
        if name in LISTS:
            count = math.prod(_shape(name, len(poses[0].skeleton)))
            array = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), count)
            about = {"meaning": LISTS[name][2], "shape": json.dumps([*values.shape[1:]])}
        else:
            kind, meaning = _NUMBERS[name]
            array, about = pyarrow.array(values, type=getattr(pyarrow, kind)()), {"meaning": meaning}
        fields.append(pyarrow.field(name, array.type, nullable=False, metadata=about))
        arrays.append(array)
    abouts = [{**describe(pose), "dtypes": _dtypes(pose)} for pose in poses]
    schema = pyarrow.schema(fields, metadata={"repose": json.dumps(abouts)})
    pyarrow.parquet.write_table(pyarrow.table(arrays, schema=schema), path, compression="zstd")


@reads("3D poses that repose batch wrote", "Make them again.")
def read_frames(path: Path) -> list[Pose3D]:
    """Read the tracks that `write_frames` wrote.

    Raises UserError for a file that is absent, damaged or something else, and without pyarrow.
    """
    pyarrow = import_pyarrow()
    size = path.stat().st_size
    with pyarrow.parquet.ParquetFile(path) as file:
        abouts = decode(path.name, (file.schema_arrow.metadata or {}).get(b"repose", b""), list[About])
        joints = len(abouts[0].joints) if abouts else 1
        row_bytes = _ROW_BYTES + 4 * sum(math.prod(_shape(name, joints)) for name in LISTS)
        if file.metadata.num_rows * row_bytes > max(128 << 20, 100 * size):
            expected(path.name, "as many rows as its bytes can hold", f"{file.metadata.num_rows:,} rows")
        table = file.read()
    arrays: dict[str, np.ndarray] = {
        "frames": table["frame"].to_numpy(),
        "times_s": table["time_s"].to_numpy(),
    }
    for name in LISTS:
        flat = table[name].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        arrays[name] = flat.reshape(len(table), *_shape(name, joints))
    ids = table["track_id"].to_numpy()
    poses, start = [], 0
    for about in abouts:
        stop = start + int((ids[start:] == about.track_id).cumprod().sum())
        poses.append(take_track(about, arrays, slice(start, stop)))
        start = stop
    if start != len(ids):
        expected(path.name, f"rows of {len(abouts)} tracks, one after the other", f"{len(ids)} rows")
    return poses


def _shape(name: str, joints: int) -> tuple[int, ...]:
    """Shape of a row of this column."""
    return tuple(joints if axis == _JOINTS else axis for axis in LISTS[name][0])


def _dtypes(pose: Pose3D) -> dict[str, str | None]:
    return {
        "joints_m": "float32",
        "confidence": "float32",
        "points_px": None if pose.points_px is None else "float32",
        "deviation_m": None if pose.deviation_m is None else "float32",
        "T_cam_world": None if pose.T_cam_world is None else pose.T_cam_world.dtype.name,
        "R_view_cam": None if pose.R_view_cam is None else "float32",
    }


def import_pyarrow() -> Any:
    """Import pyarrow, with its parts for Parquet and for files; raises UserError where it is absent."""
    with needing(
        "Parquet files need pyarrow", "pip install pyarrow; it is in RePOSE's extras “export” and “batch”."
    ):
        import pyarrow
        import pyarrow.fs
        import pyarrow.parquet
    return pyarrow
