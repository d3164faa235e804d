"""A detector's errors: each kind alone, and what holds for all of them."""

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from repose.skeleton import H36M_17
from repose.synthetic.detector_errors import LIMBS, DetectionConfig, detect, drift, episodes

CLIPS, FRAMES = 200, 80
MIRROR = list(H36M_17.mirror)
QUIET = DetectionConfig(
    p_clean=0.0,
    fast_noise=(1e-9, 2e-9),
    slow_noise=(1e-9, 2e-9),
    bias=0.0,
    p_outlier=0.0,
    p_swap_legs=0.0,
    p_swap_arms=0.0,
    p_swap_all=0.0,
    p_joint_lost=0.0,
    p_flicker=0.0,
    p_limb_lost=0.0,
    p_frames_lost=0.0,
    p_wrong_place=0.0,
    p_self_occlusion=0.0,
    p_unsure=0.0,
)
"""Nothing goes wrong: switch on one thing at a time."""


@pytest.fixture(scope="module")
def rays() -> Tensor:
    """Every joint of every clip at a place of its own, well apart, still."""
    places = torch.rand(CLIPS, 1, 17, 2, generator=Generator().manual_seed(0)) + torch.arange(17)[:, None]
    return places.expand(CLIPS, FRAMES, 17, 2).contiguous()


HEIGHT = torch.linspace(0.1, 2.0, CLIPS)


def seen(rays: Tensor, seed: int = 0, **changes: object) -> Tensor:
    return detect(rays, HEIGHT, replace(QUIET, **changes), Generator().manual_seed(seed))


def relative_error(keypoints: Tensor, rays: Tensor) -> Tensor:
    """Distance from the truth as a share of the person's apparent height."""
    return (keypoints[..., :2] - rays).norm(dim=-1) / HEIGHT[:, None, None]


def runs(flags: Tensor) -> list[int]:
    """Lengths of the runs of True along one row."""
    edges = torch.diff(torch.cat([torch.zeros(1), flags.float(), torch.zeros(1)]))
    return (torch.nonzero(edges < 0) - torch.nonzero(edges > 0)).flatten().tolist()


def test_a_perfect_detector_sees_the_truth(rays: Tensor) -> None:
    keypoints = seen(rays)
    torch.testing.assert_close(keypoints[..., :2], rays, atol=1e-6, rtol=1e-6)
    assert (keypoints[..., 2] == 1).all()


def test_clean_clips_have_the_smallest_noise_and_nothing_else(rays: Tensor) -> None:
    clean = replace(DetectionConfig(), p_clean=1.0)
    keypoints = detect(rays, HEIGHT, clean, Generator().manual_seed(1))
    assert (keypoints[..., 2] > 0).all()
    error = (keypoints[..., :2] - rays) / HEIGHT[:, None, None, None]
    assert error.std().item() == pytest.approx(clean.fast_noise[0], rel=0.05)
    assert error.abs().max() < 7 * clean.fast_noise[0]


def test_what_holds_for_every_detection(rays: Tensor) -> None:
    keypoints = detect(rays, HEIGHT, DetectionConfig(), Generator().manual_seed(2))
    confidence = keypoints[..., 2]
    assert keypoints.isfinite().all()
    assert (confidence >= 0).all()
    assert (confidence <= 1).all()
    lost = confidence == 0
    assert 0.02 < lost.float().mean() < 0.3
    assert (keypoints[lost] == 0).all()
    # What is seen has a confidence that cannot be taken for a loss.
    assert confidence[~lost].min() >= 0.05
    # Every fifth joint or so is off by more than 2 % of the height, and some by a lot.
    error = relative_error(keypoints, rays)[~lost]
    assert 0.01 < error.median() < 0.03
    assert error.max() > 0.2


def test_the_share_of_clean_clips(rays: Tensor) -> None:
    error = relative_error(seen(rays, p_clean=0.3, bias=0.05), rays)
    clean = error.amax((1, 2)) < 1e-4
    assert clean.float().mean().item() == pytest.approx(0.3, abs=0.1)


def test_noise_is_a_share_of_the_apparent_height(rays: Tensor) -> None:
    error = (seen(rays, fast_noise=(0.01, 0.0100001))[..., :2] - rays) / HEIGHT[:, None, None, None]
    torch.testing.assert_close(error.std(dim=(1, 2, 3)), torch.full((CLIPS,), 0.01), rtol=0.1, atol=0)
    # It is new in every frame.
    assert abs((error[:, 1:] * error[:, :-1]).mean().item()) < 0.02 * 0.01**2


def test_fast_noise_differs_from_clip_to_clip(rays: Tensor) -> None:
    error = (seen(rays, fast_noise=(0.001, 0.1))[..., :2] - rays) / HEIGHT[:, None, None, None]
    amount = error.std(dim=(1, 2, 3))
    assert amount.min() < 0.002
    assert 0.06 < amount.max() < 0.11
    assert amount.log().mean().exp().item() == pytest.approx(0.01, rel=0.3)


