"""A model on a prepared data set: all metrics per action, per joint, and for seen and hidden joints."""

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from rich.table import Table

from repose.datasets.store import ClipStore
from repose.errors import UserError
from repose.evaluation.predictions import Average, Clip, Outcome, Predictions
from repose.evaluation.protocols import Progress, Protocol, name_protocol, predict
from repose.evaluation.report import Report, add_row, make_table, show, write_file
from repose.evaluation.scores import (
    METRICS,
    DepthOrder,
    FramePairs,
    Poses,
    Sums,
    add,
    measure,
    of_group,
    ratio,
)
from repose.lifting import Device, Lifter
from repose.models import PoseModel
from repose.pose import SEEN_CONFIDENCE

PAIRS = FramePairs(every=1, within=243)
CONFIDENCE_EDGES = tuple(i / 10 for i in range(11))
"""Ranges of detection confidence in which the error is averaged."""
_BLOCK_FRAMES = 1024
"""Small enough for the arrays of a block to stay in a core's cache."""
_BY_ACTION = ("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "velocity_error_mm_per_s")
_ACCELERATION = "acceleration_error_mm_per_frame2"
_AS_PUBLISHED = "acceleration_error_as_published_mm_per_frame2"


@dataclass(frozen=True)
class Score:
    """Averages of one metric; NaN where nothing was measured."""

    mean: float
    per_action: Mapping[str, float]
    seen: float
    """Only joints (bones, pairs) that the detector saw, all their ends and frames."""
    hidden: float
    """All others."""
    per_joint: Mapping[str, float] | None = None
    by_depth_difference_mm: Mapping[str, float] | None = None
    """Depth order, by the true difference of the two depths."""


@dataclass(frozen=True)
class Scores:
    """All metrics of a model on a split."""

    metrics: Mapping[str, Score]
    """By name with unit, such as `mpjpe_mm`."""
    by_confidence: Sequence[Mapping[str, float]]
    """MPJPE and number of joints in ranges of detection confidence."""
    frames: int
    """Frames that count."""
    seen_share: float
    """Share of their joints that the detector saw."""


@dataclass(frozen=True, eq=False)
class DatasetReport(Report):
    """The numbers of one model on one split, and how they were obtained."""

    digits: ClassVar[int | None] = None
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
        scores = self.scores
        frames = f"{scores.frames} frames scored; the detector saw {scores.seen_share:.0%} of their joints"
        head = f"{self.model} on {self.dataset}, split {self.split} ({self.store})"
        return "\n".join([head, *(f"- {word}" for word in (*self.words, frames))])

    def tables(self) -> list[Table]:
        """Return every metric with seen and hidden joints apart; per action; depth order by difference."""
        found = self.scores.metrics
        ordered = {name: m.by_depth_difference_mm for name, m in found.items() if m.by_depth_difference_mm}
        metrics = make_table(["metric"], ["mean", "seen", "hidden"])
        for name, score in found.items():
            add_row(metrics, name, *map(show, (score.mean, score.seen, score.hidden)))
        actions = make_table(["action"], _BY_ACTION)
        for action in found["mpjpe_mm"].per_action:
            add_row(actions, action, *(show(found[name].per_action[action]) for name in _BY_ACTION))
        headings = [f"{name.removesuffix('_percent')} (%)" for name in ordered]
        differences = make_table(["depth difference (mm)"], headings)
        for where in next(iter(ordered.values())):
            add_row(differences, where, *(show(shares[where]) for shares in ordered.values()))
        return [metrics, actions, differences]

    def content(self) -> dict[str, Any]:
        named = ("model", "architecture", "store", "dataset", "split", "protocol")
        return {
            **{name: getattr(self, name) for name in named},
            "protocol_in_words": self.words,
            "frames": self.scores.frames,
            "seen_from_confidence": SEEN_CONFIDENCE,
            "seen_share": self.scores.seen_share,
            **{
                name: {key: value for key, value in asdict(score).items() if value is not None}
                for name, score in self.scores.metrics.items()
            },
            "by_confidence": self.scores.by_confidence,
        }

    def numbers(self) -> Iterator[Sequence[object]]:
        """Yield one number per row: the metric, what it is over (mean, seen, action, ...), which, value."""
        yield "model", "protocol", "metric", "over", "which", "value"
        yield from ((self.model, self.protocol, *number) for number in self._numbers())

    def _numbers(self) -> Iterator[tuple[str, str, str, float]]:
        for name, score in self.scores.metrics.items():
            for over in ("mean", "seen", "hidden"):
                yield name, over, "", getattr(score, over)
            for over, values in (
                ("action", score.per_action),
                ("joint", score.per_joint),
                ("depth difference in mm", score.by_depth_difference_mm),
            ):
                yield from ((name, over, which, value) for which, value in (values or {}).items())
        for row in self.scores.by_confidence:
            yield "mpjpe_mm", "confidence", f"{row['from']:g}-{row['to']:g}", row["mpjpe_mm"]

    def printed(self) -> list[Table]:
        """Return MPJPE and P-MPJPE per action and their mean."""
        metrics = self.scores.metrics
        table = make_table(["Method"], [*metrics["mpjpe_mm"].per_action, "Mean"])
        for title, name in (("MPJPE (mm)", "mpjpe_mm"), ("P-MPJPE (mm)", "p_mpjpe_mm")):
            values = [*metrics[name].per_action.values(), metrics[name].mean]
            add_row(table, f"{self.model}, {title}", *map(show, values))
        return [table]

    def write_predictions(self, path: str | Path) -> None:
        """Write every predicted frame as npz: `rows` of the split, `predicted_mm`, `truth_mm` and so on."""
        p = self.predictions
        arrays = {
            "predicted_mm": p.predicted_mm.astype(np.float32),
            "truth_mm": p.truth_mm.astype(np.float32),
            "confidence": p.confidence,
            "rows": p.rows,
            "joints": np.array(p.skeleton.joints),
        }
        write_file(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def write_figure(self, path: str | Path) -> None:
        """Draw a PNG of the error against the detector's confidence; raises UserError without Matplotlib."""
        from repose.evaluation.figures import draw_confidence

        title = f"{self.model}, {self.dataset} {self.split}, {self.protocol} protocol"
        draw_confidence(self.scores.by_confidence, title, path)


def evaluate(
    store: ClipStore,
    model: PoseModel | Lifter,
    protocol: Protocol | None = None,
    *,
    split: str | None = None,
    fov_deg: float | None = None,
    gt_2d: bool = False,
    frame_pairs: bool = True,
    progress: Progress | None = None,
) -> DatasetReport:
    """Score a model on a prepared data set.

    Args:
        store: the prepared data set.
        model: from `open_model`, or a model in training, which is evaluated on its device and stays in
            training mode.
        protocol: "published" scores as the data set's papers do, "videopose3d" every frame, as papers on
            CPN's detections do, "full" every frame as users lift it; by default "published" for models in
            image units, "full" for others.
        split: by default "test", or "validation" if there is no test.
        fov_deg: diagonal field of view, for models of camera rays.
        gt_2d: give the model the truth's own x and y, with confidence 1, in place of the detections.
        frame_pairs: also measure depth order over pairs of frames, which takes longest.
        progress: called with what is done, how much of it, and of how much.

    Raises:
        UserError: a model with another skeleton than the store's, an unsuitable protocol, and a split
            that does not exist or has no truth in millimetres.
    """
    training = isinstance(model, PoseModel) and model.training
    lifter = model if isinstance(model, Lifter) else Lifter(model, device=_device_of(model))
    protocol = name_protocol(store, lifter, protocol)
    if split is None:
        split = next((name for name in ("test", "validation") if name in store.splits), "test")
    try:
        outcome = predict(
            store, store.split(split), lifter, protocol, fov_deg=fov_deg, gt_2d=gt_2d, progress=progress
        )
    finally:
        if training:
            cast(PoseModel, model).train()
    if progress:
        progress("scoring", 0, None)
    diluted = protocol == "published" and outcome.average == "actions"
    scores = score(
        outcome.predictions, outcome.average, frame_pairs=frame_pairs, published_acceleration=diluted
    )
    return DatasetReport(
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


def score(
    predictions: Predictions,
    average: Average = "actions",
    *,
    frame_pairs: bool = True,
    published_acceleration: bool = False,
    threads: int = 2,
) -> Scores:
    """Score the frames that count.

    `average`: "actions" averages over the frames of each action and then over actions, as Human3.6M is
    scored; "frames" averages over all frames alike. `frame_pairs`: depth order over frame pairs, too, which
    takes longer than all others together. `published_acceleration`: also as the published programs
    average it, over all frames of a clip although its ends have none. The result does not depend on
    `threads`. Raises UserError where no frame counts.
    """
    if not predictions.clips:
        raise UserError("no frame is left to score", "Give another split or protocol.")
    blocks = list(_blocks(predictions.clips))
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(partial(_measure, predictions, PAIRS if frame_pairs else None), blocks))
    actions = {
        action: add(
            [sums for block, (sums, _) in zip(blocks, parts, strict=True) if block[0].action == action]
        )
        for action in sorted({clip.action for clip in predictions.clips})
    }
    if published_acceleration:
        for sums in actions.values():
            sums[_AS_PUBLISHED] = sums[_ACCELERATION].copy()
            sums[_AS_PUBLISHED][:, 1] = sums["mpjpe_mm"][:, 1]
    names = next(iter(actions.values()))
    seen, joints = (
        sum(of_group(sums["mpjpe_mm"], group)[1].sum() for sums in actions.values())
        for group in ("seen", "all")
    )
    confidence = np.sum([by_confidence for _, by_confidence in parts], axis=0)
    return Scores(
        metrics={
            name: _average(
                name, {action: sums[name] for action, sums in actions.items()}, average, predictions
            )
            for name in names
        },
        by_confidence=[
            {"from": low, "to": high, "mpjpe_mm": float(ratio(sums)), "joints": int(sums[1])}
            for low, high, sums in zip(CONFIDENCE_EDGES[:-1], CONFIDENCE_EDGES[1:], confidence, strict=True)
        ],
        frames=sum(clip.stop - clip.start for clip in predictions.clips),
        seen_share=float(seen / joints),
    )


def _blocks(clips: Sequence[Clip]) -> Iterator[list[Clip]]:
    """Clips of one action and frame rate together, about `_BLOCK_FRAMES` frames at a time."""
    waiting: dict[tuple[str, float], list[Clip]] = {}
    for clip in clips:
        block = waiting.setdefault((clip.action, clip.fps), [])
        block.append(clip)
        if sum(clip.stop - clip.start for clip in block) >= _BLOCK_FRAMES:
            yield waiting.pop((clip.action, clip.fps))
    yield from waiting.values()


def _measure(
    predictions: Predictions, pairs: FramePairs | None, block: Sequence[Clip]
) -> tuple[dict[str, Sums], np.ndarray]:
    """Return the sums of all metrics, and sum and count of the error in each range of confidence."""
    rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in block])
    confidence = predictions.confidence[rows]
    poses = Poses(
        predicted_mm=predictions.predicted_mm[rows].astype(np.float64),
        truth_mm=predictions.truth_mm[rows].astype(np.float64),
        hidden=confidence < SEEN_CONFIDENCE,
        fps=block[0].fps,
        skeleton=predictions.skeleton,
        clip=np.repeat(np.arange(len(block)), [clip.stop - clip.start for clip in block]),
        pairs=pairs,
    )
    step = np.clip(np.floor(confidence * 10), 0, 9).astype(np.int64).ravel()
    sums = [np.bincount(step, weights, minlength=10) for weights in (poses.error_mm.ravel(), None)]
    return measure(poses), np.stack(sums, axis=1)


