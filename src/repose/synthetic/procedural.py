"""Procedural human motion: random key poses within the joints' limits, gaits and gestures.

It looks like nobody's motion, but every pose is one a body can take and every movement is smooth, so a
lifter can be trained where there is no motion capture, and meets poses that no capture contains.
Body axes: x forward, y left, z up; rest pose standing upright with the arms hanging.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float

from repose.errors import Within, check_ranges, expected
from repose.geometry.rotation import euler_to_matrix, forward_kinematics
from repose.skeleton import FEET, H36M_17, Skeleton, stature
from repose.synthetic.synthetic_feet import place_on_ground

# The tree that moves: H36M-17 with a neck and two collar joints of length 0, so that head and arms
# can turn without the trunk.
_TREE: dict[str, str] = {
    "pelvis": "",
    "spine": "pelvis",
    "thorax": "spine",
    "neck": "thorax",
    "nose": "neck",
    "head_top": "nose",
    **{
        f"{side}_{joint}": parent if parent in ("pelvis", "thorax") else f"{side}_{parent}"
        for side in ("left", "right")
        for joint, parent in (
            ("hip", "pelvis"),
            ("knee", "hip"),
            ("ankle", "knee"),
            ("collar", "thorax"),
            ("shoulder", "collar"),
            ("elbow", "shoulder"),
            ("wrist", "elbow"),
        )
    },
}
_NAMES = list(_TREE)
_PARENTS = [_NAMES.index(parent) if parent else -1 for parent in _TREE.values()]
_H36M = [_NAMES.index(joint) for joint in H36M_17.joints]

# Joint angles in radians: (lowest, at rest, highest), after the ranges of healthy adults (Kapandji).
# Flexion bends forward (knee: backward), abduction leads away from the midline, twist turns outward.
_LIMITS: dict[str, dict[str, tuple[float, float, float]]] = {
    "trunk": {"flexion": (-0.35, 0.05, 1.1), "side": (-0.45, 0.0, 0.45), "twist": (-0.6, 0.0, 0.6)},
    "neck": {"flexion": (-0.6, 0.05, 0.7), "side": (-0.5, 0.0, 0.5), "twist": (-1.1, 0.0, 1.1)},
    "hip": {"flexion": (-0.4, 0.0, 2.0), "abduction": (-0.3, 0.05, 0.8), "twist": (-0.5, 0.1, 0.7)},
    "knee": {"flexion": (0.0, 0.05, 2.4)},
    "collar": {"lift": (-0.1, 0.0, 0.35)},
    "shoulder": {"flexion": (-0.8, 0.05, 2.9), "abduction": (-0.4, 0.15, 2.3), "twist": (-1.2, 0.0, 1.2)},
    "elbow": {"flexion": (0.05, 0.3, 2.45)},
}
_Range = tuple[float, float]
# Postures as ranges of angles; what is not named stays as it is. `pitch` and `roll` are of the pelvis: pitch
# is positive forward, the side of a roll is drawn.
POSTURES: dict[str, dict[str, _Range]] = {
    "on a chair": {
        "pitch": (-0.2, 0.3), "hip flexion": (1.2, 1.7), "knee flexion": (0.9, 1.9),
        "hip twist": (-0.2, 0.3),
    },
    "on the floor": {
        "pitch": (-0.5, 0.4), "hip flexion": (1.2, 2.0), "hip abduction": (0.0, 0.8),
        "knee flexion": (0.0, 2.4),
    },
    "squatting": {
        "pitch": (0.0, 0.6), "hip flexion": (1.4, 2.0), "hip abduction": (0.1, 0.7),
        "knee flexion": (1.5, 2.4),
    },
    "on the back": {"pitch": (-1.75, -1.2), "hip flexion": (-0.1, 1.4), "knee flexion": (0.0, 1.9)},
    "on the belly": {"pitch": (1.2, 1.75), "hip flexion": (-0.3, 0.2), "knee flexion": (0.0, 1.2)},
    "on the side": {
        "pitch": (-0.4, 0.4), "roll": (1.2, 1.75), "hip flexion": (0.0, 1.7), "knee flexion": (0.0, 2.0),
    },
    "on hands and knees": {
        "pitch": (1.1, 1.6), "trunk flexion": (-0.3, 0.3), "hip flexion": (1.1, 1.8),
        "knee flexion": (1.2, 1.9),
        "shoulder flexion": (1.2, 1.9), "shoulder abduction": (0.0, 0.3), "elbow flexion": (0.05, 0.5),
    },
    "pressing up": {
        "pitch": (1.1, 1.6), "trunk flexion": (-0.2, 0.2), "hip flexion": (-0.1, 0.3),
        "knee flexion": (0.0, 0.15),
        "shoulder flexion": (0.9, 1.8), "shoulder abduction": (0.1, 0.8), "elbow flexion": (0.05, 1.6),
    },
    "hands on a table": {
        "pitch": (0.1, 0.6), "trunk flexion": (0.2, 0.9), "hip flexion": (0.0, 0.6),
        "knee flexion": (0.0, 0.4),
        "shoulder flexion": (0.6, 1.5), "shoulder abduction": (0.0, 0.5), "elbow flexion": (0.05, 1.0),
    },
    "hands on the knees": {
        "pitch": (0.3, 0.9), "trunk flexion": (0.2, 0.6), "hip flexion": (0.2, 0.9),
        "knee flexion": (0.3, 0.9),
        "shoulder flexion": (0.7, 1.2), "shoulder abduction": (0.1, 0.5), "elbow flexion": (0.05, 0.6),
    },
}  # fmt: skip
# What one arm does that carries something in the hand, before the body, on the shoulder, or overhead.
LOADS: dict[str, dict[str, _Range]] = {
    "in the hand": {
        "shoulder flexion": (-0.2, 0.3), "shoulder abduction": (0.05, 0.4), "elbow flexion": (0.05, 0.3),
    },
    "before the body": {
        "shoulder flexion": (0.1, 1.2), "shoulder abduction": (-0.2, 0.3), "elbow flexion": (1.0, 2.0),
    },
    "on the shoulder": {
        "shoulder flexion": (1.4, 2.5), "shoulder abduction": (0.0, 0.6), "elbow flexion": (1.8, 2.4),
    },
    "overhead": {
        "shoulder flexion": (2.4, 2.9), "shoulder abduction": (0.0, 0.4), "elbow flexion": (0.05, 0.6),
    },
}  # fmt: skip
_GROUPS: dict[str, tuple[str, ...]] = {
    "trunk": ("trunk",),
    "head": ("neck",),
    "legs": ("left_hip", "left_knee", "right_hip", "right_knee"),
    "left arm": ("left_collar", "left_shoulder", "left_elbow"),
    "right arm": ("right_collar", "right_shoulder", "right_elbow"),
}


_LOWEST_M = 0.08
"""Height of the lowest joint, which is mostly an ankle."""
_ANKLE = (-0.9, -0.15, 0.75)
"""As `_LIMITS`: flexion lifts the toes towards the shin."""


@dataclass(frozen=True)
class ProceduralConfig:
    clips: Annotated[int, Within(1, 100_000)] = 600
    seconds: Annotated[float, Within(0.01, 600)] = 8.0
    fps: Annotated[float, Within(1, 1000)] = 60.0
    p_gait: Annotated[float, Within(0, 1)] = 0.3
    """Clips that walk or run."""
    p_floor: Annotated[float, Within(0, 1)] = 0.08
    """Clips with the trunk tilted anyhow: tumbling."""
    p_posture: Annotated[float, Within(0, 1)] = 0.2
    """Clips in a posture that motion capture hardly has: sitting, lying, on hands and knees (`POSTURES`)."""
    p_load: Annotated[float, Within(0, 1)] = 0.1
    """Clips in which one arm carries something."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if not self.seconds * self.fps >= 2:
            expected("procedural seconds × fps", "2 frames or more", self.seconds * self.fps)


