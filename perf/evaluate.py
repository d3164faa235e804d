"""Time of scoring 90 000 predicted frames with every metric, as `repose evaluate` does.

    python perf/evaluate.py

Depth order over frame pairs, whose number grows with the square of a clip's length, stands apart. The time
that matters is the elapsed one on an idle machine; the processor's time is what a busy one can tell.
"""

import numpy as np
from cost import cost

from repose.evaluation import Clip, Predictions, score
from repose.skeleton import H36M_17

FRAMES = 90_000
ACTIONS = 15


def main() -> None:
    random = np.random.default_rng(0)
    truth = np.cumsum(random.normal(scale=5, size=(FRAMES, 17, 3)), axis=0) + 200 * random.normal(
        size=(17, 3)
    )
    truth -= truth[:, :1]
    predicted = truth + 40 * random.normal(size=truth.shape)
    confidence = random.uniform(size=truth.shape[:2])
    print(f"{'clips of':>10} {'frame pairs':>12} {'elapsed s':>10} {'processor s':>12}")
    for length in (27, 243, 2_000):
        clips = tuple(
            Clip(f"action {start * ACTIONS // FRAMES}", 50.0, start, min(start + length, FRAMES))
            for start in range(0, FRAMES, length)
        )
        predictions = Predictions(
            predicted.astype(np.float32),
            truth.astype(np.float32),
            confidence,
            np.arange(FRAMES),
            clips,
            H36M_17,
        )
        for frame_pairs in (False, True):
            elapsed, used = min(
                cost(lambda: score(predictions, frame_pairs=frame_pairs))  # noqa: B023
                for _ in range(1 if frame_pairs else 3)
            )
            print(f"{length:10} {'with' if frame_pairs else 'without':>12} {elapsed:10.2f} {used:12.2f}")


if __name__ == "__main__":
    main()
