"""C3D in: marker positions as exchanged by motion-capture laboratories."""

import struct
from pathlib import Path

import numpy as np

from repose.errors import expected, reads
from repose.files.numbers import check_numbers
from repose.mocap.markers import MarkerMotion, length_of_unit


@reads("a C3D file")
def read_c3d(path: str | Path) -> MarkerMotion:
    """Read the points of a file; a point without a valid place is NaN. Up is what `POINT:Y_SCREEN` says.

    Done here, since ezc3d ends the whole program on some damaged files (C3D.org, "The C3D file format").

    Raises UserError for a file that is missing, cut short, no C3D, or of DEC and MIPS processors.
    """
    path = Path(path)
    data = path.read_bytes()
    if len(data) < 1024 or data[1] != 0x50 or data[0] < 2:
        expected(str(path), "a C3D file", "another kind of file")
    count, analog, first, last = struct.unpack_from("<4H", data, 2)
    scale, block = struct.unpack_from("<fH", data, 12)
    (fps,) = struct.unpack_from("<f", data, 20)
    form = np.dtype("<f4" if scale < 0 else "<i2")
    frames, width, start = last - first + 1, 4 * count + analog, 512 * (block - 1)
    if frames < 1 or count < 1 or block < 2 or start + frames * width * form.itemsize > len(data):
        expected(str(path), f"{frames} frames of {count} points", f"{len(data):,} bytes", "It is cut short.")
    values = np.frombuffer(data, form, frames * width, start).reshape(frames, width)[:, : 4 * count]
    with np.errstate(invalid="ignore"):  # there are NaN that may not be cast
        points = values.reshape(frames, count, 4).astype(np.float64)
    points[~np.isfinite(points).all(axis=-1) | (points[..., 3] < 0)] = np.nan
    check_numbers(f"{path}: points", points, missing=True)
    if scale > 0:
        check_numbers(f"{path}: scale", [scale])
    places = points[..., :3] * (1.0 if scale < 0 else scale)
    words = _words(path, data)
    names = tuple(name for key in ("LABELS", "LABELS2") for name in words.get(key, []))[:count]
    if len(set(names)) != count or not 0 < fps < np.inf:
        found = f"{fps:g} Hz, {', '.join(names[:20]) or 'no labels'}"
        expected(str(path), f"a rate and {count} labels of points, each its own", found)
    up = words.get("Y_SCREEN", [""])[0].strip("+- ").lower()
    unit_m = length_of_unit(path, words.get("UNITS", ["mm"])[0])
    return MarkerMotion(names, places * unit_m, float(fps), up if up in ("y", "z") else None)


def _words(path: Path, data: bytes) -> dict[str, list[str]]:
    """Return the parameters of group POINT that are text, each its list of words."""
    at = 512 * (data[0] - 1)
    if data[at + 3] != 84:
        expected(str(path), "little-endian numbers", f"kind {data[at + 3]}", "Convert it.")
    at += 4
    groups: dict[int, str] = {}
    found: list[tuple[int, str, list[str]]] = []
    while at + 6 < len(data):
        length, group = struct.unpack_from("<bb", data, at)
        name = data[at + 2 : at + 2 + abs(length)].decode("latin-1").upper()
        at += 2 + abs(length)
        (step,) = struct.unpack_from("<H", data, at)
        if not length:
            break
        kind, dimensions = struct.unpack_from("<bB", data, at + 2)
        if group < 0:
            groups[-group] = name
        elif kind == -1 and 1 <= dimensions <= 2:
            size, *many = data[at + 4 : at + 4 + dimensions]
            body = at + 4 + dimensions
            if step and body + size * (many[0] if many else 1) > at + step:
                expected(str(path), f"the words of POINT:{name} before the next parameter", "more of them")
            cells = [data[body + size * i : body + size * (i + 1)] for i in range(many[0] if many else 1)]
            found.append((group, name, [cell.decode(errors="replace").strip("\0 ") for cell in cells]))
        if not step:
            break
        at += step
    return {name: words for group, name, words in found if groups.get(group) == "POINT" and words}
