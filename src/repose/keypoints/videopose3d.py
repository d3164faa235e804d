"""2D keypoints for VideoPose3D (`data_2d_custom_*.npz`), read without executing its pickles."""

import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np

from repose.errors import UserError, expected
from repose.files.pickles import map_npz
from repose.keypoints.detections import Detections, layout_named
from repose.skeleton import SKELETONS, Skeleton


def holds_positions(data: bytes) -> bool:
    """Return whether a file is an intact `.npz` with the array of VideoPose3D's keypoints."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            return "positions_2d.npy" in archive.namelist()
    except Exception:  # whatever zipfile raises for a damaged one: the reader of NumPy files says what it is
        return False


def parse(name: str, data: bytes, skeleton: Skeleton | None) -> Detections:
    """Parse detections of the one recording in a file of VideoPose3D.

    `positions_2d` holds, by subject and action, one array (frames, joints, 2 or 3) in pixels per camera.
    `metadata` says the layout, by its name (`layout_name`) and its left and right joints
    (`keypoints_symmetry`), and in `video_metadata` each subject's `w`, `h` and perhaps `fps`.

    Raises UserError for several recordings, which are several videos and not several people, and for a
    layout that is unknown or contradicts itself, unless `skeleton` says it.
    """
    content = map_npz(name, ("positions_2d", "metadata"), data=data).content
    recordings = _recordings(name, content["positions_2d"])
    if len(recordings) != 1:
        expected(
            name,
            "one recording",
            f"{len(recordings)}: {', '.join(list(recordings)[:4])}" if recordings else "none",
            "These are different videos, not people of one. Make a file of one video, as "
            "prepare_data_2d_custom.py does of a folder with the detections of one.",
        )
    ((_, (subject, positions)),) = recordings.items()
    metadata = _mapping(content.get("metadata"))
    video = _mapping(_mapping(metadata.get("video_metadata")).get(subject))
    size = [_positive(name, video, key) for key in ("w", "h")]
    return Detections(
        kind="VideoPose3D keypoints",
        frames=range(len(positions)),
        keypoints=list(positions.astype(np.float64)),
        people=[0] * len(positions),
        layout=_layout(name, metadata) if skeleton is None else None,
        fps=_positive(name, video, "fps"),
        image_size=None if size[0] is None or size[1] is None else (round(size[0]), round(size[1])),
    )


def _recordings(name: str, positions: Any) -> dict[str, tuple[Any, np.ndarray]]:
    """Subject and keypoints of each recording, by its name."""
    found = {}
    for subject, actions in _mapping(positions).items():
        for action, cameras in _mapping(actions).items():
            for number, array in enumerate(cameras if isinstance(cameras, list | tuple | np.ndarray) else ()):
                label = f"{subject} {action}" + f" camera {number}" * (len(cameras) > 1)
                if not _is_recording(array):
                    kind = (
                        f"{array.dtype} {array.shape}"
                        if isinstance(array, np.ndarray)
                        else type(array).__name__
                    )
                    expected(f"{name}: {label}", "an array (frames, joints, 2 or 3)", kind)
                found[label] = (subject, array)
    return found


def _is_recording(array: Any) -> bool:
    return (
        isinstance(array, np.ndarray)
        and array.ndim == 3
        and array.shape[2] in (2, 3)
        and array.dtype.kind in "iuf"
    )


def _layout(name: str, metadata: Mapping[Any, Any]) -> str:
    """Name of the layout that `layout_name` and `keypoints_symmetry` agree on."""
    called = metadata.get("layout_name")
    said = [] if called is None else [layout_named(str(called))]
    symmetry = metadata.get("keypoints_symmetry")
    if symmetry is not None:
        sides = [sorted(np.asarray(side).ravel().tolist()) for side in symmetry]
        of_sides = [s.name for s in SKELETONS.values() if [s.side("left"), s.side("right")] == sides]
        said.append(of_sides[0] if len(of_sides) == 1 else None)
    if len(set(said)) == 1 and said[0] is not None:
        return said[0]
    raise UserError(
        f"{name}: expected metadata with a layout_name and keypoints_symmetry of one known layout, found "
        f"{called!r} and {symmetry!r}",
        f"Say the layout with --skeleton: {', '.join(SKELETONS)}.",
    )


def _positive(name: str, video: Mapping[Any, Any], key: str) -> float | None:
    value = video.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float | np.number) or isinstance(value, bool) or not 0 < value < 1e9:
        expected(f"{name}: video_metadata: {key}", "a positive number", repr(value))
    return float(value)


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
