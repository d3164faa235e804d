"""The folder for OpenSim: its tools run on it, and the scaled model follows the markers.

OpenSim runs in a process of its own, as it does for its users.
"""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from repose.export.formats import export_opensim
from repose.export.trc import write_trc
from repose.export.upright import to_world, y_up
from repose.pose import Pose3D

# A skeleton with the bodies of Rajagopal2016 that carry markers, a little too large all over.
MODEL = """
import opensim as osim
model = osim.Model()
bodies = {"ground": model.getGround()}
def attach(joint, name, parent, x, y, z):
    body = bodies[name] = osim.Body(name, 1.0, osim.Vec3(0), osim.Inertia(0.1))
    zero = osim.Vec3(0)
    model.addBody(body)
    model.addJoint(joint("to_" + name, bodies[parent], osim.Vec3(x, y, z), zero, body, zero, zero))
attach(osim.FreeJoint, "pelvis", "ground", 0, 1, 0)
attach(osim.BallJoint, "torso", "pelvis", -0.10, 0.08, 0)
for side, sign in (("r", 1), ("l", -1)):
    attach(osim.BallJoint, "femur_" + side, "pelvis", -0.056, -0.078, 0.08 * sign)
    attach(osim.PinJoint, "tibia_" + side, "femur_" + side, 0, -0.45, 0)
    attach(osim.WeldJoint, "talus_" + side, "tibia_" + side, 0, -0.45, 0)
    attach(osim.BallJoint, "humerus_" + side, "torso", 0.003, 0.37, 0.2 * sign)
    attach(osim.BallJoint, "ulna_" + side, "humerus_" + side, 0, -0.33, 0)
    attach(osim.WeldJoint, "hand_" + side, "ulna_" + side, 0, -0.3, 0)
model.finalizeConnections()
model.printToXML("Rajagopal2016.osim")
"""
SCALE_AND_FOLLOW = """
import json
import opensim as osim
assert osim.ScaleTool("person_3_scale.xml").run()
assert osim.InverseKinematicsTool("person_3_ik.xml").run()
model = osim.Model("person_3.osim")
state = model.initSystem()
places = {}
for marker in model.getMarkerSet():
    place = marker.getLocationInGround(state)
    places[marker.getName()] = [place[axis] for axis in range(3)]
print(json.dumps(places))
"""
READ_TRC = """
import json
import opensim as osim
table = osim.TimeSeriesTableVec3("walk.trc")
labels = list(table.getColumnLabels())
rows = [table.getRowAtIndex(row) for row in range(table.getNumRows())]
places = [[[row[column][axis] for axis in range(3)] for column in range(len(labels))] for row in rows]
print(json.dumps([table.getTableMetaDataAsString("Units"), labels, places]))
"""


def opensim(code: str, folder: Path) -> Any:
    """What a program that uses OpenSim prints last, which is JSON or nothing."""
    quiet = "import opensim; opensim.Logger.setLevelString('off'); opensim.Logger.removeFileSink()\n"
    run = subprocess.run(
        [sys.executable, "-c", quiet + code], cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1]) if run.stdout else None


def read_motion(path: Path) -> tuple[list[str], np.ndarray]:
    """Labels and values, time among them, of one of OpenSim's motion or storage files."""
    lines = path.read_text().split("endheader\n", 1)[1].splitlines()
    return lines[0].split(), np.array([line.split() for line in lines[1:]], dtype=float)


def test_its_tools_scale_a_model_and_make_it_follow(halting: Pose3D, tmp_path: Path) -> None:
    export = export_opensim([halting], tmp_path / "out")
    names = ["markers.xml", "person_3.trc", "person_3_ik.xml", "person_3_scale.xml"]
    assert sorted(path.name for path in export.files) == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    opensim(MODEL, tmp_path / "out")
    places = opensim(SCALE_AND_FOLLOW, tmp_path / "out")

    def model_m(first: str, second: str) -> float:
        return float(np.linalg.norm(np.subtract(places[first], places[second])))

    def person_m(first: str, second: str) -> float:
        ends = halting.joints_m[:, halting.skeleton.indices(first, second)]
        return float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1).mean())

    thighs = (person_m("left_hip", "left_knee") + person_m("right_hip", "right_knee")) / 2
    assert model_m("RHip", "RKnee") == pytest.approx(thighs, abs=1e-3)
    assert model_m("RHip", "LHip") == pytest.approx(person_m("left_hip", "right_hip"), abs=5e-4)
    labels, motion = read_motion(tmp_path / "out" / "person_3.mot")
    assert np.isfinite(motion).all()
    np.testing.assert_allclose(motion[:, labels.index("time")], halting.times_s, atol=1e-5)
    (errors,) = (tmp_path / "out").glob("*ik_marker_errors.sto")
    labels, errors_m = read_motion(errors)
    assert np.median(errors_m[:, labels.index("marker_error_RMS")]) < 0.025


def test_it_reads_the_markers(halting: Pose3D, tmp_path: Path) -> None:
    (world,) = to_world([halting])
    write_trc(world, tmp_path / "walk.trc")
    unit, labels, places = opensim(READ_TRC, tmp_path)
    assert (unit, labels[:3]) == ("m", ["Hip", "RHip", "RKnee"])
    np.testing.assert_allclose(np.array(places)[halting.frames - 60], y_up(world.joints_m), atol=1e-6)
    assert np.isnan(places[25]).all()


def test_people_face_x(walker: Pose3D, tmp_path: Path) -> None:
    turn = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]])  # about the vertical of a level camera
    export_opensim([walker, replace(walker, track_id=5, joints_m=walker.joints_m @ turn.T)], tmp_path)
    both = []
    for person in (3, 5):
        lines = (tmp_path / f"person_{person}.trc").read_text().splitlines()
        places = np.array([line.split("\t")[2:] for line in lines[5:] if line], dtype=float).reshape(
            90, -1, 3
        )
        across = places[:, walker.skeleton.index("left_hip")] - places[:, walker.skeleton.index("right_hip")]
        forward = np.cross(across, [0, 1, 0]).mean(axis=0)
        assert forward[0] > 10 * abs(forward[2])
        both.append(places - places[:1, :1])
    np.testing.assert_allclose(both[0], both[1], atol=1e-5)


def test_setups_name_the_model_and_only_markers_that_are_there(walker: Pose3D, tmp_path: Path) -> None:
    export_opensim([walker, replace(walker, track_id=5)], tmp_path / "out", model="../models/mine.osim")
    scaling = ElementTree.parse(tmp_path / "out" / "person_5_scale.xml")
    assert scaling.findtext(".//GenericModelMaker/model_file") == "../models/mine.osim"
    assert scaling.findtext(".//GenericModelMaker/marker_set_file") == "markers.xml"
    markers = ElementTree.parse(tmp_path / "out" / "markers.xml")
    known = {marker.get("name") for marker in markers.iter("Marker")}
    header = (tmp_path / "out" / "person_5.trc").read_text().splitlines()[3].split("\t")
    assert known <= set(header)
    pairs = " ".join(pair.text or "" for pair in scaling.iter("markers")).split()
    tasks = ElementTree.parse(tmp_path / "out" / "person_5_ik.xml").iter("IKMarkerTask")
    assert set(pairs) <= known == {task.get("name") for task in tasks}
    assert scaling.findtext(".//ModelScaler/time_range") == "2.000000 4.966667"
