"""Stores of 2D alone: tracks of keypoint files, with their gaps, and what they are good for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repose.cli import main
from repose.datasets.clips import StoreClips, StoreConfig
from repose.datasets.doctor import examine
from repose.datasets.gallery import draw_sheet
from repose.datasets.prepare import prepare_keypoints, prepare_sample
from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.evaluation import evaluate, open_model
from repose.keypoints.reader import read_keypoints
from repose.models import find_spec
from repose.skeleton import H36M_17


def write_track(path: Path, frames: list[int], *, seed: int = 0, size: tuple[int, int] = (640, 480)) -> Path:
    rng = np.random.default_rng(seed)
    np.savez(
        path,
        points_px=rng.uniform(0, 400, (len(frames), 17, 2)),
        confidence=rng.uniform(0.1, 1, (len(frames), 17)),
        frames=frames,
        fps=10.0,
        image_size=size,
        skeleton="h36m-17",
    )
    return path


def test_every_track_is_stored_as_it_was_read(parity: Path, tmp_path: Path) -> None:
    file = parity / "alphapose" / "alphapose-results.json"
    store = prepare_keypoints([file], tmp_path / "store", image_size=(854, 480))
    assert (store.dataset, store.target_kind, store.skeleton) == ("keypoints", None, H36M_17)
    assert set(store.split("train").arrays) == {"keypoints_norm"}
    assert "2D joints converted from halpe-26" in store.manifest["notes"]
    assert "fps assumed for 1 of 1 files" in store.manifest["notes"]
    assert not any("image_size" in note for note in store.manifest["notes"])
    (source,) = store.manifest["sources"]
    assert (source["name"], source["bytes"]) == (file.name, file.stat().st_size)
    split = store.split("train")
    rows = 0
    for track in read_keypoints(file, image_size=(854, 480)):
        mine = [s for s in split.sequences if s.subject == f"person {track.track_id}"]
        kept = np.concatenate([split.keypoints_px(sequence) for sequence in mine])
        found = kept[..., 2].any(axis=1)
        track = track.to(H36M_17)
        np.testing.assert_allclose(kept[found][..., :2], track.points_px, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(kept[found][..., 2], track.confidence)
        rows += len(track)
    assert rows == (split.arrays["keypoints_norm"][..., 2] > 0).any(axis=1).sum()


def test_short_gaps_stay_and_long_ones_end_a_recording(tmp_path: Path) -> None:
    # Ten frames a second: 10 missing ones are a gap of a second, 11 are more.
    file = write_track(tmp_path / "a.npz", [3, 4, 15, 27])
    split = prepare_keypoints([file], tmp_path / "store").split("train")
    assert [len(sequence) for sequence in split.sequences] == [13, 1]
    assert [s.name for s in split.sequences] == ["a.npz, person 0, part 1", "a.npz, person 0, part 2"]
    seen = split.arrays["keypoints_norm"][..., 2].any(axis=1)
    assert np.flatnonzero(seen).tolist() == [0, 1, 12, 13]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    files = [
        write_track(tmp_path / "one" / "a.npz", [0, 1]),
        write_track(tmp_path / "two" / "a.npz", [0, 1, 2], size=(1920, 1080)),
    ]
    sequences = prepare_keypoints(files, tmp_path / "store").split("train").sequences
    assert [s.camera for s in sequences] == ["one/a.npz", "two/a.npz"]
    assert [s.image_size for s in sequences] == [(640, 480), (1920, 1080)]


def test_the_doctor_looks_at_the_2d_alone(tmp_path: Path) -> None:
    file = write_track(tmp_path / "a.npz", list(range(30)))
    store = prepare_keypoints([file], tmp_path / "store")
    assert {finding.verdict for finding in examine(store)} == {"ok"}
    checks = [finding.check for finding in examine(store)]
    assert checks == ["frame rate", "finite values", "2D in the picture", "confidence"]
    pytest.importorskip("matplotlib")
    draw_sheet(store, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_it_serves_as_2d_and_as_nothing_else(tmp_path: Path) -> None:
    flat = prepare_keypoints([write_track(tmp_path / "a.npz", list(range(30)))], tmp_path / "flat")
    full = prepare_sample(tmp_path / "full")
    spec = replace(find_spec("repose").with_config(frames=9), name="nine")
    config = StoreConfig(
        store=full.path, stores_2d=(flat.path,), first_epoch_2d=0, frames_2d=9, stride_2d=3, crop_2d=(1, 1)
    )
    batch = StoreClips(config, spec, seed=0, batch=4)[0]
    assert batch.confidence is not None
    assert batch.keypoints[..., :2].abs().amax() == pytest.approx(1, abs=1e-6)
    for wrong in (replace(config, store=flat.path), replace(config, more=(flat.path,))):
        with pytest.raises(UserError, match="flat: targets: expected 3D joints, found a store of 2D"):
            StoreClips(wrong, spec, seed=0, batch=4)
    with pytest.raises(UserError, match="expected 3D joints to score against, found a store of 2D"):
        evaluate(flat, open_model("default", flat), "full", split="train")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_track(tmp_path / "a.npz", [0, 1])
    main(["prepare", "keypoints", str(file), str(file), "-o", str(tmp_path / "store")])
    assert "Check it: repose doctor" in capsys.readouterr().out
    assert len(ClipStore.open(tmp_path / "store").split("train")) == 4
    (tmp_path / "cut.json").write_text('[{"image_id": ')
    for files in ([], [file, tmp_path / "cut.json"], [tmp_path / "nowhere"], [tmp_path]):
        with pytest.raises(SystemExit) as stopped:
            main(["prepare", "keypoints", *map(str, files), "-o", str(tmp_path / "other")])
        assert stopped.value.code == 2
        assert capsys.readouterr().err.startswith("Error: ")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "cut.json", "store"]
