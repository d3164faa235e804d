"""The body around the joints: tapered capsules in seven materials, their distance field and their colours."""

from dataclasses import dataclass, field

import numpy as np
from sample_motion import SIDES

MATERIALS = ("shirt", "trousers", "skin", "head", "hair", "shoe", "sole")
# How far capsules of one material melt into each other, in metres.
BLEND_M = np.array([0.022, 0.020, 0.007, 0.010, 0.012, 0.010, 0.004], np.float32)
COLOURS = np.array(
    [
        (0.17, 0.36, 0.62),  # shirt
        (0.16, 0.16, 0.19),  # trousers
        (0.80, 0.57, 0.44),  # skin
        (0.82, 0.59, 0.46),  # head
        (0.13, 0.08, 0.05),  # hair
        (0.72, 0.72, 0.70),  # shoe
        (0.25, 0.25, 0.25),  # sole
    ],
    np.float32,
)


@dataclass(frozen=True)
class Look:
    """Clothes and build."""

    colours: np.ndarray = field(default_factory=lambda: COLOURS)
    """Linear RGB of each material."""
    girth: float = 1.0
    """Factor of all radii but the head's."""
    long_sleeves: bool = False
    shorts: bool = False


@dataclass(frozen=True)
class Body:
    """One frame's capsules: ends and radii in metres, and the material of each."""

    start_m: np.ndarray
    stop_m: np.ndarray
    start_radius_m: np.ndarray
    stop_radius_m: np.ndarray
    material: np.ndarray
    head_m: np.ndarray
    """Centre of the skull."""
    head_turn: np.ndarray
    thorax_m: np.ndarray
    thorax_turn: np.ndarray

    def distances_m(self, points_m: np.ndarray) -> np.ndarray:
        """Distance of (points, 3) to the surface of each material, (points, materials); negative inside.

        Capsules of one material are united by a logarithmic mean of their exponentials, which is smooth.
        """
        centre = self.head_m
        points = (points_m - centre).astype(np.float32)
        start = (self.start_m - centre).astype(np.float32)
        bone = (self.stop_m - self.start_m).astype(np.float32)
        long2 = np.maximum((bone**2).sum(-1), 1e-9)
        along = points @ bone.T - (start * bone).sum(-1)
        away2 = (points**2).sum(-1)[:, None] - 2 * (points @ start.T) + (start**2).sum(-1)
        share = np.clip(along / long2, 0, 1)
        away2 += share * (share * long2 - 2 * along)
        distance = np.sqrt(np.maximum(away2, 0))
        distance -= self.start_radius_m + share * (self.stop_radius_m - self.start_radius_m)
        blend = BLEND_M[self.material]
        near = np.exp(np.clip(distance / -blend, -80, 80))
        merged = near @ np.eye(len(MATERIALS), dtype=np.float32)[self.material]
        return -BLEND_M * np.log(merged)


class _Builder:
    def __init__(self, look: Look) -> None:
        self.look = look
        self.rows: list[tuple[np.ndarray, np.ndarray, float, float, int]] = []

    def add(
        self, material: str, start: np.ndarray, stop: np.ndarray, radius: float, end: float | None = None
    ) -> None:
        girth = 1.0 if material in ("head", "hair") else self.look.girth
        end = radius if end is None else end
        self.rows.append((start, stop, girth * radius, girth * end, MATERIALS.index(material)))


def make_body(joint: dict[str, np.ndarray], turn: dict[str, np.ndarray], look: Look | None = None) -> Body:
    """The body of one frame: places of the joints of H36M-17, and the axes of `sample_motion.Motion`.

    It is made for somebody 1.74 m tall.
    """
    make = _Builder(look or Look())
    _trunk(make, joint, turn)
    for side, sign in SIDES.items():
        _leg(make, side, joint, turn[f"{side}_foot"])
        _arm(make, side, sign, joint, turn["thorax"])
    skull = _head(make, joint, turn)
    start, stop, first, second, material = (np.array(column) for column in zip(*make.rows, strict=True))
    return Body(
        start,
        stop,
        first.astype(np.float32),
        second.astype(np.float32),
        material,
        skull,
        turn["head"],
        joint["thorax"],
        turn["thorax"],
    )


