"""Predictions for frames of a split, beside their truth, and how they were obtained."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from repose.datasets.splits import Split, StoredSequence
from repose.datasets.store import ClipStore
from repose.lifting import Lifter
from repose.sequence import runs
from repose.skeleton import Skeleton

Average = Literal["actions", "frames"]

_OVER_FRAMES = ("mpi-inf-3dhp", "3dpw", "aist++")
"""Data sets whose errors are averaged over all frames alike, not over actions."""
_LSP_14 = Skeleton(
    "lsp-14",
    (
        *(f"{side}_{joint}" for joint in ("ankle", "knee", "hip") for side in ("right", "left")),
        *(f"{side}_{joint}" for joint in ("wrist", "elbow", "shoulder") for side in ("right", "left")),
        "thorax",
        "head_top",
    ),
    (2, 3, 4, 5, 12, 12, 8, 9, 10, 11, 12, 12, -1, 12),
)
_SCORED = {"3dpw": _LSP_14}
"""The joints of which a data set's results are published, where they are not all of the store's. Of 3DPW they
are LSP's, after the pelvis is put at the origin (Kolotouros et al. 2019, SPIN, and those after it)."""


def average_of(dataset: str) -> Average:
    return "frames" if dataset in _OVER_FRAMES else "actions"


class Clip(NamedTuple):
    """Consecutive frames of one video: `start` to `stop` of the predictions."""

    action: str
    fps: float
    start: int
    stop: int


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for frames of a split, with the truth: joints minus the root, camera axes."""

    predicted_mm: Float[np.ndarray, "frames joints 3"]
    truth_mm: Float[np.ndarray, "frames joints 3"]
    confidence: Float[np.ndarray, "frames joints"]
    rows: Int[np.ndarray, " frames"]
    """Row of each frame in the split's arrays."""
    clips: tuple[Clip, ...]
    """The frames that count. Motion is measured within a clip, never across its ends."""
    skeleton: Skeleton


@dataclass(frozen=True, eq=False)
class Outcome:
    """Predictions, how to average them, and how they were obtained, in words."""

    predictions: Predictions
    average: Average
    words: tuple[str, ...]


def mm_per_unit(
    split: Split, sequence: StoredSequence, rows: "slice | np.ndarray"
) -> "float | Float[np.ndarray, 'frames 1 1']":
    """Millimetres per unit of the model's output.

    Where targets are in the camera frame, their millimetres are normalised like pixels (MPI-INF-3DHP as
    MotionAGFormer trains on it).
    """
    if "factor" in split.arrays:
        return split.arrays["factor"][rows][:, None, None]
    return sequence.image_size[0] / 2


def valid_frames(split: Split) -> Bool[np.ndarray, " frames"]:
    return split.arrays.get("valid", np.ones(len(split), bool))


def valid_runs(split: Split, valid: Bool[np.ndarray, " frames"]) -> list[tuple[StoredSequence, int, int]]:
    """Return the runs of valid frames, each within one sequence."""
    return [
        (sequence, sequence.start + start, sequence.start + stop)
        for sequence in split.sequences
        for start, stop in runs(valid[sequence.start : sequence.stop])
    ]


def make_outcome(
    store: ClipStore,
    split: Split,
    lifter: Lifter,
    predicted_mm: Float[np.ndarray, "frames joints 3"],
    clips: list[tuple[StoredSequence, int, int]],
    average: Average,
    words: list[str],
    done: Bool[np.ndarray, " frames"] | None = None,
) -> Outcome:
    """`done`: the frames that were predicted, those of `clips` unless given."""
    if done is None:
        done = np.zeros(len(split), bool)
        for _, start, stop in clips:
            done[start:stop] = True
    rows = np.flatnonzero(done)
    position = np.cumsum(done) - 1
    truth = (
        split.arrays["truth_mm"][rows] if "truth_mm" in split.arrays else 1000 * split.arrays["target"][rows]
    )
    root = store.skeleton.parents.index(-1)
    predictions = Predictions(
        predicted_mm=predicted_mm[rows],
        truth_mm=truth - truth[:, root : root + 1],
        # The detector's, also where the model was given something else.
        confidence=store.split(split.name).arrays["keypoints_norm"][rows, :, 2],
        rows=rows,
        clips=tuple(
            Clip(sequence.action, sequence.fps, int(position[start]), int(position[stop - 1]) + 1)
            for sequence, start, stop in clips
        ),
        skeleton=store.skeleton,
    )
    if scored := _SCORED.get(store.dataset):
        kept = store.skeleton.indices(*scored.joints)
        predictions = replace(
            predictions,
            predicted_mm=predictions.predicted_mm[:, kept],
            truth_mm=predictions.truth_mm[:, kept],
            confidence=predictions.confidence[:, kept],
            skeleton=scored,
        )
        words.append(f"the {len(kept)} joints that are published: {', '.join(scored.joints)}")
    words += _compared_in_words(store, split, lifter, average)
    return Outcome(predictions, average, tuple(words))


def _compared_in_words(store: ClipStore, split: Split, lifter: Lifter, average: Average) -> Iterator[str]:
    if lifter.flip:
        yield "each prediction is averaged with that of the mirrored input, mirrored back"
    if not lifter.spec.confidence:
        yield "the model is not told how sure the detector is: it sees 1 everywhere (no_conf)"
    if lifter.spec.output == "input":
        yield (
            "the predicted root is set to zero (trained on joints relative to the root)"
            if lifter.spec.root_relative
            else "the predicted root is subtracted (trained on joints with their root)"
        )
        yield "input and output in units of half the picture's width" + (
            ", made millimetres by the store's factor for each frame"
            if "factor" in split.arrays
            else " for pixels and for millimetres alike"
        )
        if store.dataset == "human36m" and "factor" not in split.arrays:
            yield (
                "weights that learned from h36m_sh_conf_cam_source_final.pkl answer in pixels: only their "
                "N-MPJPE and P-MPJPE mean something here; prepare that file for the other metrics"
            )
    yield "joints are compared relative to the root, in millimetres, in the axes of the camera"
    yield (
        "errors are averaged over the frames of an action, then over actions"
        if average == "actions"
        else "errors are averaged over all frames alike"
    )
