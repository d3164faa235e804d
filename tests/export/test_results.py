"""Result files: exact round trip, self-description, and nothing half-written."""

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repose.errors import UserError
from repose.export import results
from repose.export.results import read_poses, write_npz, write_poses
from repose.files.output import check_output, stage
from repose.pose import Pose3D
from repose.skeleton import SKELETONS, Skeleton

FILES = ["poses.csv", "poses.json", "poses.npz"]


def pose_3d(seed: int = 0, count: int = 5, skeleton: Any = "h36m-17", **changes: Any) -> Pose3D:
    rng = np.random.default_rng(seed)
    joints = len(SKELETONS.get(skeleton, skeleton))
    values: dict[str, Any] = {
        "joints_m": rng.normal(size=(count, joints, 3)).astype(np.float32),
        "seen": rng.random((count, joints)) < 0.6,
        "frames": 3 + np.cumsum(rng.integers(1, 4, count)),
        "fps": 59.94,
        "skeleton": skeleton,
        "track_id": seed + 4,
        "coordinates": "camera",
        "scale": "metric: height 1.7 m (assumed)",
        "confidence": rng.random((count, joints)).astype(np.float32),
        "points_px": rng.uniform(0, 1900, (count, joints, 2)).astype(np.float32),
        "image_size": (1080, 1920),
        "intrinsics_px": (1234.5, 1234.25, 540.0, 960.0),
        "deviation_m": rng.uniform(0, 0.2, (count, joints)).astype(np.float32),
        "T_cam_world": np.vstack([rng.normal(size=(3, 4)), [0, 0, 0, 1]]),
        "model": "default 1.0",
        "record": {
            "assumed": ["fps"],
            "residual_px": 3.25,
            "nested": {"gaps": [[1, 2], [5, 9]], "none": None},
        },
    }
    return Pose3D(**{**values, **changes})


def assert_same(here: Pose3D, there: Pose3D) -> None:
    for name in (
        "joints_m",
        "seen",
        "frames",
        "confidence",
        "points_px",
        "times_s",
        "deviation_m",
        "T_cam_world",
    ):
        one, other = getattr(here, name), getattr(there, name)
        if one is None or other is None:
            assert one is None
            assert other is None
        else:
            assert one.dtype == other.dtype, name
            np.testing.assert_array_equal(one, other, err_msg=name, strict=True)
    for name in (
        "fps",
        "skeleton",
        "track_id",
        "coordinates",
        "scale",
        "image_size",
        "intrinsics_px",
        "model",
    ):
        assert getattr(here, name) == getattr(there, name), name
    assert here.record == there.record


# Round trip

numbers = st.floats(-1e6, 1e6) | st.integers(-(2**40), 2**40)
records = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        st.none() | st.booleans() | numbers | st.text(max_size=6), lambda x: st.lists(x, max_size=3)
    ),
    max_size=3,
)
changes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "frames": st.integers(0, 6),
        "track_id": st.integers(0, 10**6),
        "fps": st.floats(0.1, 10_000),
        "scale": st.text(max_size=8),
        "model": st.text(max_size=8),
        "coordinates": st.sampled_from(["camera", "camera-root-relative", "world"]),
        "image_size": st.none() | st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
        "intrinsics_px": st.none() | st.tuples(*[st.floats(1e-3, 1e4)] * 2, *[st.floats(-1e4, 1e4)] * 2),
        "record": records,
        "double": st.booleans(),
        "without_points": st.booleans(),
        "without_deviation": st.booleans(),
        "uneven_times": st.booleans(),
    }
)


def build(
    seed: int,
    frames: int,
    double: bool,
    without_points: bool,
    without_deviation: bool,
    uneven_times: bool,
    **changes: Any,
) -> Pose3D:
    rng = np.random.default_rng(seed)
    if double:
        changes["joints_m"] = rng.normal(size=(frames, 17, 3))
    if without_points:
        changes["points_px"] = None
    if without_deviation:
        changes["deviation_m"] = None
        if changes["coordinates"] != "world":
            changes["T_cam_world"] = None
    if uneven_times:
        changes["times_s"] = np.cumsum(rng.uniform(0.01, 0.1, frames))
    numbers = np.cumsum(rng.integers(1, 4, frames))
    return pose_3d(seed, len(numbers), frames=numbers, **changes)


@given(several=st.lists(changes, min_size=1, max_size=3))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_results_come_back_exactly(tmp_path: Path, several: list[dict[str, Any]]) -> None:
    poses = [build(**changes) for changes in several]
    write_poses(poses, tmp_path / "out", force=True)
    for path in (tmp_path / "out", tmp_path / "out" / "poses.npz"):
        back = read_poses(path)
        assert len(back) == len(poses)
        for here, there in zip(poses, back, strict=True):
            assert_same(here, there)


