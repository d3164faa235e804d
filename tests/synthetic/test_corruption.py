"""MotionBERT's corruption: its statistics, that a seed fixes it, and what stays as it was."""

import pytest
import torch

from repose.errors import UserError
from repose.skeleton import H36M_17, get_skeleton
from repose.synthetic.corruption import JITTER, UNIFORM_RANGE, confidence_of, displace, hide


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_displacements_have_the_measured_size() -> None:
    clean = torch.rand(400, 27, 17, 3)  # as many frames as key frames: nothing is interpolated
    moved = displace(clean, H36M_17, seeded())[..., :2] - clean[..., :2]
    head, wrist = H36M_17.index("head_top"), H36M_17.index("left_wrist")
    # A mixture: of `kept` Gaussian errors and of uniform ones, plus the jitter of every frame.
    for joint, kept, mean, deviation in ((head, 0.984, 0.0008, 0.0034), (wrist, 0.703, 0.0012, 0.0050)):
        x = moved[:, :, joint, 0].double()
        lost = (1 - kept) * UNIFORM_RANGE**2 / 12
        expected = kept * (deviation**2 + mean**2) + lost + JITTER**2 - (kept * mean) ** 2
        assert float(x.var()) == pytest.approx(expected, rel=0.1)
        assert float(x.mean()) == pytest.approx(kept * mean, abs=6e-4)


def test_an_error_lasts_for_a_while() -> None:
    clean = torch.zeros(64, 243, 17, 3)
    moved = displace(clean, H36M_17, seeded())[..., 0]
    step = (moved[:, 1:] - moved[:, :-1]).std()
    apart = (moved[:, 40:] - moved[:, :-40]).std()
    assert step < 0.5 * apart


def test_confidence_comes_from_the_displacement() -> None:
    distance = torch.tensor([0.0, 0.02, 0.1]).repeat(20_000, 1)
    mean = confidence_of(
        distance, torch.randn(distance.shape, generator=seeded(), dtype=distance.dtype)
    ).mean(dim=0)
    # 0.028 / (d + 0.028) + 1.1 d - 0.0046, pulled down at 0 because confidence ends at 1.
    assert mean[0] == pytest.approx(0.94, abs=0.01)
    assert mean[1] == pytest.approx(0.5833 + 0.022 - 0.0046, abs=0.01)
    assert mean[2] == pytest.approx(0.2188 + 0.11 - 0.0046, abs=0.01)


def test_masks_hide_joints_and_the_same_frames_of_all_clips() -> None:
    hidden = hide(torch.ones(50, 200, 17, 3), 0.05, 0.1, seeded())
    gone = (hidden == 0).all(-1)
    whole = gone.all(-1)
    assert (whole == whole[:1]).all()
    assert float(whole.float().mean()) == pytest.approx(0.1, abs=0.05)
    assert float(gone[~whole].float().mean()) == pytest.approx(0.05, abs=0.01)
    assert set(hidden.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(hide(torch.ones(2, 9, 17, 3), 0.0, 0.0, seeded()), torch.ones(2, 9, 17, 3))


def test_a_seed_fixes_it() -> None:
    clean = torch.rand(2, 30, 17, 3)
    one, same, other = (displace(clean, H36M_17, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_only_joints_whose_errors_are_known_are_displaced() -> None:
    coco = get_skeleton("coco-17")
    with pytest.raises(UserError, match="noise: joints: expected some of pelvis"):
        displace(torch.rand(1, 3, 17, 3), coco, seeded())
