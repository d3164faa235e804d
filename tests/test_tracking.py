"""Who is who: people keep their identity through crossing orders, gaps, lost limbs and exchanged sides."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.skeleton import SKELETONS
from repose.tracking import MAX_AGE_FRAMES, Tracker, track

COCO = SKELETONS["coco-17"]
BODY = np.random.default_rng(3).uniform([0, 0], [120, 400], (17, 2))
SURE = np.full((1, 17), 0.8)


def at(x: float, y: float = 0) -> np.ndarray:
    """The body at another place."""
    return BODY + np.array([x, y])


def follow(*steps: tuple[int, float]) -> list[int]:
    """Ids of one body seen in these frames at these places."""
    tracker = Tracker()
    return [tracker.update(frame, at(x)[None], SURE)[0] for frame, x in steps]


def test_a_gap_and_a_long_absence() -> None:
    assert follow((0, 0), (1, 10), (20, 100)) == [0, 0, 0]
    assert follow((0, 0), (MAX_AGE_FRAMES, 10)) == [0, 0]
    assert follow((0, 0), (MAX_AGE_FRAMES + 1, 10)) == [0, 1]


def test_a_jump_is_somebody_else_and_may_be_wider_after_a_gap() -> None:
    assert follow((0, 0), (1, 150)) == [0, 1]
    assert follow((0, 0), (11, 150)) == [0, 0]


@given(order=st.lists(st.permutations([0, 1, 2]), min_size=2, max_size=20))
def test_order_in_the_file_does_not_matter(order: list[list[int]]) -> None:
    tracker = Tracker()
    first: dict[int, int] = {}
    for frame, people in enumerate(order):
        points = np.stack([at(260 * who + 4 * frame, 3 * frame) for who in people])
        for who, found in zip(people, tracker.update(frame, points, np.repeat(SURE, 3, axis=0)), strict=True):
            assert first.setdefault(who, found) == found
    assert sorted(first.values()) == [0, 1, 2]


def test_lost_limbs_and_exchanged_sides_are_the_same_person() -> None:
    tracker = Tracker()
    tracker.update(0, BODY[None], SURE)
    half = SURE.copy()
    half[:, COCO.side("left")] = 0
    assert tracker.update(1, np.where(half[..., None] > 0, BODY, 0.0), half) == [0]
    assert tracker.update(2, BODY[None], SURE) == [0]
    swapped = BODY.copy()
    legs = COCO.indices("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle")
    swapped[legs] = BODY[[COCO.mirror[i] for i in legs]]
    assert tracker.update(3, swapped[None], SURE) == [0]


def test_few_joints_in_common_go_by_the_boxes() -> None:
    tracker = Tracker()
    upper, lower = SURE.copy(), SURE.copy()
    upper[:, COCO.indices("left_ankle", "right_ankle")] = 0
    lower[upper > 0] = 0
    tracker.update(0, BODY[None], upper)
    assert tracker.update(1, at(2000)[None], lower) == [1]


def test_the_closest_pair_is_joined_first() -> None:
    tracker = Tracker()
    tracker.update(0, np.stack([BODY, at(60)]), np.repeat(SURE, 2, axis=0))
    points = np.stack([at(50), at(80)])
    assert tracker.update(1, points, np.repeat(SURE, 2, axis=0)) == [1, 0]


def test_empty_frames_and_empty_detections() -> None:
    tracker = Tracker()
    nobody = np.zeros((0, 17, 2)), np.zeros((0, 17))
    assert tracker.update(0, *nobody) == []
    assert tracker.update(1, BODY[None], np.zeros((1, 17))) == [0]
    assert tracker.update(2, BODY[None], np.zeros((1, 17))) == [1]


@pytest.mark.parametrize("shuffled", [False, True])
def test_track_reads_a_whole_file_in_any_order(shuffled: bool) -> None:
    frames = np.repeat(np.arange(12), 2)
    people = np.tile([0, 1], 12)
    points = np.stack([at(300 * who + 3 * f) for f, who in zip(frames, people, strict=True)])
    order = np.random.default_rng(1).permutation(24) if shuffled else np.arange(24)
    ids = track(frames[order], points[order], np.full((24, 17), 0.5))
    assert len(np.unique(ids)) == 2
    for who in (0, 1):
        assert len(np.unique(ids[people[order] == who])) == 1


def test_one_person_a_frame_is_one_person() -> None:
    points = np.stack([BODY, at(2000), BODY])
    assert track(np.array([0, 1, 500]), points, np.full((3, 17), 0.5)).tolist() == [0, 0, 0]
