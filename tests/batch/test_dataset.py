"""The data set of a batch, as others read it and as we do."""

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from simulated import make_pose

import repose
from repose.batch.dataset import VideoRow, open_output, write_table, write_video
from repose.errors import UserError
from repose.export.parquet import read_frames, write_frames
from repose.pipeline import EstimateOptions
from repose.pose import Pose3D


@pytest.fixture
def poses() -> list[Pose3D]:
    turns = Rotation.from_rotvec(np.linspace([0, 0, 0], [0.1, 0.5, -0.2], 7)).as_matrix().astype(np.float32)
    return [
        make_pose("a", 7, R_view_cam=turns, distortion=(0.1, 0.02, 0.003, -0.004, 0.0)),
        make_pose("b", 5, track_id=4, deviation_m=None, points_px=None),
    ]


@pytest.fixture
def folder(tmp_path: Path, poses: list[Pose3D]) -> Path:
    folder = tmp_path / "out"
    open_output(folder, EstimateOptions(height_m=1.8))
    done = VideoRow(name="walk-1", source="/clips/walk.mp4", status="done").about(poses)
    write_video(folder, done, poses)
    one = replace(poses[0], record={**poses[0].record, "swaps_undone": {}}, intrinsics_px=None)
    write_video(folder, VideoRow(name="run-2", source="/clips/run.mp4", status="done").about([one]), [one])
    write_video(
        folder, VideoRow(name="jump-3", source="s3://b/jump.mp4", status="failed", message="cut off"), []
    )
    return folder


def same(here: Pose3D, there: Pose3D) -> None:
    arrays = "joints_m", "seen", "frames", "times_s", "confidence", "deviation_m", "points_px", "R_view_cam"
    for name in arrays:
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))
    for name in (
        "track_id",
        "fps",
        "skeleton",
        "coordinates",
        "scale",
        "intrinsics_px",
        "distortion",
        "image_size",
        "record",
    ):
        assert getattr(here, name) == getattr(there, name)


def test_poses_come_back(folder: Path, poses: list[Pose3D]) -> None:
    batch = repose.read_batch(folder)
    assert sorted(batch) == ["run-2", "walk-1"]
    for here, there in zip(batch["walk-1"], poses, strict=True):
        same(here, there)
    assert (
        batch.find("walk.mp4").name
        == batch.find("walk").name
        == batch.find("/clips/walk.mp4").name
        == "walk-1"
    )
    with pytest.raises(UserError, match="expected one video of this batch, found none"):
        batch.find("absent")
    with pytest.raises(KeyError):
        batch["../batch"]
    with pytest.raises(UserError, match="there are no poses, cut off"):
        batch["jump-3"]
    with pytest.raises(UserError, match="a folder that repose batch wrote"):
        repose.read_batch(folder / "poses")


def test_pandas_duckdb_and_polars_read_it(folder: Path, poses: list[Pose3D]) -> None:
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    file, pattern = folder / "poses" / "walk-1.parquet", folder / "poses" / "*.parquet"
    expected = np.concatenate([pose.joints_m for pose in poses])
    table = pandas.read_parquet(file)
    np.testing.assert_array_equal(np.stack(table.joints_m).reshape(-1, 17, 3), expected)
    assert pandas.read_parquet(folder / "poses").groupby("video").size().to_dict() == {
        "run-2": 7,
        "walk-1": 12,
    }
    frame = polars.read_parquet(file)
    np.testing.assert_array_equal(frame["joints_m"].to_numpy().reshape(-1, 17, 3), expected)
    assert frame.schema["seen"] == polars.Array(polars.Boolean, 17)
    lists = duckdb.sql(f"select joints_m from '{file}'").fetchall()
    np.testing.assert_array_equal(np.array(lists).reshape(-1, 17, 3), expected)
    rows = duckdb.sql(f"select video, count(*) from '{pattern}' group by video order by video").fetchall()
    assert rows == [("run-2", 7), ("walk-1", 12)]
    ((about,),) = duckdb.sql(
        f"select decode(value) from parquet_kv_metadata('{file}') where decode(key) = 'repose'"
    ).fetchall()
    first = json.loads(about)[0]
    assert (first["units"]["joints"], first["coordinates"]) == ("m", "camera")
    assert first["joints"] == list(poses[0].skeleton.joints)


def test_the_table_of_videos(folder: Path) -> None:
    summary = write_table(repose.read_batch(folder))
    assert (summary.done, summary.failed, summary.frames) == (2, 1, 19)
    assert [row.name for row in summary.worst["most swaps"]] == ["walk-1"]
    assert [row.name for row in summary.failures] == ["jump-3"]
    assert summary.worst["least seen"][0].seen_share == min(
        row.seen_share for row in repose.read_batch(folder).rows() if row.seen_share is not None
    )
    rows = (
        duckdb.sql(f"select * from '{folder / 'videos.parquet'}' order by name").fetchdf().to_dict("records")
    )
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    jump, run, walk = rows
    assert (jump["message"], jump["source"], jump["frames"]) == ("cut off", "s3://b/jump.mp4", 0)
    assert (walk["people"], walk["frames"], walk["frames_swapped"], walk["seconds"]) == (2, 12, 3, 0.24)
    assert list(walk["assumed"]) == ["height"]
    assert any("assumed height 1.70 m" in line for line in walk["messages"])
    assert walk["residual"] > 0
    assert np.isnan(run["residual"])


def test_other_options_are_refused(folder: Path) -> None:
    open_output(folder, EstimateOptions(height_m=1.8, device="cpu"))
    with pytest.raises(UserError, match=r"height_m: expected 1\.8, as in what is there, found 1\.7"):
        open_output(folder, EstimateOptions(height_m=1.7))
    with pytest.raises(UserError, match="expected a new folder, or one of repose batch"):
        open_output(folder.parent, EstimateOptions())


@pytest.mark.parametrize("cut", [0, 4, 300, -1])
def test_a_damaged_file_is_refused(folder: Path, cut: int) -> None:
    file = folder / "poses" / "walk-1.parquet"
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(UserError, match="3D poses that repose batch wrote"):
        read_frames(file)


def test_another_parquet_file_is_refused(folder: Path) -> None:
    write_table(repose.read_batch(folder))
    with pytest.raises(UserError, match="expected JSON, found something else"):
        read_frames(folder / "videos.parquet")
    row = folder / "videos" / "walk-1.json"
    row.write_text(row.read_text().replace('"walk-1"', '"../../x"'))
    with pytest.raises(UserError, match="name"):
        repose.read_batch(folder).row("walk-1")


def test_a_track_without_frames(tmp_path: Path) -> None:
    poses = [make_pose("a", 0), make_pose("b", 3, track_id=1)]
    write_frames(poses, tmp_path / "a.parquet", "a")
    assert [len(pose) for pose in read_frames(tmp_path / "a.parquet")] == [0, 3]
