"""Parquet files, read by DuckDB."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from repose.errors import UserError
from repose.export.parquet import write_parquet
from repose.export.results import write_csv
from repose.pose import Pose3D


def test_another_reader_finds_every_number(walker: Pose3D, halting: Pose3D, tmp_path: Path) -> None:
    path = tmp_path / "poses.parquet"
    write_parquet([walker, replace(halting, track_id=4, deviation_m=None, points_px=None)], path)
    table = duckdb.sql(f"select * from '{path}'").fetchnumpy()
    first, second = table["track_id"] == 3, table["track_id"] == 4
    assert (first.sum(), second.sum()) == (90, 70)
    np.testing.assert_array_equal(table["frame"][second], halting.frames)
    joint = walker.skeleton.index("left_knee")
    for axis, letter in enumerate("xyz"):
        np.testing.assert_array_equal(table[f"left_knee_{letter}_m"][first], walker.joints_m[:, joint, axis])
    np.testing.assert_array_equal(table["left_knee_seen"][first], walker.seen[:, joint])
    assert walker.deviation_m is not None
    np.testing.assert_array_equal(table["left_knee_deviation_m"][first], walker.deviation_m[:, joint])
    for column in ("left_knee_deviation_m", "left_knee_u_px"):
        ((count,),) = duckdb.sql(f"select count({column}) from '{path}' where track_id = 4").fetchall()
        assert count == 0
    ((about,),) = duckdb.sql(
        f"select decode(value) from parquet_kv_metadata('{path}') where decode(key) = 'repose'"
    ).fetchall()
    assert [track["track_id"] for track in json.loads(about)] == [3, 4]
    assert json.loads(about)[0]["axes"] == "x right, y down, z forward"


def test_columns_are_those_of_the_csv_file(walker: Pose3D, tmp_path: Path) -> None:
    write_parquet([walker], tmp_path / "poses.parquet")
    write_csv([walker], tmp_path / "poses.csv")
    columns = duckdb.sql(f"select * from '{tmp_path / 'poses.parquet'}'").columns
    header = (tmp_path / "poses.csv").read_text().split("\n", 1)[0].split(",")
    assert [*columns, "about"] == header


def test_tables_have_the_turns_of_a_camera(walker: Pose3D, halting: Pose3D, tmp_path: Path) -> None:
    turns = Rotation.random(len(walker), rng=0).as_matrix()
    poses = [replace(walker, R_view_cam=turns), replace(halting, track_id=4)]
    write_parquet(poses, tmp_path / "poses.parquet")
    write_csv(poses, tmp_path / "poses.csv")
    columns = [f"R_view_cam_{number}" for number in range(9)]
    for file in ("parquet", "csv"):
        table = duckdb.sql(
            f"select track_id, {', '.join(columns)} from '{tmp_path}/poses.{file}' order by track_id, frame"
        ).fetchnumpy()
        found = np.stack([np.ma.filled(table[name], np.nan) for name in columns], axis=-1)
        np.testing.assert_allclose(found[table["track_id"] == 3].reshape(-1, 3, 3), turns, atol=6e-7)
        assert np.isnan(found[table["track_id"] == 4]).all()


def test_without_pyarrow_it_says_what_to_install(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="need pyarrow") as missing:
        write_parquet([walker], tmp_path / "poses.parquet")
    assert missing.value.hint.startswith("pip install pyarrow")
