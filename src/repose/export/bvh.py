"""BVH out: the joints of `repose.export.rig`, with constant bones and Euler angles per frame."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from repose.export.rig import Rig, fit_rig
from repose.export.upright import y_up
from repose.geometry.rotation import matrix_to_euler
from repose.pose import Pose3D
from repose.sequence import interpolate_linear
from repose.skeleton import FEET

Unit = Literal["cm", "m"]

_PER_METRE = {"cm": 100.0, "m": 1.0}


def tip_m(name: str) -> float:
    """Return the length of a bone without a joint at its end, so that programs have something to draw."""
    return 0.01 if name in FEET else 0.1


def write_bvh(pose: Pose3D, path: Path, unit: Unit = "cm") -> None:
    """Write a person in a world frame and at a constant rate (`repose.export.upright`) as a moving skeleton.

    y up; at rest the figure stands in a T, facing +z, its left at +x. The joints are those of
    `repose.export.rig`, with constant bones, metres or centimetres (the format has no word for either).
    Wrists, head top, toes and heels do not turn, nor do ankles without these; the short bones after them are
    drawn, not measured. Frames that the pose lacks are passed through in a straight line.

    Raises UserError where a joint of H36M-17 cannot be made from those of the pose.
    """
    slots = np.arange(pose.frames[0], pose.frames[-1] + 1)
    filled = interpolate_linear(y_up(pose.joints_m), pose.frames, slots)
    rig = fit_rig(filled, pose.skeleton, pose.fps)
    columns = [rig.root_m * _PER_METRE[unit]]
    for node, name in enumerate(rig.names):
        turns = matrix_to_euler(rig.rotations[:, node], _turning_order(name))
        columns.append(np.degrees(np.unwrap(turns, axis=0)))
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write("HIERARCHY\n" + "".join(_branch(rig, 0, 0, _PER_METRE[unit])))
        file.write(f"MOTION\nFrames: {len(slots)}\nFrame Time: {1 / pose.fps:.8f}\n")
        np.savetxt(file, np.column_stack(columns), fmt="%.5f")


def _turning_order(name: str) -> str:
    """Order of a joint's angles: the middle one, which must stay below 90°, is the one that moves least."""
    return "XZY" if name.endswith(("_hip", "_knee", "_ankle")) else "ZXY"


def _branch(rig: Rig, node: int, depth: int, scale: float) -> Iterator[str]:
    name, indent = rig.names[node], "\t" * depth
    channels = [f"{axis}rotation" for axis in _turning_order(name)]
    if depth == 0:
        channels = ["Xposition", "Yposition", "Zposition", *channels]

    def offset(vector_m: np.ndarray) -> str:
        return "OFFSET " + " ".join(f"{value * scale + 0.0:.6f}" for value in vector_m)

    yield f"{indent}{'JOINT' if depth else 'ROOT'} {name}\n{indent}{{\n"
    yield f"{indent}\t{offset(rig.offsets_m[node])}\n"
    yield f"{indent}\tCHANNELS {len(channels)} {' '.join(channels)}\n"
    children = [child for child, parent in enumerate(rig.parents) if parent == node]
    for child in children:
        yield from _branch(rig, child, depth + 1, scale)
    if not children:
        tip = offset(tip_m(name) * rig.rest[node])
        yield f"{indent}\tEnd Site\n{indent}\t{{\n{indent}\t\t{tip}\n{indent}\t}}\n"
    yield f"{indent}}}\n"
