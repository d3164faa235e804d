"""From a 2D track to a 3D track: gaps, frame rates, windows, flip averaging, scale and root."""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from jaxtyping import Float

from repose.errors import UserError, expected
from repose.files.numbers import check_numbers
from repose.geometry.camera import ASSUMED_FOV_DEG, Camera, normalise, solve_root
from repose.lifting.streaming import Streaming
from repose.models.inference import (
    OVERLAP,
    Clips,
    Deviations,
    Device,
    Network,
    Precision,
    blend,
    open_network,
    window_starts,
)
from repose.models.spec import ModelSpec, find_checkpoint, packaged_weights
from repose.pose import CONFIDENCE_EXPONENT, SEEN_CONFIDENCE, Coordinates, Pose2D, Pose3D
from repose.sequence import (
    fill_gaps,
    interpolate,
    interpolate_positive,
    low_pass,
    to_rate,
)
from repose.skeleton import H36M_17, conversion_matrix, stature
from repose.tracking.segments import LONGEST_GAP_S, Segment, left_empty, split_at_gaps

ASSUMED_HEIGHT_M = 1.70
CHANCES = {
    "mediapipe-33": (
        (0.1, 0.23), (0.25, 0.43), (0.35, 0.5), (0.45, 0.53), (0.6, 0.56), (0.75, 0.77), (0.85, 0.82),
        (0.95, 0.87), (1.0, 0.95),
    )
}  # fmt: skip
"""Layouts whose detector was calibrated: its score, and the chance that a joint with that score is within 5 %
of the height of the truth, linear between them (`scripts/calibrate_confidence.py`)."""
HEIGHTS_M = (0.3, 3.0)
GUESSES_OUTSIDE = ("mediapipe-33",)
"""Layouts whose detector places joints outside the picture, sure of what no camera has seen."""

_FRAMES_AT_ONCE = 2048
"""Frames that go through the model in one pass (twice as many with flip averaging): memory stays bounded."""


def load(
    model: str | Path = "default",
    *,
    architecture: str | None = None,
    device: Device = "auto",
    precision: Precision = "float32",
    flip: bool = True,
) -> "Lifter":
    """Open a trained model for lifting.

    `model`: the name of weights that come with the package (`repose models`), or the path of a
    checkpoint, ours or a published one, or of an ONNX file that `repose convert` wrote. `architecture` names
    the model a published file holds, where its tensors cannot tell. `flip` averages the lifted clip with its
    lifted mirror image. What runs the model is `repose.models.inference.open_network`'s choice.

    Raises UserError for unknown names, files that are no model, and devices that are not there.
    """
    check_precision(precision)
    path = find_checkpoint(model)
    name = str(model) if str(model) in packaged_weights() else path.name
    return Lifter(open_network(path, architecture, device, precision), name=name, flip=flip)


