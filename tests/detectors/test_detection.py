"""A video detected in pieces is as the whole, and nearly so one of which only some frames are looked at."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import repose
from repose.detectors import TrackRecorder, detection
from repose.detectors.detection import Detection, detect
from repose.pose import Pose2D
from repose.sample import load_sample_truth, sample_video
from repose.skeleton import H36M_17
from repose.video import VideoFrame, VideoInfo, open_video


class TwoPeople:
    """The sample's person, and another one beside, who is away for a while; in changing order."""

    skeleton = H36M_17

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        truth = load_sample_truth()
        recorder = TrackRecorder(info, self.skeleton, "truth")
        for frame in frames:
            points = np.stack([truth.points_px[frame.index], truth.points_px[frame.index] + [150, 0]])
            sure = np.full((2, 17), 0.9)
            sure[1] = 0 if 100 < frame.index < 120 or frame.index > 200 else 0.8
            order = [0, 1] if frame.index % 2 else [1, 0]
            recorder.add(frame, points[order], sure[order])
        return recorder.tracks()


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(make: Callable[[], Any], items: list[Any], count: int, died: Any) -> Iterator[Any]:
        yield from map(make(), reversed(items))  # as they come

    monkeypatch.setattr(detection, "share_out", work)
    for name, seconds in {"LONG_S": 4.8, "PIECE_S": 2.4, "SHORTEST_PIECE_S": 1.0, "OVERLAP_S": 1.0}.items():
        monkeypatch.setattr(detection, name, seconds)


def test_who_is_who_is_the_same_in_pieces(in_this_process: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repose.detectors, "_factories", {"mediapipe": TwoPeople})
    video, told = open_video(sample_video()), []
    whole = detect(video, Detection())
    parts = detect(video, Detection(), workers=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(72, 288), (144, 288), (216, 288), (288, 288)]
    assert [track.track_id for track in parts.tracks] == [track.track_id for track in whole.tracks] == [0, 1]
    for part, track in zip(parts.tracks, whole.tracks, strict=True):
        np.testing.assert_array_equal(part.frames, track.frames)
        np.testing.assert_array_equal(part.points_px, track.points_px)
        np.testing.assert_allclose(part.times_s, track.times_s)
        assert (part.source, part.fps, part.image_size) == (track.source, track.fps, track.image_size)
    assert parts.camera.motion().moves is whole.camera.motion().moves is False


class Slow(TwoPeople):
    """Finds its way to the people in two seconds, not in the one that pieces have before they count."""

    def detect(self, frames: Iterable[VideoFrame], info: VideoInfo) -> list[Pose2D]:
        tracks = super().detect(frames, info)
        begin = min(track.frames[0] for track in tracks)
        return [
            replace(track, points_px=track.points_px + 40 * 0.93 ** (track.frames - begin)[:, None, None])
            for track in tracks
        ]


def test_a_cut_is_detected_again_until_both_sides_agree(
    in_this_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repose.detectors, "_factories", {"mediapipe": Slow})
    video = open_video(sample_video())
    whole, parts = (detect(video, Detection(), workers=workers) for workers in (1, 2))
    for part, track in zip(parts.tracks, whole.tracks, strict=True):
        np.testing.assert_array_equal(part.frames, track.frames)
        assert np.abs(part.points_px - track.points_px).max() < 1


def test_frames_between_those_looked_at_are_inferred(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repose.detectors, "_factories", {"truth": TwoPeople})
    every, third = (
        repose.estimate(sample_video(), detector="truth", detect_fps=fps)[0] for fps in (None, 10.0)
    )
    np.testing.assert_array_equal(third.frames, np.arange(286))
    assert third.seen[::3].all()
    assert not third.seen[1::3].any()
    assert not third.seen[2::3].any()
    assert third.record["detected_every"] == 3
    apart_mm = 1000 * np.linalg.norm(third.root_relative_m() - every.root_relative_m()[:286], axis=-1)
    assert apart_mm.mean() < 10


def test_the_join_is_the_whole_within_5_mm(in_this_process: None) -> None:
    """Of four pieces three begin behind the counter, one second before they count."""
    pytest.importorskip("mediapipe", reason="needs MediaPipe")
    (parts,) = repose.estimate(sample_video(), workers=2)
    (whole,) = repose.estimate(sample_video(), workers=1)
    np.testing.assert_array_equal(parts.frames, whole.frames)
    apart_mm = 1000 * np.linalg.norm(parts.joints_m - whole.joints_m, axis=-1).mean(axis=1)
    assert apart_mm.max() < 5
