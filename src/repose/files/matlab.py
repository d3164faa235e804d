"""MATLAB files (version 5, and 7.3, which is HDF5) as data: arrays of numbers, and cells of them.

What they say of their size is believed as far as the file bears it out, before anything is allocated.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from repose.errors import expected, reading
from repose.files.arrays import check_unpacked, unpacked_limit_bytes

Order = Literal["<", ">"]
_ORDERS: dict[bytes, Order] = {b"IM": "<", b"MI": ">"}
_MATRIX, _COMPRESSED = 14, 15
"""Types of elements in version 5."""
_STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""How the numbers of an element are stored, by its type: the smallest that holds them."""
_CELL = 1
_MEANT = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
"""What the numbers of an array are, by its class."""
_COMPLEX = 0x800
_MOST_CELLS = 100_000


def load_h5(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Load the datasets `names` of an HDF5 file, each an array of numbers. Needs h5py.

    Raises:
        UserError: the file is missing or damaged, lacks one, keeps it in another file, or says that it holds
            more than it does.
    """
    from h5py import File

    with reading(path, "an HDF5 file"), File(path, "r") as content:
        return {name: read_dataset(f"{path}: {name}", content, name) for name in names}


def load_mat(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Load the variables `names` of a MATLAB file of version 5 (saved with -v6 or -v7), in MATLAB's axes.

    Cells come as an array of objects. The format: MathWorks, "MAT-File Format", 2024. Read here because
    SciPy's reader crashes on damaged files.

    Raises:
        UserError: as `load_h5`, and for variables that are neither real numbers nor cells of them.
    """
    with reading(path, "a MATLAB file of version 5"):
        content = memoryview(path.read_bytes())
        order = _ORDERS.get(bytes(content[126:128]))
        if order is None:
            expected(str(path), "a MATLAB file of version 5", "something else", "Save it with -v7.")
        found: dict[str, np.ndarray] = {}
        left_bytes = unpacked_limit_bytes(len(content))
        for kind, data in _elements(content[128:], order):
            inner: Iterable[tuple[int, memoryview]] = [(kind, data)]
            if kind == _COMPRESSED:
                inflater = zlib.decompressobj()
                whole = inflater.decompress(data, left_bytes + 1)
                left_bytes -= len(whole)
                check_unpacked(str(path), unpacked_limit_bytes(len(content)) - left_bytes, len(content))
                if not inflater.eof:
                    expected(str(path), "complete variables", "one that is cut off")
                inner = _elements(memoryview(whole), order)
            for inner_kind, variable in inner:
                if inner_kind == _MATRIX and (name := _name(variable, order)) in names:
                    found[name] = _matrix(f"{path}: {name}", variable, order)
        if missing := [name for name in names if name not in found]:
            expected(str(path), f"the variable {missing[0]}", "none called so")
        return found


def read_dataset(name: str, content: Any, key: str, *, text: bool = False) -> np.ndarray:
    """Read the dataset `key` of an open HDF5 file: numbers, or with `text` words (bytes).

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


def _elements(content: memoryview, order: Order) -> Iterator[tuple[int, memoryview]]:
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


def _name(variable: memoryview, order: Order) -> str:
    """Return the name of a variable; flags and axes stand before it."""
    parts = _elements(variable, order)
    return next((bytes(data).decode("latin1") for i, (_, data) in enumerate(parts) if i == 2), "")


def _matrix(name: str, matrix: memoryview, order: Order, *, cells: bool = True) -> np.ndarray:
    """Check an array of numbers or cells; refuses one with more or fewer elements than it declares."""
    if not matrix:  # an empty cell
        return np.zeros((0, 0))
    (_, flags), (_, axes), _, *parts = islice(_elements(matrix, order), 3 + _MOST_CELLS)
    word = struct.unpack_from(f"{order}I", flags)[0]
    shape = tuple(side for (side,) in struct.iter_unpack(f"{order}i", axes))
    if word & 0xFF == _CELL and cells:
        if any(side < 0 for side in shape) or math.prod(shape) != len(parts):
            expected(name, f"an array of {shape}", f"{len(parts):,} cells for it")
        if any(kind != _MATRIX for kind, _ in parts):
            expected(name, "cells that hold arrays", "others")
        whole = np.empty(len(parts), object)
        for number, (_, cell) in enumerate(parts):
            whole[number] = _matrix(name, cell, order, cells=False)
        return whole.reshape(shape, order="F")
    meant = _MEANT.get(word & 0xFF)
    if meant is None or word & _COMPLEX:
        found = "complex numbers" if meant else f"MATLAB's class {word & 0xFF}"
        expected(name, "arrays of real numbers, or cells of them", found)
    kind, data = parts[0] if parts else (9, memoryview(b""))
    stored = np.dtype(_STORED.get(kind, "V1")).newbyteorder(order)
    if any(side < 0 for side in shape) or math.prod(shape) * stored.itemsize != len(data):
        expected(name, f"an array of {shape}", f"{len(data):,} bytes for it")
    if not np.can_cast(stored, meant, "same_kind"):
        expected(name, f"numbers that are {np.dtype(meant).name}", f"type {kind}")
    with np.errstate(over="ignore"):  # becomes infinite, which is refused
        return np.frombuffer(data, stored).astype(meant).reshape(shape, order="F")
