"""Ghosts, prominence and choice, on tracks of an asymmetric person."""

from dataclasses import replace

import numpy as np
import pytest

from repose.errors import UserError
from repose.pose import Pose2D, Pose3D
from repose.skeleton import SKELETONS
from repose.tracking.people import (
    by_prominence,
    choose,
    doubt_upper_body,
    drop_ghosts,
    leave_out_flips,
    number_by_prominence,
    parse_person,
    prominence,
)

COCO = SKELETONS["coco-17"]
FIGURE = np.array(
    [
        [60, 20], [66, 14], [54, 15], [74, 18], [47, 21], [90, 60], [30, 66], [110, 110], [20, 120],
        [121, 160], [8, 165], [78, 180], [44, 182], [82, 260], [40, 255], [86, 340], [31, 338],
    ],
    dtype=np.float32,
)  # fmt: skip
"""130 px wide, 330 px tall; the left side sticks out more than the right."""


def person(
    track_id: int, x_px: float = 0, frames: int = 60, first: int = 0, size: float = 1, fps: float = 30.0
) -> Pose2D:
    points = np.repeat(FIGURE[None] * size + [x_px, 100], frames, axis=0)
    confidence = np.full((frames, 17), 0.9)
    return Pose2D(points, confidence, first + np.arange(frames), fps, (1280, 720), COCO, track_id)


def test_the_largest_for_longest_is_the_main_person() -> None:
    near, far, brief = person(3, size=1.5), person(1, x_px=600, size=0.5), person(2, frames=8, size=1.6)
    assert [track.track_id for track in by_prominence([far, brief, near])] == [3, 1, 2]
    hidden = replace(near, confidence=np.where(np.arange(17) < 5, 0.9, 0.1) * np.ones((60, 1)))
    assert prominence(hidden) < prominence(far)
    assert [(t.track_id, len(t)) for t in number_by_prominence([far, brief, near])] == [
        (0, 60),
        (1, 60),
        (2, 8),
    ]


@pytest.mark.parametrize("fps", [30.0, 60.0, 120.0])
def test_prominence_is_counted_in_seconds(fps: float) -> None:
    assert prominence(person(0, frames=round(2 * fps), fps=fps)) == pytest.approx(prominence(person(0)))


def test_choosing() -> None:
    tracks = [person(4, x_px=50, size=0.8), person(6, x_px=560), person(9, x_px=1000, size=1.4, first=10)]
    assert [choose(tracks, p).track_id for p in ("largest", "central", 6, "9", " 60,100 ", "1100,300")] == [
        9, 6, 6, 9, 4, 9,
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"no person 5: there are 4, 6, 9"):
        choose(tracks, 5)
    with pytest.raises(UserError, match=r"no person 5: the only person is 4"):
        choose(tracks[:1], 5)
    with pytest.raises(UserError, match="no person largest: there is nobody"):
        choose([], "largest")
    with pytest.raises(UserError, match=r"nobody at 400,700 in the first frame: found person 4 at 1\d\d,2"):
        choose(tracks, "400,700")


def test_a_point_means_the_first_frame() -> None:
    """Somebody who stands there later does not count, and of two people there the nearer joint does."""
    early, late = person(0, x_px=0), person(1, x_px=500, first=200)
    with pytest.raises(UserError, match="nobody at 560,200"):
        choose([early, late], "560,200")
    left, right = person(0, x_px=0), person(1, x_px=60)
    assert choose([left, right], "20,220").track_id == 0
    assert choose([left, right], "181,262").track_id == 1


@pytest.mark.parametrize("words", ["biggest", "1,2,3", "1.5", "", "1,x", "nan,1"])
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(UserError, match=r"--person: expected largest, central, the id"):
        parse_person(words)


def test_choosing_from_a_result() -> None:
    poses = [
        Pose3D(
            np.zeros((60, 17, 3)),
            track.confidence > 0.3,
            track.frames,
            30.0,
            COCO,
            track.track_id,
            points_px=track.points_px,
            image_size=(1280, 720),
        )
        for track in (person(4, x_px=50, size=0.8), person(6, x_px=560))
    ]
    assert [choose(poses, p).track_id for p in ("largest", "central", "60,100", 4)] == [6, 6, 4, 4]
    assert by_prominence(poses)[0].track_id == 6


