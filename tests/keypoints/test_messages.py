"""Every bad keypoint or result file, and the exact words that its user reads."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.errors import UserError
from repose.export.results import VERSION, read_poses
from repose.keypoints.reader import read_keypoints

POINTS = np.random.default_rng(0).uniform(0, 300, (3, 17, 2))
BODY = [1.0, 2.0, 0.5] * 17


def flat(*changes: dict[str, Any]) -> str:
    """COCO results with one row per change."""
    return json.dumps(
        [{"image_id": i, "category_id": 1, "keypoints": BODY, **c} for i, c in enumerate(changes)]
    )


def with_value(value: float) -> np.ndarray:
    points = POINTS.copy()
    points[1, 4, 0] = value
    return points


def npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def npz(path: Path, **arrays: Any) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def cut(path: Path, write: Callable[[Path], None]) -> None:
    write(path)
    path.write_bytes(path.read_bytes()[:-60])


def folder(path: Path, files: dict[str, str]) -> None:
    path.mkdir()
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)


FRAME = json.dumps({"people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 18}]})
AGAIN = "The file may have been cut off while it was written or copied; make it again."
DAMAGED = "It may have been cut off while it was written or copied; make it again."
RIGHT_FILE = "Check that it is the right file."
MISSING_JOINT = "Give a missing joint confidence 0 and any finite place."
OWN_KEYS = "points_px, confidence, frames, fps, image_size, skeleton, track_id"
LAYOUTS = (
    "COCO-17, COCO-17+feet, Halpe-26, H36M-17, H36M-17+feet, MPI-17, BODY-25, BODY-25B, COCO-18, "
    "COCO-18+feet, MediaPipe-33"
)

# name of the file: (what makes it, message, hint)
KEYPOINTS: dict[str, tuple[Callable[[Path], None] | str, str, str]] = {
    "missing.json": (lambda path: None, "{path}: no such file or folder", "Check the path."),
    "zero.json": ("", "zero.json: the file is empty (0 bytes)", "Make it again."),
    "truncated.json": (
        flat({})[:-20],
        "truncated.json: expected complete JSON, found an error in line 1, column 286: "
        "Expecting ',' delimiter",
        AGAIN,
    ),
    "truncated.npz": (
        lambda path: cut(path, lambda p: npz(p, points_px=POINTS)),
        "truncated.npz: expected a complete .npz archive, found one that is damaged (File is not a zip file)",
        DAMAGED,
    ),
    "truncated.npy": (
        lambda path: cut(path, lambda p: npy(p, POINTS)),
        "truncated.npy: expected an array float64 (3, 17, 2), found 756 bytes, too few for it",
        DAMAGED,
    ),
    "notes.txt": (
        "shopping: bread",
        "notes.txt: expected keypoints (AlphaPose, COCO, MMPose, OpenPose or Ultralytics JSON, a table of "
        "DeepLabCut, SLEAP or Sports2D, an .npz or an .npy), found something else",
        RIGHT_FILE,
    ),
    "package.json": (
        '{"name": "x", "version": 2}',
        "package.json: expected keypoints of AlphaPose, COCO, MMPose, OpenPose or Ultralytics, "
        "found JSON with an object with 'name', 'version'",
        RIGHT_FILE,
    ),
    "numbers.json": (
        "[1, 2, 3]",
        "numbers.json: expected keypoints of AlphaPose, COCO, MMPose, OpenPose or Ultralytics, "
        "found JSON with a list of int",
        RIGHT_FILE,
    ),
    "nobody.json": (
        "[]",
        "nobody.json: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
    "unseen.json": (
        flat({"keypoints": [0.0] * 51}),
        "unseen.json: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
    "keypoints.json": (
        flat({"keypoints": [1.0, 2.0, 0.5] * 21}),
        f"keypoints.json: 21 joints per person; known layouts are {LAYOUTS} (use --skeleton)",
        "Convert the keypoints to one of these layouts.",
    ),
    "21.npy": (
        lambda path: npy(path, np.ones((4, 21, 3))),
        f"21.npy: 21 joints per person; known layouts are {LAYOUTS} (use --skeleton)",
        "Convert the keypoints to one of these layouts.",
    ),
    "mixed.json": (
        flat({}, {"keypoints": [1.0, 2.0, 0.5] * 26}),
        "mixed.json: expected the same joints for every person, found 17 joints of 3 values and "
        "26 joints of 3 values",
        "",
    ),
    "words.json": (
        flat({"keypoints": ["left", "right"]}),
        "words.json: keypoints: expected a list of numbers, found something that is no number",
        "",
    ),
    "ragged.json": (
        flat({"keypoints": [[1, 2], [3]]}),
        "ragged.json: keypoints: expected a list of numbers, found a ragged list",
        "",
    ),
    "all_nan.json": (
        flat({"keypoints": [float("nan"), 2.0, 0.5] * 17}),
        "all_nan.json: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
    "shares.json": (
        flat({"keypoints": [0.4, 0.6, 0.5, 1.02, 0.7, 0.5] + [0.3, 0.4, 0.5] * 15}),
        "shares.json: expected pixels, found points between 0 and 1",
        "They are shares of the picture's width and height: give its size in pixels with --size.",
    ),
    "centred.json": (
        flat({"keypoints": [-0.4, 0.6, 0.5] * 8 + [0.3, 0.4, 0.5] * 9}),
        "centred.json: expected pixels, found points between -1 and 1",
        "Programs differ in what they mean by that: turn them into pixels, from the top left corner.",
    ),
    "two_scores.npz": (
        lambda path: npz(path, keypoints=POINTS, scores=np.ones((3, 17)), confidence=np.ones((3, 17))),
        "two_scores.npz: expected one array of confidences of shape (3, 17), found scores float64 (3, 17), "
        "confidence float64 (3, 17)",
        "",
    ),
    "other_scores.npz": (
        lambda path: npz(path, keypoints=POINTS, scores=np.ones((3, 16))),
        "other_scores.npz: expected one array of confidences of shape (3, 17), found scores float64 (3, 16)",
        "",
    ),
    "space.npz": (
        lambda path: npz(path, keypoints=np.full((3, 17, 3), 7.0), scores=np.ones((3, 17))),
        "space.npz: expected x and y of each joint beside an array of confidences, found three values of "
        "each joint beside scores",
        "3D points cannot be read as keypoints; of 2D ones, leave one of the two confidences out.",
    ),
    "infinity.json": (
        flat({"keypoints": [2.0, float("inf"), 0.5] * 17}),
        "infinity.json: expected finite numbers, found inf in frame 0, joint 0 (17 in all)",
        MISSING_JOINT,
    ),
    "infinity.npz": (
        lambda path: npz(path, points_px=with_value(-np.inf)),
        "infinity.npz: expected finite numbers, found -inf in frame 1, joint 4 (1 in all)",
        MISSING_JOINT,
    ),
    "huge.npy": (
        lambda path: npy(path, with_value(1e30)),
        "huge.npy: expected numbers up to 1,000,000,000, found 1e+30 in frame 1, joint 4 (1 in all)",
        MISSING_JOINT,
    ),
    "negative.json": (
        flat({"image_id": -2}),
        "negative.json: frame: expected 0 or more, found -2",
        "Frame numbers count from 0.",
    ),
    "negative.npz": (
        lambda path: npz(path, points_px=POINTS, frames=np.array([-1, 0, 1])),
        "negative.npz: frames: expected 0-based frame numbers, found -1",
        "",
    ),
    "fractions.npz": (
        lambda path: npz(path, points_px=POINTS, frames=np.array([0, 0.5, 1])),
        "fractions.npz: frames: expected 3 whole numbers, found float64 (3,)",
        "",
    ),
    "unnamed.json": (
        flat({"image_id": "left.jpg"}, {"image_id": "right.jpg"}),
        "unnamed.json: image_id: expected a frame number or a name that ends with one, found 'left.jpg'",
        "",
    ),
    "two_cameras.json": (
        flat({"image_id": "left_7.jpg"}, {"image_id": "right_7.jpg"}),
        "two_cameras.json: expected one image per frame number, found 'left_7.jpg' and 'right_7.jpg', both 7",
        "",
    ),
    "some_ids.json": (
        flat({"idx": 3}, {}),
        "some_ids.json: expected 'idx' with a whole number for every person or none, found 1 of 2",
        "",
    ),
    "depths.npy": (
        lambda path: npy(path, np.random.default_rng(0).normal(size=(5, 17, 3))),
        "depths.npy: confidence: expected 0 or more, found -2.01666",
        "The third value of a keypoint is its confidence; 3D points cannot be read as keypoints.",
    ),
    "flat.npy": (
        lambda path: npy(path, np.zeros((5, 34))),
        "flat.npy: expected one array (frames, joints, 2 or 3) of x, y in pixels and confidence, found array "
        "float64 (5, 34)",
        f"Name the keypoints points_px; RePOSE's own keys are {OWN_KEYS}.",
    ),
    "two.npz": (
        lambda path: npz(path, xy=POINTS, world=POINTS),
        "two.npz: expected one array (frames, joints, 2 or 3) of x, y in pixels and confidence, found xy "
        "float64 (3, 17, 2), world float64 (3, 17, 2)",
        f"Name the keypoints points_px; RePOSE's own keys are {OWN_KEYS}.",
    ),
    "pickled.npz": (
        lambda path: npz(path, points_px=np.array({"S1": 1}, dtype=object)),
        "pickled.npz: points_px: expected arrays of numbers, found pickled Python objects",
        "They are not opened, because a pickle can run any program. Save plain arrays of numbers.",
    ),
    "unknown.npz": (
        lambda path: npz(path, points_px=POINTS, skeleton="smpl"),
        "unknown.npz: unknown skeleton 'smpl': expected one of h36m-17, h36m-17+feet, mpi-17, coco-17, "
        "coco-17+feet, coco-18, coco-18+feet, halpe-26, body-25, body-25b, mediapipe-33",
        "Name the layout of the keypoints with --skeleton (skeleton=… in Python).",
    ),
    "shape.npz": (
        lambda path: npz(path, points_px=POINTS, confidence=np.ones((3, 16))),
        "shape.npz: confidence: expected the shape (3, 17), found (3, 16)",
        "",
    ),
    "results.npz": (
        lambda path: npz(path, joints_m=np.zeros((3, 17, 3))),
        "results.npz: expected 2D keypoints, found 3D poses of RePOSE",
        "Read them with repose.read_poses.",
    ),
    "empty_folder": (
        lambda path: folder(path, {}),
        "empty_folder: expected a folder of keypoint JSON, found no .json file in it",
        "OpenPose writes such a folder with --write_json.",
    ),
    "pictures": (
        lambda path: folder(path, {"a.jpg": "", "b.jpg": ""}),
        "pictures: expected a folder of keypoint JSON, found no .json file in it",
        "OpenPose writes such a folder with --write_json.",
    ),
    "cameras": (
        lambda path: folder(path, {"cam01/0.json": "{}", "cam02/0.json": "{}"}),
        "cameras: expected a folder of keypoint JSON, found no .json file in it",
        "It has folders: cam01, cam02. Give one of them.",
    ),
    "other_json": (
        lambda path: folder(path, {"0.json": FRAME, "calibration.json": '{"K": 1}'}),
        "other_json/calibration.json: expected keypoints of AlphaPose, COCO, MMPose, OpenPose or "
        "Ultralytics, found JSON with an object with 'K'",
        RIGHT_FILE,
    ),
    "zero_frame": (
        lambda path: folder(path, {"0.json": FRAME, "1.json": ""}),
        "zero_frame/1.json: the file is empty (0 bytes)",
        "Make it again, or remove it.",
    ),
    "same_frame": (
        lambda path: folder(path, {"a_5.json": FRAME, "b_5.json": FRAME}),
        "same_frame: expected one file per frame, found a_5.json and b_5.json, both frame 5",
        "",
    ),
    "no_number": (
        lambda path: folder(path, {"a.json": FRAME, "b.json": FRAME}),
        "no_number/a.json: file name: expected the frame's number in it, found 'a.json'",
        "",
    ),
    "nobody_at_all": (
        lambda path: folder(path, {"0.json": '{"people": []}', "1.json": '{"people": []}'}),
        "nobody_at_all: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
}

RESULTS: dict[str, tuple[Callable[[Path], None] | str, str, str]] = {
    "missing.npz": (
        lambda path: None,
        "{path}: no such file",
        "Give a folder that repose estimate wrote.",
    ),
    "no_results": (
        lambda path: folder(path, {}),
        "{path}/poses.npz: no such file",
        "Give a folder that repose estimate wrote.",
    ),
    "text.npz": (
        "hello",
        "text.npz: expected a result folder, or its poses.npz, found another file",
        "Give a folder that repose estimate wrote.",
    ),
    "keypoints.npz": (
        lambda path: npz(path, points_px=POINTS),
        "keypoints.npz: expected 3D poses that RePOSE wrote, found arrays points_px",
        "2D keypoints are read by read_keypoints.",
    ),
    "future.npz": (
        lambda path: npz(path, format="repose-poses", version=99),
        f"future.npz: expected format version {VERSION}, found 99",
        "Read it with the RePOSE that wrote it.",
    ),
    "partial.npz": (
        lambda path: npz(path, format="repose-poses", version=VERSION),
        "partial.npz: expected the arrays of a complete result, found no about, rows, frames, times_s, "
        "joints_m, seen, confidence, deviation_m, points_px",
        "Make it again.",
    ),
}  # fmt: skip


def check(read: Callable[[Path], Any], path: Path, make: Any, message: str, hint: str) -> None:
    if isinstance(make, str):
        path.write_text(make)
    else:
        make(path)
    with pytest.raises(UserError) as error:
        read(path)
    assert error.value.message == message.replace("{path}", str(path))
    assert error.value.hint == hint


@pytest.mark.parametrize("name", KEYPOINTS)
def test_bad_keypoints(tmp_path: Path, name: str) -> None:
    check(read_keypoints, tmp_path / name, *KEYPOINTS[name])


@pytest.mark.parametrize("name", RESULTS)
def test_bad_results(tmp_path: Path, name: str) -> None:
    check(read_poses, tmp_path / name, *RESULTS[name])


def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(flat({}))
    with pytest.raises(UserError) as error:
        read_keypoints(tmp_path / "a.json", skeleton="halpe-26")
    assert error.value.message == "a.json: expected 26 joints per person for skeleton halpe-26, found 17"


@pytest.mark.parametrize("read", [read_keypoints, read_poses])
def test_unreadable_files_say_why(tmp_path: Path, read: Callable[[Path], Any], monkeypatch: Any) -> None:
    # The tests may run as root, whom no permission stops: the refusal is the operating system's own error.
    path = tmp_path / "secret.npz"
    path.write_bytes(b"PK")
    path.chmod(0)

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UserError) as error:
        read(path)
    assert error.value.message == f"{path}: cannot be read (Permission denied)"
    assert error.value.hint == "Check that you may read it."


def test_an_unreadable_folder_says_why(tmp_path: Path, monkeypatch: Any) -> None:
    folder(tmp_path / "secret", {"0.json": FRAME})

    def refuse(self: Path) -> Any:
        raise PermissionError(13, os.strerror(13), str(self))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(UserError, match=r"secret: cannot be read \(Permission denied\)"):
        read_keypoints(tmp_path / "secret")
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "secret")
