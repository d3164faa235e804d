from collections.abc import Callable, Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import ndimage

from repose.cli.refine import refine_notes
from repose.errors import UserError
from repose.export.notes import camera_note, notes
from repose.sample import load_sample_truth, sample_video
from repose.video import CameraMotion, CameraWatch, VideoFrame, open_video
from repose.video.camera_motion import Box
from repose.viewer.scene import make_scene

WIDTH, HEIGHT, FPS, SECONDS = 320, 256, 15, 2.4


def texture(seed: int, height: int = 480, width: int = 700) -> np.ndarray:
    """Grey spots of several sizes."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    return np.clip(128 + sum(60 * size * ndimage.gaussian_filter(noise, size) for size in (2, 5, 12)), 0, 255)


BACKGROUND, CLOTHES = texture(0), texture(1)


def still(time_s: float) -> tuple[float, float]:
    return 0, 0


def film(
    place: Callable[[float], tuple[float, float]] = still,
    *,
    background: np.ndarray = BACKGROUND,
    zoom_per_s: float = 0,
    turn_deg_s: float = 0,
    noise: float = 3,
    flicker: float = 0,
    person_px: int = 60,
    followed: bool = False,
) -> CameraMotion:
    """What is found where the camera's picture slides to `place` (x, y), with somebody before it."""
    random, boxes, watch = np.random.default_rng(2), dict[int, list[Box]](), CameraWatch()

    def frames() -> Iterator[VideoFrame]:
        for number in range(round(SECONDS * FPS)):
            time_s = number / FPS
            x, y = place(time_s)
            turn = np.exp(-zoom_per_s * time_s + 1j * np.deg2rad(turn_deg_s * time_s))
            matrix = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
            start = np.array([240 + y, 350 + x]) - matrix @ (HEIGHT / 2, WIDTH / 2)
            picture = ndimage.affine_transform(background, matrix, start, (HEIGHT, WIDTH), order=1)
            left = (WIDTH - person_px) // 2
            left += 0 if followed else round(min(100, left) * np.sin(1.3 * time_s))
            picture[30:230, left : left + person_px] = CLOTHES[:200, :person_px]
            boxes[number] = [(left, 30, left + person_px, 230)]
            picture = picture * (1 + flicker * np.sin(37 * time_s)) + random.normal(0, noise, picture.shape)
            grey = np.clip(picture, 0, 255).astype(np.uint8)
            yield VideoFrame(number, time_s, np.repeat(grey[..., None], 3, axis=2))

    for _ in watch.watch(frames()):
        pass
    return watch.motion(boxes)


@pytest.mark.parametrize(
    ("place", "px_per_s"),
    [
        (lambda t: (60 * t, 0), 60),
        (lambda t: (-10 * t, 0), 10),
        (lambda t: (0, 20 * t), 20),
        (lambda t: (200 * t - 200, 0), 200),
    ],
    ids=["pan", "slow pan", "tilt", "quick pan"],
)
def test_a_camera_that_turns_is_noticed(
    place: Callable[[float], tuple[float, float]], px_per_s: float
) -> None:
    found = film(place)
    assert found.moves
    assert found.px_per_s == pytest.approx(px_per_s, rel=0.15)


def test_a_hand_that_shakes_is_noticed() -> None:
    assert film(lambda t: (3 * np.sin(9 * t), 3 * np.sin(13 * t + 1))).moves


def test_zoom_and_roll_are_noticed() -> None:
    assert film(zoom_per_s=0.08).moves
    assert film(turn_deg_s=5).moves


def test_a_camera_that_follows_somebody_is_noticed() -> None:
    assert film(lambda t: (40 * t, 0), followed=True, person_px=100).moves


def test_when_it_moves_is_said() -> None:
    found = film(lambda t: (40 * max(0.0, t - 1.2), 0))
    assert found.moves
    assert found.first_frame == pytest.approx(1.2 * FPS, abs=4)
    assert found.last_frame == pytest.approx(SECONDS * FPS, abs=4)


@pytest.mark.parametrize("disturbance", [{}, {"noise": 12}, {"flicker": 0.3}, {"noise": 0}], ids=str)
def test_a_camera_that_stands_still_is_not_said_to_move(disturbance: dict[str, float]) -> None:
    assert film(**disturbance) == CameraMotion(moves=False)


def test_people_close_up_are_not_the_background() -> None:
    assert film(person_px=200).moves is not True
    assert film(person_px=300).moves is None


def test_a_plain_background_cannot_tell() -> None:
    plain = np.full_like(BACKGROUND, 120)
    assert film(background=plain) == CameraMotion(moves=None)
    assert film(lambda t: (60 * t, 0), background=plain) == CameraMotion(moves=None)


def test_the_sample_is_still() -> None:
    watch = CameraWatch()
    for _ in watch.watch(open_video(sample_video())):
        pass
    assert watch.motion() == CameraMotion(moves=False)


def test_a_video_of_one_frame_cannot_tell() -> None:
    watch = CameraWatch()
    list(watch.watch([VideoFrame(0, 0.0, np.zeros((20, 30, 3), np.uint8))]))
    assert watch.motion() == CameraMotion(moves=None)


def test_only_a_camera_that_moves_is_worth_a_sentence() -> None:
    moving = {"camera_motion": asdict(CameraMotion(True, 41.3, 30, 200))}
    assert camera_note(moving).startswith("The camera moves (about 41 px/s in frames 30–200): positions")
    for record in ({}, {"camera_motion": {"moves": False}}, {"camera_motion": {"moves": None}}):
        assert camera_note(record) == ""
    with pytest.raises(UserError, match="camera_motion"):
        camera_note({"camera_motion": {"moves": "perhaps"}})


def test_every_output_says_that_the_camera_moves() -> None:
    moving = {"camera_motion": asdict(CameraMotion(True, 41.3, 0, 4)), "assumed": []}
    pose = replace(load_sample_truth().pose(), record={**moving, "refined": {"steps": {}, "left_out": {}}})
    note = camera_note(pose.record)
    assert note in notes([pose])
    assert any(note in line for line in refine_notes([pose]))
    assert note in make_scene([pose]).notes
