"""Errors of predicted poses: one value per frame, or one per joint, bone or angle (`per_…`).

Joints are arrays (frames, joints, 3), any axes before those allowed, predicted and true alike, in any
one unit and frame of reference; an error comes back in the unit that went in. Nothing is made
root-relative here: subtract the root first where the protocol says so. Everything is computed in
float64. Where a pose holds NaN its errors are NaN. `repose.evaluation.scores` averages all of them.

All functions raise UserError when the two shapes differ.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Int

from repose.errors import expected
from repose.skeleton import H36M_17, Skeleton

Joints = Float[np.ndarray, "*batch joints 3"]
Clip = Float[np.ndarray, "*batch frames joints 3"]
PerFrame = Float[np.ndarray, "*batch"]


def per_joint_error(predicted: Joints, target: Joints) -> Float[np.ndarray, "*batch joints"]:
    """Compute the Euclidean distance of each joint from its truth, (frames, joints)."""
    predicted, target = _match(predicted, target)
    return _norm(predicted - target)


def mpjpe(predicted: Joints, target: Joints) -> PerFrame:
    """Compute the mean per-joint position error ("protocol 1")."""
    return per_joint_error(predicted, target).mean(axis=-1)


def p_mpjpe(predicted: Joints, target: Joints) -> PerFrame:
    """Compute MPJPE after the best similarity, reflections excluded ("protocol 2", PA-MPJPE)."""
    return mpjpe(procrustes_align(predicted, target), target)


def n_mpjpe(predicted: Joints, target: Joints) -> PerFrame:
    """Compute MPJPE after each pose is multiplied by its best factor."""
    return mpjpe(scale_align(predicted, target), target)


def scale_align(predicted: Joints, target: Joints) -> Joints:
    """Scale each pose by the factor that brings it nearest to the truth, least-squares about the origin."""
    predicted, target = _match(predicted, target)
    factor = _divide(_dot(predicted, target), _dot(predicted, predicted))
    return factor[..., None, None] * predicted


def procrustes_align(
    predicted: Joints,
    target: Joints,
    fit: Bool[np.ndarray, "*#batch joints"] | Bool[np.ndarray, " joints"] | None = None,
) -> Joints:
    """Align the prediction by the rotation, scale and translation that bring it nearest to the truth.

    Least squares over the joints where `fit` is true (all by default), each frame on its own; the others
    are carried along and may be anything, NaN in the truth too. A frame with fewer than three such joints
    has no best rotation and comes back as NaN. Never a reflection.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    predicted, target = _match(predicted, target)
    known = None if fit is None else np.broadcast_to(fit, predicted.shape[:-1])[..., None]
    count = predicted.shape[-2] if known is None else known.sum(axis=-2, keepdims=True)
    count = np.where(np.less(count, 3), np.nan, count)
    source_centre, goal_centre = (
        np.einsum("...jc->...c", _keep(x, known))[..., None, :] / count for x in (predicted, target)
    )
    source, goal = _keep(predicted - source_centre, known), _keep(target - goal_centre, known)
    covariance = source.swapaxes(-1, -2) @ goal
    # One NaN would make the decomposition fail for all frames; it comes back through the centres.
    covariance[~np.isfinite(covariance).all(axis=(-1, -2))] = 0.0
    left, stretch, right = np.linalg.svd(covariance)
    flip = np.sign(np.linalg.det(left @ right))
    stretch[..., 2] *= flip
    left[..., 2] *= flip[..., None]
    scale = _divide(stretch.sum(axis=-1), _dot(source, source))[..., None, None]
    return (predicted - source_centre) @ (scale * (left @ right)) + goal_centre


def velocity_error(predicted: Clip, target: Clip, fps: float) -> Float[np.ndarray, "*batch steps"]:
    """Compute the mean error of a joint's velocity, in the input's unit per second, frames − 1 values.

    Frames must be consecutive, `fps` of them a second.
    """
    return per_joint_motion_error(predicted, target, 1, fps).mean(axis=-1)


def velocity_error_per_frame(predicted: Clip, target: Clip) -> Float[np.ndarray, "*batch steps"]:
    """Compute the mean error of displacements between frames ("MPJVE"), in the input's unit per frame."""
    return per_joint_motion_error(predicted, target, 1).mean(axis=-1)


def acceleration_error(predicted: Clip, target: Clip, fps: float) -> Float[np.ndarray, "*batch steps"]:
    """Compute the mean error of a joint's acceleration, in the input's unit per second²."""
    return per_joint_motion_error(predicted, target, 2, fps).mean(axis=-1)


