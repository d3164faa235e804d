"""Where the floor is under people of whom only the joints are known: one answer for all who ask."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from repose.pose import Pose3D
from repose.skeleton import ANKLE_HEIGHT, H36M_17, conversion_matrix, stature


def floor_m(poses: Sequence[Pose3D], heights_m: Sequence[Float[np.ndarray, "_ _"]]) -> float:
    """Compute the height of the floor from the heights of all joints along up (frames, joints).

    It is where the lowest joint is in the middle of all frames (median), of those in which that joint was
    seen, if there are any: legs inferred behind a table do not move it. Where the layout has no heels, ankles
    and wrists are as high above it as ankles are in an adult. At least one pose has a frame.
    """
    lowest, seen = zip(*(_lowest(*one) for one in zip(poses, heights_m, strict=True)), strict=True)
    low_m, sure = np.concatenate(lowest), np.concatenate(seen)
    return float(np.median(low_m[sure] if sure.any() else low_m))


def _lowest(pose: Pose3D, heights_m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How low each frame's lowest joint reaches, and whether that joint was seen."""
    reach_m = heights_m.astype(np.float64)
    if "left_heel" not in pose.skeleton.joints and len(pose):
        body = conversion_matrix(pose.skeleton, H36M_17) @ pose.joints_m.astype(np.float64)
        ends = [i for i, name in enumerate(pose.skeleton.joints) if name.endswith(("_ankle", "_wrist"))]
        reach_m[:, ends] -= ANKLE_HEIGHT * float(np.median(stature(body)))
    rows, joint = np.arange(len(reach_m)), reach_m.argmin(axis=1)
    return reach_m[rows, joint], pose.seen[rows, joint]
