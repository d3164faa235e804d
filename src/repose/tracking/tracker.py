"""Who is who from frame to frame: detections without identities become tracks."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

AWAY_S = 1.0
"""A person not seen for longer than this comes back as somebody new."""
NOBODY = -1
"""Id of a detection that is nobody of its own: a second one of somebody, or one without a joint."""
REACH = 0.2
"""How far from where a person is expected a detection may lie to be theirs, in sizes of the person."""
REACH_PER_S = 0.9
"""By how much that grows in each second in which the person is not seen."""
SAME_BODY = 0.1
"""Two detections of one frame nearer to each other than this, in sizes, may be of one person."""
_CURRENT_S = 0.2
"""People seen this recently are matched first; those who wait get what is left."""
_VELOCITY_S = 0.1
"""Time over which a person's velocity is averaged."""
_COASTING_S = 0.5
"""Time after which somebody who is missing is expected to have stopped."""


@dataclass
class _Person:
    track_id: int
    time_s: float
    points_px: Float[np.ndarray, "joints 2"]
    seen: Bool[np.ndarray, " joints"]
    size_px: float
    velocity_px_s: Float[np.ndarray, " 2"]

    def expected_px(self, time_s: float) -> Float[np.ndarray, "joints 2"]:
        """Where the joints are if the person goes on and comes to a stop by and by."""
        coasting_s = _COASTING_S * (1 - np.exp(-(time_s - self.time_s) / _COASTING_S))
        return self.points_px + self.velocity_px_s * coasting_s

    def move(self, time_s: float, points_px: np.ndarray, seen: np.ndarray, mirror: np.ndarray) -> None:
        """Take a detection as the person's newest."""
        passed_s = time_s - self.time_s
        _, step_px = _compare(self.points_px, self.seen, points_px, seen, mirror)
        share = 1 - np.exp(-passed_s / _VELOCITY_S)
        self.velocity_px_s = self.velocity_px_s + share * (step_px / passed_s - self.velocity_px_s)
        self.size_px = max(_size_px(points_px, seen), self.size_px * float(np.exp(-passed_s)))
        self.time_s, self.points_px, self.seen = time_s, points_px, seen


