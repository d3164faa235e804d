"""Many inputs over many readers; what escapes is made small and kept."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Lock, Thread

from .readers import find
from .worker import Outcome, Worker, content

ESCAPES = Path(__file__).parent / "escapes"
_TRIES = 400
"""Readings for making one escape small; a tenth for those that cost a process each."""


@dataclass
class Tally:
    """What became of a reader's inputs."""

    inputs: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    unexpected: int = 0
    """Refused by what every reader stands in, in general words."""
    escapes: dict[tuple[str, str], tuple[Outcome, int, bytes]] = field(default_factory=dict)
    """One for each signature: the outcome, the number of the input, and its bytes."""

    def add(self, outcome: Outcome, number: int, data: bytes) -> bool:
        """Count it; true for an escape that is the first of its kind."""
        self.inputs += 1
        self.kinds[outcome.kind] += 1
        self.unexpected += outcome.where == "unexpected"
        if not outcome.escaped or outcome.signature in self.escapes:
            return False
        self.escapes[outcome.signature] = outcome, number, data
        return True


def run(
    readers: Sequence[str],
    inputs: int,
    seed: int,
    *,
    first: int = 0,
    workers: int = 1,
    keep: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Tally]:
    """Read `inputs` inputs, evenly over the readers, numbered from `first`.

    With `keep` the first escape of each kind is made small and saved there, in a folder for each reader.
    """
    tallies = {reader: Tally() for reader in readers}
    each, more = divmod(inputs, len(readers))
    waiting: Queue[tuple[str, range]] = Queue()
    for place, reader in enumerate(readers):
        count = each + (place < more)
        for start in range(0, count, 500):
            waiting.put((reader, range(first + start, first + min(start + 500, count))))
    lock = Lock()

    def work() -> None:
        with Worker() as worker:
            while True:
                try:
                    reader, numbers = waiting.get_nowait()
                except Empty:
                    return
                started = time.monotonic()
                for number in numbers:
                    data = content(reader, seed, number)
                    outcome = worker.read(reader, data)
                    with lock:
                        new = tallies[reader].add(outcome, number, data)
                    if new:
                        say(f"{reader} {number}: {outcome.kind} {outcome.where} {outcome.detail}")
                        if keep is not None:
                            save(worker, reader, data, outcome, keep)
                say(f"{reader} {numbers[-1] + 1}: {len(numbers) / (time.monotonic() - started):.0f} inputs/s")

    threads = [Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return tallies


def save(worker: Worker, reader: str, data: bytes, outcome: Outcome, folder: Path) -> Path:
    """Write the smallest input that was found to escape in the same way."""
    small = minimised(worker, reader, data, outcome)
    name = hashlib.sha256(small).hexdigest()[:8]
    path = folder / reader / (name + Path(find(reader).file).suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(small)
    return path


def minimised(worker: Worker, reader: str, data: bytes, outcome: Outcome) -> bytes:
    """Less and less of the input, as long as it escapes in the same way (Zeller and Hildebrandt 2002)."""
    tries = _TRIES if outcome.kind in ("exception", "warning", "message") else _TRIES // 10
    size = len(data) // 2
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            less = data[:at] + data[at + size :]
            tries -= 1
            if worker.read(reader, less).signature == outcome.signature:
                data = less
            else:
                at += size
        size //= 2
    return data


def report(tallies: dict[str, Tally]) -> str:
    """A row a reader."""
    lines = [
        f"{'reader':<18} {'inputs':>7} {'accepted':>8} {'refused':>8} {'generally':>9} {'escaped':>8}  kinds"
    ]
    for reader, tally in tallies.items():
        kinds = tally.kinds
        escaped = tally.inputs - kinds["accepted"] - kinds["refused"]
        lines.append(
            f"{reader:<18} {tally.inputs:>7} {kinds['accepted']:>8} {kinds['refused']:>8} "
            f"{tally.unexpected:>9} {escaped:>8}  {len(tally.escapes)}"
        )
    total = sum(tally.inputs for tally in tallies.values())
    escaped = sum(
        count for tally in tallies.values() for kind, count in tally.kinds.items()
        if kind not in ("accepted", "refused")
    )  # fmt: skip
    return "\n".join([*lines, f"{total} inputs, {escaped} escapes"])
