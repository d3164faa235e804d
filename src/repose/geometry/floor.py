"""Where the floor is under people of whom only the joints are known: one answer for all who ask."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float

from repose.skeleton import ANKLE_HEIGHT, H36M_17, Skeleton, conversion_matrix, stature


@runtime_checkable
class Person(Protocol):
    """One person's joints, as a `Pose3D` has them."""

    @property
    def joints_m(self) -> Float[np.ndarray, "frames joints 3"]: ...

    @property
    def seen(self) -> Bool[np.ndarray, "frames joints"]: ...

    @property
    def skeleton(self) -> Skeleton: ...


def floor_m(people: Sequence[Person], up: Float[np.ndarray, "3"]) -> float:
    """Height of the floor along `up`, a unit vector, above the origin of the frame that all joints are in.

    It is where the lowest joint is in the middle of all frames (median), of those in which that joint was
    seen, if there are any: legs inferred behind a table do not move it. Where the layout has no heels, ankles
    and wrists are as high above it as ankles are in an adult. At least one of the people has a frame.
    """
    lowest, seen = zip(*(_lowest(person, up) for person in people), strict=True)
    low_m, sure = np.concatenate(lowest), np.concatenate(seen)
    return float(np.median(low_m[sure] if sure.any() else low_m))


def _lowest(person: Person, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How low each frame's lowest joint reaches, and whether that joint was seen."""
    joints_m, skeleton = person.joints_m.astype(np.float64), person.skeleton
    reach_m = joints_m @ up
    if "left_heel" not in skeleton.joints and len(joints_m):
        ends = [i for i, name in enumerate(skeleton.joints) if name.endswith(("_ankle", "_wrist"))]
        body = conversion_matrix(skeleton, H36M_17) @ joints_m
        reach_m[:, ends] -= ANKLE_HEIGHT * float(np.median(stature(body)))
    rows, joint = np.arange(len(reach_m)), reach_m.argmin(axis=1)
    return reach_m[rows, joint], person.seen[rows, joint]
