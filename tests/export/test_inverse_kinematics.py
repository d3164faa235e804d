"""OpenSim's inverse kinematics behind `repose angles --opensim`, on a model that the test makes."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run
from test_opensim import MODEL, read_motion

import repose
from repose.errors import UserError
from repose.export.inverse_kinematics import solve_ik
from repose.pose import Pose3D


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("opensim")
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([sys.executable, "-c", MODEL], cwd=folder, check=True, capture_output=True, timeout=120)
    return (folder / "Rajagopal2016.osim").rename(folder / "mine.osim")


def test_a_model_follows_everybody(
    halting: Pose3D, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repose.write_poses([halting, replace(halting, track_id=5)], tmp_path)
    assert run("angles", tmp_path, "--opensim", model, "--no-plot") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "mine.osim follows person 3: markers are" in said
    assert "mine.osim follows person 5" in said
    names = {path.name for path in tmp_path.iterdir() if path.suffix in (".mot", ".osim", ".sto", ".xml")}
    assert names == {
        f"person_{person}{ending}" for person in (3, 5) for ending in (".mot", ".osim", "_marker_errors.sto")
    }
    labels, motion = read_motion(tmp_path / "person_3.mot")
    np.testing.assert_allclose(motion[:, labels.index("time")], halting.times_s, atol=1e-5)
    with pytest.raises(UserError, match=r"has person_3\.mot"):
        solve_ik([halting], model, tmp_path)
    (errors,) = solve_ik([halting], model, tmp_path, force=True)
    assert errors.track_id == 3
    assert 0 < errors.rms_mm < 25
    assert errors.rms_mm < errors.worst_mm < 200
    assert halting.times_s[0] <= errors.worst_s <= halting.times_s[-1]


def test_what_is_no_model_is_refused_and_nothing_written(
    halting: Pose3D, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UserError, match=r"absent\.osim: no such model"):
        solve_ik([halting], tmp_path / "absent.osim", out)
    (tmp_path / "text.osim").write_text("a model")
    with pytest.raises(UserError, match="expected a model of OpenSim"):
        solve_ik([halting], tmp_path / "text.osim", out)
    (tmp_path / "other.osim").write_text(model.read_text().replace("femur_r", "upper_leg_right"))
    with pytest.raises(UserError, match=r"other.osim: OpenSim could not follow the joints"):
        solve_ik([halting], tmp_path / "other.osim", out)
    monkeypatch.setattr("repose.export.inverse_kinematics.find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs OpenSim"):
        solve_ik([halting], model, out)
    assert not out.exists()
