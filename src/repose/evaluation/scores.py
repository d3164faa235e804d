"""All metrics of a model's predictions: per action, per joint, and apart for seen and hidden joints."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from repose import metrics
from repose.errors import UserError
from repose.pose import SEEN_CONFIDENCE
from repose.skeleton import Skeleton

Average = Literal["actions", "frames"]

GAPS_MM = (0.0, 50.0, 100.0, 200.0, 400.0)
"""Lower ends of the ranges of true depth difference by which depth order is counted."""
CONFIDENCE_EDGES = tuple(i / 10 for i in range(11))
"""Ranges of detection confidence in which the error is averaged."""
PIECE_FRAMES = 243
"""Frame pairs lie within pieces of a clip of so many frames: their number grows with the square."""
_PCK_LIMIT_MM = 150.0
_NOT_IN_PCK = ("pelvis", "spine", "head", "nose")
"""What MPI-INF-3DHP leaves out of its 17 joints for PCK and AUC; its head is others' nose."""
_BLOCK_FRAMES = 1024
"""Small enough for the arrays of a block to stay in a core's cache."""


class Clip(NamedTuple):
    """Consecutive frames of one video: `start` to `stop` of the predictions."""

    action: str
    fps: float
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said of frames of a split, beside the truth: joints minus the root, camera axes."""

    predicted_mm: Float[np.ndarray, "frames joints 3"]
    truth_mm: Float[np.ndarray, "frames joints 3"]
    confidence: Float[np.ndarray, "frames joints"]
    rows: Int[np.ndarray, " frames"]
    """Row of each frame in the split's arrays."""
    clips: tuple[Clip, ...]
    """The frames that count. Motion is measured within a clip, never across its ends."""
    skeleton: Skeleton


@dataclass(frozen=True)
class Score:
    """Averages of one metric; NaN where there was nothing to measure."""

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
    metrics: Mapping[str, Score]
    """By name with unit, such as `mpjpe_mm`."""
    by_confidence: Sequence[Mapping[str, float]]
    """MPJPE and number of joints in ranges of detection confidence."""
    frames: int
    """Frames that count."""
    seen_share: float
    """Share of their joints that the detector saw."""


