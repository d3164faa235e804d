"""Files for OpenSim's scaling and inverse kinematics: markers, their positions on the model, two setups.

The model is OpenSim's own Rajagopal2016, or one made from it with the same bodies (Rajagopal, Lai and Uhlrich
2023; Pose2Sim's). Its reference: Rajagopal et al., "Full-Body Musculoskeletal Model for Muscle-Driven
Simulation of Human Gait", IEEE Transactions on Biomedical Engineering 63 (10), 2016.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, indent

import numpy as np

from repose.errors import printable
from repose.export.trc import write_trc
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import axis_to_matrix, unit
from repose.pose import Pose3D
from repose.skeleton import marker_names

MODEL = "Rajagopal2016.osim"
_MARKER_SET = "markers.xml"

# Each marker's body and its place there in metres. The centre of a limb's joint is the origin of the body
# that begins at it, however the model is scaled. On the trunk, in the model's own size: half-way between the
# shoulders, and half-way from there to the middle of the hips when it stands straight.
_MARKERS = {
    f"{side}{joint}": (f"{body}_{side.lower()}", "0 0 0")
    for side in "RL"
    for joint, body in (
        ("Hip", "femur"),
        ("Knee", "tibia"),
        ("Ankle", "talus"),
        ("Shoulder", "humerus"),
        ("Elbow", "ulna"),
        ("Wrist", "hand"),
    )
} | {"Neck": ("torso", "0.0032 0.3715 0"), "Spine": ("torso", "0.0238 0.1058 0")}

_ALL = "X Y Z"


def _both(*bodies: str) -> dict[str, str]:
    return {f"{body}_{side}": _ALL for body in bodies for side in "rl"}


# Lengths between markers, and what each scales: bodies, and along which of their axes. The width of the hips
# says nothing of the height of the pelvis.
_MEASUREMENTS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "hips": (("RHip LHip",), {"pelvis": "Z"}),
    "trunk": (("RHip RShoulder", "LHip LShoulder"), {"pelvis": "X Y", "torso": _ALL}),
    "thigh": (("RHip RKnee", "LHip LKnee"), _both("femur")),
    "shank": (("RKnee RAnkle", "LKnee LAnkle"), _both("tibia", "patella", "talus", "calcn", "toes")),
    "upper arm": (("RShoulder RElbow", "LShoulder LElbow"), _both("humerus")),
    "forearm": (("RElbow RWrist", "LElbow LWrist"), _both("ulna", "radius", "hand")),
}


def opensim_files(poses: Iterable[Pose3D]) -> list[str]:
    """List the files that `write_opensim` writes for these people."""
    endings = (".trc", "_scale.xml", "_ik.xml")
    return [_MARKER_SET, *(f"{_name(pose)}{ending}" for pose in poses for ending in endings)]


def write_opensim(poses: Sequence[Pose3D], folder: Path, model: str = MODEL) -> None:
    """Write people in a world frame and at a constant rate (`repose.export.upright`) for OpenSim's tools.

    `markers.xml` puts markers on the model's joints. Of each person there is `person_0.trc` (metres, y up),
    `person_0_scale.xml`, which makes `person_0.osim` of the file `model` by the lengths between the markers,
    and `person_0_ik.xml`, which moves that to follow the markers and writes `person_0.mot`. Paths in the
    setups are relative to `folder`. Each person is turned about the vertical to face +x on average, as
    OpenSim's models do: some of them cannot turn round. Frames that a pose lacks are left out, since OpenSim
    stops at one without any marker.
    """
    _write(folder / _MARKER_SET, _marker_set())
    for pose in map(_facing_x, poses):
        write_trc(pose, folder / f"{_name(pose)}.trc", every_frame=False)
        _write(folder / f"{_name(pose)}_scale.xml", _scaling(pose, model))
        _write(folder / f"{_name(pose)}_ik.xml", _inverse_kinematics(pose))


def _facing_x(pose: Pose3D) -> Pose3D:
    right, left = np.moveaxis(pose.joints_m[:, pose.skeleton.indices("right_hip", "left_hip")], 1, 0)
    forward = np.cross(left - right, [0, 0, 1])
    x, y, _ = unit(forward).sum(axis=0)
    T_new_world = RigidTransform(axis_to_matrix("Z", np.array(-np.arctan2(y, x))))
    return replace(
        pose,
        joints_m=T_new_world.apply(pose.joints_m),
        T_cam_world=(pose.world_to_camera() @ T_new_world.inverse()).matrix,
    )


def _name(pose: Pose3D) -> str:
    return f"person_{pose.track_id}"


def _marker_set() -> Element:
    markers = [
        _node(
            "Marker",
            _node("socket_parent_frame", f"/bodyset/{body}"),
            _node("location", location),
            _node("fixed", "true"),
            name=name,
        )
        for name, (body, location) in _MARKERS.items()
    ]
    return _node("MarkerSet", _node("objects", *markers), name="markers")


def _scaling(pose: Pose3D, model: str) -> Element:
    return _node(
        "ScaleTool",
        _node("GenericModelMaker", _node("model_file", model), _node("marker_set_file", _MARKER_SET)),
        _node(
            "ModelScaler",
            _node("apply", "true"),
            _node("scaling_order", "measurements"),
            _node("MeasurementSet", _node("objects", *(_measurement(name) for name in _MEASUREMENTS))),
            _node("marker_file", f"{_name(pose)}.trc"),
            _node("time_range", _time_range(pose)),
            _node("preserve_mass_distribution", "true"),
            _node("output_model_file", f"{_name(pose)}.osim"),
        ),
        name=_name(pose),
    )


def _measurement(name: str) -> Element:
    pairs, bodies = _MEASUREMENTS[name]
    between = [_node("MarkerPair", _node("markers", pair)) for pair in pairs]
    scaled = [_node("BodyScale", _node("axes", axes), name=body) for body, axes in bodies.items()]
    return _node(
        "Measurement",
        _node("apply", "true"),
        _node("MarkerPairSet", _node("objects", *between)),
        _node("BodyScaleSet", _node("objects", *scaled)),
        name=name,
    )


def _inverse_kinematics(pose: Pose3D) -> Element:
    tasks = [
        _node("IKMarkerTask", _node("apply", "true"), _node("weight", "1"), name=name)
        for name in marker_names(pose.skeleton)
        if name in _MARKERS
    ]
    return _node(
        "InverseKinematicsTool",
        _node("model_file", f"{_name(pose)}.osim"),
        _node("marker_file", f"{_name(pose)}.trc"),
        _node("time_range", _time_range(pose)),
        _node("output_motion_file", f"{_name(pose)}.mot"),
        _node("report_errors", "true"),
        _node("IKTaskSet", _node("objects", *tasks)),
        name=_name(pose),
    )


def _time_range(pose: Pose3D) -> str:
    return f"{pose.times_s[0]:.6f} {pose.times_s[-1]:.6f}"


def _node(tag: str, *content: Element | str, **attributes: str) -> Element:
    """Return an XML element; `content` are its children, or its text."""
    node = Element(tag, attributes)
    for part in content:
        if isinstance(part, str):
            node.text = printable(part)  # XML has no control codes
        else:
            node.append(part)
    return node


def _write(path: Path, tool: Element) -> None:
    document = _node("OpenSimDocument", tool, Version="40000")
    indent(document, "\t")
    ElementTree(document).write(path, encoding="UTF-8", xml_declaration=True)
