"""MotionBERT's pretraining, from files in their published layouts to a checkpoint."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from smpl_bodies import write_models

from repose.cli import main
from repose.datasets.clips import StoreClips, StoreConfig
from repose.datasets.prepare import prepare_folder
from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.models import find_spec, load_checkpoint, register, registry
from repose.skeleton import H36M_17
from repose.training.presets import PRESETS

SMALL = replace(
    find_spec("motionbert-lite").with_config(width=16, representation=16, depth=1, heads=2, frames=81),
    name="small-motionbert",
)


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_specs", dict(registry._specs))
    register(SMALL)


def person(frames: int, seed: int = 0) -> np.ndarray:
    """PoseTrack18's 17 keypoints of one person who walks to the right; its ears are never annotated."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(-100, 100, (17, 2)) + [400, 300] + 3 * np.arange(frames)[:, None, None] * [1, 0]
    seen = np.ones((frames, 17, 1))
    seen[:, 3:5] = 0
    return np.concatenate([places, seen], axis=-1) * seen


def video(*people: np.ndarray, shift: int = 0) -> bytes:
    rows = [
        {"track_id": n, "image_id": 10000 + frame, "keypoints": points.ravel().tolist(), "bbox": [0, 0, 9, 9]}
        for frame in range(max(map(len, people)))
        for n, track in enumerate(people, start=shift)
        if frame < len(track)
        for points in track[frame : frame + 1]
    ]
    return json.dumps({"images": [{"id": 10000}], "annotations": rows, "categories": []}).encode()


def posetrack(folder: Path) -> Path:
    """Two tracks that pretraining takes, of 40 and 30 frames, and four that it does not."""
    hipless, short, unseen = person(40, 3), person(29, 4), person(30, 5)
    hipless[7, 12] = 0
    unseen[:, 5:11] = 0  # 9 of 15: 270 in sum
    (folder / "train").mkdir(parents=True)
    few = person(30, 6)
    few[:6, [0, 2, 5, 6, 7, 8, 9, 10]] = 0
    (folder / "train" / "000001_a.json").write_bytes(video(person(40, 1), hipless, short))
    (folder / "train" / "000002_b.json").write_bytes(video(unseen, few, shift=7))
    return folder / "train"


def frame_of_instavariety(points: np.ndarray) -> dict[str, Any]:
    names = "Hip,R Hip,R Knee,R Ankle,L Hip,L Knee,L Ankle,Belly,Neck,Nose,Head,L Shoulder,L Elbow,L Wrist,"
    names += "R Shoulder,R Elbow,R Wrist"
    rows = dict(zip(names.split(","), points.tolist(), strict=True))
    return {
        name: dict(zip(("x", "y", "logits"), row, strict=True))
        for name, row in rows.items()
        if name != "Belly"
    }


