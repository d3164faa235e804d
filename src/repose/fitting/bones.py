"""Bones of one length: what the whole clip says of it, and the motion that keeps it."""

import numpy as np
from jaxtyping import Bool, Float

from repose.metrics import bone_lengths, paired_bones
from repose.skeleton import Skeleton, walk

PASSES = 30


def measure_bones(
    joints_m: Float[np.ndarray, "frames joints 3"],
    seen: Bool[np.ndarray, "frames joints"],
    skeleton: Skeleton,
) -> Float[np.ndarray, " joints"]:
    """Length of the bone that ends in each joint, 0 for a root: the median over frames, sides averaged.

    Only frames in which both its ends were seen count, if there are any.
    """
    each = bone_lengths(joints_m, skeleton)
    usual = np.zeros(len(skeleton.bones))
    for bone, (child, parent) in enumerate(skeleton.bones):
        both = seen[:, child] & seen[:, parent]
        usual[bone] = np.median(each[both if both.any() else slice(None), bone])
    for left, right in paired_bones(skeleton):
        usual[[left, right]] = usual[[left, right]].mean()
    lengths = np.zeros(len(skeleton))
    lengths[[child for child, _ in skeleton.bones]] = usual
    return lengths


def hold_lengths(
    joints_m: Float[np.ndarray, "frames joints 3"],
    lengths_m: Float[np.ndarray, " joints"],
    skeleton: Skeleton,
    doubt: Float[np.ndarray, "frames joints"] | None = None,
) -> Float[np.ndarray, "frames joints 3"]:
    """The motion nearest to `joints_m` whose bones have these lengths.

    Each bone in turn moves its two ends along itself until it fits, the one that is more in `doubt` (its
    variance, any unit; all alike by default) further than the other, over and over (Müller et al.,
    "Position based dynamics", 2007). What is left at the end is settled from the root outwards.
    """
    moved = np.array(joints_m.swapaxes(0, 1), dtype=np.float64, order="C")  # a joint's frames side by side
    loose = np.ones(moved.shape[:2]) if doubt is None else doubt.T
    bones = list(walk(skeleton))
    share = {
        child: (loose[child] / np.maximum(loose[child] + loose[parent], 1e-12))[:, None]
        for child, parent in bones
    }
    for _ in range(PASSES):
        for child, parent in bones:
            excess = _excess(moved[child] - moved[parent], lengths_m[child])
            moved[child] -= share[child] * excess
            moved[parent] += (1 - share[child]) * excess
    settled = moved.copy()
    for child, parent in bones:
        bone = moved[child] - moved[parent]
        settled[child] = settled[parent] + bone - _excess(bone, lengths_m[child])
    return settled.swapaxes(0, 1)


def _excess(bone: np.ndarray, length_m: float) -> np.ndarray:
    """What of the vectors `bone` goes beyond their length."""
    actual = np.sqrt(np.einsum("fi,fi->f", bone, bone))[:, None]
    return bone * (1 - length_m / np.maximum(actual, 1e-9))