def make_motion(
    config: ProceduralConfig, seed: int, skeleton: Skeleton = H36M_17
) -> Iterator[Float[np.ndarray, "frames joints 3"]]:
    """Create joints in metres, world frame (z up), clip by clip, each with its own body.

    They are those of h36m-17 or, the same and feet, of h36m-17+feet.
    """
    for clip in range(config.clips):
        # The feet have randomness of their own: without them everything else would be the same.
        rng, rng_feet = np.random.default_rng((seed, clip)), np.random.default_rng((seed, clip, 1))
        yield _clip(config, rng, rng_feet)[:, : len(skeleton)]


def _clip(
    config: ProceduralConfig, rng: np.random.Generator, rng_feet: np.random.Generator
) -> Float[np.ndarray, "frames 23 3"]:
    frames = round(config.seconds * config.fps)
    time_s = np.arange(frames) / config.fps
    angles = _angles(time_s, rng)
    gait = rng.random() < config.p_gait
    if gait:
        _add_gait(angles, time_s, rng)
    floor = not gait and rng.random() < config.p_floor
    lean = 1.6 if floor else 0.15
    start = rng.uniform(-np.pi, np.pi)
    heading = {
        "yaw": start + _keyed(time_s, rng, -1.5, 0.0, 1.5, 0.4 if gait else 0.7, slow=3.0),
        "pitch": _keyed(time_s, rng, -lean, 0.0, lean, 1.0, slow=2.0),
        "roll": _keyed(time_s, rng, -lean, 0.0, lean, 1.0, slow=2.0),
    }
    if not gait and not floor and rng.random() < config.p_posture:
        floor = True
        _take(POSTURES[str(rng.choice(list(POSTURES)))], ("left", "right"), angles, heading, rng)
    if rng.random() < config.p_load:
        side = str(rng.choice(["left", "right"]))
        _take(LOADS[str(rng.choice(list(LOADS)))], (side,), angles, heading, rng)
        away = -1.0 if side == "left" else 1.0
        angles["trunk", "side"] = np.clip(angles["trunk", "side"] + away * rng.uniform(0, 0.3), -0.45, 0.45)
    rotations = _rotations(angles, heading, frames)
    offsets = _body(rng)
    joints, turned = forward_kinematics(rotations, offsets, _PARENTS, np.zeros((frames, 3)))
    joints = _stand(joints[:, _H36M], config.fps, floor, rng)
    feet = _feet(joints, turned, time_s, rng_feet)
    return np.concatenate([joints, feet], axis=1).astype(np.float32)


