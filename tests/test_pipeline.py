"""The whole path from keypoints or a video to 3D tracks."""

import pickle
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import repose
from repose import detectors as detect
from repose.detectors import TrackRecorder
from repose.errors import UserError
from repose.lifting import Lifter
from repose.models import build
from repose.pose import Pose2D
from repose.sample import load_sample_truth, sample_video
from repose.skeleton import H36M_17
from repose.video import VideoFrame, VideoInfo, open_video, write_video


class TruthDetector:
    """Sees the sample's true joints, in every frame but some."""

    skeleton = H36M_17

    def __init__(self, blind_from: int = 0, blind_to: int = 0) -> None:
        self.blind = range(int(blind_from), int(blind_to))

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        truth = load_sample_truth()
        recorder = TrackRecorder(info, self.skeleton, "truth")
        for frame in frames:
            if frame.index not in self.blind:
                sure = np.where(truth.hidden[frame.index], 0.1, 0.9)
                recorder.add(frame, truth.points_px[frame.index][None], sure[None])
        return recorder.tracks()


@pytest.fixture
def lifter() -> Lifter:
    return Lifter(build("frameformer"), name="fresh")


@pytest.fixture
def truth_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(detect._factories, "truth", TruthDetector)


@pytest.fixture
def two_people(parity: Path) -> Path:
    return parity / "alphapose" / "alphapose-results.json"


def test_everybody_in_a_keypoint_file(two_people: Path, lifter: Lifter) -> None:
    given = repose.read_keypoints(two_people)
    poses = repose.estimate(two_people, lifter=lifter)
    assert [pose.track_id for pose in poses] == [track.track_id for track in given] == [1, 2]
    for pose, track in zip(poses, given, strict=True):
        assert set(track.frames) <= set(pose.frames)
        assert pose.record["source"] == track.source
        assert pose.record["assumed"] == ["fps", "image_size", "height", "field of view"]
        assert pose.model == "fresh"
    # The second person is lost for more than a second.
    second = poses[1]
    np.testing.assert_array_equal(second.frames, given[1].frames)
    ((first, last),) = second.record["gaps_left_empty"]
    assert not np.isin(np.arange(first, last + 1), second.frames).any()
    assert np.isin([first - 1, last + 1], second.frames).all()
    (second,) = repose.estimate(two_people, lifter=lifter, person=2, max_gap_s=9)
    np.testing.assert_array_equal(second.frames, np.arange(second.frames[0], second.frames[-1] + 1))
    filled = (second.frames >= first) & (second.frames <= last)
    assert filled.sum() == second.record["frames_filled"] == last - first + 1
    assert not second.seen[filled].any()
    assert second.record["gaps_left_empty"] == []


def test_one_person_is_chosen_by_id(two_people: Path, lifter: Lifter) -> None:
    (pose,) = repose.estimate(two_people, lifter=lifter, person=2)
    assert pose.track_id == 2
    with pytest.raises(UserError, match="no person 5: there are 1, 2"):
        repose.estimate(two_people, lifter=lifter, person=5)


def test_what_the_file_does_not_know_can_be_said(two_people: Path, lifter: Lifter) -> None:
    poses = repose.estimate(
        two_people, lifter=lifter, fps=25, size=(854, 480), height_m=1.8, fov_deg=60, max_gap_s=0
    )
    assert poses[0].record["assumed"] == []
    assert poses[0].scale == "given height 1.8 m"
    assert (poses[0].fps, poses[0].image_size) == (25.0, (854, 480))
    assert poses[1].record["frames_filled"] == 0
    assert poses[1].record["gaps_left_empty"]


def test_options_can_be_given_whole_and_overridden(two_people: Path, lifter: Lifter) -> None:
    options = repose.EstimateOptions(person=1, root=False, height_m=1.5)
    (pose,) = repose.estimate(two_people, options, lifter=lifter, height_m=1.9)
    assert pose.coordinates == "camera-root-relative"
    assert pose.scale == "given height 1.9 m"


def test_tracks_at_hand_are_lifted(two_people: Path, lifter: Lifter) -> None:
    tracks = repose.read_keypoints(two_people)
    poses = repose.estimate(iter(tracks), lifter=lifter)
    (alone,) = repose.estimate(tracks[1], lifter=lifter)
    np.testing.assert_allclose(alone.joints_m, poses[1].joints_m, rtol=0, atol=1e-5)


