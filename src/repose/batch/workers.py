"""Who works on the videos: processes of this machine, or the actors of a Ray cluster.

A worker loads the model once, and writes what it finds itself (`Worker`). Whoever is killed leaves a mark
that says which video it was at, so that the video is tried once more and then given up.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
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
    make: Callable[[EstimateOptions], Any] = Estimator
    """What estimates; another takes its place to measure all the rest."""

    def is_done(self, item: Item, row: VideoRow) -> bool:
        """Whether there is nothing left to do: another file in the place of the one that was done is new."""
        if row.run == self.run:
            return True
        replaced = row.stamp and item.stamp() not in ("", row.stamp)
        return not replaced and (row.status == "done" or not self.retry_failed)


class Worker:
    """Estimates one video after the other, and writes what comes out."""

    def __init__(self, job: Job) -> None:
        """Load the model; raises UserError where it or the options are wrong."""
        self.job = job
        self.batch = Batch(job.folder)
        self.estimator = job.make(job.options)

    def __call__(self, item: Item) -> VideoRow:
        """Do a video unless it is done, and say what became of it.

        Raises UserError where results cannot be written, or the detector cannot be loaded.
        """
        job, began = self.job, time.monotonic()
        if (there := self.batch.get_row(item.name)) and job.is_done(item, there):
            return there
        row = VideoRow(
            name=item.name,
            source=item.source.encode("utf-8", "backslashreplace").decode(),
            status="failed",
            version=version("repose3d"),
            run=job.run,
            stamp=item.stamp(),
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
                poses = refine(poses, fit=self.job.options.fit)
            row.about(poses).status = "done"
            return poses
        except _Unusable as error:
            raise error.why from None
        except UserError as error:
            message = error.message.removeprefix(f"{item.source}: ")  # which the row names
            row.message = " ".join(f"{message} {error.hint}".split())[:10_000]
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
