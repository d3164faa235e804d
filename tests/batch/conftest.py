from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from simulated import Simulated

from repose.batch import run as batch_run
from repose.batch.dataset import VideoRow
from repose.batch.inputs import Item
from repose.batch.workers import Job, Worker


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three clips, one of them broken, in two folders."""
    folder = tmp_path / "clips"
    (folder / "sub").mkdir(parents=True)
    for name, text in (("walk.mp4", "40"), ("run.MOV", "30"), ("sub/jump.mp4", "broken")):
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, with the simulated estimator."""

    def work(make: Callable[[], Worker], items: Iterable[Item], count: int) -> Iterator[VideoRow]:
        yield from map(make(), items)

    def simulated(job: Job) -> Worker:
        return Worker(replace(job, make=Simulated))

    monkeypatch.setattr(batch_run, "share_out", work)
    monkeypatch.setattr(batch_run, "Worker", simulated)
