"""Losses on positions, their motion, the bones between them, and a predicted deviation.

All take joints as (batch, frames, joints, 3) in any one unit, any frame of reference, and return a
scalar. They compute in float32 or better. Losses on motion are 0, with gradient 0, for a single frame.

Formulas: Zhu et al., "MotionBERT: A Unified Perspective on Learning Human Motion Representations",
ICCV 2023, section 4.2 and its published training program; `n_mpjpe` from Rhodin et al., "Unsupervised
Geometry-Aware Representation for 3D Human Pose Estimation", ECCV 2018.
"""

import math
from functools import cache
from itertools import combinations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from repose.errors import expected
from repose.skeleton import H36M_17, Skeleton

WITHIN = ((1.0, 0.6827), (2.0, 0.9545))
"""Share of errors within this many deviations, as of a normal distribution."""
_LEAST_M = 1e-3


def match(predicted: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Convert both tensors to float32 or better; raises UserError unless their shapes are equal.

    Half precision is widened because the losses divide small differences by each other and add up
    thousands of terms; the gradient comes back in the precision of the input. Equal shapes are asked
    for because broadcasting would give a number, and a wrong one.
    """
    if predicted.shape != target.shape:
        expected("shape of the target", f"the prediction's, {tuple(predicted.shape)}", tuple(target.shape))
    return widen(predicted), widen(target)


def widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


Joints = Float[Tensor, "batch frames joints 3"]
Scalar = Float[Tensor, ""]


def mpjpe(predicted: Joints, target: Joints) -> Scalar:
    """Return the mean Euclidean distance of a joint from its truth."""
    return _distance(*match(predicted, target)).mean()


def weighted_mpjpe(predicted: Joints, target: Joints, weight: Float[Tensor, "batch frames joints"]) -> Scalar:
    """Return the mean over all joints of weight times distance; not divided by the sum of the weights."""
    return (widen(weight) * _distance(*match(predicted, target))).mean()


def n_mpjpe(predicted: Joints, target: Joints) -> Scalar:
    """Return the MPJPE after each predicted pose is multiplied by the factor that fits it best to its truth.

    The factor is least-squares, about the origin, and part of the gradient. A pose that is all zeros
    stays so.
    """
    predicted, target = match(predicted, target)
    agreement = (predicted * target).sum((2, 3), keepdim=True)
    size = predicted.square().sum((2, 3), keepdim=True)
    return _distance(agreement / size.clamp_min(1e-12) * predicted, target).mean()


def joint_l1(predicted: Joints, target: Joints) -> Scalar:
    """Return the mean absolute difference of a coordinate."""
    return F.l1_loss(*match(predicted, target))


def projection_2d(
    predicted: Joints,
    target: Joints,
    confidence: Float[Tensor, "batch frames joints"] | Float[Tensor, "batch frames joints 1"],
) -> Scalar:
    """Return the mean over joints of confidence times the distance in the image plane, x and y alone."""
    predicted, target = match(predicted, target)
    confidence = widen(confidence).reshape(*predicted.shape[:3], 1)
    return _distance(confidence * predicted[..., :2], confidence * target[..., :2]).mean()


def velocity(predicted: Joints, target: Joints) -> Scalar:
    """Return the mean distance between predicted and true displacement from one frame to the next."""
    predicted, target = match(predicted, target)
    return _mean(_distance(predicted.diff(dim=1), target.diff(dim=1)))


def limb_length(predicted: Joints, target: Joints, skeleton: Skeleton = H36M_17) -> Scalar:
    """Return the mean absolute error of a bone's length."""
    predicted, target = match(predicted, target)
    return F.l1_loss(_lengths(predicted, skeleton), _lengths(target, skeleton))


def limb_variance(predicted: Joints, skeleton: Skeleton = H36M_17) -> Scalar:
    """Return the mean over bones of the unbiased variance of their length over frames; needs no truth."""
    lengths = _lengths(widen(predicted), skeleton)
    deviation = lengths - lengths.mean(dim=1, keepdim=True)
    return (deviation.square().sum(dim=1) / max(lengths.shape[1] - 1, 1)).mean()


def angle(predicted: Joints, target: Joints, skeleton: Skeleton = H36M_17) -> Scalar:
    """Return the mean absolute error in radians of the angle between two bones that share a joint."""
    predicted, target = match(predicted, target)
    return F.l1_loss(_angles(predicted, skeleton), _angles(target, skeleton))


def angle_velocity(predicted: Joints, target: Joints, skeleton: Skeleton = H36M_17) -> Scalar:
    """Return the mean absolute error of the change of those angles, in radians per frame."""
    predicted, target = match(predicted, target)
    return _mean((_angles(predicted, skeleton).diff(dim=1) - _angles(target, skeleton).diff(dim=1)).abs())


def deviation(
    log_deviation: Float[Tensor, "batch frames joints"],
    predicted: Float[Tensor, "batch frames joints 3"],
    target: Float[Tensor, "batch frames joints 3"],
    known: Float[Tensor, "batch joints"] | None = None,
) -> Float[Tensor, ""]:
    """Fit e^log_deviation so that 68 % of the distances from the truth are below it, and 95 % below twice it.

    The sum of two quantile losses (Koenker and Bassett 1978) of the logarithm of the distance. The joints
    themselves get no gradient, only their deviation does. Distances below 1 mm count as 1 mm. Where `known`
    is 0 (else 1) the target is not the truth, and the loss is 0.
    """
    predicted, target = match(predicted, target)
    distance = torch.linalg.vector_norm(predicted - target, dim=-1).detach().clamp_min(_LEAST_M).log()
    beyond = distance - widen(log_deviation)
    wanted = torch.ones_like(beyond) if known is None else widen(known)[:, None].expand_as(beyond)
    loss = beyond.new_zeros(())
    for deviations, share in WITHIN:
        over = beyond - math.log(deviations)
        loss = loss + (wanted * torch.maximum(share * over, (share - 1) * over)).mean()
    return loss


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return torch.linalg.vector_norm(a - b, dim=-1)


def _mean(x: Tensor) -> Tensor:
    """Return the mean, and 0 of nothing: a clip of one frame has no motion and no error of motion."""
    return x.sum() / max(x.numel(), 1)


def _bones(joints: Tensor, skeleton: Skeleton) -> Tensor:
    """Vector from child to parent of every bone, (batch, frames, bones, 3)."""
    if joints.shape[2] != len(skeleton):
        expected(f"joints of skeleton {skeleton.name}", len(skeleton), joints.shape[2])
    children, parents = map(list, zip(*skeleton.bones, strict=True))
    return joints[:, :, parents] - joints[:, :, children]


def _lengths(joints: Tensor, skeleton: Skeleton) -> Tensor:
    return torch.linalg.vector_norm(_bones(joints, skeleton), dim=-1)


def _angles(joints: Tensor, skeleton: Skeleton) -> Tensor:
    bones = _bones(joints, skeleton)
    first, second = _meeting_bones(skeleton)
    cosine = F.cosine_similarity(bones[:, :, first], bones[:, :, second], dim=-1)
    # acos has an infinite slope at the ends; the published margin keeps the gradient finite.
    return torch.acos(cosine.clamp(-1 + 1e-7, 1 - 1e-7))


@cache
def _meeting_bones(skeleton: Skeleton) -> tuple[list[int], list[int]]:
    """Return indices of the bones of every pair that shares a joint.

    The published list lacks the pair of nose and left shoulder, and so does this one: the fixtures
    hold us to it, and no other pair says less about the pose.
    """
    bones = skeleton.bones
    pairs = [
        (i, j)
        for i, j in combinations(range(len(bones)), 2)
        if set(bones[i]) & set(bones[j])
        and {skeleton.joints[bones[i][0]], skeleton.joints[bones[j][0]]} != {"nose", "left_shoulder"}
    ]
    first, second = map(list, zip(*pairs, strict=True))
    return first, second
