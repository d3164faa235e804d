"""Poses as other programs expect them: upright on the ground, y up, and at a constant rate."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from repose.geometry.floor import floor_m
from repose.geometry.rigid import RigidTransform
from repose.pose import Pose3D
from repose.sequence import stretches

# Takes the axes of a level camera (x right, y down, z forward) to a world with z up, y away from the camera.
_R_WORLD_CAM = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])


def to_world(poses: Sequence[Pose3D]) -> tuple[Pose3D, ...]:
    """Transform people to a world frame with z up; `record["world"]` says where it comes from.

    What is in a world stays as it is, and a known `T_cam_world` is used. Otherwise the camera is taken to
    be level. Then the ground lies where the feet are (`repose.geometry.floor`): all these people are moved
    together, and the root of the first of them begins above the origin. Where a pose says nothing of the
    place (`camera-root-relative`), the root stays put.
    """
    level = [pose for pose in poses if pose.coordinates != "world" and pose.T_cam_world is None]
    T_world_cam = to_the_ground(level) if level else RigidTransform()
    return tuple(_in_world(pose, T_world_cam) for pose in poses)


def to_the_ground(poses: Sequence[Pose3D]) -> RigidTransform:
    """Return the transform from a level camera to a world with z up.

    These people stand on its ground, the first of them above the origin.
    """
    floor = floor_m(poses, _R_WORLD_CAM[2])
    x, y, _ = _R_WORLD_CAM @ poses[0].joints_m[0, poses[0].skeleton.parents.index(-1)]
    return RigidTransform(_R_WORLD_CAM, np.array([-x, -y, -floor]))


def up_note(pose: Pose3D) -> str:
    """Say how up is known for this result, in the one sentence used by every output."""
    if pose.coordinates != "world" and pose.T_cam_world is None:
        return "Up is not known: the camera is taken to be level."
    up = pose.record.get("up")
    if not up:
        return "Up is the result's own."
    wrong = up.get("deviation_deg")
    doubt = "" if wrong is None else f", give or take {wrong:.0f}°"
    if up.get("assumed"):
        return f"Up is not known. It is assumed from {up['source']}{doubt}."
    return f"Up is from {up['source']}{doubt}."


def y_up(points: Float[np.ndarray, "*batch 3"]) -> Float[np.ndarray, "*batch 3"]:
    """Convert world coordinates from z up to y up, right-handed: x stays, the world's −y becomes z.

    A person who faced a level camera faces +z, with their left at +x.
    """
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def at_constant_rate(pose: Pose3D) -> Pose3D:
    """Resample a pose to times 1 / `fps` apart, for files that store a rate instead of times.

    Frame numbers count on from the first; frames that the pose lacks are lacking still. What is at
    constant times already is returned as it is. Otherwise positions are interpolated between frames; a
    joint is seen where it is in the frames before and after. 2D points are left out.
    """
    steps = (pose.times_s - pose.times_s[0]) * pose.fps
    if np.abs(steps - (pose.frames - pose.frames[0])).max() < 0.1:
        return pose
    slots = np.arange(int(np.floor(steps[-1] + 1e-6)) + 1)
    at = np.interp(slots, steps, np.arange(len(pose)))
    before, after = np.floor(at + 1e-6).astype(int), np.ceil(at - 1e-6).astype(int)
    there = pose.frames[after] - pose.frames[before] <= 1
    slots, at, before, after = slots[there], at[there], before[there], after[there]
    share = (at - before)[:, None, None]
    return replace(
        pose,
        joints_m=(1 - share) * pose.joints_m[before] + share * pose.joints_m[after],
        seen=pose.seen[before] & pose.seen[after],
        frames=pose.frames[0] + slots,
        times_s=pose.times_s[0] + slots / pose.fps,
        deviation_m=None
        if pose.deviation_m is None
        else np.maximum(pose.deviation_m[before], pose.deviation_m[after]),
        confidence=np.minimum(pose.confidence[before], pose.confidence[after]),
        points_px=None,
        R_view_cam=None,
    )


def presence(pose: Pose3D, start_s: float, end_s: float) -> list[tuple[float, bool]]:
    """Return the times from start to end at which the person appears (True) or leaves (False).

    A frame lasts until the next one is due. Empty for somebody who is always there.
    """
    frame_s, times_s = 1 / pose.fps, pose.times_s
    changes = [(start_s, False)] if times_s[0] > start_s else []
    for rows in stretches(np.diff(pose.frames) > 1):
        changes += [(float(times_s[rows.start]), True), (float(times_s[rows.stop - 1]) + frame_s, False)]
    changes = [change for change in changes if change[0] <= end_s]
    return changes if len(changes) > 1 else []


def _in_world(pose: Pose3D, T_world_level: RigidTransform) -> Pose3D:
    """Transform a pose to its world; `T_world_level` serves those whose camera is assumed to be level."""
    if pose.coordinates == "world":
        return replace(pose, record={**pose.record, "world": up_note(pose)})
    placed = pose.coordinates == "camera"
    joints = pose.joints_m.astype(np.float64)
    if pose.T_cam_world is None:
        T_world_cam, joints = T_world_level, T_world_level.apply(joints)
        extra = " The ground is where the feet are." + ("" if placed else " The root stays above the origin.")
    else:
        T_world_cam = pose.world_to_camera().inverse()
        joints = T_world_cam.apply(joints) if placed else T_world_cam.turn(joints)
        extra = "" if placed else " The root stays at the world's origin."
    return replace(
        pose,
        joints_m=joints,
        coordinates="world",
        T_cam_world=T_world_cam.inverse().matrix,
        record={**pose.record, "world": up_note(pose) + extra},
    )
