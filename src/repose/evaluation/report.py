"""An evaluation and its report: what was done in words, then numbers, for people, programs and papers."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from repose.datasets.store import ClipStore
from repose.errors import UserError, expected
from repose.evaluation.protocols import Outcome, Progress, Protocol, predict
from repose.evaluation.scores import PIECE_FRAMES, Predictions, Scores, score
from repose.files.output import stage_file
from repose.lifting import Device, Lifter
from repose.models import PoseModel
from repose.pose import SEEN_CONFIDENCE

_BY_ACTION = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "velocity_error_mm_per_s")


@dataclass(frozen=True, eq=False)
class Report:
    """The numbers of one model on one split, and how they came about."""

    model: str
    architecture: str
    store: str
    dataset: str
    split: str
    protocol: Protocol
    words: tuple[str, ...]
    """The protocol in words."""
    scores: Scores
    predictions: Predictions

    def __getitem__(self, metric: str) -> float:
        """Mean of a metric, such as `report["mpjpe_mm"]`."""
        return self.scores.metrics[metric].mean

    def summary(self) -> str:
        """The protocol in words, a line each."""
        scores = self.scores
        frames = f"{scores.frames} frames scored; the detector saw {scores.seen_share:.0%} of their joints"
        head = f"{self.model} on {self.dataset}, split {self.split} ({self.store})"
        return "\n".join([head, *(f"- {word}" for word in (*self.words, frames))])

    def tables(self) -> list[Table]:
        """Every metric with seen and hidden joints apart; errors per action; depth order by difference."""
        metrics = self.scores.metrics
        actions = {name: metrics[name].per_action for name in _BY_ACTION}
        ordered = {
            name.removesuffix("_percent"): values.by_depth_difference_mm
            for name, values in metrics.items()
            if values.by_depth_difference_mm is not None
        }
        return [
            _table(
                "metric",
                {k: (v.mean, v.seen, v.hidden) for k, v in metrics.items()},
                "mean",
                "seen",
                "hidden",
            ),
            _table("action", _rows(actions), *actions),
            _table("depth difference (mm)", _rows(ordered), *(f"{name} (%)" for name in ordered)),
        ]

    def to_json(self) -> str:
        scores = self.scores
        content = {
            "model": self.model,
            "architecture": self.architecture,
            "store": self.store,
            "dataset": self.dataset,
            "split": self.split,
            "protocol": self.protocol,
            "protocol_in_words": list(self.words),
            "frames": scores.frames,
            "seen_from_confidence": SEEN_CONFIDENCE,
            "seen_share": scores.seen_share,
            **{
                name: {key: value for key, value in asdict(values).items() if value is not None}
                for name, values in scores.metrics.items()
            },
            "by_confidence": scores.by_confidence,
        }
        return json.dumps(_nan_to_null(content), indent=1, ensure_ascii=False, allow_nan=False)

    def to_csv(self) -> str:
        """One number a row: the metric, what it is over (mean, seen, hidden, action, ...), which, value."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("model", "protocol", "metric", "over", "which", "value"))
        for name, values in self.scores.metrics.items():
            rows = [("mean", "", values.mean), ("seen", "", values.seen), ("hidden", "", values.hidden)]
            rows += [("action", action, value) for action, value in values.per_action.items()]
            rows += [("joint", joint, value) for joint, value in (values.per_joint or {}).items()]
            differences = values.by_depth_difference_mm or {}
            rows += [("depth difference in mm", where, value) for where, value in differences.items()]
            for over, which, value in rows:
                number = repr(value) if math.isfinite(value) else ""
                writer.writerow((self.model, self.protocol, name, over, which, number))
        for row in self.scores.by_confidence:
            which = f"{row['from']:g}-{row['to']:g}"
            number = repr(row["mpjpe_mm"]) if math.isfinite(row["mpjpe_mm"]) else ""
            writer.writerow((self.model, self.protocol, "mpjpe_mm", "confidence", which, number))
        return text.getvalue()

    def to_latex(self) -> str:
        """Rows for a table: MPJPE and P-MPJPE per action and their mean."""
        metrics = self.scores.metrics
        actions = metrics["mpjpe_mm"].per_action
        lines = [f"% {line}" for line in self.summary().splitlines()]
        lines.append(" & ".join(["Method", *map(_latex, actions), r"Mean \\"]))
        for title, name in (("MPJPE (mm)", "mpjpe_mm"), ("P-MPJPE (mm)", "p_mpjpe_mm")):
            values = [*metrics[name].per_action.values(), metrics[name].mean]
            lines.append(
                " & ".join([f"{_latex(self.model)}, {title}", *(f"{v:.1f}" for v in values)]) + r" \\"
            )
        return "\n".join(lines) + "\n"

    def write_json(self, path: str | Path) -> None:
        _write(path, lambda file: file.write(self.to_json().encode()))

    def write_csv(self, path: str | Path) -> None:
        _write(path, lambda file: file.write(self.to_csv().encode()))

    def write_latex(self, path: str | Path) -> None:
        _write(path, lambda file: file.write(self.to_latex().encode()))

    def write_predictions(self, path: str | Path) -> None:
        """Every predicted frame, as npz: `rows` of the split, `predicted_mm`, `truth_mm`, `confidence`."""
        p = self.predictions
        arrays = {
            "predicted_mm": p.predicted_mm.astype(np.float32),
            "truth_mm": p.truth_mm.astype(np.float32),
            "confidence": p.confidence,
            "rows": p.rows,
            "joints": np.array(p.skeleton.joints),
        }
        _write(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def write_plot(self, path: str | Path) -> None:
        """PNG: the error against the detector's confidence, and how often each confidence comes.

        Raises UserError without matplotlib.
        """
        check_plot()
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        rows = self.scores.by_confidence
        edges = [rows[0]["from"], *(row["to"] for row in rows)]
        figure = Figure(figsize=(6, 4), layout="constrained")
        FigureCanvasAgg(figure)
        error = figure.add_subplot()
        share = error.twinx()
        counts = np.array([row["joints"] for row in rows], dtype=float)
        share.stairs(100 * counts / counts.sum(), edges, fill=True, color="0.88")
        share.set_ylabel("share of joints (%)", color="0.5")
        error.plot(
            [(row["from"] + row["to"]) / 2 for row in rows], [row["mpjpe_mm"] for row in rows], marker="o"
        )
        error.axvline(SEEN_CONFIDENCE, color="0.4", linestyle=":")
        error.set_zorder(share.get_zorder() + 1)
        error.patch.set_visible(False)
        error.set_xlim(0, 1)
        error.set_ylim(bottom=0)
        error.set_xlabel("confidence of the detector (dotted: seen from here on)")
        error.set_ylabel("MPJPE (mm)")
        error.set_title(
            f"{self.model}, {self.dataset} {self.split}, {self.protocol} protocol", fontsize="medium"
        )
        _write(path, lambda file: figure.savefig(file, format="png", dpi=150))


def evaluate(
    store: ClipStore,
    model: PoseModel | Lifter,
    protocol: Protocol | None = None,
    *,
    split: str | None = None,
    fov_deg: float | None = None,
    frame_pairs: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Score a model on a prepared data set.

    `model`: from `open_model`, or a model in training, which is evaluated where it is and then trains on.
    `protocol`: "published" as the papers score the data set, "full" for every frame as users lift it;
    "published" unless given, for models in image units. `split`: "test", or "validation" where there is no
    test, unless given. `fov_deg`: field of view for models of camera rays. `frame_pairs`: depth order over
    frame pairs, too, which takes longest.

    Raises UserError for a model of another skeleton than the store's, a protocol that does not suit it, and
    a split that is not there or has no truth in millimetres.
    """
    if protocol not in ("published", "full", None):
        expected("protocol", "published or full", protocol)
    training = isinstance(model, PoseModel) and model.training
    lifter = model if isinstance(model, Lifter) else Lifter(model, device=_device_of(model))
    if protocol is None:
        protocol = "published" if lifter.spec.output == "input" else "full"
    if split is None:
        split = next((name for name in ("test", "validation") if name in store.splits), "test")
    try:
        outcome = predict(store, store.split(split), lifter, protocol, fov_deg=fov_deg, progress=progress)
    finally:
        if training:
            lifter.model.train()
    if progress:
        progress("scoring", 0, None)
    diluted = protocol == "published" and outcome.average == "actions"
    scores = score(
        outcome.predictions, outcome.average, frame_pairs=frame_pairs, published_acceleration=diluted
    )
    return Report(
        model=lifter.name,
        architecture=lifter.spec.name,
        store=store.path.name,
        dataset=store.dataset,
        split=split,
        protocol=protocol,
        words=(*outcome.words, *_explain(store, outcome, diluted)),
        scores=scores,
        predictions=outcome.predictions,
    )


def check_plot() -> None:
    """Raise UserError where plots cannot be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError("plots need matplotlib, which is not installed", "pip install matplotlib") from None


def _explain(store: ClipStore, outcome: Outcome, diluted: bool) -> Iterator[str]:
    yield (
        f"seen: confidence of {SEEN_CONFIDENCE:g} and more, at all ends and in all frames of a bone, pair or "
        "motion; hidden: all others"
    )
    yield (
        f"depth order: pairs of joints of a frame, and pairs of frames of a joint within {PIECE_FRAMES} "
        "frames, by their true difference in depth relative to the root"
    )
    rates = sorted({clip.fps for clip in outcome.predictions.clips})
    yield f"velocity and acceleration per second at the store's {', '.join(f'{r:g}' for r in rates)} Hz"
    if diluted:
        yield (
            "acceleration_error_as_published is divided by all frames, although the ends of a window have no "
            "acceleration; the published programs print it as mm/s^2"
        )
    yield from (f"the store notes: {note}" for note in store.manifest.get("notes", ()))


def _rows(columns: Mapping[str, Mapping[str, float]]) -> dict[str, tuple[float, ...]]:
    """Columns of equal keys as rows."""
    return {key: tuple(column[key] for column in columns.values()) for key in next(iter(columns.values()))}


def _table(what: str, rows: Mapping[str, tuple[float, ...]], *headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column(what)
    for heading in headings:
        table.add_column(heading, justify="right")
    for name, values in rows.items():
        table.add_row(name, *(f"{value:.1f}" if math.isfinite(value) else "–" for value in values))
    return table


def _write(path: str | Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file whole or not at all."""
    with stage_file(path) as partial, partial.open("wb") as file:
        fill(file)


def _device_of(model: PoseModel) -> Device:
    return cast(Device, next(model.parameters()).device.type)


def _latex(text: str) -> str:
    return "".join("\\" + sign if sign in "_%&#$" else sign for sign in text)


def _nan_to_null(value: object) -> object:
    if isinstance(value, dict):
        return {key: _nan_to_null(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_nan_to_null(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
