"""Feet in synthetic clips: how they stand, how long they are, and what a detector reports of them.

No measured errors of a detector's heels and toes are at hand. They err as their ankle does, and once more by
as much on their own (`detect_feet`).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.mocap.foot_bones import BALL, place_foot
from repose.skeleton import ANKLE_HEIGHT, ANKLES_OF_FEET, FEET, H36M_17
from repose.synthetic.detector_errors import DetectionConfig, drift, episodes

BODY = len(H36M_17)
_SMALL_TOES = [FEET.index(joint) for joint in FEET if "small" in joint]


def place_on_ground(
    side: str,
    ankle: Float[np.ndarray, "frames 3"],
    axes: Float[np.ndarray, "frames 3 3"],
    free: Float[np.ndarray, " frames"],
    limits: tuple[float, float],
    lowest_m: float,
    stature_m: float,
) -> dict[str, Float[np.ndarray, "frames 3"]]:
    """Place a foot flat on the ground where its ankle is low, on the ball where that rises, else anyhow.

    `axes` are the shank's as columns: forward, to the left, and up along it; the world is z up. `free` is the
    flexion of the ankle in radians where the foot is in the air (positive lifts the toes), `limits` its
    range, and `lowest_m` how high the ankle of a foot on the ground is.
    """
    ahead, _, shank = np.moveaxis(axes, -1, 0)
    ankle_m, ball_m = ANKLE_HEIGHT * stature_m, BALL * stature_m
    risen_m = ankle[:, 2] - lowest_m
    stands = (1 - _smooth(risen_m / stature_m, 0.035, 0.12)) * _smooth(shank[:, 2], 0.2, 0.5)
    level = np.arctan2(-ahead[:, 2], shank[:, 2])
    # On the ball: ball sin(tip) + ankle cos(tip) is the height of the ankle above the ground.
    tip = np.arcsin(np.clip((risen_m + ankle_m) / np.hypot(ankle_m, ball_m), -1, 1))
    tip -= np.arctan2(ankle_m, ball_m)
    angle = np.clip(stands * (level - tip) + (1 - stands) * free, *limits)
    bend = np.clip(stands * (level - angle), 0, 1.0)

    def turn(by: np.ndarray) -> np.ndarray:
        return np.cos(by)[:, None] * ahead + np.sin(by)[:, None] * shank

    return place_foot(side, ankle, turn(angle), turn(angle + np.pi / 2), stature_m, bend)


def _smooth(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Rise from 0 at `low` to 1 at `high`."""
    u = np.clip((x - low) / (high - low), 0, 1)
    return u * u * (3 - 2 * u)


def at_ankles(joints: Float[Tensor, "batch frames 23 axes"]) -> Float[Tensor, "batch frames 23 axes"]:
    """Put feet that are not known (NaN) at their ankles, so that numbers stay finite."""
    feet = joints[:, :, BODY:]
    return torch.cat(
        [joints[:, :, :BODY], torch.where(feet.isnan(), joints[:, :, ANKLES_OF_FEET], feet)], dim=2
    )


def detect_feet(
    rays: Float[Tensor, "batch frames 23 2"],
    found: Float[Tensor, "batch frames 17 3"],
    height: Float[Tensor, " batch"],
    hidden: Bool[Tensor, "batch frames 6"],
    known: Bool[Tensor, "batch 6"],
    config: DetectionConfig,
    generator: Generator,
) -> Float[Tensor, "batch frames 6 3"]:
    """Report the feet as a detector does that has `found` the body: x, y and confidence.

    They go where their ankle was found and err once more by as much: noise from frame to frame and slow, and
    a bias, each as `config` says, log-uniform over clips. They are missing where the ankle is, sometimes on
    their own, and all of them in the clips of a detector without feet (`p_no_feet`; COCO-17) and where they
    are not `known`; small toes in further clips (`p_no_small_toes`; MediaPipe). Hidden feet are less sure and
    farther off. The true rays of feet that are not known must be finite.
    """
    batch, frames = rays.shape[:2]
    shape = (batch, frames, len(FEET))

    def chance(p: float, *size: int) -> Bool[Tensor, "..."]:
        return torch.rand(size, generator=generator) < p

    def log_uniform(low: float, high: float) -> Float[Tensor, "batch 1 1 1"]:
        return low * (high / low) ** torch.rand(batch, 1, 1, 1, generator=generator)

    ankle, clean = found[:, :, ANKLES_OF_FEET], chance(config.p_clean, batch, 1, 1, 1)
    seen = ankle[..., 2:] > 0
    astray = (ankle[..., :2] - rays[:, :, ANKLES_OF_FEET]) * seen
    low, high = config.fast_noise
    fast = torch.where(clean, low, log_uniform(low, high)) * torch.randn(*shape, 2, generator=generator)
    slow = log_uniform(*config.slow_noise) * drift(shape, 12, generator)
    bias = 1.5 * config.bias * torch.randn(batch, 1, len(FEET), 2, generator=generator)
    own = fast + (slow + bias) * ~clean
    own = own + hidden[..., None] * ~clean * log_uniform(*config.self_occlusion) * drift(shape, 12, generator)
    points = rays[:, :, BODY:] + astray + height[:, None, None, None] * own
    doubt = torch.rand(batch, 1, len(FEET), generator=generator) * 0.4 * ~clean[..., 0]
    confidence = ankle[..., 2] * (1 - doubt) * torch.where(hidden & ~clean[..., 0], 0.6, 1.0)

    lost = episodes(
        chance(config.p_joint_lost, batch, len(FEET)) & ~clean[:, :, 0, 0],
        frames,
        config.joint_lost_frames,
        generator,
    )
    small = torch.zeros(len(FEET), dtype=torch.bool)
    small[_SMALL_TOES] = True
    never = chance(config.p_no_feet, batch, 1) | (chance(config.p_no_small_toes, batch, 1) & small) | ~known
    there = seen[..., 0] & ~lost & ~never[:, None]
    return torch.cat([points, confidence[..., None]], dim=-1) * there[..., None]