def _trunk(make: _Builder, joint: dict[str, np.ndarray], turn: dict[str, np.ndarray]) -> None:
    def at(origin: str, frame: str, forward: float, left: float, up: float) -> np.ndarray:
        return joint[origin] + turn[frame] @ np.array([forward, left, up])

    def across(
        material: str, origin: str, frame: str, place: tuple[float, float], half: float, r: float
    ) -> None:
        forward, up = place
        make.add(material, at(origin, frame, forward, -half, up), at(origin, frame, forward, half, up), r)

    across("trousers", "pelvis", "pelvis", (0.0, 0.03), 0.075, 0.085)
    across("trousers", "pelvis", "pelvis", (-0.035, -0.03), 0.070, 0.080)  # buttocks
    across("shirt", "pelvis", "pelvis", (0.0, 0.10), 0.070, 0.092)
    across("shirt", "spine", "thorax", (0.005, 0.0), 0.068, 0.090)
    across("shirt", "spine", "thorax", (0.015, 0.09), 0.072, 0.093)
    across("shirt", "thorax", "thorax", (0.010, -0.08), 0.085, 0.088)  # chest
    across("shirt", "thorax", "thorax", (-0.005, -0.025), 0.125, 0.048)  # shoulders
    make.add(
        "shirt", at("thorax", "thorax", -0.01, 0, 0.0), at("thorax", "thorax", 0, 0, 0.035), 0.062, 0.054
    )


def _leg(make: _Builder, side: str, joint: dict[str, np.ndarray], foot: np.ndarray) -> None:
    hip, knee, ankle = (joint[f"{side}_{name}"] for name in ("hip", "knee", "ankle"))
    thigh, shank = knee - hip, ankle - knee
    below = "skin" if make.look.shorts else "trousers"
    make.add("trousers", hip, knee, 0.074, 0.056)
    make.add("trousers", hip + 0.12 * thigh, hip + 0.5 * thigh, 0.074, 0.068)
    make.add(below, knee, ankle - 0.03 * shank, 0.053, 0.042)
    back = -foot[:, 0]
    make.add(below, knee + 0.15 * shank + 0.015 * back, knee + 0.5 * shank + 0.012 * back, 0.050, 0.044)
    ground = ankle + foot @ np.array([0, 0, -0.045])
    make.add("shoe", ankle, ground - 0.035 * foot[:, 0], 0.040, 0.040)
    make.add("shoe", ankle + 0.02 * foot[:, 0], ground + 0.11 * foot[:, 0] + 0.005 * foot[:, 2], 0.040, 0.036)
    make.add("shoe", ground + 0.06 * foot[:, 0], ground + 0.15 * foot[:, 0], 0.038, 0.032)
    low = ankle + foot @ np.array([0, 0, -0.072])
    make.add("sole", low - 0.045 * foot[:, 0], low + 0.155 * foot[:, 0], 0.018)
    for side_m in (-0.018, 0.018):
        edge = side_m * foot[:, 1]
        make.add("sole", low - 0.04 * foot[:, 0] + edge, low + 0.14 * foot[:, 0] + edge, 0.018)


