import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from repose.detect import get_detector
from repose.errors import UserError
from repose.video import VideoFrame, VideoInfo, open_video


def test_without_mediapipe_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UserError, match="detector 'mediapipe' cannot be loaded") as error:
        get_detector("mediapipe")
    assert "pip install --no-deps mediapipe==0.10.21" in error.value.hint


def test_a_mediapipe_without_its_model_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Later:
        __version__ = "0.10.31"

    monkeypatch.setitem(sys.modules, "mediapipe", Later())
    with pytest.raises(UserError, match=r"expected mediapipe 0\.10\.21, found 0\.10\.31"):
        get_detector("mediapipe")


def test_nobody_in_the_picture_gives_no_track(info: VideoInfo, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe")
    grey = (VideoFrame(number, number / 25, np.full((48, 64, 3), 99, np.uint8)) for number in range(3))
    assert get_detector("mediapipe").detect(grey, info) == []
    assert capfd.readouterr() == ("", ""), "no log lines of its C++ side"


def test_the_landmarks_are_those_of_a_direct_run(shared: Path, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mediapipe")
    folder = shared / "video" / "pose2sim_single"
    video = open_video(folder / "cam01.mp4")
    (track,) = get_detector("mediapipe").detect(itertools.islice(video, 30), video.info)
    direct = np.load(folder / "mediapipe_cam01.npz")
    assert track.skeleton.name == "mediapipe-33"
    assert track.frames.tolist() == list(range(30))
    np.testing.assert_allclose(track.points_px, direct["xy_px"][:30], atol=3)
    np.testing.assert_allclose(track.confidence, direct["visibility"][:30], atol=0.02)
    assert capfd.readouterr() == ("", "")
