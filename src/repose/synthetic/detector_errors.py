"""A detector's errors on perfect 2D: noise, outliers, swapped sides, missing joints, and its confidence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.errors import Within, check_ranges
from repose.skeleton import H36M_17
from repose.synthetic.measured_errors import measured_errors

SIDES = torch.tensor(H36M_17.mirror)
ARMS = H36M_17.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("shoulder", "elbow", "wrist")))
LEGS = H36M_17.indices(*(f"{s}_{j}" for s in ("left", "right") for j in ("hip", "knee", "ankle")))
# Joints that detectors place by convention rather than by sight, each in its own way.
CONVENTIONAL = H36M_17.indices("pelvis", "spine", "thorax", "nose", "head_top")
# The end of a limb and what it hangs on.
OUTER = H36M_17.indices("left_wrist", "right_wrist", "left_ankle", "right_ankle")
INNER = H36M_17.indices("left_elbow", "right_elbow", "left_knee", "right_knee")
LIMBS = {
    "left arm": H36M_17.indices("left_elbow", "left_wrist"),
    "right arm": H36M_17.indices("right_elbow", "right_wrist"),
    "left leg": H36M_17.indices("left_knee", "left_ankle"),
    "right leg": H36M_17.indices("right_knee", "right_ankle"),
    "legs": H36M_17.indices("left_knee", "left_ankle", "right_knee", "right_ankle"),
    "lower body": H36M_17.indices("pelvis") + LEGS,
    "upper body": sorted(ARMS + H36M_17.indices("thorax", "nose", "head_top", "spine")),
    "left half": H36M_17.side("left"),
    "right half": H36M_17.side("right"),
}


@dataclass(frozen=True)
class DetectionConfig:
    """How large a detector's errors are.

    Lengths are shares of the person's apparent height, `p_…` probabilities that a clip (or a joint or limb of
    it) is affected at all, lengths of episodes in frames.
    """

    p_clean: Annotated[float, Within(0, 1)] = 0.15
    """Clips with nothing but the fast noise at its smallest."""
    fast_noise: Annotated[tuple[float, float], Within(1e-12, 1, rising=True)] = (0.001, 0.012)
    """From frame to frame, log-uniform over clips."""
    slow_noise: Annotated[tuple[float, float], Within(1e-12, 1, rising=True)] = (0.002, 0.018)
    """Drifting within a second or so."""
    bias: Annotated[float, Within(0, 1)] = 0.008
    """Constant over a clip, per joint: layouts differ in where a joint is."""
    p_outlier: Annotated[float, Within(0, 100)] = 0.25
    outlier: Annotated[float, Within(0, 1)] = 0.12
    p_swap_legs: Annotated[float, Within(0, 1)] = 0.10
    p_swap_arms: Annotated[float, Within(0, 1)] = 0.08
    p_swap_all: Annotated[float, Within(0, 1)] = 0.06
    swap_frames: Annotated[tuple[int, int], Within(1, 10_000, rising=True)] = (1, 40)
    p_joint_lost: Annotated[float, Within(0, 1)] = 0.12
    joint_lost_frames: Annotated[tuple[int, int], Within(1, 10_000, rising=True)] = (1, 60)
    p_flicker: Annotated[float, Within(0, 1)] = 0.25
    """Clips in which joints come and go from frame to frame."""
    p_limb_lost: Annotated[float, Within(0, 1)] = 0.08
    limb_lost_frames: Annotated[tuple[int, int], Within(1, 10_000, rising=True)] = (5, 90)
    p_frames_lost: Annotated[float, Within(0, 1)] = 0.12
    frames_lost: Annotated[tuple[int, int], Within(1, 10_000, rising=True)] = (1, 45)
    p_wrong_place: Annotated[float, Within(0, 1)] = 0.10
    """A limb that the detector reports in a wrong place."""
    wrong_place: Annotated[tuple[float, float], Within(1e-12, 1, rising=True)] = (0.03, 0.4)
    """How far off such misplaced joints are, log-uniform over clips."""
    together: Annotated[float, Within(0, 10)] = 0.7
    """Error that all misplaced joints share, as a fraction of each one's own."""
    p_self_occlusion: Annotated[float, Within(0, 1)] = 0.6
    """Clips in which joints hidden by the person's own body are misplaced, too."""
    self_occlusion: Annotated[tuple[float, float], Within(1e-12, 1, rising=True)] = (0.004, 0.06)
    """How far off these are, log-uniform over clips."""
    p_knows: Annotated[float, Within(0, 1)] = 0.7
    """Clips whose detector gives misplaced joints a lower confidence."""
    p_limb_gone: Annotated[float, Within(0, 1)] = 0.0
    """Clips in which a limb is missing from beginning to end."""
    p_measured: Annotated[float, Within(0, 1)] = 0.0
    """Clips with the errors that a real detector was measured to make (`measured_errors`) in place of these;
    what is missing or in a wrong place is so in them, too."""
    p_unsure: Annotated[float, Within(0, 1)] = 0.8
    """Clips whose confidence goes with the error; in the others it is 1."""

    p_no_feet: Annotated[float, Within(0, 1)] = 0.0
    """Clips of a detector that knows no toes and heels (`repose.synthetic.synthetic_feet`)."""
    p_no_small_toes: Annotated[float, Within(0, 1)] = 0.0

    def __post_init__(self) -> None:
        check_ranges(self)


