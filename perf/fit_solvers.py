"""Levenberg-Marquardt on the banded system beside L-BFGS: the cost of a fit over CPU time.

    python perf/fit_solvers.py [--frames 240]

The packaged sample's motion, its keypoints exact, its joints adrift by a few centimetres as a network's are.
Both minimise the same cost from the same start, joints and bone lengths together; SciPy's L-BFGS-B gets the
gradient of the same terms, and is stopped after so many steps. One thread.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from repose.fitting.normal_equations import NormalEquations
from repose.fitting.options import FitOptions
from repose.fitting.problem import Problem
from repose.fitting.solver import Window, minimise
from repose.fitting.terms import Symmetry
from repose.geometry.camera import Camera
from repose.pose import Pose3D
from repose.sample import load_sample_truth


def adrift(frames: int) -> Pose3D:
    truth = load_sample_truth()
    exact = truth.pose()
    joints_m = np.resize(truth.joints_m.astype(np.float64), (frames, *truth.joints_m.shape[1:]))
    camera = Camera.assumed(truth.image_size)
    knots = np.random.default_rng(2).normal(size=(frames // 15 + 2, 17, 3)) * [0.02, 0.02, 0.05]
    at = np.arange(frames) / 15
    low = at.astype(int)
    drift = knots[low] + (at - low)[:, None, None] * (knots[low + 1] - knots[low])
    return replace(
        exact,
        joints_m=joints_m + drift,
        seen=np.ones((frames, 17), dtype=bool),
        confidence=np.ones((frames, 17)),
        points_px=camera.project(joints_m),
        deviation_m=np.full((frames, 17), 0.05),
        frames=np.arange(frames),
        times_s=np.arange(frames) / truth.fps,
        coordinates="camera",
        T_cam_world=None,
        intrinsics_px=camera.intrinsics_px,
    )


def l_bfgs(window: Window, lengths_m: np.ndarray, pose: Pose3D, steps: int) -> tuple[float, int]:
    from scipy.optimize import minimize

    shape = window.start_m.shape

    def cost(flat: np.ndarray) -> tuple[float, np.ndarray]:
        joints, lengths = flat[: -len(lengths_m)].reshape(shape), flat[-len(lengths_m) :]
        normal = NormalEquations(len(joints), pose.skeleton)
        for term in window.terms:
            term.add(joints, lengths, normal)
        gradient = np.concatenate([normal.gradient.ravel(), normal.length_gradient])
        return window.cost(joints, lengths), gradient

    start = np.concatenate([window.start_m.ravel(), lengths_m])
    limits = {"maxiter": steps, "maxfun": 2 * steps, "ftol": 1e-12, "gtol": 1e-9}
    found = minimize(cost, start, jac=True, method="L-BFGS-B", options=limits)
    return float(found.fun), int(found.nit)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=240)
    frames = parser.parse_args().frames
    pose = adrift(frames)
    options = FitOptions()
    problem = Problem.of(pose, options)
    whole = problem.window(slice(0, frames))
    symmetry = Symmetry(options.symmetry_deviation_m or 0.005, pose.skeleton)
    window = Window(whole.start_m, (*whole.terms, symmetry))
    print(f"{frames} frames, cost at the start {window.cost(window.start_m, problem.lengths_m):.1f}")
    began = time.process_time()
    solution = minimise([window], problem.lengths_m, pose.skeleton)
    spent_s = time.process_time() - began
    print(f"Levenberg-Marquardt {solution.cost:12.1f} after {solution.steps:4d} steps, {spent_s:6.2f} s")
    for steps in (30, 100, 300, 1000):
        began = time.process_time()
        lowest, taken = l_bfgs(window, problem.lengths_m, pose, steps)
        spent_s = time.process_time() - began
        print(f"L-BFGS              {lowest:12.1f} after {taken:4d} steps, {spent_s:6.2f} s")


if __name__ == "__main__":
    main()
