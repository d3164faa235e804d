"""A batch from its inputs to its summary, on this machine or on a cluster."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from repose.batch.dataset import Summary, VideoRow, alone, open_output, write_table
from repose.batch.inputs import Item, find_items, parse_shard
from repose.batch.workers import Job, Worker
from repose.detectors.processes import share_out
from repose.errors import UserError, Within, check_ranges, override
from repose.pipeline import EstimateOptions, Estimator

Told = Callable[[VideoRow | None, int, int], None]
"""Told what became of a video (None at the start), how many are done, and of how many."""


@dataclass(frozen=True)
class BatchOptions:
    """Options of a batch; the defaults are those of the command line."""

    refine: bool = False
    """Also clean the motion, as `repose refine` does by default."""
    folders: bool = False
    """Also write a folder for each video, as `repose estimate` does."""
    retry_failed: bool = False
    """Try again what failed in an earlier run."""
    shard: str | None = None
    """Only part i of n, as i/n: for job arrays, whose jobs may share the folder."""
    address: str | None = None
    """Address of a Ray cluster; auto: the one of this machine, local: a new one. Default: without Ray."""
    gpus: Annotated[float | None, Within(0, 64)] = None
    """Share of a GPU for each worker of a cluster; default: all there are, shared out evenly."""

    def __post_init__(self) -> None:
        check_ranges(self)
        parse_shard(self.shard)


def run_batch(
    inputs: Sequence[str],
    folder: str | Path,
    options: EstimateOptions | None = None,
    batch_options: BatchOptions | None = None,
    *,
    told: Told | None = None,
    left_out: set[str] | None = None,
    estimator: Callable[[EstimateOptions], Any] = Estimator,
    **overrides: Any,
) -> tuple[Summary, int]:
    """Estimate all videos that are meant by `inputs`, and go on where an earlier run stopped.

    Args:
        inputs: files, folders, patterns, tables, addresses (`find_items`).
        folder: where the results are, or will be; runs of other shards may share it.
        options: as for `estimate`.
        batch_options: how to go about it.
        told: is told what has been done.
        left_out: is filled with what was found and not taken, in words.
        estimator: makes what estimates, by default `Estimator`; processes import it by its name.
        overrides: fields of either options.

    Returns:
        The summary of all that is in the folder, and how many videos of this run have failed, whenever.

    Raises:
        UserError: inputs that are not there, a folder of other options or at which another run works, a
            model or detector that cannot be loaded, and results that cannot be written.
    """
    ours = {field.name for field in fields(BatchOptions)} & overrides.keys()
    how = override(batch_options or BatchOptions(), {name: overrides.pop(name) for name in ours})
    options = override(options or EstimateOptions(), overrides)
    folder, shard = Path(folder).resolve(), parse_shard(how.shard)
    if next(find_items(inputs, folder), None) is None:
        raise UserError("no inputs", "Name videos, folders of videos, or a table of them.")
    batch = open_output(folder, options, refine=how.refine)
    with alone(folder, *shard):
        job = Job(folder, options, how.refine, how.folders, how.retry_failed, make=estimator)

        def rows() -> Iterator[tuple[Item, VideoRow | None]]:
            for item in find_items(inputs, folder, left_out):
                if item.in_shard(*shard):
                    row = batch.get_row(item.name)
                    yield item, row if row and job.is_done(item, row) else None

        total = failed = 0
        for _, row in rows():
            total += row is None
            failed += row is not None and row.status == "failed"
        if told:
            told(None, 0, total)
        for done, row in enumerate(_work(job, (item for item, row in rows() if not row), total, how), 1):
            failed += row.status == "failed"
            if told:
                told(row, done, max(done, total))
        return write_table(batch), failed


def _work(job: Job, items: Iterator[Item], total: int, how: BatchOptions) -> Iterator[VideoRow]:
    if not total:
        return iter(())
    workers = job.options.workers or os.cpu_count() or 1
    if how.address is not None:
        from repose.batch.cluster import work_in_cluster

        return work_in_cluster(job, items, how.address, how.gpus)
    # Who would have nothing to do helps with the pieces of long videos.
    job = replace(job, options=replace(job.options, workers=max(1, workers // total)))
    return share_out(partial(Worker, job), items, min(workers, total))