def test_slow_noise_drifts(rays: Tensor) -> None:
    error = (seen(rays, slow_noise=(0.01, 0.0100001))[..., :2] - rays) / HEIGHT[:, None, None, None]
    step = (error[:, 1:] - error[:, :-1]).std()
    assert 0.006 < error.std() < 0.012
    assert step < 0.2 * error.std()
    assert abs((error[:, 40:] * error[:, :-40]).mean().item()) < 0.1 * 0.01**2


def test_bias_is_constant_over_a_clip_and_double_for_joints_by_convention(rays: Tensor) -> None:
    error = (seen(rays, bias=0.01)[..., :2] - rays) / HEIGHT[:, None, None, None]
    torch.testing.assert_close(error, error[:, :1].expand_as(error), atol=2e-4, rtol=0)
    spread = error[:, 0].std(dim=(0, 2))
    for joint, value in zip(H36M_17.joints, spread.tolist(), strict=True):
        double = joint in ("pelvis", "spine", "thorax", "nose", "head_top")
        assert value == pytest.approx(0.02 if double else 0.01, rel=0.2), joint


def test_outliers_are_short_and_far(rays: Tensor) -> None:
    error = relative_error(seen(rays, p_outlier=4.0), rays)
    astray = error > 1e-3
    rows = [runs(astray[clip, :, joint]) for clip in range(CLIPS) for joint in range(17)]
    lengths = [length for row in rows for length in row]
    assert all(len(row) <= 1 for row in rows)
    assert 1 <= min(lengths) <= max(lengths) <= 8
    assert error[astray].mean() > 0.1


