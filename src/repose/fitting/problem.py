"""The most probable motion of one body, given its keypoints and what the network makes of them.

Joints and root of every frame and one set of bone lengths are found together, as the maximum of the
posterior: keypoints are where the joints project to, bones point about where the network says, keep one
length, and move without jolts (`repose.fitting.terms`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from repose.errors import override
from repose.fitting.bones import hold_lengths, measure_bones
from repose.fitting.measures import acceleration, bone_variation
from repose.fitting.normal_equations import Joints, Lengths
from repose.fitting.options import FitOptions
from repose.fitting.solver import Window, solve_track
from repose.fitting.terms import (
    ConstantBones,
    NetworkPrior,
    Reprojection,
    RootPrior,
    Smoothness,
    StraightKnees,
    Term,
)
from repose.fitting.trust import jitter, keypoint_trust
from repose.pose import Pose3D
from repose.sequence import around, runs
from repose.skeleton import H36M_17, conversion_matrix, stature

USUAL_DEVIATION_M = 0.06
"""Of a joint, for networks that do not say it."""
LEAST_DEVIATION_M = 0.005
ROOT_DEVIATION = 0.1
"""Of the root from where the lifter puts it, as a share of its distance: keypoints tell more."""
MOST_DEVIATION_M = 0.12
"""A bone's deviation never exceeds this: a network that is unsure knows more than a few keypoints tell."""
ROOT_AROUND_S, LEAP_M = 1.0, 1.0
"""A root is compared with where it is so long before and after; who turns there may be off by this."""
FEWEST_SEEN = 4
"""Somebody of whom no frame has so many joints that were seen is not fitted."""
FARTHEST_M, FARTHEST_ROOT = 0.6, 0.35
"""No joint moves further against the root, and no root by a larger share of its distance: then the frame
stays as the network has it."""


@dataclass(frozen=True, eq=False)
class Problem:
    """A track's observations and priors, ready to be cut into windows."""

    pose: Pose3D
    options: FitOptions
    joints_m: Joints
    rays: Float[np.ndarray, "frames joints 2"]
    keypoint_deviation: Float[np.ndarray, "frames joints"]
    """As a tangent."""
    trust: Float[np.ndarray, "frames joints"]
    """What a keypoint counts for, beyond its confidence; 0 where none was seen."""
    bone_deviation_m: Float[np.ndarray, "frames bones"]
    lengths_m: Lengths
    """Of the bones, as the network has them."""

    @classmethod
    def of(cls, pose: Pose3D, options: FitOptions) -> "Problem":
        """The problem of a pose in the camera frame that has its keypoints and intrinsics."""
        joints = steady_roots(pose)
        pose = replace(pose, joints_m=joints)
        camera = pose.camera()
        points_px = pose.points_px.astype(np.float64)  # type: ignore[union-attr]
        height = apparent_height(pose)
        rays = camera.rays(points_px)
        noise = options.jitter_factor * jitter(rays, pose.seen)
        deviation = USUAL_DEVIATION_M * np.ones(pose.seen.shape)
        if pose.deviation_m is not None:
            deviation = pose.deviation_m.astype(np.float64)
        children, parents = _ends(pose)
        bones = np.maximum(np.hypot(deviation[:, children], deviation[:, parents]), LEAST_DEVIATION_M)
        lengths_m = measure_bones(joints, pose.seen, pose.skeleton)
        trust = np.where(pose.seen, 1.0, 0.0)
        if options.doubt:
            trust *= keypoint_trust(
                rays,
                pose.view_joints_m().astype(np.float64),
                lengths_m,
                height,
                pose.seen,
                pose.confidence.astype(np.float64),
                pose.times_s,
                pose.skeleton,
            )
        return cls(
            pose,
            options,
            joints,
            rays,
            np.hypot(options.keypoint_deviation * height[:, None], noise),
            trust,
            (bones**-2 + MOST_DEVIATION_M**-2) ** -0.5,
            lengths_m,
        )

    def window(self, rows: slice) -> Window:
        """Those frames with all terms."""
        options, skeleton, joints = self.options, self.pose.skeleton, self.joints_m[rows]
        children, parents = _ends(self.pose)
        root = skeleton.parents.index(-1)
        distance = np.linalg.norm(joints[:, root], axis=-1)
        terms: list[Term] = [
            Reprojection(
                self.rays[rows],
                self.keypoint_deviation[rows],
                self.trust[rows] * self.pose.confidence[rows].astype(np.float64) ** 2,
                options.keypoint_scale,
                None if self.pose.R_view_cam is None else self.pose.R_view_cam[rows].astype(np.float64),
            ),
            NetworkPrior(
                joints[:, children] - joints[:, parents],
                self.bone_deviation_m[rows],
                options.bone_scale,
                skeleton,
            ),
            RootPrior(joints[:, root], ROOT_DEVIATION * distance, root),
        ]
        if options.bone_deviation_m is not None:
            terms.append(ConstantBones(options.bone_deviation_m, skeleton))
        if options.knee_deviation is not None:
            places_m = self.rays[rows] * distance[:, None, None]
            terms.append(
                StraightKnees.of(
                    options.knee_deviation,
                    options.knee_scale,
                    skeleton,
                    self.lengths_m,
                    places_m,
                    self.trust[rows],
                    self.pose.times_s[rows],
                )
            )
        if options.acceleration_m_s2 is not None:
            terms.append(Smoothness.of(self.pose.times_s[rows], options.acceleration_m_s2))
        return Window(joints, tuple(terms))


