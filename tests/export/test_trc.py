"""TRC files, read by a program of others; marker names are those of Pose2Sim."""

from pathlib import Path

import numpy as np
import trc

from repose.export.trc import write_trc
from repose.export.upright import to_world, y_up
from repose.pose import Pose3D
from repose.skeleton import SKELETONS, marker_names

# Of Pose2Sim's marker sets for OpenSim, without left and right.
POSE2SIM = "Nose Head Neck Shoulder Elbow Wrist Hip Knee Ankle BigToe SmallToe Heel Eye"


def test_another_reader_finds_the_joints(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([halting])
    write_trc(world, tmp_path / "walk.trc")
    data = trc.TRCData()
    data.load(str(tmp_path / "walk.trc"))
    assert data["Units"] == "m"
    assert float(data["DataRate"]) == 30.0
    assert data["Markers"] == list(marker_names(world.skeleton))
    assert data["Frame#"] == list(range(61, 151))
    np.testing.assert_allclose(data["Time"], np.arange(60, 150) / 30, atol=1e-6)
    places = np.stack([data[marker] for marker in data["Markers"]], axis=1)
    there = halting.frames - 60
    np.testing.assert_allclose(places[there], y_up(world.joints_m), atol=1e-6)
    assert np.isnan(np.delete(places, there, axis=0)).all()


def test_markers_are_called_as_in_pose2sim() -> None:
    names = dict(zip(SKELETONS["h36m-17"].joints, marker_names(SKELETONS["h36m-17"]), strict=True))
    assert (names["pelvis"], names["thorax"], names["head_top"], names["left_knee"]) == (
        "Hip",
        "Neck",
        "Head",
        "LKnee",
    )
    for skeleton in SKELETONS.values():
        markers = marker_names(skeleton)
        assert len(set(markers)) == len(skeleton)
    halpe = marker_names(SKELETONS["halpe-26"])
    assert {marker.lstrip("LR") for marker in halpe} <= {*POSE2SIM.split(), "Ear"}
    assert "RBigToe" in halpe
