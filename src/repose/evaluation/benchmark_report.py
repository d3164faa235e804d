"""What the occlusion benchmark found: a table for the terminal, JSON for programs."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from repose.evaluation.benchmark_scores import JOINTS, RANGES_MM, Bootstrap, Estimate, Sums
from repose.evaluation.conditions import Condition, ObjectOccluded
from repose.evaluation.views import CAMERAS, CamerasName, View
from repose.files.output import stage_file

COMPARED = ("mpjpe_mm", "p_mpjpe_mm", "velocity_error_mm_per_s", "acceleration_error_mm_per_s2")
"""Metrics of which the difference from the first model is reported."""


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
    def of(cls, sums: Sums, bootstrap: Bootstrap, first: Sums | None) -> "Row":
        plain = {name: entry.sum(axis=3) if entry.ndim == 4 else entry for name, entry in sums.items()}
        return cls(
            metrics={
                name: {which: bootstrap.mean(entry[:, k]) for k, which in enumerate(JOINTS)}
                for name, entry in plain.items()
            },
            by_depth_difference_mm={
                name: {
                    which: dict(zip(RANGES_MM, _means(entry.sum(axis=0)[k]), strict=True))
                    for k, which in enumerate(JOINTS)
                }
                for name, entry in sums.items()
                if entry.ndim == 4
            },
            differences={
                name: {
                    which: bootstrap.difference(plain[name][:, k], first[name][:, k])
                    for k, which in enumerate(JOINTS)
                }
                for name in COMPARED
                if first
            },
        )

    def __getitem__(self, key: tuple[str, str]) -> Estimate:
        """`row["p_mpjpe_mm", "hidden"]`."""
        metric, which = key
        return self.metrics[metric][which]


def _means(entry: np.ndarray) -> list[float]:
    total, count = entry
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0).tolist()


@dataclass(frozen=True)
class ConditionResult:
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


@dataclass(frozen=True)
class OcclusionReport:
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
        """The result under a condition, such as `report["legs 40"]` or `report["wall, unaware"]`."""
        return next(result for result in self.results if result.condition.label == label)

    def summary(self) -> str:
        """The protocol in words, a line each."""
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
        if self.undo_swaps:
            lines.append("exchanged sides are put back before lifting, as `repose estimate` does")
        return "\n".join(lines)

    @property
    def _deviations(self) -> bool:
        """Whether a model gives deviations."""
        return any(_within(1) in row.metrics for result in self.results for row in result.rows.values())

    def table(self) -> Table:
        """A row for each condition and model."""
        several = len(self.models) > 1
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for heading in ("condition", *(("model",) if several else ())):
            table.add_column(heading, no_wrap=True)
        headings = [
            "P-MPJPE",
            "hidden",
            "visible",
            "flat",
            "interp.\nhidden",
            "accel.",
            "order\nspace",
            "\ntime",
        ]
        if self._deviations:
            headings += ["in 1σ\nhidden", "\nvisible", "in 2σ\nhidden", "\nvisible"]
        if several:
            headings.append(f"P-MPJPE minus\n{self.models[0]}'s")
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=True)
        for result in self.results:
            name = result.condition.name if result.condition.aware else "  unaware"
            for model in self.models:
                if model not in result.rows:
                    continue
                cells = list(self._cells(result, model))
                if several:
                    difference = result.rows[model].differences.get("p_mpjpe_mm", {}).get("all")
                    cells.append(_show(difference, "+") if difference else "")
                table.add_row(name, *((model,) if several else ()), *cells)
                name = ""
        return table

    def _cells(self, result: ConditionResult, model: str) -> Iterator[str]:
        row = result.rows[model]
        yield _show(row["p_mpjpe_mm", "all"])
        yield _number(row["p_mpjpe_mm", "hidden"].mean)
        yield _number(row["p_mpjpe_mm", "visible"].mean)
        yield _number(result.rows["flat"]["p_mpjpe_mm", "all"].mean)
        interpolated = result.rows.get(f"{model}, interpolated")
        yield _number(interpolated["p_mpjpe_mm", "hidden"].mean) if interpolated else "–"
        yield _number(row["acceleration_error_mm_per_s2", "all"].mean / 1000)
        yield _number(row["depth_order_joints_percent", "all"].mean)
        yield _number(row["depth_order_frames_percent", "all"].mean)
        for number in (1, 2) if self._deviations else ():
            if _within(number) not in row.metrics:
                yield from ("–", "–")
                continue
            # Where a condition hides nothing, all joints are visible.
            visible = "visible" if result.condition.occlusion else "all"
            for which in ("hidden", visible):
                yield _number(row[_within(number), which].mean, 0)

    def to_json(self) -> str:
        content = {
            "benchmark": "occlusion",
            "protocol_in_words": self.summary().splitlines(),
            **{k: v for k, v in vars(self).items() if k != "results"},
            "camera": asdict(CAMERAS[self.cameras]),
            "conditions": [_result(result) for result in self.results],
        }
        return to_json(content)

    def write_json(self, path: str | Path) -> None:
        """Raises UserError where the file cannot be written."""
        with stage_file(path) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")


def _result(result: ConditionResult) -> dict[str, Any]:
    condition = result.condition
    return {
        "name": condition.label,
        "words": condition.description,
        "condition": _settings(condition),
        "clips": result.clips,
        "frames": result.frames,
        "hidden_share": result.hidden_share,
        "rows": {name: asdict(row) for name, row in result.rows.items()},
    }


def _settings(condition: Condition) -> dict[str, Any]:
    """The condition's fields under the names that published reports have."""
    published = {"description": "words", "occlusion": "hiding"}
    fields = asdict(condition)
    if isinstance(condition.occlusion, ObjectOccluded):
        fields["occlusion"] = {"thing": condition.occlusion.occluder}
    return {published.get(key, key): value for key, value in fields.items() if value is not None}


def _camera_words(name: CamerasName) -> str:
    camera = CAMERAS[name]
    return (
        f"pitch {camera.pitch_deg[0]:g} to {camera.pitch_deg[1]:g}°, roll σ {camera.roll_sigma_deg:g}°, "
        f"{camera.distance[0]:g} to {camera.distance[1]:g} body heights away, up to {camera.off_axis_deg:g}° "
        f"off the axis, focal length wrong by σ {camera.focal_sigma:.0%}"
    )


def _within(deviations: int) -> str:
    return f"within_{deviations}_deviations_percent"


def _show(estimate: Estimate, sign: str = "") -> str:
    if not math.isfinite(estimate.mean):
        return "–"
    return f"{estimate.mean:{sign}.1f} ±{(estimate.high - estimate.low) / 2:.1f}"


def _number(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "–"


def to_json(content: Mapping[str, Any]) -> str:
    """Without NaN, and with no more digits than mean something."""
    return json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    return value
