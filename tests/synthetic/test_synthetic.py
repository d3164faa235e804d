"""Training batches: what they are a function of, and that target and picture agree."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from repose.errors import UserError
from repose.skeleton import H36M_17, stature
from repose.synthetic import motions
from repose.synthetic.detector_errors import DetectionConfig
from repose.synthetic.motions import (
    STATURE_M,
    Batch,
    MotionBank,
    SyntheticClips,
    SyntheticConfig,
    mocap_split,
    observe,
)
from repose.synthetic.procedural import ProceduralConfig, make_motion
from repose.synthetic.virtual_camera import CameraConfig

PROCEDURAL = ProceduralConfig(clips=6, seconds=2.0)
CONFIG = SyntheticConfig(procedural=PROCEDURAL)
CLEAN = DetectionConfig(p_clean=1.0, fast_noise=(1e-9, 2e-9), p_unsure=0.0)


def clips(
    config: SyntheticConfig = CONFIG, seed: int = 0, rank: int = 0, ranks: int = 1, batch: int = 8
) -> SyntheticClips:
    return SyntheticClips(config, seed=seed, batch=batch, frames=20, rank=rank, ranks=ranks)


def same(one: object, other: object) -> bool:
    return torch.equal(one.keypoints, other.keypoints) and torch.equal(one.target, other.target)  # type: ignore[attr-defined]


def ramp(lengths: list[int]) -> MotionBank:
    """Clips whose every coordinate is 1000 times the clip's number plus the frame's."""
    return MotionBank.of(
        [
            np.broadcast_to(1000.0 * k + np.arange(n)[:, None, None], (n, 17, 3)).astype(np.float32)
            for k, n in enumerate(lengths)
        ]
    )


@pytest.fixture(scope="module")
def data() -> SyntheticClips:
    return clips()


def test_a_batch_is_a_function_of_seed_and_step(data: SyntheticClips) -> None:
    torch.manual_seed(1)
    one = data[5]
    data[7]
    torch.manual_seed(2)
    assert same(one, data[5])
    assert same(one, clips()[5])
    assert not torch.equal(data[5].keypoints[:, 0], data[6].keypoints[:, 0])
    assert not torch.equal(one.keypoints[:, 0], clips(seed=1)[5].keypoints[:, 0])


def test_a_rank_makes_its_own_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = clips(batch=24)[3]
    made: list[int] = []
    observe = motions.observe

    def counted(joints_m: Tensor, *rest: Any) -> Batch:
        made.append(len(joints_m))
        return observe(joints_m, *rest)

    monkeypatch.setattr(motions, "observe", counted)
    part = clips(batch=24, rank=1, ranks=3)[3]
    assert made == [8]
    assert torch.equal(part.keypoints, whole.keypoints[8:16])
    made.clear()
    part = clips(batch=24, rank=1, ranks=2)[3]
    assert made == [8, 8]
    assert torch.equal(part.target, whole.target[12:])


def test_ranks_share_one_batch(data: SyntheticClips) -> None:
    halves = [clips(rank=rank, ranks=2) for rank in range(2)]
    for step in range(4):
        whole, parts = data[step], [half[step] for half in halves]
        assert torch.equal(whole.keypoints, torch.cat([part.keypoints for part in parts]))
        assert torch.equal(whole.target, torch.cat([part.target for part in parts]))
        assert len(parts[0].keypoints) == len(parts[1].keypoints) == 4


def test_most_batches_fill_the_window_and_some_are_short() -> None:
    data = clips(replace(CONFIG, short_clips=0.5), batch=2)
    lengths = [data[step].keypoints.shape[1] for step in range(60)]
    assert 15 < sum(length == 20 for length in lengths) < 45
    assert min(lengths) <= 2
    whole = clips(replace(CONFIG, short_clips=0.0), batch=2)
    assert all(whole[step].keypoints.shape == (2, 20, 17, 3) for step in range(5))


def test_targets_are_relative_to_the_pelvis_and_1_70_m_tall(data: SyntheticClips) -> None:
    for step in range(5):
        batch = data[step]
        assert batch.keypoints.shape == batch.target.shape
        assert batch.keypoints.dtype == batch.target.dtype == torch.float32
        assert (batch.target[:, :, 0] == 0).all()
        heights = stature(batch.target).mean(dim=1)
        torch.testing.assert_close(heights, torch.full_like(heights, STATURE_M), atol=1e-4, rtol=0)


def test_the_target_is_what_the_camera_sees() -> None:
    """x/z and y/z of (target + root) times one focal factor are the rays; root and factor solve a linear
    system: f X + (f a) - x c = x Z, and the same for y, with root (a, b, c)."""
    data = clips(replace(CONFIG, camera=CameraConfig(), detection=CLEAN, short_clips=0.0))
    for step in range(3):
        batch = data[step]
        rays, target = batch.keypoints[..., :2].double(), batch.target.double()
        one, zero = torch.ones_like(rays[..., 0]), torch.zeros_like(rays[..., 0])
        in_x = torch.stack([target[..., 0], one, zero, -rays[..., 0]], dim=-1)
        in_y = torch.stack([target[..., 1], zero, one, -rays[..., 1]], dim=-1)
        system = torch.cat([in_x, in_y], dim=2)
        right = torch.cat([rays[..., 0], rays[..., 1]], dim=2) * target[..., 2].repeat(1, 1, 2)
        solution = torch.linalg.lstsq(system, right[..., None]).solution
        residual = (system @ solution)[..., 0] - right
        assert residual.abs().max() < 1e-5
        focal = solution[:, :, 0, 0]
        torch.testing.assert_close(focal, focal[:, :1].expand_as(focal), atol=0.02, rtol=0)
        assert (solution[:, :, 3, 0] > 0.7).all()  # in front of the camera


def test_sizes_do_not_depend_on_who_is_filmed() -> None:
    """A giant twice as far away gives the same batch, as one camera cannot tell."""
    joints = torch.from_numpy(np.stack(list(make_motion(PROCEDURAL, seed=3)))[:, :30])
    one, giant = (
        observe(
            size * joints, CameraConfig(distance=(3.0, 6.0)), DetectionConfig(), Generator().manual_seed(1)
        )
        for size in (1.0, 2.0)
    )
    torch.testing.assert_close(one.keypoints, giant.keypoints, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(one.target, giant.target, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_windows_longer_than_their_clip_run_back_and_forth(length: int) -> None:
    step = torch.tensor([1.0, 0.5, 2.0])
    values = ramp([length]).sample(3, 25, step, Generator().manual_seed(0))[:, :, 0, 0]
    assert values.min() >= 0
    assert values.max() <= length - 1
    if length > 1:
        assert values.max() > length - 1.6
        assert values.min() < 0.6
    for row, speed in zip(values, step.tolist(), strict=True):
        # Unfolded, the place in time is a line: reflect it and compare.
        last = max(length - 1, 1e-3)
        place = row[0] + speed * torch.arange(25)
        folded = last - (place.remainder(2 * last) - last).abs()
        if length > 1:
            torch.testing.assert_close(row, folded, atol=1e-4, rtol=0)
        else:
            assert row.abs().max() < 2e-3


def test_windows_stay_inside_a_long_clip_and_keep_their_rate() -> None:
    bank = ramp([50, 400, 3])
    step = torch.linspace(0.5, 2.5, 300)
    values = bank.sample(300, 20, step, Generator().manual_seed(0))[:, :, 0, 0]
    clip = (values / 1000).round()
    assert (clip == clip[:, :1]).all()  # no window crosses from one clip to the next
    long = clip[:, 0] == 1
    moved = values.diff(dim=1)[long]
    torch.testing.assert_close(moved, step[long][:, None].expand_as(moved), atol=1e-3, rtol=0)
    inside = values[long] - 1000
    assert inside.min() < 60
    assert inside.max() > 340
    share = torch.stack([(clip[:, 0] == k).float().mean() for k in range(3)])
    root = torch.tensor([50.0, 400.0, 3.0]).sqrt()
    torch.testing.assert_close(share, root / root.sum(), atol=0.08, rtol=0)


def test_what_there_is_much_of_does_not_drown_the_rest() -> None:
    motions = [np.zeros((100, 17, 3), dtype=np.float32)] * 17
    bank = MotionBank.of(motions, ["walk"] * 16 + ["dance"])
    shares = bank.weights / bank.weights.sum()
    torch.testing.assert_close(shares[-1], torch.tensor(1 / 5))
    torch.testing.assert_close(shares[:-1], torch.full((16,), 4 / 5 / 16))


def write(folder: Path, motions: list[np.ndarray]) -> Path:
    folder.mkdir()
    for number, joints in enumerate(motions):
        np.savez(folder / f"{number:02}.npz", joints_m=joints, fps=30.0)
    return folder


def test_every_tenth_clip_of_a_folder_validates(tmp_path: Path) -> None:
    motions = list(make_motion(ProceduralConfig(clips=12, seconds=0.5, fps=30.0), seed=1))
    training, validation = mocap_split(write(tmp_path / "mocap", motions))
    assert [Path(clip.source).stem for clip in validation] == ["00", "10"]
    assert [Path(clip.source).stem for clip in training] == [f"{i:02}" for i in range(12) if i % 10]
    assert all(clip.fps == 60.0 for clip in training + validation)
    assert len(training[0]) in (29, 30)  # 15 frames at 30 Hz


def test_a_single_clip_trains(tmp_path: Path) -> None:
    motions = list(make_motion(ProceduralConfig(clips=1, seconds=0.5), seed=1))
    training, validation = mocap_split(write(tmp_path / "mocap", motions))
    assert len(training) == 1
    assert validation == []


def test_without_motion_capture_there_is_none(tmp_path: Path) -> None:
    assert mocap_split(None) == ([], [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError):
        mocap_split(tmp_path / "empty")


def test_motion_capture_and_procedural_motion_are_mixed(tmp_path: Path) -> None:
    # The captured person stands still, and exchanged arms leave the legs alone.
    still = np.repeat(next(make_motion(ProceduralConfig(clips=1), seed=9))[:1], 90, axis=0)
    folder = write(tmp_path / "mocap", [still])
    config = SyntheticConfig(
        mocap=folder, procedural=PROCEDURAL, p_procedural=0.25, detection=CLEAN, short_clips=0.0
    )
    data = clips(config, batch=40)
    target = torch.cat([data[step].target for step in range(5)])
    legs = target[:, :, H36M_17.indices("left_ankle", "right_ankle")]
    still = legs.diff(dim=1).abs().amax((1, 2, 3)) < 1e-5
    assert still.float().mean().item() == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize("option", ["p_reverse", "p_exchange_arms"])
def test_time_and_arms_change_where_configured(option: str) -> None:
    plain = replace(CONFIG, p_reverse=0.0, p_exchange_arms=0.0, bone_spread=0.0, detection=CLEAN)
    one, other = clips(plain)[0].target, clips(replace(plain, **{option: 1.0}))[0].target
    if option == "p_reverse":
        torch.testing.assert_close(one.flip(1), other, atol=1e-5, rtol=0)
    else:
        assert torch.equal(one[:, :, 0], other[:, :, 0])
        assert not torch.allclose(one, other, atol=0.1)


def test_cmu_is_split_by_subject(shared: Path) -> None:
    folder = shared / "mocap"
    if not (folder / "cmu_joints17").is_dir():
        pytest.skip("needs the CMU pack in shared/mocap; absent here")
    training, validation = mocap_split(folder)
    assert {clip.name for clip in training}.isdisjoint(clip.name for clip in validation)
    assert len(validation) > 5
    assert sum(map(len, validation)) < 0.3 * sum(map(len, training))


def test_shapes_are_tensors_of_the_window(data: SyntheticClips) -> None:
    step = next(step for step in range(20) if data[step].keypoints.shape[1] == 20)
    keypoints: Tensor = data[step].keypoints
    assert keypoints.shape == (8, 20, 17, 3)
    assert keypoints.isfinite().all()
