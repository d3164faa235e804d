"""The result files `poses.npz`, `poses.json` and `poses.csv`: self-describing 3D tracks.

Each file alone describes itself. What holds for a whole track (`about`: joints, parents, units,
axes, frame, rate, scale, model, …) is one JSON object: in the `.npz` the string array `about`, in the
`.json` the keys beside a track's `poses`, in the `.csv` the column `about` on the first row of the track.

The `.npz` is exact and is what `read_poses` opens. The `.json` is rounded to 0.01 mm, 0.01 px and 0.0001
of confidence. The `.csv` has a plain header row and no comment lines, so that every spreadsheet and
table library opens it without options; the units stand in the names of its columns.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import UserError, expected, reads
from repose.export.about import (
    FORMAT,
    UNITS,
    VERSION,
    About,
    Dtypes,
    Record,
    describe,
    one_skeleton,
    take_track,
)
from repose.files.arrays import NUMPY_STARTS, load_arrays
from repose.files.output import check_output, stage
from repose.files.structured import convert, decode
from repose.pose import Pose3D

FILES = ("poses.npz", "poses.json", "poses.csv")

_COLUMNS = ("frames", "times_s", "joints_m", "seen", "confidence", "deviation_m", "points_px")


def write_poses(poses: Sequence[Pose3D], folder: str | Path, *, force: bool = False) -> None:
    """Write `poses.npz`, `poses.json` and `poses.csv` into `folder`, all of them or none.

    Args:
        poses: tracks with the same skeleton.
        folder: where to write.
        force: overwrite existing files.

    Raises:
        UserError: no tracks, different skeletons, existing files without `force`, and an output that
            cannot be written.
    """
    with stage(folder, FILES, force=force) as partial:
        write_npz(poses, partial / "poses.npz")
        write_json(poses, partial / "poses.json")
        write_csv(poses, partial / "poses.csv")


def check_results(folder: str | Path, *, force: bool = False) -> None:
    """Raise UserError where `write_poses` would, for what is in `folder`; meant for before long work."""
    check_output(folder, FILES, force=force)


@reads("3D poses that RePOSE wrote", "Make them again.")
def read_poses(path: str | Path) -> list[Pose3D]:
    """Read the tracks of a result folder, of its `poses.npz`, or of a batch's `poses/NAME.parquet`, exactly.

    Raises:
        UserError: a file that is absent, damaged or something else, and a format version that this
            RePOSE does not read.
    """
    path = Path(path)
    file = path / "poses.npz" if path.is_dir() else path
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{file}: no such file", "Give a folder that repose estimate wrote.") from None
    name = file.name
    if data.startswith(b"PAR1"):  # a video of a batch
        from repose.export.parquet import read_frames

        return read_frames(file)
    if not data.startswith(NUMPY_STARTS):
        hint = "Give a folder that repose estimate wrote."
        expected(name, "a result folder, or its poses.npz", "another file", hint)
    arrays = load_arrays(name, data)
    if str(arrays.get("format", "")) != FORMAT:
        found = ", ".join(list(arrays)[:4]) or "nothing"
        expected(
            name, "3D poses that RePOSE wrote", f"arrays {found}", "2D keypoints are read by read_keypoints."
        )
    version = arrays.get("version", np.array("none"))
    if version.shape != () or version != VERSION:
        expected(name, f"format version {VERSION}", version, "Read it with the RePOSE that wrote it.")
    if missing := [key for key in ("about", "rows", *_COLUMNS) if key not in arrays]:
        expected(name, "the arrays of a complete result", f"no {', '.join(missing)}", "Make it again.")
    about, rows = arrays["about"], arrays["rows"]
    if about.ndim != 1 or about.dtype.kind != "U" or rows.shape != (len(about), 2) or not len(about):
        expected(name, "`about` and rows for each track", f"about {about.shape}, rows {rows.shape}")
    there = arrays["frames"].size
    arrays.setdefault("R_view_cam", np.full((there, 3, 3), np.nan))  # of a camera that stood still
    for key in (*_COLUMNS, "R_view_cam"):
        if arrays[key].shape[:1] != (there,):
            expected(
                f"{name}: {key}", f"{there} rows, as many as frames", arrays[key].shape, "Make it again."
            )
    if rows.dtype.kind not in "iu" or any(not 0 <= first <= last <= there for first, last in rows.tolist()):
        expected(f"{name}: rows", f"first and last of each track's rows, of {there}", rows.tolist())
    poses = []
    for number, (text, bounds) in enumerate(zip(about.tolist(), rows.tolist(), strict=True)):
        where = f"{name}: track {number}"
        header: About = decode(where, text, About)
        convert(f"{where}: record", header.record, Record)
        try:
            poses.append(take_track(header, arrays, slice(*bounds)))
        except (UserError, ValueError) as error:
            raise UserError(f"{where}: {str(error).partition(chr(10))[0]}", "Make it again.") from None
    return poses


def write_npz(poses: Sequence[Pose3D], path: Path) -> None:
    """Write exact arrays, without pickles: the rows of all tracks, with `rows` as their start and stop.

    Per row: `track_id`, `frames`, `times_s`, `joints_m`, `seen`, `confidence`, and, NaN for a track without,
    `deviation_m`, `points_px` and `R_view_cam`. For the file: `format`, `version`, `skeleton`, `joints`,
    `parents` (indices), `units`, `coordinates`, `fps` and `about`, one text per track.
    """
    skeleton = one_skeleton(poses)
    stops = np.cumsum([len(pose) for pose in poses])
    dtypes = [
        {
            name: None if (array := getattr(pose, name)) is None else array.dtype.name
            for name in Dtypes.__struct_fields__
        }
        for pose in poses
    ]
    abouts = [{**describe(pose), "dtypes": kinds} for pose, kinds in zip(poses, dtypes, strict=True)]
    np.savez_compressed(
        path,
        format=np.array(FORMAT),
        version=np.array(VERSION),
        skeleton=np.array(skeleton.name),
        joints=np.array(skeleton.joints),
        parents=np.array(skeleton.parents),
        units=np.array(json.dumps(UNITS)),
        coordinates=np.array([pose.coordinates for pose in poses]),
        fps=np.array([pose.fps for pose in poses]),
        about=np.array([json.dumps(about) for about in abouts]),
        rows=np.column_stack([stops - [len(pose) for pose in poses], stops]),
        track_id=np.repeat([pose.track_id for pose in poses], [len(pose) for pose in poses]),
        frames=np.concatenate([pose.frames for pose in poses]),
        times_s=np.concatenate([pose.times_s for pose in poses]),
        joints_m=np.concatenate([pose.joints_m for pose in poses]),
        seen=np.concatenate([pose.seen for pose in poses]),
        confidence=np.concatenate([pose.confidence for pose in poses]),
        deviation_m=np.concatenate([_or_nan(pose.deviation_m, pose.seen.shape) for pose in poses]),
        points_px=np.concatenate([_or_nan(pose.points_px, (*pose.seen.shape, 2)) for pose in poses]),
        R_view_cam=np.concatenate([_or_nan(pose.R_view_cam, (len(pose), 3, 3)) for pose in poses]),
    )


def write_json(poses: Sequence[Pose3D], path: Path) -> None:
    """Write one object per track with its `about` and `poses`, one line per frame.

    A frame has `frame`, `time_s`, and in the order of `joints` `joints_m`, `seen` (true seen, false
    inferred), `confidence` and, for a track that has them, `deviation_m`, the 2D keypoints `points_px` and
    the camera's turn `R_view_cam`.
    """
    one_skeleton(poses)
    with path.open("w", encoding="utf-8") as file:
        file.write(f'{{"format": {json.dumps(FORMAT)}, "version": {VERSION}, "tracks": [')
        for number, pose in enumerate(poses):
            about = json.dumps(describe(pose), ensure_ascii=False, indent=1).removesuffix("\n}")
            file.write(("" if number == 0 else ",") + "\n" + about + ',\n "poses": [')
            for row, frame in enumerate(_json_frames(pose)):
                file.write(("" if row == 0 else ",") + "\n  " + json.dumps(frame))
            file.write("\n ]}")
        file.write("\n]}\n")


def write_csv(poses: Sequence[Pose3D], path: Path) -> None:
    """Write one row per track and frame: `track_id, frame, time_s`, eight columns per joint, `about`.

    The columns of a joint are `left_knee_x_m`, `_y_m`, `_z_m`, `_deviation_m`, `_seen` (1 seen, 0
    inferred), `_confidence`, and the 2D keypoint `_u_px`, `_v_px`. Where a camera turned, `R_view_cam_0` to
    `_8` follow, row by row (`Pose3D.R_view_cam`). What a track lacks stays empty.
    """
    skeleton = one_skeleton(poses)
    turns = any(pose.R_view_cam is not None for pose in poses)
    columns = ("x_m", "y_m", "z_m", "deviation_m", "seen", "confidence", "u_px", "v_px")
    header = [f"{joint}_{column}" for joint in skeleton.joints for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        turn = [f"R_view_cam_{number}" for number in range(9)] if turns else []
        table.writerow(["track_id", "frame", "time_s", *header, *turn, "about"])
        for pose in poses:
            about = json.dumps(describe(pose))
            for row in range(len(pose)):
                cells = [str(pose.track_id), str(int(pose.frames[row])), f"{pose.times_s[row]:.6f}"]
                for joint in range(len(skeleton)):
                    cells += [f"{value:.5f}" for value in pose.joints_m[row, joint]]
                    cells.append("" if pose.deviation_m is None else f"{pose.deviation_m[row, joint]:.4f}")
                    cells += [str(int(pose.seen[row, joint])), f"{pose.confidence[row, joint]:.4f}"]
                    cells += (
                        ["", ""]
                        if pose.points_px is None
                        else [f"{value:.2f}" for value in pose.points_px[row, joint]]
                    )
                if pose.R_view_cam is not None:
                    cells += [f"{value:.6f}" for value in pose.R_view_cam[row].flat]
                elif turns:
                    cells += [""] * 9
                table.writerow([*cells, about if row == 0 else ""])


def _json_frames(pose: Pose3D) -> Iterator[dict[str, Any]]:
    for row in range(len(pose)):
        frame: dict[str, Any] = {
            "frame": int(pose.frames[row]),
            "time_s": round(float(pose.times_s[row]), 6),
            "joints_m": _rounded(pose.joints_m[row], 5),
            "seen": pose.seen[row].tolist(),
            "confidence": _rounded(pose.confidence[row], 4),
        }
        if pose.deviation_m is not None:
            frame["deviation_m"] = _rounded(pose.deviation_m[row], 4)
        if pose.points_px is not None:
            frame["points_px"] = _rounded(pose.points_px[row], 2)
        if pose.R_view_cam is not None:
            frame["R_view_cam"] = _rounded(pose.R_view_cam[row], 6)
        yield frame


def _rounded(values: np.ndarray, digits: int) -> Any:
    return np.round(values.astype(np.float64), digits).tolist()


def _or_nan(values: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, np.nan, dtype=np.float32) if values is None else values
