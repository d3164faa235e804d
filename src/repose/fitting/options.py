"""How a motion is fitted to the picture, and to the ground."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import tyro

from repose.errors import UserError, Within, check_ranges, expected


@dataclass(frozen=True)
class FitOptions:
    """What is thought usual (standard deviations), chosen on motion capture that virtual cameras film.

    `None` leaves a term out.
    """

    keypoint_deviation: Annotated[float, Within(1e-4, 1)] = 0.012
    """Of a keypoint in each direction, as a share of the person's height in the picture."""
    jitter_factor: Annotated[float, Within(0, 100)] = 1.5
    """Deviation added for each unit by which a joint's keypoints jitter from frame to frame."""
    doubt: bool = True
    """Whether keypoints that contradict the network and the body for a while count for less."""
    keypoint_scale: Annotated[float, Within(0.1, 1000)] = 2.0
    """From about so many deviations on a keypoint is an outlier (scale of Student's t)."""
    bone_scale: Annotated[float, Within(0.1, 1000)] = 3.0
    """The same of a bone's vector, whose deviation the network says."""
    bone_deviation_m: Annotated[float | None, Within(1e-4, 1)] = 0.008
    """Of a bone's length in a frame from its one length."""
    symmetry_deviation_m: Annotated[float | None, Within(1e-4, 1)] = 0.005
    """Of a left bone's length from the right one's."""
    knee_deviation: Annotated[float | None, Within(1e-3, 10)] = 0.05
    """Of a knee from straight, in radians, where the picture shows the leg at its full length."""
    knee_scale: Annotated[float, Within(0.1, 1000)] = 0.8
    """From about so many deviations on a knee counts as bent (scale of Student's t)."""
    acceleration_m_s2: Annotated[float | None, Within(0.01, 1e4)] = 20.0
    """Of a joint, in each direction."""

    def __post_init__(self) -> None:
        check_ranges(self)


Smoothing = Literal["low-pass", "off"]


@dataclass(frozen=True)
class RefineConfig:
    """What is asked of a refined motion; the defaults are those of the command line."""

    height_m: Annotated[float | None, tyro.conf.arg(name="height"), Within(0.3, 3)] = None
    """The person's height in metres; the result is scaled to it."""
    fit: bool = True
    """Fit the network's answer to the picture, where `repose estimate` has not done so."""
    spikes: bool = True
    """Remove spikes: joints that leave their path for a moment."""
    smoothing: Smoothing = "low-pass"
    """A zero-lag low-pass, or off."""
    cutoff_hz: Annotated[float, tyro.conf.arg(name="cutoff"), Within(0.01, 1000)] = 6.0
    """Cut-off frequency of the low-pass in Hz; anything faster is jitter."""
    depth_cutoff_hz: Annotated[float, tyro.conf.arg(name="depth-cutoff"), Within(0.01, 1000)] = 1.0
    """The same for the person's distance from the camera, where a lifter's error is largest."""
    bones: bool = True
    """Give each bone one length for the whole clip, the same on both sides."""
    gravity: bool = True
    """Find up, and rotate the result to a world frame with z up."""
    camera_pitch_deg: Annotated[float | None, tyro.conf.arg(name="camera-pitch"), Within(-90, 90)] = None
    """Camera pitch in degrees, positive looking down; with the roll, replaces finding up."""
    camera_roll_deg: Annotated[float | None, tyro.conf.arg(name="camera-roll"), Within(-180, 180)] = None
    """Camera roll in degrees, positive if vertical lines lean to the right in the picture."""
    feet: bool = True
    """Hold feet in place while they touch the ground."""

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.smoothing not in get_args(Smoothing):
            expected("smoothing", ", ".join(get_args(Smoothing)), repr(self.smoothing))
        if (self.camera_pitch_deg is None) != (self.camera_roll_deg is None):
            raise UserError(
                "one of camera pitch and camera roll was given",
                "Give both: --camera-pitch 12 --camera-roll 0 for a level camera that looks down a little.",
            )

    @property
    def fit_options(self) -> FitOptions:
        """What is asked of the fit that comes first."""
        return FitOptions(
            bone_deviation_m=FitOptions.bone_deviation_m if self.bones else None,
            symmetry_deviation_m=FitOptions.symmetry_deviation_m if self.bones else None,
            acceleration_m_s2=FitOptions.acceleration_m_s2 if self.smoothing != "off" else None,
        )
