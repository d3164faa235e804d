"""Each term's equations against its cost, and the banded matrix against a dense one."""

import numpy as np
import pytest

from repose.fitting.normal_equations import NormalEquations
from repose.fitting.solver import Window, minimise
from repose.fitting.terms import (
    ConstantBones,
    Floor,
    GivenMotion,
    NetworkPrior,
    Reprojection,
    RestingFeet,
    RootPrior,
    Smoothness,
    StraightKnees,
    Symmetry,
    Term,
)
from repose.fitting.terms.smoothness import usual_acceleration
from repose.geometry.rotation import axis_angle_to_matrix
from repose.pose import Pose3D
from repose.skeleton import H36M_17, SKELETONS

FRAMES, JOINTS, BONES = 6, 17, 16
RNG = np.random.default_rng(1)
STEP_M = 1e-6


@pytest.fixture(scope="module")
def joints_m(true_pose: Pose3D) -> np.ndarray:
    """A few frames of the sample, none like its mirror image."""
    return true_pose.joints_m[40 : 40 + FRAMES] + 0.02 * RNG.normal(size=(FRAMES, JOINTS, 3))


LENGTHS_M = RNG.uniform(0.1, 0.5, BONES)
TIMES_S = np.array([0.0, 0.03, 0.07, 0.1, 0.14, 0.17])
TOUCHING = np.array([[1, 0], [1, 1], [1, 1], [0, 1], [1, 0], [1, 0]], dtype=bool)
LARGE = 1e6
"""A scale at which Student's t is a normal distribution, whose second derivatives are exact."""


def terms(joints: np.ndarray, scale: float) -> dict[str, Term]:
    rays = joints[..., :2] / joints[..., 2:] + 0.01 * RNG.normal(size=(FRAMES, JOINTS, 2))
    trust = RNG.uniform(0, 1, (FRAMES, JOINTS))
    deviation = RNG.uniform(0.005, 0.02, (FRAMES, JOINTS))
    bones = RNG.normal(size=(FRAMES, BONES, 3)) * 0.3
    usual = RNG.uniform(0.02, 0.1, (FRAMES, BONES))
    return {
        "reprojection": Reprojection(rays, deviation, trust, scale),
        "reprojection of a camera that turns": Reprojection(
            rays, deviation, trust, scale, axis_angle_to_matrix(RNG.normal(0, 0.1, (FRAMES, 3)))
        ),
        "network prior": NetworkPrior(bones, usual, scale, H36M_17),
        "root prior": RootPrior(joints[:, 0] + 0.3, RNG.uniform(0.1, 1, FRAMES), 0),
        "constant bones": ConstantBones(0.012, H36M_17),
        "symmetry": Symmetry(0.005, H36M_17),
        "smoothness": Smoothness.of(TIMES_S, 20.0),
        "straight knees": StraightKnees(
            0.1, scale, ([1, 2, 3], [4, 5, 6]), RNG.uniform(0.3, 0.5, (2, 2)), RNG.uniform(0, 1, (FRAMES, 2))
        ),
        "given motion": GivenMotion.of(
            joints + 0.05 * RNG.normal(size=joints.shape),
            RNG.uniform(0.02, 0.1, (FRAMES, JOINTS)),
            *(0.01, 0.3, scale),
            H36M_17,
        ),
        "resting feet": RestingFeet.of([3, 6], TOUCHING, TIMES_S, 0.3),
        "floor": Floor([3, 6], np.array([0.6, -0.8, 0.0]), -1.2, 0.02, TOUCHING, ~TOUCHING),
    }


NAMES = (
    *("reprojection", "reprojection of a camera that turns", "network prior", "root prior"),
    *("constant bones", "symmetry", "smoothness"),
    *("straight knees", "given motion", "resting feet", "floor"),
)


@pytest.mark.parametrize("scale", [2.0, LARGE])
@pytest.mark.parametrize("name", NAMES)
def test_a_gradient_is_the_slope_of_the_cost(joints_m: np.ndarray, name: str, scale: float) -> None:
    term = terms(joints_m, scale)[name]
    normal = NormalEquations(FRAMES, H36M_17)
    term.add(joints_m, LENGTHS_M, normal)
    for _ in range(5):
        move, stretch = RNG.normal(size=joints_m.shape), RNG.normal(size=BONES)
        ahead, back = (
            term.cost(joints_m + sign * STEP_M * move, LENGTHS_M + sign * STEP_M * stretch)
            for sign in (1, -1)
        )
        slope = (normal.gradient * move).sum() + normal.length_gradient @ stretch
        assert (ahead - back) / (2 * STEP_M) == pytest.approx(slope, rel=1e-4, abs=1e-3)


QUADRATIC = ("network prior", "root prior", "symmetry", "smoothness", "straight knees")


@pytest.mark.parametrize("name", [*QUADRATIC, "given motion", "resting feet"])
def test_equations_of_a_quadratic_term_are_exact(joints_m: np.ndarray, name: str) -> None:
    """One step of Newton's then tells the cost anywhere."""
    term = terms(joints_m, LARGE)[name]
    normal = NormalEquations(FRAMES, H36M_17)
    term.add(joints_m, LENGTHS_M, normal)
    move, stretch = 0.1 * RNG.normal(size=joints_m.shape), 0.1 * RNG.normal(size=BONES)
    flat = move.ravel()
    matrix = dense(normal)
    expected = (
        term.cost(joints_m, LENGTHS_M)
        + normal.gradient.ravel() @ flat
        + normal.length_gradient @ stretch
        + 0.5 * flat @ matrix @ flat
        + 0.5 * stretch @ normal.length @ stretch
    )
    assert term.cost(joints_m + move, LENGTHS_M + stretch) == pytest.approx(expected, rel=1e-5)


