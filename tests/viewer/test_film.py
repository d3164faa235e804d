"""The rendered video, and the sheet of poses."""

import sys
import weakref
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from browser import FRAMES, share_of

from repose.errors import UserError
from repose.export.results import write_poses
from repose.palette import SIDES, rgb
from repose.pose import Pose3D
from repose.sample import sample_video
from repose.video import VideoFrame, frames, open_video, write_video
from repose.viewer import render_sheet, render_video

LEFT, RIGHT = (rgb(colour) for colour in SIDES.values())


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first second of the sample, with a tone."""
    tmp_path = tmp_path_factory.mktemp("clips")
    path = tmp_path / "clip.mp4"
    pictures = (frame.rgb for frame in islice(frames(sample_video()), 30))
    write_video(tmp_path / "silent.mp4", pictures, fps=30, preset="ultrafast")
    with av.open(str(tmp_path / "silent.mp4")) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        tone = target.add_stream("aac", rate=16000)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
        wave = (np.sin(np.arange(16000) / 16000 * 2 * np.pi * 440) * 9000).astype(np.int16)
        sound = av.AudioFrame.from_ndarray(wave[None], "s16", "mono")
        sound.sample_rate, sound.pts = 16000, 0
        resampler = av.AudioResampler(tone.codec_context.format, "mono", 16000, frame_size=1024)
        for frame in resampler.resample(sound):
            target.mux(tone.encode(frame))
        target.mux(tone.encode(None))
    return path


def test_every_frame_of_the_video_beside_the_scene(walker: Pose3D, clip: Path, tmp_path: Path) -> None:
    said: list[tuple[str, int, int | None]] = []
    out = tmp_path / "out.mp4"
    late = replace(walker, frames=walker.frames + 10, times_s=walker.times_s + 1 / 3)
    scene = render_video([late], out, source=clip, height=240, progress=lambda *what: said.append(what))
    assert scene.frames[0] == 10
    assert said[-1] == ("drawing", 30, 30)
    video = open_video(out)
    assert (video.info.width, video.info.height) == (320 + 240, 240)
    assert video.info.has_audio
    drawn = [frame.rgb.astype(int) for frame in video]
    original = [frame.rgb.astype(int) for frame in open_video(clip).scaled(240)]
    assert len(drawn) == 30
    for colour in (LEFT, RIGHT):
        assert share_of(drawn[25][:200, 320:], colour, 40) > 0.002
        assert share_of(drawn[5][:200, 320:], colour, 40) == 0
    assert np.abs(drawn[5][:, :320] - original[5]).mean() < 4, "before the person comes, the picture alone"
    assert np.abs(drawn[25][:, :320] - original[25]).max() > 60
    times = [frame.time_s for frame in video]
    np.testing.assert_allclose(times, [frame.time_s for frame in open_video(clip)], atol=1e-3)


def test_without_the_picture(walker: Pose3D, tmp_path: Path) -> None:
    keypoints = replace(walker, record={})
    render_video([keypoints], tmp_path / "out.mp4", height=240)
    info = open_video(tmp_path / "out.mp4").info
    assert info.frames == FRAMES
    assert (info.width, info.height, info.has_audio) == (560, 240, False)
    nothing_flat = replace(keypoints, points_px=None, intrinsics_px=None)
    render_video([nothing_flat], tmp_path / "space.mp4", height=240)
    info = open_video(tmp_path / "space.mp4").info
    assert (info.width, info.height) == (240, 240)


def test_memory_does_not_grow_with_the_video(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref] = []
    kept: list[int] = []

    def write(path: Path, pictures: Iterator[VideoFrame], *_: Any, **__: Any) -> int:
        for picture in pictures:
            made.append(weakref.ref(picture.rgb))
            kept.append(sum(picture() is not None for picture in made))
        return len(made)

    monkeypatch.setattr(sys.modules["repose.viewer.film"], "write_video", write)
    render_video([walker], tmp_path / "out.mp4", height=120)
    assert len(made) > FRAMES
    assert max(kept) <= 2, "pictures in memory at once"


def test_a_video_that_is_gone(walker: Pose3D, tmp_path: Path) -> None:
    moved = replace(walker, record={"video": "/nowhere/walk.mp4"})
    with pytest.raises(
        UserError, match=r"no picture for this result: its video /nowhere/walk.mp4 is not beside it"
    ) as gone:
        render_video([moved], tmp_path / "out.mp4")
    assert gone.value.hint == "Give its path with --source, or use --no-picture."
    assert list(tmp_path.iterdir()) == []
    render_video([moved], tmp_path / "out.mp4", picture=False, height=120)
    assert open_video(tmp_path / "out.mp4").info.frames == FRAMES


def test_neither_other_files_nor_the_source_are_overwritten(result: Path, clip: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.mp4"
    mine.write_text("mine")
    with pytest.raises(UserError, match=r"mine.mp4: is there already"):
        render_video(result, mine)
    with pytest.raises(UserError, match=r"clip.mp4: this is the video that the result was made from"):
        render_video(result, clip, source=clip, force=True)
    with pytest.raises(UserError, match="expected a video name ending in"):
        render_video(result, tmp_path / "film.avi")
    with pytest.raises(UserError, match="expected a folder to write to, found none"):
        render_video(result, tmp_path / "none" / "film.mp4")
    with pytest.raises(UserError, match="height: expected 120 to 4320 pixels, found 7"):
        render_video(result, tmp_path / "film.mp4", height=7)
    assert mine.read_text() == "mine"


def test_a_sheet_has_the_picture_above_and_the_scene_below(result: Path, tmp_path: Path) -> None:
    render_sheet(result, tmp_path / "sheet.png", frames=[0, 30, 59])
    sheet = cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1].astype(int)
    assert sheet.shape[1] == 3 * 624 + 24
    above, below = sheet[24:624], sheet[624:1224]
    assert share_of(above, (255, 255, 255), 4) < 0.2
    assert share_of(below, (255, 255, 255), 4) > 0.7
    for column in range(3):
        part = below[:, 24 + 624 * column : 624 + 624 * column]
        assert min(share_of(part, LEFT, 30), share_of(part, RIGHT, 30)) > 0.002


def test_a_sheet_of_many_moments_has_several_rows(walker: Pose3D, tmp_path: Path) -> None:
    render_sheet([walker], tmp_path / "many.png", count=8, picture=False)
    render_sheet([walker], tmp_path / "one.png", count=1, picture=False)
    many, one = (cv2.imread(str(tmp_path / name)) for name in ("many.png", "one.png"))
    assert many.shape[1] == 6 * 624 + 24
    assert one.shape[1] == 624 + 24
    assert many.shape[0] > 1.8 * one.shape[0]


def test_a_sheet_of_frames_with_nobody(walker: Pose3D, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="frame 400: no person in it") as nobody:
        render_sheet([walker], tmp_path / "sheet.png", frames=[3, 400])
    assert nobody.value.hint == f"People are in frames 0 to {FRAMES - 1}."
    assert list(tmp_path.iterdir()) == []


def test_a_result_of_another_version(walker: Pose3D, tmp_path: Path) -> None:
    write_poses([walker], tmp_path / "out")
    with np.load(tmp_path / "out" / "poses.npz") as file:
        arrays = {**file, "version": np.array(99)}
    np.savez(tmp_path / "out" / "poses.npz", **arrays)
    with pytest.raises(UserError, match="expected format version"):
        render_sheet(tmp_path / "out", tmp_path / "sheet.png")
