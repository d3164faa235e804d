"""Every metric, added up over joints, frames and clips: the one place where poses are scored.

`METRICS` is the table of metrics: a new one is a function in `repose.metrics` and a line there. `measure`
adds each of them up apart for hidden joints, for those beside them in the same frame, and for all others;
sums of clips are added, drawn again (`Bootstrap`) or averaged over actions (`repose.evaluation.evaluate`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from repose import metrics
from repose.errors import UserError, expected
from repose.geometry.joint_angles import angle_joints, measure_angles
from repose.pose import Pose3D
from repose.skeleton import Skeleton

GAPS_MM = (0.0, 50.0, 100.0, 200.0, 400.0)
"""Lower ends of the ranges of true depth difference by which depth order is counted."""
RANGES_MM = tuple(
    f"{low:g}-{high:g}" if high else f"over {low:g}"
    for low, high in zip(GAPS_MM, (*GAPS_MM[1:], None), strict=True)
)
ANGLES = ("knee_flexion", "hip_flexion", "elbow_flexion", "shoulder_elevation", "trunk_flexion")
"""Joint angles that are scored: their error, and their bias (predicted minus true)."""
_PCK_LIMIT_MM = 150.0
_NOT_IN_PCK = ("pelvis", "spine", "head", "nose")
"""What MPI-INF-3DHP leaves out of its 17 joints for PCK and AUC; its head is others' nose."""

Sums = Float[np.ndarray, "... 3 2 _"]
"""Sum and count of each item (joint, bone, pair of joints, range): of hidden ones, of those beside them in
the same frame, of all others. An item is hidden where one of its joints is, in one of its frames."""
GROUPS = {"all": (0, 1, 2), "hidden": (0,), "visible": (1,), "seen": (1, 2)}
"""Which of the three a number is about. "visible": not hidden, in frames in which others are."""


class FramePairs(NamedTuple):
    """Which pairs of frames are compared for depth order in time: their number grows with the square."""

    every: int = 1
    """Frames so far apart, and multiples of it."""
    within: int = 243
    """Only pairs within pieces of a clip of this many frames."""


@dataclass(frozen=True, eq=False)
class Poses:
    """Predicted and true joints of consecutive frames, in the same axes, relative to the same root."""

    predicted_mm: Float[np.ndarray, "frames joints 3"]
    truth_mm: Float[np.ndarray, "frames joints 3"]
    hidden: Bool[np.ndarray, "frames joints"]
    fps: float
    skeleton: Skeleton
    clip: Int[np.ndarray, " frames"] | None = None
    """Number of the clip that each frame is of; all of one unless given. Motion stays within a clip."""
    deviation_mm: Float[np.ndarray, "frames joints"] | None = None
    up: Float[np.ndarray, "3"] | None = None
    """In the axes of the joints, for the angle of the trunk."""
    pairs: FramePairs | None = None
    """For depth order in time, which takes longer than all other metrics; it is left out unless given."""

    @cached_property
    def error_mm(self) -> Float[np.ndarray, "frames joints"]:
        return metrics.per_joint_error(self.predicted_mm, self.truth_mm)

    def align(self, how: Callable[..., np.ndarray]) -> "Poses":
        """Align the prediction by `metrics.procrustes_align` or `scale_align`."""
        return replace(self, predicted_mm=how(self.predicted_mm, self.truth_mm))

    def per_second(self, order: int) -> Float[np.ndarray, "steps joints"]:
        return self.per_frame(order) * self.fps**order

    def per_frame(self, order: int) -> Float[np.ndarray, "steps joints"]:
        return metrics.per_joint_motion_error(self.predicted_mm, self.truth_mm, order)

    def within(self, deviations: int) -> np.ndarray | None:
        """Return the percentage within so many deviations; None for a model without a deviation."""
        if self.deviation_mm is None:
            return None
        kept = [joint for (joint,) in _without_root(self.skeleton).values()]
        return 100.0 * (self.error_mm < deviations * self.deviation_mm)[:, kept]

    @cached_property
    def _angle_errors_deg(self) -> Mapping[str, np.ma.MaskedArray]:
        """Of each angle; masked where the truth has none."""
        predicted, true = (
            measure_angles(x, self.skeleton, self.up) for x in (self.predicted_mm, self.truth_mm)
        )
        return {
            name: np.ma.MaskedArray(metrics.angle_error(predicted[name], true[name]), np.isnan(true[name]))
            for name in true
        }

    def angle_error_deg(self, angle: str) -> np.ma.MaskedArray | None:
        """Of both sides; None where up must be known and is not."""
        errors = self._angle_errors_deg
        sides = [errors[name] for name in _angles(angle, self.skeleton) if name in errors]
        return np.ma.stack(sides, axis=1) if sides else None

    @property
    def pck_error_mm(self) -> Float[np.ndarray, "frames kept"]:
        return self.error_mm[:, [joint for (joint,) in _in_pck(self.skeleton).values()]]

    def runs(self) -> list[tuple[int, int]]:
        """Return the first frame of each clip, and the one after its last."""
        clip = np.zeros(len(self.hidden)) if self.clip is None else self.clip
        cuts = (np.flatnonzero(np.diff(clip)) + 1).tolist()
        return list(zip([0, *cuts], [*cuts, len(clip)], strict=True))