def fit(
    pose: Pose3D,
    options: FitOptions | None = None,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    **overrides: Any,
) -> Pose3D:
    """One person's track, fitted to the picture it was lifted from.

    `repose.fit(pose, acceleration_m_s2=10)`: options are the fields of `FitOptions`. The pose is one in the
    camera frame with its keypoints and intrinsics, as `repose.load().lift(track)` gives it; another comes
    back as it is. Joints then project to where they were seen, and bones have one length each, the same on
    both sides. The median stature, `seen`, `confidence` and `deviation_m` stay: on validation motion the
    network's deviation covers the fitted joints' errors as it should, where the posterior's is far too small.
    Frames that would move by metres stay as they are.
    `record["fit"]` says what was done, and has measures before and after.
    `on_progress` is told how many frames are done, of how many.

    Raises UserError for unknown options and options out of range.
    """
    options = override(options or FitOptions(), overrides)
    if why := hindrance(pose):
        return replace(pose, record={**pose.record, "fit": {"frames": 0, "left_out": why}})
    problem = Problem.of(pose, options)
    found = solve_track(
        problem.window,
        len(pose),
        problem.lengths_m,
        pose.skeleton,
        free_lengths=options.bone_deviation_m is not None,
        symmetry_m=options.symmetry_deviation_m,
        on_progress=on_progress,
    )
    joints = found.joints_m
    if options.bone_deviation_m is not None:
        joints = hold_lengths(joints, found.lengths_m, pose.skeleton)
    body = conversion_matrix(pose.skeleton, H36M_17)
    if np.isfinite(joints).all():
        joints *= np.median(stature(body @ problem.joints_m)) / np.median(stature(body @ joints))
    kept = _plausible(joints, problem.joints_m, pose)
    joints = np.where(kept[:, None, None], joints, pose.joints_m)
    fitted = replace(pose, joints_m=joints.astype(pose.joints_m.dtype))
    record = {
        "frames": int(kept.sum()),
        "frames_left": [[int(pose.frames[i]), int(pose.frames[j - 1])] for i, j in runs(~kept)],
        "converged": found.converged,
        "steps": found.steps,
        "before": measure_fit(pose),
        "after": measure_fit(fitted),
    }
    return replace(fitted, record={**pose.record, "fit": record})


def hindrance(pose: Pose3D) -> str:
    """Say why a pose cannot be fitted; "" where it can."""
    if pose.coordinates != "camera" or pose.intrinsics_px is None:
        return "where the person stands is not known"
    if pose.points_px is None:
        return "the result has no keypoints"
    if not (pose.seen.sum(axis=1) >= FEWEST_SEEN).any():
        return f"no frame has {FEWEST_SEEN} joints that were seen"
    return ""


def _plausible(joints_m: Joints, before_m: Joints, pose: Pose3D) -> Bool[np.ndarray, " frames"]:
    """Which frames are in front of the camera, and not far from the network's."""
    root = pose.skeleton.parents.index(-1)
    moved = np.linalg.norm(joints_m - before_m, axis=-1)
    around = np.linalg.norm((joints_m - joints_m[:, [root]]) - (before_m - before_m[:, [root]]), axis=-1).max(
        axis=1
    )
    near = (around < FARTHEST_M) & (
        moved[:, root] < FARTHEST_ROOT * np.linalg.norm(before_m[:, root], axis=-1)
    )
    viewed_m = joints_m if pose.R_view_cam is None else joints_m @ pose.R_view_cam.swapaxes(-1, -2)
    ahead = (viewed_m[..., 2] > 0).all(axis=1)
    return np.isfinite(joints_m).all(axis=(1, 2)) & near & ahead


def apparent_height(pose: Pose3D) -> Float[np.ndarray, " frames"]:
    """The person's height in the picture, as a tangent."""
    joints = pose.view_joints_m()
    height_m = np.median(stature(conversion_matrix(pose.skeleton, H36M_17) @ joints))
    depth_m = joints[:, pose.skeleton.parents.index(-1), 2]
    return height_m / np.maximum(depth_m, 0.3)


def steady_roots(pose: Pose3D) -> Joints:
    """Move people who leap in depth, along their line of sight, to where they are around that time.

    Where the network is at a loss, its joints fit their keypoints at no distance, and the root that is solved
    for may be anywhere. The median over a while is where a walker or runner is in its middle.
    """
    joints, root = pose.joints_m.astype(np.float64), pose.skeleton.parents.index(-1)
    step_s = float(np.median(np.diff(pose.times_s))) if len(pose) > 1 else 1.0
    depth_m = np.maximum(pose.view_joints_m()[:, root, 2].astype(np.float64), 0.1)
    usual_m = around(depth_m, round(2 * ROOT_AROUND_S / step_s) | 1, partial(np.median, axis=-1))
    leaps = np.abs(depth_m - usual_m) > FARTHEST_ROOT * usual_m + LEAP_M
    return joints + (np.where(leaps, usual_m / depth_m - 1, 0.0)[:, None] * joints[:, root])[:, None]


def measure_fit(pose: Pose3D) -> dict[str, float | None]:
    """What fitting is to better, of a pose in the camera frame."""
    camera = pose.camera()
    viewed_m = pose.view_joints_m()
    off = np.linalg.norm(
        camera.rays(pose.points_px.astype(np.float64))  # type: ignore[union-attr]
        - viewed_m[..., :2] / np.maximum(viewed_m[..., 2:], 0.1),
        axis=-1,
    )
    shares = (off / apparent_height(pose)[:, None])[pose.seen]
    return {
        "reprojection": round(float(np.median(shares)), 5),
        "bone_variation": bone_variation(pose.joints_m.astype(np.float64), pose.skeleton),
        "acceleration_m_s2": acceleration(pose.joints_m.astype(np.float64), pose.times_s),
    }


def _ends(pose: Pose3D) -> tuple[list[int], list[int]]:
    """Children and parents of all bones."""
    children, parents = zip(*pose.skeleton.bones, strict=True)
    return list(children), list(parents)