def _body(rng: np.random.Generator) -> Float[np.ndarray, "joints 3"]:
    """Bone vectors in metres in the rest pose: Winter's segment lengths, each varied by some percent."""
    child = rng.random() < 0.2
    stature = rng.uniform(1.1, 1.55) if child else float(np.clip(rng.normal(1.70, 0.1), 1.45, 2.1))
    # At 1.1 m the head is a quarter larger in proportion, and legs are 7 % shorter.
    young = max(0.0, 1.65 - stature) / 0.55

    def share(value: float, spread: float = 0.05) -> float:
        return stature * value * float(np.exp(rng.normal(0, spread)))

    hip, shoulder = share(0.065, 0.2), share(0.105, 0.12)
    legs = 1 - 0.07 * young
    thigh, shank, upper, fore = share(0.245 * legs), share(0.246 * legs), share(0.172), share(0.150)
    sink = share(0.01, 0.5)
    offsets: dict[str, tuple[float, float, float]] = {
        "spine": (-share(0.01, 0.5), 0, share(0.14)),
        "thorax": (0, 0, share(0.15)),
        "neck": (0, 0, 0),
        "nose": (share(0.03, 0.4), 0, share(0.065, 0.15)),
        "head_top": (-share(0.015, 0.4), 0, share(0.115 * (1 + 0.25 * young), 0.1)),
    }
    for side, sign in (("left", 1), ("right", -1)):
        offsets |= {
            f"{side}_hip": (0, sign * hip, 0),
            f"{side}_knee": (0, 0, -thigh),
            f"{side}_ankle": (0, 0, -shank),
            f"{side}_collar": (0, 0, 0),
            f"{side}_shoulder": (0, sign * shoulder, -sink),
            f"{side}_elbow": (0, 0, -upper),
            f"{side}_wrist": (0, 0, -fore),
        }
    return np.array([offsets.get(name, (0, 0, 0)) for name in _NAMES], dtype=np.float64)


