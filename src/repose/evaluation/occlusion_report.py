"""What the occlusion benchmark found: a row for each condition and model."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from repose import palette
from repose.evaluation.conditions import Condition, ObjectOccluded
from repose.evaluation.report import (
    ANGLES_IN_WORDS,
    Report,
    add_row,
    angle_headings,
    check_plot,
    make_table,
    plain_text,
    show,
    show_angles,
    write_file,
)
from repose.evaluation.scores import RANGES_MM, Bootstrap, Estimate, Sums, of_group, ratio
from repose.evaluation.views import CAMERAS, CamerasName, View

FLAT = "flat"
"""Baseline: the 2D joints, gaps interpolated, all at one depth."""
JOINTS = ("all", "hidden", "visible")
"""Which joints a number is about. "visible": those not hidden, in frames in which others are."""
COMPARED = ("mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_per_s", "acceleration_error_mm_per_s2")
"""Metrics of which the difference from the first model is reported."""
_BASELINE = palette.MIDDLE
_METRIC = "p_mpjpe_mm"


class ClipError(NamedTuple):
    """A view, and how badly the first model did on it."""

    p_mpjpe_mm: float
    condition: str
    view: View


@dataclass(frozen=True)
class Row:
    """Every metric of one model or baseline under one condition."""

    metrics: Mapping[str, Mapping[str, Estimate]]
    """Metric -> which joints (`JOINTS`) -> mean and interval."""
    by_depth_difference_mm: Mapping[str, Mapping[str, Mapping[str, float]]]
    """Depth order, by the true difference: metric -> which joints -> range -> mean."""
    differences: Mapping[str, Mapping[str, Estimate]]
    """From the first model, over the same clips; empty for itself."""

    @classmethod
    def of(cls, clips: Mapping[str, Sums], bootstrap: Bootstrap, first: Mapping[str, Sums] | None) -> "Row":
        """Average sums of all clips (clips, 3, 2, items)."""
        metrics: dict[str, dict[str, Estimate]] = {name: {} for name in clips}
        ranges: dict[str, dict[str, dict[str, float]]] = {n: {} for n in clips if n.startswith("depth_order")}
        differences: dict[str, dict[str, Estimate]] = {name: {} for name in COMPARED if first}
        for name, sums in clips.items():
            for which in JOINTS:
                items = of_group(sums, which)
                metrics[name][which] = bootstrap.mean(items.sum(axis=-1))
                if name in ranges:
                    means = ratio(items.sum(axis=0).T).tolist()
                    ranges[name][which] = dict(zip(RANGES_MM, means, strict=True))
                if first and name in differences:
                    others = of_group(first[name], which).sum(axis=-1)
                    differences[name][which] = bootstrap.difference(items.sum(axis=-1), others)
        return cls(metrics, ranges, differences)

    def means(self) -> dict[str, float]:
        """Return the mean of each metric over all joints."""
        return {name: groups["all"].mean for name, groups in self.metrics.items()}

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield a row of CSV for each number, as `ROW_HEADINGS` names them."""
        for metric, groups in self.metrics.items():
            for which, found in groups.items():
                both = (found, self.differences.get(metric, {}).get(which))
                values = [value for entry in both if entry for value in vars(entry).values()]
                yield metric, which, "", *values
                for where, mean in self.by_depth_difference_mm.get(metric, {}).get(which, {}).items():
                    yield metric, which, where, mean

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        """`row["p_mpjpe_mm", "hidden"]`."""
        metric, which = key
        return self.metrics[metric][which]


ROW_HEADINGS = (
    "metric",
    "joints",
    "depth_difference_mm",
    *("mean", "low", "high"),
    *("difference", "difference_low", "difference_high"),
)


@dataclass(frozen=True)
class ConditionResult:
    """Results of models and baselines under one condition."""

    condition: Condition
    clips: int
    """Clips that it applies to: not those too short for it, or of which it hides nothing."""
    frames: int
    """Frames scored, over all their views."""
    hidden_share: float
    """Of joints."""
    rows: Mapping[str, Row]
    """By the name of a model, "flat", or "<model>, interpolated"."""
    clip_errors: tuple[ClipError, ...]
    """Every view, as the first model did on it."""

    def content(self) -> dict[str, Any]:
        """Return all numbers, and the condition's fields under the names that published reports have."""
        published = {"description": "words", "occlusion": "hiding"}
        fields = asdict(self.condition)
        if isinstance(self.condition.occlusion, ObjectOccluded):
            fields["occlusion"] = {"thing": self.condition.occlusion.occluder}
        return {
            "name": self.condition.label,
            "words": self.condition.description,
            "condition": {published.get(k, k): value for k, value in fields.items() if value is not None},
            "clips": self.clips,
            "frames": self.frames,
            "hidden_share": self.hidden_share,
            "rows": {name: asdict(row) for name, row in self.rows.items()},
        }