class Tracker:
    """Gives the people of each frame the identities they had in earlier frames.

    Each person is expected where their motion leads. A detection's distance from there is the median
    over the joints seen in both, in sizes of the person (the longer side of the box around the joints
    seen); with fewer than three such joints it is the distance of the box centres. The median keeps
    hold of a person who loses a limb, and the mirrored person counts as well as the straight one, because
    detectors exchange left and right. People and detections are joined so that the sum of what is left
    of their reach is largest (Hungarian algorithm), first those seen a moment ago. A detection that is
    nobody's and lies on another one, or where the person of another one is expected (some detectors take
    a body apart), is a second one of the same person: of the two, the one with more confidence counts.
    """

    def __init__(self, mirror: Sequence[int], away_s: float = AWAY_S) -> None:
        """`mirror` has each joint's partner on the other side, as `Skeleton.mirror` does."""
        self.away_s = away_s
        self._mirror = np.array(mirror)
        self._people: list[_Person] = []
        self._next_id = 0

    def update(
        self,
        time_s: float,
        points_px: Float[np.ndarray, "people joints 2"],
        confidence: Float[np.ndarray, "people joints"],
    ) -> list[int]:
        """Track ids of the people found in the frame at `time_s`; times must increase.

        A joint with confidence 0 is missing and does not count. New people get the next free id,
        from 0 on, in the order of the detections; what is nobody of its own gets `NOBODY`.
        """
        # A hair more, because times are rounded.
        self._people = [p for p in self._people if time_s - p.time_s <= self.away_s * 1.001 + 1e-6]
        points_px, seen = points_px.astype(np.float64), confidence > 0
        claimed = self._claim(time_s, points_px, seen)
        ids, bodies = [NOBODY] * len(points_px), list(claimed)
        score = confidence.sum(axis=1)
        open_rows = [i for i in range(len(points_px)) if i not in claimed and seen[i].any()]
        twin_of: dict[int, int] = {}

        def same_body(i: int, j: int) -> bool:
            others = [(points_px[j], seen[j])]
            if j in claimed:
                others.append((claimed[j].expected_px(time_s), claimed[j].seen))
            size_px = max(_size_px(points_px[row], seen[row]) for row in (i, j))
            return any(
                _compare(*other, points_px[i], seen[i], self._mirror)[0] <= SAME_BODY * size_px
                for other in others
            )

        for i in sorted(open_rows, key=lambda row: -score[row]):
            twin = next((j for j in bodies if same_body(i, j)), None)
            if twin is None:
                bodies.append(i)
            elif twin in claimed and score[i] > score[twin_of.get(twin, twin)]:
                twin_of[twin] = i
        for i in sorted(bodies):
            best = twin_of.get(i, i)
            person = claimed.get(i)
            if person is None:
                size_px = _size_px(points_px[i], seen[i])
                person = _Person(self._next_id, time_s, points_px[i], seen[i], size_px, np.zeros(2))
                self._people.append(person)
                self._next_id += 1
            else:
                person.move(time_s, points_px[best], seen[best], self._mirror)
            ids[best] = person.track_id
        return ids

    def _claim(self, time_s: float, points_px: np.ndarray, seen: np.ndarray) -> dict[int, _Person]:
        """Which detection is whose, of the people known."""
        from scipy.optimize import linear_sum_assignment  # 0.2 s, for those who track alone

        claimed: dict[int, _Person] = {}
        current = [person for person in self._people if time_s - person.time_s <= _CURRENT_S]
        waiting = [person for person in self._people if time_s - person.time_s > _CURRENT_S]
        for people in (current, waiting):
            rows = [i for i in range(len(points_px)) if i not in claimed]
            if not (people and rows):
                continue
            left = np.zeros((len(people), len(rows)))
            for number, person in enumerate(people):
                reach = REACH + REACH_PER_S * (time_s - person.time_s)
                expected_px = person.expected_px(time_s)
                for column, i in enumerate(rows):
                    size_px = max(person.size_px, _size_px(points_px[i], seen[i]))
                    off_px, _ = _compare(expected_px, person.seen, points_px[i], seen[i], self._mirror)
                    left[number, column] = max(0.0, 1 - off_px / size_px / reach)
            for number, column in zip(*linear_sum_assignment(left, maximize=True), strict=True):
                if left[number, column] > 0:
                    claimed[rows[column]] = people[number]
        return claimed


def track(
    frames: Int[np.ndarray, " detections"],
    points_px: Float[np.ndarray, "detections joints 2"],
    confidence: Float[np.ndarray, "detections joints"],
    fps: float,
    mirror: Sequence[int],
) -> Int[np.ndarray, " detections"]:
    """Track id of every detection of a whole file, in any order of frames (see `Tracker`).

    In a file that has only every so many-th frame, a person may be away for two of its steps.
    """
    ids = np.full(len(frames), NOBODY, dtype=np.int64)
    order = np.argsort(frames, kind="stable")
    numbers, starts = np.unique(frames[order], return_index=True)
    step_s = float(np.median(np.diff(numbers))) / fps if len(numbers) > 1 else 0.0
    tracker = Tracker(mirror, max(AWAY_S, 2 * step_s))
    for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True):
        ids[rows] = tracker.update(number / fps, points_px[rows], confidence[rows])
    return ids


def settle_identities(
    frames: Int[np.ndarray, " detections"],
    given: Int[np.ndarray, " detections"] | None,
    points_px: Float[np.ndarray, "detections joints 2"],
    confidence: Float[np.ndarray, "detections joints"],
    fps: float,
    mirror: Sequence[int],
) -> tuple[Int[np.ndarray, " detections"], dict[str, Any]]:
    """Decide who each detection of a file is, by the `given` ids where they hold, and say how.

    Ids that change in most steps of the people they should tell apart serve for nothing: then, and without
    any, people are tracked. Of several detections of one id in a frame the one with most confidence
    counts, the others are `NOBODY`. The record says "identities" ("file", "tracked", or "tracked, because
    the file's change from frame to frame"), and where there are any "second_detections_left_out" and
    "ids_change" (see `changes_of_id`).
    """
    record: dict[str, Any] = {"identities": "tracked"}
    if given is not None and len(np.unique(given)) == 1:
        people, changes = given, []
    else:
        people = track(frames, points_px, confidence, fps, mirror)
        if given is not None:
            changes = changes_of_id(frames, given, people, points_px, confidence, fps, mirror)
    if given is not None:
        steps = len(frames) - len(np.unique(people))
        if len(changes) > max(1, steps / 2):
            record["identities"] = "tracked, because the file's change from frame to frame"
        else:
            record = {"identities": "file"}
            if changes:
                record["ids_change"] = [list(change) for change in changes]
            people = _one_a_frame(frames, given, confidence)
    if left_out := int((people == NOBODY).sum()):
        record["second_detections_left_out"] = left_out
    return people, record


