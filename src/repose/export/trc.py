"""TRC: marker places as text, as OpenSim and Pose2Sim have them."""

from pathlib import Path

import numpy as np

from repose.errors import expected, reads
from repose.export.markers import MarkerMotion, length_of_unit, marker_names
from repose.export.upright import at_constant_rate, y_up
from repose.files.text import beginning, parse_numbers, read_text
from repose.pose import Pose3D


def write_trc(pose: Pose3D, path: Path, *, every_frame: bool = True) -> None:
    """Write a person in a world frame (`repose.export.upright.to_world`) as markers at the joints.

    Metres, which the header states, and y up, which it cannot; markers as Pose2Sim names them. The rate is
    constant. Frames count from 1 with the first of the source, times are the source's own. A frame that the
    pose lacks has empty cells, or no row at all unless `every_frame`.
    """
    pose = at_constant_rate(pose)
    markers = marker_names(pose.skeleton)
    first, last = int(pose.frames[0]), int(pose.frames[-1])
    frames = range(first, last + 1) if every_frame else pose.frames.tolist()
    places = y_up(pose.joints_m).reshape(len(pose), -1)
    rows = dict(zip(pose.frames.tolist(), places.tolist(), strict=True))
    header = {
        "DataRate": f"{pose.fps:g}",
        "CameraRate": f"{pose.fps:g}",
        "NumFrames": len(frames),
        "NumMarkers": len(markers),
        "Units": "m",
        "OrigDataRate": f"{pose.fps:g}",
        "OrigDataStartFrame": first + 1,
        "OrigNumFrames": len(frames),
    }
    axes = [f"{axis}{number}" for number in range(1, len(markers) + 1) for axis in "XYZ"]
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"PathFileType\t4\t(X/Y/Z)\t{' '.join(path.name.split())}\n")
        file.write("\t".join(header) + "\n" + "\t".join(map(str, header.values())) + "\n")
        file.write("Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t\n")
        file.write("\t\t" + "\t".join(axes) + "\n\n")
        for frame in frames:
            time_s = pose.times_s[0] + (frame - first) / pose.fps
            # The last of several empty cells needs a tab after it, or readers take it for none.
            cells = [f"{value:.6f}" for value in rows[frame]] if frame in rows else [""] * (len(axes) + 1)
            file.write("\t".join([str(frame + 1), f"{time_s:.6f}", *cells]) + "\n")


@reads("a TRC file")
def read_trc(path: str | Path) -> MarkerMotion:
    """Read markers; empty cells are places that were not found. The format does not say which way is up.

    Raises UserError for a file that is missing, cut short or no TRC, and for a unit that is not known.
    """
    path = Path(path)
    text = read_text(path)
    lines = text.splitlines()
    if not text.startswith("PathFileType") or len(lines) < 6:
        expected(str(path), "a TRC file, which begins with PathFileType", beginning(text))
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    if missing := [name for name in ("DataRate", "Units") if name not in header]:
        expected(str(path), f"{', '.join(missing)} in the header", ", ".join(header))
    markers = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    if not markers or not rows or len(set(markers)) != len(markers):
        expected(
            str(path), "frames of markers, each with a name of its own", f"{len(rows)} of {markers[:20]}"
        )
    width = 2 + 3 * len(markers)
    if short := next((row for row in rows if len(row) < width), None):
        expected(str(path), f"{width} cells in each row", f"{len(short)}", "The file is cut short.")
    cells = [cell.strip() or "0" for row in rows for cell in row[2:width]]
    places = np.array(parse_numbers(path, cells)).reshape(len(rows), len(markers), 3)
    empty = np.array([[not cell.strip() for cell in row[2:width]] for row in rows]).reshape(places.shape)
    places[empty.any(axis=-1)] = np.nan
    (fps,) = parse_numbers(path, [header["DataRate"]])
    return MarkerMotion(markers, places * length_of_unit(path, header["Units"]), fps, None)