Items = Mapping[str, Sequence[int]]
"""Names of items, and the joints that each depends on."""


def _joints(skeleton: Skeleton) -> Items:
    return {joint: (i,) for i, joint in enumerate(skeleton.joints)}


def _without_root(skeleton: Skeleton) -> Items:
    return {joint: (i,) for i, joint in enumerate(skeleton.joints) if joint != "pelvis"}  # it has no error


def _in_pck(skeleton: Skeleton) -> Items:
    return {joint: (i,) for i, joint in enumerate(skeleton.joints) if joint not in _NOT_IN_PCK}


def _bones(skeleton: Skeleton) -> Items:
    names = skeleton.joints
    return {f"{names[parent]}-{names[child]}": (child, parent) for child, parent in skeleton.bones}


def _bone_pairs(skeleton: Skeleton) -> Items:
    bones = list(_bones(skeleton).items())
    pairs = [(bones[left], bones[right]) for left, right in metrics.paired_bones(skeleton)]
    return {f"{a}, {b}": (*of_a, *of_b) for (a, of_a), (b, of_b) in pairs}


@cache
def _angles(angle: str, skeleton: Skeleton) -> Items:
    """Return the angle of each side, or the trunk's; none for layouts without limbs."""
    try:
        joints = angle_joints(skeleton)
    except UserError:
        return {}
    return {name: joints[name] for name in (angle, f"left_{angle}", f"right_{angle}") if name in joints}


@cache
def _uses(items: Callable[[Skeleton], Items], skeleton: Skeleton) -> Float[np.ndarray, "items joints"]:
    """1 where an item depends on a joint."""
    uses = np.zeros((len(items(skeleton)), len(skeleton)), np.float32)
    for item, joints in enumerate(items(skeleton).values()):
        uses[item, list(joints)] = 1.0
    return uses


@dataclass(frozen=True)
class Metric:
    """A line of `METRICS`: values of items, in each frame."""

    measure: Callable[[Poses], Float[np.ndarray, "rows items"] | None]
    """A function of `repose.metrics`; None where the poses lack what it takes."""
    items: Callable[[Skeleton], Items] = _joints
    frames: int = 1
    """Consecutive frames that a value takes."""
    benchmarks: bool = True
    """Whether the benchmarks have it; others say the same in another unit, as papers do."""

    def sums(self, poses: Poses) -> "Sums | None":
        uses = _uses(self.items, poses.skeleton)
        values = self.measure(poses) if len(uses) else None
        if values is None:
            return None
        hidden = poses.hidden @ uses.T > 0
        steps = len(hidden) - self.frames + 1
        hidden = np.logical_or.reduce([hidden[i : i + steps] for i in range(self.frames)])
        if self.frames > 1 and poses.clip is not None:
            whole = poses.clip[self.frames - 1 :] == poses.clip[:steps]
            values, hidden = values[whole], hidden[whole]
        return _add_up(values, hidden)


def _add_up(values: Float[np.ndarray, "rows items"], hidden: Bool[np.ndarray, "rows items"]) -> Sums:
    touched = hidden.any(axis=1, keepdims=True)
    groups = np.stack([hidden, ~hidden & touched, np.broadcast_to(~touched, hidden.shape)])
    if isinstance(values, np.ma.MaskedArray):
        groups, values = groups & ~np.ma.getmaskarray(values), values.data
    # A NaN of one group must not spread to the others.
    return np.stack([np.where(groups, values, 0.0).sum(axis=1), groups.sum(axis=1)], axis=1)


