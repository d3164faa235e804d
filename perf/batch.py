"""How much of the workers' time is spent in detector and lifter, and what memory the driver takes.

    python perf/batch.py --clips 1000                    # processes of this machine
    python perf/batch.py --clips 1000 --nodes 2          # a Ray cluster of two nodes on this machine
    python perf/batch.py --clips 100000 --empty          # the driver's memory: nothing is lifted

The clips are lines of a table. A simulated detector takes its time over each (`--detect-s`, 0.5 unless given:
MediaPipe takes about 1.4 s for two seconds of video) and finds the joints of the sample; the lifter is real,
and so is all that is written.
"""

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import repose
from repose.batch import VideoRow
from repose.pipeline import EstimateOptions, Estimator
from repose.pose import Pose2D, Pose3D
from repose.sample import load_sample_truth


class Simulated:
    """Estimates with a detector that waits, and finds a man of the sample."""

    def __init__(self, options: EstimateOptions, detect_s: float, frames: int, empty: bool) -> None:
        truth = load_sample_truth()
        rows = slice(0, frames)
        self._detect_s, self._pose = detect_s, None
        self._track = Pose2D(
            truth.points_px[rows],
            np.where(truth.hidden[rows], 0.1, 0.9),
            np.arange(frames),
            30.0,
            truth.image_size,
            "h36m-17",
        )
        self._estimator = None if empty else Estimator(options)
        if empty:
            self._pose = replace(
                truth.pose(),
                **{
                    name: getattr(truth.pose(), name)[:2]
                    for name in ("joints_m", "seen", "frames", "times_s", "confidence", "points_px")
                },
                record={"assumed": [], "frames_filled": 0, "gaps_left_empty": []},
            )

    def __call__(self, path: Path, **overrides: Any) -> list[Pose3D]:
        time.sleep(self._detect_s)
        if self._estimator is None:
            return [self._pose]
        poses: list[Pose3D] = self._estimator(self._track, **overrides)
        return poses


def memory_mb() -> float:
    """Resident memory of this process at present."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--detect-s", type=float, default=0.5)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--nodes", type=int, default=0, help="of a Ray cluster on this machine")
    parser.add_argument("--empty", action="store_true", help="estimate nothing, in no time")
    given = parser.parse_args()
    cluster = None
    if given.nodes:
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        for _ in range(given.nodes):
            cluster.add_node(num_cpus=max(1, given.workers // given.nodes))
        ray.init(cluster.address, log_to_driver=False)
    make = partial(
        Simulated, detect_s=0 if given.empty else given.detect_s, frames=given.frames, empty=given.empty
    )
    busy, began, told = 0.0, time.monotonic(), [0.0]

    def tell(row: VideoRow | None, done: int, total: int) -> None:
        nonlocal busy, began
        if row is None:
            began = time.monotonic()
            return
        busy += row.estimate_s
        if done in (1, 10) or done % max(1, total // 10) == 0:
            told[0] = time.monotonic() - began
            print(f"{done:7,} of {total:,}: {told[0]:7.1f} s, driver {memory_mb():6.1f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "clips.csv"
        Path(folder, "clip.mp4").touch()
        with table.open("w") as file:
            file.write("path,height\n")
            file.writelines(f"clip.mp4,{1.5 + number * 5e-6:.6f}\n" for number in range(given.clips))
        summary, failed = repose.run_batch(
            [str(table)],
            Path(folder) / "out",
            workers=given.workers,
            address="auto" if cluster else None,
            estimator=make,
            told=tell,
        )
        assert (summary.done, failed) == (given.clips, 0), summary
    seconds = time.monotonic() - began
    print(f"{given.clips:,} clips in {seconds:.1f} s with {given.workers} workers, start-up and all")
    print(f"in detector and lifter: {busy / seconds / given.workers:.1%} of the workers' time")
    if cluster:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
