"""One person in the browser's scene: bones, joints, deviation, trail and name, as viser draws them."""

from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from repose.geometry.rotation import matrix_to_quaternion, shortest_arc
from repose.palette import PALE, rgb
from repose.sequence import interpolate_linear
from repose.viewer.scene import Figure, Scene

TRAIL_S = 2.0
"""Seconds of the root's path that are shown."""
_TRAIL_PIECES = 40
_BONE_M, _JOINT_M = 0.017, 0.023


class PersonMeshes:
    """What viser shows of one figure: bones, joints, deviation, trail and name."""

    def __init__(self, tree: Any, figure: Figure, key: int) -> None:
        place = f"/world/person_{key}"
        self._thickness = 0.6 if figure.compared else 1.0
        self._bones = figure.pose.skeleton.bones
        colours = np.array([rgb(colour) for colour in figure.colours])
        # What was inferred is pale.
        self._colours = _linear(np.stack([PALE * colours + (1 - PALE) * 255, colours]))
        joints = len(figure.pose.skeleton)
        still = np.tile([1.0, 0, 0, 0], (joints, 1))
        self._tree_node = tree.add_frame(place, show_axes=False)
        ball, tube = _ball(), _tube()
        self._joint_mesh = tree.add_batched_meshes_simple(
            f"{place}/joints",
            *ball,
            still,
            np.zeros((joints, 3)),
            batched_scales=np.full(joints, self._thickness * _JOINT_M),
            lod="off",
        )
        self._bone_mesh = tree.add_batched_meshes_simple(
            f"{place}/bones",
            *tube,
            still[: len(self._bones)],
            np.zeros((len(self._bones), 3)),
            batched_scales=np.ones((len(self._bones), 3)),
            lod="off",
        )
        self._haze = None
        if figure.pose.deviation_m is not None and not figure.compared:
            self._haze = tree.add_batched_meshes_simple(
                f"{place}/deviation",
                *ball,
                still,
                np.zeros((joints, 3)),
                batched_scales=np.zeros(joints),
                batched_colors=self._colours[1],
                opacity=0.25,
                cast_shadow=False,
                receive_shadow=False,
                lod="off",
            )
        self._trail = None
        if not figure.compared:
            self._trail = tree.add_line_segments(
                f"/world/trail_{key}",
                np.zeros((_TRAIL_PIECES, 2, 3)),
                _fading(figure),
                thickness=2.0,
                thickness_units="screen",
            )
        self._name = None
        if not figure.compared:
            self._name = tree.add_label(f"{place}/name", figure.name, anchor="bottom-center")

    def update(self, scene: Scene, number: int, frame: int, show: dict[str, bool]) -> None:
        figure = scene.figures[number]
        row, joints = figure.row(frame), scene.joints_m(number, frame, together=show["together"])
        self._tree_node.visible = joints is not None and (show["compared"] or not figure.compared)
        if self._trail:
            self._trail.visible = show["trail"]
            if show["trail"]:
                self._trail.points = _trail_points(scene.trail_m(number, frame, TRAIL_S))
        if joints is None:
            return
        seen = (figure.pose.seen[row] | figure.compared).astype(int)
        every = np.arange(len(joints))
        child, parent = np.array(self._bones).T
        self._joint_mesh.batched_positions = joints.astype(np.float32)
        self._joint_mesh.batched_colors = self._colours[seen, every]
        ends = joints[child] - joints[parent]
        lengths = np.linalg.norm(ends, axis=-1)
        ends = np.where(lengths[:, None] > 1e-6, ends, (0.0, 0.0, 1.0))
        self._bone_mesh.batched_positions = joints[parent].astype(np.float32)
        self._bone_mesh.batched_wxyzs = _upright_to(ends).astype(np.float32)
        thick = np.full(len(lengths), self._thickness * _BONE_M)
        self._bone_mesh.batched_scales = np.stack([thick, thick, lengths], axis=-1).astype(np.float32)
        self._bone_mesh.batched_colors = self._colours[seen[child] & seen[parent], child]
        if self._haze and figure.pose.deviation_m is not None:
            shown = show["deviation"] & (seen == 0)
            self._haze.batched_positions = joints.astype(np.float32)
            self._haze.batched_scales = np.where(shown, figure.pose.deviation_m[row], 0).astype(np.float32)
        if self._name:
            self._name.position = (
                joints[every, :].max(axis=0) * (0, 0, 1) + joints.mean(axis=0) * (1, 1, 0) + (0, 0, 0.1)
            )
            self._name.visible = show["names"] and sum(not f.compared for f in scene.figures) > 1

    def remove(self) -> None:
        self._tree_node.remove()
        if self._trail:
            self._trail.remove()


def _trail_points(way: Float[np.ndarray, "places 3"]) -> Float[np.ndarray, "pieces 2 3"]:
    """Return a path in pieces of equal time; earlier ones collapse to its start."""
    if len(way) < 2:
        return np.zeros((_TRAIL_PIECES, 2, 3), dtype=np.float32)
    at = np.linspace(0, len(way) - 1, _TRAIL_PIECES + 1)
    places = interpolate_linear(way, np.arange(len(way)), at)
    return np.stack([places[:-1], places[1:]], axis=1).astype(np.float32)


def _upright_to(directions: Float[np.ndarray, "bones 3"]) -> Float[np.ndarray, "bones 4"]:
    return matrix_to_quaternion(shortest_arc(np.array([[0.0, 0.0, 1.0]]), directions))


def _linear(colours: np.ndarray) -> UInt8[np.ndarray, "*batch 3"]:
    """Colours of a screen as amounts of light, which is how viser takes those of a mesh's copies."""
    return np.round(255 * (colours / 255) ** 2.2).astype(np.uint8)


def _fading(figure: Figure) -> np.ndarray:
    share = np.linspace(0, 0.7, _TRAIL_PIECES + 1)[:, None]
    colours = (share * rgb(figure.colour) + (1 - share) * 255).astype(np.uint8)
    return np.stack([colours[:-1], colours[1:]], axis=1)


def _ball() -> tuple[np.ndarray, np.ndarray]:
    import trimesh

    mesh = trimesh.creation.icosphere(subdivisions=2, radius=1.0)
    return np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.uint32)


def _tube() -> tuple[np.ndarray, np.ndarray]:
    """Return a cylinder of radius 1 from 0 to 1 along z, without lids: joints close it."""
    import trimesh

    mesh = trimesh.creation.cylinder(radius=1.0, segment=((0, 0, 0), (0, 0, 1)), sections=16)
    return np.asarray(mesh.vertices, dtype=np.float32), np.asarray(mesh.faces, dtype=np.uint32)
