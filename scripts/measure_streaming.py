"""Measure streams against the lifter that knows the whole clip: accuracy, jitter and cost by look-ahead.

    python scripts/measure_streaming.py MOTION... [--frames 2500]

Motion is what `repose benchmark occlusion` takes. Every clip is pushed frame by frame, clean and with a
detector's errors, and scored relative to the pelvis. The cost is CPU time per frame, of one thread.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

import repose
from repose.evaluation.conditions import CONDITIONS, Condition
from repose.evaluation.views import CAMERAS, View, choose, project_clips, read_motion
from repose.lifting import Lifter
from repose.lifting.streaming import OneEuro
from repose.metrics import p_mpjpe
from repose.pose import Pose2D

Estimate = Callable[[Pose2D], np.ndarray]


def offline(lifter: Lifter, pose: Pose2D) -> np.ndarray:
    return lifter.lift(pose, root=False).joints_m


def streamed(lifter: Lifter, pose: Pose2D, lookahead: int, smooth: OneEuro | None = None) -> np.ndarray:
    stream = lifter.stream(fps=pose.fps, lookahead=lookahead, smooth=smooth, root=False)
    parts = [part for frame in frames_of(pose) for part in stream.push(frame)] + stream.flush()
    return np.concatenate([part.joints_m for part in parts])


def frames_of(pose: Pose2D) -> Iterator[Pose2D]:
    for row in range(len(pose)):
        yield Pose2D(
            pose.points_px[row : row + 1],
            pose.confidence[row : row + 1],
            pose.frames[row : row + 1],
            pose.fps,
            pose.image_size,
            pose.skeleton,
        )


def score(estimate: Estimate, tracks: list[tuple[View, Pose2D]]) -> tuple[float, float, float]:
    """Return P-MPJPE in mm, acceleration error in m/s² and milliseconds per frame."""
    errors, accelerations, frames = [], [], 0
    start = time.process_time()
    found = [estimate(pose) for _, pose in tracks]
    spent_s = time.process_time() - start
    for (view, pose), joints in zip(tracks, found, strict=True):
        truth = view.truth_mm / 1000
        errors.append(p_mpjpe(joints.astype(np.float64), truth))
        step = np.diff(joints - truth, n=2, axis=0) * pose.fps**2
        accelerations.append(np.linalg.norm(step, axis=-1).mean(axis=-1))
        frames += len(pose)
    error_mm = 1000 * float(np.concatenate(errors).mean())
    return error_mm, float(np.concatenate(accelerations).mean()), 1000 * spent_s / frames


def observe(condition: Condition, views: list[View]) -> list[tuple[View, Pose2D]]:
    found = ((view, condition.observe(view, 0)) for view in views)
    return [(view, view.track(observation.keypoints)) for view, observation in found if observation]


def compare(motion: list[str], frames: int, rows: dict[str, Estimate]) -> None:
    """Score rows of a table on the same views, clean and with a detector's errors, and print it."""
    clips = choose(read_motion(motion), frames, 0)
    views = [views[0] for views in project_clips(clips, CAMERAS["ordinary"], 1, 0)]
    width = max(map(len, rows))
    for name in ("clean", "detector"):
        tracks = observe(next(c for c in CONDITIONS if c.name == name), views)
        print(f"{name}: P-MPJPE mm | acceleration error m/s² | ms per frame, {sum(map(len, views))} frames")
        for row, estimate in rows.items():
            numbers = " | ".join(f"{value:7.2f}" for value in score(estimate, tracks))
            print(f"{row:{width}} {numbers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("motion", nargs="+")
    parser.add_argument("--frames", type=int, default=2500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    lifter = repose.load("default", flip=False)
    rows: dict[str, Estimate] = {"offline": lambda pose: offline(lifter, pose)}
    for count in (0, 4, 8, 16):
        rows[f"look-ahead {count}"] = lambda pose, count=count: streamed(lifter, pose, count)
    rows["look-ahead 4, One-Euro"] = lambda pose: streamed(lifter, pose, 4, OneEuro())
    compare(arguments.motion, arguments.frames, rows)


if __name__ == "__main__":
    main()
