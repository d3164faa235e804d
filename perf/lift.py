"""How fast tracks are lifted: the packaged model, and RePOSE's own network for comparison.

    python perf/lift.py [--frames 10000] [--threads 2] [--models default repose]

The whole of `Lifter.lift` is timed, from 2D points in pixels to joints in the camera frame: flip averaging,
overlapping windows, scale and root. Input comes at the model's own rate. "CPU s" counts all threads together,
so that it says the same on a busy machine; "network" is its share in the model's forward pass.
"""

import argparse
import time

import numpy as np
import torch
from cost import cost

from repose.lifting import Lifter, load
from repose.models import build, packaged_weights
from repose.models.inference import Clips, Deviations, Network
from repose.pose import Pose2D
from repose.skeleton import H36M_17


def track(frames: int, fps: float) -> Pose2D:
    """Somebody who sways in front of the camera, with a detector's noise and a few lost joints."""
    rng = np.random.default_rng(0)
    body = rng.uniform([-60, -200], [60, 200], (17, 2))
    sway = np.cumsum(rng.normal(size=(frames, 1, 2)), axis=0)
    points = 640 + 100 * np.sin(sway / 100) + body + rng.normal(size=(frames, 17, 2))
    confidence = np.where(rng.random((frames, 17)) < 0.05, 0.0, 0.9)
    return Pose2D(points, confidence, np.arange(frames), fps, (1280, 1280), H36M_17)


def measure(lifter: Lifter, frames: int) -> None:
    network_s = 0.0
    network = lifter.network

    class Timed(Network):
        def __call__(self, clips: Clips) -> tuple[Clips, Deviations | None]:
            nonlocal network_s
            start = time.process_time()
            lifted = network(clips)
            network_s += time.process_time() - start
            return lifted

    lifter.network = Timed()
    pose = track(frames, lifter.spec.frame_rate_hz)
    lifter.lift(track(300, pose.fps))
    network_s = 0.0
    wall, cpu = cost(lambda: lifter.lift(pose))
    print(
        f"{lifter.name:12} {frames:7d} {wall:8.2f} {frames / wall:9.0f} {cpu:7.2f} {frames / cpu:14.0f} "
        f"{network_s / cpu:8.0%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--models", nargs="+", default=["default", "repose"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"{arguments.threads} threads, PyTorch {torch.__version__}")
    print("model         frames   wall s  frames/s   CPU s  frames/CPU s  network")
    for name in arguments.models:
        if name in packaged_weights():
            lifter = load(name, device="cpu")
        else:
            fresh = "frameformer" if name == "default" else name
            lifter = Lifter(build(fresh), name=f"{fresh}*", device="cpu")
        # A token per joint costs some seventy times as much: a tenth of the frames will do.
        measure(
            lifter, arguments.frames if lifter.spec.architecture == "frameformer" else arguments.frames // 10
        )
    print("* fresh weights")


if __name__ == "__main__":
    main()