def acceleration_error_per_frame(predicted: Clip, target: Clip) -> Float[np.ndarray, "*batch steps"]:
    """Compute the same from second differences, in the input's unit per frame²; often printed as mm/s²."""
    return per_joint_motion_error(predicted, target, 2).mean(axis=-1)


def per_joint_motion_error(
    predicted: Clip, target: Clip, order: int, fps: float = 1.0
) -> Float[np.ndarray, "*batch steps joints"]:
    """Compute each joint's error of velocity (`order` 1) or acceleration (2); frames − `order` steps.

    In the input's unit per frame, and per second with `fps`.
    """
    predicted, target = _match(predicted, target)
    return _norm(np.diff(predicted - target, n=order, axis=-3)) * fps**order


def pck(predicted: Joints, target: Joints, threshold: float = 0.150) -> PerFrame:
    """Compute the share of joints within `threshold` of their truth, by default 150 mm for input in metres.

    Mehta et al., "Monocular 3D Human Pose Estimation In The Wild", 3DV 2017, score the 14 joints that
    remain of their 17 without pelvis, spine and head: pass only those.
    """
    return (per_joint_error(predicted, target) < threshold).mean(axis=-1)


def auc(predicted: Joints, target: Joints, limit: float = 0.150) -> PerFrame:
    """Compute the mean PCK over 31 thresholds from 0 to `limit`, by default 0–150 mm for metres."""
    return thresholds_met(per_joint_error(predicted, target), limit).mean(axis=-1)


def thresholds_met(error: Float[np.ndarray, "*batch"], limit: float = 0.150) -> Float[np.ndarray, "*batch"]:
    """Compute the share of 31 thresholds from 0 to `limit` that each error stays below.

    As MPI-INF-3DHP's evaluation: an error must be strictly smaller than the threshold, so a perfect
    prediction has 30/31.
    """
    missed = np.floor(error * (30 / limit)) + 1  # a NaN stays one
    return 1.0 - np.minimum(missed, 31.0) / 31.0


def bone_length_error(predicted: Joints, target: Joints, skeleton: Skeleton = H36M_17) -> PerFrame:
    """Compute the mean absolute error of a bone's length."""
    return per_bone_error(predicted, target, skeleton).mean(axis=-1)


def per_bone_error(
    predicted: Joints, target: Joints, skeleton: Skeleton = H36M_17
) -> Float[np.ndarray, "*batch bones"]:
    """Compute the absolute error of each bone's length, in the order of `skeleton.bones`."""
    predicted, target = _match(predicted, target)
    return np.abs(bone_lengths(predicted, skeleton) - bone_lengths(target, skeleton))


def symmetry_error(predicted: Joints, skeleton: Skeleton = H36M_17) -> PerFrame:
    """Compute the mean difference in length between bones and their mirror images; needs no truth."""
    return per_pair_asymmetry(predicted, skeleton).mean(axis=-1)


def per_pair_asymmetry(predicted: Joints, skeleton: Skeleton = H36M_17) -> Float[np.ndarray, "*batch pairs"]:
    """Compute the difference in length between bones and their mirror images, as in `paired_bones`."""
    lengths = bone_lengths(predicted, skeleton)
    left, right = map(list, zip(*paired_bones(skeleton), strict=True))
    return np.abs(lengths[..., left] - lengths[..., right])


def bone_lengths(joints: Joints, skeleton: Skeleton = H36M_17) -> Float[np.ndarray, "*batch bones"]:
    """Compute the length of each bone, in the order of `skeleton.bones`."""
    if joints.shape[-2] != len(skeleton):
        expected(f"joints of skeleton {skeleton.name}", len(skeleton), joints.shape[-2])
    children, parents = map(list, zip(*skeleton.bones, strict=True))
    joints = joints.astype(np.float64, copy=False)
    return _norm(np.take(joints, children, axis=-2) - np.take(joints, parents, axis=-2))


def paired_bones(skeleton: Skeleton = H36M_17) -> list[tuple[int, int]]:
    """List indices into `skeleton.bones` of bones that are each other's mirror image."""
    partner = {bone: i for i, bone in enumerate(skeleton.bones)}
    mirrored = [(skeleton.mirror[child], skeleton.mirror[parent]) for child, parent in skeleton.bones]
    return [(i, partner[bone]) for i, bone in enumerate(mirrored) if i < partner.get(bone, -1)]


