"""The clip store: exact round trip, windows, and nothing half-written."""

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repose.datasets.splits import Split, StoredSequence, Window, stack
from repose.datasets.store import ClipStore
from repose.datasets.store_writer import Recording, StoreInfo, write_store
from repose.errors import UserError
from repose.skeleton import H36M_17, get_skeleton

INFO = StoreInfo("sample", "h36m-17", "camera", "none", notes=("a note",))


def recording(name: str, frames: int, **changes: Any) -> Recording:
    rng = np.random.default_rng(frames)
    values: dict[str, Any] = {
        "name": name,
        "subject": "S1",
        "action": "Walking",
        "camera": "54138969",
        "image_size": (1000, 1002),
        "fps": 50.0,
        "keypoints_px": rng.uniform(0, 1000, (frames, 17, 3)).astype(np.float32),
        "target": rng.normal(size=(frames, 17, 3)).astype(np.float32),
    }
    return Recording(**{**values, **changes})


def split_of(*lengths: int) -> Split:
    edges = np.cumsum([0, *lengths]).tolist()
    sequences = tuple(
        StoredSequence(str(i), "S1", "Walking", "c", (1000, 1002), 50.0, start, stop)
        for i, (start, stop) in enumerate(pairwise(edges))
    )
    points = np.random.default_rng(0).random((edges[-1], 17, 3), dtype=np.float32)
    return Split("train", sequences, {"keypoints_norm": points, "target": points + 1}, H36M_17)


def test_round_trip(tmp_path: Path) -> None:
    optional = {
        "truth_mm": np.ones((5, 17, 3)),
        "factor": np.arange(5.0),
        "valid": np.array([1, 0, 1, 1, 0], bool),
    }
    parts = {
        "train": [recording("a", 7), recording("b", 3, fps=25.0)],
        "test": [recording("c", 5, optional=optional)],
    }
    write_store(tmp_path / "new" / "store", INFO, parts)
    store = ClipStore.open(tmp_path / "new" / "store")
    assert (store.dataset, store.target_kind, store.skeleton) == ("sample", "camera", H36M_17)
    assert store.manifest["notes"] == ["a note"]
    train, test = store.split("train"), store.split("test")
    assert [(s.name, s.fps, s.start, s.stop, s.image_size) for s in train.sequences] == [
        ("a", 50.0, 0, 7, (1000, 1002)),
        ("b", 25.0, 7, 10, (1000, 1002)),
    ]
    wanted = np.concatenate([part.target for part in parts["train"]])
    np.testing.assert_array_equal(train.arrays["target"], wanted, strict=True)
    for sequence, part in zip(train.sequences, parts["train"], strict=True):
        np.testing.assert_allclose(train.keypoints_px(sequence), part.keypoints_px, rtol=0, atol=1e-4)
    assert set(train.arrays) == {"keypoints_norm", "target"}
    assert not any(array.flags.writeable for array in train.arrays.values())
    assert list(store.manifest["units"]) == ["keypoints_norm", "target", "truth_mm", "factor", "valid"]
    assert store.manifest["units"]["target"] == "metres, camera frame"
    np.testing.assert_array_equal(test.arrays["truth_mm"], optional["truth_mm"].astype(np.float32))
    np.testing.assert_array_equal(test.arrays["factor"], optional["factor"], strict=True)
    np.testing.assert_array_equal(test.arrays["valid"], optional["valid"], strict=True)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["store"]


def test_short_videos_repeat_frames_at_random_as_published() -> None:
    """Each frame is the one before or after its even place, in order (MotionBERT's `resample`)."""
    even = np.linspace(0, 40, num=243, endpoint=False)
    drawn = []
    for seed in range(20):
        (window,) = split_of(40).windows(243, 81, seed=seed)
        rows = window.rows(243)
        assert np.array_equal(rows, window.rows(243))
        assert (np.diff(rows) >= 0).all()
        assert set(rows) <= set(range(40))
        drawn.append(rows)
    assert len({tuple(rows) for rows in drawn}) == 20
    # On average half a frame later than the even places that are no frame's own.
    above = np.mean(drawn, axis=0) - np.floor(even)
    assert above[(even % 1 > 0) & (even < 39)].mean() == pytest.approx(0.5, abs=0.05)
    (window,) = split_of(40).windows(243, 81)
    assert np.array_equal(window.rows(243), np.floor(even + 1e-9))


def test_published_windows() -> None:
    split = split_of(600, 243, 100)
    dropped = [(w.start, w.stop) for w in split.windows(243, 81)]
    assert dropped == [(i * 81, i * 81 + 243) for i in range(5)] + [(600, 843), (843, 943)]
    kept = [(w.start, w.stop) for w in split.windows(243, 243, tail="keep")]
    assert kept == [(0, 243), (243, 486), (486, 600), (600, 843), (843, 943)]


