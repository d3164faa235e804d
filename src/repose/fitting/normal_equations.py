"""Normal equations of a motion: blocks of joints, bones and neighbouring frames, solved as a banded system.

Unknowns are the joints of every frame, frame after frame, and one length for each bone. Two frames share
terms only joint by joint and axis by axis, and only if at most two apart, so that the matrix of the joints
has a half-bandwidth of 2 × 3 × joints. The few lengths are eliminated by their Schur complement.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float

from repose.skeleton import Skeleton

Joints = Float[np.ndarray, "frames joints 3"]
"""Places in the camera frame, in metres."""
Lengths = Float[np.ndarray, " bones"]
"""Of the bones, in the order of `Skeleton.bones`, in metres."""


class NormalEquations:
    """Sum of the terms' JᵀWJ and JᵀWr, kept as the few kinds of blocks that they have."""

    def __init__(self, frames: int, skeleton: Skeleton) -> None:
        joints, bones = len(skeleton), len(skeleton.bones)
        self.skeleton = skeleton
        self.joint = np.zeros((frames, joints, 3, 3))
        """Each joint with itself."""
        self.bone = np.zeros((frames, bones, 3, 3))
        """Each bone's child with its parent."""
        self.hinge: dict[tuple[int, int], Float[np.ndarray, " frames"]] = {}
        """Each coordinate of a joint with that of another (by number, the lower first) of the same frame."""
        self.next = np.zeros((frames, joints))
        """Each coordinate with itself one frame later."""
        self.after_next = np.zeros((frames, joints))
        """The same two frames later."""
        self.gradient = np.zeros((frames, joints, 3))
        self.length = np.zeros((bones, bones))
        self.length_gradient = np.zeros(bones)
        self.cross = np.zeros((frames, bones, 3))
        """Each bone's child with its length; the parent's is the negative."""

    def add_bones(
        self, blocks: Float[np.ndarray, "frames bones 3 3"], pull: Float[np.ndarray, "frames bones 3"]
    ) -> None:
        """Add terms of the vectors from parent to child: their JᵀWJ and JᵀWr with respect to the child."""
        for bone, (child, parent) in enumerate(self.skeleton.bones):
            self.joint[:, child] += blocks[:, bone]
            self.joint[:, parent] += blocks[:, bone]
            self.gradient[:, child] += pull[:, bone]
            self.gradient[:, parent] -= pull[:, bone]
        self.bone -= blocks

    def add_sum(
        self,
        joints: Sequence[int],
        factors: Float[np.ndarray, " terms"],
        weight: Float[np.ndarray, " frames"],
        residual: Float[np.ndarray, "frames 3"],
    ) -> None:
        """Add a term of a weighted sum of a few joints, all axes alike: its JᵀWJ and JᵀWr."""
        for joint, factor in zip(joints, factors, strict=True):
            self.joint[:, joint] += (factor**2 * weight)[:, None, None] * np.eye(3)
            self.gradient[:, joint] += (factor * weight)[:, None] * residual
        for (one, factor), (other, second) in combinations(sorted(zip(joints, factors, strict=True)), 2):
            self.hinge[one, other] = self.hinge.get((one, other), 0) + factor * second * weight

    def banded(self, damping: float) -> Float[np.ndarray, "band unknowns"]:
        """The matrix of the joints as SciPy's lower banded form, its diagonal raised by a share `damping`."""
        frames, joints = self.gradient.shape[:2]
        # A column's entries side by side (Fortran's order), as LAPACK wants them.
        band = np.zeros((frames, joints, 3, 6 * joints + 1))
        for row in range(3):
            for column in range(row + 1):
                band[:, :, column, row - column] = self.joint[:, :, row, column]
        band[..., 0] *= 1 + damping
        for bone, (child, parent) in enumerate(self.skeleton.bones):
            low, high = min(child, parent), max(child, parent)
            block = self.bone[:, bone] if child > parent else self.bone[:, bone].swapaxes(-1, -2)
            for row in range(3):
                for column in range(3):
                    band[:, low, column, 3 * (high - low) + row - column] += block[:, row, column]
        for (low, high), weight in self.hinge.items():
            band[:, low, :, 3 * (high - low)] += weight[:, None]
        band[..., 3 * joints] = self.next[..., None]
        band[..., 6 * joints] = self.after_next[..., None]
        return band.reshape(-1, band.shape[-1]).T

    def right_sides(self) -> Float[np.ndarray, "unknowns columns"]:
        """The gradient, and for each bone what its length does to it."""
        frames, joints, _ = self.gradient.shape
        bones = len(self.skeleton.bones)
        columns = np.zeros((frames, joints, 3, 1 + bones))
        columns[..., 0] = self.gradient
        for bone, (child, parent) in enumerate(self.skeleton.bones):
            columns[:, child, :, 1 + bone] = self.cross[:, bone]
            columns[:, parent, :, 1 + bone] = -self.cross[:, bone]
        return columns.reshape(-1, 1 + bones)
