"""Pieces of a video are the video."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from repose.sample import sample_video
from repose.video import Video, open_video
from repose.video.pieces import cut


def test_pieces_have_the_frames_of_the_whole() -> None:
    video = open_video(sample_video())
    whole = {frame.index: frame for frame in video}
    pieces = cut(video, 5, 0.5)
    edges = [0, 57, 115, 172, 230, 288]
    assert [(piece.first, piece.stop) for piece in pieces] == list(pairwise(edges))
    assert [piece.first - piece.begin for piece in pieces] == [0, 15, 15, 15, 15]
    for piece in pieces[1::2]:
        frames = list(piece.frames(video))
        assert [frame.index for frame in frames] == list(range(piece.begin, piece.stop))
        for frame in frames[::20]:
            assert frame.time_s == pytest.approx(whole[frame.index].time_s)
            np.testing.assert_array_equal(frame.rgb, whole[frame.index].rgb)
        assert (piece.lost, piece.damaged) == ([], [])


def test_a_lost_frame_keeps_its_number(tmp_path: Path) -> None:
    """Bytes of the middle are damaged: whole and pieces lose and number the same."""
    data = bytearray(sample_video().read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + 3000, 7):
        data[at] ^= 255
    (tmp_path / "damaged.mp4").write_bytes(data)
    video = open_video(tmp_path / "damaged.mp4")
    whole = [frame.index for frame in video]
    found, lost, damaged = [], [], []
    for piece in cut(video, 3, 1.0):
        found += [frame.index for frame in piece.frames(video) if frame.index >= piece.first]
        lost += piece.lost
        damaged += piece.damaged
    assert found == whole
    assert lost == video.lost
    assert damaged == video.damaged
    assert lost


def test_a_video_that_its_times_do_not_number_is_not_cut() -> None:
    video = open_video(sample_video())
    declared = replace(video.info, frames=289)
    assert cut(Video(video.path, declared), 5, 0.5) == []
    assert len(cut(Video(video.path, replace(video.info, frames=None)), 5, 0.5)) == 5
