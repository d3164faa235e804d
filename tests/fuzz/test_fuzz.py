"""A short campaign with a fixed seed, all that ever escaped, and a look at whether escapes are noticed."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .campaign import ESCAPES, run
from .planted import WRONG
from .readers import READERS
from .worker import Worker, content

EACH = 100
"""Inputs a reader: as many as half a minute allows."""

FOREIGN = ("torch", "torch-legacy", "bvh")
"""Readers whose sound files are well formed, but not all of something known here."""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="measures a process as Linux does"
)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.parametrize("reader", READERS)
def test_sound_files_are_accepted(worker: Worker, reader: str) -> None:
    for _, make in READERS[reader].seeds:
        outcome = worker.read(reader, make())
        assert outcome.kind == "accepted" or (reader in FOREIGN and outcome.kind == "refused"), outcome


@pytest.mark.parametrize("reader", READERS)
def test_damaged_files_are_read_or_refused(worker: Worker, reader: str) -> None:
    for number in range(EACH):
        outcome = worker.read(reader, content(reader, 0, number))
        assert not outcome.escaped, f"{outcome}: python -m tests.fuzz --reader {reader} --inputs {EACH}"


@pytest.mark.parametrize(
    "file", sorted(file for file in ESCAPES.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_what_once_escaped_does_so_no_more(worker: Worker, file: Path) -> None:
    outcome = worker.read(file.parent.name, file.read_bytes())
    assert not outcome.escaped, outcome


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        ("planted-throws", "exception"),
        ("planted-loops", "slow"),
        ("planted-swallows", "slow"),
        ("planted-asks", "memory"),
        ("planted-takes", "memory"),
        ("planted-dies", "died"),
        ("planted-warns", "warning"),
        ("planted-message", "message"),
    ],
)
def test_every_way_to_go_wrong_is_noticed(worker: Worker, reader: str, kind: str) -> None:
    assert set(WRONG) >= {reader}
    assert worker.read(reader, b"xyz").kind == kind


def test_escapes_are_made_small_and_kept(tmp_path: Path) -> None:
    tallies = run(["planted-throws"], 60, 0, keep=tmp_path)
    (kept,) = (tmp_path / "planted-throws").iterdir()
    assert kept.read_bytes() == b""
    assert list(tallies["planted-throws"].escapes) == [("exception", "KeyError in planted.py:_throws")]


def test_an_input_is_a_function_of_its_number() -> None:
    first = [content("bvh", 3, number) for number in range(20)]
    assert first == [content("bvh", 3, number) for number in range(20)]
    assert len(set(first)) > 15
    assert content("bvh", 4, 0) != first[0]
