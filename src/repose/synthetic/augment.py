"""Augmentation: other bodies and motions made from existing ones, on joint positions alone.

Everything takes and gives joints of H36M-17, or of h36m-17+feet, in metres in the world frame (z up),
and draws from the given generator, so that a seed fixes the result.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.skeleton import ANKLES_OF_FEET, H36M_17, Skeleton, walk

Joints = Float[Tensor, "batch frames joints 3"]

ARMS = [H36M_17.indices(f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist") for side in ("left", "right")]


def mirror(joints: Joints, which: Bool[Tensor, " batch"], skeleton: Skeleton = H36M_17) -> Joints:
    """Exchange left and right in the clips of `which`: x is negated, partners swap places.

    World joints, joints of a camera, and keypoints whose third number is a confidence alike.
    """
    reflected = joints[:, :, list(skeleton.mirror)] * joints.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(which[:, None, None, None], reflected, joints)


def resize_bones(joints: Joints, spread: float, generator: Generator) -> Joints:
    """Multiply every bone's length by its own factor, the same on the left and on the right.

    Factors are log-normal with standard deviation `spread`, cut at e^±0.6; the widths of hips and
    shoulders vary three times as much and the place of the nose twice as much, since motion capture systems
    and detectors disagree on them most. The pelvis stays. Feet, in `joints` of h36m-17+feet, grow with the
    shank.
    """
    batch, count = len(joints), len(H36M_17)
    factors = torch.randn(batch, count, generator=generator)
    partner = torch.tensor(H36M_17.mirror)
    factors = factors[:, torch.minimum(torch.arange(count), partner)] * spread
    factors[:, H36M_17.indices("left_hip", "right_hip", "left_shoulder", "right_shoulder")] *= 3
    factors[:, H36M_17.index("nose")] *= 2
    factors = factors.clamp(-0.6, 0.6).exp()
    resized = joints.clone()
    for child, parent in walk(H36M_17):
        bone = joints[:, :, child] - joints[:, :, parent]
        resized[:, :, child] = resized[:, :, parent] + bone * factors[:, None, child, None]
    if joints.shape[2] > count:
        feet = joints[:, :, count:] - joints[:, :, ANKLES_OF_FEET]
        resized[:, :, count:] = resized[:, :, ANKLES_OF_FEET] + feet * factors[:, None, ANKLES_OF_FEET, None]
    return resized


def shift_joints(joints: Joints, spread_m: float, generator: Generator) -> Joints:
    """Define the joints of trunk and head otherwise: each is moved along the trunk's own axes.

    Motion capture systems and detectors agree on knees and elbows, but not on where in the trunk a hip, a
    shoulder, the thorax or the nose is: hips lie from 0.13 m (Bandai-Namco) over 0.18 m (CMU) to 0.27 m
    (Human3.6M) apart. Shifts are normal, cut at two deviations, the same in all frames and on both sides;
    up and forward by `spread_m` (the thorax and shoulders up and down by twice that), sideways by half.
    """
    i = H36M_17.index
    shift = torch.randn(len(joints), len(H36M_17), 3, generator=generator).clamp(-2, 2) * spread_m
    shift *= torch.tensor([0.5, 1.0, 1.0])  # to the left, up, forward
    for side in ("left", "right"):
        shift[:, H36M_17.side(side)] = 0.0
    for joint in ("hip", "shoulder"):
        own = torch.randn(len(joints), 3, generator=generator).clamp(-2, 2) * spread_m
        for side, sign in (("left", 0.5), ("right", -0.5)):
            shift[:, i(f"{side}_{joint}")] = own * torch.tensor([sign, 1.0, 1.0])
    shift[:, H36M_17.indices("thorax", "left_shoulder", "right_shoulder"), 1] *= 2
    middle = H36M_17.indices("pelvis", "spine", "thorax", "nose", "head_top")
    shift[:, middle, 0] = 0.0
    # The pelvis is the middle of the hips by definition.
    shift[:, i("pelvis")] = (shift[:, i("left_hip")] + shift[:, i("right_hip")]) / 2
    shift = F.pad(shift, (0, 0, 0, joints.shape[2] - len(H36M_17))).to(joints.dtype)
    return joints + (trunk_frame(joints)[:, :, None] @ shift[:, None, :, :, None])[..., 0]


def exchange_arms(joints: Joints, which: Bool[Tensor, " batch"], generator: Generator) -> Joints:
    """Give the clips of `which` the arm motion of another clip of the batch, in the trunk's own frame.

    Bones keep their lengths; a clip may be drawn as its own donor, and stays as it is then.
    """
    donor = torch.randperm(len(joints), generator=generator)
    T_world_trunk = trunk_frame(joints)
    turn = T_world_trunk @ T_world_trunk[donor].transpose(-1, -2)
    exchanged = joints.clone()
    for side in ARMS:
        parent = H36M_17.parents[side[0]]
        for child in side:
            bone = joints[:, :, child] - joints[:, :, parent]
            length = bone.norm(dim=-1, keepdim=True)
            lent = (turn @ bone[donor][..., None])[..., 0]
            lent = lent * (length / lent.norm(dim=-1, keepdim=True).clamp(min=1e-6))
            exchanged[:, :, child] = exchanged[:, :, parent] + lent
            parent = child
    return torch.where(which[:, None, None, None], exchanged, joints)


def trunk_frame(joints: Joints) -> Float[Tensor, "batch frames 3 3"]:
    """Compute the axes of the trunk as columns: to its left, up along the spine, and forward."""
    i = H36M_17.index
    across = joints[:, :, i("left_shoulder")] - joints[:, :, i("right_shoulder")]
    up = joints[:, :, i("thorax")] - joints[:, :, i("pelvis")]
    up = up / up.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    forward = torch.linalg.cross(across, up)
    forward = forward / forward.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    return torch.stack([torch.linalg.cross(up, forward), up, forward], dim=-1)