def test_short_windows_are_stretched_evenly() -> None:
    rows = split_of(5, 3).windows(9, 9)[1].rows(9)
    assert rows.tolist() == [5, 5, 5, 6, 6, 6, 7, 7, 7]


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4), frames=st.integers(1, 12))
def test_padded_windows_see_every_frame_in_their_middle(lengths: list[int], frames: int) -> None:
    split = split_of(*lengths)
    windows = split.windows(frames, 1, tail="pad")
    rows = [window.rows(frames) for window in windows]
    assert [row[(frames - 1) // 2] for row in rows] == list(range(len(split)))
    for window, row in zip(windows, rows, strict=True):
        assert len(row) == frames
        assert window.sequence.start <= row.min() <= row.max() < window.sequence.stop


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    frames=st.integers(1, 15),
    stride=st.integers(1, 15),
    tail=st.sampled_from(["drop", "keep", "pad"]),
)
def test_windows_are_read_as_their_rows_say(lengths: list[int], frames: int, stride: int, tail: Any) -> None:
    split = split_of(*lengths)
    windows = split.windows(frames, stride, tail=tail)
    assert {window.sequence.name for window in windows} == {s.name for s in split.sequences}
    for window in windows:
        clip = split.cut("target", window, frames)
        np.testing.assert_array_equal(clip, split.arrays["target"][window.rows(frames)])


def test_units_of_the_picture(tmp_path: Path) -> None:
    wide = recording("a", 6, image_size=(1920, 1080), optional={"factor": np.arange(1.0, 7.0)})
    image = replace(INFO, target="image")
    split = write_store(tmp_path / "store", image, {"train": [wide]}).split("train")
    keypoints, target = split.arrays["keypoints_norm"], split.arrays["target"]
    for array, source in ((keypoints, wide.keypoints_px), (target, wide.target)):
        np.testing.assert_allclose(array[..., 0], source[..., 0] / 960 - 1, atol=1e-6)
        np.testing.assert_allclose(array[..., 1], source[..., 1] / 960 - 1080 / 1920, atol=1e-6)
    np.testing.assert_array_equal(keypoints[..., 2], wide.keypoints_px[..., 2])
    depth_mm = wide.target[..., 2] * wide.optional["factor"][:, None]
    np.testing.assert_allclose(target[..., 2] * split.arrays["factor"][:, None], depth_mm, rtol=1e-6)
    np.testing.assert_allclose(split.keypoints_px(split.sequences[0]), wide.keypoints_px, rtol=0, atol=2e-4)


@pytest.mark.parametrize("skeleton", ["h36m-17", "mpi-17", "coco-17"])
def test_mirrored_clips(skeleton: str) -> None:
    """Joint by joint: x is negated, and what was the left hand's is the right hand's."""
    layout = get_skeleton(skeleton)
    clips = list(np.random.default_rng(0).normal(size=(3, 9, 17, 3)).astype(np.float32))
    stacked = stack(clips, layout, [True, False, True])
    assert not np.shares_memory(stacked, clips[1])
    np.testing.assert_array_equal(stacked[1], clips[1])
    for i in (0, 2):
        for joint in layout.joints:
            partner = joint.replace("left_", "RIGHT_").replace("right_", "left_").replace("RIGHT_", "right_")
            wanted = clips[i][:, layout.index(partner)] * np.array([-1, 1, 1])
            np.testing.assert_array_equal(stacked[i][:, layout.index(joint)], wanted)
    np.testing.assert_array_equal(stack(clips, layout), np.stack(clips))


def test_a_window_of_no_frames_is_refused() -> None:
    with pytest.raises(UserError, match="1 or more frames"):
        split_of(5).windows(0, 1)


def interrupted() -> Iterator[Recording]:
    yield recording("a", 4)
    raise KeyboardInterrupt


def full_disk() -> Iterator[Recording]:
    yield recording("a", 4)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_nothing_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "store"
    with pytest.raises(KeyboardInterrupt):
        write_store(path, INFO, {"train": interrupted()})
    with pytest.raises(UserError, match=r"cannot be written .*No space left"):
        write_store(path, INFO, {"train": full_disk()})
    assert not list(tmp_path.iterdir())


def test_an_old_store_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "store"
    write_store(path, INFO, {"train": [recording("old", 4)]})
    with pytest.raises(UserError, match="there is a store already"):
        write_store(path, INFO, {"train": [recording("new", 5)]})
    with pytest.raises(UserError, match="No space left"):
        write_store(path, INFO, {"train": full_disk()}, force=True)
    assert ClipStore.open(path).split("train").sequences[0].name == "old"
    write_store(path, INFO, {"train": [recording("new", 5)]}, force=True)
    assert ClipStore.open(path).split("train").sequences[0].name == "new"
    assert [child.name for child in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("refused", [1, 2], ids=["before the old one moves", "between the two renames"])
def test_an_interrupt_while_stores_change_places_leaves_the_old_one(
    refused: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store"
    write_store(path, INFO, {"train": [recording("old", 4)]})
    rename, calls = Path.rename, []

    def interrupted_rename(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == refused:
            raise KeyboardInterrupt
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", interrupted_rename)
        with pytest.raises(KeyboardInterrupt):
            write_store(path, INFO, {"train": [recording("new", 5)]}, force=True)
    assert len(calls) >= refused
    assert ClipStore.open(path).split("train").sequences[0].name == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["store"]


def test_force_never_replaces_anything_but_a_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UserError, match="expected a new folder for the store, found something else"):
        write_store(tmp_path, INFO, {"train": [recording("a", 4)]}, force=True)
    assert (tmp_path / "thesis.tex").exists()


def test_what_a_killed_preparation_left(tmp_path: Path) -> None:
    old, young = tmp_path / ".store.partial-0badcafe", tmp_path / ".store.partial-00c0ffee"
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (0, 0))
    with pytest.raises(UserError, match="found an interrupted preparation"):
        ClipStore.open(young)
    write_store(tmp_path / "store", INFO, {"train": [recording("a", 4)]})
    # One that was written to just now may belong to a preparation that runs.
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "store"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": np.zeros((4, 16, 3), np.float32)}, "a: target: expected the shape"),
        ({"target": np.zeros((3, 17, 3), np.float32)}, "a: target: expected the shape"),
        ({"optional": {"factor": np.ones(5)}}, "a: factor: expected the shape"),
        ({"fps": 0.0}, "a: fps: expected a positive"),
        ({"action": "Walk\ud800"}, r"action of a recording: expected text in Unicode, found 'Walk"),
    ],
)
def test_recordings_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_store(tmp_path / "store", INFO, {"train": [recording("a", 4, **changes)]})
    assert not list(tmp_path.iterdir())


