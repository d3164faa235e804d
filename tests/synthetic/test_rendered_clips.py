"""Training on rendered people as a detector found them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from repose.errors import UserError
from repose.skeleton import FEET, H36M_17, H36M_FEET, SKELETONS
from repose.synthetic.motions import STATURE_M, SyntheticClips, SyntheticConfig
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.rendered_clips import rendered_bank

BLAZEPOSE = SKELETONS["mediapipe-33"]
FRAMES, FOCAL_PX, LEFT = 20, 600.0, H36M_17.index("left_wrist")
CONFIG = SyntheticConfig(procedural=ProceduralConfig(clips=4, seconds=2), short_clips=0.0, p_rendered=0.5)


def write_clip(folder: Path, name: str, *, shift_px: float = 0.0, found: slice = slice(None)) -> np.ndarray:
    """Somebody moves before the camera; the detector is exact, sees no left wrist, and gives all 0.9."""
    seed = int(name.removesuffix(".npz").rpartition("_")[2])
    (motion,) = make_motion(ProceduralConfig(clips=1, seconds=3), seed, H36M_FEET)
    world = motion[: 2 * FRAMES : 2] - motion[0, 0]
    joints = np.stack([world[..., 0], -world[..., 2], world[..., 1] + 4], axis=-1)
    pixels = FOCAL_PX * joints[..., :2] / joints[..., 2:] + 239.5 + shift_px
    landmarks = np.zeros((FRAMES, 33, 3))
    for i, joint in enumerate(BLAZEPOSE.joints):
        there = joint if joint in H36M_FEET.joints else "nose"
        landmarks[:, i, :2], landmarks[:, i, 2] = pixels[:, H36M_FEET.index(there)], 0.9
    landmarks[:, BLAZEPOSE.index("left_wrist"), 2] = 0
    frames = np.arange(FRAMES)[found]
    np.savez(
        folder / name, joints_m=joints[:, :17], covered=np.zeros((FRAMES, 17), bool), up=[0.0, -1, 0],
        fps=30.0, image_size=[480, 480], focal_px=FOCAL_PX, focal_told_px=FOCAL_PX, frames=frames,
        points_px=landmarks[found, :, :2], confidence=landmarks[found, :, 2],
        world_m=np.zeros((FRAMES, 33, 3)), detected=np.isin(np.arange(FRAMES), frames),
    )  # fmt: skip
    return joints


def test_a_clip_is_what_the_detector_found_and_the_truth(tmp_path: Path) -> None:
    joints = write_clip(tmp_path, "wall_3.npz", found=slice(5, None))
    write_clip(tmp_path, "passers-by_4.npz", shift_px=200)  # about somebody else
    bank = rendered_bank(tmp_path, H36M_FEET, 30.0, STATURE_M)
    assert bank.lengths.tolist() == [FRAMES]
    assert not bank.keypoints[:5].any()
    knee = H36M_FEET.index("right_knee")
    np.testing.assert_allclose(
        bank.keypoints[5:, knee, :2], joints[5:, knee, :2] / joints[5:, knee, 2:], atol=1e-6
    )
    np.testing.assert_allclose(bank.keypoints[5:, knee, 2], 0.9**4, rtol=1e-5)
    for missing in ("left_wrist", "left_small_toe"):
        assert not bank.keypoints[:, H36M_FEET.index(missing)].any()
    heel = H36M_FEET.index("left_heel")
    assert bank.keypoints[5:, heel, 2].all()
    relative = joints[:, :17] - joints[:, :1]
    far = np.abs(relative) > 0.05
    factor = bank.target[:, :17].numpy()[far] / relative[far]
    np.testing.assert_allclose(factor, factor[0], rtol=1e-4)


def test_windows_are_mirrored_and_longer_ones_run_back(tmp_path: Path) -> None:
    write_clip(tmp_path, "in-the-open_7.npz")
    bank = rendered_bank(tmp_path, H36M_17, 30.0, STATURE_M)
    keypoints, target = bank.sample(40, 2 * FRAMES - 1, torch.Generator().manual_seed(0))
    mirror, flip = list(H36M_17.mirror), torch.tensor([-1.0, 1, 1])
    seen = keypoints[:, :, LEFT, 2].any(dim=1)
    assert 5 < int(seen.sum()) < 35  # where it is seen, left is the other side
    back = torch.where(seen[:, None, None, None], flip * target[:, :, mirror], target)
    rows = [torch.cdist(row.flatten(1), bank.target.flatten(1)).argmin(dim=1) for row in back]
    for row, found in zip(back, rows, strict=True):
        torch.testing.assert_close(row, bank.target[found])
        assert (found.diff().abs() == 1).all()


def test_a_share_of_the_batch_is_rendered_and_the_others_are_as_without(tmp_path: Path) -> None:
    write_clip(tmp_path, "box_2.npz")
    with_clips, without = (
        SyntheticClips(config, seed=3, batch=32, frames=12, skeleton=H36M_FEET)
        for config in (replace(CONFIG, rendered=tmp_path), CONFIG)
    )
    mixed, plain = with_clips[4], without[4]
    same = (mixed.target == plain.target).flatten(1).all(dim=1)
    assert 6 < int(same.sum()) < 26
    assert torch.equal(mixed.keypoints[same], plain.keypoints[same])
    assert mixed.known is not None
    assert not mixed.known[~same, len(H36M_17) :].any()
    assert mixed.known[~same, : len(H36M_17)].all()
    assert mixed.target.isfinite().all()
    assert torch.equal(with_clips[4].keypoints, mixed.keypoints)
    assert len(FEET) == mixed.target.shape[2] - len(H36M_17)


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rendered clips .* of one frame rate, found 0 files"):
        SyntheticClips(replace(CONFIG, rendered=tmp_path), seed=0, batch=2, frames=4)
