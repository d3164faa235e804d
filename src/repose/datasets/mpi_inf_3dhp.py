"""MPI-INF-3DHP (Mehta et al. 2017): the `.npz` files that lifting papers share, and the original annotations.

Joints are those of the layout mpi-17, in the camera frame, of a person scaled to the height of the
"universal" skeleton (`univ_annot3`), as published scores are measured.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, numeric_array
from repose.errors import expected, needing, reading, reads
from repose.files.matlab import load_h5, load_mat
from repose.files.pickles import map_npz
from repose.skeleton import SKELETONS

TRAIN_FILE, TEST_FILE = "data_train_3dhp.npz", "data_test_3dhp.npz"
LICENCE = (
    "MPI-INF-3DHP is for non-commercial research (vcai.mpi-inf.mpg.de/3dhp-dataset). This store is made from "
    "it and must not be passed on."
)
TEST_FPS = 25.0
"""Assumed: neither the annotations nor the published files say it."""

_MPI_17 = SKELETONS["mpi-17"]
_CAMERAS = ("0", "1", "2", "4", "5", "6", "7", "8")
"""The eight of fourteen cameras that papers train on."""

# fmt: off
_JOINTS_28 = (
    "spine3", "spine4", "spine2", "spine", "pelvis", "neck", "head", "head_top",
    "left_clavicle", "left_shoulder", "left_elbow", "left_wrist", "left_hand",
    "right_clavicle", "right_shoulder", "right_elbow", "right_wrist", "right_hand",
    "left_hip", "left_knee", "left_ankle", "left_foot", "left_toe",
    "right_hip", "right_knee", "right_ankle", "right_foot", "right_toe",
)
"""The joints of `annot.mat`, as mpii_get_joints.m of the data set lists them."""

# Frames that the videos of a sequence have, and their rate, by subject and sequence: the makers' table
# (mpii_get_sequence_info), which papers cut the longer annotations by.
_VIDEOS = {
    (1, 1): (6416, 25.0), (1, 2): (12430, 50.0), (2, 1): (6502, 25.0), (2, 2): (6081, 25.0),
    (3, 1): (12488, 50.0), (3, 2): (12283, 50.0), (4, 1): (6171, 25.0), (4, 2): (6675, 25.0),
    (5, 1): (12820, 50.0), (5, 2): (12312, 50.0), (6, 1): (6188, 25.0), (6, 2): (6145, 25.0),
    (7, 1): (6239, 25.0), (7, 2): (6320, 25.0), (8, 1): (6468, 25.0), (8, 2): (6054, 25.0),
}
# fmt: on


@reads("MPI-INF-3DHP")
def read_mpi_inf_3dhp(path: str | Path, *, unpack_to: Path, progress: Progress | None = None) -> Source:
    """Open MPI-INF-3DHP; the store gets the splits that are there.

    `path`: a folder with `data_train_3dhp.npz`, `data_test_3dhp.npz` or both, one such file under any name,
    or a folder that has the original files (`S1/Seq1/annot.mat`, `TS1/annot_data.mat`) at any depth. The
    original test files need h5py. `unpack_to`: folder for temporary files.

    Raises UserError for paths without MPI-INF-3DHP, missing entries, other joint counts and missing
    packages. Published files are checked before the first recording is made.
    """
    path = Path(path)
    if path.is_file():
        files = [path]
    elif path.is_dir():
        files = [path / name for name in (TRAIN_FILE, TEST_FILE) if (path / name).is_file()]
    else:
        expected(str(path), "a folder or file of MPI-INF-3DHP", "nothing there", "Check the path.")
    splits: dict[str, Iterator[Recording]] = {}
    for file in files:
        split, recordings = _read_npz(file, unpack_to, progress)
        splits[split] = recordings
    if not files:
        splits = _read_original(path, progress)
    notes = [
        "2D joints are annotations, not detections: confidence 1 everywhere",
        "targets are of a person scaled to universal height",
    ]
    if "test" in splits:
        notes.append(f"frame rate of test sequences is not in the source: {TEST_FPS:g} Hz assumed")
    return Source(
        dataset="mpi-inf-3dhp",
        skeleton=_MPI_17.name,
        target="camera",
        licence=LICENCE,
        splits=splits,
        notes=tuple(notes),
    )


def _recording(
    name: str,
    fps: float,
    points_px: np.ndarray,
    joints_mm: np.ndarray,
    valid: np.ndarray | None = None,
) -> Recording:
    """`name`: "S1 Seq1 0", with the camera, or "TS1". Raises UserError where shapes do not fit."""
    for what, array, width in (("data_2d", points_px, 2), ("data_3d", joints_mm, 3)):
        shape = (len(joints_mm), len(_MPI_17), width)
        if array.shape != shape:
            expected(f"{name}: {what}", f"{shape}: frames, joints and axes", array.shape)
    subject, action, camera = name.split() if " " in name else (name, name, "0")
    keypoints = np.ones((*points_px.shape[:2], 3), np.float32)
    keypoints[..., :2] = points_px
    return Recording(
        name=name,
        subject=subject,
        action=action,
        camera=camera,
        image_size=(1920, 1080) if subject in ("TS5", "TS6") else (2048, 2048),
        fps=fps,
        keypoints_px=keypoints,
        target=(joints_mm / 1000).astype(np.float32),
        optional={} if valid is None else {"valid": valid},
    )


# Published .npz -------------------------------------------------------------------------------------------


def _read_npz(file: Path, unpack_to: Path, progress: Progress | None) -> tuple[str, Iterator[Recording]]:
    """Read the split that a file holds, and its recordings."""
    if progress:
        progress(f"unpacking {file.name}", 0, None)
    mapped = map_npz(file, ("data",), unpack_to)
    content = mapped.content.get("data")
    if not isinstance(content, dict) or not content:
        expected(
            str(file),
            f"the array data of {TRAIN_FILE} or {TEST_FILE}",
            "none" if content is None else "another one",
            "Human3.6M is read by repose prepare human36m.",
        )
    split = "train" if all(isinstance(part, list) for part in content.values()) else "test"
    views: list[tuple[str, float, Mapping[str, Any]]] = []
    for name, part in content.items():
        if split == "test":
            views.append((name, TEST_FPS, part))
        elif len(part) == 2 and isinstance(part[0], dict) and " " in name:
            views += [(f"{name} {camera}", float(part[1]), view) for camera, view in part[0].items()]
        else:
            expected(f"{file}: {name}", "its cameras and frame rate", f"{len(part)} other things")
    wanted = ("data_2d", "data_3d") + (("valid",) if split == "test" else ())
    for name, _, view in views:
        if not isinstance(view, dict) or (missing := [key for key in wanted if key not in view]):
            found = f"no {', '.join(missing)}" if isinstance(view, dict) else f"a {type(view).__name__}"
            expected(f"{file}: {name}", ", ".join(wanted), found)
        for key in wanted:
            numeric_array(f"{file}: {name}: {key}", view[key])
        if split == "test" and view["valid"].shape != view["data_3d"].shape[:1]:
            expected(f"{file}: {name}: valid", "one value per frame", view["valid"].shape)
    count = count_progress(
        f"storing {split} frames", sum(len(view["data_3d"]) for _, _, view in views), progress
    )

    def recordings() -> Iterator[Recording]:
        for name, fps, view in views:
            valid = view["valid"] == 1 if split == "test" else None
            yield _recording(name, fps, view["data_2d"], view["data_3d"], valid)
            mapped.release()
            count(len(view["data_3d"]))

    return split, recordings()


# Original annotations -------------------------------------------------------------------------------------


def _read_original(path: Path, progress: Progress | None) -> dict[str, Iterator[Recording]]:
    training = sorted(file for file in path.rglob("annot.mat") if _sequence_of(file))
    test = sorted(file for file in path.rglob("annot_data.mat"))
    if not training and not test:
        expected(
            str(path),
            f"{TRAIN_FILE}, {TEST_FILE}, S1/Seq1/annot.mat or TS1/annot_data.mat",
            "none of them",
            "Give the folder that holds the subjects' folders, or that of the published .npz files.",
        )
    splits: dict[str, Iterator[Recording]] = {}
    if training:
        splits["train"] = _each(training, _read_training, "storing train sequences", progress)
    if test:
        _need_h5py()
        splits["test"] = _each(test, _read_test, "storing test sequences", progress)
    return splits


def _each(
    files: list[Path],
    read: Callable[[Path], Iterator[Recording]],
    what: str,
    progress: Progress | None,
) -> Iterator[Recording]:
    count = count_progress(what, len(files), progress)
    count(0)
    for file in files:
        with reading(file, "annotations of MPI-INF-3DHP"):
            yield from read(file)
        count(1)


def _read_training(file: Path) -> Iterator[Recording]:
    sequence = _sequence_of(file)
    assert sequence is not None
    subject, number = sequence
    if sequence not in _VIDEOS:
        expected(str(file), "subjects S1 to S8 with Seq1 and Seq2", f"S{subject}/Seq{number}")
    frames, fps = _VIDEOS[sequence]
    content = load_mat(file, ("annot2", "univ_annot3", "cameras"))
    cameras = [str(int(camera)) for camera in content["cameras"].ravel()]
    if missing := [camera for camera in _CAMERAS if camera not in cameras]:
        expected(f"{file}: cameras", ", ".join(_CAMERAS), f"no {', '.join(missing)}")
    kept = [_JOINTS_28.index(joint) for joint in _MPI_17.joints]
    for camera in _CAMERAS:
        view = cameras.index(camera)
        name = f"S{subject} Seq{number} {camera}"
        flat = [content[key].ravel()[view][:frames] for key in ("annot2", "univ_annot3")]
        for array, width in zip(flat, (2, 3), strict=True):
            if array.ndim != 2 or array.shape[1] != len(_JOINTS_28) * width:
                expected(f"{file}: camera {camera}", f"rows of {len(_JOINTS_28)} joints", array.shape)
        points_px, joints_mm = (array.reshape(len(array), len(_JOINTS_28), -1)[:, kept] for array in flat)
        yield _recording(name, fps, points_px, joints_mm)


def _read_test(file: Path) -> Iterator[Recording]:
    content = load_h5(file, ("annot2", "univ_annot3", "valid_frame"))
    # MATLAB stores (axes, joints, 1, frames), which h5py shows the other way round.
    points_px, joints_mm = (content[key].squeeze(1) for key in ("annot2", "univ_annot3"))
    valid = content["valid_frame"].ravel() == 1
    yield _recording(file.parent.name, TEST_FPS, points_px, joints_mm, valid)


def _sequence_of(file: Path) -> tuple[int, int] | None:
    """Subject and sequence of `…/S1/Seq2/annot.mat`."""
    match = re.fullmatch(r"S(\d+)/Seq(\d+)", "/".join(file.parts[-3:-1]))
    return (int(match[1]), int(match[2])) if match else None


def _need_h5py() -> None:
    with needing(
        "the original test files of MPI-INF-3DHP need h5py", "Install it with: pip install 'repose3d[data]'"
    ):
        import h5py  # noqa: F401