def _angles(time_s: np.ndarray, rng: np.random.Generator) -> dict[tuple[str, str], np.ndarray]:
    """Angle of every degree of freedom over time, keyed by (joint, motion)."""
    angles = {}
    for group, joints in _GROUPS.items():
        liveliness = rng.beta(0.9, 1.1) if group != "legs" else rng.beta(0.7, 1.3)
        tempo = rng.uniform(0.6, 2.5)
        schedule_seed = int(rng.integers(2**31))
        for joint in joints:
            for motion, limits in _LIMITS[joint.removeprefix("left_").removeprefix("right_")].items():
                # One schedule for a group: its joints start and stop together, as a reach does.
                schedule = np.random.default_rng(schedule_seed)
                angles[joint, motion] = _keyed(
                    time_s, rng, *limits, liveliness=liveliness, slow=1 / tempo, schedule=schedule
                )
    return angles


def _keyed(
    time_s: np.ndarray,
    rng: np.random.Generator,
    low: float,
    rest: float,
    high: float,
    liveliness: float = 1.0,
    slow: float = 1.0,
    schedule: np.random.Generator | None = None,
) -> np.ndarray:
    """Minimum-jerk movements (Flash and Hogan 1985) between random targets around `rest`, with pauses."""
    schedule = schedule or rng
    steps = slow * schedule.uniform(0.35, 1.8, size=int(time_s[-1] / (0.35 * slow)) + 3)
    knots = np.cumsum(steps) - steps[0] * schedule.random() - steps[0]
    targets = rng.uniform(low, high, len(knots))
    targets = rest + liveliness * (targets - rest)
    pause = schedule.random(len(knots)) < 0.25
    for k in range(1, len(knots)):
        if pause[k]:
            targets[k] = targets[k - 1]
    now = np.clip(np.searchsorted(knots, time_s, side="right") - 1, 0, len(knots) - 2)
    u = np.clip((time_s - knots[now]) / (knots[now + 1] - knots[now]), 0, 1)
    blend = u**3 * (10 - 15 * u + 6 * u**2)
    sway = 0.02 * np.sin(2 * np.pi * (rng.uniform(0.2, 0.9) * time_s + rng.random()))
    return np.clip(targets[now] + (targets[now + 1] - targets[now]) * blend + sway, low, high)


def _add_gait(
    angles: dict[tuple[str, str], np.ndarray], time_s: np.ndarray, rng: np.random.Generator
) -> None:
    """Replace the legs' motion by steps and let the arms swing against them."""
    stride_hz = rng.uniform(0.65, 1.5)
    reach = rng.uniform(0.2, 0.65) * np.clip(
        _keyed(time_s, rng, 0.2, 1.0, 1.4, liveliness=0.7, slow=3.0), 0, None
    )
    lift = rng.uniform(0.6, 1.3) + (0.6 if stride_hz > 1.2 else 0.0)
    swing = rng.uniform(0.2, 1.2)
    backward = rng.random() < 0.15
    phase = 2 * np.pi * (stride_hz * time_s + rng.random()) * (-1 if backward else 1)
    for side, offset in (("left", 0.0), ("right", np.pi)):
        step = phase + offset
        angles[f"{side}_hip", "flexion"] = 0.5 * reach + reach * np.sin(step)
        angles[f"{side}_hip", "abduction"] *= 0.3
        bend = np.clip(np.cos(step + 0.3), 0, None) ** 2
        angles[f"{side}_knee", "flexion"] = 0.12 + lift * reach * 2 * bend
        if swing > 0.35:
            shoulder = angles[f"{side}_shoulder", "flexion"]
            angles[f"{side}_shoulder", "flexion"] = 0.3 * shoulder - swing * (reach * np.sin(step))
            angles[f"{side}_shoulder", "abduction"] *= 0.4
    for (joint, motion), angle in angles.items():
        low, _, high = _LIMITS[joint.removeprefix("left_").removeprefix("right_")][motion]
        np.clip(angle, low, high, out=angle)


