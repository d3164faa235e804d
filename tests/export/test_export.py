"""Exports by suffix: what is written, what is said, and that nothing is left of what fails."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import repose
from repose.cli import main
from repose.errors import UserError
from repose.export.formats import export_poses
from repose.pose import Pose3D
from repose.skeleton import Skeleton

SUFFIXES = (".bvh", ".trc", ".c3d", ".glb", ".usd", ".usda", ".csv", ".parquet", ".json")


@pytest.fixture
def result(walker: Pose3D, halting: Pose3D, tmp_path: Path) -> Path:
    """A result folder with two people."""
    repose.write_poses([walker, replace(halting, track_id=7)], tmp_path / "result")
    return tmp_path / "result"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_two_lines_of_python(result: Path, tmp_path: Path, suffix: str) -> None:
    poses = repose.read_poses(result)
    export = repose.export_poses(poses, tmp_path / "out" / f"walk{suffix}")
    several = suffix not in (".bvh", ".trc", ".c3d")
    names = [f"walk{suffix}"] if several else [f"walk_person_3{suffix}", f"walk_person_7{suffix}"]
    assert [path.name for path in export.files] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    said = " ".join(export.notes)
    assert ("holds one person" in said) == (not several)
    if suffix in (".csv", ".parquet", ".json"):
        assert "the origin is the camera" in said
    else:
        assert "the camera is taken to be level" in said
        assert "Scale: the truth" in said
        assert "Person 7 has no pose in frames 80–99" in said


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_need_no_english_letters(walker: Pose3D, tmp_path: Path, suffix: str) -> None:
    """Of the file, of a joint and of the model."""
    still = Skeleton("läufer", (*walker.skeleton.joints, "rücken"), (*walker.skeleton.parents, 0))
    arrays = ("joints_m", "seen", "confidence", "deviation_m", "points_px")
    twice = {name: getattr(walker, name)[:, [*range(17), 0]] for name in arrays}
    pose = replace(walker, **twice, skeleton=still, model="模型", scale="die Größe")
    export = repose.export_poses([pose], tmp_path / f"läufer 走{suffix}")
    assert [path.name for path in export.files] == [f"läufer 走{suffix}"]
    if suffix in (".trc", ".csv", ".json", ".usda"):
        text = export.files[0].read_text(encoding="utf-8")
        assert "ü" in text


def test_a_name_with_tabs_does_not_break_the_table(walker: Pose3D, tmp_path: Path) -> None:
    (path,) = repose.export_poses([walker], tmp_path / "a\tb\nc.trc").files
    assert path.read_text(encoding="utf-8").startswith("PathFileType\t4\t(X/Y/Z)\ta b c.trc\nDataRate")


def test_upright_formats_agree(result: Path, tmp_path: Path) -> None:
    """Blender, OpenSim and USD must show one and the same motion."""
    from pxr import Usd, UsdSkel

    from repose.mocap.bvh import read_bvh

    poses = repose.read_poses(result)[:1]
    for suffix in (".bvh", ".usd", ".trc"):
        repose.export_poses(poses, tmp_path / f"walk{suffix}")
    motion = read_bvh(tmp_path / "walk.bvh")
    stage = Usd.Stage.Open(str(tmp_path / "walk.usd"))
    cache = UsdSkel.Cache()
    cache.Populate(UsdSkel.Root.Get(stage, "/World/person_3"), Usd.PrimDefaultPredicate)
    query = cache.GetSkelQuery(UsdSkel.Skeleton.Get(stage, "/World/person_3/skeleton"))
    names = [path.rpartition("/")[2] for path in query.GetJointOrder()]
    row = 33
    places = [matrix.ExtractTranslation() for matrix in query.ComputeJointSkelTransforms(60.0 + row)]
    order = [motion.joints.index(name) for name in names]
    np.testing.assert_allclose(motion.positions_m[row, order], places, atol=1e-5)
    cells = (tmp_path / "walk.trc").read_text().splitlines()[6 + row].split("\t")
    np.testing.assert_allclose(np.array(cells[2:5], dtype=float), motion.positions_m[row, 0], atol=1e-5)


def test_a_varying_frame_rate_is_said(walker: Pose3D, tmp_path: Path) -> None:
    times_s = walker.times_s + np.where(walker.frames % 2, 0.01, 0)
    export = export_poses([replace(walker, times_s=times_s)], tmp_path / "walk.trc")
    assert "Person 3: the frame rate varies; interpolated at 30 Hz." in export.notes
    assert "varies" not in " ".join(export_poses([walker], tmp_path / "walk.c3d").notes)
    assert "varies" not in " ".join(export_poses([walker], tmp_path / "walk.glb").notes)


def test_the_command_line_says_what_it_did(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(result), str(tmp_path / "walk.bvh"), "--person", "7", "--unit", "m"])
    said = capsys.readouterr().out
    assert f"Written: {tmp_path / 'walk.bvh'}" in said
    assert "frames 80–99: passed through in a straight line" in said
    main(["export", str(result), str(tmp_path / "for-opensim"), "--to", "opensim", "--osim", "mine.osim"])
    assert "person_7_ik.xml" in capsys.readouterr().out
    assert len(list((tmp_path / "for-opensim").iterdir())) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["walk.fbx"], "expected a name ending in .bvh, .trc, .c3d, .glb"),
        (["walk"], "found 'none'"),
        (["walk.glb", "--unit", "m"], "unit: expected a BVH file"),
        (["walk.glb", "--person", "5"], "no person 5: there are 3, 7"),
        (["there.glb"], "there.glb: is there already"),
        (["there.glb/walk.glb"], "expected a folder for the results, found a file"),
        (["/proc/nowhere/walk.glb"], "cannot write results"),
        (["there.glb", "--to", "opensim"], "expected a folder for the results, found a file"),
    ],
)
def test_mistakes_are_said_and_leave_nothing(
    result: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.glb").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["export", "result", *arguments])
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result", "there.glb"]
    assert (tmp_path / "there.glb").read_text() == "mine"


def test_a_result_of_another_version_is_refused(
    result: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with np.load(result / "poses.npz") as arrays:
        np.savez(result / "poses.npz", **{**arrays, "version": np.array(99)})
    with pytest.raises(SystemExit) as stop:
        main(["export", str(result), str(tmp_path / "walk.glb")])
    assert stop.value.code == 2
    assert "found 99" in capsys.readouterr().err
    assert not (tmp_path / "walk.glb").exists()


def test_a_full_disk_leaves_what_was_there(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_poses([walker], tmp_path / "walk.trc")
    before = (tmp_path / "walk.trc").read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("repose.export.formats._FORMATS", {".trc": replace_writer(full)})
    with pytest.raises(UserError, match="No space left"):
        export_poses([walker], tmp_path / "walk.trc", force=True)
    assert (tmp_path / "walk.trc").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["walk.trc"]


def replace_writer(write: object) -> object:
    from repose.export import formats as export

    return replace(export._FORMATS[".trc"], write=write)  # type: ignore[arg-type]


def test_people_that_cannot_be_written_are_refused(walker: Pose3D, tmp_path: Path) -> None:
    nobody = replace(
        walker,
        **{
            name: getattr(walker, name)[:0]
            for name in ("joints_m", "seen", "frames", "times_s", "confidence")
        },
        deviation_m=None,
        points_px=None,
    )
    for poses, message in (
        ([], "at least one track"),
        ([walker, walker], "2 tracks called 3"),
        ([nobody], "person 3: expected at least one frame"),
    ):
        for export in (repose.export_poses, repose.export_opensim):
            with pytest.raises(UserError, match=message):
                export(poses, tmp_path / "walk.glb")
    assert not list(tmp_path.iterdir())
