"""What the benchmark does to 2D joints: noise, a detector's errors, and joints that are hidden."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from repose.evaluation.views import FPS, View, seeded
from repose.skeleton import H36M_17
from repose.synthetic.detector_errors import LIMBS, DetectionConfig, detect, drift
from repose.synthetic.occlusion import OCCLUDERS, self_occluded

PARTS = {**LIMBS, "body": list(range(len(H36M_17)))}
MARGIN_FRAMES = 10
"""So many frames are seen at least before and after a run of hidden ones."""
RUN_EVERY_FRAMES = 120
"""Long clips have one run in each stretch of about this many frames."""

DETECTOR = DetectionConfig(
    p_clean=0.0,
    fast_noise=(0.002, 0.010),
    slow_noise=(0.003, 0.010),
    bias=0.007,
    p_outlier=0.25,
    p_swap_legs=0.08,
    p_swap_arms=0.06,
    p_swap_all=0.04,
    swap_frames=(1, 20),
    p_joint_lost=0.08,
    joint_lost_frames=(1, 30),
    p_flicker=0.2,
    p_limb_lost=0.02,
    limb_lost_frames=(5, 40),
    p_frames_lost=0.1,
    frames_lost=(1, 20),
    p_wrong_place=0.02,
    wrong_place=(0.03, 0.25),
    together=0.0,
)
"""A usual detector on a person in plain view. Milder than what models are trained with: every clip has its
noise, but exchanged sides, lost limbs and lost frames are short."""


@runtime_checkable
class Occlusion(Protocol):
    """A way in which joints are hidden."""

    def __call__(self, view: View, generator: Generator) -> Bool[Tensor, "frames 17"] | None:
        """Which joints are hidden; None for a clip that is too short for it."""


@dataclass(frozen=True)
class JointsHidden:
    """Each joint in each frame at random."""

    share: float

    def __call__(self, view: View, generator: Generator) -> Bool[Tensor, "frames 17"]:
        return torch.rand(len(view), len(H36M_17), generator=generator) < self.share


@dataclass(frozen=True)
class PartHidden:
    """One of some parts of the body, drawn for each clip."""

    parts: tuple[str, ...]
    """Names in `PARTS`."""
    run_frames: int | None = None
    """For this many frames in a row, about every four seconds; default: the whole clip."""

    def __call__(self, view: View, generator: Generator) -> Bool[Tensor, "frames 17"] | None:
        part = self.parts[int(torch.randint(len(self.parts), (), generator=generator))]
        hidden = torch.zeros(len(view), len(H36M_17), dtype=torch.bool)
        hidden[:, PARTS[part]] = True
        if self.run_frames is None:
            return hidden
        needed = self.run_frames + 2 * MARGIN_FRAMES
        if len(view) < needed:
            return None
        within = torch.zeros(len(view), 1, dtype=torch.bool)
        stretches = len(view) // max(needed, RUN_EVERY_FRAMES) or 1
        length = len(view) // stretches
        for first in range(0, stretches * length, length):
            start = first + MARGIN_FRAMES + int(torch.randint(length - needed + 1, (), generator=generator))
            within[start : start + self.run_frames] = True
        return hidden & within


@dataclass(frozen=True)
class SelfOccluded:
    """What the person's own limbs, trunk and head hide (`repose.synthetic.occlusion.self_occluded`)."""

    def __call__(self, view: View, generator: Generator) -> Bool[Tensor, "frames 17"]:
        return self_occluded(view.joints_m[None])[0]


@dataclass(frozen=True)
class ObjectOccluded:
    """What stands or moves between the camera and the person."""

    occluder: str
    """Name in `repose.synthetic.occlusion.OCCLUDERS`."""

    def __call__(self, view: View, generator: Generator) -> Bool[Tensor, "frames 17"]:
        joints = view.joints_m[None]
        return OCCLUDERS[self.occluder](joints, FPS, generator).hides(joints)[0]


@dataclass(frozen=True, eq=False)
class Observation:
    """A view as the detector reports it."""

    keypoints: Float[Tensor, "frames 17 3"]
    """Rays and confidence, 0 where a joint is missing."""
    hidden: Bool[Tensor, "frames 17"]


