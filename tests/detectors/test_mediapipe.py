import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from repose.detectors import Follower, get_detector
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


def test_the_person_that_is_meant_is_followed(shared: Path) -> None:
    """A rendered woman stands before a man; left alone MediaPipe follows her, whoever is meant."""
    pytest.importorskip("mediapipe")
    clip = shared / "video" / "pose2sim_multi" / "cam01.mp4"
    detector = get_detector("mediapipe")
    assert isinstance(detector, Follower)
    places = {}
    for person in ("largest", "central", "480,800"):
        video = open_video(clip)
        (track,) = detector.follow(itertools.islice(video, 12), video.info, person)
        assert track.frames.tolist() == list(range(12))
        places[person] = track.points_px[:, track.skeleton.indices("left_hip", "right_hip"), 0].mean()
    truth = np.load(shared / "video" / "pose2sim_multi" / "gt_adult.npz")
    hips = [truth["joint_names"].tolist().index(f"{side}_hip") for side in ("left", "right")]
    seen = truth["joints_m"][2:12, hips] @ truth["cam01_R"].T + truth["cam01_t"].reshape(3)
    man_px = float((seen @ truth["cam01_K"].T)[..., 0].mean() / seen[..., 2].mean())
    assert abs(places["480,800"] - man_px) < 60
    assert abs(places["central"] - man_px) < 60
    assert places["largest"] > man_px + 150
    video = open_video(clip)
    with pytest.raises(UserError, match="nobody at 20,1800 in the first frame: found person 0 at"):
        detector.follow(itertools.islice(video, 2), video.info, "20,1800")
