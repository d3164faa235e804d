"""3DPW, AIST++ and BlendMimic3D in their published layouts: places, sides, what counts, and other files."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from smpl_bodies import regressor, skin_m, write_models

from repose.datasets.doctor import examine
from repose.datasets.prepare import prepare_folder
from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.skeleton import H36M_17, SKELETONS

FRAMES = 6
K = np.array([[1960.0, 0, 540], [0, 1970, 960], [0, 0, 1]])


def verdicts(store: ClipStore) -> dict[str, str]:
    return {finding.check: finding.verdict for finding in examine(store)}


# 3DPW -----------------------------------------------------------------------------------------------------


def phone() -> np.ndarray:
    """World (y up) to a camera that looks along the world's -z and moves a little."""
    T = np.tile(np.diag([1.0, -1, -1, 1]), (FRAMES, 1, 1))
    T[:, :3, 3] = [0.1, 0.2, 4] + np.arange(FRAMES)[:, None] * [0.02, 0, 0]
    return T


def sequence(seed: int = 0, people: int = 2) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    detections = rng.uniform(100, 900, (people, FRAMES, 3, 18))
    detections[:, :, 2] = rng.uniform(0.3, 1.1, (people, FRAMES, 18))
    detections[0, 2] = 0  # nobody was found
    valid = np.ones((people, FRAMES), int)
    valid[-1, 4] = 0
    return {
        "sequence": "x", "genders": ["m", "f"][:people], "cam_poses": phone(), "cam_intrinsics": K,
        "poses": list(rng.normal(0, 0.2, (people, FRAMES, 72))),
        "betas": list(rng.normal(size=(people, 10))), "trans": list(rng.normal(0, 0.3, (people, FRAMES, 3))),
        "poses2d": list(detections), "campose_valid": list(valid), "img_frame_ids": np.arange(FRAMES),
        "jointPositions": list(np.zeros((people, FRAMES, 72))),
    }  # fmt: skip


def write_3dpw(folder: Path, protocol: int = 2) -> dict[str, Any]:
    for split, name, people in (
        ("train", "courtyard_arguing_00", 2),
        ("train", "courtyard_golf_00", 1),
        ("test", "downtown_stairs_00", 1),
    ):
        place = folder / "sequenceFiles" / split
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.pkl").write_bytes(pickle.dumps(sequence(people=people), protocol=protocol))
    path = write_models(folder / "models", "smpl", 24)
    return {"body_models": folder / "models", "regressor": path}


@pytest.mark.parametrize("protocol", [0, 2])
def test_3dpw_is_seen_by_its_phone(tmp_path: Path, protocol: int) -> None:
    models = write_3dpw(tmp_path, protocol)
    store = prepare_folder("3dpw", tmp_path, tmp_path / "store", **models)
    assert (store.target_kind, store.dataset) == ("camera", "3dpw")
    train = store.split("train")
    assert [(s.name, s.image_size, s.fps) for s in train.sequences] == [
        ("courtyard_arguing_00 0", (1080, 1920), 30.0),
        ("courtyard_arguing_00 1", (1080, 1920), 30.0),
        ("courtyard_golf_00 0", (1080, 1920), 30.0),
    ]
    given = sequence()
    for person, gender in enumerate(("male", "female")):
        model = dict(np.load(models["body_models"] / "smpl" / gender / "model.npz"))
        model["shapedirs"] = model["shapedirs"][..., :10]
        world = np.array(
            [
                regressor(24) @ skin_m(model, Rotation.from_rotvec(turns.reshape(24, 3)), betas, place)
                for turns, place, betas in zip(
                    given["poses"][person],
                    given["trans"][person],
                    [given["betas"][person]] * FRAMES,
                    strict=True,
                )
            ]
        )
        T = phone()
        target = np.einsum("fij,fkj->fki", T[:, :3, :3], world) + T[:, None, :3, 3]
        rows = slice(person * FRAMES, (person + 1) * FRAMES)
        np.testing.assert_allclose(train.arrays["target"][rows], target, rtol=0, atol=1e-5)
        drawn = target @ K.T
        exact = (drawn[..., :2] / drawn[..., 2:] * 2 - [1080, 1920]) / 1080
        np.testing.assert_allclose(train.arrays["exact_norm"][rows, :, :2], exact, rtol=0, atol=1e-5)
    assert (train.arrays["valid"][: 2 * FRAMES] == [*[True] * 2, False, *[True] * 7, False, True]).all()
    # COCO-18's right wrist is its joint 4, the left ankle 13.
    pixels = train.keypoints_px(train.sequences[1])
    for joint, number in (("right_wrist", 4), ("left_ankle", 13)):
        here = given["poses2d"][1][:, :2, number]
        np.testing.assert_allclose(pixels[:, H36M_17.index(joint), :2], here, rtol=0, atol=1e-3)
    assert train.arrays["keypoints_norm"][..., 2].max() == 1


