"""The clip store: one folder for the motion of a data set, each frame once, windows cut when they are read.

    STORE/manifest.json               what it is, where it comes from, its sequences
    STORE/<split>/keypoints_norm.npy  (frames, joints, 3) float32: x, y and the detector's confidence
    STORE/<split>/target.npy          (frames, joints, 3) float32: what a model learns; none in a store of 2D
    STORE/<split>/truth_mm.npy        (frames, joints, 3), optional: what errors are measured against
    STORE/<split>/factor.npy          (frames,), optional: millimetres per unit of an image target
    STORE/<split>/valid.npy           (frames,) bool, optional: frames that count

Keypoints are in units of the picture (`repose.geometry.camera.to_screen`), as published models want them,
so that reading a clip is copying it. A target of the kind "camera" is in metres in the camera frame. One of
the kind "image" is the published Human3.6M form, x, y, z in units of the picture. All arrays of a split have
one row per frame, and a sequence (one video seen by one camera) is a run of rows. Arrays are memory-mapped,
so opening costs nothing and processes share their pages.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
from msgspec import Meta, Struct

from repose.datasets.windows import Split, StoredSequence
from repose.errors import UserError, expected, reads
from repose.files.arrays import map_array
from repose.files.numbers import check_numbers
from repose.files.output import note_placed
from repose.files.structured import Count, Text, convert, decode
from repose.geometry.camera import to_screen
from repose.skeleton import Skeleton, get_skeleton

VERSION = 2
MANIFEST = "manifest.json"
Target = Literal["image", "camera"]
Progress = Callable[[str, int, int | None], None]
"""Called with what is done, how much of it, and of how much."""

_FORMAT = "repose-store"
_ABANDONED_S = 600.0
"""A partial folder that was not written to for so long belongs to a preparation that was killed."""

# Axes after the first, of which a row is a frame: "joints" stands for the skeleton's number of joints.
_LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "keypoints_norm": ("float32", ("joints", 3)),
    "target": ("float32", ("joints", 3)),
    "truth_mm": ("float32", ("joints", 3)),
    "factor": ("float64", ()),
    "valid": ("bool", ()),
}
_UNITS = {
    "keypoints_norm": "x, y: half the picture's width, from its middle; third: confidence",
    "truth_mm": "millimetres",
    "factor": "millimetres per unit of target",
    "valid": "true where a frame counts",
}
_TARGET_UNITS: dict[Target | None, str] = {
    "image": "half the picture's width; x, y from its middle, z relative to the pelvis",
    "camera": "metres, camera frame",
}


class _Part(Struct):
    """A split, as the manifest describes it."""

    frames: Count
    arrays: list[Literal["keypoints_norm", "target", "truth_mm", "factor", "valid"]]
    sequences: list[StoredSequence]


class _Manifest(Struct):
    """What must be right in a manifest for the store to be used."""

    dataset: Text
    skeleton: Text
    target: Target | None
    splits: dict[Annotated[str, Meta(pattern=r"^\w[\w.-]{0,99}$")], _Part]
    licence: Text = ""
    notes: list[Text] = []
    sources: list[dict[str, Any]] = []


@dataclass(frozen=True, eq=False)
class ClipStore:
    """A prepared data set."""

    path: Path
    manifest: Mapping[str, Any]
    skeleton: Skeleton
    splits: Mapping[str, Split]

    @classmethod
    def open(cls, path: str | Path) -> "ClipStore":
        """Open a store; its arrays are mapped, not read.

        Raises UserError for a path without a store, a store of another version, and a damaged one.
        """
        path = Path(path)
        manifest = _read_manifest(path)
        found: _Manifest = convert(str(path / MANIFEST), manifest, _Manifest, "Prepare the store again.")
        skeleton = get_skeleton(found.skeleton)
        required = ["keypoints_norm", *([] if found.target is None else ["target"])]
        splits = {
            name: _open_split(path, name, part, skeleton, required) for name, part in found.splits.items()
        }
        return cls(path, manifest, skeleton, splits)

    @property
    def dataset(self) -> str:
        """One of "human36m", "mpi-inf-3dhp", "mocap", "sample" and "keypoints"."""
        return str(self.manifest["dataset"])

    @property
    def target_kind(self) -> Target | None:
        """Whether targets are in "image" units or in metres in the "camera" frame; None in a store of 2D."""
        kind: Target | None = self.manifest["target"]
        return kind

    def split(self, name: str) -> Split:
        """Return the split called `name`; raises UserError that names the existing ones."""
        if name not in self.splits:
            expected(f"{self.path}: split", f"one of {', '.join(self.splits)}", name)
        return self.splits[name]


@dataclass(frozen=True, eq=False)
class Recording:
    """A sequence on its way into a store, with its arrays."""

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
    """`truth_mm`, `factor` (millimetres per pixel), `valid`: the same ones for all recordings of a split."""


@dataclass(frozen=True)
class StoreInfo:
    """What a store says of itself."""

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
            "format": _FORMAT,
            "version": VERSION,
            **asdict(info),
            "units": {array: units[array] for array in _LAYOUT if array in stored},
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
        shape = (frames, *_axes(name, skeleton))
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
    arrays["keypoints_norm"] = in_picture(recording.keypoints_px, 1.0)
    if kind == "image":
        arrays["target"] = in_picture(arrays["target"], 2 / size[0])
        if "factor" in arrays:
            arrays["factor"] = arrays["factor"] * (size[0] / 2)
    return arrays


def _axes(name: str, skeleton: Skeleton) -> tuple[int, ...]:
    return tuple(len(skeleton) if axis == "joints" else int(axis) for axis in _LAYOUT[name][1])


class _ArrayWriter:
    """An `.npy` file that grows by rows; the number of rows goes into its header at the end."""

    def __init__(self, folder: Path, name: str, skeleton: Skeleton) -> None:
        self.rows = 0
        self._dtype = np.dtype(_LAYOUT[name][0])
        self._axes = _axes(name, skeleton)
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


@reads("a store")
def _read_manifest(path: Path) -> dict[str, Any]:
    again = "Make one with `repose prepare`."
    if not path.is_dir():
        expected(str(path), "the folder of a store", "a file" if path.exists() else "nothing there", again)
    if ".partial-" in path.name:
        raise UserError(
            f"{path}: expected a complete store, found an interrupted preparation", "Prepare it again."
        )
    try:
        text = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        expected(str(path), f"a store, with a {MANIFEST}", "a folder without one", again)
    manifest: dict[str, Any] = decode(str(path / MANIFEST), text, dict[str, Any], "Prepare the store again.")
    if manifest.get("format") != _FORMAT:
        expected(str(path / MANIFEST), "the manifest of a store", "something else", again)
    if manifest.get("version") != VERSION:
        expected(
            f"{path}: version of the store",
            VERSION,
            manifest.get("version"),
            "Prepare it again with this version of RePOSE, or use the version that made it.",
        )
    return manifest


def _open_split(path: Path, name: str, part: _Part, skeleton: Skeleton, required: list[str]) -> Split:
    frames, sequences = part.frames, tuple(part.sequences)
    if missing := [array for array in required if array not in part.arrays]:
        _inconsistent(path, f"split {name} has no {', '.join(missing)}")
    arrays: dict[str, np.ndarray] = {
        array: _map(path / name / f"{array}.npy", array, frames, skeleton) for array in part.arrays
    }
    edges = [0, *(sequence.stop for sequence in sequences)]
    if [sequence.start for sequence in sequences] != edges[:-1] or edges[-1] != frames:
        _inconsistent(path, f"the sequences of split {name} do not follow one another")
    return Split(name, sequences, arrays, skeleton)


def _inconsistent(path: Path, why: str) -> NoReturn:
    raise UserError(
        f"{path / MANIFEST}: expected a store's description, found a damaged one ({why})",
        "Prepare the store again.",
    )


@reads("an array of a store")
def _map(path: Path, name: str, frames: int, skeleton: Skeleton) -> np.ndarray:
    shape, dtype = (frames, *_axes(name, skeleton)), np.dtype(_LAYOUT[name][0])
    mapped = map_array(path)
    if mapped.shape != shape or mapped.dtype != dtype:
        expected(str(path), f"{dtype} {shape}", f"{mapped.dtype} {mapped.shape}", "Prepare the store again.")
    return mapped
