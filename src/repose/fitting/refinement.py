"""Motion as near as can be to a given one: without jolts, of one body, upright, on feet that rest.

One problem, of the kind and with the solver of `repose.fitting.problem`: the given joints are the prior in
place of keypoints and network, of which they are what came out. It is solved twice. From the answer without
the ground are read what is up, when a foot touches the ground, and how high that is. These are choices (which
foot bears whom), which no gradient leads to, and everybody in the clip has them in common. The answer with
the ground is near the first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import override
from repose.fitting.bones import hold_lengths, measure_bones
from repose.fitting.contacts import episodes, ground_joints
from repose.fitting.gravity import PICTURE_UP, Up, find_up, foot_contacts, stated_up
from repose.fitting.measures import Measures, acceleration, bone_variation, foot_skating
from repose.fitting.normal_equations import Joints, Lengths
from repose.fitting.options import RefineConfig
from repose.fitting.problem import fit, hindrance
from repose.fitting.solver import Window, solve_track
from repose.fitting.terms import ConstantBones, Floor, GivenMotion, RestingFeet, Smoothness, Term
from repose.fitting.terms.smoothness import usual_acceleration
from repose.geometry.floor import floor_m
from repose.geometry.rigid import RigidTransform
from repose.geometry.rotation import unit
from repose.pose import Pose3D
from repose.skeleton import ANKLE_HEIGHT, H36M_17, conversion_matrix, stature

# What is usual in each frame, as standard deviations of which only the ratios matter, chosen on the sample
# and Pose2Sim's clip.
SEEN_M, HIDDEN_M = 0.05, 0.15
"""Of a joint, seen and inferred, from where it was given."""
OUTLIER, NO_OUTLIER = 0.7, 1e4
"""From about so many of them on a joint is a spike (scale of Student's t)."""
PINNED_M = 1e-4
"""Of the root, in tracks that are relative to it."""
BONE_M, SYMMETRY_M = 0.005, 1e-4
"""Of a bone's length from its one length, and of a left bone from the right one."""
SLIP_M_S, OFF_LEVEL_M = 0.02, 0.02
"""Of the speed of a foot at rest, and of its height."""
CHANGE_M_S2 = 20.0
"""Of the acceleration of what the ground changes."""
NEAR_GROUND_M = 0.15
"""A foot that touches down so near to the ground's level is on the ground; else on something else."""
FARTHEST_M = 0.6
"""What is further below the ground than this is somewhere else."""


def refine(
    poses: Pose3D | Iterable[Pose3D], config: RefineConfig | None = None, **overrides: Any
) -> list[Pose3D]:
    """Refine the tracks of one clip together: they all stand on one ground.

    `repose.refine(poses, camera_pitch_deg=12, camera_roll_deg=0)`: options are the fields of
    `RefineConfig`. With gravity the result is in the world frame: z up, the ground at 0, the camera above
    the origin and looking along x; `T_cam_world` leads back to it. Tracks relative to their root stay so,
    without up and ground. `seen`, `confidence` and `points_px` are those that came in, and so is
    `deviation_m`, which a given height rescales. Results of the bare network are fitted to the picture first
    (`repose.fit`). `record["refined"]` says what was asked for, what was left out and why, what was found
    (camera angles in degrees, `ground_m` for somebody who stands that much above the others' ground), and
    has the `Measures` before and after.

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
    return [_close(track) for track in tracks]


@dataclass(eq=False)
class _Track:
    """A track on its way. Joints are in the camera frame, or relative to the root in its axes."""

    pose: Pose3D
    """As it came, but of the given height, in camera axes, and fitted."""
    raw_m: Joints
    """As they came, of the given height."""
    T_cam_world: RigidTransform | None
    known_up: Float[np.ndarray, "3"] | None
    """In the camera frame, of a track that came in the world frame."""
    given_m: Joints = field(init=False)
    """What the joints are to be near to."""
    joints_m: Joints = field(init=False)
    """What was found so far."""
    steady_m: Joints | None = None
    """What was found without the ground."""
    lengths_m: Lengths = field(init=False)
    """Of the bones."""
    touching: Bool[np.ndarray, "frames feet"] = field(init=False)
    """When each of `feet` rests on the ground."""
    floor: Floor | None = None
    """What is asked of the feet's heights."""
    steps: dict[str, str] = field(default_factory=dict)
    """What was done, in words."""
    left_out: dict[str, str] = field(default_factory=dict)
    """What was not done though it was wanted, and why."""
    facts: dict[str, Any] = field(default_factory=dict)
    up: dict[str, Any] | None = None
    """How up was found here (`repose.export.about.UpRecord`)."""

    def __post_init__(self) -> None:
        self.touching = np.zeros((len(self.pose), len(self.feet)), dtype=bool)
        self.given_m = self.joints_m = self.pose.joints_m.astype(np.float64)

    @property
    def placed(self) -> bool:
        return self.pose.coordinates == "camera"

    @property
    def feet(self) -> list[int]:
        """The joints that touch the ground."""
        return self.pose.skeleton.indices(*ground_joints(self.pose.skeleton))

    @property
    def body_m(self) -> Float[np.ndarray, "frames 17 3"]:
        """The joints of H36M-17."""
        return conversion_matrix(self.pose.skeleton, H36M_17) @ self.joints_m

    @property
    def body_seen(self) -> Bool[np.ndarray, "frames 17"]:
        """Which of `body_m` were seen: those all of whose parts were."""
        parts = conversion_matrix(self.pose.skeleton, H36M_17) != 0
        return np.stack([self.pose.seen[:, used].all(axis=1) for used in parts], axis=1)

    def above_sole_m(self) -> float:
        """Height of `feet` above the sole."""
        if "left_heel" in self.pose.skeleton.joints:
            return 0.0
        return ANKLE_HEIGHT * float(np.median(stature(self.body_m)))


def _open(pose: Pose3D, config: RefineConfig) -> _Track:
    joints = pose.camera_joints_m()
    T_cam_world = None if pose.T_cam_world is None else pose.world_to_camera()
    steps, factor = {}, 1.0
    if config.height_m is not None and len(pose):
        body = conversion_matrix(pose.skeleton, H36M_17) @ joints
        factor = config.height_m / float(np.median(stature(body)))
        steps["height"] = f"{config.height_m:g} m, {factor:.3f} of what it was"
        if T_cam_world is not None:
            T_cam_world = replace(T_cam_world, t_m=factor * T_cam_world.t_m)
    given = replace(
        pose,
        joints_m=(factor * joints).astype(pose.joints_m.dtype),
        coordinates="camera" if pose.coordinates == "world" else pose.coordinates,
        deviation_m=None if pose.deviation_m is None else pose.deviation_m * np.float32(factor),
        scale=pose.scale if config.height_m is None else f"given height {config.height_m:g} m",
    )
    fitted = given
    if config.fit and "fit" not in pose.record and not hindrance(given):
        fitted = fit(given, config.fit_options)
        steps["fit"] = "to the keypoints"
    known_up = None if T_cam_world is None or pose.coordinates != "world" else T_cam_world.R[:, 2]
    return _Track(fitted, factor * joints, T_cam_world, known_up, steps=steps)


def _window(track: _Track, config: RefineConfig, rows: slice) -> Window:
    """Some frames of a track, and what is asked of them."""
    pose = track.pose
    times_s = pose.times_s[rows]
    step_s = float(np.median(np.diff(pose.times_s))) if len(pose) > 1 else 1 / pose.fps
    cutoff_hz = min(config.cutoff_hz if config.smoothing != "off" else np.inf, 0.5 / step_s)
    # All joints accelerate with the root.
    across_m = SEEN_M / len(pose.skeleton) ** 0.5 if track.placed else PINNED_M
    slower = cutoff_hz / config.depth_cutoff_hz if track.placed and config.smoothing != "off" else 1.0
    terms: list[Term] = [
        GivenMotion.of(
            track.given_m[rows],
            np.where(pose.seen[rows], SEEN_M, HIDDEN_M),
            across_m,
            across_m * slower**2,
            OUTLIER if config.spikes else NO_OUTLIER,
            pose.skeleton,
        )
    ]
    if track.steady_m is not None:
        terms.append(Smoothness.of(times_s, CHANGE_M_S2, track.steady_m[rows]))
    elif config.smoothing != "off" or config.spikes:
        terms.append(Smoothness.of(times_s, usual_acceleration(SEEN_M, cutoff_hz, step_s)))
    if config.bones:
        terms.append(ConstantBones(BONE_M, pose.skeleton))
    if track.floor is not None:
        terms += [
            RestingFeet.of(track.feet, track.touching[rows], times_s, SLIP_M_S),
            track.floor.rows(rows),
        ]
    return Window(track.joints_m[rows], tuple(terms))


def _solve(track: _Track, config: RefineConfig) -> None:
    """Solve for joints, and on the first time for the lengths of the bones."""
    found = solve_track(
        partial(_window, track, config),
        len(track.pose),
        track.lengths_m,
        track.pose.skeleton,
        free_lengths=config.bones and track.floor is None,
        symmetry_m=SYMMETRY_M,
    )
    track.joints_m, track.lengths_m = found.joints_m, found.lengths_m
    track.facts["converged"] = track.facts.get("converged", True) and found.converged
    if config.bones:
        # Feet stay where they rest: their legs give way.
        doubt = np.ones(track.pose.seen.shape)
        doubt[:, track.feet] = np.where(track.touching & (track.floor is not None), 1e-6, 1.0)
        track.joints_m = hold_lengths(track.joints_m, track.lengths_m, track.pose.skeleton, doubt)


def _steady(track: _Track, config: RefineConfig) -> None:
    """Spikes, jitter and bones."""
    pose = track.pose
    if not len(pose):
        return
    track.lengths_m = measure_bones(track.joints_m, pose.seen, pose.skeleton)
    if not (config.spikes or config.bones or config.smoothing != "off"):
        return
    _solve(track, config)
    if config.spikes:
        given, *_ = _window(track, config, slice(0, len(pose))).terms
        track.facts["spikes"] = int(given.outliers(track.joints_m).sum())  # type: ignore[attr-defined]
        track.steps["spikes"] = f"{track.facts['spikes']} joints put back"
    if config.smoothing != "off":
        track.steps["smoothing"] = f"{config.smoothing} of {config.cutoff_hz:g} Hz" + (
            f", {config.depth_cutoff_hz:g} Hz for the distance from the camera" if track.placed else ""
        )
    if config.bones:
        track.steps["bones"] = "one length each, the same on both sides"


def _stand(tracks: Sequence[_Track], config: RefineConfig) -> None:
    """Up, the ground and the feet on it, for everybody together."""
    known = _known_world(tracks)
    if config.camera_pitch_deg is not None and config.camera_roll_deg is not None:
        up = stated_up(config.camera_pitch_deg, config.camera_roll_deg)
        known = None
    elif known is not None:
        up = Up(known.R[:, 2], "known already", None)
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
    if known is None:
        level_m = floor_m([replace(track.pose, joints_m=track.joints_m) for track in tracks], up.direction)
    else:
        level_m = float(up.direction @ known.t_m)
    for track in tracks:
        feet = track.joints_m[:, track.feet], track.pose.seen[:, track.feet]
        track.touching = foot_contacts(track.body_m, track.pose.times_s, track.body_seen, up.direction, feet)
        track.T_cam_world = up.T_cam_world(-level_m) if known is None else known
        track.steps["gravity"] = up.source
        if known is None:
            track.up = {"source": up.source, "deviation_deg": up.deviation_deg, "assumed": up.assumed}
        track.facts |= {
            "camera_pitch_deg": round(up.pitch_deg, 2),
            "camera_roll_deg": round(up.roll_deg, 2),
            "up_deviation_deg": None if up.deviation_deg is None else round(up.deviation_deg, 1),
        }
        if config.feet:
            _rest(track, config, up.direction, level_m)


def _known_world(tracks: Sequence[_Track]) -> RigidTransform | None:
    """The world that all tracks have in common, if they have one."""
    first = tracks[0].T_cam_world
    if first is None or any(
        track.T_cam_world is None or not np.allclose(track.T_cam_world.matrix, first.matrix)
        for track in tracks
    ):
        return None
    return first


def _rest(track: _Track, config: RefineConfig, up: Float[np.ndarray, "3"], level_m: float) -> None:
    """Rest the feet that touch the ground."""
    touches = [(foot, rows) for foot in range(len(track.feet)) for rows in episodes(track.touching[:, foot])]
    track.facts["contacts"] = len(touches)
    if not touches:
        track.left_out["feet"] = "no foot rests on the ground"
        return
    height_m = track.joints_m[:, track.feet] @ up - track.above_sole_m() - level_m
    own_m = float(np.median(height_m[track.touching]))
    # Somebody who stands on a roof, or whose height is far from the one assumed, has a ground of their own.
    track.facts["ground_m"] = 0.0 if abs(own_m) < NEAR_GROUND_M else round(own_m, 3)
    standing = np.zeros_like(track.touching)
    for foot, rows in touches:
        standing[rows, foot] = abs(height_m[rows, foot].mean() - track.facts["ground_m"]) < NEAR_GROUND_M
    feet_m = level_m + track.facts["ground_m"] + track.above_sole_m()
    below_m = feet_m - track.joints_m[:, track.feet] @ up
    sunk = ~track.pose.seen[:, track.feet] & (below_m > 0) & (below_m < FARTHEST_M)
    track.floor = Floor(track.feet, up, feet_m, OFF_LEVEL_M, standing, sunk)
    track.steady_m = track.joints_m
    track.given_m = _raise(track, sunk * below_m, up)
    _solve(track, config)
    track.steps["feet"] = f"held in {len(touches)} contacts"


def _raise(track: _Track, rise_m: Float[np.ndarray, "frames feet"], up: Float[np.ndarray, "3"]) -> Joints:
    """Give feet that much higher, and their knees that much further ahead: legs do not bend backwards."""
    given, skeleton = track.joints_m.copy(), track.pose.skeleton
    left, right = skeleton.indices("left_hip", "right_hip")
    ahead = unit(np.cross(given[:, left] - given[:, right], up))
    for side in ("left", "right"):
        own = skeleton.side(side)
        rise = rise_m[:, [column for column, foot in enumerate(track.feet) if foot in own]].max(axis=1)
        ankle, knee = skeleton.indices(f"{side}_ankle", f"{side}_knee")
        foot = [ankle, *(child for child, parent in skeleton.bones if parent == ankle)]
        given[:, foot] += (rise[:, None] * up)[:, None]
        given[:, knee] += rise[:, None] * ahead
    return given


def _measure(track: _Track, joints_m: Joints, called_up: Float[np.ndarray, "3"]) -> Measures:
    """Of joints in the camera frame, whose coordinates call `called_up` up."""
    pose, T = track.pose, track.T_cam_world
    skating = height = tilt = None
    if T is not None:
        up, feet = T.R[:, 2], joints_m[:, track.feet]
        skating = foot_skating(feet, track.touching, pose.times_s, up)
        ground_m = float(up @ T.t_m) + (track.facts.get("ground_m") or 0.0)
        above = (feet @ up - ground_m - track.above_sole_m())[track.touching]
        height = float(np.sqrt((above**2).mean())) if len(above) else None
        tilt = float(np.degrees(np.arccos(np.clip(called_up @ up, -1, 1))))
    return Measures(
        acceleration_m_s2=acceleration(joints_m, pose.times_s),
        bone_variation=bone_variation(joints_m, pose.skeleton),
        foot_skating_m_s=skating,
        foot_height_m=height,
        tilt_deg=tilt,
    )


def _close(track: _Track) -> Pose3D:
    pose, T = track.pose, track.T_cam_world
    if not track.placed:
        track.joints_m = track.joints_m - track.joints_m[:, [pose.skeleton.parents.index(-1)]]
    called_up = PICTURE_UP if track.known_up is None else track.known_up
    refined: dict[str, Any] = {
        "steps": track.steps,
        "left_out": track.left_out,
        **track.facts,
        "before": asdict(_measure(track, track.raw_m, called_up)),
        "after": asdict(_measure(track, track.joints_m, called_up if T is None else T.R[:, 2])),
    }
    joints = track.joints_m if T is None else T.inverse().apply(track.joints_m)
    return replace(
        pose,
        joints_m=joints.astype(pose.joints_m.dtype),
        coordinates=pose.coordinates if T is None else "world",
        T_cam_world=None if T is None else T.matrix,
        record={**pose.record, "refined": refined, **({"up": track.up} if track.up else {})},
    )