@dataclass(frozen=True)
class DepthOrder:
    """A line of `METRICS`: the share of pairs in the true order of depth, by true difference."""

    axis: str
    """Pairs of "joints" of a frame, or of "frames" of a joint."""
    benchmarks: bool = True

    def items(self, skeleton: Skeleton) -> Items:
        return dict.fromkeys(RANGES_MM, ())

    def sums(self, poses: Poses) -> "Sums | None":
        if self.axis == "joints":
            return self._count(poses, slice(None))
        if poses.pairs is None:
            return None
        every, within = poses.pairs
        pieces = [
            slice(first, min(first + every * within, stop), every)
            for start, stop in poses.runs()
            for first in range(start, stop, every * within)
        ]
        return np.sum([self._count(poses, piece) for piece in pieces], axis=0)

    def _count(self, poses: Poses, rows: slice) -> Sums:
        predicted, truth, hidden = poses.predicted_mm[rows], poses.truth_mm[rows], poses.hidden[rows]
        every = np.stack(metrics.depth_order_counts(predicted, truth, self.axis, GAPS_MM))
        known = every
        if hidden.any():
            open_truth = np.where(hidden[..., None], np.nan, truth)
            known = np.stack(metrics.depth_order_counts(predicted, open_truth, self.axis, GAPS_MM))
        touched = hidden.any(axis=1 if self.axis == "joints" else 0)
        parts = (every - known, known[..., touched], known[..., ~touched])
        sums = np.stack([part.sum(axis=-1) for part in parts]).astype(np.float64)
        sums[..., :-1] -= sums[..., 1:]  # from all pairs beyond a gap to those up to the next one
        return sums * np.array([100.0, 1.0])[:, None]


def _angle(angle: str, how: Callable[..., np.ndarray], poses: Poses) -> np.ndarray | None:
    error = poses.angle_error_deg(angle)
    return None if error is None else how(error)


METRICS: dict[str, Metric | DepthOrder] = {
    "mpjpe_mm": Metric(lambda p: p.error_mm),
    "p_mpjpe_mm": Metric(lambda p: p.align(metrics.procrustes_align).error_mm),
    "n_mpjpe_mm": Metric(lambda p: p.align(metrics.scale_align).error_mm, benchmarks=False),
    "velocity_error_mm_per_s": Metric(lambda p: p.per_second(1), frames=2),
    "velocity_error_mm_per_frame": Metric(lambda p: p.per_frame(1), frames=2, benchmarks=False),
    "acceleration_error_mm_per_s2": Metric(lambda p: p.per_second(2), frames=3),
    "acceleration_error_mm_per_frame2": Metric(lambda p: p.per_frame(2), frames=3, benchmarks=False),
    "pck_150mm_percent": Metric(
        lambda p: 100.0 * (p.pck_error_mm < _PCK_LIMIT_MM), _in_pck, benchmarks=False
    ),
    "auc_150mm_percent": Metric(
        lambda p: 100.0 * metrics.thresholds_met(p.pck_error_mm, _PCK_LIMIT_MM), _in_pck, benchmarks=False
    ),
    "bone_length_error_mm": Metric(
        lambda p: metrics.per_bone_error(p.predicted_mm, p.truth_mm, p.skeleton), _bones, benchmarks=False
    ),
    "symmetry_error_mm": Metric(
        lambda p: metrics.per_pair_asymmetry(p.predicted_mm, p.skeleton), _bone_pairs, benchmarks=False
    ),
    "depth_order_joints_percent": DepthOrder("joints"),
    "depth_order_frames_percent": DepthOrder("frames"),
    "within_1_deviations_percent": Metric(lambda p: p.within(1), _without_root),
    "within_2_deviations_percent": Metric(lambda p: p.within(2), _without_root),
    **{
        f"{angle}_{what}_deg": Metric(partial(_angle, angle, how), partial(_angles, angle))
        for angle in ANGLES
        for what, how in (("error", np.abs), ("bias", np.positive))
    },
}
"""Every metric by its name, which ends in its unit, in the order of reports."""
BENCHMARKED = tuple(name for name, metric in METRICS.items() if metric.benchmarks)


def measure(poses: Poses, names: Sequence[str] = tuple(METRICS)) -> dict[str, Sums]:
    """Add up metrics over poses. Those that the poses have nothing for are left out."""
    sums = {name: METRICS[name].sums(poses) for name in names}
    return {name: entry for name, entry in sums.items() if entry is not None}