def _one_a_frame(frames: np.ndarray, ids: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return the ids, `NOBODY` for all but the surest detection of an id in a frame."""
    order = np.lexsort((-confidence.sum(axis=1), ids, frames))
    again = (np.diff(frames[order]) == 0) & (np.diff(ids[order]) == 0)
    settled = ids.copy()
    settled[order[1:][again]] = NOBODY
    return settled


def changes_of_id(
    frames: Int[np.ndarray, " detections"],
    given: Int[np.ndarray, " detections"],
    tracked: Int[np.ndarray, " detections"],
    points_px: Float[np.ndarray, "detections joints 2"],
    confidence: Float[np.ndarray, "detections joints"],
    fps: float,
    mirror: Sequence[int],
) -> list[tuple[int, int, int]]:
    """Find people who clearly continue under another `given` id: (frame, id before, id from there on).

    `tracked` are ids by `track`. A change counts where neither id goes on by itself: it is not there on
    the other side of the step, or so far away that no body gets there. So two people who cross are never
    taken for a change, whatever the tracker made of them.
    """
    order = np.lexsort((frames, given))
    following, preceding = np.full(len(frames), NOBODY), np.full(len(frames), NOBODY)
    for i, j in pairwise(order.tolist()):
        if given[i] == given[j] and frames[i] < frames[j]:
            following[i], preceding[j] = j, i
    mirrored = np.array(mirror)
    seen = confidence > 0

    def goes_on(i: int, j: int) -> bool:
        if NOBODY in (i, j):
            return False
        off_px, _ = _compare(points_px[i], seen[i], points_px[j], seen[j], mirrored)
        reach = REACH + REACH_PER_S * (frames[j] - frames[i]) / fps
        return bool(off_px <= reach * max(_size_px(points_px[row], seen[row]) for row in (i, j)))

    changes = []
    order = np.lexsort((frames, tracked))
    for i, j in pairwise(order.tolist()):
        if tracked[i] == tracked[j] != NOBODY and given[i] != given[j] and frames[i] < frames[j]:
            if goes_on(i, int(following[i])) or goes_on(int(preceding[j]), j):
                continue
            changes.append((int(frames[j]), int(given[i]), int(given[j])))
    return sorted(changes)


def _compare(
    here_px: np.ndarray, here: np.ndarray, there_px: np.ndarray, there: np.ndarray, mirror: np.ndarray
) -> tuple[float, Float[np.ndarray, " 2"]]:
    """How far two bodies are apart, and the step from one to the other, in pixels.

    The lesser distance of the straight and the mirrored body; infinite where one has no joint.
    """
    if not (here.any() and there.any()):
        return float("inf"), np.zeros(2)
    best, step_px = float("inf"), np.zeros(2)
    for points_px, seen in ((there_px, there), (there_px[mirror], there[mirror])):
        both = here & seen
        if both.sum() < 3:
            continue
        steps_px = points_px[both] - here_px[both]
        off_px = float(np.median(np.hypot(steps_px[:, 0], steps_px[:, 1])))
        if off_px < best:
            best, step_px = off_px, np.median(steps_px, axis=0)
    if np.isinf(best):
        centres = [(p.min(axis=0) + p.max(axis=0)) / 2 for p in (here_px[here], there_px[there])]
        step_px = centres[1] - centres[0]
        best = float(np.linalg.norm(step_px))
    return best, step_px


def _size_px(points_px: np.ndarray, seen: np.ndarray) -> float:
    """Return the longer side of the box around the joints seen, at least a pixel."""
    return max(float(np.ptp(points_px[seen], axis=0).max()), 1.0) if seen.any() else 1.0
