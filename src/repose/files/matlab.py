"""MATLAB files (version 5, and 7.3, which is HDF5) as data: arrays of numbers, and cells of them.

What they say of their size is believed as far as the file bears it out, before anything is allocated.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from repose.errors import expected, reading
from repose.files.arrays import check_unpacked, unpacked_limit_bytes

_MATRIX, _COMPRESSED = 14, 15  # types of elements in version 5
_CELL, _NUMBERS = 1, range(6, 16)  # classes of arrays: double, single, and integers of 8 to 64 bits


def load_h5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The datasets `names` of an HDF5 file, each an array of numbers. Needs h5py.

    Raises:
        UserError: the file is missing or damaged, lacks one, keeps it in another file, or says that it holds
            more than it does.
    """
    from h5py import File

    with reading(path, "an HDF5 file"), File(path, "r") as content:
        return {name: read_dataset(f"{path}: {name}", content, name) for name in names}


def load_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The variables `names` of a MATLAB file of version 5 (saved with -v6 or -v7), in MATLAB's axes.

    Needs SciPy. Raises UserError as `load_h5`, and for variables that are neither numbers nor cells.
    """
    from scipy.io import loadmat

    with reading(path, "a MATLAB file of version 5"):
        content = memoryview(path.read_bytes())
        order = {b"IM": "<", b"MI": ">"}.get(bytes(content[126:128]))
        if order is None:
            expected(str(path), "a MATLAB file of version 5", "something else", "Save it with -v7.")
        kept = [bytes(content[:128])]
        left_bytes = unpacked_limit_bytes(len(content))
        for kind, data in _elements(content[128:], order):
            if kind == _COMPRESSED:
                inflater = zlib.decompressobj()
                whole = inflater.decompress(data, left_bytes + 1)
                left_bytes -= len(whole)
                check_unpacked(str(path), unpacked_limit_bytes(len(content)) - left_bytes, len(content))
                if not inflater.eof:
                    expected(str(path), "complete variables", "one that is cut off")
            else:
                whole = struct.pack(f"{order}II", kind, len(data)) + data
            for inner, variable in _elements(memoryview(whole), order):
                if inner == _MATRIX and _name(variable, order) in names:
                    _check_matrix(str(path), variable, order)
                    kept.append(whole)
        found: dict[str, Any] = loadmat(io.BytesIO(b"".join(kept)), variable_names=list(names))
        if missing := [name for name in names if name not in found]:
            expected(str(path), f"the variable {missing[0]}", "none called so")
        return {name: found[name] for name in names}


def read_dataset(name: str, content: Any, key: str, *, text: bool = False) -> np.ndarray:
    """The dataset `key` of an open HDF5 file: numbers, or with `text` words (bytes).

    Raises UserError as `load_h5`; `name` is for the message.
    """
    from h5py import Dataset, HardLink, check_string_dtype

    if key not in content or not isinstance(content.get(key, getlink=True), HardLink):
        expected(name, "an array in the file itself", "none" if key not in content else "a link")
    dataset = content[key]
    if not isinstance(dataset, Dataset) or not (
        check_string_dtype(dataset.dtype) if text else dataset.dtype.kind in "biuf"
    ):
        wanted = f"an array of {'words' if text else 'numbers'}"
        expected(name, wanted, getattr(dataset, "dtype", "a group"))
    if dataset.external or dataset.is_virtual:
        expected(name, "an array in the file itself", "one that is kept in other files")
    # A dataset that can grow may have chunks larger than itself, and a chunk is unpacked whole.
    chunk_bytes = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    stored_bytes = min(dataset.id.get_storage_size(), content.id.get_filesize())
    check_unpacked(name, max(dataset.nbytes, chunk_bytes), stored_bytes)
    if dataset.dtype.kind == "O":  # each word may be as long as the file
        check_unpacked(name, dataset.size * content.id.get_filesize(), content.id.get_filesize())
    return np.asarray(dataset[()])


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and data of the elements that follow each other in a file of version 5."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:  # up to 4 bytes are kept in the place of their number
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
            at += 8
        else:
            start = at + 8
            at = start + (size if kind == _COMPRESSED else math.ceil(size / 8) * 8)
        if start + size > len(content):
            expected("an element", f"{size:,} bytes", f"{len(content) - start:,}")
        yield kind, content[start : start + size]


def _name(variable: memoryview, order: str) -> str:
    """The name of a variable; flags and axes stand before it."""
    parts = _elements(variable, order)
    return next((bytes(data).decode("latin1") for i, (_, data) in enumerate(parts) if i == 2), "")


def _check_matrix(name: str, matrix: memoryview, order: str) -> None:
    """Refuse an array that says it has more values, or cells, than bytes."""
    if not matrix:  # an empty cell
        return
    (_, flags), (_, axes), _, *parts = _elements(matrix, order)
    kind = struct.unpack_from(f"{order}I", flags)[0] & 0xFF
    shape = [side for (side,) in struct.iter_unpack(f"{order}i", axes)]
    if kind != _CELL and kind not in _NUMBERS:
        expected(name, "arrays of numbers, or cells of them", f"MATLAB's class {kind}")
    there = len(parts) if kind == _CELL else sum(len(data) for _, data in parts)
    if any(side < 0 for side in shape) or math.prod(shape) > there:
        expected(name, f"an array of {shape}", f"{there:,} {'cells' if kind == _CELL else 'bytes'} for it")
    if kind == _CELL:
        for _, cell in parts:
            _check_matrix(name, cell, order)
