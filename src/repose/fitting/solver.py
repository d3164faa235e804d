"""Levenberg-Marquardt for motions of one body: each window is a banded system, the lengths are shared."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from repose.fitting.normal_equations import Joints, Lengths, NormalEquations
from repose.fitting.terms import Symmetry, Term
from repose.skeleton import Skeleton

Each = list[Float[np.ndarray, "_ joints 3"]]
"""Joints of several windows, which differ in length."""
WINDOW, OVERLAP = 240, 40
"""Frames that are solved together, and how many two windows have in common. What is further away than
the overlap has no say."""
WINDOWS_FOR_LENGTHS = 8
"""Bone lengths are found from so many windows, evenly spread; the others then have these lengths."""
ITERATIONS = 15
"""So many steps are tried at most."""
TOLERANCE = 1e-3
"""The search ends when a step lowers the cost by a smaller share than this."""
KNOWN_M = 0.001
"""Lengths that a step changes by less stay from then on: solving for them takes a third of the time."""
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
        free_lengths = free_lengths and bool(np.abs(stretch).max() > KNOWN_M)
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


@dataclass(frozen=True, eq=False)
class Motion:
    """A whole track, solved."""

    joints_m: Joints
    lengths_m: Lengths
    steps: int
    """The most that any part of it took."""
    converged: bool
    """Whether all parts did."""


# With two threads OpenBLAS takes seven times as long for systems this narrow, and thirty times on busy cores.
@threadpool_limits.wrap(limits=1, user_api="blas")
def solve_track(
    window: Callable[[slice], Window],
    frames: int,
    lengths_m: Lengths,
    skeleton: Skeleton,
    *,
    free_lengths: bool = True,
    symmetry_m: float | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Motion:
    """Find the motion of a track of any length, in windows that `window` makes, and its bones' lengths.

    `symmetry_m` is the usual difference of a left bone from the right one; None leaves them alone.
    """
    rows = list(window_rows(frames))
    spread = np.linspace(0, len(rows) - 1, min(len(rows), WINDOWS_FOR_LENGTHS)).round().astype(int)
    picked = np.unique(spread).tolist() if free_lengths else []
    solved: dict[int, Joints] = {}
    steps, converged = 0, True
    if picked:
        windows = [window(rows[number]) for number in picked]
        if symmetry_m is not None:
            windows[0] = replace(windows[0], terms=(*windows[0].terms, Symmetry(symmetry_m, skeleton)))
        found = minimise(windows, lengths_m, skeleton)
        lengths_m, steps, converged = found.lengths_m, found.steps, found.converged
        solved = dict(zip(picked, found.joints_m, strict=True))
    joints, weight = np.zeros((frames, len(skeleton), 3)), np.zeros(frames)
    for number, part in enumerate(rows):
        if number not in solved:
            found = minimise([window(part)], lengths_m, skeleton, free_lengths=False)
            steps, converged = max(steps, found.steps), converged and found.converged
            solved[number] = found.joints_m[0]
        share = _blend(part, frames)
        joints[part] += share[:, None, None] * solved.pop(number)
        weight[part] += share
        if on_progress:
            on_progress(part.stop, frames)
    return Motion(joints / weight[:, None, None], lengths_m, steps, converged)


def window_rows(frames: int) -> Iterator[slice]:
    """Rows of each window: all of about one length, with `OVERLAP` frames in common with the next."""
    count = max(1, -(-(frames - OVERLAP) // (WINDOW - OVERLAP)))
    edges = np.linspace(0, max(frames - OVERLAP, 1), count + 1).round().astype(int)
    yield from (
        slice(int(first), min(int(last) + OVERLAP, frames)) for first, last in itertools.pairwise(edges)
    )


def _blend(rows: slice, frames: int) -> Float[np.ndarray, " rows"]:
    """What a window counts for in each of its frames: it fades over the overlaps."""
    at = np.arange(rows.start, rows.stop)
    rise = (at - rows.start + 0.5) / OVERLAP if rows.start > 0 else np.ones(len(at))
    fall = (rows.stop - at - 0.5) / OVERLAP if rows.stop < frames else np.ones(len(at))
    return np.clip(np.minimum(rise, fall), 0, 1)
