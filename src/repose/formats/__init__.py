"""Files: one module per format, reader and writer together.

`read_keypoints` reads 2D keypoints of any known format, `write_poses` and `read_poses` the results.
"""

from repose.formats.keypoints import holds_keypoints, read_keypoints
from repose.formats.output import check_file, check_output, stage, stage_file
from repose.formats.results import read_poses, write_poses

__all__ = [
    "check_file",
    "check_output",
    "holds_keypoints",
    "read_keypoints",
    "read_poses",
    "stage",
    "stage_file",
    "write_poses",
]
