"""The command line: what it writes, what it says, and the exact words for everything that can be wrong."""

import errno
import json
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run

from repose import detectors as detect
from repose import read_poses
from repose.cli import load_command
from repose.detectors import TrackRecorder
from repose.models import build, find_spec, save_checkpoint
from repose.pose import Pose2D
from repose.sample import sample_video
from repose.skeleton import H36M_17
from repose.video import VideoFrame, VideoInfo, write_video

FILES = ["poses.csv", "poses.json", "poses.npz"]
BODY = [1.0, 2.0, 0.5] * 17
POINTS = np.random.default_rng(0).uniform(0, 300, (30, 17, 2))


class FrameCounter:
    """Sees the same body in every frame, a little further to the right."""

    skeleton = H36M_17

    def __init__(self, people: str = "1", interrupt_at: str = "never") -> None:
        self.people, self.interrupt_at = int(people), interrupt_at

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        recorder = TrackRecorder(info, self.skeleton, "counter")
        for frame in frames:
            if str(frame.index) == self.interrupt_at:
                raise KeyboardInterrupt
            people = [POINTS[0] + [frame.index + 400 * who, 0] for who in range(self.people)]
            recorder.add(frame, np.reshape(people, (-1, 17, 2)), np.full((self.people, 17), 0.9))
        return recorder.tracks()


@pytest.fixture(autouse=True)
def counter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detect._factories, "counter", FrameCounter)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    spec = replace(find_spec("frameformer").with_config(width=32, depth=1, heads=2), window_frames=32)
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_checkpoint(path, build(spec), spec)
    return str(path)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    pictures = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), dtype=np.uint8)
    write_video(path, pictures, fps=25.0)
    return path


def coco(*changes: dict[str, Any]) -> str:
    rows = [
        {"image_id": i, "category_id": 1, "keypoints": BODY, **change} for i, change in enumerate(changes)
    ]
    return json.dumps(rows)


# What it does


