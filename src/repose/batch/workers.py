"""Who works on the videos: processes of this machine, or the actors of a Ray cluster.

A worker loads the model once, and writes what it finds itself (`Worker`). Whoever is killed leaves a mark
that says which video it was at, so that the video is tried once more and then given up.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from multiprocessing import connection, get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import Any

from repose.batch.dataset import Batch, VideoRow, note_try, write_video
from repose.batch.inputs import Item
from repose.errors import UserError
from repose.files.output import forget_placed
from repose.fitting import refine
from repose.pipeline import EstimateOptions, Estimator, is_video
from repose.pose import Pose3D

TRIES = 2
"""A video that has killed so many workers in one run is given up."""
_FALSE_STARTS = 3
"""So many workers in a row that die before they are ready end the run."""


@dataclass(frozen=True)
class Job:
    """What a worker must know."""

    folder: Path
    options: EstimateOptions
    refine: bool = False
    folders: bool = False
    retry_failed: bool = False
    run: str = field(default_factory=lambda: token_hex(8))
    """Tells this run from others: the failures of others may be tried again, its own not."""
    threads: int = 1
    """Of each worker, for the lifter."""
    make: Callable[[EstimateOptions], Any] = Estimator
    """What estimates; another takes its place to measure all the rest."""

    def is_done(self, row: VideoRow) -> bool:
        """Whether there is nothing left to do."""
        return row.status == "done" or row.run == self.run or not self.retry_failed


class Worker:
    """Estimates one video after the other, and writes what comes out."""

    def __init__(self, job: Job) -> None:
        """Load the model; raises UserError where it or the options are wrong."""
        import torch

        torch.set_num_threads(job.threads)
        self.job = job
        self.batch = Batch(job.folder)
        self.estimator = job.make(job.options)

    def __call__(self, item: Item) -> VideoRow:
        """Do a video unless it is done, and say what became of it.

        Raises UserError where results cannot be written, or the detector cannot be loaded.
        """
        job, began = self.job, time.monotonic()
        if (there := self.batch.get_row(item.name)) and job.is_done(there):
            return there
        row = VideoRow(
            name=item.name,
            source=item.source.encode("utf-8", "backslashreplace").decode(),
            status="failed",
            version=version("repose3d"),
            run=job.run,
        )
        poses: list[Pose3D] = []
        if note_try(job.folder, item.name, job.run) > TRIES:
            row.message = (
                f"Its workers were killed {TRIES} times: perhaps it needs more memory than there is."
            )
        else:
            poses = self._estimate(item, row)
        row.took_s = round(time.monotonic() - began, 4)
        write_video(job.folder, row, poses, job.folders)
        forget_placed()
        return row

    def _estimate(self, item: Item, row: VideoRow) -> list[Pose3D]:
        try:
            with item.local() as path:
                if is_video(path):
                    self._load_detector()
                began = time.monotonic()
                poses: list[Pose3D] = self.estimator(path, **dict(item.options))
                row.estimate_s = round(time.monotonic() - began, 4)
            if "://" in item.source:  # the copy is gone: the record names where it came from
                poses = [replace(pose, record=_from(pose.record, item.source)) for pose in poses]
            if self.job.refine:
                poses = refine(poses)
            row.about(poses).status = "done"
            return poses
        except _Unusable as error:
            raise error.why from None
        except UserError as error:
            row.message = " ".join(f"{error.message} {error.hint}".split())[:10_000]
        except MemoryError:
            row.message = "It needs more memory than there is."
        except Exception as error:
            row.message = f"{type(error).__name__}: {error}"[:10_000]
        return []

    def _load_detector(self) -> None:
        try:
            _ = getattr(self.estimator, "detector", None)
        except UserError as error:  # the fault of no video
            raise _Unusable(error) from None


class _Unusable(Exception):
    def __init__(self, why: UserError) -> None:
        super().__init__(str(why))
        self.why = why


def _from(record: dict[str, Any], source: str) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key != "video_signature"} | {"video": source}


@dataclass(eq=False)
class _Seat:
    """A worker process, and the video that it is at."""

    process: BaseProcess
    pipe: Any
    item: Item | None = None
    ready: bool = False


def work_in_processes(job: Job, items: Iterable[Item], workers: int) -> Iterator[VideoRow]:
    """Let processes of this machine do the videos; yields what became of each as it is done.

    A process that dies is replaced, and its video tried again. Raises UserError of a worker that cannot
    begin or go on.
    """
    coming, again = iter(items), deque[Item]()
    seats: list[_Seat] = []
    false_starts = 0

    def next_item() -> Item | None:
        return again.popleft() if again else next(coming, None)

    try:
        while True:
            while len(seats) < workers and (item := next_item()):
                seats.append(_seat(job))
                _give(seats[-1], item)
            if not seats:
                return
            for pipe in connection.wait([seat.pipe for seat in seats]):
                seat = next(seat for seat in seats if seat.pipe is pipe)
                try:
                    answer = seat.pipe.recv()
                except (EOFError, OSError):
                    seat.process.join()
                    seats.remove(seat)
                    if seat.item:
                        again.append(seat.item)
                    false_starts = 0 if seat.ready else false_starts + 1
                    if false_starts >= _FALSE_STARTS:
                        raise _dying(seat.process.exitcode) from None
                    continue
                if isinstance(answer, BaseException):
                    raise answer
                if answer is None:
                    seat.ready = True
                    continue
                false_starts, seat.item = 0, None
                yield answer
                if item := next_item():
                    _give(seat, item)
                else:
                    _dismiss(seat)
                    seats.remove(seat)
    finally:
        for seat in seats:
            seat.process.terminate()
        for seat in seats:
            _dismiss(seat)


def _dying(exitcode: int | None) -> UserError:
    how = f"signal {-exitcode}" if exitcode is not None and exitcode < 0 else f"exit code {exitcode}"
    return UserError(
        f"workers end before they have loaded the model ({how})",
        "If the system ends them for want of memory, take fewer: --workers.",
    )


def _seat(job: Job) -> _Seat:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(job, theirs), daemon=False)
    process.start()
    theirs.close()
    return _Seat(process, ours)


def _give(seat: _Seat, item: Item) -> None:
    seat.item = item
    with suppress(OSError):  # it has died: the loop will see that
        seat.pipe.send(item)


def _dismiss(seat: _Seat) -> None:
    seat.pipe.close()
    seat.process.join()


def _serve(job: Job, pipe: Any) -> None:
    """Do what comes through the pipe until it is closed: the life of a worker process."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends its workers
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        worker = Worker(job)
        pipe.send(None)
        while True:
            pipe.send(worker(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return
    except UserError as error:
        pipe.send(error)


def _end_with_parent() -> None:
    """End this process with its parent, however that ends: nobody is left who works for nobody."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
