"""Figures of the results: the worst clips, and the error against the confidence."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from repose import palette
from repose.datasets.gallery import draw_bones
from repose.evaluation.conditions import CONDITIONS
from repose.evaluation.occlusion_benchmark import OcclusionBenchmark, predict
from repose.evaluation.occlusion_report import ClipError, OcclusionReport
from repose.evaluation.report import check_plot, plain_text, write_file
from repose.evaluation.views import FPS
from repose.files.output import stage
from repose.metrics import p_mpjpe
from repose.pose import SEEN_CONFIDENCE
from repose.skeleton import H36M_17

WORST = 10
_EACH_CONDITION = 2
_STEP_S = 0.4
_COLUMNS = 5


def worst_views(report: OcclusionReport, count: int = WORST) -> list[ClipError]:
    """Find the views with the largest P-MPJPE of the first model, each clip once, each condition twice."""
    chosen: list[ClipError] = []
    for clip_error in sorted(
        (p for result in report.results for p in result.clip_errors), key=lambda p: -p.p_mpjpe_mm
    ):
        clips = [other.view.clip for other in chosen]
        same = sum(other.condition == clip_error.condition for other in chosen)
        if clip_error.view.clip not in clips and same < _EACH_CONDITION:
            chosen.append(clip_error)
        if len(chosen) == count:
            break
    return chosen


def draw_worst(
    benchmark: OcclusionBenchmark, report: OcclusionReport, folder: str | Path, *, force: bool = False
) -> list[str]:
    """Draw the worst views as PNGs into a folder, worst first; returns their names.

    Raises UserError without Matplotlib, where files of these names exist (unless `force`), and where the
    folder cannot be written.
    """
    check_plot()
    found = worst_views(report)
    names = []
    for rank, (_, condition, view) in enumerate(found, start=1):
        name = f"{rank:02d} {condition} {view.name} {view.camera}"
        names.append(re.sub(r"[^\w.-]+", "_", name) + ".png")
    with stage(folder, names, force=force) as partial:
        for name, clip_error in zip(names, found, strict=True):
            _draw_view(benchmark, clip_error, partial / name)
    return names


def _draw_view(benchmark: OcclusionBenchmark, clip_error: ClipError, path: Path) -> None:
    from matplotlib.figure import Figure

    view = clip_error.view
    condition = next(condition for condition in CONDITIONS if condition.label == clip_error.condition)
    observation = condition.observe(view, benchmark.seed)
    if observation is None:
        raise RuntimeError(f"{clip_error.condition} was scored on {view.name}, to which it does not apply")
    name, model = next(iter(benchmark.models.items()))
    predicted = predict(view, observation, model, benchmark.undo_swaps).joints_mm / 1000
    truth = view.truth_mm / 1000
    error = 1000 * p_mpjpe(predicted, truth)
    step = max(1, min(round(_STEP_S * FPS), (len(view) - 1) // (_COLUMNS - 1)))
    middle = int(np.clip(error.argmax(), (_COLUMNS // 2) * step, len(view) - 1 - (_COLUMNS // 2) * step))
    frames = [int(np.clip(middle + step * (k - _COLUMNS // 2), 0, len(view) - 1)) for k in range(_COLUMNS)]

    figure = Figure(figsize=(3 * _COLUMNS, 9.6), layout="constrained")
    panels = figure.subplots(3, _COLUMNS)
    hidden = observation.hidden.numpy()
    for column, frame in zip(panels.T, frames, strict=True):
        picture, front, side = column
        keypoints = observation.keypoints[frame].numpy()
        draw_bones(picture, H36M_17, keypoints[:, :2], keypoints[:, 2])
        hidden_points = view.rays[frame].numpy()[hidden[frame]]
        picture.plot(*hidden_points.T, "x", color=palette.COMPARED, markersize=5)
        _frame(picture, view.rays[frame].numpy())
        picture.set_title(f"frame {frame}: what the detector says", fontsize=9)
        for panel, axes in ((front, [0, 1]), (side, [2, 1])):
            _truth(panel, truth[frame][:, axes])
            draw_bones(panel, H36M_17, predicted[frame][:, axes], np.ones(len(H36M_17)))
            _frame(panel, truth[frame][:, axes])
        front.set_title(f"from the camera; P-MPJPE {error[frame]:.0f} mm", fontsize=9)
        side.set_title("from the camera's right: away from it is right", fontsize=9)
    figure.suptitle(
        plain_text(f"{view.name}, camera {view.camera}, {clip_error.condition}: {name}")
        + f" has {clip_error.p_mpjpe_mm:.0f} mm over the clip. Left blue, right orange; truth grey; × hidden",
        fontsize=11,
    )
    figure.savefig(path, format="png", dpi=80)


def _truth(panel: Any, points: np.ndarray) -> None:
    for child, parent in H36M_17.bones:
        panel.plot(*points[[child, parent]].T, color=palette.COMPARED, linewidth=4, alpha=0.6, zorder=0)


def _frame(panel: Any, points: np.ndarray) -> None:
    """Show the whole person with some margin, y down."""
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    reach = 0.65 * max(right - left, bottom - top)
    x, y = (left + right) / 2, (top + bottom) / 2
    panel.set(xlim=(x - reach, x + reach), ylim=(y + reach, y - reach), xticks=[], yticks=[])
    panel.set_aspect("equal")


def draw_confidence(ranges: Sequence[Mapping[str, float]], title: str, path: str | Path) -> None:
    """Draw a PNG: the error against the detector's confidence, and how often each confidence comes.

    Raises UserError without Matplotlib, and where the file cannot be written.
    """
    check_plot()
    from matplotlib.figure import Figure

    edges = [ranges[0]["from"], *(row["to"] for row in ranges)]
    figure = Figure(figsize=(6, 4), layout="constrained")
    error = figure.add_subplot()
    share = error.twinx()
    counts = np.array([row["joints"] for row in ranges], dtype=float)
    share.stairs(100 * counts / counts.sum(), edges, fill=True, color=palette.SHADOW)
    share.set_ylabel("share of joints (%)", color=palette.FRAME)
    middles = [(row["from"] + row["to"]) / 2 for row in ranges]
    error.plot(middles, [row["mpjpe_mm"] for row in ranges], marker="o", color=palette.MODELS[0])
    error.axvline(SEEN_CONFIDENCE, color=palette.MIDDLE, linestyle=":")
    error.set_zorder(share.get_zorder() + 1)
    error.patch.set_visible(False)
    error.set_xlim(0, 1)
    error.set_ylim(bottom=0)
    error.set_xlabel("confidence of the detector (dotted: seen from here on)")
    error.set_ylabel("MPJPE (mm)")
    error.set_title(plain_text(title), fontsize="medium")
    write_file(path, lambda file: figure.savefig(file, format="png", dpi=150))
