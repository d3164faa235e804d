"""Reading 2D keypoints from any supported file or folder, recognised by its content."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from repose.errors import UserError, expected, reads
from repose.files.arrays import NUMPY_STARTS, load_arrays
from repose.keypoints import (
    alphapose,
    coco,
    deeplabcut,
    mmpose,
    numpy_arrays,
    openpose,
    sleap,
    sports2d,
    ultralytics,
    videopose3d,
)
from repose.keypoints.detections import Detections, Given, make_tracks
from repose.keypoints.json_values import identities
from repose.pose import Pose2D
from repose.skeleton import Skeleton, get_skeleton

_KNOWN = (
    "AlphaPose, COCO, MMPose, OpenPose or Ultralytics JSON, a table of DeepLabCut, SLEAP or Sports2D, "
    "an .npz or an .npy"
)
_TABLES = (deeplabcut, sleap, sports2d)
"""Formats whose joints have names that users give; each has `recognises` and `parse`."""
_START = 512
"""So many bytes tell a table."""


@reads("2D keypoints")
def read_keypoints(
    path: str | Path,
    *,
    fps: int | float | None = None,
    image_size: tuple[int, int] | None = None,
    skeleton: str | Skeleton | None = None,
    track: Literal["file", "anew"] = "file",
) -> list[Pose2D]:
    """Read a keypoint file or folder: one `Pose2D` per person, in the file's own layout.

    The format is recognised by content: AlphaPose, COCO, MMPose, OpenPose and Ultralytics JSON, a folder
    with one JSON or label file per frame, tables of DeepLabCut, SLEAP and Sports2D, `.npz` and `.npy` (see
    the modules of `repose.keypoints`; nothing pickled is executed).

    The number of joints determines the layout: 17 are COCO-17 in JSON and H36M-17 in an array; BODY-25 and
    BODY-25B are told apart by the lengths of the bones. What the file does not state is assumed and listed
    in `Pose2D.assumed`: "fps" is 30, "image_size" the smallest common video size around the points,
    "confidence" is 1.

    Args:
        path: the file or folder.
        fps: frame rate, overriding the file's.
        image_size: width and height in pixels, overriding the file's.
        skeleton: joint layout, overriding the recognised one.
        track: "file" keeps the file's ids, unless they change from frame to frame; "anew", and people
            without ids, are tracked (`repose.tracking.tracker`). Of two detections of one person in a
            frame the surer one counts. `Pose2D.record` says what was done.

    Returns:
        One track per person. A frame without the person is absent from the track.

    Raises:
        UserError: anything that cannot be read as keypoints.
    """
    path = Path(path)
    given = _given(fps, image_size, skeleton, track)
    return _read_folder(path, given) if path.is_dir() else _read_file(path.name, path.read_bytes(), given)


@reads("2D keypoints")
def read_unless_video(path: str | Path, **options: Any) -> list[Pose2D] | None:
    """Read a file or folder as `read_keypoints` does; None for a file whose first bytes are not keypoints'.

    The file is opened once, so it may be a pipe.
    """
    path = Path(path)
    if path.is_dir() or not path.exists():
        return read_keypoints(path, **options)
    with path.open("rb") as file:
        start = file.read(_START)
        if not begins_keypoints(start):
            return None
        return _read_file(path.name, start + file.read(), _given(**options))


def holds_keypoints(path: str | Path) -> bool:
    """Return whether `path` is to be read as keypoints, and not as a video, by its first bytes."""
    path = Path(path)
    if path.is_dir():
        return True
    try:
        with path.open("rb") as file:
            return begins_keypoints(file.read(_START))
    except OSError:
        return False


def begins_keypoints(start: bytes) -> bool:
    """Return whether a file that begins so is to be read as keypoints, and not as a video.

    True for NumPy files, for tables and for what begins like JSON.
    """
    if any(table.recognises(start) for table in _TABLES):
        return True
    return start.startswith(NUMPY_STARTS) or start.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"[", b"{")


def _given(
    fps: int | float | None = None,
    image_size: tuple[int, int] | None = None,
    skeleton: str | Skeleton | None = None,
    track: str = "file",
) -> Given:
    if track not in ("file", "anew"):
        expected("track", "file or anew", repr(track))
    return Given(fps, image_size, None if skeleton is None else get_skeleton(skeleton), track == "anew")


def _read_file(name: str, data: bytes, given: Given) -> list[Pose2D]:
    if not data:
        raise UserError(f"{name}: the file is empty (0 bytes)", "Make it again.")
    for table in _TABLES:
        if table.recognises(data[:_START]):
            detections = table.parse(name, data)
            if given.skeleton is not None and given.skeleton.name != detections.layout:
                wanted = f"{detections.layout}, since the file names its joints, or none"
                expected(f"{name}: --skeleton", wanted, given.skeleton.name)
            return make_tracks(name, detections, replace(given, skeleton=None))
    if not data.startswith(NUMPY_STARTS):
        return make_tracks(name, _parse(name, load_json(name, data)), given)
    if videopose3d.holds_positions(data):
        return make_tracks(name, videopose3d.parse(name, data, given.skeleton), given)
    content = load_arrays(name, data)
    if "joints_m" in content:
        raise UserError(
            f"{name}: expected 2D keypoints, found 3D poses of RePOSE", "Read them with repose.read_poses."
        )
    if "points_px" in content:
        return numpy_arrays.parse_own(name, content, given)
    return make_tracks(name, numpy_arrays.parse(name, content), given)


def load_json(name: str, data: bytes) -> Any:
    """Load a JSON file; raises UserError for a truncated file and for anything else."""
    try:
        return json.loads(data.decode("utf-8-sig"))
    except (UnicodeDecodeError, RecursionError):
        found = "something else"
    except json.JSONDecodeError as error:
        if data.lstrip()[:1] in (b"[", b"{") or data.startswith(b"\xef\xbb\xbf"):
            raise UserError(
                f"{name}: expected complete JSON, found an error in line {error.lineno}, "
                f"column {error.colno}: {error.msg}",
                "The file may have been cut off while it was written or copied; make it again.",
            ) from None
        found = "something else"
    except ValueError:
        found = "JSON with a number of too many digits"
    raise UserError(
        f"{name}: expected keypoints ({_KNOWN}), found {found}", "Check that it is the right file."
    )


def _parse(name: str, content: Any) -> Detections:
    frames = ultralytics.parse(name, content)
    if frames is not None:
        return _gather(name, "Ultralytics results", frames)
    for parse in (mmpose.parse, alphapose.parse, coco.parse):
        detections = parse(name, content)
        if detections is not None:
            return detections
    frame = _parse_frame(name, content)
    if frame is None:
        raise _no_keypoints(name, content)
    return _gather(name, "OpenPose frame", {0: frame})


def _parse_frame(name: str, content: Any) -> list[tuple[Any, np.ndarray]] | None:
    """Identities and keypoints in JSON of one frame; None if it is none."""
    bodies = alphapose.parse_frame(name, content)
    if bodies is not None:
        return [(None, body) for body in bodies]
    for parse in (openpose.parse_frame, ultralytics.parse_frame, mmpose.parse_frame):
        people = parse(name, content)
        if people is not None:
            return people
    return None


def _gather(name: str, kind: str, frames: dict[int, list[tuple[Any, np.ndarray]]]) -> Detections:
    """Gather the detections of frames; if some people have no id, nobody's is used."""
    rows = [(frame, *person) for frame, people in sorted(frames.items()) for person in people]
    numbers = [frame for frame, _, _ in rows]
    ids = [person for _, person, _ in rows]
    without = sum(person is None for person in ids)
    if 0 < without < len(ids):
        kind += f"; ids not used, because {without} of {len(ids)} have none"
        ids = [None] * len(ids)
    return Detections(
        kind=kind,
        frames=numbers,
        keypoints=[keypoints for _, _, keypoints in rows],
        people=identities(name, "person_id", ids, numbers),
    )


