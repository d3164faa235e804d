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
from repose.export.about import About, Dtypes, Record
from repose.files.arrays import NUMPY_STARTS, load_arrays
from repose.files.numbers import check_numbers
from repose.files.output import check_output, stage
from repose.files.structured import convert, decode
from repose.pose import Pose3D
from repose.skeleton import Skeleton

FORMAT = "repose-poses"
VERSION = 2
FILES = ("poses.npz", "poses.json", "poses.csv")

_UNITS = {"joints": "m", "deviation": "m", "points": "px", "times": "s", "intrinsics": "px"}
_CAMERA_AXES, _WORLD_AXES = "x right, y down, z forward", "right-handed, z up"
_COLUMNS = ("frames", "times_s", "joints_m", "seen", "confidence", "deviation_m", "points_px")
FRAMES = {
    "camera": "camera: the origin is the camera",
    "camera-root-relative": "camera axes: the origin is the root joint of every frame",
    "world": "world: T_cam_world takes it to the camera",
}


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


def describe(pose: Pose3D) -> dict[str, Any]:
    """Describe a track (`about`): everything except its numbers per frame, as plain JSON values.

    Tuples in `record` become lists, NumPy values plain ones, and numbers that are not finite null.
    """
    skeleton = pose.skeleton
    intrinsics = pose.intrinsics_px
    return {
        "format": FORMAT,
        "version": VERSION,
        "track_id": pose.track_id,
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "parents": [skeleton.joints[parent] if parent >= 0 else None for parent in skeleton.parents],
        "units": _UNITS,
        "axes": _WORLD_AXES if pose.coordinates == "world" else _CAMERA_AXES,
        "coordinates": pose.coordinates,
        "coordinate_frame": FRAMES[pose.coordinates],
        "fps": pose.fps,
        "scale": pose.scale,
        "model": pose.model,
        "image_size": None if pose.image_size is None else [int(side) for side in pose.image_size],
        "intrinsics_px": None if intrinsics is None else [float(number) for number in intrinsics],
        "distortion": None if pose.distortion is None else [float(number) for number in pose.distortion],
        "T_cam_world": None if pose.T_cam_world is None else pose.T_cam_world.tolist(),
        "record": _plain(pose.record),
    }


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
        units=np.array(json.dumps(_UNITS)),
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
    inferred), `_confidence`, and the 2D keypoint `_u_px`, `_v_px`. What a track lacks stays empty.
    """
    skeleton = one_skeleton(poses)
    columns = ("x_m", "y_m", "z_m", "deviation_m", "seen", "confidence", "u_px", "v_px")
    header = [f"{joint}_{column}" for joint in skeleton.joints for column in columns]
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["track_id", "frame", "time_s", *header, "about"])
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


def take_track(about: About, arrays: dict[str, np.ndarray], rows: slice) -> Pose3D:
    """Return the track that `about` and these rows describe; ValueError for joints that are no skeleton."""
    joints, dtypes = tuple(about.joints), about.dtypes
    parents = tuple(-1 if parent is None else joints.index(parent) for parent in about.parents)

    def exact(key: str) -> Any:
        if (dtype := getattr(dtypes, key)) is None:
            return None
        check_numbers(key, arrays[key][rows])
        return arrays[key][rows].astype(dtype)

    T_cam_world = about.T_cam_world
    return Pose3D(
        joints_m=exact("joints_m"),
        seen=arrays["seen"][rows],
        frames=arrays["frames"][rows],
        fps=about.fps,
        skeleton=Skeleton(about.skeleton, joints, parents),
        track_id=about.track_id,
        coordinates=about.coordinates,
        scale=about.scale,
        confidence=exact("confidence"),
        points_px=exact("points_px"),
        deviation_m=exact("deviation_m"),
        T_cam_world=None if dtypes.T_cam_world is None else np.array(T_cam_world, dtypes.T_cam_world),
        R_view_cam=exact("R_view_cam"),
        times_s=arrays["times_s"][rows],
        image_size=about.image_size,
        intrinsics_px=about.intrinsics_px,
        distortion=about.distortion,
        model=about.model,
        record=about.record,
    )


def one_skeleton(poses: Sequence[Pose3D]) -> Skeleton:
    if not poses:
        raise UserError("no poses to write: expected at least one track, found none")
    names = sorted({pose.skeleton.name for pose in poses})
    if len({pose.skeleton for pose in poses}) > 1:
        expected("poses", "one skeleton for all tracks", " and ".join(names), "Write them to two folders.")
    return poses[0].skeleton


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)
