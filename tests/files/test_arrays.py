"""NumPy files: what they say of their size is believed as far as the file bears it out."""

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.files.arrays import load_arrays, map_array

INPUTS = sorted((Path(__file__).parent / "inputs").iterdir())


def npy(array: np.ndarray, **options: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def npy_of(header: str, content: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def claiming(shape: str, content: bytes = bytes(64), descr: str = "<f4") -> bytes:
    return npy_of(f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}", content)


def npz(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> None:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


ARRAYS = [
    np.arange(24.0).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6).reshape(2, 3)),
    np.array("text"),
    np.array(""),
    np.array(["é", "abc"]),
    np.zeros((0, 17, 3), np.float32),
    np.array(3.5),
    np.array([True, False]),
    np.array([], dtype="<U5"),
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_come_as_they_were_saved(array: np.ndarray, save: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", array=array)
    np.save(tmp_path / "a.npy", array)
    packed = load_arrays("a.npz", tmp_path / "a.npz")
    bare = load_arrays("a.npy", (tmp_path / "a.npy").read_bytes())
    mapped = map_array(tmp_path / "a.npy")
    for found in (packed["array"], bare[""], mapped):
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "content",
    [
        claiming("(1000000000, 0, 3)"),
        claiming("(1000000000,)", descr="<U0"),
        claiming("(1000000000, 17, 3)"),
        claiming("(99999999999999999999, 17)"),
        claiming("(9600, 17, -1)"),
        claiming("(True, 4)"),
        claiming("(2.0, 4)"),
        claiming("'x'"),
        claiming("(4,)", descr="|O"),
        npy_of("{'descr': '<f4', 'fortran_order': False, 'shape': (2, "),
        npy_of("{'descr': [('a', '<f4')"),
        npy_of("\0"),
        npy_of("(" * 5000),
        b"\x93NUMPY\x09\x00\x76\x00",
        b"\x93NUMPY",
        npy(np.arange(9.0))[:-1],
    ],
)
def test_headers_that_the_file_does_not_bear_out(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    npz(tmp_path / "a.npz", {"a.npy": content})
    for read in (
        lambda: load_arrays("a.npy", content),
        lambda: load_arrays("a.npz", tmp_path / "a.npz"),
        lambda: map_array(tmp_path / "a.npy"),
    ):
        with pytest.raises(UserError, match=r"a\.np[yz].*: "):
            read()


def test_an_archive_that_inflates_to_a_thousand_times_its_size(tmp_path: Path) -> None:
    zeros = np.zeros((3_000_000, 17, 3), np.uint8)
    npz(tmp_path / "bomb.npz", {"joints_m.npy": npy(zeros)})
    assert (tmp_path / "bomb.npz").stat().st_size < 1 << 20
    with pytest.raises(UserError, match="unpacks to at most 100 times its size"):
        load_arrays("bomb.npz", tmp_path / "bomb.npz")
    npz(tmp_path / "still.npz", {"seen.npy": npy(zeros[:1_000_000])})  # packs as well, and is small
    assert load_arrays("still.npz", tmp_path / "still.npz")["seen"].shape == (1_000_000, 17, 3)


def test_a_member_that_holds_less_than_it_says(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz", {"a.npy": claiming("(1000,)")})
    with pytest.raises(UserError, match="too few for it"):
        load_arrays("a.npz", tmp_path / "a.npz")


def test_another_way_of_packing_is_refused(tmp_path: Path) -> None:
    npz(tmp_path / "a.npz", {"a.npy": npy(np.zeros(9))}, zipfile.ZIP_BZIP2)
    with pytest.raises(UserError, match="packs it"):
        load_arrays("a.npz", tmp_path / "a.npz")


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.name)
def test_inputs_that_once_escaped(path: Path) -> None:
    for read in (lambda: load_arrays(path.name, path), lambda: map_array(path)):
        with pytest.raises(UserError):
            read()
