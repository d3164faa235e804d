"""A sheet of samples from a clip store, for what only the eye finds."""

from pathlib import Path
from typing import Any

import numpy as np

from repose import palette
from repose.datasets.splits import Split, StoredSequence
from repose.datasets.store import ClipStore
from repose.errors import needing
from repose.files.output import stage_file
from repose.skeleton import Skeleton

_SAMPLES = 4
_LONGEST = 36
"""Letters of a title that fit over a panel."""


def draw_sheet(store: ClipStore, path: str | Path) -> None:
    """Draw samples of every split, evenly spread over its sequences, as a PNG.

    For each: the 2D joints in their picture, whose edge is grey (hollow where the confidence is under a
    half), and the target, where there is one, as the camera sees it and from the camera's right. Left limbs
    are blue, right ones orange.
    Raises UserError where Matplotlib is not installed or the file cannot be written.
    """
    with needing("the sample sheet needs Matplotlib", "Install it with: pip install 'repose3d[data]'"):
        from matplotlib.figure import Figure
    samples = [(split, sequence) for split in store.splits.values() for sequence in _spread(split.sequences)]
    wanted = 1 if store.target_kind is None else 3  # panels for a sample
    rows = -(-len(samples) * wanted // 6)
    figure = Figure(figsize=(16, 2.9 * rows + 0.5))
    panels = figure.subplots(rows, 6, squeeze=False).reshape(-1, wanted)
    for (split, sequence), row in zip(samples, panels, strict=False):
        _draw_sample(store, split, sequence, row)
    for panel in panels[len(samples) :].flat:
        panel.set_axis_off()
    figure.subplots_adjust(0.04, 0.2 / rows, 0.99, 1 - 0.25 / rows, hspace=0.3)
    title = f"{store.dataset}, {store.path.resolve().name}: left blue, right orange"
    figure.suptitle(title, parse_math=False)  # a name may have dollars
    with stage_file(path) as partial:
        figure.savefig(partial, format="png", dpi=90)


def _spread(sequences: tuple[StoredSequence, ...]) -> list[StoredSequence]:
    chosen = np.linspace(0, len(sequences) - 1, min(_SAMPLES, len(sequences))).round().astype(int)
    return [sequences[i] for i in chosen]


def _draw_sample(store: ClipStore, split: Split, sequence: StoredSequence, row: Any) -> None:
    frame = (sequence.start + sequence.stop) // 2
    width, height = sequence.image_size
    keypoints = split.keypoints_px(sequence)[frame - sequence.start]
    flat = row[0]
    draw_bones(flat, store.skeleton, keypoints[:, :2], keypoints[:, 2])
    flat.plot([0, width, width, 0, 0], [0, 0, height, height, 0], color=palette.FRAME, linewidth=0.8)
    seen = keypoints[keypoints[:, 2] > 0, :2]
    middle, span = (np.median(seen, axis=0), np.ptp(seen, axis=0).max() * 0.75) if len(seen) else (0, width)
    (left, top), (right, bottom) = np.broadcast_to(middle - span, 2), np.broadcast_to(middle + span, 2)
    flat.set(xlim=(left, right), ylim=(bottom, top))
    name = f"{split.name}: {sequence.name}"
    name = name if len(name) <= _LONGEST else "…" + name[1 - _LONGEST :]
    flat.set_title(name, fontsize=8, parse_math=False)
    for panel in row:
        panel.set_aspect("equal")
        panel.tick_params(labelsize=7)
    if store.target_kind is None:
        return
    target = split.arrays["target"][frame]
    relative = target - target[store.skeleton.index("pelvis")]
    reach = float(np.abs(relative).max()) * 1.1 or 1.0
    unit = "half widths" if store.target_kind == "image" else "m"
    names = f"{sequence.subject} {sequence.action}: x, y", f"row {frame}: z, y"
    for panel, axis, title in zip(row[1:], (0, 2), names, strict=True):
        draw_bones(panel, store.skeleton, relative[:, [axis, 1]], np.ones(len(relative)))
        panel.set(xlim=(-reach, reach), ylim=(reach, -reach))
        panel.set_title(f"{title} ({unit})", fontsize=8, parse_math=False)


def draw_bones(panel: Any, skeleton: Skeleton, points: np.ndarray, confidence: np.ndarray) -> None:
    """Draw a pose, joints (joints, 2), on Matplotlib axes: left blue, right orange.

    A joint without confidence is left out; joints are hollow where the confidence is under a half.
    """
    joints = skeleton.joints
    for side, colour in (*palette.SIDES.items(), ("middle", palette.MIDDLE)):
        bones = [
            (child, parent)
            for child, parent in skeleton.bones
            if palette.side_of(joints[child]) == side and confidence[child] > 0 and confidence[parent] > 0
        ]
        # Three points a bone, the third of them nowhere, so that one line draws them all.
        lines = np.array([[points[child], points[parent], [np.nan, np.nan]] for child, parent in bones])
        panel.plot(*lines.reshape(-1, 2).T, color=colour, linewidth=1.5)
        for sure, fill in ((confidence >= 0.5, colour), ((confidence > 0) & (confidence < 0.5), "none")):
            shown = [i for i, joint in enumerate(joints) if palette.side_of(joint) == side and sure[i]]
            panel.scatter(*points[shown].T, s=9, edgecolors=colour, facecolors=fill, zorder=3)
