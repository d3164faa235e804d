"""A batch on a Ray cluster: the workers are actors of Ray Data, and each video is a row.

The list of videos lies in the folder of the results, which all machines of the cluster share; only numbers
of its lines go through the driver, whose memory does not grow with them.
"""

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from repose.batch.dataset import RUNNING, VideoRow
from repose.batch.inputs import Item
from repose.batch.workers import Job, Worker
from repose.errors import UserError
from repose.export.parquet import import_pyarrow

_BLOCKS_PER_WORKER = 50
_LARGEST_BLOCK = 16
"""Videos that an actor is given at once; if it dies, those of them that are done are passed over."""


def work_in_cluster(job: Job, items: Iterable[Item], address: str, gpus: float | None) -> Iterator[VideoRow]:
    """Let the actors of a cluster do the videos; yields what became of each, a few at a time.

    Ray starts actors again that die, and gives their videos to others. Raises UserError without Ray, where
    the cluster is not there, and of a worker that cannot begin or go on.
    """
    ray, pyarrow = import_ray(), import_pyarrow()
    listed = job.folder / RUNNING / f"todo-{job.run}"
    total = _list(items, listed)
    workers, ours = job.options.workers, not ray.is_initialized()
    job = replace(job, options=replace(job.options, workers=1))
    if ours:
        _connect(ray, address, workers)
    try:
        there = ray.cluster_resources()
        count = min(workers or max(int(there.get("CPU", 1)), 1), total)
        share = min(1.0, there.get("GPU", 0) / count) if gpus is None else gpus
        size = min(max(total // (count * _BLOCKS_PER_WORKER), 1), _LARGEST_BLOCK)
        numbers = np.arange(total)
        blocks = [pyarrow.table({"number": numbers[i : i + size]}) for i in range(0, total, size)]
        ray.data.DataContext.get_current().enable_progress_bars = False
        done = ray.data.from_arrow(blocks).map_batches(
            Actor,
            fn_constructor_args=(job, listed),
            batch_size=1,
            num_cpus=1,
            num_gpus=share,
            compute=ray.data.ActorPoolStrategy(size=count),
        )
        for answer in done.iter_rows():
            if answer["error"]:
                raise UserError(*answer["error"].split("\n", 1))
            yield msgspec.json.decode(answer["row"], type=VideoRow)
    except ray.exceptions.RayError as error:
        raise UserError(
            f"the Ray cluster ended the batch: {str(error).strip()[-500:]}",
            "Give the same command again to go on.",
        ) from error
    finally:
        for file in (listed, _ends(listed)):
            file.unlink(missing_ok=True)
        if ours:
            ray.shutdown()


class Actor:
    """A worker as Ray Data calls it: numbers of lines in, what became of these videos out."""

    def __init__(self, job: Job, listed: Path) -> None:
        self._listed, self._error = listed, ""
        try:
            self._worker = Worker(job)
        except UserError as error:
            self._error = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        rows, error = [], self._error
        for number in batch["number"].tolist() if not error else []:
            try:
                rows.append(msgspec.json.encode(self._worker(_read(self._listed, number))).decode())
            except UserError as refused:
                error = str(refused)
                break
        return {"row": rows or [""], "error": [error] * max(len(rows), 1)}


def _list(items: Iterable[Item], listed: Path) -> int:
    """Write one line of JSON for each video, and beside it where each line ends; returns their number."""
    total = end = 0
    with listed.open("wb") as lines, _ends(listed).open("wb") as ends:
        while part := list(islice(items, 4096)):
            for item in part:
                end += lines.write(json.dumps([item.source, item.options]).encode() + b"\n")
                ends.write(np.int64(end).tobytes())
            total += len(part)
    return total


def _read(listed: Path, number: int) -> Item:
    ends = np.memmap(_ends(listed), dtype=np.int64, mode="r")
    with listed.open("rb") as lines:
        lines.seek(int(ends[number - 1]) if number else 0)
        source, options = json.loads(lines.readline())
    return Item(source, tuple((name, value) for name, value in options))


def _ends(listed: Path) -> Path:
    return listed.with_name(f"{listed.name}-ends")


def _connect(ray: Any, address: str, workers: int | None) -> None:
    """Join a cluster, or start one on this machine, which takes some six seconds."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is told to anybody
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        if address == "local":
            ray.init("local", num_cpus=workers or os.cpu_count(), include_dashboard=False, **quiet)
        else:
            ray.init(address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"--address {address}: no Ray cluster there ({str(error).strip()[:300]})",
            "Start one with `ray start --head`, or give --address local, or leave it out.",
        ) from error


def import_ray() -> Any:
    """Import Ray Data; raises UserError where it is absent."""
    try:
        import ray
        import ray.data
    except ImportError:
        raise UserError(
            "a cluster needs Ray, which is not installed",
            "pip install 'repose3d[batch]' on all its machines; without it, --workers takes the cores of "
            "this machine, and --shard i/n shares the work out to several.",
        ) from None
    return ray
