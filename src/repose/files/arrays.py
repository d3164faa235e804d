"""NumPy files (`.npz`, `.npy`) as data: no pickles, and no number in them determines how much memory is used.

The one reader of them in the package. A header is believed only as far as the file bears it out: an array
has the bytes that its shape asks for, and an archive does not unpack to many times what it is.
"""

import math
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from repose.errors import UserError, expected, reading
from repose.files.numbers import LARGEST, LARGEST_M, check_numbers

NUMPY_STARTS = (b"PK", b"\x93NUMPY")
"""How an `.npz` (a zip archive) and an `.npy` begin."""

_UNPACKED_BYTES = 128 << 20
"""Anything may unpack to so much whatever its size: long stretches of one value pack very well."""
_UNPACKED_RATIO = 100
"""A larger one unpacks to at most this many times its size. Deflate reaches 1,032 times, motion 2 to 20."""
_EMPTY_BYTES = 1 << 16
"""What the axes of an array without values may come to, were none of them 0."""

Layout = Mapping[str, tuple[str | int, ...]]
"""Names of arrays and their axes; an axis that is a word has one length throughout."""


class Header(NamedTuple):
    """What an `.npy` file states about its array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]


def load_arrays(name: str, source: bytes | str | PathLike[str]) -> dict[str, np.ndarray]:
    """Load the arrays of an `.npz`, or that of an `.npy` under the name ""; never unpickles.

    Args:
        name: the file, for messages.
        source: its content, or its path.

    Raises:
        UserError: the file is missing, is something else, is damaged, holds arrays of Python objects, or
            says that it holds more than it does.
    """
    with (
        reading(name, "a complete NumPy file", _AGAIN),
        BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file,
    ):
        start = file.read(6)
        size = file.seek(0, 2)
        file.seek(0)
        if not start.startswith(NUMPY_STARTS):
            expected(name, "a NumPy file", "something else", "Check that it is the right file.")
        if not start.startswith(b"PK"):
            return {"": _read_array(name, file, size)}
        try:
            return _read_archive(name, file, size)
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            expected(name, "a complete .npz archive", f"one that is damaged ({error})", _AGAIN)


def _read_archive(name: str, file: Any, size: int) -> dict[str, np.ndarray]:
    content = {}
    with zipfile.ZipFile(file) as archive:
        check_archive(name, archive, size)
        for member in archive.infolist():
            with archive.open(member) as packed:
                key = member.filename.removesuffix(".npy")
                content[key] = _read_array(f"{name}: {key}", packed, member.file_size)
    return content


def map_array(path: Path) -> np.ndarray:
    """Map the array of an `.npy` file into memory without reading it; raises UserError as `load_arrays`."""
    with reading(path, "an array of NumPy", _AGAIN), path.open("rb") as file:
        header = read_header(str(path), file, path.stat().st_size)
        if not math.prod(header.shape):
            return np.empty(header.shape, header.dtype)
        mapped = np.memmap(path, header.dtype, "r", file.tell(), header.shape, header.order)
    # A plain array over the mapping: slicing np.memmap itself is several times slower.
    return np.asarray(mapped)


def check_archive(name: str, archive: zipfile.ZipFile, size: int) -> None:
    """Refuse an archive of `size` bytes that would unpack to far more than a file of motion can.

    Raises UserError for that, and for a way of packing that NumPy does not use.
    """
    check_unpacked(name, sum(member.file_size for member in archive.infolist()), size)
    if any(m.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for m in archive.infolist()):
        expected(name, "an archive as NumPy packs it", "another kind of packing", "Save it with numpy.savez.")


def check_unpacked(name: str, unpacked_bytes: int, packed_bytes: int) -> None:
    """Refuse what would unpack to far more than it is; raises UserError."""
    if unpacked_bytes > unpacked_limit_bytes(packed_bytes):
        expected(
            name,
            f"what unpacks to at most {_UNPACKED_RATIO} times its size",
            f"{packed_bytes / 1e6:.1f} MB that say they unpack to {unpacked_bytes / 1e6:,.0f} MB",
            "No motion packs so well. If it is right, save it again unpacked.",
        )


def unpacked_limit_bytes(packed_bytes: int) -> int:
    """Return how large the given number of bytes may become when unpacked."""
    return max(_UNPACKED_BYTES, _UNPACKED_RATIO * packed_bytes)


def read_header(name: str, file: Any, size: int, *, objects: bool = False) -> Header:
    """Read the header of an `.npy` file of `size` bytes up to its array.

    Raises UserError for an array that the file is too short for, and for Python objects without `objects`.
    """
    header = None
    # NumPy takes headers for Python, whose parser throws and warns of whatever it likes.
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        version = np.lib.format.read_magic(file)
        old = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        header = read(file) if old or version in ((2, 0), (3, 0)) else None
    if header is None:
        expected(name, "an array of NumPy, of version 1, 2 or 3 of its format", "another beginning", _AGAIN)
    shape, fortran, dtype = header
    if any(isinstance(side, bool) or side < 0 for side in shape):
        expected(name, "a shape of whole numbers", shape)
    there = size - file.tell()
    if dtype.hasobject and not objects:
        raise UserError(
            f"{name}: expected arrays of numbers, found pickled Python objects",
            "They are not opened, because a pickle can run any program. Save plain arrays of numbers.",
        )
    if not dtype.hasobject and not fits(shape, dtype, there):
        expected(name, f"an array {dtype} {shape}", f"{there:,} bytes, too few for it", _AGAIN)
    return Header(shape, dtype, "F" if fortran else "C")


def fits(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> bool:
    """Return whether `size` bytes can hold such an array; an empty one may not have absurd axes either."""
    asked = math.prod(shape) * dtype.itemsize
    reach = math.prod(max(side, 1) for side in shape) * max(dtype.itemsize, 1)
    return asked <= size and reach <= size + _EMPTY_BYTES


_AGAIN = "It may have been cut off while it was written or copied; make it again."


def _read_array(name: str, file: Any, size: int) -> np.ndarray:
    header = read_header(name, file, size)
    array = np.empty(math.prod(header.shape), header.dtype)
    room = array.view(np.uint8).data.cast("B") if array.nbytes else memoryview(b"")
    done = 0
    while done < len(room):
        if not (piece := file.read(min(len(room) - done, 1 << 20))):
            expected(name, f"an array of {len(room):,} bytes", f"{done:,} bytes", _AGAIN)
        room[done : done + len(piece)] = piece
        done += len(piece)
    return array.reshape(header.shape, order=header.order)


def read_layout(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    """Read the arrays of a file as float64; raises UserError for other axes, types and values."""
    return check_layout(path, load_arrays(str(path), path), layout)


def check_layout(path: Path, arrays: Mapping[str, np.ndarray], layout: Layout) -> dict[str, np.ndarray]:
    """Return the arrays of `layout` as float64; raises UserError for other axes, types and values."""
    if missing := [name for name in layout if name not in arrays]:
        expected(str(path), f"arrays {', '.join(layout)}", f"no {', '.join(missing)}")
    sizes: dict[str | int, int] = {}
    found = {}
    for name, axes in layout.items():
        array = arrays[name]
        text = name == "joint_names"
        fits = array.ndim == len(axes) and array.dtype.kind in ("U" if text else "biuf")
        for axis, length in zip(axes, array.shape, strict=False):
            fits = fits and length == (sizes.setdefault(axis, length) if isinstance(axis, str) else axis)
        if not fits:
            wanted = f"{'text' if text else 'numbers'} ({', '.join(map(str, axes))})"
            expected(f"{path}: {name}", wanted, f"{array.dtype} {array.shape}")
        if not text:
            largest = LARGEST_M if name.endswith("_m") else LARGEST
            check_numbers(f"{path}: {name}", array, largest=largest)
        found[name] = array if text else array.astype(np.float64)
    if "fps" in found and not found["fps"] > 0:
        expected(f"{path}: fps", "a positive frame rate", found["fps"])
    return found
