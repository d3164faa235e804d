"""From published files and motion capture to a clip store.

Every function writes a store to `out`, in place of an older one with `force`, and tells `progress` what is
done, how much of it and of how much. All raise UserError for other files, anything wrong in them, missing
packages, and an output that cannot be written.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from repose.datasets.aist import read_aist
from repose.datasets.amass import read_amass
from repose.datasets.blendmimic3d import read_blendmimic3d
from repose.datasets.human36m import read_human36m
from repose.datasets.keypoint_files import read_keypoint_files
from repose.datasets.mpi_inf_3dhp import read_mpi_inf_3dhp
from repose.datasets.pretraining_2d import read_instavariety, read_posetrack18
from repose.datasets.projected import ProjectionConfig, make_sample, read_projected_mocap
from repose.datasets.pw3d import read_3dpw
from repose.datasets.store import ClipStore, Progress
from repose.datasets.store_writer import Recording, Source, StoreInfo, check_place, write_store
from repose.datasets.videopose import read_videopose
from repose.errors import reading
from repose.files.pickles import npz_keys

FOLDERS: dict[str, Callable[..., Source]] = {
    "3dpw": read_3dpw,
    "aist++": read_aist,
    "amass": read_amass,
    "blendmimic3d": read_blendmimic3d,
    "instavariety": read_instavariety,
    "posetrack18": read_posetrack18,
}
"""Readers of data sets that are a folder, by the name of the data set."""


def prepare_folder(
    dataset: str,
    folder: str | Path,
    out: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> ClipStore:
    """Create a store of a data set in `FOLDERS`; its reader says what `options` there are."""
    folder, read = Path(folder), FOLDERS[dataset]
    return _prepare(
        dataset, [folder], lambda: read(folder, progress=progress, **options), out, force, progress
    )


def prepare_human36m(
    file: str | Path,
    file_2d: str | Path | None,
    out: str | Path,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> ClipStore:
    """Create a store of Human3.6M.

    `file`: `h36m_sh_conf_cam_source_final.pkl`, or one of the pair `data_3d_h36m.npz` and
    `data_2d_h36m_*.npz`, recognised by content; `file_2d`: the other one of the pair.
    """

    def read() -> Source:
        if file_2d is None and npz_keys(file) is None:
            return read_human36m(file, progress=progress)
        return read_videopose(file, file_2d, unpack_to=_existing(out), progress=progress)

    files = [Path(path) for path in (file, file_2d) if path is not None]
    return _prepare("human36m", files, read, out, force, progress)


def prepare_mpi_inf_3dhp(
    path: str | Path, out: str | Path, *, force: bool = False, progress: Progress | None = None
) -> ClipStore:
    """Create a store of MPI-INF-3DHP, from published `.npz` files or from the original annotations.

    `path`: the folder with the files, or one `.npz`.
    """
    path = Path(path)

    def read() -> Source:
        return read_mpi_inf_3dhp(path, unpack_to=_existing(out), progress=progress)

    files = [path] if path.is_file() else _files(path, ("data_t*_3dhp.npz",)) or _files(path, ("annot*.mat",))
    return _prepare("mpi-inf-3dhp", files, read, out, force, progress)


def prepare_mocap(
    folder: str | Path,
    out: str | Path,
    config: ProjectionConfig,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> ClipStore:
    """Create a store of motion capture, in any format of `read_mocap`, seen by virtual cameras."""
    folder = Path(folder)
    files = _files(folder, ("*.bvh", "*.asf", "*.amc", "*.npz", "*.c3d", "*.trc"))
    return _prepare(
        "mocap", files, lambda: read_projected_mocap(folder, config, progress=progress), out, force, progress
    )


def prepare_keypoints(
    files: Sequence[str | Path],
    out: str | Path,
    *,
    fps: float | None = None,
    image_size: tuple[int, int] | None = None,
    skeleton: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> ClipStore:
    """Create a store of 2D only, from keypoint files or folders, one per video, as `read_keypoints` reads."""

    def read() -> Source:
        return read_keypoint_files(
            files, fps=fps, image_size=image_size, skeleton=skeleton, progress=progress
        )

    return _prepare("keypoints", [Path(file) for file in files], read, out, force, progress)


def prepare_sample(
    out: str | Path, *, seed: int = 0, force: bool = False, progress: Progress | None = None
) -> ClipStore:
    """Create a small store of procedural motion in the form of Human3.6M, to try out what needs a store."""
    return _prepare("sample", [], lambda: make_sample(seed=seed, progress=progress), out, force, progress)


def _prepare(
    command: str,
    files: Sequence[Path],
    read: Callable[[], Source],
    out: str | Path,
    force: bool,
    progress: Progress | None,
) -> ClipStore:
    check_place(out, force=force)
    source = read()
    info = StoreInfo(
        dataset=source.dataset,
        skeleton=source.skeleton,
        target=source.target,
        licence=source.licence,
        sources=tuple(_describe(file, progress) for file in files),
        made_by={"repose": version("repose3d"), "command": f"repose prepare {command}"},
        notes=source.notes,
    )
    splits = {name: _reading(files, source, recordings) for name, recordings in source.splits.items()}
    return write_store(out, info, splits, force=force)


def _reading(files: Sequence[Path], source: Source, recordings: Iterator[Recording]) -> Iterator[Recording]:
    """Read the recordings; they are made one by one, and so are read outside of what opened their files."""
    with reading(files[0] if files else source.dataset, f"the data set {source.dataset}"):
        yield from recordings


def _describe(path: Path, progress: Progress | None) -> dict[str, Any]:
    """Name, size and SHA-256 of a file, or of a folder's files one after the other, pictures left out."""
    files = [path]
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.suffix.lower() not in _PICTURES)
    digest, done, size = hashlib.sha256(), 0, sum(file.stat().st_size for file in files)
    for part in files:
        with part.open("rb") as file:
            while piece := file.read(1 << 22):
                digest.update(piece)
                done += len(piece)
                if progress:
                    progress("checksum (MB)", done >> 20, size >> 20)
    return {"name": path.name, "bytes": size, "sha256": digest.hexdigest()}


_PICTURES = {".jpg", ".jpeg", ".png", ".mp4", ".avi", ".mov", ".mkv"}
"""Data sets may have them beside what is read, gigabytes of them."""


def _files(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(file for pattern in patterns for file in folder.rglob(pattern))


def _existing(out: str | Path) -> Path:
    """Return the nearest existing folder above the store, so that unpacking uses the store's disk."""
    return next(folder for folder in Path(out).resolve().parents if folder.is_dir())