def test_3dpw_oc_takes_its_sequences_from_all_splits(tmp_path: Path) -> None:
    models = write_3dpw(tmp_path)
    store = prepare_folder("3dpw", tmp_path, tmp_path / "store", occluded=True, **models)
    assert [s.action for s in store.split("test").sequences] == ["downtown_stairs_00", "courtyard_golf_00"]
    assert list(store.splits) == ["test"]
    assert any(note.startswith("3DPW-OC") for note in store.manifest["notes"])


def test_3dpw_is_scored_over_14_joints(tmp_path: Path) -> None:
    from repose.evaluation import evaluate
    from repose.models import build, find_spec

    store = prepare_folder("3dpw", tmp_path, tmp_path / "store", **write_3dpw(tmp_path))
    spec = find_spec("repose").with_config(width=16, representation=16, depth=1, heads=2, frames=4)
    report = evaluate(store, build(spec), split="train", frame_pairs=False)
    assert report.predictions.predicted_mm.shape[1:] == (14, 3)
    truth = 1000 * store.split("train").arrays["target"][report.predictions.rows]
    joints = list(report.predictions.skeleton.joints)
    np.testing.assert_allclose(
        report.predictions.truth_mm[:, joints.index("left_wrist")],
        truth[:, H36M_17.index("left_wrist")] - truth[:, 0],
        rtol=0,
        atol=1e-2,
    )
    assert report.scores.frames == 14  # of 18: in two nobody was found, in two there is no camera
    assert "protocol of 3dpw" in report.summary()
    assert "the 14 joints that are published" in report.summary()


def test_other_sequences_and_models_of_3dpw(tmp_path: Path) -> None:
    models = write_3dpw(tmp_path)
    path = tmp_path / "sequenceFiles" / "train" / "courtyard_arguing_00.pkl"
    for damage, message in (
        ({"poses2d": [np.zeros((FRAMES, 18, 3))] * 2}, r"poses2d: expected the shape \(6, 3, 18\)"),
        ({"genders": ["x"]}, "genders: expected m or f, found 'x'"),
        ({"betas": [np.zeros(3)] * 2}, "betas: expected 10 coefficients, found 3"),
        ({"trans": [np.full((FRAMES, 3), np.nan)] * 2}, "trans: expected finite numbers"),
        ({"genders": ["m", "f", "m"]}, "betas: expected one for each person, found 2"),
    ):
        path.write_bytes(pickle.dumps(sequence() | damage))
        with pytest.raises(UserError, match=message):
            prepare_folder("3dpw", tmp_path, tmp_path / "store", **models)
    path.write_bytes(pickle.dumps({"poses": []}))
    with pytest.raises(UserError, match=r"expected the entries poses, .*, found no betas"):
        prepare_folder("3dpw", tmp_path, tmp_path / "store", **models)
    (models["body_models"] / "smpl" / "female" / "model.npz").unlink()
    with pytest.raises(UserError, match=r"female/model.npz: cannot be read"):
        prepare_folder("3dpw", tmp_path, tmp_path / "store", **models)


# AIST++ ---------------------------------------------------------------------------------------------------

DANCE = "gBR_sBM_cAll_d04_mBR0_ch01"


