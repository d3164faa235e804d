"""Losses for lifting: plain tensors in, a scalar out, independent of the model."""

from repose.losses.deviation import WITHIN, deviation
from repose.losses.position import (
    angle,
    angle_velocity,
    joint_l1,
    limb_length,
    limb_variance,
    mpjpe,
    n_mpjpe,
    projection_2d,
    velocity,
    weighted_mpjpe,
)
from repose.losses.relational import spatial_rank, temporal_rank
from repose.losses.total import LossWeights, total_loss

__all__ = [
    "WITHIN",
    "LossWeights",
    "angle",
    "angle_velocity",
    "deviation",
    "joint_l1",
    "limb_length",
    "limb_variance",
    "mpjpe",
    "n_mpjpe",
    "projection_2d",
    "spatial_rank",
    "temporal_rank",
    "total_loss",
    "velocity",
    "weighted_mpjpe",
]
