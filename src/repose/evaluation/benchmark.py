"""How well models do where joints are hidden: on motion capture seen by virtual cameras, and on real clips.

`benchmark_occlusion(["bvh"], ["default"])` gives an `OcclusionReport`, `benchmark_video("clips")` a
`VideoReport`.
"""

from repose.evaluation.benchmark_figure import draw_figure
from repose.evaluation.benchmark_pictures import draw_worst
from repose.evaluation.benchmark_report import OcclusionReport
from repose.evaluation.conditions import CONDITIONS, Condition
from repose.evaluation.occlusion_benchmark import OcclusionBenchmark, benchmark_occlusion
from repose.evaluation.video_benchmark import VideoReport, benchmark_video
from repose.evaluation.views import CAMERAS

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