def angle_error(
    predicted_deg: Float[np.ndarray, "*batch"], target_deg: Float[np.ndarray, "*batch"]
) -> Float[np.ndarray, "*batch"]:
    """Compute predicted minus true angle in degrees, the short way round: from −180 up to 180.

    Its mean is the bias, the mean of its absolute value the error.
    `repose.geometry.joint_angles.measure_angles` gives the
    angles of poses. NaN where one of the two has no meaning.
    """
    predicted_deg, target_deg = _match(predicted_deg, target_deg)
    return (predicted_deg - target_deg + 180.0) % 360.0 - 180.0


def depth_order_accuracy(
    predicted: Clip, target: Clip, axis: str = "joints", min_gap: float = 0.0
) -> Float[np.ndarray, "*groups"]:
    """Compute the share of pairs whose depths (third coordinate) are in the true order.

    `axis="joints"` pairs the joints of a frame and gives one value per frame; `axis="frames"` pairs the
    frames of a joint and gives one value per joint. Only pairs whose true depths differ by more than
    `min_gap` count, and none with NaN in the truth, so NaN leaves joints out; where no pair counts the
    value is NaN. Equal predictions are a wrong order. To pool over clips, or over a range of gaps, add
    up `depth_order_counts`.
    """
    correct, counted = depth_order_counts(predicted, target, axis, (min_gap,))
    return np.divide(correct[0], counted[0], out=np.full(correct.shape[1:], np.nan), where=counted[0] > 0)


def depth_order_counts(
    predicted: Clip, target: Clip, axis: str = "joints", gaps: tuple[float, ...] = (0.0,)
) -> tuple[Int[np.ndarray, "gaps *groups"], Int[np.ndarray, "gaps *groups"]]:
    """Count correctly ordered and all pairs whose true depths differ by more than each of `gaps`.

    Subtract one gap's counts from another's for the pairs between them. Time grows with the square of the
    number of joints or frames, memory does not.
    """
    predicted, target = _match(predicted, target)
    if axis not in ("joints", "frames"):
        expected("axis", '"joints" or "frames"', repr(axis))
    position = -1 if axis == "joints" else -2
    guess, truth = (np.ascontiguousarray(np.moveaxis(x[..., 2], position, 0)) for x in (predicted, target))
    shape, ranges = truth.shape[1:], len(gaps) + 1
    guess, truth = (x.reshape(len(x), -1) for x in (guess, truth))
    group = 2 * ranges * np.arange(truth.shape[1])
    found = np.zeros(2 * ranges * truth.shape[1], np.int64)
    for lags in _batches(len(truth), truth.shape[1]):
        difference, guessed = (np.concatenate([x[lag:] - x[:-lag] for lag in lags]) for x in (truth, guess))
        size = np.abs(difference)
        # How many of the gaps a pair exceeds, and whether its order is right, as one number for each group.
        kind = ranges * (guessed * difference > 0).astype(np.uint8)
        for gap in gaps:
            kind += size > gap
        found += np.bincount((kind + group).ravel(), minlength=len(found))
    # From pairs that exceed so many gaps to pairs that exceed each gap: from the largest gap down.
    wrong, correct = found.reshape(-1, 2, ranges)[..., :0:-1].cumsum(axis=-1)[..., ::-1].swapaxes(0, 1)
    order = np.argsort(np.argsort(gaps))
    return tuple(x[:, order].T.reshape(len(gaps), *shape) for x in (correct, correct + wrong))


def _batches(items: int, groups: int, pairs: int = 200_000) -> Iterator[range]:
    """Lags between items, together as many as make about so many pairs in all groups."""
    lag = 1
    while lag < items:
        stop = min(lag + max(1, pairs // ((items - lag) * groups)), items)
        yield range(lag, stop)
        lag = stop


def _match(predicted: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if predicted.shape != target.shape:
        expected("shape of the target", f"the prediction's, {predicted.shape}", target.shape)
    return predicted.astype(np.float64, copy=False), target.astype(np.float64, copy=False)


def _keep(x: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    return x if known is None else np.where(known, x, 0.0)


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("...i,...i->...", vectors, vectors))  # one pass, unlike np.linalg.norm


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over joints and coordinates of the product."""
    return np.einsum("...jc,...jc->...", a, b)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a / b, and 0 where b is 0: a pose in one point stays there, whatever the factor."""
    return np.divide(a, b, out=np.zeros_like(a), where=b != 0)
