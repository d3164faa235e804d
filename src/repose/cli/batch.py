"""`repose batch`."""

import sys
import time
from dataclasses import dataclass, field
from typing import Annotated

import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from repose.batch import BatchOptions, Summary, VideoRow, run_batch
from repose.cli.terminal import Folder, echo, error_console
from repose.errors import printable
from repose.pipeline import EstimateOptions

FAILED = 3
"""Exit code where some videos failed."""
_SPEAK_EVERY_S = 30.0


@dataclass(frozen=True)
class BatchCommand:
    """Turn many videos into 3D poses, here or on a cluster.

    Given again, the command goes on where it stopped.
    """

    inputs: Annotated[tuple[str, ...], tyro.conf.Positional]
    """Videos, keypoint files, folders of videos, patterns such as 'clips/**/*.mp4', CSV or Parquet tables
    with a column `path` (and height, fov, intrinsics, person, fps, capture_fps where wanted), and addresses
    (s3://, gs://, https://)."""
    out: Folder
    """Folder for the results: poses/*.parquet and the table videos.parquet."""
    estimation: tyro.conf.OmitArgPrefixes[EstimateOptions] = field(default_factory=EstimateOptions)
    batch: tyro.conf.OmitArgPrefixes[BatchOptions] = field(default_factory=BatchOptions)

    def run(self) -> None:
        left_out: set[str] = set()
        started = time.monotonic()
        with _Watch() as watch:
            summary, failed = run_batch(
                self.inputs,
                self.out,
                self.estimation,
                self.batch,
                told=watch.tell,
                left_out=left_out,
            )
        for what in sorted(left_out):
            echo(f"Left out: {what}.")
        summarise(summary)
        seconds = time.monotonic() - started
        echo(f"{watch.done} videos in {seconds:.1f} s. Results: {self.out}")
        if failed:
            what = "1 video" if failed == 1 else f"{failed} videos"
            echo(f"{what} failed; try again with --retry-failed.")
            sys.exit(FAILED)


def summarise(summary: Summary) -> None:
    """Print how the batch stands, and where to look first."""
    echo(
        f"Videos: {summary.done} done, {summary.failed} failed; {summary.frames:,} poses, "
        f"{summary.seconds / 60:,.1f} minutes."
    )
    for row in summary.failures:
        echo(f"Failed: {row.source}: {row.message}")
    for what, rows in summary.worst.items():
        echo(f"Look at ({what}): {', '.join(f'{row.name} ({_how(what, row)})' for row in rows)}.")


def _how(what: str, row: VideoRow) -> str:
    return {
        "least seen": f"{row.seen_share or 0:.0%} seen",
        "most swaps": f"{row.frames_swapped} of {row.frames} frames",
        "most residual": f"{100 * (row.residual or 0):.1f} % of the height",
    }[what]


class _Watch:
    """Progress over all videos: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(
            *columns, console=error_console, transient=True, disable=not error_console.is_terminal
        )
        self._task = self._bar.add_task("videos", total=None)
        self._began = self._spoke = time.monotonic()
        self.done = self._failed = 0

    def __enter__(self) -> "_Watch":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, row: VideoRow | None, done: int, total: int) -> None:
        """Take note of a video."""
        self.done = done
        if row and row.status == "failed":
            self._failed += 1
            text = printable(f"Failed: {row.source}: {row.message}")
            error_console.print(text, soft_wrap=True, highlight=False, markup=False)
        what = f"videos ({self._failed} failed)" if self._failed else "videos"
        self._bar.update(self._task, completed=done, total=total, description=what)
        now = time.monotonic()
        if not error_console.is_terminal and done and (now - self._spoke > _SPEAK_EVERY_S):
            self._spoke = now
            left_s = (now - self._began) / done * (total - done)
            line = f"{done} of {total} videos, {self._failed} failed, {left_s / 60:.0f} min left"
            error_console.print(line, soft_wrap=True, highlight=False)
