"""`python -m tests.fuzz`: a campaign of any length. Exit code 1 where something escaped."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from .campaign import ESCAPES, report, run
from .readers import READERS


@dataclass(frozen=True)
class Campaign:
    """Damage sound files of every reader, read them, and keep what is neither read nor refused."""

    inputs: int = 10_000
    """How many, evenly over the readers."""
    seed: int = 0
    first: int = 0
    """Number of each reader's first input: a later campaign goes on where an earlier one ended."""
    reader: tuple[str, ...] = tuple(READERS)
    """Readers to try."""
    workers: int = 2
    """Processes that read at the same time."""
    keep: Path = ESCAPES
    """Folder for what escaped, made small; what lies in the project's own is read by every test run."""


def main() -> None:
    options = tyro.cli(Campaign, prog="python -m tests.fuzz")
    if unknown := set(options.reader) - set(READERS):
        sys.exit(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    tallies = run(
        options.reader,
        options.inputs,
        options.seed,
        first=options.first,
        workers=options.workers,
        keep=options.keep,
        say=lambda text: print(text, file=sys.stderr, flush=True),  # noqa: T201
    )
    print(report(tallies))  # noqa: T201
    sys.exit(any(tally.escapes for tally in tallies.values()))


if __name__ == "__main__":
    main()
