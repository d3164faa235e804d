"""RePOSE: 3D human poses from monocular video that stay right where joints are hidden.

    poses = repose.estimate("walk.mp4")          # a video, or the keypoints of any detector
    poses[0].joints_m                            # (frames, 17, 3), metres, camera frame
    poses[0].seen                                # (frames, 17), False where a joint was inferred

Units, axes and joint orders: docs/conventions.md.
"""

from repose import losses, metrics, models
from repose.angles import joint_angles
from repose.errors import UserError
from repose.export.angles import write_angles
from repose.export.formats import export_opensim, export_poses
from repose.export.results import read_poses, write_poses
from repose.fitting import RefineConfig, refine
from repose.keypoints.reader import read_keypoints
from repose.lifting import Lifter, load
from repose.pipeline import EstimateOptions, estimate
from repose.pose import Pose2D, Pose3D
from repose.skeleton import SKELETONS, Skeleton
from repose.viewer import render_sheet, render_video, view, write_page

__all__ = [
    "SKELETONS",
    "EstimateOptions",
    "Lifter",
    "Pose2D",
    "Pose3D",
    "RefineConfig",
    "Skeleton",
    "UserError",
    "estimate",
    "export_opensim",
    "export_poses",
    "joint_angles",
    "load",
    "losses",
    "metrics",
    "models",
    "read_keypoints",
    "read_poses",
    "refine",
    "render_sheet",
    "render_video",
    "view",
    "write_angles",
    "write_page",
    "write_poses",
]
