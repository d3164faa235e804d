import csv
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from repose.errors import UserError
from repose.export.angles import angle_files, joint_angles, write_angles
from repose.fitting.gravity import stated_up
from repose.pose import Pose3D
from repose.sample import load_sample_truth


@pytest.fixture(scope="module")
def walk() -> Pose3D:
    truth = load_sample_truth()
    return Pose3D(
        truth.joints_m[:60],
        ~truth.hidden[:60],
        np.arange(10, 70),
        truth.fps,
        truth.skeleton,
        track_id=3,
        coordinates="camera",
        T_cam_world=truth.T_cam_world,
    )


def test_a_table_and_a_picture_for_each_person(walk: Pose3D, tmp_path: Path) -> None:
    tracks = [joint_angles(walk), joint_angles(replace(walk, track_id=5))]
    write_angles(tracks, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(angle_files(tracks))
    assert angle_files(tracks) == ("angles.csv", "angles-3.png", "angles-5.png")
    rows = list(csv.DictReader((tmp_path / "out" / "angles.csv").read_text().splitlines()))
    assert len(rows) == 120
    assert (rows[0]["track_id"], rows[0]["frame"], rows[60]["track_id"]) == ("3", "10", "5")
    for name in tracks[0].names:
        degrees = [float(row[f"{name}_deg"] or "nan") for row in rows[:60]]
        np.testing.assert_allclose(degrees, tracks[0][name], atol=0.006)
        assert {row[f"{name}_seen"] for row in rows} <= {"0", "1"}
    assert (tmp_path / "out" / "angles-3.png").read_bytes().startswith(b"\x89PNG")


def test_the_walk_looks_like_one(walk: Pose3D) -> None:
    angles = joint_angles(walk)
    for side in ("left", "right"):
        assert 40 < np.ptp(angles[f"{side}_knee_flexion"]) < 90
        assert 20 < np.ptp(angles[f"{side}_hip_flexion"]) < 70
    assert np.abs(angles["trunk_lateral_bending"]).max() < 15
    opposite = np.corrcoef(angles["left_hip_flexion"], angles["right_hip_flexion"])[0, 1]
    assert opposite < -0.5


def test_no_meaning_is_an_empty_cell(tmp_path: Path) -> None:
    up = stated_up(0, 0).T_cam_world(1).matrix
    still = Pose3D(
        np.zeros((2, 17, 3)), np.ones((2, 17), bool), np.arange(2), 30, "h36m-17", coordinates="world",
        T_cam_world=up,
    )  # fmt: skip
    write_angles([joint_angles(still)], tmp_path, plot=True)
    (row, _) = csv.DictReader((tmp_path / "angles.csv").read_text().splitlines())
    assert row["left_knee_flexion_deg"] == ""


def test_files_are_there_whole_or_not_at_all(
    walk: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracks = [joint_angles(walk)]
    write_angles(tracks, tmp_path / "out", plot=False)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["angles.csv"]
    with pytest.raises(UserError, match=r"has angles\.csv already"):
        write_angles(tracks, tmp_path / "out", plot=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="Matplotlib") as error:
        write_angles(tracks, tmp_path / "other")
    assert "repose3d[data]" in error.value.hint
    assert not (tmp_path / "other").exists()


def test_nothing_to_write_is_refused(walk: Pose3D, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one track"):
        write_angles([], tmp_path)
    unknown = joint_angles(replace(walk, T_cam_world=None))
    with pytest.raises(UserError, match="different angles"):
        write_angles([joint_angles(walk), unknown], tmp_path)