@pytest.mark.parametrize("layout", SKELETONS)
def test_every_layout_comes_back(tmp_path: Path, layout: str) -> None:
    write_poses([pose_3d(skeleton=layout)], tmp_path / "out")
    assert_same(read_poses(tmp_path / "out")[0], pose_3d(skeleton=layout))


def test_a_skeleton_of_ones_own_comes_back(tmp_path: Path) -> None:
    pose = pose_3d(skeleton=Skeleton("stick", ("foot", "head"), (-1, 0)))
    write_poses([pose], tmp_path / "out")
    assert_same(read_poses(tmp_path / "out")[0], pose)


def test_record_becomes_plain_json(tmp_path: Path) -> None:
    record = {
        "a": (1, 2),
        "b": np.float32(0.5),
        "c": np.arange(3),
        "d": float("nan"),
        5: Path("x"),
        "e": np.bool_(1),
    }
    write_poses([pose_3d(record=record)], tmp_path / "out")
    wanted = {"a": [1, 2], "b": 0.5, "c": [0, 1, 2], "d": None, "5": "x", "e": True}
    assert read_poses(tmp_path / "out")[0].record == wanted


# Each file describes itself

ABOUT = {
    "format": "repose-poses",
    "version": 2,
    "track_id": 4,
    "skeleton": "h36m-17",
    "joints": list(SKELETONS["h36m-17"].joints),
    "parents": [
        None, "pelvis", "right_hip", "right_knee", "pelvis", "left_hip", "left_knee", "pelvis", "spine",
        "thorax", "nose", "thorax", "left_shoulder", "left_elbow", "thorax", "right_shoulder", "right_elbow",
    ],
    "units": {"joints": "m", "deviation": "m", "points": "px", "times": "s", "intrinsics": "px"},
    "axes": "x right, y down, z forward",
    "coordinates": "camera",
    "coordinate_frame": "camera: the origin is the camera",
    "fps": 59.94,
    "scale": "metric: height 1.7 m (assumed)",
    "model": "default 1.0",
    "image_size": [1080, 1920],
    "intrinsics_px": [1234.5, 1234.25, 540.0, 960.0],
    "distortion": None,
    "T_cam_world": pose_3d().T_cam_world.tolist(),  # type: ignore[union-attr]
    "record": {"assumed": ["fps"], "residual_px": 3.25, "nested": {"gaps": [[1, 2], [5, 9]], "none": None}},
}  # fmt: skip


def test_npz_describes_itself_without_repose(tmp_path: Path) -> None:
    poses = [pose_3d(), pose_3d(1, count=3)]
    write_poses(poses, tmp_path / "out")
    file = np.load(tmp_path / "out" / "poses.npz", allow_pickle=False)
    assert set(file.files) == {
        "format", "version", "skeleton", "joints", "parents", "units", "coordinates", "fps", "about", "rows",
        "track_id", "frames", "times_s", "joints_m", "seen", "confidence", "deviation_m", "points_px",
        "R_view_cam",
    }  # fmt: skip
    about = json.loads(str(file["about"][0]))
    assert about.pop("dtypes") == {
        **dict.fromkeys(("joints_m", "confidence", "deviation_m", "points_px"), "float32"),
        "T_cam_world": "float64",
        "R_view_cam": None,
    }
    assert about == ABOUT
    assert file["track_id"].tolist() == [4] * 5 + [5] * 3
    assert file["joints"].tolist() == ABOUT["joints"]
    assert file["parents"].tolist() == list(SKELETONS["h36m-17"].parents)
    for pose, (start, stop) in zip(poses, file["rows"], strict=True):
        assert (file["joints_m"][start:stop] == pose.joints_m).all()
        assert (file["frames"][start:stop] == pose.frames).all()


def test_json_describes_itself(tmp_path: Path) -> None:
    poses = [pose_3d(), pose_3d(1, count=3, points_px=None, deviation_m=None)]
    write_poses(poses, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "poses.json").read_text())
    assert (content["format"], content["version"], len(content["tracks"])) == ("repose-poses", 2, 2)
    frames = content["tracks"][0].pop("poses")
    assert content["tracks"][0] == ABOUT
    assert [frame["frame"] for frame in frames] == poses[0].frames.tolist()
    for row, frame in enumerate(frames):
        assert frame["time_s"] == pytest.approx(poses[0].times_s[row], abs=1e-6)
        np.testing.assert_allclose(frame["joints_m"], poses[0].joints_m[row], atol=0.6e-5)
        np.testing.assert_allclose(frame["points_px"], poses[0].points_px[row], atol=0.6e-2)  # type: ignore[index]
        np.testing.assert_allclose(frame["confidence"], poses[0].confidence[row], atol=0.6e-4)
        np.testing.assert_allclose(frame["deviation_m"], poses[0].deviation_m[row], atol=0.6e-4)  # type: ignore[index]
        assert frame["seen"] == poses[0].seen[row].tolist()
    assert not {"points_px", "deviation_m"} & set(content["tracks"][1]["poses"][0])


