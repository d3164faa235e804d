from collections.abc import Iterable, Iterator
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

    def work(job: Job, items: Iterable[Item], workers: int) -> Iterator[VideoRow]:
        object.__setattr__(job, "make", Simulated)
        worker = Worker(job)
        yield from map(worker, items)

    monkeypatch.setattr(batch_run, "work_in_processes", work)