def tracked(frames: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.uniform(50, 400, (1, 17, 3)) + rng.normal(0, 2, (frames, 17, 3))
    points[..., 2] = rng.uniform(0.3, 0.9, (frames, 17))
    points[:, [7, 10]] = 0
    return points


def joined(folder: Path, *tracks: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "motion_all.npy", np.concatenate(tracks))
    np.save(folder / "id_all.npy", np.repeat(np.arange(len(tracks), dtype=float), [len(t) for t in tracks]))
    return folder


def test_posetrack_keeps_what_motionbert_trains_on(tmp_path: Path) -> None:
    store = prepare_folder("posetrack18", posetrack(tmp_path), tmp_path / "store")
    split = store.split("train")
    assert [(sequence.name, len(sequence)) for sequence in split.sequences] == [
        ("000001_a, person 0", 30),
        ("000002_b, person 8", 30),
    ]
    assert "2 of 5 tracks" in store.manifest["notes"][0]
    assert (store.target_kind, store.dataset) == (None, "posetrack18")
    keypoints, given = split.arrays["keypoints_norm"][:30], person(40, 1)[:30]
    assert abs(keypoints[..., :2]).max() == pytest.approx(1)  # it just fills its picture
    assert (keypoints[..., 2] == 1).all()
    # One scale and place for all: distances keep their ratios. Left and right are the person's own.
    h36m, names = H36M_17.indices("left_wrist", "right_ankle", "thorax", "head_top"), (9, 16, 1, 2)
    scale = np.ptp(keypoints[:, h36m, 0]) / np.ptp(given[:, names, 0])
    for joint, name in zip(h36m, names, strict=True):
        away = keypoints[:, joint, :2] - keypoints[:, h36m[0], :2]
        np.testing.assert_allclose(away, scale * (given[:, name, :2] - given[:, 9, :2]), rtol=0, atol=1e-5)
    hips = keypoints[:, H36M_17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(keypoints[:, H36M_17.index("pelvis")], hips, rtol=0, atol=1e-6)
    middle = (keypoints[:, H36M_17.index("pelvis")] + keypoints[:, H36M_17.index("thorax")]) / 2
    np.testing.assert_allclose(keypoints[:, H36M_17.index("spine")], middle, rtol=0, atol=1e-6)


def test_a_derived_joint_is_as_visible_as_the_least_visible_that_it_is_made_of(tmp_path: Path) -> None:
    points = person(30, 1)
    points[4, 1] = 0
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.json").write_bytes(video(points))
    keypoints = prepare_folder("posetrack18", tmp_path / "a", tmp_path / "s").split("train").arrays
    missing = np.argwhere(keypoints["keypoints_norm"][..., 2] == 0)
    assert [tuple(row) for row in missing] == [(4, H36M_17.index("spine")), (4, H36M_17.index("thorax"))]


def test_both_layouts_of_instavariety_are_the_same_tracks(tmp_path: Path) -> None:
    tracks = tracked(5, 1), tracked(4, 2)
    for number, track in enumerate(tracks):
        folder = tmp_path / "tracks" / "walking" / f"video{number}" / "0"
        folder.mkdir(parents=True)
        for frame, points in enumerate(track):
            (folder / f"{frame:04d}.json").write_text(json.dumps(frame_of_instavariety(points)))
    one = prepare_folder("instavariety", tmp_path / "tracks", tmp_path / "one").split("train")
    two = prepare_folder("instavariety", joined(tmp_path / "npy", *tracks), tmp_path / "two").split("train")
    np.testing.assert_allclose(one.arrays["keypoints_norm"], two.arrays["keypoints_norm"], atol=1e-6)
    assert [len(sequence) for sequence in two.sequences] == [5, 4]
    assert one.sequences[1].name == "walking/video1/0"
    keypoints = one.arrays["keypoints_norm"]
    np.testing.assert_allclose(keypoints[:5, ..., 2], tracks[0][..., 2], atol=1e-6)
    assert (keypoints[:, H36M_17.indices("spine", "head_top"), 2] == 0).all()
    to_left = tracks[0][:, 13, 0] - tracks[0][:, 16, 0]  # left wrist from right wrist
    left, right = (keypoints[:5, H36M_17.index(f"{side}_wrist"), 0] for side in ("left", "right"))
    assert (np.sign(left - right) == np.sign(to_left)).all()


@pytest.mark.parametrize(
    ("dataset", "content", "message"),
    [
        ("posetrack18", b'{"images": []}', "missing required field `annotations`"),
        ("posetrack18", b'{"annotations": [{"track_id": 1, "keypoints": [1, 2]}]}', "expected 51 numbers"),
        ("posetrack18", video(person(20)), "tracks of 30 frames, most joints visible, found 1 others"),
        ("instavariety", b'{"Hip": {"x": 1, "y": 2, "logits": 0.5}}', "expected the joints Hip, Neck"),
    ],
)
def test_other_files(tmp_path: Path, dataset: str, content: bytes, message: str) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "one.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        prepare_folder(dataset, tmp_path / "files", tmp_path / "store")
    (tmp_path / "none").mkdir()
    with pytest.raises(UserError, match="found none of them"):
        prepare_folder(dataset, tmp_path / "none", tmp_path / "store")
    assert not (tmp_path / "store").exists()


# The preset -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stores(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What the preset needs, prepared by the command from files in their published layouts."""
    folder = tmp_path_factory.mktemp("pretraining")
    rng = np.random.default_rng(0)
    (folder / "amass" / "CMU" / "01").mkdir(parents=True)
    turns = rng.normal(0, 0.2, (1, 156)) + rng.normal(0, 0.01, (100, 156)).cumsum(axis=0)
    turns[:, :3] += [np.pi / 2, 0, 0]
    np.savez(
        folder / "amass" / "CMU" / "01" / "01_01_poses.npz", poses=turns, trans=np.zeros((100, 3)),
        betas=np.zeros(16), gender=np.array("female"), mocap_framerate=np.array(60.0),
    )  # fmt: skip
    regressor = write_models(folder / "models", "smplh", 52)
    unrooted = tracked(90, 3)
    unrooted[0, 0, 2] = 0  # the first window does not begin with the root, the second one would not fit
    joined(folder / "instavariety", tracked(120, 1), unrooted, tracked(40, 2))
    for dataset, source, more in (
        ("amass", "amass", ("--body-models", str(folder / "models"), "--regressor", str(regressor))),
        ("posetrack18", posetrack(folder / "posetrack"), ()),
        ("instavariety", "instavariety", ()),
        ("human36m", parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl", ()),
    ):
        main(["prepare", dataset, str(folder / source), "-o", str(folder / f"{dataset}-store"), *more])
    return {name: folder / f"{name}-store" for name in ("amass", "posetrack18", "instavariety", "human36m")}


@pytest.fixture
def config(stores: dict[str, Path]) -> StoreConfig:
    data = PRESETS["motionbert-lite-pretrain"].data
    assert isinstance(data, StoreConfig)
    return replace(
        data,
        store=stores["human36m"],
        more=(stores["amass"],),
        stores_2d=(stores["posetrack18"], stores["instavariety"]),
    )


def test_windows_and_noise_of_each_data_set(config: StoreConfig) -> None:
    spec = replace(SMALL, root_relative=True)
    data = StoreClips(replace(config, mask_joints=0, mask_frames=0, first_epoch_2d=0), spec, seed=0, batch=2)
    posetrack, instavariety = data.flat
    assert (len(posetrack), posetrack.frames, posetrack.annotated) == (2, 30, True)
    # 120 frames: starts 0 and 27; without the root: none; 40 frames: one, stretched.
    assert [(w.start, w.stop - w.start) for w in instavariety.windows] == [(0, 81), (27, 81), (210, 40)]
    assert (instavariety.frames, instavariety.annotated) == (81, False)
    batches = [data[step] for step in range(4)]
    assert [batch.keypoints.shape[1] for batch in batches] == [30, 81, 81, 81]
    assert [batch.confidence is None for batch in batches] == [False, False, False, True]
    annotated, detected = batches[0], batches[1]
    assert annotated.confidence is not None
    assert detected.confidence is not None
    assert set(annotated.confidence.unique().tolist()) == {0.0, 1.0}  # what is not visible does not count
    assert (
        annotated.keypoints[..., 2] > 0
    ).float().mean() > 0.99  # how sure a detector would be of what is displaced
    assert torch.equal(detected.keypoints[..., 2], detected.confidence)
    root = annotated.target[:, :, :1]
    assert (root == 0).all()
    moved = annotated.keypoints[..., :2] - annotated.keypoints[:, :, :1, :2] - annotated.target[..., :2]
    assert 1e-4 < moved[:, :, 1:].abs().mean() < 0.1
    moved = detected.keypoints[..., :2] - detected.keypoints[:, :, :1, :2] - detected.target[..., :2]
    assert (moved.abs() < 1e-6).all()


def test_annotated_tracks_are_cut_out_once_for_all_epochs(config: StoreConfig) -> None:
    config = replace(config, flip=False, noise=False, mask_joints=0, mask_frames=0, first_epoch_2d=0)
    data = StoreClips(config, replace(SMALL, root_relative=True), seed=0, batch=2)
    epoch = data.steps(1)
    for step, same in ((0, True), (1, False)):
        sides = [data[step + n * epoch].target[..., :2].abs().amax((1, 2, 3)).sort()[0] for n in (0, 1)]
        assert torch.allclose(*sides) == same


def test_the_preset_runs_end_to_end(stores: dict[str, Path], tmp_path: Path) -> None:
    store = ClipStore.open(stores["human36m"])
    steps_3d = -(-(len(store.split("train").windows(81, 27)) + 1) // 64)
    options = [
        "--data.store", stores["human36m"], "--data.more", stores["amass"], "--data.stores-2d",
        stores["posetrack18"], stores["instavariety"], "--model", SMALL.name, "--epochs", "2",
        "--data.first-epoch-2d", "1", "--accelerator", "cpu", "--workers", "0", "-o", tmp_path / "run",
    ]  # fmt: skip
    main(["train", "motionbert-lite-pretrain", *map(str, options)])
    lines = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [steps_3d, 2 * steps_3d + 2]
    assert load_checkpoint(tmp_path / "run" / "model.safetensors").spec.root_relative
