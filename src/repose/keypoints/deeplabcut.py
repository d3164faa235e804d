"""DeepLabCut's CSV: header rows scorer, (individuals,) bodyparts and coords, then a row for each frame."""

import numpy as np

from repose.errors import expected
from repose.keypoints.detections import Detections
from repose.keypoints.json_values import frame_numbers, whole_number
from repose.keypoints.tables import name_joints, parse_cells, read_table

_LEVELS = ("scorer", "individuals", "bodyparts", "coords")


def recognises(start: bytes) -> bool:
    """Return whether a file that begins so is DeepLabCut's CSV."""
    return start.removeprefix(b"\xef\xbb\xbf").startswith(b"scorer,")


def parse(name: str, data: bytes) -> Detections:
    """Parse detections of an analysed video or of labels, whose body parts are known by their names.

    A row begins with the number of its frame, or with the labelled picture's name (in one cell or three).
    Labels have no likelihood. Individuals are the people, numbered as they come.
    """
    table = read_table(name, data)
    header = {row[0]: row for row in table[:4] if row[0] in _LEVELS}
    if not {"bodyparts", "coords"} <= header.keys() or len(table) == len(header):
        expected(
            name, "DeepLabCut's rows scorer, bodyparts, coords and frames", ", ".join(header) + " and no more"
        )
    first = next((index for index, cell in enumerate(header["coords"]) if index and cell), 0)
    columns: dict[tuple[str, str], dict[str, int]] = {}
    for index in range(first or len(table[0]), len(table[0])):
        individual = header["individuals"][index] if "individuals" in header else ""
        coords = columns.setdefault((individual, header["bodyparts"][index]), {})
        if header["coords"][index] in coords:
            expected(f"{name}: body part", "x and y once", f"{header['bodyparts'][index][:40]!r} twice")
        coords[header["coords"][index]] = index
    for (_, part), coords in columns.items():
        if not {"x", "y"} <= coords.keys():
            expected(f"{name}: body part {part[:40]!r}", "columns x and y", ", ".join(coords)[:60])
    rows = table[len(header) :]
    cells = np.column_stack([parse_cells(name, [row[first:] for row in rows]), np.full(len(rows), np.nan)])
    individuals = list(dict.fromkeys(individual for individual, _ in columns))
    parts = list(dict.fromkeys(part for _, part in columns))
    names = ("x", "y", "likelihood") if "likelihood" in header["coords"] else ("x", "y")
    # What an individual does not have is taken from the last column, which is NaN.
    at = [
        [[columns.get((person, part), {}).get(axis, 0) - first for axis in names] for part in parts]
        for person in individuals
    ]
    places = np.where(np.array(at) < 0, -1, at)
    frames = _frames(name, [row[:first] for row in rows])
    values = cells[:, places]  # (frames, individuals, parts, values)
    return name_joints(
        name,
        "DeepLabCut table",
        parts,
        values.transpose(1, 0, 2, 3).reshape(-1, *values.shape[2:]),
        frames * len(individuals),
        np.repeat(np.arange(len(individuals)), len(frames)).tolist(),
    )


def _frames(name: str, starts: list[list[str]]) -> list[int]:
    if any("." in start[-1] and not start[-1].replace(".", "").isdigit() for start in starts):
        return frame_numbers(name, ["/".join(start) for start in starts])
    numbers = parse_cells(name, [start[-1:] for start in starts])[:, 0]
    frames = [whole_number(number) for number in numbers.tolist()]
    known = [frame for frame in frames if frame is not None]
    if len(known) < len(frames) or len(set(known)) < len(known):
        expected(f"{name}: first column", "the number of each frame, once", "others")
    return known
