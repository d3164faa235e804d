"""Identities on asymmetric people: crossings, entries, exits, gaps, duplicates, at several frame rates."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.skeleton import SKELETONS
from repose.tracking.tracker import AWAY_S, NOBODY, Tracker, changes_of_id, settle_identities, track

COCO = SKELETONS["coco-17"]
RATES = pytest.mark.parametrize("fps", [10.0, 30.0, 60.0, 120.0])


def body(seed: int) -> np.ndarray:
    """An asymmetric person some 400 px tall and 120 wide."""
    rng = np.random.default_rng(seed)
    places = np.linspace(0, 400, 17)
    return np.stack([rng.uniform(0, 120, 17), places + rng.uniform(-20, 20, 17)], axis=-1)


BODY = body(3)
SURE = np.full((1, 17), 0.8)


def at(x: float, y: float = 0) -> np.ndarray:
    """The body at another place."""
    return BODY + np.array([x, y])


def follow(*steps: tuple[float, float]) -> list[int]:
    """Ids of one body seen at these times at these places."""
    tracker = Tracker(COCO.mirror)
    return [tracker.update(time_s, at(x)[None], SURE)[0] for time_s, x in steps]


@RATES
def test_a_gap_and_a_long_absence_are_told_in_seconds(fps: float) -> None:
    away = round(AWAY_S * fps)
    assert follow((0, 0), (1 / fps, 0), (0.9, 10)) == [0, 0, 0]
    assert follow((0, 0), (away / fps, 10)) == [0, 0]
    assert follow((0, 0), ((away + 1) / fps, 10)) == [0, 1]
    frames = np.array([0, 1, 2, 2 + away, 3 + away, 4 + 2 * away])
    ids = track(frames, np.stack([at(0)] * 6), np.repeat(SURE, 6, axis=0), fps, COCO.mirror)
    assert ids.tolist() == [0, 0, 0, 0, 0, 1]


def test_a_jump_is_somebody_else_and_may_be_wider_after_a_gap() -> None:
    assert follow((0, 0), (1 / 30, 150)) == [0, 1]
    assert follow((0, 0), (11 / 30, 150)) == [0, 0]


@RATES
@pytest.mark.parametrize("gap_s", [0.0, 0.5, 3.0])
def test_two_people_one_after_the_other_and_metres_apart(fps: float, gap_s: float) -> None:
    """The second stands 900 px off: with a body of 400 px for 1.7 m, some 4 m."""
    count, gap = round(fps), round(gap_s * fps)
    frames = np.concatenate([np.arange(count), np.arange(count) + count + gap])
    points = np.concatenate([np.stack([at(0)] * count), np.stack([body(5) + np.array([900, 0])] * count)])
    ids = track(frames, points, np.full((2 * count, 17), 0.9), fps, COCO.mirror)
    assert ids.tolist() == [0] * count + [1] * count


@RATES
@pytest.mark.parametrize("lost_s", [0.0, 0.3])
@pytest.mark.parametrize("speeds_px_s", [(250, -200), (400, 40), (-60, -380)])
def test_people_who_cross_keep_their_identity(
    fps: float, lost_s: float, speeds_px_s: tuple[float, float]
) -> None:
    """They meet after a second and a half; the one behind may be lost meanwhile."""
    rng = np.random.default_rng(0)
    tracker = Tracker(COCO.mirror)
    owners: dict[int, set[int]] = {0: set(), 1: set()}
    for frame in range(round(3 * fps)):
        off_s = frame / fps - 1.5
        who = [0] if abs(off_s) < lost_s else [0, 1]
        people = [body(3 + one) + np.array([1000 + speeds_px_s[one] * off_s, 15 * one]) for one in who]
        order = rng.permutation(len(who))
        points = np.stack(people)[order] + rng.normal(size=(len(who), 17, 2)) * 3
        ids = tracker.update(frame / fps, points, np.repeat(SURE, len(who), axis=0))
        for found, one in zip(ids, np.array(who)[order], strict=True):
            owners[int(one)].add(found)
    assert len(owners[0]) == len(owners[1]) == 1
    assert owners[0] != owners[1]


@RATES
def test_entries_and_exits_leave_the_others_alone(fps: float) -> None:
    """One walks all the time; a second enters after a second, a third leaves before the second comes."""
    tracker = Tracker(COCO.mirror)
    owners: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    for frame in range(round(3 * fps)):
        t = frame / fps
        there = [0] + ([1] if t > 1.2 else []) + ([2] if t < 0.9 else [])
        places = {0: 300 + 150 * t, 1: 1500 - 200 * t, 2: 900 - 200 * t}
        points = np.stack([body(one) + np.array([places[one], 0]) for one in there[::-1]])
        ids = tracker.update(t, points, np.repeat(SURE, len(there), axis=0))
        for found, one in zip(ids, there[::-1], strict=True):
            owners[one].add(found)
    assert [len(ids) for ids in owners.values()] == [1, 1, 1]
    assert len(set.union(*owners.values())) == 3


@RATES
def test_a_second_detection_of_somebody_never_cuts_the_track(fps: float) -> None:
    """Beside the full one, before or behind it in the list, with less or with more confidence."""
    rng = np.random.default_rng(1)
    tracker = Tracker(COCO.mirror)
    for frame in range(round(2 * fps)):
        points, confidence = at(120 * frame / fps)[None], np.full((1, 17), 0.8)
        expected = [0]
        if frame % 5 == 0:
            second = points[0] + rng.normal(size=(17, 2)) * 4
            score, half = [(0.5, 17), (0.95, 9), (0.9, 17), (0.3, 5)][frame // 5 % 4]
            sure = np.where(np.arange(17) < half, score, 0)
            first = bool(frame % 2)
            order = [1, 0] if first else [0, 1]
            points = np.stack([points[0], second])[order]
            confidence = np.stack([confidence[0], sure])[order]
            best = int(confidence.sum(axis=1).argmax())
            expected = [0 if i == best else NOBODY for i in range(2)]
        assert tracker.update(frame / fps, points, confidence) == expected


def test_a_body_that_the_detector_takes_apart_is_one_person() -> None:
    """OpenPose gives upper and lower body as two people now and then: they share no joint."""
    tracker = Tracker(COCO.mirror)
    upper = np.where(np.arange(17) < 11, 0.9, 0.0)
    for frame in range(3):
        assert tracker.update(frame / 30, BODY[None], SURE) == [0]
    assert tracker.update(3 / 30, np.stack([BODY, BODY]), np.stack([upper, 0.9 - upper])) == [0, NOBODY]
    assert tracker.update(4 / 30, BODY[None], SURE) == [0]


def test_two_detections_in_the_first_frame_are_one_person() -> None:
    points, sure = np.stack([BODY, BODY + 3]), np.stack([SURE[0] / 2, SURE[0]])
    assert Tracker(COCO.mirror).update(0, points, sure) == [NOBODY, 0]


@given(order=st.lists(st.permutations([0, 1, 2]), min_size=2, max_size=20))
def test_order_in_the_file_does_not_matter(order: list[list[int]]) -> None:
    tracker = Tracker(COCO.mirror)
    first: dict[int, int] = {}
    for frame, people in enumerate(order):
        points = np.stack([at(260 * who + 4 * frame, 3 * frame) for who in people])
        ids = tracker.update(frame / 30, points, np.repeat(SURE, 3, axis=0))
        for who, found in zip(people, ids, strict=True):
            assert first.setdefault(who, found) == found
    assert sorted(first.values()) == [0, 1, 2]


def test_lost_limbs_and_exchanged_sides_are_the_same_person() -> None:
    tracker = Tracker(COCO.mirror)
    tracker.update(0, BODY[None], SURE)
    half = SURE.copy()
    half[:, COCO.side("left")] = 0
    assert tracker.update(1 / 30, np.where(half[..., None] > 0, BODY, 0.0), half) == [0]
    assert tracker.update(2 / 30, BODY[None], SURE) == [0]
    legs = COCO.indices("left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle")
    for time_s, joints in ((3 / 30, legs), (4 / 30, list(range(17)))):
        swapped = BODY * [3, 1]
        swapped[joints] = swapped[[COCO.mirror[i] for i in joints]]
        assert tracker.update(time_s, swapped[None] / [3, 1], SURE) == [0]


def test_few_joints_in_common_go_by_the_boxes() -> None:
    tracker = Tracker(COCO.mirror)
    upper, lower = SURE.copy(), SURE.copy()
    upper[:, COCO.indices("left_ankle", "right_ankle")] = 0
    lower[upper > 0] = 0
    tracker.update(0, BODY[None], upper)
    assert tracker.update(1 / 30, at(2000)[None], lower) == [1]


def test_empty_frames_and_empty_detections() -> None:
    tracker = Tracker(COCO.mirror)
    nobody = np.zeros((0, 17, 2)), np.zeros((0, 17))
    assert tracker.update(0, *nobody) == []
    assert tracker.update(1 / 30, BODY[None], np.zeros((1, 17))) == [NOBODY]
    assert tracker.update(2 / 30, BODY[None], SURE) == [0]


@pytest.mark.parametrize("shuffled", [False, True])
def test_track_reads_a_whole_file_in_any_order(shuffled: bool) -> None:
    frames = np.repeat(np.arange(12), 2)
    people = np.tile([0, 1], 12)
    points = np.stack([at(300 * who + 3 * f) for f, who in zip(frames, people, strict=True)])
    order = np.random.default_rng(1).permutation(24) if shuffled else np.arange(24)
    ids = track(frames[order], points[order], np.full((24, 17), 0.5), 30.0, COCO.mirror)
    assert len(np.unique(ids)) == 2
    for who in (0, 1):
        assert len(np.unique(ids[people[order] == who])) == 1


def test_a_file_of_every_hundredth_frame_is_not_a_file_of_strangers() -> None:
    ids = track(np.arange(0, 900, 100), np.stack([BODY] * 9), np.full((9, 17), 0.5), 30.0, COCO.mirror)
    assert ids.tolist() == [0] * 9


def crossing(frames: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Frames, true ids, points and confidence of two people who walk through each other."""
    numbers, who = np.repeat(np.arange(frames), 2), np.tile([4, 7], frames)
    points = np.stack(
        [
            body(one) + np.array([600 + (1 if one == 4 else -1) * 12 * (f - 30), 0])
            for f, one in zip(numbers, who, strict=True)
        ]
    )
    return numbers, who, points, np.full(points.shape[:2], 0.9)


