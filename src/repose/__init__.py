"""RePOSE: 3D human poses from monocular video that stay accurate where joints are hidden.

    poses = repose.estimate("walk.mp4")          # a video, or the keypoints of any detector
    poses[0].joints_m                            # (frames, 17, 3), metres, camera frame
    poses[0].seen                                # (frames, 17), False where a joint was inferred

Units, axes and joint orders: docs/conventions.md.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    __version__: str

    from repose import losses, metrics, models
    from repose.batch import Batch, read_batch, run_batch
    from repose.errors import UserError
    from repose.export.angles import joint_angles, write_angles
    from repose.export.formats import export_opensim, export_poses
    from repose.export.results import read_poses, write_poses
    from repose.fitting import FitOptions, RefineConfig, fit, refine
    from repose.keypoints.reader import read_keypoints
    from repose.lifting import Lifter, load
    from repose.pipeline import EstimateOptions, Estimator, estimate
    from repose.pose import Pose2D, Pose3D
    from repose.skeleton import SKELETONS, Skeleton
    from repose.viewer import render_sheet, render_video, view, write_page
else:
    # Imported when first used, as PEP 562 has it: PyTorch and the rest take seconds, which `repose --help`
    # and who uses one function alone need not wait for.
    _HOMES = {
        "repose.batch": ("Batch", "read_batch", "run_batch"),
        "repose.errors": ("UserError",),
        "repose.export.angles": ("joint_angles", "write_angles"),
        "repose.export.formats": ("export_opensim", "export_poses"),
        "repose.export.results": ("read_poses", "write_poses"),
        "repose.fitting": ("FitOptions", "RefineConfig", "fit", "refine"),
        "repose.keypoints.reader": ("read_keypoints",),
        "repose.lifting": ("Lifter", "load"),
        "repose.pipeline": ("EstimateOptions", "Estimator", "estimate"),
        "repose.pose": ("Pose2D", "Pose3D"),
        "repose.skeleton": ("SKELETONS", "Skeleton"),
        "repose.viewer": ("render_sheet", "render_video", "view", "write_page"),
    }

    def __getattr__(name: str) -> object:
        from importlib import import_module

        for home, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(home), name)
                return value
        if name == "__version__":
            from importlib.metadata import version

            return version("repose3d")
        if not name.startswith("_"):  # a part, such as repose.losses
            try:
                return import_module(f"repose.{name}")
            except ModuleNotFoundError as error:
                if error.name != f"repose.{name}":
                    raise
        raise AttributeError(f"module 'repose' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "SKELETONS",
    "Batch",
    "EstimateOptions",
    "Estimator",
    "FitOptions",
    "Lifter",
    "Pose2D",
    "Pose3D",
    "RefineConfig",
    "Skeleton",
    "UserError",
    "estimate",
    "export_opensim",
    "export_poses",
    "fit",
    "joint_angles",
    "load",
    "losses",
    "metrics",
    "models",
    "read_batch",
    "read_keypoints",
    "read_poses",
    "refine",
    "render_sheet",
    "render_video",
    "run_batch",
    "view",
    "write_angles",
    "write_page",
    "write_poses",
]
