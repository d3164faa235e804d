"""From published files to stores: the fixtures' clips, and every other file told apart."""

import json
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.datasets import human36m, videopose
from repose.datasets.prepare import prepare_human36m, prepare_mocap, prepare_mpi_inf_3dhp, prepare_sample
from repose.datasets.projected import ProjectionConfig, read_projected_mocap
from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.geometry.camera import Camera
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import quaternion_to_matrix
from repose.skeleton import H36M_17, SKELETONS
from repose.synthetic.procedural import ProceduralConfig, make_motion

Published = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def human36m_store(parity: Path, tmp_path_factory: pytest.TempPathFactory) -> ClipStore:
    source = parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl"
    return prepare_human36m(source, None, tmp_path_factory.mktemp("h36m") / "store")


@pytest.fixture
def published(parity: Path) -> Published:
    """A short copy of the fixture that tests may damage."""
    with (parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl").open("rb") as file:
        content = pickle.load(file)
    return {name: {key: value[:300] for key, value in part.items()} for name, part in content.items()}


# Human3.6M: the .pkl --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("frames", "stride"), [(243, 81), (27, 9)])
def test_clip_boundaries_are_the_published_ones(
    human36m_store: ClipStore, parity: Path, frames: int, stride: int
) -> None:
    expected = json.loads((parity / "h36m" / "expected.json").read_text())[f"clips_{frames}"]
    for split, step in (("train", stride), ("test", frames)):
        windows = human36m_store.split(split).windows(frames, step)
        assert [[window.start, window.stop - 1] for window in windows] == expected[f"{split}_first_last"]


def test_normalised_clips_are_the_published_ones(human36m_store: ClipStore, parity: Path) -> None:
    expected = np.load(parity / "h36m" / "clips_243.npz")
    for name, stride in (("train", 81), ("test", 243)):
        split = human36m_store.split(name)
        windows = split.windows(243, stride)[:3]
        for array, key in (("keypoints_norm", "input"), ("target", "label")):
            for window, clip in zip(windows, expected[f"{name}_{key}"], strict=True):
                np.testing.assert_allclose(split.cut(array, window, 243), clip, rtol=0, atol=2e-7)


def test_every_frame_is_there_once_with_its_truth(human36m_store: ClipStore, parity: Path) -> None:
    with (parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl").open("rb") as file:
        content = pickle.load(file)
    for name, part in content.items():
        arrays = human36m_store.split(name).arrays
        np.testing.assert_array_equal(arrays["keypoints_norm"][..., 2], part["confidence"])
        for sequence in human36m_store.split(name).sequences:
            rows = range(sequence.start, sequence.stop)
            width, height = sequence.image_size
            for points, joints in (
                (human36m_store.split(name).keypoints_px(sequence)[..., :2], part["joint_2d"]),
                ((arrays["target"][rows] + (1, height / width, 0)) * (width / 2), part["joint3d_image"]),
            ):
                np.testing.assert_allclose(points, joints[rows], rtol=0, atol=1e-4)
            assert {part["source"][row] for row in rows} == {sequence.name}
            assert {part["action"][row] for row in rows} == {sequence.action}
            assert {part["camera_name"][row] for row in rows} == {sequence.camera}
            assert sequence.image_size[1] == (1002 if sequence.camera in ("54138969", "60457274") else 1000)
    test = human36m_store.split("test").arrays
    np.testing.assert_array_equal(test["truth_mm"], content["test"]["joints_2.5d_image"])
    np.testing.assert_allclose(test["factor"], 500 * content["test"]["2.5d_factor"], rtol=1e-15)


def test_the_manifest_says_where_a_store_comes_from(human36m_store: ClipStore) -> None:
    manifest = human36m_store.manifest
    (source,) = manifest["sources"]
    assert source["name"] == "h36m_sh_conf_cam_source_final.pkl"
    assert len(source["sha256"]) == 64
    assert "must not be passed on" in manifest["licence"]
    assert manifest["made_by"]["command"] == "repose prepare human36m"
    assert {s.subject for s in human36m_store.split("test").sequences} == {"S9", "S11"}


def test_what_older_files_lack_is_made_up_for(published: Published, tmp_path: Path) -> None:
    for part in published.values():
        del part["confidence"]
    actions = published["train"].pop("action")
    store = prepare(published, tmp_path)
    assert {s.action for s in store.split("train").sequences} == set(actions)
    assert (store.split("train").arrays["keypoints_norm"][..., 2] == 1).all()
    assert "train: no confidence in the source, 1 everywhere" in store.manifest["notes"]


def prepare(content: object, folder: Path) -> ClipStore:
    (folder / "h36m.pkl").write_bytes(pickle.dumps(content))
    return prepare_human36m(folder / "h36m.pkl", None, folder / "store")


def put(split: str, key: str, value: Any) -> Callable[[Published], None]:
    def change(content: Published) -> None:
        part = content[split]
        part[key] = value(part[key]) if callable(value) else value

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop("test"), "expected a dictionary with train and test"),
        (lambda c: c["train"].pop("joint_2d"), "train: expected the entries .*, found no joint_2d"),
        (lambda c: c["test"].pop("2.5d_factor"), "test: expected the entries .*, found no 2.5d_factor"),
        (put("train", "joint_2d", lambda x: x[:, :16]), r"joint_2d: expected \(300 frames, 17 joints"),
        (put("test", "joint3d_image", lambda x: x[:-1]), "joint3d_image: expected .*, found"),
        (put("train", "joint_2d", "text"), "joint_2d: expected an array of numbers, found a str"),
        (put("train", "camera_name", lambda x: np.full(300, "99")), "camera: expected one of .*, found '99'"),
        (put("train", "camera_name", lambda x: np.arange(300).astype(str)), "expected one camera, found"),
        (put("train", "source", lambda x: ["video"] * 300), "source: expected names like"),
        (put("train", "source", lambda x: []), "train: expected frames, found none"),
        (put("test", "2.5d_factor", lambda x: x[:-1]), "2.5d_factor: expected 300 numbers"),
        (put("test", "confidence", lambda x: x[:, :3]), "confidence: expected"),
    ],
)
def test_other_pickles(published: Published, tmp_path: Path, damage: Any, message: str) -> None:
    damage(published)
    with pytest.raises(UserError, match=message):
        prepare(published, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["h36m.pkl"]


def test_clips_that_are_cut_already(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="found data_input, data_label") as caught:
        prepare({"data_input": np.ones((3, 17, 3)), "data_label": np.ones((3, 17, 3))}, tmp_path)
    assert "give the file they came from" in caught.value.hint


# Human3.6M: the pair --------------------------------------------------------------------------------------


def write_pair(folder: Path, damage: Callable[[Any, Any, Any], Any] = lambda *_: None) -> tuple[Path, Path]:
    """Two subjects as VideoPose3D has them, with 2D joints seen by pinhole cameras of its extrinsics."""
    rng = np.random.default_rng(0)
    motion = next(make_motion(ProceduralConfig(clips=1, seconds=1, fps=50.0, p_floor=0.0), 1))
    positions: Any = {}
    points: Any = {}
    for subject, actions in (("S1", ["Walking 1", "Photo"]), ("S9", ["Walking"])):
        for action in actions:
            joints = rng.normal(size=(len(motion), 32, 3)).astype(np.float32)
            joints[:, [videopose._JOINTS_32.index(joint) for joint in H36M_17.joints]] = motion
            positions.setdefault(subject, {})[action] = joints
            points.setdefault(subject, {})[action] = [
                see(motion, *camera).astype(np.float32) for camera in videopose._CAMERAS[subject]
            ]
    points["S1"]["Photo"][2] = np.concatenate([points["S1"]["Photo"][2], np.zeros((3, 17, 2), "f4")])
    symmetry = [H36M_17.side("left"), H36M_17.side("right")]
    metadata: Any = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    damage(positions, points, metadata)
    np.savez_compressed(folder / "data_3d_h36m.npz", positions_3d=np.array(positions, dtype=object))
    np.savez_compressed(
        folder / "data_2d_h36m_cpn.npz",
        positions_2d=np.array(points, dtype=object),
        metadata=np.array(metadata, dtype=object),
    )
    return folder / "data_3d_h36m.npz", folder / "data_2d_h36m_cpn.npz"


def see(motion: np.ndarray, orientation: Any, position_mm: Any) -> np.ndarray:
    T_world_cam = np.eye(4)
    T_world_cam[:3, :3] = quaternion_to_matrix(np.array(orientation))
    T_world_cam[:3, 3] = np.array(position_mm) / 1000
    K = np.array([[1145.0, 0, 500], [0, 1145.0, 500], [0, 0, 1]])
    return Camera(K, T_cam_world=RigidTransform.from_matrix(np.linalg.inv(T_world_cam))).project(
        motion.astype(np.float64)
    )


def test_the_pair_is_seen_from_its_cameras(tmp_path: Path) -> None:
    files = write_pair(tmp_path)
    store = prepare_human36m(*files, tmp_path / "store")
    assert store.target_kind == "camera"
    train = store.split("train")
    assert [(s.subject, s.action, s.camera) for s in train.sequences] == [
        ("S1", action, camera) for action in ("Walking", "Photo") for camera in human36m.IMAGE_SIZES
    ]
    assert {s.subject for s in store.split("test").sequences} == {"S9"}
    for split in store.splits.values():
        target = split.arrays["target"].astype(np.float64)
        drawn = target[..., :2] / target[..., 2:] * 1145 + 500
        keypoints_px = np.concatenate([split.keypoints_px(sequence) for sequence in split.sequences])
        np.testing.assert_allclose(keypoints_px[..., :2], drawn, atol=0.01)
        assert (keypoints_px[..., 2] == 1).all()
    assert "3 detections after the end of a motion left out, as the papers do" in store.manifest["notes"]
    swapped = prepare_human36m(*reversed(files), tmp_path / "swapped")
    np.testing.assert_array_equal(
        swapped.split("test").arrays["target"], store.split("test").arrays["target"]
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == [files[1].name, files[0].name, "store", "swapped"]


def test_cameras_of_human36m_look_level_at_the_room() -> None:
    for cameras in videopose._CAMERAS.values():
        for orientation, position_mm in cameras:
            R_world_cam = quaternion_to_matrix(np.array(orientation))
            right, forward = R_world_cam[:, 0], R_world_cam[:, 2]
            assert abs(right[2]) < 0.11
            towards = -np.array([*position_mm[:2], 0.0])
            assert forward @ towards / np.linalg.norm(towards) > 0.95
            assert 1400 < position_mm[2] < 1700


def test_coco_detections_are_converted(tmp_path: Path) -> None:
    coco = SKELETONS["coco-17"]

    def as_coco(_: Any, __: Any, metadata: Any) -> None:
        metadata["keypoints_symmetry"] = [coco.side("left"), coco.side("right")]

    store = prepare_human36m(*write_pair(tmp_path, as_coco), tmp_path / "store")
    assert "2D joints converted from coco-17" in store.manifest["notes"]
    keypoints = store.split("test").arrays["keypoints_norm"]
    hips = keypoints[:, H36M_17.indices("left_hip", "right_hip")].mean(axis=1)
    np.testing.assert_allclose(keypoints[:, H36M_17.index("pelvis")], hips, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda w, p, m: w.update(S2=w.pop("S1")), "subject: expected one of .*, found 'S2'"),
        (lambda w, p, m: w["S1"].update(Photo=w["S1"]["Photo"][:, :17]), "expected .frames, 32 joints"),
        (lambda w, p, m: p["S1"].pop("Photo"), "S1, Photo: expected 2D for every motion"),
        (lambda w, p, m: p["S1"]["Photo"].pop(), "S1, Photo: expected 4 cameras, found 3"),
        (
            lambda w, p, m: p["S9"]["Walking"].__setitem__(1, p["S9"]["Walking"][1][:9]),
            "camera 55011271: expected 50 frames or more, found 9",
        ),
        (lambda w, p, m: m.update(num_joints=16), "expected 2D detections of 17 joints"),
        (lambda w, p, m: m.clear(), "expected metadata with num_joints"),
    ],
)
def test_other_pairs(tmp_path: Path, damage: Any, message: str) -> None:
    files = write_pair(tmp_path, damage)
    with pytest.raises(UserError, match=message):
        prepare_human36m(*files, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_files_of_another_kind(tmp_path: Path, parity: Path) -> None:
    files = write_pair(tmp_path)
    pkl = parity / "h36m" / "h36m_sh_conf_cam_source_final.pkl"
    with pytest.raises(UserError, match=r"expected the pair .*, found data_3d_h36m.npz"):
        prepare_human36m(files[0], None, tmp_path / "store")
    with pytest.raises(UserError, match="expected the pair"):
        prepare_human36m(files[0], files[0], tmp_path / "store")
    with pytest.raises(UserError, match=r"expected positions_3d or positions_2d .*, found another kind"):
        prepare_human36m(pkl, files[1], tmp_path / "store")
    with pytest.raises(UserError, match="found data") as caught:
        prepare_human36m(parity / "mpi_inf_3dhp" / "data_test_3dhp.npz", None, tmp_path / "store")
    assert "repose prepare mpi-inf-3dhp" in caught.value.hint
    with pytest.raises(UserError, match=r"nowhere.pkl: cannot be read"):
        prepare_human36m(tmp_path / "nowhere.pkl", None, tmp_path / "store")


# MPI-INF-3DHP ---------------------------------------------------------------------------------------------


def test_published_test_file(parity: Path, tmp_path: Path) -> None:
    file = parity / "mpi_inf_3dhp" / "data_test_3dhp.npz"
    store = prepare_mpi_inf_3dhp(file, tmp_path / "store")
    content = np.load(file, allow_pickle=True)["data"].item()
    split = store.split("test")
    assert (store.skeleton.name, store.target_kind, list(store.splits)) == ("mpi-17", "camera", ["test"])
    for sequence in split.sequences:
        rows, part = slice(sequence.start, sequence.stop), content[sequence.name]
        np.testing.assert_allclose(split.keypoints_px(sequence)[..., :2], part["data_2d"], rtol=0, atol=2e-4)
        np.testing.assert_allclose(split.arrays["target"][rows] * 1000, part["data_3d"], rtol=1e-6)
        np.testing.assert_array_equal(split.arrays["valid"][rows], part["valid"] == 1)
        assert sequence.image_size == ((1920, 1080) if sequence.name in ("TS5", "TS6") else (2048, 2048))


def mpi_views(frames: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(frames)
    return {
        "data_2d": rng.uniform(0, 2048, (frames, 17, 2)),
        "data_3d": rng.normal(size=(frames, 17, 3)) * 500 + [0, 0, 3000],
    }


def test_published_training_file(tmp_path: Path) -> None:
    data: Any = {
        "S1 Seq2": [{"0": mpi_views(4), "7": mpi_views(5)}, 50],
        "S8 Seq1": [{"2": mpi_views(3)}, 25],
    }
    np.savez_compressed(tmp_path / "data_train_3dhp.npz", data=np.array(data, dtype=object))
    store = prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")
    split = store.split("train")
    assert [(s.subject, s.action, s.camera, s.fps, len(s)) for s in split.sequences] == [
        ("S1", "Seq2", "0", 50.0, 4),
        ("S1", "Seq2", "7", 50.0, 5),
        ("S8", "Seq1", "2", 25.0, 3),
    ]
    np.testing.assert_allclose(
        split.arrays["target"][4:9] * 1000, data["S1 Seq2"][0]["7"]["data_3d"], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"TS1": {"data_2d": np.ones((3, 17, 2))}},
            "TS1: expected data_2d, .*, found no data_3d",
        ),
        ({"TS1": {**mpi_views(), "valid": np.ones(5)}}, "TS1: valid: expected one value per frame"),
        (
            {"TS1": {**mpi_views(), "valid": np.ones(6), "data_3d": np.ones((6, 28, 3))}},
            "TS1: data_3d: expected .6, 17, 3.",
        ),
        ({"S1 Seq1": [{"0": mpi_views()}]}, "S1 Seq1: expected its cameras and frame rate"),
        ({"S1 Seq1": [{"0": 3}, 25]}, "S1 Seq1 0: expected .*, found a int"),
        ({}, "expected the array data"),
        ([1], "expected the array data"),
    ],
)
def test_other_mpi_files(tmp_path: Path, data: Any, message: str) -> None:
    wrapped = np.empty((), dtype=object)
    wrapped[()] = data
    np.savez(tmp_path / "data_test_3dhp.npz", data=wrapped)
    with pytest.raises(UserError, match=message):
        prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_original_annotations(tmp_path: Path) -> None:
    savemat = pytest.importorskip("scipy.io").savemat
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    cells = {"annot2": 2, "univ_annot3": 3}
    content: dict[str, Any] = {"cameras": np.arange(14)[None]}
    for name, axes in cells.items():
        content[name] = np.empty((14, 1), dtype=object)
        for camera in range(14):
            content[name][camera, 0] = rng.normal(size=(4, 28 * axes)) * 100
    (tmp_path / "S3" / "Seq2").mkdir(parents=True)
    savemat(tmp_path / "S3" / "Seq2" / "annot.mat", content)
    views = mpi_views(5)
    (tmp_path / "TS6").mkdir()
    with h5py.File(tmp_path / "TS6" / "annot_data.mat", "w") as file:
        file["annot2"], file["univ_annot3"] = views["data_2d"][:, None], views["data_3d"][:, None]
        file["valid_frame"] = np.array([[1], [0], [1], [1], [0]])
    store = prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")
    train, test = store.split("train"), store.split("test")
    assert [s.camera for s in train.sequences] == ["0", "1", "2", "4", "5", "6", "7", "8"]
    assert {(s.subject, s.action, s.fps) for s in train.sequences} == {("S3", "Seq2", 50.0)}
    # Published code takes columns 7, 5, 14, … of 28; its 15th joint, the pelvis, is column 4.
    columns = [7, 5, 14, 15, 16, 9, 10, 11, 23, 24, 25, 18, 19, 20, 4, 3, 6]
    wanted = content["univ_annot3"][4, 0].reshape(4, 28, 3)[:, columns]
    np.testing.assert_allclose(train.arrays["target"][12:16] * 1000, wanted, rtol=1e-5)
    np.testing.assert_allclose(test.arrays["target"] * 1000, views["data_3d"], rtol=1e-6)
    assert test.arrays["valid"].tolist() == [True, False, True, True, False]
    assert test.sequences[0].name == "TS6"
    assert len(store.manifest["sources"]) == 2


