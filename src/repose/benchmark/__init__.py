"""How well models do where joints are hidden: on motion capture seen by virtual cameras, and on real clips.

`benchmark_occlusion(["bvh"], ["default"])` gives an `OcclusionReport`, `benchmark_video("clips")` a
`VideoReport`.
"""

from repose.benchmark.conditions import CONDITIONS, Condition
from repose.benchmark.figure import draw_figure
from repose.benchmark.occlusion import OcclusionBenchmark, benchmark_occlusion
from repose.benchmark.pictures import draw_worst
from repose.benchmark.report import OcclusionReport
from repose.benchmark.video import VideoReport, benchmark_video
from repose.benchmark.views import CAMERAS

__all__ = [
    "CAMERAS",
    "CONDITIONS",
    "Condition",
    "OcclusionBenchmark",
    "OcclusionReport",
    "VideoReport",
    "benchmark_occlusion",
    "benchmark_video",
    "draw_figure",
    "draw_worst",
]