def detect(
    rays: Float[Tensor, "batch frames joints 2"],
    height: Float[Tensor, " batch"],
    config: DetectionConfig,
    generator: Generator,
    hidden: Bool[Tensor, "batch frames joints"] | None = None,
) -> Float[Tensor, "batch frames joints 3"]:
    """Add a detector's errors to true `rays`: x, y and confidence, which is 0 where a joint is missing.

    `height` is the person's apparent height in the rays' unit; `hidden` joints are those that the
    person's own body is in front of. A missing joint's x and y are 0.
    """
    draw = _Draw(config, rays.shape[:3], generator)
    points = _swap_sides(rays, draw)
    error = _noise(draw)
    missing, guessed = _outages(draw)
    displacement, wrong = _misplacement(draw, guessed, hidden)
    points = points + height[:, None, None, None] * (error + displacement)
    confidence = _confidence(draw, error, wrong)
    if config.p_measured:
        real = draw.chance(config.p_measured) & draw.messy
        found = measured_errors(rays[real], height[real], generator, None if hidden is None else hidden[real])
        # A limb behind something is guessed as in other clips: what was measured stood in the open.
        kept = guessed[real]
        points[real] = torch.where(kept[..., None], points[real], found[..., :2])
        confidence[real] = torch.where(kept, confidence[real], found[..., 2].clamp(min=1e-3))
    if config.p_limb_gone:
        gone = draw.chance(config.p_limb_gone) & draw.messy
        drawn = torch.randint(len(LIMBS), (draw.batch,), generator=generator)
        for number, limb in enumerate(LIMBS.values()):
            missing[:, :, limb] |= (gone & (drawn == number))[:, None, None]
    confidence = confidence * ~missing
    return torch.cat([points * ~missing[..., None], confidence[..., None]], dim=-1)


class _Draw:
    """The random choices for a batch of clips; only `messy` clips have more than the least noise."""

    def __init__(self, config: DetectionConfig, shape: Sequence[int], generator: Generator) -> None:
        self.config, self.generator = config, generator
        self.batch, self.frames, self.joints = shape
        self.shape = (self.batch, self.frames, self.joints)
        self.messy = ~self.chance(config.p_clean)

    def chance(self, p: float, *size: int) -> Bool[Tensor, "..."]:
        return torch.rand(size or (self.batch,), generator=self.generator) < p

    def uniform(self, *size: int) -> Float[Tensor, "..."]:
        return torch.rand(size, generator=self.generator)

    def normal(self, *size: int) -> Float[Tensor, "..."]:
        return torch.randn(size, generator=self.generator)

    def log_uniform(self, low: float, high: float) -> Float[Tensor, "batch 1 1 1"]:
        share = self.uniform(self.batch)
        return (math.log(low) + share * math.log(high / low)).exp()[:, None, None, None]

    def drift(self, joints: int) -> Float[Tensor, "batch frames joints 2"]:
        return drift((self.batch, self.frames, joints), 12, self.generator)

    def episodes(self, p: float, rows: int, length: tuple[int, int]) -> Bool[Tensor, "batch frames rows"]:
        happens = self.chance(p, self.batch, rows) & self.messy[:, None]
        return episodes(happens, self.frames, length, self.generator)


def _swap_sides(
    points: Float[Tensor, "batch frames joints 2"], draw: _Draw
) -> Float[Tensor, "batch frames joints 2"]:
    config = draw.config
    for p, which in (
        (config.p_swap_legs, LEGS),
        (config.p_swap_arms, ARMS),
        (config.p_swap_all, list(range(draw.joints))),
    ):
        swapped = draw.episodes(p, 1, config.swap_frames)
        affected = torch.zeros(draw.joints, dtype=torch.bool)
        affected[which] = True
        points = torch.where((swapped & affected)[..., None], points[:, :, SIDES], points)
    return points


def _noise(draw: _Draw) -> Float[Tensor, "batch frames joints 2"]:
    """Draw fast and slow noise, a bias of each joint, and outliers, in shares of the person's height."""
    config, mess = draw.config, draw.messy[:, None, None, None].float()
    low, high = config.fast_noise
    amount = low + mess * (draw.log_uniform(low, high) - low)
    error = amount * draw.normal(*draw.shape, 2)
    error = error + mess * draw.log_uniform(*config.slow_noise) * draw.drift(draw.joints)
    bias = config.bias * draw.normal(draw.batch, 1, draw.joints, 2)
    bias[:, :, CONVENTIONAL] *= 2
    error = error + mess * bias
    astray = draw.episodes(config.p_outlier / draw.joints, draw.joints, (1, 8))
    return error + astray[..., None] * draw.normal(draw.batch, 1, draw.joints, 2) * config.outlier