def test_damaged_and_missing_annotations(tmp_path: Path) -> None:
    pytest.importorskip("scipy")
    with pytest.raises(UserError, match=r"expected data_train_3dhp.npz, .*, found none of them"):
        prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")
    (tmp_path / "S1" / "Seq1").mkdir(parents=True)
    (tmp_path / "S1" / "Seq1" / "annot.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(UserError, match=r"annot.mat: expected a MATLAB file of version 5"):
        prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")
    with pytest.raises(UserError, match="nowhere: expected a folder or file"):
        prepare_mpi_inf_3dhp(tmp_path / "nowhere", tmp_path / "store")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "TS1").mkdir()
    (tmp_path / "TS1" / "annot_data.mat").touch()
    with pytest.raises(UserError, match="need h5py, which is not installed"):
        prepare_mpi_inf_3dhp(tmp_path, tmp_path / "store")


# Motion capture and the sample ----------------------------------------------------------------------------


def write_clips(folder: Path, count: int) -> None:
    motions = make_motion(ProceduralConfig(clips=count, seconds=1, fps=60.0), 0)
    for i, motion in enumerate(motions):
        np.savez(folder / f"clip_{i}.npz", joints_m=motion, fps=60.0)


@pytest.mark.parametrize("noise", [False, True])
def test_mocap_is_filmed(tmp_path: Path, noise: bool) -> None:
    (tmp_path / "motions").mkdir()
    write_clips(tmp_path / "motions", 2)
    config = ProjectionConfig(cameras=3, seed=5, detector_noise=noise)
    store = prepare_mocap(tmp_path / "motions", tmp_path / "store", config)
    assert [(s.name, s.action, s.subject) for s in store.split("train").sequences] == [
        (f"clip_1 {view}", "clip", "motions") for view in (1, 2, 3)
    ]
    assert len(store.split("validation").sequences) == 3
    split = store.split("train")
    target = split.arrays["target"].astype(np.float64)
    keypoints = np.concatenate([split.keypoints_px(sequence) for sequence in split.sequences])
    exact = target[..., :2] / target[..., 2:] * config.focal_px + 500
    seen = keypoints[..., 2] > 0
    error = np.abs(keypoints[..., :2] - exact)[seen]
    assert (error.max() > 1) if noise else (error.max() < 0.01 and seen.all())
    again = prepare_mocap(tmp_path / "motions", tmp_path / "again", config)
    np.testing.assert_array_equal(
        again.split("train").arrays["keypoints_norm"], split.arrays["keypoints_norm"]
    )
    thighs = target[:, H36M_17.index("left_knee")] - target[:, H36M_17.index("left_hip")]
    assert np.ptp(np.linalg.norm(thighs, axis=-1)) < 0.01


