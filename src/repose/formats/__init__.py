"""Files: one module per format, reader and writer together.

`read_keypoints` reads 2D keypoints of any known format, `write_poses` and `read_poses` the results.
"""

from repose.formats.keypoints import holds_keypoints, read_keypoints
from repose.formats.results import read_poses, write_poses

__all__ = [
    "holds_keypoints",
    "read_keypoints",
    "read_poses",
    "write_poses",
]
