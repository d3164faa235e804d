"""Errors of a model on a prepared data set, by the published protocols and by that of users.

`evaluate(store, model)` gives a `Report`, which says in words how its numbers came about.
"""

from repose.evaluate.protocol import Progress, Protocol, open_model
from repose.evaluate.report import Report, check_plot, evaluate
from repose.evaluate.scores import Clip, Predictions, Score, Scores, score

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
