"""How accurate a model is: on prepared data sets, where joints are hidden, on real video, and on the sample.

`evaluate(store, model)` scores a data set by the published protocols and by that of users;
`benchmark_occlusion(["bvh"], ["default"])` motion capture seen by virtual cameras; `benchmark_video("clips")`
real clips whose truth is known. Each gives a report, which says in words how its numbers were obtained.
"""

from repose.evaluation.conditions import CONDITIONS, Condition
from repose.evaluation.dataset_benchmark import DatasetReport, Score, Scores, evaluate, score
from repose.evaluation.figures import draw_worst
from repose.evaluation.models import Estimator, open_lifter
from repose.evaluation.occlusion_benchmark import OcclusionBenchmark, benchmark_occlusion
from repose.evaluation.occlusion_report import OcclusionReport, draw_figure
from repose.evaluation.predictions import Clip, Predictions
from repose.evaluation.protocols import Progress, Protocol, open_model
from repose.evaluation.rendered_benchmark import RenderedReport, benchmark_rendered
from repose.evaluation.report import Report, check_plot
from repose.evaluation.scores import METRICS, Estimate, TrackScore, score_track
from repose.evaluation.video_benchmark import VideoReport, benchmark_video
from repose.evaluation.views import CAMERAS

__all__ = [
    "CAMERAS",
    "CONDITIONS",
    "METRICS",
    "Clip",
    "Condition",
    "DatasetReport",
    "Estimate",
    "Estimator",
    "OcclusionBenchmark",
    "OcclusionReport",
    "Predictions",
    "Progress",
    "Protocol",
    "RenderedReport",
    "Report",
    "Score",
    "Scores",
    "TrackScore",
    "VideoReport",
    "benchmark_occlusion",
    "benchmark_rendered",
    "benchmark_video",
    "check_plot",
    "draw_figure",
    "draw_worst",
    "evaluate",
    "open_lifter",
    "open_model",
    "score",
    "score_track",
]
