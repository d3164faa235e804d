"""Feet that stay where they stand: the person is moved, then the legs are bent, so that no foot slides.

Everything is in the frame of a camera that stands still, in metres; the ground is where
`points @ up == level_m`.
"""

import numpy as np
from jaxtyping import Bool, Float

from repose.fitting.contacts import DEPTH_DOUBT, episodes
from repose.fitting.smoothing import bending, low_pass, stretches
from repose.geometry.rotation import shortest_arc
from repose.skeleton import Skeleton, walk

NEAR_GROUND_M = 0.15
"""A foot that touches down so near to the ground's level is on the ground; else on something else."""
SLIP_M, OFF_LEVEL_M, OFF_PLACE_M, PUSH_M_S2 = 0.01, 0.01, 0.03, 2.0
"""What is thought usual of a foot at rest, of its height, of where the lifter puts the person (across the
line of sight; along it `DEPTH_DOUBT` times as much), and of changes to that: standard deviations."""
FADE_S = 0.12
"""A leg takes so long to be led to its foothold, and to be let go."""
HIDDEN_HZ = 2.0
"""How quickly a foot that was not seen for a while is believed again."""


def find_footing(
    ankles_m: Float[np.ndarray, "frames feet 3"],
    touching: Bool[np.ndarray, "frames feet"],
    seen: Bool[np.ndarray, "frames feet"],
    times_s: Float[np.ndarray, " frames"],
    up: Float[np.ndarray, "3"],
    ankle_level_m: float,
) -> tuple[Float[np.ndarray, "frames 3"], Float[np.ndarray, "frames feet 3"]]:
    """How far the person moves in each frame, and where the ankles belong then.

    The way of the person is the smoothest, and the nearest to the lifted one, on which feet that touch the
    ground rest, at `ankle_level_m` unless they clearly stand on something else: shifts and footholds come
    out of one weighted least-squares problem for each stretch without a gap. Feet that were inferred have
    no say in it; they follow, and do not go below the ground.
    """
    shift, goal = np.zeros((len(ankles_m), 3)), np.zeros_like(ankles_m)
    for rows in stretches(times_s):
        times, ankles = times_s[rows], ankles_m[rows]
        touches = [(foot, on) for foot in range(touching.shape[1]) for on in episodes(touching[rows, foot])]
        leading = [(foot, on) for foot, on in touches if seen[rows][on, foot].mean() >= 0.5]
        if leading:
            shift[rows] = _solve(ankles, leading, times, up, ankle_level_m)
        goal[rows] = _rise(ankles + shift[rows, None], seen[rows], times, up, ankle_level_m)
        for foot, on in touches:
            place = goal[rows][on, foot].mean(axis=0)
            off_m = float(place @ up) - ankle_level_m
            if abs(off_m) < NEAR_GROUND_M:
                place = place - off_m * up
            first_s, last_s = times[on.start], times[on.stop - 1]
            near = slice(*np.searchsorted(times, (first_s - FADE_S, last_s + FADE_S)))
            away_s = np.maximum(first_s - times[near], times[near] - last_s)
            firm = 0.5 + 0.5 * np.cos(np.pi * np.clip(away_s / FADE_S, 0, 1))
            goal[rows][near, foot] += firm[:, None] * (place - goal[rows][near, foot])
    return shift, goal


def _rise(
    ankles: np.ndarray, seen: np.ndarray, times: np.ndarray, up: np.ndarray, ankle_level_m: float
) -> np.ndarray:
    """Ankles of which those that are not seen are not below the ground."""
    hidden = np.clip(low_pass(1.0 - seen, times, HIDDEN_HZ), 0, 1)
    return ankles + (hidden * np.maximum(ankle_level_m - ankles @ up, 0))[..., None] * up


