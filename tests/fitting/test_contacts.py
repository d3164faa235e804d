import numpy as np

from repose.fitting.contacts import episodes, find_contacts, speeds
from repose.pose import Pose3D
from repose.sample import SampleTruth
from repose.skeleton import H36M_17

UP = np.array([0.0, -1.0, 0.0])
TIMES = np.arange(90) / 30


def feet(heights: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Two ankles at these heights and places to the right, 4 m from the camera."""
    both = np.zeros((len(heights), 2, 3))
    both[:, :, 1] = 1.3 - heights[:, None]
    both[:, :, 0] = along[:, None]
    both[:, 1, 0] += 0.2
    both[:, :, 2] = 4
    return both


def test_a_standing_foot_touches_and_a_jumping_one_does_not() -> None:
    height = np.where((TIMES > 1) & (TIMES < 1.6), 4.9 * (TIMES - 1) * (1.6 - TIMES), 0)
    touching = find_contacts(feet(height, np.zeros(90)), TIMES, UP)
    assert touching[TIMES < 0.9].all()
    assert touching[TIMES > 1.7].all()
    assert not touching[(TIMES > 1.12) & (TIMES < 1.48)].any()


def test_a_foot_that_slides_is_not_at_rest() -> None:
    """A treadmill: low, but never still."""
    assert not find_contacts(feet(np.zeros(90), 1.2 * TIMES), TIMES, UP).any()


def test_a_shake_along_the_line_of_sight_is_forgiven() -> None:
    ankles = feet(np.zeros(90), np.zeros(90))
    ankles[:, :, 2] += 0.1 * np.sin(2 * np.pi * TIMES)[:, None]  # up to 0.6 m/s
    assert find_contacts(ankles, TIMES, UP).mean() > 0.9


def test_the_ground_may_change_its_level() -> None:
    """Down a step of half a metre."""
    height = np.interp(TIMES, [1.3, 1.6], [0.5, 0.0])
    touching = find_contacts(feet(height, np.zeros(90)), TIMES, UP)
    assert touching[TIMES > 1.8].all()
    assert touching[TIMES < 0.3].all()


def test_the_touches_of_a_walk_are_found(true_pose: Pose3D, truth: SampleTruth) -> None:
    ankles = true_pose.joints_m[:, H36M_17.indices("left_ankle", "right_ankle")]
    up, t = truth.T_cam_world[:3, 2], truth.T_cam_world[:3, 3]
    height = ankles @ up - up @ t
    speed = np.linalg.norm(np.gradient(ankles, true_pose.times_s, axis=0), axis=-1)
    true = (height < height.min() + 0.03) & (speed < 0.2)
    touching = find_contacts(ankles, true_pose.times_s, up)
    assert (touching & true).sum() / true.sum() > 0.97
    assert (touching & (height > height.min() + 0.12)).sum() == 0


def test_few_frames_touch_nothing() -> None:
    for count in (0, 1, 2):
        assert not find_contacts(feet(np.zeros(count), np.zeros(count)), TIMES[:count], UP).any()
        assert speeds(feet(np.zeros(count), np.zeros(count)), TIMES[:count]).shape == (count, 2)


def test_episodes_are_runs() -> None:
    assert list(episodes(np.array([1, 1, 0, 1, 0, 0, 1], dtype=bool))) == [
        slice(0, 2),
        slice(3, 4),
        slice(6, 7),
    ]
