"""Batches from stores: the published clips, epochs, ranks, 2D data, and what does not fit together."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repose.datasets.clips import Pool, StoreClips, StoreConfig, crop
from repose.datasets.prepare import prepare_human36m
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.errors import UserError
from repose.models import find_spec
from repose.skeleton import H36M_17, get_skeleton
from repose.synthetic.augment import mirror

PLAIN = StoreConfig(flip=False)
SPEC = replace(find_spec("repose").with_config(frames=9), name="nine")
RELATIVE = replace(SPEC, root_relative=True)


def recording(
    name: str,
    frames: int,
    *,
    joints: int = 17,
    seed: int = 0,
    size: tuple[int, int] = (1000, 1002),
    **more: Any,
) -> Recording:
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform(100, 900, (frames, joints, 3)).astype(np.float32)
    keypoints[..., 2] = rng.uniform(0.2, 1, (frames, joints))
    target = rng.uniform(-300, 300, (frames, joints, 3)).astype(np.float32)
    return Recording(name, "S1", "Walking", "54138969", size, 50.0, keypoints, target, **more)


def make_store(
    path: Path,
    lengths: tuple[int, ...] = (31, 20),
    *,
    target: str = "image",
    skeleton: str = "h36m-17",
    seed: int = 0,
    valid: np.ndarray | None = None,
) -> ClipStore:
    info = StoreInfo("sample", skeleton, target, licence="none")  # type: ignore[arg-type]
    joints = len(get_skeleton(skeleton))
    more = {} if valid is None else {"optional": {"valid": valid}}
    recordings = [
        recording(f"video {i}", frames, joints=joints, seed=seed + i, **more)
        for i, frames in enumerate(lengths)
    ]
    return write_store(path, info, {"train": recordings, "test": recordings[:1]})


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "store").path


def clips(store: Path, config: StoreConfig = PLAIN, **options: Any) -> StoreClips:
    settings = {"spec": SPEC, "seed": 0, "batch": 4, **options}
    return StoreClips(replace(config, store=store), **settings)


def test_clips_of_human36m_are_the_published_ones(parity: Path, tmp_path: Path) -> None:
    prepare_human36m(parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl", None, tmp_path / "store")
    published = np.load(parity / "h36m" / "clips_243.npz")
    for name in ("repose", "motionbert"):
        data = clips(tmp_path / "store", spec=find_spec(name))
        batch = data._read(np.arange(3), torch.Generator())
        np.testing.assert_allclose(batch.keypoints, published["train_input"], rtol=0, atol=1e-6)
        label = published["train_label"].copy()
        if name == "motionbert":
            label -= label[:, :, :1]
        else:
            label[..., 2] -= label[:, :1, :1, 2]
        np.testing.assert_allclose(batch.target, label, rtol=0, atol=1e-6)
        assert data.spec.normalisation == "screen"
        assert data.spec.frame_rate_hz == 50


def test_an_epoch_shows_every_window_once(store: Path) -> None:
    data = clips(store)
    # Nine frames, a third apart: 8 windows of 31 frames and 4 of 20, so 12 windows, 3 steps of 4.
    assert (len(data.full), data.steps(1), data.steps(5)) == (12, 3, 15)
    assert [data.epoch(step) for step in range(7)] == [0, 0, 0, 1, 1, 1, 2]
    everything = data._read(np.arange(12), torch.Generator()).target
    orders = []
    for epoch in range(2):
        seen = torch.cat([data[step].target for step in range(3 * epoch, 3 * epoch + 3)])
        found = [int((everything == clip).all(dim=(1, 2, 3)).nonzero()) for clip in seen]
        assert sorted(found) == list(range(12))
        orders.append(found)
    assert orders[0] != orders[1]


def test_a_batch_depends_on_seed_and_step_alone(store: Path) -> None:
    config = StoreConfig(noise=True, mask_joints=0.1, mask_frames=0.1)
    one, same, other = (clips(store, config, seed=seed) for seed in (0, 0, 1))
    one[0], one[7]
    assert torch.equal(one[3].keypoints, same[3].keypoints)
    assert not torch.equal(one[3].keypoints, other[3].keypoints)


@pytest.mark.parametrize("batch", [5, 7])
def test_ranks_share_a_batch_and_its_mean(store: Path, batch: int) -> None:
    config = StoreConfig(noise=True, mask_joints=0.1)
    whole = clips(store, config, batch=batch)
    parts = [clips(store, config, batch=batch, rank=rank, ranks=3) for rank in range(3)]
    for step in range(whole.steps(1)):
        full, shares = whole[step], [part[step] for part in parts]
        assert full.share == 1
        counted = [share for share in shares if share.share]
        assert torch.equal(full.keypoints, torch.cat([share.keypoints for share in counted]))
        assert torch.equal(full.target, torch.cat([share.target for share in counted]))
        mean = sum(share.share * share.target.double().mean() for share in shares) / 3
        assert float(mean) == pytest.approx(float(full.target.double().mean()), abs=1e-9)
        assert all(len(share.target) for share in shares)


def test_a_rank_reads_its_own_rows_alone(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part = clips(store, StoreConfig(noise=True), batch=7, rank=1, ranks=3)
    read: list[int] = []
    original = Pool.read

    def counted(self: Pool, array: str, chosen: np.ndarray, mirrored: Any = None) -> np.ndarray:
        read.append(len(chosen))
        return original(self, array, chosen, mirrored)

    monkeypatch.setattr(Pool, "read", counted)
    assert len(part[0].target) == 2
    assert read == [2, 2]


def test_depth_starts_at_the_first_root_or_every_root(store: Path) -> None:
    assert (clips(store)[0].target[:, 0, 0, 2] == 0).all()
    assert (clips(store)[0].target[:, 1:, 0, 2] != 0).any()
    assert (clips(store, spec=RELATIVE)[0].target[:, :, 0] == 0).all()


def test_half_of_the_clips_are_mirrored_in_input_and_target_alike(store: Path) -> None:
    plain, flipped = clips(store, batch=12), clips(store, StoreConfig(), batch=12)
    turned = 0
    for epoch in range(4):
        one, other = plain[epoch], flipped[epoch]
        which = torch.tensor([not torch.equal(a, b) for a, b in zip(one.target, other.target, strict=True)])
        turned += int(which.sum())
        assert torch.equal(mirror(one.keypoints, which, H36M_17), other.keypoints)
        assert torch.equal(mirror(one.target, which, H36M_17), other.target)
    assert 14 <= turned <= 34
    joint, partner = H36M_17.index("left_wrist"), H36M_17.index("right_wrist")
    mirrored = mirror(one.target, torch.ones(12, dtype=torch.bool), H36M_17)
    assert torch.equal(mirrored[:, :, joint], one.target[:, :, partner] * torch.tensor([-1.0, 1.0, 1.0]))


def test_camera_targets_are_learned_as_motionagformer_learns_mpi_inf_3dhp(tmp_path: Path) -> None:
    spec = replace(SPEC, skeleton="mpi-17")
    store = make_store(tmp_path / "mpi", target="camera", skeleton="mpi-17")
    data = clips(store.path, spec=spec)
    batch = data._read(np.array([0]), torch.Generator())
    joints_mm = 1000 * store.split("train").arrays["target"][:9].astype(np.float64)
    root = get_skeleton("mpi-17").index("pelvis")
    np.testing.assert_allclose(
        batch.target[0], (joints_mm - joints_mm[:, root : root + 1]) / 1000 * 2, rtol=1e-5, atol=1e-3
    )
    assert data.spec.root_relative


def test_projected_input_is_the_truth_s_own_x_and_y(store: Path) -> None:
    batch = clips(store, replace(PLAIN, projected=True))[0]
    assert torch.equal(batch.keypoints[..., :2], batch.target[..., :2])
    assert (batch.keypoints[..., 2] == 1).all()
    noisy = clips(store, replace(PLAIN, projected=True, noise=True))[0]
    moved = (noisy.keypoints - batch.keypoints)[..., :2].norm(dim=-1)
    assert 0 < moved.mean() < 0.05
    assert torch.equal(noisy.target, batch.target)


def test_2d_data_come_first_in_later_epochs(store: Path, tmp_path: Path) -> None:
    flat = make_store(tmp_path / "flat", (23,), seed=9).path
    config = replace(
        PLAIN, stores_2d=(flat,), first_epoch_2d=1, frames_2d=7, stride_2d=3, mask_joints=0.2, projected=True
    )
    data = clips(store, config, spec=RELATIVE)
    # 6 windows of 7 frames: 2 steps more in every epoch but the first.
    assert [data.steps(epochs) for epochs in range(4)] == [0, 3, 8, 13]
    assert [data.epoch(step) for step in range(14)] == [0] * 3 + [1] * 5 + [2] * 5 + [3]
    assert [data[step].confidence is not None for step in range(8)] == [False] * 3 + [True] * 2 + [False] * 3
    batch = data[3]
    assert batch.confidence is not None
    assert batch.keypoints.shape[1] == 7
    assert (batch.confidence > 0).all()  # how sure the detector was, not what is masked
    assert (batch.keypoints[..., 2] == 0).any()
    assert (batch.target[:, :, 0] == 0).all()
    shown = batch.keypoints[..., 2] > 0
    assert torch.equal(batch.keypoints[..., 2][shown], batch.confidence[shown])


def test_crop_maps_a_share_of_the_box_to_the_unit_square() -> None:
    keypoints = torch.rand(2, 5, 17, 3) * 0.9 + 0.1
    keypoints[0, 0, 3] = torch.tensor([50.0, 50.0, 0.0])  # missing: outside, and does not count
    whole, half = (crop(keypoints, torch.full((2,), share)) for share in (1.0, 0.5))
    assert whole[..., :2].abs().max() == pytest.approx(1, abs=1e-6)
    assert (whole[0, 0, 3] == 0).all()
    inner = half[..., :2].abs() < 1
    torch.testing.assert_close(half[..., :2][inner], 2 * whole[..., :2][inner], atol=1e-5, rtol=1e-4)
    assert (half[..., :2].abs() <= 1).all()
    assert torch.equal(whole[1, ..., 2], keypoints[1, ..., 2])
    lost = torch.zeros(1, 5, 17, 3)
    assert torch.equal(crop(lost, torch.ones(1)), lost)


def test_windows_with_a_frame_that_does_not_count_are_left_out(tmp_path: Path) -> None:
    valid = np.ones(31, bool)
    valid[10] = False
    store = make_store(tmp_path / "valid", (31,), valid=valid)
    starts = [window.start for window in clips(store.path).full.windows]
    assert starts == [0, 12, 15, 18, 21]


def test_several_stores_train_together(store: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", (9,), seed=5).path
    data = clips(store, replace(PLAIN, more=(other,)))
    assert len(data.full) == 13
    alone = clips(other)._read(np.array([0]), torch.Generator())
    assert torch.equal(data._read(np.array([12]), torch.Generator()).target, alone.target)


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        ({"store": None}, {}, "no data set to train on"),
        ({"store": Path("nowhere")}, {}, "nowhere: expected the folder of a store"),
        (
            {},
            {"spec": replace(SPEC, skeleton="mpi-17")},
            "skeleton: expected the model's, mpi-17, found h36m-17",
        ),
        ({}, {"spec": find_spec("frameformer")}, "input: expected keypoints normalised by the picture"),
    ],
)
def test_what_does_not_fit_together_is_said(
    store: Path, config: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        StoreClips(
            replace(PLAIN, **{"store": store, **config}), **{"spec": SPEC, "seed": 0, "batch": 4, **options}
        )


def test_2d_clips_that_the_model_does_not_take(store: Path) -> None:
    with pytest.raises(UserError, match=r"data.frames-2d: expected what nine takes, 9, found 81"):
        clips(store, replace(PLAIN, stores_2d=(store,)))