def write_aist(folder: Path) -> tuple[np.ndarray, np.ndarray, list[dict[str, Any]]]:
    rng = np.random.default_rng(0)
    for name in ("keypoints2d", "keypoints3d", "cameras", "splits"):
        (folder / name).mkdir(parents=True)
    world_cm = rng.uniform(-60, 60, (FRAMES, 17, 3)) + np.array([0, 90, 0])
    world_cm[4, 9] = np.nan
    cameras = [
        {
            "name": f"c{number:02d}", "size": [1920, 1080], "matrix": [[1500.0, 0, 960], [0, 1500, 540],
            [0, 0, 1]], "rotation": [np.pi, 0.1 * number, 0], "translation": [0, 100.0, 400],
            "distortions": [0.05, 0.01, 0.001, -0.001, 0.0],
        }
        for number in range(1, 10)
    ]  # fmt: skip
    found = np.concatenate(
        [rng.uniform(100, 900, (9, FRAMES, 17, 2)), rng.uniform(0.2, 1.03, (9, FRAMES, 17, 1))], axis=-1
    )
    found[0, 1, 10] = np.nan
    for name, content in (
        ("keypoints3d", {"keypoints3d": world_cm, "keypoints3d_optim": world_cm}),
        (
            "keypoints2d",
            {"keypoints2d": found, "det_scores": np.ones((9, FRAMES)), "timestamps": np.arange(6)},
        ),
    ):
        (folder / name / f"{DANCE}.pkl").write_bytes(pickle.dumps(content))
    (folder / "cameras" / "mapping.txt").write_text(f"{DANCE} setting1\ngJS_other setting1\n")
    (folder / "cameras" / "setting1.json").write_text(json.dumps(cameras))
    (folder / "splits" / "pose_test.txt").write_text(f"{DANCE}\ngJS_gone\ngJS_failed\n")
    (folder / "ignore_list.txt").write_text("gJS_failed\n")
    return world_cm, found, cameras


def test_aist_is_seen_by_its_cameras(tmp_path: Path) -> None:
    world_cm, found, cameras = write_aist(tmp_path)
    store = prepare_folder("aist++", tmp_path, tmp_path / "store")
    split = store.split("test")
    # Nine cameras, but the fifth of this dance is not in time with the others.
    assert [s.camera for s in split.sequences] == ["c01", "c02", "c03", "c04", "c06", "c07", "c08", "c09"]
    assert (split.sequences[0].subject, split.sequences[0].action) == ("d04", "gBR")
    assert "dances of a split that are not there: 1" in store.manifest["notes"]
    coco, number = SKELETONS["coco-17"], 7
    given = cameras[number]
    rows = slice(6 * FRAMES, 7 * FRAMES)
    turn = Rotation.from_rotvec(given["rotation"]).as_matrix()
    for joint in ("right_wrist", "left_knee"):
        here = (world_cm[:, coco.index(joint)] @ turn.T + given["translation"]) / 100
        valid = split.arrays["valid"][rows]
        assert list(valid) == [*[True] * 4, False, True]
        np.testing.assert_allclose(
            split.arrays["target"][rows][valid, H36M_17.index(joint)], here[valid], rtol=0, atol=1e-5
        )
        pixels = split.keypoints_px(split.sequences[6])[:, H36M_17.index(joint)]
        np.testing.assert_allclose(pixels[:, :2], found[number, :, coco.index(joint), :2], atol=1e-3)
    missing = split.arrays["keypoints_norm"][1, H36M_17.index("right_wrist")]
    assert missing[2] == 0
    exact = split.arrays["exact_norm"][rows][0, H36M_17.index("left_knee")]
    x, y, z = split.arrays["target"][rows][0, H36M_17.index("left_knee")]
    k1, k2, p1, p2, _ = given["distortions"]
    u, v, r2 = x / z, y / z, (x / z) ** 2 + (y / z) ** 2
    bent = 1 + k1 * r2 + k2 * r2**2
    drawn = u * bent + 2 * p1 * u * v + p2 * (r2 + 2 * u**2), v * bent + p1 * (r2 + 2 * v**2) + 2 * p2 * u * v
    assert exact[:2] * 960 + [960, 540] == pytest.approx(np.array(drawn) * 1500 + [960, 540], abs=1e-2)


def test_other_files_of_aist(tmp_path: Path) -> None:
    write_aist(tmp_path)
    with pytest.raises(UserError, match=r"cameras/mapping.txt: no such file"):
        prepare_folder("aist++", tmp_path / "nowhere", tmp_path / "store")
    (tmp_path / "keypoints2d" / f"{DANCE}.pkl").write_bytes(
        pickle.dumps({"keypoints2d": np.ones((9, 6, 133, 3))})
    )
    with pytest.raises(UserError, match=r"keypoints2d: expected the shape \(any, any, 17, 3\)"):
        prepare_folder("aist++", tmp_path, tmp_path / "store")
    (tmp_path / "cameras" / "setting1.json").write_text("[{}]")
    with pytest.raises(UserError, match=r"setting1.json: .*missing required field"):
        prepare_folder("aist++", tmp_path, tmp_path / "store")


# BlendMimic3D ---------------------------------------------------------------------------------------------


