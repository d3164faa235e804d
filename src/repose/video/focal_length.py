"""The 35 mm equivalent focal length that a camera wrote into its video.

Apple's cameras write it as an item of the video track (QuickTime File Format, metadata atoms: `keys` names
the items, `ilst` holds them), which FFmpeg does not tell of; others write Exif's or Apple's name for it among
the tags of the file, or in its XMP.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

_APPLE = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
_EXIF = "focallengthin35mmfilm"
_XMP = re.compile(rf"\b{_EXIF}\b\W{{1,4}}([0-9][0-9./]{{0,20}})", re.IGNORECASE)
FOCAL_LENGTHS_MM = (4.0, 2000.0)
"""Of lenses, in the equivalent of 35 mm film; anything else is damaged or was not known."""
_MOST_BOXES = 2000
_LARGEST_BYTES = 1 << 16
_NUMBERS = {21: "signed", 22: "unsigned", 23: ">f", 24: ">d"}
"""QuickTime's types of values that are no text."""


def find_focal_length_mm(path: Path, *tags: Mapping[str, str]) -> float | None:
    """Find the 35 mm equivalent focal length of a video; None where its camera wrote none.

    `tags`: those of the file and of its video stream as FFmpeg tells them, XMP under "xmp".
    """
    for name, value in ((key.lower(), value) for some in tags for key, value in some.items()):
        plain = name.rpartition(":")[2]
        if name == "xmp":
            match = _XMP.search(value[:_LARGEST_BYTES])
            value = match[1] if match else ""
        elif not (plain == _EXIF or plain.startswith(_APPLE)):
            continue
        if (found := _plausible_mm(value)) is not None:
            return found
    try:
        with path.open("rb") as file:
            return next(
                (mm for value in _track_items(file) if (mm := _plausible_mm(value)) is not None), None
            )
    except (OSError, struct.error, ValueError):
        return None


def _plausible_mm(value: str) -> float | None:
    """Read `26`, `26.0 mm` or `26/1`."""
    match = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{0,9})?)(?:/(\d{1,9}))?\s*(?:mm)?\s*", value, re.ASCII)
    if match is None:
        return None
    mm = float(match[1]) / max(float(match[2] or 1), 1e-9)
    return mm if FOCAL_LENGTHS_MM[0] <= mm <= FOCAL_LENGTHS_MM[1] else None


def _track_items(file: BinaryIO) -> Iterator[str]:
    """Yield the values of Apple's item in the tracks of a QuickTime or MP4 file."""
    file.seek(0, 2)
    todo, looked_at = [(0, file.tell(), b"")], 0
    while todo and looked_at < _MOST_BOXES:
        start, stop, inside = todo.pop()
        for kind, begin, end in _boxes(file, start, stop):
            looked_at += 1
            if kind == b"meta" and end - begin <= _LARGEST_BYTES:
                file.seek(begin)
                yield from _items(file.read(end - begin))
            elif kind == {b"": b"moov", b"moov": b"trak"}.get(inside):
                todo.append((begin, end, kind))
            if looked_at >= _MOST_BOXES:
                return


def _boxes(file: BinaryIO, start: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the kind, the first byte and the end of each box between two places of a file."""
    while start + 8 <= stop:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            (size,), header = struct.unpack(">Q", file.read(8)), 16
        elif size == 0:
            size = stop - start
        if size < header or start + size > stop:
            return
        yield kind, start + header, start + size
        start += size


def _items(meta: bytes) -> Iterator[str]:
    """Yield the values of Apple's item in a `meta` box."""
    # MP4 has a version before the boxes, QuickTime has none.
    parts = dict(_parts(meta[4:] if meta[4:8] != b"hdlr" else meta))
    keys, values = parts.get(b"keys", b""), parts.get(b"ilst", b"")
    names = [content for _, content in _parts(keys[8:])]
    for number, item in _parts(values):
        name = names[index] if 0 <= (index := int.from_bytes(number) - 1) < len(names) else b""
        if name != _APPLE.encode():
            continue
        for kind, content in _parts(item):
            if kind == b"data" and len(content) > 8:
                yield _value(int.from_bytes(content[:4]), content[8:])


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the content of each box in `data`."""
    start = 0
    while start + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8:
            return
        yield kind, data[start + 8 : start + size]
        start += size


def _value(kind: int, content: bytes) -> str:
    form = _NUMBERS.get(kind)
    if form is None:
        return content.decode("utf-8", "replace")
    if form.startswith(">"):
        return f"{struct.unpack(form, content)[0]:.6f}"
    return str(int.from_bytes(content, signed=form == "signed"))
