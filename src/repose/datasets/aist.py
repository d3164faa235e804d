"""AIST++ (Li et al. 2021): dancers before nine calibrated cameras, with a real detector's keypoints.

The published layout, as its loader reads it (github.com/google/aistplusplus_api, aist_plusplus/loader.py):
`keypoints2d/<dance>.pkl` (nine cameras, frames, 17 joints of COCO; x, y, score), `keypoints3d/<dance>.pkl`
(`keypoints3d_optim`, centimetres in the world), `cameras/mapping.txt` and `cameras/<setting>.json` (OpenCV's
matrix, distortions, rotation vector, translation), `splits/pose_<train|val|test>.txt`, and `ignore_list.txt`
of dances whose reconstruction failed. A dance's name has cAll where a video's has its camera.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, shaped_array
from repose.errors import expected, reading, reads
from repose.files.pickles import map_pickle
from repose.files.structured import decode
from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import axis_angle_to_matrix
from repose.skeleton import H36M_17, SKELETONS, convert

FPS = 60.0
LICENCE = "Annotations of AIST++: Google LLC, CC BY 4.0. Its videos are under the AIST Dance DB's terms."
_COCO_17 = SKELETONS["coco-17"]
_SPLITS = {"train": "pose_train.txt", "validation": "pose_val.txt", "test": "pose_test.txt"}
_APART = {"gBR_sBM_cAll_d04_mBR0_ch01": "c05", "gJB_sBM_cAll_d07_mJB3_ch05": "c07"}
"""Views that the makers leave out: one is not in time with the others, one is of another size."""


class _Camera(Struct):
    name: str
    size: tuple[int, int]
    matrix: tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
    rotation: tuple[float, float, float]
    translation: tuple[float, float, float]
    distortions: list[float]


@reads("AIST++")
def read_aist(folder: Path, *, progress: Progress | None = None) -> Source:
    """Open the folder of AIST++'s annotations; dances on its list of failures are left out.

    Raises UserError for a folder without them, and, while it is stored, for dances that are damaged.
    """
    mapping = dict(line.split() for line in _lines(folder / "cameras" / "mapping.txt") if line)
    ignored = set(_lines(folder / "ignore_list.txt")) if (folder / "ignore_list.txt").exists() else set()
    chosen: dict[str, list[str]] = {}
    absent = 0
    for split, name in _SPLITS.items():
        if (path := folder / "splits" / name).exists():
            listed = [dance for dance in _lines(path) if dance and dance not in ignored]
            there = [dance for dance in listed if (folder / "keypoints3d" / f"{dance}.pkl").exists()]
            absent += len(listed) - len(there)
            if there:
                chosen[split] = there
    if not chosen:
        expected(str(folder), "splits/pose_<train, val, test>.txt and their dances in keypoints3d", "none")
    count = count_progress("storing dances", sum(map(len, chosen.values())), progress)

    def recordings(dances: list[str]) -> Iterator[Recording]:
        for dance in dances:
            if dance not in mapping:
                expected(f"{folder}/cameras/mapping.txt", f"a setting for {dance}", "none")
            yield from _views(folder, dance, mapping[dance])
            count(1)

    notes = [
        "the truth is triangulated and smoothed (keypoints3d_optim), converted from coco-17 as the 2D joints "
        "are: its pelvis, spine and head are derived",
        f"{len(ignored)} dances on the makers' list of failures left out, and one view of each of two dances",
    ]
    if absent:
        notes.append(f"dances of a split that are not there: {absent}")
    splits = {split: recordings(dances) for split, dances in chosen.items()}
    return Source("aist++", H36M_17.name, "camera", LICENCE, splits, tuple(notes))


def _lines(path: Path) -> list[str]:
    with reading(path, "a list of AIST++"):
        return [line.strip() for line in path.read_text("utf-8").splitlines()]


def _views(folder: Path, dance: str, setting: str) -> Iterator[Recording]:
    path = folder / "cameras" / f"{setting}.json"
    with reading(path, "cameras of AIST++"):
        cameras: list[_Camera] = decode(str(path), path.read_bytes(), list[_Camera])
    world_cm = _array(folder / "keypoints3d" / f"{dance}.pkl", "keypoints3d_optim", (None, 17, 3))
    found = _array(folder / "keypoints2d" / f"{dance}.pkl", "keypoints2d", (None, None, 17, 3))
    if len(found) != len(cameras) or found.shape[1] < len(world_cm):
        wanted = f"{len(cameras)} cameras and {len(world_cm)} frames"
        expected(f"{folder}/keypoints2d/{dance}.pkl: keypoints2d", wanted, found.shape)
    world_m, known = _as_h36m(np.concatenate([world_cm / 100, np.isfinite(world_cm[..., :1])], axis=-1))
    for given, view in zip(cameras, found[:, : len(world_m)], strict=True):
        if _APART.get(dance) == given.name:
            continue
        T_cam_world = RigidTransform(
            axis_angle_to_matrix(np.array(given.rotation)), np.array(given.translation) / 100
        )
        camera = Camera(np.array(given.matrix), np.array(given.distortions[:5]), T_cam_world)
        target = T_cam_world.apply(world_m)
        points, sure = _as_h36m(np.where(np.isfinite(view).all(axis=-1, keepdims=True), view, 0))
        exact = np.concatenate([camera.project(world_m), np.ones((*world_m.shape[:2], 1))], axis=-1)
        valid = np.logical_and((known > 0).all(axis=1), (target[..., 2] > 0.1).all(axis=1))
        target[~valid], exact[~valid] = 0, 0
        yield Recording(
            name=dance.replace("cAll", given.name),
            subject=dance.split("_")[3],
            action=dance.split("_")[0],
            camera=given.name,
            image_size=given.size,
            fps=FPS,
            keypoints_px=np.concatenate([points, sure[..., None]], axis=-1).astype(np.float32),
            target=target.astype(np.float32),
            optional={"valid": valid, "exact_norm": exact.astype(np.float32)},
        )


def _as_h36m(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Convert joints of COCO, whose last column is how sure they are, to those of Human3.6M."""
    sure = values[..., -1].clip(0, 1)
    places = np.where(sure[..., None] > 0, values[..., :-1], 0.0)
    return convert(places, sure, _COCO_17, H36M_17)


@reads("a pickle of AIST++")
def _array(path: Path, key: str, shape: tuple[int | None, ...]) -> np.ndarray:
    content: Any = map_pickle(path).content
    if not isinstance(content, dict) or key not in content:
        expected(str(path), f"a dictionary with {key}", type(content).__name__)
    return shaped_array(f"{path}: {key}", content[key], shape, missing=True)
