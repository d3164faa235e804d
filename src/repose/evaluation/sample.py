"""How far a lifted track of the sample is from the truth, for visible and for hidden joints."""

from dataclasses import dataclass

import numpy as np

from repose.errors import UserError
from repose.metrics import per_joint_error, procrustes_align
from repose.pose import Pose3D
from repose.sample import SampleTruth


@dataclass(frozen=True)
class Score:
    joints: str
    """Which joints: "all", "visible" or "hidden"."""
    share: float
    """Share of the joints of all frames."""
    mpjpe_mm: float
    """Mean distance after the pelvis is put at the origin of both."""
    p_mpjpe_mm: float
    """Mean distance after the best similarity of each frame (all joints together)."""


def score_against(pose: Pose3D, truth: SampleTruth) -> list[Score]:
    """Errors of `pose`, a track of the sample video, over the frames it has.

    Raises UserError if it has frames that the sample has not.
    """
    if pose.frames[-1] >= len(truth.joints_m):
        raise UserError(
            f"frames: expected 0 to {len(truth.joints_m) - 1}, found {pose.frames[-1]}",
            "Lift the sample video.",
        )
    true_m = truth.joints_m[pose.frames].astype(np.float64)
    true_m -= true_m[:, :1]
    found_m = pose.root_relative_m().astype(np.float64)
    plain = 1000 * per_joint_error(found_m, true_m)
    aligned = 1000 * per_joint_error(procrustes_align(found_m, true_m), true_m)
    hidden = truth.hidden[pose.frames]
    return [
        Score(name, float(rows.mean()), float(plain[rows].mean()), float(aligned[rows].mean()))
        for name, rows in (("all", np.ones_like(hidden)), ("visible", ~hidden), ("hidden", hidden))
        if rows.any()
    ]
