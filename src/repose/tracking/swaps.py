"""Swaps of left and right by the detector: found by how joints would jump, and undone.

A detector that mistakes a person's back for the front swaps arms, legs or both for a while. In the picture
the labels then jump at once to where the other side was. Each frame's arms and legs are either "kept" or
"swapped"; the sequence of states with the least cost, which is the most plausible motion, wins (Viterbi).
Every change of state has a cost, so that limbs which truly cross are left alone, and so has every swapped
frame: labels are taken to be right unless motion says otherwise. Arms and legs are judged together: it costs
to take only one pair for swapped, and no repair leaves hips that face against the shoulders.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from repose.pose import Pose2D
from repose.sequence import runs, stretches

LIMBS = {"arms": ("shoulder", "elbow", "wrist"), "legs": ("hip", "knee", "ankle")}
ATTACHED = {"arms": ("pinky", "index", "thumb"), "legs": ("toe", "heel")}
"""Joints that go along, by a word of their name."""
FASTEST_HZ = 6.0
"""Speed that no joint exceeds, in apparent sizes of the person a second: some 10 m/s."""
BEND_COST = 3.0
"""Cost of a bend in a joint's path by the person's size, up to `SHARPEST_BEND`."""
SHARPEST_BEND = 0.15
CHANGE_COST = 0.8
"""Cost of a change of state; a joint that jumps too far by a sixth of the person's size costs 1."""
SWAP_COST = 0.01
"""Cost of each swapped limb pair in a frame; ends a swap whose end is not seen."""
DISAGREEMENT_COST = 0.06
"""Cost of a frame in which arms and legs differ in state: most swaps are of the whole body."""
CLEARLY_WIDE = (0.05, 0.03)
"""Width of shoulders and of hips, in sizes of the person, above which they clearly face one way."""
LONGEST_GAP_S = 2.0
"""A gap after which nothing can be said: each run between such gaps is judged on its own."""

# States of arms and legs together, as (arms swapped, legs swapped).
_STATES = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])


def undo_swaps(pose: Pose2D) -> tuple[Pose2D, dict[str, list[tuple[int, int]]]]:
    """Undo swaps of left and right by the detector.

    Args:
        pose: a track in any layout with shoulders, elbows and wrists, and hips, knees and ankles; hands
            and feet go along. Frames in which one of these twelve is missing are not changed.

    Returns:
        The track, unchanged if nothing jumps; and for "arms" and "legs" the source frames (first, last)
        of every swap that was undone.
    """
    skeleton = pose.skeleton
    sides = {
        limb: [[f"{side}_{name}" for name in names] for side in ("left", "right")]
        for limb, names in LIMBS.items()
    }
    if not all(joint in skeleton.joints for pair in sides.values() for side in pair for joint in side):
        return pose, {}
    index = np.array([[skeleton.indices(*side) for side in pair] for pair in sides.values()])
    complete = np.flatnonzero((pose.confidence[:, index.ravel()] > 0).all(axis=1))
    swapped = np.zeros((len(pose), len(LIMBS)), dtype=bool)
    for stretch in stretches(np.diff(pose.times_s[complete]) > LONGEST_GAP_S):
        rows = complete[stretch]
        if len(rows) > 2:
            points = pose.points_px[rows].astype(np.float64)
            limbs = points[:, index] / _apparent_size(points[:, index.ravel()])
            swapped[rows] = _likeliest_swaps(limbs, pose.times_s[rows])
    if not swapped.any():
        return pose, {}
    order = np.tile(np.arange(len(skeleton)), (len(pose), 1))
    for limb, rows in zip(LIMBS, swapped.T, strict=True):
        for joint in _joints(limb, pose):
            order[rows, joint] = skeleton.mirror[joint]
    touched = {
        limb: [(int(pose.frames[start]), int(pose.frames[stop - 1])) for start, stop in runs(rows)]
        for limb, rows in zip(LIMBS, swapped.T, strict=True)
        if rows.any()
    }
    frame = np.arange(len(pose))[:, None]
    return replace(
        pose, points_px=pose.points_px[frame, order], confidence=pose.confidence[frame, order]
    ), touched


