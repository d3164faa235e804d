"""Every command with a wrong path: exit code 2, one message that names the file, nothing left behind."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run

import repose
from repose.cli import COMMANDS
from repose.pose import Pose3D
from repose.sample import load_sample_truth

READS = {
    "estimate": "estimate {input} -o {out}",
    "refine": "refine {input} -o {out}",
    "angles": "angles {input} -o {out} --no-plot",
    "view": "view {input} --html {file}.html",
    "view compare": "view {result} --compare {input} --html {file}.html",
    "render": "render {input} --sheet {file}.png",
    "render source": "render {result} --source {input} --video {file}.mp4",
    "export": "export {input} {file}.bvh",
    "prepare human36m": "prepare human36m {input} -o {out}",
    "prepare mpi-inf-3dhp": "prepare mpi-inf-3dhp {input} -o {out}",
    "prepare amass": "prepare amass {input} -o {out} --body-models {input} --regressor {input}",
    "prepare 3dpw": "prepare 3dpw {input} -o {out} --body-models {input} --regressor {input}",
    "prepare aist++": "prepare aist++ {input} -o {out}",
    "prepare blendmimic3d": "prepare blendmimic3d {input} -o {out}",
    "prepare posetrack18": "prepare posetrack18 {input} -o {out}",
    "prepare instavariety": "prepare instavariety {input} -o {out}",
    "prepare mocap": "prepare mocap {input} -o {out}",
    "prepare keypoints": "prepare keypoints {input} -o {out}",
    "doctor": "doctor {input} --sheet {file}.png",
    "train": "train tiny -o {out} --data.mocap {input}",
    "evaluate": "evaluate {input}",
    "evaluate model": "evaluate {store} --model {input}",
    "benchmark occlusion": "benchmark occlusion {input}",
    "benchmark video": "benchmark video {input}",
    "compare": "compare {input}",
}
"""Commands by what they read."""
WRITES = {
    "estimate": "estimate {keypoints} -o {out}",
    "batch": "batch {keypoints} -o {out}",
    "refine": "refine {result} -o {out}",
    "angles": "angles {result} -o {out} --no-plot",
    "view": "view {result} --html {out}.html --no-picture",
    "render sheet": "render {result} --sheet {out}.png --no-picture",
    "render video": "render {result} --video {out}.mp4 --no-picture --height-px 120",
    "export": "export {result} {out}.bvh",
    "export opensim": "export {result} {out} --to opensim",
    "prepare keypoints": "prepare keypoints {keypoints} -o {out}",
    "prepare sample": "prepare sample -o {out}",
    "doctor": "doctor {store} --sheet {out}.png",
    "train": "train tiny -o {out} --steps 1",
}
"""Commands by what they write."""
NOTHING_TO_READ = {"convert", "demo", "live", "models", "page"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A result, a store and a keypoint file."""
    folder = tmp_path_factory.mktemp("there")
    truth = load_sample_truth()
    rows = slice(60, 90)
    pose = Pose3D(
        joints_m=truth.joints_m[rows].astype(np.float32),
        seen=~truth.hidden[rows],
        frames=np.arange(30),
        fps=30.0,
        skeleton="h36m-17",
        coordinates="camera",
        points_px=truth.points_px[rows],
        image_size=truth.image_size,
    )
    repose.write_poses([pose], folder / "result")
    np.save(folder / "walk.npy", truth.points_px[rows])
    assert run("prepare", "keypoints", folder / "walk.npy", "--fps", 30, "-o", folder / "store") == 0
    return {"result": folder / "result", "store": folder / "store", "keypoints": folder / "walk.npy"}


def call(words: str, **paths: Path) -> list[str]:
    return [word.format(**paths) for word in words.split()]


def check_message(said: str, *names: str) -> None:
    """One short message that names the file, and no traceback."""
    assert said.startswith("Error: "), said
    assert "Traceback" not in said, said
    assert len(said) < 600, said
    assert len(said.splitlines()) <= 3, said
    assert any(name in said for name in names), said


@pytest.mark.parametrize("command", READS)
@pytest.mark.parametrize("wrong", ["missing", "folder", "empty", "text"])
def test_an_input_that_cannot_be_read(
    command: str, wrong: str, there: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "läufer 1"
    match wrong:
        case "folder":
            place.mkdir()
        case "empty":
            place.touch()
        case "text":
            place.write_text("to whom it may concern\n" * 40)
    before = sorted(tmp_path.rglob("*"))
    arguments = call(READS[command], **there, input=place, out=tmp_path / "out", file=tmp_path / "a")
    capsys.readouterr()
    assert run(*arguments) == 2
    check_message(capsys.readouterr().err, place.name)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("command", WRITES)
@pytest.mark.parametrize("wrong", ["below a file", "read-only"])
def test_a_place_that_cannot_be_written(
    command: str, wrong: str, there: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if wrong == "read-only":
        place = Path("/proc/repose")
        if not Path("/proc/self").exists():
            pytest.skip("no folder here in which nobody may write")
    else:
        (tmp_path / "file").write_text("mine")
        place = tmp_path / "file" / "out"
    capsys.readouterr()
    assert run(*call(WRITES[command], **there, out=place)) == 2
    check_message(capsys.readouterr().err, str(place), str(place.parent))
    if wrong == "below a file":
        assert (tmp_path / "file").read_text() == "mine"
        assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is put in its place: the disk has no room for it."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.replace", full)
    monkeypatch.setattr("os.rename", full)
    monkeypatch.setattr("pathlib.Path.rename", full)


@pytest.mark.parametrize("command", WRITES)
def test_a_full_disk_is_said_and_leaves_nothing(
    command: str,
    there: dict[str, Path],
    tmp_path: Path,
    full_disk: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capsys.readouterr()
    assert run(*call(WRITES[command], **there, out=tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    check_message(said[said.index("Error: ") :], str(tmp_path))
    left = [path for path in tmp_path.rglob("*") if path.is_file() or ".partial" in path.name]
    assert [path for path in left if path.name not in ("config.json", "validation.jsonl")] == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a disk")
@pytest.mark.parametrize("command", sorted(set(WRITES) - {"train", "prepare sample"}))
def test_a_really_full_disk(
    command: str, there: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.system(f"mount -t tmpfs -o size=4k tmpfs {disk} 2>/dev/null"):
        pytest.skip("no disk can be mounted here")
    try:
        (disk / "filler").write_bytes(bytes(4096))
        capsys.readouterr()
        assert run(*call(WRITES[command], **there, out=disk / "out")) == 2
        said = capsys.readouterr().err
        check_message(said[said.index("Error: ") :], str(disk))
        assert "No space left on device" in said or "disk is full" in said
        assert [path.name for path in disk.iterdir()] == ["filler"]
    finally:
        os.system(f"umount --lazy {disk}")  # FFmpeg may hold a file that it could not close


def test_no_command_is_forgotten() -> None:
    assert {words.split()[0] for words in (*READS, *WRITES)} | NOTHING_TO_READ == set(COMMANDS)