def _average(name: str, actions: Mapping[str, Sums], average: Average, predictions: Predictions) -> Score:
    entries = np.stack(list(actions.values()))
    if average == "frames":
        entries = entries.sum(axis=0, keepdims=True)

    def mean(sums: np.ndarray) -> float:
        """Of (actions, sum and count): over actions, of those with any."""
        ratios = ratio(sums)[sums[:, 1] > 0]
        return float(ratios.mean()) if len(ratios) else math.nan

    every = of_group(entries, "all")
    metric = METRICS[name if name != _AS_PUBLISHED else _ACCELERATION]
    items = {
        item: mean(sums)
        for item, sums in zip(metric.items(predictions.skeleton), np.moveaxis(every, -1, 0), strict=True)
    }
    return Score(
        mean=mean(every.sum(axis=-1)),
        per_action={
            action: float(ratio(of_group(entry, "all").sum(axis=-1))) for action, entry in actions.items()
        },
        hidden=mean(of_group(entries, "hidden").sum(axis=-1)),
        seen=mean(of_group(entries, "seen").sum(axis=-1)),
        per_joint=items if items.keys() <= set(predictions.skeleton.joints) else None,
        by_depth_difference_mm=items if isinstance(metric, DepthOrder) else None,
    )


def _explain(store: ClipStore, outcome: Outcome, diluted: bool) -> Iterator[str]:
    yield (
        f"seen: confidence of {SEEN_CONFIDENCE:g} and more, at all ends and in all frames of a bone, pair or "
        "motion; hidden: all others"
    )
    yield (
        f"depth order: pairs of joints of a frame, and pairs of frames of a joint within {PAIRS.within} "
        "frames, by their true difference in depth relative to the root"
    )
    yield "joint angles: not the trunk's, since a store does not say what is up"
    rates = sorted({clip.fps for clip in outcome.predictions.clips})
    yield f"velocity and acceleration per second at the store's {', '.join(f'{r:g}' for r in rates)} Hz"
    if diluted:
        yield (
            "acceleration_error_as_published is divided by all frames, although the ends of a window have no "
            "acceleration; the published programs print it as mm/s^2"
        )
    yield from (f"the store notes: {note}" for note in store.manifest.get("notes", ()))


def _device_of(model: PoseModel) -> Device:
    return cast(Device, next(model.parameters()).device.type)
