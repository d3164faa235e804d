"""MATLAB files: what they say of their size is believed as far as the file bears it out."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.files.matlab import load_h5, load_mat

scipy_io = pytest.importorskip("scipy.io")
h5py = pytest.importorskip("h5py")

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"
MOST_BYTES = 32 << 20


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(shape: tuple[int, ...], *parts: bytes, kind: int = 6, name: bytes = b"a") -> bytes:
    flags, axes = struct.pack("<II", kind, 0), struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, flags) + element(5, axes) + element(1, name) + b"".join(parts))


def packed(content: bytes) -> bytes:
    data = zlib.compress(content, 9)
    return struct.pack("<II", 15, len(data)) + data


def deep(levels: int) -> bytes:
    inner = matrix((1, 1), element(9, bytes(8)))
    for _ in range(levels):
        inner = matrix((1, 1), inner, kind=1)
    return inner


@pytest.mark.parametrize("compressed", [True, False])
def test_variables_come_as_they_were_saved(compressed: bool, tmp_path: Path) -> None:
    cells = np.empty((2, 1), dtype=object)
    cells[:, 0] = [np.arange(6.0).reshape(2, 3), np.zeros((0, 3))]
    saved: dict[str, Any] = {
        "cells": cells,
        "small": np.array([[3]], np.int8),
        "numbers": np.arange(24, dtype=np.int32).reshape(2, 3, 4),
        "text": "left out",
        "record": {"field": 1.0},
    }
    scipy_io.savemat(tmp_path / "a.mat", saved, do_compression=compressed)
    found = load_mat(tmp_path / "a.mat", ("cells", "small", "numbers"))
    assert set(found) == {"cells", "small", "numbers"}
    np.testing.assert_array_equal(found["numbers"], saved["numbers"])
    np.testing.assert_array_equal(found["cells"][0, 0], cells[0, 0])
    assert found["cells"][1, 0].shape == (0, 3)
    assert found["small"].item() == 3
    with pytest.raises(UserError, match="expected arrays of real numbers, or cells of them"):
        load_mat(tmp_path / "a.mat", ("text",))
    with pytest.raises(UserError, match="expected the variable b, found none"):
        load_mat(tmp_path / "a.mat", ("small", "b"))


def test_numbers_stored_in_small_and_in_either_byte_order_come_as_they_are_meant(tmp_path: Path) -> None:
    (tmp_path / "small.mat").write_bytes(HEADER + matrix((1, 3), element(2, bytes([1, 2, 250])), kind=6))
    found = load_mat(tmp_path / "small.mat", ("a",))["a"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[1.0, 2.0, 250.0]])

    def big(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)

    parts = big(6, struct.pack(">II", 12, 0)) + big(5, struct.pack(">ii", 2, 2)) + struct.pack(">HH", 1, 1)
    parts += b"a\0\0\0" + big(3, struct.pack(">4h", 1, -2, 3, 400))
    (tmp_path / "big.mat").write_bytes(HEADER[:124] + b"\x01\0MI" + big(14, parts))
    found = load_mat(tmp_path / "big.mat", ("a",))["a"]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[1, 3], [-2, 400]])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + matrix((10**9, 84), element(9, bytes(64))), "an array of .1000000000, 84."),
        (HEADER + matrix((10**9, 1), matrix((1, 1), element(9, bytes(8))), kind=1), "found 1 cells"),
        (HEADER + matrix((1, 1), matrix((10**9, 1), element(9, bytes(8))), kind=1), "found 8 bytes"),
        (HEADER + matrix((1, 1), matrix((10**9, 1), element(9, b""), kind=4), kind=1), "MATLAB's class 4"),
        (HEADER + matrix((-1, -8), element(9, bytes(64))), "an array of .-1, -8."),
        (HEADER + packed(matrix((1, 200 << 20), element(2, bytes(200 << 20)), kind=9)), "at most 100 times"),
        (HEADER + packed(matrix((1, 8), element(9, bytes(64))))[:-9], "an element"),
        (HEADER + struct.pack("<II", 15, 4) + zlib.compress(bytes(999))[:4], "cut off"),
        (HEADER + struct.pack("<II", 14, 2**32 - 1), "found 0"),
        (HEADER + deep(2), "or cells of them, found MATLAB's class 1"),
        (HEADER + matrix((1, 1), element(9, bytes(8)), kind=6 | 0x800), "found complex numbers"),
        (HEADER + matrix((1, 1), element(9, bytes(8)), kind=8), "numbers that are int8, found type 9"),
        (HEADER + matrix((1, 1), element(77, bytes(8))), "an array of .1, 1."),
        (HEADER + matrix((1, 1), element(9, bytes(8)), kind=1), "cells that hold arrays"),
        (HEADER + matrix((200_000, 1), bytes(8 * 200_000), kind=1), "an array of .200000, 1."),
        (HEADER + b"\0", "found a file that cannot be read"),
        (b"\x89HDF\r\n\x1a\n" + bytes(300), "something else"),
        (b"", "something else"),
    ],
    ids=range(18),
)
def test_no_number_in_a_mat_file_decides_how_much_memory_is_taken(
    content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_mat(tmp_path / "a.mat", ("a",))


def grown_chunk(file: Any) -> None:
    file.create_dataset("a", (4,), "<f8", chunks=(10**8,), maxshape=(None,), compression="gzip")


def linked(file: Any) -> None:
    file["a"] = h5py.ExternalLink("/etc/passwd", "/a")


def soft(file: Any) -> None:
    file["a"] = h5py.SoftLink("/a")


def kept_elsewhere(file: Any) -> None:
    file.create_dataset("a", (16,), "u1", external=[("/etc/passwd", 0, 16)])


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((4,), "<f8")
    layout[:] = h5py.VirtualSource("/etc/passwd", "b", (4,))
    file.create_virtual_dataset("a", layout)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.create_dataset("a", (10**12, 84), "<f8"), "at most 100 times its size"),
        (
            lambda file: file.create_dataset("a", (10**12,), "<f8", chunks=(100,), compression="gzip"),
            "at most 100 times its size",
        ),
        (grown_chunk, "at most 100 times its size"),
        (linked, "found a link|found none"),
        (soft, "found a link|found none"),
        (kept_elsewhere, "kept in other files"),
        (virtual, "kept in other files"),
        (lambda file: file.create_group("a"), "an array of numbers, found a group"),
        (lambda file: file.create_dataset("a", data=["text"]), "an array of numbers"),
        (lambda file: file.create_dataset("b", data=1), "a: expected .* found none"),
    ],
    ids=range(10),
)
def test_no_number_in_an_h5_file_decides_how_much_memory_is_taken(
    make: Callable[[Any], Any], message: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=message):
            load_h5(tmp_path / "a.h5", ("a",))
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_datasets_come_as_they_were_saved(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(50, 1, 17, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("points", data=points, chunks=(10, 1, 17, 3), compression="gzip")
        file["one"] = 3
    found = load_h5(tmp_path / "a.h5", ("points", "one"))
    np.testing.assert_array_equal(found["points"], points)
    assert found["one"] == 3
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:900])
    with pytest.raises(UserError):
        load_h5(tmp_path / "a.h5", ("points",))