def test_right_ids_of_people_who_cross_raise_no_word() -> None:
    frames, who, points, confidence = crossing()
    ids, record = settle_identities(frames, who, points, confidence, 30.0, COCO.mirror)
    assert (ids == who).all()
    assert record == {"identities": "file"}
    wrong = np.where(frames >= 30, 0, 1) * np.where(who == 4, 1, -1)  # a tracker that is wrong at the meeting
    assert changes_of_id(frames, who, wrong, points, confidence, 30.0, COCO.mirror) == []


def test_ids_that_exchange_are_noticed_and_kept() -> None:
    frames, who, points, confidence = crossing()
    given = np.where(frames >= 10, 11 - who, who)
    ids, record = settle_identities(frames, given, points, confidence, 30.0, COCO.mirror)
    assert (ids == given).all()
    assert record == {"identities": "file", "ids_change": [[10, 4, 7], [10, 7, 4]]}
    anew, record = settle_identities(frames, None, points, confidence, 30.0, COCO.mirror)
    assert record == {"identities": "tracked"}
    assert len(np.unique(anew[who == 4])) == len(np.unique(anew[who == 7])) == 1


def test_a_person_who_becomes_another_number_is_noticed() -> None:
    frames, who, points, confidence = crossing()
    given = np.where((who == 4) & (frames >= 10), 9, who)
    assert settle_identities(frames, given, points, confidence, 30.0, COCO.mirror)[1]["ids_change"] == [
        [10, 4, 9]
    ]


def test_ids_that_count_detections_are_not_used() -> None:
    frames, _, points, confidence = crossing()
    ids, record = settle_identities(frames, np.arange(len(frames)), points, confidence, 30.0, COCO.mirror)
    assert record == {"identities": "tracked, because the file's change from frame to frame"}
    assert len(np.unique(ids)) == 2


def test_of_one_id_twice_in_a_frame_the_surer_counts() -> None:
    frames, who, points, confidence = crossing(12)
    frames, who = np.append(frames, [5, 6]), np.append(who, [7, 7])
    points = np.concatenate([points, points[:1] + 300, points[:1] - 200])
    confidence = np.concatenate([confidence, np.full((1, 17), 0.95), np.full((1, 17), 0.2)])
    ids, record = settle_identities(frames, who, points, confidence, 30.0, COCO.mirror)
    assert record["second_detections_left_out"] == 2
    assert np.flatnonzero(ids == NOBODY).tolist() == [11, 25]
    assert ids[24] == 7
