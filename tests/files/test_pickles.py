"""Pickles: what NumPy writes comes back exactly, and nothing in a file is run."""

import os
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.files.pickles import map_npz, map_pickle, npz_keys

LARGE = np.arange(40_000, dtype=">i4").reshape(2, -1)
CONTENT: dict[str, Any] = {
    "large": LARGE,
    "again": LARGE,
    "fortran": np.asfortranarray(np.random.default_rng(0).random((150, 200))),
    "small": np.arange(6.0).reshape(2, 3).T,
    "empty": np.zeros((0, 17)),
    "truth": np.array([True, False]),
    "names": np.array(["54138969", "55011271"]),
    "objects": np.array([{"k": 1}, None, 2.5], dtype=object),
    "scalar": np.float64(3.5),
    "text": np.str_("Größe"),
    "plain": [1, 2.5, None, True, 10**30, {"nested": (b"bytes", {1, 2}, frozenset({3}), 1 + 2j)}],
    "words": ["Walking"] * 3,
}


def assert_same(found: Any, wanted: Any) -> None:
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(found, wanted, strict=True)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key in wanted:
            assert_same(found[key], wanted[key])
    else:
        assert found == wanted


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_what_numpy_pickles_comes_back(tmp_path: Path, protocol: int) -> None:
    (tmp_path / "data.pkl").write_bytes(pickle.dumps(CONTENT, protocol))
    mapped = map_pickle(tmp_path / "data.pkl")
    assert_same(mapped.content, CONTENT)
    mapped.release()
    assert_same(mapped.content, CONTENT)
    assert mapped.content["again"] is mapped.content["large"]


def test_names_of_numpy_1(tmp_path: Path) -> None:
    data = pickle.dumps(CONTENT["small"], 3).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "old.pkl").write_bytes(data)
    assert_same(map_pickle(tmp_path / "old.pkl").content, CONTENT["small"])


def test_archive_of_objects_and_numbers(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "data.npz", objects=CONTENT, numbers=CONTENT["fortran"])
    assert npz_keys(tmp_path / "data.npz") == ["objects", "numbers"]
    mapped = map_npz(tmp_path / "data.npz", ("objects", "numbers", "absent"), tmp_path)
    assert_same(mapped.content, {"objects": CONTENT, "numbers": CONTENT["fortran"]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npz"]


class Calls:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = call, arguments

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (Calls(os.system, "touch ran"), "posix.system"),
        ({"deep": [np.array([Calls(os.system, "touch ran")], dtype=object)]}, "posix.system"),
        (Calls(eval, "1"), "builtins.eval"),
        (Calls(getattr, "text", "upper"), "builtins.getattr"),
        (Calls(np.fromfile, "/etc/passwd"), "fromfile"),
        (Path("x"), "pathlib"),
        (np.zeros(2, dtype=[("a", "f4")]), "numpy.dtype"),
        (np.datetime64("2020-01-01"), "numpy.dtype"),
    ],
)
def test_anything_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, names: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.pkl").write_bytes(pickle.dumps(content))
    np.savez("bad.npz", data=np.array({"inside": content}, dtype=object))
    for read in (lambda: map_pickle("bad.pkl"), lambda: map_npz("bad.npz", ("data",), tmp_path)):
        with pytest.raises(UserError, match=r"refused, because it asks for .*" + names):
            read()
    assert not Path("ran").exists()


def test_state_of_other_objects_is_refused(tmp_path: Path) -> None:
    # PROTO 2, GLOBAL builtins.set, EMPTY_DICT, BUILD, STOP: would change the attributes of a class.
    (tmp_path / "bad.pkl").write_bytes(b"\x80\x02cbuiltins\nset\n}b.")
    with pytest.raises(UserError, match="the state of a type"):
        map_pickle(tmp_path / "bad.pkl")


@pytest.mark.parametrize("keep", [1, 40, 150_000])
def test_damaged_files(tmp_path: Path, keep: int) -> None:
    whole = pickle.dumps(CONTENT)
    assert keep < len(whole)
    (tmp_path / "cut.pkl").write_bytes(whole[:keep])
    with pytest.raises(UserError, match="expected a complete file, found one that cannot be read"):
        map_pickle(tmp_path / "cut.pkl")
    np.savez(tmp_path / "whole.npz", data=np.array(CONTENT, dtype=object))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:keep])
    with pytest.raises(UserError, match=r"cut.npz: expected"):
        map_npz(tmp_path / "cut.npz", ("data",), tmp_path)


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").touch()
    for name in ("text", "empty"):
        with pytest.raises(UserError, match="expected a pickle, found something else"):
            map_pickle(tmp_path / name)
        assert npz_keys(tmp_path / name) is None
    with pytest.raises(UserError, match=r"expected an .npz archive, found something else"):
        map_npz(tmp_path / "text", ("data",), tmp_path)
    with pytest.raises(UserError, match="absent: cannot be read: No such file"):
        map_pickle(tmp_path / "absent")


def pairs(levels: int, *, last: bytes) -> bytes:
    """A pickle of pairs, each of the one before twice: 2^levels values in a few hundred bytes."""
    return (
        b"\x80\x04K\x01\x94"
        + b"h\x00h\x00\x86\x94"
        + b"".join(b"h" + bytes([level]) + b"h" + bytes([level]) + b"\x86\x94" for level in range(1, levels))
        + last
    )


@pytest.mark.parametrize(
    "content",
    [
        pairs(60, last=b"0}h<K\x01s."),
        pairs(60, last=b"0\x8f(h<\x90."),
        pairs(60, last=b"."),
        b"\x80\x04cbuiltins\nbytes\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
        b"\x80\x04cbuiltins\nbytearray\n\x8a\x05\x00\x00\x00\x00\x01\x85R.",
    ],
    ids=["key", "set", "alone", "bytes(2**32)", "bytearray(2**32)"],
)
def test_a_few_bytes_do_not_ask_for_ages_or_gigabytes(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"tuples of tuples|refused, because it asks for byte"):
            map_pickle(tmp_path / "a.pkl")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_tuples_are_keys(tmp_path: Path) -> None:
    content = {("S1", ("Walking", 1)): 1, (2, 3.5): (1, (2, (3, (4,))))}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    assert map_pickle(tmp_path / "a.pkl").content == content