def _arm(make: _Builder, side: str, sign: float, joint: dict[str, np.ndarray], thorax: np.ndarray) -> None:
    shoulder, elbow, wrist = (joint[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
    upper, fore = elbow - shoulder, wrist - elbow
    bare = "shirt" if make.look.long_sleeves else "skin"
    make.add("shirt", shoulder, shoulder + 0.62 * upper, 0.058, 0.047)
    make.add(bare, shoulder + 0.4 * upper, elbow, 0.040, 0.035)
    make.add(bare, elbow, wrist, 0.036, 0.025)
    make.add(bare, elbow + 0.1 * fore, elbow + 0.45 * fore, 0.037, 0.035)
    along = fore / np.linalg.norm(fore)
    # The palm looks inwards with the arm down and forwards with the hand up.
    inward = -sign * thorax[:, 1] + 1.5 * thorax[:, 0] * max(0.0, along[2])
    palm = inward - (inward @ along) * along
    palm /= np.linalg.norm(palm)
    wide = np.cross(along, palm)
    wide *= np.sign(wide @ (thorax[:, 0] + sign * -0.2 * thorax[:, 1] * along[2])) or 1.0
    for spread in (-0.020, 0.0, 0.020):
        knuckle = wrist + 0.085 * along + spread * wide
        make.add("skin", wrist + 0.02 * along + 0.5 * spread * wide, knuckle, 0.019, 0.016)
    for spread, length in ((-0.030, 0.060), (-0.010, 0.072), (0.010, 0.075), (0.029, 0.068)):
        knuckle = wrist + 0.09 * along + spread * wide
        make.add(
            "skin", knuckle, knuckle + length * along + 0.25 * spread * wide + 0.012 * palm, 0.0095, 0.007
        )
    thumb = wrist + 0.03 * along + 0.022 * wide
    make.add("skin", thumb, thumb + 0.045 * along + 0.035 * wide + 0.01 * palm, 0.013, 0.010)


def _head(make: _Builder, joint: dict[str, np.ndarray], turn: dict[str, np.ndarray]) -> np.ndarray:
    skull = joint["thorax"] + turn["head"] @ np.array([0.018, 0.0, 0.185])

    def at(forward: float, left: float, up: float) -> np.ndarray:
        return skull + turn["head"] @ np.array([forward, left, up])

    neck = joint["thorax"] + turn["thorax"] @ np.array([-0.01, 0, -0.01])
    make.add("skin", neck, at(-0.02, 0, -0.05), 0.054, 0.050)
    make.add("head", at(0.012, 0, 0.015), at(-0.018, 0, 0.018), 0.073, 0.072)
    make.add("head", at(0.020, 0, -0.02), at(0.030, 0, -0.062), 0.062, 0.045)  # face and jaw
    make.add("head", at(0.052, -0.016, -0.084), at(0.052, 0.016, -0.084), 0.020)  # chin
    make.add("head", at(0.060, -0.018, -0.05), at(0.060, 0.018, -0.05), 0.020)  # mouth
    make.add("head", at(0.075, -0.028, 0.026), at(0.075, 0.028, 0.026), 0.008)  # brow
    make.add("head", at(0.082, 0, 0.012), at(0.101, 0, -0.022), 0.006, 0.010)  # nose
    make.add("head", at(0.092, -0.009, -0.027), at(0.092, 0.009, -0.027), 0.008)
    for sign in SIDES.values():
        make.add("head", at(-0.012, sign * 0.074, 0.012), at(-0.006, sign * 0.072, -0.026), 0.012, 0.008)
        make.add("hair", at(0.000, sign * 0.052, 0.040), at(-0.045, sign * 0.045, 0.0), 0.030, 0.032)
    make.add("hair", at(0.026, 0, 0.053), at(-0.035, 0, 0.030), 0.054, 0.062)
    make.add("hair", at(0.044, 0.030, 0.068), at(0.048, -0.030, 0.072), 0.024)  # fringe
    make.add("hair", at(-0.045, 0, 0.01), at(-0.055, 0, -0.045), 0.050, 0.038)
    return skull


def colour_of(
    body: Body, points_m: np.ndarray, material: np.ndarray, palette: np.ndarray = COLOURS
) -> np.ndarray:
    """Surface colours (linear RGB) of points on the body: plain, except for the face and the clothes."""
    colours = palette[material].copy()
    forward, left, up = ((points_m - body.head_m) @ body.head_turn).T
    face = (material == MATERIALS.index("head")) & (forward > 0.045)

    def paint(where: np.ndarray, colour: tuple[float, float, float], strength: float = 1.0) -> None:
        rows = face & where
        colours[rows] += strength * (np.array(colour, np.float32) - colours[rows])

    side = np.abs(left)
    paint(((side - 0.045) / 0.022) ** 2 + ((up + 0.028) / 0.02) ** 2 < 1, (0.80, 0.45, 0.36), 0.4)
    paint(((side - 0.031) / 0.019) ** 2 + ((up - 0.008) / 0.011) ** 2 < 1, (0.55, 0.36, 0.28), 0.7)
    paint(((side - 0.031) / 0.0145) ** 2 + ((up - 0.007) / 0.0070) ** 2 < 1, (0.92, 0.91, 0.88))
    paint(((side - 0.031) / 0.0062) ** 2 + ((up - 0.007) / 0.0066) ** 2 < 1, (0.10, 0.06, 0.04))
    paint(
        (np.abs(up - 0.027 + 4 * (side - 0.03) ** 2) < 0.0048) & (side > 0.013) & (side < 0.05),
        (0.12, 0.07, 0.05),
    )
    paint((left / 0.026) ** 2 + ((up + 0.058) / 0.0075) ** 2 < 1, (0.72, 0.33, 0.30), 0.8)

    ahead, across, height = ((points_m - body.thorax_m) @ body.thorax_turn).T
    shirt = material == MATERIALS.index("shirt")
    collar = shirt & (height > 0.055 - 0.4 * np.clip(ahead, 0, 0.05)) & (np.abs(across) < 0.085)
    colours[collar] = (0.90, 0.90, 0.88)
    badge = shirt & (np.abs(across - 0.075) < 0.03) & (np.abs(height + 0.115) < 0.03) & (ahead > 0)
    colours[badge] = (0.85, 0.75, 0.25)
    return colours
