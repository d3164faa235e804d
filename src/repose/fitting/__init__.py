"""From a lifted motion to one that agrees with the picture, with one body, and with physics.

    fitted = repose.fit(repose.load().lift(track))      # as repose.estimate does
    fitted.record["fit"]["after"]["reprojection"]

    refined = repose.refine(repose.estimate("walk.mp4"))
    refined[0].record["refined"]["after"]["foot_skating_m_s"]

`fit` finds joints, root and bone lengths that explain the keypoints best, near the network's answer.
`refine` then takes out spikes and jitter, finds up, and rests feet that touch the ground on it. The camera is
taken to stand still.
"""

from repose.fitting.options import FitOptions, RefineConfig
from repose.fitting.problem import fit
from repose.fitting.refinement import refine

__all__ = ["FitOptions", "RefineConfig", "fit", "refine"]
