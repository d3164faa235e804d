"""The clip store: one folder for the motion of a data set, each frame once, windows cut on reading.

    STORE/manifest.json               what it is, where it comes from, its sequences
    STORE/<split>/keypoints_norm.npy  (frames, joints, 3) float32: x, y and the detector's confidence
    STORE/<split>/target.npy          (frames, joints, 3) float32: what a model learns; none in a store of 2D
    STORE/<split>/truth_mm.npy        (frames, joints, 3), optional: what errors are measured against
    STORE/<split>/factor.npy          (frames,), optional: millimetres per unit of an image target
    STORE/<split>/valid.npy           (frames,) bool, optional: frames that count
    STORE/<split>/exact_norm.npy      (frames, joints, 3), optional: keypoints without a detector's errors

Keypoints are in units of the picture (`repose.geometry.camera.to_screen`), as published models want them,
so that reading a clip is copying it. A target of the kind "camera" is in metres in the camera frame. One of
the kind "image" is the published Human3.6M form, x, y, z in units of the picture. All arrays of a split have
one row per frame, and a sequence (one video seen by one camera) is a run of rows. Arrays are memory-mapped,
so opening costs nothing and processes share their pages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
from msgspec import Meta, Struct

from repose.datasets.splits import Split, StoredSequence
from repose.errors import UserError, expected, reads
from repose.files.arrays import map_array
from repose.files.structured import Count, Text, convert, decode
from repose.skeleton import Skeleton, get_skeleton

VERSION = 2
MANIFEST = "manifest.json"
Target = Literal["image", "camera"]
Progress = Callable[[str, int, int | None], None]
"""Called with what is done, how much of it, and of how much."""

FORMAT = "repose-store"

# Axes after the first, of which a row is a frame: "joints" stands for the skeleton's number of joints.
LAYOUT: dict[str, tuple[str, tuple[str | int, ...]]] = {
    "keypoints_norm": ("float32", ("joints", 3)),
    "target": ("float32", ("joints", 3)),
    "truth_mm": ("float32", ("joints", 3)),
    "factor": ("float64", ()),
    "valid": ("bool", ()),
    "exact_norm": ("float32", ("joints", 3)),
}


class _Part(Struct):
    """A split, as the manifest describes it."""

    frames: Count
    arrays: list[Literal["keypoints_norm", "target", "truth_mm", "factor", "valid", "exact_norm"]]
    sequences: list[StoredSequence]


class _Manifest(Struct):
    """The fields of a manifest that the store depends on."""

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
        """What it was prepared from, such as "human36m": the name of the subcommand of `repose prepare`."""
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


def array_axes(name: str, skeleton: Skeleton) -> tuple[int, ...]:
    """Return the axes after the first of a stored array."""
    return tuple(len(skeleton) if axis == "joints" else int(axis) for axis in LAYOUT[name][1])


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
    if manifest.get("format") != FORMAT:
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
    shape, dtype = (frames, *array_axes(name, skeleton)), np.dtype(LAYOUT[name][0])
    mapped = map_array(path)
    if mapped.shape != shape or mapped.dtype != dtype:
        expected(str(path), f"{dtype} {shape}", f"{mapped.dtype} {mapped.shape}", "Prepare the store again.")
    return mapped
