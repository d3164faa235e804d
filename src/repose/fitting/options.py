"""How a motion is fitted to the picture."""

from dataclasses import dataclass
from typing import Annotated

from repose.errors import Within, check_ranges

SEEN_FACTOR = 0.95
HIDDEN_FACTOR = 1.3
"""The fitted joints' deviation over the network's, for joints that were seen and that were not.

The posterior of the fit is far too sure: errors last from frame to frame, in the network's answer and in the
keypoints. So the network's deviation is taken, times a factor measured on the validation motion of the CMU
database with other bodies, seen by virtual cameras clean, with a detector's errors, and with hidden legs.
"""


@dataclass(frozen=True)
class FitOptions:
    """What is thought usual (standard deviations), chosen on motion capture that virtual cameras film.

    `None` leaves a term out.
    """

    keypoint_deviation: Annotated[float, Within(1e-4, 1)] = 0.012
    """Of a keypoint in each direction, as a share of the person's height in the picture."""
    jitter_factor: Annotated[float, Within(0, 100)] = 2.0
    """Deviation added for each unit by which a joint's keypoints jitter from frame to frame."""
    usual_contradiction: Annotated[float, Within(0, 1)] = 0.04
    """Keypoints are usually less far off the network's own answer, as a share of the person's height."""
    contradiction_factor: Annotated[float, Within(0, 100)] = 3.0
    """Deviation added for each unit by which they are further off it around that time."""
    keypoint_scale: Annotated[float, Within(0.1, 1000)] = 2.0
    """From about so many deviations on a keypoint is an outlier (scale of Student's t)."""
    bone_scale: Annotated[float, Within(0.1, 1000)] = 3.0
    """The same of a bone's vector, whose deviation the network says."""
    bone_deviation_m: Annotated[float | None, Within(1e-4, 1)] = 0.012
    """Of a bone's length in a frame from its one length."""
    symmetry_deviation_m: Annotated[float | None, Within(1e-4, 1)] = 0.005
    """Of a left bone's length from the right one's."""
    knee_deviation: Annotated[float | None, Within(1e-3, 10)] = 0.1
    """Of a knee from straight, in radians, where the picture shows the leg at its full length."""
    knee_scale: Annotated[float, Within(0.1, 1000)] = 0.5
    """From about so many deviations on a knee counts as bent (scale of Student's t)."""
    acceleration_m_s2: Annotated[float | None, Within(0.01, 1e4)] = 20.0
    """Of a joint, in each direction."""

    def __post_init__(self) -> None:
        check_ranges(self)