@pytest.mark.parametrize(("fps", "brief"), [(10.0, 1), (30.0, 1), (30.0, 3), (120.0, 12)])
def test_moments_are_no_people(fps: float, brief: int) -> None:
    tracks = [person(0, frames=round(2 * fps), fps=fps), person(1, x_px=700, frames=brief, first=7, fps=fps)]
    kept, (ghost,) = drop_ghosts(tracks)
    assert kept == tracks[:1]
    reason = "a single frame" if brief == 1 else f"{brief} frames only"
    assert str(ghost) == f"1 (frames 7–{6 + brief}: {reason})"


def test_a_short_clip_keeps_its_people() -> None:
    for frames in (1, 2, 4):
        tracks = [person(0, frames=frames), person(1, x_px=700, frames=1)]
        assert drop_ghosts(tracks) == (tracks, [])
    assert drop_ghosts([]) == ([], [])


def test_a_third_of_the_limbs_is_nobody_beside_a_whole_person() -> None:
    main, arm, legs = person(0), person(1, x_px=400), person(2, x_px=700)
    arm = replace(
        arm, confidence=np.where(np.isin(np.arange(17), [5, 7, 9, 11]), 0.9, 0.1) * np.ones((60, 1))
    )
    legs = replace(legs, confidence=np.where(np.arange(17) >= 11, 0.9, 0) * np.ones((60, 1)))
    kept, (ghost,) = drop_ghosts([main, arm, legs])
    assert kept == [main, legs], "legs alone are half of the limbs"
    assert ghost.reason == "33% of the joints of arms and legs"
    assert drop_ghosts([arm]) == ([arm], []), "the only one there is"


@pytest.mark.parametrize(("fps", "first", "last"), [(30.0, 20, 20), (30.0, 20, 25), (120.0, 5, 30)])
def test_upside_down_between_two_good_frames_is_left_out(fps: float, first: int, last: int) -> None:
    track = person(0, frames=60, fps=fps)
    points = track.points_px.copy()
    points[first : last + 1] = points[first : last + 1] * [1, -1] + [0, 500]
    clean = leave_out_flips(replace(track, points_px=points))
    assert clean.record == {"upside_down_left_out": [[first, last]]}
    assert clean.frames.tolist() == [f for f in range(60) if not first <= f <= last]
    np.testing.assert_array_equal(clean.points_px, np.delete(track.points_px, range(first, last + 1), axis=0))


def test_who_turns_over_by_themselves_stays() -> None:
    """A somersault of half a second, a handstand of two seconds that the detector sees from one frame on."""
    track = person(0, frames=90)
    centre = np.array([60, 280])
    turn = np.clip((np.arange(90) - 30) / 15, 0, 1) * 2 * np.pi
    rotation = np.stack([np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)], axis=-1).reshape(-1, 2, 2)
    somersault = (track.points_px - centre) @ rotation + centre
    upside = track.points_px.copy()
    upside[30:] = upside[30:] * [1, -1] + [0, 500]
    for points in (track.points_px, somersault, upside):
        moving = replace(track, points_px=points)
        assert leave_out_flips(moving) is moving


def test_two_flips_with_little_between_them() -> None:
    track = person(0)
    points = track.points_px.copy()
    for frame in (20, 21, 24, 26):
        points[frame] = points[frame] * [1, -1] + [0, 500]
    assert leave_out_flips(replace(track, points_px=points)).record["upside_down_left_out"] == [
        [20, 21],
        [24, 24],
        [26, 26],
    ]


def test_legs_alone_do_not_become_a_whole_body() -> None:
    """The trunk is squeezed between the hips and the upper edge of the picture, and the detector is sure."""
    track = person(0)
    legs = track.skeleton.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")))
    upper = np.setdiff1d(np.arange(17), legs)
    points = track.points_px - [0, 220]  # hips at y = 60, legs of some 160
    points[:, upper, 1] = 20 + 0.2 * (points[:, upper, 1] + 100)
    squeezed = replace(track, points_px=points)
    doubted = doubt_upper_body(squeezed)
    assert (doubted.confidence[:, upper] == 0).all()
    np.testing.assert_array_equal(doubted.confidence[:, legs], track.confidence[:, legs])
    assert doubted.record == {"no_room_for_upper_body": 60}
    assert doubt_upper_body(track) is track, "there is room for a whole body"
    unknown = replace(squeezed, assumed=("image_size",))
    assert doubt_upper_body(unknown) is unknown
    handstand = replace(track, points_px=track.points_px * [1, -1] + [0, 450])
    assert doubt_upper_body(handstand) is handstand
