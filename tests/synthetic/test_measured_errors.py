"""The simulated detector against what was measured of the real one."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from repose.skeleton import H36M_17, stature
from repose.synthetic.measured_errors import FOUND, interpolate_rows, measured_errors, smooth_noise
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig, sample_views

MIRROR = list(H36M_17.mirror)
HEAD = H36M_17.indices("nose", "head_top")
# Of COCO-17's points five are in the head.
POINTS = [joint for joint in FOUND if joint not in HEAD] + [HEAD[0]] * 3 + [HEAD[1]] * 2

Found = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def found() -> Found:
    """Errors in heights, scores, and where a joint is found at its partner's place."""
    motion = torch.from_numpy(np.stack(list(make_motion(ProceduralConfig(clips=150, fps=30.0), seed=3))))
    generator = Generator().manual_seed(0)
    rays, camera = sample_views(motion, CameraConfig(), generator)
    height = stature(motion).mean(1) / camera[..., 2].mean((1, 2))
    keypoints = measured_errors(rays, height, generator)
    unit = height[:, None, None]
    error = (keypoints[..., :2] - rays).norm(dim=-1) / unit
    other = (keypoints[..., :2] - rays[:, :, MIRROR]).norm(dim=-1) / unit
    apart = (rays - rays[:, :, MIRROR]).norm(dim=-1) / unit > 0.05
    return error, keypoints[..., 2], (other < error / 2) & apart


@pytest.mark.parametrize(
    ("low", "high", "median", "p90", "p99", "far"),
    [
        (0.83, 2.00, 0.011, 0.023, 0.042, 0.002),
        (0.69, 0.83, 0.012, 0.028, 0.072, 0.007),
        (0.43, 0.69, 0.016, 0.039, 0.281, 0.02),
        (0.06, 0.43, 0.027, 0.100, 0.381, 0.10),
        (0.01, 0.06, 0.037, 0.148, 0.383, 0.17),
    ],
)
def test_errors_go_with_the_score_as_measured(
    low: float, high: float, median: float, p90: float, p99: float, far: float, found: Found
) -> None:
    error, score = found[0][..., POINTS], found[1][..., POINTS]
    errors = error[(score > low) & (score <= high)].numpy()
    assert np.quantile(errors, 0.5) == pytest.approx(median, rel=0.3)
    assert np.quantile(errors, 0.9) == pytest.approx(p90, rel=0.3)
    assert np.log(np.quantile(errors, 0.99)) == pytest.approx(np.log(p99), abs=0.75)
    assert (errors > 0.1).mean() == pytest.approx(far, rel=0.4, abs=0.004)


@pytest.mark.parametrize(
    ("joint", "bad", "exchanged"),
    [
        ("wrist", 0.22, 0.084),
        ("elbow", 0.185, 0.043),
        ("knee", 0.03, 0.016),
        ("ankle", 0.025, 0.015),
        ("shoulder", None, 0.021),
        ("hip", None, 0.013),
    ],
)
def test_each_joint_errs_as_often_as_measured(
    joint: str, bad: float | None, exchanged: float, found: Found
) -> None:
    sides = H36M_17.indices(f"left_{joint}", f"right_{joint}")
    if bad is not None:
        assert (found[0][..., sides] > 0.05).float().mean().item() == pytest.approx(bad, rel=0.2)
    assert found[2][..., sides].float().mean().item() == pytest.approx(exchanged, rel=0.4)


def test_bad_frames_of_a_wrist_come_in_runs(found: Found) -> None:
    """70 % of them in runs of ten frames at 60 Hz, which are five here."""
    bad = found[0][..., H36M_17.indices("left_wrist", "right_wrist")] > 0.05
    lengths = []
    for row in bad.transpose(1, 2).flatten(0, 1).numpy():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]]))).reshape(-1, 2)
        lengths += (edges[:, 1] - edges[:, 0]).tolist()
    counted = np.array(lengths)
    assert counted[counted >= 5].sum() / counted.sum() == pytest.approx(0.7, abs=0.12)


def test_one_side_goes_to_the_other_alone(found: Found) -> None:
    left, right = H36M_17.indices("left_wrist", "right_wrist")
    both, any_ = found[2][..., left] & found[2][..., right], found[2][..., left] | found[2][..., right]
    assert both.sum() < 0.3 * any_.sum()


def test_trunk_joints_are_means_as_of_coco_17() -> None:
    rays = torch.rand(2, 9, 17, 2, generator=Generator().manual_seed(1))
    seen = measured_errors(rays, torch.ones(2), Generator().manual_seed(2))
    i = H36M_17.index
    torch.testing.assert_close(
        seen[:, :, i("pelvis")], (seen[:, :, i("left_hip")] + seen[:, :, i("right_hip")]) / 2
    )
    torch.testing.assert_close(
        seen[:, :, i("spine")], (seen[:, :, i("pelvis")] + seen[:, :, i("thorax")]) / 2
    )


def test_what_the_body_hides_has_lower_scores() -> None:
    rays = torch.rand(60, 40, 17, 2, generator=Generator().manual_seed(1))
    hidden = torch.zeros(60, 40, 17, dtype=torch.bool)
    hidden[:, :, H36M_17.index("right_wrist")] = True
    seen = measured_errors(rays, torch.ones(60), Generator().manual_seed(2), hidden)
    left, right = (seen[:, :, H36M_17.index(f"{side}_wrist"), 2].median() for side in ("left", "right"))
    assert right < 0.7 * left


def test_smooth_noise_is_normal_in_every_frame() -> None:
    noise = smooth_noise((4000, 30, 2), 12, Generator().manual_seed(0))
    torch.testing.assert_close(noise.std(dim=0), torch.ones(30, 2), atol=0.06, rtol=0)
    assert noise.diff(dim=1).abs().mean() < 0.2


def test_rows_are_interpolated_each_by_its_own_table() -> None:
    at = torch.tensor([0.0, 1.0, 3.0])
    values = torch.tensor([[0.0, 10.0, 0.0], [5.0, 5.0, 9.0]])
    x = torch.tensor([[-1.0, 2.0], [0.5, 9.0], [2.0, 0.0]])
    expected = torch.tensor([[0.0, 7.0], [5.0, 9.0], [5.0, 5.0]])
    torch.testing.assert_close(interpolate_rows(x, at, values), expected)
