"""GLB files: the Khronos validator finds nothing, and pygltflib finds the joints where they were."""

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib
import pytest

from repose.export.glb import write_glb
from repose.export.rig import fit_rig
from repose.export.upright import to_world, y_up
from repose.geometry.rotation import forward_kinematics, quaternion_to_matrix
from repose.pose import Pose3D
from repose.skeleton import H36M_17

ROOT = Path(__file__).resolve().parents[2]

VALIDATE = """
const validator = require("gltf-validator");
const bytes = new Uint8Array(require("fs").readFileSync(process.argv[1]));
validator.validateBytes(bytes, {maxIssues: 20}).then(report => console.log(JSON.stringify(report)));
"""
_TYPES = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}
_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


@pytest.fixture(scope="module")
def people(walker: Pose3D, halting: Pose3D) -> tuple[Pose3D, ...]:
    """Two, upright, one of whom is missing for a while."""
    beside = halting.joints_m + np.float32([1, 0, 0])
    return to_world([walker, replace(halting, track_id=4, joints_m=beside, deviation_m=None)])


@pytest.fixture
def scene(people: tuple[Pose3D, ...], tmp_path: Path) -> Path:
    write_glb(people, tmp_path / "walk.glb")
    return tmp_path / "walk.glb"


def test_the_khronos_validator_has_nothing_to_say(scene: Path) -> None:
    modules = ROOT / ".venv" / "node_modules"
    if not shutil.which("node") or not (modules / "gltf-validator").is_dir():
        pytest.skip(
            "needs node and, in .venv, the npm package gltf-validator (make test installs it with npm)"
        )
    run = subprocess.run(
        ["node", "-e", VALIDATE, str(scene)],
        env={"NODE_PATH": str(modules), "PATH": str(Path(shutil.which("node") or "").parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    report = json.loads(run.stdout)
    assert report["issues"]["messages"] == []
    assert report["info"]["animationCount"] == 1


def array(document: pygltflib.GLTF2, index: int) -> np.ndarray:
    accessor = document.accessors[index]
    view = document.bufferViews[accessor.bufferView]
    kind = _TYPES[accessor.componentType]
    values = np.frombuffer(
        document.binary_blob(), kind, accessor.count * _WIDTHS[accessor.type], view.byteOffset
    )
    return values.reshape(accessor.count, -1)


def test_joints_are_where_they_were(scene: Path, people: tuple[Pose3D, ...]) -> None:
    document = pygltflib.GLTF2().load(str(scene))
    nodes = document.skins[0].joints
    parents = {child: node for node in nodes for child in document.nodes[node].children or []}
    (motion,) = document.animations
    tracks = {
        (channel.target.node, channel.target.path): motion.samplers[channel.sampler]
        for channel in motion.channels
    }
    times_s = array(document, tracks[nodes[0], "translation"].input)[:, 0]
    np.testing.assert_allclose(times_s, people[0].times_s - people[0].times_s[0], atol=1e-5)
    turns = [array(document, tracks[node, "rotation"].output) for node in nodes]
    rotations = quaternion_to_matrix(np.roll(np.stack(turns, axis=1), 1, axis=-1).astype(float))
    offsets = np.array([document.nodes[node].translation for node in nodes])
    places, _ = forward_kinematics(
        rotations,
        offsets,
        [nodes.index(parents[node]) if node in parents else -1 for node in nodes],
        array(document, tracks[nodes[0], "translation"].output).astype(float),
    )
    names = [document.nodes[node].name for node in nodes]
    joints = y_up(people[0].joints_m)
    found = places[:, [names.index(joint) for joint in H36M_17.joints]]
    assert np.linalg.norm(found - joints, axis=-1).mean() < 0.02
    np.testing.assert_allclose(places, fit_rig(joints, H36M_17, 30.0).positions_m(), atol=1e-5)


def test_the_figure_is_bound_to_the_skeleton_at_rest(scene: Path, people: tuple[Pose3D, ...]) -> None:
    document = pygltflib.GLTF2().load(str(scene))
    rest = fit_rig(y_up(people[0].joints_m), H36M_17, 30.0).rest_m
    inverse = array(document, document.skins[0].inverseBindMatrices).reshape(-1, 4, 4)
    np.testing.assert_allclose(inverse[:, 3, :3], -rest, atol=1e-6)
    primitives = document.meshes[0].primitives
    points = array(document, primitives[0].attributes.POSITION)
    assert 1.6 < np.ptp(points[:, 1]) < 1.9
    assert np.abs(points[:, 0].min() + points[:, 0].max()) < 0.1
    normals = array(document, primitives[0].attributes.NORMAL)
    faces = np.concatenate([array(document, primitive.indices).reshape(-1, 3) for primitive in primitives])
    a, b, c = np.moveaxis(points[faces].astype(float), 1, 0)
    assert ((np.cross(b - a, c - a) * normals[faces].mean(axis=1)).sum(axis=-1) > 0).all()
    left = points[np.unique(array(document, primitives[0].indices))]
    assert document.materials[primitives[0].material].name == "left"
    assert left[:, 0].mean() > 0.1


def test_somebody_who_is_away_is_not_to_be_seen(scene: Path) -> None:
    document = pygltflib.GLTF2().load(str(scene))
    (motion,) = document.animations
    ((node, sampler),) = [
        (document.nodes[channel.target.node].name, motion.samplers[channel.sampler])
        for channel in motion.channels
        if channel.target.path == "scale"
    ]
    assert (node, sampler.interpolation) == ("person_4", "STEP")
    # Frames 60 to 79, and 100 to the end.
    np.testing.assert_allclose(array(document, sampler.input)[:, 0], [0, 20 / 30, 40 / 30], atol=1e-6)
    np.testing.assert_array_equal(array(document, sampler.output), [[1] * 3, [0] * 3, [1] * 3])


def test_it_says_what_was_seen_and_how_sure(scene: Path, walker: Pose3D) -> None:
    document = pygltflib.GLTF2().load(str(scene))
    about = document.scenes[0].extras
    assert (about["units"], about["up"]) == ("m", "y")
    assert [person["name"] for person in about["people"]] == ["person_3", "person_4"]
    assert "the camera is taken to be level" in about["people"][0]["record"]["world"]
    first, second = document.animations[0].extras["people"]
    assert first["frames"] == walker.frames.tolist()
    np.testing.assert_array_equal(np.array(first["seen"], dtype=bool), walker.seen)
    np.testing.assert_allclose(first["deviation_m"], walker.deviation_m, atol=1e-4)
    assert "deviation_m" not in second
    assert len(second["frames"]) == 70
