"""Joint angles of a result, for biomechanics: degrees, named as the ISB names them.

    angles = repose.joint_angles(pose)
    angles["right_knee_flexion"]                 # (frames,), degrees

`write_angles` writes them as CSV, with a plot.
"""

from repose.angles.files import angle_files, write_angles
from repose.angles.joint_angles import JointAngles, joint_angles

__all__ = ["JointAngles", "angle_files", "joint_angles", "write_angles"]
