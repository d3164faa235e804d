"""Published data sets, a folder of a benchmark, and a clip store."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.skeleton import SKELETONS

from .keypoints import FRAMES
from .packing import dumped, npy, npz, wrapped


def human36m() -> bytes:
    def part(subject: int, truth: bool) -> dict[str, Any]:
        rng = np.random.default_rng(subject)
        names = [f"s_{subject:02d}_act_02_subact_01_ca_0{i // 4 + 1}" for i in range(8)]
        cameras = np.repeat(["54138969", "55011271"], 4)
        values: dict[str, Any] = {
            "joint_2d": rng.uniform(100, 900, (8, 17, 2)).astype(np.float32), "confidence": np.ones((8, 17,
            1)),
            "joint3d_image": rng.uniform(100, 900, (8, 17, 3)), "camera_name": cameras, "source": names,
            "action": ["Directions"] * 8,
        }  # fmt: skip
        if truth:
            values |= {"joints_2.5d_image": values["joint3d_image"] * 4, "2.5d_factor": np.full(8, 4.0)}
        return values

    return pickle.dumps({"train": part(1, False), "test": part(9, True)})


def videopose_3d() -> bytes:
    motion = np.random.default_rng(0).uniform(-1, 1, (4, 32, 3)).astype(np.float32)
    return npz(positions_3d=wrapped({"S1": {"Walking 1": motion}, "S9": {"Walking": motion}}))


def videopose_2d() -> bytes:
    views = [np.random.default_rng(i).uniform(0, 1000, (5, 17, 2)) for i in range(4)]
    symmetry = [SKELETONS["h36m-17"].side(side) for side in ("left", "right")]
    metadata = {"layout_name": "h36m", "num_joints": 17, "keypoints_symmetry": symmetry}
    content = {"S1": {"Walking 1": views}, "S9": {"Walking": views}}
    return npz(positions_2d=wrapped(content), metadata=wrapped(metadata))


def mpi_inf_3dhp(split: str) -> bytes:
    rng = np.random.default_rng(0)
    view = {"data_2d": rng.uniform(0, 2000, (4, 17, 2)), "data_3d": rng.normal(0, 500, (4, 17, 3))}
    if split == "train":
        return npz(data=wrapped({"S1 Seq2": [{"0": view, "7": view}, 50], "S8 Seq1": [{"2": view}, 25]}))
    return npz(data=wrapped({"TS1": {**view, "valid": np.array([1, 0, 1, 1])}}))


def mat() -> bytes:
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    content: dict[str, Any] = {"cameras": np.arange(14)[None]}
    for name, axes in (("annot2", 2), ("univ_annot3", 3)):
        content[name] = np.empty((14, 1), dtype=object)
        for camera in range(14):
            content[name][camera, 0] = rng.normal(size=(2, 28 * axes)) * 100
    buffer = io.BytesIO()
    savemat(buffer, content)
    return buffer.getvalue()


BONES, SKIN = 52, 70
"""Of a body model; the skin is what makes a file of SMPL-H large."""


def body_model() -> bytes:
    rng = np.random.default_rng(0)
    tree = np.maximum(np.arange(BONES) - 1, 0)
    return npz(
        v_template=rng.normal(size=(SKIN, 3)), shapedirs=rng.normal(size=(SKIN, 3, 16)).astype("f4"),
        posedirs=np.zeros((SKIN, 3, 9 * (BONES - 1)), "f2"), weights=np.full((SKIN, BONES), 1 / BONES, "f4"),
        J_regressor=np.full((BONES, SKIN), 1 / SKIN, "f4"), kintree_table=np.stack([tree, tree]),
    )  # fmt: skip


def soft_tissue() -> bytes:
    return npz(eigvec=np.zeros((SKIN, 3, 8)))


def regressor() -> bytes:
    return npy(np.eye(17, SKIN) + 0.01)


def body_motion() -> bytes:
    rng = np.random.default_rng(0)
    return npz(
        poses=rng.normal(0, 0.1, (4, 3 * BONES)), trans=np.zeros((4, 3)), betas=np.zeros(16),
        dmpls=np.zeros((4, 8)), gender=np.array("female"), mocap_framerate=np.array(120.0),
    )  # fmt: skip


def small_body() -> bytes:
    """A model of SMPL with 24 bones."""
    tree = np.maximum(np.arange(24) - 1, 0)
    rng = np.random.default_rng(0)
    return npz(
        v_template=rng.normal(size=(SKIN, 3)), shapedirs=np.zeros((SKIN, 3, 10)),
        posedirs=np.zeros((SKIN, 3, 207), "f2"), weights=np.full((SKIN, 24), 1 / 24),
        J_regressor=np.full((24, SKIN), 1 / SKIN), kintree_table=np.stack([tree, tree]),
    )  # fmt: skip


def threedpw(protocol: int) -> bytes:
    rng = np.random.default_rng(0)
    T = np.tile(np.eye(4), (3, 1, 1))
    T[:, 2, 3] = 5
    K = np.array([[900.0, 0, 540], [0, 900, 960], [0, 0, 1]])
    return pickle.dumps({
        "genders": ["f"], "cam_poses": T, "cam_intrinsics": K,
        "poses": [rng.normal(0, 0.1, (3, 72))], "betas": [np.zeros(10)], "trans": [np.zeros((3, 3))],
        "poses2d": [rng.uniform(0.1, 1, (3, 3, 18))], "campose_valid": [np.ones(3, int)],
    }, protocol=protocol)  # fmt: skip


DANCE = "gBR_sBM_cAll_d04_mBR0_ch02"


def aist_2d() -> bytes:
    return pickle.dumps({"keypoints2d": np.random.default_rng(0).uniform(0.2, 1, (1, 3, 17, 3))})


def aist_3d() -> bytes:
    return pickle.dumps({"keypoints3d_optim": np.random.default_rng(0).uniform(0, 99, (3, 17, 3))})


def aist_cameras() -> bytes:
    camera = {
        "name": "c01", "size": [1920, 1080], "matrix": [[1500.0, 0, 960], [0, 1500, 540], [0, 0, 1]],
        "rotation": [0.1, 0.2, 0.3], "translation": [0.0, 0, 400], "distortions": [0.01, 0, 0, 0, 0],
    }  # fmt: skip
    return dumped([camera])


def aist_mapping() -> bytes:
    return f"{DANCE} setting1\n".encode()


def blendmimic3d(key: str) -> bytes:
    rng = np.random.default_rng(0)
    if key == "positions_3d":
        return npz(positions_3d=rng.uniform(0, 2, (3, 17, 3)))
    if key == "RT":
        return npz(RT=np.eye(3, 4)[None], K=np.eye(3)[None])
    return npz(Cam_0=rng.uniform(0, 1000, (3, 17, 2)) if key == "2d" else np.ones((3, 17)))


def posetrack18() -> bytes:
    points = np.random.default_rng(0).uniform(0, 900, (17, 3)).round(1)
    points[:, 2] = 1
    rows = [{"track_id": 0, "image_id": frame, "keypoints": points.ravel().tolist()} for frame in range(30)]
    return dumped({"images": [], "annotations": rows})


def instavariety_frame() -> bytes:
    names = [
        f"{side} {joint}" for side in "LR" for joint in ("Hip", "Knee", "Ankle", "Shoulder", "Elbow", "Wrist")
    ]
    points = {name: {"x": 9.0 * n, "y": 5.0 * n, "logits": 0.5} for n, name in enumerate(names)}
    return dumped(points | {name: {"x": 50, "y": 20.0, "logits": 0.4} for name in ("Hip", "Neck", "Nose")})


def instavariety_joined() -> bytes:
    return npy(np.random.default_rng(0).uniform(0, 1, (6, 17, 3)))


def instavariety_tracks() -> bytes:
    return npy(np.array([0.0, 0, 0, 1, 1, 1]))


def benchmark_truth() -> bytes:
    joints = [f"{side}_{part}" for part in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
              for side in ("right", "left")]  # fmt: skip
    K, R = np.array([[900.0, 0, 500], [0, 900, 500], [0, 0, 1]]), np.eye(3)[[0, 2, 1]]
    places = np.random.default_rng(0).normal(0, 0.4, (FRAMES, 12, 3))
    return npz(joints_m=places, joint_names=np.array(joints), fps=np.float32(30), valid=np.arange(FRAMES) > 0,
               a_K=K, a_dist=np.zeros(4), a_R=R, a_t=np.array([0.1, 0.2, 4.0]))  # fmt: skip


def mediapipe_arrays() -> bytes:
    rng = np.random.default_rng(0)
    return npz(xy_px=rng.uniform(0, 1000, (FRAMES, 33, 2)), world_m=rng.normal(size=(FRAMES, 33, 3)),
               visibility=np.ones((FRAMES, 33)), detected=np.ones(FRAMES, bool), size=np.array([1000, 1000]),
               fps=np.float32(30))  # fmt: skip


def store(folder: Path) -> None:
    """A clip store, as `repose prepare` makes it."""

    def recording(name: str, optional: dict[str, np.ndarray]) -> Recording:
        rng = np.random.default_rng(0)
        keypoints = rng.uniform(100, 900, (12, 17, 3)).astype(np.float32)
        keypoints[..., 2] = 0.9
        target = rng.normal(size=(12, 17, 3)).astype(np.float32)
        return Recording(name, "S1", "Walking", "c", (1000, 1002), 50.0, keypoints, target, optional)

    truth = {"truth_mm": np.ones((12, 17, 3)), "factor": np.full(12, 4.0), "valid": np.arange(12) > 2}
    info = StoreInfo("sample", "h36m-17", "image", "none", notes=("a note",))
    write_store(
        folder, info, {"train": [recording("a", {}), recording("b", {})], "test": [recording("c", truth)]}
    )


def mpi_test() -> bytes:
    """The original annotations of a test sequence, which are HDF5."""
    import h5py

    rng = np.random.default_rng(0)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["annot2"] = rng.uniform(0, 2000, (6, 1, 17, 2))
        file["univ_annot3"] = rng.normal(0, 500, (6, 1, 17, 3))
        file["valid_frame"] = np.array([[1.0], [0.0], [1.0], [1.0], [1.0], [1.0]])
    return buffer.getvalue()


def hidden_joints() -> bytes:
    return npz(joint_occluded=np.arange(FRAMES * 12).reshape(FRAMES, 12) % 3 == 0)