def _take(
    posture: dict[str, _Range],
    sides: tuple[str, ...],
    angles: dict[tuple[str, str], np.ndarray],
    heading: dict[str, np.ndarray],
    rng: np.random.Generator,
) -> None:
    """Move the angles that a posture names into it; a quarter of the motion stays, about another middle.

    Left and right are alike in half of the clips.
    """
    apart = rng.random() < 0.5
    for name, (low, high) in posture.items():
        if name in heading:
            middle = rng.uniform(low, high) * (rng.choice([-1, 1]) if name == "roll" else 1)
            heading[name] = middle + 0.5 * heading[name]
            continue
        joint, motion = name.split()
        middle = rng.uniform(low, high)
        for full in [f"{side}_{joint}" for side in sides] if joint != "trunk" else [joint]:
            if apart:
                middle = rng.uniform(low, high)
            least, rest, most = _LIMITS[joint][motion]
            angle = middle + 0.25 * (angles[full, motion] - rest)
            angles[full, motion] = np.clip(angle, least, most)


def _rotations(
    angles: dict[tuple[str, str], np.ndarray], heading: dict[str, np.ndarray], frames: int
) -> Float[np.ndarray, "frames joints 3 3"]:
    """Local rotation of every joint.

    About +y a positive angle tips what points up forward, about +x to the right.
    """
    rotations = np.tile(np.eye(3), (frames, len(_NAMES), 1, 1))

    def turn(joint: str, order: str, *angle: np.ndarray) -> None:
        rotations[:, _NAMES.index(joint)] = euler_to_matrix(np.stack(angle, axis=-1), order)

    turn("pelvis", "ZYX", heading["yaw"], heading["pitch"], heading["roll"])
    trunk = [angles["trunk", motion] for motion in ("flexion", "side", "twist")]
    for joint in ("spine", "thorax"):
        turn(joint, "YXZ", *(angle / 2 for angle in trunk))
    turn("neck", "YXZ", *(angles["neck", motion] for motion in ("flexion", "side", "twist")))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for joint in ("hip", "shoulder"):
            flexion, abduction, twist = (
                angles[f"{side}_{joint}", motion] for motion in ("flexion", "abduction", "twist")
            )
            turn(f"{side}_{joint}", "YXZ", -flexion, sign * abduction, sign * twist)
        turn(f"{side}_knee", "Y", angles[f"{side}_knee", "flexion"])
        turn(f"{side}_elbow", "Y", -angles[f"{side}_elbow", "flexion"])
        turn(f"{side}_collar", "X", sign * angles[f"{side}_collar", "lift"])
    return rotations


def _stand(
    joints: Float[np.ndarray, "frames 17 3"], fps: float, floor: bool, rng: np.random.Generator
) -> Float[np.ndarray, "frames 17 3"]:
    """Put the body on the ground, and let the foot that carries it stay where it is."""
    lowest = joints[:, :, 2].min(axis=1)
    up = _LOWEST_M - lowest
    if rng.random() < 0.1 and not floor:  # hops
        height, hop_hz = rng.uniform(0.05, 0.35), rng.uniform(0.4, 1.2)
        up = up + height * np.clip(np.sin(2 * np.pi * hop_hz * (np.arange(len(joints)) / fps)), 0, None)
    ankles = joints[:, H36M_17.indices("left_ankle", "right_ankle")]
    carry = np.exp(-(ankles[..., 2] - lowest[:, None]) / 0.02)
    carry /= np.maximum(carry.sum(axis=1, keepdims=True), 1.0)
    velocity = np.gradient(ankles[..., :2], axis=0)
    slide = -(carry[..., None] * velocity).sum(axis=1)
    along = np.cumsum(slide, axis=0) * (0.0 if floor else 1.0)
    return joints + np.concatenate([along, up[:, None]], axis=1)[:, None]


def _feet(
    joints: Float[np.ndarray, "frames 17 3"],
    turned: Float[np.ndarray, "frames joints 3 3"],
    time_s: Float[np.ndarray, " frames"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "frames 6 3"]:
    height_m, low, high = float(np.median(stature(joints))), _ANKLE[0], _ANKLE[2]
    feet = np.empty((len(joints), len(FEET), 3))
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = euler_to_matrix(np.array([sign * rng.normal(0.12, 0.1)]), "Z")  # toes point outward
        axes = turned[:, _NAMES.index(f"{side}_knee")] @ out
        free = _keyed(time_s, rng, *_ANKLE, liveliness=0.4)
        ankle = joints[:, H36M_17.index(f"{side}_ankle")]
        places = place_on_ground(side, ankle, axes, free, (low, high), _LOWEST_M, height_m)
        for joint, place in places.items():
            feet[:, FEET.index(joint)] = place
    return feet
