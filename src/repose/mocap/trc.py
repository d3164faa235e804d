"""TRC in: marker positions as text, as used by OpenSim and Pose2Sim."""

from pathlib import Path

import numpy as np

from repose.errors import expected, reads
from repose.files.text import beginning, parse_numbers, read_text
from repose.mocap.markers import MarkerMotion, length_of_unit


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