@dataclass(frozen=True)
class OcclusionReport(Report):
    """Results of the benchmark, and its protocol."""

    models: tuple[str, ...]
    motion: tuple[str, ...]
    clips: int
    frames: int
    fps: float
    cameras: CamerasName
    views: int
    """Of each clip under headline conditions; one under the others."""
    seed: int
    undo_swaps: bool
    results: tuple[ConditionResult, ...]

    def __getitem__(self, label: str) -> ConditionResult:
        """Return the result under a condition, such as `report["legs 40"]` or `report["wall, unaware"]`."""
        return next(result for result in self.results if result.condition.label == label)

    def summary(self) -> str:
        headline = ", ".join(dict.fromkeys(r.condition.name for r in self.results if r.condition.headline))
        views = "one virtual camera each"
        if self.views > 1:
            views = f"{self.views} virtual cameras each under {headline}, one under the other conditions"
        lines = [
            f"{', '.join(self.motion)}: {self.clips} clips, {self.frames} frames at {self.fps:g} Hz, {views}",
            f"cameras: {self.cameras} ({_camera_words(self.cameras)}); seed {self.seed}",
            "P-MPJPE in mm of a person 1.70 m tall, ± half of its 95 % interval over clips",
            "hidden: joints that the condition hides; visible: the others of the same frames",
            "unaware: the detector reports a wrong place for what is hidden, and is sure of it",
            "flat: the 2D at one depth; interp.: the model's own 3D between the frames around a gap",
            "accel.: error of acceleration, m/s²",
            "order: depth order of the joints of a frame (space) and of the frames of a joint (time), %",
        ]
        if self._deviations:
            lines.append("in 1σ, in 2σ: errors below one and two of the model's deviations, %")
        lines.append(ANGLES_IN_WORDS)
        if self.undo_swaps:
            lines.append("exchanged sides are put back before lifting, as `repose estimate` does")
        return "\n".join(lines)

    @property
    def _deviations(self) -> bool:
        """Whether a model gives deviations."""
        return any(_within(1) in row.metrics for result in self.results for row in result.rows.values())

    def tables(self) -> list[Table]:
        """Return a row for each condition and model: places, and angles."""
        several = ["model"] if len(self.models) > 1 else []
        headings = ["P-MPJPE", "hidden", "visible", "flat", "interp.\nhidden", "accel."]
        headings += ["order\nspace", "\ntime"]
        if self._deviations:
            headings += ["in 1σ\nhidden", "\nvisible", "in 2σ\nhidden", "\nvisible"]
        if several:
            headings.append(f"P-MPJPE minus\n{self.models[0]}'s")
        places = make_table(["condition", *several], headings)
        angles = make_table(["condition", *several], angle_headings())
        for result in self.results:
            name = result.condition.name if result.condition.aware else "  unaware"
            for model in self.models:
                if model in result.rows:
                    names = [name, model] if several else [name]
                    add_row(places, *names, *self._places(result, model))
                    add_row(angles, *names, *show_angles(result.rows[model].means()))
                    name = ""
        return [places, angles]

    def _places(self, result: ConditionResult, model: str) -> Iterator[str]:
        row = result.rows[model]
        yield show(row["p_mpjpe_mm", "all"])
        yield show(row["p_mpjpe_mm", "hidden"].mean)
        yield show(row["p_mpjpe_mm", "visible"].mean)
        yield show(result.rows[FLAT]["p_mpjpe_mm", "all"].mean)
        interpolated = result.rows.get(interpolated_name(model))
        yield show(interpolated["p_mpjpe_mm", "hidden"].mean) if interpolated else "–"
        yield show(row["acceleration_error_mm_per_s2", "all"].mean / 1000)
        yield show(row["depth_order_joints_percent", "all"].mean)
        yield show(row["depth_order_frames_percent", "all"].mean)
        # Where a condition hides nothing, all joints are visible.
        visible = "visible" if result.condition.occlusion else "all"
        for number in (1, 2) if self._deviations else ():
            for which in ("hidden", visible):
                yield show(row[_within(number), which].mean, 0) if _within(number) in row.metrics else "–"
        if len(self.models) > 1:
            yield show(row.differences["p_mpjpe_mm"]["all"], sign="+") if row.differences else ""

    def write_figure(self, path: str | Path) -> None:
        """Draw a PNG of all conditions; raises UserError without Matplotlib."""
        draw_figure(self, path)

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield every metric with its interval, and the difference from the first model with its own."""
        yield "condition", "model", *ROW_HEADINGS
        for result in self.results:
            for name, row in result.rows.items():
                yield from ((result.condition.label, name, *number) for number in row.numbers())

    def content(self) -> dict[str, Any]:
        return {
            "benchmark": "occlusion",
            "protocol_in_words": self.summary().splitlines(),
            **{k: v for k, v in vars(self).items() if k != "results"},
            "camera": asdict(CAMERAS[self.cameras]),
            "conditions": [result.content() for result in self.results],
        }


def interpolated_name(model: str) -> str:
    """Name the row of the baseline that interpolates the model's own 3D."""
    return f"{model}, interpolated"