@pytest.mark.parametrize(
    ("option", "names"),
    [
        ("p_swap_legs", ("hip", "knee", "ankle")),
        ("p_swap_arms", ("shoulder", "elbow", "wrist")),
        ("p_swap_all", ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")),
    ],
)
def test_swaps_exchange_left_and_right_and_nothing_else(
    option: str, names: tuple[str, ...], rays: Tensor
) -> None:
    keypoints = seen(rays, **{option: 1.0}, swap_frames=(3, 12))
    swapped_joints = H36M_17.indices(*(f"{side}_{name}" for side in ("left", "right") for name in names))
    swapped = (keypoints[..., :2] - rays).norm(dim=-1) > 0.01
    when = swapped[:, :, swapped_joints[0]]
    expected = rays.clone()
    expected[:, :, swapped_joints] = torch.where(
        when[..., None, None], rays[:, :, MIRROR][:, :, swapped_joints], rays[:, :, swapped_joints]
    )
    torch.testing.assert_close(keypoints[..., :2], expected, atol=1e-6, rtol=1e-6)
    inside = [runs(row) for row in when if not row[0] and not row[-1]]
    lengths = [length for row in inside for length in row]
    assert all(len(row) <= 1 for row in inside)
    assert (min(lengths), max(lengths)) == (3, 12)


@pytest.mark.parametrize(
    ("changes", "low", "high"),
    [
        ({"p_joint_lost": 1.0, "joint_lost_frames": (2, 9)}, 2, 9),
        ({"p_frames_lost": 1.0, "frames_lost": (4, 6)}, 4, 6),
    ],
)
def test_losses_last_as_long_as_configured(
    changes: dict[str, object], low: int, high: int, rays: Tensor
) -> None:
    lost = seen(rays, **changes)[..., 2] == 0
    inside = [row for row in lost.transpose(1, 2).flatten(0, 1) if not row[0] and not row[-1]]
    lengths = {length for row in inside for length in runs(row)}
    assert lengths == set(range(low, high + 1))
    together = (lost == lost[..., :1]).all()
    assert together == ("p_frames_lost" in changes)


def test_limbs_are_missing_as_a_whole(rays: Tensor) -> None:
    lost = seen(rays, p_limb_lost=0.05)[..., 2] == 0
    for side in ("left", "right"):
        for outer, inner in (("wrist", "elbow"), ("ankle", "knee")):
            one, other = H36M_17.indices(f"{side}_{outer}", f"{side}_{inner}")
            assert torch.equal(lost[..., one], lost[..., other])
    left, right = H36M_17.indices("left_wrist", "right_wrist")
    assert not torch.equal(lost[..., left], lost[..., right])
    assert 0 < lost.float().mean() < 0.5


def test_a_limb_gone_is_missing_from_beginning_to_end(rays: Tensor) -> None:
    lost = seen(rays, p_limb_gone=0.5)[..., 2] == 0
    assert torch.equal(lost, lost[:, :1].expand_as(lost))
    assert lost[:, 0].any(dim=1).float().mean().item() == pytest.approx(0.5, abs=0.1)
    gone = {tuple(torch.nonzero(row).flatten().tolist()) for row in lost[:, 0] if row.any()}
    assert gone == {tuple(sorted(limb)) for limb in LIMBS.values()}


def test_a_share_of_clips_has_measured_errors(rays: Tensor) -> None:
    keypoints = seen(rays, p_measured=0.3)
    exact = relative_error(keypoints, rays).amax((1, 2)) < 1e-4
    assert exact.float().mean().item() == pytest.approx(0.7, abs=0.1)
    assert (keypoints[..., 2][~exact] > 0).all()
    assert (keypoints[..., 2][exact] == 1).all()


def test_flicker_comes_and_goes(rays: Tensor) -> None:
    lost = seen(rays, p_flicker=1.0)[..., 2] == 0
    share = lost.float().mean(dim=(1, 2))
    assert share.max() < 0.35
    assert share.mean().item() == pytest.approx(0.15, abs=0.03)
    changes = (lost[:, 1:] != lost[:, :-1]).float().mean(dim=(1, 2))
    torch.testing.assert_close(changes, 2 * share * (1 - share), atol=0.05, rtol=0)


def test_a_misplaced_limb_is_reported_with_confidence_unless_the_detector_knows(rays: Tensor) -> None:
    for p_knows in (0.0, 1.0):
        keypoints = seen(rays, p_wrong_place=0.2, p_knows=p_knows)
        wrong = relative_error(keypoints, rays) > 0.02
        assert 0.05 < wrong.float().mean() < 0.9
        confidence = keypoints[..., 2]
        assert (confidence[relative_error(keypoints, rays) < 1e-6] == 1).all()
        assert (confidence[wrong] > 0).all()  # a guess is no loss
        assert (confidence[wrong] == 1).all() if not p_knows else confidence[wrong].mean() < 0.6


@pytest.mark.parametrize("together", [0.0, 2.0])
def test_what_hangs_on_a_misplaced_joint_goes_with_it(rays: Tensor, together: float) -> None:
    error = seen(rays, p_wrong_place=1.0, together=together)[..., :2] - rays
    knee, ankle, elbow = (error[:, :, H36M_17.index(f"left_{j}")] for j in ("knee", "ankle", "elbow"))
    both = (knee.norm(dim=-1) > 0.01) & (ankle.norm(dim=-1) > 0.01)

    def agreement(one: Tensor, other: Tensor) -> float:
        return torch.nn.functional.cosine_similarity(one[both], other[both], dim=-1).mean().item()

    assert agreement(knee, ankle) > 0.4
    assert agreement(knee, elbow) > 0.4 if together else abs(agreement(knee, elbow)) < 0.15


def test_joints_hidden_by_the_body_are_misplaced(rays: Tensor) -> None:
    hidden = torch.zeros(CLIPS, FRAMES, 17, dtype=torch.bool)
    hidden[:, 20:40, H36M_17.index("right_wrist")] = True
    config = replace(QUIET, p_self_occlusion=1.0, p_knows=1.0)
    keypoints = detect(rays, HEIGHT, config, Generator().manual_seed(0), hidden)
    error = relative_error(keypoints, rays)
    assert (error[~hidden] < 1e-6).all()
    assert 0.004 < error[hidden].median() < 0.1
    assert (keypoints[..., 2][~hidden] == 1).all()
    assert (keypoints[..., 2][hidden] < 1).float().mean() > 0.95
    unaware = detect(rays, HEIGHT, replace(config, p_self_occlusion=0.0), Generator().manual_seed(0), hidden)
    assert (relative_error(unaware, rays) < 1e-6).all()


def test_confidence_goes_with_the_error(rays: Tensor) -> None:
    keypoints = seen(rays, p_unsure=1.0, p_outlier=4.0, fast_noise=(0.02, 0.0200001))
    error, confidence = relative_error(keypoints, rays), keypoints[..., 2]
    assert confidence[error > 0.1].mean() < confidence[error < 0.02].mean() - 0.1
    sure = seen(rays, p_unsure=0.0, p_outlier=4.0)
    assert (sure[..., 2] == 1).all()


def test_the_generator_decides_and_the_truth_stays(rays: Tensor) -> None:
    before = rays.clone()
    one, again, other = (
        detect(rays, HEIGHT, DetectionConfig(), Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(rays, before)


@pytest.mark.parametrize("frames", [1, 2, 13])
def test_short_clips(frames: int, rays: Tensor) -> None:
    keypoints = detect(rays[:, :frames], HEIGHT, DetectionConfig(), Generator().manual_seed(0))
    assert keypoints.shape == (CLIPS, frames, 17, 3)
    assert keypoints.isfinite().all()


def test_an_episode_covers_all_frames_alike() -> None:
    happens = torch.ones(4000, 3, dtype=torch.bool)
    happens[:, 1] = False
    covered = episodes(happens, 30, (5, 10), Generator().manual_seed(0)).float()
    assert covered.shape == (4000, 30, 3)
    assert covered[..., 1].sum() == 0
    share = covered[..., [0, 2]].mean(dim=(0, 2))
    assert share.max() - share.min() < 0.05  # the ends are as likely as the middle


def test_drift_is_smooth_and_of_unit_size() -> None:
    noise = drift((300, 50, 4), 12, Generator().manual_seed(0))
    assert noise.shape == (300, 50, 4, 2)
    assert 0.7 < noise.std() < 1.05
    assert noise.diff(n=2, dim=1).abs().max() < 0.6  # straight between knots
    assert noise.diff(dim=1).abs().mean() < 0.15
