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
    return parse_trc(str(path), read_text(Path(path)))


def parse_trc(name: str, text: str) -> MarkerMotion:
    """Parse the text of a file as `read_trc` does; `name` is the file's, for messages."""
    lines = text.splitlines()
    if not text.startswith("PathFileType") or len(lines) < 6:
        expected(name, "a TRC file, which begins with PathFileType", beginning(text))
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=False))
    if missing := [name for name in ("DataRate", "Units") if name not in header]:
        expected(name, f"{', '.join(missing)} in the header", ", ".join(header))
    markers = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    if not markers or not rows or len(set(markers)) != len(markers):
        expected(name, "frames of markers, each with a name of its own", f"{len(rows)} of {markers[:20]}")
    width = 2 + 3 * len(markers)
    if short := next((row for row in rows if len(row) < width), None):
        expected(name, f"{width} cells in each row", f"{len(short)}", "The file is cut short.")
    cells = [cell.strip() or "0" for row in rows for cell in row[2:width]]
    places = np.array(parse_numbers(name, cells)).reshape(len(rows), len(markers), 3)
    empty = np.array([[not cell.strip() for cell in row[2:width]] for row in rows]).reshape(places.shape)
    places[empty.any(axis=-1)] = np.nan
    (fps,) = parse_numbers(name, [header["DataRate"]])
    return MarkerMotion(markers, places * length_of_unit(name, header["Units"]), fps, None)
