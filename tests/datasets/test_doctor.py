"""The doctor of stores: sound ones pass, and every fault is found where it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repose.cli import main
from repose.datasets.doctor import examine
from repose.datasets.gallery import draw_sheet
from repose.datasets.prepare import prepare_mocap, prepare_sample
from repose.datasets.projected import ProjectionConfig
from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.skeleton import H36M_17
from repose.synthetic.procedural import ProceduralConfig, make_motion

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One store with targets in image units, one in metres."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "motions").mkdir()
    gait = ProceduralConfig(clips=2, seconds=3, fps=50.0, p_gait=1.0)
    for i, motion in enumerate(make_motion(gait, 6)):
        np.savez(folder / "motions" / f"clip_{i}.npz", joints_m=motion, fps=50.0)
    prepare_mocap(folder / "motions", folder / "camera", ProjectionConfig(cameras=2))
    prepare_sample(folder / "image")
    return {"camera": folder / "camera", "image": folder / "image"}


def verdicts(path: Path, change: Callable[[Arrays], None]) -> dict[str, str]:
    """The doctor's verdicts on the split "train" after a change to its arrays, in memory alone."""
    store = ClipStore.open(path)
    split = store.split("train")
    arrays = {name: np.array(array) for name, array in split.arrays.items()}
    change(arrays)
    changed = type(split)(split.name, split.sequences, arrays, split.skeleton)
    sick = ClipStore(store.path, store.manifest, store.skeleton, {"train": changed})
    return {finding.check: finding.verdict for finding in examine(sick) if finding.verdict != "ok"}


@pytest.mark.parametrize("kind", ["camera", "image"])
def test_sound_stores_pass(stores: dict[str, Path], kind: str) -> None:
    findings = examine(ClipStore.open(stores[kind]))
    assert {finding.verdict for finding in findings} == {"ok"}
    assert len(findings) == 2 * len({finding.check for finding in findings})


def exchange(array: str) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[array][:] = arrays[array][:, list(H36M_17.mirror)]

    return change


def flip_depth(arrays: Arrays) -> None:
    depth = arrays["target"][..., 2]
    depth[:] = 2 * depth.mean() - depth


def lengthen_arm(arrays: Arrays) -> None:
    elbow, wrist = (arrays["target"][:, H36M_17.index(f"left_{joint}")] for joint in ("elbow", "wrist"))
    wrist += wrist - elbow


def stretch_now_and_then(arrays: Arrays) -> None:
    arrays["target"][::3, H36M_17.index("right_wrist")] *= 1.3


def scale(array: str, by: float) -> Callable[[Arrays], None]:
    def change(arrays: Arrays) -> None:
        arrays[array] *= by

    return change


def spoil(arrays: Arrays) -> None:
    arrays["keypoints_norm"][7, 3, 0] = np.nan


def sure(arrays: Arrays) -> None:
    arrays["keypoints_norm"][::2, :, 2] = 1.5


def shuffle(arrays: Arrays) -> None:
    order = np.random.default_rng(0).permutation(100)
    for array in arrays.values():
        array[:100] = array[:100][order]


def freeze(arrays: Arrays) -> None:
    arrays["target"][:] = arrays["target"][np.arange(len(arrays["target"])) // 2 * 2]


@pytest.mark.parametrize(
    ("kind", "change", "check", "verdict"),
    [
        ("camera", spoil, "finite values", "problem"),
        ("camera", scale("keypoints_norm", 3), "2D in the picture", "problem"),
        ("camera", sure, "confidence", "warning"),
        ("camera", scale("target", -1), "place in 3D", "problem"),
        ("camera", scale("target", 1000), "body size", "problem"),
        ("camera", stretch_now_and_then, "bone lengths", "warning"),
        ("camera", lengthen_arm, "symmetry", "warning"),
        ("camera", exchange("target"), "knees", "problem"),
        ("camera", exchange("target"), "sides", "problem"),
        ("camera", exchange("keypoints_norm"), "sides", "problem"),
        ("camera", shuffle, "jumps", "problem"),
        ("camera", freeze, "repeated frames", "warning"),
        ("image", flip_depth, "knees", "problem"),
        ("image", exchange("keypoints_norm"), "sides", "problem"),
        ("image", scale("factor", 2), "truth", "problem"),
        ("image", scale("target", 1000), "place in 3D", "problem"),
    ],
)
def test_every_fault_is_found(
    stores: dict[str, Path], kind: str, change: Any, check: str, verdict: str
) -> None:
    found = verdicts(stores[kind], change)
    assert found.get(check) == verdict, found


def test_the_sheet_is_a_picture(stores: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw_sheet(ClipStore.open(stores["camera"]), tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="expected a folder to write to"):
        draw_sheet(ClipStore.open(stores["camera"]), tmp_path / "nowhere" / "sheet.png")


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str], parity: Path) -> None:
    pytest.importorskip("matplotlib")
    store = str(tmp_path / "store")
    main(["prepare", "sample", "-o", store])
    assert "Check it: repose doctor" in capsys.readouterr().out
    main(["doctor", store, "--sheet", str(tmp_path / "sheet.png")])
    assert (tmp_path / "sheet.png").exists()
    assert "2D in the picture" in capsys.readouterr().out
    for arguments in (
        ["prepare", "sample", "-o", store],
        ["prepare", "human36m", str(parity / "alphapose" / "expected.npz"), "-o", store + "2"],
        ["prepare", "mpi-inf-3dhp", str(parity / "alphapose"), "-o", store + "2"],
        ["prepare", "mocap", str(parity), "-o", store + "2"],
        ["doctor", str(tmp_path)],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "Error:" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sheet.png", "store"]


def test_problems_end_with_code_2(
    stores: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    prepare_mocap(stores["camera"].parent / "motions", tmp_path / "store", ProjectionConfig(cameras=1))
    array = np.load(tmp_path / "store" / "train" / "target.npy", mmap_mode="r+")
    array[3, 2, 1] = np.nan
    array.flush()
    with pytest.raises(SystemExit) as stopped:
        main(["doctor", str(tmp_path / "store")])
    assert stopped.value.code == 2
    printed = capsys.readouterr()
    assert "problem" in printed.out
    assert (tmp_path / "store" / "sheet.png").exists()
