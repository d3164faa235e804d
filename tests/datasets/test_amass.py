"""AMASS: joints against the whole skin, the published cutting and units, and files of another kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from smpl_bodies import regressor, skin_m, write_models

from repose.datasets.doctor import examine
from repose.datasets.prepare import prepare_folder
from repose.errors import UserError

FRAMES = 11


def motion(frames: int = FRAMES, rate_hz: float = 60.0, gender: Any = "male") -> dict[str, Any]:
    """Somebody upright who turns and moves a little, in AMASS's world: z is up, faces y."""
    rng = np.random.default_rng(3)
    turns = rng.normal(0, 0.2, (frames, 52, 3))
    turns[:, 0] = Rotation.from_euler("x", 90, degrees=True).as_rotvec() + rng.normal(0, 0.05, (frames, 3))
    return {
        "poses": turns.reshape(frames, -1), "trans": rng.normal(1, 1, (frames, 3)),
        "betas": rng.normal(size=16), "dmpls": rng.normal(size=(frames, 8)), "gender": np.array(gender),
        "mocap_framerate": np.array(rate_hz),
    }  # fmt: skip


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    return {"body_models": tmp_path / "models", "regressor": write_models(tmp_path / "models", "smplh", 52)}


def write(folder: Path, content: dict[str, Any], name: str = "CMU/01/01_02_poses.npz") -> Path:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    np.savez(folder / name, **content)
    return folder


def expected_target(content: dict[str, Any], models: Path, soft: bool) -> np.ndarray:
    """What the published programs make of it, in units of half a picture."""
    gender = str(content["gender"]) if str(content["gender"]) in ("male", "female") else "female"
    model = dict(np.load(models / "smplh" / gender / "model.npz"))
    if soft:
        tissue = np.load(models / "dmpls" / gender / "model.npz")["eigvec"][..., :8]
        model["shapedirs"] = np.concatenate([model["shapedirs"], tissue], axis=2)
    rows = []
    for turns, place_m, dmpls in zip(content["poses"], content["trans"], content["dmpls"], strict=True):
        shape = np.concatenate([content["betas"], dmpls]) if soft else content["betas"]
        posed = skin_m(model, Rotation.from_rotvec(turns.reshape(52, 3)), shape, place_m)
        rows.append(regressor(52) @ posed)
    x, y, z = np.moveaxis(np.array(rows), -1, 0)
    return 0.298 * np.stack([x, -z, y], axis=-1)


@pytest.mark.parametrize(("gender", "soft"), [("male", False), ("neutral", True)])
def test_joints_are_those_of_the_whole_skin(tmp_path: Path, gender: str, soft: bool) -> None:
    folder = write(tmp_path / "amass", motion(gender=gender))
    path = write_models(tmp_path / "models", "smplh", 52, soft=soft)
    store = prepare_folder(
        "amass", folder, tmp_path / "store", body_models=tmp_path / "models", regressor=path
    )
    split = store.split("train")
    target = expected_target(motion(gender=gender), tmp_path / "models", soft)
    np.testing.assert_allclose(split.arrays["target"], target, rtol=0, atol=2e-6)
    np.testing.assert_allclose(split.arrays["keypoints_norm"][..., :2], target[..., :2], rtol=0, atol=2e-6)
    assert (split.arrays["keypoints_norm"][..., 2] == 1).all()
    assert (store.target_kind, store.skeleton.name) == ("image", "h36m-17")
    (sequence,) = split.sequences
    assert (sequence.name, sequence.subject, sequence.action) == ("CMU/01/01_02_poses", "01", "01_02")
    assert ("soft tissue included" in store.manifest["notes"]) == soft
    verdicts = {finding.check: finding.verdict for finding in examine(store)}
    assert verdicts["sides"] == verdicts["place in 3D"] == verdicts["truth"] == "ok"


@pytest.mark.parametrize(("rate_hz", "every"), [(120, 2), (100, 2), (59.94, 1), (250, 4), (25, 1), (30, 1)])
def test_about_60_hz_are_left(tmp_path: Path, models: dict[str, Path], rate_hz: float, every: int) -> None:
    store = prepare_folder(
        "amass", write(tmp_path / "amass", motion(rate_hz=rate_hz)), tmp_path / "store", **models
    )
    (sequence,) = store.split("train").sequences
    assert len(sequence) == -(-FRAMES // every)
    assert sequence.fps == pytest.approx(rate_hz / every)


def test_long_motion_is_cut_where_the_published_program_cuts(
    tmp_path: Path, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repose.datasets.amass.LONGEST", 5)
    monkeypatch.setattr("repose.datasets.body_model._AT_ONCE", 3)
    folder = write(tmp_path / "amass", motion(gender=b"male"))
    write(folder, {"gender": np.array("male"), "betas": np.zeros(16)}, "CMU/01/shape.npz")
    store = prepare_folder("amass", folder, tmp_path / "store", **models)
    split = store.split("train")
    assert [len(sequence) for sequence in split.sequences] == [5, 5, 1]
    assert split.sequences[1].name == "CMU/01/01_02_poses#1"
    target = expected_target(motion(), models["body_models"], soft=False)
    np.testing.assert_allclose(split.arrays["target"], target, rtol=0, atol=2e-6)
    assert "files without motion (shapes) left out: 1" in store.manifest["notes"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"poses": np.zeros((FRAMES, 165))}, r"poses: expected the shape \(any, 156\)"),
        ({"trans": np.zeros((3, 3))}, r"trans: expected the shape \(11, 3\)"),
        ({"betas": np.zeros(10)}, "betas: expected 16 coefficients"),
        ({"mocap_framerate": np.array(0.0)}, "mocap_framerate: expected frames per second, found 0"),
        ({"poses": np.full((FRAMES, 156), np.nan)}, "poses: expected finite numbers, found nan"),
    ],
)
def test_other_motion(tmp_path: Path, models: dict[str, Path], change: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepare_folder("amass", write(tmp_path / "a", motion() | change), tmp_path / "store", **models)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("weights", None, "expected a body model, with .*, found no weights"),
        ("posedirs", np.zeros((312, 3, 207)), "posedirs: expected the shape .* of a body of 52 bones"),
        ("v_template", np.full((312, 3), np.inf), "v_template: expected"),
        ("kintree_table", np.full((2, 52), 51), "kintree_table: expected each bone after its parent"),
    ],
)
def test_other_body_models(
    tmp_path: Path, models: dict[str, Path], key: str, value: Any, message: str
) -> None:
    path = models["body_models"] / "smplh" / "female" / "model.npz"
    content = {name: array for name, array in np.load(path).items() if name != key}
    np.savez(path, **content, **({} if value is None else {key: value}))
    with pytest.raises(UserError, match=message):
        prepare_folder("amass", write(tmp_path / "amass", motion()), tmp_path / "store", **models)


def test_what_is_not_there(tmp_path: Path, models: dict[str, Path]) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="expected files <motion>_poses"):
        prepare_folder("amass", tmp_path / "empty", tmp_path / "store", **models)
    with pytest.raises(UserError, match="expected the folder of AMASS, found nothing there"):
        prepare_folder("amass", tmp_path / "nowhere", tmp_path / "store", **models)
    write(tmp_path / "amass", motion())
    np.save(models["regressor"], np.ones((14, 312)))
    with pytest.raises(UserError, match=r"expected \(17 joints, vertices\) of Human3.6M"):
        prepare_folder("amass", tmp_path / "amass", tmp_path / "store", **models)