def _camera_words(name: CamerasName) -> str:
    camera = CAMERAS[name]
    return (
        f"pitch {camera.pitch_deg[0]:g} to {camera.pitch_deg[1]:g}°, roll σ {camera.roll_sigma_deg:g}°, "
        f"{camera.distance[0]:g} to {camera.distance[1]:g} body heights away, up to {camera.off_axis_deg:g}° "
        f"off the axis, focal length wrong by σ {camera.focal_sigma:.0%}"
    )


def _within(deviations: int) -> str:
    return f"within_{deviations}_deviations_percent"


def draw_figure(report: OcclusionReport, path: str | Path) -> None:
    """Draw P-MPJPE under every condition as a PNG, hidden and other joints side by side, with baselines.

    Raises UserError without Matplotlib, and where the file cannot be written.
    """
    check_plot()
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(result.condition.name for result in report.results))
    rows = {name: [r for r in report.results if r.condition.name == name] for name in names}
    figure = Figure(figsize=(11, 1.9 + 0.3 * len(names)), layout="constrained")
    hidden, visible = figure.subplots(1, 2, sharey=True, sharex=True)
    for place, results in enumerate(rows.values()):
        _draw_line(hidden, place, results, report.models, "hidden")
        _draw_line(visible, place, results, report.models, "visible")
    for panel, title in ((hidden, "joints that are hidden"), (visible, "joints that are not hidden")):
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
        plain_text(
            f"Error where joints are hidden: {', '.join(report.motion)}, {report.clips} clips, "
            f"{report.cameras} virtual cameras"
        ),
        fontsize=13,
        x=0.01,
        ha="left",
    )
    figure.legend(*_legend(report.models), loc="outside lower center", ncols=3, frameon=False)
    write_file(path, lambda file: figure.savefig(file, format="png", dpi=140))


def _draw_line(
    panel: Any, place: int, results: Sequence[ConditionResult], models: Sequence[str], joints: str
) -> None:
    """Draw a line of a panel: the models, and the most obvious baseline."""
    for result in results:
        # Where a condition hides nothing, all joints are visible.
        which = joints if result.condition.occlusion or joints == "hidden" else "all"
        aware = result.condition.aware
        for number, model in enumerate(models):
            if model not in result.rows:
                continue
            at = place + 0.22 * (number - (len(models) - 1) / 2)
            _dot(panel, result.rows[model][_METRIC, which], at, _colour(number), filled=aware)
        if not aware:
            continue
        interpolated = result.rows.get(interpolated_name(models[0]))
        if which == "hidden" and interpolated is not None:
            _tick(panel, interpolated[_METRIC, which], place, "-")
        elif which == "all":
            _tick(panel, result.rows[FLAT][_METRIC, which], place, ":")


def _dot(panel: Any, estimate: Estimate, at: float, colour: str, filled: bool) -> None:
    if math.isfinite(estimate.mean):
        reach = [[estimate.mean - estimate.low], [estimate.high - estimate.mean]]
        panel.errorbar(estimate.mean, at, xerr=reach, color=colour, **_marker(filled))


def _tick(panel: Any, estimate: Estimate, at: float, style: str) -> None:
    if math.isfinite(estimate.mean):
        panel.plot([estimate.mean] * 2, [at - 0.36, at + 0.36], style, color=_BASELINE, linewidth=1.8)


def _legend(models: Sequence[str]) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    def dot(colour: str, filled: bool) -> Line2D:
        return Line2D([], [], linestyle="", color=colour, **_marker(filled))

    def tick(style: Any) -> Line2D:
        return Line2D([], [], color=_BASELINE, linestyle=style, linewidth=1.8)

    entries = [
        *((dot(_colour(number), True), model) for number, model in enumerate(models)),
        (dot(_BASELINE, True), "filled: the detector knows what is hidden"),
        (dot(_BASELINE, False), "hollow: it reports a wrong place, and is sure"),
        (tick("-"), f"{models[0]}'s 3D interpolated over the gap"),
        (tick(":"), "the 2D picture at one depth"),
    ]
    handles, labels = zip(*entries, strict=True)
    return list(handles), [plain_text(label) for label in labels]


def _colour(number: int) -> str:
    """Colour of a model by its number."""
    return palette.MODELS[number % len(palette.MODELS)]


def _marker(filled: bool) -> dict[str, Any]:
    return {
        "marker": "o",
        "markersize": 6.5,
        "linewidth": 1.2,
        **({} if filled else {"markerfacecolor": palette.PAPER}),
    }
