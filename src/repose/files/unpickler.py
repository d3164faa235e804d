"""Bounded unpickling: a few bytes cannot ask for a billion steps, or for gigabytes."""

import mmap
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from repose.errors import UserError, reading
from repose.files.arrays import check_archive

_HEAVIEST = 1000
"""Values that a tuple of tuples may come to, each counted as often as it is reached. Tensors need 20."""
_LEGACY_PARTS = 5
"""A PyTorch file of before 1.6 begins with so many pickles: marks, system, content, names of storages."""


# The unpickler written in Python: the one in C can neither be watched nor leaves arrays in their file.
class BoundedUnpickler(pickle._Unpickler):
    """Refuses tuples that take ages to hash: 60 pairs, each of the previous one twice, are 2^60 values."""

    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    memo: dict[int, Any]
    read: Callable[[int], Any]
    append: Callable[[Any], None]

    def __init__(self, file: Any) -> None:
        super().__init__(file, encoding="latin1")
        # With the tuples themselves, so that no other object gets their identity.
        self._weights: dict[int, tuple[Any, int]] = {}

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))  # what there is; pickle itself makes room first

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def weigh(self) -> None:
        """Note how many values the tuple just made comes to."""
        made = self.stack[-1]
        if any(isinstance(item, tuple) for item in made):
            weight = 1 + sum(self._weights.get(id(item), (None, _length(item)))[1] for item in made)
            if weight > _HEAVIEST:
                raise pickle.UnpicklingError(f"tuples of tuples that come to over {_HEAVIEST} values")
            self._weights[id(made)] = made, weight


def _length(item: Any) -> int:
    return 1 + len(item) if isinstance(item, tuple) else 1


def _weighing(load: Callable[[Any], None]) -> Callable[[BoundedUnpickler], None]:
    def loaded(unpickler: BoundedUnpickler) -> None:
        load(unpickler)
        unpickler.weigh()

    return loaded


for _code in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
    BoundedUnpickler.dispatch[_code[0]] = _weighing(pickle._Unpickler.dispatch[_code[0]])


def check_torch_file(path: Path) -> None:
    """Refuse a PyTorch file whose pickle or archive asks for more than the file holds.

    Meant to be called before `torch.load`, which allows what is found here. Its pickle is gone through with
    nothing in it called or made but plain values.

    Raises:
        UserError: the file is missing or damaged, or unpacks to many times its size.
    """
    with reading(path, "a PyTorch file"), path.open("rb") as file:
        start = file.read(4)
        file.seek(0)
        if start != b"PK\x03\x04":
            # A mapped file gives what there is; another one makes room first for what a pickle asks for.
            try:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                    for _ in range(_LEGACY_PARTS):
                        _Rehearsal(mapped).load()
            except (EOFError, IndexError):
                _unreadable(path, "it ends within a pickle")
            return
        if not zipfile.is_zipfile(file):
            _unreadable(path, "the end of the archive is missing")
        with zipfile.ZipFile(file) as archive:
            check_archive(str(path), archive, path.stat().st_size)
            pickles = [name for name in archive.namelist() if name.endswith("data.pkl")]
            if not pickles:
                there = f"an archive of {', '.join(archive.namelist()[:4]) or 'nothing'}"
                _unreadable(path, there, "Check that it is the right file.")
            for name in pickles:
                with archive.open(name) as content:
                    _Rehearsal(content).load()


def _unreadable(path: Path, why: str, hint: str = "Download or copy it again.") -> NoReturn:
    raise UserError(f"{path}: expected a PyTorch file, found one that cannot be read ({why})", hint)


class _Anything:
    """Stands for any global of a pickle, and does nothing."""

    def __new__(cls, *_: Any) -> Any:
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def ignore(self, *_: Any) -> None:
        pass

    append = extend = add = __setstate__ = ignore


class _Sized(_Anything):
    """Stands for what makes of a number so many zeros."""

    def __new__(cls, *values: Any) -> Any:
        if not all(isinstance(value, bytes | str) for value in values):
            raise pickle.UnpicklingError("zeros by their number")
        return super().__new__(cls)


class _Rehearsal(BoundedUnpickler):
    """Goes through a pickle without its globals, which `torch.load` allows or refuses."""

    def find_class(self, module: str, name: str) -> Any:
        tensor = module.partition(".")[0] == "torch" and name.endswith(("Tensor", "Storage"))
        return _Sized if tensor or name in ("bytearray", "bytes") else _Anything

    def persistent_load(self, _: Any) -> Any:
        return _Anything()
