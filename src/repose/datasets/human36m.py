"""Human3.6M (Ionescu et al. 2014) as distributed by MotionBERT, MotionAGFormer and RePOSE.

`h36m_sh_conf_cam_source_final.pkl` has one row per frame: detections of a Stacked Hourglass network with
their confidence, and joints in image units. The other published form is in `videopose`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from repose.datasets.store import Progress
from repose.datasets.store_writer import Recording, Source, count_progress, numeric_array
from repose.errors import expected, reads
from repose.files.pickles import Mapped, map_pickle

FPS = 50.0
LICENCE = (
    "Human3.6M is for registered academic users (vision.imar.ro/human3.6m). This store is made from it and "
    "must not be passed on."
)
IMAGE_SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
"""Width and height of each camera's picture, in the order in which files list the cameras."""
TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")

# fmt: off
ACTIONS = (
    "Directions", "Discussion", "Eating", "Greeting", "Phoning", "Posing", "Purchases", "Sitting",
    "SittingDown", "Smoking", "Photo", "Waiting", "Walking", "WalkDog", "WalkTogether",
)
"""Actions number 2 to 16, as the names of sequences count them (`act_02`)."""

# fmt: on

_ROWS = ("joint_2d", "joint3d_image", "camera_name", "source")
_TRUTH = ("joints_2.5d_image", "2.5d_factor")


@dataclass(frozen=True, eq=False)
class _Rows:
    """One part of the `.pkl`, checked."""

    part: Mapping[str, Any]
    edges: list[int]
    actions: Sequence[str]
    cameras: np.ndarray


@reads("a pickle of Human3.6M")
def read_human36m(path: str | Path, *, progress: Progress | None = None) -> Source:
    """Open the `.pkl`. Everything is checked before the first recording is made.

    Raises UserError for a file of another kind, missing entries, other joint counts, unknown cameras and
    arrays that do not fit together.
    """
    path = Path(path)
    mapped = map_pickle(path)
    content = mapped.content
    if not isinstance(content, dict) or not all(isinstance(content.get(k), dict) for k in ("train", "test")):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else f"a {type(content).__name__}"
        expected(
            str(path),
            "a dictionary with train and test, as in h36m_sh_conf_cam_source_final.pkl",
            found or "an empty one",
            "Clips that were cut already (one .pkl each) are not read: give the file they came from.",
        )
    parts = {name: _check_rows(f"{path}: {name}", name, content[name]) for name in ("train", "test")}
    total = sum(rows.edges[-1] for rows in parts.values())
    notes = [f"targets are joint3d_image, the truth is joints_2.5d_image; frames at {FPS:g} Hz"]
    for name, rows in parts.items():
        if "confidence" not in rows.part:
            notes.append(f"{name}: no confidence in the source, 1 everywhere")
    report = count_progress("storing frames", total, progress)
    return Source(
        dataset="human36m",
        skeleton="h36m-17",
        target="image",
        licence=LICENCE,
        splits={name: _rows_of(rows, mapped, report) for name, rows in parts.items()},
        notes=tuple(notes),
    )


def _check_rows(name: str, split: str, part: Mapping[str, Any]) -> _Rows:
    wanted = _ROWS + (_TRUTH if split == "test" else ())
    if missing := [key for key in wanted if key not in part]:
        expected(name, f"the entries {', '.join(wanted)}", f"no {', '.join(missing)}")
    sources = part["source"]
    count = len(sources)
    if not count:
        expected(name, "frames", "none")
    shapes = {
        "joint_2d": ((count, 17), (2, 3)),
        "joint3d_image": ((count, 17), (3,)),
        "joints_2.5d_image": ((count, 17), (3,)),
    }
    for key, (rows, last) in shapes.items():
        if key in part:
            array = numeric_array(f"{name}: {key}", part[key])
            if array.ndim != 3 or array.shape[:2] != rows or array.shape[2] not in last:
                wanted_shape = f"({count} frames, 17 joints, {' or '.join(map(str, last))})"
                expected(f"{name}: {key}", wanted_shape, array.shape, "Only the 17-joint form is known.")
    if "confidence" in part:
        array = numeric_array(f"{name}: confidence", part["confidence"])
        if array.shape not in ((count, 17), (count, 17, 1)):
            expected(f"{name}: confidence", f"({count} frames, 17 joints)", array.shape)
    if "2.5d_factor" in part and numeric_array(f"{name}: 2.5d_factor", part["2.5d_factor"]).shape != (count,):
        expected(f"{name}: 2.5d_factor", f"{count} numbers", part["2.5d_factor"].shape)
    cameras = np.asarray(part["camera_name"])
    if cameras.shape != (count,):
        expected(f"{name}: camera_name", f"{count} names", cameras.shape)
    edges = [0, *(row for row in range(1, count) if sources[row] != sources[row - 1]), count]
    actions = part.get("action")
    if actions is not None and len(actions) != count:
        expected(f"{name}: action", f"{count} names", len(actions))
    chosen = []
    for start, stop in pairwise(edges):
        source = str(sources[start])
        match = re.match(r"s_(\d+)_act_(\d+)_", source)
        if not match:
            expected(f"{name}: source", "names like s_09_act_05_subact_02_ca_01", repr(source))
        if not (cameras[start:stop] == cameras[start]).all():
            expected(f"{name}: {source}", "one camera", ", ".join(sorted(set(cameras[start:stop].tolist()))))
        _check_camera(f"{name}: {source}", str(cameras[start]))
        if actions is not None:
            chosen.append(str(actions[start]))
        elif 2 <= int(match[2]) < 2 + len(ACTIONS):
            chosen.append(ACTIONS[int(match[2]) - 2])
        else:
            expected(f"{name}: source", f"actions 2 to {len(ACTIONS) + 1}", repr(source))
    return _Rows(part, edges, chosen, cameras)


def _rows_of(rows: _Rows, mapped: Mapped, report: Callable[[int], None]) -> Iterator[Recording]:
    part = rows.part
    for action, (start, stop) in zip(rows.actions, pairwise(rows.edges), strict=True):
        here = slice(start, stop)
        keypoints = np.ones((stop - start, 17, 3), np.float32)
        keypoints[..., :2] = part["joint_2d"][here, :, :2]
        if "confidence" in part:
            keypoints[..., 2] = part["confidence"][here].reshape(stop - start, 17)
        optional = {}
        if all(key in part for key in _TRUTH):
            optional = {"truth_mm": part["joints_2.5d_image"][here], "factor": part["2.5d_factor"][here]}
        source, camera = str(part["source"][start]), str(rows.cameras[start])
        yield Recording(
            name=source,
            subject=f"S{int(source.split('_')[1])}",
            action=action,
            camera=camera,
            image_size=IMAGE_SIZES[camera],
            fps=FPS,
            keypoints_px=keypoints,
            target=part["joint3d_image"][here],
            optional=optional,
        )
        mapped.release()
        report(stop - start)


def _check_camera(name: str, camera: str) -> None:
    if camera not in IMAGE_SIZES:
        expected(f"{name}: camera", f"one of {', '.join(IMAGE_SIZES)}", repr(camera))