def _outages(
    draw: _Draw,
) -> tuple[Bool[Tensor, "batch frames joints"], Bool[Tensor, "batch frames joints"]]:
    """Draw which joints are missing, and which are in a wrong place."""
    config = draw.config
    missing = draw.episodes(config.p_joint_lost, draw.joints, config.joint_lost_frames)
    flicker = 0.3 * draw.uniform(draw.batch, 1, 1)
    flicker = flicker * (draw.chance(config.p_flicker) & draw.messy)[:, None, None]
    missing = missing | (draw.uniform(*draw.shape) < flicker)
    missing = missing | draw.episodes(config.p_frames_lost, 1, config.frames_lost)
    wrong = torch.zeros(draw.shape, dtype=torch.bool)
    for limb in LIMBS.values():
        for p, into in ((config.p_limb_lost, missing), (config.p_wrong_place, wrong)):
            into[:, :, limb] |= draw.episodes(p, 1, config.limb_lost_frames)
    return missing, wrong


def _misplacement(
    draw: _Draw,
    wrong: Bool[Tensor, "batch frames joints"],
    hidden: Bool[Tensor, "batch frames joints"] | None,
) -> tuple[Float[Tensor, "batch frames joints 2"], Bool[Tensor, "batch frames joints"]]:
    """Draw how far joints in a wrong place are off, and add `hidden` joints to these.

    A wrong place drifts about its own centre, and what hangs on a misplaced joint goes with it.
    """
    config = draw.config
    guess = draw.normal(draw.batch, 1, draw.joints, 2) + 0.8 * draw.drift(draw.joints)
    guess[:, :, OUTER] += guess[:, :, INNER]
    if config.together:
        whole = draw.normal(draw.batch, 1, 1, 2)
        guess = guess + config.together * (whole + 0.5 * draw.drift(1))
    off = wrong[..., None] * draw.log_uniform(*config.wrong_place)
    if hidden is not None:
        misplaced = hidden & (draw.chance(config.p_self_occlusion) & draw.messy)[:, None, None]
        wrong = wrong | misplaced
        off = torch.maximum(off, misplaced[..., None] * draw.log_uniform(*config.self_occlusion))
    return off * guess, wrong


def _confidence(
    draw: _Draw,
    error: Float[Tensor, "batch frames joints 2"],
    wrong: Bool[Tensor, "batch frames joints"],
) -> Float[Tensor, "batch frames joints"]:
    config = draw.config
    slope = draw.uniform(draw.batch, 1, 1) * 12
    whim = 0.25 * draw.uniform(draw.batch, 1, 1)
    doubt = slope * error.norm(dim=-1) + whim * draw.uniform(*draw.shape)
    confidence = torch.where(draw.chance(config.p_unsure)[:, None, None], (1 - doubt).clamp(0.05, 1.0), 1.0)
    trust = 0.05 + 0.75 * draw.uniform(draw.batch, 1, draw.joints)
    trust = (trust + 0.15 * draw.drift(draw.joints)[..., 0]).clamp(0.05, 1)
    knows = wrong & draw.chance(config.p_knows)[:, None, None]
    return torch.where(knows, (confidence * trust).clamp(min=0.05), confidence)


def episodes(
    happens: Bool[Tensor, "batch rows"], frames: int, length: tuple[int, int], generator: Generator
) -> Bool[Tensor, "batch frames rows"]:
    """Draw a run of frames of random length and position in each row of `happens`; it may cross the ends."""
    low, high = length
    duration = low + (torch.rand(happens.shape, generator=generator) * (high - low + 1)).floor()
    start = torch.rand(happens.shape, generator=generator) * (frames + duration) - duration
    time = torch.arange(frames)[None, :, None]
    return happens[:, None] & (time >= start[:, None]) & (time < (start + duration)[:, None])


def drift(
    shape: tuple[int, int, int], knot_frames: int, generator: Generator
) -> Float[Tensor, "batch frames joints 2"]:
    """Smooth noise of unit variance at its knots, which lie `knot_frames` apart."""
    batch, frames, joints = shape
    knots = torch.randn(batch, joints * 2, frames // knot_frames + 2, generator=generator)
    fine = torch.nn.functional.interpolate(knots, size=knots.shape[-1] * knot_frames, mode="linear")
    start = int(torch.randint(knot_frames, (1,), generator=generator))
    return fine[..., start : start + frames].transpose(1, 2).unflatten(-1, (joints, 2))
