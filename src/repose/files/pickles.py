"""Pickles and object arrays of published data sets, opened without running anything in them.

A pickle is a program. The one that runs here knows NumPy arrays, numbers, text and plain containers, and
not even NumPy's own functions are called: stand-ins take their places.

The files are gigabytes, so they are mapped into memory and large arrays are left where they are: an
array is a view of its file, and is read when it is used. What an `.npz` archive holds is unpacked to a
temporary file for that, which has no name and vanishes with the arrays.
"""

import mmap
import pickle
import re
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any, ClassVar, NamedTuple, NoReturn

import numpy as np

from repose.errors import UserError, expected, reads
from repose.files.arrays import check_archive, fits, read_header
from repose.files.unpickler import BoundedUnpickler

_LARGE = 1 << 16
"""Bytes from which on an array stays in its file."""


class Mapped(NamedTuple):
    """The content of a file; large arrays are views of it."""

    content: Any
    release: Callable[[], None]
    """Gives back the memory of what was read so far; the arrays stay usable."""


@reads("a pickle of plain arrays")
def map_pickle(path: str | Path) -> Mapped:
    """Open a pickle of NumPy arrays, numbers, text and plain containers.

    Raises UserError for a file that cannot be read, is damaged, is no pickle, or asks for anything else.
    """
    path = Path(path)
    with _open(path) as file:
        if file.read(1) not in (b"\x80", b"(", b"}"):  # the last two: dictionaries of protocols 0 and 1
            expected(str(path), "a pickle", "something else", "Check that it is the right file.")
        mapping = _map(file)
    return Mapped(_load(mapping, str(path)), mapping.release)


@reads("an .npz archive")
def map_npz(
    path: str | Path, keys: tuple[str, ...], unpack_to: Path | None = None, *, data: bytes | None = None
) -> Mapped:
    """Map arrays of an `.npz` archive by name: those of `keys` that it has; object arrays are unpickled.

    Returns a dictionary. An object array without axes, which is how NumPy stores a dictionary, comes as
    its content. `unpack_to` is a folder on a disk that has room for the unpacked arrays, the system's for
    temporary files unless given. `data` is the file's content, where it has been read already.

    Raises UserError like `map_pickle`, for a file that is no archive, and for a disk that is full.
    """
    path = Path(path)
    content: dict[str, Any] = {}
    mappings: list[_Mapping] = []
    with _open(path) if data is None else BytesIO(data) as file:
        size = file.seek(0, 2)
        try:
            with zipfile.ZipFile(file) as archive:
                check_archive(str(path), archive, size)
                for key in keys:
                    if f"{key}.npy" in archive.namelist():
                        mapping = _unpack(archive, f"{key}.npy", unpack_to)
                        mappings.append(mapping)
                        content[key] = _load_npy(mapping, f"{path}: {key}")
        except (zipfile.BadZipFile, EOFError, struct.error, NotImplementedError) as error:
            if not zipfile.is_zipfile(file):
                expected(str(path), "an .npz archive", "something else", "Check that it is the right file.")
            _damaged(str(path), error)
        except OSError as error:
            where = unpack_to or tempfile.gettempdir()
            raise UserError(
                f"{path}: cannot be unpacked to {where}: {error.strerror or error}",
                "Its arrays need space there while they are read. Free some, or choose another disk.",
            ) from None
        except Exception as error:
            if isinstance(error, UserError):
                raise
            _damaged(str(path), error)  # zlib.error among others

    def release() -> None:
        for mapping in mappings:
            mapping.release()

    return Mapped(content, release)


@reads("an .npz archive")
def npz_keys(path: str | Path) -> list[str] | None:
    """List the arrays in an `.npz` archive; None for any other file."""
    path = Path(path)
    with _open(path) as file:
        if file.read(2) != b"PK":
            return None
        try:
            with zipfile.ZipFile(file) as archive:
                return [name.removesuffix(".npy") for name in archive.namelist()]
        except zipfile.BadZipFile as error:
            _damaged(str(path), error)


class _Mapping(mmap.mmap):
    """A mapped file with the interface of a file; large pieces are returned as views."""

    def read(self, n: int | None = None) -> Any:
        if n is None or n < _LARGE:
            return super().read(n)
        start = self.tell()
        stop = min(start + n, len(self))
        self.seek(stop)
        return memoryview(self)[start:stop]

    def release(self) -> None:
        if hasattr(mmap, "MADV_DONTNEED"):
            self.madvise(mmap.MADV_DONTNEED)


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}", "Check the path.") from None


def _map(file: IO[bytes]) -> _Mapping:
    return _Mapping(file.fileno(), 0, access=mmap.ACCESS_READ)


def _unpack(archive: zipfile.ZipFile, member: str, folder: Path | None) -> _Mapping:
    with archive.open(member) as packed, tempfile.TemporaryFile(dir=folder) as file:
        shutil.copyfileobj(packed, file, 1 << 20)
        file.flush()
        return _map(file)


