"""A real detector's errors as they were measured: heavy tails that go with the score, sides, and duration.

From 470,000 joints of three dances that nine calibrated cameras filmed (AIST++ annotations, Google LLC,
CC BY 4.0; Li et al., ICCV 2021): the detector's COCO-17 points and scores against joints triangulated from
all nine views. Errors are shares of the person's height in the picture, and the numbers below are statistics
alone. docs/detector.md sets the simulated distribution beside the measured one.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.skeleton import H36M_17

_SCORES = (0.0, 0.03, 0.25, 0.56, 0.76, 0.93)
"""Where the tables below hold; linear between."""
_PERCENTILES = (0.0, 0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 1.0)
_TABLE = {
    # Scores at these percentiles; median error in per cent of the height at those scores; how much of the
    # tails it has, as a factor of their logarithm; share of the time in which it is at its partner's place.
    "hip": ((0.1, 0.26, 0.36, 0.43, 0.52, 0.61, 0.68, 0.72, 0.8), (2.8, 2.6, 2.4, 1.7, 1.1, 1.0), 0.5, 0.013),
    "knee": (
        (0.05, 0.15, 0.38, 0.51, 0.67, 0.78, 0.84, 0.87, 0.95),
        (4.0, 3.0, 2.1, 1.2, 1.0, 0.9),
        0.9,
        0.016,
    ),
    "ankle": (
        (0.05, 0.15, 0.31, 0.44, 0.67, 0.79, 0.84, 0.86, 0.95),
        (4.0, 2.5, 1.5, 1.0, 0.8, 0.7),
        1.0,
        0.015,
    ),
    "shoulder": (
        (0.1, 0.23, 0.36, 0.49, 0.67, 0.76, 0.83, 0.87, 0.95),
        (3.0, 2.8, 2.5, 1.8, 1.2, 1.1),
        0.5,
        0.021,
    ),
    "elbow": (
        (0.01, 0.02, 0.04, 0.07, 0.30, 0.58, 0.75, 0.85, 0.95),
        (8.0, 7.2, 3.0, 1.7, 1.4, 1.1),
        1.0,
        0.043,
    ),
    "wrist": (
        (0.0, 0.01, 0.02, 0.04, 0.23, 0.62, 0.80, 0.87, 0.95),
        (8.0, 7.0, 2.9, 1.7, 1.5, 1.3),
        1.0,
        0.084,
    ),
    "nose": (
        (0.0, 0.001, 0.002, 0.01, 0.05, 0.92, 0.97, 0.98, 1.0),
        (2.4, 2.4, 2.5, 1.4, 1.1, 1.1),
        0.5,
        0.0,
    ),
    "head_top": (
        (0.0, 0.001, 0.002, 0.01, 0.05, 0.88, 0.95, 0.98, 1.0),
        (2.4, 2.4, 2.5, 1.4, 1.2, 1.2),
        0.5,
        0.0,
    ),
}
_TAILS = {0.90: (2.0, 2.0, 2.7, 2.4, 2.1, 2.0), 0.99: (4.0, 4.0, 7.0, 8.0, 6.5, 5.0)}
"""The 90th and 99th percentile of the error at these scores, in parts of its median."""


def _rows(values: list[tuple[float, ...]]) -> Float[Tensor, "joints knots"]:
    return torch.tensor(values)


_KINDS = {joint: joint.removeprefix("left_").removeprefix("right_") for joint in H36M_17.joints}
# Those that COCO-17 has, and the two of the head, which are made of its five.
FOUND = [H36M_17.index(joint) for joint, kind in _KINDS.items() if kind in _TABLE]
_OF = [_TABLE[_KINDS[H36M_17.joints[joint]]] for joint in FOUND]
_PARTNER = [H36M_17.mirror[joint] for joint in FOUND]
_SWAP_FROM = torch.tensor([-torch.special.ndtri(torch.tensor(max(row[3], 1e-9))).item() for row in _OF])
_HEAVY = torch.tensor([row[2] for row in _OF])
_LIMB = [  # limbs whose joints have a part of their trouble in common
    next((limb for limb, words in enumerate(("hip knee ankle", "shoulder elbow wrist")) if kind in words), 2)
    + (3 if name.startswith("right") else 0)
    for name, kind in ((H36M_17.joints[joint], _KINDS[H36M_17.joints[joint]]) for joint in FOUND)
]


def measured_errors(
    rays: Float[Tensor, "batch frames 17 2"],
    height: Float[Tensor, " batch"],
    generator: Generator,
    hidden: Bool[Tensor, "batch frames 17"] | None = None,
) -> Float[Tensor, "batch frames 17 3"]:
    """Add that detector's errors to true `rays` (H36M-17): x, y and its score.

    `height` is the person's apparent height in the rays' unit; `hidden` joints get lower scores. Every joint
    has a trouble that comes and goes, and shares a part of it with its limb. It decides about the score and
    about when the joint is found at its partner's place; the score decides how large errors may be. Pelvis,
    thorax and spine are means of hips and shoulders, as `repose.skeleton.convert` makes them of COCO-17.
    """
    batch, frames = rays.shape[:2]
    shape = (batch, frames, len(FOUND))

    def noise(rows: int, knots: int) -> Float[Tensor, "batch frames rows"]:
        return smooth_noise((batch, frames, rows), knots, generator)

    trouble = (noise(6, 20)[..., _LIMB] + noise(len(FOUND), 20) + noise(len(FOUND), 6)) / math.sqrt(3)
    exchange = 0.7 * trouble + math.sqrt(1 - 0.7**2) * noise(len(FOUND), 8)
    if hidden is not None:
        trouble = trouble + 0.7 * hidden[..., FOUND]
    share = torch.special.ndtr(-trouble).clamp(1e-3, 1 - 1e-3)
    scores = interpolate_rows(share, torch.tensor(_PERCENTILES), _rows([row[0] for row in _OF]))
    at = torch.tensor(_SCORES)
    median = interpolate_rows(scores, at, _rows([row[1] for row in _OF])) / 100
    tail_90, tail_99 = (
        interpolate_rows(scores, at, _rows([row] * len(FOUND))).log() * _HEAVY for row in _TAILS.values()
    )
    size = (noise(len(FOUND), 8) + 0.5 * torch.randn(shape, generator=generator)) / math.sqrt(1.25)
    # The logarithm of the error in medians: linear in `size` between the percentiles of the table.
    z_90, z_99 = 1.2816, 2.3263
    more = tail_90 * size.clamp(0, z_90) / z_90 + (tail_99 - tail_90) * (size - z_90).clamp(0, 1.5) / (
        z_99 - z_90
    )
    distance = median * torch.where(size < 0, 0.8 * size, more).exp()
    way = torch.stack([noise(len(FOUND), 12), noise(len(FOUND), 12)], dim=-1)
    way = way / way.norm(dim=-1, keepdim=True).clamp(min=1e-3)

    places = torch.where((exchange > _SWAP_FROM)[..., None], rays[:, :, _PARTNER], rays[:, :, FOUND])
    places = places + height[:, None, None, None] * distance[..., None] * way
    found = torch.zeros(batch, frames, len(H36M_17), 3, dtype=rays.dtype)
    found[:, :, FOUND] = torch.cat([places, scores[..., None]], dim=-1).to(rays.dtype)
    for joint, parts in (
        ("pelvis", ("left_hip", "right_hip")),
        ("thorax", ("left_shoulder", "right_shoulder")),
        ("spine", ("pelvis", "thorax")),
    ):
        found[:, :, H36M_17.index(joint)] = found[:, :, H36M_17.indices(*parts)].mean(dim=2)
    return found


def smooth_noise(
    shape: tuple[int, int, int], knot_frames: int, generator: Generator
) -> Float[Tensor, "batch frames rows"]:
    """Draw normal noise of unit variance in every frame that changes over some `knot_frames` frames."""
    batch, frames, rows = shape
    knots = torch.randn(batch, frames // knot_frames + 3, rows, generator=generator)
    at = torch.arange(frames) / knot_frames + torch.rand(batch, 1, generator=generator)
    first = at.floor().long()
    share = (at - first)[..., None]
    index = first[..., None].expand(-1, -1, rows)
    mixed = (1 - share) * knots.gather(1, index) + share * knots.gather(1, index + 1)
    return mixed / (share.square() + (1 - share).square()).sqrt()


def interpolate_rows(
    x: Float[Tensor, "*axes rows"], at: Float[Tensor, " knots"], values: Float[Tensor, "rows knots"]
) -> Float[Tensor, "*axes rows"]:
    """Map each column of `x` through its own piecewise linear function, constant beyond its ends."""
    x = x.clamp(at[0], at[-1])
    above = torch.bucketize(x, at[1:-1])  # number of inner knots below x
    rows = torch.arange(values.shape[0])
    low, high = values[rows, above], values[rows, above + 1]
    return torch.lerp(low, high, (x - at[above]) / (at[above + 1] - at[above]))
