"""Turns are found from points of a far background, against things that move, and unknown lenses."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from repose.geometry.camera import Camera
from repose.geometry.camera_turn import CameraTurn, find_fov, find_turn
from repose.geometry.rotation import euler_to_matrix, matrix_to_axis_angle, unit

SIZE = (640, 360)
CAMERA = Camera.from_intrinsics((500, 510, 330, 175), (-0.1, 0.05, 0.002, -0.001, 0))
FRAMES = 60
NOTHING = np.zeros((0, 2))


@dataclass(frozen=True)
class Seen:
    key: int
    frame: int
    key_px: np.ndarray
    points_px: np.ndarray


def turns(yaw_deg: float, pitch_deg: float = 5, roll_deg: float = 3) -> np.ndarray:
    """Pan to one side, tilt and roll there and back."""
    share = np.linspace(0, 1, FRAMES)[:, None]
    angles = np.concatenate(
        [roll_deg * np.sin(3 * share), pitch_deg * np.sin(4 * share), yaw_deg * share], axis=1
    )
    return euler_to_matrix(np.radians(angles), "ZXY")


def matches(
    R_view_cam: np.ndarray, *, camera: Camera = CAMERA, moving: float = 0.2, zoom: float = 0, every: int = 15
) -> list[Seen]:
    """What is followed of points all around; a share of each frame's `moving` with something else."""
    rng = np.random.default_rng(3)
    world = unit(rng.normal(size=(6000, 3)))

    def visible(frame: int, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        view = points @ R_view_cam[frame].T
        ahead = view[:, 2] > 0.2
        places = camera.project(np.where(ahead[:, None], view, [0.0, 0, 1])) - camera.K[:2, 2]
        places = places * (1 + zoom * frame / FRAMES) + camera.K[:2, 2]
        return places, ahead & (places > 0).all(axis=1) & (places < SIZE).all(axis=1)

    found, key = [], 0
    for frame in range(len(R_view_cam)):
        one, in_one = visible(key, world)
        other, in_other = visible(frame, world)
        both = np.flatnonzero(in_one & in_other)[:150]
        noise = rng.normal(0, 0.1, (len(both), 2))
        ways = np.random.default_rng(key).normal(0, 1.5, (150, 2))[: int(moving * len(both))]
        noise[: len(ways)] += ways * (frame - key)
        found.append(Seen(key, frame, one[both], other[both] + (noise if frame > key else 0)))
        key = frame if frame % every == every - 1 else key
    return found


def error_deg(found: CameraTurn | str, truth: np.ndarray) -> float:
    assert isinstance(found, CameraTurn), found
    off = found.at(np.arange(len(truth))) @ (truth @ truth[0].T).swapaxes(-1, -2)
    return float(np.degrees(np.linalg.norm(matrix_to_axis_angle(off), axis=-1).max()))


@pytest.mark.parametrize("yaw_deg", [40.0, -160.0], ids=["pan", "half a circle"])
def test_pan_tilt_and_roll_are_found_among_moving_things(yaw_deg: float) -> None:
    truth = turns(yaw_deg)
    found = find_turn(matches(truth), CAMERA, FRAMES - 1)
    assert error_deg(found, truth) < 0.1
    assert isinstance(found, CameraTurn)
    assert found.largest_deg == pytest.approx(abs(yaw_deg), abs=3)
    assert found.carried == pytest.approx(0.2, abs=0.05)


def test_frames_that_were_lost_lie_between_the_others() -> None:
    truth = turns(30)
    seen = matches(truth)
    for frame in (5, 6, 21):
        seen[frame] = replace(seen[frame], key_px=np.zeros((0, 2)), points_px=np.zeros((0, 2)))
    assert error_deg(find_turn(seen, CAMERA, FRAMES - 1), truth) < 0.15


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (matches(turns(20))[:30], "the background is lost after frame 29 (a cut, blur, or people"),
        (matches(turns(10, 0, 0), zoom=0.1, every=5), "it zooms (by frame"),
        (matches(turns(20), moving=0.8), "the background does not move as one by frame 14"),
        ([Seen(0, 0, NOTHING, NOTHING), Seen(0, 1, NOTHING, NOTHING)], "nothing to hold on to"),
    ],
    ids=["cut", "zoom", "crowd", "plain"],
)
def test_what_is_not_followed_is_said(seen: list[Seen], words: str) -> None:
    found = find_turn(seen, CAMERA, FRAMES - 1)
    assert isinstance(found, str)
    assert words in found


@pytest.mark.parametrize("fov_deg", [45.0, 65.0, 90.0])
def test_a_turn_shows_the_lens(fov_deg: float) -> None:
    camera = Camera.assumed(SIZE, fov_deg)
    found = find_fov(matches(turns(50), camera=camera), SIZE)
    assert found == pytest.approx(fov_deg, abs=2)


def test_a_small_turn_does_not_show_the_lens() -> None:
    assert find_fov(matches(turns(2, 1, 1), camera=Camera.assumed(SIZE)), SIZE) is None
