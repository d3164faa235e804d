from collections.abc import Iterable

import numpy as np
import pytest

import repose.detectors
from repose.detectors import Detector, FrameTracks, TrackRecorder, detector_names, get_detector, register
from repose.errors import UserError
from repose.pose import Pose2D
from repose.skeleton import SKELETONS
from repose.video import VideoFrame, VideoInfo

COCO = SKELETONS["coco-17"]


class CentreDetector:
    """Says that somebody stands in the middle of every picture."""

    def __init__(self, confidence: float = 1.0) -> None:
        self.skeleton = COCO
        self._confidence = confidence

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        recorder = TrackRecorder(info, self.skeleton, "centre")
        for frame in frames:
            points_px = np.full((1, 17, 2), [info.width / 2, info.height / 2])
            recorder.add(frame, points_px, np.full((1, 17), self._confidence))
        return recorder.tracks()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repose.detectors, "_factories", dict(repose.detectors._factories))


@pytest.mark.usefixtures("registry")
def test_anybody_can_register_a_detector(info: VideoInfo) -> None:
    register("centre", CentreDetector)
    assert detector_names() == ["centre", "mediapipe", "rtmpose"]
    detector: Detector = get_detector("centre", confidence=0.5)
    (track,) = detector.detect((frame(number) for number in (0, 1, 3)), info)
    assert track.frames.tolist() == [0, 1, 3]
    assert track.times_s.tolist() == [0, 0.04, 0.12]
    assert (track.points_px[0, 0].tolist(), track.confidence[0, 0]) == ([32, 24], 0.5)
    assert (track.fps, track.image_size, track.skeleton, track.source) == (25, (64, 48), COCO, "centre")
    with pytest.raises(UserError, match="'centre' is registered already"):
        register("centre", CentreDetector)


@pytest.mark.usefixtures("registry")
def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(UserError, match="unknown detector 'openpose': expected one of mediapipe, rtmpose"):
        get_detector("openpose")
    register("centre", CentreDetector)
    with pytest.raises(UserError) as error:
        get_detector("centre", sureness=0.5)
    assert error.value.message == (
        "detector 'centre': expected options (confidence: float = 1.0), "
        "found sureness (got an unexpected keyword argument 'sureness')"
    )


def frame(number: int) -> VideoFrame:
    return VideoFrame(number, number * 0.04, np.zeros((48, 64, 3), np.uint8))


def standing(x_px: float, mirrored: bool = False) -> np.ndarray:
    """A person 40 px tall and asymmetric."""
    points_px = np.stack([np.linspace(-6, 9, 17) ** 2 % 13, np.linspace(0, 40, 17)], axis=-1)
    return (points_px[list(COCO.mirror)] if mirrored else points_px) + [x_px, 0]


def test_people_keep_their_identity(info: VideoInfo) -> None:
    recorder = TrackRecorder(info, COCO, "test")
    sure = np.full((2, 17), 0.9)
    recorder.add(frame(0), np.stack([standing(0), standing(50)]), sure)
    recorder.add(frame(1), np.stack([standing(51), standing(1)]), sure)
    recorder.add(frame(2), standing(2)[None], sure[:1])
    left, right = recorder.tracks()
    assert (left.track_id, left.frames.tolist()) == (0, [0, 1, 2])
    assert (right.track_id, right.frames.tolist()) == (1, [0, 1])
    np.testing.assert_allclose(left.points_px[:, 0, 0] - left.points_px[0, 0, 0], [0, 1, 2], atol=1e-5)


def test_a_jump_starts_a_new_track(info: VideoInfo) -> None:
    recorder = TrackRecorder(info, COCO, "test")
    for number, x_px in enumerate([0, 1, 200, 201, 2]):
        recorder.add(frame(number), standing(x_px)[None], np.full((1, 17), 0.9))
    assert [track.frames.tolist() for track in recorder.tracks()] == [[0, 1, 4], [2, 3]]


def test_somebody_away_for_over_a_second_comes_back_as_new(info: VideoInfo) -> None:
    recorder = TrackRecorder(info, COCO, "test")
    for number in (0, 25, 51):
        recorder.add(frame(number), standing(0)[None], np.full((1, 17), 0.9))
    assert [track.frames.tolist() for track in recorder.tracks()] == [[0, 25], [51]]


def test_exchanged_sides_do_not_make_another_person(info: VideoInfo) -> None:
    recorder = TrackRecorder(info, COCO, "test")
    for number in range(4):
        points_px = standing(0, mirrored=number == 2) * [4, 1]
        recorder.add(frame(number), points_px[None], np.full((1, 17), 0.9))
    (track,) = recorder.tracks()
    assert len(track) == 4
    assert not np.allclose(track.points_px[2], track.points_px[1]), "the points are kept as detected"


def test_nobody_gives_no_track(info: VideoInfo) -> None:
    recorder = TrackRecorder(info, COCO, "test")
    recorder.add(frame(0), np.zeros((0, 17, 2)), np.zeros((0, 17)))
    assert recorder.tracks() == []


def test_nobody_is_away_while_the_camera_is_not_looked_at(info: VideoInfo) -> None:
    """A detector that took four seconds for a frame finds the same person; who comes later is new."""
    tracks = FrameTracks(25.0, (info.width, info.height), COCO, "test")
    body = np.random.default_rng(0).uniform(10, 40, (1, 17, 2))
    sure = np.full((1, 17), 0.9)
    nobody = np.zeros((0, 17, 2)), np.zeros((0, 17))
    ids = []
    for number, (time_s, there) in enumerate([(0.0, 1), (4.0, 1), (4.5, 1), (5.0, 0), (6.0, 0), (7.0, 1)]):
        found = (body + number, sure) if there else nobody
        ids.append([track.track_id for track in tracks.add(number, time_s, *found)])
    assert ids == [[0], [0], [0], [], [], [1]]
