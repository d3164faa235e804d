"""Feet of training clips: how they stand, and what is seen of them."""

from dataclasses import replace

import numpy as np
import torch
from torch import Generator

from repose.skeleton import ANKLES_OF_FEET, FEET, H36M_17, H36M_FEET
from repose.synthetic.augment import resize_bones
from repose.synthetic.detector_errors import DetectionConfig
from repose.synthetic.motions import SyntheticClips, SyntheticConfig, observe
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig

CLEAN = DetectionConfig(p_clean=1.0, fast_noise=(1e-9, 1e-8), p_unsure=0.0)
MOTION = ProceduralConfig(clips=6, seconds=2)


def people(frames: int = 40) -> torch.Tensor:
    return torch.stack([torch.from_numpy(joints[:frames]) for joints in make_motion(MOTION, 5, H36M_FEET)])


def test_feet_change_nothing_about_the_body() -> None:
    alone = list(make_motion(MOTION, 5))
    for joints, body in zip(make_motion(MOTION, 5, H36M_FEET), alone, strict=True):
        np.testing.assert_array_equal(joints[:, :17], body)
    config = SyntheticConfig(procedural=MOTION)
    without = SyntheticClips(config, seed=1, batch=6, frames=32)
    with_feet = SyntheticClips(config, seed=1, batch=6, frames=32, skeleton=H36M_FEET)
    for step in range(3):
        one, other = without[step], with_feet[step]
        assert other.keypoints.shape[2] == len(H36M_FEET)
        torch.testing.assert_close(other.keypoints[:, :, :17], one.keypoints, atol=1e-5, rtol=0)
        torch.testing.assert_close(other.target[:, :, :17], one.target, atol=1e-5, rtol=0)


def test_feet_are_flat_where_the_ankle_is_low_and_on_the_ball_where_it_rises() -> None:
    flat, risen = [], []
    for joints in make_motion(ProceduralConfig(clips=30, seconds=4, p_floor=0, p_posture=0), 3, H36M_FEET):
        for side in ("left", "right"):
            ankle, heel, toe = (
                joints[:, H36M_FEET.index(f"{side}_{joint}"), 2] for joint in ("ankle", "heel", "big_toe")
            )
            flat.append((heel - toe)[ankle < 0.083])
            risen.append((heel - toe)[(ankle > 0.11) & (ankle < 0.14)])
    assert np.median(np.abs(np.concatenate(flat))) < 0.01
    assert np.median(np.concatenate(risen)) > 0.03


def test_feet_are_seen_where_they_are_and_unknown_ones_never() -> None:
    joints = people()
    joints[0, :, 17:] = torch.nan
    batch = observe(joints, CameraConfig(), CLEAN, Generator().manual_seed(1))
    assert batch.known is not None
    assert batch.keypoints.isfinite().all()
    assert batch.target.isfinite().all()
    assert batch.known.all(dim=1).tolist() == [False] + [True] * 5
    assert batch.known[0].nonzero().flatten().tolist() == list(range(17))
    assert (batch.keypoints[0, :, 17:] == 0).all()
    found = batch.keypoints[1:, :, 17:]
    assert (found[..., 2] == 1).all()
    # The ray from the camera through the target: x and y differ from the ankle's as the target's do.
    apart = (found[..., :2] - batch.keypoints[1:][:, :, ANKLES_OF_FEET, :2]).norm(dim=-1)
    assert 0 < apart.max() < 1


def test_a_detector_without_feet_shows_none_and_one_without_small_toes_the_others() -> None:
    small = ["small" in joint for joint in FEET]
    for config, wanted in (
        (replace(CLEAN, p_no_feet=1.0), [False] * 6),
        (replace(CLEAN, p_no_small_toes=1.0), [not joint for joint in small]),
    ):
        batch = observe(people(), CameraConfig(), config, Generator().manual_seed(1))
        assert (batch.keypoints[:, :, 17:, 2] > 0).any(dim=1).all(dim=0).tolist() == wanted
        assert (batch.keypoints[:, :, :17, 2] > 0).all()


def test_feet_err_with_their_ankles_and_more() -> None:
    joints = people()
    true = observe(joints, CameraConfig(), CLEAN, Generator().manual_seed(1)).keypoints
    config = DetectionConfig(p_clean=0.0, p_knows=0.0)
    found = observe(joints, CameraConfig(), config, Generator().manual_seed(1)).keypoints
    ankles = [H36M_17.index("left_ankle"), H36M_17.index("right_ankle")]
    error = (found - true)[..., :2].norm(dim=-1)
    seen = found[..., 2] > 0
    assert error[:, :, 17:][seen[:, :, 17:]].median() > error[:, :, ankles][seen[:, :, ankles]].median()
    # Where an ankle is missing its foot is, too.
    assert not (seen[:, :, 17:] & ~seen[:, :, ANKLES_OF_FEET]).any()


def test_feet_grow_with_the_shank() -> None:
    joints = people()
    resized = resize_bones(joints, 0.2, Generator().manual_seed(3))
    for side in ("left", "right"):
        knee, ankle, toe = H36M_FEET.indices(f"{side}_knee", f"{side}_ankle", f"{side}_big_toe")

        def length(body: torch.Tensor, end: int, ankle: int = ankle) -> torch.Tensor:
            return (body[:, 0, end] - body[:, 0, ankle]).norm(dim=-1)

        torch.testing.assert_close(
            length(resized, toe) / length(joints, toe),
            length(resized, knee) / length(joints, knee),
            atol=1e-4, rtol=1e-4,
        )  # fmt: skip
