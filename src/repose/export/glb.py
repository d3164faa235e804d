"""GLB: binary glTF 2.0, an animated skeleton with a plain figure on it; metres, y up.

Khronos Group, "glTF 2.0 Specification", https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose.export.about import describe
from repose.export.mannequin import COLOURS, build_mannequin
from repose.export.rig import Rig, fit_rig
from repose.export.upright import presence, y_up
from repose.geometry.rotation import matrix_to_quaternion
from repose.pose import Pose3D

_FLOAT, _UINT, _UBYTE = 5126, 5125, 5121
_VERTICES, _INDICES = 34962, 34963
_WIDTHS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


def write_glb(poses: Sequence[Pose3D], path: Path) -> None:
    """Write people in one world frame (`repose.export.upright.to_world`) as one animated scene.

    Each person is a skeleton of `repose.export.rig` with a figure of rounded limbs, and all of them move
    in the one animation `motion`, which begins with the first frame of any. Keys are at the poses' own times.
    While a person is absent their scale is 0. Units and up axis are glTF's own: metres, y up. The scene's
    `extras` hold each person's `about`, and the animation's their `frames`, `times_s`, `seen` and, where
    there is one, `deviation_m`, in the order of `joints`.

    Raises UserError where a joint of H36M-17 cannot be made from those of a pose.
    """
    document = _Document()
    start_s = float(min(pose.times_s[0] for pose in poses))
    end_s = float(max(pose.times_s[-1] for pose in poses))
    for pose in poses:
        document.add_person(pose, start_s, end_s)
    document.write(path)


class _Document:
    """A glTF document under construction: its JSON, and the bytes that the JSON refers to."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.animation: dict[str, Any] = {
            "name": "motion",
            "channels": [],
            "samplers": [],
            "extras": {"people": []},
        }
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "RePOSE"},
            "scene": 0,
            "scenes": [{"nodes": [], "extras": {"units": "m", "up": "y", "people": []}}],
            "nodes": [],
            "meshes": [],
            "skins": [],
            "animations": [self.animation],
            "materials": [
                {
                    "name": side,
                    "pbrMetallicRoughness": {
                        "baseColorFactor": [*colour, 1.0],
                        "metallicFactor": 0.0,
                        "roughnessFactor": 0.7,
                    },
                }
                for side, colour in COLOURS.items()
            ],
            "accessors": [],
            "bufferViews": [],
        }

    def add_person(self, pose: Pose3D, start_s: float, end_s: float) -> None:
        name = f"person_{pose.track_id}"
        rig = fit_rig(y_up(pose.joints_m), pose.skeleton, pose.fps)
        nodes = self._add_nodes(name, rig)
        self._add_figure(name, rig, nodes)
        self._add_motion(rig, nodes, pose.times_s - start_s)
        if changes := presence(pose, start_s, end_s):
            at = self._add(np.array([[time_s - start_s] for time_s, _ in changes]), _FLOAT, limits=True)
            scales = np.array([[float(there)] * 3 for _, there in changes])
            self._add_channel(nodes[0] - 1, "scale", at, scales, "STEP")
        self.json["scenes"][0]["extras"]["people"].append({"name": name, **describe(pose)})
        rows: dict[str, Any] = {
            "name": name,
            "joints": list(pose.skeleton.joints),
            "frames": pose.frames.tolist(),
            "times_s": np.round(pose.times_s, 6).tolist(),
            "seen": pose.seen.astype(int).tolist(),
        }
        if pose.deviation_m is not None:
            rows["deviation_m"] = np.round(pose.deviation_m.astype(np.float64), 4).tolist()
        self.animation["extras"]["people"].append(rows)

    def write(self, path: Path) -> None:
        self.json["buffers"] = [{"byteLength": len(self.bytes)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        chunks = [(b"JSON", text.ljust(-(-len(text) // 4) * 4)), (b"BIN\0", bytes(self.bytes))]
        total = 12 + sum(8 + len(content) for _, content in chunks)
        with path.open("wb") as file:
            file.write(struct.pack("<4sII", b"glTF", 2, total))
            for kind, content in chunks:
                file.write(struct.pack("<I4s", len(content), kind) + content)

    def _add_nodes(self, name: str, rig: Rig) -> list[int]:
        """Return the skeleton at rest below a node of the person's name; indices of the rig's nodes."""
        first = len(self.json["nodes"])
        nodes = [first + 1 + i for i in range(len(rig.names))]
        self.json["scenes"][0]["nodes"].append(first)
        self.json["nodes"].append({"name": name, "children": [nodes[0]]})
        for i, joint in enumerate(rig.names):
            node: dict[str, Any] = {"name": joint, "translation": rig.offsets_m[i].tolist()}
            if children := [nodes[child] for child, parent in enumerate(rig.parents) if parent == i]:
                node["children"] = children
            self.json["nodes"].append(node)
        return nodes

    def _add_figure(self, name: str, rig: Rig, nodes: list[int]) -> None:
        figure = build_mannequin(rig)
        count = len(figure.points_m)
        bound = np.zeros((count, 4), np.uint8)
        bound[:, 0] = figure.nodes
        weights = np.zeros((count, 4), np.float32)
        weights[:, 0] = 1
        attributes = {
            "POSITION": self._add(figure.points_m, _FLOAT, _VERTICES, limits=True),
            "NORMAL": self._add(figure.normals, _FLOAT, _VERTICES),
            "JOINTS_0": self._add(bound, _UBYTE, _VERTICES),
            "WEIGHTS_0": self._add(weights, _FLOAT, _VERTICES),
        }
        primitives = [
            {
                "attributes": attributes,
                "indices": self._add(figure.triangles[side].reshape(-1, 1), _UINT, _INDICES),
                "material": material,
            }
            for material, side in enumerate(COLOURS)
        ]
        # Column by column, as glTF has its matrices.
        inverse = np.tile(np.eye(4), (len(nodes), 1, 1))
        inverse[:, 3, :3] = -rig.rest_m
        skin = {
            "name": name,
            "skeleton": nodes[0],
            "joints": nodes,
            "inverseBindMatrices": self._add(inverse.reshape(-1, 16), _FLOAT),
        }
        # A node with a skin ignores where it stands, so it stands alone.
        self.json["scenes"][0]["nodes"].append(len(self.json["nodes"]))
        self.json["nodes"].append(
            {"name": f"{name}_figure", "mesh": len(self.json["meshes"]), "skin": len(self.json["skins"])}
        )
        self.json["meshes"].append({"name": f"{name}_figure", "primitives": primitives})
        self.json["skins"].append(skin)

    def _add_motion(self, rig: Rig, nodes: list[int], times_s: np.ndarray) -> None:
        at = self._add(times_s[:, None], _FLOAT, limits=True)
        turns = np.roll(_continuous(matrix_to_quaternion(rig.rotations)), -1, axis=-1)
        self._add_channel(nodes[0], "translation", at, rig.root_m)
        for i, node in enumerate(nodes):
            self._add_channel(node, "rotation", at, turns[:, i])

    def _add_channel(
        self, node: int, path: str, times: int, values: np.ndarray, between: str = "LINEAR"
    ) -> None:
        sampler = len(self.animation["samplers"])
        self.animation["samplers"].append(
            {"input": times, "output": self._add(values, _FLOAT), "interpolation": between}
        )
        self.animation["channels"].append({"sampler": sampler, "target": {"node": node, "path": path}})

    def _add(self, values: np.ndarray, kind: int, target: int | None = None, *, limits: bool = False) -> int:
        """Append an array (count, width) to the bytes; the index of its accessor."""
        content = values.astype({_FLOAT: "<f4", _UINT: "<u4", _UBYTE: "u1"}[kind])
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": content.nbytes}
        if target is not None:
            view["target"] = target
        self.json["bufferViews"].append(view)
        self.bytes += content.tobytes() + b"\0" * (-content.nbytes % 4)
        accessor: dict[str, Any] = {
            "bufferView": len(self.json["bufferViews"]) - 1,
            "componentType": kind,
            "count": len(content),
            "type": _WIDTHS[content.shape[1]],
        }
        if limits:
            accessor |= {"min": content.min(axis=0).tolist(), "max": content.max(axis=0).tolist()}
        self.json["accessors"].append(accessor)
        return len(self.json["accessors"]) - 1


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """Of the two signs that mean one rotation the one that is nearer to the frame before."""
    flipped = (quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0
    signs = np.where(np.cumsum(flipped, axis=0) % 2, -1, 1)[..., None]
    return np.concatenate([quaternions[:1], signs * quaternions[1:]])