def add(parts: Sequence[Mapping[str, Sums]]) -> dict[str, Sums]:
    """Add the sums of several clips."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: np.sum([part[name] for part in parts if name in part], axis=0) for name in names}


def of_group(entry: Sums, group: str) -> Float[np.ndarray, "*clips 2 items"]:
    """Sum and count of one of `GROUPS`."""
    return entry[..., list(GROUPS[group]), :, :].sum(axis=-3)


def ratio(sums: Float[np.ndarray, "*clips 2"]) -> Float[np.ndarray, "*clips"]:
    """Sum over count; NaN where nothing was counted."""
    total, count = sums[..., 0], sums[..., 1]
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def mean(entry: Sums, group: str = "all") -> float:
    """Average over all items and clips."""
    return float(ratio(of_group(entry, group).sum(axis=-1).reshape(-1, 2).sum(axis=0)))


class TrackScore(NamedTuple):
    """Errors of some joints of a track."""

    joints: str
    """Which joints: "all", "visible" (not hidden) or "hidden"."""
    share: float
    """Share of the joints of all frames."""
    mpjpe_mm: float
    """Mean distance after the pelvis is put at the origin of both."""
    p_mpjpe_mm: float
    """Mean distance after the best similarity of each frame (all joints together)."""


def score_track(
    pose: Pose3D, truth_m: Float[np.ndarray, "frames joints 3"], hidden: Bool[np.ndarray, "frames joints"]
) -> list[TrackScore]:
    """Score a track against the truth of its video, over the frames it has.

    `truth_m`: every frame of the video, in the camera's axes. Raises UserError for frames beyond it.
    """
    if pose.frames[-1] >= len(truth_m):
        found = pose.frames[-1]
        expected("frames", f"0 to {len(truth_m) - 1}", found, "Lift the video that the truth is of.")
    true_mm = 1000 * truth_m[pose.frames].astype(np.float64)
    poses = Poses(
        predicted_mm=1000 * pose.root_relative_m().astype(np.float64),
        truth_mm=true_mm - true_mm[:, :1],
        hidden=hidden[pose.frames],
        fps=pose.fps,
        skeleton=pose.skeleton,
    )
    sums = measure(poses, ("mpjpe_mm", "p_mpjpe_mm"))
    counts = {which: of_group(sums["mpjpe_mm"], group)[1].sum() for which, group in _OF_TRACKS.items()}
    return [
        TrackScore(which, float(counts[which] / counts["all"]), *(mean(s, group) for s in sums.values()))
        for which, group in _OF_TRACKS.items()
        if counts[which]
    ]


_OF_TRACKS = {"all": "all", "visible": "seen", "hidden": "hidden"}


@dataclass(frozen=True)
class Estimate:
    """A mean over all clips, and its 95 % interval over draws of clips; NaN where nothing was measured."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Draws of clips with replacement, the same for everything that is measured on them."""

    def __init__(self, clips: int, seed: int, draws: int = 1000) -> None:
        rng = np.random.default_rng((seed, clips))
        self.times: Float[np.ndarray, "draws clips"] = rng.multinomial(
            clips, np.full(clips, 1 / max(clips, 1)), size=draws
        ).astype(np.float64)

    def mean(self, sums: Float[np.ndarray, "clips 2"]) -> Estimate:
        """Estimate the mean: sum over count."""
        return _estimate(float(ratio(sums.sum(axis=0))), ratio(self.times @ sums))

    def difference(self, sums: Float[np.ndarray, "clips 2"], other: Float[np.ndarray, "clips 2"]) -> Estimate:
        """Estimate the difference of the means, over clips that both have."""
        both = ((sums[:, 1] > 0) & (other[:, 1] > 0))[:, None]
        sums, other = sums * both, other * both
        return _estimate(
            float(ratio(sums.sum(axis=0)) - ratio(other.sum(axis=0))),
            ratio(self.times @ sums) - ratio(self.times @ other),
        )


def _estimate(mean: float, draws: Float[np.ndarray, " draws"]) -> Estimate:
    draws = draws[np.isfinite(draws)]
    if not np.isfinite(mean) or not len(draws):
        return Estimate(float("nan"), float("nan"), float("nan"))
    low, high = np.percentile(draws, [2.5, 97.5])
    return Estimate(mean, float(low), float(high))
