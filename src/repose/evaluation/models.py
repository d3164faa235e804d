"""The rows of a benchmark: anything that turns a 2D track into a 3D one."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from repose.errors import UserError, expected
from repose.lifting import Device, Lifter, load
from repose.pipeline import estimate
from repose.pose import Pose2D, Pose3D

Estimator = Callable[..., Pose3D]
"""`estimator(track, **scene)` gives the 3D track of a `Pose2D`. `scene` has what is known besides, by the
names of `repose.estimate`: `intrinsics_px`, `height_m`, `undo_swaps`; nothing for real video."""
Model = str | Path | Lifter | tuple[str, Estimator]
"""Packaged weights, a checkpoint, a lifter that is loaded, or the name of a row and its estimator."""

FITTED = ", fitted"
"""What the name of a fitted row ends in."""


def open_lifter(
    model: str | Path,
    *,
    label: str | None = None,
    architecture: str | None = None,
    root_relative: bool | None = None,
    confidence: bool | None = None,
    device: Device = "auto",
) -> Lifter:
    """Open packaged weights or a checkpoint, ours or a published one, with its own normalisation.

    `label` names it in reports. `architecture`, `root_relative` and `confidence` (whether it is told
    how sure the detector is) say what a published file's tensors cannot tell.

    Raises UserError as `repose.load`.
    """
    lifter = load(model, architecture=architecture, device=device)
    if root_relative is not None:
        lifter.spec = replace(lifter.spec, root_relative=root_relative)
    if confidence is not None:
        lifter.spec = replace(lifter.spec, confidence=confidence)
    lifter.name = label or lifter.name
    return lifter


def load_models(
    models: Sequence[Model], device: Device = "auto", *, fit: bool = True
) -> dict[str, Estimator]:
    """Return estimators by the names of their rows; without `fit`, the networks' alone.

    Raises UserError without any, for two of the same name, and for what cannot be loaded.
    """
    if not models:
        expected("models", "one or more", "none")
    estimators: dict[str, Estimator] = {}
    for model in models:
        if isinstance(model, tuple):
            rows = dict([model])
        else:
            lifter = model if isinstance(model, Lifter) else load(model, device=device)
            name = lifter.name
            if name in estimators and name != str(model) and not isinstance(model, Lifter):
                # Checkpoints of several runs have the same name.
                name = f"{Path(model).resolve().parent.name}/{name}"
            rows = rows_of(name, lifter) if fit else {name: partial(lift, lifter, fit=False)}
        if twice := sorted(rows.keys() & estimators.keys()):
            raise UserError(
                f"two models are called {twice[0]!r}", "Give each model once, and files names of their own."
            )
        estimators |= rows
    return estimators


def rows_of(name: str, lifter: Lifter) -> dict[str, Estimator]:
    """Return what a lifter is benchmarked as: the network alone, and fitted to the picture."""
    return {name: partial(lift, lifter, fit=False), f"{name}{FITTED}": partial(lift, lifter, fit=True)}


def lift(lifter: Lifter, track: Pose2D, *, fit: bool, **scene: Any) -> Pose3D:
    """Lift a track as users do."""
    (pose,) = estimate(track, lifter=lifter, root=False, fit=fit, **scene)
    return pose


def camera_joints_mm(pose: Pose3D) -> Float[np.ndarray, "frames joints 3"]:
    """Return the joints relative to the root, in the camera's axes, whatever the coordinates of the track."""
    joints = 1000 * pose.camera_joints_m()
    root = pose.skeleton.parents.index(-1)
    return joints - joints[:, root : root + 1]