def test_exchanged_sides_are_put_back_unless_told_otherwise(lifter: Lifter, truth_detector: None) -> None:
    video = open_video(sample_video())
    (track,) = TruthDetector().detect(video, video.info)
    points = track.points_px.copy()
    points[20:40] = points[20:40][:, list(H36M_17.mirror)]
    bad = Pose2D(points, np.ones(points.shape[:2]), track.frames, track.fps, track.image_size, H36M_17)
    (pose,) = repose.estimate(bad, lifter=lifter)
    assert pose.record["swaps_undone"] == {"arms": [(20, 39)], "legs": [(20, 39)]}
    np.testing.assert_allclose(pose.points_px, track.points_px, atol=1e-3)
    (pose,) = repose.estimate(bad, lifter=lifter, undo_swaps=False)
    assert pose.record["swaps_undone"] == {}
    np.testing.assert_allclose(pose.points_px, points, atol=1e-3)


def test_a_video_through_a_registered_detector(lifter: Lifter, truth_detector: None) -> None:
    told: list[tuple[str, int, int | None]] = []
    truth = load_sample_truth()
    (pose,) = repose.estimate(
        sample_video(),
        lifter=lifter,
        detector="truth",
        detector_options={"blind_from": "30", "blind_to": "40"},
        progress=lambda *report: told.append(report),
    )
    count = len(truth.joints_m)
    np.testing.assert_array_equal(pose.frames, np.arange(count))
    np.testing.assert_array_equal(pose.seen[:30], ~truth.hidden[:30])
    assert not pose.seen[30:40].any()
    assert pose.record["frames_filled"] == 10
    assert pose.record["detector"] == "truth"
    assert pose.record["video"] == str(sample_video().resolve())
    assert pose.record["camera_motion"]["moves"] is False
    assert (pose.fps, pose.image_size) == (truth.fps, truth.image_size)
    finding = [report for report in told if report[0] == "finding people"]
    assert [done for _, done, _ in finding] == list(range(1, count + 1))
    assert {total for _, _, total in finding} == {count}
    assert ("lifting person 0", count, count) in told
    assert told[-1] == ("fitting person 0", count, count)


