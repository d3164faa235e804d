"""`repose view` and `repose render`: what they write, and the exact words for what can be wrong."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run

from repose.export.results import write_poses
from repose.pose import Pose3D
from repose.video import open_video


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def test_a_page_a_video_and_a_sheet(
    result: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, film, sheet = (tmp_path / name for name in ("walk.html", "walk.mp4", "walk.png"))
    assert run("view", result, "--html", page, "--compare", second) == 0
    options = ["--video", film, "--sheet", sheet, "--height-px", 240, "--sheet-frames", 3, 40]
    assert run("render", result, *options) == 0
    said = capsys.readouterr()
    assert f"Written: {page} (0." in said.out
    assert f"Written: {film} (" in said.out
    assert "Scale: the truth.\n" in said.out
    assert open_video(film).info.frames == 288, "all of the video, not only of the result"
    assert f"Written: {sheet}\n" in said.out
    assert said.err == ""
    assert open_video(film).info.height == 240
    assert sorted(path.name for path in tmp_path.iterdir()) == ["walk.html", "walk.mp4", "walk.png"]


def test_nothing_to_draw(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("render", result) == 2
    assert capsys.readouterr().err == (
        "Error: nothing to draw: expected --video FILE.mp4, --sheet FILE.png, or both\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("view", "--html"), "a.html"),
        (("render", "--sheet"), "a.png"),
        (("render", "--video"), "a.mp4"),
    ],
)
def test_what_is_there_is_not_overwritten(
    arguments: tuple[str, str], message: str, result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command, option = arguments
    path = tmp_path / message
    path.write_text("mine")
    assert run(command, result, option, path) == 2
    assert capsys.readouterr().err == (
        f"Error: {path}: is there already\nChoose another name, or overwrite with --force.\n"
    )
    nowhere = tmp_path / "none" / message
    assert run(command, result, option, nowhere) == 2
    assert capsys.readouterr().err == (
        f"Error: {nowhere}: expected a folder to write to, found none called {nowhere.parent}\n"
        "Make it first.\n"
    )
    assert path.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [message]


def test_a_full_disk_leaves_nothing(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    for command, option, name in (("view", "--html", "a.html"), ("render", "--sheet", "a.png")):
        assert run(command, result, option, tmp_path / name, "--no-picture") == 2
        assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert run("render", result, "--video", tmp_path / "a.mp4", "--height-px", 120) == 2
    assert "cannot be written: No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_another_version(
    walker: Pose3D, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "old"
    write_poses([walker], folder)
    with np.load(folder / "poses.npz") as file:
        arrays = {**file, "version": np.array(0)}
    np.savez(folder / "poses.npz", **arrays)
    for arguments in (("--html", tmp_path / "a.html"), ("--no-browser",)):
        assert run("view", folder, *arguments) == 2
        said = capsys.readouterr().err
        assert said.startswith("Error: poses.npz: expected format version ")
        assert said.endswith(", found 0\nRead it with the RePOSE that wrote it.\n")
    assert not (tmp_path / "a.html").exists()


def test_a_video_that_is_gone(walker: Pose3D, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_poses([replace(walker, record={"video": "/nowhere/walk.mp4"})], tmp_path / "out")
    assert run("render", tmp_path / "out", "--video", tmp_path / "a.mp4") == 2
    assert capsys.readouterr().err == (
        "Error: no picture for this result: its video /nowhere/walk.mp4 is not beside it, "
        "and it was not made on this machine by this user\n"
        "Give its path with --source, or use --no-picture.\n"
    )
    assert run("view", tmp_path / "out", "--html", tmp_path / "a.html") == 0
    assert "No picture: its video /nowhere/walk.mp4 is not beside it" in capsys.readouterr().out
    assert run("render", tmp_path / "out", "--sheet", tmp_path / "a.png") == 0
    assert "No picture: its video /nowhere/walk.mp4 is not beside it" in capsys.readouterr().out


def test_a_result_does_not_steer_the_terminal(
    walker: Pose3D, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_poses([replace(walker, record={}, scale="\x1b]0;title\x07\x1b[2Jgone [red]x[/]")], tmp_path / "out")
    assert run("view", tmp_path / "out", "--html", tmp_path / "a.html") == 0
    assert "Scale: \\x1b]0;title\\x07\\x1b[2Jgone [red]x[/].\n" in capsys.readouterr().out


def test_a_browser_that_does_not_open(
    result: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("viser")
    monkeypatch.setattr("webbrowser.open", lambda _: False)
    assert run("view", result, "--port", 8230) == 2
    said = capsys.readouterr()
    assert said.err == (
        "Error: no browser opened for http://localhost:8230\n"
        "Serve the page with --no-browser and open it yourself, or write a file: --html FILE.\n"
    )
    assert said.out == ""


def test_the_viewer_says_where_it_is(
    result: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("viser")

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["repose.viewer.player"].Viewer, "wait", interrupted)
    assert run("view", result, "--no-browser", "--port", 8240) == 0
    assert capsys.readouterr().out.endswith("\nViewer: http://localhost:8240 (Ctrl-C stops it).\n")
