"""How motion is refined."""

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import tyro

from repose.errors import UserError, Within, check_ranges, expected

Smoothing = Literal["low-pass", "one-euro", "off"]


@dataclass(frozen=True)
class RefineConfig:
    """Steps of refining, in order; the defaults are those of the command line."""

    height_m: Annotated[float | None, tyro.conf.arg(name="height"), Within(0.3, 3)] = None
    """The person's height in metres; the result is scaled to it."""
    spikes: bool = True
    """Remove spikes: joints that leave their path for a moment."""
    smoothing: Smoothing = "low-pass"
    """A zero-lag low-pass; one-euro, which is causal; or off."""
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