def write_blendmimic(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """A body by its names: left leg first, left arm last; joints 2 (left knee) and 11 flagged 0."""
    places = np.zeros((17, 3))
    left = {1: (0.1, 0, 0.9), 2: (0.1, -0.25, 0.5), 3: (0.1, 0, 0.1), 14: (0.2, 0, 1.4), 15: (0.3, 0, 1.2),
            16: (0.3, -0.2, 1.1)}  # fmt: skip
    right = {number + (3 if number < 4 else -3): (-x, y, z) for number, (x, y, z) in left.items()}
    middle = {0: (0, 0, 0.95), 7: (0, 0, 1.2), 8: (0, 0, 1.45), 9: (0, 0, 1.6), 10: (0, 0, 1.75)}
    for number, place in {**left, **right, **middle}.items():
        places[number] = place
    world = places + np.arange(FRAMES)[:, None, None] * [0, 0.01, 0]
    RT = np.array(
        [np.hstack([np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]]), [[0], [1], [4.0 + n]]]) for n in range(4)]
    )
    flags = np.ones((FRAMES, 17))
    flags[:, [2, 11]] = 0
    for name in ("D3_Positions/Waving", "D2_Positions/Waving", "Occlusions/Waving", "Cameras"):
        (folder / "S1" / name).mkdir(parents=True)
    seen = []
    for T in RT:
        drawn = (world @ T[:, :3].T + T[:, 3]) @ np.array([[800.0, 0, 500], [0, 800, 501], [0, 0, 1]]).T
        seen.append(drawn[..., :2] / drawn[..., 2:])
    np.savez(folder / "S1/D3_Positions/Waving/Waving.npz", positions_3d=world)
    np.savez(folder / "S1/D2_Positions/Waving/2D_positions.npz", **{f"Cam_{n}": seen[n] for n in range(4)})
    np.savez(folder / "S1/Occlusions/Waving/occluded_kpt.npz", **{f"Cam_{n}": flags for n in range(4)})
    np.savez(folder / "S1/Cameras/matrices_S1.npz", RT=RT, K=np.zeros((4, 3, 3)))
    return world, np.array(seen)


def test_both_readings_of_blendmimic3d(tmp_path: Path) -> None:
    world, seen = write_blendmimic(tmp_path)
    stores = {
        (sides, flags): prepare_folder(
            "blendmimic3d", tmp_path, tmp_path / f"{sides}{flags}", sides=sides, flags=flags
        )
        for sides, flags in (("as-made", "as-made"), ("as-said", "as-made"), ("as-made", "as-said"))
    }
    made = stores["as-made", "as-made"].split("test")
    assert [(s.name, s.action, s.subject) for s in made.sequences][3] == ("S1 Waving 3", "Waving", "S1")
    T = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    for joint, number in (("left_knee", 2), ("right_wrist", 13), ("head_top", 10)):
        there = world[:, number] @ np.array(T).T + [0, 1, 5]
        target = made.arrays["target"][FRAMES : 2 * FRAMES, H36M_17.index(joint)]
        np.testing.assert_allclose(target, there, rtol=0, atol=1e-5)
        pixels = made.keypoints_px(made.sequences[1])[:, H36M_17.index(joint), :2]
        np.testing.assert_allclose(pixels, seen[1][:, number], rtol=0, atol=1e-3)
    hidden = (made.arrays["keypoints_norm"][..., 2] == 0).all(axis=0)
    assert {H36M_17.joints[joint] for joint in np.flatnonzero(hidden)} == {"left_knee", "right_shoulder"}
    assert (made.arrays["exact_norm"][..., 2] == 1).all()
    assert verdicts(stores["as-made", "as-made"])["knees"] == "ok"

    said = stores["as-said", "as-made"].split("test")
    np.testing.assert_array_equal(said.arrays["target"], made.arrays["target"][:, list(H36M_17.mirror)])
    assert verdicts(stores["as-said", "as-made"])["knees"] == "problem"
    turned = stores["as-made", "as-said"].split("test")
    assert ((turned.arrays["keypoints_norm"][..., 2] == 0).all(axis=0) == ~hidden).all()


def test_other_files_of_blendmimic3d(tmp_path: Path) -> None:
    write_blendmimic(tmp_path)
    np.savez(tmp_path / "S1/Occlusions/Waving/occluded_kpt.npz", Cam_0=np.ones((2, 17)))
    with pytest.raises(UserError, match=r"Cam_0: expected the shape \(6, 17\), found \(2, 17\)"):
        prepare_folder("blendmimic3d", tmp_path, tmp_path / "store")
    with pytest.raises(UserError, match=r"D3_Positions/<action>/<action>.npz of BlendMimic3D, found none"):
        prepare_folder("blendmimic3d", tmp_path / "S1", tmp_path / "store")