class Lifter(Streaming):
    """A trained model that lifts 2D tracks of any length and frame rate."""

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        name: str = "",
        device: Device = "auto",
        precision: Precision = "float32",
        flip: bool = True,
    ) -> None:
        """Lift with a `repose.models.PoseModel`, or with a `Network`, which has a device and precision."""
        check_precision(precision)
        if isinstance(model, Network):
            self.network = model
        else:
            from repose.models.torch_network import TorchNetwork

            self.network = TorchNetwork(model, device, precision)  # type: ignore[arg-type]
        self.spec: ModelSpec = self.network.spec
        self.name = name or self.spec.name
        self.flip = flip
        self.skeleton = self.spec.layout

    def lift(
        self,
        pose: Pose2D,
        *,
        intrinsics_px: tuple[float, float, float, float] | None = None,
        distortion: tuple[float, ...] | None = None,
        fov_deg: float | None = None,
        height_m: float | None = None,
        root: bool = True,
        max_gap_s: float = 1.0,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Pose3D:
        """Lift one person's track.

        Every frame of `pose` comes out, and so does every frame of a gap of at most `max_gap_s` between
        them, as inferred; longer gaps stay empty. Missing joints (confidence 0) are interpolated over
        time, and marked for the model and in `Pose3D.seen`. Joints come in the camera frame, metres: the
        person is `height_m` tall (assumed 1.70 m unless given), and stands where intrinsics put them: given
        (fx, fy, cx, cy), perhaps with OpenCV's `distortion` (k1, k2, p1, p2, k3), or a diagonal field of
        view in degrees (assumed 65 unless given). With
        `root=False`, or where no frame determines it, joints are relative to the pelvis. What was assumed
        is in `Pose3D.scale` and `Pose3D.record`. `on_progress` is told how many frames are done, of how many.

        Raises UserError for a track without a single joint seen, a skeleton that cannot be converted,
        and nonsensical camera, height or gap.
        """
        check_scene(intrinsics_px, fov_deg, height_m, max_gap_s)
        layout = pose.skeleton.name
        exponent = CONFIDENCE_EXPONENT.get(layout, 1.0)
        guesses_outside = np.bool_(layout in GUESSES_OUTSIDE)
        pose = replace(pose, confidence=pose.confidence**exponent).to(self.skeleton)
        if not (pose.confidence > 0).any():
            raise UserError(
                f"person {pose.track_id}: no joint is seen in any of {len(pose)} frames",
                "A joint that is seen has a confidence above 0.",
            )
        camera = (
            Camera.assumed(pose.image_size, fov_deg or ASSUMED_FOV_DEG)
            if intrinsics_px is None
            else Camera.from_intrinsics(intrinsics_px, distortion)
        )
        segments = list(split_at_gaps(pose, max_gap_s))
        frames = np.concatenate([segment.frames for segment in segments])
        times = np.concatenate([segment.times_s for segment in segments])
        points = np.concatenate([segment.points_px for segment in segments])
        confidence = np.concatenate([segment.confidence for segment in segments])
        rays, straight_px = camera.rays(points), camera.undistort(points)
        joints = np.empty((*points.shape[:2], 3))
        deviation: np.ndarray | None = None
        done = 0
        for segment in segments:
            here = slice(done, done + len(segment.frames))

            def report(share: float, here: slice = here) -> None:
                if on_progress:
                    on_progress(here.start + round(share * (here.stop - here.start)), len(frames))

            undistorted = replace(segment, points_px=straight_px[here])
            joints[here], part = self._lift_segment(undistorted, rays[here], pose.image_size, report)
            if part is not None:
                deviation = np.empty(points.shape[:2]) if deviation is None else deviation
                deviation[here] = part
            done = here.stop
        metres = (height_m or ASSUMED_HEIGHT_M) / np.median(self._stature(joints))
        joints *= metres

        assumed = [*pose.assumed, *(["height"] if height_m is None else [])]
        record: dict[str, Any] = {
            **pose.record,
            "assumed": assumed,
            "source": pose.source,
            "frames_in": len(pose),
            "frames_filled": int((~np.isin(frames, pose.frames)).sum()),
            "gaps_left_empty": left_empty(frames, pose),
            "model_frame_rate_hz": self.spec.frame_rate_hz,
            "flip_averaging": self.flip,
            "confidence_exponent": exponent,
            "chance_within_5_percent": chances(layout),
            "seen_from_confidence": SEEN_CONFIDENCE,
            "repose": version("repose3d"),
        }
        coordinates: Coordinates = "camera-root-relative"
        if root:
            place, found = solve_root(joints, rays, confidence)
            if found.any():
                joints += fill_gaps(place, found, times_s=times)[:, None]
                never = np.concatenate(
                    [np.broadcast_to(part.never, part.confidence.shape) for part in segments]
                )
                points[never] = camera.project(joints[never])
                coordinates = "camera"
                record["frames_with_interpolated_root"] = int((~found).sum())
        lens_matters = coordinates == "camera" or self.spec.normalisation == "rays"
        if lens_matters and intrinsics_px is None and fov_deg is None:
            assumed.append("field of view")
        return Pose3D(
            joints_m=joints.astype(np.float32),
            seen=(confidence >= SEEN_CONFIDENCE) & (_in_picture(points, pose) | ~guesses_outside),
            frames=frames,
            fps=pose.fps,
            skeleton=self.skeleton,
            track_id=pose.track_id,
            coordinates=coordinates,
            scale=f"given height {height_m:g} m" if height_m else f"assumed height {ASSUMED_HEIGHT_M:.2f} m",
            confidence=confidence.astype(np.float32),
            deviation_m=None if deviation is None else (metres * deviation).astype(np.float32),
            points_px=points.astype(np.float32),
            times_s=times,
            image_size=pose.image_size,
            intrinsics_px=camera.intrinsics_px if coordinates == "camera" else None,
            distortion=distortion if coordinates == "camera" else None,
            model=self.name,
            record=record,
        )

    def _lift_segment(
        self,
        segment: Segment,
        rays: Float[np.ndarray, "frames joints 2"],
        image_size: tuple[int, int],
        report: Callable[[float], None],
    ) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints"] | None]:
        """Root-relative joints at the segment's own times, in a unit that is the same for all frames.

        With their deviation, where the model knows it.
        """
        rate_hz = self.spec.frame_rate_hz
        points = normalise(segment.points_px, segment.confidence, image_size, self.spec.normalisation, rays)
        points, confidence, at = to_rate(points, segment.confidence, segment.times_s, rate_hz)
        keypoints = np.concatenate([points, confidence[..., None]], axis=-1).astype(np.float32)
        joints, deviation = self._lift_windows(keypoints, report)
        joints = joints.astype(np.float64)
        hint = "Its weights are damaged, or were never trained: take another checkpoint."
        check_numbers(f"model {self.name}: joints", joints, hint=hint)
        size = np.ones(len(joints))
        if self.spec.output == "input":
            # In units of the picture a body shrinks as it walks away; its true size does not change.
            size = np.exp(low_pass(np.log(self._stature(joints)), min(1.0, 2 / rate_hz)))
        joints = interpolate(joints / size[:, None, None], at)
        if deviation is None:
            return joints, None
        return joints, interpolate_positive(deviation.astype(np.float64) / size[:, None], at)

    def _stature(self, joints: Float[np.ndarray, "frames joints 3"]) -> Float[np.ndarray, " frames"]:
        return stature(conversion_matrix(self.skeleton, H36M_17) @ joints)

    def lift_keypoints(
        self, keypoints: Float[np.ndarray, "frames joints 3"], report: Callable[[float], None] | None = None
    ) -> Float[np.ndarray, "frames joints 3"]:
        """Lift normalised keypoints of the model's own frame rate; joints minus the root, the model's unit.

        Windows overlap by `OVERLAP`, and blend there along a raised cosine. `report` is told what share is
        done.
        """
        return self._lift_windows(keypoints, report)[0]

    def lift_with_deviation(
        self, keypoints: Float[np.ndarray, "frames joints 3"]
    ) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints"]]:
        """Lift as `lift_keypoints`, with the deviation of each joint (`Pose3D.deviation_m`).

        Raises UserError for a model that gives none.
        """
        joints, deviation = self._lift_windows(keypoints)
        if deviation is None:
            expected(f"model {self.name}", "one that gives a deviation", "joints alone")
        return joints, deviation

    def _lift_windows(
        self, keypoints: Float[np.ndarray, "frames joints 3"], report: Callable[[float], None] | None = None
    ) -> tuple[Float[np.ndarray, "frames joints 3"], Float[np.ndarray, "frames joints"] | None]:
        frames, window = len(keypoints), self.spec.window_frames
        overlap = int(OVERLAP * window)
        if frames < window and self.spec.fixed_window:
            keypoints = np.concatenate([keypoints, np.repeat(keypoints[-1:], window - frames, axis=0)])
        length = min(window, len(keypoints))
        starts = window_starts(frames, window, overlap)
        lifted: list[tuple[Clips, Deviations | None]] = []
        for group in _groups(starts, max(1, _FRAMES_AT_ONCE // length)):
            lifted.append(self._lift_clips(np.stack([keypoints[start : start + length] for start in group])))
            if report:
                report(min(group[-1] + length, frames) / frames)
        joints = blend(np.concatenate([group for group, _ in lifted]), starts, overlap)[:frames]
        deviations = [group for _, group in lifted if group is not None]
        if not deviations:
            return joints, None
        return joints, blend(np.concatenate(deviations), starts, overlap)[:frames]

    def lift_clips(self, clips: Clips) -> Clips:
        """Lift whole windows in one pass, averaged with their mirror images; joints minus the root."""
        return self._lift_clips(clips)[0]

    def _lift_clips(self, clips: Clips) -> tuple[Clips, Deviations | None]:
        told = clips
        if not self.spec.confidence:
            told = np.concatenate([clips[..., :2], np.ones_like(clips[..., 2:])], axis=-1)
        joints, deviation = self.network(np.concatenate([told, self._mirrored(told)]) if self.flip else told)
        if self.flip:
            straight, mirrored = np.split(joints, 2)
            joints = (straight + self._mirrored(mirrored)) / 2
            if deviation is not None:  # the mean of their logarithms
                straight, mirrored = np.split(deviation, 2)
                deviation = np.sqrt(straight * mirrored[:, :, list(self.skeleton.mirror)])
        root = self.skeleton.parents.index(-1)
        if self.spec.root_relative:  # its root means nothing, the other joints are relative already
            joints = np.where(np.arange(joints.shape[2])[:, None] == root, np.float32(0), joints)
        else:
            joints = joints - joints[:, :, root : root + 1]
        if deviation is not None:
            factors = self.spec.deviation_factors
            seen = clips[..., 2] > 0
            deviation = deviation * np.where(seen, factors.get("seen", 1.0), factors.get("hidden", 1.0))
            if self.spec.root_relative:
                deviation[:, :, root] = 0
        return joints, deviation

    def averaging(self, flip: bool) -> "Lifter":
        """Return this lifter with or without flip averaging; they share the network."""
        lifter = copy(self)
        lifter.flip = flip
        return lifter

    def _for_windows(self, flip: bool, **options: Any) -> tuple[Callable[[Pose2D], Pose3D], float]:
        check_scene(options["intrinsics_px"], options["fov_deg"], options["height_m"], options["max_gap_s"])
        lift = partial(self.averaging(flip).lift, **options)
        return lift, self.spec.window_frames / self.spec.frame_rate_hz

    def _mirrored(self, values: Clips) -> Clips:
        """Left and right exchanged: x negated, which every normalisation has at 0 in the middle."""
        return values[:, :, list(self.skeleton.mirror)] * np.array([-1, 1, 1], dtype=values.dtype)


def chances(layout: str) -> list[list[float]] | None:
    """Return what `Pose3D.confidence` means where the detector of that layout was calibrated, else None.

    Pairs of a confidence, as it goes into models, and the chance of `CHANCES`.
    """
    power = CONFIDENCE_EXPONENT.get(layout, 1.0)
    return [[round(score**power, 4), chance] for score, chance in CHANCES.get(layout, ())] or None


def check_precision(precision: str) -> None:
    if precision not in get_args(Precision):
        expected("precision", " or ".join(get_args(Precision)), repr(precision))


def _in_picture(points_px: np.ndarray, pose: Pose2D) -> np.ndarray:
    """Which points lie inside the picture: no camera has seen the others. All where its size is assumed."""
    if "image_size" in pose.assumed:
        return np.ones(points_px.shape[:2], dtype=bool)
    inside = (points_px >= -0.5) & (points_px <= np.array(pose.image_size) - 0.5)
    return np.asarray(inside.all(axis=-1))


def check_scene(
    intrinsics_px: tuple[float, float, float, float] | None,
    fov_deg: float | None,
    height_m: float | None,
    max_gap_s: float,
) -> None:
    """Raise UserError for a camera, height or gap that `Lifter.lift` refuses; for before long work."""
    if intrinsics_px is not None and fov_deg is not None:
        raise UserError("both intrinsics and a field of view were given", "Give one of them.")
    if intrinsics_px is not None:
        Camera.from_intrinsics(intrinsics_px)
    if fov_deg is not None:
        Camera.assumed((1, 1), fov_deg)
    if height_m is not None and not HEIGHTS_M[0] <= height_m <= HEIGHTS_M[1]:
        expected("height_m", f"a person's height, {HEIGHTS_M[0]:g} to {HEIGHTS_M[1]:g} m", height_m)
    if not 0 <= max_gap_s <= LONGEST_GAP_S:
        expected("max_gap_s", f"0 to {LONGEST_GAP_S:g} seconds", max_gap_s, "Nobody knows more about a gap.")


def _groups(items: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
