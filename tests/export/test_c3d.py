"""C3D files, read by the library that wrote most of it and by one that did not."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import c3d
import ezc3d
import numpy as np
import pytest

from repose.errors import UserError
from repose.export.c3d import write_c3d
from repose.export.upright import to_world, y_up
from repose.pose import Pose3D
from repose.skeleton import marker_names


def test_another_reader_finds_joints_what_was_seen_and_how_sure(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([halting])
    write_c3d(world, tmp_path / "walk.c3d")
    with (tmp_path / "walk.c3d").open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it misses analog data
        reader = c3d.Reader(file)
        numbers, rows = zip(*((number, rows.copy()) for number, rows, _ in reader.read_frames()), strict=True)
    assert numbers == tuple(range(61, 151))
    assert reader.point_rate == 30.0
    assert [label.strip() for label in reader.point_labels] == list(marker_names(world.skeleton))
    assert reader.get("POINT:UNITS").string_value == "mm"
    assert reader.get("POINT:Y_SCREEN").string_value == "+Y"
    points, there = np.stack(rows), halting.frames - 60
    np.testing.assert_allclose(points[there, :, :3], 1000 * y_up(world.joints_m), atol=1e-3)
    assert halting.deviation_m is not None
    np.testing.assert_allclose(points[there, :, 3], 1000 * halting.deviation_m, atol=0.5)
    np.testing.assert_array_equal(points[there, :, 4] == 1, halting.seen)
    assert (np.delete(points, there, axis=0)[..., 3] == -1).all()


def test_ezc3d_finds_the_joints(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([replace(halting, deviation_m=None)])
    write_c3d(world, tmp_path / "walk.c3d")
    data = ezc3d.c3d(str(tmp_path / "walk.c3d"))
    points, there = data["data"]["points"], halting.frames - 60
    np.testing.assert_allclose(
        points[:3, :, there].T, 1000 * y_up(world.joints_m).transpose(0, 1, 2), atol=1e-3
    )
    assert np.isnan(np.delete(points[:3], there, axis=2)).all()
    assert data["parameters"]["POINT"]["DESCRIPTIONS"]["value"] == list(world.skeleton.joints)
    assert data["header"]["points"]["first_frame"] == 60


def test_what_it_cannot_hold_is_refused(
    walker: Pose3D, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (world,) = to_world([replace(walker, frames=walker.frames + 65_500, times_s=None)])
    with pytest.raises(UserError, match="expected frame numbers below 65535"):
        write_c3d(world, tmp_path / "walk.c3d")
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(UserError, match="need ezc3d") as missing:
        write_c3d(world, tmp_path / "walk.c3d")
    assert missing.value.hint.startswith("pip install ezc3d")
    assert not list(tmp_path.iterdir())
