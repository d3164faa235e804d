"""A short campaign with a fixed seed, all that ever escaped, and a look at whether escapes are noticed."""

import ast
import sys
from collections.abc import Iterator
from cProfile import Profile
from pathlib import Path

import pytest

import repose

from .campaign import ESCAPES, run
from .planted import WRONG
from .readers import READERS
from .worker import Outcome, Worker, content, observe

PACKAGE = Path(repose.__file__).parent
EACH = 40
"""Inputs a reader: as many as half a minute allows."""

FOREIGN = ("safetensors", "torch", "torch-legacy")
"""Readers whose sound files are well formed, but not all of something known here."""

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="measures a process as Linux does"
)


UNREAD = {
    "models/spec.py": {"read_spec"},  # the same header as `load_checkpoint` reads
    "batch/inputs.py": {"_stored", "Item.local"},  # on the network
}
"""Readers by module that no campaign goes through, and why."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="module")
def sound() -> tuple[dict[str, list[Outcome]], set[tuple[str, str]]]:
    """What becomes of each reader's sound files, and the package's functions that they go through."""
    outcomes: dict[str, list[Outcome]] = {}
    profile = Profile()
    for name, reader in READERS.items():
        files = [make() for make in dict.fromkeys(make for _, make in reader.seeds)]
        with profile:
            outcomes[name] = [observe(name, file, limited=False) for file in files]
    codes = [entry.code for entry in profile.getstats() if not isinstance(entry.code, str)]
    ours = [code for code in codes if Path(code.co_filename).is_relative_to(PACKAGE)]
    return outcomes, {
        (Path(code.co_filename).relative_to(PACKAGE).as_posix(), code.co_qualname) for code in ours
    }


@pytest.mark.parametrize("reader", READERS)
def test_sound_files_are_accepted(sound, reader: str) -> None:
    for outcome in sound[0][reader]:
        assert outcome.kind == "accepted" or (reader in FOREIGN and outcome.kind == "refused"), outcome


def test_every_reader_of_the_package_is_tried(sound) -> None:
    files = (file for file in PACKAGE.rglob("*.py") if file.name != "errors.py")
    there = {(file.relative_to(PACKAGE).as_posix(), name) for file in files for name in readers_in(file)}
    assert len(there) > 30
    known = {(file, name) for file, names in UNREAD.items() for name in names}
    assert known <= there
    missing = sorted(there - sound[1] - known)
    assert not missing, f"give these readers a sound file in tests/fuzz/readers.py: {missing}"


def readers_in(file: Path) -> set[str]:
    """Functions of a module that are readers: under `reads` or `reading`, or a format's `parse`."""
    found = set()

    def visit(node: ast.AST, scope: tuple[str, ...]) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = (*scope, child.name)
                names = {name.id for part in child.decorator_list for name in ast.walk(part)
                         if isinstance(name, ast.Name)}  # fmt: skip
                names |= {
                    call.id
                    for part in ast.walk(child)
                    if isinstance(child, ast.FunctionDef) and isinstance(part, ast.With)
                    for item in part.items
                    for call in ast.walk(item.context_expr)
                    if isinstance(call, ast.Name)
                }
                parses = file.parent.name == "keypoints" and child.name.startswith("parse")
                if {"reads", "reading"} & names or (parses and not scope):
                    found.add(".".join(inner))
                visit(child, (*inner, "<locals>") if isinstance(child, ast.FunctionDef) else inner)

    text = file.read_text(encoding="utf-8")
    if "reading" in text or "reads" in text or file.parent.name == "keypoints":
        visit(ast.parse(text), ())
    return found


def test_readers_are_told_from_other_functions(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "@reads('a')\ndef one(path): ...\n"
        "class Two:\n  def three(self):\n    with open('a'), reading(self.path, 'a'): ...\n"
        "def four(path):\n  with stage(path): ...\n"
    )
    assert readers_in(tmp_path / "a.py") == {"one", "Two.three"}


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