def test_csv_describes_itself_and_opens_as_a_table(tmp_path: Path) -> None:
    poses = [pose_3d(), pose_3d(1, count=3, points_px=None, deviation_m=None)]
    write_poses(poses, tmp_path / "out")
    with (tmp_path / "out" / "poses.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:3] == ["track_id", "frame", "time_s"]
    assert list(rows[0])[3:11] == [
        "pelvis_x_m", "pelvis_y_m", "pelvis_z_m", "pelvis_deviation_m", "pelvis_seen", "pelvis_confidence",
        "pelvis_u_px", "pelvis_v_px",
    ]  # fmt: skip
    assert len(rows[0]) == 3 + 17 * 8 + 1
    assert [int(row["track_id"]) for row in rows] == [4] * 5 + [5] * 3
    assert json.loads(rows[0]["about"]) == ABOUT
    assert [bool(row["about"]) for row in rows] == [True] + [False] * 4 + [True] + [False] * 2
    knee = SKELETONS["h36m-17"].index("left_knee")
    for row, line in enumerate(rows[:5]):
        assert int(line["frame"]) == poses[0].frames[row]
        assert float(line["time_s"]) == pytest.approx(poses[0].times_s[row], abs=1e-6)
        place = [float(line[f"left_knee_{axis}_m"]) for axis in "xyz"]
        np.testing.assert_allclose(place, poses[0].joints_m[row, knee], atol=0.6e-5)
        assert line["left_knee_seen"] == str(int(poses[0].seen[row, knee]))
        assert float(line["left_knee_confidence"]) == pytest.approx(
            poses[0].confidence[row, knee], abs=0.6e-4
        )
        pixel = [float(line[f"left_knee_{axis}_px"]) for axis in "uv"]
        np.testing.assert_allclose(pixel, poses[0].points_px[row, knee], atol=0.6e-2)  # type: ignore[index]
        deviation = poses[0].deviation_m[row, knee]  # type: ignore[index]
        assert float(line["left_knee_deviation_m"]) == pytest.approx(deviation, abs=0.6e-4)
    assert rows[5]["left_knee_u_px"] == rows[5]["left_knee_deviation_m"] == ""


def test_another_file_of_the_folder_is_pointed_back(tmp_path: Path) -> None:
    write_poses([pose_3d()], tmp_path / "out")
    with pytest.raises(UserError) as error:
        read_poses(tmp_path / "out" / "poses.csv")
    assert error.value.message.endswith("expected a result folder, or its poses.npz, found another file")
    assert error.value.hint == "Give a folder that repose estimate wrote."


# Whole or not at all


def test_existing_results_ask_for_force(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_poses([pose_3d()], out)
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError) as error:
        write_poses([pose_3d(1)], out)
    assert error.value.message == f"{out}: has poses.npz, poses.json, poses.csv already"
    assert error.value.hint == "Choose another folder, or overwrite with --force."
    assert_same(read_poses(out)[0], pose_3d())
    write_poses([pose_3d(1)], out, force=True)
    assert_same(read_poses(out)[0], pose_3d(1))
    assert sorted(file.name for file in out.iterdir()) == ["notes.txt", *FILES]


def test_a_file_in_the_way_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UserError) as error:
        write_poses([pose_3d()], tmp_path / "out", force=True)
    assert error.value.message == f"{tmp_path / 'out'}: expected a folder for the results, found a file"
    assert (tmp_path / "out").read_text() == "mine"


