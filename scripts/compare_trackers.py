"""Our tracker against libraries, on synthetic people: how many are followed whole.

    python scripts/compare_trackers.py

norfair, and trackers with its SORT, ByteTrack and OC-SORT, are measured where they are installed. Each scene
is run at three frame rates with twenty seeds. A scene counts as right if every person has exactly one
identity and no two share one; a second detection of somebody may have none.
"""

import importlib.util
from collections.abc import Callable, Iterator

import numpy as np

from repose.skeleton import SKELETONS
from repose.tracking.tracker import Tracker

COCO = SKELETONS["coco-17"]
Frame = tuple[float, np.ndarray, np.ndarray, list[int]]
"""Time, points, confidence, and who it is: the person, or -1 for a second detection."""


def body(rng: np.random.Generator) -> np.ndarray:
    """An asymmetric person 400 px tall."""
    return np.stack([rng.uniform(0, 120, 17), np.linspace(0, 400, 17) + rng.uniform(-20, 20, 17)], axis=-1)


def scene(kind: str, fps: float, seed: int) -> Iterator[Frame]:
    rng = np.random.default_rng(seed)
    bodies = [body(rng) for _ in range(2)]
    speeds = rng.uniform(100, 400, 2) * (1, -1)
    meet_s, lost_s = 1.5, rng.uniform(0.1, 0.4)
    for frame in range(round(3 * fps)):
        t = frame / fps
        who = [0, 1]
        places = [1000 + speeds[i] * (t - meet_s) for i in who]
        match kind:
            case "crossing, the one behind lost" if abs(t - meet_s) < lost_s:
                who = [0]
            case "entry and exit":
                places = [300 + 100 * t, 1500 - 200 * t]
                who = [0] * (t < 2) + [1] * (t > 1)
            case "one after the other":
                places = [300, 1500]
                who = [0] if t < 1.5 else [1]
            case "second detections":
                places = [300 + 100 * t, 1500 - 200 * t]
            case "lost for 0.6 s":
                who = [0] if 1 < t < 1.6 else [0, 1]
                places = [300 + 100 * t, 1500 - 200 * t]
        points = [bodies[i] + np.array([places[i], 0]) + rng.normal(size=(17, 2)) * 4 for i in who]
        sure = [np.full(17, 0.8)] * len(who)
        if kind == "second detections" and rng.random() < 0.2:
            points.append(points[0] + rng.normal(size=(17, 2)) * 6)
            sure = [*sure, np.where(np.arange(17) < rng.integers(8, 18), 0.6, 0.0)]
            who = [*who, -1]
        yield t, np.array(points).reshape(-1, 17, 2), np.array(sure).reshape(-1, 17), who


SCENES = ("crossing", "crossing, the one behind lost", "entry and exit", "one after the other",
          "second detections", "lost for 0.6 s")  # fmt: skip
Update = Callable[[float, np.ndarray, np.ndarray], list[int]]


def ours(fps: float) -> Update:
    return Tracker(COCO.mirror).update


def norfair(fps: float) -> Update:
    import norfair as library

    def distance(detection: object, person: object) -> float:
        here, there = detection.points, person.estimate  # type: ignore[attr-defined]
        size = np.ptp(here, axis=0).max()
        return float(np.median(np.linalg.norm(here - there, axis=-1)) / size)

    tracker = library.Tracker(
        distance, distance_threshold=0.3, hit_counter_max=round(fps), initialization_delay=0
    )

    def update(t: float, points: np.ndarray, sure: np.ndarray) -> list[int]:
        detections = [library.Detection(p, data=i) for i, p in enumerate(points)]
        ids = [-1] * len(points)
        for person in tracker.update(detections):
            if person.last_detection in detections:
                ids[person.last_detection.data] = person.id
        return ids

    return update


def boxes(name: str) -> Callable[[float], Update]:
    def make(fps: float) -> Update:
        import supervision
        import trackers

        options = {"lost_track_buffer": 30, "frame_rate": fps, "minimum_consecutive_frames": 1}
        tracker = getattr(trackers, name)(**options)

        def update(t: float, points: np.ndarray, sure: np.ndarray) -> list[int]:
            found = supervision.Detections(
                xyxy=np.concatenate([points.min(axis=1), points.max(axis=1)], axis=-1).reshape(-1, 4),
                confidence=sure.max(axis=1, initial=0),
                class_id=np.zeros(len(points), dtype=int),
                data={"row": np.arange(len(points))},
            )
            ids = [-1] * len(points)
            tracked = tracker.update(found)
            for row, person in zip(tracked.data.get("row", []), tracked.tracker_id, strict=True):
                ids[int(row)] = int(person)
            return ids

        return update

    return make


def right(make: Callable[[float], Update], kind: str, fps: float, seed: int) -> bool:
    update = make(fps)
    owners: dict[int, set[int]] = {}
    for t, points, sure, who in scene(kind, fps, seed):
        for found, person in zip(update(t, points, sure), who, strict=True):
            if found != -1 or person != -1:
                # Which of two detections of a person has the identity does not matter.
                owners.setdefault(max(person, 0), set()).add(found)
    ids = [{i for i in found if i != -1} for found in owners.values()]
    return all(len(found) == 1 for found in ids) and len(set.union(*ids)) == len(ids)


def main() -> None:
    makers: dict[str, Callable[[float], Update]] = {"ours": ours}
    if importlib.util.find_spec("norfair"):
        makers["norfair"] = norfair
    if importlib.util.find_spec("trackers"):
        makers |= {name: boxes(name) for name in ("SORTTracker", "ByteTrackTracker", "OCSORTTracker")}
    print(f"{'scenes right, of 60':32}", *(f"{name:>17}" for name in makers))
    for kind in SCENES:
        counts = [
            sum(right(make, kind, fps, seed) for fps in (15.0, 30.0, 120.0) for seed in range(20))
            for make in makers.values()
        ]
        print(f"{kind:32}", *(f"{count:17}" for count in counts))


if __name__ == "__main__":
    main()