Sums = dict[str, np.ndarray]
"""Metric -> (sum and count, hidden and seen, items); items are joints, bones, or ranges."""


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
    measure = partial(_measure, predictions, frame_pairs=frame_pairs)
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(measure, blocks))
    actions: dict[str, Sums] = {action: {} for action in sorted({clip.action for clip in predictions.clips})}
    for block, part in zip(blocks, parts, strict=True):
        for name, entry in part.items():
            sums = actions[block[0].action]
            sums[name] = sums.get(name, 0) + entry
    if published_acceleration:
        for sums in actions.values():
            total, count = sums["acceleration_error_mm_per_frame2"][0], sums["mpjpe_mm"][1]
            sums["acceleration_error_as_published_mm_per_frame2"] = np.stack([total, count])
    confidence = np.sum([sums.pop("confidence") for sums in actions.values()], axis=0)
    table = {
        name: _average(name, {action: sums[name] for action, sums in actions.items()}, average, predictions)
        for name in next(iter(actions.values()))
    }
    count = next(iter(actions.values()))
    count = np.sum([sums["mpjpe_mm"][1].sum(axis=-1) for sums in actions.values()], axis=0)
    return Scores(
        metrics=table,
        by_confidence=[
            {"from": low, "to": high, "mpjpe_mm": _ratio(total, number), "joints": int(number)}
            for low, high, total, number in zip(
                CONFIDENCE_EDGES[:-1], CONFIDENCE_EDGES[1:], *confidence, strict=True
            )
        ],
        frames=sum(clip.stop - clip.start for clip in predictions.clips),
        seen_share=float(count[1] / count.sum()),
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


def _measure(predictions: Predictions, block: Sequence[Clip], frame_pairs: bool) -> Sums:
    rows = np.concatenate([np.arange(clip.start, clip.stop) for clip in block])
    clip_of = np.repeat(np.arange(len(block)), [clip.stop - clip.start for clip in block])
    predicted = predictions.predicted_mm[rows].astype(np.float64)
    truth = predictions.truth_mm[rows].astype(np.float64)
    confidence = predictions.confidence[rows]
    seen = confidence >= SEEN_CONFIDENCE
    skeleton = predictions.skeleton
    fps = block[0].fps

    error = metrics.per_joint_error(predicted, truth)
    sums = {"mpjpe_mm": _sum(error, seen)}
    for name, align in (("p_mpjpe_mm", metrics.procrustes_align), ("n_mpjpe_mm", metrics.scale_align)):
        sums[name] = _sum(metrics.per_joint_error(align(predicted, truth), truth), seen)

    motion = {"velocity_error_mm_per_s": fps, "acceleration_error_mm_per_s2": fps * fps}
    a, b, both, runs = predicted, truth, seen, np.ones(len(rows), bool)
    for order, (name, factor) in enumerate(motion.items(), start=1):
        a, b, both = a[1:] - a[:-1], b[1:] - b[:-1], both[1:] & both[:-1]
        runs = clip_of[order:] == clip_of[:-order]
        per_frame = _sum(metrics.per_joint_error(a, b)[runs], both[runs])
        sums[name] = per_frame * np.array([factor, 1.0])[:, None, None]
        sums[name.replace("_per_s", "_per_frame")] = per_frame

    kept = _pck_joints(skeleton)
    near, near_seen = error[:, kept], seen[:, kept]
    sums["pck_150mm_percent"] = _sum(100.0 * (near < _PCK_LIMIT_MM), near_seen)
    sums["auc_150mm_percent"] = _sum(100.0 * metrics.thresholds_met(near, _PCK_LIMIT_MM), near_seen)

    children, parents = map(list, zip(*skeleton.bones, strict=True))
    bones_seen = seen[:, children] & seen[:, parents]
    lengths = metrics.bone_lengths(predicted, skeleton)
    wrong = np.abs(lengths - metrics.bone_lengths(truth, skeleton))
    sums["bone_length_error_mm"] = _sum(wrong, bones_seen)
    left, right = map(list, zip(*metrics.paired_bones(skeleton), strict=True))
    uneven = np.abs(lengths[:, left] - lengths[:, right])
    sums["symmetry_error_mm"] = _sum(uneven, bones_seen[:, left] & bones_seen[:, right])

    i, j = _pairs(len(skeleton))
    guess, depth = (np.ascontiguousarray(joints[..., 2].T) for joints in (predicted, truth))
    sums["depth_order_joints_percent"] = depth_order_sums(
        guess[i] - guess[j], depth[i] - depth[j], seen.T[i] & seen.T[j]
    )
    if frame_pairs:
        pieces = [
            (start, min(start + PIECE_FRAMES, stop))
            for start, stop in zip(*_edges(clip_of), strict=True)
            for start in range(start, stop, PIECE_FRAMES)
        ]
        sums["depth_order_frames_percent"] = np.sum(
            [_frame_order(guess.T[a:b], depth.T[a:b], seen[a:b]) for a, b in pieces], axis=0
        )

    step = np.clip(np.floor(confidence * 10), 0, 9).astype(np.int64).ravel()
    sums["confidence"] = np.stack(
        [np.bincount(step, error.ravel(), minlength=10), np.bincount(step, minlength=10)]
    )
    return sums


def _sum(
    values: Float[np.ndarray, "rows items"], seen: Bool[np.ndarray, "rows items"]
) -> Float[np.ndarray, "2 2 items"]:
    """Sum and count of each item's values, hidden and seen."""
    sums = [np.where(which, values, 0.0).sum(axis=0) for which in (~seen, seen)]
    among = seen.sum(axis=0)
    return np.array([sums, [len(seen) - among, among]], dtype=np.float64)


def depth_order_sums(
    guess: np.ndarray, depth: np.ndarray, seen: np.ndarray
) -> Float[np.ndarray, "2 2 ranges"]:
    """Pairs in the right order (in percent) and all pairs, hidden and seen, by range of the true difference.

    `guess` and `depth`: differences of a pair's depths, predicted and true, in millimetres; `seen`: both ends
    seen. The ranges begin at `GAPS_MM`.
    """
    size = np.abs(depth)
    right = guess * depth > 0
    right_seen = right & seen
    sums = np.zeros((2, 2, len(GAPS_MM)))
    for k, gap in enumerate(GAPS_MM):
        wide = size > gap
        totals = [np.count_nonzero(wide & which) for which in (right, right_seen, seen)]
        sums[0, :, k] = 100 * (totals[0] - totals[1]), 100 * totals[1]
        sums[1, :, k] = np.count_nonzero(wide) - totals[2], totals[2]
    sums[..., :-1] -= sums[..., 1:]
    return sums


def _frame_order(
    guess: Float[np.ndarray, "frames joints"],
    depth: Float[np.ndarray, "frames joints"],
    seen: Bool[np.ndarray, "frames joints"],
) -> Float[np.ndarray, "2 2 ranges"]:
    i, j = _pairs(len(depth))
    return depth_order_sums(guess[i] - guess[j], depth[i] - depth[j], seen[i] & seen[j])


@cache
def _pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(count, 1)
    return first, second


def _edges(clip_of: np.ndarray) -> tuple[list[int], list[int]]:
    """First frames of the clips of a block, and the frames after their last."""
    cuts = (np.flatnonzero(np.diff(clip_of)) + 1).tolist()
    return [0, *cuts], [*cuts, len(clip_of)]


def _pck_joints(skeleton: Skeleton) -> list[int]:
    return [i for i, joint in enumerate(skeleton.joints) if joint not in _NOT_IN_PCK]


def _average(
    name: str, actions: Mapping[str, np.ndarray], average: Average, predictions: Predictions
) -> Score:
    entries = np.stack(list(actions.values()))  # actions, sum and count, hidden and seen, items
    if average == "frames":
        entries = entries.sum(axis=0, keepdims=True)
    items = [_mean(entries[..., k].sum(axis=-1)) for k in range(entries.shape[-1])]
    joints = predictions.skeleton.joints
    if name.startswith(("pck", "auc")):
        joints = tuple(joints[i] for i in _pck_joints(predictions.skeleton))
    ordered = name.startswith("depth_order")
    named = not ordered and not name.startswith(("bone", "symmetry"))
    ranges = [
        f"{low:g}-{high:g}" if high else f"over {low:g}"
        for low, high in zip(GAPS_MM, (*GAPS_MM[1:], None), strict=True)
    ]
    return Score(
        mean=_mean(entries.sum(axis=(-1, -2))),
        per_action={action: _ratio(*entry.sum(axis=(-1, -2))) for action, entry in actions.items()},
        hidden=_mean(entries[..., 0, :].sum(axis=-1)),
        seen=_mean(entries[..., 1, :].sum(axis=-1)),
        per_joint=dict(zip(joints, items, strict=True)) if named else None,
        by_depth_difference_mm=dict(zip(ranges, items, strict=True)) if ordered else None,
    )


def _mean(entries: Float[np.ndarray, "actions 2"]) -> float:
    """Mean over actions of sum / count, of those with any."""
    ratios = [_ratio(total, count) for total, count in entries if count]
    return float(np.mean(ratios)) if ratios else float("nan")


def _ratio(total: float, count: float) -> float:
    return float(total / count) if count else float("nan")
