"""One picture of what the benchmark found."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from repose import palette
from repose.evaluation import check_plot
from repose.evaluation.benchmark_report import ConditionResult, OcclusionReport
from repose.evaluation.benchmark_scores import Estimate
from repose.files.output import stage_file

_BASELINE = palette.MIDDLE
_METRIC = "p_mpjpe_mm"


def draw_figure(report: OcclusionReport, path: str | Path) -> None:
    """PNG: P-MPJPE under every condition, hidden and visible joints side by side, and the baselines.

    Raises UserError without Matplotlib, and where the file cannot be written.
    """
    check_plot()
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(result.condition.name for result in report.results))
    rows = {name: [r for r in report.results if r.condition.name == name] for name in names}
    figure = Figure(figsize=(11, 1.9 + 0.3 * len(names)), layout="constrained")
    hidden, visible = figure.subplots(1, 2, sharey=True, sharex=True)
    for place, results in enumerate(rows.values()):
        _draw(hidden, place, results, report.models, "hidden")
        _draw(visible, place, results, report.models, "visible")
    for panel, title in ((hidden, "joints that are hidden"), (visible, "joints that are visible")):
        panel.set_title(title, fontsize=12, loc="left")
        panel.set_xlabel("P-MPJPE in mm (nearer to the left is better)")
        panel.set_xlim(left=0)
        panel.set_axisbelow(True)
        panel.grid(axis="x", color=palette.GRID)
        panel.spines[["top", "right", "left"]].set_visible(False)
        panel.tick_params(axis="y", length=0)
        for place in range(0, len(names), 2):
            panel.axhspan(place - 0.5, place + 0.5, color=palette.SHADOW, alpha=0.5, zorder=-1)
    hidden.set_yticks(range(len(names)), names)
    hidden.set_ylim(len(names) - 0.5, -0.5)
    figure.suptitle(
        f"Error where joints are hidden: {', '.join(report.motion)}, {report.clips} clips, "
        f"{report.cameras} virtual cameras",
        fontsize=13,
        x=0.01,
        ha="left",
    )
    figure.legend(*_legend(report.models), loc="outside lower center", ncols=3, frameon=False)
    with stage_file(path) as partial:
        figure.savefig(partial, format="png", dpi=140)


def _draw(
    panel: Any, place: int, results: Sequence[ConditionResult], models: Sequence[str], joints: str
) -> None:
    """A line of a panel: models, and the baseline of which one would think first."""
    for result in results:
        # Where a condition hides nothing, all joints are visible.
        which = joints if result.condition.occlusion or joints == "hidden" else "all"
        aware = result.condition.aware
        for number, model in enumerate(models):
            if model not in result.rows:
                continue
            at = place + 0.22 * (number - (len(models) - 1) / 2)
            colour = palette.MODELS[number % len(palette.MODELS)]
            _dot(panel, result.rows[model][_METRIC, which], at, colour, filled=aware)
        if not aware:
            continue
        interpolated = result.rows.get(f"{models[0]}, interpolated")
        if which == "hidden" and interpolated is not None:
            _tick(panel, interpolated[_METRIC, which], place, "-")
        elif which == "all":
            _tick(panel, result.rows["flat"][_METRIC, which], place, ":")


def _dot(panel: Any, estimate: Estimate, at: float, colour: str, filled: bool) -> None:
    if not math.isfinite(estimate.mean):
        return
    panel.plot([estimate.low, estimate.high], [at, at], color=colour, linewidth=1.2, alpha=0.6, zorder=2)
    panel.plot(
        estimate.mean,
        at,
        "o",
        color=colour,
        markersize=6.5,
        markerfacecolor=colour if filled else "white",
        zorder=3,
    )


def _tick(panel: Any, estimate: Estimate, at: float, style: str) -> None:
    if math.isfinite(estimate.mean):
        panel.plot([estimate.mean] * 2, [at - 0.36, at + 0.36], style, color=_BASELINE, linewidth=1.8)


def _legend(models: Sequence[str]) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    def dot(colour: str, filled: bool) -> Line2D:
        face = colour if filled else "white"
        return Line2D([], [], marker="o", linestyle="", color=colour, markerfacecolor=face, markersize=6.5)

    def tick(style: Any) -> Line2D:
        return Line2D([], [], color=_BASELINE, linestyle=style, linewidth=1.8)

    colours = [palette.MODELS[number % len(palette.MODELS)] for number in range(len(models))]
    entries = [
        *((dot(colour, True), model) for colour, model in zip(colours, models, strict=True)),
        (dot(_BASELINE, True), "filled: the detector knows what is hidden"),
        (dot(_BASELINE, False), "hollow: it reports a wrong place, and is sure"),
        (tick("-"), f"{models[0]}'s 3D interpolated over the gap"),
        (tick(":"), "the 2D picture at one depth"),
    ]
    handles, labels = zip(*entries, strict=True)
    return list(handles), list(labels)