@dataclass(frozen=True)
class Condition:
    """What is done to the 2D joints of every view, the same for all models."""

    name: str
    description: str
    occlusion: Occlusion | None = None
    aware: bool = True
    """Whether the detector knows which joints are hidden: their confidence is then 0. One that does not know
    reports a wrong place with confidence 1."""
    noise: float = 0.0
    """Gaussian, its deviation in each direction as a share of the person's height."""
    detection: DetectionConfig | None = None
    headline: bool = False
    """Scored on every view of a clip; the others on the first view alone."""

    @property
    def label(self) -> str:
        return self.name if self.aware else f"{self.name}, unaware"

    def observe(self, view: View, seed: int) -> Observation | None:
        """Observe a view under this condition.

        None where it hides nothing or everything, or the clip is too short. Whether the detector is aware or
        not, the same joints are hidden.
        """
        generator = seeded(seed, view.clip, view.name, view.camera, self.name)
        rays = view.rays + self.noise * view.apparent_height * torch.randn(
            view.rays.shape, generator=generator
        )
        keypoints = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
        if self.detection is not None:
            height = torch.tensor([view.apparent_height])
            keypoints = detect(view.rays[None], height, self.detection, generator)[0]
        hidden = keypoints[..., 2] == 0
        if self.occlusion is not None:
            found = self.occlusion(view, generator)
            if found is None or not found.any() or found.all():
                return None
            hidden = found
            if self.aware:
                keypoints = keypoints * ~hidden[..., None]
            else:
                wrong = view.apparent_height * misplacement(len(view), generator)
                keypoints[..., :2] += hidden[..., None] * wrong
        return Observation(keypoints, hidden)


def misplacement(frames: int, generator: Generator) -> Float[Tensor, "frames 17 2"]:
    """Draw the error of a detector that is unaware of an obstacle, in shares of the person's height.

    As in training (`detect`): each joint drifts about a wrong place of its own.
    """
    shape = (1, frames, len(H36M_17))
    place = 0.06 * torch.randn(1, 1, len(H36M_17), 2, generator=generator)
    return (place + 0.05 * drift(shape, 12, generator))[0]


def _both(
    name: str, description: str, occlusion: Occlusion, headline: bool = False
) -> tuple[Condition, Condition]:
    """Return the condition with a detector that knows, and with one that does not."""
    return (
        Condition(name, description, occlusion, headline=headline),
        Condition(
            name, description + "; the detector does not know", occlusion, aware=False, headline=headline
        ),
    )


_LIMBS = ("left arm", "right arm", "left leg", "right leg")
CONDITIONS: tuple[Condition, ...] = (
    Condition("clean", "exact 2D joints, confidence 1", headline=True),
    *(
        Condition(
            f"noise {100 * share:g} %", "Gaussian noise of this share of the person's height", noise=share
        )
        for share in (0.005, 0.01, 0.02, 0.03, 0.05)
    ),
    Condition(
        "detector", "a detector's noise, swaps, lost joints and frames", detection=DETECTOR, headline=True
    ),
    *(
        condition
        for share in (0.05, 0.10, 0.20, 0.40)
        for condition in _both(
            f"{100 * share:g} % of joints lost",
            "each joint of each frame is lost by this chance",
            JointsHidden(share),
        )
    ),
    *_both("a limb lost", "one arm or leg lost in the whole clip", PartHidden(_LIMBS)),
    *_both("legs lost", "knees and ankles lost in the whole clip", PartHidden(("legs",))),
    *_both(
        "half lost", "the left or right half lost in the whole clip", PartHidden(("left half", "right half"))
    ),
    *_both(
        "legs lost 40 frames",
        "knees and ankles lost for 40 frames in a row",
        PartHidden(("legs",), 40),
        headline=True,
    ),
    *(
        Condition(
            f"{count} frames lost",
            "the whole person lost for so many frames in a row",
            PartHidden(("body",), count),
        )
        for count in (5, 15, 30, 60)
    ),
    *_both("own body", "what limbs, trunk and head hide of each other", SelfOccluded(), headline=True),
    *_both("wall", "the corner of a wall cuts the picture", ObjectOccluded("wall")),
    *_both("counter", "a counter hides what is below its edge", ObjectOccluded("counter")),
    *_both("pole", "a pole stands before the person", ObjectOccluded("pole")),
    *_both("passers-by", "people walk through between", ObjectOccluded("passers-by")),
)
"""All conditions, in the order of reports."""