def dense(normal: NormalEquations) -> np.ndarray:
    band = normal.banded(0.0)
    size = band.shape[1]
    matrix = np.zeros((size, size))
    for offset, row in enumerate(band):
        columns = np.arange(size - offset)
        matrix[columns + offset, columns] = row[: size - offset]
    return matrix + np.tril(matrix, -1).T


def test_a_step_solves_the_whole_system(joints_m: np.ndarray) -> None:
    """Joints and lengths together: bands, Schur complement and all."""
    everything = tuple(terms(joints_m, LARGE).values())
    normal = NormalEquations(FRAMES, H36M_17)
    for term in everything:
        term.add(joints_m, LENGTHS_M, normal)
    cross = normal.right_sides()[:, 1:]
    whole = np.block([[dense(normal), cross], [cross.T, normal.length]])
    gradient = np.concatenate([normal.gradient.ravel(), normal.length_gradient])
    assert np.linalg.eigvalsh(whole).min() > 0
    move = np.linalg.solve(whole, gradient)

    from repose.fitting import solver

    moves, stretch = solver._step(
        [Window(joints_m, everything)], [joints_m], LENGTHS_M, H36M_17, 0.0, free_lengths=True
    )
    np.testing.assert_allclose(moves[0].ravel(), move[:-BONES], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(stretch, move[-BONES:], rtol=1e-6, atol=1e-9)


def test_the_search_ends_where_the_cost_is_least(joints_m: np.ndarray) -> None:
    window = Window(joints_m, tuple(terms(joints_m, 2.0).values()))
    found = minimise([window], LENGTHS_M, H36M_17)
    assert found.converged
    assert found.cost == pytest.approx(window.cost(found.joints_m[0], found.lengths_m))
    assert found.cost < window.cost(joints_m, LENGTHS_M) / 2
    for _ in range(20):
        aside = found.joints_m[0] + 0.01 * RNG.normal(size=joints_m.shape)
        assert window.cost(aside, found.lengths_m) > found.cost


@pytest.mark.parametrize("fps", [25, 60, 240])
@pytest.mark.parametrize("hz", [1.0, 3.0, 6.0, 9.0])
def test_a_sine_passes_as_through_a_butterworth_run_both_ways(fps: int, hz: float) -> None:
    """One joint waves; half of the power of what it does at the cut-off is left, without lag."""
    from scipy.signal import butter, sosfiltfilt

    times = np.arange(fps * 4) / fps
    wave = np.sin(2 * np.pi * hz * times + 0.7)
    given = np.zeros((len(times), JOINTS, 3))
    given[:, 16, 1] = 0.01 * wave
    usual = np.full(given.shape[:2], 0.05)
    window = Window(
        given,
        (
            GivenMotion.of(given, usual, 1e-5, 1e-5, LARGE, H36M_17),
            Smoothness.of(times, usual_acceleration(0.05, 6.0, 1 / fps)),
        ),
    )
    found = minimise([window], LENGTHS_M, H36M_17, free_lengths=False).joints_m[0][:, 16, 1] / 0.01
    reference = sosfiltfilt(butter(2, 6.0 * (2**0.5 - 1) ** -0.25, fs=fps, output="sos"), wave)
    middle = slice(fps, 3 * fps)
    gain, wanted = (np.std(x[middle]) / np.std(wave[middle]) for x in (found, reference))
    # With few frames a second the filter that is compared with is not quite itself.
    assert gain == pytest.approx(wanted, abs=0.05 if fps > 25 or hz < 6 else 0.3)
    np.testing.assert_allclose(found[middle], gain * wave[middle], atol=0.02)
    if hz == 6:
        assert gain == pytest.approx(0.5**0.5, abs=0.02)


def test_nothing_is_smooth_across_a_gap() -> None:
    """A step over a pause stays a step."""
    times = np.concatenate([np.arange(30) / 30, 5 + np.arange(30) / 30])
    joints = np.repeat((times > 3).astype(float)[:, None, None], JOINTS, axis=1) * [1.0, 0.0, 0.0]
    assert Smoothness.of(times, 1.0).cost(joints, LENGTHS_M) < 1e-9
    assert Smoothness.of(times[:31], 1.0).cost(joints[:31], LENGTHS_M) < 1e-9
    assert Smoothness.of(np.arange(60) / 30, 1.0).cost(joints, LENGTHS_M) > 1


def test_toes_are_given_against_their_ankle() -> None:
    """A foot that is moved takes its toes and its heel along."""
    halpe = SKELETONS["halpe-26"]
    joints = RNG.normal(size=(4, 26, 3))
    term = GivenMotion.of(joints, np.full((4, 26), 0.05), 0.01, 0.01, 2.0, halpe)
    moved = joints.copy()
    moved[:, halpe.indices("left_ankle", "left_heel", "left_big_toe", "left_small_toe")] += 0.1
    alone = joints.copy()
    alone[:, halpe.index("left_ankle")] += 0.1
    assert term.cost(moved, LENGTHS_M) < 0.3 * term.cost(alone, LENGTHS_M)
