"""Errors of a model on a prepared data set, by the published protocols and by that of users.

`evaluate(store, model)` gives a `Report`, which says in words how its numbers came about.
"""

from repose.evaluation.protocols import Progress, Protocol, open_model
from repose.evaluation.report import Report, check_plot, evaluate
from repose.evaluation.scores import Clip, Predictions, Score, Scores, score

__all__ = [
    "Clip",
    "Predictions",
    "Progress",
    "Protocol",
    "Report",
    "Score",
    "Scores",
    "check_plot",
    "evaluate",
    "open_model",
    "score",
]
