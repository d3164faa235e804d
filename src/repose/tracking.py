"""Who is who from frame to frame: detections without identities become tracks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

MAX_AGE_FRAMES = 30
"""A person not seen for longer than this comes back as somebody new."""


@dataclass
class _Person:
    track_id: int
    frame: int
    points_px: np.ndarray
    found: np.ndarray


@dataclass
class Tracker:
    """Gives the people of each frame the identities they had in earlier frames.

    Greedy: of all pairs (known person, detection) the closest are joined first. Their distance is the
    median over the joints found in both of the distance in pixels, divided by the larger person's size
    (the longer side of the box around the joints found); with fewer than three joints in common it is
    the distance of the box centres. A pair is joined up to a quarter of the size, and further apart by
    0.03 of it for each frame in which the person was not seen. The median keeps hold of a person whose
    detector exchanges left and right or loses a limb.
    """

    max_age_frames: int = MAX_AGE_FRAMES
    _people: list[_Person] = field(default_factory=list)
    _next_id: int = 0

    def update(
        self,
        frame: int,
        points_px: Float[np.ndarray, "people joints 2"],
        confidence: Float[np.ndarray, "people joints"],
    ) -> list[int]:
        """Track ids of the people found in `frame`; frames must come in increasing order.

        A joint with confidence 0 was not found and does not count. New people get the next free id,
        from 0 on, in the order of the detections.
        """
        self._people = [p for p in self._people if frame - p.frame <= self.max_age_frames]
        found = confidence > 0
        pairs = []
        for number, person in enumerate(self._people):
            reach = 0.25 + 0.03 * (frame - person.frame - 1)
            for i in range(len(points_px)):
                distance = _distance(person.points_px, person.found, points_px[i], found[i])
                if distance <= reach:
                    pairs.append((distance, number, i))
        ids: dict[int, int] = {}
        taken: set[int] = set()
        for _, number, i in sorted(pairs):
            if i not in ids and number not in taken:
                ids[i] = self._people[number].track_id
                taken.add(number)
        self._people = [p for number, p in enumerate(self._people) if number not in taken]
        for i in range(len(points_px)):
            if i not in ids:
                ids[i] = self._next_id
                self._next_id += 1
            self._people.append(_Person(ids[i], frame, points_px[i], found[i]))
        return [ids[i] for i in range(len(points_px))]


def track(
    frames: Int[np.ndarray, " detections"],
    points_px: Float[np.ndarray, "detections joints 2"],
    confidence: Float[np.ndarray, "detections joints"],
) -> Int[np.ndarray, " detections"]:
    """Track id of every detection of a whole file, in any order of frames (see `Tracker`).

    Where no frame has more than one detection there is one person, whatever lies between them.
    """
    ids = np.zeros(len(frames), dtype=np.int64)
    if len(np.unique(frames)) == len(frames):
        return ids
    tracker = Tracker()
    order = np.argsort(frames, kind="stable")
    for rows in _runs(frames[order]):
        people = order[rows]
        ids[people] = tracker.update(int(frames[people[0]]), points_px[people], confidence[people])
    return ids


def _runs(values: np.ndarray) -> Sequence[slice]:
    """Slices of equal neighbouring values."""
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def _distance(
    here_px: np.ndarray, here_found: np.ndarray, there_px: np.ndarray, there_found: np.ndarray
) -> float:
    """Distance of two detections in units of the larger one's size; infinite for an empty one."""
    if not (here_found.any() and there_found.any()):
        return float("inf")
    here, there = here_px[here_found], there_px[there_found]
    size = max(float(np.ptp(here, axis=0).max()), float(np.ptp(there, axis=0).max()), 1.0)
    both = here_found & there_found
    if both.sum() >= 3:
        step = float(np.median(np.linalg.norm(here_px[both] - there_px[both], axis=-1)))
    else:
        centres = [(points.min(axis=0) + points.max(axis=0)) / 2 for points in (here, there)]
        step = float(np.linalg.norm(centres[0] - centres[1]))
    return step / size
