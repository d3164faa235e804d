"""Procedural motion of the sample's figure: it walks in, turns, waves, squats, walks on and raises its arms.

World frame: metres, right-handed, z up, x along the back wall, y away from the camera. Everything follows
from the footsteps: the pelvis goes where the feet are, legs and arms reach their ends by two-bone inverse
kinematics, and arms swing against the legs. Bone lengths are constant.
"""

from dataclasses import dataclass

import numpy as np

FPS = 30.0
DURATION_S = 9.6

# Bone lengths and offsets in metres, about those of an adult of 1.74 m with the joints of Human3.6M.
THIGH_M, SHANK_M, ANKLE_HEIGHT_M = 0.44, 0.445, 0.085
HIP_M = 0.11
SPINE_M = 0.245
SHOULDER_M, SHOULDER_DROP_M = 0.16, 0.02
UPPER_ARM_M, FOREARM_M = 0.285, 0.255
NOSE_M = np.array([0.055, 0.0, 0.115])
"""Place of the joint that Human3.6M calls nose, from the thorax, in the head's frame (forward, left, up)."""
HEAD_TOP_M = np.array([0.01, 0.0, 0.28])

# Each step: foot, when it leaves the ground, when it lands, where the body is going then (x, y, heading).
STEPS = (
    ("right", 0.15, 0.60, -1.12, 0.00, 0),
    ("left", 0.63, 1.08, -0.60, 0.00, 0),
    ("right", 1.11, 1.56, -0.12, 0.00, -10),
    ("left", 1.59, 2.04, 0.08, 0.00, -50),
    ("right", 2.07, 2.46, 0.10, 0.00, -95),
    ("left", 2.48, 2.84, 0.10, 0.00, -90),
    ("left", 6.15, 6.55, 0.20, 0.00, -40),
    ("right", 6.56, 7.00, 0.50, 0.00, -8),
    ("left", 7.03, 7.46, 0.98, -0.02, 0),
    ("right", 7.49, 7.92, 1.28, -0.08, -30),
    ("left", 7.95, 8.33, 1.32, -0.12, -75),
    ("right", 8.35, 8.70, 1.32, -0.12, -90),
)
START = (-1.48, 0.0, 0.0)
FOOT_APART_M = 0.085
SIDES = {"left": 1.0, "right": -1.0}


@dataclass(frozen=True)
class Motion:
    """The figure through time, in the world."""

    joints_m: dict[str, np.ndarray]
    """Joint name to places, (frames, 3)."""
    orientation: dict[str, np.ndarray]
    """pelvis, thorax, head, left_foot, right_foot to rotations, columns forward, left, up, (frames, 3, 3)."""


def ease(time_s: np.ndarray, start_s: float, stop_s: float) -> np.ndarray:
    """0 before `start_s`, 1 after `stop_s`, between them without a jump in velocity or acceleration."""
    u = np.clip((time_s - start_s) / (stop_s - start_s), 0, 1)
    return u**3 * (10 - 15 * u + 6 * u**2)


def during(time_s: np.ndarray, start_s: float, stop_s: float, ramp_s: float) -> np.ndarray:
    return ease(time_s, start_s, start_s + ramp_s) - ease(time_s, stop_s - ramp_s, stop_s)