def _load_npy(mapping: _Mapping, name: str) -> Any:
    header = read_header(name, mapping, len(mapping), objects=True)
    if header.dtype.hasobject:
        content = _load(mapping, name)
        return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    return np.ndarray(header.shape, header.dtype, memoryview(mapping), mapping.tell(), order=header.order)


def _load(mapping: _Mapping, name: str) -> Any:
    try:
        return _Unpickler(mapping).load()
    except _Refused as refused:
        raise UserError(
            f"{name}: refused, because it asks for {refused}: expected NumPy arrays, numbers, text and plain "
            "containers only",
            "Such a file can run code. If you trust it, save its arrays again with plain types.",
        ) from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        _damaged(name, error)


def _damaged(name: str, error: Exception) -> NoReturn:
    raise UserError(
        f"{name}: expected a complete file, found one that cannot be read "
        f"({type(error).__name__}{f': {error}' if str(error) else ''})",
        "It is probably damaged or was copied in part: download or copy it again.",
    ) from None


class _Refused(Exception):
    """A global that a pickle asks for and that is not allowed."""


class _Type:
    """Stands for `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[?biufcSUO]\d{0,6}", code):
            raise _Refused(f"numpy.dtype({code!r})")
        self.dtype = np.dtype(code)

    def build(self, state: tuple[Any, ...]) -> None:
        byte_order, subtype, names, fields = state[1:5]
        if subtype or names or fields:
            raise _Refused("a structured numpy.dtype")
        self.dtype = self.dtype.newbyteorder(byte_order)


class _Array:
    """Stands for an array under construction: `numpy.ndarray` before its content is known."""

    def build(self, state: tuple[Any, ...]) -> np.ndarray:
        _, shape, kind, fortran, content = state
        if kind.dtype.hasobject:
            flat = np.empty(len(content), dtype=object)
            flat[:] = content
            return flat.reshape(shape, order="F" if fortran else "C")
        if isinstance(content, str):  # Python 2 has no bytes
            content = content.encode("latin1")
        if not fits(shape, kind.dtype, len(content)):
            raise ValueError(f"an array {kind.dtype} {shape} in {len(content)} bytes")
        return np.ndarray(shape, kind.dtype, content, order="F" if fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(content: Any, kind: _Type, shape: tuple[int, ...], order: str, *axes: Any) -> np.ndarray:
    array = np.frombuffer(content, kind.dtype)
    if order == "K" and axes:
        return array.reshape(shape).transpose(axes[0])
    fortran = order == "F"
    return array.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: _Type, content: Any) -> Any:
    if kind.dtype.hasobject:
        raise _Refused("a scalar that is an object")
    if isinstance(content, str):
        content = content.encode("latin1")
    return np.ndarray((), kind.dtype, content)[()]


def _encode(text: str, encoding: str) -> bytes:
    """Stands for `codecs.encode`, with which protocol 2 writes bytes."""
    if encoding != "latin1":
        raise _Refused(f"_codecs.encode to {encoding!r}")
    return text.encode(encoding)


def _bytes(kind: type[bytes] | type[bytearray], content: Any = b"", encoding: str = "latin1") -> Any:
    """Stands for `bytes` and `bytearray`, which make of a number so many zeros."""
    if isinstance(content, str):
        return kind(_encode(content, encoding.replace("-", "")))
    if not isinstance(content, bytes | bytearray | list):
        raise _Refused(f"{kind.__name__} of a {type(content).__name__}")
    return kind(content)


_ALLOWED: Mapping[str, Any] = {
    "numpy.dtype": _Type,
    "numpy.ndarray": _Array,
    "_codecs.encode": _encode,
    **{
        f"{place}.{name}": stand_in
        for place in ("numpy.core", "numpy._core")
        for name, stand_in in (
            ("multiarray._reconstruct", _reconstruct),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
    **{
        f"{place}.{kind.__name__}": kind
        for place in ("builtins", "__builtin__")
        for kind in (set, frozenset, complex)
    },
    **{
        f"{place}.{kind.__name__}": partial(_bytes, kind)
        for place in ("builtins", "__builtin__")
        for kind in (bytes, bytearray)
    },
}


class _Unpickler(BoundedUnpickler):
    """Runs a pickle in which every global is one of `_ALLOWED`."""

    dispatch: ClassVar[dict[int, Any]] = dict(BoundedUnpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise _Refused(f"{module}.{name}") from None

    def load_build(self) -> None:
        state = self.stack.pop()
        made = self.stack[-1]
        if isinstance(made, _Type):
            made.build(state)
        elif isinstance(made, _Array):
            array = made.build(state)
            self.stack[-1] = array
            # The memo knows the stand-in from just before its state.
            for key in reversed(self.memo):
                if self.memo[key] is made:
                    self.memo[key] = array
                    break
        else:
            raise _Refused(f"the state of a {type(made).__name__}")

    dispatch[pickle.BUILD[0]] = load_build
