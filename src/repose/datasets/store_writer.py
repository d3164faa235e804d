"""Writing a clip store: what a reader of published files gives, stored whole or not at all."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
from jaxtyping import Float

from repose.datasets.splits import StoredSequence
from repose.datasets.store import FORMAT, LAYOUT, MANIFEST, VERSION, ClipStore, Progress, Target, array_axes
from repose.errors import UserError, expected
from repose.files.numbers import check_numbers
from repose.files.output import note_placed
from repose.geometry.camera import to_screen
from repose.skeleton import Skeleton, get_skeleton

_ABANDONED_S = 600.0
"""A partial folder that was not written to for this long belongs to a preparation that was killed."""

_UNITS = {
    "keypoints_norm": "x, y: half the picture's width, from its middle; third: confidence",
    "truth_mm": "millimetres",
    "factor": "millimetres per unit of target",
    "valid": "true where a frame counts",
    "exact_norm": "as keypoints_norm, of the truth itself; confidence 1",
}
_TARGET_UNITS: dict[Target | None, str] = {
    "image": "half the picture's width; x, y from its middle, z relative to the pelvis",
    "camera": "metres, camera frame",
}


@dataclass(frozen=True, eq=False)
class Recording:
    """A sequence to be stored, with its arrays."""

    name: str
    subject: str
    action: str
    camera: str
    image_size: tuple[int, int]
    fps: float
    keypoints_px: np.ndarray
    """(frames, joints, 3): x, y and confidence."""
    target: np.ndarray | None
    """(frames, joints, 3): metres in the camera frame, or x, y and z in pixels; None in a store of 2D."""
    optional: Mapping[str, np.ndarray] = field(default_factory=dict)
    """`truth_mm`, `factor` (millimetres per pixel), `valid`, `exact_norm` (what a perfect detector would
    see, in pixels): the same ones for all recordings of a split."""

    def __post_init__(self) -> None:
        for what in ("name", "subject", "action", "camera"):
            text = getattr(self, what)
            # Pickles hold halves of UTF-16 pairs, which no file of text can.
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                expected(f"{what} of a recording", "text in Unicode", ascii(text[:40]))


@dataclass(frozen=True)
class StoreInfo:
    """A store's own description."""

    dataset: str
    skeleton: str
    target: Target | None
    licence: str
    sources: tuple[Mapping[str, Any], ...] = ()
    """Name, size and SHA-256 of the files it was made from."""
    made_by: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a reader of numbers must know: what was assumed, what the source lacks."""


def write_store(
    path: str | Path,
    info: StoreInfo,
    splits: Mapping[str, Iterable[Recording]],
    *,
    force: bool = False,
) -> ClipStore:
    """Write a store, whole or not at all, one recording after the other, and open it.

    Everything is written to a hidden folder beside `path`, which takes its name at the end; the manifest
    comes last, so that a partial folder is never taken for a store. With `force` an older store in this
    place is replaced at that moment.

    Raises UserError if something is there (and is no store, or `force` is not set), for recordings whose
    arrays do not fit together or with no frame, and for a disk that is full.
    """
    skeleton = get_skeleton(info.skeleton)
    with _staged(Path(path), force) as partial:
        parts = {
            name: _write_split(partial / name, parts, skeleton, info.target) for name, parts in splits.items()
        }
        stored = {array for part in parts.values() for array in part["arrays"]}
        units = {"target": _TARGET_UNITS.get(info.target), **_UNITS}
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            **asdict(info),
            "units": {array: units[array] for array in LAYOUT if array in stored},
            "splits": parts,
        }
        text = json.dumps(manifest, indent=1, ensure_ascii=False, allow_nan=False)
        (partial / MANIFEST).write_text(text, encoding="utf-8")
    return ClipStore.open(path)


def check_place(path: str | Path, *, force: bool = False) -> None:
    """Raise UserError where `write_store` would; meant to be called before long work."""
    path = Path(path)
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file():
        expected(str(path), "a new folder for the store", "something else", "Choose another name.")
    if not force:
        raise UserError(
            f"{path}: there is a store already", "Choose another name, or replace it with --force."
        )


@contextmanager
def _staged(path: Path, force: bool) -> Iterator[Path]:
    check_place(path, force=force)
    beside, name = path.resolve().parent, path.resolve().name
    partial = beside / f".{name}.partial-{token_hex(4)}"
    old = beside / f".{name}.replaced-{token_hex(4)}"
    try:
        beside.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(beside, name)
        partial.mkdir()
        yield partial
        if path.exists():
            path.rename(old)
        partial.rename(path)
        note_placed(path)
    except OSError as error:
        raise UserError(
            f"{path}: the store cannot be written ({error.strerror or error})",
            "Nothing was kept. Free some disk space, or choose another folder.",
        ) from None
    finally:
        if old.exists() and not path.exists():  # also when interrupted between the two
            old.rename(path)
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _remove_abandoned(beside: Path, name: str) -> None:
    for folder in beside.glob(f".{name}.partial-*"):
        touched = max(file.stat().st_mtime for file in [folder, *folder.rglob("*")])
        if time.time() - touched > _ABANDONED_S:
            shutil.rmtree(folder, ignore_errors=True)


def _write_split(
    folder: Path, recordings: Iterable[Recording], skeleton: Skeleton, kind: Target | None
) -> dict[str, Any]:
    folder.mkdir()
    writers: dict[str, _ArrayWriter] = {}
    sequences: list[dict[str, Any]] = []
    try:
        for recording in _recordings(recordings):
            _check_recording(recording, skeleton)
            arrays = _in_store_units(recording, kind)
            if not writers:
                writers = {name: _ArrayWriter(folder, name, skeleton) for name in arrays}
            if set(arrays) != set(writers):
                expected(recording.name, f"the arrays {', '.join(writers)}", ", ".join(arrays))
            start = writers["keypoints_norm"].rows
            for name, array in arrays.items():
                writers[name].append(array)
            sequence = StoredSequence(
                recording.name,
                recording.subject,
                recording.action,
                recording.camera,
                recording.image_size,
                float(recording.fps),
                start,
                writers["keypoints_norm"].rows,
            )
            sequences.append(asdict(sequence))
    finally:
        for writer in writers.values():
            writer.close()
    if not sequences:
        expected(f"split {folder.name}", "at least one sequence", "none")
    return {"frames": sequences[-1]["stop"], "arrays": sorted(writers), "sequences": sequences}


def _recordings(recordings: Iterable[Recording]) -> Iterator[Recording]:
    """Iterate over the recordings; what overflows in float32 is refused as infinite, without a warning."""
    making = iter(recordings)
    while True:
        with np.errstate(over="ignore", invalid="ignore"):
            recording = next(making, None)
        if recording is None:
            return
        yield recording


def _check_recording(recording: Recording, skeleton: Skeleton) -> None:
    frames = len(recording.keypoints_px)
    for name, array in _arrays(recording).items():
        shape = (frames, *array_axes(name, skeleton))
        if not frames or array.shape != shape:
            expected(f"{recording.name}: {name}", f"the shape {shape}, with frames", array.shape)
        check_numbers(f"{recording.name}: {name}", array, missing=True)
    if not 0 < recording.fps < np.inf:
        expected(f"{recording.name}: fps", "a positive number of frames per second", recording.fps)


def _arrays(recording: Recording) -> dict[str, np.ndarray]:
    target = {} if recording.target is None else {"target": recording.target}
    return {"keypoints_norm": recording.keypoints_px, **target, **recording.optional}


def _in_store_units(recording: Recording, kind: Target | None) -> dict[str, np.ndarray]:
    """Return the arrays of a recording as they are stored."""
    size = recording.image_size

    def in_picture(array: np.ndarray, unit: float) -> np.ndarray:
        array = array.astype(np.result_type(array, np.float32), copy=False)  # whole numbers would overflow
        out = np.empty(array.shape, np.float32)
        out[..., :2] = to_screen(array[..., :2], size)
        out[..., 2] = array[..., 2] * unit
        return out

    arrays = _arrays(recording)
    for name in ("keypoints_norm", "exact_norm"):
        if name in arrays:
            arrays[name] = in_picture(arrays[name], 1.0)
    if kind == "image":
        arrays["target"] = in_picture(arrays["target"], 2 / size[0])
        if "factor" in arrays:
            arrays["factor"] = arrays["factor"] * (size[0] / 2)
    return arrays


class _ArrayWriter:
    """An `.npy` file written row by row; the number of rows is put into its header at the end."""

    def __init__(self, folder: Path, name: str, skeleton: Skeleton) -> None:
        self.rows = 0
        self._dtype = np.dtype(LAYOUT[name][0])
        self._axes = array_axes(name, skeleton)
        self._file = (folder / f"{name}.npy").open("wb")
        self._header()
        self._begin = self._file.tell()

    def append(self, array: np.ndarray) -> None:
        content = np.ascontiguousarray(array, self._dtype)
        self._file.write(content.data.cast("B"))
        self.rows += len(content)

    def close(self) -> None:
        try:
            self._file.seek(0)
            self._header()
            # NumPy leaves room in the header for a first axis of any length.
            if self._file.tell() != self._begin:
                raise RuntimeError("the header of an .npy file has grown over its content")
        finally:
            self._file.close()

    def _header(self) -> None:
        description = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self.rows, *self._axes),
        }
        np.lib.format.write_array_header_1_0(self._file, description)


@dataclass(frozen=True, eq=False)
class Source:
    """An opened and checked data set; its recordings are created one by one when they are stored."""

    dataset: str
    skeleton: str
    target: Target | None
    licence: str
    splits: Mapping[str, Iterator[Recording]]
    notes: tuple[str, ...] = ()


def numeric_array(name: str, array: Any) -> np.ndarray:
    """Return `array` if it is an array of numbers; raises UserError with `name` if not."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf":
        expected(name, "an array of numbers", f"a {type(array).__name__}")
    return array


def shaped_array(
    name: str, array: Any, shape: tuple[int | None, ...], *, missing: bool = False
) -> Float[np.ndarray, "..."]:
    """Return `array` as floats if it has this shape, where None is any length but 0.

    Raises UserError with `name` for anything else, and for what is not finite; `missing` allows NaN.
    """
    if isinstance(array, np.ndarray) and array.dtype.kind == "b":
        array = array.astype(np.int8)
    found = numeric_array(name, array)
    if found.ndim != len(shape) or not all(
        length and length == (wanted or length) for length, wanted in zip(found.shape, shape, strict=True)
    ):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        expected(name, f"the shape ({wanted})", found.shape)
    check_numbers(name, found, missing=missing)
    return found.astype(np.float64)


def count_progress(what: str, total: int, progress: Progress | None) -> Callable[[int], None]:
    """Return a function to call with the number of frames done since the last call."""
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        if progress:
            progress(what, done, total)

    return count