def _read_folder(folder: Path, given: Given) -> list[Pose2D]:
    """One JSON or label file per frame, with its number last in the name (`run_000012_keypoints.json`).

    A folder with a single file of many frames, such as AlphaPose's output, is that file. Text files count
    where there is no JSON.
    """
    files = _files(folder, ".json")
    if not files:
        return make_tracks(folder.name, _read_labels(folder), given)
    people_of: dict[Path, list[tuple[Any, np.ndarray]]] = {}
    for file in files:
        name = f"{folder.name}/{file.name}"
        data = file.read_bytes()
        if not data:
            raise UserError(f"{name}: the file is empty (0 bytes)", "Make it again, or remove it.")
        content = load_json(name, data)
        people = _parse_frame(name, content)
        if people is None and len(files) == 1:
            return make_tracks(file.name, _parse(file.name, content), given)
        if people is None:
            raise _no_keypoints(name, content)
        people_of[file] = people
    frames = {number: people_of[file] for number, file in _number(folder, files).items()}
    return make_tracks(folder.name, _gather(folder.name, "folder of frames", frames), given)


def _read_labels(folder: Path) -> Detections:
    """Read a folder of Ultralytics' label files, one per frame with a detection."""
    files = _files(folder, ".txt")
    if not files:
        inner = sorted(child.name for child in folder.iterdir() if child.is_dir())
        hint = f"It has folders: {', '.join(inner[:5])}. Give one of them." if inner else ""
        raise UserError(
            f"{folder.name}: expected a folder of keypoint JSON, found no .json file in it",
            hint or "OpenPose writes such a folder with --write_json.",
        )
    numbered = _number(folder, files)
    texts = {f"{folder.name}/{f.name}": f.read_text("utf-8-sig", errors="replace") for f in numbered.values()}
    people = ultralytics.parse_labels(texts)
    return _gather(folder.name, "Ultralytics labels", dict(zip(numbered, people, strict=True)))


def _files(folder: Path, suffix: str) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix.lower() == suffix and file.is_file())


def _number(folder: Path, files: list[Path]) -> dict[int, Path]:
    """Sort the files by frame number; raises UserError for names without a number and for duplicates."""
    frames: dict[int, Path] = {}
    for file in files:
        digits = re.findall(r"\d+", file.stem)
        if not digits:
            expected(f"{folder.name}/{file.name}: file name", "the frame's number in it", repr(file.name))
        frame = int(digits[-1][-15:])
        if frame in frames:
            found = f"{frames[frame].name} and {file.name}, both frame {frame}"
            expected(folder.name, "one file per frame", found)
        frames[frame] = file
    return frames


def _no_keypoints(name: str, content: Any) -> UserError:
    if isinstance(content, dict):
        found = f"an object with {', '.join(map(repr, list(content)[:4])) or 'nothing in it'}"
    elif isinstance(content, list):
        found = f"a list of {type(content[0]).__name__}" if content else "an empty list"
    else:
        found = type(content).__name__
    return UserError(
        f"{name}: expected keypoints of AlphaPose, COCO, MMPose, OpenPose or Ultralytics, "
        f"found JSON with {found}",
        "Check that it is the right file.",
    )
