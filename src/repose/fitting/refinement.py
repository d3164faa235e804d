"""The way of a lifted clip through all steps of refining."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import override
from repose.fitting.bones import hold_lengths, measure_bones
from repose.fitting.config import RefineConfig
from repose.fitting.contacts import episodes
from repose.fitting.feet import NEAR_GROUND_M, find_footing, hold_feet
from repose.fitting.gravity import PICTURE_UP, Up, find_up, foot_contacts, stated_up
from repose.fitting.measures import Measures, acceleration, bone_variation, foot_skating
from repose.fitting.smoothing import follow, low_pass, remove_spikes
from repose.geometry.floor import floor_m
from repose.pose import Pose3D
from repose.skeleton import ANKLE_HEIGHT, H36M_17, conversion_matrix, stature

FEET = ("left_ankle", "right_ankle")


def refine(
    poses: Pose3D | Iterable[Pose3D], config: RefineConfig | None = None, **overrides: Any
) -> list[Pose3D]:
    """Tracks of one clip, refined together: they all stand on one ground.

    `repose.refine(poses, camera_pitch_deg=12, camera_roll_deg=0)`: options are the fields of
    `RefineConfig`. With gravity the result is in the world frame: z up, the ground at 0, the camera above
    the origin and looking along x; `T_cam_world` leads back to it. Tracks relative to their root stay so,
    without up and ground. `seen`, `confidence` and `points_px` are those that came in, and so is
    `deviation_m`, which a given height rescales. `record["refined"]` says which steps were done, which were
    left out and why, what was found (camera angles in degrees, `ground_m` for somebody who stands that much
    above the others' ground), and has the `Measures` before and after.

    Raises UserError for unknown options and options that make no sense.
    """
    config = override(config or RefineConfig(), overrides)
    tracks = [_open(pose, config) for pose in ([poses] if isinstance(poses, Pose3D) else poses)]
    for track in tracks:
        _steady(track, config)
    wanted = [step for step, on in (("gravity", config.gravity), ("feet", config.feet)) if on]
    for track in tracks:
        if not track.placed:
            track.left_out |= dict.fromkeys(
                wanted, "relative to the root: where the person stands is not known"
            )
    if standing := [track for track in tracks if track.placed and len(track.pose)]:
        _stand(standing, config)
    return [_close(track, config) for track in tracks]


@dataclass(eq=False)
class _Track:
    """A track on its way. Joints are in the camera frame, or relative to the root in its axes."""

    pose: Pose3D
    raw_m: Float[np.ndarray, "frames joints 3"]
    """As they came."""
    joints_m: Float[np.ndarray, "frames joints 3"]
    factor: float = 1.0
    """By which everything grew for the person to have the given height."""
    T_cam_world: Float[np.ndarray, "4 4"] | None = None
    touching: Bool[np.ndarray, "frames 2"] = field(init=False)
    """When the left and the right foot stand on the ground."""
    steps: dict[str, str] = field(default_factory=dict)
    """What was done, in words."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What was not done though it was wanted, and why."""
    facts: dict[str, Any] = field(default_factory=dict)
    up: dict[str, Any] | None = None
    """How up was found here (`repose.export.about.UpRecord`)."""

    def __post_init__(self) -> None:
        self.touching = np.zeros((len(self.pose), 2), dtype=bool)

    @property
    def placed(self) -> bool:
        return self.pose.coordinates != "camera-root-relative"

    @property
    def body_m(self) -> Float[np.ndarray, "frames 17 3"]:
        """The joints of H36M-17."""
        return conversion_matrix(self.pose.skeleton, H36M_17) @ self.joints_m

    @property
    def body_seen(self) -> Bool[np.ndarray, "frames 17"]:
        """Which of `body_m` were seen: those all of whose parts were."""
        parts = conversion_matrix(self.pose.skeleton, H36M_17) != 0
        return np.stack([self.pose.seen[:, used].all(axis=1) for used in parts], axis=1)

    def ankles_m(self, joints_m: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, "frames 2 3"]:
        return joints_m[:, self.pose.skeleton.indices(*FEET)]

    def ankle_height_m(self) -> float:
        """Of the ankle above the sole."""
        return ANKLE_HEIGHT * float(np.median(stature(self.body_m)))


def _open(pose: Pose3D, config: RefineConfig) -> _Track:
    joints = pose.camera_joints_m()
    track = _Track(pose, joints, joints)
    if pose.T_cam_world is not None:
        track.T_cam_world = pose.T_cam_world.astype(np.float64)
    if config.height_m is not None and len(pose):
        track.factor = config.height_m / float(np.median(stature(track.body_m)))
        track.raw_m = track.joints_m = track.factor * joints
        if track.T_cam_world is not None:
            track.T_cam_world[:3, 3] *= track.factor
        track.steps["height"] = f"{config.height_m:g} m, {track.factor:.3f} of what it was"
    return track


def _steady(track: _Track, config: RefineConfig) -> None:
    """Spikes, jitter and bones."""
    pose, times = track.pose, track.pose.times_s
    root = track.body_m[:, H36M_17.index("pelvis"), None]
    if not track.placed:
        root = np.zeros_like(root)
    around = track.joints_m - root
    if config.spikes:
        around, found = remove_spikes(around, times)
        root, lost = remove_spikes(root, times)
        track.facts["spikes"] = int(found.sum() + lost.sum())
        track.steps["spikes"] = f"{int(found.sum())} joints and {int(lost.sum())} places put back"
    if config.smoothing != "off":
        filtered = low_pass if config.smoothing == "low-pass" else follow
        around = filtered(around, times, config.cutoff_hz)
        if track.placed:
            # The line of sight is seen, the distance along it inferred.
            distance = np.linalg.norm(root, axis=-1, keepdims=True)
            sight = filtered(root / distance, times, config.cutoff_hz)
            sight /= np.linalg.norm(sight, axis=-1, keepdims=True)
            root = sight * np.exp(filtered(np.log(distance), times, config.depth_cutoff_hz))
        track.steps["smoothing"] = f"{config.smoothing} of {config.cutoff_hz:g} Hz" + (
            f", {config.depth_cutoff_hz:g} Hz for the distance from the camera" if track.placed else ""
        )
    joints = around + root
    if config.bones and len(pose):
        doubt = None if pose.deviation_m is None else pose.deviation_m.astype(np.float64) ** 2
        joints = hold_lengths(joints, measure_bones(joints, pose.seen, pose.skeleton), pose.skeleton, doubt)
        track.steps["bones"] = "one length each, the same on both sides"
    if not track.placed:
        joints = joints - joints[:, [pose.skeleton.parents.index(-1)]]
    track.joints_m = joints


def _stand(tracks: Sequence[_Track], config: RefineConfig) -> None:
    """Up, the ground and the feet on it, for everybody together."""
    known = _known_world(tracks)
    if config.camera_pitch_deg is not None and config.camera_roll_deg is not None:
        up = stated_up(config.camera_pitch_deg, config.camera_roll_deg)
        known = None
    elif known is not None:
        up = Up(known[:3, 2], "known already", None)
    elif config.gravity:
        up = find_up(
            [track.body_m for track in tracks],
            [track.pose.times_s for track in tracks],
            [track.body_seen for track in tracks],
        )
    else:
        for track in tracks:
            track.left_out["feet"] = "needs gravity"
        return
    for track in tracks:
        track.touching = foot_contacts(track.body_m, track.pose.times_s, track.body_seen, up.direction)
    if known is None:
        scaled = [replace(track.pose, joints_m=track.joints_m) for track in tracks]
        level_m = floor_m(scaled, up.direction)
    else:
        level_m = float(known[:3, 2] @ known[:3, 3])
    T_cam_world = up.T_cam_world(-level_m) if known is None else known
    for track in tracks:
        track.T_cam_world = T_cam_world
        track.steps["gravity"] = up.source
        if known is None:
            track.up = {"source": up.source, "deviation_deg": up.deviation_deg, "assumed": up.assumed}
        track.facts |= {
            "camera_pitch_deg": round(up.pitch_deg, 2),
            "camera_roll_deg": round(up.roll_deg, 2),
            "up_deviation_deg": None if up.deviation_deg is None else round(up.deviation_deg, 1),
        }
        if config.feet:
            _hold(track, up, level_m)


def _known_world(tracks: Sequence[_Track]) -> Float[np.ndarray, "4 4"] | None:
    """The world that all tracks have in common, if they have one."""
    worlds = [track.T_cam_world for track in tracks]
    first = worlds[0]
    if first is None or any(world is None or not np.allclose(world, first) for world in worlds):
        return None
    return first


def _soles_m(track: _Track, up: Up) -> Float[np.ndarray, "frames 2"]:
    """How high each sole is above the camera."""
    return track.ankles_m(track.joints_m) @ up.direction - track.ankle_height_m()


def _hold(track: _Track, up: Up, level_m: float) -> None:
    touches = sum(len(list(episodes(track.touching[:, foot]))) for foot in range(len(FEET)))
    track.facts["contacts"] = touches
    if not touches:
        track.left_out["feet"] = "no foot rests on the ground"
        return
    own_m = float(np.median(_soles_m(track, up)[track.touching]))
    # Somebody who stands on a roof, or whose height is far from the one assumed, has a ground of their own.
    track.facts["ground_m"] = 0.0 if abs(own_m - level_m) < NEAR_GROUND_M else round(own_m - level_m, 3)
    shift_m, ankles_m = find_footing(
        track.ankles_m(track.joints_m),
        track.touching,
        track.pose.seen[:, track.pose.skeleton.indices(*FEET)],
        track.pose.times_s,
        up.direction,
        level_m + track.facts["ground_m"] + track.ankle_height_m(),
    )
    track.joints_m = hold_feet(track.joints_m, shift_m, ankles_m, track.pose.skeleton, up.direction)
    track.steps["feet"] = f"held in {touches} contacts"


def _measure(
    track: _Track, joints_m: Float[np.ndarray, "frames joints 3"], called_up: np.ndarray
) -> Measures:
    """Of joints in the camera frame, whose coordinates call `called_up` up."""
    pose, T = track.pose, track.T_cam_world
    skating = height = tilt = None
    if T is not None:
        up, ankles = T[:3, 2], track.ankles_m(joints_m)
        skating = foot_skating(ankles, track.touching, pose.times_s, up)
        ground_m = float(up @ T[:3, 3]) + (track.facts.get("ground_m") or 0.0)
        above = (ankles @ up - ground_m - track.ankle_height_m())[track.touching]
        height = float(np.sqrt((above**2).mean())) if len(above) else None
        tilt = float(np.degrees(np.arccos(np.clip(called_up @ up, -1, 1))))
    return Measures(
        acceleration_m_s2=acceleration(joints_m, pose.times_s),
        bone_variation=bone_variation(joints_m, pose.skeleton),
        foot_skating_m_s=skating,
        foot_height_m=height,
        tilt_deg=tilt,
    )


def _close(track: _Track, config: RefineConfig) -> Pose3D:
    pose, T = track.pose, track.T_cam_world
    known = pose.T_cam_world
    called_up = known[:3, 2] if pose.coordinates == "world" and known is not None else PICTURE_UP
    refined: dict[str, Any] = {
        "steps": track.steps,
        "left_out": track.left_out,
        **track.facts,
        "before": asdict(_measure(track, track.raw_m, called_up)),
        "after": asdict(_measure(track, track.joints_m, called_up if T is None else T[:3, 2])),
    }
    joints = track.joints_m if T is None else (track.joints_m - T[:3, 3]) @ T[:3, :3]
    return replace(
        pose,
        joints_m=joints.astype(pose.joints_m.dtype),
        coordinates=pose.coordinates if T is None else "world",
        T_cam_world=T,
        deviation_m=None if pose.deviation_m is None else pose.deviation_m * np.float32(track.factor),
        scale=pose.scale if config.height_m is None else f"given height {config.height_m:g} m",
        record={**pose.record, "refined": refined, **({"up": track.up} if track.up else {})},
    )