def _solve(
    ankles: np.ndarray,
    touches: list[tuple[int, slice]],
    times: np.ndarray,
    up: np.ndarray,
    ankle_level_m: float,
) -> np.ndarray:
    """The shift of each frame."""
    from scipy import sparse
    from scipy.sparse.linalg import spsolve

    frames, count = len(ankles), len(touches)
    step_s = np.gradient(times)

    # A foot that touches is at its foothold: shift − place = −ankle.
    row = np.concatenate([np.arange(touch.start, touch.stop) for _, touch in touches])
    foot = np.repeat([foot for foot, _ in touches], [touch.stop - touch.start for _, touch in touches])
    touch = np.repeat(np.arange(count), [touch.stop - touch.start for _, touch in touches])
    weight = np.sqrt(step_s[row]) / SLIP_M
    pick = sparse.coo_array(
        (
            np.concatenate([weight, -weight]),
            (np.tile(np.arange(len(row)), 2), np.concatenate([row, frames + touch])),
        ),
        shape=(len(row), frames + count),
    )
    rest = sparse.kron(pick, sparse.eye_array(3))
    rest_at = -(weight[:, None] * ankles[row, foot]).ravel()

    # The person is where the lifter says, more or less.
    sight = ankles.mean(axis=1)
    sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
    loose = np.eye(3) - (1 - 1 / DEPTH_DOUBT) * sight[:, :, None] * sight[:, None]
    blocks = loose * (np.sqrt(step_s) / OFF_PLACE_M)[:, None, None]
    near = sparse.bsr_array(
        (blocks, np.arange(frames), np.arange(frames + 1)), shape=(3 * frames, 3 * frames)
    )

    # It changes without a jerk.
    smooth = sparse.kron(bending(times) / PUSH_M_S2, sparse.eye_array(3))

    # Footholds near the ground's level are on it.
    lasting = np.array([times[t.stop - 1] - times[t.start] for _, t in touches]) + step_s.mean()
    level = np.array([ankles[t, foot].mean(axis=0) @ up for foot, t in touches])
    flat = np.sqrt(lasting) / OFF_LEVEL_M * (np.abs(level - ankle_level_m) < NEAR_GROUND_M)
    ground = sparse.kron(sparse.diags_array(flat), up[None])

    still = sparse.csr_array((near.shape[0] + smooth.shape[0], 3 * count))
    equations = sparse.vstack(
        [
            rest,
            sparse.hstack([sparse.vstack([near, smooth]), still]),
            sparse.hstack([sparse.csr_array((count, 3 * frames)), ground]),
        ]
    ).tocsc()
    right = np.concatenate([rest_at, np.zeros(still.shape[0]), flat * ankle_level_m])
    found = spsolve((equations.T @ equations).tocsc(), equations.T @ right).reshape(-1, 3)
    return found[:frames]


def hold_feet(
    joints_m: Float[np.ndarray, "frames joints 3"],
    shift_m: Float[np.ndarray, "frames 3"],
    ankles_m: Float[np.ndarray, "frames feet 3"],
    skeleton: Skeleton,
    up: Float[np.ndarray, "3"],
) -> Float[np.ndarray, "frames joints 3"]:
    """The person moved, and the legs bent or stretched for the ankles (left, right) to be at `ankles_m`.

    Bones keep their length: hips stay, knees go along in their plane, what hangs on an ankle moves with it.
    A foot out of reach comes as near as the leg allows.
    """
    moved = joints_m + shift_m[:, None]
    ahead = np.cross(moved[:, skeleton.index("left_hip")] - moved[:, skeleton.index("right_hip")], up)
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    for foot, side in enumerate(("left", "right")):
        hip, knee, ankle = skeleton.indices(f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        bent, reached = _bend(moved[:, hip], moved[:, knee], moved[:, ankle], ankles_m[:, foot], ahead)
        for joint in _below(ankle, skeleton):
            moved[:, joint] += reached - moved[:, ankle]
        moved[:, knee], moved[:, ankle] = bent, reached
    return moved


def _bend(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, goal: np.ndarray, ahead: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle for the ankle to come to `goal`, by the law of cosines."""
    thigh, shank = np.linalg.norm(knee - hip, axis=-1), np.linalg.norm(ankle - knee, axis=-1)
    way = goal - hip
    away = np.linalg.norm(way, axis=-1)
    direction = way / np.maximum(away, 1e-9)[:, None]
    # The nearer to straight, the less it gives, so that a knee does not snap.
    bent = np.linalg.norm(ankle - hip, axis=-1)
    room = np.maximum(thigh + shank - bent, 1e-6)
    stretch = room * -np.expm1(-np.maximum(away - bent, 0) / room)
    reach = np.maximum(np.minimum(away, bent) + stretch, np.abs(thigh - shank))
    turned = (shortest_arc(ankle - hip, way) @ (knee - hip)[..., None])[..., 0]
    # A straight leg has no plane of its own; the more it has to bend, the more its knee goes ahead.
    side = turned + np.linalg.norm(goal - ankle, axis=-1, keepdims=True) * ahead
    side -= (side * direction).sum(axis=-1, keepdims=True) * direction
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    along = (reach**2 + thigh**2 - shank**2) / np.maximum(2 * reach, 1e-9)
    across = np.sqrt(np.maximum(thigh**2 - along**2, 0))
    return hip + along[:, None] * direction + across[:, None] * side, hip + reach[:, None] * direction


def _below(joint: int, skeleton: Skeleton) -> list[int]:
    """Joints that hang on `joint`."""
    below: list[int] = []
    for child, parent in walk(skeleton):
        if parent == joint or parent in below:
            below.append(child)
    return below
