"""Clean motion: what a lifted clip needs before it is animated or measured.

    refined = repose.refine(repose.estimate("walk.mp4"))
    refined[0].record["refined"]["after"]["foot_skating_m_s"]

Spikes go, jitter goes without lag, bones keep their length, up is found, and feet that touch the ground rest
on it. Every step can be left out (`RefineConfig`). The camera is taken to stand still.
"""

from repose.fitting.config import RefineConfig
from repose.fitting.refinement import refine
from repose.fitting.smoothing import OneEuro

__all__ = ["OneEuro", "RefineConfig", "refine"]