def test_motion_of_the_right_rate_is_projected_frame_by_frame(tmp_path: Path) -> None:
    motion = next(make_motion(ProceduralConfig(clips=1, seconds=1, fps=50.0), 0))
    motion += np.random.default_rng(2).normal(0, 0.02, motion.shape)  # what a detour over 60 Hz would smear
    np.savez(tmp_path / "clip.npz", joints_m=motion, fps=50.0)
    source = read_projected_mocap(tmp_path, ProjectionConfig(cameras=1))
    (recording,) = source.splits["train"]
    one, other = 1 + np.stack(np.triu_indices(16, 1))  # the pelvis is moved to the middle of the hips
    found, true = (
        np.linalg.norm(joints[:, one] - joints[:, other], axis=-1)
        for joints in (recording.target, motion.astype(np.float64))
    )
    np.testing.assert_allclose(found, true, atol=1e-3)


def test_no_mocap(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected .bvh, .* files in this folder"):
        prepare_mocap(tmp_path, tmp_path / "store", ProjectionConfig())
    with pytest.raises(UserError, match="expected a folder of motion capture, found nothing there"):
        prepare_mocap(tmp_path / "nowhere", tmp_path / "store", ProjectionConfig())
    with pytest.raises(UserError, match="cameras: expected 1 to 1,000"):
        ProjectionConfig(cameras=0)


def test_the_sample_has_the_published_form(tmp_path: Path) -> None:
    done: list[tuple[str, int, int | None]] = []
    store = prepare_sample(tmp_path / "store", progress=lambda *step: done.append(step))
    assert done[-1][1] == done[-1][2] == sum(map(len, store.splits.values()))
    assert (store.dataset, store.target_kind, list(store.splits)) == ("sample", "image", ["train", "test"])
    for split in store.splits.values():
        assert {s.action for s in split.sequences} == {"Walking", "Posing"}
        arrays = split.arrays
        assert (arrays["target"][:, H36M_17.index("pelvis"), 2] == 0).all()
        made = arrays["target"] * arrays["factor"][:, None, None]
        made, truth = (joints - joints[:, H36M_17.indices("pelvis")] for joints in (made, arrays["truth_mm"]))
        np.testing.assert_allclose(made, truth, rtol=1e-5, atol=1e-2)
        assert 0.9 < (arrays["keypoints_norm"][..., 2] > 0).mean() < 1
    again = prepare_sample(tmp_path / "again")
    other = prepare_sample(tmp_path / "other", seed=1)
    first = store.split("test").arrays["target"]
    np.testing.assert_array_equal(again.split("test").arrays["target"], first)
    assert np.abs(other.split("test").arrays["target"] - first).max() > 1


def test_a_place_that_is_taken_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "thesis.tex").touch()
    with pytest.raises(UserError, match="expected a new folder for the store"):
        prepare_human36m(tmp_path / "absent.pkl", None, tmp_path / "store", force=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(UserError, match="cannot be written"):
        prepare_sample(tmp_path / "locked" / "store")