def _likeliest_swaps(
    limbs: Float[np.ndarray, "frames limbs 2 joints 2"], times_s: Float[np.ndarray, " frames"]
) -> Bool[np.ndarray, "frames limbs"]:
    """Find the frames in which each limb pair is swapped."""
    arms, legs = (
        _transition_costs(limbs[:, limb], times_s)[:, state[:, None, None], state[:, None], state]
        for limb, state in enumerate(_STATES.T)
    )
    transitions = arms + legs
    change = CHANGE_COST * (_STATES[:, None] != _STATES).sum(axis=-1)
    impossible = _impossible(limbs)
    # Where hips and shoulders face against each other, a swap of both would leave them so.
    differ = DISAGREEMENT_COST * ((_STATES[:, 0] != _STATES[:, 1]) & ~impossible[:, 3:])
    stay = SWAP_COST * _STATES.sum(axis=-1) + differ + np.where(impossible, np.inf, 0)
    # A path's end: the states of its last two frames, [previous, current].
    cost = change + stay[0, :, None] + stay[1]
    came_from = np.zeros((len(limbs), 4, 4), dtype=int)
    for t in range(2, len(limbs)):
        through = cost[:, :, None] + transitions[t - 2] + change + stay[t]
        came_from[t] = through.argmin(axis=0)
        cost = through.min(axis=0)
    previous, current = np.unravel_index(int(cost.argmin()), cost.shape)
    path = [int(current), int(previous)]
    for t in range(len(limbs) - 1, 1, -1):
        path.append(int(came_from[t, path[-1], path[-2]]))
    return _STATES[path[::-1]].astype(bool)


def _impossible(limbs: Float[np.ndarray, "frames limbs 2 joints 2"]) -> Bool[np.ndarray, "frames states"]:
    """Find the states that would leave the hips facing against the shoulders; "kept" is never one of them.

    Hips and shoulders face the same way where they go from left to right on the same side of the trunk.
    Nobody can turn them to opposite sides, so only those count that are seen from the front or the back, wide
    enough that no error of the detector turns them.
    """
    tops = limbs[:, :, :, 0]
    trunk = tops[:, 0].mean(axis=1) - tops[:, 1].mean(axis=1)
    across = tops[:, :, 0] - tops[:, :, 1]
    length = np.maximum(np.linalg.norm(trunk, axis=-1), 1e-6)[:, None]
    width = (trunk[:, None, 0] * across[..., 1] - trunk[:, None, 1] * across[..., 0]) / length
    clear = (np.abs(width) > CLEARLY_WIDE).all(axis=1)
    opposed = width.prod(axis=1) < 0
    one_only = _STATES[:, 0] != _STATES[:, 1]
    impossible = clear[:, None] & (opposed[:, None] != one_only)
    impossible[:, 0] = False
    return impossible


def _transition_costs(
    limb: Float[np.ndarray, "frames 2 joints 2"], times_s: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "steps 2 2 2"]:
    """Price of every three frames in a row for each of their states [before, last, here].

    A joint pays for moving faster than a body can, from the last frame or from the one before it, the
    lesser of the two, since detectors often pass through a frame half-way between the sides. It also
    pays for bending its path, which tells limbs that cross from limbs that turn back.
    """
    versions = np.stack([limb, limb[:, ::-1]], axis=1)  # frames states 2 joints 2
    before = versions[:-2, :, None, None]
    last = versions[1:-1, None, :, None]
    here = versions[2:, None, None, :]
    steps_s = np.diff(times_s)[:, None, None, None, None, None]
    hop = np.linalg.norm(here - last, axis=-1) - FASTEST_HZ * steps_s[1:]
    leap = np.linalg.norm(here - before, axis=-1) - FASTEST_HZ * (steps_s[1:] + steps_s[:-1])
    excess = np.clip(6 * np.minimum(hop, leap), 0, 1)
    reach = np.minimum(steps_s[1:] / steps_s[:-1], 2.0)[..., None]
    bend = np.linalg.norm(here - last - reach * (last - before), axis=-1)
    return (excess + BEND_COST * np.minimum(bend, SHARPEST_BEND)).mean(axis=-2).sum(axis=-1)


def _joints(limb: str, pose: Pose2D) -> list[int]:
    """Joints of both sides that belong to a limb pair."""
    skeleton = pose.skeleton
    return [
        i
        for i, joint in enumerate(skeleton.joints)
        if skeleton.mirror[i] != i
        and (joint.partition("_")[2] in LIMBS[limb] or any(word in joint for word in ATTACHED[limb]))
    ]


def _apparent_size(points: Float[np.ndarray, "frames joints 2"]) -> float:
    """Median over frames of the diagonal of the box around the joints, in pixels."""
    return max(float(np.median(np.linalg.norm(np.ptp(points, axis=1), axis=-1))), 1e-6)
