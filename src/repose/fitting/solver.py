"""Levenberg-Marquardt for motions of one body: each window is a banded system, the lengths are shared."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms import Term
from repose.skeleton import Skeleton

Each = list[Float[np.ndarray, "_ joints 3"]]
"""Joints of several windows, which differ in length."""
ITERATIONS = 15
"""So many steps are tried at most."""
TOLERANCE = 1e-3
"""The search ends when a step lowers the cost by a smaller share than this."""
DAMPING = 1e-5
"""Of the first step."""
REFUSED, TAKEN = 30.0, 0.1
"""What a step that does not lower the cost, and one that does, makes of the damping."""


@dataclass(frozen=True, eq=False)
class Window:
    """Neighbouring frames, and what is asked of them."""

    start_m: Joints
    terms: tuple[Term, ...]

    def cost(self, joints_m: Joints, lengths_m: Lengths) -> float:
        return sum(term.cost(joints_m, lengths_m) for term in self.terms)


@dataclass(frozen=True, eq=False)
class Solution:
    joints_m: Each
    """Of each window."""
    lengths_m: Lengths
    cost: float
    steps: int
    """Those that lowered the cost."""
    converged: bool


def minimise(
    windows: Sequence[Window], lengths_m: Lengths, skeleton: Skeleton, *, free_lengths: bool = True
) -> Solution:
    """Find the joints of all windows, and the lengths they share, that cost least.

    Each step solves the reweighted normal equations; a step that does not lower the cost is tried again with
    more damping (Nocedal and Wright, Numerical Optimization, 2006, section 10.3).
    """
    joints = [window.start_m for window in windows]
    cost = sum(window.cost(at, lengths_m) for window, at in zip(windows, joints, strict=True))
    damping, converged, taken = DAMPING, False, 0
    for _ in range(ITERATIONS):
        moves, stretch = _step(windows, joints, lengths_m, skeleton, damping, free_lengths)
        tried = [at - move for at, move in zip(joints, moves, strict=True)]
        lower = sum(window.cost(at, lengths_m - stretch) for window, at in zip(windows, tried, strict=True))
        if not lower < cost:
            converged = bool(lower <= cost * (1 + 1e-9))
            damping *= REFUSED
            if converged or damping > 1e6:
                break
            continue
        taken += 1
        converged = bool(cost - lower < TOLERANCE * cost)
        joints, lengths_m, cost = tried, lengths_m - stretch, lower
        damping *= TAKEN
        if converged:
            break
    return Solution(joints, lengths_m, cost, taken, converged)


def _step(
    windows: Sequence[Window],
    joints: Each,
    lengths_m: Lengths,
    skeleton: Skeleton,
    damping: float,
    free_lengths: bool,
) -> tuple[Each, Lengths]:
    """What to take from the joints of each window, and from the lengths."""
    from scipy.linalg import cho_solve_banded, cholesky_banded

    bones = len(skeleton.bones)
    complement, gradient = np.zeros((bones, bones)), np.zeros(bones)
    solved = []
    for window, at in zip(windows, joints, strict=True):
        normal = NormalEquations(len(at), skeleton)
        for term in window.terms:
            term.add(at, lengths_m, normal)
        factor = cholesky_banded(normal.banded(damping), overwrite_ab=True, lower=True, check_finite=False)
        right = normal.right_sides() if free_lengths else normal.gradient.reshape(-1, 1)
        found = cho_solve_banded((factor, True), right, check_finite=False)
        if free_lengths:
            coupling = right[:, 1:].T @ found
            complement += normal.length - coupling[:, 1:]
            gradient += normal.length_gradient - coupling[:, 0]
        solved.append(found)
    stretch = np.linalg.solve(complement, gradient) if free_lengths else np.zeros(bones)
    moves = [
        (found[:, 0] - found[:, 1:] @ stretch if free_lengths else found[:, 0]).reshape(at.shape)
        for found, at in zip(solved, joints, strict=True)
    ]
    return moves, stretch
