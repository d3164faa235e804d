"""Bones of one length: what the whole clip says of it, and the motion that keeps it."""

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.normal_equations import Joints, Lengths
from repose.metrics import bone_lengths, paired_bones
from repose.skeleton import Skeleton, walk

PASSES = 30


def measure_bones(joints_m: Joints, seen: Bool[np.ndarray, "frames joints"], skeleton: Skeleton) -> Lengths:
    """Find the length of each bone: the median over frames, sides averaged.

    Only frames in which both its ends were seen count, if there are any.
    """
    each = bone_lengths(joints_m, skeleton)
    usual = np.zeros(len(skeleton.bones))
    for bone, (child, parent) in enumerate(skeleton.bones):
        both = seen[:, child] & seen[:, parent]
        usual[bone] = np.median(each[both if both.any() else slice(None), bone])
    for left, right in paired_bones(skeleton):
        usual[[left, right]] = usual[[left, right]].mean()
    return usual


def hold_lengths(
    joints_m: Joints,
    lengths_m: Lengths,
    skeleton: Skeleton,
    doubt: Float[np.ndarray, "frames joints"] | None = None,
) -> Joints:
    """Find the motion nearest to `joints_m` whose bones have these lengths.

    Each bone in turn moves its two ends along itself until it fits, the one that is more in `doubt` (its
    variance, any unit; all alike by default) further than the other, over and over (Müller et al.,
    "Position based dynamics", 2007). What is left at the end is settled from the root outwards.
    """
    moved = np.array(joints_m.swapaxes(0, 1), dtype=np.float64, order="C")  # a joint's frames side by side
    loose = np.ones(moved.shape[:2]) if doubt is None else doubt.T
    bones, of_child = list(walk(skeleton)), {child: i for i, (child, _) in enumerate(skeleton.bones)}
    share = {
        child: (loose[child] / np.maximum(loose[child] + loose[parent], 1e-12))[:, None]
        for child, parent in bones
    }
    for _ in range(PASSES):
        for child, parent in bones:
            excess = _excess(moved[child] - moved[parent], lengths_m[of_child[child]])
            moved[child] -= share[child] * excess
            moved[parent] += (1 - share[child]) * excess
    settled = moved.copy()
    for child, parent in bones:
        bone = moved[child] - moved[parent]
        settled[child] = settled[parent] + bone - _excess(bone, lengths_m[of_child[child]])
    return settled.swapaxes(0, 1)


def _excess(bone: np.ndarray, length_m: float) -> np.ndarray:
    """What of the vectors `bone` goes beyond their length."""
    actual = np.sqrt(np.einsum("fi,fi->f", bone, bone))[:, None]
    return bone * (1 - length_m / np.maximum(actual, 1e-9))