def test_keypoints_to_results(
    parity: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "result"
    keypoints = parity / "alphapose" / "alphapose-results.json"
    assert run("estimate", keypoints, "-o", out, "--model", model, "--height", "1.8", "--size", 854, 480) == 0
    assert sorted(file.name for file in out.iterdir()) == FILES
    first, second = read_poses(out)
    assert (first.track_id, second.track_id) == (1, 2)
    assert first.scale == "given height 1.8 m"
    assert first.image_size == (854, 480)
    said = capsys.readouterr().out
    assert "scale: given height 1.8 m." in said
    assert "Assumed, since not given: --fps (30), --fov or --intrinsics." in said
    ((a, b),) = second.record["gaps_left_empty"]
    assert f"{a}–{b}" in said
    assert f"{len(first) + len(second)} frames of 2 people in " in said
    assert str(out / "poses.npz") in said


def test_one_person_of_a_video(
    video: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model", model, "--detector", "counter", "--detector-options", "people", "2")
    assert run("estimate", video, "-o", tmp_path / "all", *options) == 0
    assert run("estimate", video, "-o", tmp_path / "one", *options, "--person", "1", "--no-root") == 0
    (pose,) = read_poses(tmp_path / "one")
    assert pose.track_id == 1
    assert len(pose) == 12
    assert pose.coordinates == "camera-root-relative"
    assert "12 frames of 1 person in" in capsys.readouterr().out
    assert run("estimate", video, "-o", tmp_path / "none", *options, "--person", "7") == 2
    assert capsys.readouterr().err.endswith(
        "Error: no person 7: there are 0, 1\nChoose one of them with --person.\n"
    )
    assert not (tmp_path / "none").exists()


def test_existing_results_are_asked_for(
    video: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "poses.json").write_text("mine")
    arguments = ("estimate", video, "-o", out, "--model", model, "--detector", "counter")
    assert run(*arguments) == 2
    assert capsys.readouterr().err == (
        f"Error: {out}: has poses.json already\nChoose another folder, or overwrite with --force.\n"
    )
    assert [file.name for file in out.iterdir()] == ["poses.json"]
    assert (out / "poses.json").read_text() == "mine"
    assert run(*arguments, "--force") == 0
    assert len(read_poses(out)) == 1


def test_ctrl_c_leaves_nothing(
    video: Path, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--model", model, "--detector", "counter", "--detector-options", "interrupt_at", "5")
    assert run("estimate", video, "-o", tmp_path / "out", *options) == 130
    assert capsys.readouterr().err.endswith("Interrupted; nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_writing_leaves_nothing(
    video: Path, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("repose.export.results.write_csv", interrupted)
    options = ("--model", model, "--detector", "counter")
    assert run("estimate", video, "-o", tmp_path / "out", *options) == 130
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["numpy.savez_compressed", "os.replace", "pathlib.Path.rename"])
def test_a_full_disk(
    place: str,
    video: Path,
    tmp_path: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    if place == "os.replace":
        out.mkdir()
    before = sorted(tmp_path.rglob("*"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(place, full)
    assert run("estimate", video, "-o", out, "--model", model, "--detector", "counter") == 2
    assert capsys.readouterr().err == (
        f"Error: {out}: cannot write results (No space left on device)\n"
        "Nothing was kept. Free some disk space, or choose another folder.\n"
    )
    assert sorted(tmp_path.rglob("*")) == before


def test_the_list_of_models(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    said = capsys.readouterr().out
    for name in ("repose", "motionbert-lite", "motionagformer-xs", "frameformer"):
        assert f" {name} " in said


def test_the_demo_compares_with_the_truth(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the packaged model and detector replaced by small ones."""
    monkeypatch.setitem(detect._factories, "mediapipe", FrameCounter)
    monkeypatch.setattr("repose.lifting.lifter.packaged_weights", lambda: {"default": Path(model)})
    for _ in range(2):
        assert run("demo", "-o", tmp_path / "demo") == 0
    said = capsys.readouterr().out
    for row in ("all", "visible", "hidden"):
        assert f" {row} " in said
    assert len(read_poses(tmp_path / "demo")) == 1


@pytest.mark.parametrize("arguments", [(), ("--help",), ("estimate", "--help")])
def test_help(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(*arguments)
    said = "".join(capsys.readouterr())
    assert "estimate" in said
    assert "Traceback" not in said


# What is wrong


def npz(path: Path, **arrays: Any) -> None:
    np.savez(path, **arrays)


MISSING_JOINT = "Give a missing joint confidence 0 and any finite place."
RIGHT_FILE = "Check that it is the right file."
COPY = "Copy or download it again."
REPAIR = (
    "Check that a player can show it; a recording that was interrupted may need repair. MP4, MOV, MKV, WebM "
    "and AVI are read, playlists are not: docs/conventions.md#videos."
)

# name of the input: (what makes it, message, hint)
BAD_INPUT: dict[str, tuple[Callable[[Path], None] | str | bytes, str, str]] = {
    "zero.mp4": (b"", "{path}: the file is empty (0 bytes)", COPY),
    "zero.json": (b"", "{path}: the file is empty (0 bytes)", COPY),
    "truncated.mp4": (
        lambda path: path.write_bytes(sample_video().read_bytes()[:150_000]),
        "truncated.mp4: the file is cut off: expected 288 frames, found {frames}",
        "Copy or download it again; or keep what is there: ffmpeg -i FILE whole.mp4.",
    ),
    "truncated.json": (
        coco({})[:-20],
        "truncated.json: expected complete JSON, found an error in line 1, column 286: "
        "Expecting ',' delimiter",
        "The file may have been cut off while it was written or copied; make it again.",
    ),
    "letter.mp4": (
        "Dear repose,\nplease find enclosed nothing.\n",
        "{path}: not a video, or cut off before its index (Invalid data found when processing input)",
        REPAIR,
    ),
    "noise.mp4": (
        bytes(range(256)) * 20,
        "{path}: not a video, or cut off before its index (Invalid data found when processing input)",
        REPAIR,
    ),
    "empty.mp4": (
        lambda path: write_video(path, np.zeros((5, 48, 64, 3), dtype=np.uint8), fps=25.0),
        "empty.mp4: the detector counter found nobody in this video",
        "Try another detector (--detector), or a part of the video in which a whole person can be seen.",
    ),
    "missing.mp4": (lambda path: None, "{path}: no such file or folder", "Check the path."),
    "folder": (
        lambda path: path.mkdir(),
        "folder: expected a folder of keypoint JSON, found no .json file in it",
        "OpenPose writes such a folder with --write_json.",
    ),
    "package.json": (
        '{"name": "x"}',
        "package.json: expected keypoints of AlphaPose, COCO, MMPose, OpenPose or Ultralytics, "
        "found JSON with an object with 'name'",
        RIGHT_FILE,
    ),
    "nobody.json": (
        "[]",
        "nobody.json: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
    "21.json": (
        coco({"keypoints": [1.0, 2.0, 0.5] * 21}),
        "21.json: 21 joints per person; known layouts are COCO-17, COCO-17+feet, Halpe-26, H36M-17, "
        "H36M-17+feet, MPI-17, BODY-25, BODY-25B, COCO-18, COCO-18+feet, MediaPipe-33 (use --skeleton)",
        "Convert the keypoints to one of these layouts.",
    ),
    "nan.json": (
        coco({"keypoints": [float("nan"), 2.0, 0.5] * 17}),
        "nan.json: nobody in it",
        "No frame has a single joint with a confidence above 0.",
    ),
    "infinity.json": (
        coco({"keypoints": [2.0, float("inf"), 0.5] * 17}),
        "infinity.json: expected finite numbers, found inf in frame 0, joint 0 (17 in all)",
        MISSING_JOINT,
    ),
    "negative.json": (
        coco({"image_id": -3}),
        "negative.json: frame: expected 0 or more, found -3",
        "Frame numbers count from 0.",
    ),
    "negative.npz": (
        lambda path: npz(path, points_px=POINTS, frames=np.arange(30) - 4),
        "negative.npz: frames: expected 0-based frame numbers, found -4",
        "",
    ),
    "poses.npz": (
        lambda path: npz(path, joints_m=np.zeros((3, 17, 3))),
        "poses.npz: expected 2D keypoints, found 3D poses of RePOSE",
        "Read them with repose.read_poses.",
    ),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input(name: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    make, message, hint = BAD_INPUT[name]
    path = tmp_path / name
    if isinstance(make, str | bytes):
        path.write_bytes(make.encode() if isinstance(make, str) else make)
    else:
        make(path)
    before = sorted(tmp_path.rglob("*"))
    options = ("--model", model, "--detector", "counter", "--detector-options", "people", "0")
    assert run("estimate", path, "-o", tmp_path / "out", *options) == 2
    said = capsys.readouterr()
    wanted = f"Error: {message}\n{hint}\n" if hint else f"Error: {message}\n"
    frames = re.search(r"found (\d+)\n", said.err)
    assert said.err == wanted.replace("{path}", str(path)).replace("{frames}", frames[1] if frames else "")
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"repose {version('repose3d')}\n"


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_input_that_may_not_be_read(
    kind: str, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The tests may run as root, whom no permission stops: the refusal is the operating system's own error.
    path = tmp_path / "secret.json"
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text(coco({}))

    method = "iterdir" if kind == "folder" else "open"
    whole = getattr(Path, method)

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, method, refuse)
    assert run("estimate", path, "-o", tmp_path / "out", "--model", model) == 2
    assert capsys.readouterr().err == (
        f"Error: {path}: cannot be read (Permission denied)\nCheck that you may read it.\n"
    )


def test_the_output_is_a_file(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").write_text("mine")
    assert run("estimate", "x.json", "-o", tmp_path / "out", "--model", model) == 2
    assert capsys.readouterr().err == (
        f"Error: {tmp_path / 'out'}: expected a folder for the results, found a file\nChoose another name.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nobody"], "Error: model 'nobody': expected a checkpoint file or one of "),
        (["--height", "180"], "Error: height_m: expected 0.3 to 3, found 180.0"),
        (
            ["--fov", "0.5"],
            "Error: fov_deg: expected 1 to 170, found 0.5",
        ),
        (["--fps", "0"], "Error: "),
        (["--skeleton", "cat-9"], "Error: unknown skeleton 'cat-9': expected one of h36m-17"),
        (["--colour", "red"], ""),
    ],
)
def test_bad_options(
    arguments: list[str], message: str, tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.json").write_text(coco({}, {}))
    model_option = [] if "--model" in arguments else ["--model", model]
    assert run("estimate", tmp_path / "a.json", "-o", tmp_path / "out", *model_option, *arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(message)
    assert "Traceback" not in said.err + said.out
    assert not (tmp_path / "out").exists()


def test_unordered_rows_and_missing_confidence_are_accepted_and_reported(
    tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = [{"image_id": frame, "keypoints": (POINTS[0] + frame).ravel().tolist()} for frame in (2, 0, 1)]
    (tmp_path / "bare.json").write_text(json.dumps(bare))
    assert run("estimate", tmp_path / "bare.json", "-o", tmp_path / "out", "--model", model) == 0
    (pose,) = read_poses(tmp_path / "out")
    assert pose.frames.tolist() == [0, 1, 2]
    assert "Assumed, since not given: a confidence per joint, --fps (30)" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options", [("--max-gap", "nan"), ("--height", "inf"), ("--intrinsics", "1", "1", "nan", "1")]
)
def test_numbers_that_are_not_finite_are_refused(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from repose import cli

    with pytest.raises(SystemExit) as exit:
        cli.main(["estimate", "keypoints.json", "-o", str(tmp_path / "out"), *options])
    assert exit.value.code == 2
    assert re.search(r"Error: \w+: expected .* to .*, found .*(nan|inf)", capsys.readouterr().err)


def test_openblas_has_one_thread_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads the variable when NumPy and SciPy load it, which is after the command is known."""
    for told, command, wanted in ((None, "estimate", "1"), ("3", "estimate", "3"), (None, "train", None)):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", told or "")
        if told is None:
            monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        load_command(command)
        assert os.environ.get("OPENBLAS_NUM_THREADS") == wanted