def test_a_split_has_the_same_arrays_throughout_and_some_frames(tmp_path: Path) -> None:
    parts = [recording("a", 4), recording("b", 4, optional={"factor": np.ones(4)})]
    with pytest.raises(UserError, match="b: expected the arrays keypoints_norm, target, found"):
        write_store(tmp_path / "store", INFO, {"train": parts})
    with pytest.raises(UserError, match="split train: expected at least one sequence"):
        write_store(tmp_path / "store", INFO, {"train": []})


def change(**changes: Any) -> Any:
    def apply(path: Path) -> None:
        manifest = json.loads((path / "manifest.json").read_text())
        (path / "manifest.json").write_text(json.dumps({**manifest, **changes}))

    return apply


def cut(path: Path) -> None:
    array = path / "train" / "target.npy"
    array.write_bytes(array.read_bytes()[:-8])


def shift_sequence(path: Path) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["splits"]["train"]["sequences"][0]["stop"] = 3
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (change(version=1), "version of the store: expected 2, found 1"),
        (change(format="other"), "expected the manifest of a store, found something else"),
        (change(splits={"../..": {"frames": 0, "arrays": [], "sequences": []}}), "expected `str` matching"),
        (change(skeleton="octopus"), "unknown skeleton 'octopus'"),
        (change(target="moon"), "target: invalid enum value 'moon'"),
        (change(splits={"train": {}}), "missing required field `frames`"),
        (shift_sequence, "do not follow one another"),
        (cut, "target.npy: expected an array .* too few for it"),
        (lambda path: (path / "train" / "target.npy").unlink(), "target.npy: no such file"),
        (lambda path: np.save(path / "train" / "target.npy", np.ones(3)), r"expected float32 \(4, 17, 3\)"),
        (lambda path: (path / "manifest.json").write_text("{"), "manifest.json: expected JSON"),
        (lambda path: (path / "manifest.json").unlink(), "found a folder without one"),
    ],
)
def test_damaged_stores(tmp_path: Path, damage: Any, message: str) -> None:
    write_store(tmp_path / "store", INFO, {"train": [recording("a", 4)]})
    damage(tmp_path / "store")
    with pytest.raises(UserError, match=message):
        ClipStore.open(tmp_path / "store")


def test_no_store(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected the folder of a store, found nothing there"):
        ClipStore.open(tmp_path / "nowhere")
    store = write_store(tmp_path / "store", INFO, {"train": [recording("a", 4)]})
    with pytest.raises(UserError, match="split: expected one of train, found test"):
        store.split("test")
    with pytest.raises(UserError, match="found a file"):
        ClipStore.open(tmp_path / "store" / "manifest.json")


def test_a_window_is_a_plain_triple() -> None:
    sequence, start, stop, _ = split_of(5).windows(5, 1)[0]
    assert (sequence.name, start, stop) == ("0", 0, 5)
    assert Window(sequence, start, stop) == split_of(5).windows(5, 1)[0]


MANIFESTS = sorted((Path(__file__).parent / "inputs").glob("*.json"))


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.name)
def test_manifests_that_once_escaped(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.read_bytes())
    with pytest.raises(UserError):
        ClipStore.open(tmp_path)