def smooth(values: np.ndarray, sigma_s: float) -> np.ndarray:
    """Gaussian mean over time; the ends are continued."""
    reach = int(np.ceil(3 * sigma_s * FPS))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / (sigma_s * FPS)) ** 2)
    padded = np.pad(values, [(reach, reach)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return windows @ (weights / weights.sum())


def heading(yaw_rad: np.ndarray, pitch_rad: np.ndarray, roll_rad: np.ndarray) -> np.ndarray:
    """Rotations with columns forward, left, up; pitch bends forward, roll leans to the right."""
    cy, sy, cp, sp = np.cos(yaw_rad), np.sin(yaw_rad), np.cos(pitch_rad), np.sin(pitch_rad)
    cr, sr = np.cos(roll_rad), np.sin(roll_rad)
    zero, one = np.zeros_like(cy), np.ones_like(cy)
    turn = np.stack([cy, -sy, zero, sy, cy, zero, zero, zero, one], -1).reshape(-1, 3, 3)
    bend = np.stack([cp, zero, sp, zero, one, zero, -sp, zero, cp], -1).reshape(-1, 3, 3)
    lean = np.stack([one, zero, zero, zero, cr, -sr, zero, sr, cr], -1).reshape(-1, 3, 3)
    return turn @ bend @ lean


def reach(
    root_m: np.ndarray, target_m: np.ndarray, pole: np.ndarray, first_m: float, second_m: float
) -> tuple[np.ndarray, np.ndarray]:
    """Middle and end joint of two bones from `root_m` towards `target_m`, bent to the side of `pole`."""
    line = target_m - root_m
    length = np.linalg.norm(line, axis=-1, keepdims=True)
    along = line / length
    length = np.clip(length, abs(first_m - second_m) + 0.02, 0.998 * (first_m + second_m))
    side = pole - (pole * along).sum(-1, keepdims=True) * along
    side /= np.linalg.norm(side, axis=-1, keepdims=True)
    foot = (first_m**2 - second_m**2 + length**2) / (2 * length)
    middle = root_m + foot * along + np.sqrt(first_m**2 - foot**2) * side
    return middle, root_m + length * along


def feet(time_s: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Ankle places, headings and pitches (toes up positive) of both feet."""
    ankle_m, yaw_rad, pitch_rad = {}, {}, {}
    for side, sign in SIDES.items():
        x, y, degrees = START
        place = np.tile(_foot_place(x, y, degrees, sign), (len(time_s), 1))
        yaw, pitch = np.full(len(time_s), np.radians(degrees)), np.zeros(len(time_s))
        for foot, start_s, stop_s, x, y, degrees in STEPS:
            if foot != side:
                continue
            u = ease(time_s, start_s, stop_s)
            target = _foot_place(x, y, degrees, sign)
            step_m = min(1.0, np.linalg.norm(target - place[-1]) / 0.5)
            place = place + u[:, None] * (target - place)
            phase = np.clip((time_s - start_s) / (stop_s - start_s), 0, 1)
            place[:, 2] += (0.05 + 0.06 * step_m) * np.sin(np.pi * phase) ** 2
            pitch -= 0.45 * step_m * np.sin(2 * np.pi * phase) * np.sin(np.pi * phase)
            yaw = yaw + u * (np.radians(degrees) - yaw)
        ankle_m[side], yaw_rad[side], pitch_rad[side] = smooth(place, 0.02), yaw, smooth(pitch, 0.02)
    return ankle_m, yaw_rad, pitch_rad


def _foot_place(x: float, y: float, degrees: float, sign: float) -> np.ndarray:
    yaw = np.radians(degrees)
    offset = sign * FOOT_APART_M
    return np.array([x - offset * np.sin(yaw), y + offset * np.cos(yaw), ANKLE_HEIGHT_M])


def make_motion() -> Motion:
    """The whole motion at `FPS`."""
    time_s = np.arange(round(DURATION_S * FPS)) / FPS
    up = np.array([0.0, 0.0, 1.0])
    ankle_m, foot_yaw, foot_pitch = feet(time_s)
    squat = ease(time_s, 4.7, 5.35) - ease(time_s, 5.55, 6.2)

    yaw = smooth((foot_yaw["left"] + foot_yaw["right"]) / 2, 0.12)
    middle = smooth((ankle_m["left"] + ankle_m["right"]) / 2, 0.13)
    forward = np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], -1)
    ahead = {side: ((ankle_m[side] - middle) * forward).sum(-1) for side in SIDES}
    stride = smooth(ahead["right"] - ahead["left"], 0.05)

    pelvis_m = middle - 0.10 * squat[:, None] * forward
    pelvis_turn = heading(yaw + 0.15 * stride, 0.06 + 0.25 * squat, 0.0 * yaw)
    hips_m = {side: HIP_M * sign * pelvis_turn[:, :, 1] for side, sign in SIDES.items()}
    highest = []
    for side in SIDES:
        flat = np.linalg.norm((pelvis_m + hips_m[side] - ankle_m[side])[:, :2], axis=-1)
        highest.append(ankle_m[side][:, 2] + np.sqrt((0.985 * (THIGH_M + SHANK_M)) ** 2 - flat**2))
    height = smooth(np.minimum(*highest), 0.05) - 0.006
    pelvis_m = np.concatenate([pelvis_m[:, :2], (height - 0.32 * squat)[:, None]], axis=-1)

    sway = 0.03 * np.sin(2 * np.pi * 0.4 * time_s)
    thorax_turn = heading(yaw - 0.22 * stride + 0.3 * sway, 0.07 + 0.50 * squat, 0.04 * stride)
    mid_turn = heading(yaw, 0.02 + 0.55 * squat, 0.0 * yaw)
    spine_m = pelvis_m + SPINE_M * mid_turn[:, :, 2]
    thorax_m = spine_m + SPINE_M * thorax_turn[:, :, 2]
    look = smooth((foot_yaw["left"] + foot_yaw["right"]) / 2, 0.10)
    # The head turns before the body, towards where the next steps go.
    look = np.interp(time_s + 0.15, time_s, look)
    head_turn = heading(look + 0.6 * sway, 0.10 + 0.05 * squat, 0.5 * sway)

    joints = {
        "pelvis": pelvis_m,
        "spine": spine_m,
        "thorax": thorax_m,
        "nose": thorax_m + head_turn @ NOSE_M,
        "head_top": thorax_m + head_turn @ HEAD_TOP_M,
    }
    orientation = {"pelvis": pelvis_turn, "thorax": thorax_turn, "head": head_turn}
    for side, sign in SIDES.items():
        foot_turn = heading(foot_yaw[side] + 0.12 * sign, -foot_pitch[side], 0.0 * yaw)
        orientation[f"{side}_foot"] = foot_turn
        hip = pelvis_m + hips_m[side]
        pole = foot_turn[:, :, 0] + forward + 0.35 * sign * pelvis_turn[:, :, 1] * (0.2 + squat)[:, None]
        pole = pole + 0.3 * up
        knee, ankle = reach(hip, ankle_m[side], pole, THIGH_M, SHANK_M)
        joints |= {f"{side}_hip": hip, f"{side}_knee": knee, f"{side}_ankle": ankle}

        shoulder = thorax_m + thorax_turn @ np.array([0.0, sign * SHOULDER_M, -SHOULDER_DROP_M])
        target, pole = _hand(side, time_s, sign * stride, squat)
        target = shoulder + np.einsum("tij,tj->ti", thorax_turn, target * [1, sign, 1])
        pole = np.einsum("tij,tj->ti", thorax_turn, pole * [1, sign, 1])
        elbow, wrist = reach(shoulder, target, pole, UPPER_ARM_M, FOREARM_M)
        joints |= {f"{side}_shoulder": shoulder, f"{side}_elbow": elbow, f"{side}_wrist": wrist}
    return Motion(joints, orientation)


def _hand(
    side: str, time_s: np.ndarray, swing: np.ndarray, squat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the wrist goes and the elbow points, from the shoulder: forward, outward, up of the thorax."""

    def mix(target: np.ndarray, weight: np.ndarray, *place: object) -> np.ndarray:
        goal = np.stack([np.broadcast_to(part, time_s.shape) for part in place], -1)
        return target + weight[:, None] * (goal - target)

    # The arm swings with the other leg: `swing` is positive when this side's leg is behind.
    angle = np.clip(1.1 * swing, -0.6, 0.6) + 0.08
    target = np.stack([0.50 * np.sin(angle) + 0.05, np.full_like(angle, 0.07), -0.51 * np.cos(angle)], -1)
    pole = np.tile([-1.0, 0.35, -0.1], (len(time_s), 1))
    if side == "right":
        wave = during(time_s, 2.75, 4.75, 0.55)
        beat = np.sin(2 * np.pi * 1.6 * (time_s - 2.9))
        target = mix(target, wave, 0.14, 0.24 + 0.10 * beat, 0.26 - 0.02 * beat)
        pole = mix(pole, wave, 0.0, 1.0, -0.6)
    else:
        point = during(time_s, 3.2, 4.8, 0.6)
        target = mix(target, point, 0.22, 0.34, 0.05)
        pole = mix(pole, point, -0.2, 0.8, -0.8)
    target = mix(target, squat, 0.40, 0.04, 0.08)
    pole = mix(pole, squat, -0.1, 0.7, -0.7)
    lift = ease(time_s, 8.4, 9.2)
    target = mix(target, lift, 0.08, 0.26, 0.40)
    pole = mix(pole, lift, -0.1, 1.0, -0.2)
    return target, pole
