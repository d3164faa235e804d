"""Checks of a clip store: whether its numbers are what it claims, one row per check and split.

Every check is made of shares of frames or joints, with two limits: above the first it is a warning, above
the second a problem. Real data have some of everything; the limits are for wrong units, exchanged sides,
mixed-up layouts and broken files.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from repose.datasets.splits import Split, StoredSequence
from repose.datasets.store import ClipStore, Progress, Target
from repose.datasets.store_writer import count_progress
from repose.skeleton import Skeleton

Verdict = Literal["ok", "warning", "problem"]

_LEG_M = (0.4, 1.3)
"""Hip to ankle along the bones, from a child to a giant."""
_ADULT_LEG_M = 0.83
"""Of 1.70 m (Winter, Biomechanics and Motor Control, 2009): the scale where a store has none."""
_FASTEST_M_S = 15.0
"""Of a joint against the pelvis; a kick reaches 12."""
_BENT = np.cos(np.radians(30))
"""Of the angle between thigh and shank of a knee that is bent for certain."""
_WHOLE = 0.9
"""Share of a sequence from which on it is wrong throughout."""


@dataclass(frozen=True)
class Finding:
    """A row of the doctor's table."""

    check: str
    split: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, eq=False)
class _View:
    """A sequence with its arrays, in the units of the store."""

    sequence: StoredSequence
    skeleton: Skeleton
    kind: Target | None
    arrays: Mapping[str, np.ndarray]

    @property
    def keypoints(self) -> Float[np.ndarray, "frames joints 3"]:
        return self.arrays["keypoints_norm"]

    @property
    def target(self) -> Float[np.ndarray, "frames joints 3"]:
        return self.arrays["target"]

    @property
    def counts(self) -> Bool[np.ndarray, " frames"]:
        """Frames that count."""
        return self.arrays.get("valid", np.ones(len(self.keypoints), dtype=bool))

    @property
    def edge(self) -> Float[np.ndarray, "2"]:
        """Right and lower edge of the picture, a hair outside: detections are cut off just there."""
        width, height = self.sequence.image_size
        return np.array([1, height / width]) * (1 + 1e-6)

    @property
    def relative(self) -> Float[np.ndarray, "frames joints 3"]:
        """The target without its place, in its own unit."""
        return self.target - self.target[:, self.skeleton.indices("pelvis")]

    def leg(self) -> Float[np.ndarray, " frames"]:
        """Hip to ankle along the bones, mean of both sides, in the target's unit."""
        return (
            sum(
                (self.bone(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")),
                start=np.zeros(len(self.target)),
            )
            / 2
        )

    def bone(self, child: str) -> Float[np.ndarray, " frames"]:
        end = self.skeleton.index(child)
        return np.linalg.norm(self.target[:, end] - self.target[:, self.skeleton.parents[end]], axis=-1)


Measure = Callable[[_View], tuple[float, float]]
"""How many of a view's frames or joints are out of order, and of how many."""


@dataclass(frozen=True)
class _Check:
    name: str
    measure: Measure
    warning: float
    problem: float
    text: str
    needs_target: bool = True


@np.errstate(all="ignore")  # numbers that are wrong are what it looks for
def examine(store: ClipStore, *, progress: Progress | None = None) -> list[Finding]:
    """Check every frame of a store; findings in the order of checks, then of splits."""
    checks = [check for check in _CHECKS if store.target_kind is not None or not check.needs_target]
    findings: dict[str, list[Finding]] = {check.name: [] for check in checks}
    rates = []
    count = count_progress("examining frames", sum(map(len, store.splits.values())), progress)
    for split in store.splits.values():
        totals = {check.name: [0.0, 0.0] for check in checks}
        worst = {check.name: (0.0, "") for check in checks}
        for view in _views(store, split):
            for check in checks:
                bad, of = check.measure(view)
                totals[check.name][0] += bad
                totals[check.name][1] += of
                if of and bad / of > worst[check.name][0]:
                    worst[check.name] = (bad / of, view.sequence.name)
            count(len(view.sequence))
        for check in checks:
            bad, of = totals[check.name]
            findings[check.name].append(_judge(check, split.name, bad, of, worst[check.name]))
        rates.append(_frame_rates(split))
    return rates + [finding for rows in findings.values() for finding in rows]


def _judge(check: _Check, split: str, bad: float, of: float, worst: tuple[float, str]) -> Finding:
    if not of:
        return Finding(check.name, split, "ok", "nothing to check it by")
    share, (most, where) = bad / of, worst
    verdict: Verdict = "problem" if share > check.problem else "warning" if share > check.warning else "ok"
    # A few sequences that are wrong throughout disappear in the share of a large split.
    if verdict == "ok" and most > max(_WHOLE, check.problem):
        verdict = "warning"
    text = f"{_percent(share)} {check.text}"
    if verdict != "ok" and most > share:
        text += f"; most in {where}: {_percent(most)}"
    return Finding(check.name, split, verdict, text)


def _percent(share: float) -> str:
    if share in (0.0, 1.0):
        return f"{share:.0%}"
    return "under 0.1%" if share < 0.001 else "over 99.9%" if share > 0.999 else f"{share:.1%}"


def _views(store: ClipStore, split: Split) -> Iterator[_View]:
    for sequence in split.sequences:
        rows = slice(sequence.start, sequence.stop)
        arrays = {
            name: array[rows] if name == "valid" else array[rows].astype(np.float64)
            for name, array in split.arrays.items()
        }
        yield _View(sequence, store.skeleton, store.target_kind, arrays)


def _frame_rates(split: Split) -> Finding:
    frames: dict[float, int] = {}
    for sequence in split.sequences:
        frames[sequence.fps] = frames.get(sequence.fps, 0) + len(sequence)
    odd = not all(10 <= fps <= 250 for fps in frames)
    text = ", ".join(f"{count} frames at {fps:g} Hz" for fps, count in sorted(frames.items()))
    text += f" in {len(split.sequences)} sequences"
    names = len({sequence.name for sequence in split.sequences})
    if twice := len(split.sequences) - names:
        text += f"; {twice} names occur more than once"
    return Finding("frame rate", split.name, "warning" if odd or twice else "ok", text)


# Checks ---------------------------------------------------------------------------------------------------


def _not_finite(view: _View) -> tuple[float, float]:
    broken = np.zeros(view.keypoints.shape[:2], dtype=bool)
    for array in view.arrays.values():
        finite = np.isfinite(array)
        broken |= ~(finite.all(axis=2) if array.ndim == 3 else finite[:, None])
    return float(broken.sum()), float(broken.size)


def _outside_picture(view: _View) -> tuple[float, float]:
    seen = view.keypoints[..., 2] > 0
    outside = (np.abs(view.keypoints[..., :2]) > view.edge).any(axis=-1)
    return float((outside & seen).sum()), float(seen.sum())


def _confidence(view: _View) -> tuple[float, float]:
    confidence = view.keypoints[..., 2]
    return float(((confidence < 0) | (confidence > 1)).sum()), float(confidence.size)


def _place(view: _View) -> tuple[float, float]:
    """Joints of counting frames behind the camera or far from the picture."""
    target = view.target[view.counts]
    if view.kind == "camera":
        wrong = (target[..., 2] < 0.2) | (target[..., 2] > 50)
    else:
        wrong = (np.abs(target[..., :2]) > 2 * view.edge).any(axis=-1)
        wrong |= np.abs(target[..., 2]) > 2 * view.edge.max()
    return float(wrong.sum()), float(wrong.size)


def _truth(view: _View) -> tuple[float, float]:
    """Frames whose truth is not target × factor, up to their place."""
    if not {"truth_mm", "factor"} <= view.arrays.keys():
        return 0.0, 0.0
    made = view.relative * view.arrays["factor"][:, None, None]
    truth = view.arrays["truth_mm"]
    truth = truth - truth[:, view.skeleton.indices("pelvis")]
    return float((np.abs(made - truth).max(axis=(1, 2)) > 1.0).sum()), float(len(truth))


def _size(view: _View) -> tuple[float, float]:
    leg_m = view.leg()
    if view.kind == "image":
        if "factor" not in view.arrays:
            return 0.0, 0.0
        leg_m = leg_m * view.arrays["factor"] / 1000
    leg_m = leg_m[view.counts]
    return float(((leg_m < _LEG_M[0]) | (leg_m > _LEG_M[1])).sum()), float(len(leg_m))


def _bones(view: _View) -> tuple[float, float]:
    """Count bones a quarter longer or shorter than usual in their sequence.

    Image units have no fixed scale, so bones are measured against the legs of their frame.
    """
    leg = view.leg()[view.counts]
    if not len(leg) or not (leg > 0).all():
        return float(len(leg)), float(len(leg))
    bad = of = 0
    for child, _ in view.skeleton.bones:
        share = view.bone(view.skeleton.joints[child])[view.counts] / leg
        bad += int((np.abs(share - np.median(share)) > 0.25 * np.median(share)).sum())
        of += len(share)
    return float(bad), float(of)


def _symmetry(view: _View) -> tuple[float, float]:
    """Pairs of bones whose usual lengths differ by more than a fifth."""
    bad = of = 0
    for joint in ("knee", "ankle", "elbow", "wrist"):
        left, right = (np.median(view.bone(f"{side}_{joint}")) for side in ("left", "right"))
        bad += int(abs(left - right) > 0.2 * max(left, right))
        of += 1
    return float(bad), float(of)


def _knees(view: _View) -> tuple[float, float]:
    """Bent knees that point backwards: what exchanged sides or a mirrored axis look like in 3D.

    The shank turns back about the line from the right hip to the left one, whatever the trunk does. Of people
    0 to 0.2 % of bent knees seem to do otherwise, and all of them where sides are exchanged.
    """
    skeleton, joints = view.skeleton, view.target[view.counts]

    def at(name: str) -> np.ndarray:
        return joints[:, skeleton.index(name)]

    to_left = at("left_hip") - at("right_hip")
    bad = of = 0
    for side in ("left", "right"):
        thigh = at(f"{side}_knee") - at(f"{side}_hip")
        shank = at(f"{side}_ankle") - at(f"{side}_knee")
        lengths = np.linalg.norm(thigh, axis=-1) * np.linalg.norm(shank, axis=-1)
        bent = (thigh * shank).sum(-1) < _BENT * lengths
        bad += int((bent & ((np.cross(thigh, shank) * to_left).sum(-1) < 0)).sum())
        of += int(bent.sum())
    return float(bad), float(of)


def _sides(view: _View) -> tuple[float, float]:
    """Frames in which the 2D joints fit the target better with left and right exchanged.

    Where the target is in metres, the camera is one that fits the middle joints of the sequence best.
    """
    skeleton = view.skeleton
    if view.kind == "image":
        drawn = view.target[..., :2]
    else:
        depth = view.target[..., 2:]
        if not (depth[view.counts] > 0).all() or not view.counts.any():
            return 0.0, 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = view.target[..., :2] / depth
        fitted = _fit_camera(drawn, view)
        if fitted is None:
            return 0.0, 0.0
        drawn = fitted
    mirror = list(skeleton.mirror)
    sides = skeleton.side("left") + skeleton.side("right")
    seen = (view.keypoints[..., 2] > 0)[:, sides] & (view.keypoints[:, mirror, 2] > 0)[:, sides]
    points = view.keypoints[..., :2]
    straight = np.linalg.norm(points - drawn, axis=-1)[:, sides]
    crossed = np.linalg.norm(points[:, mirror] - drawn, axis=-1)[:, sides]
    known = seen.any(axis=1) & view.counts
    difference = np.where(seen, straight - crossed, 0.0).sum(axis=1)
    return float((difference[known] > 0).sum()), float(known.sum())


def _fit_camera(rays: np.ndarray, view: _View) -> np.ndarray | None:
    """Rays in the picture, by the focal lengths and principal point that fit the middle joints best."""
    middle = [i for i, partner in enumerate(view.skeleton.mirror) if partner == i]
    seen = (view.keypoints[:, middle, 2] > 0) & view.counts[:, None]
    drawn = np.empty_like(rays)
    for axis in (0, 1):
        ray = rays[:, middle, axis][seen]
        point = view.keypoints[:, middle, axis][seen]
        usable = len(ray) >= 10 and np.isfinite(point).all() and np.isfinite(ray).all()
        if not usable or np.ptp(ray) < 1e-6:
            return None
        focal, centre = np.polyfit(ray, point, 1)
        drawn[..., axis] = rays[..., axis] * focal + centre
    return drawn


def _jumps(view: _View) -> tuple[float, float]:
    if len(view.target) < 2:
        return 0.0, 0.0
    leg = np.median(view.leg())
    scale = 1.0 if view.kind == "camera" else _ADULT_LEG_M / max(leg, 1e-9)
    step_m = np.linalg.norm(np.diff(view.relative, axis=0), axis=-1).max(axis=1) * scale
    both = view.counts[1:] & view.counts[:-1]
    return float((step_m[both] * view.sequence.fps > _FASTEST_M_S).sum()), float(both.sum())


def _repeated(view: _View) -> tuple[float, float]:
    if len(view.target) < 2:
        return 0.0, 0.0
    same = (np.diff(view.target, axis=0) == 0).all(axis=(1, 2))
    return float(same.sum()), float(len(same))


_CHECKS = (
    _Check("finite values", _not_finite, 0.0, 0.0, "of joints with NaN or infinity", False),
    _Check("2D in the picture", _outside_picture, 0.05, 0.5, "of seen 2D joints outside the picture", False),
    _Check("confidence", _confidence, 0.0, 0.5, "of confidences outside 0 to 1", False),
    _Check("place in 3D", _place, 0.001, 0.05, "of joints where no camera sees them"),
    _Check("truth", _truth, 0.0, 0.01, "of frames whose truth is not target × factor"),
    _Check("body size", _size, 0.01, 0.2, "of frames with impossible legs"),
    _Check("bone lengths", _bones, 0.02, 0.2, "of bones far from their usual length"),
    _Check("symmetry", _symmetry, 0.02, 0.3, "of limbs longer on one side"),
    _Check("knees", _knees, 0.1, 0.9, "of bent knees point backwards"),
    _Check("sides", _sides, 0.1, 0.5, "of frames fit better with left and right exchanged"),
    _Check("jumps", _jumps, 0.005, 0.1, f"of steps faster than {_FASTEST_M_S:g} m/s (a wrong rate?)"),
    _Check("repeated frames", _repeated, 0.2, 0.8, "of frames equal the one before"),
)
