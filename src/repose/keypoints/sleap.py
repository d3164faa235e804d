"""SLEAP's analysis files: the HDF5 (`.analysis.h5`) and the CSV."""

from io import BytesIO

import numpy as np

from repose.errors import UserError, expected, needing
from repose.files.matlab import read_dataset
from repose.keypoints.detections import Detections
from repose.keypoints.json_values import whole_number
from repose.keypoints.tables import name_joints, parse_cells, read_table

_HDF5 = b"\x89HDF\r\n\x1a\n"


def recognises(start: bytes) -> bool:
    """Return whether a file that begins so is HDF5, or SLEAP's CSV."""
    line = start.removeprefix(b"\xef\xbb\xbf").splitlines()[:1]
    return start.startswith(_HDF5) or (bool(line) and b"frame_idx" in line[0].split(b","))


def parse(name: str, data: bytes) -> Detections:
    """Parse detections of an analysis file; nodes are known by their names, tracks are the people."""
    return _parse_hdf5(name, data) if data.startswith(_HDF5) else _parse_csv(name, data)


def _parse_csv(name: str, data: bytes) -> Detections:
    header, *rows = read_table(name, data)
    column = {title: index for index, title in enumerate(header)}
    nodes = [title.removesuffix(".x") for title in header if title.endswith(".x")]
    scored = all(f"{node}.score" in column for node in nodes)
    titles = [[f"{node}.{value}" for value in ("x", "y", "score")[: 2 + scored]] for node in nodes]
    if missing := [title for node in titles for title in node if title not in column]:
        expected(name, "x and y of every node", f"no column {missing[0][:60]!r}")
    if not rows or not nodes:
        expected(name, "SLEAP's rows of instances", f"{len(rows)} rows of {len(nodes)} nodes")
    order = [column[title] for node in titles for title in node]
    values = parse_cells(name, [[row[index] for index in order] for row in rows])
    numbers = parse_cells(name, [[row[column["frame_idx"]]] for row in rows])[:, 0].tolist()
    frames = [frame for number in numbers if (frame := whole_number(number)) is not None]
    if len(frames) < len(rows):
        expected(f"{name}: frame_idx", "a whole number in every row", "others")
    tracks = [row[column["track"]].strip() if "track" in column else "" for row in rows]
    numbered = {track: number for number, track in enumerate(dict.fromkeys(tracks))}
    return name_joints(
        name,
        "SLEAP table",
        nodes,
        values.reshape(len(rows), len(nodes), -1),
        frames,
        [numbered[track] for track in tracks] if all(tracks) else None,
    )


def _parse_hdf5(name: str, data: bytes) -> Detections:
    hint = "Install it with: pip install 'repose3d[data]', or export the file as CSV."
    with needing(f"{name}: HDF5 files need h5py", hint):
        import h5py
    with h5py.File(BytesIO(data), "r") as file:
        held = set(file)
        if "df_with_missing" in held:
            raise UserError(
                f"{name}: expected SLEAP's analysis file, found DeepLabCut's HDF5, whose header is pickled",
                "Give DeepLabCut's CSV: analyze_videos(…, save_as_csv=True), or "
                "analyze_videos_converth5_to_csv for videos that are analysed.",
            )
        if not {"tracks", "node_names"} <= held:
            raise UserError(
                f"{name}: expected SLEAP's analysis file, with tracks and node_names, found HDF5 with "
                f"{', '.join(sorted(held)[:8]) or 'nothing'}",
                "Export it in SLEAP with File > Export Analysis HDF5, or sleap-convert --format analysis.",
            )
        points = read_dataset(f"{name}: tracks", file, "tracks")
        scores = None
        if "point_scores" in held:
            scores = read_dataset(f"{name}: point_scores", file, "point_scores")
        words = read_dataset(f"{name}: node_names", file, "node_names", text=True)
        named = None
        if isinstance(file.get("track_names", getlink=True), h5py.HardLink):
            named = getattr(file["track_names"], "shape", None)
    nodes = [word.decode("utf-8", errors="replace") for word in words.ravel()]
    # Other programs have (frame, track, node, xy). Two frames and two tracks differ only in the scores.
    ours = points.ndim == 4 and scores is not None and scores.shape == (len(points), *points.shape[2:])
    if points.ndim == 4 and points.shape[-2:] == (len(nodes), 2) and not ours:
        points = points.transpose(1, 3, 2, 0)
        scores = scores.transpose(1, 2, 0) if scores is not None and scores.ndim == 3 else scores
    if points.ndim != 4 or points.shape[1:3] != (2, len(nodes)):
        expected(f"{name}: tracks", f"(tracks, 2, {len(nodes)} nodes, frames)", points.shape)
    if scores is not None and scores.shape != points[:, 0].shape:
        expected(f"{name}: point_scores", points[:, 0].shape, scores.shape)
    values = points if scores is None else np.concatenate([points, scores[:, None]], axis=1)
    count, frames = points.shape[0], points.shape[3]
    # Without tracks, SLEAP puts the instances of a frame into any row.
    known = count == 1 or named == (count,)
    return name_joints(
        name,
        "SLEAP analysis",
        nodes,
        values.transpose(0, 3, 2, 1).reshape(count * frames, len(nodes), -1),
        list(range(frames)) * count,
        np.repeat(np.arange(count), frames).tolist() if known else None,
    )