def test_an_existing_folder_with_other_files_is_used(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("mine")
    check_output(tmp_path, FILES)
    write_poses([pose_3d()], tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["clip.mp4", *FILES]


def test_nothing_to_write_and_two_skeletons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        write_poses([], tmp_path / "out")
    assert error.value.message == "no poses to write: expected at least one track, found none"
    with pytest.raises(UserError) as error:
        write_poses([pose_3d(), pose_3d(skeleton="mpi-17")], tmp_path / "out")
    assert error.value.message == "poses: expected one skeleton for all tracks, found h36m-17 and mpi-17"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("writer", ["write_npz", "write_json", "write_csv"])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_write_that_stops_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: Any, writer: str, there: bool, failure: BaseException
) -> None:
    out = tmp_path / "deep" / "out"
    if there:
        write_poses([pose_3d()], out)

    def fail(poses: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(results, writer, fail)
    with pytest.raises((UserError, KeyboardInterrupt)) as error:
        write_poses([pose_3d(1)], out, force=True)
    if isinstance(failure, OSError):
        assert isinstance(error.value, UserError)
        assert error.value.message == f"{out}: cannot write results (No space left on device)"
        assert error.value.hint == "Nothing was kept. Free some disk space, or choose another folder."
    else:
        assert isinstance(error.value, KeyboardInterrupt)
    if there:
        assert sorted(file.name for file in out.iterdir()) == FILES
        assert_same(read_poses(out)[0], pose_3d())
    else:
        assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError) as error:
        write_poses([pose_3d()], tmp_path / "file" / "out")
    assert error.value.message == f"{tmp_path / 'file' / 'out'}: cannot write results (Not a directory)"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk that is always full")
def test_a_really_full_disk(tmp_path: Path) -> None:
    def write() -> None:
        with stage(tmp_path / "out", ["poses.csv"]) as partial:
            (partial / "poses.csv").symlink_to("/dev/full")
            results.write_csv([pose_3d()], partial / "poses.csv")

    with pytest.raises(UserError, match="cannot write results \\(No space left on device\\)"):
        write()
    assert not list(tmp_path.iterdir())


def test_new_folders_have_ordinary_permissions(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write_poses([pose_3d()], tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "plain").stat().st_mode


ABOUTS = sorted((Path(__file__).parent / "inputs").glob("*.json"))


def with_about(path: Path, about: str) -> Path:
    """A result of 287 frames whose `about` is this text."""
    write_npz([pose_3d(count=287)], path)
    arrays = dict(np.load(path))
    np.savez(path, **{**arrays, "about": np.array([about])})
    return path


@pytest.mark.parametrize("about", ABOUTS, ids=lambda path: path.name)
def test_results_that_were_read_and_crashed_later(about: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"poses.npz: track 0: "):
        read_poses(with_about(tmp_path / "poses.npz", about.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parents": ["head", "foot"]}, "without a circle"),
        ({"parents": [None, "hand"]}, "not in tuple"),
        ({"joints": ["foot", "foot"]}, "distinct"),
        ({"joints": ["left_foot", "head"], "parents": [None, None]}, "partner"),
        ({"fps": 1e-9}, "track 0: fps: expected 0.1 to 10,000"),
        ({"image_size": [640, 10**9]}, "image_size"),
        ({"intrinsics_px": [0, 1, 2, 3]}, "intrinsics_px"),
        ({"T_cam_world": [[1, 2, 3]]}, "T_cam_world"),
        ({"model": ["a"]}, "model: expected `str`"),
        ({"dtypes": {"joints_m": "U99999999", "confidence": "float32"}}, "dtypes"),
        ({"record": {"swaps_undone": {"arms": [[1]]}}}, "record: swaps_undone"),
        ({"record": {"frames_lost_in_file": 3}}, "record: frames_lost_in_file"),
        ({"record": {"video": 3}}, "record: video"),
    ],
)
def test_every_field_of_about_is_checked(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    pose = pose_3d(count=287, skeleton=Skeleton("stick", ("foot", "head"), (-1, 0)))
    kinds = {"joints_m": "float32", "confidence": "float32", "points_px": "float32", "deviation_m": "float32"}
    about = {**results.describe(pose), "dtypes": {**kinds, "T_cam_world": "float64"}, **change}
    write_npz([pose], tmp_path / "poses.npz")
    arrays = dict(np.load(tmp_path / "poses.npz"))
    np.savez(tmp_path / "poses.npz", **{**arrays, "about": np.array([json.dumps(about)])})
    with pytest.raises(UserError, match=message):
        read_poses(tmp_path)


def test_about_nested_a_hundred_thousand_deep(tmp_path: Path) -> None:
    deep = '{"record": {"a": ' + "[" * 100_000 + "]" * 100_000 + "}}"
    with pytest.raises(UserError, match=r"track 0: expected values nested"):
        read_poses(with_about(tmp_path / "poses.npz", deep))


def test_frames_that_are_dates_are_noticed() -> None:
    with pytest.raises(UserError, match="looks like a date"):
        pose_3d(count=2, frames=np.array([0, 10**9]))