def test_a_detector_of_one_person_is_told_whom(lifter: Lifter, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class FollowingDetector(TruthDetector):
        def follow(self, frames: Iterable[VideoFrame], info: VideoInfo, person: str) -> list[Pose2D]:
            told.append(person)
            return self.detect(frames, info)

    monkeypatch.setitem(detect._factories, "following", FollowingDetector)
    for person in ("largest", "0", 0, None):
        repose.estimate(sample_video(), lifter=lifter, detector="following", person=person)
    assert told == ["largest"]


def test_ghosts_are_left_out_and_listed(lifter: Lifter) -> None:
    video = open_video(sample_video())
    (track,) = TruthDetector().detect(video, video.info)
    ghost = Pose2D(
        track.points_px[7:8] + 90,
        np.ones((1, 17)),
        track.frames[7:8],
        track.fps,
        track.image_size,
        H36M_17,
        5,
    )
    (pose,) = repose.estimate([ghost, track], lifter=lifter)
    assert pose.record["not_people"] == [
        {"track_id": 5, "first": 7, "last": 7, "frames": 1, "reason": "a single frame"}
    ]
    main, kept = repose.estimate([ghost, track], lifter=lifter, keep_all=True)
    assert (main.track_id, kept.track_id) == (0, 5)
    assert "not_people" not in main.record


@pytest.mark.parametrize(("option", "value"), [("fps", 30), ("size", (640, 480)), ("skeleton", "coco-17")])
def test_a_video_knows_its_rate_size_and_layout(option: str, value: Any, lifter: Lifter) -> None:
    with pytest.raises(UserError, match=f"sample.mp4 is a video, which states its own {option}") as error:
        repose.estimate(sample_video(), lifter=lifter, **{option: value})
    assert error.value.hint == f"Leave --{option} out; it is for keypoint files."


def test_a_video_of_one_frame(tmp_path: Path, lifter: Lifter, truth_detector: None) -> None:
    first = next(iter(open_video(sample_video())))
    write_video(tmp_path / "one.mp4", [first.rgb], fps=30.0)
    (pose,) = repose.estimate(tmp_path / "one.mp4", lifter=lifter, detector="truth")
    assert pose.frames.tolist() == [0]


def test_a_video_with_nobody_in_it(tmp_path: Path, lifter: Lifter, truth_detector: None) -> None:
    write_video(tmp_path / "empty.mp4", np.zeros((5, 48, 64, 3), dtype=np.uint8), fps=25.0)
    with pytest.raises(UserError, match=r"empty.mp4: the detector truth found nobody in this video"):
        repose.estimate(
            tmp_path / "empty.mp4", lifter=lifter, detector="truth", detector_options={"blind_to": "99"}
        )


def test_mistakes_are_found_before_the_video_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the video was opened")

    monkeypatch.setattr(import_module("repose.video"), "open_video", refuse)
    for options, message in (
        ({"hieght_m": 1.8}, "unknown option hieght_m"),
        ({"model": "nobody's"}, 'model "nobody\'s": expected a checkpoint file or one of'),
        ({"height_m": 180}, "height_m: expected 0.3 to 3, found 180"),
        ({"fov_deg": 200}, "fov_deg: expected 1 to 170, found 200"),
        ({"intrinsics_px": (1, 1, 0, 0), "fov_deg": 60}, "both intrinsics and a field of view"),
        ({"max_gap_s": -1}, "max_gap_s: expected 0 to 60, found -1"),
    ):
        with pytest.raises(UserError, match=message):
            repose.estimate(sample_video(), **options)
    with pytest.raises(UserError, match="unknown detector 'x-ray': expected one of"):
        repose.estimate(sample_video(), lifter=Lifter(build("frameformer")), detector="x-ray")


def test_frames_that_could_not_be_decoded_are_in_the_record(
    tmp_path: Path, lifter: Lifter, truth_detector: None
) -> None:
    data = bytearray(sample_video().read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    (tmp_path / "damaged.mp4").write_bytes(data)
    (pose,) = repose.estimate(tmp_path / "damaged.mp4", lifter=lifter, detector="truth")
    assert pose.record.get("frames_lost_in_file") or pose.record.get("frames_damaged_in_file")
    assert len(pose) == len(load_sample_truth().joints_m)


def test_slow_motion_has_the_times_of_life(
    tmp_path: Path, lifter: Lifter, truth_detector: None, two_people: Path
) -> None:
    """Thirty frames a second in the file, 240 when it was filmed: eight times as quick."""
    usual = repose.estimate(sample_video(), lifter=lifter, detector="truth")
    (slow,) = repose.estimate(sample_video(), lifter=lifter, detector="truth", capture_fps=240)
    (usual,) = usual
    assert slow.fps == slow.record["capture_fps"] == 240
    assert slow.record["slow_motion"] == pytest.approx(8)
    np.testing.assert_allclose(slow.times_s * 8, usual.times_s, atol=1e-9)

    (track, *_) = repose.read_keypoints(two_people, fps=240)
    file, *_ = repose.estimate(two_people, lifter=lifter, capture_fps=240, fps=30)
    at_hand, *_ = repose.estimate(
        replace(track, fps=30.0, times_s=track.times_s * 8), lifter=lifter, capture_fps=240
    )
    for pose in (file, at_hand):
        assert pose.fps == 240
        assert "fps" not in pose.record["assumed"]
        np.testing.assert_allclose(pose.times_s, pose.frames / 240, atol=1e-9)


@pytest.mark.parametrize("capture_fps", [0, -240, 1e9])
def test_no_such_capture_rate(two_people: Path, lifter: Lifter, capture_fps: float) -> None:
    with pytest.raises(UserError, match=r"capture_fps: expected 0\.1 to 10,000, found"):
        repose.estimate(two_people, lifter=lifter, capture_fps=capture_fps)


def test_an_estimator_is_loaded_once_and_travels_by_its_options(two_people: Path) -> None:
    estimator = repose.Estimator(height_m=1.82)
    there = pickle.loads(pickle.dumps(estimator))
    assert there.options == estimator.options
    assert len(pickle.dumps(estimator)) < 2000
    assert pickle.loads(pickle.dumps(estimator)) is there
    tracks = repose.read_keypoints(two_people)
    for poses in (estimator(two_people), there(tracks), there(str(two_people))):
        expected = repose.estimate(two_people, height_m=1.82)
        for pose, same in zip(poses, expected, strict=True):
            np.testing.assert_allclose(pose.joints_m, same.joints_m, atol=1e-6)
            assert pose.scale == "given height 1.82 m"
    (second,) = estimator(two_people, person=2, height_m=1.5)
    assert (second.track_id, second.scale) == (2, "given height 1.5 m")
    with pytest.raises(UserError, match="model: is loaded already"):
        estimator(two_people, model="other")
    with pytest.raises(UserError, match="unknown option hight_m"):
        estimator(two_people, hight_m=1.5)
    with pytest.raises(UserError, match=r"height_m: expected 0\.3 to 3"):
        repose.Estimator(height_m=18.2)


def test_an_estimator_loads_its_detector_once(
    truth_detector: None, lifter: Lifter, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[TruthDetector] = []

    def make() -> TruthDetector:
        made.append(TruthDetector())
        return made[-1]

    monkeypatch.setitem(detect._factories, "truth", make)
    estimator = repose.Estimator(detector="truth", lifter=lifter)
    assert made == []
    with pytest.raises(UserError, match="with a lifter of its own cannot be pickled"):
        pickle.dumps(estimator)
    first, second = (estimator(sample_video()) for _ in range(2))
    assert len(made) == 1
    np.testing.assert_array_equal(first[0].frames, second[0].frames)
